"""Films: gif, mp4, webm, folders of frames and arrays -> frames (T, H, W, C) of bytes; faults in words, by file.

`load` is what a store decodes with. PyAV (FFmpeg) reads mp4, webm and their like, Pillow what moves among pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gatework.data.files import in_memory
from gatework.data.media import pictures
from gatework.data.media.items import ARRAY, Item, Tell, file_of, must_be_there, name_of, untold
from gatework.data.media.kinds import MEDIA, sniffed, unreadable
from gatework.data.media.vectors import mapped
from gatework.errors import DataError, OptionError
from gatework.extras import explained

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from PIL.Image import Image

PICTURES = MEDIA["picture"].suffixes
ADVICE = "give mp4, webm, gif or a folder of frames"


def load(
    item: Item,
    size: tuple[int, int] | None = None,
    mode: str = "colour",
    frames: int = 16,
    tell: Tell = untold,
) -> np.ndarray:
    """Frames uint8 (T, H, W, C) of a film, evenly taken where it has more than `frames`.

    Example: `load(Path("a.gif"), (32, 32), "grey", 20).shape` is (20, 32, 32, 1) of a film of 20 frames or more.

    A film is a gif, webp, mp4, webm, mov, avi or mkv, a folder of pictures in the order of their names (2 before 10),
    or an array (T, H, W[, C]), also as .npy. Sizes and modes are those of pictures.

    Raises: DataError for what holds no frames, or frames of several sizes where no size is given.
    """
    if frames < 1:
        raise OptionError(f"frames cannot be {frames}: a film is read as at least one")
    if isinstance(item, tuple):
        raise DataError("a film is a file, a folder or an array (T, H, W, C), not a pair")
    name = name_of(item)
    with in_memory(name):
        taken = [pictures.fitted(image, size, mode, name) for image in _images(item, frames, tell)]
    if not taken:
        raise DataError(f"{name}: has no frames; give a film of at least one")
    if len({frame.shape for frame in taken}) > 1:
        raise DataError(f"{name}: its frames have several sizes; give a size")
    return np.stack(taken)


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of `count` frames at even distances, the first and the last among them."""
    return list(range(count)) if count <= most else np.linspace(0, count - 1, most).round().astype(int).tolist()


def _images(item: Path | np.ndarray, frames: int, tell: Tell) -> Iterable[Image]:
    if isinstance(item, np.ndarray):
        return _of_array(item, frames, ARRAY)
    must_be_there(item)
    if item.is_dir():
        return _of_folder(item, frames)
    what = sniffed(file_of(item))  # by what it holds: names lie
    if what.startswith("an array"):
        return _of_array(mapped(item), frames, str(item))
    return _moving(item, frames, tell) if what.startswith("a picture") else _streamed(item, frames, tell)


def _of_array(array: np.ndarray, frames: int, name: str) -> Iterator[Image]:
    if array.ndim not in (3, 4):
        raise DataError(f"{name}: a film is an array (T, H, W) or (T, H, W, C), not one of shape {array.shape}")
    for frame in pictures.as_bytes(np.asarray(array[evenly(len(array), frames)]), name):  # one scale for the whole film
        yield pictures.image_of(frame)


def _of_folder(folder: Path, frames: int) -> Iterator[Image]:
    paths = frames_of(folder)
    for place in evenly(len(paths), frames):
        with pictures.opened(file_of(paths[place])) as image:
            image.load()  # here, where its faults are told
            yield pictures.upright(image)


def frames_of(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their names, numbers by their value."""
    paths = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.name.startswith(".")]
    return sorted(paths, key=lambda path: _parts(path.name))


def _parts(name: str) -> list[tuple[int, int, str]]:
    """A name cut where digits begin and end, so that "2.png" comes before "10.png"."""
    parts = [part for part in re.split(r"([0-9]+)", name) if part]
    return [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts]


def _moving(path: Path, frames: int, tell: Tell) -> Iterator[Image]:
    with pictures.opened(path) as image:
        image.load()  # the first frame, or the fault that it has
        count, whole = _frames(image)
        if not whole:
            tell(f"{path}: cut short or damaged after {count} frames; those are used")
        for place in evenly(count, frames):
            image.seek(place)
            yield image.copy()


def _frames(image: Image) -> tuple[int, bool]:
    """How many frames of a moving picture can be read, and whether it ends behind them."""
    count = 1
    try:
        while True:
            image.seek(count)
            image.load()
            count += 1
    except EOFError:
        return count, True
    except Exception:  # decoders of strangers' bytes raise whatever they please
        return count, False


# -- streams of FFmpeg ------------------------------------------------------------------------------------------

COMPLETE = 0.9  # part of its length after which a film's frames may end
# What FFmpeg may take a file for: never a playlist, which names other files.
CONTAINERS = "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,ogg,flv,asf,h264,hevc,ivf"


def _streamed(path: Path, frames: int, tell: Tell) -> Iterator[Image]:
    """The frames wanted, by their place: a first pass counts the packets, a second one decodes."""
    try:
        from av.error import FFmpegError
    except ImportError as error:
        raise explained(error) from error
    taken = 0
    try:
        wanted = evenly(_packets(path, tell), frames)
        for image in _decoded(path, set(wanted)):
            taken += 1
            yield image
    except DataError:
        raise
    except (FFmpegError, OSError, ValueError):
        if not taken:
            cut = "was it cut short?" if "film" in sniffed(path) else ""
            raise unreadable(path, "film", ADVICE, cut) from None
        tell(f"{path}: cut short or damaged after {taken} of {len(wanted)} frames; those are used")


def _packets(path: Path, tell: Tell) -> int:
    """How many frames a film holds, counted without decoding them; one that ends before its header says is told."""
    count, end = 0, 0.0
    with _container(path) as container:
        for packet in container.demux(_stream(container, path)):
            if packet.size:
                count += 1
                end = max(end, float((packet.pts or 0) * (packet.time_base or 0)))
        said = (container.duration or 0) / 1e6  # microseconds
    if count > 1 and end * count / (count - 1) < COMPLETE * said:
        tell(f"{path}: cut short, the header says {said:.1f} s and its frames end after {end:.1f} s; those are used")
    return count


def _decoded(path: Path, wanted: set[int]) -> Iterator[Image]:
    with _container(path) as container:
        for number, frame in enumerate(container.decode(_stream(container, path))):
            if number in wanted:
                pictures.must_be_small(frame.width, frame.height, str(path))
                image = frame.to_image()
                yield image.rotate(frame.rotation, expand=True) if frame.rotation else image


def _container(path: Path) -> InputContainer:
    import av

    return av.open(str(path.resolve()), options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"})


def _stream(container: InputContainer, path: Path) -> VideoStream:
    if not container.streams.video:
        raise DataError(f"{path}: has no pictures in it (a sound alone?); {ADVICE}")
    stream = container.streams.video[0]
    pictures.must_be_small(stream.codec_context.width, stream.codec_context.height, str(path))
    return stream
