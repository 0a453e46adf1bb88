"""Functions over the steps of a sequence and over vectors, as C text: softmax, pooling, attention."""

from __future__ import annotations

from gatework.backends.c.mathlib import Library

SOFTMAX = """/* {words} of n numbers that lie `apart` from each other. */
static void @{name}(const float *x, float *y, size_t n, size_t apart)
{{
    float most = x[0], sum = 0.0f;
    for (size_t k = 1; k < n; k++) most = @maximum(most, x[k * apart]);
    for (size_t k = 0; k < n; k++) y[k * apart] = @exp(x[k * apart] - most);
    for (size_t k = 0; k < n; k++) sum += y[k * apart];
    for (size_t k = 0; k < n; k++) y[k * apart] = {result};
}}
"""
# What each function needs of this library and of backends.c.mathlib's, and its text.
OVER_TIME: Library = {
    "softmax": (
        ("exp", "maximum"),
        SOFTMAX.format(name="softmax", words="Shares", result="y[k * apart] / sum"),
    ),
    "log_softmax": (
        ("exp", "maximum"),
        SOFTMAX.format(name="log_softmax", words="Logarithms of the shares", result="x[k * apart] - most - logf(sum)"),
    ),
    "pool_mean": (
        (),
        """/* The mean of T vectors of n numbers, each so far `apart` from the one before. */
static void @pool_mean(const float *restrict x, float *restrict y, size_t T, size_t n, size_t apart)
{
    for (size_t u = 0; u < n; u++) y[u] = 0.0f;
    for (size_t t = 0; t < T; t++)
        for (size_t u = 0; u < n; u++) y[u] += x[t * apart + u];
    for (size_t u = 0; u < n; u++) y[u] /= (float)T;
}
""",
    ),
    "pool_max": (
        ("maximum",),
        """/* The largest of T vectors of n numbers, unit by unit, each vector so far `apart` from the one before. */
static void @pool_max(const float *restrict x, float *restrict y, size_t T, size_t n, size_t apart)
{
    for (size_t u = 0; u < n; u++) y[u] = x[u];
    for (size_t t = 1; t < T; t++)
        for (size_t u = 0; u < n; u++) y[u] = @maximum(y[u], x[t * apart + u]);
}
""",
    ),
    "weighed": (
        (),
        """/* The sum of T vectors of n numbers, each by its weight. */
static void @weighed(const float *restrict x, const float *restrict weights, float *restrict y, size_t T, size_t n)
{
    for (size_t u = 0; u < n; u++) y[u] = 0.0f;
    for (size_t t = 0; t < T; t++)
        for (size_t u = 0; u < n; u++) y[u] += weights[t] * x[t * n + u];
}
""",
    ),
    "time_since": (
        (),
        """/* Steps since the last observation before each of T steps. */
static void @time_since(const float *restrict mask, float *restrict y, size_t T, size_t n)
{
    for (size_t u = 0; u < n; u++) y[u] = 0.0f;
    for (size_t i = n; i < T * n; i++) y[i] = 1.0f + (1.0f - mask[i - n]) * y[i - n];
}
""",
    ),
    "attention": (
        ("softmax",),
        """/* Shares of S keys for each of U queries of n numbers. */
static void @attention(const float *restrict queries, const float *restrict keys, float *restrict y, size_t U, size_t S,
                       size_t n)
{
    for (size_t q = 0; q < U; q++) {
        for (size_t k = 0; k < S; k++) {
            float score = 0.0f;
            for (size_t u = 0; u < n; u++) score += queries[q * n + u] * keys[k * n + u];
            y[q * S + k] = score;
        }
        @softmax(y + q * S, y + q * S, S, 1);
    }
}
""",
    ),
}
