"""Tensors straight to the kernels: addresses into a prepared call, tensors out. The way that every ordinary call takes.

A call of a small layer is a few microseconds of machine code, so what is known before the call is worked out before it:
which words of the slot table hold which addresses, how large results are, which gradients are copies of others.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, MutableSequence, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework.layers import fallback
from gatework.layers.binding import Binding, Passed, Saved, Setting, Tensors, as_last
from gatework.layers.errors import LayerError
from gatework.layers.packed import PackedCall, packed_weights
from gatework.layers.words import Words, point
from gatework.runtime.frame import Frame, Layout
from gatework.runtime.lazy import lazy
from gatework.runtime.memory import LARGE_PAGE
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
        self.own_starts = binding.starts(rows.batch, dtype)
        self.own = [0] * binding.first_start + [start.data_ptr() for start in self.own_starts]
        self.sums = self.words.room(binding, self.dtype)
        self.sum_addresses = [total.data_ptr() for total in self.sums]
        self.pointed: list[int] = []  # the parameters whose addresses the table holds
        self.rates = [(name, np.zeros(1, frame.layout.dtype)) for _, name in self.words.rates]
        for (word, _), (_, value) in zip(self.words.rates, self.rates, strict=True):
            self.table[word] = value.ctypes.data
        self.saved = layout.saved
        self.nbytes = frame.nbytes

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
        self.packed = PackedCall(frame, self.words) if not train and rows.size <= KEEP_PACKED_ROWS else None

    def __call__(self, setting: Setting, tensors: Tensors) -> Passed:
        """The first state's history is written into `setting.room`, with any distance between rows, if that is given.
        No result is a view: callers may change them in place and detach them."""
        with self.shared.lock:  # the table is one for all calls: from the first address to the end of the run
            passed = self.begin(setting, tensors)
            if self.packed is not None:
                params = tensors[self.first_param :]
                complete = self.packed.run(params, packed_weights(self.binding, self.frame, params))
            else:
                complete = self.frame.run()
        if complete:
            return self.finish(passed, setting, tensors)
        kind = "train" if self.train else "infer"
        return prepared(self.binding, kind, self.rows, self.dtype, 1)(setting, tensors)

    def begin(self, setting: Setting, tensors: Tensors) -> Passed:
        """Make the results, and store all addresses."""
        table, room, finals, histories = self.table, setting.room, list[Any](), list[Any]()
        self.point_inputs(tensors, setting.rates)
        if self.packed is None:
            self.point_weights(tensors[self.first_param :])
        for kept, carried, history, *_ in self.places.get(setting.axes) or self.lay(setting.axes):
            made = last = None
            if kept is not None:
                made = torch.empty_like(history) if room is None or histories else room.place
                table[kept], table[kept + 1] = made.data_ptr(), made.stride(-2)
            if carried is not None:
                last = as_last(self.start(len(finals), tensors).detach(), setting).clone()
                table[carried] = last.data_ptr()
            histories.append(made)
            finals.append(last)
        return finals, histories, self.block() if self.keeps else None

    def finish(self, passed: Passed, setting: Setting, tensors: Tensors) -> Passed:
        """Fill in the last values that are rows of histories."""
        (finals, histories, _), places = passed, self.places[setting.axes]
        for k, history in enumerate(histories):
            if finals[k] is not None:
                continue
            if self.whole and history.is_contiguous():
                finals[k] = final = torch.empty_like(places[k].final)
                ctypes.memmove(final.data_ptr(), history.data_ptr() + places[k].last, places[k].size)
            else:
                finals[k] = self.end(history, self.start(k, tensors), setting)
        return passed

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
        self.running: list[Tensor] | None = None  # where the states' running gradients go that nobody asks for
        if "start" not in need:
            self.unwanted += range(binding.first_start, binding.first_param)
            self.running = [torch.empty_like(start) for start in self.own_starts]
        self.grads = WeightGradients(binding, frame.layout, self.words) if "weights" in need else None

    def wish(self, name: str) -> tuple[int | None, bool]:
        """Of an input: the word of its gradient, if that is made, and whether it begins as zeros."""
        word, layout = self.frame.layout.d_inputs.get(name), self.frame.layout
        return None if name not in self.need and name in layout.sunk else word, name not in self.binding.steps

    def __call__(self, setting: Setting, saved: Saved, d_histories: Tensors, d_finals: Tensors) -> list[Any]:
        """A gradient, or None, for each of the binding's tensors."""
        with self.shared.lock:
            found = self.begin(setting, saved, d_histories, d_finals)
            complete = self.frame.run()
        if complete:
            return self.finish(found)
        alone = prepared(self.binding, self.need, self.rows, self.dtype, 1)
        return alone(setting, saved, d_histories, d_finals)

    def begin(self, setting: Setting, saved: Saved, d_histories: Tensors, d_finals: Tensors) -> list[Any]:
        """Make the results, and store all addresses."""
        given, table = saved.tensors, self.table
        params = given[self.binding.first_param :]
        self.point_inputs(given, setting.rates)
        self.point_weights(params)
        base = 0 if saved.block is None else saved.block.data_ptr()
        for word, offset in self.saved if base else ():
            table[word] = base + offset
        running = [self.point_state(k, saved, d_histories[k], d_finals[k]) for k in range(len(self.states))]
        inputs = [self.point_input(t, *wish) for t, wish in zip(given, self.wanted, strict=False)]
        weights = [None] * len(params) if self.grads is None else self.grads.point(table, params)
        return [*inputs, *running, *weights]

    def finish(self, found: list[Any], *given: object) -> list[Any]:
        """Leave out what nobody needs, and copy what several parameters share."""
        for k in self.unwanted:
            found[k] = None
        if self.grads is not None:
            self.grads.finish(found[self.binding.first_param :])
        return found

    def point_state(self, k: int, saved: Saved, along: Tensor | None, last: Tensor | None) -> Tensor:
        """One state's history and gradients; gives the running gradient, which ends as that of the start."""
        table, (history, d, ct) = self.table, self.states[k]
        if history is not None:
            kept = saved.histories[k]
            table[history], table[history + 1] = kept.data_ptr(), kept.stride(-2)
        if d is not None:  # else nothing that the loss feels goes through the state, as through a comparison
            table[d] = self.zeros[k].data_ptr() if along is None else along.data_ptr()
            table[d + 1] = 0 if along is None else row_of(along)
        if self.running is None:
            running = torch.zeros_like(self.own_starts[k]) if last is None else last.clone()
        else:
            running = self.running[k]
            running.zero_() if last is None else running.copy_(last)
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

    def finish(self, made: Sequence[Tensor]) -> None:
        for to, source, start, stop in self.copies:
            whole = stop - start == self.heights[to] == self.heights[source]
            if whole and made[to].stride() == made[source].stride():  # the usual case, in one go
                ctypes.memmove(made[to].data_ptr(), made[source].data_ptr(), made[to].nbytes)
            else:
                made[to][start:stop] = made[source][start:stop]


class Directions:
    """The calls of a layer's directions: one after the other, or in a thread each where that is faster."""

    def __init__(self, calls: Sequence[Any], together: Callable[[], bool] | None = None):
        self.calls, self.together = calls, together
        self.nbytes = 0 if together is None else sum(call.nbytes for call in calls)

    def __call__(self, *given: tuple[Any, ...]) -> list[Any]:
        """What each call gives for its arguments."""
        if self.together is not None:
            with self.calls[0].shared.lock:
                begun = [call.begin(*each) for call, each in zip(self.calls, given, strict=True)]
                complete = self.together()
            if complete:
                return [call.finish(b, *each) for call, b, each in zip(self.calls, begun, given, strict=True)]
        return [call(*each) for call, each in zip(self.calls, given, strict=True)]


def directions(binding: Binding, kind: Kind, rows: Sequence[Rows], dtype: torch.dtype) -> Directions:
    """The prepared calls of the directions of a layer, whose rows lie so."""
    now = settings()
    key = (kind, dtype, tuple(r.key for r in rows), now)
    found = binding.prepared.get(key)
    if found is None:
        pair = None if now[1] or len(rows) < 2 else binding.program(dtype).pair(rows, kind, now[0])
        if pair is None:
            found = Directions([prepared(binding, kind, r, dtype) for r in rows])
        else:
            calls = [call_of(binding, frame, r, dtype, kind) for frame, r in zip(pair.calls, rows, strict=True)]
            found = Directions(calls, pair.run)
        binding.prepared.keep(key, found)
    return found


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
    return None if frame is None else call_of(binding, frame, rows, dtype, kind)


def call_of(binding: Binding, frame: Frame, rows: Rows, dtype: torch.dtype, kind: Kind) -> Forward | Backward:
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
