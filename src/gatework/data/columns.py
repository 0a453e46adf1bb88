"""Which column of a table holds the texts, and which the labels: by its name, else by what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import polars as pl

from gatework.data.dates import TIMES
from gatework.data.numerals import read_numbers
from gatework.data.suggest import COLUMN, setting
from gatework.data.table import Table, listed
from gatework.errors import DataError

TEXT_NAMES = (
    "text",
    "review",
    "sentence",
    "message",
    "content",
    "question",
    "body",
    "comment",
    "tweet",
    "title",
    "document",
)
LABEL_NAMES = (
    "label",
    "labels",
    "class",
    "category",
    "target",
    "sentiment",
    "topic",
    "intent",
    "y",
    "tag",
    "language",
    "rating",
)
SAMPLE = 1_000  # rows by which a column is judged
DATE = 35  # characters that a date has at most
FEW = 20  # different values that any column of labels may have


def infer_columns(table: Table, text: str | None = None, label: str | None = None) -> tuple[str, str, Table]:
    """Names of the text column and the label column, and the table with a note of them.

    A column's name decides, else its content: the text is the column with the longest average, the label that with the
    fewest different values; dates are neither. Where several fit, the table doubts its choice.
    """
    if text is not None:
        _refuse_absent(table, text)
    if label is not None:
        _refuse_label(table, label, text)
    asked = text, label
    text = text or _text(table, {label})
    label = label or _label(table, text)
    table = table.note(f"text is column {text!r}, label is column {label!r}")
    doubts = [] if asked[0] else _doubts(table, "text", text, _texts(table, text, label))
    doubts += [] if asked[1] else _doubts(table, "label", label, _labels(table, text, label))
    return text, label, table.doubt(*doubts)


def infer_label(table: Table, beside: str, label: str | None = None) -> tuple[str, Table]:
    """Name of the label column beside a column of files, and the table with a note of it; see `infer_columns`."""
    if label is not None:
        _refuse_label(table, label, beside)
        return label, table
    label = _label(table, beside)
    doubts = _doubts(table, "label", label, _labels(table, beside, label))
    return label, table.note(f"label is column {label!r}").doubt(*doubts)


def infer_text(table: Table, text: str | None = None) -> str:
    """The text column of a table that need not have labels: the one training used, if it is there."""
    if text is not None and text in table.columns:
        return text
    if text is not None and table.columns != ["text"]:
        _refuse_absent(table, text)
    return _text(table, set())


def called(columns: Iterable[str], names: tuple[str, ...]) -> list[str]:
    """The columns with one of these names (also "doc.text"), the most usual name first."""
    lower = {name.lower().rpartition(".")[2]: name for name in columns} | {name.lower(): name for name in columns}
    return [lower[name] for name in names if name in lower]


def _called(table: Table, names: tuple[str, ...], taken: set[str | None]) -> list[str]:
    return called([name for name in table.columns if name not in taken], names)


def _refuse_label(table: Table, name: str, beside: str | None) -> None:
    table.column(name, "label", next(iter(_called(table, LABEL_NAMES, {beside})), ""))


def _refuse_absent(table: Table, name: str) -> None:
    """Refuses a name that is not there, with the likeliest one in its place."""
    if name not in table.columns:
        table.column(name, "text", _text(table, set()))


def _text(table: Table, taken: set[str | None]) -> str:
    named = _called(table, TEXT_NAMES, taken)
    columns = [name for name in table.columns if name not in taken]
    if not columns:
        raise DataError(f"{table.source} has one column, {table.columns[0]!r}; a text column beside it is needed")
    return named[0] if named else max(_rather(table, columns, _is_text), key=lambda name: _length(table, name))


def _label(table: Table, text: str) -> str:
    named = _called(table, LABEL_NAMES, {text})
    columns = [name for name in table.columns if name not in (text, table.counter)]
    if not columns:
        raise DataError(
            f"{table.source} has no column of labels beside {text!r} (columns: {listed(table.columns)}); name one: "
            f"{setting('label', COLUMN)}"
        )
    return named[0] if named else min(_rather(table, columns, _may_be_label), key=lambda name: _kinds(table, name))


def _rather(table: Table, names: list[str], fits: Callable[[Table, str], bool]) -> list[str]:
    """Those that fit, or all where none does."""
    return [name for name in names if fits(table, name)] or names


# -- several that fit ---------------------------------------------------------------------------------------


def _texts(table: Table, text: str, label: str) -> list[str]:
    """The other columns that could be the text: by their names where its name decided, else about as long."""
    if text in (named := _called(table, TEXT_NAMES, {label})):
        return [name for name in named if name != text and _is_text(table, name)]
    least = _length(table, text) / 2
    others = [name for name in table.columns if name not in (text, label)]
    return [name for name in others if _is_text(table, name) and _length(table, name) >= least]


def _labels(table: Table, text: str, label: str) -> list[str]:
    """The other columns that could be the label: by their names where its name decided, else of few values."""
    if label in (named := _called(table, LABEL_NAMES, {text})):
        return [name for name in named if name != label and _may_be_label(table, name)]
    most = max(2 * _kinds(table, label), FEW)
    others = [name for name in table.columns if name not in (text, label, table.counter)]
    return [name for name in others if _may_be_label(table, name) and _kinds(table, name) <= most]


def _doubts(table: Table, role: str, name: str, others: list[str]) -> list[str]:
    """A doubt where others fit too, unless the column is called just as its role is."""
    if not others or name.lower() == role:
        return []
    text = f"{table.source}: column {name!r} is taken as the {role}, but {listed(others)} would fit too; to say which, "
    return [f"{text}pass {setting(role, others[0])}"]


# -- what a column holds ------------------------------------------------------------------------------------


def _is_text(table: Table, name: str) -> bool:
    """Whether a column's values are neither numbers nor dates."""
    column = table.column(name).head(SAMPLE)
    if column.dtype != pl.String or _is_dates(column):
        return False
    return bool(read_numbers(column, table.format.get("delimiter")).bad.any())


def _may_be_label(table: Table, name: str) -> bool:
    """Whether a column has several values, some of them more than once, and is no date."""
    return not _is_dates(table.column(name).head(SAMPLE)) and 1 < _kinds(table, name) < len(table)


def _is_dates(column: pl.Series) -> bool:
    if column.dtype != pl.String:
        return column.dtype.is_temporal()
    cells = column.drop_nulls()
    return bool(len(cells) and (cells.str.len_chars() <= DATE).all() and cells.str.contains(TIMES).all())


def _length(table: Table, name: str) -> float:
    lengths = table.column(name).cast(pl.String).str.len_chars()
    return float(lengths.sum() or 0) / max(len(lengths), 1)


def _kinds(table: Table, name: str) -> int:
    return table.column(name).n_unique()
