"""Cells for series with missing values and uneven steps."""

from __future__ import annotations

from gatework.compiler.lang import cell, exp, relu, sigmoid, stop, tanh, where


@cell(width={"last": "I"})
def gru_d(x, mask, gap, h, last, W):
    """Che, Purushotham, Cho, Sontag & Liu, "Recurrent neural networks for multivariate time series with missing
    values", Scientific Reports 8, 2018, equations 10 to 17.

    mask is 1 where x was observed (x may be anything elsewhere, NaN too); gap is the time since the last observation of
    each variable. What was seen last decays to W.mean, which training leaves alone: 0, the mean of standardised data,
    or whatever it is set to.
    """
    fade = exp(-relu(W.rate * gap + W.rate_bias))
    decay = exp(-relu(W.decay(gap)))
    x = where(mask, x, fade * last + (1 - fade) * stop(W.mean))
    last = where(mask, x, last)
    h = decay * h
    r = sigmoid(W.r(h, x, mask))
    z = sigmoid(W.z(h, x, mask))
    n = tanh(W.n(r * h, x, mask))
    h = (1 - z) * h + z * n
    return h, last
