"""The way of a cell through the compiler, as a list of named passes.

    trace (lang)  ->  wrappers, in ORDER  ->  derive  ->  plan  ->  a backend

`prepare` runs the wrappers; `show`, or the environment variable GATEWORK_DEBUG, sees the graph after each pass.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from gatework.compiler import wrappers
from gatework.compiler.debug import wanted
from gatework.compiler.derive import derive
from gatework.compiler.ir import Backward, Graph
from gatework.compiler.show import text
from gatework.errors import OptionError

Shower = Callable[[str, Graph | Backward], None]

# From the inside of a step to its outside: what comes last sees the states first.
ORDER: dict[str, Callable[..., Graph]] = {
    "layer_norm": wrappers.layer_norm,
    "clip": wrappers.clip,
    "recurrent_dropout": wrappers.recurrent_dropout,
    "zoneout": wrappers.zoneout,
    "hold": wrappers.hold,
    "reset": wrappers.reset,
}


def prepare(graph: Graph, options: Mapping[str, Mapping[str, Any]], show: Shower | None = None) -> Graph:
    """Apply wrappers in their order, whatever the order of `options`.

    >>> prepare(lstm.graph, {"zoneout": {"states": ["c"]}, "layer_norm": {}}).inputs[-1].name
    'zoneout_c'
    """
    for name in options:
        if name not in ORDER:
            raise OptionError(f"there is no wrapper {name!r}; there are {', '.join(ORDER)}")
    show = show or from_environment()
    show("cell", graph)
    for name, wrapper in ORDER.items():
        if name in options:
            graph = wrapper(graph, **options[name])
            show(name, graph)
    return graph


def differentiate(graph: Graph, show: Shower | None = None) -> Backward:
    """The last pass before planning."""
    backward = derive(graph)
    (show or from_environment())("derive", backward)
    return backward


def from_environment() -> Shower:
    """Prints to stderr if GATEWORK_DEBUG asks for passes (see debug.py)."""
    return to_stderr if wanted("passes") else lambda name, graph: None


def to_stderr(name: str, graph: Graph | Backward) -> None:
    print(f"== {name}\n{text(graph)}", file=sys.stderr)
