"""Tensors straight to the kernels: addresses into a prepared call, tensors out. The way that every ordinary call takes.

A call of a small layer is a few microseconds of machine code, so what is known before the call is worked out before it:
which words of the slot table hold which addresses, how large results are, which gradients are copies of others.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gatework.layers.binding import Binding
from gatework.runtime import bound, threads
from gatework.runtime.bound import Bound
from gatework.runtime.memory import aligned_zeros
from gatework.runtime.rows import Rows

Tensors = Sequence[Tensor | None]
KEEP_PACKED_ROWS = 256

_memcmp = (ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)).memcmp
_memcmp.argtypes, _memcmp.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t), ctypes.c_int


class Places:
    """Where the addresses of a binding's parameters go in the table of a prepared call."""

    def __init__(self, binding: Binding, table: Bound, kinds: Sequence[str], params: Sequence[Tensor]):
        self.sums = sorted({tuple(p.param for p in pieces) for _, pieces in binding.summed})
        sources = {s: len(params) + k for k, s in enumerate(self.sums)}
        self.words: list[tuple[int, int, int]] = []  # (word of the table, parameter or sum, bytes from its beginning)
        for key, pieces in binding.pieces.items():
            first = pieces[0]
            param = params[first.param]
            source = first.param if len(pieces) == 1 else sources[tuple(p.param for p in pieces)]
            for kind in kinds:
                if f"{kind}:{key}" in table.address:
                    lay_parameter(table, f"{kind}:{key}", param)
                    offset = first.start * param.stride(0) * param.element_size()
                    self.words.append((table.address[f"{kind}:{key}"], source, offset))

    def added(self, params: Sequence[Tensor]) -> list[Tensor]:
        """The sums of parameters, as new tensors."""
        return [functools.reduce(torch.add, [params[p] for p in s]) for s in self.sums]

    def point(self, table: Any, addresses: Sequence[int]) -> None:
        for word, source, offset in self.words:
            table[word] = addresses[source] + offset


def lay_parameter(table: Bound, name: str, param: Tensor) -> None:
    """Parameters that lie transposed (see Binding) have other strides than contiguous ones."""
    if param.dim() == 2:
        table.lay(name, *param.stride())


class Prepared:
    """What forward and backward calls of a binding over one layout of rows share."""

    kinds = ("weight", "vector")

    def __init__(self, binding: Binding, rows: Rows, table: Bound, tensors: Tensors):
        self.binding, self.rows, self.bound, self.program = binding, rows, table, table.program
        self.dtype = tensors[0].dtype  # type: ignore[union-attr]
        address = table.address
        self.places = Places(binding, table, self.kinds, tensors[binding.first_param :])  # type: ignore[arg-type]
        names = [f"input:{n}" for n in (*binding.steps, *binding.sequences)] + [f"start:{s}" for s in binding.states]
        self.reads = [(k, address[n]) for k, n in enumerate(names) if n in address]
        self.rates = [(address[f"input:{n}"], n) for n in binding.rates if f"input:{n}" in address]
        states = zip(binding.graph.states, binding.widths, strict=True)
        self.own_starts = [torch.full((rows.batch, w), s.start, dtype=self.dtype) for s, w in states]
        self.saved = table.saved
        self.one_thread: Any = None
        self.nbytes = sum(s.nbytes for s in self.own_starts) + table.script.nbytes

    def starts(self, tensors: Tensors) -> list[Tensor]:
        first = self.binding.first_start
        return [own if given is None else given for given, own in zip(tensors[first:], self.own_starts, strict=False)]

    def point_inputs(self, tensors: Tensors, starts: Sequence[Tensor], rates: dict[str, float]) -> list[Tensor]:
        """Inputs, starts and rates; gives what must stay alive until the call has run."""
        table, first = self.bound.table, self.binding.first_start
        for k, word in self.reads:
            table[word] = (tensors[k] if k < first else starts[k - first]).data_ptr()  # type: ignore[union-attr]
        if not self.rates:
            return []
        values = [torch.tensor([rates[name]], dtype=self.dtype) for _, name in self.rates]
        for (word, _), value in zip(self.rates, values, strict=True):
            table[word] = value.data_ptr()
        return values

    def point_weights(self, tensors: Tensors) -> list[Tensor]:
        params: list[Tensor] = list(tensors[self.binding.first_param :])  # type: ignore[arg-type]
        if self.places.sums:
            params += self.places.added(params)
        self.places.point(self.bound.table, [p.data_ptr() for p in params])
        return params

    def point_saved(self, block: Tensor | None) -> None:
        if block is not None:
            base = block.data_ptr()
            for word, offset in self.saved:
                self.bound.table[word] = base + offset


class Forward(Prepared):
    """The forward pass, with `count` threads at most."""

    def __init__(self, binding: Binding, rows: Rows, train: bool, count: int, tensors: Tensors):
        program = binding.program(tensors[0].dtype)  # type: ignore[union-attr]
        super().__init__(binding, rows, bound.forward(program, rows, train, count), tensors)
        self.train = train
        self.states = [self.words_of(s, w) for s, w in zip(binding.states, binding.widths, strict=True)]
        self.saved_width = program.saved_width if train else 0
        whole = rows.counts[-1] == rows.batch
        self.last = int(rows.offsets[-1]) if whole else None
        self.ends = None if whole else torch.from_numpy(rows.last_steps.copy())
        self.packed = Packed(self) if not train and rows.size <= KEEP_PACKED_ROWS else None

    def words_of(self, state: str, width: int) -> tuple[int | None, int | None, int]:
        """The word of a state's history, if that is kept; of the value carried in place, if there is one; the width."""
        address = self.bound.address
        carried = address.get(f"state:{state}")
        return (address.get(f"history:{state}") if self.train or carried is None else None), carried, width

    def __call__(
        self, tensors: Tensors, rates: dict[str, float], room: Tensor | None = None
    ) -> tuple[list[Tensor], list[Any], Tensor | None]:
        """Last values of the states, their histories (None where not kept), and what else the way back needs. The first
        state's history is written into `room`, (N, H) with any distance between rows, if that is given."""
        starts = self.starts(tensors)
        with self.program.lock:
            alive = self.point_inputs(tensors, starts, rates)
            finals, histories = self.results(starts, room)
            saved = torch.from_numpy(self.program.pool.take((self.rows.size, self.saved_width))) if self.saved else None
            self.point_saved(saved)
            if self.packed is not None:
                params: list[Tensor] = tensors[self.binding.first_param :]  # type: ignore[assignment]
                complete = self.packed.run(params, kept_of(self.binding, self.bound, params))
            else:
                alive += self.point_weights(tensors)
                complete = self.bound.run()
        if not complete:
            return self.alone(tensors)(tensors, rates, room)
        for k, history in enumerate(histories):
            if finals[k] is None:
                finals[k] = self.end(history, starts[k])
        return finals, histories, saved

    def results(self, starts: Sequence[Tensor], room: Tensor | None) -> tuple[list[Any], list[Any]]:
        table = self.bound.table
        finals: list[Any] = []
        histories: list[Any] = []
        for (kept, carried, width), start in zip(self.states, starts, strict=True):
            history = final = None
            if kept is not None:
                inside = room is not None and not histories
                history = room if inside else torch.empty(self.rows.size, width, dtype=self.dtype)
                table[kept], table[kept + 1] = history.data_ptr(), history.stride(0)  # type: ignore[union-attr]
            if carried is not None:
                final = start.detach().clone()
                table[carried] = final.data_ptr()
            finals.append(final)
            histories.append(history)
        return finals, histories

    def end(self, history: Tensor, start: Tensor) -> Tensor:
        """Each sequence's last value, or its start if it has no step."""
        if self.last is not None:
            return history[self.last : self.last + self.rows.batch].clone()
        ends: Tensor = self.ends  # type: ignore[assignment]
        return torch.where((ends >= 0)[:, None], history[ends.clamp(min=0)], start.detach())

    def alone(self, tensors: Tensors) -> Forward:
        """The same with one thread: where OpenMP gives no team, as inside another parallel region."""
        if self.one_thread is None:
            self.one_thread = Forward(self.binding, self.rows, self.train, 1, tensors)
        return self.one_thread


class Packed:
    """A prepared call whose weights stay packed from call to call."""

    def __init__(self, forward: Forward):
        self.bound, self.places = forward.bound, forward.places
        self.word = self.bound.address["packed"]
        self.pointed: list[int] = []

    def run(self, params: Sequence[Tensor], kept: Kept) -> bool:
        """Run; False, and nothing has run, if threads are missing."""
        addresses = [p.data_ptr() for p in params]
        if kept.addresses != addresses or not kept.same(addresses):
            kept.take(params, addresses, self.places)
        if self.pointed is not kept.sources:
            self.pointed = kept.sources
            self.bound.table[self.word] = kept.place
            self.places.point(self.bound.table, kept.sources)
        kept.ready = self.bound.run(kept.ready)
        return kept.ready


class Kept:
    """The packed weights of one direction, for calls of few rows of any shape. A parameter can change without a trace
    (through `.data`), so each call compares all of them with a copy, which costs less than packing."""

    def __init__(self, table: Bound):
        self.memory = aligned_zeros(table.script.packed, table.program.dtype)
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

    def take(self, params: Sequence[Tensor], addresses: list[int], places: Places) -> None:
        copies, sums = [p.detach().clone() for p in params], places.added([p.detach() for p in params])
        self.ready, self.addresses = False, addresses
        self.sources = [*addresses, *(s.data_ptr() for s in sums)]
        self.copies = [(c.data_ptr(), c.numel() * c.element_size()) for c in copies]
        self.tensors = [*copies, *sums]


def kept_of(binding: Binding, table: Bound, params: Sequence[Tensor]) -> Kept:
    """Where the packed weights of these parameters stay, for all calls that pack them in the same way."""
    key = (id(table.program), table.script.panels, params[0].data_ptr())
    return binding.kept.get(key) or binding.kept.keep(key, Kept(table))


class Backward(Prepared):
    """The backward pass, for the gradients of inputs in `need`, and of all parameters if it has "weights"."""

    def __init__(self, binding: Binding, rows: Rows, need: frozenset[str], count: int, tensors: Tensors):
        program = binding.program(tensors[0].dtype)  # type: ignore[union-attr]
        super().__init__(binding, rows, bound.backward(program, rows, need, count), tensors)
        self.need, address = need, self.bound.address
        self.zeros = [torch.zeros(1, w, dtype=self.dtype) for w in binding.widths]
        self.states = [
            (address.get(f"history:{s}"), address[f"d:{s}"], address[f"ct:{s}"], w)
            for s, w in zip(binding.states, binding.widths, strict=True)
        ]
        self.wanted = [self.wish(name) for name in (*binding.steps, *binding.sequences)]
        params: list[Tensor] = tensors[binding.first_param :]  # type: ignore[assignment]
        self.params = len(params)
        self.grads = Gradients(binding, self.bound, params) if "weights" in need else None

    def wish(self, name: str) -> tuple[int | None, bool, tuple[int, int], bool]:
        """Of an input: the word of its gradient, whether it is wanted, its shape, whether it begins as zeros."""
        step = name in self.binding.steps
        shape = (self.rows.size if step else self.rows.batch, self.binding.input_widths[name])
        word = self.bound.address.get(f"dinput:{name}")
        unused = name not in self.need and name in self.program.sunk
        return None if unused else word, name in self.need, shape, not step

    def __call__(self, saved: Saved, d_histories: Tensors, d_finals: Tensors, rates: dict[str, float]) -> list[Any]:
        """A gradient, or None, for each of the binding's tensors."""
        grads = self.grads
        with self.program.lock:
            alive = self.point_inputs(saved.tensors, self.starts(saved.tensors), rates)
            alive += self.point_weights(saved.tensors)
            self.point_saved(saved.block)
            running = [self.point_state(k, saved, d_histories[k], d_finals[k]) for k in range(len(self.states))]
            inputs = [self.point_input(*wish) for wish in self.wanted]
            weights = [None] * self.params if grads is None else grads.point(self.bound.table)
            complete = self.bound.run()
        if not complete:
            return self.alone(saved.tensors)(saved, d_histories, d_finals, rates)
        found = [tensor if wanted else None for tensor, (_, wanted, *_) in zip(inputs, self.wanted, strict=True)]
        return [*found, *running, *(weights if grads is None else grads.finish(weights))]  # type: ignore[arg-type]

    def point_state(self, k: int, saved: Saved, along: Tensor | None, last: Tensor | None) -> Tensor:
        """One state's history and gradients; gives the running gradient, which ends as that of the start."""
        table, (history, d, ct, width) = self.bound.table, self.states[k]
        if history is not None:
            kept: Tensor = saved.histories[k]  # type: ignore[assignment]
            table[history], table[history + 1] = kept.data_ptr(), kept.stride(0)
        table[d] = self.zeros[k].data_ptr() if along is None else along.data_ptr()
        table[d + 1] = 0 if along is None else along.stride(0)
        running = torch.zeros(self.rows.batch, width, dtype=self.dtype) if last is None else last.clone()
        table[ct] = running.data_ptr()
        return running

    def point_input(self, word: int | None, wanted: bool, shape: tuple[int, int], zeros: bool) -> Tensor | None:
        if word is None:
            return None
        made = torch.zeros(shape, dtype=self.dtype) if zeros else torch.empty(shape, dtype=self.dtype)
        self.bound.table[word] = made.data_ptr()
        return made

    def alone(self, tensors: Tensors) -> Backward:
        if self.one_thread is None:
            self.one_thread = Backward(self.binding, self.rows, self.need, 1, tensors)
        return self.one_thread


class Gradients:
    """Room for the gradients of parameters, in which the kernel writes those of the graph's weights."""

    def __init__(self, binding: Binding, table: Bound, params: Sequence[Tensor]):
        self.shapes, self.dtype, self.turned = [p.shape for p in params], params[0].dtype, binding.turned
        used = {g.key for g in table.kernel.plans["backward"].gradients}
        self.words: list[tuple[int, int, int]] = []
        for key, (first, *_) in binding.pieces.items():
            param = params[first.param]
            if key in used:
                lay_parameter(table, f"dweight:{key}", param)
                offset = first.start * param.stride(0) * param.element_size()
                self.words.append((table.address[f"dweight:{key}"], first.param, offset))
        self.zeroed = sorted({pieces[0].param for key, pieces in binding.pieces.items() if key not in used})
        self.copies: list[list[int]] = []  # [to, from, start, stop]: rows that two parameters share
        for first, *others in binding.pieces.values():
            for other in others:
                self.copy(other.param, first.param, first.start, first.stop or self.shapes[first.param][0])

    def copy(self, to: int, source: int, start: int, stop: int) -> None:
        for known in self.copies:
            if known[:2] == [to, source] and known[3] == start:
                known[3] = stop
                return
        self.copies.append([to, source, start, stop])

    def point(self, table: Any) -> list[Tensor]:
        made = [torch.empty(shape, dtype=self.dtype) for shape in self.shapes]
        for p in self.turned:
            made[p] = torch.empty(self.shapes[p][::-1], dtype=self.dtype).t()
        for p in self.zeroed:
            made[p].zero_()
        addresses = [m.data_ptr() for m in made]
        for word, p, offset in self.words:
            table[word] = addresses[p] + offset
        return made

    def finish(self, made: list[Tensor]) -> list[Tensor]:
        for to, source, start, stop in self.copies:
            made[to][start:stop] = made[source][start:stop]
        return made


class Saved:
    """What a forward pass leaves for the backward one, all of it tensors."""

    __slots__ = ("block", "histories", "tensors")

    def __init__(self, tensors: Tensors, histories: Tensors, block: Tensor | None):
        self.tensors, self.histories, self.block = tensors, histories, block


def prepared(binding: Binding, kind: Any, rows: Rows, tensors: Tensors) -> Any:
    """The prepared call of a kind: "train", "infer", or the names of wanted gradients."""
    key = (kind, tensors[0].dtype, rows.key, threads.get_threads())  # type: ignore[union-attr]
    found = binding.prepared.get(key)
    if found is None:
        if isinstance(kind, str):
            found = Forward(binding, rows, kind == "train", key[3], tensors)
        else:
            found = Backward(binding, rows, kind, key[3], tensors)
        binding.prepared.keep(key, found)
    return found
