"""What a node LSTM, GRU or RNN says by its attributes, checked: which cell it is, and how it reads its sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from onnx import NodeProto, helper

from gatework.errors import FileFormatError
from gatework.exporting.onnx.equations import ACTIVATIONS, USUAL, Activation, Options

KNOWN = ("activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "layout")
OWN = {"LSTM": ("input_forget",), "GRU": ("linear_before_reset",), "RNN": ()}
OLD = ("output_sequence",)  # of the first versions, which says nothing of the numbers
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


class Said(NamedTuple):
    """A node's attributes."""

    options: Options
    direction: str
    rows_first: bool  # layout 1: (B, T, I)
    hidden: int | None


class Refused(FileFormatError):
    """A node, and what of it cannot be read."""

    def __init__(self, node: NodeProto, why: str):
        super().__init__(f"the node {called(node)!r} ({node.op_type}): {why}")


def called(node: NodeProto) -> str:
    return node.name or next((name for name in node.output if name), "")


def said_by(node: NodeProto, peephole: bool) -> Said:
    """The attributes of a node."""
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    for name in found:
        if name not in (*KNOWN, *OWN[node.op_type], *OLD):
            raise Refused(node, f"gatework does not know its attribute {name}")
    direction = _text(found.get("direction", b"forward"))
    if direction not in DIRECTIONS:
        raise Refused(node, f"direction is {direction!r}; it must be {', '.join(DIRECTIONS)}")
    options = Options(
        node.op_type,
        _activations(node, found, DIRECTIONS[direction]),
        _clip(node, found.get("clip", 0.0)),
        peephole,
        _flag(node, found, "input_forget"),
        _flag(node, found, "linear_before_reset"),
    )
    return Said(options, direction, _flag(node, found, "layout"), found.get("hidden_size"))


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _flag(node: NodeProto, found: dict[str, Any], name: str) -> bool:
    value = found.get(name, 0)
    if value not in (0, 1):
        raise Refused(node, f"{name} is {value!r:.40}; it must be 0 or 1")
    return bool(value)


def _clip(node: NodeProto, value: float) -> float:
    if not (isinstance(value, float) and 0.0 <= value < float("inf")):
        raise Refused(node, f"clip is {value!r:.40}; it must be a number from 0 on")
    return value


def _activations(node: NodeProto, found: dict[str, Any], directions: int) -> tuple[Activation, ...]:
    """Those of a direction; both must have the same, as a layer of ours has one cell."""
    usual = USUAL[node.op_type]
    names = [_text(name).lower() for name in found.get("activations", [])] or list(usual) * directions
    if len(names) != len(usual) * directions:
        raise Refused(node, f"activations has {len(names)} names; {len(usual)} for each direction are needed")
    alphas, betas = (iter(found.get(f"activation_{name}", [])) for name in ("alpha", "beta"))
    made = [_activation(node, name, alphas, betas) for name in names]
    for name, rest in (("activation_alpha", list(alphas)), ("activation_beta", list(betas))):
        if rest:
            raise Refused(node, f"{name} has {len(rest)} more numbers than its activations {', '.join(names)} take")
    first, second = made[: len(usual)], made[-len(usual) :]
    if first != second:
        raise Refused(node, "activations differ between its two directions, whose cells are one in a layer of ours")
    return tuple(first)


def _activation(node: NodeProto, name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    """An activation with its constants, each taken of its list in turn."""
    if name not in ACTIVATIONS:
        raise Refused(node, f"activations has {name!r:.40}; there are {', '.join(ACTIVATIONS)}")
    kind = ACTIVATIONS[name]
    lists: Sequence[tuple[Iterator[float], float | None]] = ((alphas, kind.alpha), (betas, kind.beta))
    constants = [next(values, usual) for values, usual in lists[: kind.constants]]
    if None in constants:
        raise Refused(node, f"activation {name} has no constants; activation_alpha and activation_beta say them")
    return Activation(name, tuple(float(c) for c in constants if c is not None))
