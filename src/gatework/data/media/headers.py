"""What says that a recording was cut: libsndfile reads what is there, and tells nobody."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

PAGE = 65_307  # bytes that a page of Ogg has at most
OPEN_END = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFF000)  # sizes that streams write, which do not know theirs


def promised(path: Path) -> int | None:
    """Frames that the header of a wav file states; None where it does not say, or the file is no wav."""
    with path.open("rb") as file:
        if file.read(4) != b"RIFF" or len(file.read(4)) < 4 or file.read(4) != b"WAVE":
            return None
        return _frames(file)


def is_ended(path: Path) -> bool:
    """Whether the last page of an Ogg file says that it is the last; true for any other file."""
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return True
        file.seek(max(path.stat().st_size - PAGE, 0))
        end = file.read()
    last = end.rfind(b"OggS")
    return last < 0 or any(flags & 4 for flags in end[last + 5 : last + 6])


def _frames(file: BinaryIO) -> int | None:
    """Walks the chunks up to the samples. A frame of a compressed form has no fixed size: then None."""
    width = 0
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data":
            return size // width if width and size not in OPEN_END else None
        body = file.read(size if name == b"fmt " and size < 100 else 0)
        if name == b"fmt " and len(body) >= 16:
            form, channels, _, _, align, bits = struct.unpack("<HHIIHH", body[:16])
            width = align if form in (1, 3, 6, 7, 0xFFFE) and align == channels * ((bits + 7) // 8) else 0
        file.seek(size + size % 2 - len(body), 1)
    return None
