"""From a trained model to translations: texts of like length go through the search together, and come out in order."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from gatework.data.codecs import NOTHING, UNKNOWN, Words
from gatework.errors import OptionError
from gatework.networks.forced import forced
from gatework.runtime.drawing import uniform
from gatework.runtime.search import Beam, Choice, Drawn, Hypothesis, Rule, search
from gatework.runtime.search.constraints import Constrained
from gatework.runtime.search.constraints import Words as Needed
from gatework.runtime.search.rules import Edges, at_least, ended, forbid, never
from gatework.tasks.translate.codecs import Codecs
from gatework.tasks.translate.examples import Batch, Examples, alike, make_batch
from gatework.tasks.translate.model import EncoderDecoder
from gatework.tasks.translate.options import TranslatePredicting

AT_ONCE = 128  # texts that are searched for together
AHEAD = 1024  # texts that are sorted by length together
SCORED, UNITS = 200, 4_000  # pairs, and their target units, that are scored together
LONGER, MORE = 1.5, 10  # a translation may be so many times, and so many units, longer than is usual
PREDICTING, GREEDY = TranslatePredicting(), TranslatePredicting(beam=1)


@dataclass(frozen=True)
class Decoding:
    """A model that translates in a certain way.

        decoding = Decoding(model, codecs, TranslatePredicting(n_best=3))
        for found in decoding(examples):                    # of each text, in order
            print(found[0].ids)                             # the best

    Raises: OptionError for a word that must occur and that the vocabulary cannot write.
    """

    model: EncoderDecoder
    codecs: Codecs
    how: TranslatePredicting = PREDICTING

    def __call__(self, examples: Examples) -> Iterator[list[Hypothesis]]:
        """The translations of each text, at most `n_best`, the best first: they come in the order of the texts."""
        for start in range(0, len(examples), AHEAD):
            yield from self._together(examples, np.arange(start, min(start + AHEAD, len(examples))))

    def _together(self, examples: Examples, rows: np.ndarray) -> list[list[Hypothesis]]:
        order = rows[np.argsort(examples.sources.lengths[rows], kind="stable")]
        found: dict[int, list[Hypothesis]] = {}
        for start in range(0, len(order), AT_ONCE):
            batch = make_batch(examples, order[start : start + AT_ONCE])
            texts = [examples.pairs.sources[row] for row in batch.rows.tolist()]
            found |= dict(zip(batch.rows.tolist(), self._searched(batch, texts), strict=True))
        return [found[row] for row in rows.tolist()]

    @torch.no_grad()
    def _searched(self, batch: Batch, texts: Sequence[str]) -> list[list[Hypothesis]]:
        decoder, how = self.model.decoder, self.how
        choice = self._choice(texts)
        best = search(
            decoder,
            decoder.begin(*self.model.read(batch)),
            np.full((len(batch.rows), 1), NOTHING),
            choice,
            rules=self.rules,
            limit=self._limits(batch.lengths.numpy()),
            count=choice.places if how.must_not else how.n_best,
            alpha=how.length_penalty,
            beta=how.coverage_penalty,
            lengths=batch.lengths.numpy(),
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
            return Constrained(places, NOTHING, Needed([self.needed] * len(texts), self.edges))
        return Beam(places, NOTHING)

    @cached_property
    def rules(self) -> list[Rule]:
        found: list[Rule] = [] if self.how.copy_unknown else [forbid([UNKNOWN])]
        if self.how.min_length:
            found.append(at_least(self.how.min_length, NOTHING))
        if self.how.max_length is not None:
            found.append(ended(NOTHING))
        if self.how.must_not:
            ways = [ids for word in self.how.must_not for ids in self.codecs.spellings(word)]
            found.append(never(ways, self.edges))
        return found

    @cached_property
    def needed(self) -> list[list[list[int]]]:
        """The ways to write each word that must occur."""
        found = []
        for word in self.how.must:
            found.append([ids for ids in self.codecs.spellings(word) if ids and UNKNOWN not in ids])
            if not found[-1]:
                raise OptionError(f"must={word!r}: the model has no units to write it with; choose another word")
        return found

    @cached_property
    def edges(self) -> Edges:
        """Which units go on the word before them, and which one may go on; what is no character by itself does."""
        units = [self.codecs.text([id]) for id in range(len(self.codecs.target))]
        inside = [[re.match(r"[\w\ufffd]", end) is not None for end in (unit[:1], unit[-1:])] for unit in units]
        opens, closes = np.array(inside).T
        alone = isinstance(self.codecs.target, Words) and self.codecs.target.spaces
        return Edges(opens & (not alone), closes)

    def _limits(self, lengths: np.ndarray) -> np.ndarray:
        """Most symbols (B,) that are written for sources of these lengths, the end among them."""
        if self.how.max_length is not None:
            return np.full_like(lengths, self.how.max_length + 1)
        usual = (lengths.astype(np.float32) * np.float32(LONGER * self.codecs.ratio)).astype(np.int64) + MORE
        return np.maximum(usual, self.how.min_length + 1)

    def _allowed(self, hypothesis: Hypothesis) -> bool:
        """Whether no forbidden word was written, in whatever units."""
        if not self.how.must_not:
            return True
        said = self.codecs.text(hypothesis.ids)
        return not any(
            re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said) for word in self.codecs.written(self.how.must_not)
        )


def best_texts(model: EncoderDecoder, codecs: Codecs, examples: Examples, how: TranslatePredicting) -> list[str]:
    """The best translation of each text."""
    best = Decoding(model, codecs, replace(how, n_best=1))(examples)
    return [codecs.text(own[0].ids) if own else "" for own in best]


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


def log_p(model: EncoderDecoder, examples: Examples) -> np.ndarray:
    """[n]: the log probability of each target, its end among it."""
    found = np.zeros(len(examples))
    for rows in alike(examples, np.arange(len(examples)), SCORED, UNITS):
        batch = make_batch(examples, rows)
        first = torch.full((len(rows), 1), NOTHING)
        ids = torch.cat([batch.read[1:].t(), first], 1)
        with torch.no_grad():
            state = model.decoder.begin(*model.read(batch))
            found[batch.rows] = forced(model.decoder, state, first, ids, batch.steps).log_p.sum(1).numpy()
    return found
