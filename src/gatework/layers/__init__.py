"""Recurrent layers as torch modules."""

from __future__ import annotations

from gatework.layers.recurrent import Recurrent
from gatework.layers.saving import save
from gatework.layers.steps import GRUCell, LSTMCell, RNNCell
from gatework.layers.torch_compat import GRU, LSTM, RNN, from_torch, to_torch

__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell", "Recurrent", "from_torch", "save", "to_torch"]


def __dir__() -> list[str]:
    return __all__
