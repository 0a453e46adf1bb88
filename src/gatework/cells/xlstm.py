"""The scalar cell of the extended LSTM."""

from __future__ import annotations

from math import inf

from gatework.compiler.lang import cell, exp, log_sigmoid, maximum, sigmoid, tanh


@cell(start={"m": -inf}, heads=True)
def slstm(x, h, c, n, m, W):
    """Beck et al., "xLSTM: extended long short-term memory", NeurIPS 2024, equations 8 to 18: an exponential input
    gate, a sigmoid forget gate in logarithms, a normaliser n and a stabiliser m. Heads do not see each other."""
    keep = log_sigmoid(W.f(h, x))
    write = W.i(h, x)
    z = tanh(W.z(h, x))
    o = sigmoid(W.o(h, x))
    most = maximum(keep + m, write)
    f = exp(keep + m - most)
    i = exp(write - most)
    c = f * c + i * z
    n = f * n + i
    return o * (c / n), c, n, most


@cell(start={"m": -inf}, heads=True)
def slstm_exp(x, h, c, n, m, W):
    """Beck et al. 2024, equation 15, with the exponential forget gate that the paper allows as well."""
    keep = W.f(h, x)
    write = W.i(h, x)
    z = tanh(W.z(h, x))
    o = sigmoid(W.o(h, x))
    most = maximum(keep + m, write)
    f = exp(keep + m - most)
    i = exp(write - most)
    c = f * c + i * z
    n = f * n + i
    return o * (c / n), c, n, most
