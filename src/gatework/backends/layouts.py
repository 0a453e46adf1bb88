"""Gate orders and weight layouts of torch, Keras and ONNX: the one table, and the ways from ours to them.

Ours: one matrix for each gate and operand, (H, H) or (H, I), and one bias for each map, by key: "f.0", "f.1", "f.bias".

    format   matrices                                    biases                       LSTM       GRU
    torch    weight_ih (G*H, I), weight_hh (G*H, R)      bias_ih, bias_hh (G*H,)      i f g o    r z n
    Keras    kernel (I, G*H), recurrent (H, G*H)         (G*H,), or (2, G*H) for a    i f c o    z r h
                                                         GRU with reset_after
    ONNX     W (G*H, I), R (G*H, H)                      B (2*G*H,): W's, then R's    i o f c    z r h

Only the sum of torch's and ONNX's two biases matters, except in the GRU's candidate, where the reset gate multiplies
the second.
torch's LSTM with a projection has also weight_hr (P, H), and R is P; else R is H.
"""

from __future__ import annotations

from types import ModuleType
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from gatework.errors import OptionError


class Gate(NamedTuple):
    """Keys of one gate's weights: of the input's matrix and the state's, and of the biases that belong to each."""

    x: str
    h: str
    bias_x: str
    bias_h: str


def _gate(name: str) -> Gate:
    return Gate(f"{name}.1", f"{name}.0", f"{name}.bias", f"{name}.bias")


_LSTM = {name: _gate(name) for name in "ifgo"}
_RNN = {"h": _gate("h")}
GATES: dict[str, dict[str, Gate]] = {
    "lstm": _LSTM,
    "lstm_peephole": _LSTM,
    "lstm_projected": _LSTM,
    "gru": {"r": _gate("r"), "z": _gate("z"), "n": Gate("nx.0", "nh.0", "nx.bias", "nh.bias")},
    "gru_reset_before": {name: _gate(name) for name in "rzn"},
    "rnn": _RNN,
    "rnn_relu": _RNN,
    "rnn_sigmoid": _RNN,
}
ORDERS: dict[str, dict[str, str]] = {
    "torch": {"lstm": "ifgo", "gru": "rzn", "rnn": "h"},
    "keras": {"lstm": "ifgo", "gru": "zrn", "rnn": "h"},
    "onnx": {"lstm": "iofg", "gru": "zrn", "rnn": "h"},
}

Arrays = dict[str, np.ndarray]
A = TypeVar("A")  # the kind of array


def gates(cell: str, form: str) -> list[Gate]:
    """The gates of a cell in the order in which a format stacks them.

    >>> [g.x for g in gates("lstm", "onnx")]
    ['i.1', 'o.1', 'f.1', 'g.1']
    """
    if cell not in GATES:
        raise OptionError(f"{form} has no layout for the cell {cell!r}; there are layouts for {', '.join(GATES)}")
    return [GATES[cell][name] for name in ORDERS[form][cell.split("_")[0]]]


class Stacked(NamedTuple, Generic[A]):
    """All gates of one layer and direction one below the other: what every format transposes or reshapes."""

    x: A
    h: A
    bias_x: A | None
    bias_h: A | None


def stack(cell: str, form: str, weights: dict[str, A], lib: ModuleType = np) -> Stacked[A]:
    """Our weights to a format's order. A bias that a gate has once becomes the first; the second is then zero. `lib` is
    numpy or torch, as the weights are."""
    order = gates(cell, form)
    x, h = (lib.concatenate([weights[key] for key in keys]) for keys in ([g.x for g in order], [g.h for g in order]))
    if order[0].bias_x not in weights:
        return Stacked(x, h, None, None)
    second = [lib.zeros_like(weights[g.bias_h]) if g.bias_h == g.bias_x else weights[g.bias_h] for g in order]
    return Stacked(x, h, lib.concatenate([weights[g.bias_x] for g in order]), lib.concatenate(second))


def to_torch(cell: str, weights: dict[str, A], lib: ModuleType = np) -> dict[str, A]:
    """Ours to torch's, by the same names."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    found = {n: a for n, a in zip(names, stack(cell, "torch", weights, lib), strict=True) if a is not None}
    return found | ({"weight_hr": weights["p.0"]} if "p.0" in weights else {})


def to_onnx(cell: str, weights: dict[str, A], lib: ModuleType = np) -> list[A]:
    """Ours to ONNX's list of W, R and, where there is one, B; a leading axis for directions is the caller's to add."""
    x, h, first, second = stack(cell, "onnx", weights, lib)
    return [x, h] if first is None or second is None else [x, h, lib.concatenate([first, second])]
