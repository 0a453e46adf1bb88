"""What a model says of sentences: scores of their tokens in groups of bounded size, then tags, marginals, the loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gatework.data.ragged import Ragged
from gatework.tasks.tag.examples import UNCOUNTED, Examples, make_batch, stretches, tokens_of, within
from gatework.tasks.tag.model import Tagger

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
    """Sentences `rows` and the scores [M, K] of their tokens by the network and by windows; labels' logits [m, L]."""

    rows: np.ndarray
    network: Tensor
    windows: Tensor | None
    labels: Tensor | None

    def of(self, role: str) -> Tensor | None:
        """The scores of the model, or of its "network" or "simple" part alone; None where it has no such part."""
        if self.windows is None:
            return None if role == "simple" else self.network
        return {"model": self.network + self.windows, "network": self.network, "simple": self.windows}[role]


def scored(model: Tagger, examples: Examples, longest: int) -> Iterator[Scored]:
    """All sentences in groups of similar length."""
    lengths = examples.inputs.lengths
    for rows in _grouped(lengths):
        some = examples.take(rows)
        pieces = stretches(some.inputs.offsets, longest)
        count, width = len(some.tags), model.output.out_features
        network = torch.zeros(count, width)
        windows = None if model.windows is None else torch.zeros(count, width)
        labels = None if model.label is None else torch.zeros(len(some), model.label.out_features)
        read = pieces.last - pieces.first
        for part in within(np.argsort(read, kind="stable"), read, AT_ONCE):
            batch = make_batch(some, pieces, part)
            scores, at = model(batch), batch.places[batch.own]
            network[at] = scores.network[batch.own]
            if windows is not None and scores.windows is not None:
                windows[at] = scores.windows[batch.own]
            if labels is not None and scores.labels is not None:
                order = np.argsort(-read[part], kind="stable")
                labels.index_add_(0, torch.from_numpy(pieces.sentence[part[order]]), scores.labels)
        if labels is not None:
            labels /= torch.from_numpy(np.bincount(pieces.sentence, minlength=len(some)))[:, None]
        yield Scored(rows, network, windows, labels)


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
    found = {role: _Gathered(examples, model, sure) for role in roles}
    for group in scored(model, examples, longest):
        for role, gathered in list(found.items()):
            scores = group.of(role)
            if scores is None:
                del found[role]
            else:
                gathered.take(group, scores)
    return {role: gathered.whole() for role, gathered in found.items()}


class _Gathered:
    """Answers as they come, group by group."""

    def __init__(self, examples: Examples, model: Tagger, sure: bool):
        self.examples, self.model = examples, model
        self.tags = np.zeros(len(examples.tags), np.int64)
        self.confidence = np.zeros(len(examples.tags), np.float32) if sure else None
        self.nats, self.counted = 0.0, 0
        self.labels: np.ndarray | None = None

    def take(self, group: Scored, scores: Tensor) -> None:
        lengths = self.examples.inputs.lengths[group.rows]
        places = tokens_of(self.examples.inputs.offsets, group.rows)
        packed = Ragged.from_lengths(np.arange(len(places)), lengths).pack(np.arange(len(lengths)))
        order, counts = torch.from_numpy(packed.values), torch.from_numpy(packed.counts.astype(np.int64))
        at = places[packed.values]
        scores, true = scores[order], torch.from_numpy(self.examples.tags[at])
        self.tags[at] = best(self.model, scores, counts).numpy()
        if self.confidence is not None:
            chances = marginals(self.model, scores, counts).numpy()
            self.confidence[at] = np.take_along_axis(chances, self.tags[at][:, None], 1)[:, 0]
        self.nats += float(nats(self.model, scores, true, counts).sum())
        self.counted += int((true != UNCOUNTED).sum())
        if group.labels is not None:
            if self.labels is None:
                self.labels = np.zeros((len(self.examples), group.labels.shape[1]), np.float32)
            self.labels[group.rows] = torch.softmax(group.labels, 1).numpy()

    def whole(self) -> Answers:
        return Answers(self.tags, self.confidence, self.nats, self.counted, self.labels)


# -- one batch of packed scores [M, K], counts [T] ----------------------------------------------------------------


def best(model: Tagger, scores: Tensor, counts: Tensor) -> Tensor:
    """The best tags [M]."""
    if model.crf is None:
        return scores.argmax(1)
    return model.crf.decode(scores if model.chained else torch.log_softmax(scores, 1), counts)


def marginals(model: Tagger, scores: Tensor, counts: Tensor) -> Tensor:
    """The probability of each tag at each token, [M, K]."""
    if model.crf is None or not model.chained:
        return torch.softmax(scores, 1)
    return model.crf.marginals(scores, counts)


def nats(model: Tagger, scores: Tensor, tags: Tensor, counts: Tensor) -> Tensor:
    """Negative log-likelihoods that add up to the batch's: of sequences with a CRF, else of tokens that count."""
    if model.crf is not None and model.chained:
        return model.crf.loss(scores, tags, counts)
    return functional.cross_entropy(scores, tags, ignore_index=UNCOUNTED, reduction="none")
