"""Films, folders of frames and arrays become frames of one size; vectors come from .npy files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from gatework.data.media import films, vectors
from gatework.errors import DataError, OptionError

SHADES = np.arange(30, dtype=np.uint8) * 8  # of the frames: each is one shade of grey


def frames_of(shades: np.ndarray = SHADES, height: int = 32, width: int = 48) -> list[np.ndarray]:
    return [np.full((height, width, 3), shade, np.uint8) for shade in shades]


def film(path: Path, codec: str = "mpeg4", frames: list[np.ndarray] | None = None) -> Path:
    """A film in the form that its name says; ten frames a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = 32, 48
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for frame in frames_of() if frames is None else frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def moving(path: Path, shades: np.ndarray = SHADES) -> Path:
    first, *others = (Image.fromarray(frame) for frame in frames_of(shades))
    first.save(path, save_all=True, append_images=others)
    return path


def shades_of(array: np.ndarray) -> np.ndarray:
    return array[:, array.shape[1] // 2, array.shape[2] // 2, 0].astype(int)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.avi", "a.mkv", "a.mov", "a.gif", "a.webp", "a.png"])
def test_forms_of_files(tmp_path, name) -> None:
    moves = name in ("a.gif", "a.webp", "a.png")
    path = moving(tmp_path / name) if moves else film(tmp_path / name, "libvpx" if name == "a.webm" else "mpeg4")
    array = films.load(path, (16, 24), "grey", frames=30)
    assert array.shape == (30, 16, 24, 1) and array.dtype == np.uint8
    assert np.abs(shades_of(array) - SHADES).max() <= (4 if moves else 8)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_frames_are_taken_evenly_from_first_to_last(tmp_path, name) -> None:
    path = moving(tmp_path / name) if name == "a.gif" else film(tmp_path / name)
    assert np.abs(shades_of(films.load(path, frames=4)) - SHADES[[0, 10, 19, 29]]).max() <= 8
    assert len(films.load(path, frames=1)) == 1
    assert films.evenly(3, 16) == [0, 1, 2] and films.evenly(30, 4) == [0, 10, 19, 29] and films.evenly(0, 4) == []


def test_a_folder_of_frames_in_the_order_of_its_numbers(tmp_path) -> None:
    for number in (10, 2, 1, 0):
        Image.fromarray(np.full((4, 4), 10 * number, np.uint8)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    assert shades_of(films.load(tmp_path, None, "grey")).tolist() == [0, 10, 20, 100]
    assert shades_of(films.load(tmp_path, None, "grey", frames=2)).tolist() == [0, 100]
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "frame3.png")
    with pytest.raises(DataError, match="its frames have several sizes; give a size"):
        films.load(tmp_path)
    assert films.load(tmp_path, (4, 4)).shape == (5, 4, 4, 3)


def test_arrays_have_one_scale_for_all_frames(tmp_path) -> None:
    array = np.stack([np.full((4, 4), shade / 255) for shade in (1, 128, 255)])
    assert shades_of(films.load(array, None, "grey")).tolist() == [1, 128, 255]
    np.save(tmp_path / "a.npy", (255 * array).round().astype(np.uint8))
    assert shades_of(films.load(tmp_path / "a.npy", None, "grey")).tolist() == [1, 128, 255]
    assert films.load(np.zeros((3, 4, 5, 3), np.uint8)).shape == (3, 4, 5, 3)


def test_the_content_counts_not_the_name(tmp_path) -> None:
    film(tmp_path / "a.mp4").rename(tmp_path / "a.gif")
    moving(tmp_path / "b.gif").rename(tmp_path / "b.mp4")
    for name in ("a.gif", "b.mp4"):
        assert len(films.load(tmp_path / name, frames=30)) == 30


def test_films_without_frames_are_refused(tmp_path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (tmp_path / "nothing").mkdir()
    np.save(tmp_path / "none.npy", np.zeros((0, 4, 4), np.uint8))
    said = {"sound.mp4": "has no pictures in it", "nothing": "has no frames", "none.npy": "has no frames"}
    for name, words in said.items():
        with pytest.raises(DataError, match=f"{name}: {words}"):
            films.load(tmp_path / name)


def test_a_broken_frame_is_named(tmp_path) -> None:
    (tmp_path / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "1.png")
    with pytest.raises(DataError, match=r"2\.png: a picture \(PNG\) that cannot be read"):
        films.load(tmp_path)
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:-30])
    with pytest.raises(DataError, match=r"2\.png: not a whole picture"):
        films.load(tmp_path, (8, 8))


@pytest.mark.parametrize("name", ["a.gif", "a.png"])
def test_cut_moving_pictures(tmp_path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 32, 48, 3), dtype=np.uint8)
    first, *others = (Image.fromarray(frame) for frame in noise)
    first.save(tmp_path / name, save_all=True, append_images=others)
    whole = (tmp_path / name).read_bytes()
    assert len(films.load(tmp_path / name)) == 6
    (tmp_path / name).write_bytes(whole[: len(whole) * 6 // 10])
    told: list[str] = []
    array = films.load(tmp_path / name, tell=lambda message, level="warning": told.append(message))
    assert 1 < len(array) < 6 and f"cut short or damaged after {len(array)} frames" in told[0]


def test_cut_films(tmp_path) -> None:
    noise = list(np.random.default_rng(0).integers(0, 256, (30, 32, 48, 3), dtype=np.uint8))
    for name, codec in {"a.webm": "libvpx", "a.mp4": "mpeg4"}.items():
        whole = film(tmp_path / name, codec, noise).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    told: list[str] = []
    array = films.load(tmp_path / "a.webm", frames=30, tell=lambda message, level="warning": told.append(message))
    assert 5 < len(array) < 25 and "a.webm: cut short, the header says 3.0 s" in told[0]
    with pytest.raises(DataError, match=r"a.mp4: a film \(MP4\) that cannot be read \(was it cut short\?\)"):
        films.load(tmp_path / "a.mp4")


def test_a_list_of_films_is_not_followed(tmp_path) -> None:
    """A playlist names other files, of which a stranger's could name any."""
    film(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{tmp_path / 'a.mp4'}\n")
    (tmp_path / "c.mp4").write_text(f"ffconcat version 1.0\nfile {tmp_path / 'a.mp4'}\n")
    for name in ("b.mp4", "c.mp4"):
        with pytest.raises(DataError, match="not a film that can be read: it is text"):
            films.load(tmp_path / name)


def test_damage_anywhere_is_refused_or_mended(tmp_path) -> None:
    random = np.random.default_rng(0)
    for name in ("a.mp4", "a.webm", "a.gif"):
        path = (
            moving(tmp_path / name) if name == "a.gif" else film(tmp_path / name, "libvpx" if "w" in name else "mpeg4")
        )
        whole = path.read_bytes()
        for _ in range(25):
            data = bytearray(whole[: random.integers(1, len(whole))] if random.random() < 0.5 else whole)
            for place in random.integers(0, len(data), random.integers(0, 6)):
                data[place] = random.integers(256)
            path.write_bytes(data)
            with suppress(DataError):
                assert films.load(path, (8, 8)).shape[1:] == (8, 8, 3)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (np.zeros((4, 4)), r"a film is an array \(T, H, W\)"),
        (np.full((2, 4, 4), np.nan), "finite numbers"),
        ((np.zeros((2, 4, 4)), 8000), "not a pair"),
        (Path("gone.mp4"), "gone.mp4: no such file"),
    ],
    ids=str,
)
def test_what_is_no_film(item, said) -> None:
    with pytest.raises(DataError, match=said):
        films.load(item)
    with pytest.raises(OptionError, match="frames cannot be 0"):
        films.load(item, frames=0)


# -- vectors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "becomes"), [((5, 7), (5, 7)), ((2, 3, 7), (6, 7)), ((7,), (1, 7))], ids=["list", "map", "one"]
)
def test_vectors(tmp_path, shape, becomes) -> None:
    array = np.random.default_rng(0).normal(size=shape)
    np.save(tmp_path / "a.npy", np.asfortranarray(array))
    found = vectors.load(tmp_path / "a.npy")
    assert found.shape == becomes and found.dtype == np.float32
    assert np.array_equal(found, array.reshape(becomes).astype(np.float32)) and np.array_equal(
        vectors.load(array), found
    )


def test_what_is_no_vectors(tmp_path) -> None:
    path = tmp_path / "a.npy"
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000000), }".ljust(117) + "\n"
    huge = b"\x93NUMPY\x01\x00v\x00" + head.encode() + bytes(80)
    cases = [
        (np.array([[1.0, np.nan]]), r"1 values are no numbers \(first: vector 1, number 2\)"),
        (np.array([[1.0, 1e300]]), "1 values are no numbers"),
        (np.zeros((2, 2, 2, 2)), r"not one of shape \(2, 2, 2, 2\)"),
        (np.zeros((0, 3)), r"not one of shape \(0, 3\)"),
        (np.zeros(2, complex), "holds complex128, not numbers"),
        (np.array(["a"]), "holds <U1, not numbers"),
        (np.array([{}], object), "not a whole .npy file"),  # could run code
        (huge, "not a whole .npy file"),
        (b"PK\x03\x04" + bytes(9), "not a .npy file: it is a zip archive"),
        (b"1,2\n", "not a .npy file: it is text"),
    ]
    for content, said in cases:
        path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
        with pytest.raises(DataError, match=f"a.npy: .*{said}"):
            vectors.load(path)
