"""The elementary operations: their names, and the functions that cells and derivatives are written with.

`ELEMENTWISE` and `REDUCTIONS` are all that a backend must know; everything else here is composed from them, so that a
derivative rule or a line in a kernel generator exists once. A comparison gives 1.0 or 0.0; `where` takes any number
that is not zero as true.
"""

from __future__ import annotations

from typing import Any

from gatework.errors import CellError

ELEMENTWISE: dict[str, int] = {
    "add": 2, "sub": 2, "mul": 2, "div": 2, "neg": 1,
    "maximum": 2, "minimum": 2, "lt": 2, "le": 2, "where": 3,
    "exp": 1, "log": 1, "log1p": 1, "sqrt": 1, "abs": 1,
    "sigmoid": 1, "tanh": 1, "stop": 1,
}  # fmt: skip
REDUCTIONS = ("sum", "mean", "var", "max")
LEAVES = ("input", "state", "vector", "const", "units", "ct")
COMMUTATIVE = ("add", "mul")


class Value:
    """Something that can be calculated with: a symbol of a cell, or a node under construction."""

    def apply(self, op: str, *args: Any, attr: Any = None) -> Any:
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        return self.apply("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self.apply("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self.apply("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.apply("sub", other, self)

    def __mul__(self, other: Any) -> Any:
        return self.apply("mul", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.apply("mul", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.apply("div", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.apply("div", other, self)

    def __neg__(self) -> Any:
        return self.apply("neg", self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self.apply("abs", self)

    def __lt__(self, other: Any) -> Any:
        return self.apply("lt", self, other)

    def __le__(self, other: Any) -> Any:
        return self.apply("le", self, other)

    def __gt__(self, other: Any) -> Any:
        return self.apply("lt", other, self)

    def __ge__(self, other: Any) -> Any:
        return self.apply("le", other, self)

    def __pow__(self, exponent: Any) -> Any:
        return power(self, exponent)

    def __rpow__(self, base: float) -> Any:
        return exp(self * log(base)) if isinstance(base, Value) else power_of_number(base, self)


def call(op: str, *args: Any) -> Any:
    """Apply an elementary operation to values and numbers, of which one at least is a value."""
    for arg in args:
        if isinstance(arg, Value):
            return arg.apply(op, *args)
    shown = ", ".join(repr(a) for a in args)
    raise CellError(f"{op}({shown}): at least one argument must be a value of the cell (an input, a state, a W....)")


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), elementwise: `f = sigmoid(W.f(h, x))`."""
    return call("sigmoid", x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent, elementwise: `g = tanh(W.g(h, x))`."""
    return call("tanh", x)


def exp(x: Any) -> Any:
    """Exponential, elementwise: `decay = exp(-gap)`."""
    return call("exp", x)


def log(x: Any) -> Any:
    """Natural logarithm, elementwise: `log(f)`; of 0 it is -inf."""
    return call("log", x)


def log1p(x: Any) -> Any:
    """log(1 + x), exact for small x, elementwise: `log1p(exp(-x))`."""
    return call("log1p", x)


def sqrt(x: Any) -> Any:
    """Square root, elementwise: `(x - mean(x)) / sqrt(var(x) + 1e-5)`."""
    return call("sqrt", x)


def abs(x: Any) -> Any:
    """Absolute value, elementwise: `x / (1 + abs(x))`; its derivative at 0 is 0."""
    return call("abs", x)


def maximum(a: Any, b: Any) -> Any:
    """The larger of two, elementwise: `maximum(x, 0)`; NaN wins. Where both are equal the gradient goes to `b`."""
    return call("maximum", a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of two, elementwise: `minimum(c, 3)`; NaN wins. Where both are equal the gradient goes to `b`."""
    return call("minimum", a, b)


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where the condition is not zero, else `b`: `where(x > 0, x, 0.1 * x)`. No gradient reaches the condition."""
    return call("where", condition, a, b)


def stop(x: Any) -> Any:
    """The value of x, through which no gradient flows: `x - stop(max(x))`."""
    return call("stop", x)


def sum(x: Any) -> Any:
    """Sum over the units, one number for each row: `g / sum(g)`."""
    return call("sum", x)


def mean(x: Any) -> Any:
    """Mean over the units, one number for each row: `x - mean(x)`."""
    return call("mean", x)


def var(x: Any) -> Any:
    """Variance over the units (divided by their number), one number for each row: `x / sqrt(var(x) + 1e-5)`."""
    return call("var", x)


def max(x: Any) -> Any:
    """Largest of the units, one number for each row: `x - max(x)`. Units that share it share the gradient."""
    return call("max", x)


def relu(x: Any) -> Any:
    """maximum(x, 0), elementwise: `h = relu(W.h(h, x))`; its derivative at 0 is 0."""
    return maximum(x, 0.0)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)) without overflow, elementwise: `rate = softplus(W.r(x))`.

    The operands stand so that the derivative at 0 is 1/2, as it should be."""
    return maximum(x, 0.0) + log1p(exp(minimum(-x, x)))


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)) = -softplus(-x), without underflow: `keep = log_sigmoid(W.f(h, x))`."""
    return minimum(x, 0.0) - log1p(exp(minimum(x, -x)))


def hard_sigmoid(x: Any) -> Any:
    """min(max(x/6 + 1/2, 0), 1), torch's and Keras 3's form: `f = hard_sigmoid(W.f(h, x))`."""
    return minimum(maximum(x / 6.0 + 0.5, 0.0), 1.0)


def gelu(x: Any) -> Any:
    """`gelu(x)` is x Phi(x) in the tanh form of Hendrycks & Gimpel 2016, section 2: within 1e-3 of the exact one."""
    return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def softmax(x: Any) -> Any:
    """`softmax(x)` is exp(x) / sum(exp(x)) over the units, shifted by the maximum so that nothing overflows."""
    grown = exp(x - stop(max(x)))
    return grown / sum(grown)


def power(x: Any, exponent: Any) -> Any:
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


def power_of_number(base: float, exponent: Any) -> Any:
    """base ** exponent for a positive number."""
    import math

    if base <= 0:
        raise CellError(f"{base} ** value: the base must be positive; write exp(value * ...) or a product instead")
    return exp(exponent * math.log(base))
