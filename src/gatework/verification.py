"""Is a cell right? `reference` computes what its equations mean; `verify` proves derivative and kernels against that.

Neither needs torch: what is compared are numpy arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from gatework import cells
from gatework.backends import reference as interpreter
from gatework.compiler.edit import Edit
from gatework.compiler.ir import Graph, Input, Node
from gatework.compiler.lang import Cell
from gatework.compiler.params import shapes, size, symbols
from gatework.compiler.simplify import Term
from gatework.errors import OptionError, ShapeError
from gatework.runtime import saved
from gatework.runtime.interpreted import Interpreted
from gatework.runtime.loading import load
from gatework.runtime.program import Program
from gatework.runtime.rows import Rows
from gatework.runtime.select import program

Arrays = dict[str, Any]
STEPS, BATCH = 6, 3
USUAL = {"I": 7, "H": 12, "heads": 2}  # other widths: 6
ALLOWED = {"derivative": 1e-6, "float32": 1e-4, "float64": 1e-11}
DISTANCES = (1e-4, 1e-5, 1e-6)  # a kink may lie within one of them, not within all


def graph_of(cell: str | Cell | Graph) -> Graph:
    return cell if isinstance(cell, Graph) else cells.get(cell).graph


def reference(
    cell: str | Cell | Graph,
    sizes: Mapping[str, int],
    inputs: Mapping[str, Any],
    weights: Mapping[str, Any],
    start: Mapping[str, Any] | None = None,
    lengths: Iterable[int] | None = None,
    reverse: bool = False,
) -> interpreter.Run:
    """What a cell means, step by step: the slow interpreter of the graph that every kernel is tested against.

        layer = gatework.Recurrent("gru", 3, 4)
        run = gatework.reference("gru", layer.layer_sizes(0), {"x": np.ones((5, 2, 3))}, layer.weights(0))
        run.history["h"]      # (T, B, H) = (5, 2, 4): each state after each step
        run.values["z"]       # (5, 2, 4): each named value of the equations; run.final["h"] is (2, 4)

    Arguments
        cell     a cell, its name, or a graph
        sizes    a number for each width, {"I": 3, "H": 4}
        inputs   {name: (T, B, w) per step, (B, w) per sequence, a number per call}, numpy arrays or torch tensors
        weights  {key: array}, as `layer.weights(0)` gives them ("z.0", "z.bias")
        start    {state: (B, w)}; a state that is missing begins as the cell says
        lengths  whole numbers 0..T, one a row
        reverse  from each row's last step to its first

    Raises ShapeError for arrays that do not fit. In torch float64 the result can be differentiated any number of times.
    """
    return interpreter.run(graph_of(cell), sizes, inputs, start, weights, lengths, reverse)


@dataclass(frozen=True)
class Verification:
    """What `verify` found: the largest relative error of each array, and whether all are small enough (`ok`)."""

    cell: str
    sizes: dict[str, int]
    derivative: dict[str, float]  # by what the gradient belongs to
    kernels: dict[str, dict[str, float]] = field(default_factory=dict)  # by dtype
    ran: dict[str, str] = field(default_factory=dict)
    undefined: str = ""  # where the equations themselves give NaN

    @property
    def parts(self) -> dict[str, dict[str, float]]:
        return {"derivative": self.derivative, **self.kernels}

    @property
    def ok(self) -> bool:
        """Is every error within what is allowed? NaN is not."""
        return all(error <= ALLOWED[part] for part, errors in self.parts.items() for error in errors.values())

    def __repr__(self) -> str:
        lines = [f"{self.cell}: {'right' if self.ok else 'WRONG'} (largest relative errors, of {self.sizes})"]
        for part, errors in self.parts.items():
            worst = max(errors, key=lambda name: np.nan_to_num(errors[name], nan=np.inf))
            what = "derivative by differences" if part == "derivative" else f"kernel in {part} by the reference"
            lines.append(f"  {what}: {errors[worst]:.1e} ({worst}); {ALLOWED[part]:.0e} is allowed")
        nan = [f"  {self.undefined}: give `inputs` for which the equations have values"] * bool(self.undefined)
        return "\n".join(lines + nan + [f"  {part} ran as {said}" for part, said in self.ran.items()])


def verify(
    cell: str | Cell | Graph,
    sizes: Mapping[str, int] | None = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Verification:
    """Check a cell by numbers: its derivative by inputs and weights against differences, and its kernels against the
    reference in every way in which they run: in training, forward and backward, in inference, step by step in a stream,
    and saved in a file and loaded.

    >>> gatework.verify("gru").ok
    True

    In a notebook the result is a table; in a test of one's own write `assert gatework.verify(my_cell).ok`. Weights and
    inputs are drawn from a normal distribution. `inputs` replaces some of them, where those make no sense to the cell:
    {name: (6, 3, w) per step, (3, w) per sequence, a number per call}. `sizes` replaces the usual {"I": 7, "H": 12}.
    What `gatework.stop` holds counts as a constant. Raises OptionError and ShapeError for what does not fit the cell.
    """
    graph = graph_of(cell)
    case = Case(graph, sizes or {}, inputs or {}, np.random.default_rng(seed))
    kernels, ran = {}, {}
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        for dtype in ("float32", "float64"):
            kernels[dtype], ran[dtype] = case.kernel(dtype)
        return Verification(graph.name, case.sizes, case.derivative(), kernels, ran, case.undefined())


class Case:
    """The arrays of one check, float64 with values that float32 holds too."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int], inputs: Mapping[str, Any], draw: np.random.Generator):
        self.graph, self.draw = graph, draw
        self.sizes = {symbol: {**USUAL, **sizes}.get(symbol, 6) for symbol in symbols(graph)}
        self.refuse("size", sizes, self.sizes)
        self.refuse("input", inputs, [i.name for i in graph.inputs])
        self.inputs = {i.name: self.input(i, inputs.get(i.name)) for i in graph.inputs}
        self.weights = {key: self.weight(shape) for key, shape in shapes(graph, self.sizes).items()}
        widths = {s.name: size(self.sizes, s.width) for s in graph.states}
        self.d_history = {name: self.normal(STEPS, BATCH, w) for name, w in widths.items()}
        self.d_final = {name: self.normal(BATCH, w) for name, w in widths.items()}

    def refuse(self, kind: str, given: Iterable[str], known: Iterable[str]) -> None:
        for name in given:
            if name not in known:
                raise OptionError(f"{self.graph.name} has no {kind} {name!r}; it has {', '.join(known)}")

    def normal(self, *shape: int) -> np.ndarray:
        return self.draw.normal(size=shape).astype(np.float32).astype(np.float64)

    def weight(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.normal(*shape) / max(1, shape[-1] if len(shape) > 1 else 1) ** 0.5

    def input(self, item: Input, given: Any) -> Any:
        if item.per == "call":
            return 0.375 if given is None else float(given)
        lead = (STEPS, BATCH) if item.per == "step" else (BATCH,)
        drawn = self.normal(*lead, size(self.sizes, item.width))
        if given is not None and np.shape(given) != drawn.shape:
            raise ShapeError(f"input {item.name} must have shape {drawn.shape}; got {np.shape(given)}")
        return drawn if given is None else np.asarray(given, np.float64)

    def undefined(self) -> str:
        """Which value of the equations is NaN first, and at which step; empty where none is."""
        run = interpreter.run(self.graph, self.sizes, self.inputs, None, self.weights)
        steps = {
            name: np.isnan(value).any((1, 2)).argmax()
            for name, value in {**run.values, **run.history}.items()
            if np.isnan(value).any()
        }
        first = min(steps, key=lambda name: steps[name], default="")
        return f"the equations give NaN themselves, first for {first} at step {steps[first] + 1}" if steps else ""

    # --- the derivative ----------------------------------------------------------------------------------------------

    def derivative(self) -> dict[str, float]:
        """The relative error of each gradient along a random direction."""
        found = interpreter.run_backward(
            self.graph, self.sizes, self.inputs, None, self.weights, self.d_history, self.d_final
        )
        frozen, held = self.frozen()
        errors = {}
        for table, gradients in ((self.inputs, found.inputs), (self.weights, found.weights)):
            loss = partial(self.loss, frozen, held, table)
            errors |= {name: self.along(table, name, gradient, loss) for name, gradient in gradients.items()}
        return errors

    def along(self, table: Arrays, name: str, gradient: np.ndarray, loss: Callable[[Arrays], float]) -> float:
        direction = self.normal(*gradient.shape)
        got, scale = float((gradient * direction).sum()), float(np.abs(gradient * direction).sum()) + 1e-3
        return min(abs(got - slope(loss, table, name, direction, d)) / scale for d in DISTANCES)

    def loss(self, graph: Graph, held: Arrays, table: Arrays, moved: Arrays) -> float:
        inputs, weights = (moved if table is own else own for own in (self.inputs, self.weights))
        run = interpreter.run(graph, self.sizes, {**inputs, **held}, None, weights)
        total = sum((self.d_history[name] * value).sum() for name, value in run.history.items())
        return float(total + sum((self.d_final[name] * value).sum() for name, value in run.final.items()))

    def frozen(self) -> tuple[Graph, Arrays]:
        """The cell with inputs in place of what `stop` holds, and their values: it has a slope, but no gradient."""
        nodes = [replace(n, name=f"stop {k}") if n.op == "stop" else n for k, n in enumerate(self.graph.nodes)]
        named = replace(self.graph, nodes=tuple(nodes))
        values = interpreter.run(named, self.sizes, self.inputs, None, self.weights).values
        return Frozen(named).finish(), {name: value for name, value in values.items() if name.startswith("stop ")}

    # --- the kernels -------------------------------------------------------------------------------------------------

    def kernel(self, dtype: str) -> tuple[dict[str, float], str]:
        """The relative error of all that forward and backward give, and what ran."""
        want = self.trained(Interpreted(self.graph, self.sizes, "float64"), np.dtype("float64"))
        made = program(self.graph, self.sizes, dtype)
        got = self.trained(made, made.dtype)
        errors = {name: error(got.get(name), value) for name, value in want.items()}
        output = f"state {self.graph.states[0].name}"
        for way, outputs in self.other_ways(made).items():
            errors[f"{way}, {output}"] = error(outputs, want[output])
        return errors, made.describe()

    def arrays(self, dtype: np.dtype) -> tuple[Arrays, Arrays]:
        """Inputs as flat rows, and weights."""
        steps = {i.name for i in self.graph.inputs if i.per == "step"}
        inputs = {n: flat(v, dtype) if n in steps else cast(v, dtype) for n, v in self.inputs.items()}
        return inputs, {key: cast(value, dtype) for key, value in self.weights.items()}

    def trained(self, made: Program, dtype: np.dtype) -> Arrays:
        inputs, weights = self.arrays(dtype)
        done = made.forward(Rows.rectangle(STEPS, BATCH), inputs, {}, weights, train=True)
        d_history = {n: flat(v, dtype) for n, v in self.d_history.items()}
        grads = made.backward(done, d_history, {n: cast(v, dtype) for n, v in self.d_final.items()})
        found = {f"state {n}": v for n, v in done.history.items()} | {f"last {n}": v for n, v in done.final.items()}
        for table in (grads.inputs, grads.start, grads.weights):
            found |= {f"gradient of {name}": value for name, value in table.items()}
        return found

    def other_ways(self, made: Program) -> Arrays:
        """The output's history (N, w) as it comes without training, from a stream, and from a file."""
        (inputs, weights), output = self.arrays(made.dtype), self.graph.states[0].name
        history = made.forward(Rows.rectangle(STEPS, BATCH), inputs, {}, weights).history[output]
        found = {"inference": history}
        per = {i.name: i.per for i in self.graph.inputs}
        with suppress(OptionError):  # a cell too large for a file, or one that no layer can hold
            found["saved"] = self.from_a_file(weights, made.dtype).reshape(history.shape)
        stream = made.stream(weights, BATCH, {n: v for n, v in inputs.items() if per[n] == "call"})
        if stream is not None:
            steps = []
            for k in range(STEPS):
                for name, buffer in stream.inputs.items():
                    buffer[...] = inputs[name][k * BATCH : (k + 1) * BATCH] if per[name] == "step" else inputs[name]
                steps.append(np.array(stream.step(stream.inputs[self.graph.inputs[0].name])))
            found["stream"] = np.concatenate(steps)
        return found

    def from_a_file(self, weights: Arrays, dtype: np.dtype) -> np.ndarray:
        """(T, B, w)"""
        x, *others = self.graph.inputs
        if x.per != "step":
            raise OptionError(f"the first input of {self.graph.name} does not change at each step")
        with TemporaryDirectory() as folder:
            path = Path(folder) / "cell.safetensors"
            saved.write([saved.Layer(self.graph, self.sizes, (weights,), ({},), dtype.name)], path)
            runner = load(path)
        return runner.run(cast(self.inputs[x.name], dtype), **{i.name: self.inputs[i.name] for i in others})


class Frozen(Edit):
    """Each `stop` becomes an input of its name."""

    def visit(self, index: int, node: Node) -> Term:
        return self.input(node.name, node.width, "step") if node.op == "stop" else self.copied(node)


def slope(loss: Callable[[Arrays], float], table: Arrays, name: str, direction: np.ndarray, distance: float) -> float:
    """The derivative by central differences; the error falls with the fourth power of the distance."""

    def at(step: float) -> float:
        return loss({**table, name: table[name] + step * direction})

    return (8 * (at(distance) - at(-distance)) - (at(2 * distance) - at(-2 * distance))) / (12 * distance)


def flat(value: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return cast(value, dtype).reshape(STEPS * BATCH, -1)


def cast(value: Any, dtype: np.dtype) -> Any:
    return value.astype(dtype) if isinstance(value, np.ndarray) else value


def error(got: np.ndarray | None, want: np.ndarray) -> float:
    """Relative to the largest wanted value; a missing gradient is zero; NaN where either is, infinities must agree."""
    got = np.zeros_like(want) if got is None else got.astype(np.float64)
    same = got == want
    difference = np.where(same, 0.0, np.abs(got - want))
    finite = np.abs(want[np.isfinite(want)])
    return float(difference.max(initial=0.0) / (finite.max(initial=0.0) or 1.0))
