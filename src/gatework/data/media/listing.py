"""Which files or arrays there are, and what stands beside each: tables, folders, files and data in memory -> a Listing.

listing = read("clips.csv", kind="sound")          # the column of files by its name and content, told
listing, text = text_column(listing, None)         # the column of texts likewise
listing.items[0], listing.columns[text][0], listing.where(0)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Unpack

import numpy as np

from gatework.data.columns import called
from gatework.data.files import must_exist
from gatework.data.given import is_absent
from gatework.data.media import layouts, memory
from gatework.data.media.columns import column_of, must_be_named, rates
from gatework.data.media.items import Item
from gatework.data.media.kinds import ANY, MEDIA, Kind, must_be_kind
from gatework.data.media.places import located
from gatework.data.media.rows import Rows
from gatework.data.readers import SUFFIXES, Reading, read_table
from gatework.data.suggest import COLUMN, did_you_mean, setting
from gatework.data.table import Table, listed
from gatework.errors import DataError

TEXTS = (
    *("text", "words", "transcript", "transcription", "sentence", "normalized_text", "normalised_text", "utterance"),
    *("caption", "captions", "description", "title", "label"),
)


@dataclass(frozen=True)
class Listing:
    """Items of one kind with the columns of their table. `where(row)`: "clips.csv, line 3 (a.wav)", for messages.

    `names` are the items' files as they were written ("" for an array); `notes` say how the source was read.
    """

    items: list[Item]
    columns: dict[str, list]
    where: Callable[[int], str]
    notes: tuple[str, ...] = ()
    source: str = ""
    kind: Kind = "sound"
    names: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: Sequence[int] | np.ndarray) -> Listing:
        """The given rows, which keep their places."""
        rows = [int(row) for row in rows]
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        items, names = [self.items[row] for row in rows], [self.names[row] for row in rows]
        where = self.where
        return replace(self, items=items, columns=columns, names=names, where=lambda row: where(rows[row]))

    def fingerprint(self) -> str:
        """A SHA-256 of what is listed: files by name, arrays by numbers and rate, and what stands beside each."""
        digest = hashlib.sha256(json.dumps(self.columns, default=str).encode())
        for item in self.items:
            array, rate = item if isinstance(item, tuple) else (item, None)
            digest.update(str(array).encode() if isinstance(array, Path) else np.ascontiguousarray(array).tobytes())
            digest.update(str(rate).encode())
        return digest.hexdigest()

    def note(self, *notes: str) -> Listing:
        return replace(self, notes=(*self.notes, *notes))

    def column(self, name: str, role: str = "") -> list:
        """A column's values. The error for a missing one lists those that exist."""
        if name not in self.columns:
            near = did_you_mean(name, self.columns)
            how = f"; name the one that is meant: {setting(role, COLUMN)}" if role and not near else ""
            there = f"it has {listed(list(self.columns))}" if self.columns else "nothing stands beside its files"
            raise DataError(f"{self.source} has no column {name!r}: {there}{near}{how}")
        return self.columns[name]

    def strings(self, name: str, role: str = "") -> list[str | None]:
        """A column as text: None where it is empty; whole floats without their ".0"."""
        return [None if is_absent(value) else _text(value) for value in self.column(name, role)]


def read(source: object, column: str | None = None, *, kind: Kind = "sound", **reading: Unpack[Reading]) -> Listing:
    """The items of a source, and what stands beside them.

    Example: `read("clips.csv", "file").columns["text"]`; `read("a.wav").items` is `[Path("a.wav")]`.

    Args:
        source: a table (csv, tsv, jsonl, parquet, xlsx) whose column `column` names files beside it; a folder
            (`layouts`: a.wav beside a.txt, LibriSpeech, LJSpeech, a table within, a folder for each class); COCO's
            JSON or Flickr8k's list of captions; a file of the kind, or a list of such; arrays, pairs (arrays, texts),
            a list of dicts, a mapping of columns or a frame (`memory`).
        column: the column of files or arrays; None looks for it by name, then by content, and notes it.
        kind: "sound", "picture", "film" or "vectors".
        reading: as of `read_table`.

    Raises: DataError that names source, row, column, and what to do.
    """
    must_be_kind(kind)
    if isinstance(source, Listing):
        return source
    if not isinstance(source, str | Path):
        return _listing(memory.rows(source, kind, column), kind, column, Path())
    path = Path(source)
    must_exist(path)
    if path.is_dir():
        return _folder(path, kind, column, reading)
    if _is_item(path):
        return _files(Rows.of_files([path], str(path)), kind)
    captioned = layouts.captioned(path)
    return _listing(captioned or _rows(read_table(path, **reading)), kind, column, path.parent)


def text_column(
    listing: Listing, given: str | None = None, role: str = "text", names: tuple[str, ...] = TEXTS
) -> tuple[Listing, str]:
    """The listing with a note, and its column of texts: the one given, else by its name, else the longest texts."""
    if given is not None:
        listing.column(given, role)
        return listing, given
    found = called(listing.columns, names)
    others = [name for name in listing.columns if name not in found and listing.columns[name] != listing.names]
    others = [name for name in others if any(isinstance(value, str) for value in listing.columns[name])]
    if not found and not others:
        raise DataError(f"{listing.source} has no column of texts beside its files; {_needed(listing, role)}")
    name = found[0] if found else max(others, key=lambda name: _length(listing.strings(name)))
    return listing.note(f"{role} is column {name!r}"), name


def _needed(listing: Listing, role: str) -> str:
    have = f"it has {listed(list(listing.columns))}: " if listing.columns else ""
    return f"{have}name one ({setting(role, COLUMN)}), or lay a.txt beside each file a"


def _length(texts: list[str | None]) -> float:
    return sum(len(text or "") for text in texts) / max(len(texts), 1)


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


# -- files and folders ------------------------------------------------------------------------------------------


def _is_item(path: Path) -> bool:
    """Whether a file is itself what is to be read: by its name, or as it is no table and no text."""
    end = path.suffix.lower()
    return end in ANY or (end not in (*SUFFIXES, ".xlsx", ".xls", ".gz", ".db") and not _is_text(path))


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return b"\0" not in file.read(1000)


def _folder(path: Path, kind: Kind, column: str | None, reading: Reading) -> Listing:
    tables = layouts.tables(path)
    special = layouts.special(path, kind)
    if special:
        return _files(special, kind)
    if len(tables) > 1:
        names = listed([table.name for table in tables])
        raise DataError(f"{path} holds several tables ({names}); name the one that is meant: {tables[0]}")
    if tables:
        return read(tables[0], column, kind=kind, **reading).note(f"{tables[0].name} lists the files")
    return _files(layouts.plain(path, kind, reading.get("encoding")), kind)


def _files(rows: Rows, kind: Kind) -> Listing:
    """A listing of rows whose files are known."""
    items: list[Item] = list(rows.files)
    names = [path.name for path in rows.files]
    return Listing(items, rows.columns, rows.where, rows.notes, rows.source, kind, names)


def _rows(table: Table) -> Rows:
    columns = {name: table.frame[name].to_list() for name in table.columns}
    return Rows(columns, table.source, table.where, table.notes)


# -- columns ----------------------------------------------------------------------------------------------------


def _listing(rows: Rows, kind: Kind, column: str | None, base: Path) -> Listing:
    """A listing of rows one of whose columns names files below `base`, or holds arrays."""
    if rows.files:
        return _files(rows, kind)
    name, notes = column_of(rows, kind, column, base)
    values = rows.columns[name]
    written = [value if isinstance(value, str) else str(value) if isinstance(value, Path) else "" for value in values]
    must_be_named(values, rows, name)
    paths, told = located(written, base, MEDIA[kind].suffixes)
    of_rate = rates(rows, name)
    items = [
        path if text else memory.item(value, rate, rows.where(row), kind)
        for row, (value, text, path, rate) in enumerate(zip(values, written, paths, of_rate, strict=True))
    ]
    where = _placed(rows.where, written)
    columns = {key: values for key, values in rows.columns.items() if key != name or any(written)}
    return Listing(items, columns, where, (*rows.notes, *notes, *told), rows.source, kind, written)


def _placed(where: Callable[[int], str], written: list[str]) -> Callable[[int], str]:
    return lambda row: f"{where(row)} ({written[row]})" if written[row] else where(row)
