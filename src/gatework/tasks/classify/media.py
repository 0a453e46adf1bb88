"""Sounds, pictures and films as rows: files or arrays -> frames on disk, with the options by which they were read."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import polars as pl

from gatework.data.media import films, listing, pictures, sounds
from gatework.data.media.items import Item
from gatework.data.media.kinds import MEDIA, Kind
from gatework.data.media.listing import Listing
from gatework.data.media.store import Decode, Store
from gatework.data.media.stored import Stored
from gatework.data.readers import Reading
from gatework.data.table import Table
from gatework.errors import DataError
from gatework.runtime.sounds.mel import Mel
from gatework.tasks.base import Source
from gatework.tasks.classify.options import FILES, ClassifyOptions

RATE = 16_000  # samples a second that a recording is read with at most
SIDES = {"pictures": 64, "films": 32}  # points of a side that are read at most, unless more are asked for
LOOKED = 24  # pictures by which size and colours are settled
SHOWN = 3.0, 8_000  # seconds of a recording on a page, and their rate
STRIP = 6  # frames of a film on a page
ITEMS: dict[str, Kind] = {"sounds": "sound", "pictures": "picture", "films": "film"}  # what a row is


@dataclass(frozen=True)
class Media:
    """n recordings, pictures or films. `frames` are log-mel energies [T, mels] of a sound, bytes [1, H, W, C] of a
    picture, [T, H, W, C] of a film; `how` are the options by which they were decoded."""

    kind: str
    listing: Listing
    frames: Stored
    how: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.listing)

    def take(self, rows: np.ndarray) -> Media:
        return replace(self, listing=self.listing.take(rows), frames=self.frames.take(rows))

    @property
    def digests(self) -> pl.Series:
        """Equal where what is read is equal."""
        return pl.Series("digest", self.frames.store.digests, pl.String)

    def named(self) -> list[dict[str, Any]]:
        """{"file": its name in the source} of each row; {} of arrays."""
        return [{"file": name} if name else {} for name in self.listing.names]

    def shown(self, row: int) -> dict[str, str]:
        """What a page shows of a row, as an address that holds the data itself: {"sound": ...} or {"picture": ...}."""
        if self.kind != "sounds":
            return {"picture": _address("image/png", _png(self.frames[row]))}
        rate = min(SHOWN[1], self.how["rate"])
        try:
            samples = sounds.resampled(sounds.load(self.listing.items[row], self.how["rate"]), self.how["rate"], rate)
        except DataError:  # the file is gone or another by now
            return {}
        return {"sound": _address("audio/wav", sounds.encoded(samples[: int(SHOWN[0] * rate)], rate))}


def kind_of(source: Source) -> str | None:
    """The kind of a file or a folder by the ends of names; None where it may be anything else."""
    if not isinstance(source, str | Path):
        return None
    path = Path(source)
    ends = (
        [each.suffix.lower() for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path.suffix.lower()]
    )
    for name, kind in ITEMS.items():
        if sum(end in MEDIA[kind].suffixes for end in ends) * 2 > len(ends):
            return name
    return None


def read(source: Source, kind: str, options: ClassifyOptions, **reading: Unpack[Reading]) -> Media:
    """Every item of a source, decoded.

    Raises: DataError that names each broken file, unless `bad_files` is "skip".
    """
    listed = listing.read(source, getattr(options, FILES[kind]), kind=ITEMS[kind], **reading)
    how = settled(listed, kind, options)
    store = Store.of(listed, _decoder(kind, how), bad_files=options.bad_files)
    return Media(kind, listed.take(store.rows), Stored(store), how)


def table_of(media: Media, written: bool) -> tuple[Table, str]:
    """What stands beside the items as a table, and its column of files; `written`: its values are text of a file."""
    listed = media.listing
    columns = dict(listed.columns)
    named = next((name for name, values in columns.items() if values == listed.names), "file")
    if any(listed.names):
        columns[named] = listed.names
    place = lambda row: listed.where(row).removeprefix(f"{listed.source}, ")  # noqa: E731
    frame = pl.DataFrame(columns or {"file": [""] * len(listed)}, strict=False)
    form = {"media": media.kind} if written else {}
    return Table(frame, listed.source, place, listed.notes, form), named


def findings(media: Media, level: str) -> tuple[str, ...]:
    """What readers said of the files."""
    return tuple(found.message for found in media.frames.store.findings if found.level == level)


# -- how items are decoded --------------------------------------------------------------------------------------


def settled(listed: Listing, kind: str, options: ClassifyOptions) -> dict[str, Any]:
    """Options of decoding: those that were left open follow from the items."""
    if kind == "sounds":
        rate = options.rate or sounds.usual_rate(listed.items, RATE)
        if rate is None:
            raise DataError(f"{listed.source}: arrays of samples do not say their rate; give rate=8000 or what it is")
        return {"rate": rate, "mels": options.mels}
    size, colour = options.size, options.colour
    if size is None or colour is None:
        sides, coloured = _looked(listed, kind)
        size = size or max(min(int(np.median(sides)), SIDES[kind]), 1)
        colour = coloured if colour is None else colour
    return {"size": size, "colour": colour} | ({"frames": options.frames} if kind == "films" else {})


def _decoder(kind: str, how: Mapping[str, Any]) -> Decode:
    if kind == "sounds":
        mel = Mel(how["rate"], how["mels"])
        return lambda item, tell: mel.features(sounds.load(item, how["rate"], tell))
    size, mode = (how["size"], how["size"]), "colour" if how["colour"] else "grey"
    if kind == "films":
        return lambda item, tell: films.load(item, size, mode, how["frames"], tell)
    return lambda item, tell: pictures.load(item, size, mode, tell)[None]


def _looked(listed: Listing, kind: str) -> tuple[list[int], bool]:
    """The longer sides of some pictures, and whether any of them has colours. What is broken is told when all are
    decoded."""
    sides, coloured = [], False
    for row in np.unique(np.linspace(0, len(listed) - 1, LOOKED).round().astype(int)):
        try:
            frame = _first(listed.items[row], kind)
        except DataError:
            continue
        sides.append(max(frame.shape[:2]))
        coloured |= bool((frame != frame[:, :, :1]).any())
    return sides or [SIDES[kind]], coloured


def _first(item: Item, kind: str) -> np.ndarray:
    return pictures.load(item) if kind == "pictures" else films.load(item, None, "colour", 1)[0]


# -- for pages --------------------------------------------------------------------------------------------------


def _png(frames: np.ndarray) -> bytes:
    """A picture, or some frames of a film side by side."""
    import io

    some = frames[films.evenly(len(frames), STRIP)]
    image = pictures.image_of(np.concatenate(list(some), axis=1))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
