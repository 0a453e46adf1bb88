"""Long short-term memory: the usual form, and the forms that differ by a gate."""

from __future__ import annotations

from gatework.compiler.lang import cell, sigmoid, tanh


@cell
def lstm(x, h, c, W):
    """Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997, with the forget gate of Gers,
    Schmidhuber & Cummins, "Learning to forget", Neural Computation 12(10), 2000. The LSTM of torch and Keras."""
    f = sigmoid(W.f(h, x))
    i = sigmoid(W.i(h, x))
    g = tanh(W.g(h, x))
    o = sigmoid(W.o(h, x))
    c = f * c + i * g
    return o * tanh(c), c


@cell
def lstm_1997(x, h, c, W):
    """Hochreiter & Schmidhuber 1997, section 4: no forget gate, the cell only ever adds. (The paper's squashing
    functions are 4 sigmoid - 2 and 2 sigmoid - 1; tanh stands in for both, as in Greff et al. 2017, "NFG".)"""
    i = sigmoid(W.i(h, x))
    g = tanh(W.g(h, x))
    o = sigmoid(W.o(h, x))
    c = c + i * g
    return o * tanh(c), c


@cell
def lstm_peephole(x, h, c, W):
    """Gers & Schmidhuber, "Recurrent nets that time and count", IJCNN 2000: gates see the cell; o sees the new one."""
    f = sigmoid(W.f(h, x) + W.peep_f * c)
    i = sigmoid(W.i(h, x) + W.peep_i * c)
    g = tanh(W.g(h, x))
    c = f * c + i * g
    o = sigmoid(W.o(h, x) + W.peep_o * c)
    return o * tanh(c), c


@cell
def lstm_coupled(x, h, c, W):
    """Greff et al., "LSTM: a search space odyssey", IEEE TNNLS 28(10), 2017, "CIFG": what is forgotten is written."""
    f = sigmoid(W.f(h, x))
    g = tanh(W.g(h, x))
    o = sigmoid(W.o(h, x))
    c = f * c + (1 - f) * g
    return o * tanh(c), c


@cell(width={"h": "P"})
def lstm_projected(x, h, c, W):
    """Sak, Senior & Beaufays, "Long short-term memory recurrent neural network architectures for large scale acoustic
    modeling", Interspeech 2014, equations 1 to 6 without peepholes: the output is a projection to P units."""
    f = sigmoid(W.f(h, x))
    i = sigmoid(W.i(h, x))
    g = tanh(W.g(h, x))
    o = sigmoid(W.o(h, x))
    c = f * c + i * g
    return W.p(o * tanh(c), bias=False), c
