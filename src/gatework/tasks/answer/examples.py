"""Encoded stories and questions, and the batches made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework.data.batching import batch_rows
from gatework.data.codecs import NOTHING
from gatework.data.ragged import Ragged
from gatework.tasks.answer.stories import Stories
from gatework.training.learner import Shard

UNCOUNTED = -100  # behind an answer's end


@dataclass(frozen=True)
class Examples:
    """n questions: `texts` Ragged [U], the words of the different sentences and questions; which of these the stories'
    sentences [N] and the `questions` [n] are; the `first` sentence of each story that is read [n]; `answers` Ragged
    [n], the words of the answers without an end."""

    stories: Stories
    texts: Ragged
    sentences: np.ndarray
    first: np.ndarray
    questions: np.ndarray
    answers: Ragged

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def lengths(self) -> np.ndarray:
        """How many sentences are read for each question, [n]."""
        return self.stories.past - self.first

    def take(self, rows: np.ndarray) -> Examples:
        """Some of the questions; the sentences stay."""
        return replace(
            self,
            stories=self.stories.take(rows),
            first=self.first[rows],
            questions=self.questions[rows],
            answers=self.answers.take(rows),
        )


class Texts(NamedTuple):
    """The u different texts of a batch, packed: longest first, time-major (see `gatework.data.ragged.Packed`).

    words [M], counts [T]; of each word the `text` [M] that it is in and its `step` [M]; the texts' `sizes` [u] and
    their places `at` [u] among the packed ones.
    """

    words: Tensor
    counts: Tensor
    text: Tensor
    step: Tensor
    sizes: Tensor
    at: Tensor


class Batch(NamedTuple):
    """B questions. `story` [B, S] are numbers of texts, the first sentence first, u behind the last one; `lengths` [B];
    `questions` [B] are numbers of texts; `read` and `targets` [T, B]: the words before each step of the answers, and
    those that are to be written, with the end."""

    texts: Texts
    story: Tensor
    lengths: Tensor
    questions: Tensor
    read: Tensor
    targets: Tensor


def make_batch(examples: Examples, rows: np.ndarray) -> Batch:
    """The batch of these questions; each different sentence is in it once."""
    first, past = examples.first[rows], examples.stories.past[rows]
    lengths = past - first
    steps = np.arange(max(int(lengths.max(initial=0)), 1))
    inside = steps < lengths[:, None]
    numbers = examples.sentences[(first[:, None] + steps)[inside]]
    different, number = np.unique(np.concatenate([numbers, examples.questions[rows]]), return_inverse=True)
    story = np.full(inside.shape, len(different))
    story[inside] = number[: len(numbers)]
    read, targets = written(examples.answers.take(rows))
    return Batch(
        _packed(examples.texts.take(different)),
        torch.from_numpy(story),
        torch.from_numpy(lengths),
        torch.from_numpy(number[len(numbers) :]),
        torch.from_numpy(read),
        torch.from_numpy(targets),
    )


def _packed(texts: Ragged) -> Texts:
    words, counts, order = texts.pack(np.arange(len(texts)))
    step = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(len(words)) - np.repeat(np.cumsum(counts) - counts, counts)
    arrays = (words.astype(np.int64), counts.astype(np.int64), order[row], step, texts.lengths, np.argsort(order))
    return Texts(*map(torch.from_numpy, arrays))


def written(answers: Ragged) -> tuple[np.ndarray, np.ndarray]:
    """What a decoder reads and writes, [T, B] each: NOTHING begins and ends an answer."""
    steps = np.arange(int(answers.lengths.max(initial=0)) + 1)[:, None]
    targets = np.full((len(steps), len(answers)), UNCOUNTED)
    inside = steps < answers.lengths
    targets.T[inside.T] = answers.values
    targets[answers.lengths, np.arange(len(answers))] = NOTHING
    read = np.where(targets[:-1] == UNCOUNTED, NOTHING, targets[:-1])
    return np.concatenate([np.full((1, len(answers)), NOTHING), read]), targets


class Batches(Sequence):
    """The batches of an epoch, made when asked for; one process' share of each."""

    def __init__(self, examples: Examples, size: int, seed: int, epoch: int, shard: Shard):
        self.examples = examples
        whole = batch_rows(examples.lengths, size * shard.world, seed=seed, epoch=epoch, pool=POOL)
        self.rows = [shard.of(rows) for rows in whole]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        return make_batch(self.examples, self.rows[index])


POOL = 16  # batches whose stories are sorted by length
AT_ONCE = 4_000  # sentences and questions that are read at once where nothing is learned


def in_turn(examples: Examples) -> list[np.ndarray]:
    """Rows of similar story length, so many as are read at once."""
    order = np.argsort(examples.lengths, kind="stable")
    read = np.cumsum(examples.lengths[order] + 1) // AT_ONCE
    return [rows for rows in np.split(order, np.flatnonzero(np.diff(read)) + 1) if len(rows)]
