"""Wrappers: a graph in, a graph out. They change how any cell is trained or run, and refuse where they mean nothing.

Applied together they stand in this order, from the inside out (`pipeline.ORDER`): layer_norm, clip, recurrent_dropout,
zoneout, hold, reset.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from gatework.compiler.edit import Edit
from gatework.compiler.ir import Graph, Node, State
from gatework.compiler.layernorm import layer_norm
from gatework.compiler.ops import maximum, minimum, where
from gatework.compiler.simplify import Term
from gatework.errors import OptionError

__all__ = ["clip", "hold", "layer_norm", "recurrent_dropout", "reset", "zoneout"]


def recurrent_dropout(graph: Graph, per: str = "state") -> Graph:
    """A previous state that is read inside an operand of a map becomes mask * state, with the same mask at every step.

    >>> recurrent_dropout(lstm.graph).inputs[-1]
    Input(name='drop_h', width='H', per='sequence')

    per     "state": one mask a state, input "drop_h" (Gal & Ghahramani, "A theoretically grounded application of
            dropout in recurrent neural networks", NeurIPS 2016, tied). "map": one a state and map, "drop_h_f" (untied;
            Keras).

    A mask (B, width of the state) holds 0 and 1 / keep. Raises OptionError where no map reads a state.
    """
    if per not in ("state", "map"):
        raise OptionError(
            f'recurrent_dropout: per={per!r}; choose "state" (one mask for all maps) or "map" (one for each)'
        )
    edit = RecurrentDropout(graph, per)
    wrapped = edit.finish()
    if len(edit.inputs) == len(graph.inputs):
        raise OptionError(
            f"recurrent dropout means nothing for {graph.name}: no map reads a state. Use input dropout or zoneout"
        )
    return wrapped


class RecurrentDropout(Edit):
    def __init__(self, graph: Graph, per: str):
        super().__init__(graph)
        self.per = per
        self.known: dict[tuple[int, str], Term] = {}

    def visit(self, index: int, node: Node) -> Term:
        if node.op != "dot":
            return self.copied(node)
        masked = [self.masked(a, node.attr.weights[slot].map) for slot, a in enumerate(node.args)]
        term = self.dot(node.attr, masked, node.width)
        self.builder.named(term.index, node.name)
        return term

    def masked(self, index: int, map_name: str) -> Term:
        """An operand in which previous states are masked, up to the products that it is made of."""
        key = (index, map_name if self.per == "map" else "")
        if key not in self.known:
            self.known[key] = self.masked_node(index, map_name)
        return self.known[key]

    def masked_node(self, index: int, map_name: str) -> Term:
        node = self.graph.nodes[index]
        if node.op == "state":
            name = f"drop_{node.attr}" + (f"_{map_name}" if self.per == "map" else "")
            return self.input(name, node.width, "sequence") * self.read(index)
        if node.op == "dot" or not node.args:
            return self.read(index)
        args = tuple(self.masked(a, map_name).index for a in node.args)
        if args == tuple(self.read(a).index for a in node.args):
            return self.read(index)
        return Term(self.builder, self.builder.add(node.op, args, node.attr, node.width))


def zoneout(graph: Graph, states: Sequence[str] | None = None) -> Graph:
    """A new state keeps its old value where a mask says so: mask * old + (1 - mask) * new.

    Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR 2017, equations 3, 4.
    Adds an input "zoneout_c", (T, B, width), for each of `states` (all, unless said): 1 keeps, 0 renews; in evaluation
    the rate itself, which gives the expectation. What else is made of the new value sees it before zoneout.
    """
    edit = Edit(graph)
    news = edit.news()
    for k, state in chosen(graph, states, "zoneout"):
        mask = edit.input(f"zoneout_{state.name}", state.width, "step")
        kept = mask * edit.state(state.name) + (1.0 - mask) * news[k]
        news[k] = edit.rename(news[k], kept)
    return edit.finish(news)


def clip(graph: Graph, limit: float, states: Sequence[str] | None = None) -> Graph:
    """New states stay in [-limit, limit], for the next step and for whatever else reads them in this one.

    Sak, Senior & Beaufays 2014 clip the cell this way. `states`: all, unless said.
    """
    if not (isinstance(limit, int | float) and 0 < limit < math.inf):
        raise OptionError(f"clip: the limit is {limit!r}; it must be a positive number")
    edit = Edit(graph)
    for k, _ in chosen(graph, states, "clip"):
        index = graph.news[k]
        new = edit.upto(index)
        clipped = edit.rename(new, minimum(maximum(new, -float(limit)), float(limit)))
        edit.moved[index] = clipped.index
    return edit.finish()


def hold(graph: Graph) -> Graph:
    """Adds an input "hold", (T, B, 1): where it is 1 the row keeps its states at this step (Keras' masks)."""
    if any(i.name == "reset" for i in graph.inputs):
        raise OptionError(f"{graph.name} has a reset already, which comes first in a step: apply hold before reset")
    edit = Edit(graph)
    news = edit.news()
    held = edit.input("hold", "1", "step")
    for k, state in enumerate(graph.states):
        news[k] = edit.rename(news[k], where(held, edit.state(state.name), news[k]))
    return edit.finish(news)


def reset(graph: Graph) -> Graph:
    """Adds an input "reset", (T, B, 1): where it is 1 the row starts afresh at this step, before anything else happens,
    from the inputs "start_h", (B, width), one for each state."""
    return Reset(graph).finish()


class Reset(Edit):
    def visit(self, index: int, node: Node) -> Term:
        if node.op != "state":
            return self.copied(node)
        start = self.input(f"start_{node.attr}", node.width, "sequence")
        return where(self.input("reset", "1", "step"), start, self.state(node.attr))

    def finish(self, news: Iterable[Term] | None = None) -> Graph:
        self.input("reset", "1", "step")
        for state in self.graph.states:
            self.input(f"start_{state.name}", state.width, "sequence")
        return super().finish(news)


def chosen(graph: Graph, states: Sequence[str] | None, wrapper: str) -> list[tuple[int, State]]:
    """The states that a wrapper is for. One that starts at infinity (a stabiliser) cannot be mixed or clipped."""
    known = [s.name for s in graph.states]
    names = known if states is None else [states] if isinstance(states, str) else list(states)
    for name in names:
        if name not in known:
            raise OptionError(f"{wrapper}: {graph.name} has no state {name!r}; its states are {', '.join(known)}")
        if math.isinf(graph.state(name).start):
            raise OptionError(
                f"{wrapper} means nothing for state {name!r} of {graph.name}, which starts at {graph.state(name).start}"
                f"; name the others: states={[n for n in known if not math.isinf(graph.state(n).start)]}"
            )
    return [(known.index(n), graph.state(n)) for n in names]
