"""Values of a printed net: where each lies, of what shape it is, and which of them may share a place.

A program answers one row, so the axis B is left out; an axis that has a name ("T") is a number that the caller gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gatework.runtime.net.graph import Net, Shape

# Which input of an operation says how long the others are.
LENGTHS = {"recurrent": 1, "pool": 1, "conv": 3, "conv2d": 3, "time_softmax": 1, "softmax_inside": 1, "attention": 2}
LENGTHS |= {"shortened": 0}
SHORT = {"L": 32, "P": 64}  # how many letters and pieces of one word a program has room for


@dataclass(frozen=True)
class Value:
    """An array in C: an expression that points to its first number, its shape in the net, its type."""

    at: str
    shape: Shape
    ctype: str = "float"

    def length(self, axis: int) -> int | str:
        """Of one axis of the net's shape."""
        found = self.shape[axis]
        return 1 if found == "B" else found

    def around(self, axis: int) -> tuple[str, str]:
        """How many numbers the axes before an axis, and those after it, make."""
        axis %= len(self.shape)
        return count(self.shape[:axis]), count(self.shape[axis + 1 :])


def count(axes: Sequence[int | str]) -> str:
    """How many numbers such axes hold, as a C expression.

    >>> count(("T", "B", 3, 4))
    'T * 12'
    """
    whole, names = 1, []
    for axis in axes:
        if isinstance(axis, int):
            whole *= axis
        elif axis != "B":
            names.append(axis)
    return " * ".join([*names, str(whole)] if whole > 1 or not names else names)


def limit(axis: str) -> str:
    """The constant of a program that bounds an axis: letters and pieces of words are fewer than steps."""
    return f"MOST_{axis}" if axis in SHORT else "MOST_STEPS"


def most(axes: Sequence[int | str], bound: int) -> int:
    """The same where each named axis is as long as the program allows."""
    total = 1
    for axis in axes:
        total *= axis if isinstance(axis, int) else 1 if axis == "B" else min(bound, SHORT.get(axis, bound))
    return total


@dataclass
class Room:
    """Places for values that are as long as the caller's sequence. One that nothing reads any more is used again."""

    net: Net
    bound: int
    sizes: list[int] = field(default_factory=list)
    taken: dict[int, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._last: dict[str, int] = {}
        for k, node in enumerate(self.net.nodes):
            self._last |= dict.fromkeys((*node.inputs, *node.outputs), k)
        ends = [*self.net.outputs.values(), *(s.after for s in self.net.states.values())]
        self._last |= dict.fromkeys(ends, len(self.net.nodes))

    def place(self, shape: Shape, name: str) -> int:
        """The number of a place for a value of this name."""
        wanted = most(shape, self.bound)
        free = [k for k, size in enumerate(self.sizes) if k not in self.taken and size >= wanted]
        if not free:
            self.sizes.append(wanted)
        found = min(free, key=lambda k: self.sizes[k]) if free else len(self.sizes) - 1
        self.taken[found] = {name}
        return found

    def share(self, name: str, other: str) -> None:
        """`name` is the same numbers as `other`."""
        for names in self.taken.values():
            if other in names:
                names.add(name)

    def leave(self, k: int) -> None:
        """After node k: what no later node reads gives its place back."""
        done = [p for p, names in self.taken.items() if all(self._last.get(n, -1) <= k for n in names)]
        for place in done:
            del self.taken[place]


def readers(net: Net, name: str) -> Mapping[str, set[int]]:
    """Which operations read a value, and as which of their inputs."""
    found: dict[str, set[int]] = {}
    for node in net.nodes:
        for k, each in enumerate(node.inputs):
            if each == name:
                found.setdefault(node.op, set()).add(k)
    return found
