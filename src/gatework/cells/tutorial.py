"""Four forms of the LSTM that are found in tutorials and in the code that was copied from them.

They are not the published cell; they are here so that a model trained with one can be read, run and compared.
"""

from __future__ import annotations

from gatework.compiler.lang import cell, sigmoid, tanh


@cell
def lstm_tanh_product(x, h, c, W):
    """h = tanh(c * o): the output gate stands inside the tanh. Otherwise Gers et al. 2000."""
    f = sigmoid(W.f(h, x))
    i = sigmoid(W.i(h, x))
    g = tanh(W.g(h, x))
    o = sigmoid(W.o(h, x))
    c = f * c + i * g
    return tanh(c * o), c


@cell
def lstm_candidate_output(x, h, W):
    """h = o * tanh(g): the output reads the candidate, not the cell. As written in the tutorials it also computes f, i
    and a cell state, which nothing reads; they are left out here."""
    g = tanh(W.g(h, x))
    o = sigmoid(W.o(h, x))
    return o * tanh(g)


@cell
def lstm_candidate_gate(x, h, c, W):
    """o from (h, g): the output gate sees the candidate in the place of x. Otherwise Gers et al. 2000."""
    f = sigmoid(W.f(h, x))
    i = sigmoid(W.i(h, x))
    g = tanh(W.g(h, x))
    o = sigmoid(W.o(h, g))
    c = f * c + i * g
    return o * tanh(c), c


@cell
def lstm_second_map(x, h, W):
    """h = o * tanh(W.h(h, g)), without a cell state. As written in the tutorials it also computes f and i, which
    nothing reads; they are left out here."""
    g = tanh(W.g(h, x))
    o = sigmoid(W.o(h, x))
    return o * tanh(W.h(h, g))
