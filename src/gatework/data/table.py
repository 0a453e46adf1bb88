"""A table that knows where each of its rows came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl

from gatework.data.given import kind_of_names
from gatework.data.numerals import read_numbers
from gatework.data.suggest import COLUMN, did_you_mean, nearest, setting
from gatework.errors import DataError


def listed(names: list[str], limit: int = 12) -> str:
    """The names with commas between, the first of many."""
    more = f", ... ({len(names)} in all)" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


NUMBERING = re.compile(r"(?i)^(Unnamed: \d+(\.\d+)?|column_1|id|idx|index|n[or]\.?|#|row([_ ]?(id|no|num|number))?|)$")
UNNAMED = re.compile(r"^(Unnamed: 0(\.\d+)?|column_1|)$")


@dataclass(frozen=True)
class Table:
    """Rows of a file or frame. `place(row)` is where row `row` (from 0) of the source stands: "line 17".

    `notes` say how it was read, `doubts` what may have been read wrongly.

    Example: `Table(pl.DataFrame({"text": ["a", "b"]}), "a frame").where(1)` is "a frame, row 2".
    """

    frame: pl.DataFrame
    source: str
    place: Callable[[int], str] = lambda row: f"row {row + 1}"
    notes: tuple[str, ...] = ()
    format: dict = field(default_factory=dict)
    rows: np.ndarray | None = None
    doubts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.frame.height

    @property
    def columns(self) -> list[str]:
        return self.frame.columns

    @property
    def counter(self) -> str | None:
        """The first column where it has no name and numbers the rows: what the index of a frame becomes in a file."""
        name = self.columns[0] if self.columns else ""
        if not UNNAMED.match(name) or self.format.get("header") is False:
            return None
        numbers = self.frame[name].cast(pl.Int64, strict=False)
        return None if numbers.null_count() or numbers.n_unique() < len(self) else name

    def counts(self, name: str) -> bool:
        """Whether a column numbers the rows, by its name ("id", "Unnamed: 0", ...) and by one after the other."""
        if not NUMBERING.match(name) or self.format.get("header") is False:
            return False
        numbers = self.frame[name].cast(pl.Int64, strict=False)
        return not numbers.null_count() and len(self) > 1 and bool((numbers.diff().drop_nulls() == 1).all())

    @cached_property
    def _places(self) -> dict[str, int]:
        """Where each column stands: a frame looks through all of its names for one."""
        return {name: place for place, name in enumerate(self.columns)}

    def where(self, row: int) -> str:
        """Source and place of a row of this table, for messages."""
        return f"{self.source}, {self.place_of(row)}"

    def place_of(self, row: int) -> str:
        """Where a row of this table stands in its source."""
        return self.place(int(row if self.rows is None else self.rows[row]))

    def column(self, name: str, role: str = "", guess: str = "") -> pl.Series:
        """A column by name. The error for a missing one lists those that exist and, where the column's `role` is given
        ("text"), says how another is named for it: the nearest name, else `guess`."""
        if name not in self._places:
            advice = self._advice(name, role, guess) if role else did_you_mean(name, self.columns)
            raise DataError(f"{self.source} has no column {name!r}: it has {listed(self.columns)}{advice}")
        return self.frame.to_series(self._places[name])

    def _advice(self, name: str, role: str, guess: str) -> str:
        near = did_you_mean(name, self.columns)
        opening = f"{near} Then say" if near else "; name the one that is meant:"
        return f"{opening} {setting(role, nearest(name, self.columns) or guess or COLUMN)}"

    def strings(self, name: str) -> pl.Series:
        """A column as text; missing values stay null, whole floats lose their ".0"."""
        series = self.column(name)
        series = series.fill_nan(None) if series.dtype.is_float() else series
        if series.dtype.is_float() and whole(series.drop_nulls()):
            series = series.cast(pl.Int64)
        return series.cast(pl.String)

    def kind(self, name: str) -> str:
        """What a column's values are, "int", "float", "bool" or "str"; in a file of text alone, what they stand for."""
        series = self.column(name)
        if series.dtype == pl.String and self.format:
            return kind_of_names(series.drop_nulls().str.strip_chars().unique())
        if series.dtype == pl.Boolean:
            return "bool"
        return "int" if series.dtype.is_integer() else "float" if series.dtype.is_float() else "str"

    def numbers(self, name: str) -> pl.Series:
        """A column as float64; missing values are NaN; what else is no number is refused by row and value.

        Decimal commas and separators of thousands are understood; see `read_numbers`.
        """
        series = self.column(name)
        if series.dtype != pl.String:
            return series.cast(pl.Float64).fill_null(float("nan"))
        found = read_numbers(series, self.format.get("delimiter"))
        bad = found.bad.arg_true()
        if len(bad):
            row = int(bad[0])
            more = f" ({len(bad)} such rows)" if len(bad) > 1 else ""
            raise DataError(
                f"{self.where(row)}, column {name!r}: {series[row]!r} is not a number{more}; correct it, leave it "
                "empty if the value is missing, or leave the column out"
            )
        return found.values.fill_null(float("nan"))

    def times(self, name: str) -> pl.Series:
        """A column to sort by: numbers if all are numbers, dates as they are; ISO dates as text sort rightly too."""
        series = self.column(name)
        if series.dtype != pl.String:
            return series
        numbers = series.str.strip_chars().cast(pl.Float64, strict=False)
        return numbers if numbers.null_count() == series.null_count() else series

    def take(self, rows: Sequence[int] | np.ndarray) -> Table:
        """The given rows, which keep their places."""
        rows = np.asarray(rows, np.int64)
        return replace(self, frame=self.frame[rows], rows=rows if self.rows is None else self.rows[rows])

    def note(self, *notes: str) -> Table:
        return replace(self, notes=(*self.notes, *notes))

    def doubt(self, *doubts: str) -> Table:
        return replace(self, doubts=(*self.doubts, *doubts))


def whole(numbers: pl.Series) -> bool:
    """Whether all are whole numbers of 64 bits."""
    return bool(((numbers == numbers.round(0)) & (numbers.abs() < 2.0**63)).all())
