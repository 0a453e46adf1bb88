"""From a trained model to translations: sentences of like length through the search together, told in order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from gatework.data.codecs import NOTHING, UNKNOWN
from gatework.networks.choices import Beam, Choice, Drawn
from gatework.networks.hypotheses import Hypothesis
from gatework.networks.rules import Rule, at_least, forbid
from gatework.networks.search import search
from gatework.tasks.translate.examples import Examples, alike, make_batch
from gatework.tasks.translate.loss import nats
from gatework.tasks.translate.model import Translator
from gatework.tasks.translate.options import TranslatePredicting

AT_ONCE = 64  # texts that are searched for together
AHEAD = 1024  # texts that are sorted by length together
SCORED = 200  # targets that are scored together
STEP = 10  # limits of length are multiples of this, so that texts with one limit are many
PREDICTING, GREEDY = TranslatePredicting(), TranslatePredicting(beam=1)


def translate(
    model: Translator, examples: Examples, how: TranslatePredicting, ratio: float = 2.0
) -> Iterator[list[Hypothesis]]:
    """The translations of each text, the best first, in the order of the texts; [] of an empty one.

    `ratio` is how many target units a source unit becomes at most.
    """
    for start in range(0, len(examples), AHEAD):
        rows = np.arange(start, min(start + AHEAD, len(examples)))
        yield from _together(model, examples, rows, how, ratio)


@torch.no_grad()
def _together(
    model: Translator, examples: Examples, rows: np.ndarray, how: TranslatePredicting, ratio: float
) -> list[list[Hypothesis]]:
    found: dict[int, list[Hypothesis]] = {}
    limits = np.array([limit_of(length, ratio, how) for length in examples.sources.lengths[rows]])
    order = np.lexsort((examples.sources.lengths[rows], limits))
    for limit in np.unique(limits):
        mine = rows[order[limits[order] == limit]]
        for start in range(0, len(mine), AT_ONCE):
            found |= _searched(model, examples, mine[start : start + AT_ONCE], how, int(limit))
    return [found[row] for row in rows.tolist()]


def limit_of(length: int, ratio: float, how: TranslatePredicting) -> int:
    """Most symbols that are written for a source of `length` units, its end among them."""
    if how.max_length is not None:
        return how.max_length + 1
    return (int(ratio * length) // STEP + 2) * STEP


def _searched(
    model: Translator, examples: Examples, rows: np.ndarray, how: TranslatePredicting, limit: int
) -> dict[int, list[Hypothesis]]:
    batch = make_batch(examples, rows)
    choice = _choice(how)
    state = model.decoder.begin(*model.read(batch))
    last = torch.full((len(rows), 1), NOTHING)
    rules: list[Rule] = [forbid([UNKNOWN])] if not how.copy_unknown else []
    if how.min_length:
        rules.append(at_least(how.min_length, NOTHING))
    best = search(
        model.decoder, state, last, choice, rules=rules, limit=limit, count=how.n_best, alpha=how.length_penalty
    )
    return {int(row): own for row, own in zip(batch.rows, best, strict=True)}


def _choice(how: TranslatePredicting) -> Choice:
    if not how.sample:
        return Beam(max(how.beam, how.n_best), NOTHING)
    generator = torch.Generator().manual_seed(how.seed)
    return Drawn(how.temperature, how.top_k, how.top_p, generator, how.n_best, NOTHING)


@torch.no_grad()
def log_p(model: Translator, examples: Examples) -> np.ndarray:
    """[n]: the log probability of each target, its end among it."""
    found = np.zeros(len(examples))
    for rows in alike(examples, np.arange(len(examples)), SCORED, SCORED * STEP):
        batch = make_batch(examples, rows)
        each = nats(*model.outputs(batch)[0], batch.written).numpy()
        found[batch.rows] = -np.bincount(batch.places.numpy() % len(rows), each, len(rows))
    return found
