"""Convolutions before a recurrent stack: features of a sound over time, or a picture of a line from left to right.

    front = SoundFront(40, 128)                                  # 40 bands of sound -> 128 features
    outputs, lengths = front(torch.zeros(8, 250, 40), lengths)       # (B, T, F) -> (T / 3, B, C)

Both are the same: an axis of steps, which is kept in order and shortened, and one across it (bands, or height), which
is folded into the features. What lies beyond a row's length changes nothing before it. Values stay (B, T, across,
channels) from end to end: convolutions and what stands between them read and write memory in that order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatework.errors import OptionError
from gatework.runtime.net.builder import Builder, Value


class Block(NamedTuple):
    """A convolution: `channels` that it gives; `kernel` and `stride` along steps and across them."""

    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]

    @property
    def before(self) -> int:
        """Steps that a kernel reads beyond those of its own stride."""
        return self.kernel[0] - self.stride[0]


Held = list[Tensor]  # for each block the steps (B, t, across, channels) that a coming output still reads


class Front(nn.Module):
    """Blocks of convolutions, then one map of all that is across a step: (B, T, across, channels) -> (T', B, C).

        front = Front(32, 1, 128, [Block(16, (5, 5), (1, 2))])

    Args:
        across: size of the axis across steps: bands, or height.
        channels: of the input; 1 where it has no such axis.
        outputs: C.
        blocks: in their order. A kernel is no shorter than its stride. T' is T divided by their strides, rounded up.
        causal: an output reads nothing behind its own steps, so that sounds can be read as they come: see `step`.
    """

    def __init__(self, across: int, channels: int, outputs: int, blocks: Sequence[Block], *, causal: bool = False):
        super().__init__()
        self.across, self.blocks, self.causal = across, tuple(blocks), causal
        sizes = [channels, *(block.channels for block in blocks)]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(size, block.channels, block.kernel, block.stride)
            for size, block in zip(sizes, blocks, strict=False)
        )
        for block in blocks:
            across = -(-across // block.stride[1])
        self.output = nn.Linear(sizes[-1] * across, outputs)
        self.norm = nn.LayerNorm(outputs)

    @property
    def stride(self) -> int:
        """Steps of the input for each of the output."""
        return math.prod(block.stride[0] for block in self.blocks)

    def forward(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(T', B, C) and the rows' lengths [B] of values (B, T, across[, channels]) that are 0 beyond their lengths.
        What stands beyond the lengths of the outputs means nothing."""
        x = self._opened(values)
        for number, block in enumerate(self.blocks):
            x = self._convolved(number, x, self._edges(block, x.shape[1]))
            lengths = -(-lengths // block.stride[0])
            if number + 1 < len(self.blocks):  # or the next one would read what the bias made of nothing
                x = x * (torch.arange(x.shape[1]) < lengths[:, None])[:, :, None, None]
        return self._closed(x), lengths

    def in_net(self, b: Builder, values: Value, lengths: Value) -> tuple[Value, Value]:
        """The same in a net, of values (T, B, across, channels): features (T', B, C) and the rows' lengths."""
        x, across = values, self.across
        for number, block in enumerate(self.blocks):
            before = [block.before if self.causal else block.before // 2, self._wanting(block, across) // 2]
            x = b.gelu(b.conv2d(x, *self._kernel(b, number), lengths, strides=list(block.stride), before=before))
            lengths = lengths if block.stride[0] == 1 else b.shortened(lengths, stride=block.stride[0])
            across = -(-across // block.stride[1])
        return self._closed_in_net(b, x, across, lengths), lengths

    def step_in_net(self, b: Builder, values: Value) -> Value:
        """One output (B, C) of `stride` further steps (B, stride * across * channels) in a net; the steps that coming
        outputs still read are its states "held.0", ..., which begin empty."""
        steps, across = self.stride, self.across
        channels = self.convolutions[0].get_parameter("weight").shape[1]
        x = _opened_in_net(b, values, steps, across, channels)
        for number, block in enumerate(self.blocks):
            if block.before:
                name, width = f"held.{number}", block.before * across * channels
                x = b.concat(_opened_in_net(b, b.state(name, width), block.before, across, channels), x, axis=0)
                left = b.transpose(b.piece(x, start=steps, stop=None, axis=0), axes=[1, 0, 2, 3])
                b.after(name, b.reshape(left, shape=[-1, width]))
            before = [0, self._wanting(block, across) // 2]
            x = b.conv2d(x, *self._kernel(b, number), strides=list(block.stride), before=before)
            steps, across, channels = steps // block.stride[0], -(-across // block.stride[1]), block.channels
            x = b.gelu(b.piece(x, start=0, stop=steps, axis=0))
        return b.squeeze(self._closed_in_net(b, x, across), axis=0)

    def _kernel(self, b: Builder, number: int) -> list[Value]:
        """Weight and bias of a block in a net."""
        parts = {name: self.convolutions[number].get_parameter(name) for name in ("weight", "bias")}
        return [b.array(f"front.{number}.{name}", each) for name, each in parts.items()]

    def _closed_in_net(self, b: Builder, x: Value, across: int, lengths: Value | None = None) -> Value:
        """The map of all that is across a step, which is a kernel as wide as that, and the norm."""
        weight = b.array("front.output.weight", self.output.weight.unflatten(1, (-1, 1, across)))
        bias = b.array("front.output.bias", self.output.bias)
        x = b.squeeze(b.conv2d(x, weight, bias, lengths, strides=[1, across], before=[0, 0]), axis=2)
        parts = [b.array(f"front.norm.{name}", each) for name, each in self.norm.named_parameters()]
        return b.layer_norm(x, *parts, epsilon=self.norm.eps)

    # -- as steps come --------------------------------------------------------------------------------------

    def begin(self, rows: int = 1) -> Held:
        """What `step` starts from: the empty steps before the first one that causal kernels read.

        Raises: OptionError where the front is not causal.
        """
        if not self.causal:
            raise OptionError("a front that looks ahead reads whole rows; make it with causal=True")
        found, across = [], self.across
        for convolution, block in zip(self.convolutions, self.blocks, strict=True):
            weight = convolution.get_parameter("weight")
            found.append(weight.new_zeros(rows, block.before, across, weight.shape[1]))
            across = -(-across // block.stride[1])
        return found

    def step(self, values: Tensor, held: Held) -> tuple[Tensor, Held]:
        """(t', B, C), what t more steps (B, t, across[, channels]) complete, and what to hold on to. Either number of
        steps may be 0; all outputs together are those of the whole row."""
        x, left = self._opened(values), []
        for number, (block, before) in enumerate(zip(self.blocks, held, strict=True)):
            x = torch.cat([before, x], 1)
            ready = (x.shape[1] - block.before) // block.stride[0] * block.stride[0]
            left.append(x[:, ready:])
            x = self._convolved(number, x[:, : ready + block.before])
        return self._closed(x), left

    def finish(self, held: Held) -> Tensor:
        """The outputs (t', B, C) that the end of the row completes, as if nothing but empty steps followed."""
        x = held[0][:, :0]
        for number, (block, before) in enumerate(zip(self.blocks, held, strict=True)):
            x = torch.cat([before, x], 1)
            x = self._convolved(number, x, (0, -(x.shape[1] - block.before) % block.stride[0]))
        return self._closed(x)

    # -- the parts ------------------------------------------------------------------------------------------

    def _opened(self, values: Tensor) -> Tensor:
        """(B, T, across, channels)."""
        return values if values.dim() == 4 else values[..., None]

    def _convolved(self, number: int, x: Tensor, edges: tuple[int, int] = (0, 0)) -> Tensor:
        """A block's outputs of steps with so many empty ones before and behind them; across them it pads by itself."""
        convolution, block = self.convolutions[number], self.blocks[number]
        steps, across = block.kernel
        wanting = self._wanting(block, x.shape[2])
        x = functional.pad(x, (0, 0, wanting // 2, wanting - wanting // 2, *edges))
        weight, bias = convolution.get_parameter("weight"), convolution.get_parameter("bias")
        if x.shape[1] < steps:
            return x.new_zeros(len(x), 0, (x.shape[2] - across) // block.stride[1] + 1, block.channels)
        weight = weight.contiguous(memory_format=torch.channels_last)
        return functional.gelu(functional.conv2d(x.movedim(-1, 1), weight, bias, block.stride)).movedim(1, -1)

    def _wanting(self, block: Block, across: int) -> int:
        """Empty places beside so many, for outputs of all of them."""
        return max((-(-across // block.stride[1]) - 1) * block.stride[1] + block.kernel[1] - across, 0)

    def _edges(self, block: Block, steps: int) -> tuple[int, int]:
        """Empty steps before and behind so many, for outputs of all of them."""
        before = block.before if self.causal else block.before // 2
        return before, -(-steps // block.stride[0]) * block.stride[0] + block.before - before - steps

    def _closed(self, x: Tensor) -> Tensor:
        """(T, B, C). The weights, which go channel by channel, are put in the order of the values: they are fewer."""
        weight, bias = self.output.weight, self.output.bias
        weight = weight.unflatten(1, (x.shape[3], x.shape[2])).transpose(1, 2).flatten(1)
        return self.norm(functional.linear(x.flatten(2), weight, bias)).transpose(0, 1)


def _opened_in_net(b: Builder, values: Value, steps: int, across: int, channels: int) -> Value:
    """Steps (steps, B, across, channels) in a net, of one row each (B, steps * across * channels)."""
    return b.transpose(b.reshape(values, shape=[-1, steps, across, channels]), axes=[1, 0, 2, 3])


class SoundFront(Front):
    """A front for log-mel energies (B, T, bands), whose steps are `stride` frames.

    SoundFront(40, 128)(features, lengths)                           # (B, T, 40) -> (T / 3, B, 128)
    """

    def __init__(self, bands: int, outputs: int, *, stride: int = 3, causal: bool = False):
        blocks = [Block(16, (5, 5), (1, 2)), Block(16, (max(stride, 3), 3), (stride, 2))]
        super().__init__(bands, 1, outputs, blocks, causal=causal)


class LineFront(Front):
    """A front for pictures of lines (B, width, height, channels), whose steps are two points wide, so that two equal
    letters side by side have room for a step between them.

    LineFront(32, 1, 128)(pictures, widths)                          # (B, width, 32, 1) -> (width / 2, B, 128)
    """

    def __init__(self, height: int, channels: int, outputs: int):
        blocks = [Block(16, (3, 3), (1, 2)), Block(32, (3, 3), (2, 2)), Block(64, (3, 3), (1, 2))]
        super().__init__(height, channels, outputs, blocks)
