"""Nets on numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gatework.errors import FileFormatError, GateworkError, ShapeError
from gatework.runtime.net.graph import Net, Node
from gatework.runtime.net.ops import MOST, OPS
from gatework.runtime.net.stack import Stack
from gatework.runtime.saved import Layer

Arrays = dict[str, np.ndarray]


class Bound:
    """A net with its arrays and stacks: `bound(ids=ids, lengths=lengths)` gives {output: array}.

    With states, `bound.start(B)` gives those of new streams, and a call takes them as inputs and gives those after the
    step under the same names.
    """

    def __init__(self, net: Net, arrays: Mapping[str, np.ndarray], stacks: list[list[Layer]]):
        missing = [name for name in sorted(net.arrays) if name not in arrays]
        if missing:
            raise FileFormatError(f"the array {missing[0]!r:.60} is missing")
        self.net, self.arrays = net, arrays
        self._held = {f"@{name}": arrays[name] for name in net.arrays}
        used = {node.settings["stack"] for node in net.nodes if node.op in ("recurrent", "step")}
        if odd := [number for number in used if not 0 <= number < len(stacks)]:
            raise FileFormatError(f"there is no stack {odd[0]} beside the net")
        self.stacks = {number: Stack(stacks[number]) for number in used}
        self._spent = _spent(net)

    def start(self, batch: int) -> Arrays:
        """The states of B new streams."""
        found = {}
        for name, state in self.net.states.items():
            start = self.arrays[state.start] if isinstance(state.start, str) else state.start
            found[name] = np.tile(np.full(state.width, start, np.float32), (batch, 1))
        return found

    def __call__(self, **given: np.ndarray) -> Arrays:
        values = dict(self._held)
        for name, wanted in self.net.inputs.items():
            if name not in given:
                raise ShapeError(f"the net needs its input {name!r} of shape {wanted.shape}")
            values[name] = np.asarray(given[name], wanted.dtype)
            if values[name].ndim != len(wanted.shape):
                raise ShapeError(f"the input {name!r} has the shape {values[name].shape}; it must be {wanted.shape}")
        self._run(values)
        ends = self.net.outputs | {name: state.after for name, state in self.net.states.items()}
        return {name: values[value] for name, value in ends.items()}

    def _run(self, values: Arrays) -> None:
        """Node by node; what nobody reads any more goes, and what is there at a time is bounded."""
        held = 0
        for node, spent in zip(self.net.nodes, self._spent, strict=True):
            made = self._outputs(node, [values[name] for name in node.inputs])
            values |= made
            held += sum(value.size for value in made.values())
            if held > MOST:
                raise FileFormatError(f"the net holds more than {MOST:,} numbers at a time, at its {node.op!r:.40}")
            held -= sum(values.pop(name).size for name in spent)

    def _outputs(self, node: Node, inputs: list[np.ndarray]) -> Arrays:
        try:
            return dict(zip(node.outputs, self._made(node, inputs), strict=True))
        except GateworkError:
            raise
        except (LookupError, ValueError, TypeError, ArithmeticError) as error:
            raise ShapeError(f"{node.op} of {[i.shape for i in inputs]}: {error}") from error

    def _made(self, node: Node, inputs: list[np.ndarray]) -> list[np.ndarray]:
        if node.op == "recurrent":
            x, lengths, *more = inputs
            names, starts = node.settings.get("others", ()), node.settings.get("starts", ())
            given = dict(zip((*names, *starts), more, strict=True))
            others, before = ({name: given[name] for name in group} for group in (names, starts))
            return self.stacks[node.settings["stack"]].whole(x, lengths, others, before)
        if node.op == "step":
            return self.stacks[node.settings["stack"]].step(*inputs)
        return [OPS[node.op](*inputs, **node.settings)]


def _spent(net: Net) -> list[list[str]]:
    """For each node the values made by nodes that nobody reads after it."""
    last = {name: k for k, node in enumerate(net.nodes) for name in (*node.outputs, *node.inputs)}
    ends = {*net.outputs.values(), *(state.after for state in net.states.values())}
    found: list[list[str]] = [[] for _ in net.nodes]
    for name in {name for node in net.nodes for name in node.outputs} - ends:
        found[last[name]].append(name)
    return found
