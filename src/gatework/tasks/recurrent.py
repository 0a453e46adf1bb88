"""What the models of all jobs share: recurrent layers as the options say, and randomness that a resumed run repeats."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

import gatework
from gatework.training.regularisation import RecurrentOptions

KNOWN = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}


def recurrent_stack(
    options: RecurrentOptions, inputs: int, layers: int = 1, *, known: bool = True, **arguments: Any
) -> nn.Module:
    """Recurrent layers of `options.cell` over inputs (T, B, I), with the regularisation that the options ask for.

    Args:
        inputs, layers: I, and how many layers.
        known: the layers with the parameters of torch.nn's, for the cells that it has; else `gatework.Recurrent`.
        arguments: others of the layer, such as `dropout` (between layers) and `bidirectional`.

    Raises: OptionError where an option means nothing for the cell.
    """
    arguments |= {"num_layers": layers, **options.of_states()}
    if known and options.cell in KNOWN:
        return getattr(gatework, KNOWN[options.cell])(inputs, options.hidden_size, **arguments)
    stack = gatework.Recurrent(options.cell, inputs, options.hidden_size, **arguments)
    stack.graph_in_training()  # an option that means nothing for the cell is refused now
    return stack


def random_generator() -> np.random.Generator:
    """A generator for numpy seeded by torch's, whose state the checkpoint holds: a resumed run draws the same."""
    return np.random.default_rng(int(torch.randint(2**62, ())))
