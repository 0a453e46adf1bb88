"""Recurrent layers over whole sequences: any cell, any depth, with the regularisation that the options ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

import gatework
from gatework import cells
from gatework.layers.saving import entries
from gatework.networks.states import States, named, of_layer
from gatework.runtime.net.builder import Builder, Value
from gatework.runtime.saved import Layer
from gatework.training.regularisation import RecurrentOptions

KNOWN = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}


class Encoder(nn.Module):
    """A stack of recurrent layers: `outputs, states = encoder(inputs, states)`.

        encoder = Encoder(RecurrentOptions(hidden_size=64, layers=2), 32)
        outputs, states = encoder(torch.zeros(50, 8, 32))            # (T, B, I) -> (T, B, H)
        outputs, states = encoder(torch.zeros(50, 8, 32), states)    # goes on

    Args:
        options: cell, H, layers, and what acts on states: see `RecurrentOptions`.
        inputs: I.
        dropout: between layers, fresh at each step.
        locked: dropout of the inputs and of every layer's outputs, one mask a sequence (Gal & Ghahramani 2016).
        bidirectional: a second stack reads from the end; outputs are (T, B, 2H), states (2, B, H) for each
            layer. They are of both ends, so that no decoder and no further call can go on from them.
        known: the layers with the parameters of torch.nn's, for the cells that it has; else `gatework.Recurrent`.

    Inputs may be a PackedSequence; outputs then are one, too. Of a cell that reads what is missing (`gaps`), `mask`
    (T, B, I) is 1 where an input was seen; the time since then is counted here.
    """

    def __init__(
        self,
        options: RecurrentOptions,
        inputs: int,
        *,
        dropout: float = 0.0,
        locked: float = 0.0,
        bidirectional: bool = False,
        known: bool = True,
    ):
        super().__init__()
        self.locked, self.inputs = locked, inputs
        self.gaps = reads_gaps(options.cell)
        width = options.hidden_size * (2 if bidirectional else 1)
        # One mask for all steps lies between layers, so these are modules of their own.
        widths = [inputs] + [width] * (options.layers - 1) if locked else [inputs]
        count = 1 if locked else options.layers
        arguments = {"dropout": dropout if count > 1 else 0.0, "bidirectional": bidirectional}
        self.layers = nn.ModuleList(recurrent_stack(options, each, count, known=known, **arguments) for each in widths)

    def forward(
        self, inputs: Tensor | PackedSequence, states: Mapping[str, Tensor] | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, States]:
        others = {} if mask is None else {"mask": mask, "gap": time_since(mask, 1.0 if states else 0.0)}
        after: States = {}
        inputs = self._dropped(inputs)
        for number, layer in enumerate(self.layers):
            inputs, last = layer(inputs, of_layer(states or {}, number), **others)
            inputs = self._dropped(inputs)
            after |= named(number, last)
        return inputs, after

    @property
    def entries(self) -> list[Layer]:
        """The layers without torch."""
        layers: Any = self.layers
        return [entry for layer in layers for entry in entries(layer)]

    def in_net(
        self,
        b: Builder,
        x: Value,
        lengths: Value,
        mask: Value | None = None,
        states: Mapping[str, Value] | None = None,
        layers: list[Layer] | None = None,
    ) -> tuple[Value, dict[str, Value]]:
        """The layers in a net, over whole sequences, from `states` on where they are given. `layers` are those of the
        stack that an earlier call added, where the same layers go on."""
        others = {} if mask is None else {"mask": mask, "gap": self._gap_in_net(b, mask, states)}
        return b.recurrent(self.entries if layers is None else layers, x, lengths, others, states)

    def _gap_in_net(self, b: Builder, mask: Value, states: Mapping[str, Value] | None) -> Value:
        """`time_since` in a net. A step of zeros before the first makes that one's time 1, as after states it is."""
        if not states:
            return b.time_since(mask)
        return b.piece(b.time_since(b.pad(mask, front=1, back=0, axis=0)), start=1, stop=None, axis=0)

    def _dropped(self, values: Tensor | PackedSequence) -> Tensor | PackedSequence:
        """Dropout with one mask for all steps of a sequence."""
        if not (self.training and self.locked):
            return values
        if not isinstance(values, PackedSequence):
            return values * functional.dropout(values.new_ones(1, *values.shape[1:]), self.locked)
        counts = values.batch_sizes
        masks = functional.dropout(values.data.new_ones(int(counts[0]), values.data.shape[1]), self.locked)
        sequence = torch.arange(len(values.data)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
        return values._replace(data=values.data * masks.index_select(0, sequence))


def recurrent_stack(
    options: RecurrentOptions,
    inputs: int,
    layers: int = 1,
    *,
    known: bool = True,
    dropout: float = 0.0,
    bidirectional: bool = False,
) -> nn.Module:
    """Layers of `options.cell` as one module over (T, B, I).

    Raises: OptionError where an option means nothing for the cell.
    """
    arguments = {"num_layers": layers, "dropout": dropout, "bidirectional": bidirectional, **options.of_states()}
    if known and options.cell in KNOWN:
        return getattr(gatework, KNOWN[options.cell])(inputs, options.hidden_size, **arguments)
    stack = gatework.Recurrent(options.cell, inputs, options.hidden_size, **arguments)
    stack.graph_in_training()  # an option that means nothing for the cell is refused now
    return stack


def time_since(mask: Tensor, first: float = 0.0) -> Tensor:
    """Steps since the last observation before each step (T, B, I), as GRU-D counts them: 0 at the first step of a
    sequence; `first` is 1 where states go on from a step at which all was seen."""
    gaps = [torch.full_like(mask[0], first)]
    for seen in mask[:-1]:
        gaps.append(1 + (1 - seen) * gaps[-1])
    return torch.stack(gaps)


def reads_gaps(cell: str) -> bool:
    """Whether a cell reads which inputs are missing, and for how long."""
    return any(each.name == "gap" for each in cells.get(cell).graph.inputs)


def padded(values: Tensor, counts: Tensor) -> Tensor:
    """Packed values (N, M) as (B, S, M), 0 beyond the end of a row. At step s the first counts[s] rows are there."""
    rows, steps = int(counts[0]), len(counts)
    at = torch.cat([torch.arange(int(count)) * steps + step for step, count in enumerate(counts)])
    return values.new_zeros(rows * steps, values.shape[1]).index_copy(0, at, values).view(rows, steps, -1)
