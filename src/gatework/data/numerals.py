"""Numbers as people write them: decimal commas, separators of thousands, and the many words for a missing value."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

ABSENT = ("", "na", "n/a", "#n/a", "n.a.", "nan", "<na>", "null", "none", "nil", "?", "-", "--", ".")
CURRENCY = "(?:[$€£¥₹%]|EUR|USD|GBP|JPY|CHF|CAD|AUD|CNY|INR|BRL|SEK|NOK|DKK|PLN)"
PAID = r"^\(([^()+-]+)\)$"  # (1,200.00) is -1,200.00 in accounts
SPACES = "[\u0020\u00a0\u202f\u2009'\u2019]"  # between thousands: "1 234,50" and "1'234.50"
GROUPED = r"^[+-]?\d{1,3}(GROUP\d{3})+(POINT\d+)?$"
WHOLE = r"^[+-]?\d+(POINT\d+)?$"


@dataclass(frozen=True)
class Numerals:
    """Values of a column of text, null where it is no number; `absent` where it says that there is none; `note` says
    how it was read where that is not plain."""

    values: pl.Series
    absent: pl.Series
    note: str = ""

    @property
    def bad(self) -> pl.Series:
        """Where there is something that is no number."""
        return self.values.is_null() & ~self.absent


def read_numbers(text: pl.Series, delimiter: str | None = None) -> Numerals:
    """Numbers as Python writes them where most are; else with a decimal comma, or with separators of thousands.

    Example: `read_numbers(pl.Series(["1.234,5", "-"])).values` is `[1234.5, None]`.

    A lone comma before three digits is a decimal comma in a file whose fields are delimited by semicolons, else a
    separator of thousands.
    """
    text = text.str.strip_chars().fill_null("")
    text = text.str.replace(PAID, "-${1}") if text.str.contains(r"^\(.*\d.*\)$").any() else text
    text = text.str.replace(rf"^([+-]?)\s*{CURRENCY}\s*|\s*{CURRENCY}$", "${1}") if _priced(text) else text
    absent = text.str.to_lowercase().is_in(ABSENT)
    plain = Numerals(text.cast(pl.Float64, strict=False), absent)
    filled = int((~absent).sum())
    if not filled or int(plain.bad.sum()) == 0:
        return plain
    ways = [_written(text, absent, *way) for way in ((",", r"\."), (r"\.", ","))]
    ways = ways if delimiter == ";" else ways[::-1]
    best = min(ways, key=lambda way: int(way.bad.sum()))
    return best if int(best.bad.sum()) < min(int(plain.bad.sum()), filled // 2 + 1) else plain


def _priced(text: pl.Series) -> bool:
    return bool(text.head(100).str.contains(CURRENCY).any())


def _written(text: pl.Series, absent: pl.Series, point: str, group: str) -> Numerals:
    """Read with a decimal point and a separator of thousands; both are patterns."""
    tight = text
    for _ in range(2):  # neighbouring groups share a digit
        tight = tight.str.replace_all(rf"(\d){SPACES}(\d{{3}})", "${1}${2}")
    fits = tight.str.contains(GROUPED.replace("GROUP", group).replace("POINT", point))
    fits |= tight.str.contains(WHOLE.replace("POINT", point))
    cleaned = tight.str.replace_all(group, "").str.replace(point, ".")
    values = pl.select(pl.when(fits).then(cleaned)).to_series().cast(pl.Float64, strict=False)
    other = (values.is_not_null() & text.cast(pl.Float64, strict=False).is_null()).arg_true()
    note = f"{text[other[0]]!r} is read as {values[other[0]]:.12g}" if len(other) else ""
    return Numerals(values, absent, note)


def thousands_or_not(text: pl.Series) -> str | None:
    """A cell such as "1.234" of a column in which every point stands before three digits: a decimal point or not?"""
    text = text.str.strip_chars().drop_nulls()
    dotted = text.filter(text.str.contains(".", literal=True))
    if not len(dotted) or not dotted.str.contains(r"^[+-]?[1-9]\d{0,2}(\.\d{3})+$").all():
        return None
    return str(dotted[0])
