"""What a trained classifier says of examples: logits, what validation rows decide, and each of its parts alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from gatework.tasks.base import Contender
from gatework.tasks.classify import measures
from gatework.tasks.classify.examples import Examples, make_batch
from gatework.tasks.classify.loss import tuned_decision
from gatework.tasks.classify.mixture import best_share, helpful_temperature
from gatework.tasks.classify.model import Classifier

EVALUATION_BATCH = 256
ROLES = {"model": "model", "simple": "n-grams alone", "network": "network alone"}


def logits_of(model: Classifier, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """[n, K] of the model and of its network alone, in the order of the examples."""
    whole, alone = np.zeros((2, len(examples), len(model.decision)), np.float32)
    order = np.argsort(examples.inputs.lengths, kind="stable")
    for start in range(0, len(order), EVALUATION_BATCH):
        batch, rows = make_batch(examples, order[start : start + EVALUATION_BATCH])
        logits = model.network(batch)
        whole[rows], alone[rows] = model.mixed(logits, batch).numpy(), logits.numpy()
    return whole, alone


def judged(model: Classifier, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, K] and predicted classes [n]."""
    return measures.softmax(logits), (logits + model.decision.numpy()).argmax(axis=1)


def settle(model: Classifier, examples: Examples, weights: Tensor | None) -> None:
    """The n-grams' share, unless it was given; then of the model and each of its parts the temperature and, with
    `tune_threshold`, the decision. `weights` are those of the classes in the loss."""
    network, grams, labels = logits_of(model, examples)[1], examples.offsets, examples.labels
    if grams is not None and model.options.ngram_share is None:
        rows = None if weights is None else weights.numpy()[labels]
        model.share.fill_(best_share(network, grams, labels, rows))
    share = float(model.share)
    parts = [network] if grams is None else [(1 - share) * network + share * grams, grams, network]
    for kept, logits in zip(model.temperatures, parts, strict=False):
        kept.fill_(helpful_temperature(logits, labels))
    if not model.options.tune_threshold:
        return
    for _, logits, decision in _parts_of(model, examples):
        decision.copy_(torch.from_numpy(tuned_decision(logits, examples.labels)))


def _parts_of(model: Classifier, examples: Examples) -> Iterator[tuple[str, np.ndarray, Tensor]]:
    """Role, logits [n, K] and decision [K] of the model and, where it has two parts, of each alone."""
    whole, network = logits_of(model, examples)
    yield "model", whole, model.decision
    if examples.offsets is not None:
        _, *temperatures = model.temperatures.tolist()
        yield "simple", examples.offsets / temperatures[0], model.decision_apart[0]
        yield "network", network / temperatures[1], model.decision_apart[1]


def contenders(model: Classifier, examples: Examples) -> list[Contender]:
    """The model, its n-gram model alone, its network alone."""
    found, labels = [], examples.labels
    for role, logits, decision in _parts_of(model, examples):
        predicted = (logits + decision.numpy()).argmax(axis=1)
        told = measures.measures(measures.softmax(logits), predicted, labels)
        counted = measures.sums(predicted, labels, logits.shape[1])
        note = _settled_note(model) if role == "model" else ""
        found.append(Contender(ROLES[role], told, note, role=role, sums=counted))
    return found


def _settled_note(model: Classifier) -> str:
    """What validation rows decided, for the tables of results."""
    share, heat = float(model.share), float(model.temperatures[0])
    chosen = " (chosen)" if model.options.ngram_share is None and not model.options.refit else ""
    mixed = f"{share:.0%} n-grams, {1 - share:.0%} network{chosen}" if model.wide is not None else ""
    return ", ".join(part for part in (mixed, f"temperature {heat:.2f}" if heat != 1 else "") if part)
