"""The language of cells: a Python function of symbols becomes a graph.

    from gatework import cell, sigmoid, tanh

    @cell
    def mgu(x, h, W):
        f = sigmoid(W.f(h, x))
        n = tanh(W.n(f * h, x))
        return (1 - f) * h + f * n

The parameters are inputs, then states, last `W`; as many before `W` as values are returned are states. `W.f(h, x)` is
an affine map, `W.p` alone a learned vector. The function runs when it is defined, with symbols; it is checked there,
and an error shows its line.
"""

from __future__ import annotations

import difflib
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, overload

from gatework.compiler import ir, latex
from gatework.compiler.ops import (
    abs,
    exp,
    gelu,
    hard_sigmoid,
    instead_of,
    log,
    log1p,
    log_sigmoid,
    max,
    maximum,
    mean,
    minimum,
    relu,
    sigmoid,
    softmax,
    softplus,
    sqrt,
    stop,
    sum,
    tanh,
    var,
    where,
)
from gatework.compiler.symbols import Namespace, Symbol
from gatework.compiler.trace import Trace
from gatework.errors import CellError, OptionError

__all__ = [
    "Cell",
    "abs",
    "cell",
    "exp",
    "gelu",
    "hard_sigmoid",
    "log",
    "log1p",
    "log_sigmoid",
    "max",
    "maximum",
    "mean",
    "minimum",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "sqrt",
    "stop",
    "sum",
    "tanh",
    "var",
    "where",
]

PERS = ("step", "sequence", "call")


@dataclass(frozen=True, repr=False)
class Cell:
    """A cell: its graph, and the function that it was traced from. Calling it inside another cell inlines it.

    >>> cells.get("lstm")
    <cell lstm: input x, states h, c, maps f, i, g, o>
    >>> print(cells.get("rnn").equations())
    h = tanh(W_h·[h₋, x] + b_h)
    """

    name: str
    graph: ir.Graph
    function: Callable[..., Any]
    doc: str = ""
    source: str = ""

    def __call__(self, *args: Symbol | Namespace) -> Any:
        return self.function(*args)

    def __repr__(self) -> str:
        g = self.graph
        kinds = {"input": g.inputs, "state": g.states, "map": g.maps, "vector": g.vectors}
        said = [f"{kind}{'s' * (len(of) > 1)} {', '.join(x.name for x in of)}" for kind, of in kinds.items() if of]
        return f"<cell {self.name}: {', '.join(said)}>"

    def equations(self) -> str:
        """The equations as text, one line each, read off the graph; `h₋` is the state before the step."""
        return latex.equations(self.graph)

    def latex(self) -> str:
        r"""The equations as a LaTeX `aligned` environment, with time as an index; a notebook shows a cell so.

        >>> print(cells.get("rnn").latex())
        \begin{aligned}
          h_{t} &= \tanh\left(W_{h}\,[h_{t-1}; x_{t}] + b_{h}\right)
        \end{aligned}
        """
        return latex.latex(self.graph)

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex()}\n$$"

    def wrapped(self, name: str, wrapper: Callable[..., ir.Graph], doc: str = "", **options: object) -> Cell:
        """This cell with a wrapper applied, as a cell of its own: `lstm.wrapped("layer_norm_lstm", layer_norm)`."""
        check_words(False, name)
        try:
            inspect.signature(wrapper).bind(self.graph, **options)
        except TypeError as error:
            called = getattr(wrapper, "__name__", repr(wrapper))
            advice = 'as in wrapped("clipped", clip, limit=3.0) with gatework.compiler.wrappers.clip'
            raise OptionError(f"wrapped({name!r}, {called}, ...): {error}; {advice}") from error
        graph = replace(wrapper(self.graph, **options), name=name, doc=doc or self.doc)
        return replace(self, name=name, graph=graph, doc=doc or self.doc)


@overload
def cell(function: Callable[..., Any], /) -> Cell: ...


@overload
def cell(
    *,
    width: Mapping[str, str] | None = None,
    start: Mapping[str, float] | None = None,
    init: Mapping[str, float] | None = None,
    per: Mapping[str, str] | None = None,
    heads: bool = False,
    name: str = "",
) -> Callable[[Callable[..., Any]], Cell]: ...


def cell(
    function: Callable[..., Any] | None = None,
    /,
    *,
    width: Mapping[str, str] | None = None,
    start: Mapping[str, float] | None = None,
    init: Mapping[str, float] | None = None,
    per: Mapping[str, str] | None = None,
    heads: bool = False,
    name: str = "",
) -> Any:
    """Turn a function of one step into a cell.

    >>> @cell
    ... def leaky(x, h, W):
    ...     return 0.9 * h + 0.1 * tanh(W.n(h, x))
    >>> leaky.graph.maps
    (Map(name='n', width='H', operands=('H', 'I'), bias=True, blocked=(False, False), labels=('h', 'x')),)

    Arguments
        width   symbols of inputs, states and parameters that are not the usual ones: first input "I", states "H", other
                inputs their own; `{"h": "P"}`. "1" is one number that all units share.
        start   what a state is before the first step, where that is not 0: `{"m": -inf}`
        init    what a learned vector is before training, where that is not 0
        per     how often an input changes, where that is not each "step": once a "sequence", or once a "call"
        heads   maps of values made from states are block-diagonal, one block a head
        name    name of the cell, where it is not the function's

    Raises CellError, with the line, for equations that do not make a cell.
    """
    check_words(heads, name)
    starts, per = (table("start", start), table("init", init)), table("per", per)
    options = Options(table("width", width), *starts, per, heads, name)
    return options.define if function is None else options.define(function)


EXAMPLES = {"width": '{"h": "P"}', "start": '{"m": -math.inf}', "init": '{"keep": 2.0}', "per": '{"who": "sequence"}'}


def table(option: str, given: object) -> dict[str, Any]:
    """What an option gives to names: numbers, or for `width` and `per` words."""
    if not isinstance(given, Mapping | None):
        raise CellError(f"{option}={given!r}: {option} gives something to a name, as in {option}={EXAMPLES[option]}")
    for key, value in (given or {}).items():
        shown = f'{option}={{"{key}": {value!r}}}'
        if option == "width" and not isinstance(value, str):
            raise CellError(
                f'{shown}: a width is a symbol, as in {{"{key}": "P"}}; '
                f'a layer gives it its number: Recurrent(cell, ..., sizes={{"P": {value!r}}})'
            )
        if option in ("start", "init") and (isinstance(value, bool) or not isinstance(value, Real)):
            raise CellError(f"{shown}: {option} gives a number, as in {EXAMPLES[option]}")
    return dict(given or {})


def check_words(heads: object, name: object) -> None:
    if not isinstance(heads, bool):
        raise CellError(
            f"heads={heads!r}: heads is True or False; "
            f'a layer gives their number: Recurrent(cell, ..., sizes={{"heads": {heads!r}}})'
        )
    if not isinstance(name, str) or (name and not name.isidentifier()):
        raise CellError(f"the name of a cell is made of letters, digits and underscores, not {name!r}")


@dataclass
class Options:
    """What `@cell(...)` was told."""

    width: dict[str, str]
    start: dict[str, float]
    init: dict[str, float]
    per: dict[str, str]
    heads: bool
    name: str

    def define(self, function: Callable[..., Any]) -> Cell:
        parameters = parameters_of(function)
        _, results = self.run(function, parameters, states=())
        inputs = parameters[: len(parameters) - len(results)]
        states = parameters[len(inputs) :]
        self.check(function, inputs, states)
        trace, results = self.run(function, inputs, states)
        graph = trace.finish(self.name_of(function), results, inspect.getdoc(function) or "")
        self.check_parameters(function, graph)
        return Cell(graph.name, graph, function, graph.doc, source_of(function))

    def name_of(self, function: Callable[..., Any]) -> str:
        return self.name or (function.__name__ if function.__name__.isidentifier() else "unnamed")  # a lambda

    def run(
        self, function: Callable[..., Any], inputs: tuple[str, ...], states: tuple[str, ...]
    ) -> tuple[Trace, list[Symbol]]:
        """Call the function with symbols. Without states it is a first look, which counts what the function returns."""
        trace = Trace(function.__code__, self.width, self.init, self.heads, strict=bool(states))
        symbols = [trace.input(n, first=i == 0, per=self.per.get(n, "step")) for i, n in enumerate(inputs)]
        symbols += [trace.state(n, self.start.get(n, 0.0)) for n in states]
        try:
            returned = trace.call(function, *symbols, Namespace(trace))
        except CellError:
            raise
        except (NameError, AttributeError, TypeError) as error:
            raise CellError(trace.at_error(str(error) + hint(error), error)) from error
        return trace, results_of(trace, returned, inputs + states)

    def check(self, function: Callable[..., Any], inputs: tuple[str, ...], states: tuple[str, ...]) -> None:
        where = f"cell {function.__name__}"
        if not inputs:
            raise CellError(
                f"{where} returns {len(states)} values, so all of its parameters ({', '.join(states)}) are states and "
                f"none is left as an input. Write the inputs first: def {function.__name__}(x, {', '.join(states)}, W)"
            )
        for option, table, known in (("start", self.start, states), ("per", self.per, inputs)):
            for key in table:
                if key not in known:
                    raise CellError(f"{where}: {option} names {key!r}, but there are only {', '.join(known)}")
        for key, value in self.per.items():
            if value not in PERS:
                raise CellError(f'{where}: per={{"{key}": "{value}"}}, but an input changes per {", per ".join(PERS)}')

    def check_parameters(self, function: Callable[..., Any], graph: ir.Graph) -> None:
        vectors = [v.name for v in graph.vectors]
        for name in (m.name for m in graph.maps if m.name in self.init):
            raise CellError(
                f"cell {function.__name__}: init starts vectors, and {name} is a map. For a bias that starts at "
                f'{self.init[name]} write W.{name}(..., bias=False) + W.{name}_bias and init={{"{name}_bias": '
                f"{self.init[name]}}}"
            )
        widths = [
            *(i.name for i in graph.inputs),
            *(s.name for s in graph.states),
            *(m.name for m in graph.maps),
            *vectors,
        ]
        for option, table, known in (("init", self.init, vectors), ("width", self.width, widths)):
            for key in table:
                if key not in known:
                    near = difflib.get_close_matches(key, known, 1)
                    hint = f"; did you mean {near[0]!r}?" if near else f": it has {', '.join(known) or 'none'}"
                    raise CellError(f"cell {function.__name__}: {option} names {key!r}, which does not exist{hint}")


def hint(error: Exception) -> str:
    """What to write instead, where another function was meant."""
    if getattr(error, "obj", None) is sys.modules["gatework"]:
        return f": {instead_of(str(getattr(error, 'name', '')))}"
    called = "'module' object is not callable"
    return ": a cell of gatework's is from gatework.cells.lstm import lstm" if str(error) == called else ""


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names before `W`."""
    if not inspect.isfunction(function):
        raise CellError(f"@cell decorates a function, not {type(function).__name__} {function!r}")
    parameters = list(inspect.signature(function).parameters.values())
    odd = [p.name for p in parameters if p.kind is not p.POSITIONAL_OR_KEYWORD or p.default is not p.empty]
    if odd:
        raise CellError(
            f"cell {function.__name__}: parameter {odd[0]!r} must be plain, without a star or a default value. Write a "
            "constant into the equations, or as a variable before the function"
        )
    if len(parameters) < 3:
        shown = ", ".join(p.name for p in parameters)
        raise CellError(
            f"cell {function.__name__}({shown}) needs an input, a state and W: def {function.__name__}(x, h, W)"
        )
    return tuple(p.name for p in parameters[:-1])


def results_of(trace: Trace, returned: object, parameters: tuple[str, ...]) -> list[Symbol]:
    """The returned new states, checked."""
    results = list(returned) if isinstance(returned, tuple | list) else [returned]
    symbols = [result for result in results if isinstance(result, Symbol)]
    if len(symbols) < len(results):
        number, odd = next((k, r) for k, r in enumerate(results, 1) if not isinstance(r, Symbol))
        raise CellError(
            trace.at_return(f"returned value {number} is {odd!r}, not a value of the cell; return its new states")
        )
    if not results or len(results) > len(parameters):
        counted = f"{len(results)} values are returned, but {len(parameters)} parameters stand before W"
        raise CellError(trace.at_return(f"{counted}; return one new value for each state"))
    return symbols


def source_of(function: Callable[..., Any]) -> str:
    """The text of the function, or "" where Python does not have it (typed at a prompt)."""
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return ""
