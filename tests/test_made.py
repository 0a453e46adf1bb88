"""What is made for demos and tests is what its truth says, the same for each seed, and is read as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatework.data import made
from gatework.data.media import films, pictures, sounds
from gatework.data.media.listing import read, text_column


def keyed(samples: np.ndarray) -> str:
    """Morse code read off how loud a clip's pitch is at each moment: its dots, dashes and gaps as a text."""
    pitch = np.abs(np.fft.rfft(samples)).argmax() / len(samples)
    loud = np.abs(np.convolve(samples * np.exp(-2j * np.pi * pitch * np.arange(len(samples))), np.hanning(200), "same"))
    down = loud > np.percentile(loud, 95) / 2
    edges = np.flatnonzero(np.diff(np.r_[False, down, False].astype(int)))
    lengths, gaps = edges[1::2] - edges[::2], edges[2::2] - edges[1:-1:2]
    dot = np.percentile(np.r_[lengths, gaps], 30)  # most are dots and the gaps within letters
    signs = ["." if length < 2 * dot else "-" for length in lengths]
    return "".join(sign + ("" if gap < 2 * dot else " ") for sign, gap in zip(signs, np.r_[gaps, 0], strict=True))


def test_morse_can_be_read_off_the_tones() -> None:
    clips = made.morse(40, seed=3)
    right = sum(keyed(clip.samples) == " ".join(made.MORSE[letter] for letter in clip.text) for clip in clips)
    assert right >= 36 and {len(clip.text) for clip in clips} == {2, 3, 4, 5}
    assert all(clip.samples.dtype == np.float32 and np.abs(clip.samples).max() <= 1 for clip in clips)
    assert set("".join(clip.text for clip in made.morse(20, letters="et"))) == {"e", "t"}


def test_lines_hold_as_many_digits_as_their_text_says() -> None:
    lines = made.digit_lines(40)
    assert all(line.picture.shape[0] == 32 and line.text.isdigit() for line in lines)
    widths = {count: np.mean([each.picture.shape[1] for each in lines if len(each.text) == count]) for count in (3, 6)}
    assert 1.7 < widths[6] / widths[3] < 2.2 and {len(line.text) for line in lines} == {3, 4, 5, 6}


@pytest.mark.parametrize("digits", [1, 2])
def test_digits_move_as_their_captions_say(digits) -> None:
    for film in made.moving_digits(20, digits=digits):
        assert film.frames.shape == (10, 24, 24) and film.caption.count(",") == digits - 1
        if digits == 1:
            way = made.WAYS[film.caption.split()[1]]
            assert np.array_equal(film.frames[5], np.roll(film.frames[4], way, (0, 1)))


def test_where_a_digit_is_says_nothing_of_its_way() -> None:
    """The mean place over a film is the middle, whatever the way."""
    films_of = made.moving_digits(200, digits=1)
    for way in made.WAYS:
        middle = np.mean([film.frames for film in films_of if film.caption.endswith(way)], axis=(0, 1))
        place = [(middle.sum(1 - axis) * np.arange(24)).sum() / middle.sum() for axis in (0, 1)]
        assert np.abs(np.subtract(place, 11.5)).max() < 1.5


@pytest.mark.parametrize(
    ("make", "write", "kind"),
    [
        (made.morse, made.write_morse, "sound"),
        (made.tunes, made.write_tunes, "sound"),
        (made.digit_lines, made.write_digit_lines, "picture"),
        (made.moving_digits, made.write_moving_digits, "film"),
    ],
)
def test_files_hold_what_was_made(tmp_path: Path, make, write, kind) -> None:
    listing, name = text_column(read(write(tmp_path / "new" / "folder", 5, seed=7), kind=kind))
    load = {
        "sound": lambda item: sounds.load(item),
        "picture": lambda item: pictures.load(item, None, "grey")[:, :, 0],
        "film": lambda item: films.load(item, None, "grey")[:, :, :, 0],
    }[kind]
    for (array, text, *_), item, written in zip(make(5, seed=7), listing.items, listing.strings(name), strict=True):
        assert text == written and np.allclose(load(item), array, atol=1e-4)
    assert [each[1] for each in make(5, seed=8)] != [each[1] for each in make(5, seed=7)]
