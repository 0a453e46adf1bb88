"""Gates, states, and how long they remember: read off any cell, without knowing its gates by name."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatework.compiler import carry
from gatework.compiler.ir import Graph
from gatework.compiler.ops import LEAVES
from gatework.layers.parts import part_of
from gatework.tasks.subject import ROWS, Seen, Subject

PREFIX = "carry_"


@dataclass(frozen=True)
class State:
    """A state's memory. `factor` (T, H) is what multiplies its previous value at each step, None where that passes
    through a function or a matrix instead; `half_life` (H,) in steps: ln 0.5 / mean ln |factor|, infinite where nothing
    is forgotten. The step that is read first does not count, where others follow: nothing is held before it, and cells
    with a stabiliser that starts at -inf have a factor of 0 there."""

    name: str
    factor: np.ndarray | None
    half_life: np.ndarray | None


@dataclass(frozen=True)
class Layer:
    """One layer in one direction: every named value (T, w), the memory of each state, and `reach` (T,), the norm of
    the derivative of its last output by the inputs x_t of its stack. A reverse direction's last output is at step 1."""

    name: str
    cell: str
    reverse: bool
    values: dict[str, np.ndarray]
    states: list[State]
    reach: np.ndarray | None


def layers_of(seen: list[Seen]) -> list[Layer]:
    """All layers and directions of the model as they ran on the subject."""
    found = []
    for each in seen:
        layer: Any = each.layer
        values, graph, nodes = all_values(layer, each.inputs, each.others)
        for number, suffix in enumerate(layer.all_suffixes()):
            own = {name.removesuffix(suffix): v for name, v in values.items() if ends_with(name, suffix)}
            depth, d = divmod(number, layer.directions)
            top = depth == layer.num_layers - 1
            reach = reach_of(layer, each, d) if top else None
            name = " ".join([each.name, *([f"layer {depth + 1}"] if layer.num_layers > 1 else [])])
            found.append(one_layer(name, graph, nodes, own, d == 1, reach))
    return found


def ends_with(name: str, suffix: str) -> bool:
    """Whether a value belongs to a direction: f_l0_reverse ends with _l0_reverse, f_l0 with _l0."""
    return name.endswith(suffix) and (suffix.endswith("_reverse") or not name.endswith("_reverse"))


def one_layer(
    name: str, graph: Graph, nodes: dict[str, int | None], values: dict[str, np.ndarray], reverse: bool, reach: Any
) -> Layer:
    states = [state_of(graph, state.name, nodes[state.name], values, reverse) for state in graph.states]
    shown = {key: value for key, value in values.items() if not key.startswith(PREFIX)}
    return Layer(name + (", backward" if reverse else ""), graph.name, reverse, shown, states, reach)


def state_of(graph: Graph, name: str, node: int | None, values: dict[str, np.ndarray], reverse: bool) -> State:
    if node is None:
        return State(name, None, None)
    like = values[name]
    found = graph.nodes[node]
    factor = np.full_like(like, found.attr) if found.op == "const" else values.get(found.name)
    if factor is None:
        return State(name, None, None)
    factor = np.broadcast_to(factor, like.shape)
    later = factor[:-1] if reverse else factor[1:]
    return State(name, factor, half_life(later if len(later) else factor))


def half_life(factor: np.ndarray) -> np.ndarray:
    """Steps (H,) after which half of a unit's value is left, by the mean logarithm of its factors (T, H)."""
    with np.errstate(divide="ignore"):
        mean = np.log(np.abs(factor, dtype=np.float64)).mean(0)
        return np.where(mean < 0, np.log(0.5) / mean, np.inf)


def with_factors(graph: Graph) -> tuple[Graph, dict[str, int | None]]:
    """The graph in which every state's carry factor has a name, and so is among the values that a layer returns."""
    wide, nodes = carry.factors(graph)
    listed = list(wide.nodes)
    for state, index in nodes.items():
        if index is not None and (not listed[index].name or index in wide.news) and listed[index].op not in LEAVES:
            listed[index] = replace(listed[index], name=PREFIX + state)
    return replace(wide, nodes=tuple(listed)), nodes


@torch.no_grad()
def all_values(
    layer: Any, inputs: Tensor, others: dict[str, Tensor]
) -> tuple[dict[str, np.ndarray], Graph, dict[str, int | None]]:
    """Every named value of a layer over the steps, (T, w) each, factors among them; the graph that they are of."""
    twin = copy.copy(layer)  # over the same parameters
    graph, nodes = with_factors(layer.graph_in_evaluation())
    twin.graph, twin.zoneout, twin.batch_first = graph, {}, False
    twin._forget_kernels()
    *_, values = twin(inputs, return_all=True, **others)
    return {name: value[:, 0].double().numpy() for name, value in values.items()}, graph, nodes


def reach_of(layer: Any, seen: Seen, d: int) -> np.ndarray:
    """|| d h_T / d x_t || for each t, (T,): Frobenius norm, exact; h_T is the last output of the top layer's direction
    d. One row of a batch for each unit, so that one backward pass gives the whole matrix."""
    single = layer.num_layers == 1
    run = part_of(layer, 0, d) if single else layer
    given = seen.inputs.flip(0) if single and d else seen.inputs
    others = {n: v.flip(0) if single and d and v.dim() == 3 else v for n, v in seen.others.items()}
    end, offset = (-1, 0) if single else (0 if d else -1, d * layer.output_size)
    squares = torch.zeros(len(given), dtype=torch.float64)
    for mine in torch.arange(layer.output_size).split(max(ROWS // len(given), 1)):
        inputs = given.repeat(1, len(mine), 1).requires_grad_(True)
        rows = {n: v.expand(*v.shape[:-2], len(mine), v.shape[-1]) for n, v in others.items()}
        output = run(inputs, **rows)[0]
        last = output[end, torch.arange(len(mine)), offset + mine]
        squares += torch.autograd.grad(last.sum(), inputs)[0].double().square().sum((1, 2))
    return (squares.flip(0) if single and d else squares).sqrt().numpy()


@dataclass(frozen=True)
class Cut:
    """What the model says of nothing but the last (or nearest) `lengths` steps, the whole last of all."""

    lengths: list[int]
    shown: np.ndarray
    answers: list[str]


def cut_off(subject: Subject) -> Cut:
    """Powers of two, and the whole input."""
    lengths = [2**k for k in range(len(subject).bit_length()) if 2**k < len(subject)] + [len(subject)]
    shown, answers = subject.last(lengths)
    return Cut(lengths, shown, answers)
