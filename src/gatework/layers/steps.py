"""`LSTMCell`, `GRUCell` and `RNNCell`: torch.nn's, one step on our kernels."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from gatework import cells
from gatework.compiler.edit import without_bias
from gatework.layers.autograd import recurrence
from gatework.layers.batches import Rectangle
from gatework.layers.binding import DTYPES, Binding, Setting
from gatework.layers.call import autocasts, per_sample, traced, transformed
from gatework.layers.parameters import as_torch
from gatework.layers.recorded import refuse_script

ROWS = 16  # measured: for fewer, what surrounds the kernel costs more than it saves


_bindings: WeakKeyDictionary[Any, Binding] = WeakKeyDictionary()  # their memory goes with the module


def bound(step: _Step) -> Binding:
    """A cell's step over torch's four parameters."""
    graph, sizes = cells.get(step.kind).graph, {"I": step.input_size, "H": step.hidden_size}
    graph = graph if step.bias else without_bias(graph)
    return Binding(graph, sizes, as_torch(step.kind, graph, sizes))


class _Step(nn.RNNCellBase):
    """What the three share. For few rows, where torch is as fast, and where there is no kernel (other devices and
    types, compilers, wrong shapes), torch's own step runs, or refuses."""

    kind: str
    __prepare_scriptable__ = refuse_script

    @property
    def binding(self) -> Binding:
        if self not in _bindings:
            _bindings[self] = bound(self)
        return _bindings[self]

    def describe(self) -> str:
        """What runs, and why: "from 16 rows on: lstm float32, avx512: 1 thread; else torch's own step"."""
        weight = self.weight_ih
        if weight.dtype in DTYPES and weight.is_cpu:
            return f"from {ROWS} rows on: {self.binding.program(weight.dtype).describe()}; else torch's own step"
        return f"torch's own step, as there is no kernel for {weight.dtype} on the device {weight.device.type}"

    def stepped(self, input: Tensor, states: tuple[Tensor | None, ...]) -> list[Tensor] | None:
        """The new states (B, H) each; None if the call is not one for a kernel."""
        if not self.fits(input, states):
            return None
        biases = (self.bias_ih, self.bias_hh) if self.bias else ()
        setting = Setting(Rectangle(1, len(input)).rows())
        return recurrence(self.binding, setting, [input, *states, self.weight_ih, self.weight_hh, *biases])[1:]

    def fits(self, input: Tensor, states: tuple[Tensor | None, ...]) -> bool:
        weight = self.weight_ih
        if not self.kind or not isinstance(input, Tensor) or traced() or transformed() or per_sample(weight):
            return False
        shape = (len(input) if input.dim() else 0, self.hidden_size)
        known = weight.dtype in DTYPES and input.is_cpu and weight.is_cpu and not autocasts(input.device)
        whole = input.dim() == 2 and input.shape[1] == self.input_size and len(input) >= ROWS
        given = all(s is None or (s.shape == shape and s.dtype == input.dtype and s.is_cpu) for s in states)
        return known and whole and given and input.dtype == weight.dtype


class LSTMCell(_Step, nn.LSTMCell):
    """torch.nn.LSTMCell on our kernel: one step, `h, c = cell(x, (h, c))`.

        cell = gatework.LSTMCell(32, 64)
        h, c = cell(torch.zeros(8, 32))                  # (B, I) -> (B, H) each; also (I,) -> (H,)
        h, c = cell(torch.zeros(8, 32), (h, c))

    The arguments, parameters and `state_dict` are torch.nn's, and it is a torch.nn.LSTMCell. A loop over a whole
    sequence is what `gatework.LSTM` is for: it does the same in one call, many times faster. For fewer than 16 rows,
    where torch's step is as fast, on other devices, in narrower types, and inside torch.compile torch's own step runs.
    """

    kind = "lstm"

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The states after the step."""
        states = (None, None) if hx is None else tuple(hx)
        found = self.stepped(input, states) if len(states) == 2 else None
        return super().forward(input, hx) if found is None else (found[0], found[1])


class _OneState(_Step):
    """Cells whose state is one tensor."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The state after the step."""
        found = self.stepped(input, (hx,)) if hx is None or isinstance(hx, Tensor) else None
        return super().forward(input, hx) if found is None else found[0]


class GRUCell(_OneState, nn.GRUCell):
    """torch.nn.GRUCell on our kernel; see `LSTMCell`.

    cell = gatework.GRUCell(32, 64)
    h = cell(torch.zeros(8, 32))                         # (B, I) -> (B, H)
    """

    kind = "gru"


class RNNCell(_OneState, nn.RNNCell):
    """torch.nn.RNNCell (tanh or relu) on our kernel; see `LSTMCell`.

    cell = gatework.RNNCell(32, 64, nonlinearity="relu")
    h = cell(torch.zeros(8, 32))                         # (B, I) -> (B, H)
    """

    @property
    def kind(self) -> str:
        return {"tanh": "rnn", "relu": "rnn_relu"}.get(self.nonlinearity, "")
