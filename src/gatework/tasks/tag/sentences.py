"""What was read: sentences of tokens with their tags, flat, each token with its place in the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

import numpy as np

from gatework.data.ragged import Ragged

T = TypeVar("T")


@dataclass(frozen=True)
class Sentences:
    """n sentences of N tokens: sentence i has the tokens `offsets[i]` to `offsets[i + 1]`.

    Example: tokens ["Ada", "slept", "Go"], lengths [2, 1], tags ["S-PER", "O", "O"]; `where(2)` is "a.conll, line 4".

    Attributes:
        tokens: [N], as written.
        lengths: int64 [n], each >= 1.
        tags: [N], as written; None for one token: it does not count; None for all: there are none.
        features: further columns of the tokens, [N] each, in the file's order.
        labels: [n], the label of each whole sentence.
        texts: [n], the raw text of each sentence, where tokens were cut out of one.
        spans: int64 [N, 2], the characters of its text that each token is.
        scheme: one of `schemes.SCHEMES`.
        form: "conll", "conllu", "jsonl", "spans", "fasta", "text" or "rows".
        where: source and place of a token, by its number.
        names: [n], names of records, ids of rows.
        parts: [n], "train", "valid" or "test", where the source itself says so.
    """

    tokens: list[str]
    lengths: np.ndarray
    tags: list[str | None] | None
    features: dict[str, list[str]]
    labels: list[str | None] | None
    texts: list[str] | None
    spans: np.ndarray | None
    scheme: str
    form: str
    source: str
    where: Callable[[int], str]
    notes: tuple[str, ...] = ()
    names: list[str] | None = None
    parts: list[str] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def offsets(self) -> np.ndarray:
        """Where each sentence begins, and the last one ends: int64 [n + 1]."""
        return np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)

    def wholes(self) -> list[str]:
        """[n]: what each sentence says; equal ones are repeated sentences."""
        return ["\t".join(self.tokens[start:stop]) for start, stop in pairwise(self.offsets.tolist())]

    def take(self, rows: np.ndarray) -> Sentences:
        """The given sentences in the given order; their tokens keep their places."""
        rows = np.asarray(rows, np.int64)
        taken = Ragged(np.arange(len(self.tokens)), self.offsets).take(rows).values
        places = taken.tolist()
        whole = rows.tolist()
        return replace(
            self,
            tokens=[self.tokens[i] for i in places],
            lengths=self.lengths[rows],
            tags=_taken(self.tags, places),
            features={name: [column[i] for i in places] for name, column in self.features.items()},
            labels=_taken(self.labels, whole),
            texts=_taken(self.texts, whole),
            spans=None if self.spans is None else self.spans[taken],
            where=lambda token: self.where(int(taken[token])),
            names=_taken(self.names, whole),
            parts=_taken(self.parts, whole),
        )


def _taken(values: Sequence[T] | None, rows: list[int]) -> list[T] | None:
    return None if values is None else [values[i] for i in rows]
