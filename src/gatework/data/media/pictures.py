"""Pictures: files of any mode and size -> arrays of one size (H, W, C) of bytes; faults in words, by file.

`load` is what a store decodes with: a file or an array -> uint8. Pillow reads PNG, JPEG, GIF, WebP, BMP, TIFF and more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gatework.data.files import in_memory
from gatework.data.media.items import ARRAY, Item, Tell, file_of, untold
from gatework.data.media.kinds import unreadable
from gatework.data.media.quiet import load_plugins, quiet
from gatework.errors import DataError, OptionError
from gatework.extras import explained

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "PPM", "ICO", "AVIF", "JPEG2000", "TGA")
ADVICE = "give png, jpg, gif, webp, bmp or tiff"
POINTS = 50_000_000  # of a picture; what says that it has more is refused before it is unpacked
LONGEST = 200  # times its height that a picture of a line may be wide
CHANNELS = {"grey": 1, "colour": 3}
Size = tuple[int, int | None] | None


def load(item: Item, size: Size = None, mode: str = "colour", tell: Tell = untold) -> np.ndarray:
    """A picture uint8 (H, W, C) of a file or an array; C is 3 in mode "colour", 1 in mode "grey".

    Example: `load(Path("a.png"), (32, 32)).shape` is (32, 32, 3); with the size (32, None) the width goes with the
    height, with None the picture keeps its size.

    The picture keeps its proportions; what is left of the size is filled with the colour of its corners. What can be
    seen through is laid on white. An array is (H, W) or (H, W, 1, 3 or 4): bytes, or floats from 0 to 1.
    """
    _check(size, mode)
    if isinstance(item, Path):
        return read(item, size, mode, tell)
    if not isinstance(item, np.ndarray):
        raise DataError("a picture is a file or an array (H, W) or (H, W, C), not a pair")
    return fitted(image_of(item), size, mode, ARRAY)


def read(path: str | Path, size: Size = None, mode: str = "colour", tell: Tell = untold) -> np.ndarray:
    """A picture uint8 (H, W, C) of a file, upright as its camera says; of several frames the first.

    Raises: DataError for a file that is missing, empty, no picture, cut short, or larger than POINTS when unpacked.
    """
    _check(size, mode)
    path = file_of(path)
    with in_memory(str(path)), opened(path) as image:
        if (frames := getattr(image, "n_frames", 1)) > 1:
            tell(f"{path}: moves; of its {frames} frames the first is taken; as a film all are read")
        return fitted(upright(image), size, mode, str(path))


def fitted(image: Image, size: Size, mode: str, name: str) -> np.ndarray:
    """A picture of Pillow as an array uint8 (H, W, C) of the size."""
    width, height = image.size
    if not width or not height:
        raise DataError(f"{name}: {width} by {height} points; a picture has at least one")
    if size is not None and size[1] is None and width > LONGEST * height:
        raise DataError(f"{name}: {width:,} by {height:,} points, wider than any line: at most {LONGEST} times as wide")
    plain = flat(image, name).convert("L" if mode == "grey" else "RGB")
    array = np.asarray(plain if size is None else _resized(plain, *size))
    return array[:, :, None] if array.ndim == 2 else array


def flat(image: Image, name: str = ARRAY) -> Image:
    """The picture in mode L or RGB: laid on white where it can be seen through, deep ones brought to 8 bits."""
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return Image.fromarray(as_bytes(np.asarray(image), name))
    if image.mode in ("RGBA", "LA", "La", "RGBa", "PA") or image.has_transparency_data:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def upright(image: Image) -> Image:
    """Turned as its camera says; damaged notes of a camera turn nothing."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # whatever the notes hold: the picture itself is whole, or says so when it is decoded
        return image


@contextmanager
def opened(path: Path) -> Iterator[Image]:
    """A picture of a file, decoded no further than its header; a DataError for whatever goes wrong within."""
    try:
        from PIL import Image
    except ImportError as error:
        raise explained(error) from error
    load_plugins()
    with quiet():
        try:
            with Image.open(path, formats=FORMATS) as image:
                must_be_small(*image.size, str(path))
                yield image
        except (DataError, MemoryError):
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise DataError(f"{path}: {_too_large()}") from None
        except Image.UnidentifiedImageError:
            raise unreadable(path, "picture", ADVICE) from None
        except Exception as error:  # decoders of strangers' bytes raise whatever they please
            said = str(error).partition("\n")[0][:100] or type(error).__name__
            raise DataError(f"{path}: not a whole picture ({said}); fetch or save it again") from None


def must_be_small(width: int, height: int, name: str) -> None:
    """Refuses what unpacks to more than POINTS, whatever the file's own size."""
    if width * height > POINTS:
        raise DataError(f"{name}: {width:,} by {height:,} points; {_too_large()}")


def _too_large() -> str:
    return f"at most {POINTS:,} points are unpacked: make it smaller first"


def _check(size: Size, mode: str) -> None:
    if mode not in CHANNELS:
        raise OptionError(f"mode cannot be {mode!r}; there are: {', '.join(CHANNELS)}")
    if size is not None and min(each for each in size if each is not None) < 1:
        raise OptionError(f"size cannot be {size}: give (height, width) in points, at least 1, or (height, None)")


def _resized(image: Image, height: int, width: int | None) -> Image:
    """Scaled to fit within (height, width), in the middle of a ground of the corners' colour."""
    from PIL import Image

    if width is None:
        return image.resize((max(round(image.width * height / image.height), 1), height), Image.Resampling.BILINEAR)
    scale = min(width / image.width, height / image.height)
    inner = min(max(round(image.width * scale), 1), width), min(max(round(image.height * scale), 1), height)
    ground = Image.new(image.mode, (width, height), _corner(image))
    ground.paste(image.resize(inner, Image.Resampling.BILINEAR), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return ground


def _corner(image: Image) -> tuple[int, ...] | int:
    """The colour of the corners: of each channel the median of four."""
    x, y = image.width - 1, image.height - 1
    corners = np.array([image.getpixel(place) for place in ((0, 0), (x, 0), (0, y), (x, y))], np.float64)
    middle = np.median(corners, axis=0).round().astype(int)
    return int(middle) if middle.ndim == 0 else tuple(middle.tolist())


# -- arrays -----------------------------------------------------------------------------------------------------


def image_of(array: np.ndarray) -> Image:
    """A picture of Pillow from an array (H, W) or (H, W, 1, 3 or 4)."""
    try:
        from PIL import Image
    except ImportError as error:
        raise explained(error) from error
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise DataError(f"{ARRAY}: a picture is (H, W) or (H, W, 1, 3 or 4), not {array.shape}")
    must_be_small(array.shape[1], array.shape[0], ARRAY)
    return Image.fromarray(as_bytes(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array))


def as_bytes(array: np.ndarray, name: str = ARRAY) -> np.ndarray:
    """Values of a picture or film as bytes: floats up to 1 and numbers of 16 bits by their width, else as they are."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "iufb" or not np.isfinite(array).all():
        raise DataError(f"{name}: a picture holds finite numbers, not {array.dtype} with NaN or infinity")
    values = array.astype(np.float64)
    most = values.max(initial=0)
    whole = array.dtype.kind in "iu"
    if values.min(initial=0) < 0 or most > 65_535:
        span = f"{values.min():g} to {most:g}"
        raise DataError(f"{name}: its values go from {span}; give 0 to 1, 0 to 255 or 0 to 65535")
    scale = 255 / 65_535 if most > 255 or array.dtype.name.startswith("uint16") else 1 if whole or most > 1 else 255
    return (values * (255 if array.dtype == bool else scale)).round().astype(np.uint8)
