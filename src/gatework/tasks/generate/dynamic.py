"""Dynamic evaluation: the model goes on learning from the text it has just been scored on (Krause et al. 2018).

Told apart from the static result, because it uses the test text; each unit is scored before it is learned from.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from gatework.networks.heads import cross_entropy
from gatework.tasks.generate.counts import mixed
from gatework.tasks.generate.model import LanguageModel

STEPS = 20  # units between two updates
DECAY = 0.003  # share of the way back to the trained weights, per update


def dynamic_nats(model: LanguageModel, ids: Tensor, rate: float) -> float:
    """Nats of all units of a text but its first; the model given is left as it was.

    Plain gradient steps of size `rate` with a decay towards the trained weights, one stream, in reading order. Counts
    stay as they are.
    """
    learner = copy.deepcopy(model).eval()
    trained = [each.detach().clone() for each in learner.parameters()]
    states: dict[str, Tensor] = {}
    network = []
    for start in range(0, len(ids) - 1, STEPS):
        part = ids[start : start + STEPS + 1].unsqueeze(1)
        with torch.enable_grad():
            logits, states = learner(part[:-1], states)
            costs = cross_entropy(logits, part[1:], "none")
            gradients = torch.autograd.grad(costs.mean(), list(learner.parameters()))
        network.append(costs.detach().double())
        states = {name: state.detach() for name, state in states.items()}
        _update(learner, gradients, trained, rate)
    found = torch.cat(network)
    return float((found if model.counts is None else mixed(found, model.counts.nats(ids), float(model.share))).sum())


@torch.no_grad()
def _update(model: LanguageModel, gradients: tuple[Tensor, ...], trained: list[Tensor], rate: float) -> None:
    norm = torch.nn.utils.get_total_norm(gradients)
    scale = rate / max(1.0, float(norm))
    for weight, gradient, start in zip(model.parameters(), gradients, trained, strict=True):
        weight.sub_(gradient, alpha=scale)
        weight.lerp_(start, DECAY)
