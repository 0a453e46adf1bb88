"""Maps of pictures: shapes, what is moved, that training in bfloat16 repeats itself and answers do not use it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatework.networks.pictures import PictureMap, moved, places

WIDTHS = (4, 6, 8)


def pictures(count: int = 5, height: int = 16, width: int = 24, channels: int = 3) -> torch.Tensor:
    draw = np.random.default_rng(0)
    return torch.from_numpy(draw.integers(0, 256, (count, height, width, channels), dtype=np.uint8))


def made(half: bool = False) -> PictureMap:
    torch.manual_seed(0)
    return PictureMap(3, WIDTHS, half)


def test_each_of_the_widths_halves_height_and_width() -> None:
    found = made()(pictures())
    assert found.shape == (5, 8, 2, 3) and found.dtype == torch.float32
    memory = places(found)
    assert memory.shape == (5, 6, 8)
    assert torch.equal(memory[:, 4], found[:, :, 1, 1])  # row after row


def test_points_are_scaled_by_those_that_are_learned_from() -> None:
    seen, model = pictures(), made()
    model.scale_by(seen.numpy())
    values = seen.double().reshape(-1, 3)
    assert torch.allclose(model.mean.double(), values.mean(0)) and torch.allclose(
        model.deviation.double(), values.std(0, correction=0)
    )
    plain = made()
    plain.mean.zero_()
    plain.deviation.fill_(1.0)
    scaled = (seen - model.mean) / model.deviation
    assert torch.allclose(model.eval()(seen), plain.eval()(scaled), atol=1e-5)


def test_pictures_of_one_colour_are_scaled_by_one() -> None:
    model = made()
    model.scale_by(np.full((2, 4, 4, 3), 7, np.uint8))
    assert model.deviation.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("half", [False, True])
def test_training_repeats_itself_to_the_bit(half: bool) -> None:
    def gradients() -> list[torch.Tensor]:
        model = made(half).train()
        (model(pictures()) * torch.linspace(-1, 1, 6).view(2, 3)).sum().backward()
        return [each.grad for each in model.parameters() if each.grad is not None] + list(model.buffers())

    for one, other in zip(gradients(), gradients(), strict=True):
        assert torch.equal(one, other) and torch.isfinite(one).all()


def test_half_is_of_training_alone() -> None:
    single, half = made(), made(half=True)
    assert not torch.equal(single.train()(pictures()), half.train()(pictures()))
    half.load_state_dict(single.state_dict())
    assert torch.equal(single.eval()(pictures()), half.eval()(pictures()))


def test_pictures_are_moved_within_the_share_and_keep_their_edges() -> None:
    torch.manual_seed(1)
    seen = pictures(40, 10, 20, 1)
    found = moved(seen, torch.tensor([40]), 0.2)
    offsets = set()
    for one, other in zip(seen.numpy(), found.numpy(), strict=True):
        ways = [(y, x) for y in range(-2, 3) for x in range(-4, 5) if np.array_equal(shifted(one, y, x), other)]
        assert len(ways) == 1
        offsets.add(ways[0])
    assert len({y for y, _ in offsets}) == 5 and len({x for _, x in offsets}) == 9


def shifted(picture: np.ndarray, down: int, right: int) -> np.ndarray:
    rows, columns = (
        np.clip(np.arange(size) + by, 0, size - 1) for size, by in zip(picture.shape, (down, right), strict=False)
    )
    return picture[rows][:, columns]


def test_the_frames_of_a_film_move_alike() -> None:
    torch.manual_seed(0)
    first = pictures(3, 12, 12, 1)
    counts = torch.tensor([3, 2, 1])  # films of 3, 2 and 1 frames, each frame the same
    packed = torch.cat([first[:count] for count in counts.tolist()])
    found = moved(packed, counts, 0.25)
    assert not torch.equal(found, packed)
    assert torch.equal(found[3:5], found[:2]) and torch.equal(found[5:], found[:1])


def test_pictures_reach_the_convolutions_channels_last() -> None:
    model, seen = made().eval(), []
    model.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model(pictures())
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_an_answer_does_not_hang_on_the_pictures_beside() -> None:
    model, seen = made().eval(), pictures()
    together = model(seen)
    for number in range(len(seen)):
        assert torch.allclose(model(seen[number : number + 1])[0], together[number], atol=1e-5)
