"""Speak: texts become sounds, in the voices of those who were recorded.

    from gatework import Speaker
    model = Speaker(epochs=60).fit("clips.csv")                  # its columns: file, text, speaker
    model.predict(["seven two"], speaker="george")               # [samples (n,)], model.rate_ of them a second

Which file to open: options.py (every choice), reading.py (sources and their faults), codecs.py (texts, speakers and
sounds as numbers), examples.py (batches), model.py (the network), loss.py, saying.py (frame after frame until it
stops), sounding.py (frames as files of sound), measures.py, baselines.py, task.py (how they make a job), sections.py
and page.py (the report), estimator.py (scikit-learn's shape).
"""

from __future__ import annotations

from gatework.tasks.speak.estimator import Speaker
from gatework.tasks.speak.options import SpeakOptions
from gatework.tasks.speak.task import Speak

TASK = Speak

__all__ = ["TASK", "Speak", "SpeakOptions", "Speaker"]
