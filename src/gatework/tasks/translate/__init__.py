"""Translate: one sequence into another, as sentences of two languages, or letters into sounds.

    from gatework import Translator
    model = Translator(epochs=20).fit(["eins", "zwei"], ["one", "two"])
    model.predict(["zwei"])                                      # ["two"]

Which file to open: options.py (every choice), pairs.py (what was read), reading.py (sources and their faults),
codecs.py (texts as ids), examples.py (batches), model.py (the network), loss.py (the softmax), decoding.py (from a
trained model to texts), measures.py, baselines.py, task.py (how they make a job), sections.py and page.py (the report),
explained.py, estimator.py (scikit-learn's shape).
"""

from __future__ import annotations

from gatework.tasks.translate.estimator import Translator
from gatework.tasks.translate.options import TranslateOptions
from gatework.tasks.translate.task import Translate

TASK = Translate

__all__ = ["TASK", "Translate", "TranslateOptions", "Translator"]
