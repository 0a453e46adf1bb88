"""Which column of a table names files of a kind, or holds arrays: by its name and by what it holds."""

from __future__ import annotations

from pathlib import Path

from gatework.data.columns import called
from gatework.data.given import is_absent
from gatework.data.media import memory
from gatework.data.media.kinds import ANY, MEDIA, Kind
from gatework.data.media.places import located
from gatework.data.media.rows import Rows
from gatework.data.suggest import COLUMN, did_you_mean, setting
from gatework.data.table import listed
from gatework.errors import DataError

RATES = ("rate", "sampling_rate", "sample_rate", "samplerate", "sr")
ROLE = {"sound": "audio", "picture": "image", "film": "video", "vectors": "vectors"}  # the options that name the column


def column_of(rows: Rows, kind: Kind, column: str | None, base: Path) -> tuple[str, tuple[str, ...]]:
    """The column of files below `base`, or of arrays, and a note of it where nobody named it.

    Raises: DataError where there is none, or none of that name.
    """
    column = column or rows.column
    return (_given(rows, kind, column), ()) if column is not None else _found(rows, kind, base)


def _given(rows: Rows, kind: Kind, column: str) -> str:
    if column not in rows.columns:
        near = did_you_mean(column, rows.columns)
        how = near or f"; name the one that is meant: {setting(ROLE[kind], COLUMN)}"
        raise DataError(f"{rows.source} has no column {column!r}: it has {listed(list(rows.columns))}{how}")
    return column


def _found(rows: Rows, kind: Kind, base: Path) -> tuple[str, tuple[str, ...]]:
    """The column of files or arrays: of those that hold such the one with the most usual name, else the first."""
    own = {name: values for name, values in rows.columns.items() if not _of_another(name, kind)}
    fitting = {name: values for name, values in own.items() if _holds_items(values, kind, base)}
    if not fitting:
        what = f"no column names files of {MEDIA[kind].plural} ({', '.join(MEDIA[kind].suffixes[:4])}, ...)"
        how = setting(ROLE[kind], COLUMN)
        raise DataError(
            f"{rows.source}: {what}; it has {listed(list(rows.columns))}: name the one that is meant: {how}"
        )
    name = next(iter(called(fitting, MEDIA[kind].columns)), next(iter(fitting)))
    others = [other for other in fitting if other != name]
    would = f" ({listed(others)} would fit too)" if others else ""
    return name, (f"{ROLE[kind]} is column {name!r}{would}",)


def _of_another(name: str, kind: Kind) -> bool:
    """Whether a column is called as another kind's are: `video` of gifs, each of which could be read as a picture."""
    called_so = {each for each, medium in MEDIA.items() if name.strip().lower() in medium.columns}
    return bool(called_so) and kind not in called_so


def _holds_items(values: list, kind: Kind, base: Path) -> bool:
    """Whether a column's first values are arrays, or the names of files of the kind."""
    some = [value for value in values[:200] if not _missing(value)][:50]
    if not some:
        return False
    if all(memory.is_array(value) for value in some):
        return True
    texts = [str(value) for value in some if isinstance(value, str | Path)]
    suffixes = MEDIA[kind].suffixes
    if len(texts) < len(some):
        return False
    if 2 * sum(text.lower().endswith(suffixes) for text in texts) >= len(texts):
        return True
    unknown = [text for text in texts[:5] if not text.lower().endswith(ANY)]
    return any(_is(path, kind) for path in located(unknown, base, suffixes)[0])


def _is(path: Path, kind: Kind) -> bool:
    return path.is_file() or (kind == "film" and path.is_dir())


def must_be_named(values: list, rows: Rows, name: str) -> None:
    lacking = [row for row, value in enumerate(values) if _missing(value)]
    if lacking:
        more = f" ({len(lacking)} such rows)" if len(lacking) > 1 else ""
        raise DataError(f"{rows.where(lacking[0])}, column {name!r}: names no file{more}; name it or delete the row")
    address = next((row for row, value in enumerate(values) if isinstance(value, str) and "://" in value), None)
    if address is not None:
        said = f"{values[address]!r:.60} is an address"
        raise DataError(f"{rows.where(address)}, column {name!r}: {said}; fetch the files first, and name them")


def _missing(value: object) -> bool:
    return is_absent(value) or (isinstance(value, str) and not value.strip())


def rates(rows: Rows, column: str) -> list[object]:
    """What the table says of each recording's rate."""
    name = next(iter(called([name for name in rows.columns if name != column], RATES)), None)
    return rows.columns[name] if name else [None] * len(rows)
