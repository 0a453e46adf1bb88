"""A network as data, and as JSON: what it is given, its operations in order, what it answers, the states it keeps.

Sequences are time-major, (T, B, C), padded at the end; `lengths` (B,) say where. Values have names; those of arrays
that lie beside the net (weights, tables) begin with "@". A net that keeps states has no axis T: it is one step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gatework.errors import FileFormatError
from gatework.runtime.net.ops import settings_of

MOST_NODES, MOST_NAME = 20_000, 200
MOST_STATES = 1 << 24  # numbers in all states of a stream
DTYPES = ("float32", "int64")
Shape = tuple[int | str, ...]


class Input(NamedTuple):
    """What a call brings: its shape, in numbers and in the names of axes ("T", "B"), and its type."""

    shape: Shape
    dtype: str = "float32"


class Node(NamedTuple):
    """An operation of `ops.OPS`, or "recurrent" or "step", which run the stack `settings["stack"]`."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[str, Any]


class State(NamedTuple):
    """A state of a step: the input of this name becomes the value `after`; `start` is an array's name or a number."""

    width: int
    after: str
    start: str | float = 0.0


@dataclass(frozen=True)
class Net:
    """Inputs, nodes in the order in which they run, outputs {name: value}, states {input: State}."""

    inputs: dict[str, Input]
    nodes: tuple[Node, ...]
    outputs: dict[str, str]
    states: dict[str, State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if sum(state.width for state in self.states.values()) > MOST_STATES:
            raise FileFormatError(f"the states of the net are wider than {MOST_STATES:,} numbers together")
        known = set(self.inputs)
        for node in self.nodes:
            _check(node, known)
            known |= set(node.outputs)
        ends = [*self.outputs.values(), *(state.after for state in self.states.values())]
        for name in (*ends, *self.states):
            if name not in known:
                raise FileFormatError(f"the net has no value {name!r:.60}")

    @property
    def arrays(self) -> set[str]:
        """The names of the arrays that it reads, without "@"."""
        starts = [state.start for state in self.states.values() if isinstance(state.start, str)]
        return {name[1:] for node in self.nodes for name in node.inputs if name.startswith("@")} | set(starts)

    def encode(self) -> dict[str, Any]:
        """As JSON-able dicts and lists."""
        return {
            "inputs": {name: [list(each.shape), each.dtype] for name, each in self.inputs.items()},
            "nodes": [[n.op, list(n.inputs), list(n.outputs), dict(n.settings)] for n in self.nodes],
            "outputs": self.outputs,
            "states": {name: list(state) for name, state in self.states.items()},
        }


def decode(said: object) -> Net:
    """The net that `encode` gave. Raises FileFormatError for anything else."""
    if not isinstance(said, dict) or set(said) != {"inputs", "nodes", "outputs", "states"}:
        raise FileFormatError("a net is described by inputs, nodes, outputs and states")
    if not isinstance(said["nodes"], list) or len(said["nodes"]) > MOST_NODES:
        raise FileFormatError(f"a net has a list of at most {MOST_NODES:,} nodes")
    try:
        return Net(
            {name: _input(*each) for name, each in said["inputs"].items()},
            tuple(_node(*each) for each in said["nodes"]),
            {_name(key): _name(value) for key, value in said["outputs"].items()},
            {_name(key): _state(*each) for key, each in said["states"].items()},
        )
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"the description of the net is damaged: {error}") from error


def _input(shape: object, dtype: object) -> Input:
    if not isinstance(shape, list) or len(shape) > 5 or dtype not in DTYPES:
        raise FileFormatError(f"an input has a shape and one of the types {', '.join(DTYPES)}; got {dtype!r:.40}")
    return Input(tuple(_name(axis) if isinstance(axis, str) else _count(axis) for axis in shape), str(dtype))


def _node(op: object, inputs: object, outputs: object, settings: object) -> Node:
    if not (isinstance(inputs, list) and isinstance(outputs, list) and isinstance(settings, dict)):
        raise FileFormatError(f"the node {op!r:.40} must have inputs, outputs and settings")
    return Node(_name(op), tuple(map(_name, inputs)), tuple(map(_name, outputs)), settings)


def _state(width: object, after: object, start: object) -> State:
    return State(_count(width), _name(after), start if isinstance(start, int | float) else _name(start))


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MOST_NAME:
        raise FileFormatError(f"a name in a net is a text of at most {MOST_NAME} letters; got {value!r:.40}")
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 < value < 1 << 31:
        raise FileFormatError(f"a width in a net is a whole number above 0; got {value!r:.40}")
    return value


def _check(node: Node, known: set[str]) -> None:
    """Every input is there before it is read, no value has two makers, and the settings are the operation's."""
    missing = [name for name in node.inputs if name not in known and not name.startswith("@")]
    if missing:
        raise FileFormatError(f"the node {node.op!r:.40} reads {missing[0]!r:.60}, which is not there yet")
    if known & set(node.outputs) or len(set(node.outputs)) != len(node.outputs) or not node.outputs:
        raise FileFormatError(f"the outputs of the node {node.op!r:.40} have names that are taken")
    if node.op not in ("recurrent", "step"):
        settings_of(node.op, len(node.inputs), node.settings)
    elif type(node.settings.get("stack")) is not int:
        raise FileFormatError(f"a node {node.op!r} names its stack")


__all__ = ["Input", "Net", "Node", "State", "decode"]
