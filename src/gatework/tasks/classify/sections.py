"""What a classifier's report shows beside its results."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatework.data.finding import Finding, by_level
from gatework.tasks.base import Parts
from gatework.tasks.classify import measures
from gatework.tasks.classify.codecs import Codecs
from gatework.tasks.classify.judging import judged, logits_of
from gatework.tasks.classify.model import Classifier


def sections(model: Classifier, parts: Parts, names: list[str]) -> dict[str, Any]:
    """classes (per-class table), hints, confusion, most_confused, calibration, worst (most confident errors)."""
    part, examples = parts.last
    options = model.options
    probabilities, predicted = judged(model, logits_of(model, examples)[0])
    matrix = measures.confusion(predicted, examples.labels, len(names))
    table = measures.class_table(predicted, examples.labels, names)
    weighed = options.class_weights != "none" or options.focal > 0 or options.tune_threshold
    return {
        "part": part,
        "classes": table,
        "hints": measures.missed_hint(table, weighed),
        "confusion": {"labels": names, "matrix": matrix.tolist()},
        "most_confused": measures.most_confused(matrix, names),
        "calibration": measures.calibration(probabilities, predicted, examples.labels),
        "worst": measures.worst(examples, probabilities, predicted, names),
    }


def facts(parts: Parts, codecs: Codecs, found: list[Finding]) -> dict[str, Any]:
    """Sizes of the parts, labels, lengths, and what was found in the data."""
    lengths = parts.train.inputs.lengths
    tokenizer = codecs.tokenizer
    return {
        "kind": codecs.kind,
        "rows": {name: len(part) for name, part in vars(parts).items() if part is not None},
        "labels": dict(zip(codecs.classes, np.bincount(parts.train.labels).tolist(), strict=True)),
        "length": {"mean": round(float(lengths.mean()), 1), "max": int(lengths.max())},
        "vocabulary": None if tokenizer is None else len(tokenizer),
        "channels": list(codecs.channels),
        "ngrams": sum(codecs.grams),
        **by_level(found),
    }
