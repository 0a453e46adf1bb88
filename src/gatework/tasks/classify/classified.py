"""What all explained rows of a classifier share: the outputs, and which of them is explained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax
from torch import Tensor

from gatework.errors import DataError
from gatework.tasks.classify.codecs import Encoded
from gatework.tasks.classify.examples import Examples, make_batch
from gatework.tasks.classify.reading import Rows
from gatework.tasks.subject import Subject, Through, contrast_to_others
from gatework.training.options import known_names

if TYPE_CHECKING:
    from gatework.tasks.jobs import Trained


class Classified(Subject):
    """What texts and sequences share."""

    classifier: Any  # the task

    def __init__(self, trained: Trained, target: str | None):
        self.trained, self.model, self.classifier = trained, trained.model, trained.task
        self.names: list[str] = self.classifier.codecs.classes
        self.exact, self.linear = {}, {}
        self.wanted = target

    def settle(self, encoded: Encoded) -> None:
        """The encoded row, the outputs, and which of them is explained."""
        self.row = Examples(encoded.inputs, np.array([-1]), lambda row: self.source, words=encoded.words)
        self.batch = make_batch(self.row, np.zeros(1, np.int64))[0]
        self.outputs = self.whole()
        chosen = int((self.outputs + self.model.decision.numpy()).argmax())
        self.answer = self.names[chosen]
        if self.wanted is not None and self.wanted not in self.names:
            raise DataError(f"the run has no label {self.wanted!r}{known_names(self.wanted, self.names)}")
        self.target = chosen if self.wanted is None else self.names.index(self.wanted)
        self.contrast = contrast_to_others(len(self.names), self.target)
        self.spoken = self.names[self.target]
        self.against = f"the logit of {self.spoken!r} above the mean of the other labels"
        if len(self.names) == 2:
            self.against = f"the log-odds of {self.spoken!r} against {self.names[1 - self.target]!r}"

    def network(self, entries: Tensor) -> Tensor:
        batch = make_batch(self.row, np.zeros(len(entries), np.int64))[0]
        with Through(self.model.recurrent, entries):
            return self.model(batch._replace(offsets=self._nothing(entries))).double()

    def _nothing(self, entries: Tensor) -> Tensor | None:
        """Logits of an n-gram model that says nothing; None where the run has none."""
        return None

    def shown(self, outputs: np.ndarray) -> np.ndarray:
        return softmax(outputs, axis=1)[:, self.target]

    def judged(self, outputs: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Shown numbers and answers of outputs (S, K)."""
        best = (outputs + self.model.decision.numpy()).argmax(axis=1)
        return self.shown(outputs), [self.names[k] for k in best]


def named(rows: Rows, row: int) -> str:
    """Where a row stands, for titles: by the file's name, not its path."""
    return Path(rows.source).name + rows.where(row).removeprefix(rows.source)
