"""From a trained model to translations: texts of like length go through the search together, and come out in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gatework.data.codecs import NOTHING
from gatework.networks.forced import forced
from gatework.runtime.answers.asked import Asked, How, Row
from gatework.runtime.search import Hypothesis
from gatework.tasks.translate.codecs import Codecs
from gatework.tasks.translate.examples import Batch, Examples, alike, make_batch
from gatework.tasks.translate.model import EncoderDecoder

AT_ONCE = 128  # texts that are searched for together
AHEAD = 1024  # texts that are sorted by length together
SCORED, UNITS = 200, 4_000  # pairs, and their target units, that are scored together
PREDICTING, GREEDY = How(), How(beam=1)


@dataclass(frozen=True)
class Decoding:
    """A model that translates in a certain way.

    decoding = Decoding(model, Asked(codecs, How(n_best=3)))
    for found in decoding(examples):                    # of each text, in order
        print(found[0].ids)                             # the best
    """

    model: EncoderDecoder
    asked: Asked

    def __call__(self, examples: Examples) -> Iterator[list[Hypothesis]]:
        """The translations of each text, at most `n_best`, the best first: they come in the order of the texts."""
        for start in range(0, len(examples), AHEAD):
            yield from self._together(examples, np.arange(start, min(start + AHEAD, len(examples))))

    def rows(self, examples: Examples) -> Iterator[Row]:
        """What is told of each text: see `Asked.row`."""
        return (self.asked.row(*each) for each in zip(examples.pairs.sources, self(examples), strict=True))

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
        decoder = self.model.decoder
        return self.asked.search(decoder, decoder.begin(*self.model.read(batch)), texts, batch.lengths.numpy())


def best_texts(model: EncoderDecoder, codecs: Codecs, examples: Examples, how: How) -> list[str]:
    """The best translation of each text."""
    return [codecs.text(own[0].ids) if own else "" for own in Decoding(model, Asked(codecs, how))(examples)]


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
