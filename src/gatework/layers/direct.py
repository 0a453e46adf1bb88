"""Tensors straight to the kernels: addresses into a prepared call, tensors out. The way that every ordinary call takes.

A call of a small layer is a few microseconds of machine code, so what is known before the call is worked out before it:
which words of the slot table hold which addresses, how large results are, which gradients are copies of others.
"""

from __future__ import annotations

import ctypes
import functools
import math
import sys
from collections.abc import Iterable, Mapping, MutableSequence, Sequence
from typing import Any

import torch
from torch import Tensor

from gatework.layers.binding import Binding, Setting, Tensors, as_last
from gatework.layers.errors import LayerError
from gatework.runtime.frame import Frame, Layout
from gatework.runtime.memory import aligned_zeros
from gatework.runtime.program import Kind
from gatework.runtime.rows import Rows
from gatework.runtime.settings import settings

KEEP_PACKED_ROWS = 256

_memcmp = (ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)).memcmp
_memcmp.argtypes, _memcmp.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t), ctypes.c_int


class Words:
    """Where the addresses of a binding's tensors go in the tables of a layout of arrays, whatever the rows: lists of
    (word of the table, which tensor, bytes from its beginning)."""

    def __init__(self, binding: Binding, layout: Layout, item: int):
        inputs = [layout.inputs.get(name) for name in (*binding.steps, *binding.sequences)]
        places = [*inputs, *(layout.starts.get(state) for state in binding.states)]
        self.reads = [(place, k) for k, place in enumerate(places) if place is not None]
        self.rates = [(layout.inputs[name], name) for name in binding.rates if name in layout.inputs]
        strides = [_strides(shape, p in binding.turned) for p, shape in enumerate(binding.param_shapes)]
        roles = (layout.weights, layout.vectors)
        read = [(role[key], pieces) for key, pieces in binding.pieces.items() for role in roles if key in role]
        self.sums = sorted({tuple(p.param for p in pieces) for _, pieces in read if len(pieces) > 1})
        sources = {(p,): p for p in range(len(strides))} | {s: len(strides) + k for k, s in enumerate(self.sums)}
        written = [(word, binding.pieces[key]) for key, word in layout.d_weights.items() if key in binding.pieces]
        self.params = [
            (word, sources[tuple(p.param for p in pieces)], pieces[0].start * strides[pieces[0].param][0] * item)
            for word, pieces in read
        ]
        self.gradients = [(w, p[0].param, p[0].start * strides[p[0].param][0] * item) for w, p in written]
        # Parameters that lie transposed (see Binding) have other strides than contiguous ones.
        found = [(word, strides[pieces[0].param]) for word, pieces in (*read, *written)]
        self.lays = [(word, *between) for word, between in found if len(between) == 2]

    def added(self, params: Sequence[Tensor]) -> list[Tensor]:
        """The sums of parameters, as new tensors."""
        return [functools.reduce(torch.add, [params[p] for p in s]) for s in self.sums]


def _strides(shape: Sequence[int], turned: bool) -> tuple[int, ...]:
    """Those of a parameter, in elements; a scale of bytes for one of no other than two dimensions."""
    if len(shape) != 2:
        return (math.prod(shape[1:]),)
    return (1, shape[0]) if turned else (shape[1], 1)


def point(table: MutableSequence[int], words: Iterable[tuple[int, int, int]], addresses: Sequence[int]) -> None:
    for word, source, offset in words:
        table[word] = addresses[source] + offset


def form(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """What `empty_like` takes for a shape: the shortest way to a new tensor. It holds a single number."""
    return torch.empty(1, dtype=dtype, device="cpu").expand(*shape)


class Prepared:
    """What forward and backward calls of a binding over one layout of rows share."""

    def __init__(self, binding: Binding, frame: Frame, rows: Rows, tensors: Tensors):
        self.binding, self.rows, self.frame, self.shared = binding, rows, frame, frame.shared
        self.table, layout = frame.table, frame.layout
        self.dtype = tensors[0].dtype
        self.words = binding.words.get(layout) or Words(binding, layout, self.dtype.itemsize)
        binding.words[layout] = self.words
        for lay in self.words.lays:
            frame.lay(*lay)
        states = zip(binding.graph.states, binding.widths, strict=True)
        self.own_starts = [torch.full((rows.batch, w), s.start, dtype=self.dtype) for s, w in states]
        self.saved = layout.saved
        self.nbytes = sum(s.nbytes for s in self.own_starts) + frame.nbytes

    def with_starts(self, tensors: Tensors) -> list[Tensor]:
        """The tensors, with the cell's own starts where none are given."""
        given = list(tensors)
        for k, own in enumerate(self.own_starts, self.binding.first_start):
            if given[k] is None:
                given[k] = own
        return given

    def point_inputs(self, tensors: Sequence[Tensor], rates: Mapping[str, float]) -> list[Tensor]:
        """Inputs, starts and rates; gives what must stay alive until the call has run."""
        table = self.table
        for word, k in self.words.reads:
            table[word] = tensors[k].data_ptr()
        alive = [torch.tensor([rates[name]], dtype=self.dtype) for _, name in self.words.rates]
        for (word, _), value in zip(self.words.rates, alive, strict=True):
            table[word] = value.data_ptr()
        return alive

    def point_weights(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        params = list(tensors[self.binding.first_param :])
        params += self.words.added(params)
        point(self.table, self.words.params, [p.data_ptr() for p in params])
        return params


class Forward(Prepared):
    """The forward pass."""

    def __init__(self, binding: Binding, frame: Frame, rows: Rows, train: bool, tensors: Tensors):
        super().__init__(binding, frame, rows, tensors)
        self.train = train
        self.states = [self.places_of(s, w) for s, w in zip(binding.states, binding.widths, strict=True)]
        whole = rows.counts[-1] == rows.batch
        self.last = int(rows.offsets[-1]) if whole else None
        ends = torch.from_numpy(rows.last_steps)
        self.ends = ends.clamp(min=0)
        self.reached = None if rows.counts[0] == rows.batch else (ends >= 0)[:, None]  # sequences of a step or more
        self.forms: dict[tuple[int, ...] | None, list[Tensor]] = {}
        self.packed = PackedCall(self) if not train and rows.size <= KEEP_PACKED_ROWS else None

    def places_of(self, state: str, width: int) -> tuple[int | None, int | None, int]:
        """Where a state's history goes, if that is kept; the value carried in place, if there is one; the width."""
        layout = self.frame.layout
        carried = layout.carried.get(state)
        return (layout.histories.get(state) if self.train or carried is None else None), carried, width

    def __call__(self, setting: Setting, tensors: Tensors) -> tuple[list[Tensor], list[Any], Tensor | None]:
        """Last values of the states, their histories (None where not kept), and what else the way back needs. The first
        state's history is written into `setting.room`, with any distance between rows, if that is given. None of them
        is a view: callers may change them in place and detach them."""
        frame, first, params = self.frame, self.binding.first_start, self.binding.first_param
        given = self.with_starts(tensors)
        starts = given[first:params]
        with self.shared.lock:  # the table is one for all calls: from the first address to the end of the run
            alive = self.point_inputs(given, setting.rates)
            finals, histories = self.results(starts, setting)
            if self.packed is not None:
                complete = self.packed.run(given[params:], packed_weights(self.binding, frame, given[params:]))
            else:
                alive += self.point_weights(given)
                complete = frame.run()
            block, frame.block = frame.block, None
        if not complete:
            return prepared(self.binding, "train" if self.train else "infer", self.rows, tensors, 1)(setting, tensors)
        for k, history in enumerate(histories):
            if finals[k] is None:
                finals[k] = self.end(history, starts[k], setting)
        return finals, histories, None if block is None else torch.from_numpy(block)

    def results(self, starts: Sequence[Tensor], setting: Setting) -> tuple[list[Any], list[Any]]:
        table, room = self.table, setting.room
        finals: list[Any] = []
        histories: list[Any] = []
        for (kept, carried, _), start, shape in zip(self.states, starts, self.forms_of(setting.axes), strict=True):
            history = final = None
            if kept is not None:
                history = torch.empty_like(shape) if room is None or histories else room.place
                table[kept], table[kept + 1] = history.data_ptr(), history.stride(-2)
            if carried is not None:
                final = as_last(start.detach(), setting).clone()
                table[carried] = final.data_ptr()
            finals.append(final)
            histories.append(history)
        return finals, histories

    def forms_of(self, axes: tuple[int, ...] | None) -> list[Tensor]:
        """Those of the histories; the same layout of rows serves histories of one axis and of two."""
        if axes not in self.forms:
            self.forms[axes] = [form((*(axes or (self.rows.size,)), w), self.dtype) for *_, w in self.states]
        return self.forms[axes]

    def end(self, history: Tensor, start: Tensor, setting: Setting) -> Tensor:
        """Each sequence's last value, or its start if it has no step."""
        if self.last is None:
            found = as_last(history, setting).index_select(-2, self.ends)
            return found if self.reached is None else torch.where(self.reached, found, as_last(start.detach(), setting))
        if history.dim() == 3:
            return history.narrow_copy(0, self.last // self.rows.batch, 1)
        return as_last(history.narrow_copy(0, self.last, self.rows.batch), setting)


class PackedCall:
    """A prepared call whose weights stay packed from call to call."""

    def __init__(self, forward: Forward):
        self.frame, self.words = forward.frame, forward.words
        self.place = forward.frame.layout.packed
        self.pointed: list[int] = []

    def run(self, params: Sequence[Tensor], weights: PackedWeights) -> bool:
        """Run; False, and nothing has run, if threads are missing."""
        addresses = [p.data_ptr() for p in params]
        if weights.addresses != addresses or not weights.same(addresses):
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
        self.ready, self.addresses = False, [0]
        self.sources: list[int] = []  # addresses of parameters and of sums
        self.copies: list[tuple[int, int]] = []
        self.tensors: list[Tensor] = []

    def same(self, addresses: Sequence[int]) -> bool:
        for address, (copy, size) in zip(addresses, self.copies, strict=True):
            if _memcmp(address, copy, size):
                return False
        return True

    def take(self, params: Sequence[Tensor], addresses: list[int], words: Words) -> None:
        copies, sums = [p.detach().clone() for p in params], words.added([p.detach() for p in params])
        self.ready, self.addresses = False, addresses
        self.sources = [*addresses, *(s.data_ptr() for s in sums)]
        self.copies = [(c.data_ptr(), c.numel() * c.element_size()) for c in copies]
        self.tensors = [*copies, *sums]


def packed_weights(binding: Binding, frame: Frame, params: Sequence[Tensor]) -> PackedWeights:
    """Where the packed weights of these parameters stay, for all calls that pack them in the same way."""
    key = (frame.panels, params[0].data_ptr() if params else 0)
    return binding.kept.get(key) or binding.kept.keep(key, PackedWeights(frame))


class Saved:
    """What a forward pass leaves for the backward one, all of it tensors."""

    __slots__ = ("block", "histories", "tensors")

    def __init__(self, tensors: Tensors, histories: Tensors, block: Tensor | None):
        self.tensors, self.histories, self.block = tensors, histories, block


class Backward(Prepared):
    """The backward pass, for the gradients of inputs in `need`, and of all parameters if it has "weights"."""

    def __init__(self, binding: Binding, frame: Frame, rows: Rows, need: frozenset[str], tensors: Tensors):
        super().__init__(binding, frame, rows, tensors)
        self.need, layout = need, frame.layout
        self.zeros = [torch.zeros(1, w, dtype=self.dtype) for w in binding.widths]
        self.states = [
            (layout.histories.get(s), layout.d_histories.get(s), layout.cotangents.get(s)) for s in binding.states
        ]
        self.wanted = [self.wish(name) for name in (*binding.steps, *binding.sequences)]
        self.grads = WeightGradients(binding, frame.layout, self.words) if "weights" in need else None

    def wish(self, name: str) -> tuple[int | None, bool, Tensor, bool]:
        """Of an input: the word of its gradient, whether it is wanted, its form, whether it begins as zeros."""
        step = name in self.binding.steps
        shape = (self.rows.size if step else self.rows.batch, self.binding.input_widths[name])
        word = self.frame.layout.d_inputs.get(name)
        unused = name not in self.need and name in self.frame.layout.sunk
        return None if unused else word, name in self.need, form(shape, self.dtype), not step

    def __call__(self, setting: Setting, saved: Saved, d_histories: Tensors, d_finals: Tensors) -> list[Any]:
        """A gradient, or None, for each of the binding's tensors."""
        given, table = self.with_starts(saved.tensors), self.table
        params = given[self.binding.first_param :]
        with self.shared.lock:
            alive = self.point_inputs(given, setting.rates)
            alive += self.point_weights(given)
            base = 0 if saved.block is None else saved.block.data_ptr()
            for word, offset in self.saved if base else ():
                table[word] = base + offset
            running = [self.point_state(k, saved, d_histories[k], d_finals[k]) for k in range(len(self.states))]
            inputs = [self.point_input(*wish) for wish in self.wanted]
            weights = [None] * len(params) if self.grads is None else self.grads.point(table, params)
            complete = self.frame.run()
        if not complete:
            alone = prepared(self.binding, self.need, self.rows, saved.tensors, 1)
            return alone(setting, saved, d_histories, d_finals)
        found = [tensor if wanted else None for tensor, (_, wanted, *_) in zip(inputs, self.wanted, strict=True)]
        return [*found, *running, *(weights if self.grads is None else self.grads.finish(weights))]

    def point_state(self, k: int, saved: Saved, along: Tensor | None, last: Tensor | None) -> Tensor:
        """One state's history and gradients; gives the running gradient, which ends as that of the start."""
        table, (history, d, ct) = self.table, self.states[k]
        if history is not None:
            kept = saved.histories[k]
            table[history], table[history + 1] = kept.data_ptr(), kept.stride(-2)
        if d is not None:  # else nothing that the loss feels goes through the state, as through a comparison
            table[d] = self.zeros[k].data_ptr() if along is None else along.data_ptr()
            table[d + 1] = 0 if along is None else along.stride(0)
        running = torch.zeros_like(self.own_starts[k]) if last is None else last.clone()
        if ct is not None:
            table[ct] = running.data_ptr()
        return running

    def point_input(self, word: int | None, wanted: bool, shape: Tensor, zeros: bool) -> Tensor | None:
        if word is None:
            return None
        made = torch.empty_like(shape)
        self.table[word] = (made.zero_() if zeros else made).data_ptr()
        return made


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
            if stop - start == self.heights[to] == self.heights[source]:  # the usual case, without two more views
                made[to].copy_(made[source])
            else:
                made[to][start:stop] = made[source][start:stop]
        return made


def prepared(binding: Binding, kind: Kind, rows: Rows, tensors: Tensors, threads: int | None = None) -> Any:
    """The prepared call of a kind, a `Forward` or a `Backward`; None where there is none: for programs that are
    interpreted, for batches without a step, and while values are checked. `threads`: in place of the usual number."""
    now = settings()
    key = (kind, tensors[0].dtype, rows.key, now, threads)
    found = binding.prepared.get(key, False)
    if found is False:
        found = None if now[1] or not rows.size else prepare(binding, kind, rows, tensors, threads or now[0])
        binding.prepared.keep(key, found)
    return found


def prepare(binding: Binding, kind: Kind, rows: Rows, tensors: Tensors, threads: int) -> Forward | Backward | None:
    """A prepared call of the caller's own."""
    frame = binding.program(tensors[0].dtype).frame(rows, kind, threads)
    if frame is None:
        return None
    if isinstance(kind, str):
        return Forward(binding, frame, rows, kind == "train", tensors)
    return Backward(binding, frame, rows, kind, tensors)


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
