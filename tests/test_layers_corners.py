"""What a layer does when it is treated in unusual ways: options changed later, forks in mid-call, odd arguments."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrizations
from torch.testing import assert_close

import gatework
from gatework.errors import DataError, OptionError
from gatework.layers import from_torch, to_torch
from gatework.layers.errors import LayerError
from gatework.runtime.llvm import launch

I, H = 5, 7


def differs(layer: Any, x: torch.Tensor, name: str, value: Any) -> bool:
    """Whether setting an option between two calls changes the result."""
    before = layer(x)[0]
    setattr(layer, name, value)
    return not torch.equal(before, layer(x)[0])


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(("name", "value"), [("dropout", 0.9), ("recurrent_dropout", 0.9), ("zoneout", 0.5)])
def test_an_option_that_is_changed_later_acts(name: str, value: Any, grad: bool) -> None:
    with torch.set_grad_enabled(grad):
        assert differs(gatework.LSTM(I, H, 2), torch.randn(10, 2, I), name, value)


def test_a_rate_of_zoneout_that_is_changed_later_acts_in_evaluation() -> None:
    layer, x = gatework.LSTM(I, H, zoneout=0.1).eval(), torch.randn(10, 2, I)
    assert differs(layer, x, "zoneout", {"h": 0.5})
    again = gatework.LSTM(I, H, zoneout={"h": 0.5}).eval()
    again.load_state_dict(layer.state_dict())
    assert_close(again(x)[0], layer(x)[0])


def test_batch_first_changed_later_acts() -> None:
    layer, x = gatework.LSTM(I, H), torch.randn(4, 3, I)
    with torch.no_grad():
        layer(x)
        layer.batch_first = True
        turned = layer(x)[0]
    layer.batch_first = False
    assert_close(turned, layer(x.transpose(0, 1))[0].transpose(0, 1))


def test_an_odd_zoneout_is_refused_later_too() -> None:
    layer = gatework.LSTM(I, H)
    with pytest.raises(OptionError, match="zoneout names the state 'z'"):
        layer.zoneout = {"z": 0.5}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_while_another_thread_is_in_a_call() -> None:
    """Workers of a DataLoader start while a thread computes; the thread's lock has no owner in the child."""
    layer, x, stop = gatework.LSTM(8, 128), torch.randn(50, 32, 8), threading.Event()

    def compute() -> None:
        with torch.no_grad():
            while not stop.is_set():
                layer(x)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        assert [forked(layer, x) for _ in range(8)] == [0] * 8
    finally:
        stop.set()
        thread.join()


def forked(layer: Any, x: torch.Tensor) -> int | None:
    """The exit status of a child that calls the layer; None if it hangs."""
    time.sleep(0.013)
    pid = os.fork()
    if pid == 0:
        with torch.no_grad():
            layer(x)
        os._exit(0)
    for _ in range(1000):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return None


def test_kernels_go_with_their_layer() -> None:
    layer = gatework.LSTM(I, 9)
    layer(torch.randn(3, 2, I))[0].sum().backward()
    binding = weakref.ref(layer.binding(0))
    del layer
    gc.collect()
    assert binding() is None


def test_memory_goes_with_its_layer() -> None:
    layer = gatework.LSTM(I, 9)
    layer(torch.randn(3, 2, I))[0].sum().backward()
    program = weakref.ref(layer.binding(0).program(torch.float32))
    assert program() is gatework.runtime.program(layer.graph, layer.layer_sizes(0), "float32")
    del layer
    gc.collect()
    assert program() is None


def test_weights_are_packed_once_for_all_shapes() -> None:
    layer = gatework.LSTM(I, 9)
    binding, program = layer.binding(0), layer.binding(0).program(torch.float32)
    for steps in range(1, 12):
        x = torch.randn(steps, 3, I)
        with torch.no_grad():
            layer(x)
        layer(x, lengths=torch.tensor([steps, 1, 1]))[0].sum().backward()
    assert len(program.scripts) > 20
    assert len(binding.kept) == 1, "a copy of the weights for every shape"
    assert len(program.shared.memory.packed) <= 4, "packed weights for every shape"


def test_layers_of_one_shape_and_both_directions_keep_their_weights_packed() -> None:
    layer = gatework.LSTM(9, 9, num_layers=3).eval()
    with torch.no_grad():
        for steps in (2, 3, 2, 3):
            layer(torch.randn(steps, 1, 9))
    stacks = list(layer._stacks.values())
    kept = {id(run.kept): run.kept for stack in stacks for run in stack.runs}
    assert len(stacks) == 2 and len(kept) == 3
    assert all(k.ready for k in kept.values()), "layers pack over each other's weights"


@pytest.mark.parametrize("grad", [True, False])
def test_working_memory_that_grows_leaves_nothing_behind(grad: bool) -> None:
    layer, short, long = gatework.LSTM(I, 10 + grad), torch.randn(4, 2, I), torch.randn(40, 2, I)
    program = layer.binding(0).program(torch.float32)
    with torch.set_grad_enabled(grad):
        want = layer(short)[0]
        old = weakref.ref(program.shared.memory.buffers["hoisted:0"])
        layer(long)
        assert old() is None
        assert torch.equal(layer(short)[0], want), "a prepared call writes where its memory was"


@pytest.mark.parametrize("grad", [True, False])
def test_very_large_working_memory_is_given_back(grad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "BUFFER_BYTES", 60_000)
    layer, x = gatework.LSTM(I, 12 + grad), torch.randn(400, 2, I)
    program = layer.binding(0).program(torch.float32)
    with torch.set_grad_enabled(grad):
        first = layer(x)[0]
        assert not program.shared.memory.buffers
        assert torch.equal(layer(x)[0], first) and torch.equal(layer(x[:2])[0], first[:2])
        assert program.shared.memory.buffers, "small memory is given back too"


def test_options_changed_later_act_on_other_devices_too() -> None:
    layer, x = gatework.LSTM(I, H, device="meta"), torch.zeros(6, 2, I, device="meta")
    assert layer(x)[1][0].shape == (1, 2, H)
    layer.batch_first = True
    assert layer(x)[1][0].shape == (1, 6, H)


@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout", "weight_drop"])
@pytest.mark.parametrize("value", [True, "0.5", -0.1, 1.5, float("nan"), None])
def test_what_is_no_rate_is_refused_at_once_and_later(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{name} is a probability between 0 and 1; got"):
        gatework.Recurrent("lstm", I, H, **{name: value})
    layer = gatework.LSTM(I, H)
    with pytest.raises(OptionError, match=f"{name} is a probability"):
        setattr(layer, name, value)
    assert getattr(layer, name) == 0


def test_zoneout_is_set_as_a_whole() -> None:
    layer = gatework.LSTM(I, H, zoneout={"h": 0.1})
    with pytest.raises(TypeError, match="does not support item assignment"):
        layer.zoneout["h"] = 0.9
    with pytest.raises(OptionError, match="zoneout of h is a probability"):
        layer.zoneout = 1.5
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert again.zoneout == {"h": 0.1} and "zoneout={'h': 0.1}" in repr(again)


@pytest.mark.parametrize("grad", [True, False])
def test_tensors_that_are_stored_negated(grad: bool) -> None:
    layer, x, h = gatework.LSTM(I, H, bidirectional=True), torch.randn(3, 2, I), torch.randn(2, 2, H)
    minus = torch._neg_view
    with torch.set_grad_enabled(grad):
        want = layer(-x, (-h, -h))[0]
        assert torch.equal(layer(minus(x), (-h, -h))[0], want)
        assert torch.equal(layer(-x, (minus(h), -h))[0], want)
        with torch.no_grad():
            for p in list(layer.parameters()):
                p.neg_()
            want = layer(x)[0]
            for name, p in list(layer.named_parameters()):
                setattr(layer, name, torch.nn.Parameter(minus(p.detach().neg())))
        assert torch.equal(layer(x)[0], want)


def test_gradients_that_are_stored_negated() -> None:
    layer, x = gatework.LSTM(I, H), torch.randn(3, 2, I, requires_grad=True)
    g = torch.randn(3, 2, H)
    (want,) = torch.autograd.grad(layer(x)[0], x, -g)
    (got,) = torch.autograd.grad(layer(x)[0], x, torch._neg_view(g))
    assert torch.equal(got, want)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested:UserWarning")
def test_nested_tensors_are_refused(grad: bool) -> None:
    x = torch.nested.nested_tensor([torch.zeros(3, I), torch.zeros(2, I)])
    with torch.set_grad_enabled(grad), pytest.raises(LayerError, match="nested tensor; give a padded one with lengths"):
        gatework.LSTM(I, H)(x)


@pytest.mark.parametrize("options", [
    {"layer_norm": "gate"}, {"layer_norm": {"off": 1}}, {"recurrent_dropout_per": "gate"}, {"sizes": {"Q": 3}},
    {"num_layers": "2"}, {"num_layers": 0},
])  # fmt: skip
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options)).replace("sizes", "size")):
        gatework.Recurrent("lstm", I, H, **options)


@pytest.mark.parametrize("x", [[[1.0] * I], np.zeros((3, 2, I), np.float32), None])
def test_an_input_that_is_no_tensor_is_refused(x: Any) -> None:
    with pytest.raises(LayerError, match="input must be a tensor or PackedSequence, not"):
        gatework.LSTM(I, H)(x)


def test_states_of_another_type_or_name_are_refused() -> None:
    x, h = torch.randn(3, 2, I), torch.zeros(1, 2, H)
    with pytest.raises(LayerError, match=r"state h is torch.float64, the layer torch.float32"):
        gatework.LSTM(I, H)(x, (h.double(), h.double()))
    for states in ({"h": h}, {"h": h, "c": h, "z": h}):
        with pytest.raises(LayerError, match="states by name must be h, c; got"):
            gatework.Recurrent("lstm", I, H)(x, states)


def test_reset_as_a_list_or_array() -> None:
    layer, x, reset = gatework.LSTM(I, H), torch.randn(3, 2, I), [[0, 0], [0, 1], [1, 0]]
    expected = layer(x, reset=torch.tensor(reset))[0]
    for given in (reset, np.array(reset, bool)):
        assert_close(layer(x, reset=given)[0], expected)


def test_two_options_for_one_bias_are_refused() -> None:
    with pytest.raises(OptionError, match="choose one of them"):
        gatework.LSTM(I, H, forget_bias=1.0, chrono=10)


@pytest.mark.parametrize("norm", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_layers_with_parametrizations(norm: Any) -> None:
    torch.manual_seed(0)
    layer, x = gatework.LSTM(I, H), torch.randn(3, 2, I)
    norm(layer, "weight_hh_l0").eval()
    plain = torch.nn.LSTM(I, H)
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            parameter.copy_(getattr(layer, name))
    want = plain(x)[0]
    assert_close(layer(x)[0], want)
    with torch.no_grad():
        assert_close(layer(x)[0], want)
    layer(x)[0].sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in layer.parameters())
    again = copy.deepcopy(layer)
    assert_close(again(x)[0], want)
    again.bias_ih_l0.data.add_(1)
    assert_close(layer(x)[0], want)
    assert not torch.equal(again(x)[0], want)


@pytest.mark.parametrize(("convert", "kind"), [(from_torch, torch.nn.GRU), (to_torch, gatework.GRU)])
def test_parametrizations_do_not_move_to_another_kind_of_layer(convert: Any, kind: Any) -> None:
    model = torch.nn.ModuleDict({"reads": parametrizations.weight_norm(kind(I, H), "weight_hh_l0")})
    with pytest.raises(OptionError, match=r"reads has parametrizations.*convert the model first"):
        convert(model)
    with pytest.raises(OptionError, match="only a torch module can be converted, not str"):
        convert("model")


@pytest.mark.parametrize("cell", ["lstm", "mgu"])
@pytest.mark.parametrize("grad", [True, False])
def test_complex_numbers_are_refused(cell: str, grad: bool) -> None:
    layer, x = gatework.Recurrent(cell, I, H, dtype=torch.complex64), torch.zeros(3, 2, I, dtype=torch.complex64)
    with torch.set_grad_enabled(grad), pytest.raises(LayerError, match=r"no recurrence in torch\.complex64"):
        layer(x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bidirectional": "no"}, "bidirectional is True or False; got 'no'"),
        ({"recompute": 2}, "recompute is True or False"),
        ({"sizes": 3}, "sizes gives numbers"),
        ({"sizes": {"H": H + 1}}, "H is hidden_size"),
        ({"forget_bias": "a"}, "forget_bias is a finite number"),
        ({"forget_bias": float("nan")}, "forget_bias is a finite number"),
        ({"chrono": "a"}, "give the longest dependency"),
        ({"chrono": float("inf")}, "give the longest dependency"),
    ],
)
def test_odd_values_of_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        gatework.Recurrent("mgu", I, H, **options)


@pytest.mark.parametrize("grad", [True, False])
def test_values_are_checked_on_every_way(grad: bool) -> None:
    layer, x = gatework.LSTM(I, H), torch.randn(4, 2, I)
    with torch.set_grad_enabled(grad):
        layer(x)
        gatework.runtime.check_finite(True)
        try:
            layer(x)
            with pytest.raises(DataError, match="input 'x' is nan"):
                layer(x.where(x > x.min(), torch.nan))
        finally:
            gatework.runtime.check_finite(False)
        layer(x.where(x > x.min(), torch.nan))


IMPORTED_ON_META = """
import torch
with torch.device("meta"):
    import gatework
    gatework.LSTM(2, 3)
layer = gatework.LSTM(2, 3)
layer(torch.ones(4, 1, 2))[0].sum().backward()
print(bool(torch.isfinite(layer.weight_ih_l0.grad).all()))
"""


def test_layers_first_imported_under_another_device_learn() -> None:
    """As a run is loaded: shapes first, on the device without memory."""
    run = subprocess.run([sys.executable, "-c", IMPORTED_ON_META], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "True", run.stderr
