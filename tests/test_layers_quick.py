"""The short way of inference gives what the ordinary way gives, and notices every change of a parameter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import gatework
from gatework import cells
from gatework.compiler.params import symbols
from gatework.layers import recurrent
from gatework.layers.errors import LayerError

I, H = 5, 7


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Which calls went the short way."""
    seen: list[bool] = []

    def watched(*args: Any) -> Any:
        found = recurrent_quick(*args)
        seen.append(found is not None)
        return found

    recurrent_quick = recurrent.quick
    monkeypatch.setattr(recurrent, "quick", watched)
    return seen


def both(layer: nn.Module, *args: Any) -> tuple[Any, Any]:
    """The call with gradients, and without."""
    with torch.no_grad():
        quick = layer(*args)
    return layer(*args), quick


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 3, "bidirectional": True}, {"bias": False, "num_layers": 2}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_results(kind: str, options: dict, dtype: torch.dtype, taken: list[bool]) -> None:
    torch.manual_seed(0)
    layer = getattr(gatework, kind)(I, H, **options, dtype=dtype)
    rows = layer.num_layers * layer.directions
    for steps, batch in ((1, 1), (1, 4), (6, 1), (6, 4), (300, 2)):
        x, h = torch.randn(steps, batch, I, dtype=dtype), torch.randn(rows, batch, H, dtype=dtype)
        for hx in (None, (h, h + 1) if kind == "LSTM" else h):
            ordinary, quick = both(layer, x, hx)
            assert_close(quick, ordinary)
    assert taken == [True] * 10, "with gradients the short way is not asked"


def test_batch_first_and_projections(taken: list[bool]) -> None:
    layer = gatework.LSTM(I, H, 2, batch_first=True, proj_size=3, bidirectional=True)
    for shape in ((1, 1, I), (1, 6, I), (4, 1, I)):
        ordinary, quick = both(layer, torch.randn(shape))
        assert_close(quick, ordinary)
    assert taken == [True] * 3
    ordinary, quick = both(layer, torch.randn(4, 6, I))
    assert_close(quick, ordinary)
    assert taken[-1] is False, "a rectangle that must be turned goes the ordinary way"


def test_results_are_the_callers_own() -> None:
    layer = gatework.LSTM(I, H)
    with torch.no_grad():
        x = torch.randn(1, 2, I)
        output, (h, c) = layer(x)
        kept = [t.clone() for t in (output, h, c)]
        layer(x + 1, (h, c))
        assert all(torch.equal(a, b) for a, b in zip((output, h, c), kept, strict=True))
        output.zero_()
        assert h.any(), "output and state share memory"


@pytest.mark.parametrize("change", ["data", "in place", "assigned", "state_dict", "training", "one unit through data"])
def test_changed_parameters_are_noticed(change: str) -> None:
    torch.manual_seed(0)
    layer, x = gatework.LSTM(I, H), torch.randn(1, 1, I)
    with torch.no_grad():
        before = layer(x)[0]
        if change == "data":
            layer.bias_hh_l0.data.add_(1.0)
        elif change == "in place":
            layer.weight_hh_l0.mul_(2.0)
            layer.weight_ih_l0.mul_(2.0)
        elif change == "assigned":
            layer.weight_ih_l0 = nn.Parameter(layer.weight_ih_l0 * 2)
        elif change == "state_dict":
            layer.load_state_dict({k: v * 2 for k, v in layer.state_dict().items()})
        elif change == "training":
            for p in layer.parameters():
                p.data = p.data * 2
        else:
            layer.weight_ih_l0.data[-1, -1] += 3.0
        after = layer(x)[0]
    assert not torch.equal(before, after)
    assert_close(after, layer(x)[0].detach())


def test_two_layers_of_one_shape_do_not_mix() -> None:
    torch.manual_seed(0)
    first, second, x = gatework.GRU(I, H), gatework.GRU(I, H), torch.randn(1, 1, I)
    with torch.no_grad():
        expected = [first(x)[0], second(x)[0]]
        assert not torch.equal(*expected)
        for _ in range(3):
            assert torch.equal(first(x)[0], expected[0])
            assert torch.equal(second(x)[0], expected[1])
    first(x)[0].sum().backward()
    with torch.no_grad():
        assert torch.equal(second(x)[0], expected[1])


def test_dropout_and_masks_go_the_ordinary_way(taken: list[bool]) -> None:
    x = torch.randn(4, 2, I)
    with torch.no_grad():
        for options in ({"dropout": 0.5, "num_layers": 2}, {"zoneout": 0.5}, {"recurrent_dropout": 0.5}):
            layer = gatework.LSTM(I, H, **options)
            assert not torch.equal(layer(x)[0], layer(x)[0])
            layer.eval()
            assert torch.equal(layer(x)[0], layer(x)[0])
    assert taken == [False, False, True, True] * 3


def test_errors_are_those_of_the_ordinary_way() -> None:
    layer = gatework.LSTM(I, H)
    h = torch.zeros(1, 2, H)
    wrong: list[tuple[Any, ...]] = [
        (torch.zeros(3, 2, I + 1),), (torch.zeros(3, 2, I).double(),), (torch.zeros(3, 2, I), (h, h[..., :2])),
        (torch.zeros(3, 2, I), (h,)), (torch.zeros(3, 2, I), h),
    ]  # fmt: skip
    with torch.no_grad():
        for args in wrong:
            with pytest.raises(LayerError):
                layer(*args)
        layer.weight_hh_l0 = nn.Parameter(torch.zeros(4 * H, H + 1))
        with pytest.raises(LayerError, match="parameters of lstm must be"):
            layer(torch.zeros(3, 2, I))
        x, weight = torch.randn(3, 2, I), torch.randn(4 * H, H)
        layer.weight_hh_l0 = nn.Parameter(weight)
        want = layer(x)[0]
        layer.weight_hh_l0 = nn.Parameter(weight.double())
        assert torch.equal(layer(x)[0], want), "a parameter of another type is cast, not read as it lies"


@pytest.mark.parametrize("name", [name for name in cells.names() if len(cells.get(name).graph.inputs) == 1])
def test_every_cell_infers_what_it_trains(name: str) -> None:
    """Some cells of two stages keep the history of a state that is not the output."""
    torch.manual_seed(0)
    sizes = {symbol: 2 for symbol in symbols(cells.get(name).graph) if symbol not in ("I", "H")}
    layer = gatework.Recurrent(name, 8, 8, sizes=sizes)
    for steps, batch in ((1, 1), (1, 4), (6, 3), (300, 2)):
        ordinary, quick = both(layer, torch.randn(steps, batch, 8))
        assert_close(quick, ordinary)
