"""Gated recurrent units: both published forms, and the one with a single gate."""

from __future__ import annotations

from gatework.compiler.lang import cell, sigmoid, tanh


@cell
def gru(x, h, W):
    """Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014, in the form of cuDNN and
    torch (Keras: `reset_after=True`): the reset gate acts on the product, which has a bias of its own."""
    r = sigmoid(W.r(h, x))
    z = sigmoid(W.z(h, x))
    n = tanh(W.nx(x) + r * W.nh(h))
    return (1 - z) * n + z * h


@cell
def gru_reset_before(x, h, W):
    """Cho et al. 2014, equations 5 to 8, as printed (Keras: `reset_after=False`): the reset gate acts on the state."""
    r = sigmoid(W.r(h, x))
    z = sigmoid(W.z(h, x))
    n = tanh(W.n(r * h, x))
    return (1 - z) * n + z * h


@cell
def mgu(x, h, W):
    """Zhou, Wu, Zhang & Zhou, "Minimal gated unit for recurrent neural networks", IJAC 13(3), 2016, equations 6."""
    f = sigmoid(W.f(h, x))
    n = tanh(W.n(f * h, x))
    return (1 - f) * h + f * n
