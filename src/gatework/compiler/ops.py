"""The elementary operations: their names, and the functions that cells and derivatives are written with.

`ELEMENTWISE` and `REDUCTIONS` are all that a backend must know; everything else here is composed from them, so that a
derivative rule or a line in a kernel generator exists once. A comparison gives 1.0 or 0.0; `where` takes any number
that is not zero as true.
"""

from __future__ import annotations

from typing import Self, TypeVar

from gatework.errors import CellError

ELEMENTWISE: dict[str, int] = {  # with the number of arguments
    **dict.fromkeys(("add", "sub", "mul", "div", "maximum", "minimum", "lt", "le"), 2),
    **dict.fromkeys(("neg", "exp", "log", "log1p", "sqrt", "abs", "sigmoid", "tanh", "stop"), 1),
    "where": 3,
}
REDUCTIONS = ("sum", "mean", "var", "max")
LEAVES = ("input", "state", "vector", "const", "units", "ct")
COMMUTATIVE = ("add", "mul")
UNITWISE = (  # the functions of cells: unit by unit, and over the units of a row
    *("abs", "exp", "gelu", "hard_sigmoid", "log", "log1p", "log_sigmoid", "maximum", "minimum", "relu"),
    *("sigmoid", "softplus", "sqrt", "stop", "tanh", "where"),
)
FUNCTIONS = (*UNITWISE, *REDUCTIONS, "softmax")
PRODUCTS = ("linear", "matmul", "mm", "addmm", "bmm", "dot", "einsum")  # what other libraries call them


V = TypeVar("V", bound="Value")


class Value:
    """Something that can be calculated with: a symbol of a cell, or a node under construction."""

    def apply(self, op: str, *args: Self | float) -> Self:
        raise NotImplementedError

    def __add__(self, other: Self | float) -> Self:
        return self.apply("add", self, other)

    def __radd__(self, other: Self | float) -> Self:
        return self.apply("add", other, self)

    def __sub__(self, other: Self | float) -> Self:
        return self.apply("sub", self, other)

    def __rsub__(self, other: Self | float) -> Self:
        return self.apply("sub", other, self)

    def __mul__(self, other: Self | float) -> Self:
        return self.apply("mul", self, other)

    def __rmul__(self, other: Self | float) -> Self:
        return self.apply("mul", other, self)

    def __truediv__(self, other: Self | float) -> Self:
        return self.apply("div", self, other)

    def __rtruediv__(self, other: Self | float) -> Self:
        return self.apply("div", other, self)

    def __neg__(self) -> Self:
        return self.apply("neg", self)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self.apply("abs", self)

    def __lt__(self, other: Self | float) -> Self:
        return self.apply("lt", self, other)

    def __le__(self, other: Self | float) -> Self:
        return self.apply("le", self, other)

    def __gt__(self, other: Self | float) -> Self:
        return self.apply("lt", other, self)

    def __ge__(self, other: Self | float) -> Self:
        return self.apply("le", other, self)

    def __pow__(self, exponent: Self | float) -> Self:
        return power(self, exponent)

    def __rpow__(self, base: float) -> Self:
        return exp(self * log(base)) if isinstance(base, Value) else power_of_number(base, self)


def call(op: str, *args: V | float) -> V:
    """Apply an elementary operation to values and numbers, of which one at least is a value."""
    for arg in args:
        if isinstance(arg, Value):
            return arg.apply(op, *args)
    shown = ", ".join(repr(a) for a in args)
    raise CellError(f"{op}({shown}): at least one argument must be a value of the cell (an input, a state, a W....)")


def instead_of(name: str) -> str:
    """What a cell writes for a function of another library."""
    if name in FUNCTIONS:
        return f"use gatework.{name}"
    if name in PRODUCTS:
        return "a learned map is W.name(h, x)"
    return f"a cell has + - * / ** and {', '.join(FUNCTIONS)}"


def sigmoid(x: V) -> V:
    """1 / (1 + exp(-x)), elementwise: `f = sigmoid(W.f(h, x))`."""
    return call("sigmoid", x)


def tanh(x: V) -> V:
    """Hyperbolic tangent, elementwise: `g = tanh(W.g(h, x))`."""
    return call("tanh", x)


def exp(x: V) -> V:
    """Exponential, elementwise: `decay = exp(-gap)`."""
    return call("exp", x)


def log(x: V) -> V:
    """Natural logarithm, elementwise: `log(f)`; of 0 it is -inf."""
    return call("log", x)


def log1p(x: V) -> V:
    """log(1 + x), exact for small x, elementwise: `log1p(exp(-x))`."""
    return call("log1p", x)


def sqrt(x: V) -> V:
    """Square root, elementwise: `(x - mean(x)) / sqrt(var(x) + 1e-5)`."""
    return call("sqrt", x)


def abs(x: V) -> V:
    """Absolute value, elementwise: `x / (1 + abs(x))`; its derivative at 0 is 0."""
    return call("abs", x)


def maximum(a: V | float, b: V | float) -> V:
    """The larger of two, elementwise: `maximum(x, 0)`; NaN wins. Where both are equal the gradient goes to `b`."""
    return call("maximum", a, b)


def minimum(a: V | float, b: V | float) -> V:
    """The smaller of two, elementwise: `minimum(c, 3)`; NaN wins. Where both are equal the gradient goes to `b`."""
    return call("minimum", a, b)


def where(condition: V | float, a: V | float, b: V | float) -> V:
    """`a` where the condition is not zero, else `b`: `where(x > 0, x, 0.1 * x)`. No gradient reaches the condition."""
    return call("where", condition, a, b)


def stop(x: V) -> V:
    """The value of x, through which no gradient flows: `x - stop(max(x))`."""
    return call("stop", x)


def sum(x: V) -> V:
    """Sum over the units, one number for each row: `g / sum(g)`."""
    return call("sum", x)


def mean(x: V) -> V:
    """Mean over the units, one number for each row: `x - mean(x)`."""
    return call("mean", x)


def var(x: V) -> V:
    """Variance over the units (divided by their number), one number for each row: `x / sqrt(var(x) + 1e-5)`."""
    return call("var", x)


def max(x: V) -> V:
    """Largest of the units, one number for each row: `x - max(x)`. Units that share it share the gradient."""
    return call("max", x)


def relu(x: V) -> V:
    """maximum(x, 0), elementwise: `h = relu(W.h(h, x))`; its derivative at 0 is 0."""
    return maximum(x, 0.0)


def softplus(x: V) -> V:
    """log(1 + exp(x)) without overflow, elementwise: `rate = softplus(W.r(x))`.

    The operands stand so that the derivative at 0 is 1/2, as it should be."""
    return maximum(x, 0.0) + log1p(exp(minimum(-x, x)))


def log_sigmoid(x: V) -> V:
    """log(sigmoid(x)) = -softplus(-x), without underflow: `keep = log_sigmoid(W.f(h, x))`."""
    return minimum(x, 0.0) - log1p(exp(minimum(x, -x)))


def hard_sigmoid(x: V) -> V:
    """min(max(x/6 + 1/2, 0), 1), torch's and Keras 3's form: `f = hard_sigmoid(W.f(h, x))`."""
    return minimum(maximum(x / 6.0 + 0.5, 0.0), 1.0)


def gelu(x: V) -> V:
    """`gelu(x)` is x Phi(x) in the tanh form of Hendrycks & Gimpel 2016, section 2: within 1e-3 of the exact one."""
    return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def softmax(x: V) -> V:
    """`softmax(x)` is exp(x) / sum(exp(x)) over the units, shifted by the maximum so that nothing overflows."""
    grown = exp(x - stop(max(x)))
    return grown / sum(grown)


def power(x: V, exponent: V | float) -> V:
    """x ** exponent: by products for whole numbers, by roots for halves, else exp(exponent * log(x)) for x > 0."""
    if isinstance(exponent, Value) or exponent * 2 != int(exponent * 2):
        return exp(exponent * log(x))
    if exponent < 0:
        return 1.0 / power(x, -exponent)
    whole = int(exponent)
    result = sqrt(x) if exponent != whole else None
    for bit in bin(whole)[:1:-1]:
        if bit == "1":
            result = x if result is None else result * x
        x = x * x
    return x * 0.0 + 1.0 if result is None else result


def power_of_number(base: float, exponent: V) -> V:
    """base ** exponent for a positive number."""
    import math

    if base <= 0:
        raise CellError(f"{base} ** value: the base must be positive; write exp(value * ...) or a product instead")
    return exp(exponent * math.log(base))
