"""How dates are written as text: formats that are tried in turn, and longer stretches as their first days."""

from __future__ import annotations

import re

import polars as pl

from gatework.runtime.series.stamps import DECIMAL, SPAN, TWELFTH, lacking, of_quarters, of_spans

DAYS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y.%m.%d",
    "%Y%m%d",
    "%d %B %Y",
    "%B %d, %Y",
    "%B %d %Y",
    "%d.%m.%y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d-%B-%Y",
    "%d-%B-%y",
    "%d %B %y",
    "%Y-%B-%d",
)
HOURS = (
    "",
    " %H:%M",
    " %H:%M:%S",
    " %H:%M:%S%.f",
    "T%H:%M",
    "T%H:%M:%S",
    "T%H:%M:%S%.f",
    "T%H%M%S",
    " %H.%M",
    " %H.%M.%S",
    " %I:%M %p",
    " %I:%M:%S %p",
)
ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z", "%Y-%m-%d %H:%M%#z")
ZONED += ("%Y%m%dT%H%M%S%#z", *(f"{day}{hour}%#z" for day in DAYS for hour in HOURS if hour))
FORMATS = (*(day + hour for day in DAYS for hour in HOURS), *ZONED, "%G-W%V-%u", "%Y-%j")
# Written anew before formats are tried: dates with a weekday or zone, and longer stretches, as their first day
MONTH_NAMES = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
WEEKDAYS = r"(?:Mon|Tue|Tues|Wed|Wednes|Thu|Thur|Thurs|Fri|Sat|Satur|Sun)(?:day)?"
WEEKS = r"(?:W|KW|CW|wk|week)\s?"
STRETCHES = (
    (rf"(?i)^{WEEKDAYS}[.,]?\s+(.*\d)", "${1}"),  # "Tue, 01 Jun 2021"
    (r"(?i)\s*(?:UTC|GMT)$", "Z"),
    (r"([+-]\d{2}:\d{2}|Z)\[[A-Za-z_/+-]+\]$", "${1}"),  # the zone beside its offset
    (r"^(\d{4})\s?年\s?(\d{1,2})\s?月\s?(\d{1,2})\s?日", "${1}-${2}-${3}"),
    (r"^(\d{4})\s?年\s?(\d{1,2})\s?月$", "${1}-${2}-01"),
    (r"^(\d{4})[-/._: ](\d{1,2})$", "${1}-${2}-01"),  # a month
    (r"^(\d{1,2})[-/._](\d{4})$", "${2}-${1}-01"),
    (r"(?i)^(\d{4})[-/_: ]?M(\d{1,2})$", "${1}-${2}-01"),
    (rf"(?i)^({MONTH_NAMES})[a-z]*[-./'_ ]*(\d{{4}})$", "01 ${1} ${2}"),
    (rf"(?i)^(\d{{4}})[-./_ ]?({MONTH_NAMES})[a-z]*$", "01 ${2} ${1}"),
    (rf"(?i)^({MONTH_NAMES})[a-z]*[-./'_ ]*(\d{{2}})$", "01-${1}-${2}"),
    (rf"(?i)^(\d{{4}})[-/._ ]*{WEEKS}(\d)$", "${1}-W0${2}-1"),  # an ISO week
    (rf"(?i)^(\d{{4}})[-/._ ]*{WEEKS}(\d{{2}})$", "${1}-W${2}-1"),
    (r"(?i)^(\d{4})-?W(\d{2})-?([1-7])$", "${1}-W${2}-${3}"),
    (rf"(?i)^{WEEKS}(\d)[-/. ]+(\d{{4}})$", "${2}-W0${1}-1"),
    (rf"(?i)^{WEEKS}(\d{{2}})[-/. ]+(\d{{4}})$", "${2}-W${1}-1"),
    (r"(?i)^FY\s?(\d{4})(?:\s?[-/–]\s?\d{2}|\s?[-/–]\s?\d{4})?$", "${1}-01-01"),
)
PARTS = {"Q": 3, "T": 3, "H": 6, "S": 6}  # months of a quarter (trimestre) and of half a year (semestre)
PARTED = (r"^(?P<year>\d{4})[-/._: ]*(?P<part>[QTHS])(?P<which>[1-4])$",)
PARTED += (r"^(?P<part>[QTHS])(?P<which>[1-4])[-/._: ']*(?P<year>\d{4}|\d{2})$",)
PARTED += (r"^(?P<which>[1-4])(?P<part>[QTHS])[-/._: ']*(?P<year>\d{4}|\d{2})$",)
NUMBERED = r"^(?:\d{4}\s?([-/._: –])\s?\d{1,2}|\d{1,2}([-/._: ])\d{4}|\d{2}([-/._])\d{2}|\d{4}\s?([-/–])\s?\d{4})$"
# 2015-13, 13/2015, 01/15, 2015-2016
PAIRS = (
    ("%Y", "%y"),
    ("%Y", "%Y"),
    ("%Y", "%m"),
    ("%Y", "%q"),
    ("%G", "%V"),
    ("%m", "%Y"),
    ("%q", "%Y"),
    ("%V", "%G"),
    ("%m", "%y"),
    ("%y", "%m"),
)
SAMPLE, FEW = 1_000, 20  # cells on which formats are tried; a format that reads none of a few is left out
WEEK = re.compile(r"w(ee)?k|woche|semaine|semana|\bkw\b|^w$", re.IGNORECASE)


def first_days(text: pl.Series) -> pl.Series:
    """Months, quarters and weeks as their first days; dates without their weekday."""
    for shape, day in STRETCHES:
        text = text.str.replace(shape, day)
    for shape in PARTED:
        parts = text.str.to_uppercase().str.extract_groups(shape).struct.unnest()
        months = parts["part"].replace_strict(PARTS, default=None, return_dtype=pl.Int64)
        days = _first_of(_whole_year(parts["year"]), (parts["which"].cast(pl.Int64) - 1) * months + 1)
        text = pl.select(pl.when(days.dt.year() > 0).then(days.dt.strftime("%Y-%m-%d")).otherwise(text)).to_series()
    return text


def _first_of(years: pl.Series, months: pl.Series) -> pl.Series:
    """The first day of months 1 to 12; null for others."""
    there = pl.lit(months.is_between(1, 12))
    return pl.select(pl.when(there).then(pl.datetime(years, pl.when(there).then(months).otherwise(1), 1))).to_series()


def _whole_year(text: pl.Series) -> pl.Series:
    """Years of four digits, also from two: 69 is 1969, 68 is 2068, as everywhere."""
    years = text.cast(pl.Int64, strict=False)
    return pl.select(pl.when(years >= 100).then(years).otherwise((years + 31) % 100 + 1969)).to_series()


def numbered(text: pl.Series, name: str) -> str | None:
    """The format of a year and a number that is no month: "2015-13" is a week, "2015-4" beside none larger a quarter.

    None where months fit as well.
    """
    signs = text.drop_nulls().str.extract_groups(NUMBERED).struct.unnest()
    sign = next((each[0] for each in signs if len(each) and each.null_count() == 0 and each.n_unique() == 1), None)
    if sign is None:
        return None
    order = sorted(PAIRS, key=lambda pair: "%V" not in pair) if WEEK.search(name) else PAIRS
    found = {sign.join(pair): parse(text.unique().drop_nulls(), sign.join(pair)) for pair in order}
    even = {shape: 0.0 if times.null_count() else evenness(times) for shape, times in found.items()}
    best = max(even, key=lambda shape: even[shape])
    if even[best] == 0:  # nearly all may be years, and an error then names the others
        return next((shape for shape, times in found.items() if SPAN.fullmatch(shape) and _nearly(times)), None)
    return best if set(re.findall("%.", best)) != {"%Y", "%m"} else None


def _nearly(times: pl.Series) -> bool:
    return len(times) > 2 and times.null_count() <= len(times) // 10


def guess(text: pl.Series) -> tuple[str, list[str]]:
    """The format that reads most of a sample, and others that read as many."""
    few = text.drop_nulls()
    few = few.gather_every(max(len(few) // FEW, 1))
    hopeful = [shape for shape in FORMATS if parse(few, shape).null_count() < len(few)] or list(FORMATS[:1])
    read = {shape: readable(text, shape) for shape in hopeful}
    most = max(read.values())
    best = [shape for shape in hopeful if read[shape] == most]
    return best[0], best[1:]


def readable(text: pl.Series, shape: str) -> int:
    """How many cells of a sample a format reads."""
    sample = text.gather_every(max(len(text) // SAMPLE, 1))
    return len(sample) - parse(sample, shape).null_count()


def parse(text: pl.Series, shape: str) -> pl.Series:
    """Datetimes, null where the format does not fit; in UTC where it has an offset. What a format lacks of a day is
    the first: `parse(pl.Series(["201502"]), "%G%V")` is Monday, 2015-01-05. %q is a quarter, "decimal" 2015.25."""
    if shape == DECIMAL:
        return _parts_of_years(text)
    if "%q" in shape:
        return _quarters(text, shape)
    if SPAN.fullmatch(shape):
        return _spans(text, shape)
    rest, kind = lacking(shape)
    try:
        parsed = (text + rest).str.to_datetime(shape + kind, strict=False, time_unit="us")
    except pl.exceptions.ComputeError:  # no format at all
        return pl.Series([None] * len(text), dtype=pl.Datetime("us"))
    if "%Y" in shape or "%G" in shape:  # which would take the 24 of 31/12/24 for the year 24
        parsed = pl.select(pl.when(parsed.dt.year() >= 1000).then(parsed)).to_series()
    return parsed.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if "z" in shape else parsed


def _parts_of_years(text: pl.Series) -> pl.Series:
    years = text.cast(pl.Float64, strict=False)
    months = (years * 12).round(0)
    near = pl.select(pl.when((years * 12 - months).abs() <= TWELFTH).then(months)).to_series().cast(pl.Int64)
    return _first_of(near // 12, near % 12 + 1)


def _quarters(text: pl.Series, shape: str) -> pl.Series:
    parts = text.str.extract_groups(of_quarters(shape)).struct.unnest()
    if set(parts.columns) != {"year", "quarter"}:
        return pl.Series([None] * len(text), dtype=pl.Datetime("us"))
    return _first_of(_whole_year(parts["year"]), parts["quarter"].cast(pl.Int64) * 3 - 2)


def _spans(text: pl.Series, shape: str) -> pl.Series:
    parts = text.str.extract_groups(of_spans(shape)).struct.unnest().select(pl.all().cast(pl.Int64))
    follows = (parts["next"] - parts["year"]) % 100 == 1
    first = _first_of(parts["year"], parts["year"] * 0 + 1)
    return pl.select(pl.when(follows).then(first)).to_series()


def lacks_year(shape: str) -> bool:
    """Whether a format says no year, so that its dates would be of the year 1."""
    return "%" in shape and not re.search(r"%[-_#0]?[YyGgDFcxsC+]", shape)


def evenness(times: pl.Series) -> float:
    """The share of the commonest step between neighbouring times; all months are as long."""
    steps = times.drop_nulls().unique().sort().diff().drop_nulls().dt.total_seconds() / 86_400
    steps = pl.select(pl.when(steps >= 28).then((steps / 30.44).round() * 30.44).otherwise(steps)).to_series()
    return float(steps.value_counts()["count"].to_numpy().max()) / len(steps) if len(steps) else 0.0
