"""Who we are measured against, where installed: torch.nn, ONNX Runtime and JAX on the same arrays and threads."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.backends import layouts
from gatework.bench.case import Case
from gatework.bench.settings import processors

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn.utils.rnn import PackedSequence

TWINS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}


def installed(name: str) -> bool:
    """Can it be imported?"""
    return importlib.util.find_spec(name) is not None


def peers_of(case: Case, threads: int, names: tuple[str, ...]) -> dict[str, Any]:
    """The peers that have this cell, ready to run; all but ONNX Runtime have `both()` too."""
    makers = {"torch": Torch, "onnxruntime": Onnx, "jax": Jax}
    return {n: makers[n](case, threads) for n in names if installed(n) and makers[n].has(case, threads)}


def use_threads(count: int) -> None:
    """For torch and for our kernels."""
    from gatework import runtime

    runtime.set_threads(count)
    if installed("torch"):
        import torch

        torch.set_num_threads(count)


class Torch:
    """torch.nn's layer; with lengths, on a PackedSequence."""

    def __init__(self, case: Case, threads: int):
        import torch

        self.torch, self.case = torch, case
        kind = getattr(torch.nn, TWINS[case.graph.name])
        self.layer = kind(case.shape.I, case.shape.H, dtype=getattr(torch, case.dtype))
        arrays = layouts.to_torch(case.graph.name, case.weights)
        self.layer.load_state_dict({f"{name}_l0": torch.from_numpy(array) for name, array in arrays.items()})
        self.leaf = torch.from_numpy(case.inputs["x"]).clone().requires_grad_()
        shaped = self.leaf if case.lengths is not None else self.leaf.view(case.shape.T, case.shape.B, -1)
        self.input = self.wrapped(shaped)
        self.still = self.wrapped(shaped.detach())
        self.gradient = torch.from_numpy(case.gradient)

    @staticmethod
    def has(case: Case, threads: int) -> bool:
        return case.graph.name in TWINS

    def wrapped(self, values: Tensor) -> Tensor | PackedSequence:
        if self.case.lengths is None:
            return values
        counts = self.torch.from_numpy(self.case.rows.counts.copy())
        return self.torch.nn.utils.rnn.PackedSequence(values, counts)

    def flat(self, output: Tensor | PackedSequence) -> Tensor:
        values = output.data if isinstance(output, tuple) else output
        return values.reshape(self.gradient.shape)

    def forward(self) -> Tensor | PackedSequence:
        with self.torch.inference_mode():
            return self.layer(self.still)[0]

    def both(self) -> object:
        output = self.flat(self.layer(self.input)[0])
        return self.torch.autograd.grad(output, [self.leaf, *self.layer.parameters()], self.gradient)

    def output(self) -> np.ndarray:
        return self.flat(self.forward()).numpy()


class Onnx:
    """ONNX Runtime's LSTM, GRU or RNN on the CPU, its arrays bound before."""

    def __init__(self, case: Case, threads: int):
        self.session = onnx_session(model(case), threads)
        self.bound, self.input = self.session.io_binding(), ort_value(np.ascontiguousarray(case.padded))
        self.target = ort_value(np.empty((case.shape.T, 1, case.shape.B, case.shape.H), case.dtype))
        self.bound.bind_ortvalue_input("X", self.input)
        self.bound.bind_ortvalue_output("Y", self.target)

    @staticmethod
    def has(case: Case, threads: int) -> bool:
        return installed("onnx") and case.graph.name in TWINS and case.lengths is None and case.dtype == "float32"

    def forward(self) -> object:
        self.session.run_with_iobinding(self.bound)

    def output(self) -> np.ndarray:
        self.forward()
        return self.target.numpy()


def onnx_session(file: bytes, threads: int) -> Any:
    """A session whose threads do not spin after a run: those who come next would find their processor taken."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def ort_value(array: np.ndarray) -> Any:
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def model(case: Case, state: bool = False) -> bytes:
    """An ONNX file with one layer. `state`: the states go in and come out (h0, c0, Y_h, Y_c)."""
    from onnx import TensorProto, helper, numpy_helper

    name, shape = case.graph.name, case.shape
    arrays = dict(zip("WRB", layouts.to_onnx(name, case.weights), strict=True))
    constants = [numpy_helper.from_array(a[None], key) for key, a in arrays.items()]
    extra: dict[str, Any] = {"gru": {"linear_before_reset": 1}}.get(name, {})
    starts, ends = (["h0", "c0"], ["Y_h", "Y_c"]) if state else ([], [])
    inputs = ["X", "W", "R", "B", *(["", *starts] if state else [])]
    outputs = ["", *ends] if state else ["Y"]
    node = helper.make_node(TWINS[name], inputs, outputs, hidden_size=shape.H, **extra)
    sizes = {"X": [shape.T, shape.B, shape.I], "Y": [shape.T, 1, shape.B, shape.H]}
    given = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, sizes.get(n, [1, shape.B, shape.H]))
        for n in ["X", *starts, *[o for o in outputs if o]]
    ]
    graph = helper.make_graph([node], "layer", given[: 1 + len(starts)], given[1 + len(starts) :], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    return made.SerializeToString()


class Jax:
    """The LSTM as a scan, compiled by XLA. Its number of threads is fixed when it starts: all processors, or one if the
    environment says so (XLA_FLAGS=--xla_cpu_multi_thread_eigen=false)."""

    def __init__(self, case: Case, threads: int):
        jax, jnp = importlib.import_module("jax"), importlib.import_module("jax.numpy")
        self.jax, self.case = jax, case
        arrays = layouts.to_torch(case.graph.name, case.weights)
        self.weights = {name: jnp.asarray(a) for name, a in arrays.items()}
        self.input, self.gradient = jnp.asarray(case.padded), jnp.asarray(case.padded_gradient)
        self.run = jax.jit(jax_lstm)
        self.grads = jax.jit(jax.grad(lambda w, x, g: (jax_lstm(w, x) * g).sum(), argnums=(0, 1)))

    @staticmethod
    def has(case: Case, threads: int) -> bool:
        alone = "xla_cpu_multi_thread_eigen=false" in os.environ.get("XLA_FLAGS", "")
        fits = threads == (1 if alone else processors())
        return fits and case.graph.name == "lstm" and case.lengths is None and case.dtype == "float32"

    def forward(self) -> object:
        return self.run(self.weights, self.input).block_until_ready()

    def both(self) -> object:
        return self.jax.block_until_ready(self.grads(self.weights, self.input, self.gradient))

    def output(self) -> np.ndarray:
        return np.asarray(self.forward())


def jax_lstm(w: Mapping[str, Any], x: Any) -> Any:
    """torch's weights, (T, B, I) to (T, B, H); the input's product outside the scan, as one writes it for speed."""
    jax, jnp = importlib.import_module("jax"), importlib.import_module("jax.numpy")

    def step(state: Any, below: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(below + h @ w["weight_hh"].T, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros((x.shape[1], w["weight_hh"].shape[1]), x.dtype)
    below = x @ w["weight_ih"].T + w["bias_ih"] + w["bias_hh"]
    return jax.lax.scan(step, (start, start), below)[1]


def after_product(threads: int) -> Callable[[], object] | None:
    """A matrix product of torch's, to run just before what is timed: its threads then still spin."""
    if threads == 1 or not installed("torch"):
        return None
    import torch

    a = torch.ones(256, 256)
    return lambda: torch.mm(a, a)
