"""Any source of rows -> a Table: files by their kind, folders, and frames in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import polars as pl

from gatework.data import fasta
from gatework.data.delimited import read_delimited
from gatework.data.excel import read_excel
from gatework.data.files import (
    COLUMNS,
    decode,
    in_memory,
    must_exist,
    must_fit,
    plain,
    read_bytes,
    read_text,
)
from gatework.data.given import column_of
from gatework.data.suggest import setting
from gatework.data.table import Table, listed
from gatework.errors import DataError, OptionError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = {".csv": "csv"}
SUFFIXES |= dict.fromkeys((".tsv", ".tab"), "tsv") | dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl")
SUFFIXES |= dict.fromkeys((*fasta.FASTA, *fasta.FASTQ), "fasta")
SUFFIXES |= dict.fromkeys((".parquet", ".pq"), "parquet") | dict.fromkeys((".txt", ".text", ".md"), "lines")


class Reading(TypedDict, total=False):
    """How files are read: options of `read_table`, which other readers take and hand on."""

    format: str | None
    encoding: str | None
    delimiter: str | None
    header: bool | None
    bad_rows: str
    quote: str | None


ZIP = "a zip archive"
BINARY = {b"PK\x03\x04": ZIP, b"\xd0\xcf\x11\xe0": "excel", b"%PDF": "a PDF document", b"\x89PNG": "a picture"}
BINARY |= {b"\xff\xd8\xff": "a picture", b"SQLite format 3": "a database", b"7z\xbc\xaf": "a 7z archive"}
FORMATS = ("csv", "tsv", "jsonl", "parquet", "lines", "labelled", "fasta")


def read_table(
    source: object,
    *,
    format: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    bad_rows: str = "refuse",
    quote: str | None = None,
) -> Table:
    """Rows from a file, a folder or a frame.

    Example: `read_table("reviews.csv").columns` is `["review", "sentiment"]`; `.where(0)` is "reviews.csv, line 2".

    Args:
        source: a path (csv, tsv, jsonl, parquet, xlsx, lines of text, FASTA and FASTQ, each also as .gz; a folder of
            texts), a polars or pandas frame, or a mapping of columns.
        format: one of FORMATS; None goes by the name, else by the content. "lines" gives one column "text";
            "labelled" splits each line after its first word into "label" and "text".
        encoding, delimiter, header, bad_rows, quote: see `read_text`, `read_delimited`.

    Raises: DataError that names file, line and what to do.
    """
    if format is not None and format not in FORMATS:
        raise OptionError(f"format cannot be {format!r}; there are: {', '.join(FORMATS)}")
    if not isinstance(source, str | Path):
        return _from_memory(source)
    path = Path(source)
    must_exist(path)
    with in_memory(str(path)):
        if path.is_dir():
            return _read_folder(path, encoding)
        data = read_bytes(path)
        kind = _binary(data, str(path)) or format or SUFFIXES.get(_suffix(path)) or _sniff(data)
        if kind == "excel":
            return read_excel(data, str(path), header)
        if kind == "parquet":
            return _read_parquet(data, str(path))
        text = plain(decode(data, str(path), encoding))
        if kind == "jsonl":
            return _read_jsonl(text, str(path))
        if kind == "fasta":
            return fasta.as_table(fasta.parse(text, str(path)))
        if kind in ("lines", "labelled"):
            return _read_lines(text, str(path), kind if format else None)
        delimiter = delimiter or ("\t" if kind == "tsv" else None)
        return read_delimited(text, str(path), delimiter=delimiter, header=header, bad_rows=bad_rows, quote=quote)


def form_of(path: Path) -> str:
    """The form of a file: one of FORMATS or "excel", by its name, and of a text without such a name by its content."""
    data = read_bytes(path)
    named = _binary(data, str(path)) or SUFFIXES.get(_suffix(path), "lines")
    return _sniff(data) if named == "lines" else named


def _binary(data: bytes, source: str) -> str | None:
    """ "excel" for its files; an error for other files that are known to be no text."""
    what = next((what for start, what in BINARY.items() if data.startswith(start)), None)
    if what == ZIP and b"xl/" in data:
        return "excel"
    if what is not None and what != "excel":
        raise DataError(f"{source} is {what}, not a table; save its table as .csv, .xlsx, .jsonl or .parquet")
    return what


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix == ".gz" else path.suffix.lower()


def _sniff(data: bytes) -> str:
    if data.startswith(b"PAR1"):
        return "parquet"
    head = data[:200_000].decode("utf-8", "replace")
    if head.lstrip().startswith("{"):
        return "jsonl"
    lines = [line for line in head.splitlines()[:20] if line.strip()]
    tabs = sum("\t" in line for line in lines)
    return "tsv" if tabs and tabs >= 0.8 * len(lines) else "lines"


def _from_memory(source: Any) -> Table:
    if isinstance(source, Table):
        return source
    if isinstance(source, pl.DataFrame):
        return Table(source, "the polars frame")
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        columns = {str(name): _plain(source[name]) for name in source.columns}
        index = [str(label) for label in source.index]
        return Table(pl.DataFrame(columns), "the pandas frame", lambda row: f"row {row + 1} (index {index[row]})")
    if isinstance(source, Mapping):
        columns = {name: column_of(values) for name, values in source.items()}
        return Table(pl.DataFrame(columns, strict=False), "the given columns")
    raise DataError(f"cannot read rows from {type(source).__name__}: give a path, a frame or a mapping of columns")


def _plain(column: pd.Series) -> pl.Series:
    values = column.to_list()
    plain = isinstance(column.dtype, np.dtype) and column.dtype != object
    return pl.Series(values if plain else column_of(values), strict=False)


def _read_parquet(data: bytes, source: str) -> Table:
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        cause = str(error).splitlines()[0]
        raise DataError(f"{source}: not a whole parquet file ({cause}); was it cut short? Fetch it again") from None
    if not frame.height:
        raise DataError(f"{source} has columns ({listed(frame.columns)}) and no rows")
    return Table(frame, source, notes=(f"columns: {listed(frame.columns)}",))


def _read_jsonl(text: str, source: str) -> Table:
    records, lines = read_objects(text, source)
    frame = _frame(records, source, lines)
    return Table(frame, source, lambda row: f"line {lines[row]}", (f"columns: {listed(frame.columns)}",))


def read_objects(text: str, source: str) -> tuple[list[dict[str, Any]], list[int]]:
    """The objects of JSON lines, or of one JSON list, and the line (in a list: the place) of each."""
    records, lines = [], []
    try:
        if text.lstrip().startswith("["):
            records = _json(text, source, 1)
            lines = list(range(1, len(records) + 1))
        else:
            for number, line in enumerate(text.split("\n"), 1):
                if line.strip():
                    records.append(_json(line, source, number))
                    lines.append(number)
    except RecursionError:
        raise DataError(f"{source}: lists or objects within others, nested too deeply to be data") from None
    for number, record in zip(lines, records, strict=True):
        if not isinstance(record, dict):
            raise DataError(f'{source}, line {number}: {str(record)[:40]!r} is not an object like {{"text": "..."}}')
    return records, lines


def _json(line: str, source: str, number: int) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        place = f"line {number + error.lineno - 1}, character {error.colno}"
        raise DataError(f"{source}, {place}: not JSON ({error.msg}); each line must be one object") from None
    except ValueError as error:  # Python's limit of digits
        raise DataError(f"{source}, line {number}: a number is too long ({error}); write it in quotes") from None


def _fields_of(record: dict, prefix: str = "") -> dict:
    """Objects within an object as fields of their own: {"doc": {"text": "a"}} has the field "doc.text"."""
    if not any(isinstance(value, dict) for value in record.values()):
        return {prefix + name: value for name, value in record.items()} if prefix else record
    flat: dict = {}
    for name, value in record.items():
        flat |= _fields_of(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {prefix + name: value}
    return flat


def _frame(records: list[dict], source: str, lines: list[int]) -> pl.DataFrame:
    records = [_fields_of(record) for record in records]
    names = dict.fromkeys(name for record in records for name in record)
    if not names:
        raise DataError(f'{source}: no object has a field; each line must be one like {{"text": "..."}}')
    cells = len(names) * len(records)
    if len(names) > COLUMNS or cells > 1_000_000 + 100 * sum(map(len, records)):
        what = f"{len(records):,} objects have {len(names):,} different fields"
        raise DataError(f"{source}: {what}; give all the same, at most {COLUMNS:,}")
    must_fit(100 * cells)
    try:
        return pl.DataFrame([_column(name, [_flat(record.get(name)) for record in records]) for name in names])
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        texts = ("".join(map(str, (*record, *record.values()))) for record in records)
        line = next(line for line, text in zip(lines, texts, strict=True) if half in text)
        raise DataError(f"{source}, line {line}: holds half a character ({half!r}); write it anew") from None


def _column(name: str, values: list[Any]) -> pl.Series:
    """Values of one type; where they have none in common, their texts."""
    column = pl.Series(name, values, strict=False)
    if column.dtype != pl.Object:
        return column
    return pl.Series(name, [None if value is None else str(value) for value in values], pl.String)


def _flat(value: Any) -> Any:
    """A value as a cell: lists and objects as JSON, whole numbers beyond 64 bits as text."""
    if isinstance(value, dict | list):
        return json.dumps(value)
    return str(value) if type(value) is int and not -(2**63) <= value < 2**63 else value


def _read_lines(text: str, source: str, kind: str | None) -> Table:
    """One text a line; split after the first word where that word is a label."""
    numbered = [(number, line.strip("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not numbered:
        raise DataError(f"{source} has no line of text; give at least one")
    lines = pl.Series("text", [line for _, line in numbered])
    place = lambda row: f"line {numbered[row][0]}"  # noqa: E731
    if kind == "labelled" or (kind is None and _labelled(lines)):
        parts = lines.str.strip_chars_start().str.splitn(" ", 2).struct.rename_fields(["label", "text"]).struct.unnest()
        parts = parts.with_columns(pl.col("label").str.strip_prefix("__label__"), pl.col("text").fill_null(""))
        note = f"each line begins with its label; if not, pass {setting('format', 'lines')}"
        return Table(parts, source, place, (note,), {"format": "labelled"})
    return Table(lines.to_frame(), source, place, ("one text a line: column text",), {"format": "lines"})


def _labelled(lines: pl.Series) -> bool:
    """Few different first words, each of them often: labels, as in fastText's and many research files."""
    first = lines.str.strip_chars_start().str.split(" ").list.first()
    if first.str.starts_with("__label__").all():
        return True
    counts = first.value_counts()[:, 1]
    return len(lines) >= 20 and 2 <= len(counts) <= max(2, len(lines) // 10) and bool((counts > 1).all())


def _read_folder(path: Path, encoding: str | None) -> Table:
    """A folder per class that holds a file per text, or a file per class that holds a text per line."""
    visible = sorted(child for child in path.iterdir() if not child.name.startswith("."))
    folders = [child for child in visible if child.is_dir()]
    files = [child for child in visible if child.is_file()]
    if not folders and not files:
        raise DataError(f"{path} is an empty folder; it needs a folder per class, or a text file per class")
    rows: list[tuple[str, str, str]] = []
    for folder in folders:
        texts = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        rows += [(folder.name, read_text(file, encoding), str(file.relative_to(path))) for file in texts]
    for file in [] if folders else files:
        lines = enumerate(read_text(file, encoding).split("\n"), 1)
        rows += [
            (file.stem.removesuffix(".txt"), line.strip("\r"), f"{file.name}, line {n}")
            for n, line in lines
            if line.strip()
        ]
    frame = pl.DataFrame({"label": [row[0] for row in rows], "text": [row[1] for row in rows]})
    note = "labels are the names of the folders" if folders else "labels are the names of the files, one text a line"
    return Table(frame, str(path), lambda row: rows[row][2], (note,))
