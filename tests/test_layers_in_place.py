"""What callers do in place to a layer's outputs and states before the backward pass: as with torch.nn's layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.testing import assert_close

import gatework
from gatework.layers import recurrent

KINDS = ["LSTM", "GRU", "RNN"]
FORMS: dict[str, dict[str, Any]] = {
    "one layer": {},
    "two layers": {"num_layers": 2},
    "both directions": {"bidirectional": True},
    "batch first": {"batch_first": True},
    "all of it": {"num_layers": 2, "bidirectional": True, "batch_first": True},
}
T, B, I, H = 6, 3, 4, 5


def pair(kind: str, dtype: torch.dtype = torch.float64, **options: Any) -> tuple[nn.Module, nn.Module]:
    """Our layer and torch's, with the same weights; torch's in float64, as its float32 LSTM refuses some changes."""
    torch.manual_seed(0)
    ours = getattr(gatework, kind)(I, H, dtype=dtype, **options)
    theirs = getattr(nn, kind)(I, H, dtype=torch.float64, **options)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.fixture(params=["a stack", "each direction"])
def operators(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is one operator of autograd: see layers/stack.py."""
    if request.param == "each direction":
        monkeypatch.setattr(recurrent, "stacked", lambda *_: None)


def tuple_of(states: Any) -> tuple[Tensor, ...]:
    return states if isinstance(states, tuple) else (states,)


def zeroed_behind_the_graph(output: Tensor, states: tuple[Tensor, ...], x: Tensor) -> None:
    with torch.no_grad():
        for state in states:
            state[:, 0] = 0
        output[1:] = 0.5


def all_through_an_alias(output: Tensor, states: tuple[Tensor, ...], x: Tensor) -> None:
    output.detach().mul_(3)
    output[2:].transpose(0, 1).neg_()


def first_units(output: Tensor, states: tuple[Tensor, ...], x: Tensor) -> None:
    for state in states:
        state[..., 0] = x[0, 0, 0]


CHANGES: dict[str, Callable[[Tensor, tuple[Tensor, ...], Tensor], Any]] = {
    "relu": lambda output, states, x: nn.ReLU(inplace=True)(output),
    "scaled": lambda output, states, x: output.mul_(2).clamp_(-0.3, 0.4),
    "padding": lambda output, states, x: output.__setitem__((slice(3, None), 1), 0),
    "masked": lambda output, states, x: output.masked_fill_(torch.arange(output.shape[1])[:, None] == 1, 0.5),
    "added to": lambda output, states, x: output.add_(x[..., :1]),
    "states scaled": lambda output, states, x: [state.mul_(0.7).tanh_() for state in states],
    "first units of states": first_units,
    "behind the graph": zeroed_behind_the_graph,
    "through an alias": all_through_an_alias,
    "filled": lambda output, states, x: output.zero_(),
    "states detached": lambda output, states, x: [state.detach_() for state in states],
}


def outcome(layer: nn.Module, x: Tensor, changes: list[str]) -> tuple[Tensor, list[Tensor | None], Tensor]:
    """What a changed output and changed states are worth, the gradients of that, and the output after all."""
    x = x.to(next(layer.parameters()).dtype).requires_grad_()
    output, states = layer(x)
    states = tuple_of(states)
    for name in changes:
        CHANGES[name](output, states, x)
    value = (output * torch.linspace(0.5, 1.5, output.numel()).view_as(output)).square().sum()
    value = value + sum((state * 0.3).sin().sum() for state in states)
    return value, list(torch.autograd.grad(value, [x, *layer.parameters()], allow_unused=True)), output.detach()


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_changes_in_place_give_torchs_gradients(kind: str, form: str, dtype: torch.dtype) -> None:
    ours, theirs = pair(kind, dtype, **FORMS[form])
    x = torch.randn(T, B, I, dtype=torch.float64)
    for change in CHANGES:
        found, expected = outcome(ours, x, [change]), outcome(theirs, x, [change])
        assert_close(found, expected, check_dtype=False, rtol=1e-4, atol=1e-4 if dtype == torch.float32 else 1e-10)


@settings(max_examples=40)
@given(
    kind=st.sampled_from(KINDS),
    options=st.fixed_dictionaries(
        {
            "num_layers": st.integers(1, 3),
            "bidirectional": st.booleans(),
            "batch_first": st.booleans(),
            "bias": st.booleans(),
        }
    ),
    changes=st.lists(st.sampled_from(list(CHANGES)), min_size=1, max_size=4),
)
def test_any_changes_one_after_the_other(kind: str, options: dict[str, Any], changes: list[str]) -> None:
    ours, theirs = pair(kind, **options)
    x = torch.randn(T, B, I, dtype=torch.float64)
    try:
        expected = outcome(theirs, x, changes)
    except RuntimeError:
        return  # what torch refuses, such as detaching a state that was changed through a view, is nobody's habit
    assert_close(outcome(ours, x, changes), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_truncated_backpropagation(kind: str, form: str) -> None:
    """The last states are detached in place, and go into the next chunk."""
    ours, theirs = pair(kind, **FORMS[form])
    chunks = torch.randn(3, T, B, I, dtype=torch.float64)
    for layer in (ours, theirs):
        states = None
        for chunk in chunks:
            output, states = layer(chunk, states)
            output.square().sum().backward()
            for state in tuple_of(states):
                state.detach_()
    assert_close([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()])


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_can_be_detached_in_place(kind: str, grad: bool) -> None:
    for options in FORMS.values():
        options = {**options, "batch_first": False}  # else torch's output is a view as well
        layer = pair(kind, **options)[0]
        with torch.set_grad_enabled(grad):
            output, states = layer(torch.randn(T, B, I, dtype=torch.float64))
            for each in (output, *tuple_of(states)):
                assert not each.detach_().requires_grad and not each._is_view()


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_and_lengths(kind: str) -> None:
    """A change of the packed rows, and of padded outputs, beside the same change of a copy."""
    layer, theirs = pair(kind, bidirectional=True)
    x, lengths = torch.randn(T, B, I, dtype=torch.float64), torch.tensor([3, 6, 1])
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)

    def grads(layer: nn.Module, call: Callable[[], Any], copied: bool) -> tuple[Tensor, ...]:
        output, states = call()
        rows = output.data if isinstance(output, PackedSequence) else output
        rows, states = (rows.clone(), [s.clone() for s in tuple_of(states)]) if copied else (rows, tuple_of(states))
        value = rows.mul_(2).relu_().square().sum() + sum(s.mul_(0.5).square().sum() for s in states)
        return torch.autograd.grad(value, list(layer.parameters()))

    expected = grads(theirs, lambda: theirs(packed), copied=False)
    assert_close(grads(layer, lambda: layer(packed), copied=False), expected)
    for copied in (True, False):
        assert_close(grads(layer, lambda: layer(x, lengths=lengths), copied), expected)
    rows, states = layer(packed)
    for each in (rows.data, *tuple_of(states)):
        each.detach_()


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "RNNCell"])
def test_cells_in_a_loop(name: str) -> None:
    ours, theirs = getattr(gatework, name)(I, H).double(), getattr(nn, name)(I, H).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 20, I, dtype=torch.float64)
    for cell in (ours, theirs):
        states, total = None, torch.zeros(())
        for t, step in enumerate(x):
            states = cell(step, states)
            if cell is theirs:  # copies, as torch's RNNCell refuses changes of what it returned
                states = tuple(s.clone() for s in states) if isinstance(states, tuple) else states.clone()
            for state in tuple_of(states):
                state[:, 0] = 0
                state.mul_(0.9)
                total = total + (2 * state).square().sum()  # of a copy: a value that is saved cannot be detached
                if t == 1:
                    state.detach_()
        total.backward()
    assert_close([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()])


@pytest.mark.parametrize("cell", ["slstm", "mgu", "indrnn", "sru"])
def test_every_value_of_other_cells(cell: str) -> None:
    """What `return_all` gives may be changed too."""
    torch.manual_seed(0)
    layer = gatework.Recurrent(cell, I, H, dtype=torch.float64)
    x = torch.randn(T, B, I, dtype=torch.float64)

    def grads(copied: bool) -> tuple[Tensor, ...]:
        output, states, values = layer(x, return_all=True)
        every = [output, *states, *(v for name, v in values.items() if name != f"{layer.state_names[0]}_l0")]
        every = [v.clone() for v in every] if copied else every
        value = sum(v.mul_(2).square().sum() for v in every)
        return torch.autograd.grad(value, list(layer.parameters()))

    assert_close(grads(copied=False), grads(copied=True))


def test_what_the_backward_pass_cannot_make_again_is_noticed() -> None:
    x = torch.randn(T, B, I, dtype=torch.float64)
    layer, _ = pair("LSTM")
    given = x.clone()
    output, _ = layer(given)
    given.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()
    output, _ = layer(x)
    with torch.no_grad():
        next(layer.parameters()).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}])
def test_hooks_of_saved_tensors_hold_all_memory(options: dict[str, Any]) -> None:
    """Nothing else keeps an output: so checkpointing frees it and `save_on_cpu` moves it."""
    layer, _ = pair("GRU", **options)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: None, lambda none: none):
        output, state = layer(torch.randn(T, B, I, dtype=torch.float64))
    memory, graph = StorageWeakRef(output.untyped_storage()), output.grad_fn
    del output, state
    assert graph is not None and memory.expired()


def test_a_change_costs_no_second_forward_pass_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from gatework.layers.direct import Forward

    runs: list[bool] = []
    forward = Forward.__call__

    def counted(call: Forward, *arguments: Any) -> Any:
        runs.append(call.train)
        return forward(call, *arguments)

    monkeypatch.setattr(Forward, "__call__", counted)
    layer, _ = pair("LSTM", bidirectional=True)
    for change, expected in ((False, 2), (True, 4)):
        runs.clear()
        output, states = layer(torch.randn(T, B, I, dtype=torch.float64))
        states[0].zero_()
        (output.mul_(2) if change else output).sum().backward()
        assert len(runs) == expected
