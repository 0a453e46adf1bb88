"""Dates written as numbers: 20240131, 201501 (a month), 310124, 1949.25 (part of a year), seconds since 1970."""

from __future__ import annotations

import polars as pl

from gatework.data.dateformats import WEEK, evenness, parse
from gatework.runtime.series.stamps import DECIMAL, width

EVEN = 0.9  # the share of the commonest step, from which on numbers that nobody named are dates
FEWEST = 6  # of such numbers
EPOCHS = tuple(
    (10**9 * size, 4 * 10**9 * size, size, word)
    for size, word in ((1, "seconds"), (10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds"))
)  # from, to, how many are a second
COMPACT = {
    "%Y%m%d": (19_000_101, 21_001_231),
    "%Y%m": (190_001, 210_012),
    "%G%V": (190_001, 210_053),
    "%Y%m%d%H": (1_900_010_100, 2_100_123_123),
    "%Y%m%d%H%M": (190_001_010_000, 210_012_312_359),
    "%Y%m%d%H%M%S": (19_000_101_000_000, 21_001_231_235_959),
}
# No range tells these from plain numbers: as dates they must be a step apart more often than as numbers
RARE = ("%m%Y", "%y%m", "%m%y", "%Y%q", "%d%m%Y", "%m%d%Y", "%Y%d%m", "%Y%j", "%y%m%d", "%d%m%y", "%m%d%y", "%y%j")
YEARS = (1500, 2200)


def whole(column: pl.Series) -> pl.Series | None:
    """Whole numbers, also where they are text; None where one is none."""
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        column = text.cast(pl.Int64, strict=False)
        column = text.cast(pl.Float64, strict=False) if column.null_count() else column
    if column.dtype.is_float():
        column = pl.select(pl.when(column == column.round(0)).then(column)).to_series()
    elif not column.dtype.is_integer():
        return None
    numbers = column.cast(pl.Int64, strict=False)
    return None if numbers.null_count() or not len(numbers) else numbers


def digits(numbers: pl.Series, shape: str) -> pl.Series:
    """As text of a format, with the noughts before it that a number loses: `digits(pl.Series([1012024]), "%d%m%Y")` is
    01012024."""
    return numbers.cast(pl.String).str.zfill(width(shape))


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


def rare(numbers: pl.Series) -> str | None:
    """The format of numbers such as 31012024, 2024031 (a day of its year) or 20241 (a quarter): the one by which more
    are a step apart than by the numbers themselves, and nearly all."""
    known = numbers.unique()
    plain = evenness((known * 86_400_000_000).cast(pl.Datetime("us")))
    if len(known) < FEWEST or not known.is_between(101, 10**8).all():
        return None
    read = {shape: parse(digits(known, shape), shape) for shape in RARE}
    even = {shape: 0.0 if times.null_count() else evenness(times) for shape, times in read.items()}
    best = max(even, key=lambda shape: even[shape])
    return best if even[best] >= EVEN and even[best] > plain else None


def epoch(numbers: pl.Series) -> tuple[pl.Series, str] | None:
    """The times of numbers that count from 1970, and what they count."""
    for low, high, size, word in EPOCHS:
        if numbers.is_between(low, high).all():
            micros = numbers * (10**6 // size) if size <= 10**6 else numbers // (size // 10**6)
            return micros.cast(pl.Datetime("us")), word
    return None


def reads_compact(column: pl.Series) -> bool:
    """Whether a column that nobody named holds such numbers, each a step after the one before."""
    numbers = whole(column.drop_nulls())
    shape = None if numbers is None else compact(numbers, str(column.name))
    if numbers is None or shape is None or numbers.n_unique() < FEWEST:
        return False
    return evenness(parse(numbers.unique().cast(pl.String), shape)) >= EVEN


def reads_decimal(column: pl.Series) -> bool:
    """Whether all numbers are years and quarters or twelfths of them, some of them parts."""
    years = column.cast(pl.Float64, strict=False)
    if years.null_count() or not len(years) or not years.is_between(*YEARS).all() or (years == years.round(0)).all():
        return False
    return parse(column.cast(pl.String), DECIMAL).null_count() == 0
