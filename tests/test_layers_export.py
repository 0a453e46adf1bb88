"""Layers where something records a call in place of running it: torch.onnx.export both ways, TorchScript, make_fx; and
torch.compile in a process that has compiled no kernel yet."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

import gatework
from children import child
from gatework.layers.errors import LayerError

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporters and TorchScript warn of themselves
WHOLE = {"num_layers": 2, "bidirectional": True, "batch_first": True}
CELLS = ["lstm", "lstm_peephole", "gru", "gru_reset_before", "rnn", "rnn_relu", "rnn_sigmoid"]


class Wrapped(nn.Module):
    """A layer with what `names` says beside its input, giving a flat tuple."""

    def __init__(self, layer: Any, lengths: bool, states: bool):
        super().__init__()
        self.layer, self.lengths, self.states = layer, lengths, states

    def forward(self, x: Tensor, lengths: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        starts = (h, c) if len(self.layer.state_names) == 2 else h
        found = self.layer(x, starts if self.states else None, lengths=lengths if self.lengths else None)
        return found[0], *(found[1] if isinstance(found[1], tuple) else found[1:])

    def examples(self, batch: int, steps: int) -> tuple[Tensor, ...]:
        layer = self.layer
        x = torch.randn(batch, steps, 3) if layer.batch_first else torch.randn(steps, batch, 3)
        lengths = torch.randint(1, steps + 1, (batch,))
        starts = [torch.randn(layer.num_layers * layer.directions, batch, layer.hidden_size) for _ in range(2)]
        return x, lengths, *starts


def exported(model: nn.Module, examples: tuple[Tensor, ...], shapes: dict[str, dict[int, str]], dynamo: bool) -> Any:
    """The model in ONNX, checked, with its batch and steps free."""
    file = io.BytesIO()
    if dynamo:
        free = {n: {k: torch.export.Dim(d, min=1, max=99) for k, d in axes.items()} for n, axes in shapes.items()}
        torch.onnx.export(model, examples, dynamo=True, dynamic_shapes=free, verbose=False).save(file)
    else:
        names = list(shapes)
        torch.onnx.export(model, examples, file, dynamo=False, input_names=names, dynamic_axes=shapes)
    onnx.checker.check_model(onnx.load_from_string(file.getvalue()), full_check=True)
    return file.getvalue()


def answers(model: bytes, given: tuple[Tensor, ...]) -> list[Tensor]:
    """What ONNX Runtime computes; inputs that the model does not have are left out."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    named = dict(zip(("x", "lengths", "h", "c"), given, strict=False))
    return [
        torch.from_numpy(a) for a in session.run(None, {i.name: named[i.name].numpy() for i in session.get_inputs()})
    ]


def compared(layer: nn.Module, dynamo: bool, lengths: bool = True, states: bool = True) -> None:
    """The exported layer gives what the layer gives, for the examples' shape and for others."""
    model = Wrapped(layer, lengths, states).eval()
    batch, steps = (0, 1) if layer.batch_first else (1, 0)
    shapes = {"x": {batch: "b", steps: "t"}, "lengths": {0: "b"}, "h": {1: "b"}, "c": {1: "b"}}
    file = exported(model, model.examples(3, 6), shapes, dynamo)
    for size in ((3, 6), (1, 1), (4, 9)):
        given = model.examples(*size)
        with torch.no_grad():
            assert_close(answers(file, given), list(model(*given)), check_stride=False)


@pytest.mark.parametrize("cell", CELLS)
def test_the_tracing_exporter(cell: str) -> None:
    torch.manual_seed(0)
    compared(gatework.Recurrent(cell, 3, 5, **WHOLE), dynamo=False)
    compared(gatework.Recurrent(cell, 3, 5, bias=False), dynamo=False, lengths=False, states=False)
    compared(gatework.Recurrent(cell, 3, 5, bidirectional=True, learn_initial_state=True), dynamo=False, states=False)


@pytest.mark.parametrize("kind", [gatework.LSTM, gatework.GRU, gatework.RNN])
def test_the_exporter_over_torch_export(kind: type[nn.Module]) -> None:
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    compared(kind(3, 5, **WHOLE), dynamo=True)
    compared(kind(3, 5, bias=False), dynamo=True, lengths=False, states=False)


def test_the_exporter_over_torch_export_takes_peepholes_and_learned_starts() -> None:
    pytest.importorskip("onnxscript")
    compared(gatework.LSTM(3, 5, peephole=True, learn_initial_state=True), dynamo=True, states=False)


SCANNED = {
    "heads": lambda: gatework.Recurrent("slstm", 3, 4, 2, bidirectional=True, sizes={"heads": 2}),
    "learned": lambda: gatework.LSTM(3, 4, layer_norm=True, zoneout=0.1, learn_initial_state=True),
    "projected": lambda: gatework.LSTM(3, 4, proj_size=2, batch_first=True),
}


@pytest.mark.parametrize("lengths", [True, False])
@pytest.mark.parametrize("name", SCANNED)
def test_cells_without_an_operator_are_scans_over_torch_export(name: str, lengths: bool) -> None:
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    compared(SCANNED[name]().eval(), dynamo=True, lengths=lengths, states=False)


@pytest.mark.parametrize("dynamo", [False, True])
def test_a_layer_alone_over_one_sequence(dynamo: bool) -> None:
    """The layer itself is the model, whose arguments the exporter lists."""
    pytest.importorskip("onnxscript")
    layer, x, file = gatework.LSTM(3, 5).eval(), torch.randn(4, 3), io.BytesIO()
    if dynamo:
        torch.onnx.export(layer, (x,), dynamo=True, input_names=["x"], verbose=False).save(file)
    else:
        torch.onnx.export(layer, (x,), file, dynamo=False, input_names=["x"])
    output, states = layer(x)
    assert_close(answers(file.getvalue(), (x,)), [output, *states], check_stride=False)


def test_exporting_warns_of_nothing_of_ours() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.onnx.export(gatework.LSTM(3, 5).eval(), (torch.randn(4, 2, 3),), io.BytesIO(), dynamo=False)
    ours = Path(gatework.__file__).parent
    assert not [str(w.message) for w in seen if Path(w.filename).is_relative_to(ours)]


def test_narrow_types_are_computed_in_float32() -> None:
    model = nn.Sequential(gatework.GRU(3, 5, dtype=torch.float16)).eval()
    file = exported(model, (torch.randn(4, 2, 3).half(),), {"x": {}}, dynamo=False)
    nodes = [n for n in onnx.load_from_string(file).graph.node if n.op_type in ("GRU", "Cast")]
    assert [n.op_type for n in nodes].count("GRU") == 1
    assert nodes[0].attribute[0].i == onnx.TensorProto.FLOAT


class Tagger(nn.Module):
    """Pack, layer, pad: as most code with torch.nn's layers is written."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.layer(packed)[0], batch_first=True)[0]


@pytest.mark.parametrize("kind", [gatework.LSTM, gatework.GRU, gatework.RNN])
def test_packed_sequences_in_the_tracing_exporter(kind: type[nn.Module]) -> None:
    model = Tagger(kind(3, 5, **WHOLE)).eval()
    x, lengths = torch.randn(3, 6, 3), torch.tensor([5, 6, 2])
    file = exported(model, (x, lengths), {"x": {0: "b", 1: "t"}, "lengths": {0: "b"}}, dynamo=False)
    for given in ((x, lengths), (torch.randn(2, 9, 3), torch.tensor([4, 9]))):
        assert_close(answers(file, given), [model(*given)], check_stride=False)


def test_what_onnx_cannot_say_is_refused() -> None:
    x, lengths = torch.randn(2, 4, 3), torch.tensor([3, 4])
    odd = replace(gatework.cells.get("lstm").graph, name="gru")
    masked, zoned = gatework.LSTM(3, 5, recurrent_dropout=0.5).train(), gatework.GRU(3, 5, zoneout=0.1).eval()
    refused = {
        "cannot hold the cell slstm.*dynamo=True.*gatework export": gatework.Recurrent("slstm", 3, 5),
        "cannot hold the cell lstm_projected": gatework.LSTM(3, 5, proj_size=2),
        "cannot hold the cell lstm of this layer": gatework.LSTM(3, 5, layer_norm=True),
        "a layer with recurrent_dropout cannot": masked,
        "cannot hold the cell gru of this layer": zoned,
        "cannot hold the cell gru of this": gatework.Recurrent(odd, 3, 5),
    }
    training = torch.onnx.TrainingMode.PRESERVE
    for words, layer in refused.items():
        with pytest.raises(LayerError, match=words):
            torch.onnx.export(layer, (x,), io.BytesIO(), dynamo=False, training=training)
    with pytest.raises(LayerError, match="a layer with return_all cannot"):
        torch.onnx.export(zoned.__class__(3, 5), (x,), io.BytesIO(), kwargs={"return_all": True}, dynamo=False)
    with pytest.raises(LayerError, match="padded input and lengths="):
        model = Tagger(gatework.Recurrent("lstm_peephole", 3, 5, batch_first=True))
        torch.onnx.export(model, (x, lengths), io.BytesIO(), dynamo=False)


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        (gatework.Recurrent("slstm", 3, 5, zoneout=0.1), (torch.randn(2, 4, 3),), "a layer with zoneout cannot"),
        (Tagger(gatework.LSTM(3, 5)), (torch.randn(2, 4, 3), torch.tensor([3, 4])), "padded input and lengths="),
    ],
)
def test_the_exporter_over_torch_export_shows_our_words(model: nn.Module, given: tuple, words: str) -> None:
    pytest.importorskip("onnxscript")
    with pytest.raises(torch.onnx.errors.OnnxExporterError, match=words):
        torch.onnx.export(model, given, dynamo=True, verbose=False)


@pytest.mark.parametrize("layer", [gatework.LSTM(3, 5), gatework.GRUCell(3, 5)])
def test_torchscript_is_refused_with_what_works(layer: nn.Module) -> None:
    model = nn.Sequential(layer)
    with pytest.raises(LayerError, match=r"torch\.jit\.script\(gatework\.layers\.to_torch\(model\)\)"):
        torch.jit.script(model)
    x = torch.randn(20, 3) if isinstance(layer, nn.RNNCellBase) else torch.randn(4, 2, 3)
    ours, theirs = layer(x), gatework.layers.to_torch(model)
    for found in (
        torch.jit.script(theirs)(x),
        torch.jit.trace(theirs, (x,))(x),
        torch.export.export(model, (x,)).module()(x),
    ):
        assert_close(found, ours, check_stride=False)


def test_traced_cells_step_as_torchs() -> None:
    """From 16 rows on our kernel runs, which a trace would keep as a constant."""
    cell, x = gatework.LSTMCell(3, 5), torch.randn(20, 3)
    traced = torch.jit.trace(cell, (x,))
    assert_close(traced(2 * x), cell(2 * x))


def test_make_fx_records_packed_sequences() -> None:
    model, x = Tagger(gatework.LSTM(3, 5, batch_first=True)), torch.randn(3, 6, 3)
    lengths = torch.tensor([5, 6, 2])
    recorded = make_fx(lambda x: model(x, lengths))(x)
    assert_close(recorded(2 * x), model(2 * x, lengths), check_stride=False)


COLD = """
import warnings; warnings.simplefilter("ignore")
import torch, gatework
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils._pytree import tree_leaves
torch.manual_seed(0)
x, lengths = torch.randn(20, 6, 4), torch.arange(20) % 6 + 1
def tagged(layer):
    def run(x):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, states = layer(packed)
        return pad_packed_sequence(output, batch_first=True)[0], states
    return run
def check(run, x=x, whole=False, train=True):
    with torch.set_grad_enabled(train):
        found = tree_leaves(torch.compile(run, backend="aot_eager", fullgraph=whole)(x))
    if train:
        sum(t.square().sum() for t in found).backward()
    for a, b in zip(found, tree_leaves(run(x)), strict=True):
        torch.testing.assert_close(a, b, check_stride=False)
"""
COLD_CASES = {
    "packed, training": "check(tagged(gatework.LSTM(4, 5, batch_first=True)))",
    "packed, inference": "check(tagged(gatework.GRU(4, 5, 2, bidirectional=True, batch_first=True)), train=False)",
    "packed, any cell, with states": """
layer = gatework.Recurrent("slstm", 4, 8, sizes={"heads": 2}, batch_first=True)
start = [torch.randn(1, 20, 8) for _ in layer.state_names]
check(tagged(lambda packed: layer(packed, start)))
check(tagged(gatework.RNN(4, 5, bidirectional=True, learn_initial_state=True, batch_first=True)))""",
    "padded": """
layer = gatework.LSTM(4, 5, 2, bidirectional=True, batch_first=True)
start = torch.randn(2, 4, 20, 5).unbind()
check(lambda x: layer(x, start, lengths=lengths), whole=True)
check(gatework.GRU(4, 5), whole=True, train=False)
gru = gatework.GRU(4, 5, batch_first=True)
check(lambda x: gru(x, reset=torch.zeros(20, 6), return_all=True), whole=True)""",
    "cells, torch.func": """
check(gatework.LSTMCell(4, 5), x[:, 0], whole=True)
check(gatework.GRUCell(4, 5), x[:2, 0], whole=True)
layer = gatework.RNN(4, 5)
check(lambda x: torch.vmap(lambda row: layer(row)[0])(x))""",
}


@pytest.mark.parametrize("case", list(COLD_CASES))
def test_compiles_in_a_fresh_process(case: str) -> None:
    """The compiler of torch must not follow a call into ours, which runs at the first call of a process."""
    with child("-c", COLD + COLD_CASES[case]) as process:
        _, said = process.communicate(timeout=200)
        assert process.returncode == 0, said
