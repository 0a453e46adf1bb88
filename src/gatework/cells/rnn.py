"""The simple recurrent network."""

from __future__ import annotations

from gatework.compiler.lang import cell, relu, sigmoid, tanh


@cell
def rnn(x, h, W):
    """Elman, "Finding structure in time", Cognitive Science 14, 1990, with tanh as is usual today."""
    return tanh(W.h(h, x))


@cell
def rnn_relu(x, h, W):
    """Le, Jaitly & Hinton, "A simple way to initialize recurrent networks of rectified linear units", 2015."""
    return relu(W.h(h, x))


@cell
def rnn_sigmoid(x, h, W):
    """Elman 1990, with the logistic function of the paper."""
    return sigmoid(W.h(h, x))
