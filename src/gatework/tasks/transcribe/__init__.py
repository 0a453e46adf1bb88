"""Transcribe: recordings, or pictures of lines, into text.

    from gatework import Transcriber
    model = Transcriber(text="words").fit("clips.csv")
    model.predict("call.wav")                                           # ["seven two"]

Which file to open: options.py (every choice), hearing.py (files as frames), clips.py (what was read), reading.py
(sources and their faults), units.py (texts as ids), examples.py (batches), augment.py (changed copies), model.py (the
network), ctc.py (its loss), decoding.py (what a trained model hears), search.py (how that becomes text), measures.py,
baselines.py, task.py (how they make a job), streams.py and pipes.py (recordings as they come), sections.py, shown.py
and page.py (the report), explained.py, estimator.py (scikit-learn's shape).
"""

from __future__ import annotations

from gatework.tasks.transcribe.estimator import Transcriber
from gatework.tasks.transcribe.options import TranscribeOptions
from gatework.tasks.transcribe.task import Transcribe

TASK = Transcribe

__all__ = ["TASK", "Transcribe", "TranscribeOptions", "Transcriber"]
