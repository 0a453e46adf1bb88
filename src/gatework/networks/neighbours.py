"""What stands around each step of a sequence: convolutions of several widths beside the inputs themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatework.networks.heads import conv_in_net
from gatework.runtime.net.builder import Builder, Value

WIDTHS = (3, 7, 15)  # steps that a filter sees; odd, so that its own is in the middle


class Neighbours(nn.Module):
    """Inputs (T, B, I), or a PackedSequence of them, with `features` more numbers that tell of their neighbours.

        neighbours = Neighbours(32, 48)
        seen = neighbours(torch.zeros(50, 8, 32))      # (50, 8, 32 + neighbours.features), features = 3 * 48

    Outside of a sequence are zeros, whatever stands beside it in a batch.

    Args:
        inputs: I.
        filters: of each width.

    Source: Li & Yu 2016, "Protein Secondary Structure Prediction Using Cascaded Convolutional and Recurrent Neural
    Networks": widths of 3, 7 and 11 there.
    """

    def __init__(self, inputs: int, filters: int, widths: tuple[int, ...] = WIDTHS):
        super().__init__()
        self.features = filters * len(widths)
        self.filters = nn.ModuleList(nn.Conv1d(inputs, filters, width, padding=width // 2) for width in widths)

    def forward(self, inputs: Tensor | PackedSequence) -> Tensor | PackedSequence:
        if isinstance(inputs, PackedSequence):
            padded, lengths = pad_packed_sequence(inputs)
            return pack_padded_sequence(self._beside(padded), lengths)
        return self._beside(inputs)

    def in_net(self, b: Builder, x: Value, lengths: Value) -> Value:
        """The same in a net, of inputs (T, B, I)."""
        found = [conv_in_net(each, b, f"neighbours.{k}", x, lengths) for k, each in enumerate(self.filters)]
        return b.concat(x, b.relu(b.concat(*found)))

    def _beside(self, inputs: Tensor) -> Tensor:
        steps_last = inputs.permute(1, 2, 0)
        found = torch.cat([torch.relu(each(steps_last)) for each in self.filters], 1)
        return torch.cat([inputs, found.permute(2, 0, 1)], 2)
