"""Layers inside torch.func and torch.autograd's further ways of taking derivatives, beside plain gradients.

The transforms run the reference, the expected values come from kernels, one gradient at a time: two independent ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

import gatework
from gatework.layers.errors import LayerError

T, B, I, H = 3, 3, 2, 2
LENGTHS = [2, 3, 0]
CELLS = ["lstm", "gru", "rnn", "mgu", "slstm", "indrnn"]
Function = Callable[[Tensor], Tensor]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),  # torch's own, in forward mode
    pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning"),  # of vmap over operations of torch
]


def made(cell: str, **options: Any) -> gatework.Recurrent:
    torch.manual_seed(0)
    return gatework.Recurrent(cell, I, H, dtype=torch.float64, **options)


def rows(shape: tuple[int, ...], seed: int = 1) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def whole(result: Any) -> Tensor:
    """A call's output and last states as one tensor (values,)."""
    output, states = result[:2]
    states = states if isinstance(states, tuple) else (states,)
    return torch.cat([output.reshape(-1), *(s.reshape(-1) for s in states)])


def jacobian(function: Function, x: Tensor) -> Tensor:
    """One plain gradient for each value."""
    x = x.detach().requires_grad_()
    return torch.stack([torch.autograd.grad(v, x, retain_graph=True)[0] for v in function(x)])


def per_value(function: Function, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    values = function(x)
    return torch.autograd.grad(values, x, torch.eye(len(values), dtype=x.dtype), is_grads_batched=True)[0]


def by_vmap(function: Function, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    values = function(x)
    one = lambda v: torch.autograd.grad(values, x, v, retain_graph=True)[0]  # noqa: E731
    return torch.func.vmap(one)(torch.eye(len(values), dtype=x.dtype))


def dual(function: Function, x: Tensor, along: Tensor) -> Tensor | None:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(function(forward_ad.make_dual(x, along))).tangent


JACOBIANS: dict[str, Callable[[Function, Tensor], Tensor]] = {
    "jacrev": lambda f, x: torch.func.jacrev(f)(x),
    "jacfwd": lambda f, x: torch.func.jacfwd(f)(x),
    "jacrev in chunks": lambda f, x: torch.func.jacrev(f, chunk_size=2)(x),
    "is_grads_batched": per_value,
    "vmap of autograd.grad": by_vmap,
    "functional, vectorized": lambda f, x: torch.autograd.functional.jacobian(f, x, vectorize=True),
    "functional, forward": lambda f, x: torch.autograd.functional.jacobian(
        f, x, vectorize=True, strategy="forward-mode"
    ),
}
PUSHES: dict[str, Callable[[Function, Tensor, Tensor], Any]] = {
    "jvp": lambda f, x, along: torch.func.jvp(f, (x,), (along,))[1],
    "forward mode": dual,
    "functional.jvp": lambda f, x, along: torch.autograd.functional.jvp(f, x, along)[1],
}
PULLS: dict[str, Callable[[Function, Tensor, Tensor], Any]] = {
    "vjp": lambda f, x, back: torch.func.vjp(f, x)[1](back)[0],
    "grad": lambda f, x, back: torch.func.grad(lambda z: (f(z) * back).sum())(x),
    "functional.vjp": lambda f, x, back: torch.autograd.functional.vjp(f, x, back)[1],
}
CALLS: dict[str, Callable[[gatework.Recurrent], Function]] = {
    "plain": lambda layer: lambda x: whole(layer(x)),
    "lengths": lambda layer: lambda x: whole(layer(x, lengths=torch.tensor(LENGTHS))),
    "list of lengths": lambda layer: lambda x: whole(layer(x, lengths=LENGTHS)),
    "reset": lambda layer: lambda x: whole(layer(x, reset=torch.arange(T * B).view(T, B) % 3 == 0)),
    "reset and lengths": lambda layer: (
        lambda x: whole(layer(x, reset=(torch.arange(T * B).view(T, B) % 3 == 0).double(), lengths=LENGTHS))
    ),
    "one sequence": lambda layer: lambda x: whole(layer(x[:, 0])),
    "changed in place": lambda layer: lambda x: whole((layer(x)[0].mul_(2), layer(x)[1][0].tanh_())),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "one layer": {},
    "two layers, both ways": {"num_layers": 2, "bidirectional": True},
}


@pytest.mark.parametrize("form", OPTIONS)
@pytest.mark.parametrize("call", CALLS)
def test_every_kind_of_jacobian(call: str, form: str) -> None:
    function, x = CALLS[call](made("lstm", **OPTIONS[form])), rows((T, B, I))
    expected = jacobian(function, x)
    assert expected.abs().max() > 0.01
    for name, way in JACOBIANS.items():
        assert_close(way(function, x), expected, msg=lambda m, name=name: f"{name}: {m}")
    along, back = rows(x.shape, 2), rows((len(expected),), 3)
    for name, push in PUSHES.items():
        pushed = (expected * along).flatten(1).sum(1)
        assert_close(push(function, x, along), pushed, msg=lambda m, name=name: f"{name}: {m}")
    for name, pull in PULLS.items():
        pulled = torch.einsum("v,v...->...", back, expected)
        assert_close(pull(function, x, back), pulled, msg=lambda m, name=name: f"{name}: {m}")


@settings(max_examples=25)
@given(
    cell=st.sampled_from(CELLS),
    options=st.fixed_dictionaries(
        {
            "num_layers": st.integers(1, 2),
            "bidirectional": st.booleans(),
            "learn_initial_state": st.booleans(),
            "bias": st.booleans(),
        }
    ),
    call=st.sampled_from(list(CALLS)),
    way=st.sampled_from(list(JACOBIANS)),
)
def test_jacobians_of_any_layer(cell: str, options: dict[str, Any], call: str, way: str) -> None:
    function, x = CALLS[call](made(cell, **options)), rows((T, B, I))
    assert_close(JACOBIANS[way](function, x), jacobian(function, x))


@pytest.mark.parametrize("call", ["plain", "lengths", "reset"])
def test_hessians(call: str) -> None:
    function, x = CALLS[call](made("gru", bidirectional=True)), rows((T, B, I))
    total = lambda z: (function(z) ** 3).sum()  # noqa: E731
    expected = jacobian(lambda z: torch.autograd.grad(total(z), z, create_graph=True)[0].reshape(-1), x)
    expected = expected.view(*x.shape, *x.shape)
    assert_close(torch.func.hessian(total)(x), expected)
    assert_close(torch.func.jacrev(torch.func.grad(total))(x), expected)
    for vectorize in (False, True):
        assert_close(torch.autograd.functional.hessian(total, x, vectorize=vectorize), expected)
    assert torch.autograd.gradcheck(function, x.requires_grad_())
    assert torch.autograd.gradcheck(function, x, check_batched_grad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, x, fast_mode=True)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_vmap_with_a_length_for_each(cell: str, bidirectional: bool) -> None:
    """Batches of batches, and one sequence at a time, each with lengths of its own."""
    layer = made(cell, bidirectional=bidirectional)
    x, lengths = rows((2, T, B, I)), torch.tensor([LENGTHS, [1, 1, 3]])
    run = lambda x, lengths: whole(layer(x, lengths=lengths))  # noqa: E731
    assert_close(torch.func.vmap(run)(x, lengths), torch.stack(list(map(run, x, lengths))))
    assert_close(torch.func.vmap(run, (3, 1))(x.movedim(0, 3), lengths.T), torch.stack(list(map(run, x, lengths))))
    single = torch.func.vmap(lambda x, n: layer(x[:, None], lengths=n[None])[0][:, 0], (1, 0), 1)
    assert_close(single(x[0], lengths[0]), layer(x[0], lengths=lengths[0])[0])
    nested = torch.func.vmap(single)
    assert_close(nested(x, lengths), torch.stack([layer(a, lengths=n)[0] for a, n in zip(x, lengths, strict=True)]))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_of_each_sample(cell: str, bidirectional: bool) -> None:
    """vmap(grad(...)) over functional_call, with the lengths of each sample, beside a loop over the samples."""
    layer, x, lengths = made(cell, bidirectional=bidirectional), rows((B, T, I)), torch.tensor([2, 3, 1])
    params = dict(layer.named_parameters())

    def loss(params: Mapping[str, Tensor], x: Tensor, n: Tensor) -> Tensor:
        return (
            whole(torch.func.functional_call(layer, dict(params), (x[:, None],), {"lengths": n[None]})).square().sum()
        )

    found = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(params, x, lengths)
    for b in range(B):
        expected = torch.autograd.grad(loss(params, x[b], lengths[b]), list(params.values()), allow_unused=True)
        for name, gradient in zip(params, expected, strict=True):
            assert_close(found[name][b], torch.zeros_like(params[name]) if gradient is None else gradient)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_gradients_of_each_sample_as_torch_takes_them(name: str) -> None:
    for options in ({}, {"batch_first": True, "bidirectional": True}):
        layer = getattr(gatework, name)(I, H, dtype=torch.float64, **options)
        model, x = nn.ModuleList([layer]), rows((B, T, I))
        x = x if options else x.transpose(0, 1)
        first = bool(options)
        sampled = call_for_per_sample_grads(model[0], batch_size=B, loss_reduction="sum", batch_first=first)
        sampled(x)[0].square().sum().backward()
        for b in range(B):
            sample = x[b : b + 1] if first else x[:, b : b + 1]
            expected = torch.autograd.grad(layer(sample)[0].square().sum(), list(layer.parameters()))
            assert_close(tuple(p.grad_sample[b] for p in layer.parameters()), expected)
    with pytest.raises(LayerError, match="vmap"):
        call_for_per_sample_grads(made("mgu", batch_first=True))(rows((B, T, I)))


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_batched_gradients_of_packed_sequences(name: str) -> None:
    ours, theirs = (getattr(module, name)(I, H, bidirectional=True, dtype=torch.float64) for module in (gatework, nn))
    theirs.load_state_dict(ours.state_dict())

    def run(layer: nn.Module) -> Function:
        def padded(x: Tensor) -> Tensor:
            packed = pack_padded_sequence(x, torch.tensor([2, 3, 1]), enforce_sorted=False)
            return pad_packed_sequence(layer(packed)[0])[0]

        return padded

    for vectorize in (False, True):
        found, expected = (
            torch.autograd.functional.jacobian(run(layer), rows((T, B, I)), vectorize=vectorize)
            for layer in (ours, theirs)
        )
        assert_close(found, expected)
    sizes = pack_padded_sequence(rows((T, B, I)), torch.tensor([3, 2, 1])).batch_sizes
    packed: Function = lambda data: ours(PackedSequence(data, sizes))[0].data.reshape(-1)  # noqa: E731
    data = rows((6, I))
    assert_close(torch.func.jacrev(packed)(data), jacobian(packed, data))
    assert_close(torch.func.vmap(packed)(torch.stack([data, -data])), torch.stack([packed(data), packed(-data)]))


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")  # of torch.fx
def test_linearize() -> None:
    function, x, along = CALLS["lengths"](made("gru")), rows((T, B, I)), rows((T, B, I), 2)
    value, push = torch.func.linearize(function, x)
    assert_close(value, function(x).detach())
    assert_close(push(along), torch.func.jvp(function, (x,), (along,))[1])


def test_weights_have_batched_gradients_too() -> None:
    layer, x = made("lstm", num_layers=2, bidirectional=True), rows((T, B, I))
    values, params = whole(layer(x)), list(layer.parameters())
    many = torch.eye(len(values), dtype=x.dtype)[::5]
    found = torch.autograd.grad(values, params, many, is_grads_batched=True, retain_graph=True)
    each = [torch.autograd.grad(values, params, v, retain_graph=True) for v in many]
    assert_close(found, tuple(torch.stack(same) for same in zip(*each, strict=True)))


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "RNNCell"])
def test_steps_know_transforms_and_forward_mode(name: str) -> None:
    cell = getattr(gatework, name)(I, H).double()
    x = rows((20, I))
    function = lambda z: whole((cell(z)[0], ())) if name == "LSTMCell" else cell(z).reshape(-1)  # noqa: E731
    expected = jacobian(function, x)
    for way in ("jacrev", "jacfwd", "is_grads_batched", "vmap of autograd.grad"):
        assert_close(JACOBIANS[way](function, x), expected)
    along = rows(x.shape, 2)
    assert_close(dual(function, x, along), (expected * along).flatten(1).sum(1))


def test_lengths_are_checked_inside_transforms() -> None:
    layer, x = made("gru"), rows((2, T, B, I))
    run = torch.func.vmap(lambda x, n: layer(x, lengths=n)[0])
    with pytest.raises(LayerError, match=r"lengths\[1, 2\] is 5; a length lies between 0 and the input's 3 steps"):
        run(x, torch.tensor([LENGTHS, [1, 1, 5]]))
    with pytest.raises(LayerError, match=r"shape \(3,\); got shape \(2,\)"):
        run(x, torch.ones(2, 2, dtype=torch.int64))
    with pytest.raises(LayerError, match="must be integers"):
        torch.func.grad(lambda x: layer(x, lengths=[1.5, 2, 3])[0].sum())(x[0])
    with pytest.raises(LayerError, match="it holds 2"):
        torch.func.vmap(lambda x, r: layer(x, reset=r)[0])(x, torch.full((2, T, B), 2.0))
