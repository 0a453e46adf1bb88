"""Dates as text, read one by one by the format that a run found in its data; what such formats mean."""

from __future__ import annotations

import re
from datetime import datetime

DECIMAL = "decimal"  # years and parts of them: 1949.0833 is February
SPAN = re.compile("%Y(.)(%[yY])")  # 1950/51, 1950-1951: a year that begins in one and ends in the next
TWELFTH = 0.06  # of a month: 1949.08 and 1949.083 are nearly one
WIDTHS = {"Y": 4, "G": 4, "j": 3, "q": 1, "u": 1, "w": 1} | dict.fromkeys("mdyHMSVUWI", 2)


def read(text: str, shape: str | None) -> datetime:
    """The date that a text writes in a format, or as ISO has it. Raises ValueError.

    Example: `read("201502", "%G%V")` is Monday, 2015-01-05: what a format lacks of a day is the first.
    """
    try:
        return _by(text, shape) if shape else datetime.fromisoformat(text)
    except ValueError:
        if shape is None or not re.match(r"\d{4}-\d{2}-\d{2}", text):
            raise
        return datetime.fromisoformat(text)


def _by(text: str, shape: str) -> datetime:
    if shape == DECIMAL:
        return _part_of_year(float(text))
    text = text.strip().zfill(width(shape))
    if "%q" in shape:
        return _quarter(text, shape)
    if SPAN.fullmatch(shape):
        return _span(text, shape)
    rest, kind = lacking(shape)
    shape = re.sub("%[#:]z", "%z", shape + kind)
    fraction = ".%f" if "." in text.partition(":")[2] else ""
    shape = shape.replace("%.f", fraction)
    if "%B" in shape and re.search(r"(?<![A-Za-z])[A-Za-z]{3}(?![A-Za-z])", text):  # a short name, as polars takes it
        shape = shape.replace("%B", "%b")
    return datetime.strptime(text + rest, shape)


def _part_of_year(year: float) -> datetime:
    month = round(year * 12)
    if abs(year * 12 - month) > TWELFTH:
        raise ValueError("it is no quarter or twelfth of a year")
    return datetime(month // 12, month % 12 + 1, 1)


def _quarter(text: str, shape: str) -> datetime:
    found = re.match(of_quarters(shape), text)
    if not found or set(found.groupdict()) != {"year", "quarter"}:
        raise ValueError(f"it is no quarter as {shape} has it")
    return datetime(whole_year(int(found["year"])), int(found["quarter"]) * 3 - 2, 1)


def _span(text: str, shape: str) -> datetime:
    found = re.match(of_spans(shape), text)
    if not found or (int(found["next"]) - int(found["year"])) % 100 != 1:
        raise ValueError("it is no year and the next one")
    return datetime(int(found["year"]), 1, 1)


def whole_year(year: int) -> int:
    """A year of four digits, also from two: 69 is 1969, 68 is 2068, as everywhere."""
    return year if year >= 100 else (year + 31) % 100 + 1969


def of_quarters(shape: str) -> str:
    """The regular expression of a format with %q, a quarter."""
    pattern = re.escape(shape).replace("%Y", r"(?P<year>\d{4})").replace("%y", r"(?P<year>\d{2})")
    return f"^{pattern.replace('%q', '(?P<quarter>[1-4])')}$"


def of_spans(shape: str) -> str:
    """The regular expression of a format that is a year and the next one."""
    sign, following = SPAN.sub(r"\1", shape), 4 if shape.endswith("Y") else 2
    return rf"^(?P<year>\d{{4}})\s?{re.escape(sign)}\s?(?P<next>\d{{{following}}})$"


def width(shape: str) -> int:
    """How many digits a compact format has, such as 8 for %d%m%Y (a number loses the noughts before it); else 0."""
    letters = re.findall("%(.)", shape)
    compact = "%" + "%".join(letters) == shape and all(letter in WIDTHS for letter in letters)
    return sum(WIDTHS[letter] for letter in letters) if compact else 0


def lacking(shape: str) -> tuple[str, str]:
    """What completes a date of a format, as text and as format."""
    has = set(re.findall(r"%[-_#]?([A-Za-z])", shape))
    if "H" in has and not has & set("MRTXr"):
        return ":00", ":%M"
    if has & set("DFcsxjde"):
        return "", ""
    if has & set("GVUW"):
        return ("", "") if has & set("uwaA") else ("-1", "-%u")
    return ("-01", "-%d") if has & set("mbBh") else ("-01-01", "-%m-%d")
