"""Recurrent layers read out of ONNX files: ONNX' own node cases, random nodes against ONNX Runtime, what torch and we
write, and files that are refused."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import nn

import gatework
from gatework import cells
from gatework.errors import FileFormatError
from gatework.exporting.onnx import stack_model, write_layers
from gatework.exporting.onnx.nodes import OnnxLayer

OPERATORS = ("LSTM", "GRU", "RNN")


def written(path: Path, model: ModelProto) -> Path:
    onnx.save(model, path)
    return path


def answered(found: OnnxLayer, x: np.ndarray) -> list[np.ndarray]:
    """Y, Y_h and Y_c as the node lays them out."""
    rows_first = found.layer.batch_first
    with torch.no_grad():
        output, states = found(torch.from_numpy(x))
    y = output.unflatten(2, (found.layer.directions, -1))
    y = y if rows_first else y.transpose(1, 2)
    return [y.numpy(), *((s.transpose(0, 1) if rows_first else s).numpy() for s in states)]


# --- other people's files ---------------------------------------------------------------------------------------------


def node_cases() -> list[Any]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    return [c for c in found if [n.op_type for n in c.model.graph.node] in [[op] for op in OPERATORS]]


def test_onnx_own_cases(tmp_path: Path) -> None:
    """All of LSTM, GRU and RNN in ONNX' backend tests, their weights made numbers of the file."""
    found = node_cases()
    assert len(found) >= 18
    for case in found:
        model = ModelProto()
        model.CopyFrom(case.model)
        (node,), (given, wanted) = model.graph.node, case.data_sets[0]
        arrays = dict(zip([i.name for i in model.graph.input], given, strict=True))
        x = arrays.pop(node.input[0])
        model.graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in arrays.items())
        (layer,) = gatework.from_onnx(written(tmp_path / "node.onnx", model))
        expected = iter(wanted)
        for name, array in zip(node.output, answered(layer, x), strict=False):
            if name:
                np.testing.assert_allclose(array, next(expected), rtol=1e-4, atol=1e-5, err_msg=case.name)


COUNTS = {"LSTM": (4, 3), "GRU": (3, 2), "RNN": (1, 1)}  # gates, activations
CONSTANTS = {
    **dict.fromkeys(("Relu", "Tanh", "Sigmoid", "Softsign", "Softplus"), 0),
    **dict.fromkeys(("LeakyRelu", "ThresholdedRelu", "Elu"), 1),
    **dict.fromkeys(("Affine", "ScaledTanh", "HardSigmoid"), 2),
}
INPUTS, HIDDEN = 3, 5


def drawn(seed: int) -> tuple[ModelProto, np.ndarray]:
    """A node with options and inputs as chance has them, and a sequence for it."""
    chance, draw = random.Random(seed), np.random.default_rng(seed)

    def numbers(*shape: int) -> np.ndarray:
        return (draw.normal(size=shape) * 0.5).astype(np.float32)

    op, direction = chance.choice(OPERATORS), chance.choice(["forward", "reverse", "bidirectional"])
    (gates, functions), d = COUNTS[op], 2 if direction == "bidirectional" else 1
    T, B = chance.choice([1, 6]), chance.choice([1, 3])
    said: dict[str, Any] = {"hidden_size": HIDDEN, "direction": direction}
    if chance.random() < 0.6:
        names = [chance.choice(list(CONSTANTS)) for _ in range(functions)]
        said["activations"] = names * d
        for least, key in ((1, "activation_alpha"), (2, "activation_beta")):
            values = [round(chance.uniform(0.2, 1), 2) for n in names if CONSTANTS[n] >= least]
            said |= {key: values * d} if values else {}
    said |= {"clip": chance.choice([0.3, 1.0])} if chance.random() < 0.4 else {}
    said |= {"input_forget": 1} if op == "LSTM" and chance.random() < 0.3 else {}
    said |= {"linear_before_reset": 1} if op == "GRU" and chance.random() < 0.5 else {}
    rows = gates * HIDDEN
    arrays = {"W": numbers(d, rows, INPUTS), "R": numbers(d, rows, HIDDEN)}
    more = {"B": numbers(d, 2 * rows), "lengths": draw.integers(1, T + 1, B).astype(np.int32)}
    more["h"] = numbers(d, B, HIDDEN)
    more |= {"c": numbers(d, B, HIDDEN), "P": numbers(d, 3 * HIDDEN)} if op == "LSTM" else {}
    present = [name for name in more if chance.random() < 0.5]
    inputs = ["X", "W", "R", *(name if name in present else "" for name in more)]
    while not inputs[-1]:
        inputs.pop()
    outputs = ["Y", "Y_h", "Y_c"][: 3 if op == "LSTM" else 2]
    return model_of(op, inputs, outputs, arrays | {n: more[n] for n in present}, **said), numbers(T, B, INPUTS)


def model_of(op: str, inputs: list[str], outputs: list[str], arrays: dict[str, np.ndarray], **said: Any) -> ModelProto:
    node = helper.make_node(op, inputs, outputs, name="node", **said)
    graph = helper.make_graph(
        [node], "graph", [helper.make_tensor_value_info("X", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
        [numpy_helper.from_array(a, name) for name, a in arrays.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def of_runtime(model: bytes, given: dict[str, np.ndarray]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return list(onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, given))


def test_random_nodes_are_as_onnx_runtime_has_them(tmp_path: Path) -> None:
    """Every option: directions, activations with their constants, clip, coupled gates, peepholes, lengths, states."""
    for seed in range(50):
        model, x = drawn(seed)
        (found,) = gatework.from_onnx(written(tmp_path / "node.onnx", model))
        for ours, theirs in zip(answered(found, x), of_runtime(model.SerializeToString(), {"X": x}), strict=True):
            loose = 2e-5 * max(1.0, float(np.abs(theirs).max()))
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=loose, err_msg=f"{seed}: {model.graph.node[0]}")


@pytest.mark.filterwarnings("ignore")  # torch's exporter warns of itself
@pytest.mark.parametrize("folding", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_what_torch_exports(kind: type[nn.RNNBase], folding: bool, tmp_path: Path) -> None:
    """Its weights are cut and joined by operators where it does not fold them."""
    torch.manual_seed(0)
    model, x = kind(3, 4, num_layers=2, bidirectional=True, batch_first=True).eval(), torch.randn(2, 5, 3)
    torch.onnx.export(model, (x,), tmp_path / "m.onnx", dynamo=False, do_constant_folding=folding, input_names=["x"])
    layers, found = gatework.from_onnx(tmp_path / "m.onnx"), x.transpose(0, 1)
    for layer in layers:
        found, _ = layer(found)
    with torch.no_grad():
        torch.testing.assert_close(found.transpose(0, 1).detach(), model(x)[0])
    assert [type(layer.layer).__name__ for layer in layers] == [kind.__name__] * 2


# --- our own ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", cells.names())
def test_our_own_files_come_back_the_same(cell: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    graph = cells.get(cell).graph
    sizes = {"slstm": {"heads": 2}, "slstm_exp": {"heads": 2}, "lstm_projected": {"P": 2}}.get(cell, {})
    depth = 2 if len(graph.inputs) == 1 else 1
    given = gatework.Recurrent(
        cell, 3, 4, depth, bidirectional=True, sizes=sizes, learn_initial_state=True, dtype=torch.float64
    )
    for p in given.parameters():
        nn.init.uniform_(p, -0.5, 0.5)
    for layer in (given, given.float()):
        write_layers(layer, tmp_path / "own.onnx")
        found = gatework.from_onnx(tmp_path / "own.onnx")
        x = torch.randn(5, 2, 3).to(layer.parameter(0))
        others = {i.name: torch.rand(5, 2, 3).to(x) for i in graph.inputs[1:]}
        with torch.no_grad():
            wanted, _ = layer.eval()(x, **others)
            for each in found:
                x = each.layer(x, **others)[0]
        assert torch.equal(x, wanted)
        assert len(found) == depth


def test_metadata_of_a_stranger(tmp_path: Path) -> None:
    def damaged(change: Any) -> Path:
        model = stack_model(given)
        said = json.loads(model.metadata_props[0].value)
        change(said)
        model.metadata_props[0].value = json.dumps(said)
        return written(tmp_path / "m.onnx", model)

    given = gatework.layers.saving.entries(gatework.Recurrent("mgu", 3, 4, learn_initial_state=True))
    for change in (
        lambda said: said["layers"]["0"]["sizes"].update(H=1 << 40),
        lambda said: said["layers"]["0"]["graph"]["nodes"].append(["eval", [], None, "H", ""]),
        lambda said: said["layers"]["0"].pop("graph"),
        lambda said: said["layers"]["0"].update(starts=[{"h": [1.0]}]),
        lambda said: said["layers"]["0"].update(starts=[{"q": [1.0]}]),
        lambda said: said["layers"].update({"0": 3}),
    ):
        with pytest.raises(FileFormatError, match="the layer '0' is damaged"):
            gatework.from_onnx(damaged(change))
    with pytest.raises(FileFormatError, match="describe no layers"):
        gatework.from_onnx(damaged(lambda said: said.update(layers=[])))


# --- what is refused --------------------------------------------------------------------------------------------------

W, R = np.zeros((1, 20, 3), np.float32), np.zeros((1, 20, 5), np.float32)
USUAL = {"W": W, "R": R}
REFUSED: dict[str, tuple[dict[str, Any], dict[str, np.ndarray]]] = {
    "hidden_size is 7": ({"hidden_size": 7}, USUAL),
    "direction is 'sideways'": ({"direction": "sideways"}, USUAL),
    "R has the shape": ({}, {"W": W, "R": R[:, :7]}),
    "W has the shape": ({}, {"W": W[0], "R": R}),
    "B has the shape": ({}, USUAL | {"B": np.zeros((1, 39), np.float32)}),
    "its weights are float32 and float64": ({}, {"W": W, "R": R.astype(np.float64)}),
    "its weights are int64": ({}, {"W": W.astype(np.int64), "R": R.astype(np.int64)}),
    "its weights W are 'W', which is computed": ({}, {"R": R}),
    "activations has 2 names": ({"activations": ["Tanh", "Tanh"]}, USUAL),
    "activations has 'gelu'": ({"activations": ["Tanh", "Tanh", "Gelu"]}, USUAL),
    "activation scaledtanh has no constants": ({"activations": ["ScaledTanh", "Tanh", "Tanh"]}, USUAL),
    "activation_alpha has 1 more": ({"activation_alpha": [1.0]}, USUAL),
    "clip is -1.0": ({"clip": -1.0}, USUAL),
    "input_forget is 3": ({"input_forget": 3}, USUAL),
    "its attribute linear_before_reset": ({"linear_before_reset": 1}, USUAL),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(words: str, tmp_path: Path) -> None:
    said, arrays = REFUSED[words]
    model = model_of("LSTM", ["X", "W", "R", *(["B"] if "B" in arrays else [])], ["Y"], arrays, **said)
    with pytest.raises(FileFormatError, match=rf"m\.onnx.*the node 'node' \(LSTM\): .*{words}"):
        gatework.from_onnx(written(tmp_path / "m.onnx", model))


def test_directions_of_different_activations_are_refused(tmp_path: Path) -> None:
    arrays = {name: np.concatenate([a, a]) for name, a in USUAL.items()}
    names = ["Sigmoid", "Tanh", "Tanh", "Sigmoid", "Tanh", "Relu"]
    model = model_of("LSTM", ["X", "W", "R"], ["Y"], arrays, direction="bidirectional", activations=names)
    with pytest.raises(FileFormatError, match="activations differ between its two directions"):
        gatework.from_onnx(written(tmp_path / "m.onnx", model))


def with_external(model: ModelProto, location: str, **more: str) -> ModelProto:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return model


def test_numbers_in_other_files(tmp_path: Path) -> None:
    """Those of the model's own folder are read, others are not, and a file must have what its shape needs."""
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (folder / "weights.bin", tmp_path / "outside.bin"):
        place.write_bytes(np.full(W.size, 0.25, np.float32).tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    (folder / "short.bin").write_bytes(b"1234")

    def read(location: str, **more: str) -> OnnxLayer:
        model = with_external(model_of("LSTM", ["X", "W", "R"], ["Y"], USUAL), location, **more)
        return gatework.from_onnx(written(folder / "m.onnx", model))[0]

    weight = dict(read("weights.bin").layer.named_parameters())["weight_ih_l0"]
    assert (weight == 0.25).all()
    for location in ("../outside.bin", str(tmp_path / "outside.bin"), "link.bin", "none.bin", ""):
        with pytest.raises(FileFormatError, match=r"no file in the\s+folder of the model"):
            read(location)
    for location, more in (("short.bin", {}), ("weights.bin", {"offset": "4"}), ("weights.bin", {"length": "8"})):
        with pytest.raises(FileFormatError, match="needs 240 bytes"):
            read(location, **more)


def node_of(op: str, inputs: list[str], output: str, **said: Any) -> NodeProto:
    return helper.make_node(op, inputs, [output], **said)


def test_operators_that_move_numbers_cannot_take_all_memory(tmp_path: Path) -> None:
    model = model_of("LSTM", ["X", "W12", "R"], ["Y"], {"W": np.zeros((1, 20, 3000), np.float32), "R": R})
    doubled = [node_of("Concat", ["W" if k == 0 else f"W{k}"] * 2, f"W{k + 1}", axis=2) for k in range(12)]
    model.graph.node.extend(doubled)
    with pytest.raises(FileFormatError, match="make more numbers than so small a file should need"):
        gatework.from_onnx(written(tmp_path / "m.onnx", model))


def test_files_that_are_none(tmp_path: Path) -> None:
    place = tmp_path / "m.onnx"
    with pytest.raises(FileFormatError, match="is no file"):
        gatework.from_onnx(place)
    for content in (b"", b"hello", bytes(range(256)) * 9):
        place.write_bytes(content)
        with pytest.raises(FileFormatError, match="no ONNX file"):
            gatework.from_onnx(place)
    model = model_of("LSTM", ["X", "W", "R"], ["Y"], USUAL)
    whole = model.SerializeToString()
    for end in range(20, len(whole) - 20, 97):
        place.write_bytes(whole[:end])
        with pytest.raises(FileFormatError):
            gatework.from_onnx(place)
    model.graph.node[0].op_type = "Relu"
    with pytest.raises(FileFormatError, match="holds no layer LSTM, GRU or RNN; it has Relu"):
        gatework.from_onnx(written(place, model))
    model.graph.node[0].op_type, model.graph.node[0].domain = "DynamicQuantizeLSTM", "com.microsoft"
    with pytest.raises(FileFormatError, match=r"operators of com\.microsoft are not read"):
        gatework.from_onnx(written(place, model))
