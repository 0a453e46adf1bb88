"""Convolutions before a recurrent stack: what rows give alone, in a batch, and as their steps come."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from compare import assert_close
from gatework.errors import OptionError
from gatework.networks.fronts import Block, Front, LineFront, SoundFront
from gatework.runtime.net import Bound, Builder

LENGTHS = torch.tensor([50, 17, 4, 1])


def rows(bands: int = 13) -> torch.Tensor:
    values = torch.randn(len(LENGTHS), 50, bands, generator=torch.Generator().manual_seed(3))
    return values * (torch.arange(50) < LENGTHS[:, None])[..., None]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_padding_and_neighbours_change_nothing(stride: int, causal: bool) -> None:
    front, values = SoundFront(13, 8, stride=stride, causal=causal), rows()
    outputs, lengths = front(values, LENGTHS)
    assert lengths.tolist() == [-(-length // stride) for length in LENGTHS.tolist()]
    for i, length in enumerate(LENGTHS):
        alone, _ = front(values[i : i + 1, :length], LENGTHS[i : i + 1])
        assert_close(alone[:, 0], outputs[: lengths[i], i])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 40), st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_steps_that_come_in_any_chunks_give_the_whole(stride: int, length: int, sizes: list[int]) -> None:
    front, values = SoundFront(13, 8, stride=stride, causal=True), rows()[:1, :length]
    whole, _ = front(values, torch.tensor([length]))
    held, found, start = front.begin(), [], 0
    for size in [*sizes, length]:
        outputs, held = front.step(values[:, start : start + size], held)
        found, start = [*found, outputs], start + size
    assert_close(torch.cat([*found, front.finish(held)]), whole)


def test_a_causal_output_reads_nothing_behind_its_own_steps() -> None:
    for causal in (True, False):
        front, values = SoundFront(13, 8, stride=3, causal=causal), rows()[:1].requires_grad_()
        outputs, _ = front(values, torch.tensor([50]))
        (gradient,) = torch.autograd.grad(outputs[:10].square().sum(), values)
        assert gradient[0, :30].any(1).all() and gradient[0, 30:].any() == (not causal)


def test_a_front_that_looks_ahead_is_no_stream() -> None:
    with pytest.raises(OptionError, match="causal=True"):
        SoundFront(13, 8).begin()


def test_one_block_is_torch_s_convolution() -> None:
    front = Front(9, 2, 5, [Block(4, (3, 3), (1, 1))])
    values = torch.randn(2, 20, 9, 2)
    same = nn.functional.conv2d(values.movedim(-1, 1), *front.convolutions[0].parameters(), padding=1)
    wanted = front.norm(front.output(nn.functional.gelu(same).permute(2, 0, 1, 3).flatten(2)))
    assert_close(front(values, torch.tensor([20, 20]))[0], wanted)


@pytest.mark.parametrize(
    "front",
    [
        *(SoundFront(bands, 8, stride=stride) for stride, bands in ((1, 13), (2, 8), (5, 21))),
        SoundFront(13, 8, stride=3, causal=True),
        LineFront(13, 3, 8),
        Front(9, 2, 5, [Block(4, (4, 2), (2, 3)), Block(3, (2, 5), (1, 2))]),
    ],
)
def test_a_front_in_a_net_is_the_front(front: Front) -> None:
    b, wide = Builder(), front.convolutions[0].get_parameter("weight").shape[1]
    x, lengths = b.input("x", ("T", "B", front.across, wide)), b.input("lengths", ("B",), "int64")
    features, shorter = front.in_net(b, x, lengths)
    b.output("features", features)
    b.output("lengths", shorter)
    values = torch.randn(len(LENGTHS), 50, front.across, wide) * (torch.arange(50) < LENGTHS[:, None])[..., None, None]
    found = Bound(b.net(), b.arrays, b.stacks)(x=values.transpose(0, 1).numpy(), lengths=LENGTHS.numpy())
    with torch.no_grad():
        wanted, steps = front(values, LENGTHS)
    assert found["lengths"].tolist() == steps.tolist() and found["features"].shape == wanted.shape
    for row, length in enumerate(steps):
        assert_close(torch.from_numpy(found["features"][:length, row]), wanted[:length, row])


def test_a_line_is_halved_once() -> None:
    outputs, lengths = LineFront(32, 3, 20)(torch.randn(2, 33, 32, 3), torch.tensor([33, 10]))
    assert outputs.shape == (17, 2, 20) and lengths.tolist() == [17, 5]
