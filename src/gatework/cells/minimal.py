"""Cells whose gates see the input alone: no matrix touches the state, so their maps leave the time loop."""

from __future__ import annotations

from gatework.compiler.lang import cell, relu, sigmoid, tanh


@cell
def minlstm(x, h, W):
    """Feng et al., "Were RNNs all we needed?", arXiv 2410.01201, 2024, section 3.2.3: gates that sum to one."""
    f = sigmoid(W.f(x))
    i = sigmoid(W.i(x))
    n = W.n(x)
    return (f * h + i * n) / (f + i)


@cell
def mingru(x, h, W):
    """Feng et al. 2024, section 3.1.3. (z is what is renewed, as in the paper; torch's GRU calls 1 - z so.)"""
    z = sigmoid(W.z(x))
    n = W.n(x)
    return (1 - z) * h + z * n


@cell
def sru(x, h, c, W):
    """Lei, Zhang, Wang, Dai & Artzi, "Simple recurrent units for highly parallelizable recurrence", EMNLP 2018,
    equations 1 to 4, with the fourth matrix that the paper uses where input and output differ in size."""
    f = sigmoid(W.f(x) + W.peep_f * c)
    r = sigmoid(W.r(x) + W.peep_r * c)
    c = f * c + (1 - f) * W.n(x, bias=False)
    return r * c + (1 - r) * W.skip(x, bias=False), c


@cell(init={"u": 1.0})
def indrnn(x, h, W):
    """Li, Li, Cook, Zhu & Gao, "Independently recurrent neural network (IndRNN)", CVPR 2018, equation 3."""
    return relu(W.h(x) + W.u * h)


@cell(init={"u": 1.0})
def indrnn_tanh(x, h, W):
    """Li et al. 2018, with the saturating function."""
    return tanh(W.h(x) + W.u * h)
