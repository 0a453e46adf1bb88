"""From a trained model to captions: pictures go through the search together, and come out in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gatework.data.codecs import NOTHING
from gatework.networks.forced import forced
from gatework.runtime.answers.asked import Asked, How
from gatework.runtime.search import Hypothesis
from gatework.tasks.caption.codecs import Captions
from gatework.tasks.caption.examples import Batch, Examples, make_batch
from gatework.tasks.caption.model import Describer

AT_ONCE = 64  # pictures that are read and searched for together
PREDICTING, GREEDY = How(), How(beam=1)
Row = dict[str, Any]


@dataclass(frozen=True)
class Decoding:
    """A model that describes in a certain way.

    decoding = Decoding(model, captions, How(n_best=3))
    for found in decoding(examples):                    # of each row, in order
        print(found[0].ids)                             # the best
    """

    model: Describer
    captions: Captions
    how: How = PREDICTING

    def __call__(self, examples: Examples) -> Iterator[list[Hypothesis]]:
        """The captions of each row, at most `n_best`, the best first."""
        asked = Asked(self.captions, self.how)
        for start in range(0, len(examples), AT_ONCE):
            batch = make_batch(examples, np.arange(start, min(start + AT_ONCE, len(examples))))
            found = self._searched(asked, batch, [examples.listing.names[row] for row in batch.rows.tolist()])
            order = np.argsort(batch.rows)
            yield from (found[place] for place in order.tolist())

    @torch.no_grad()
    def _searched(self, asked: Asked, batch: Batch, names: list[str]) -> list[list[Hypothesis]]:
        decoder = self.model.decoder
        state = decoder.begin(*self.model.read(batch))
        return asked.search(decoder, state, names, np.full(len(names), self.captions.longest))

    def best(self, examples: Examples) -> list[str]:
        """The best caption of each row."""
        return [self.captions.text(own[0].ids) if own else "" for own in self(examples)]

    def rows(self, examples: Examples) -> Iterator[Row]:
        """What is told of each row: {"file", "caption", "score", "log_p"}, with "n_best" a list of the same where
        several are asked for; the score is log_p divided by the length's penalty, by which captions are ranked. With
        `attention` also "units" [t] and "attention" [t][S], weights of places of a picture, row after row, of the
        frames of a film, or of vectors; the end is the unit ""."""
        for row, (name, found) in enumerate(zip(examples.listing.names, self(examples), strict=True)):
            steps = None if examples.medium == "image" else int(examples.shown.lengths[row])
            several = [self._told(each, steps) for each in found]
            best = several[0] if several else {"caption": "", "score": None, "log_p": None}
            yield {"file": name, **best, **({"n_best": several} if self.how.n_best > 1 else {})}

    def _told(self, found: Hypothesis, steps: int | None) -> Row:
        caption, score, log_p = self.captions.text(found.ids), round(found.normalised, 4), round(found.score, 4)
        row: Row = {"caption": caption, "score": score, "log_p": log_p}
        if self.how.attention and found.attention is not None:
            row["units"] = self.captions.target_units(found.ids)
            weights = found.attention.reshape(len(found.ids), -1, self.model.spots).sum(2)[:, :steps]
            row["attention"] = [[round(weight, 4) for weight in each] for each in weights.tolist()]
        return row


def log_p(model: Describer, examples: Examples) -> np.ndarray:
    """[n]: the log probability of each caption, its end among it."""
    found = np.zeros(len(examples))
    for rows in np.array_split(np.arange(len(examples)), -(-len(examples) // AT_ONCE)):
        batch = make_batch(examples, rows)
        first = torch.full((len(rows), 1), NOTHING)
        with torch.no_grad():
            state = model.decoder.begin(*model.read(batch))
            ids = torch.cat([batch.read[1:].t(), first], 1)
            found[batch.rows] = forced(model.decoder, state, first, ids, batch.steps).log_p.sum(1).numpy()
    return found
