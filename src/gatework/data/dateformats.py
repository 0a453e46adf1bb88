"""How dates are written: formats that are tried in turn, longer stretches as their first days, and compact numbers."""

from __future__ import annotations

import re

import polars as pl

DAYS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%Y%m%d",
    "%d %b %Y",
    "%b %d, %Y",
    "%d.%m.%y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d-%b-%Y",
    "%d-%b-%y",
)
HOURS = (
    "",
    " %H:%M",
    " %H:%M:%S",
    " %H:%M:%S%.f",
    "T%H:%M",
    "T%H:%M:%S",
    "T%H:%M:%S%.f",
    " %I:%M %p",
    " %I:%M:%S %p",
)
ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z", "%Y-%m-%d %H:%M%#z")
FORMATS = (*ZONED, *(day + hour for day in DAYS for hour in HOURS), "%G-W%V-%u")
# Longer stretches are read as their first day: what they look like, and that day
MONTH_NAMES = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
STRETCHES = (
    (r"^(\d{4})[-/](\d{1,2})$", "${1}-${2}-01"),  # a month
    (r"^(\d{1,2})[/.](\d{4})$", "${2}-${1}-01"),
    (r"(?i)^(\d{4})[-/ ]?M(\d{1,2})$", "${1}-${2}-01"),
    (rf"(?i)^({MONTH_NAMES})[a-z]*[-./' ]+(\d{{4}})$", "01 ${1} ${2}"),
    (rf"(?i)^(\d{{4}})[-./ ]?({MONTH_NAMES})[a-z]*$", "01 ${2} ${1}"),
    (rf"(?i)^({MONTH_NAMES})[a-z]*[-./' ]+(\d{{2}})$", "01-${1}-${2}"),
    (r"(?i)^(\d{4})[-/ ]?W(\d)$", "${1}-W0${2}-1"),  # an ISO week
    (r"(?i)^(\d{4})[-/ ]?W(\d{2})$", "${1}-W${2}-1"),
    (r"(?i)^(\d{4})-?W(\d{2})-?([1-7])$", "${1}-W${2}-${3}"),
    (r"(?i)^(?:W|KW|CW|week)\s?(\d{2})[-/. ]+(\d{4})$", "${2}-W${1}-1"),
)
QUARTERS = (r"(?i)^(\d{4})[-/ ]?Q([1-4])$", r"(?i)^Q([1-4])[-/ ]?(\d{4})$", r"(?i)^([1-4])Q[-/ ]?(\d{4})$")
SAMPLE = 1_000
EVEN = 0.9  # the share of the commonest step, from which on numbers that nobody named are months or weeks
FEWEST = 6  # of such numbers
WEEK = re.compile(r"w(ee)?k|woche|semaine|semana|\bkw\b|^w$", re.IGNORECASE)
COMPACT = {"%Y%m%d": (19_000_101, 21_001_231), "%Y%m": (190_001, 210_012), "%G%V": (190_001, 210_053)}


def first_days(text: pl.Series) -> pl.Series:
    """Months, quarters and weeks as their first days."""
    for shape, day in STRETCHES:
        text = text.str.replace(shape, day)
    for shape, year in zip(QUARTERS, (1, 2, 2), strict=True):
        parts = text.str.extract_groups(shape).struct.unnest()
        year, quarter = parts[f"{year}"], parts[f"{3 - year}"].cast(pl.Int64)
        months = pl.select(pl.format("{}-{}-01", year, (3 * quarter - 2).cast(pl.String).str.zfill(2))).to_series()
        text = pl.select(pl.when(quarter.is_not_null()).then(months).otherwise(text)).to_series()
    return text


def guess(text: pl.Series) -> tuple[str, list[str]]:
    """The format that reads most of a sample, and others that read as many."""
    read = {shape: readable(text, shape) for shape in FORMATS}
    most = max(read.values())
    best = [shape for shape in FORMATS if read[shape] == most]
    return best[0], best[1:]


def readable(text: pl.Series, shape: str) -> int:
    """How many cells of a sample a format reads."""
    sample = text.gather_every(max(len(text) // SAMPLE, 1))
    return len(sample) - parse(sample, shape).null_count()


def parse(text: pl.Series, shape: str) -> pl.Series:
    """Datetimes, null where the format does not fit; in UTC where it has an offset. What a format lacks of a day is
    the first: `parse(pl.Series(["201502"]), "%G%V")` is Monday, 2015-01-05."""
    rest, kind = _missing(shape)
    parsed = (text + rest).str.to_datetime(shape + kind, strict=False, time_unit="us")
    if "%Y" in shape:  # which would take the 24 of 31/12/24 for the year 24
        parsed = pl.select(pl.when(parsed.dt.year() >= 1000).then(parsed)).to_series()
    return parsed.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if "z" in shape else parsed


def _missing(shape: str) -> tuple[str, str]:
    """What completes a date of a format, as text and as format."""
    has = set(re.findall(r"%[-_#]?([A-Za-z])", shape))
    if has & set("DFcsxjde"):
        return "", ""
    if has & set("GVUW"):
        return ("", "") if has & set("uwaA") else ("-1", "-%u")
    return ("-01", "-%d") if has & set("mbBh") else ("-01-01", "-%m-%d")


def whole(column: pl.Series) -> pl.Series | None:
    """Whole numbers, also where they are text; None where one is none."""
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    elif column.dtype.is_float():
        column = pl.select(pl.when(column == column.round(0)).then(column)).to_series()
    elif not column.dtype.is_integer():
        return None
    numbers = column.cast(pl.Int64, strict=False)
    return None if numbers.null_count() or not len(numbers) else numbers


def compact(numbers: pl.Series, name: str) -> str | None:
    """The format of numbers such as 20240131, 201501 (a month) or 201553 (a week), where all can be such.

    A column that is called a week holds weeks; numbers that could be months or weeks are months else.
    """
    order = ("%Y%m%d", "%G%V", "%Y%m") if WEEK.search(name) else tuple(COMPACT)
    return next((shape for shape in order if _all_read(numbers, shape)), None)


def _all_read(numbers: pl.Series, shape: str) -> bool:
    if not numbers.is_between(*COMPACT[shape]).all():
        return False
    if shape == "%G%V":  # a week 0 or 53 that a year has not is asked about, see `weeks_of`
        return bool((numbers % 100).is_between(0, 53).all())
    return parse(numbers.unique().cast(pl.String), shape).null_count() == 0


def reads_compact(column: pl.Series) -> bool:
    """Whether a column that nobody named holds such numbers, each a step after the one before."""
    numbers = whole(column.drop_nulls())
    shape = None if numbers is None else compact(numbers, str(column.name))
    if numbers is None or shape is None or numbers.n_unique() < FEWEST:
        return False
    return evenness(parse(numbers.unique().cast(pl.String), shape)) >= EVEN


def evenness(times: pl.Series) -> float:
    """The share of the commonest step between neighbouring times; all months are as long."""
    steps = times.drop_nulls().unique().sort().diff().drop_nulls().dt.total_seconds() / 86_400
    steps = pl.select(pl.when(steps >= 28).then((steps / 30.44).round() * 30.44).otherwise(steps)).to_series()
    return float(steps.value_counts()["count"].to_numpy().max()) / len(steps) if len(steps) else 0.0
