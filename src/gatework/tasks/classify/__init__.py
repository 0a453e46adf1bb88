"""Classify texts, numeric sequences, sounds, pictures or films.

    from gatework import TextClassifier
    model = TextClassifier(epochs=5).fit(texts, labels)
    model.predict(["a stirring , funny film"])                # array(['positive'])

Which file to open: options.py (every choice), reading.py (sources), media.py (sounds, pictures and films among them),
augment.py (changed copies of these), settling.py (options that follow from data), dividing.py (parts), codecs.py
(tokenizer, scaler, labels), wide.py (the n-gram model beside the network), fronts.py (convolutions), model.py (the
network), loss.py, judging.py (what a model says of examples), measures.py, baselines.py, sections.py (what a report
shows), explained.py and explained_media.py (what is explained), task.py (how they make a job), estimator.py
(scikit-learn's shape).
"""

from __future__ import annotations

from gatework.tasks.classify.estimator import (
    FilmClassifier,
    PictureClassifier,
    SequenceClassifier,
    SoundClassifier,
    TextClassifier,
)
from gatework.tasks.classify.options import ClassifyOptions
from gatework.tasks.classify.task import Classify

TASK = Classify

__all__ = [
    "TASK",
    "Classify",
    "ClassifyOptions",
    "FilmClassifier",
    "PictureClassifier",
    "SequenceClassifier",
    "SoundClassifier",
    "TextClassifier",
]
