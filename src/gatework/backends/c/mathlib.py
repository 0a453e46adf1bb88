"""Functions that printed steps call, as C text: exp, sigmoid, tanh, and what runs over units.

They have no branch, so compilers make vector code of the loops over units, and no call where there is a choice: a
comparison that depends on another would become a branch, so each has one bound alone, on the size of its argument.
Infinities and NaN come out as the equations say. Largest errors against float64, in units of the last place over all of
float32, measured by tests/test_backend_c.py: exp 3.5, sigmoid 4, tanh 3.5; where the true result is subnormal the error
is below the smallest normal number.
"""

from __future__ import annotations

from collections.abc import Iterable

from gatework.backends.c.words import number
from gatework.backends.series import EXP32, LN2_32, LOG2E

MAGIC = 1.5 * 2**23  # adding it rounds to a whole number, which then stands in the low bits
HIGH, LOW = map(number, LN2_32)
SERIES = "\n".join(f"    p = p * r + {number(c)};" for c in EXP32[1:])

# What each function needs, and its text. No function comes before those that it needs.
LIBRARY: dict[str, tuple[tuple[str, ...], str]] = {
    "expm1": (
        (),
        f"""/* x = n ln 2 + r: gives expm1(r), and 2^n in *power; for sizes of x up to 87. */
typedef union {{ float number; uint32_t bits; }} @word;
static inline float @expm1(float x, float *power)
{{
    @word n, two;
    n.number = x * {number(LOG2E)} + {number(MAGIC)};
    const float whole = n.number - {number(MAGIC)};
    const float r = (x - whole * {HIGH}) - whole * {LOW};
    float p = {number(EXP32[0])};
{SERIES}
    two.bits = (n.bits + 127u) << 23;
    *power = two.number;
    return r * p;
}}
""",
    ),
    "exp": (
        ("expm1",),
        """/* The square of e^(x/2), which is in range wherever the result is. */
static inline float @exp(float x)
{
    float size = fabsf(x), power;
    size = size > 120.0f ? 120.0f : size;
    const float p = @expm1(copysignf(size, x) * 0.5f, &power);
    const float root = power * p + power;
    return root * root;
}
""",
    ),
    "sigmoid": (
        ("expm1",),
        """/* With e = exp(-|x|): 1 / (1 + e), or e / (1 + e) for negative x. */
static inline float @sigmoid(float x)
{
    float size = fabsf(x), power;
    size = size > 87.0f ? 87.0f : size;
    const float p = @expm1(-size, &power);
    const float e = power * p + power;
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}
""",
    ),
    "tanh": (
        ("expm1",),
        """/* With m = expm1(2|x|): m / (m + 2), signed; near zero m is exact to the last place. */
static inline float @tanh(float x)
{
    const float size = fabsf(x);
    float twice = size + size, power;
    twice = twice > 45.0f ? 45.0f : twice;
    const float p = @expm1(twice, &power);
    const float m = power * p + (power - 1.0f);
    return copysignf(m / (m + 2.0f), x);
}
""",
    ),
    "maximum": (
        (),
        """/* The larger of two; NaN wins. */
static inline float @maximum(float a, float b)
{
    const float m = a > b ? a : b;
    return a != a ? a : m;
}
""",
    ),
    "minimum": (
        (),
        """/* The smaller of two; NaN wins. */
static inline float @minimum(float a, float b)
{
    const float m = a < b ? a : b;
    return a != a ? a : m;
}
""",
    ),
    "sum": (
        (),
        """/* The sum of n numbers, in sixteen lanes. */
static float @sum(const float *restrict a, size_t n)
{
    float lanes[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++) lanes[j] += a[i + j];
    for (size_t j = 0; j < n % 16; j++) lanes[j] += a[i + j];
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++) lanes[j] += lanes[j + half];
    return lanes[0];
}
""",
    ),
    "var": (
        ("sum",),
        """/* The mean squared distance of n numbers from their mean. */
static float @var(const float *restrict a, size_t n)
{
    const float mean = @sum(a, n) / (float)n;
    float lanes[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++) lanes[j] += (a[i + j] - mean) * (a[i + j] - mean);
    for (size_t j = 0; j < n % 16; j++) lanes[j] += (a[i + j] - mean) * (a[i + j] - mean);
    return @sum(lanes, 16) / (float)n;
}
""",
    ),
    "largest": (
        ("maximum",),
        """/* The largest of n numbers; NaN wins. */
static float @largest(const float *restrict a, size_t n)
{
    float m = a[0];
    for (size_t i = 1; i < n; i++) m = @maximum(m, a[i]);
    return m;
}
""",
    ),
}

# Every elementwise operation and reduction of compiler.ops, and the function of LIBRARY that it calls.
ELEMENTWISE: dict[str, str] = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "lt": "{0} < {1} ? 1.0f : 0.0f",
    "le": "{0} <= {1} ? 1.0f : 0.0f",
    "where": "{0} != 0.0f ? {1} : {2}",
    "log": "logf({0})",
    "log1p": "log1pf({0})",
    "sqrt": "sqrtf({0})",
    "abs": "fabsf({0})",
    "stop": "{0}",
    **{name: f"@{name}({{0}})" for name in ("exp", "sigmoid", "tanh")},
    **{name: f"@{name}({{0}}, {{1}})" for name in ("maximum", "minimum")},
}
REDUCTIONS = {
    "sum": "@sum({0}, {1})",
    "mean": "@sum({0}, {1}) / {1}.0f",
    "var": "@var({0}, {1})",
    "max": "@largest({0}, {1})",
}
CALLS = {"mean": "sum", "max": "largest"}  # the others call the function of their own name


Library = dict[str, tuple[tuple[str, ...], str]]


def functions(names: Iterable[str], more: Library | None = None) -> str:
    """The text of these functions and of all that they need, each once, of LIBRARY and of a further one; other names
    are operations without a function."""
    library = LIBRARY | (more or {})
    wanted: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name in library and name not in wanted:
            wanted.add(name)
            left += library[name][0]
    return "\n".join(text for name, (_, text) in library.items() if name in wanted)
