"""Sources -> pairs of texts: tables, a file for each side, lists and frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gatework.data import readers
from gatework.data.files import plain, read_text
from gatework.data.given import given_texts
from gatework.data.readers import form_of, read_table
from gatework.data.suggest import setting
from gatework.data.table import Table, listed
from gatework.errors import DataError, OptionError
from gatework.tasks.base import Source
from gatework.tasks.translate.alignment import unequal
from gatework.tasks.translate.checks import check, overlap
from gatework.tasks.translate.columns import chosen, names_columns
from gatework.tasks.translate.pairs import Pairs

__all__ = ["Reading", "check", "named", "overlap", "read"]

TABLES = (".tsv", ".csv", ".jsonl", ".parquet", ".xlsx")
NOT_PAIRED = (
    "is one text a line; give the translations in a second column, with a tab between, or in a file of their own: "
    "--target FILE (in Python: the pair of files)"
)


class Reading(Protocol):
    """The options that say how a source is read: see `TranslateOptions`."""

    @property
    def format(self) -> str | None: ...
    @property
    def encoding(self) -> str | None: ...
    @property
    def source_column(self) -> str | None: ...
    @property
    def target_column(self) -> str | None: ...
    @property
    def delimiter(self) -> str | None: ...
    @property
    def header(self) -> bool | None: ...
    @property
    def quote(self) -> str | None: ...
    @property
    def bad_rows(self) -> str: ...
    @property
    def bad_pairs(self) -> str: ...


def named(file: Path | None, source: str | None, target: str | None) -> Path | tuple[Path, Path] | None:
    """The source that a command names: FILE or the file of the texts, and where there is one, that of the translations.

    Raises: OptionError where the texts are named twice, or translations of none.
    """
    if file is not None and source is not None:
        raise OptionError(f"{file} and {source}: both name the texts; name one file")
    first = file if source is None else Path(source)
    if first is None and target is not None:
        raise OptionError(f"{target} holds translations; name the file of the texts, too: FILE, or --source")
    return first if first is None or target is None else (first, Path(target))


def read(source: Source, options: Reading, *, paired: bool = True, whole: bool = False) -> Pairs:
    """Pairs of any source.

    Example: `read(("train.de", "train.en"), TranslateOptions()).where(0)` is "train.de, line 1 (train.en, line 1)".

    Args:
        source: a table with a column for each side (tsv, csv, jsonl, parquet, xlsx; also as .gz), two files of lines
            (a tuple), two lists (a tuple), a list of pairs, a list of objects, or a frame; without targets also a file
            of lines, or a list of texts.
        options: how it is read.
        paired: whether there must be targets; without, none are read, and each line keeps its place.
        whole: each pair keeps its place, also a blank one.

    Pairs without a letter on either side are left out, as blank lines are, and a note says so.

    Raises: DataError that names file, line and what to do.
    """
    if isinstance(source, Pairs):
        return source if paired else replace(source, targets=None)
    files = _files(source)
    if len(files) == 2 and paired:
        found = _of_two_files(files[0], files[1], options)
    elif files:
        found = _of_file(files[0], options, paired)
    else:
        found = _of_memory(source, options, paired)
    _must_be_whole(found)
    return (
        found if found.targets is None or whole else _without_blank(found, found.targets, options.bad_pairs == "skip")
    )


def _files(source: Source) -> list[Path]:
    """The files of a source: one, or a tuple of two."""
    parts: list[Any] = list(source) if isinstance(source, tuple) and len(source) == 2 else [source]
    return [Path(part) for part in parts] if all(isinstance(part, str | Path) for part in parts) else []


# -- files --------------------------------------------------------------------------------------------------


def _of_two_files(first: Path, second: Path, options: Reading) -> Pairs:
    for file in (first, second):
        if options.format is None and file.name.removesuffix(".gz").endswith(TABLES):
            raise DataError(
                f"{file} is a table by its name, and holds both sides: leave the other file out; or, to read its lines "
                f"as texts, pass {setting('format', 'lines')}"
            )
    sources, targets = _lines(first, options.encoding), _lines(second, options.encoding)
    if len(sources) != len(targets):
        raise DataError(unequal(sources, targets, str(first), str(second)))
    where = lambda row: f"{first}, line {row + 1} ({second}, line {row + 1})"  # noqa: E731
    return Pairs(sources, targets, where, "files", f"{first} and {second}")


def _of_file(path: Path, options: Reading, paired: bool) -> Pairs:
    """A table, or without targets lines; what the name does not say, the content does."""
    form = options.format or form_of(path)
    if form == "lines":
        if paired:
            raise DataError(f"{path} {NOT_PAIRED}")
        lines = _lines(path, options.encoding)
        return Pairs(lines, None, lambda row: f"{path}, line {row + 1}", "lines", str(path))
    if form not in ("tsv", "csv", "jsonl", "parquet", "excel"):
        raise DataError(f"{path} is read as {form}, which holds no pairs; give a table, or lines in two files")
    return _of_table(_table(path, form, options), form, options, paired)


def _table(path: Path, form: str, options: Reading) -> Table:
    """The rows of a table; a first row of texts is no header."""
    how: readers.Reading = {
        "format": form if form in ("tsv", "csv", "jsonl") else None,
        "encoding": options.encoding,
        "delimiter": options.delimiter,
        "header": options.header,
        "bad_rows": options.bad_rows,
        "quote": options.quote,
    }
    table = read_table(path, **how)
    asked = (options.source_column, options.target_column)
    if options.header is None and table.format.get("header") and not names_columns(table.columns, asked):
        table = read_table(path, **{**how, "header": False})
        return table.note(f"the first row is a pair; if it names the columns, pass {setting('header', True)}")
    return table


def _lines(path: Path, encoding: str | None) -> list[str]:
    text = plain(read_text(path, encoding))
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]


def _of_table(table: Table, form: str, options: Reading, paired: bool) -> Pairs:
    first, second = chosen(table, options.source_column, options.target_column, paired)
    others = [name for name in table.columns if name not in (first, second)]
    notes = [f"{table.source}: the source is {first!r}" + (f", the target is {second!r}" if second else "")]
    notes += [f"{table.source}: not read: {listed(others)}"] if others and paired else []
    texts = {name: table.strings(name).fill_null("").to_list() for name in (first, second) if name}
    return Pairs(
        texts[first], texts[second] if second else None, table.where, form, table.source, (*table.notes, *notes)
    )


# -- memory -------------------------------------------------------------------------------------------------


def _of_memory(source: Source, options: Reading, paired: bool) -> Pairs:
    """Pairs of lists or a frame."""
    if isinstance(source, tuple) and len(source) == 2 and not all(isinstance(part, str) for part in source):
        return _of_sides(*source) if paired else _of_texts(source[0])
    if isinstance(source, Mapping) or hasattr(source, "columns"):
        return _of_table(read_table(source), "rows", options, paired)
    rows = _listed(source)
    if rows and all(isinstance(row, Mapping) for row in rows):
        names = dict.fromkeys(name for row in rows for name in row)
        return _of_table(read_table({name: [row.get(name) for row in rows] for name in names}), "rows", options, paired)
    if rows and all(isinstance(row, tuple | list) for row in rows):
        odd = next((number for number, row in enumerate(rows, 1) if len(row) != 2), None)
        if odd is not None:
            raise DataError(f"pair {odd}: {len(rows[odd - 1])} part(s); each pair is a text and its translation")
        sources, targets = zip(*rows, strict=True)
        return _of_sides(sources, targets) if paired else _of_texts(sources)
    if rows and not paired:
        return _of_texts(rows)
    what = f"{len(rows):,} texts without translations" if rows else type(source).__name__
    raise DataError(
        f"cannot read pairs from {what}: give a path, a pair of paths, or a list such as [('ein Haus', 'a house')]"
    )


def _listed(source: Source) -> list[Any]:
    """The rows of a list, an array or a series; [] of anything else."""
    if hasattr(source, "to_list") or hasattr(source, "tolist"):
        return source.to_list() if hasattr(source, "to_list") else source.tolist()
    return list(source) if isinstance(source, Sequence) and not isinstance(source, str | bytes) else []


def _of_sides(sources: object, targets: object) -> Pairs:
    first, second = _texts(sources), _texts(targets)
    if len(first) != len(second):
        raise DataError(unequal(first, second, "the list of sources", "the list of targets", "text"))
    return Pairs(first, second, lambda row: f"pair {row + 1}", "rows", "the given pairs")


def _of_texts(texts: object) -> Pairs:
    return Pairs(_texts(texts), None, lambda row: f"text {row + 1}", "rows", "the given texts")


def _texts(values: object) -> list[str]:
    return given_texts(values).fill_null("").to_list()


# -- what no pair may be ------------------------------------------------------------------------------------


def _must_be_whole(pairs: Pairs) -> None:
    """Refuses half a character, which some encodings can give (utf-7)."""
    for texts in (pairs.sources, pairs.targets or []):
        try:
            "".join(texts).encode()
        except UnicodeEncodeError as error:
            half = error.object[error.start]
            row = next(row for row, text in enumerate(texts) if half in text)
            raise DataError(f"{pairs.where(row)}: holds half a character ({half!r}); write it anew") from None


def _without_blank(pairs: Pairs, targets: list[str], skip: bool) -> Pairs:
    """Without the pairs whose sides are both blank; with `skip`, of which one is."""
    blank = np.array([[not side.strip() for side in pair] for pair in zip(pairs.sources, targets, strict=True)])
    notes, gone = [], np.zeros(len(pairs), bool)
    for what, rows in (("both sides", blank.all(1)), ("a side", skip & (blank.sum(1) == 1))):
        if rows.any():
            first = pairs.where(int(rows.argmax()))
            notes.append(f"{int(rows.sum()):,} pairs of which {what} is blank are left out (first: {first})")
            gone |= rows
    if gone.all():
        raise DataError(f"{pairs.source} has no pair with text on both sides; give at least one")
    return replace(pairs.take(np.flatnonzero(~gone)), notes=(*pairs.notes, *notes)) if notes else pairs
