"""True and predicted tags side by side, and the spans that conlleval sees in them.

    pair = Compared.of(["B-PER", "I-PER", "O"], ["B-PER", "O", "O"], np.array([3]))
    pair.right                                        # of tokens: [True, False, True]
    pair.true_spans, pair.right_spans                 # one span, tokens 0 to 2; [False]

Spans are those of conlleval, the evaluation of CoNLL-2000 (Tjong Kim Sang & Buchholz 2000), with S and E as seqeval
adds them. One begins with B and S, and with any tag behind O, E, S, another kind, or the start of a sentence; it lasts
until O or the next that begins. So whatever comes, IOB1, IOB2, BIOES or tags out of order, has spans.

Letters: n sentences of N tokens, S spans. Tags are lists of N; where the true tag is None, neither tag counts, and both
are outside of any span. `plain` tags (parts of speech) are spans of one token, each tag a kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from gatework.errors import ShapeError

Tags = Sequence[str | None]

OUTSIDE, OPENS, CLOSES = set("O"), set("BSUW"), set("ESLUW")  # L is the E of BILOU; U there and W of BMEWO are an S


class Spans(NamedTuple):
    """S spans in order: first token, token past the last, number of the kind, [S] each."""

    first: np.ndarray
    past: np.ndarray
    kind: np.ndarray

    def owners(self, tokens: int) -> np.ndarray:
        """The number of the span that each of N tokens is in, or -1."""
        owners = np.full(tokens, -1)
        owners[_tokens(self)] = np.repeat(np.arange(len(self.first)), self.past - self.first)
        return owners


def _tokens(spans: Spans) -> np.ndarray:
    """All tokens of the spans, in order."""
    lengths = spans.past - spans.first
    return np.arange(lengths.sum()) + np.repeat(spans.first - (lengths.cumsum() - lengths), lengths)


class Names(NamedTuple):
    """What each different tag is, and last what stands where none counts: whether it is outside of spans, opens one,
    closes one; the number of its kind, and the kinds."""

    outside: np.ndarray
    opens: np.ndarray
    closes: np.ndarray
    kind: np.ndarray
    kinds: list[str]

    @classmethod
    def of(cls, tags: Sequence[str], plain: bool) -> Names:
        cut = [("S", "-", tag) if plain else tag.partition("-") for tag in tags] + [("O", "", "")]
        numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kind for _, _, kind in cut))}
        outside, opens, closes = (np.array([cell[0] in those for cell in cut]) for those in (OUTSIDE, OPENS, CLOSES))
        return cls(outside, opens, closes, np.array([numbers[kind] for _, _, kind in cut]), list(numbers))


@dataclass(frozen=True)
class Compared:
    """True and predicted tags as numbers of `names`, -1 where they do not count."""

    names: Names
    true: np.ndarray
    said: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, true: Tags, said: Tags, lengths: np.ndarray, plain: bool) -> Compared:
        if not len(true) == len(said) == np.sum(lengths):
            raise ShapeError(
                f"{len(true)} true tags, {len(said)} predicted tags, and sentences of {np.sum(lengths)} tokens: "
                "give a true and a predicted tag for each token"
            )
        different = [tag for tag in dict.fromkeys((*true, *said)) if tag is not None]
        numbers: dict[str | None, int] = {tag: number for number, tag in enumerate(different)} | {None: -1}
        first, second = (np.fromiter(map(numbers.__getitem__, tags), np.int64, len(tags)) for tags in (true, said))
        second[first < 0] = -1
        return cls(Names.of(different, plain), first, second, np.asarray(lengths, np.int64))

    @cached_property
    def sentence(self) -> np.ndarray:
        """The sentence of each token, [N]."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def counted(self) -> np.ndarray:
        return self.true >= 0

    @cached_property
    def right(self) -> np.ndarray:
        return self.counted & (self.true == self.said)

    @cached_property
    def true_spans(self) -> Spans:
        return self._spans(self.true)

    @cached_property
    def said_spans(self) -> Spans:
        return self._spans(self.said)

    @cached_property
    def right_spans(self) -> np.ndarray:
        """Whether each true span was predicted. Spans do not overlap, so the first token finds the only candidate."""
        at = np.full(len(self.true), -1)
        at[self.said_spans.first] = np.arange(len(self.said_spans.first))
        candidate = at[self.true_spans.first]
        found = candidate >= 0
        for true, said in zip(self.true_spans[1:], self.said_spans[1:], strict=True):
            found[found] = true[found] == said[candidate[found]]
        return found

    def _spans(self, tags: np.ndarray) -> Spans:
        outside, opens, closes, kind = (part[tags] for part in self.names[:4])
        new = np.ones(len(tags), bool)
        new[1:] = (self.sentence[1:] != self.sentence[:-1]) | (outside | closes)[:-1] | (kind[1:] != kind[:-1])
        begins = ~outside & (opens | new)
        ends = ~outside & np.append((outside | begins)[1:], True)
        first = np.flatnonzero(begins)
        return Spans(first, np.flatnonzero(ends) + 1, kind[first])


def spans(tags: Tags, lengths: np.ndarray) -> list[tuple[int, int, str]]:
    """(first token, past the last, kind) of each span, with tokens numbered through all sentences.

    Example: `spans(["I-PER", "B-PER", "E-PER"], np.array([3]))` is [(0, 1, "PER"), (1, 3, "PER")].
    """
    found = Compared.of(tags, tags, lengths, plain=False)
    names = [found.names.kinds[kind] for kind in found.true_spans.kind]
    return list(zip(found.true_spans.first.tolist(), found.true_spans.past.tolist(), names, strict=True))
