"""Encoded sentences, the stretches that long ones are read in, and the batches made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework.data.batching import batch_rows
from gatework.data.ragged import Ragged
from gatework.runtime.tags.stretches import Stretches
from gatework.tasks.tag.sentences import Sentences
from gatework.tasks.tag.states import Lines, Written
from gatework.training.learner import Shard

UNCOUNTED = -1  # a tag that does not count, or was never learned


class WordTable(NamedTuple):
    """The U different words of some sentences, as written: `ids` [U] in the vocabulary, `letters` Ragged [U], and how
    often training has `seen` each [U]; `pieces` Ragged [U], buckets of its character n-grams."""

    ids: np.ndarray
    letters: Ragged
    seen: np.ndarray
    pieces: Ragged | None = None


@dataclass(frozen=True)
class Examples:
    """n sentences of N tokens: `inputs` Ragged [n] rows of `words`, `columns` int64 [N, C] codes of further columns,
    `windows` int32 [N, F] buckets, `tags` int64 [N] as learned, `labels` int64 [n] of whole sentences, `written` what
    language models read."""

    sentences: Sentences
    inputs: Ragged
    words: WordTable
    columns: np.ndarray
    tags: np.ndarray
    windows: np.ndarray | None = None
    labels: np.ndarray | None = None
    written: Written | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def seen(self) -> np.ndarray:
        """How often training saw each token's word, [N]."""
        return self.words.seen[self.inputs.values]

    def take(self, rows: np.ndarray) -> Examples:
        """Some of the sentences; the table of words stays."""
        tokens = tokens_of(self.inputs.offsets, rows)
        labels = None if self.labels is None else self.labels[rows]
        windows = None if self.windows is None else self.windows[tokens]
        return replace(
            self,
            sentences=self.sentences.take(rows),
            inputs=self.inputs.take(rows),
            columns=self.columns[tokens],
            tags=self.tags[tokens],
            windows=windows,
            labels=labels,
            written=None if self.written is None else self.written.take(rows, tokens),
        )


def tokens_of(offsets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The numbers of the tokens of these sentences, one sentence after another."""
    return Ragged(np.arange(offsets[-1]), offsets).take(rows).values


class Batch(NamedTuple):
    """Stretches, packed: longest first, time-major (see `gatework.data.ragged.Packed`). u different words.

    words [M] numbers of the batch's different words; of these ids [u], whether training saw it `once` [u], letters
    [u, L], sizes [u], and pieces [P] with the start [u] of each word's; columns [M, C]; counts [T];
    rows [M] the stretch of each token; lengths [B]; tags [M]; labels [B]; places [M] the number of each token among
    the examples', `own` [M] whether the stretch answers for it; lines, what language models read.
    """

    words: Tensor
    ids: Tensor
    once: Tensor
    letters: Tensor
    sizes: Tensor
    pieces: tuple[Tensor, Tensor] | None
    columns: Tensor
    counts: Tensor
    rows: Tensor
    lengths: Tensor
    tags: Tensor
    labels: Tensor | None
    places: Tensor
    own: Tensor
    lines: Lines | None = None


def make_batch(examples: Examples, pieces: Stretches, rows: np.ndarray) -> Batch:
    """The batch of these stretches; what lies around a stretch's own tokens has no tag in it."""
    lengths = (pieces.last - pieces.first)[rows]
    order = np.argsort(-lengths, kind="stable")
    rows = rows[order]
    spans = Ragged.from_lengths(_ranges(pieces.first[rows], lengths[order]), lengths[order])
    packed = spans.pack(np.arange(len(rows)))
    places, counts = packed.values, packed.counts
    owner = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    own = (places >= pieces.begin[rows][owner]) & (places < pieces.end[rows][owner])
    different, words = np.unique(examples.inputs.values[places], return_inverse=True)
    table = examples.words
    letters, sizes = padded(table.letters.take(different))
    labels = None if examples.labels is None else torch.from_numpy(examples.labels[pieces.sentence[rows]])
    lines = None if examples.written is None else examples.written.lines(pieces.sentence[rows], spans)
    return Batch(
        words=torch.from_numpy(words),
        ids=torch.from_numpy(table.ids[different]),
        once=torch.from_numpy(table.seen[different] == 1),
        letters=torch.from_numpy(letters),
        sizes=torch.from_numpy(sizes),
        pieces=_pieces(table, different),
        columns=torch.from_numpy(examples.columns[places]),
        counts=torch.from_numpy(counts.astype(np.int64)),
        rows=torch.from_numpy(owner),
        lengths=torch.from_numpy(lengths[order]),
        tags=torch.from_numpy(np.where(own, examples.tags[places], UNCOUNTED)),
        labels=labels,
        places=torch.from_numpy(places),
        own=torch.from_numpy(own),
        lines=lines,
    )


def _pieces(table: WordTable, words: np.ndarray) -> tuple[Tensor, Tensor] | None:
    if table.pieces is None:
        return None
    own = table.pieces.take(words)
    return torch.from_numpy(own.values), torch.from_numpy(own.offsets[:-1])


def _ranges(first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """first[0], first[0] + 1, ... first[1], ...: `lengths` numbers of each."""
    ends = np.cumsum(lengths)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(first - (ends - lengths), lengths)


def padded(rows: Ragged) -> tuple[np.ndarray, np.ndarray]:
    """[u, L] with 0 behind shorter rows, and the lengths [u]."""
    lengths = rows.lengths
    inside = np.arange(max(lengths.max(initial=0), 1)) < lengths[:, None]
    found = np.zeros(inside.shape, np.int64)
    found[inside] = rows.values
    return found, lengths


class Batches(Sequence):
    """The batches of an epoch, made when asked for; one process' share of each."""

    def __init__(
        self, examples: Examples, pieces: Stretches, size: int, tokens: int, seed: int, epoch: int, shard: Shard
    ):
        self.examples, self.pieces = examples, pieces
        lengths = pieces.last - pieces.first
        whole = batch_rows(lengths, size * shard.world, seed=seed, epoch=epoch)
        small = [part for rows in whole for part in within(rows, lengths, tokens * shard.world)]
        self.rows = [shard.of(rows) for rows in small]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        return make_batch(self.examples, self.pieces, self.rows[index])


def within(rows: np.ndarray, lengths: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Rows in even parts of about `tokens` tokens at most, at least one row each."""
    parts = min(max(-(-int(lengths[rows].sum()) // tokens), 1), len(rows))
    return np.array_split(rows, parts)
