"""The layers inside torch's own machinery: compile, functional calls, autocast, checkpointing, DDP, a training."""

from __future__ import annotations

import gc
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

import gatework
from gatework.errors import OptionError
from gatework.layers.binding import known
from gatework.layers.errors import LayerError

D = torch.float64
KINDS = ["LSTM", "GRU", "RNN"]


def made(kind: str = "LSTM", **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return getattr(gatework, kind)(3, 4, **{"num_layers": 2, "bidirectional": True, "dtype": D, **options})


def loss_of(result: Any) -> Tensor:
    output, states = result[:2]
    states = states if isinstance(states, tuple) else (states,)
    return output.square().sum() + sum((s * 0.3).sin().sum() for s in states)


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(5, 3, 3, dtype=D)


@pytest.mark.parametrize("kind", KINDS)
def test_the_operator_keeps_torchs_rules(kind: str, x: Tensor) -> None:
    """torch.library.opcheck: schema, fake, autograd registration, dynamic shapes."""
    layer = made(kind)
    binding, params = layer.binding(0), layer._params(1)
    starts = [torch.randn(3, 4, dtype=D, requires_grad=True) for _ in binding.states]
    tensors = [x.reshape(15, 3).clone().requires_grad_(), *starts, *params]
    for lengths in (None, torch.tensor([5, 0, 2])):
        args = (binding.key, 5, 3, True, True, lengths, "", tensors)
        torch.library.opcheck(torch.ops.gatework.recurrence.default, args)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_as_one_graph(kind: str, dynamic: bool, x: Tensor) -> None:
    torch.compiler.reset()
    layer = made(kind)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for data in (x, torch.cat([x, x])) if dynamic else (x,):
        wanted = [*layer.parameters(), data.requires_grad_()]
        expected, found = layer(data), compiled(data)
        assert_close(found, expected, check_stride=False)
        assert_close(
            torch.autograd.grad(loss_of(found), wanted),
            torch.autograd.grad(loss_of(expected), wanted),
            check_stride=False,
        )


@pytest.mark.filterwarnings("ignore")
def test_compiles_with_lengths_resets_and_masks(x: Tensor) -> None:
    torch.compiler.reset()
    layer = made(batch_first=True, recurrent_dropout=0.3, zoneout=0.1, dropout=0.2, learn_initial_state=True)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    lengths, reset = torch.tensor([2, 0, 3, 1, 3]), torch.rand(5, 3) < 0.4
    for mode in (False, True):
        layer.train(mode)
        torch.manual_seed(2)
        found = compiled(x, lengths=lengths, reset=reset)
        if not mode:
            assert_close(found, layer(x, lengths=lengths, reset=reset), check_stride=False)
        assert not found[0][1].any()
        grads = torch.autograd.grad(loss_of(found), list(layer.parameters()))
        assert all(g.isfinite().all() for g in grads)


def test_the_operator_runs_on_a_living_layers_own_kernels() -> None:
    layer = gatework.LSTM(3, 47)
    key = layer.binding(0).key
    assert known(key) is layer.binding(0)
    del layer
    gc.collect()
    assert known(key) is known(key)


def test_functional_call_and_function_transforms(x: Tensor) -> None:
    layer = made()
    other = {name: p.detach() + 0.1 for name, p in layer.named_parameters()}
    found = torch.func.functional_call(layer, other, (x,))
    twin = made()
    twin.load_state_dict(other)
    assert_close(found, twin(x))
    grads = torch.func.grad(lambda p: loss_of(torch.func.functional_call(layer, p, (x,))))(other)
    expected = torch.autograd.grad(loss_of(twin(x)), list(twin.parameters()))
    assert_close(tuple(grads[n] for n, _ in twin.named_parameters()), expected)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_forward_mode_keeps_tangents(frozen: bool, grad: bool, x: Tensor) -> None:
    layer = gatework.LSTM(x.shape[2], 4, bidirectional=True).double().requires_grad_(not frozen)
    x, along = x.detach().double(), torch.randn(x.shape, dtype=torch.float64)
    with torch.set_grad_enabled(grad), forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, along))[0]).tangent
    step = 1e-6
    assert_close(tangent, (layer(x + step * along)[0] - layer(x - step * along)[0]) / (2 * step), atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tracing_is_refused(grad: bool, x: Tensor) -> None:
    words = r"torch\.jit\.trace\(gatework\.layers\.to_torch\(model\)\)"
    with torch.set_grad_enabled(grad), pytest.raises(LayerError, match=words):
        torch.jit.trace(gatework.LSTM(x.shape[2], 4), x.detach())


def test_vmap_over_torchs_layers(x: Tensor) -> None:
    layer, xs = gatework.LSTM(x.shape[2], 4, dtype=x.dtype), torch.stack([x.detach(), 2 * x.detach()])
    found = torch.vmap(lambda each: layer(each)[0])(xs)
    assert_close(found, torch.stack([layer(each)[0] for each in xs]))


def test_gradients_in_evaluation_and_frozen_parts(x: Tensor) -> None:
    layer = made().eval()
    x.requires_grad_()
    full = torch.autograd.grad(loss_of(layer(x)), [x, *layer.parameters()])
    layer.weight_hh_l0.requires_grad_(False)
    rest = [p for p in layer.parameters() if p.requires_grad]
    assert_close(
        torch.autograd.grad(loss_of(layer(x)), rest),
        tuple(g for g, p in zip(full[1:], layer.parameters(), strict=True) if p.requires_grad),
    )
    for p in layer.parameters():
        p.requires_grad_(False)
    assert_close(torch.autograd.grad(loss_of(layer(x)), x)[0], full[0])
    with torch.no_grad():
        assert not layer(x)[0].requires_grad
    with torch.inference_mode():
        assert_close(layer(x)[0], made().eval()(x)[0].detach())


def test_second_derivatives_through_weights_that_depend_on_the_input(x: Tensor) -> None:
    """One input of the operator is made from another: neither may be counted twice."""
    layer = gatework.RNN(3, 3, dtype=D)

    def call(v: Tensor) -> Tensor:
        own = dict(layer.named_parameters()) | {"weight_ih_l0": layer.weight_ih_l0 * v.mean()}
        return torch.func.functional_call(layer, own, (v,))[0]

    v = x[:2, :1].clone().requires_grad_()
    assert torch.autograd.gradcheck(call, v)
    assert torch.autograd.gradgradcheck(call, v)


@pytest.mark.parametrize("layer_of", [gatework.LSTM, gatework.GRU, nn.LSTM])
def test_autocast_computes_in_bfloat16(layer_of: type, x: Tensor) -> None:
    """What comes out is of torch.nn.LSTM's types; the numbers are those of products in bfloat16 in float32 states."""
    layer, x = layer_of(x.shape[-1], 8, 2), x.float()
    full = layer(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        for given in (x, x.bfloat16()):
            output, states = layer(given)
            last = states if isinstance(states, Tensor) else states[-1]
            assert output.dtype == last.dtype == torch.bfloat16
            assert 0 < (output.float() - full).abs().max() < 0.02
    output.float().sum().backward()
    assert layer.weight_ih_l0.grad.dtype == torch.float32 and layer.weight_ih_l0.grad.abs().max() > 0
    with torch.autocast("cpu", torch.bfloat16, enabled=False):
        assert torch.equal(layer(x)[0], full)


def test_autocast_leaves_float64_and_asks_for_bfloat16_alone(x: Tensor) -> None:
    layer = made()
    expected = layer(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x)[0], expected)
    narrow, x = made(dtype=torch.float32), x.float()
    with torch.autocast("cpu", torch.float16):
        assert "autocast does not reach" in narrow.describe()
        assert torch.equal(narrow(x)[0], narrow.eval()(x)[0])
        half = narrow(x.half())
        assert half[0].dtype == half[1][0].dtype == torch.float16


def test_precision_is_that_of_autocast_with_float32_around_it(x: Tensor) -> None:
    layer, x = made(dtype=torch.float32, precision="bf16"), x.float()
    output, (h, _) = layer(x)
    assert output.dtype == h.dtype == torch.float32 and "precision=bf16" in repr(layer)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(output.bfloat16(), layer(x)[0])
        assert "bf16 products" in layer.describe()
    plain = made(dtype=torch.float32)
    assert torch.equal(layer.eval()(x)[0], plain(x)[0]) and not torch.equal(output, plain(x)[0])
    with pytest.raises(OptionError, match="precision is 'bf16', or None"):
        layer.precision = "int8"
    with pytest.raises(OptionError, match="not of float64"):
        made(precision="bf16")(x.double())


def test_narrow_parameters_are_float32_inside(x: Tensor) -> None:
    x = x.float()
    narrow = made(dtype=torch.bfloat16)
    output = narrow(x.bfloat16())[0]
    output.sum().backward()
    assert output.dtype == narrow.weight_ih_l0.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing(reentrant: bool, x: Tensor) -> None:
    layer = made(dropout=0.3, recurrent_dropout=0.2)
    x.requires_grad_()
    torch.manual_seed(4)
    expected = torch.autograd.grad(loss_of(layer(x)), list(layer.parameters()))
    torch.manual_seed(4)
    output, h, c = checkpoint(lambda v: (lambda y, s: (y, *s))(*layer(v)), x, use_reentrant=reentrant)
    loss_of((output, (h, c))).backward()
    assert_close(tuple(p.grad for p in layer.parameters()), expected)


def test_checkpointing_keeps_nothing_of_the_kernels(x: Tensor) -> None:
    """All that the way back needs is saved where saved-tensor hooks see it."""
    layer, seen = made(num_layers=1, bidirectional=False), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: seen.append(t.numel()) or t, lambda t: t):
        output = layer(x)[0]
    holders = vars(output.grad_fn) if hasattr(output.grad_fn, "__dict__") else {}
    assert not any(isinstance(v, Tensor) for v in holders.values())
    assert len(seen) >= len(list(layer.parameters())) + 1


def _replica(rank: int, port: int, path: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    torch.set_num_threads(1)
    model = nn.parallel.DistributedDataParallel(made())
    torch.manual_seed(1)
    data = torch.randn(5, 4, 3, dtype=D)[:, 2 * rank : 2 * rank + 2]
    model(data)[0].square().mean().backward()
    if rank == 0:
        torch.save([p.grad for p in model.parameters()], path)
    torch.distributed.barrier()  # gloo aborts where one process leaves while the other still talks
    torch.distributed.destroy_process_group()


def test_distributed_data_parallel_gives_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    replicas = torch.multiprocessing.spawn(_replica, (port, str(tmp_path / "grads")), nprocs=2, join=False)
    try:
        assert any(replicas.join(timeout=60) for _ in replicas.processes)  # a call returns when one of them has ended
    finally:
        for process in replicas.processes:
            process.kill()
    grads = torch.load(tmp_path / "grads", weights_only=True)
    layer = made()
    torch.manual_seed(1)
    layer(torch.randn(5, 4, 3, dtype=D))[0].square().mean().backward()
    for grad, p in zip(grads, layer.parameters(), strict=True):
        assert_close(grad, p.grad)


def curve(rnn: type[nn.Module], steps: int) -> Tensor:
    """Losses of a small training: was the first symbol seen again? (B, T) of 8 symbols, 32 units."""
    torch.manual_seed(0)
    embed, layer, out = nn.Embedding(8, 16), rnn(16, 32, batch_first=True), nn.Linear(32, 8)
    parameters = [*embed.parameters(), *layer.parameters(), *out.parameters()]
    optimiser = torch.optim.Adam(parameters, 5e-3)
    losses = []
    for _ in range(steps):
        symbols = torch.randint(8, (16, 12))
        logits = out(layer(embed(symbols))[0])
        loss = nn.functional.cross_entropy(logits[:, 2:].reshape(-1, 8), symbols[:, :-2].reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def test_a_training_runs_along_torchs() -> None:
    theirs, ours = curve(nn.LSTM, 300), curve(gatework.LSTM, 300)
    assert theirs[-1] < 0.5 * theirs[0], "the task is not learned, so the curves say nothing"
    assert (theirs - ours).abs().max() < 0.01
    assert_close(ours[:50], theirs[:50], rtol=1e-4, atol=1e-4)
