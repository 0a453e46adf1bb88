"""Steps of streams whose states somebody else keeps: what a server of many streams asks of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from gatework.compiler.params import size
from gatework.errors import DataError, OptionError, ShapeError
from gatework.runtime.checks import REAL
from gatework.runtime.memory import Recent
from gatework.runtime.program import Program, Stream
from gatework.runtime.rows import Rows
from gatework.runtime.saved import Layer

KEPT, KEPT_BYTES = 8, 1 << 30  # numbers of rows for which the weights stay packed
Arrays = dict[str, np.ndarray]


class Stepper(Protocol):
    """One step of B streams: inputs and states go in, outputs and states come out, and nothing is kept.

    A row's answer has the same bits whatever the other rows are, and however many. A stepper belongs to one thread at a
    time. B changes are cheap for a few values of B, so callers fill up to fixed numbers.
    """

    widths: dict[str, int]  # of the states

    def start(self) -> Arrays:
        """The states of a new stream, {name: (w,)}."""
        ...

    def read(self, row: object) -> np.ndarray:
        """One input as people write it, checked: (I,). Raises ShapeError or DataError."""
        ...

    def step(self, inputs: np.ndarray, states: Arrays) -> tuple[np.ndarray, Arrays]:
        """(B, I) and {name: (B, w)} to outputs (B, O) and the next states."""
        ...

    def answer(self, output: np.ndarray) -> Any:
        """One output (O,) as JSON can hold it."""
        ...


def numbers(row: object, count: int, dtype: np.dtype) -> np.ndarray:
    """A row of so many finite numbers: what a step of a layer reads.

    >>> numbers([1, 2.5], 2, np.dtype("float32"))
    array([1. , 2.5], dtype=float32)
    """
    found = _array(row, count)
    if found.shape != (count,):
        raise ShapeError(f"a step's input is a row of {count} numbers; got the shape {found.shape}")
    fits = np.abs(found) <= np.finfo(dtype).max  # NaN does not
    if not fits.all():
        at = int(fits.argmin())
        raise DataError(f"number {at + 1} of a step's input is no finite {dtype.name}: {found[at]}")
    return found.astype(dtype)


def _array(row: object, count: int) -> np.ndarray:
    try:
        found = np.asarray(row)
        if found.dtype == object and all(type(each) is int for each in found.flat):
            found = found.astype(np.float64)  # whole numbers that are too large for numpy's
    except ValueError as error:  # rows of unequal length
        raise ShapeError(f"a step's input is a row of {count} numbers; got nested rows of unequal length") from error
    except OverflowError as error:
        raise DataError(f"a step's input is a row of {count} numbers; one of them is larger than any float") from error
    if found.dtype.kind not in REAL or found.dtype == bool:
        raise DataError(f"a step's input is a row of {count} numbers; got {row!r:.60}")
    return found


class LayerStepper:
    """The steps of a saved stack of layers that reads forwards; see `Runner.stepper`.

    stepper = gatework.runtime.load("layer.safetensors").stepper
    states = {name: rows[None] for name, rows in stepper.start().items()}   # one stream
    output, states = stepper.step(stepper.read([0.5, 1.0])[None], states)   # (1, I) to (1, H)
    """

    def __init__(self, layers: Sequence[Layer], programs: Sequence[Program]):
        if any(len(x.weights) > 1 or len(x.graph.inputs) > 1 for x in layers):
            raise OptionError("a stack that runs in both directions, or has further inputs, makes no single steps")
        self.layers, self.programs = layers, programs
        self.dtype = np.dtype(layers[0].dtype)
        self.input_size = size(layers[0].sizes, layers[0].data.width)
        self.widths = {f"{k}.{s.name}": size(x.sizes, s.width) for k, x in enumerate(layers) for s in x.graph.states}
        self._streams: Recent = Recent(KEPT, KEPT_BYTES)

    def start(self) -> Arrays:
        return {
            f"{k}.{s.name}": np.array(x.starts[0].get(s.name, np.full(size(x.sizes, s.width), s.start)), self.dtype)
            for k, x in enumerate(self.layers)
            for s in x.graph.states
        }

    def read(self, row: object) -> np.ndarray:
        return numbers(row, self.input_size, self.dtype)

    def answer(self, output: np.ndarray) -> list[float]:
        return output.tolist()

    def step(self, inputs: np.ndarray, states: Mapping[str, np.ndarray]) -> tuple[np.ndarray, Arrays]:
        x, after = np.ascontiguousarray(inputs, self.dtype), {}
        for k, stream in enumerate(self._bound(len(x))):
            own = {s.name: states[f"{k}.{s.name}"] for s in self.layers[k].graph.states}
            x, own = self._called(k, x, own) if stream is None else _stepped(stream, x, own)
            after |= {f"{k}.{name}": values for name, values in own.items()}
        return x, after

    def _bound(self, count: int) -> list[Stream | None]:
        """A stream with packed weights for each layer, for so many rows; None where single steps are plain calls."""
        if not count:
            return [None] * len(self.layers)
        found = self._streams.get(count)
        if found is None:
            pairs = zip(self.programs, self.layers, strict=True)
            found = self._streams.keep(count, [p.stream(layer.weights[0], count) for p, layer in pairs])
        return found

    def _called(self, k: int, x: np.ndarray, own: Arrays) -> tuple[np.ndarray, Arrays]:
        """Row by row: a product of numpy has other bits for other numbers of rows."""
        layer, one = self.layers[k], Rows.rectangle(1, 1)
        outputs, after = np.zeros((len(x), layer.output_size), self.dtype), {n: v.copy() for n, v in own.items()}
        for b in range(len(x)):
            start = {name: np.ascontiguousarray(values[b : b + 1], self.dtype) for name, values in own.items()}
            done = self.programs[k].forward(one, {layer.data.name: x[b : b + 1]}, start, layer.weights[0])
            outputs[b] = done.history[layer.graph.states[0].name][0]
            for name, values in done.final.items():
                after[name][b] = values[0]
        return outputs, after


def _stepped(stream: Stream, x: np.ndarray, own: Arrays) -> tuple[np.ndarray, Arrays]:
    stream.state = own
    return stream.step(x).copy(), stream.state
