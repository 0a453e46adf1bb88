"""The form "torch": a plain torch.nn model as a short script, its weights, and what stands before and after it.

The script is the net, printed: a line for each operation. It needs torch and safetensors, not gatework.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from gatework import cells
from gatework.backends.layouts import to_torch
from gatework.compiler.edit import is_known
from gatework.errors import OptionError
from gatework.exporting.written import Written
from gatework.runtime.exported import Exported
from gatework.runtime.net.graph import Net, Node
from gatework.runtime.saved import Layer

KINDS = {"lstm": "nn.LSTM", "gru": "nn.GRU", "rnn": "nn.RNN", "rnn_relu": "nn.RNN"}
Weights = dict[str, np.ndarray]


def write(model: Exported, out: Path, weights: str) -> Written:
    """model.py, weights.safetensors and settings.json in the folder `out`."""
    tensors = {_attribute(name): np.ascontiguousarray(array) for name, array in model.arrays.items()}
    layers = []
    for number, stack in enumerate(model.stacks):
        for k, layer in enumerate(stack):
            line, found = _layer(f"stack{number}_{k}", layer)
            layers.append(line)
            tensors |= found
    out.mkdir(parents=True, exist_ok=True)
    files = [out / name for name in ("model.py", "weights.safetensors", "settings.json")]
    files[0].write_text(_script(model, layers), encoding="utf-8")
    files[1].write_bytes(save(tensors))
    said = {"about": model.about, "kind": model.kind, "settings": model.settings, "texts": model.texts}
    files[2].write_text(json.dumps(said, ensure_ascii=False, indent=1), encoding="utf-8")
    return Written(files, [f"{each}: {each.stat().st_size:,} bytes" for each in files])


def _attribute(name: str) -> str:
    return "w_" + "".join(letter if letter.isalnum() else "_" for letter in name)


# -- layers ---------------------------------------------------------------------------------------------------


def _layer(name: str, layer: Layer) -> tuple[str, Weights]:
    """The line that makes a layer, and its weights under torch's names."""
    cell = layer.graph.name
    known = cells.get(cell).graph if cell in KINDS else None
    if known is None or not is_known(layer.graph, known):
        raise OptionError(
            f"torch.nn has no layer for the cell {cell!r} as it stands here; it has {', '.join(KINDS)}: use "
            "--to gatework, onnx or c, which take any cell"
        )
    found: Weights = {}
    for d, own in enumerate(layer.weights):
        for key, array in to_torch(cell, own).items():
            found[f"{name}.{key}_l0{'_reverse' if d else ''}"] = np.ascontiguousarray(array)
        for state, start in layer.starts[d].items():
            found[f"w_start_{name}_{d}_{state}"] = start
    further = ", bidirectional=True" if len(layer.weights) == 2 else ""
    further += "" if any(".bias_ih" in key for key in found) else ", bias=False"
    further += ', nonlinearity="relu"' if cell == "rnn_relu" else ""
    return f"self.{name} = {KINDS[cell]}({layer.sizes['I']}, {layer.sizes['H']}{further})", found


def _starts(name: str, layer: Layer) -> str:
    """The argument of a layer's starts: nothing where they are zero."""
    if not any(layer.starts):
        return ""
    states = [
        "torch.stack([" + ", ".join(f"self.w_start_{name}_{d}_{s.name}" for d in range(len(layer.weights))) + "])"
        for s in layer.graph.states
    ]
    each = [f"{state}[:, None].repeat(1, len(lengths), 1)" for state in states]
    return ", " + (each[0] if len(each) == 1 else f"({', '.join(each)})")


def _whole(node: Node, names: dict[str, str], model: Exported) -> list[str]:
    """Lines of whole sequences through a stack: packed, run, padded; and the states after the ends."""
    x, lengths, *more = (names[each] for each in node.inputs)
    if more:
        what = "states to begin with" if node.settings.get("starts") else "further inputs"
        raise OptionError(f"the form torch has no layers that are given {what}; use --to gatework, onnx or c")
    number, lines, ends = node.settings["stack"], [], []
    for k, layer in enumerate(model.stacks[number]):
        name = f"stack{number}_{k}"
        packed = f"pack({x}, {lengths}.cpu(), enforce_sorted=False)"
        lines.append(f"y, last = self.{name}({packed}{_starts(name, layer)})")
        x = f"{name}_y"
        lines.append(f"{x} = pad(y)[0]")
        states = [f"{name}_{s.name}" for s in layer.graph.states]
        lines.append(f"{', '.join(states)} = last")
        ends += [f"{state}[{d}]" for d in range(len(layer.weights)) for state in states]
    names |= dict(zip(node.outputs, [x, *ends], strict=True))
    return lines


def _step(node: Node, names: dict[str, str], model: Exported) -> list[str]:
    """Lines of one step through a stack."""
    x, *states = (names[each] for each in node.inputs)
    number, lines, after = node.settings["stack"], [], []
    for k, layer in enumerate(model.stacks[number]):
        own = [f"{states.pop(0)}[None].contiguous()" for _ in layer.graph.states]
        name, last = f"stack{number}_{k}", [f"s{number}_{k}_{s.name}" for s in layer.graph.states]
        before, later = (each[0] if len(each) == 1 else f"({', '.join(each)})" for each in (own, last))
        lines.append(f"y, {later} = self.{name}({x}[None], {before})")
        lines.append(f"{name}_y = y[0]")
        x = f"{name}_y"
        after += [f"{each}[0]" for each in last]
    names |= dict(zip(node.outputs, [x, *after], strict=True))
    return lines


# -- operations -----------------------------------------------------------------------------------------------


def _slices(start: int, stop: int | None, axis: int) -> str:
    """x[...] along an axis, counted from the front or the back."""
    own = f"{start}:{'' if stop is None else stop}"
    after = ", :" * (-axis - 1)
    return f"..., {own}{after}" if axis < 0 else ":, " * axis + own


Print = Callable[..., str]
OPERATIONS: dict[str, Print] = {
    "gather": lambda table, ids: f"{table}[{ids}]",
    "bag": lambda table, ids, counts, kind="mean": f"bag({table}, {ids}, {counts}, {kind!r})",
    "linear": lambda x, weight, bias=None: f"F.linear({x}, {weight}, {bias})",
    "conv": lambda x, weight, bias, lengths: f"conv({x}, {weight}, {bias}, {lengths})",
    "conv2d": lambda x, weight, bias, lengths=None, *, strides, before: (
        f"conv2d({x}, {weight}, {bias}, {lengths}, {strides}, {before})"
    ),
    "layer_norm": lambda x, weight, bias, epsilon: f"F.layer_norm({x}, {x}.shape[-1:], {weight}, {bias}, {epsilon!r})",
    "pool": lambda x, lengths, kind: f"pool({x}, {lengths}, {kind!r})",
    "time_softmax": lambda x, lengths: f"{x}.masked_fill(~inside({lengths}, len({x})), -torch.inf).softmax(0)",
    "weighed": lambda x, weights: f"({x} * {weights}[..., None]).sum(0)",
    "shortened": lambda lengths, stride: f"({lengths} + {stride - 1}) // {stride}",
    "gelu": lambda x: f"F.gelu({x})",
    "add": lambda a, b: f"{a} + {b}",
    "sub": lambda a, b: f"{a} - {b}",
    "mul": lambda a, b: f"{a} * {b}",
    "div": lambda a, b: f"{a} / {b}",
    "maximum": lambda a, b: f"torch.maximum({a}, {b})",
    "scale": lambda x, by, plus=0.0: f"{x} * {by!r} + {plus!r}",
    "softmax": lambda x, axis=-1: f"{x}.softmax({axis})",
    "log_softmax": lambda x, axis=-1: f"{x}.log_softmax({axis})",
    "concat": lambda *parts, axis=-1: f"torch.cat([{', '.join(parts)}], {axis})",
    "piece": lambda x, start, stop, axis=-1: f"{x}[{_slices(start, stop, axis)}]",
    "pad": lambda x, front, back, axis: f"F.pad({x}.movedim({axis}, -1), ({front}, {back})).movedim(-1, {axis})",
    "reshape": lambda x, shape: f"{x}.reshape({shape})",
    "repeat": lambda x, count, axis=0: f"{x}.repeat_interleave({count}, {axis})",
    "transpose": lambda x, axes: f"{x}.permute({axes})",
    "squeeze": lambda x, axis: f"{x}.squeeze({axis})",
    "expand": lambda x, axis: f"{x}.unsqueeze({axis})",
    **{name: lambda x, name=name: f"torch.{name}({x})" for name in ("tanh", "sigmoid", "relu", "exp")},
}
HELPERS = {
    "inside": '''def inside(lengths, steps):
    """(T, B): whether a step lies in its sequence."""
    return torch.arange(steps)[:, None] < lengths''',
    "bag": """def bag(table, ids, counts, kind):
    there = (torch.arange(ids.shape[-1]) < counts[..., None])[..., None]
    total = (table[ids] * there).sum(-2)
    return total / counts.clamp(min=1)[..., None] if kind == "mean" else total""",
    "conv": """def conv(x, weight, bias, lengths):
    x = (x * inside(lengths, len(x))[..., None]).permute(1, 2, 0)
    return F.conv1d(x, weight, bias, padding=weight.shape[2] // 2).permute(2, 0, 1)""",
    "conv2d": """def conv2d(x, weight, bias, lengths, strides, before):
    if lengths is not None:
        x = x * inside(lengths, len(x))[..., None, None]
    x = x.permute(1, 3, 0, 2)
    (above, left), (tall, wide) = before, weight.shape[2:]
    x = F.pad(x, (left, wide - 1 - left, above, tall - 1 - above))
    return F.conv2d(x, weight, bias, strides).permute(2, 0, 3, 1)""",
    "pool": """def pool(x, lengths, kind):
    there = inside(lengths, len(x))[..., None]
    if kind == "max":
        return x.masked_fill(~there, -torch.inf).amax(0)
    return (x * there).sum(0) / lengths[:, None]""",
}


def _lines(net: Net, model: Exported) -> list[str]:
    """The body of the method of one net."""
    names = {name: _value(name) for name in net.inputs} | {
        f"@{name}": f"self.{_attribute(name)}" for name in net.arrays
    }
    lines: list[str] = []
    for node in net.nodes:
        if node.op in ("recurrent", "step"):
            lines += (_whole if node.op == "recurrent" else _step)(node, names, model)
            continue
        if node.op not in OPERATIONS:
            raise OptionError(f"the form torch has no way to write {node.op!r}; use --to gatework, onnx or c")
        (value,) = node.outputs
        names[value] = f"v{len(names)}"
        lines.append(f"{names[value]} = {OPERATIONS[node.op](*(names[each] for each in node.inputs), **node.settings)}")
    ends = net.outputs | {name: state.after for name, state in net.states.items()}
    lines.append("return {" + ", ".join(f'"{name}": {names[value]}' for name, value in ends.items()) + "}")
    return lines


def _value(name: str) -> str:
    return name.replace(".", "_")


def _script(model: Exported, layers: list[str]) -> str:
    bodies = {name: _lines(net, model) for name, net in model.nets.items()}
    text = "\n".join(line for lines in bodies.values() for line in lines)
    used = {name for name in HELPERS if f"{name}(" in text}
    used |= {"inside"} if used & {"conv", "conv2d", "pool"} else set()
    parts = [HEAD.format(about=_about(model.about)), *(HELPERS[name] for name in HELPERS if name in used)]
    return "\n\n\n".join([*parts, _class(model, layers, bodies), TAIL])


def _about(about: Mapping[str, Any]) -> str:
    said = f"{about.get('run', 'a model')}, a model of the task {about.get('task', '')}"
    return said.replace('"', "'").replace("\\", "/")


def _class(model: Exported, layers: list[str], bodies: Mapping[str, list[str]]) -> str:
    lines = ["class Model(nn.Module):", "    def __init__(self, weights):", "        super().__init__()"]
    lines += [f"        {line}" for line in layers]
    lines += ["        for name, array in weights.items():", '            if "." not in name:']
    lines += ["                self.register_buffer(name, array)", "        self.load_state_dict(weights)"]
    for name, body in bodies.items():
        given = ", ".join(map(_value, model.nets[name].inputs))
        lines += ["", f"    def {'forward' if name == 'whole' else name}(self, {given}):"]
        lines += [f"        {line}" for line in body]
    return "\n".join(lines)


HEAD = '''"""{about}, as plain torch. settings.json says what stands before and after it.

from model import load
load()(...)  # sequences are (T, B, ...), lengths (B,)
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence as pack, pad_packed_sequence as pad'''

TAIL = """def load(folder=Path(__file__).parent):
    return Model(load_file(folder / "weights.safetensors")).eval()
"""
