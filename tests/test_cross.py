"""Cross-validation: who is compared on which rows, and what the verdict over all folds says."""

from __future__ import annotations

import numpy as np
import pytest

import gatework
from gatework.tasks.base import Contender, Metric
from gatework.tasks.classify import ClassifyOptions
from gatework.tuning import cross
from gatework.tuning.evaluate import Evaluator

WORDS = [("good", "fine", "great"), ("bad", "poor", "awful")]
LABELS = [number % 2 for number in range(60)]
ROWS = {"text": [f"row{i} {WORDS[k][i % 3]} {'pad ' * (i % 4)}" for i, k in enumerate(LABELS)], "label": LABELS}
SMALL = {"epochs": 1, "hidden_size": 2, "embedding_size": 2, "subwords": 0}


def test_a_model_that_learned_nothing_loses_on_all_folds_together() -> None:
    found = gatework.cross_validate("classify", ROWS, {**SMALL, "ngrams": "none", "learning_rate": 1e-9}, folds=3)
    assert found.verdict.n == 60 and found.verdict.earned == "baseline" and "(3 folds)" in found.verdict.text
    by_name = {each.name: each for each in found.methods}
    assert by_name["majority"].mean == pytest.approx(0.5) and by_name["model"].mean == found.mean
    (linear,) = [each for name, each in by_name.items() if name.startswith("TF-IDF")]
    assert linear.mean > 0.9 and linear.spread == pytest.approx(0, abs=0.1)
    assert repr(found).startswith("CrossValidated(accuracy=") and len(repr(found)) < 100


def test_no_row_of_a_fold_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int, int, int]] = []
    inner = cross._fold

    def watched(evaluator: Evaluator, options: ClassifyOptions, number: int) -> cross.Fold:
        fold, parts = inner(evaluator, options, number), evaluator.ready(options, number).parts
        seen.append((parts.last[0], len(parts.train), len(parts.valid), fold.rows))
        return fold

    monkeypatch.setattr(cross, "_fold", watched)
    gatework.cross_validate("classify", ROWS, SMALL, folds=3)
    assert all(part == "test" and train + valid == 40 and rows == 20 for part, train, valid, rows in seen)
    assert len(seen) == 3 and all(valid for _, _, valid, _ in seen)


def test_a_baseline_that_is_chosen_anew_is_one_method() -> None:
    same = [Contender(name, {"accuracy": value}, sums=np.ones((3, 2))) for name, value in (("a", 0.5), ("b", 1.0))]
    joined, across = cross._joined(same), cross._across(same, Metric("accuracy", True))
    assert joined.name == across.name == "a or b" and joined.metrics["accuracy"] == across.mean == 0.75
    assert joined.sums is not None and len(joined.sums) == 6 and across.spread == pytest.approx(np.sqrt(0.125))
    assert cross._joined([same[0], Contender("a", {})]).sums is None


def test_methods_are_paired_by_name_and_chosen_ones_by_order() -> None:
    def of(*pairs: tuple[str, str]) -> list[Contender]:
        return [Contender(name, {}, role=role) for role, name in pairs]

    first = of(("model", "model"), ("combination", "mean"), ("baseline", "majority"), ("baseline", "words"))
    second = of(("model", "model"), ("baseline", "characters"), ("baseline", "majority"))
    found = [tuple(each.name for each in same) for same in cross._same([first, second])]
    assert found == [("model", "model"), ("majority", "majority"), ("words", "characters")]
