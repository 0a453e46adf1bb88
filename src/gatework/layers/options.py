"""The options of a layer: what each may be, and whether it may change once the layer is built."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from gatework.compiler import params
from gatework.compiler.carry import gates
from gatework.compiler.ir import Graph
from gatework.errors import OptionError
from gatework.layers import init
from gatework.runtime.program import BF16

if TYPE_CHECKING:
    from gatework.layers.recurrent import Recurrent

Value = Any  # what somebody gives for an option: the checks below say whether it can be one
NORM = ("of", "over", "state", "eps")


class Options(TypedDict, total=False):
    """The keyword options that every layer has; see `Recurrent`."""

    recurrent_dropout: float
    recurrent_dropout_per: str
    weight_drop: float
    zoneout: float | Mapping[str, float]
    layer_norm: bool | Mapping[str, Any]
    learn_initial_state: bool
    recompute: bool
    precision: str | None
    forget_bias: float | None
    chrono: int | None


def _count(layer: Recurrent, name: str, value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{name} must be a whole number of at least 1; got {value!r}")
    return value


def _flag(layer: Recurrent, name: str, value: Value) -> bool:
    if value not in (True, False):
        raise OptionError(f"{name} is True or False; got {value!r}")
    return value


class OfCell(Protocol):
    """A layer of a cell: `Recurrent`, and the cell of Keras' one."""

    graph: Graph


def _rate(layer: object, name: str, value: Value) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise OptionError(f"{name} is a probability between 0 and 1; got {value!r}")
    return float(value)


def _per(layer: Recurrent, name: str, value: Value) -> str:
    if value not in ("state", "map"):
        raise OptionError(f'{name} is "state" or "map"; got {value!r}')
    return value


def _precision(layer: Recurrent, name: str, value: Value) -> str | None:
    if value not in (None, BF16):
        raise OptionError(f"{name} is {BF16!r}, or None for products in the layer's dtype; got {value!r}")
    return value


def rates(layer: OfCell, name: str, value: Value) -> Mapping[str, float]:
    """A rate for each state that has one above zero; read-only, as a change inside would go unseen."""
    states = [s.name for s in layer.graph.states]
    found = dict(value) if isinstance(value, Mapping) else dict.fromkeys(states, value)
    unknown = [state for state in found if state not in states]
    if unknown:
        raise OptionError(f"{name} names the state {unknown[0]!r}; {layer.graph.name} has {', '.join(states)}")
    wrong = [rate for rate in found.values() if isinstance(rate, bool) or not isinstance(rate, Real)]
    if wrong:
        raise OptionError(f"{name} is a rate between 0 and 1, or one for each state; got {value!r}")
    return MappingProxyType({s: _rate(layer, f"{name} of {s}", rate) for s, rate in found.items() if rate})


def _norm(layer: Recurrent, name: str, value: Value) -> bool | Mapping[str, Any]:
    if not isinstance(value, bool) and (not isinstance(value, Mapping) or set(value) - set(NORM)):
        raise OptionError(f"{name} is True, False or options of {', '.join(NORM)}; got {value!r}")
    return value


def finite(layer: object, name: str, value: Value) -> Value:
    if value is not None and (not isinstance(value, Real) or not math.isfinite(value)):
        raise OptionError(f"{name} is a finite number, as 1.0; got {value!r}")
    return value


def _longest(layer: Recurrent, name: str, value: Value) -> Value:
    if value is not None:
        init.check_longest(value)
    return value


@dataclass(frozen=True)
class Option:
    """`check` gives the value as the layer keeps it, or refuses it. A `fixed` option says what parameters there are, so
    that a layer keeps it; any other may change, and acts from the next call on."""

    check: Callable[[Recurrent, str, Value], Any]
    default: Any = None
    fixed: bool = False
    shown: bool = True  # in the layer's text, where it is not the default


OPTIONS = {
    "input_size": Option(_count, fixed=True, shown=False),
    "hidden_size": Option(_count, fixed=True, shown=False),
    "num_layers": Option(_count, 1, fixed=True),
    "bias": Option(_flag, True, fixed=True),
    "batch_first": Option(_flag, False),
    "dropout": Option(_rate, 0.0),
    "bidirectional": Option(_flag, False, fixed=True),
    "recurrent_dropout": Option(_rate, 0.0),
    "recurrent_dropout_per": Option(_per, "state"),
    "weight_drop": Option(_rate, 0.0),
    "zoneout": Option(rates, {}),
    "layer_norm": Option(_norm, False, fixed=True),
    "learn_initial_state": Option(_flag, False, fixed=True),
    "recompute": Option(_flag, False),
    "precision": Option(_precision),
    "forget_bias": Option(finite),
    "chrono": Option(_longest),
}

BEYOND_TORCH = ("recurrent_dropout", "weight_drop", "zoneout", "layer_norm", "learn_initial_state", "precision")

OF_CELLS = {  # options of torch's or Keras' layers that another cell stands for here
    "peephole": 'use the cell "lstm_peephole"',
    "proj_size": 'use the cell "lstm_projected" with sizes={"P": ...}',
    "nonlinearity": 'use the cell "rnn" or "rnn_relu"',
    "clip": "use cell.wrapped(name, clip, limit=...)",
}


def refuse_unknown(layer: Recurrent, given: Mapping[str, object]) -> None:
    """Refuse what is no option of a layer, with what may have been meant."""
    for name in given:
        own = [n for n, p in inspect.signature(type(layer)).parameters.items() if p.kind is not p.VAR_KEYWORD]
        known = list(dict.fromkeys([*own, *OPTIONS]))
        near = difflib.get_close_matches(name, known, 1)
        advice = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
        raise OptionError(f"{type(layer).__name__} has no option {name!r}; {OF_CELLS.get(name, advice)}")


def sizes(layer: Recurrent, given: Mapping[str, int] | None) -> dict[str, int]:
    """Numbers for a layer's width symbols, except the input's."""
    if given is not None and not isinstance(given, Mapping):
        raise OptionError(f'sizes gives numbers for width symbols, as in {{"heads": 4}}; got {given!r}')
    if given and given.get("H", layer.hidden_size) != layer.hidden_size:
        raise OptionError(f"H is hidden_size={layer.hidden_size}, but sizes says {given['H']!r}; leave it out there")
    return {"H": layer.hidden_size, **(given or {})}


def check_together(layer: Recurrent) -> None:
    """Refuse options that mean nothing for the cell, or that exclude each other."""
    graph = layer.graph
    if layer.weight_drop and not params.state_matrices(graph):
        raise OptionError(f"weight_drop means nothing for {graph.name}: no matrix multiplies a state")
    check_gate_biases(graph, layer.bias, layer.forget_bias, layer.chrono)
    params.check_sizes(graph, layer.sizes)
    data = graph.inputs[0]
    deep = layer.num_layers > 1 and any(i.width == data.width for i in graph.inputs[1:])
    if deep and layer.input_size != layer.output_size * layer.directions:
        raise OptionError(
            f"{graph.name} has inputs as wide as {data.name}, which a second layer cannot read; "
            "stack layers by hand, or choose input_size equal to the output's width"
        )


def check_gate_biases(graph: Graph, bias: bool, forget_bias: float | None, chrono: int | None) -> None:
    """Refuse `forget_bias` and `chrono` together, and where there is no gate that they could start."""
    if forget_bias is not None and chrono is not None:
        raise OptionError("forget_bias and chrono both set the forget gate's bias; choose one of them")
    if (forget_bias is not None or chrono is not None) and not gates(graph):
        why = "has no sigmoid gate that keeps a state" if bias else "has bias=False"
        raise OptionError(f"forget_bias and chrono set a gate's bias, but {graph.name} {why}; leave them out")
