"""Tensors straight to the kernels: addresses into a prepared call, tensors out. The way that every ordinary call takes.

A call of a small layer is a few microseconds of machine code, so what is known before the call is worked out before it:
which words of the slot table hold which addresses, how large results are, which gradients are copies of others.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Mapping, MutableSequence, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework.layers import fallback
from gatework.layers.binding import Binding, Passed, Saved, Setting, Tensors, as_last
from gatework.layers.errors import LayerError
from gatework.layers.words import Words, point
from gatework.runtime.frame import Frame, Layout
from gatework.runtime.lazy import lazy
from gatework.runtime.memory import LARGE_PAGE, aligned_zeros
from gatework.runtime.program import Kind
from gatework.runtime.rows import Rows
from gatework.runtime.settings import settings

KEEP_PACKED_ROWS = 256


def form(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """What `empty_like` takes for a shape: the shortest way to a new tensor. It holds a single number."""
    return torch.empty(1, dtype=dtype, device="cpu").expand(*shape)


class Prepared:
    """What forward and backward calls of a binding over one layout of rows share."""

    def __init__(self, binding: Binding, frame: Frame, rows: Rows, dtype: torch.dtype):
        self.binding, self.rows, self.frame, self.shared = binding, rows, frame, frame.shared
        self.table, layout = frame.table, frame.layout
        self.dtype = dtype
        self.words = binding.words.get(layout) or Words(binding, layout, self.dtype.itemsize)
        binding.words[layout] = self.words
        for lay in self.words.lays:
            frame.lay(*lay)
        states = zip(binding.graph.states, binding.widths, strict=True)
        self.own_starts = [torch.full((rows.batch, w), s.start, dtype=self.dtype) for s, w in states]
        self.own = [0] * binding.first_start + [start.data_ptr() for start in self.own_starts]
        self.sums = self.words.room(binding, self.dtype)
        self.sum_addresses = [total.data_ptr() for total in self.sums]
        self.pointed: list[int] = []  # the parameters whose addresses the table holds
        self.rates = [(name, np.zeros(1, frame.layout.dtype)) for _, name in self.words.rates]
        for (word, _), (_, value) in zip(self.words.rates, self.rates, strict=True):
            self.table[word] = value.ctypes.data
        self.saved = layout.saved
        self.nbytes = sum(s.nbytes for s in self.own_starts) + frame.nbytes

    def point_inputs(self, tensors: Tensors, rates: Mapping[str, float]) -> None:
        """Inputs, starts (the cell's own where none are given) and rates."""
        table = self.table
        for word, k in self.words.reads:
            given = tensors[k]
            table[word] = self.own[k] if given is None else given.data_ptr()
        for name, value in self.rates:
            value[0] = rates[name]

    def point_weights(self, params: Sequence[Tensor]) -> None:
        """Parameters, and the sums of some."""
        self.words.added(params, self.sums)
        addresses = [p.data_ptr() for p in params]
        if addresses != self.pointed:
            self.pointed = addresses
            point(self.table, self.words.params, [*addresses, *self.sum_addresses])


class Place(NamedTuple):
    """Of a state in a forward pass: the words of its history, if that is kept, and of the value carried in place, if
    there is one; the forms of history and last value; where in a contiguous history the last rows begin, and how many
    there are, in bytes."""

    kept: int | None
    carried: int | None
    history: Tensor
    final: Tensor
    last: int
    size: int


class Forward(Prepared):
    """The forward pass."""

    def __init__(self, binding: Binding, frame: Frame, rows: Rows, dtype: torch.dtype, train: bool):
        super().__init__(binding, frame, rows, dtype)
        self.train, self.first_start, self.first_param = train, binding.first_start, binding.first_param
        self.whole = rows.counts[-1] == rows.batch
        self.places: dict[tuple[int, ...] | None, list[Place]] = {}
        self.keeps = frame.layout.keeps
        self.block_form = form((rows.size, frame.layout.saved_width), dtype)
        self.pooled = self.block_form.nbytes >= LARGE_PAGE  # large blocks come back to the program
        self.packed = PackedCall(self) if not train and rows.size <= KEEP_PACKED_ROWS else None

    def __call__(self, setting: Setting, tensors: Tensors) -> Passed:
        """The first state's history is written into `setting.room`, with any distance between rows, if that is given.
        No result is a view: callers may change them in place and detach them."""
        table, room, params = self.table, setting.room, tensors[self.first_param :]
        places = self.places.get(setting.axes) or self.lay(setting.axes)
        finals, histories = list[Any](), list[Any]()
        with self.shared.lock:  # the table is one for all calls: from the first address to the end of the run
            self.point_inputs(tensors, setting.rates)
            for kept, carried, history, *_ in places:
                made = last = None
                if kept is not None:
                    made = torch.empty_like(history) if room is None or histories else room.place
                    table[kept], table[kept + 1] = made.data_ptr(), made.stride(-2)
                if carried is not None:
                    last = as_last(self.start(len(finals), tensors).detach(), setting).clone()
                    table[carried] = last.data_ptr()
                histories.append(made)
                finals.append(last)
            block = self.block() if self.keeps else None
            if self.packed is not None:
                complete = self.packed.run(params, packed_weights(self.binding, self.frame, params))
            else:
                self.point_weights(params)
                complete = self.frame.run()
        if not complete:
            kind = "train" if self.train else "infer"
            return prepared(self.binding, kind, self.rows, self.dtype, 1)(setting, tensors)
        for k, history in enumerate(histories):
            if finals[k] is not None:
                continue
            if self.whole and history.is_contiguous():
                finals[k] = final = torch.empty_like(places[k].final)
                ctypes.memmove(final.data_ptr(), history.data_ptr() + places[k].last, places[k].size)
            else:
                finals[k] = self.end(history, self.start(k, tensors), setting)
        return finals, histories, block

    def lay(self, axes: tuple[int, ...] | None) -> list[Place]:
        """The places of the states; the same layout of rows serves histories of one axis and of two."""
        layout, rows, found = self.frame.layout, self.rows, list[Place]()
        for state, width in zip(self.binding.states, self.binding.widths, strict=True):
            carried, row = layout.carried.get(state), width * self.dtype.itemsize
            kept = layout.histories.get(state) if self.train or carried is None else None
            history = form((*(axes or (rows.size,)), width), self.dtype)
            final = form((rows.batch, width) if axes is None else (1, rows.batch, width), self.dtype)
            found.append(Place(kept, carried, history, final, int(rows.offsets[-1]) * row, rows.batch * row))
        return self.places.setdefault(axes, found)

    def start(self, k: int, tensors: Tensors) -> Tensor:
        """State k before the first step: the cell's own where none is given."""
        given = tensors[self.first_start + k]
        return self.own_starts[k] if given is None else given

    def block(self) -> Tensor:
        """What is kept for the way back beside the histories."""
        if self.pooled:
            block = torch.from_numpy(self.shared.pool.take((self.rows.size, self.frame.layout.saved_width)))
        else:
            block = torch.empty_like(self.block_form)
        address = block.data_ptr()
        for word, offset in self.saved:
            self.table[word] = address + offset
        return block

    def end(self, history: Tensor, start: Tensor, setting: Setting) -> Tensor:
        """Each sequence's last value, or its start if it has no step."""
        if self.whole:
            rows = history.flatten(0, -2).narrow(0, int(self.rows.offsets[-1]), self.rows.batch)
            return as_last(rows, setting).clone(memory_format=torch.contiguous_format)
        found = as_last(history, setting).index_select(-2, self.ends)
        return found if self.reached is None else torch.where(self.reached, found, as_last(start.detach(), setting))

    @lazy
    def ends(self) -> Tensor:
        """(B,) the row of each sequence's last step."""
        return torch.from_numpy(self.rows.last_steps).clamp(min=0)

    @lazy
    def reached(self) -> Tensor | None:
        """(B, 1) which sequences have a step or more; None: all."""
        return None if self.rows.counts[0] == self.rows.batch else torch.from_numpy(self.rows.last_steps >= 0)[:, None]


class PackedCall:
    """A prepared call whose weights stay packed from call to call."""

    def __init__(self, forward: Forward):
        self.frame, self.words = forward.frame, forward.words
        self.place = forward.frame.layout.packed
        self.pointed: list[int] = []

    def run(self, params: Sequence[Tensor], weights: PackedWeights) -> bool:
        """Run; False, and nothing has run, if threads are missing."""
        addresses = [p.data_ptr() for p in params]
        if not weights.same(addresses):
            weights.take(params, addresses, self.words)
        if self.pointed is not weights.sources:
            self.pointed = weights.sources
            self.frame.table[self.place] = weights.place
            point(self.frame.table, self.words.params, weights.sources)
        weights.ready = self.frame.run(weights.ready)
        return weights.ready


class PackedWeights:
    """The packed weights of one direction, for calls of few rows of any shape. A parameter can change without a trace
    (through `.data`), so each call compares all of them with a copy, which costs less than packing."""

    def __init__(self, frame: Frame):
        self.memory = aligned_zeros(frame.packed_size, frame.layout.dtype)
        self.place = self.memory.ctypes.data
        self.nbytes = 2 * self.memory.nbytes
        self.ready, self.addresses, self.differ = False, [0], frame.differ
        self.sources: list[int] = []  # addresses of parameters and of sums
        self.pairs, self.pairs_at = array("q"), 0  # for `differ`: the parameters and their copies
        self.tensors: list[Tensor] = []

    def same(self, addresses: Sequence[int]) -> bool:
        """Whether the parameters at these addresses are those that are packed."""
        if addresses != self.addresses:
            return False
        self.differ(self.pairs_at)
        return not self.pairs[1]

    def take(self, params: Sequence[Tensor], addresses: list[int], words: Words) -> None:
        copies = [p.detach().clone() for p in params]
        sums = [torch.empty_like(copies[first]) for first, *_ in words.sums]
        words.added(copies, sums)
        self.ready, self.addresses = False, addresses
        self.sources = [*addresses, *(s.data_ptr() for s in sums)]
        pairs = zip(addresses, copies, strict=True)
        self.pairs = array("q", [len(copies), 0, *(w for a, c in pairs for w in (a, c.data_ptr(), c.nbytes))])
        self.pairs_at = self.pairs.buffer_info()[0]
        self.tensors = [*copies, *sums]


def packed_weights(binding: Binding, frame: Frame, params: Sequence[Tensor]) -> PackedWeights:
    """Where the packed weights of these parameters stay, for all calls that pack them in the same way."""
    key = (frame.panels, params[0].data_ptr() if params else 0)
    return binding.kept.get(key) or binding.kept.keep(key, PackedWeights(frame))


class Backward(Prepared):
    """The backward pass, for the gradients of inputs in `need`, and of all parameters if it has "weights"."""

    def __init__(self, binding: Binding, frame: Frame, rows: Rows, dtype: torch.dtype, need: frozenset[str]):
        super().__init__(binding, frame, rows, dtype)
        self.need, layout = need, frame.layout
        self.zeros = [torch.zeros(1, w, dtype=self.dtype) for w in binding.widths]
        self.states = [
            (layout.histories.get(s), layout.d_histories.get(s), layout.cotangents.get(s)) for s in binding.states
        ]
        names = (*binding.steps, *binding.sequences)
        self.wanted = [self.wish(name) for name in names]
        self.unwanted = [k for k, name in enumerate(names) if name not in need]
        self.grads = WeightGradients(binding, frame.layout, self.words) if "weights" in need else None

    def wish(self, name: str) -> tuple[int | None, bool]:
        """Of an input: the word of its gradient, if that is made, and whether it begins as zeros."""
        word, layout = self.frame.layout.d_inputs.get(name), self.frame.layout
        return None if name not in self.need and name in layout.sunk else word, name not in self.binding.steps

    def __call__(self, setting: Setting, saved: Saved, d_histories: Tensors, d_finals: Tensors) -> list[Any]:
        """A gradient, or None, for each of the binding's tensors."""
        given, table = saved.tensors, self.table
        params = given[self.binding.first_param :]
        with self.shared.lock:
            self.point_inputs(given, setting.rates)
            self.point_weights(params)
            base = 0 if saved.block is None else saved.block.data_ptr()
            for word, offset in self.saved if base else ():
                table[word] = base + offset
            running = [self.point_state(k, saved, d_histories[k], d_finals[k]) for k in range(len(self.states))]
            inputs = [self.point_input(t, *wish) for t, wish in zip(given, self.wanted, strict=False)]
            weights = [None] * len(params) if self.grads is None else self.grads.point(table, params)
            complete = self.frame.run()
        if not complete:
            alone = prepared(self.binding, self.need, self.rows, self.dtype, 1)
            return alone(setting, saved, d_histories, d_finals)
        for k in self.unwanted:
            inputs[k] = None
        return [*inputs, *running, *(weights if self.grads is None else self.grads.finish(weights))]

    def point_state(self, k: int, saved: Saved, along: Tensor | None, last: Tensor | None) -> Tensor:
        """One state's history and gradients; gives the running gradient, which ends as that of the start."""
        table, (history, d, ct) = self.table, self.states[k]
        if history is not None:
            kept = saved.histories[k]
            table[history], table[history + 1] = kept.data_ptr(), kept.stride(-2)
        if d is not None:  # else nothing that the loss feels goes through the state, as through a comparison
            table[d] = self.zeros[k].data_ptr() if along is None else along.data_ptr()
            table[d + 1] = 0 if along is None else row_of(along)
        running = torch.zeros_like(self.own_starts[k]) if last is None else last.clone()
        if ct is not None:
            table[ct] = running.data_ptr()
        return running

    def point_input(self, given: Tensor, word: int | None, zeros: bool) -> Tensor | None:
        if word is None:
            return None
        made = torch.zeros_like(given) if zeros else torch.empty_like(given)
        self.table[word] = made.data_ptr()
        return made


def row_of(rows: Tensor) -> int:
    """Elements between rows of a history's gradient (see `autograd.as_rows`)."""
    return rows.shape[-1] if rows.is_contiguous() else rows.stride(0)


class WeightGradients:
    """Room for the gradients of parameters, in which the kernel writes those of the graph's weights."""

    def __init__(self, binding: Binding, layout: Layout, words: Words):
        self.words, self.heights = words.gradients, [shape[0] for shape in binding.param_shapes]
        unknown = binding.pieces.keys() - layout.d_weights.keys()
        self.zeroed = sorted({binding.pieces[key][0].param for key in unknown})
        self.copies: list[list[int]] = []  # [to, from, start, stop]: rows that two parameters share
        for first, *others in binding.pieces.values():
            for other in others:
                self.copy(other.param, first.param, first.start, first.stop or self.heights[first.param])

    def copy(self, to: int, source: int, start: int, stop: int) -> None:
        for known in self.copies:
            if known[:2] == [to, source] and known[3] == start:
                known[3] = stop
                return
        self.copies.append([to, source, start, stop])

    def point(self, table: MutableSequence[int], params: Sequence[Tensor]) -> list[Any]:
        """New tensors that lie as the parameters do."""
        made = [torch.empty_like(p) for p in params]
        for p in self.zeroed:
            made[p].zero_()
        point(table, self.words, [m.data_ptr() for m in made])
        return made

    def finish(self, made: list[Any]) -> list[Any]:
        for to, source, start, stop in self.copies:
            whole = stop - start == self.heights[to] == self.heights[source]
            if whole and made[to].stride() == made[source].stride():  # the usual case, in one go
                ctypes.memmove(made[to].data_ptr(), made[source].data_ptr(), made[to].nbytes)
            else:
                made[to][start:stop] = made[source][start:stop]
        return made


def prepared(binding: Binding, kind: Kind, rows: Rows, dtype: torch.dtype, threads: int | None = None) -> Any:
    """What runs a kind of call: a `Forward` or a `Backward`; those of `fallback` for programs that are interpreted, for
    batches without a step, and while values are checked. `threads`: in place of the usual number."""
    now = settings()
    key = (kind, dtype, rows.key, now, threads)
    found = binding.prepared.get(key)
    if found is None:
        found = None if now[1] or not rows.size else prepare(binding, kind, rows, dtype, threads or now[0])
        binding.prepared.keep(key, found := found or fallback.call(binding, kind))
    return found


def prepare(binding: Binding, kind: Kind, rows: Rows, dtype: torch.dtype, threads: int) -> Forward | Backward | None:
    """A prepared call of the caller's own."""
    frame = binding.program(dtype).frame(rows, kind, threads)
    if frame is None:
        return None
    if isinstance(kind, str):
        return Forward(binding, frame, rows, dtype, kind == "train")
    return Backward(binding, frame, rows, dtype, kind)


def readable(binding: Binding, tensors: Tensors) -> list[Any]:
    """The tensors as kernels read them, contiguous and with their signs; refuses parameters that are not what the layer
    was built with."""
    params = tensors[binding.first_param :]
    if [p.shape for p in params] != binding.param_shapes or not all(p.is_cpu for p in params):
        found = ", ".join(f"{tuple(p.shape)} on {p.device}" for p in params)
        raise LayerError(f"parameters of {binding.graph.name} must be {binding.param_shapes} on the cpu; got {found}")
    tensors = [t if t is None else t.resolve_neg() if t.is_contiguous() else t.contiguous() for t in tensors]
    for p in binding.turned:
        given = params[p].resolve_neg()
        tensors[binding.first_param + p] = given if given.t().is_contiguous() else given.t().contiguous().t()
    return tensors
