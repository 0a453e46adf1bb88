"""Tables as text: comma, tab, semicolon or bar between the fields; quotes, headers, broken rows worked out or named."""

from __future__ import annotations

import csv
import io
import itertools
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import polars as pl

from gatework.data.files import COLUMNS, must_fit
from gatework.data.suggest import setting
from gatework.data.table import Table, listed
from gatework.errors import DataError, OptionError

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # texts of a million characters

DELIMITERS = ",\t;|"
NO_QUOTE = "none"
MOST_ABOVE = 30  # lines in which the names of the columns are looked for
SEP = re.compile(r'^"?sep=(.)"?\r?\n', re.IGNORECASE)
BAD_ROWS = ("refuse", "skip", "join")
WIDE = "name another delimiter, or give a row per step"


def read_delimited(
    text: str,
    source: str,
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    bad_rows: str = "refuse",
    quote: str | None = None,
) -> Table:
    """A table whose columns are all text.

    Args:
        delimiter: found in the first lines unless given.
        header: whether the first row names the columns; None works it out (see `has_header`).
        bad_rows: what to do with rows that have another number of fields than the rest: "refuse" names them,
            "skip" leaves them out, "join" appends a lone field to the last field of the row above.
        quote: the character around fields that hold the delimiter; None is ", "none" takes every character as it is.

    A first line such as "sep=;" names the delimiter. Titles and comments (#) above the names of the columns are left
    out, and a note says so.

    Raises: DataError that names the line.
    """
    if bad_rows not in BAD_ROWS:
        raise OptionError(f"bad_rows cannot be {bad_rows!r}; there are: {', '.join(BAD_ROWS)}")
    text, told = _without_sep(text)
    delimiter = {"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter) or told or find_delimiter(text)
    if len(delimiter.encode()) != 1:
        raise OptionError(f"delimiter={delimiter!r}: one character of ASCII stands between fields, such as ; or tab")
    quoted = quote or ('"' if delimiter != "\t" or _quoted_tabs(text) else NO_QUOTE)
    if quoted != NO_QUOTE and len(quoted.encode()) != 1:
        raise OptionError(f"quote={quote!r}: one character of ASCII stands around fields, or none")
    _must_be_bounded(text, source, delimiter, quoted)
    above = 0 if header is False else _above(text, delimiter)
    text = "\n" * above + text.split("\n", above)[above]  # blank lines, so that places stay right
    frame = None if above or told else _fast(text, delimiter, quoted)
    first = frame.row(0) if frame is not None and frame.height else ()
    if frame is None or (_suspicious(frame) and not _whole(text, delimiter, frame, quoted)):
        records = list(_records(text, source, delimiter, quoted))
        lines, rows = _even(records, source, bad_rows)
        frame = pl.DataFrame(list(zip(*rows, strict=True)), schema=[f"column_{i + 1}" for i in range(len(rows[0]))])
        first, place = rows[0], _lines(lines)
    else:
        place = _counted(text, source, frame.height, delimiter, quoted)
    if header is None:
        header = has_header(frame)
    table = _named(frame, header, first, source, place, delimiter)
    return table.note(f"{above} line(s) above the names of the columns are left out") if above else table


def _without_sep(text: str) -> tuple[str, str | None]:
    """The text with Excel's first line "sep=;" made blank, and the delimiter that it names."""
    found = SEP.match(text)
    return ("\n" + text[found.end() :], found[1]) if found else (text, None)


def _above(text: str, delimiter: str) -> int:
    """How many lines stand above the names of the columns: comments of another width, and titles of one cell.

    They count only where the next line has a name in each column, and no number.
    """
    lines = text.split("\n", MOST_ABOVE)[:MOST_ABOVE]
    if not lines[0].startswith("#") and not _alone(lines[0], delimiter):
        return 0
    width = _usual([_fields(line, delimiter) for line in lines[1:] if line.strip()] or [1])
    end = 0
    while end < len(lines) - 1 and (
        not lines[end].strip(f"{delimiter} \r")
        or _alone(lines[end], delimiter)
        or (lines[end].startswith("#") and _fields(lines[end], delimiter) != width)
    ):
        end += 1
    names = _cells(lines[end], delimiter)
    named = len(names) == width > 1 and all(name.strip() and not _is_number(name) for name in names)
    return end if named else 0


def _alone(line: str, delimiter: str) -> bool:
    """Whether a line has one filled cell, the first."""
    cells = _cells(line, delimiter)
    return bool(cells and cells[0].strip()) and not any(cell.strip() for cell in cells[1:])


def _is_number(cell: str) -> bool:
    return cell.strip().replace(".", "", 1).replace(",", "", 1).lstrip("-").isdigit()


def _must_be_bounded(text: str, source: str, delimiter: str, quoted: str) -> None:
    """Refuses what would end the process: a first row of too many fields, or more cells than memory holds."""
    if text.count(delimiter, 0, text.find("\n") + 1 or None) >= COLUMNS:
        _, fields = next(_records(text, source, delimiter, quoted), ("", []))
        if len(fields) > COLUMNS:
            raise DataError(f"{source}, line 1: {len(fields):,} fields; {COLUMNS:,} are read at most: {WIDE}")
    must_fit(4 * len(text) + 50 * (text.count(delimiter) + text.count("\n")))


def _named(frame: pl.DataFrame, header: bool, first: tuple, source: str, place: Callable, delimiter: str) -> Table:
    names = [str(cell or f"column_{i + 1}").strip() for i, cell in enumerate(first)]
    if header and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"{source}, line 1: two columns are called {twice!r}; rename one, or pass {setting('header', False)}"
        )
    notes = (f"columns: {listed(names)}",) if header else (f"no header: columns are called {listed(frame.columns)}",)
    if header:
        frame = frame.slice(1).rename(dict(zip(frame.columns, names, strict=True)))
    if not frame.height:
        how = setting("header", False)
        raise DataError(f"{source} holds a header and no rows; add rows, or if line 1 is data pass {how}")
    start = int(header)
    form = {"delimiter": delimiter, "header": header}
    return Table(frame, source, lambda row: place(row + start), notes, form)


def find_delimiter(text: str) -> str:
    """The candidate that splits the first lines into the same number of fields, the most of them; else a comma."""
    head = [line for line in itertools.islice(io.StringIO(text[:200_000], newline=None), 21) if line.strip()]
    head = head[:-1] if len(head) == 21 else head
    best, most = ",", 1
    for delimiter in DELIMITERS:
        counts = [line.count(delimiter) + 1 if delimiter == "\t" else _fields(line, delimiter) for line in head]
        if counts and min(counts) == max(counts) > most:
            best, most = delimiter, counts[0]
    if most == 1 and head:
        names = head[0] if not head[0].startswith("#") and any(each in head[0] for each in DELIMITERS) else head[-1]
        best = max(DELIMITERS, key=lambda delimiter: names.count(delimiter))
        return best if best in names else ","
    return best if head and best in head[0] else ","


def has_header(frame: pl.DataFrame) -> bool:
    """False if a cell of the first row is a number, is long, or stands in its own column again; else True."""
    for column in frame.iter_columns():
        first = column[0]
        if first is None:
            continue
        again = (column.slice(1) == first).sum()
        if again or len(first) > 60 or first.strip().replace(".", "", 1).lstrip("-").isdigit():
            return False
    return True


def _fast(text: str, delimiter: str, quoted: str) -> pl.DataFrame | None:
    quote = None if quoted == NO_QUOTE else quoted
    try:
        data = text.encode()
        frame = pl.read_csv(data, separator=delimiter, quote_char=quote, has_header=False, infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeEncodeError):
        return None
    frame.columns = [f"column_{i + 1}" for i in range(frame.width)]
    return frame


def _suspicious(frame: pl.DataFrame) -> bool:
    """polars fills short rows with nulls: a null in the last column may be one, so these files are read row by row."""
    return frame.to_series(frame.width - 1).null_count() > 0


def _whole(text: str, delimiter: str, frame: pl.DataFrame, quoted: str) -> bool:
    """Whether each line of a text without quotes has all its fields: then nulls are empty cells, not short rows."""
    if '"' in text or quoted in text or "\r" in text.replace("\r\n", ""):
        return False
    lines = pl.Series(text.split("\n"), dtype=pl.String)
    counts = lines.filter(lines.str.strip_chars("\r") != "").str.count_matches(delimiter, literal=True)
    return len(counts) == frame.height and bool((counts == frame.width - 1).all())


def _records(text: str, source: str, delimiter: str, quoted: str) -> Iterator[tuple[str, list[str]]]:
    """(where it starts, fields) of every row that is not blank; see `_start`."""
    quoting = csv.QUOTE_NONE if quoted == NO_QUOTE else csv.QUOTE_MINIMAL
    mark = '"' if quoted == NO_QUOTE else quoted
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, quotechar=mark)
    line = 1
    try:
        for row, fields in enumerate(reader, 1):
            if fields and (len(fields) > 1 or fields[0].strip()):
                yield _start(line, row), fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{source}, line {reader.line_num}: {error}; correct the quotes of this line") from None


def _start(line: int, row: int) -> str:
    """Its line; below cells of several lines a spreadsheet counts otherwise, then its row there too."""
    return f"line {line}" if line == row else f"line {line} (row {row} in a spreadsheet)"


def _even(records: list[tuple[str, list[str]]], source: str, bad_rows: str) -> tuple[list[str], list[tuple]]:
    """Rows of one width; what to do with the others is `bad_rows`."""
    if not records:
        raise DataError(f"{source} has no rows; give at least one below the names of the columns")
    width = _usual([len(fields) for _, fields in records])
    lines: list[str] = []
    rows: list[list[str]] = []
    bad = []
    for line, fields in records:
        if len(fields) == width:
            lines.append(line)
            rows.append(fields)
        elif bad_rows == "join" and rows and len(fields) == 1:
            rows[-1][-1] += " " + fields[0]
        else:
            bad.append((line, fields))
    if bad and bad_rows != "skip":
        raise DataError(_uneven(bad, width, source))
    return lines, [tuple(cell if cell else None for cell in row) for row in rows]


def _uneven(bad: list[tuple[str, list[str]]], width: int, source: str) -> str:
    line, fields = bad[0]
    shown = " | ".join(fields)[:60]
    some = ", ".join(line.removeprefix("line ") for line, _ in bad[:5]) + (" ..." if len(bad) > 5 else "")
    more = f" ({len(bad)} such lines: {some})"
    advice = "put quotes around a field that holds the delimiter" if len(fields) > width else "complete the line"
    return (
        f"{source}, {line}: {len(fields)} field(s) where the others have {width}: {shown!r}"
        f"{more if len(bad) > 1 else ''}; {advice}, or to leave such lines out pass {setting('bad_rows', 'skip')}"
        f"{', or to append them to the row above ' + setting('bad_rows', 'join') if len(fields) == 1 else ''}"
    )


def _usual(widths: list[int]) -> int:
    counts = Counter(widths)
    return max(counts, key=lambda width: counts[width] if len(counts) < 50 else 0)  # of equals the first in the file


def _fields(line: str, delimiter: str) -> int:
    return len(_cells(line, delimiter))


def _cells(line: str, delimiter: str) -> list[str]:
    """The fields of one line, or of the part of it before a line end of an old Macintosh."""
    return next(csv.reader(io.StringIO(line.strip("\r"), newline=""), delimiter=delimiter), [])


def _quoted_tabs(text: str) -> bool:
    """Tab-separated files come with and without quoting. With it, a field that starts with a quote ends with one, and
    rows have the same number of fields."""
    if not (text.startswith('"') or '\t"' in text or '\n"' in text):
        return False
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    try:
        widths = {len(fields) for fields in reader if fields}
    except csv.Error:
        return False
    return len(widths) == 1


def _lines(lines: list[str]) -> Callable[[int], str]:
    return lambda row: lines[row]


def _counted(text: str, source: str, height: int, delimiter: str, quoted: str) -> Callable[[int], str]:
    """Line of a row: the same number where every row is one line; else counted when somebody asks."""
    if text.count("\n") + (not text.endswith("\n")) == height:
        return lambda row: f"line {row + 1}"
    records = lambda: _records(text, source, delimiter, quoted)  # noqa: E731
    return lambda row: next(itertools.islice(records(), row, None), ("line 0",))[0]
