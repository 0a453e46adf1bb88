"""One call of a layer: what the caller gave, checked and laid out as rows; each direction of each layer, by way of the
kernel, the operator or the reference; and what the caller gets back, in that form.

The order of things in a call, and why:

1. The input decides the form: `enter` gives the `entry` between the caller's sequences and flat rows. States and other
   inputs are then checked against it, before anything is computed.
2. The rows are sorted, longest sequence first. So states, starts and inputs of a sequence are sorted on the way in
   (`entry.rows.sort`), and last states on the way out (`unsort`): nothing in between knows the caller's order.
3. A backward direction reads the same rows in the other order (`turned`); for a rectangle the kernel does that alone.
4. Random masks are drawn in the order of the binding's inputs, one direction after the other: a seed gives the same
   numbers whichever way runs them.
5. Everything is cast to the computation's type once, at the layer's door, and back at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from gatework.compiler import params
from gatework.compiler.ir import Input
from gatework.layers import fallback
from gatework.layers.autograd import joined, recurrence, side_by_side
from gatework.layers.batches import (
    Entry,
    Lengths,
    Sequences,
    TracedEntry,
    checked_lengths,
    enter,
    visible,
)
from gatework.layers.binding import Binding, Room, Setting, Tensors
from gatework.layers.errors import LayerError
from gatework.layers.operator import recurrence_traced
from gatework.runtime.program import BF16

if TYPE_CHECKING:
    from gatework.layers.recurrent import Recurrent

States = Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None
Reset = Sequences | ArrayLike | None


class Asked(NamedTuple):
    """What a caller may give beside the input; see `Recurrent.forward`."""

    states: States = None
    lengths: Lengths = None
    reset: Reset = None
    return_all: bool = False
    inputs: Mapping[str, Any] = MappingProxyType({})


def run(layer: Recurrent, input: Sequences, asked: Asked) -> Any:
    """The call of a layer; see `Recurrent.forward`."""
    check_input(layer, input)
    entry = enter(input, layer.batch_first, asked.lengths, traced() or transformed())
    call = Call(layer, entry, asked)
    flat = call.run(entry.flat(input, layer.input_size, "input"))
    output = entry.leave(cast(flat, call.given))
    results = (output, call.last_states())
    return (*results, call.values) if asked.return_all else results


def tracing() -> bool:
    """Whether torch.jit.trace is at work, or the exporter to ONNX that uses it."""
    return not torch.compiler.is_compiling() and torch._C._get_tracing_state() is not None


def traced() -> bool:
    """Whether a compiler, a tracer, or a mode that looks at every operation is at work."""
    return torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0 or tracing()


def transformed() -> bool:
    """Whether a transform of torch.func or forward-mode differentiation is at work, which kernels do not know."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def per_sample(parameter: Tensor) -> bool:
    """Whether a parameter stands for one of each sample, as in torch.nn.utils._per_sample_grad."""
    return type(parameter).__name__ == "ExpandedWeight"


def autocasts(device: torch.device) -> bool:
    """Whether autocast is on for a device."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def in_bfloat16(layer: Recurrent) -> bool:
    """Whether a layer is one that autocast to bfloat16 on CPUs reaches: it leaves float64 as it is."""
    like = layer.parameter(0)
    asked = like.device.type == "cpu" and autocasts(like.device) and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return asked and like.dtype != torch.float64


def products(layer: Recurrent) -> str | None:
    """The precision of a layer's products in the present mode."""
    return BF16 if in_bfloat16(layer) else layer.precision if layer.training else None


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


def check_input(layer: Recurrent, input: Sequences) -> None:
    """The errors of torch.nn's layers."""
    if not isinstance(input, (Tensor, PackedSequence)):
        raise LayerError(f"input must be a tensor or PackedSequence, not {type(input).__name__}: torch.as_tensor(x)")
    data = input.data if isinstance(input, PackedSequence) else input
    if data.is_nested or data.layout is not torch.strided:
        kind = "nested" if data.is_nested else str(data.layout).removeprefix("torch.")
        raise LayerError(f"input is a {kind} tensor; give a padded one with lengths=, or a PackedSequence")
    if not isinstance(input, PackedSequence) and data.dim() not in (2, 3):
        raise LayerError(f"{type(layer).__name__}: Expected input to be 2D or 3D, got {data.dim()}D instead")
    if not layer.empty_sequences and not data.shape[1 if layer.batch_first and data.dim() == 3 else 0]:
        raise LayerError("Expected sequence length to be larger than 0 in RNN")
    if isinstance(input, PackedSequence) and data.dim() != 2:
        raise LayerError(f"input must have 2 dimensions, got {data.dim()}")
    parameter = layer.parameter(0)
    if per_sample(parameter):
        raise LayerError(
            f"call_for_per_sample_grads works where torch.nn can do the same, and not for this {type(layer).__name__}; "
            "torch.func.vmap(torch.func.grad(...)) over torch.func.functional_call gives these gradients"
        )
    dtype = parameter.dtype
    if data.dtype != dtype and not autocasts(data.device):
        model = f", or convert model: model.to({data.dtype})" if data.is_floating_point() else ""
        raise LayerError(
            f"RNN input dtype ({data.dtype}) does not match weight dtype ({dtype}). "
            f"Convert input: input.to({dtype}){model}"
        )
    if not dtype.is_floating_point:
        raise LayerError(f"there is no recurrence in {dtype}; use real numbers: float32, float64, or narrower")
    if data.shape[-1] != layer.input_size:
        raise LayerError(
            f"input.size(-1) must be equal to input_size. Expected {layer.input_size}, got {data.shape[-1]}"
        )


class Call:
    """One call of a layer."""

    def __init__(self, layer: Recurrent, entry: Entry, asked: Asked):
        self.layer, self.entry, self.return_all = layer, entry, asked.return_all
        if entry.lengths is not None and not traced():
            checked_lengths(entry.lengths, entry.steps, entry.batch)
        self.names, self.widths = layer.state_names, layer.state_widths
        self.starts = None if asked.states is None else self.checked_states(asked.states)
        self.values: dict[str, Any] = {}
        self.inputs, self.rates = self.checked_inputs(asked.inputs)
        self.reset = None if asked.reset is None else self.checked_reset(asked.reset)
        self.finals: list[list[Tensor]] = [[] for _ in self.names]

    # --- what is given -----------------------------------------------------------------------------------------------

    def checked_reset(self, reset: Reset) -> Tensor | PackedSequence:
        reset = reset if isinstance(reset, (Tensor, PackedSequence)) else torch.as_tensor(reset)
        values = reset.data if isinstance(reset, PackedSequence) else reset
        if values.dtype == torch.bool or values.is_meta or torch.compiler.is_compiling():
            return reset
        seen = visible(values)
        odd = seen[(seen != 0) & (seen != 1)]
        if len(odd):
            raise LayerError(f"reset says yes or no for each step; it holds {float(odd[0]):g}: give booleans")
        return reset

    def checked_states(self, states: States) -> list[Tensor]:
        """Each state as (layers * directions, B, w) in the rows' order."""
        if isinstance(states, Mapping):
            odd = set(states) ^ set(self.names)
            if odd:
                raise LayerError(f"states by name must be {', '.join(self.names)}; got {', '.join(states) or 'none'}")
            states = [states[name] for name in self.names]
        given = [states] if isinstance(states, Tensor) else list(states or ())
        if len(given) != len(self.names) or not all(isinstance(s, Tensor) for s in given):
            raise LayerError(f"states must be the {len(self.names)} tensors {', '.join(self.names)}; got {len(given)}")
        return [self.checked_state(k, state) for k, state in enumerate(given)]

    def checked_state(self, k: int, state: Tensor) -> Tensor:
        dims = 3 if self.entry.batched else 2
        kind = "batched 3-D" if dims == 3 else "unbatched 2-D"
        dtype = self.layer.parameter(0).dtype
        if state.dtype != dtype and not autocasts(state.device):
            raise LayerError(
                f"state {self.names[k]} is {state.dtype}, the layer {dtype}. Convert it: state.to({dtype})"
            )
        if state.dim() != dims:
            raise LayerError(f"For {kind} input, hx should also be {dims}-D but got {state.dim()}-D tensor")
        state = state if self.entry.batched else state.unsqueeze(1)
        expected = (self.layer.num_layers * self.layer.directions, self.entry.batch, self.widths[k])
        if state.shape != expected:
            which = f"hidden[{k}]" if len(self.names) > 1 else "hidden"
            raise LayerError(f"Expected {which} size {expected}, got {list(state.shape)}")
        return state

    def checked_inputs(self, given: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The cell's other inputs: as rows, and the numbers of the call."""
        graph = self.layer.graph
        if not given and len(graph.inputs) == 1:
            return {}, {}
        cell, expected = graph.name, {i.name: i for i in graph.inputs[1:]}
        for name in given:
            if name not in expected:
                raise LayerError(f"{cell} has no input {name!r}; it has {', '.join(expected) or 'no other'}")
        for name, item in expected.items():
            if name not in given:
                raise LayerError(f"{cell} needs its input {name!r} of width {item.width}: layer(x, {name}=...)")
        rates = {n: float(v) for n, v in given.items() if expected[n].per == "call"}
        return {n: self.rows_of(expected[n], v) for n, v in given.items() if n not in rates}, rates

    def rows_of(self, item: Input, values: Tensor) -> Tensor:
        width = params.size(self.layer.layer_sizes(0), item.width)
        if item.per == "step":
            return self.entry.flat(values, width, item.name)
        values = values if self.entry.batched else values.unsqueeze(0)
        if values.shape != (self.entry.batch, width):
            raise LayerError(f"{item.name} must have shape {(self.entry.batch, width)}; got {tuple(values.shape)}")
        return self.entry.rows.sort(values)

    # --- the layers --------------------------------------------------------------------------------------------------

    def run(self, data: Tensor) -> Tensor:
        """All layers over flat rows (N, I); gives (*axes, H * directions), where `entry.axes` are (T, B) or (N,)."""
        layer = self.layer
        self.given = torch.bfloat16 if in_bfloat16(layer) else data.dtype
        self.dtype = _inside(layer.parameter(0).dtype)
        self.resets = None if self.reset is None else self.entry.flat(self.reset, 1, "reset").to(self.dtype)
        for depth in range(layer.num_layers):
            data = cast(data, self.dtype)
            data = self.layer_over(depth, data)
            if layer.dropout and layer.training and depth < layer.num_layers - 1:
                data = functional.dropout(data, layer.dropout, True)
        return data

    def layer_over(self, depth: int, data: Tensor) -> Tensor:
        """One layer over its rows."""
        data = data if data.dim() == 2 else data.flatten(0, 1)
        return self.direction(depth, 0, data) if self.layer.directions == 1 else self.both(depth, data)

    def both(self, depth: int, data: Tensor) -> Tensor:
        """Both directions of a layer; a rectangle's outputs are written side by side."""
        rows = self.entry.rows
        if not rows.whole or not self.compiled(data):
            return torch.cat([self.direction(depth, d, data) for d in (0, 1)], -1)
        rooms = side_by_side(2, self.entry.axes, self.widths[0], self.dtype)
        return joined(rooms[0].whole, [self.direction(depth, d, data, rooms[d]) for d in (0, 1)])

    def compiled(self, data: Tensor) -> bool:
        """Whether our kernels run, not the operator or (other devices, torch.func, forward mode, packed sequences where
        a mode must see operations) the reference."""
        return not self.entry.traced and not transformed() and data.device.type == "cpu"

    def direction(self, depth: int, d: int, data: Tensor, room: Room | None = None) -> Tensor:
        layer, k = self.layer, depth * self.layer.directions + d
        binding = layer.binding(depth, self.resets is not None, self.return_all)
        starts = self.start(k)
        rows = [cast(self.input(binding, name, data, d, k), self.dtype) for name in binding.steps + binding.sequences]
        starts += [None] * (len(binding.states) - len(starts))
        weights = [cast(p, self.dtype) for p in layer.params_of_call(k)]
        found = self.through(binding, d == 1, [*rows, *starts, *weights], room)
        self.keep(binding, k, found, d)
        return self.turned(found[0], d)

    def through(self, binding: Binding, reverse: bool, tensors: Tensors, room: Room | None) -> list[Tensor]:
        """By way of the operator, the kernel, or the reference."""
        if isinstance(self.entry, TracedEntry) and (torch.compiler.is_compiling() or not transformed()):
            return recurrence_traced(binding, self.entry, reverse, self.return_all, self.rates, tensors)
        entry = self.entry
        setting = Setting(entry.rows.rows(reverse), self.return_all, self.rates, entry.axes, room, entry.lengths)
        if not self.compiled(tensors[0]):
            return fallback.differentiable(binding, setting, tensors)
        return recurrence(binding, setting, tensors)

    def turned(self, flat: Tensor, d: int) -> Tensor:
        """Rows to the order in which direction d visits them, or back."""
        return self.entry.rows.flip(flat) if d else flat

    def start(self, k: int) -> list[Tensor | None]:
        """States before the first step, in the rows' order: given, learned, or None for the cell's own."""
        if self.starts is not None:
            return [cast(self.entry.rows.sort(s[k]), self.dtype) for s in self.starts]
        if self.layer.learn_initial_state:
            return [self.fresh(name, k) for name in self.names]
        return [None] * len(self.names)

    def fresh(self, state: str, k: int) -> Tensor:
        """The start of a state where none is given, (B, w)."""
        at = self.names.index(state)
        shape = (self.entry.batch, self.widths[at])
        if self.layer.learn_initial_state:
            learned = getattr(self.layer, f"initial_{state}{self.layer.all_suffixes()[k]}")
            return cast(learned, self.dtype).expand(shape)
        like = self.layer.parameter(0)
        return like.new_full(shape, self.layer.graph.states[at].start, dtype=self.dtype)

    def input(self, binding: Binding, name: str, data: Tensor, d: int, k: int) -> Tensor:
        """One input of a direction as rows."""
        if name == self.layer.graph.inputs[0].name:
            return self.turned(data, d)
        if name == "reset" and self.resets is not None:
            return self.turned(self.entry.later(self.resets), d) if d else self.resets
        if name in self.inputs:
            rows = self.inputs[name]
            return self.turned(rows, d) if name in binding.steps else rows
        kind, state = name.split("_", 1)
        width = binding.input_widths[name]
        if kind == "start":
            return self.fresh(state, k)
        if kind == "drop":
            keep = 1.0 - self.layer.recurrent_dropout
            mask = data.new_empty(self.entry.batch, width, dtype=self.dtype).bernoulli_(keep)
            return mask.div_(keep) if keep else mask
        return data.new_empty(len(data), width, dtype=self.dtype).bernoulli_(self.layer.zoneout[state])

    # --- what is returned --------------------------------------------------------------------------------------------

    def keep(self, binding: Binding, k: int, found: list[Tensor], d: int) -> None:
        states = len(binding.states)
        for final, last in zip(self.finals, found[1 : 1 + states], strict=False):
            final.append(last)
        if self.return_all:
            histories, suffix = (found[0], *found[1 + states :]), self.layer.all_suffixes()[k]
            self.values |= {
                name + suffix: self.entry.leave(cast(self.turned(h, d), self.given))
                for name, h in zip(binding.states, histories, strict=True)
            }

    def last_states(self) -> Any:
        """Each state (layers * directions, B, w) in the caller's order; for one sequence (layers * directions, w)."""
        return tuple(self.last_state(final) for final in self.finals)

    def last_state(self, final: list[Tensor]) -> Tensor:
        final = [self.entry.rows.unsort(f) for f in final]
        stacked = final[0] if len(final) == 1 else torch.cat(final)
        return cast(stacked if self.entry.batched else stacked.squeeze(1), self.given)


def _inside(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the computation for parameters of a dtype."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def describe(layer: Recurrent) -> str:
    """Which kernel runs, and why."""
    like = layer.parameter(0)
    inside = _inside(like.dtype)
    lines = [f"{layer.graph.name}, {str(inside).removeprefix('torch.')} inside"]
    if inside != like.dtype:
        lines[0] += f" (parameters are {str(like.dtype).removeprefix('torch.')}, cast at each call)"
    if in_bfloat16(layer):
        lines[0] += "; autocast: products and outputs in bfloat16"
    elif autocasts(like.device):
        lines[0] += "; autocast does not reach the recurrence, outputs have the input's dtype"
    if like.device.type != "cpu" and layer.native:
        return f"{lines[0]}; torch's own kernel, as gatework has none for the device {like.device.type}"
    if like.device.type != "cpu":
        return f"{lines[0]}; the reference over torch tensors, as there is no kernel for the device {like.device.type}"
    for depth in range(min(layer.num_layers, 2)):
        lines.append(f"layer {depth}: {layer.binding(depth).program(inside).describe()}")
    return "\n".join(lines)
