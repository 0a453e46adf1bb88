"""Times that stand in several columns, such as date and hour or year and month, or in none; and times that jitter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from gatework.data.dates import Dated, Times, read_times
from gatework.data.datewords import hours_alone
from gatework.data.finding import Finding
from gatework.data.table import Table, listed
from gatework.errors import DataError, OptionError
from gatework.runtime.series.frequency import DAY, UNITS, Frequency

KINDS = {
    "year": r"year|yr|jahr|ann[eé]e|a[nñ]o",
    "month": r"month|mon|mth|monat|mois|mes",
    "day": r"day|tag|jour|d[ií]a|dom|day_?of_?month|monthday",
    "yearday": r"doy|yday|day_?of_?(the_?)?year|yearday|julian(_?day)?",
    "quarter": r"quarter|qtr|q|quartal|trimest\w*",
    "week": r"(iso_?)?week|wk|w|kw|woche|semaine|semana",
    "hour": r"hour|hour[_ ]?ending|hh:?mm|hr|h|stunde|heure|hora|time|uhrzeit|zeit|clock",
    "minute": r"minute|min",
    "second": r"second|sec",
}
HOUR, MINUTE = UNITS["h"], UNITS["m"]
CLOCK = r"(?i)^(\d{1,2})(?:[.:h](\d{2}))?(?:[.:](\d{2})(?:[.,]\d+)?)?(?:\s*([ap])\.?m\.?)?$"  # 13:45:00.5, 1:45 pm
STEPS = {
    "s": (1, 2, 5, 10, 15, 20, 30),
    "m": (1, 2, 5, 10, 15, 20, 30),
    "h": (1, 2, 3, 4, 6, 8, 12),
    "d": (1,),
    "w": (1,),
}
FAR = 0.2  # of a step: the usual one must be as near to it
FULL = 0.5  # of neighbours: as many must be one step apart once they are rounded


def kind_of(name: str) -> str | None:
    """What part of a time the name of a column says that it holds."""
    return next((kind for kind, words in KINDS.items() if re.fullmatch(words, name.strip().lower())), None)


def parts_of(time: str, columns: Sequence[str]) -> list[str]:
    """The columns of a time: one, or those between commas where no column has the whole name."""
    names = [each.strip() for each in time.split(",")]
    return [time] if time in columns or not set(names) <= set(columns) else by_size(names)


def by_size(names: Sequence[str]) -> list[str]:
    """Columns of a year, a month, a day, ... with the largest first, if they are such; else as they are."""
    kinds = [kind_of(name) for name in names]
    known = "year" in kinds and None not in kinds
    order = [*KINDS]
    return sorted(names, key=lambda name: order.index(kind_of(name) or "year")) if known else list(names)


def read_parts(table: Table, names: Sequence[str], how: Dated) -> tuple[Table, Times]:
    """The times of several columns, and the table with a column of them."""
    name = ",".join(names)
    first = table.strings(names[0]).str.strip_chars()
    year = first.drop_nulls().str.contains(r"^[12]\d{3}(\.0)?$").all()
    count = _calendar(table, names) if year else 1
    days = _days(table, names[:count]) if year else table.column(names[0])
    naive = replace(table, frame=table.frame.with_columns(days.alias(name)))
    base = read_times(naive, name, how._replace(shape=None if year else how.shape, zone=None, step=None))
    if not base.dates:
        raise DataError(
            f"{table.source}: {names[0]!r} holds neither dates nor years; name one of them first: time=date,hour"
        )
    clock, bad = _clock(table, names[count:])
    times = pl.Series(base.times + clock).cast(pl.Datetime("us"))
    good = base.good & ~bad
    joined = replace(
        table,
        frame=table.frame.with_columns(pl.select(pl.when(pl.lit(pl.Series(good))).then(times)).to_series().alias(name)),
    )
    whole = read_times(joined, name, how)
    faults = [each for each in base.found if each.level == "error"] + _unreadable(table, names[count:], bad)
    found = [each for each in [*base.found, *whole.found] if each.level != "error"]
    return joined, whole._replace(found=[*found, *faults], shape=base.shape)


def _calendar(table: Table, names: Sequence[str]) -> int:
    """How many of the columns, beginning with a year, say which day; the others say which time of it."""
    kinds = [kind_of(name) for name in names]
    ends = next((at for at, kind in enumerate(kinds) if at and kind in ("hour", "minute", "second")), len(names))
    return min(ends, 2 if kinds[1] in ("week", "quarter", "day", "yearday") else 3)


def _days(table: Table, names: Sequence[str]) -> pl.Series:
    """Year and month, day, quarter or week as text that reads as a date."""
    year, *rest = [table.strings(name).str.strip_chars() for name in names]
    if not rest:
        return year + "-01-01"
    kind = kind_of(names[1]) or _likely(rest[0])
    if kind == "week":
        return year + "-W" + rest[0].str.zfill(2) + "-1"
    if kind == "quarter":
        return year + "-Q" + rest[0].str.strip_prefix("Q")
    if kind in ("day", "yearday"):  # without a month between
        return year + "-" + rest[0].str.zfill(3)
    if rest[0].str.contains(r"\d.*[A-Za-z]|[A-Za-z].*\d").all():  # 10-Jan, Jan 10
        return rest[0].str.extract(r"(\d+)").str.zfill(2) + " " + rest[0].str.extract("([A-Za-z]{3})") + " " + year
    if rest[0].str.contains("[A-Za-z]").any():
        return (
            rest[0].str.slice(0, 3) + " " + year
            if len(rest) == 1
            else rest[1].str.zfill(2) + " " + rest[0].str.slice(0, 3) + " " + year
        )
    day = rest[1].str.zfill(2) if len(rest) > 1 else "01"
    return year + "-" + rest[0].str.zfill(2) + "-" + day


def _likely(text: pl.Series) -> str:
    """What stands beside a year: a month, or a week or day where the numbers are larger."""
    most = text.cast(pl.Int64, strict=False).max()
    return "month" if not isinstance(most, int) or most <= 12 else "week" if most <= 53 else "yearday"


def _clock(table: Table, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds since midnight of columns of hours, minutes and seconds, or of times of day; and what is none."""
    total, bad = np.zeros(len(table), np.int64), np.zeros(len(table), bool)
    for place, name in enumerate(names):
        text = hours_alone(table.strings(name).str.strip_chars())
        parts = text.str.extract_groups(CLOCK).struct.unnest()
        kind = kind_of(name) or ("hour", "minute", "second")[min(place, 2)]
        unit = {"minute": MINUTE, "second": UNITS["s"]}.get(kind, HOUR)
        hours, minutes, seconds = (parts[str(k)].cast(pl.Int64).fill_null(0) for k in (1, 2, 3))
        plain = text.cast(pl.Float64, strict=False)
        compact = unit == HOUR and bool((plain >= 100).any())  # 1330: hours and minutes in one number
        size = (plain // 100) * HOUR + (plain % 100) * MINUTE if compact else plain * unit
        half = parts["4"].str.to_lowercase()
        wrong = half.is_not_null() & ~hours.is_between(1, 12)
        hours = pl.select(
            pl.when(half.is_null()).then(hours).otherwise(hours % 12 + 12 * (half == "p").cast(pl.Int64))
        ).to_series()
        told = hours * HOUR + minutes * MINUTE + seconds * UNITS["s"]
        spoken = parts["2"].is_not_null() | half.is_not_null()
        micros = pl.select(pl.when(spoken).then(told).otherwise(size.cast(pl.Int64))).to_series()
        wrong |= micros.is_null() | (micros > DAY) | (micros < 0) | (minutes >= 60) | (seconds >= 60)
        if unit != HOUR or compact:
            wrong |= ((plain if unit != HOUR else plain % 100) >= 60).fill_null(False)
        total += micros.fill_null(0).to_numpy()
        bad |= wrong.to_numpy()
    return total, bad


def _unreadable(table: Table, names: Sequence[str], bad: np.ndarray) -> list[Finding]:
    if not bad.any():
        return []
    row = int(np.flatnonzero(bad)[0])
    cells = [repr(table.column(name)[row]) for name in names]
    message = (
        f"{table.where(row)}, column {listed(list(names))}: {', '.join(cells)} is no time of day ({bad.sum()} such "
    )
    return [Finding("error", f"{message}rows); write hours as 0 to 24, or times as 13:45", row, names[-1])]


def read_rows(table: Table, owners: np.ndarray, counted: bool = False) -> Times:
    """Each row as a step of its series, in the order of the table; `owners` says which series a row belongs to.
    `counted`: that is asked for, and no warning is needed."""
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(owners)
    steps = np.empty(len(owners), np.int64)
    steps[order] = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    message = (
        f"{table.source} has no column that reads as dates (it has {listed(table.columns)}): each row is a step, in "
        "the order of the rows; if one holds dates, name it and say how they are written: time=COLUMN "
        "date_format=%d/%m/%Y"
    )
    found = [] if counted else [Finding("warning", message)]
    return Times(steps, np.ones(len(owners), bool), False, found)


def rounded(times: Times, to: str | None, source: str) -> Times:
    """Times that jitter, brought to whole steps of their clock: "5m" to the nearest, "1d-down" to the one before; those
    of months and longer steps to their first day."""
    if to is None:
        return times
    text, _, down = to.partition("-")
    advice = "write 5m (the nearest), 1d-down (the one before), 1mo" if times.dates else "write 5i, or 5i-down"
    try:
        step = Frequency.parse(text)
    except OptionError:
        raise OptionError(f"round cannot be {to!r}; {advice}") from None
    if down not in ("", "down") or (step.kind == "number") == times.dates or step.kind in ("business", "parts"):
        raise OptionError(f"round cannot be {to!r} here; {advice}")
    local = times.times if times.clock is None else times.clock.local(times.times)
    moved = _to_steps(local, step, bool(down))
    most = int(np.abs(moved - local)[times.good].max(initial=0))
    if times.clock is not None and not step.whole_days:
        moved = times.times + (moved - local)
    by = str(most) if not times.dates else f"{most / DAY:,.3g} days" if most > DAY else f"{most / UNITS['s']:,.0f} s"
    note = Finding("note", f"{source}: times are rounded to {to}, by {by} at most")
    clock = None if step.whole_days else times.clock  # days are those of the clock, with no hours to show
    return times._replace(times=moved, clock=clock, found=[*times.found, note])


def _to_steps(times: np.ndarray, step: Frequency, down: bool) -> np.ndarray:
    if step.kind == "month":
        months = times.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) // step.every * step.every
        return months.astype("datetime64[M]").astype("datetime64[us]").astype(np.int64)
    origin = 4 * DAY if step.every % UNITS["w"] == 0 else 0  # weeks begin on Mondays; 1970 began on a Thursday
    shift = 0 if down else step.every // 2
    return (times - origin + shift) // step.every * step.every + origin


def rounding(times: np.ndarray, owners: np.ndarray) -> str | None:
    """What jittered dates could be rounded to, such as "5m": each then stands on a step of its own, most of them one
    step apart. Times are sorted within each series."""
    same = np.diff(owners) == 0
    gaps = np.diff(times)[same]
    if not len(gaps):
        return None
    usual = float(np.median(gaps))
    sizes = np.array([count * UNITS[unit] for unit, counts in STEPS.items() for count in counts])
    names = [f"{count}{unit}" for unit, counts in STEPS.items() for count in counts]
    away = np.abs(np.log(sizes / max(usual, 1.0)))
    if away.min() > FAR:
        return None
    name = names[int(away.argmin())]
    for to in (name, f"{name}-down"):
        step = Frequency.parse(name)
        apart = np.diff(_to_steps(times, step, to != name))[same]
        if (apart > 0).all() and (apart == step.every).mean() >= FULL:
            return to
    return None
