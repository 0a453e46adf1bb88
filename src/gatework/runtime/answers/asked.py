"""What a search for a text of another side is asked, and what is told of what it finds."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from gatework.errors import OptionError
from gatework.runtime.answers.given import options_of
from gatework.runtime.answers.sides import Sides
from gatework.runtime.drawing import uniform
from gatework.runtime.search import Beam, Choice, Drawn, Hypothesis, Rule, search
from gatework.runtime.search.constraints import Constrained, Words
from gatework.runtime.search.rules import Edges, at_least, ended, forbid, never
from gatework.runtime.search.walk import State, Steps
from gatework.runtime.texts import NOTHING, UNKNOWN

S = TypeVar("S", bound=State)
Row = dict[str, Any]
LONGER, MORE = 1.5, 10  # a translation may be so many times, and so many units, longer than is usual
MOST = float("inf")
BOUNDS = {
    "beam": (1, 100),
    "n_best": (1, 100),
    "length_penalty": (0, 10),
    "coverage_penalty": (0, MOST),
    "temperature": (0, MOST),
    "top_k": (0, MOST),
    "top_p": (0, 1),
    "seed": (0, MOST),
    "min_length": (0, MOST),
    "max_length": (1, MOST),
}


@dataclass(frozen=True, kw_only=True)
class How:
    """How is searched, and what is told.

    Args:
        beam: places of the beam; 1 is greedy search.
        n_best: translations told of each text.
        length_penalty, coverage_penalty: how they are ranked, see `gatework.runtime.search.hypotheses.Ranking`.
        sample, temperature, top_k, top_p, seed: translations are drawn, see `gatework.runtime.search.Drawn`.
        min_length, max_length: units of a translation; None: by the length of its source.
        must, must_not: words that every translation must hold, or none may.
        copy_unknown: an unknown unit is the source's unit that attention looked at most.
        attention: tell the weights of each target unit on source units.

    Raises: OptionError for what does not go together.
    """

    beam: int = 5
    n_best: int = 1
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 1
    min_length: int = 0
    max_length: int | None = None
    must: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()
    copy_unknown: bool = False
    attention: bool = False

    @classmethod
    def of(cls, given: dict[str, object]) -> How:
        """Options by name, as a caller or JSON gives them."""
        return options_of(cls, given)

    def __post_init__(self) -> None:
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise OptionError(f"{name} must lie between {low} and {high}, not {value}")
        if self.sample and self.must:
            raise OptionError("must needs a beam; leave out must or sample")
        if both := sorted({*self.must} & {*self.must_not}):
            raise OptionError(f"{both[0]!r} must occur and must not; name it in one of must and must_not")
        if self.max_length is not None and self.max_length < self.min_length:
            raise OptionError(f"max_length {self.max_length} is below min_length {self.min_length}")
        if self.sample:
            self.refuse(("beam",), "is of a search for the likeliest, and sample=True draws; leave one of them out")
        else:
            self.refuse(("temperature", "top_k", "top_p"), "says how to draw; add sample=True")

    def refuse(self, names: Sequence[str], why: str) -> None:
        """An OptionError where one of these options is not its default."""
        for name in names:
            if getattr(self, name) != getattr(How, name):
                raise OptionError(f"{name}={getattr(self, name)!r} {why}")


@dataclass(frozen=True)
class Asked:
    """Texts of one side as texts of the other, in a certain way.

        asked = Asked(sides, How(n_best=3))
        found = asked.search(decoder, state, texts, lengths)      # of each text its hypotheses, the best first
        asked.row(texts[0], found[0])                             # {"source", "translation", "score", "log_p", ...}

    Raises: OptionError for a word that must occur and that the vocabulary cannot write.
    """

    sides: Sides
    how: How = How()

    def search(self, decoder: Steps[S], state: S, texts: Sequence[str], lengths: np.ndarray) -> list[list[Hypothesis]]:
        """The translations of texts whose sources have these lengths, at most `n_best` of each, the best first."""
        how, choice = self.how, self._choice(texts)
        best = search(
            decoder,
            state,
            np.full((len(texts), 1), NOTHING),
            choice,
            rules=self.rules,
            limit=self._limits(lengths),
            count=choice.places if how.must_not else how.n_best,
            alpha=how.length_penalty,
            beta=how.coverage_penalty,
            lengths=lengths,
            patience=1.0,
        )
        return [[each for each in own if self._allowed(each)][: how.n_best] for own in best]

    def _choice(self, texts: Sequence[str]) -> Choice:
        how = self.how
        if how.sample:
            own = [seeded(text, how.seed) for text in texts]
            return Drawn(how.temperature, how.top_k, how.top_p, own, how.n_best, NOTHING)
        places = max(how.beam, how.n_best)
        if how.must:
            return Constrained(places, NOTHING, Words([self.needed] * len(texts), self.edges))
        return Beam(places, NOTHING)

    @cached_property
    def rules(self) -> list[Rule]:
        found: list[Rule] = [] if self.how.copy_unknown else [forbid([UNKNOWN])]
        if self.how.min_length:
            found.append(at_least(self.how.min_length, NOTHING))
        if self.how.max_length is not None:
            found.append(ended(NOTHING))
        if self.how.must_not:
            ways = [ids for word in self.how.must_not for ids in self.sides.spellings(word)]
            found.append(never(ways, self.edges))
        return found

    @cached_property
    def needed(self) -> list[list[list[int]]]:
        """The ways to write each word that must occur."""
        found = []
        for word in self.how.must:
            found.append([ids for ids in self.sides.spellings(word) if ids and UNKNOWN not in ids])
            if not found[-1]:
                raise OptionError(f"must={word!r}: the model has no units to write it with; choose another word")
        return found

    @cached_property
    def edges(self) -> Edges:
        return self.sides.edges()

    def _limits(self, lengths: np.ndarray) -> np.ndarray:
        """Most symbols (B,) that are written for sources of these lengths, the end among them."""
        if self.how.max_length is not None:
            return np.full_like(lengths, self.how.max_length + 1)
        usual = (lengths.astype(np.float32) * np.float32(LONGER * self.sides.ratio)).astype(np.int64) + MORE
        return np.maximum(usual, self.how.min_length + 1)

    def _allowed(self, hypothesis: Hypothesis) -> bool:
        """Whether no forbidden word was written, in whatever units."""
        if not self.how.must_not:
            return True
        said, words = self.sides.text(hypothesis.ids), self.sides.written(self.how.must_not)
        return not any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said) for word in words)

    # -- what is told -----------------------------------------------------------------------------------------

    def row(self, text: str, found: Sequence[Hypothesis]) -> Row:
        """{"source", "translation", "score", "log_p"} of a text, with "n_best" a list of the same without a source
        where several are asked for; the score is log_p divided by the length's penalty, by which translations are
        ranked. With `attention` also "source_units" [S], "target_units" [t] and "attention" [t][S]; the end is the unit
        "". A blank text has a blank translation.
        """
        several = [self._told(text, each) for each in found if text.strip()]
        best = several[0] if several else {"translation": "", "score": None, "log_p": None}
        return {"source": text, **best, **({"n_best": several} if self.how.n_best > 1 else {})}

    def _told(self, text: str, hypothesis: Hypothesis) -> Row:
        how, sides = self.how, self.sides
        units = [*sides.source_units(text), ""] if how.attention or how.copy_unknown else []
        said = sides.text(hypothesis.ids, copied(hypothesis, units) if how.copy_unknown else ())
        found = {"translation": said, "score": round(hypothesis.normalised, 4), "log_p": round(hypothesis.score, 4)}
        if not how.attention or hypothesis.attention is None:
            return found
        weights = [[round(weight, 4) for weight in row[: len(units)]] for row in hypothesis.attention.tolist()]
        return found | {
            "source_units": units,
            "target_units": sides.target_units(hypothesis.ids),
            "attention": weights,
        }


def seeded(text: str, seed: int) -> Iterator[float]:
    """What a text's draws come from: the same wherever it stands, as lines of a stream come in groups of any size."""
    return uniform(zlib.crc32(f"{seed} {text}".encode("utf-8", "surrogatepass")))


def copied(hypothesis: Hypothesis, units: Sequence[str]) -> list[str]:
    """For each unknown unit of a hypothesis the source unit, of these, that it looked at most; "" for the end."""
    if hypothesis.attention is None:
        return []
    looked: list[int] = hypothesis.attention.argmax(1).tolist()
    at = [place for place, id in zip(looked, hypothesis.ids, strict=True) if id == UNKNOWN]
    return [units[place] if place < len(units) else "" for place in at]
