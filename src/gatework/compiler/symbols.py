"""Symbols: what a cell's function calculates with while it is traced, and `W`, the namespace of its parameters."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, Protocol, Self

from gatework.compiler import ops
from gatework.compiler.ops import Value
from gatework.errors import CellError

if TYPE_CHECKING:
    import numpy as np


class Recorder(Protocol):
    """What a symbol needs of the trace that it belongs to."""

    def apply(self, op: str, args: tuple[object, ...]) -> Symbol: ...
    def vector(self, name: str) -> int: ...
    def affine(self, name: str, operands: tuple[object, ...], bias: bool, width: str | None) -> Symbol: ...
    def here(self, message: str) -> str: ...
    def describe(self, index: int) -> str: ...


NOT_FOR_SYMBOLS = {
    "__bool__": "a value of the cell has no truth value while the cell is defined: instead of `if`, `and`, `or`, `not` "
    "write gatework.where(condition, a, b)",
    "__float__": "a value of the cell is not a number yet: use gatework's functions (gatework.tanh, ...), not math's",
    "__array__": "numpy's functions do not work on a value of the cell: use gatework.tanh, gatework.exp, ...",
    "__len__": "a value of the cell has no length while the cell is defined: its width is a symbol",
    "__iter__": "a value of the cell cannot be iterated over: write equations over whole vectors",
    "__getitem__": "a value of the cell cannot be indexed: give each part a map of its own, W.name(...)",
    "__setitem__": "a value of the cell cannot be changed in place: write a new value, as in "
    "h = gatework.where(condition, 1.0, h)",
    "__delitem__": "a value of the cell cannot be changed in place: write a new value",
    "__contains__": "a value of the cell holds no items to look for",
    "__matmul__": "matrices are learned maps: write W.name(h, x) instead of a @ b",
    "__rmatmul__": "matrices are learned maps: write W.name(h, x) instead of a @ b",
    "__and__": "conditions are the numbers 1.0 and 0.0: write a * b for `and`, gatework.maximum(a, b) for `or`, 1 - a "
    "for `not`",
    "__eq__": "values of a cell cannot be compared with == or !=: use < <= > >=, which give 1.0 or 0.0",
    "__mod__": "a value of the cell has no remainder (%)",
    "__floordiv__": "a value of the cell has no whole quotient (//)",
    "__int__": "a value of the cell is not a number yet",
}
for _name in ("__or__", "__xor__", "__invert__", "__rand__", "__ror__", "__rxor__"):
    NOT_FOR_SYMBOLS[_name] = NOT_FOR_SYMBOLS["__and__"]
NOT_FOR_SYMBOLS["__index__"] = NOT_FOR_SYMBOLS["__complex__"] = NOT_FOR_SYMBOLS["__int__"]


OF_NUMPYS_NUMBERS: dict[str, Callable[..., Symbol]] = {  # np.sqrt(2) * h asks numpy first
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}


class Symbol(Value):
    """A value of the step while the cell's function runs."""

    def __init__(self, trace: Recorder, index: int = -1):
        self.trace = trace
        self.number = index

    @property
    def index(self) -> int:
        return self.number

    def apply(self, op: str, *args: Self | float) -> Symbol:
        return self.trace.apply(op, args)

    def refuse(self, message: str) -> NoReturn:
        raise CellError(self.trace.here(message))

    def __repr__(self) -> str:
        return f"<{self.trace.describe(self.number)}, a value of the cell>"

    def __getattr__(self, name: str) -> NoReturn:
        instead = f"write gatework.{name}(value)" if callable(getattr(ops, name, None)) else "it is one vector of units"
        raise AttributeError(
            f"a value of the cell has no .{name}: {instead}; W, which names the parameters, is the last parameter of "
            "the function"
        )

    def __array_ufunc__(self, function: np.ufunc, method: str, *args: Symbol | np.ndarray, **options: object) -> Symbol:
        name = getattr(function, "__name__", str(function))
        known, others = OF_NUMPYS_NUMBERS.get(name), [a for a in args if not isinstance(a, Symbol)]
        if known and all(getattr(a, "ndim", 1) == 0 for a in others):
            return known(*(a if isinstance(a, Symbol) else a.item() for a in args))
        instead = f"does not work on a value of the cell: {ops.instead_of(name)}"
        of_array = "with an array: a cell calculates with numbers; W.name is a learned vector"
        return self.refuse(f"numpy.{name} {of_array if known else instead}")

    @classmethod
    def __torch_function__(cls, function: object, types: object, args: tuple = (), kwargs: object = None) -> NoReturn:
        name = getattr(function, "__name__", str(function))
        symbol = next(a for a in args if isinstance(a, Symbol))
        symbol.refuse(f"torch.{name} does not work on a value of the cell: {ops.instead_of(name)}")

    __hash__ = object.__hash__


def refusal(message: str) -> Callable[..., NoReturn]:
    return lambda self, *args: self.refuse(message)


for _name, _message in NOT_FOR_SYMBOLS.items():
    setattr(Symbol, _name, refusal(_message))


class Parameter(Symbol):
    """`W.name`: a map if it is called, a vector if it is calculated with."""

    def __init__(self, trace: Recorder, name: str):
        super().__init__(trace)
        self.name = name

    @property
    def index(self) -> int:
        if self.number < 0:
            self.number = self.trace.vector(self.name)
        return self.number

    def __repr__(self) -> str:
        return f"<W.{self.name}, a parameter>"

    def __call__(self, *operands: Symbol, bias: bool = True, width: str | None = None) -> Symbol:
        return self.trace.affine(self.name, operands, bias, width)


class Namespace:
    """`W`: whatever is asked of it is a parameter of that name."""

    __slots__ = ("_trace",)

    def __init__(self, trace: Recorder):
        object.__setattr__(self, "_trace", trace)

    def __getattr__(self, name: str) -> Parameter:
        if name.startswith("_"):
            raise AttributeError(f"parameter names do not start with an underscore: W.{name}")
        return Parameter(self._trace, name)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise CellError(self._trace.here(f"W.{name} = ...: parameters are learned and cannot be assigned"))

    def __getitem__(self, name: object) -> NoReturn:
        raise CellError(self._trace.here(f"W[{name!r}]: parameters are attributes, as in W.f(h, x)"))

    def __call__(self, *args: object) -> NoReturn:
        raise CellError(self._trace.here("W is the namespace of the parameters: name the map, as in W.f(h, x)"))
