"""Other projects' own tests of recurrent layers, run on ours: what their installed packages carry, read where it lies.

    python tests/peers.py                 # counts, and each difference with its reason; ends with 1 where one has none
    python tests/peers.py torch onnx

torch    the samples and error cases of RNN, GRU, LSTM and their cells in torch.testing (`common_modules`): results,
         gradients and torch's own references; types and words of errors. PyTorch's test_nn.py is in no package.
keras    the tests of LSTM, GRU, SimpleRNN, RNN, Bidirectional, StackedRNNCells and TimeDistributed
onnx     the node cases of LSTM, GRU and RNN
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import torch
from onnx.backend.test.case.node import collect_testcases
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.testing import assert_close

import gatework
from gatework.backends import layouts
from gatework.layers.parameters import parameter_name

Case = tuple[str, Callable[[], None]]  # a name, and what raises where we differ

DIFFERENCES: dict[str, str] = {}  # a pattern of names of cases, and why we differ there


# --- torch ------------------------------------------------------------------------------------------------------------

TWINS: dict[type[nn.Module], type[nn.Module]] = {
    getattr(nn, name): getattr(gatework, name) for name in ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")
}


def torch_cases() -> Iterator[Case]:
    from torch.testing._internal.common_modules import module_db

    torch.manual_seed(0)
    for info in module_db:
        if info.module_cls in TWINS:
            yield from torch_samples(info)
            yield from torch_errors(info)


def torch_samples(info: Any) -> Iterator[Case]:
    for dtype in (torch.float32, torch.float64):
        for training in (False, True):
            options = {"device": "cpu", "dtype": dtype, "requires_grad": True, "with_packed_sequence": True}
            samples = info.module_inputs_func(info, training=training, **options)
            for k, sample in enumerate(samples):
                name = f"{info.name} {str(dtype)[6:]} {'training' if training else 'evaluation'} {k}"
                yield name, lambda sample=sample, dtype=dtype, training=training: agree(info, sample, dtype, training)


def agree(info: Any, sample: Any, dtype: torch.dtype, training: bool) -> None:
    """Results and gradients as torch's layer has them; results as the sample's own reference has them."""
    making, given = sample.constructor_input, sample.forward_input
    theirs = info.module_cls(*making.args, **making.kwargs, dtype=dtype).train(training)
    ours = TWINS[info.module_cls](*making.args, **making.kwargs, dtype=dtype).train(training)
    ours.load_state_dict(theirs.state_dict())
    found, expected = ours(*given.args, **given.kwargs), theirs(*given.args, **given.kwargs)
    assert_close(found, expected, check_stride=False)
    inputs = [t for t in leaves(given.args) if t.requires_grad]
    gradients = [
        torch.autograd.grad(loss(result), [*inputs, *layer.parameters()], allow_unused=True)
        for result, layer in ((found, ours), (expected, theirs))
    ]
    loose = 1e-4 if dtype == torch.float32 else 0.0  # samples reach to 9, so gradients are sums of large terms
    assert_close(*gradients, check_stride=False, rtol=1e-6 + loose, atol=1e-6 + loose)
    packed = any(isinstance(each, PackedSequence) for each in given.args)
    if sample.reference_fn is not None and not packed:
        assert_close(found, sample.reference_fn(ours, *given.args, **given.kwargs), check_stride=False)


def leaves(value: Any) -> list[Tensor]:
    if isinstance(value, PackedSequence):
        return [value.data]
    return [value] if isinstance(value, Tensor) else [t for part in value or () for t in leaves(part)]


def loss(result: Any) -> Tensor:
    return sum((t.square().sum() for t in leaves(result)), torch.zeros(()))


def torch_errors(info: Any) -> Iterator[Case]:
    if info.module_error_inputs_func is None:
        return
    options = {"device": "cpu", "dtype": torch.float32, "requires_grad": False, "training": False}
    for k, error in enumerate(info.module_error_inputs_func(info, **options)):
        yield f"{info.name} error {k}", lambda error=error: refuse(info, error)


def refuse(info: Any, error: Any) -> None:
    making, given = error.module_error_input.constructor_input, error.module_error_input.forward_input
    try:
        layer = TWINS[info.module_cls](*making.args, **making.kwargs)
        layer(*given.args, **given.kwargs)
    except error.error_type as found:
        if not re.search(error.error_regex, str(found)):
            raise AssertionError(f"{found} is not {error.error_regex}") from found
    else:
        raise AssertionError(f"nothing was refused: {error.error_regex}")


# --- ONNX -------------------------------------------------------------------------------------------------------------


def onnx_cases() -> Iterator[Case]:
    for case in collect_testcases(None):
        nodes = [node for node in case.model.graph.node if node.op_type in ("LSTM", "GRU", "RNN")]
        if len(case.model.graph.node) == 1 and nodes:
            yield f"onnx {case.name}", lambda case=case, node=nodes[0]: node_agrees(case, node)


def node_agrees(case: Any, node: Any) -> None:
    """A node's outputs, from our layer over the node's weights."""
    given, wanted = case.data_sets[0]
    arrays = dict(zip([i.name for i in case.model.graph.input], given, strict=True))
    names = ("X", "W", "R", "B", "lengths", "h", "c", "P")
    values = {name: arrays[key] for name, key in zip(names, node.input, strict=False) if key}
    said = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    outputs = iter(wanted)
    for found, name in zip(node_outputs(node.op_type, values, said), node.output, strict=False):
        if name:
            np.testing.assert_allclose(found, next(outputs), rtol=1e-4, atol=1e-5)


def node_outputs(op: str, values: dict[str, np.ndarray], said: dict[str, Any]) -> list[np.ndarray]:
    """Y, Y_h and for an LSTM Y_c, as the node lays them out."""
    directions, reverse, rows_first = len(values["W"]), said.get("direction") == b"reverse", said.get("layout", 0)
    layer = node_layer(op, values, said)
    swapped = {k: np.swapaxes(values[k], 0, 1) for k in ("X", "h", "c") if rows_first and k in values}
    x, *starts = (torch.tensor({**values, **swapped}[k]) for k in ("X", "h", "c") if k in values)
    lengths = torch.tensor(values["lengths"]).long() if "lengths" in values else None
    output, states = layer(x.flip(0) if reverse else x, starts or None, lengths=lengths)
    output = (output.flip(0) if reverse else output).unflatten(2, (directions, -1)).transpose(1, 2)
    found = [output.permute(2, 0, 1, 3) if rows_first else output]
    found += [s.transpose(0, 1) if rows_first else s for s in states]
    return [t.detach().numpy() for t in found]


def node_layer(op: str, values: dict[str, np.ndarray], said: dict[str, Any]) -> gatework.Recurrent:
    """Our layer with a node's weights."""
    cells = {"LSTM": "lstm_peephole" if "P" in values else "lstm", "RNN": "rnn"}
    cell = cells.get(op) or ("gru" if said.get("linear_before_reset") else "gru_reset_before")
    (directions, _, inputs), hidden = values["W"].shape, values["R"].shape[2]
    layer = gatework.Recurrent(cell, inputs, hidden, bidirectional=directions == 2)
    state = {}
    for d, suffix in enumerate(layer.all_suffixes()):
        for key, array in node_weights(cell, {k: v[d] for k, v in values.items() if k in "WRBP"}).items():
            state[parameter_name(layer.graph, key) + suffix] = torch.from_numpy(np.ascontiguousarray(array))
    layer.load_state_dict(state)
    return layer


def node_weights(cell: str, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our weights by key, from one direction's W, R, B and P."""
    order = layouts.gates(cell, "onnx")
    n, rows = len(order), len(values["W"])
    found: dict[str, np.ndarray] = {}
    first, second = np.split(values.get("B", np.zeros(2 * rows, np.float32)), 2)
    for gate, w, r in zip(order, np.split(values["W"], n), np.split(values["R"], n), strict=True):
        found |= {gate.x: w, gate.h: r}
    for gate, a, b in zip(order, np.split(first, n), np.split(second, n), strict=True):
        found |= {gate.bias_x: a + b} if gate.bias_x == gate.bias_h else {gate.bias_x: a, gate.bias_h: b}
    if "P" in values:
        found |= {f"peep_{gate}": p for gate, p in zip("iof", np.split(values["P"], 3), strict=True)}
    return found


# --- Keras ------------------------------------------------------------------------------------------------------------

KERAS_FILES = ("lstm", "gru", "simple_rnn", "rnn", "bidirectional", "stacked_rnn_cells", "time_distributed")
KERAS_LAYERS = ("LSTM", "GRU", "SimpleRNN")


def pytest_configure() -> None:
    """As a plugin of pytest (`-p peers`), this file puts our layers in the place of Keras'."""
    from keras.src import layers

    import gatework.keras

    for name in KERAS_LAYERS:
        setattr(layers, name, getattr(gatework.keras, name))


def keras_results(*files: str) -> dict[str, str]:
    """Of each of Keras' tests: "passed", "skipped: why" or "failed: why"."""
    found = find_spec("keras")  # not imported: that would choose a backend here
    assert found is not None and found.origin is not None
    folder = Path(found.origin).parent / "src" / "layers" / "rnn"
    with tempfile.TemporaryDirectory() as room:
        report = Path(room) / "report.xml"
        options = ["-p", "peers", "-p", "no:cacheprovider", "-c", os.devnull, "-W", "ignore", f"--junitxml={report}"]
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path[1:]])
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *options, *(str(folder / f"{f}_test.py") for f in files)],
            env={**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=room, stdout=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        cases = ElementTree.parse(report).iter("testcase")
        return {f"keras {case.get('classname', '').split('.')[-1]}.{case.get('name')}": outcome(case) for case in cases}


def outcome(case: ElementTree.Element) -> str:
    for kind in ("failure", "error", "skipped"):
        found = case.find(kind)
        if found is not None:
            said = (found.get("message") or "").strip().splitlines()[:1]
            return f"{'skipped' if kind == 'skipped' else 'failed'}: {''.join(said)}"
    return "passed"


# --- all --------------------------------------------------------------------------------------------------------------


def results(cases: Iterator[Case]) -> dict[str, str]:
    found = {}
    for name, run in cases:
        try:
            run()
        except Exception as error:
            found[name] = f"failed: {type(error).__name__}: {str(error).strip().splitlines()[0]}"
        else:
            found[name] = "passed"
    return found


SUITES: dict[str, Callable[[], dict[str, str]]] = {
    "torch": lambda: results(torch_cases()),
    "onnx": lambda: results(onnx_cases()),
    "keras": lambda: keras_results(*KERAS_FILES),
}


def unexplained(found: dict[str, str]) -> list[str]:
    """The cases that failed without a reason in `DIFFERENCES`."""
    failed = [name for name, said in found.items() if said.startswith("failed")]
    return [name for name in failed if not any(re.fullmatch(pattern, name) for pattern in DIFFERENCES)]


def report(suite: str, found: dict[str, str]) -> None:
    counts = [sum(said.startswith(kind) for said in found.values()) for kind in ("passed", "failed", "skipped")]
    print(f"{suite}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped")
    for name, said in found.items():
        if said != "passed":
            reason = next((why for pattern, why in DIFFERENCES.items() if re.fullmatch(pattern, name)), "")
            print(f"  {name}: {said}{f' ({reason})' if reason else ''}", flush=True)


def main() -> None:
    missing = []
    for suite in sys.argv[1:] or SUITES:
        found = SUITES[suite]()
        report(suite, found)
        missing += unexplained(found)
    sys.exit(f"{len(missing)} differences have no reason" if missing else 0)


if __name__ == "__main__":
    main()
