"""gatework.LSTMCell, GRUCell and RNNCell against torch.nn's: results, gradients of two orders, weights, errors."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import gatework
from gatework.layers import from_torch, steps, to_torch

KINDS = {"LSTMCell": {}, "GRUCell": {}, "RNNCell": {}, "RNNCell relu": {"nonlinearity": "relu"}}


def twins(kind: str, **options: Any) -> tuple[Any, Any]:
    """torch's cell and ours, each drawn from the same seed."""
    made = []
    for module in (nn, gatework):
        torch.manual_seed(0)
        made.append(getattr(module, kind.split()[0])(5, 7, **KINDS[kind], **options))
    return made[0], made[1]


def looped(cell: Any, x: torch.Tensor, hx: Any) -> list[torch.Tensor]:
    """Three steps, and the gradients of a weighted sum of the last states."""
    states = hx
    for step in x:
        states = cell(step, states)
    last = list(states) if isinstance(states, tuple) else [states]
    given = [] if hx is None else list(hx) if isinstance(hx, tuple) else [hx]
    loss = torch.stack([(s * torch.linspace(-1, 1, s.numel()).view(s.shape).to(s)).sum() for s in last]).sum()
    return [*last, *torch.autograd.grad(loss, [x, *given, *cell.parameters()])]


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_torch(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps, with and without bias and states, few rows and many, in both types; many on the kernel."""
    calls = []
    monkeypatch.setattr(steps, "recurrence", lambda *a, f=steps.recurrence: calls.append(a) or f(*a))
    for bias, given, rows, dtype in itertools.product((True, False), (True, False), (17, 3, 0), ("float32", "float64")):
        theirs, ours = twins(kind, bias=bias, dtype=getattr(torch, dtype))
        assert list(theirs.state_dict()) == list(ours.state_dict()) and repr(theirs) == repr(ours)
        torch.manual_seed(1)
        shape = (rows,) if rows else ()
        x = torch.randn(3, *shape, 5, dtype=getattr(torch, dtype), requires_grad=True)
        number = 2 if kind == "LSTMCell" else 1
        start = tuple(torch.randn(*shape, 7, dtype=x.dtype, requires_grad=True) for _ in range(number))
        hx = None if not given else start if number == 2 else start[0]
        want, got = looped(theirs, x, hx), looped(ours, x, hx)
        scale = 1e-10 if dtype == "float64" else 2e-5
        for w, g in zip(want, got, strict=True):
            assert_close(g, w, rtol=scale, atol=scale)
        with torch.no_grad():
            assert_close(ours(x[0], hx), theirs(x[0], hx), rtol=scale, atol=scale)
    assert len(calls) == 8 * 4


def test_second_derivatives() -> None:
    _, ours = twins("GRUCell", dtype=torch.float64)
    x, h = torch.randn(16, 5, dtype=torch.float64, requires_grad=True), torch.randn(16, 7, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda x, h: ours(x, h), (x, h.requires_grad_()))


@pytest.mark.parametrize("kind", KINDS)
def test_errors_are_torchs(kind: str) -> None:
    theirs, ours = twins(kind)
    for x, h in ((torch.zeros(20, 4), None), (torch.zeros(20, 2, 5), None), (torch.zeros(20, 5), torch.zeros(3, 7)),
                 (torch.zeros(20, 5, dtype=torch.float64), None)):  # fmt: skip
        hx = None if h is None else (h, h) if kind == "LSTMCell" else h
        messages = []
        for cell in (theirs, ours):
            with pytest.raises((RuntimeError, ValueError)) as caught:
                cell(x, hx)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")  # torch's, of vmap over its own step
def test_they_are_torchs_cells() -> None:
    """In isinstance, in copies and files, in conversion; and say what runs."""
    model: Any = nn.ModuleDict({k.replace(" ", "_"): twins(k)[0] for k in KINDS})
    own: Any = from_torch(model)
    x = torch.randn(20, 5)
    for name, cell in own.items():
        assert type(cell) is getattr(gatework, name.split("_")[0]) and isinstance(cell, nn.RNNCellBase)
        assert_close(cell(x), model[name](x))
        assert_close(copy.deepcopy(cell)(x), cell(x))
        assert "float32" in cell.describe()
    assert {type(c) for c in to_torch(own).values()} == {nn.LSTMCell, nn.GRUCell, nn.RNNCell}
    narrow = gatework.LSTMCell(5, 7, dtype=torch.bfloat16)
    assert "torch's own step" in narrow.describe() and narrow(x.bfloat16())[0].dtype == torch.bfloat16
    assert torch.func.vmap(own["GRUCell"])(x[None]).shape == (1, 20, 7)
