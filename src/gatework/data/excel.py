"""Sheets of Excel -> a Table: which sheet and row the table begins at, and cells as they are written there."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING

import polars as pl

from gatework.data.files import believable
from gatework.data.suggest import setting
from gatework.data.table import Table, listed, whole
from gatework.errors import DataError
from gatework.extras import explained

if TYPE_CHECKING:
    from fastexcel import DTypeMap, ExcelReader


def read_excel(data: bytes, source: str, header: bool | None = None) -> Table:
    """The first sheet that has rows below a header; notes say which, how many others there are, and what stands above.

    A column whose cells are not all of one type is one of texts: nothing that is written there is lost. Empty rows are
    left out, and places are those of the sheet.

    Raises: DataError for files that are not whole, without rows, or with two columns of one name.
    """
    try:
        import fastexcel
    except ImportError as error:
        raise explained(error) from error
    _must_unpack_well(data, source)
    try:
        reader = fastexcel.read_excel(data)
        sheets = reader.sheet_names
        for number, name in enumerate(sheets):
            found = _read_sheet(reader, number, source, header)
            if found is not None:
                return found.note(_which(name, sheets), f"columns: {listed(found.columns)}")
    except (fastexcel.FastExcelError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"{source}: not a whole Excel file ({str(error).splitlines()[0]}); save it again") from None
    raise DataError(f"{source}: no sheet has rows below a header ({listed(sheets)}); give a table with both")


def _must_unpack_well(data: bytes, source: str) -> None:
    """Refuses a workbook that says of itself that it unpacks to something huge."""
    if data.startswith(b"PK"):
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as archive:
            believable(sum(entry.file_size for entry in archive.infolist()), len(data), source)


def _which(name: str, sheets: list[str]) -> str:
    others = [each for each in sheets if each != name]
    return f"sheet {name!r}{f' (not read: {listed(others)}; to read one, move it to the front)' if others else ''}"


def _read_sheet(reader: ExcelReader, number: int, source: str, header: bool | None) -> Table | None:
    """The table of a sheet; None where it has no row."""
    texts = reader.load_sheet(
        number, header_row=None, skip_rows=0, dtypes="string", whitespace_as_null=True
    ).to_polars()
    texts = texts.select(pl.all().str.strip_chars())
    filled = [sum(cell is not None for cell in row) for row in texts.iter_rows()]
    top, place = _top(filled), lambda row: f"row {row + 1} of the sheet"
    begin = top if header is False else top + 1
    rows = [row for row in range(begin, len(filled)) if filled[row]]
    if not rows:
        return None
    used = [i for i, column in enumerate(texts.iter_columns()) if column[top:].is_not_null().any()]
    frame = _cells(reader, number, begin, texts[begin:])[[row - begin for row in rows], used]
    given = (None,) * texts.width if header is False else texts.row(top)
    frame.columns = _names({i: given[i] for i in used}, f"{source}, {place(top)}")
    above = (f"the header is {place(top)}",) if top and header is not False else ()
    return Table(frame, source, lambda row: place(rows[row]), above)


def _cells(reader: ExcelReader, number: int, begin: int, texts: pl.DataFrame) -> pl.DataFrame:
    """All cells from a row on, each column of one type. An empty one has none that could be found."""
    empty: DTypeMap = {i: "string" for i, column in enumerate(texts.iter_columns()) if not column.is_not_null().any()}
    form = {"header_row": None, "skip_rows": begin, "schema_sample_rows": None, "whitespace_as_null": True}
    sheet = reader.load_sheet(number, dtypes=empty, **form).to_polars()
    return pl.DataFrame([_tidied(column) for column in sheet.iter_columns()])


def _top(filled: list[int]) -> int:
    """The header's row: the first that fills more than half of the columns. Titles and notes above it do not."""
    return next((row for row, count in enumerate(filled) if 2 * count > max(filled)), 0)


def _names(cells: dict[int, str | None], place: str) -> list[str]:
    """Of columns by their number; those without one are called by it."""
    names = [cell or f"column_{i + 1}" for i, cell in cells.items()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        how = setting("header", False)
        raise DataError(f"{place}: two columns are called {twice!r}; rename one, or pass {how}")
    return names


def _tidied(column: pl.Series) -> pl.Series:
    """Excel knows no whole numbers and no days: floats that are all whole are, and times that are all midnight."""
    if column.dtype.is_float() and whole(column.drop_nulls()):
        return column.cast(pl.Int64)
    if isinstance(column.dtype, pl.Datetime) and (column.drop_nulls().dt.truncate("1d") == column.drop_nulls()).all():
        return column.cast(pl.Date)
    return column
