"""What a model says of sentences: scores of their tokens in groups of bounded size, then tags, marginals, the loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gatework.data.ragged import Ragged
from gatework.runtime.tags.stretches import stretches
from gatework.tasks.tag.examples import UNCOUNTED, Examples, make_batch, tokens_of, within
from gatework.tasks.tag.model import Judge, Tagger

SHARES = np.arange(11) / 10  # 0: the network alone; 1: the windows alone
GROUP, AT_ONCE = 50_000, 8_000  # tokens whose scores are held, and tokens that the network reads at once


class Answers(NamedTuple):
    """Tags int64 [N] and their probabilities [N]; `nats` of the counted tags and how many these are; probabilities
    [n, L] of the sentences' labels."""

    tags: np.ndarray
    confidence: np.ndarray | None
    nats: float
    counted: int
    labels: np.ndarray | None


class Scored(NamedTuple):
    """Sentences `rows` and the scores [M, K] of their tokens by the network and by windows; labels' logits [m, L] by
    both."""

    rows: np.ndarray
    network: Tensor
    windows: Tensor | None
    labels: Tensor | None
    label_windows: Tensor | None


def scored(model: Tagger, examples: Examples, longest: int) -> Iterator[Scored]:
    """All sentences in groups of similar length."""
    for rows in _grouped(examples.inputs.lengths):
        some = examples.take(rows)
        windows = label_windows = None
        if model.windows is not None and some.windows is not None:
            windows = model.windows.scores(some.windows)
        if model.label_windows is not None and some.windows is not None:
            label_windows = model.label_windows.means(some.windows, some.inputs.offsets)
        network, labels = _network(model, some, longest)
        yield Scored(rows, network, windows, labels, label_windows)


def _network(model: Tagger, some: Examples, longest: int) -> tuple[Tensor, Tensor | None]:
    """The network's scores [M, K] of all tokens, and the labels' logits [m, L], means over stretches."""
    pieces = stretches(some.inputs.offsets, longest)
    read = pieces.last - pieces.first
    scores = torch.zeros(len(some.tags), model.output.out_features)
    labels = None if model.label is None else torch.zeros(len(some), model.label.out_features)
    for part in within(np.argsort(read, kind="stable"), read, AT_ONCE):
        batch = make_batch(some, pieces, part)
        found = model(batch)
        scores[batch.places[batch.own]] = found.tags[batch.own]
        if labels is not None and found.labels is not None:
            order = np.argsort(-read[part], kind="stable")
            labels.index_add_(0, torch.from_numpy(pieces.sentence[part[order]]), found.labels)
    if labels is not None:
        labels /= torch.from_numpy(np.bincount(pieces.sentence, minlength=len(some)))[:, None]
    return scores, labels


def _grouped(lengths: np.ndarray) -> list[np.ndarray]:
    """Sentences of similar length, about GROUP tokens together."""
    order = np.argsort(lengths, kind="stable")
    cuts = np.flatnonzero(np.diff(np.cumsum(lengths[order]) // GROUP)) + 1
    return np.split(order, cuts)


@torch.no_grad()
def answered(
    model: Tagger, examples: Examples, longest: int, roles: tuple[str, ...] = ("model",), sure: bool = False
) -> dict[str, Answers]:
    """The answers of the model and of its parts, by role; `sure`: with probabilities of the tags."""
    there = [role for role in roles if role != "simple" or model.windows is not None]
    found = {role: _Gathered(examples, sure) for role in there}
    for group in scored(model, examples, longest):
        order = Order.of(examples, group.rows)
        for role, gathered in found.items():
            labels = None if group.labels is None else model.labelled(role, group.labels, group.label_windows)
            gathered.take(group.rows, order, order.judge(model, role, group), labels)
    return {role: gathered.whole() for role, gathered in found.items()}


@torch.no_grad()
def settle_shares(model: Tagger, examples: Examples, longest: int) -> None:
    """Gives the windows the shares, of tags' and of labels' scores, that have the fewest nats on these examples."""
    nats, of_labels = np.zeros((2, len(SHARES)))
    for group in scored(model, examples, longest):
        order = Order.of(examples, group.rows)
        for k, share in enumerate(SHARES):
            model.share.fill_(share)
            model.label_share.fill_(share)
            nats[k] += float(order.judge(model, "model", group).nats(order.tags, order.counts).sum())
            of_labels[k] += _label_nats(model, examples, group)
    model.share.fill_(SHARES[nats.argmin()])
    model.label_share.fill_(SHARES[of_labels.argmin()])


def _label_nats(model: Tagger, examples: Examples, group: Scored) -> float:
    if group.labels is None or examples.labels is None:
        return 0.0
    said = model.labelled("model", group.labels, group.label_windows)
    true = torch.from_numpy(examples.labels[group.rows])
    return float(functional.cross_entropy(said, true, ignore_index=-1, reduction="sum"))


class Order(NamedTuple):
    """Sentences of a group, packed: `packed` [M] where each packed token stands in the group, `at` [M] where among all
    tokens, their tags [M], and the counts [T] of steps."""

    packed: Tensor
    at: np.ndarray
    tags: Tensor
    counts: Tensor

    @classmethod
    def of(cls, examples: Examples, rows: np.ndarray) -> Order:
        lengths = examples.inputs.lengths[rows]
        packed = Ragged.from_lengths(np.arange(int(lengths.sum())), lengths).pack(np.arange(len(lengths)))
        at = tokens_of(examples.inputs.offsets, rows)[packed.values]
        counts = torch.from_numpy(packed.counts.astype(np.int64))
        return cls(torch.from_numpy(packed.values), at, torch.from_numpy(examples.tags[at]), counts)

    def judge(self, model: Tagger, role: str, group: Scored) -> Judge:
        windows = None if group.windows is None else group.windows[self.packed]
        return model.judge(role, group.network[self.packed], windows)


class _Gathered:
    """Answers as they come, group by group."""

    def __init__(self, examples: Examples, sure: bool):
        self.examples = examples
        self.tags = np.zeros(len(examples.tags), np.int64)
        self.confidence = np.zeros(len(examples.tags), np.float32) if sure else None
        self.nats, self.counted = 0.0, 0
        self.labels: np.ndarray | None = None

    def take(self, rows: np.ndarray, order: Order, judge: Judge, labels: Tensor | None) -> None:
        best = judge.best(order.counts)
        self.tags[order.at] = best.numpy()
        if self.confidence is not None:
            self.confidence[order.at] = judge.marginals(order.counts).gather(1, best[:, None])[:, 0].numpy()
        self.nats += float(judge.nats(order.tags, order.counts).sum())
        self.counted += int((order.tags != UNCOUNTED).sum())
        if labels is not None:
            if self.labels is None:
                self.labels = np.zeros((len(self.examples), labels.shape[1]), np.float32)
            self.labels[rows] = torch.softmax(labels, 1).numpy()

    def whole(self) -> Answers:
        return Answers(self.tags, self.confidence, self.nats, self.counted, self.labels)
