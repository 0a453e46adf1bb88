"""Layers and nets as ONNX, run by ONNX Runtime, against the reference interpreter and our own runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import gatework
from cases import Case, case
from gatework import cells
from gatework.backends import reference
from gatework.compiler import wrappers
from gatework.compiler.ir import Graph
from gatework.errors import OptionError
from gatework.exporting.onnx import net_model, stack_model, write_layers
from gatework.layers.saving import entries
from gatework.runtime.exported import Exported
from gatework.runtime.net import Bound, Builder
from gatework.runtime.saved import Layer

EXACT = {"float32": 1e-5, "float64": 1e-12}


def session(model: onnx.ModelProto | Path) -> onnxruntime.InferenceSession:
    """Checked by ONNX, then ready to run on one thread."""
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def answers(ready: onnxruntime.InferenceSession, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    names = [output.name for output in ready.get_outputs()]
    return dict(zip(names, ready.run(None, dict(given)), strict=True))


def near(found: np.ndarray, wanted: np.ndarray, dtype: str = "float32") -> None:
    assert found.shape == wanted.shape
    largest = max(1.0, float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)))
    np.testing.assert_allclose(found, wanted, rtol=EXACT[dtype], atol=EXACT[dtype] * largest)


# --- layers -----------------------------------------------------------------------------------------------------------


def layer_of(graph: Graph, dtype: str, directions: int) -> Layer:
    drawn = [case(graph, seed=d) for d in range(directions)]
    weights = tuple({key: array.astype(dtype) for key, array in c.weights.items()} for c in drawn)
    return Layer(graph, drawn[0].sizes, weights, ({},) * directions, dtype)


def fed(layer: Layer, c: Case, lengths: bool, starts: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """A case as the model's inputs; what lies beyond a sequence's end is NaN."""
    given = {("x" if n == layer.data.name else n): np.array(v, layer.dtype) for n, v in c.inputs.items()}
    if lengths:
        given["lengths"] = np.array(c.lengths, np.int64)
        steps = [i.name for i in layer.graph.inputs if i.per == "step"]
        beyond = np.arange(len(given["x"]))[:, None] >= given["lengths"]
        for name in ("x", *steps[1:]):
            given[name][beyond] = np.nan
    for state in layer.graph.states if starts else ():
        given[f"start.0.{state.name}"] = np.stack([s[state.name] for s in starts]).astype(layer.dtype)
    return given


def agree(layer: Layer, c: Case, lengths: bool, states: bool, ready: onnxruntime.InferenceSession) -> None:
    """What ONNX Runtime gives is what the reference gives."""
    directions, T, B = len(layer.weights), *c.d_history[layer.graph.states[0].name].shape[:2]
    starts = [case(layer.graph, T, B, seed=9 + d).start for d in range(directions)] if states else []
    found = answers(ready, fed(layer, c, lengths, starts))
    runs = [
        reference.run(
            layer.graph, c.sizes, c.inputs, starts[d] if states else None,
            {k: v.astype(np.float64) for k, v in layer.weights[d].items()}, c.lengths if lengths else None, d == 1,
        )
        for d in range(directions)
    ]  # fmt: skip
    near(found["output"], np.concatenate([r.history[layer.graph.states[0].name] for r in runs], 2), layer.dtype)
    for state in layer.graph.states if states else ():
        near(found[f"last.0.{state.name}"], np.stack([r.final[state.name] for r in runs]), layer.dtype)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", cells.names())
def test_the_zoo(cell: str, dtype: str, directions: int) -> None:
    """T = 1 and 7, B = 1 and 3, ragged with an empty sequence, with states and without, all through one model each."""
    layer = layer_of(cells.get(cell).graph, dtype, directions)
    for lengths, states in ((False, False), (True, True)):
        ready = session(stack_model([layer], lengths=lengths, states=states))
        for T, B in ((7, 3), (1, 1)):
            agree(layer, case(layer.graph, T, B, seed=5), lengths, states, ready)


OPERATORS = {"lstm": "LSTM", "lstm_peephole": "LSTM", "gru": "GRU", "gru_reset_before": "GRU", "rnn_relu": "RNN"}


@pytest.mark.parametrize("cell", [*OPERATORS, "slstm", "mgu"])
def test_cells_are_operators_where_onnx_has_them(cell: str) -> None:
    """In float32, as ONNX Runtime has them."""
    for dtype, wanted in (("float32", OPERATORS.get(cell, "Scan")), ("float64", "Scan")):
        kinds = {n.op_type for n in stack_model([layer_of(cells.get(cell).graph, dtype, 1)]).graph.node}
        assert kinds & {"LSTM", "GRU", "RNN", "Scan"} == {wanted}


@gatework.cell(per={"bias": "sequence", "rate": "call"}, heads=True)
def odd_cell(x, gap, bias, rate, h, W):
    """All kinds of inputs, a state that every row shares at first, reductions, heads, and each operation."""
    write = gatework.log1p(gatework.exp(W.a(h, x) * 0.1) * 1e-4) + gatework.log(1.0 + gatework.abs(W.b(bias)))
    scaled = write / gatework.sqrt(gatework.sum(write * write) + 1.0) + gatework.mean(write) - gatework.max(write)
    kept = gatework.where(gap > 0.5, h, gatework.minimum(h, scaled)) * rate
    return gatework.where(W.p - 0.5 <= kept, gatework.softmax(kept), -kept) + gatework.var(write)


GRAPHS = {
    "zoneout in evaluation": lambda: gatework.LSTM(3, 4, zoneout=0.2).graph_in_evaluation(),
    "layer norm of parts": lambda: wrappers.layer_norm(cells.get("gru").graph, of="parts", over="all"),
    "clip": lambda: wrappers.clip(cells.get("lstm").graph, 0.3),
    "reset": lambda: wrappers.reset(cells.get("mgu").graph),
    "hold": lambda: wrappers.hold(cells.get("slstm").graph),
    "all kinds of inputs": lambda: odd_cell.graph,
}


@pytest.mark.parametrize("name", GRAPHS)
def test_options_and_cells_of_ones_own(name: str) -> None:
    layer = layer_of(GRAPHS[name](), "float32", 2)
    ready = session(stack_model([layer], lengths=True, states=True))
    agree(layer, case(layer.graph, 7, 3, seed=5), True, True, ready)


@pytest.mark.parametrize("cell", ["lstm", "slstm", "gru_d"])
def test_a_stream_goes_on_where_it_stopped(cell: str) -> None:
    layer = layer_of(cells.get(cell).graph, "float32", 1)
    ready, c = session(stack_model([layer], states=True)), case(layer.graph, 6, 3, seed=5)
    given = fed(layer, c, False, [c.start])
    whole, outputs = answers(ready, given), []
    for t in range(6):
        step = {n: v[t : t + 1] if not n.startswith("start") else v for n, v in given.items()}
        found = answers(ready, step)
        outputs.append(found.pop("output"))
        given |= {n.replace("last", "start", 1): v for n, v in found.items()}
    near(np.concatenate(outputs), whole["output"])


@pytest.mark.parametrize("cell", ["lstm", "rnn", "slstm", "lstm_layer_norm"])
def test_a_layer_of_layers_with_learned_starts(cell: str, tmp_path: Path) -> None:
    """Through the file, against the layer itself."""
    torch.manual_seed(0)
    layer = gatework.Recurrent(cell, 3, 4, num_layers=2, bidirectional=True, learn_initial_state=True).eval()
    for p in layer.parameters():
        torch.nn.init.uniform_(p, -0.5, 1.0)
    write_layers(layer, tmp_path / "layer.onnx", states=False)
    x, lengths = torch.randn(6, 3, 3), torch.tensor([4, 6, 0])
    with torch.no_grad():
        wanted, _ = layer(x, lengths=lengths)
    given = {"x": x.numpy(), "lengths": lengths.numpy()}
    near(answers(session(tmp_path / "layer.onnx"), given)["output"], wanted.numpy())


def test_a_layer_goes_where_it_can() -> None:
    layer = layer_of(cells.get("lstm").graph, "float32", 1)
    with pytest.raises(OptionError, match="there is no folder"):
        write_layers([layer], "no/such/folder/layer.onnx")
    wide = case(odd_cell.graph, sizes={**layer_of(odd_cell.graph, "float32", 1).sizes, "bias": 5})
    other = Layer(odd_cell.graph, wide.sizes | {"I": 4}, (wide.weights,), ({},))
    with pytest.raises(OptionError, match="two layers need different inputs of the name 'bias'"):
        stack_model([layer_of(odd_cell.graph, "float32", 1), other])


# --- nets -------------------------------------------------------------------------------------------------------------

LENGTHS = np.array([5, 1, 7])


def data(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


IDS = np.array([[1, 2, 0], [8, 0, 0], [0, 0, 0]])
OPERATIONS: dict[str, tuple[str, list[np.ndarray], dict[str, Any]]] = {
    "gather": ("gather", [data(9, 4), IDS], {}),
    "bag of means": ("bag", [data(9, 4), IDS, np.array([2, 1, 0])], {}),
    "bag of sums": ("bag", [data(9, 4), IDS[None], np.array([[2, 1, 0]])], {"kind": "sum"}),
    "linear": ("linear", [data(7, 3, 4), data(5, 4), data(5)], {}),
    "linear without bias": ("linear", [data(3, 4), data(5, 4)], {}),
    "conv": ("conv", [data(7, 3, 4), data(5, 4, 3), data(5), LENGTHS], {}),
    "conv2d": (
        "conv2d",
        [data(7, 3, 6, 2), data(5, 2, 3, 4), data(5), LENGTHS],
        {"strides": [2, 3], "before": [1, 2]},
    ),
    "layer_norm": ("layer_norm", [data(7, 3, 4), data(4), data(4, seed=1)], {"epsilon": 1e-5}),
    "gelu": ("gelu", [data(3, 40) * 3], {}),
    "shortened": ("shortened", [LENGTHS], {"stride": 3}),
    "pool mean": ("pool", [data(7, 3, 4), LENGTHS], {"kind": "mean"}),
    "pool max": ("pool", [data(7, 3, 4) - 9, LENGTHS], {"kind": "max"}),
    "time_softmax": ("time_softmax", [data(7, 3) * 50, LENGTHS], {}),
    "weighed": ("weighed", [data(7, 3, 4), data(7, 3)], {}),
    "time_since": ("time_since", [(data(7, 3, 4) > 0).astype(np.float32)], {}),
    **{op: (op, [data(3, 4), data(4, seed=1)], {}) for op in ("add", "sub", "mul", "div", "maximum")},
    **{op: (op, [data(3, 4)], {}) for op in ("tanh", "sigmoid", "relu", "exp", "softmax", "log_softmax")},
    "softmax of another axis": ("softmax", [data(3, 4)], {"axis": 0}),
    "scale": ("scale", [data(3)], {"by": -2.0, "plus": 0.5}),
    "scale of whole numbers": ("scale", [LENGTHS], {"by": 0.0, "plus": -3.0}),
    "concat": ("concat", [data(3, 4), data(3, 2)], {}),
    "piece": ("piece", [data(3, 4)], {"start": 1, "stop": 3}),
    "piece to the end": ("piece", [data(3, 4)], {"start": 2, "stop": None, "axis": 0}),
    "pad": ("pad", [data(3, 4)], {"front": 2, "back": 1, "axis": 0}),
    "reshape": ("reshape", [data(3, 4)], {"shape": [-1, 2]}),
    "repeat": ("repeat", [data(3, 4)], {"count": 3}),
    "repeat of another axis": ("repeat", [data(3, 4)], {"count": 2, "axis": -1}),
    "transpose": ("transpose", [data(3, 4, 2)], {"axes": [2, 0, 1]}),
    "squeeze": ("squeeze", [data(3, 1)], {"axis": 1}),
    "expand": ("expand", [data(3)], {"axis": -1}),
    "grouped": ("grouped", [data(6, 4), data(7, 3, 4)], {}),
    "softmax_inside": ("softmax_inside", [data(3, 2, 7) * 50, np.array([5, 0, 7])], {}),
    "attention": ("attention", [data(3, 2, 4), data(7, 3, 4), LENGTHS], {}),
    "attended": ("attended", [data(3, 2, 7), data(7, 3, 4)], {}),
}


def test_every_operation_is_tested() -> None:
    from gatework.backends.onnx.step import SAME
    from gatework.exporting.onnx import operations
    from gatework.runtime.net.ops import OPS

    assert {op for op, *_ in OPERATIONS.values()} == set(OPS) == set(operations.OPERATIONS) | set(SAME) & set(OPS)


def compared(b: Builder, given: dict[str, np.ndarray], after: bool = False) -> onnxruntime.InferenceSession:
    net = b.net()
    ready = session(net_model(Exported("labels", {}, {"whole": net}, b.arrays, b.stacks), "whole"))
    found = answers(ready, given)
    for name, wanted in Bound(net, b.arrays, b.stacks)(**given).items():
        near(found[name + ".after" if name in net.states else name], wanted)
    return ready


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_of_nets(name: str) -> None:
    op, arrays, settings = OPERATIONS[name]
    b = Builder()
    free = [tuple(f"{k}{axis}" for axis in range(a.ndim)) for k, a in enumerate(arrays)]
    if op in ("linear", "conv", "conv2d"):  # weights lie beside the net
        values = [b.input("i0", free[0]), *(b.array(f"a{k}", a) for k, a in enumerate(arrays) if 0 < k < 3)]
        values += [b.input("i3", free[3], "int64")] if "conv" in op else []
    else:
        kinds = ["int64" if a.dtype.kind == "i" else "float32" for a in arrays]
        values = [b.input(f"i{k}", shape, kinds[k]) for k, shape in enumerate(free)]
    b.output("y", getattr(b, op)(*values, **settings))
    compared(b, {v: arrays[int(v[1:])] for v in values if v[0] == "i"})


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "slstm", "gru_d"])
def test_recurrent_nodes_of_nets(cell: str, both: bool) -> None:
    """The outputs and every last state; a stack that is there twice has its weights once."""
    torch.manual_seed(0)
    layer = gatework.Recurrent(cell, 3, 4, 1 if cell == "gru_d" else 2, bidirectional=both).eval()
    b, own = Builder(), entries(layer)
    x, lengths = b.input("x", ("T", "B", 3)), b.input("lengths", ("B",), "int64")
    others = {"mask": b.input("mask", ("T", "B", 3)), "gap": b.input("gap", ("T", "B", 3))} if cell == "gru_d" else {}
    for k in range(2):
        y, last = b.recurrent(own, b.scale(x, by=k + 1.0), lengths, others)
        for name, value in {"y": y, **last}.items():
            b.output(f"{k}.{name}", value)
    given = {"x": data(7, 4, 3), "lengths": np.array([5, 2, 0, 7])}
    compared(b, given | {name: (data(7, 4, 3) > 0).astype(np.float32) for name in others})


@pytest.mark.parametrize("cell", ["lstm", "slstm"])
def test_the_step_of_a_net(cell: str) -> None:
    torch.manual_seed(0)
    layer, b = gatework.Recurrent(cell, 3, 4, num_layers=2, learn_initial_state=True).eval(), Builder()
    output = b.step(entries(layer), b.input("x", ("B", 3)))
    b.output("y", b.div(b.after("sum", b.add(b.state("sum", 4), output)), b.array("two", np.float32([2.0]))))
    net = b.net()
    states = {n: np.abs(data(3, s.width)) + 1 for n, s in net.states.items()}
    ready = compared(b, {"x": data(3, 3), **states})
    starts = json.loads(ready.get_modelmeta().custom_metadata_map["gatework"])["starts"]
    wanted = Bound(net, b.arrays, b.stacks).start(1)
    assert {n: tuple(v) for n, v in starts.items()} == {n: tuple(v[0].tolist()) for n, v in wanted.items()}


def test_weights_in_other_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="float32, not int8"):
        gatework.export(tmp_path, tmp_path / "m.onnx", to="onnx", weights="int8")
