"""Pictures as maps: a small residual network of convolutions (He et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from gatework.runtime.llvm.cpu import host

HALF = ("avx512bf16", "amx-bf16", "bf16")  # as LLVM calls them, of x86 and of ARM
STEM, STRIDE = 5, 2  # points of the first kernel's side, and how far apart it is applied


class PictureMap(nn.Module):
    """What stands where in pictures: maps (B, M, h, w), M the last of `widths`.

        pictures = PictureMap(3, (24, 48, 96, 192))
        found = pictures(torch.zeros(8, 64, 64, 3, dtype=torch.uint8))   # (8, 192, 4, 4)
        places(found)                                                    # (8, 16, 192): a memory to look at
        found.mean((2, 3))                                               # (8, 192): a vector for each picture

    Args:
        channels: C of the pictures (B, H, W, C): 1 for grey, 3 for colours.
        widths: channels after the first convolution and after each block; each of them halves height and width.
        half: training multiplies in bfloat16; gradients and weights stay float32, and so do answers.

    What is between the convolutions is normalised over the pictures of a batch (Ioffe & Szegedy 2015), and once trained
    by the running mean and deviation: of layers that normalise each picture alone, none learned what moves in a film.
    The pictures' bytes are scaled by `mean` and `deviation` of each channel, see `scale_by`. They lie channels last,
    as the convolutions of a processor read them without a copy.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, widths: Sequence[int], half: bool = False):
        super().__init__()
        self.in_half = half
        self.register_buffer("mean", torch.full((channels,), 127.5))
        self.register_buffer("deviation", torch.full((channels,), 64.0))
        stem = nn.Conv2d(channels, widths[0], STEM, STRIDE, STEM // 2, bias=False)
        blocks = [Block(*pair) for pair in pairwise(widths)]
        self.layers = nn.Sequential(stem, nn.BatchNorm2d(widths[0]), nn.ReLU(), *blocks)

    def scale_by(self, pictures: np.ndarray) -> None:
        """Takes mean and deviation of each channel from pictures (..., C), those that are learned from."""
        values = pictures.reshape(-1, pictures.shape[-1])
        self.mean.copy_(torch.from_numpy(values.mean(0)))
        self.deviation.copy_(torch.from_numpy(np.maximum(values.std(0), 1.0)))

    def forward(self, pictures: Tensor) -> Tensor:
        scaled = ((pictures - self.mean) / self.deviation).permute(0, 3, 1, 2)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.in_half and self.training):
            found = self.layers(scaled)
        return found.to(scaled.dtype)


class Block(nn.Module):
    """Two convolutions beside a shortcut; the first halves height and width. At the start it is its shortcut alone
    (Goyal et al. 2017, section 5.1)."""

    def __init__(self, read: int, width: int):
        super().__init__()
        self.first = nn.Conv2d(read, width, 3, 2, 1, bias=False)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(read, width, 1, 2, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(3))
        nn.init.zeros_(self.norms[1].get_parameter("weight"))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.norms[0](self.first(x)))
        return torch.relu(self.norms[1](self.second(hidden)) + self.norms[2](self.shortcut(x)))


def places(found: Tensor) -> Tensor:
    """The places of maps (B, M, h, w) as a memory (B, h * w, M), row after row."""
    return found.flatten(2).transpose(1, 2)


def moved(pictures: Tensor, counts: Tensor, share: float) -> Tensor:
    """Pictures (N, H, W, C) moved by chance, by at most this share of a side up or down and left or right; what comes
    in at an edge is that edge again.

    Packed frames of a film, of which there are `counts` [T] at each step, all move alike; pictures are one step.
    """
    rows, (height, width) = int(counts[0]), pictures.shape[1:3]
    which = torch.cat([torch.arange(int(count)) for count in counts])
    down, right = (_offsets(rows, side, share)[which] for side in (height, width))
    return pictures[torch.arange(len(pictures))[:, None, None], down[:, :, None], right[:, None, :]]


def _offsets(rows: int, side: int, share: float) -> Tensor:
    """Where each point of a side comes from, (rows, side)."""
    most = int(share * side)
    drawn = torch.randint(-most, most + 1, (rows, 1))
    return (torch.arange(side) + drawn).clamp(0, side - 1)


def quick_half() -> bool:
    """Whether this processor multiplies bfloat16 by itself; elsewhere that takes longer than float32."""
    features = host()[1]
    return any(features.get(name) for name in HALF)
