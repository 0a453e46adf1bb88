"""Pictures of any mode and size become bytes of one size; what is broken or too large is refused in words."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gatework.data.media import pictures
from gatework.data.media.quiet import quiet
from gatework.errors import DataError, OptionError

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (12, 20, 3), dtype=np.uint8)
IMAGE = Image.fromarray(PIXELS)
GREY = np.asarray(IMAGE.convert("L"))


def png(path: Path, width: int, height: int, data: bytes = b"") -> Path:
    """A PNG file in grey whose header says what it is told to."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


# -- whole ones -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "a.webp", "a.jpg", "a.gif", "a.jp2", "a.tga"])
def test_forms_of_files(tmp_path, name) -> None:
    IMAGE.save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
    array = pictures.read(tmp_path / name)
    lossy = name in ("a.jpg", "a.gif", "a.jp2")
    assert array.shape == (12, 20, 3) and array.dtype == np.uint8
    assert np.abs(array.astype(int) - PIXELS).mean() <= (60 if lossy else 0)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "P", "LA", "PA", "CMYK", "YCbCr", "LAB", "HSV", "I;16"])
def test_modes(tmp_path, mode) -> None:
    image = Image.fromarray(GREY.astype(np.uint16) * 257) if mode == "I;16" else IMAGE.convert(mode)
    tiff = mode in ("CMYK", "YCbCr", "LAB", "HSV")
    path = tmp_path / ("a.tif" if tiff else "a.png")
    (image.convert("RGB") if mode == "HSV" else image.convert("LA") if mode == "PA" else image).save(path)
    expected = GREY if mode == "I;16" else np.asarray(image.convert("RGB").convert("L"))
    grey = pictures.read(path, mode="grey")
    assert grey.shape == (12, 20, 1) and np.abs(grey[:, :, 0].astype(int) - expected).max() <= 2
    assert pictures.read(path).shape == (12, 20, 3)


def test_deep_pictures_keep_their_proportions(tmp_path) -> None:
    for name, values in {"f.tif": GREY / np.float32(255), "i.tif": GREY.astype(np.int32) * 257}.items():
        Image.fromarray(values).save(tmp_path / name)
        assert np.abs(pictures.read(tmp_path / name, mode="grey")[:, :, 0].astype(int) - GREY).max() <= 1
    Image.fromarray(np.full((4, 4), 1e9, np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(DataError, match=r"f.tif: its values go from 1e\+09 to 1e\+09; give 0 to 1"):
        pictures.read(tmp_path / "f.tif")


def test_what_can_be_seen_through_is_laid_on_white(tmp_path) -> None:
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[:, 2:] = 10, 20, 30, 255
    Image.fromarray(clear).save(tmp_path / "a.png")
    array = pictures.read(tmp_path / "a.png")
    assert (array[:, :2] == 255).all() and (array[:, 2:] == [10, 20, 30]).all()
    palette = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    palette.putpalette([9, 9, 9, 50, 60, 70])
    palette.save(tmp_path / "p.png", transparency=0)
    assert pictures.read(tmp_path / "p.png").tolist() == [[[255] * 3, [50, 60, 70]], [[50, 60, 70], [255] * 3]]


@pytest.mark.parametrize("turn", range(1, 9))
def test_as_the_camera_was_held(tmp_path, turn) -> None:
    turned = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90"}
    turned |= {7: "TRANSVERSE", 8: "ROTATE_270"}
    stored = IMAGE.transpose(Image.Transpose[turned[turn]]) if turn > 1 else IMAGE
    notes = Image.Exif()
    notes[0x0112] = turn
    stored.save(tmp_path / "a.png", exif=notes)
    assert np.array_equal(pictures.read(tmp_path / "a.png"), PIXELS)


def test_the_first_of_several_frames_is_taken_and_told(tmp_path) -> None:
    told: list[tuple[str, str]] = []
    frames = [Image.fromarray(np.full((6, 6), shade, np.uint8)) for shade in (10, 20, 30)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    array = pictures.read(tmp_path / "a.gif", tell=lambda message, level="warning": told.append((level, message)))
    assert (array == 10).all()
    assert told == [
        ("warning", f"{tmp_path / 'a.gif'}: moves; of its 3 frames the first is taken; as a film all are read")
    ]


@pytest.mark.parametrize(
    ("size", "shape"),
    [((8, 8), (8, 8)), ((24, 40), (24, 40)), ((6, None), (6, 10)), (None, (12, 20)), ((1, 1), (1, 1))],
)
def test_sizes(size, shape) -> None:
    assert pictures.load(PIXELS, size).shape == (*shape, 3)
    assert pictures.load(PIXELS, size, "grey").shape == (*shape, 1)


def test_proportions_stay_and_the_rest_has_the_colour_of_the_corners() -> None:
    picture = np.full((10, 20, 3), 200, np.uint8)
    picture[3:7, 5:15] = 0
    array = pictures.load(picture, (20, 20))
    assert (array[:5] == 200).all() and (array[15:] == 200).all()
    dark = (array[:, :, 0] < 100).nonzero()
    assert np.ptp(dark[1]) + 1 == 10 and np.ptp(dark[0]) + 1 == 4


@pytest.mark.parametrize(
    "array",
    [GREY, GREY[:, :, None], GREY / 255, GREY / 255.0 * 255, GREY.astype(np.uint16) * 257, GREY.astype(np.int64)],
    ids=["bytes", "one channel", "to 1", "to 255", "16 bits", "whole"],
)
def test_arrays(array) -> None:
    assert np.abs(pictures.load(array, None, "grey")[:, :, 0].astype(int) - GREY).max() <= 1


# -- broken ones ------------------------------------------------------------------------------------------------


def test_pictures_too_large_are_refused_before_they_are_unpacked(tmp_path) -> None:
    for width, height in ((100_000, 100_000), (10_000, 6_000), (12_000, 12_000), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(DataError, match=r"a.png: .*at most 50,000,000 points are unpacked: make it smaller"):
            pictures.read(png(tmp_path / "a.png", width, height))
    IMAGE.save(tmp_path / "a.gif")
    data = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(data[:6] + struct.pack("<HH", 60_000, 60_000) + data[10:])
    with pytest.raises(DataError, match="at most 50,000,000 points"):
        pictures.read(tmp_path / "a.gif")


def test_odd_proportions(tmp_path) -> None:
    path = png(tmp_path / "a.png", 100_000, 1, bytes(100_001))
    assert pictures.read(path, (8, 8)).shape == (8, 8, 3)
    with pytest.raises(DataError, match="100,000 by 1 points, wider than any line: at most 200 times as wide"):
        pictures.read(path, (32, None))
    assert pictures.read(png(tmp_path / "b.png", 1, 5000, bytes(10_000)), (32, None)).shape == (32, 1, 3)


def test_cut_files_are_refused(tmp_path) -> None:
    for name in ("a.png", "a.jpg", "a.gif", "a.webp", "a.bmp", "a.tif"):
        Image.fromarray(RANDOM.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        for part in (0.05, 0.5, 0.9):
            (tmp_path / name).write_bytes(whole[: int(part * len(whole))])
            with pytest.raises(DataError, match=f"{name}: (not a whole|.*cannot be read|not a picture that)"):
                pictures.read(tmp_path / name)


CONTENTS = {
    "empty": (b"", r"is empty \(0 bytes\)"),
    "text": (b"hello there", "not a picture that can be read: it is text, beginning 'hello there'; give png"),
    "drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", r"it is a drawing \(SVG\)"),
    "program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),  # would run Ghostscript
    "document": (b"%PDF-1.4" + bytes(60), "it is a PDF document"),
    "phone": (b"\0\0\0\x18ftypheic" + bytes(60), r"a picture \(HEIC\) that cannot be read"),
    "sound": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(60), r"it is a sound \(WAV\)"),
    "no width": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(30), r"a picture \(PNG\) that cannot be read"),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_files_that_are_no_picture(tmp_path, case) -> None:
    data, said = CONTENTS[case]
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(DataError, match=said):
        pictures.read(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((0, 4)), r"a picture is \(H, W\) or .* not \(0, 4\)"),
        (np.zeros((4, 4, 2)), "not .4, 4, 2"),
        (np.zeros((2, 4, 4, 3)), "not .2, 4, 4, 3"),
        (np.full((4, 4), np.nan), "finite numbers"),
        (np.full((4, 4), -1.0), "its values go from -1 to 0; give 0 to 1"),
        (np.array([["a"]]), "finite numbers"),
        ((np.zeros((4, 4)), 8000), "not a pair"),
    ],
    ids=str,
)
def test_arrays_that_are_no_picture(array, said) -> None:
    with pytest.raises(DataError, match=said):
        pictures.load(array)


def test_sizes_and_modes_are_checked() -> None:
    with pytest.raises(OptionError, match="mode cannot be 'sepia'; there are: grey, colour"):
        pictures.load(PIXELS, None, "sepia")
    with pytest.raises(OptionError, match=r"size cannot be \(0, 4\)"):
        pictures.load(PIXELS, (0, 4))


def test_damage_anywhere_is_refused_or_mended(tmp_path) -> None:
    for name in ("a.png", "a.jpg", "a.gif", "a.webp", "a.bmp", "a.tif"):
        IMAGE.save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        for _ in range(60):
            data = bytearray(whole)
            for place in RANDOM.integers(0, min(len(data), RANDOM.choice([64, len(data)])), RANDOM.integers(1, 6)):
                data[place] = RANDOM.integers(256)
            (tmp_path / name).write_bytes(data)
            with suppress(DataError):
                assert pictures.read(tmp_path / name, (8, 8)).shape == (8, 8, 3)


def test_warnings_are_as_before_whoever_leaves_last() -> None:
    before = list(warnings.filters)
    entered = threading.Event()

    def other() -> None:
        with quiet():
            entered.set()
            gate.wait(10)

    gate, thread = threading.Event(), threading.Thread(target=other)
    with quiet():
        thread.start()
        entered.wait(10)
    assert warnings.filters != before
    gate.set()
    thread.join()
    assert list(warnings.filters) == before
