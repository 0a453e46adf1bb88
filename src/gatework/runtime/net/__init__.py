"""Whole networks as data: a list of named operations over named arrays, which numpy runs and other writers print.

from gatework.runtime.net import Builder

b = Builder()
ids, lengths = b.input("ids", ("T", "B"), "int64"), b.input("lengths", ("B",), "int64")
vectors = b.gather(b.array("table", table), ids)
outputs, last = b.recurrent(layers, vectors, lengths)
b.output("scores", b.linear(last["0.0.h"], b.array("weight", weight), b.array("bias", bias)))
scores = Bound(b.net(), b.arrays, b.stacks)(ids=ids, lengths=lengths)["scores"]
"""

from __future__ import annotations

from gatework.runtime.net.builder import Builder
from gatework.runtime.net.graph import Net, Node, State
from gatework.runtime.net.run import Bound

__all__ = ["Bound", "Builder", "Net", "Node", "State"]
