"""Recurrent layers as torch modules.

model = gatework.layers.from_torch(model)      # nn.LSTM, nn.GRU, nn.RNN and their cells become gatework's
model = gatework.layers.to_torch(model)        # and back
"""

from __future__ import annotations

from gatework.layers.conversion import from_torch, to_torch
from gatework.layers.recurrent import Recurrent
from gatework.layers.saving import save
from gatework.layers.steps import GRUCell, LSTMCell, RNNCell
from gatework.layers.torch_compat import GRU, LSTM, RNN

__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell", "Recurrent", "from_torch", "save", "to_torch"]


def __dir__() -> list[str]:
    return __all__
