"""What a model answers: the words it writes, how sure it is, and what each reading looked at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gatework.data.codecs import NOTHING, UNKNOWN
from gatework.runtime.answers.stories import Answer, written
from gatework.tasks.answer.codecs import Codecs
from gatework.tasks.answer.examples import UNCOUNTED, Batch, Examples, in_turn, make_batch
from gatework.tasks.answer.model import Answering


class Forced(NamedTuple):
    """The true answers of n questions: nats of each and the words that it has, with the end; whether the model, which
    takes the likeliest word each time, writes just this answer."""

    nats: np.ndarray
    words: np.ndarray
    right: np.ndarray


@torch.no_grad()
def forced(model: Answering, examples: Examples) -> Forced:
    """How the true answers fare. No search is needed: the likeliest words are the answer's where each of them is the
    likeliest one behind those before it."""
    found = Forced(*(np.zeros(len(examples), kind) for kind in (np.float64, np.int64, bool)))
    for rows in in_turn(examples):
        batch = make_batch(examples, rows)
        logits = model(batch)
        counted = batch.targets != UNCOUNTED
        found.nats[rows] = word_nats(logits, batch).sum(0).double().numpy()
        found.words[rows] = counted.sum(0).numpy()
        found.right[rows] = ((allowed(logits).argmax(2) == batch.targets) | ~counted).all(0).numpy()
    return found


def word_nats(logits: Tensor, batch: Batch) -> Tensor:
    """Nats of each word of the true answers, (T, B); 0 behind their ends."""
    flat = functional.cross_entropy(
        logits.flatten(0, 1), batch.targets.flatten(), ignore_index=UNCOUNTED, reduction="none"
    )
    return flat.view_as(batch.targets)


def allowed(logits: Tensor) -> Tensor:
    """Logits (T, B, V) of what may be written: the rules of `written`."""
    logits = logits.index_fill(2, torch.tensor([UNKNOWN]), -torch.inf)
    logits[0, :, NOTHING] = -torch.inf
    return logits


@torch.no_grad()
def answers(model: Answering, codecs: Codecs, examples: Examples, beam: int = 1, count: int = 1) -> list[list[Answer]]:
    """The answers to each question, the best first, at most `count` of them."""
    found: list[list[Answer]] = [[] for _ in range(len(examples))]
    for rows in in_turn(examples):
        batch = make_batch(examples, rows)
        readings = model.read(batch)
        state = model.decoder.begin(None, readings.start)
        best = written(model.decoder, state, len(rows), codecs.longest, beam, count)
        for place, row in enumerate(rows.tolist()):
            looked = readings.looked[place, :, : int(batch.lengths[place])].numpy()
            found[row] = [Answer.of(each, codecs.answers, looked) for each in best[place]]
    return found


@torch.no_grad()
def looks(model: Answering, examples: Examples) -> list[np.ndarray]:
    """What each reading looked at, for each question: weights [hops, S], which add up to 1 over the S sentences that
    were read, the first of them first."""
    found: list[np.ndarray] = [np.zeros((model.hops, 0))] * len(examples)
    for rows in in_turn(examples):
        batch = make_batch(examples, rows)
        looked = model.read(batch).looked.numpy()
        for place, row in enumerate(rows.tolist()):
            found[row] = looked[place, :, : int(batch.lengths[place])]
    return found
