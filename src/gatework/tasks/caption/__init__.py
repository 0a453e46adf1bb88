"""Caption: a text for a picture or a film, written by an LSTM that looks at its parts.

    from gatework import Captioner
    model = Captioner(epochs=20).fit(pictures, texts)               # arrays (n, H, W, C), or paths
    model.predict(pictures)                                         # ["red circle", ...]

Which file to open: options.py (every choice), reading.py (files and arrays, and their faults), codecs.py (captions as
ids), examples.py (batches), model.py (the network; its convolutions are in networks/pictures.py), decoding.py (from a
trained model to captions), measures.py, baselines.py, task.py (how they make a job), sections.py and page.py (the
report), explained.py, estimator.py (scikit-learn's shape).
"""

from __future__ import annotations

from gatework.tasks.caption.estimator import Captioner
from gatework.tasks.caption.options import CaptionOptions
from gatework.tasks.caption.task import Caption

TASK = Caption

__all__ = ["TASK", "Caption", "CaptionOptions", "Captioner"]
