"""Texts of two sides as ids and back: what is read, and what is written of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from gatework.runtime.search.rules import Edges
from gatework.runtime.texts import NOTHING, UNREADABLE, Characters, Codec, Words


class Sides:
    """The codecs of both sides, and how they are used.

    Attributes: `lower` the sides that are put into lower case, "none", "source" or "both"; `most` units that are read
    of a text; `ratio` how many units of the target a unit of the source, its end among them, usually becomes at most.
    """

    source: Codec
    target: Codec
    lower: str
    most: int
    ratio: float

    def __init__(self, source: Codec, target: Codec, lower: str, most: int, ratio: float):
        self.source, self.target, self.lower, self.most, self.ratio = source, target, lower, most, ratio

    def lowered(self, texts: Sequence[str]) -> list[str]:
        """Sources as they are read."""
        return list(texts) if self.lower == "none" else [text.lower() for text in texts]

    def written(self, texts: Sequence[str]) -> list[str]:
        """Targets as they are learned and written: in lower case where the options say so."""
        return [text.lower() for text in texts] if self.lower == "both" else list(texts)

    def read(self, text: str) -> np.ndarray:
        """The ids of a source, with NOTHING at its end."""
        ids = self.source.ids(*self.lowered([text]))
        return np.append(ids[ids != NOTHING][: self.most], NOTHING).astype(np.int64)

    def spellings(self, word: str) -> list[list[int]]:
        """The target ids of a word at the start of a text, and where they differ those within one, which are last."""
        within = word if isinstance(self.target, Characters) else f" {word}"
        ways = [self.target.ids(text).tolist() for text in self.written([word, within])]
        first, last = ([i for i in ids if i != NOTHING] for ids in ways)
        return [last] if first == last else [first, last]

    def text(self, ids: Sequence[int], copies: Sequence[str] = ()) -> str:
        """The text of target ids, in which the end says nothing; with a copied source unit for each unknown one."""
        said, rest = self.target.text(i for i in ids if i != NOTHING), iter(copies)
        return re.sub(UNREADABLE, lambda unknown: next(rest, ""), said) if copies else said

    def source_units(self, text: str) -> list[str]:
        """The units of a source as the network reads them, without the end."""
        return self.source.located(*self.lowered([text]))[0][: self.most]

    def target_units(self, ids: Sequence[int]) -> list[str]:
        """Each target unit as a text of its own; "" for the end."""
        return ["" if i == NOTHING else self.target.text([i]).strip() or self.target.vocabulary[i] for i in ids]

    def edges(self) -> Edges:
        """Which units go on the word before them, and which one may go on; what is no character by itself does."""
        units = [self.text([id]) for id in range(len(self.target))]
        inside = [[re.match(r"[\w\ufffd]", end) is not None for end in (unit[:1], unit[-1:])] for unit in units]
        opens, closes = np.array(inside).T
        alone = isinstance(self.target, Words) and self.target.spaces
        return Edges(opens & (not alone), closes)
