"""A stack as one operator gives the bits of the ordinary way, which has an operator for each direction."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradgradcheck

import gatework
from gatework.layers import recurrent
from gatework.layers.autograd import Operator
from gatework.layers.stack import Plan
from gatework.runtime import set_threads

T, B, I, H = 7, 3, 5, 6
FORMS: list[dict[str, Any]] = [
    {},
    {"bidirectional": True},
    {"num_layers": 3, "dropout": 0.4, "batch_first": True},
    {"num_layers": 2, "dropout": 1.0},
    {"num_layers": 2, "dropout": 0.4, "bidirectional": True},
]


def operators(output: Tensor) -> int:
    """How many operators of ours the graph of an output has."""
    nodes, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in nodes:
            nodes.add(node)
            waiting += [below for below, _ in node.next_functions]
    return sum(type(node).__name__ == f"{Operator.__name__}Backward" for node in nodes)


def results(layer: nn.Module, x: Tensor, states: Any) -> list[Tensor]:
    """Output, last states, and the gradients of a sum that weighs each number of them differently."""
    torch.manual_seed(3)
    output, last = layer(x, states)
    given = [output, *(last if isinstance(last, tuple) else (last,))]
    loss = sum(((t * torch.randn_like(t)).sum() for t in given), start=torch.zeros(()))
    starts = () if states is None else states if isinstance(states, tuple) else (states,)
    return [*given, *torch.autograd.grad(loss, [x, *starts, *layer.parameters()])]


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("options", FORMS, ids=str)
def test_the_same_bits(kind: str, options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = getattr(gatework, kind)(I, H, **options)
    x = torch.randn(*((B, T) if layer.batch_first else (T, B)), I, requires_grad=True)
    h, c = torch.randn(2, layer.num_layers * layer.directions, B, H).requires_grad_().unbind()
    for states in (None, (h, c) if kind == "LSTM" else h):
        assert operators(layer(x, states)[0]) == 1
        one = results(layer, x, states)
        with monkeypatch.context() as patch:
            patch.setattr(recurrent, "stacked", lambda *_: None)
            assert operators(layer(x, states)[0]) == layer.num_layers * layer.directions
            several = results(layer, x, states)
        assert all(torch.equal(a, b) for a, b in zip(one, several, strict=True))


@pytest.mark.parametrize("options", [{"bidirectional": True}, {"num_layers": 2, "dropout": 0.4, "bidirectional": True}])
def test_directions_side_by_side_give_the_bits_of_one_thread(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layer = gatework.LSTM(I, 32, **options)
    x, h = torch.randn(40, B, I, requires_grad=True), torch.randn(layer.num_layers * 2, B, 32, requires_grad=True)
    found = []
    for count in (1, 2):
        with threads(count):
            found.append([results(layer, x, states) for states in (None, (h, h + 1))])
            assert ("one for each direction" in layer.describe()) == (count == 2)
    assert all(torch.equal(a, b) for a, b in zip(itertools.chain(*found[0]), itertools.chain(*found[1]), strict=True))


@contextmanager
def threads(count: int) -> Iterator[None]:
    set_threads(count)
    try:
        yield
    finally:
        set_threads(None)


def test_second_derivatives_know_the_masks() -> None:
    torch.manual_seed(0)
    layer = gatework.LSTM(2, 3, 2, dropout=0.5, bidirectional=True, dtype=torch.float64)

    def seeded(x: Tensor, h: Tensor) -> Tensor:
        torch.manual_seed(1)
        return layer(x, (h, h))[0]

    given = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 2, 2), (4, 2, 3))]
    assert gradgradcheck(seeded, given)


def test_an_output_changed_in_place_runs_again_with_the_same_masks() -> None:
    layer = gatework.LSTM(I, H, 2, dropout=0.5)
    x = torch.randn(T, B, I)
    found = []
    for change in (False, True):
        torch.manual_seed(2)
        output = layer(x)[0]
        kept = output.sum()
        if change:
            output.detach().zero_()
        found.append(torch.autograd.grad(kept, list(layer.parameters())))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_frozen_layers_below_have_no_way_back() -> None:
    layer, x = gatework.LSTM(I, H, 2), torch.randn(T, B, I)
    for p in layer._params(0):
        p.requires_grad_(False)
    assert operators(layer(x)[0]) == 1, "the second layer alone"
    assert not isinstance(layer(x)[0].grad_fn.work, Plan)


def test_a_call_that_nothing_learns_from_has_no_graph() -> None:
    layer = gatework.LSTM(I, H).requires_grad_(False)
    assert layer(torch.randn(T, B, I))[0].grad_fn is None
