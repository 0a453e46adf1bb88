"""The layer-normalised LSTM: not a cell of its own but the LSTM in a wrapper, under the name that people look for."""

from __future__ import annotations

from gatework.cells.lstm import lstm
from gatework.compiler.wrappers import layer_norm

lstm_layer_norm = lstm.wrapped(
    "lstm_layer_norm",
    layer_norm,
    doc="""Ba, Kiros & Hinton, "Layer normalization", arXiv 1607.06450, 2016: each gate's sum is normalised, and the
cell where the output reads it. (Equations 20 to 22 normalise the two products apart: layer_norm(of="parts").)""",
    state="c",
)
