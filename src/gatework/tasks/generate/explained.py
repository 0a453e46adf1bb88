"""What is explained of a text generator: why this unit comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from gatework.errors import DataError, OptionError
from gatework.tasks.generate.counts import mixed
from gatework.tasks.generate.options import GenerateExplaining
from gatework.tasks.generate.streams import encoded
from gatework.tasks.subject import Subject, Through, Wording, contrast_to_others, given_to, must_be_written

if TYPE_CHECKING:
    from gatework.tasks.base import Source
    from gatework.tasks.jobs import Trained


def subject(trained: Trained, given: GenerateExplaining, source: Source | None) -> NextUnit:
    """The text that is named; an OptionError where none is."""
    if source is not None:
        raise OptionError("a run of 'generate' explains no file; give a text whose next unit is explained: --text TEXT")
    if given.text is None:
        raise OptionError(
            "a run of 'generate' has no labels; give a text whose next unit is to be explained: --text TEXT"
        )
    if trained.run.options.get("backwards"):
        raise OptionError(f"{trained.run.path} reads backwards; only runs that read from the beginning are explained")
    must_be_written(given.text)
    return NextUnit(trained, given.text, given.target)


class NextUnit(Subject):
    """A text that goes on; the outputs are the logits of the next unit, without those that are never written."""

    def __init__(self, trained: Any, text: str, target: str | None = None):
        self.model, self.vocabulary = trained.model, trained.task.tokens
        self.source, self.exact, self.linear = " ".join(text.split())[-90:], {}, {}
        ids = encoded(self.vocabulary, text).numpy()
        self.ids = ids[~np.isin(ids, self.vocabulary.forbidden)]
        if not len(self.ids):
            raise DataError(f"the text {text!r} holds nothing that the model was trained on; give another --text")
        self.steps = [self.vocabulary.text([int(i)]) for i in self.ids]
        self.allowed = np.setdiff1d(np.arange(len(self.vocabulary)), self.vocabulary.forbidden)
        self.names = [self.vocabulary.text([int(i)]) for i in self.allowed]
        self.entry = given_to(self.model.decoder.encoder, lambda: self.model(self._column(self.ids), {}))
        self.baseline = self.model.decoder.embedding.weight.detach().mean(0).expand_as(self.entry).clone()
        tables = None if self.model.counts is None else self.model.counts.tables
        self.counted = None if tables is None else torch.from_numpy(tables.next(tables.place(self.ids))[0])
        self._settle(target)
        unit = {"characters": "character", "words": "word"}.get(self.vocabulary.kind, "piece")
        score = f"the log probability of {self.spoken!r} above the mean of all other units"
        left = len(ids) - len(self.ids)
        notes = [f"{left} units of the text are unknown to the model and left out."] if left else []
        if self.counted is not None:
            notes.append(
                f"Counts of what follows the last units, {float(self.model.share):.0%} of the expectation, are held "
                "fixed in attributions."
            )
        shown = f"probability that {self.spoken!r} comes next"
        self.words = Wording(
            "text", unit, score, shown, f"the average {unit}", tuple(notes), f"The likeliest next {unit} is"
        )

    def _settle(self, target: str | None) -> None:
        self.outputs = self.whole()
        best = int(self.outputs.argmax())
        self.answer = self.names[best]
        if target is not None and target not in self.names:
            raise DataError(f"the model writes no unit {target!r}; give one that the training text holds")
        self.target = best if target is None else self.names.index(target)
        self.spoken = self.names[self.target]
        self.contrast = contrast_to_others(len(self.names), self.target)

    @staticmethod
    def _column(ids: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(ids)).unsqueeze(1)

    def network(self, entries: Tensor) -> Tensor:
        with Through(self.model.decoder.encoder, entries):
            logits, _ = self.model(self._column(self.ids).expand(-1, len(entries)), {})
        return self._mixed(logits[-1].double().log_softmax(1))

    def _mixed(self, scores: Tensor) -> Tensor:
        """Log probabilities (S, K) of the network with the counts of the text's own last units."""
        if self.counted is not None:
            scores = -mixed(-scores, -self.counted.log(), float(self.model.share))
        return scores[:, self.allowed]

    def _expected(self, ids: np.ndarray) -> np.ndarray:
        return self.model.expected(torch.from_numpy(np.ascontiguousarray(ids)))[self.allowed]

    def whole(self) -> np.ndarray:
        return self._expected(self.ids)

    def last(self, lengths: list[int]) -> tuple[np.ndarray, list[str]]:
        outputs = np.stack([self._expected(self.ids[len(self.ids) - length :]) for length in lengths])
        return self.shown(outputs), [self.names[k] for k in outputs.argmax(axis=1)]

    def shown(self, outputs: np.ndarray) -> np.ndarray:
        return softmax(outputs, axis=1)[:, self.target]
