"""The step between two points of a series: found in the data, named, counted in both directions.

Times are whole numbers: microseconds since 1970 where they are dates, else the numbers themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from gatework.errors import OptionError

SECOND = 1_000_000
UNITS = {"us": 1, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND, "w": 604_800 * SECOND}
DAY, WEEK = UNITS["d"], UNITS["w"]
MONTHS = {"mo": 1, "q": 3, "y": 12}
CALENDAR_STEPS = ((28, 31, 1), (59, 62, 2), (89, 92, 3), (181, 184, 6), (365, 366, 12))  # days from, to, months


@dataclass(frozen=True)
class Frequency:
    """`every` units of a kind: "time" (microseconds), "month", "business" (Monday to Friday) or "number".

    Example: `Frequency.parse("15m").season` is 96, a day of quarters of an hour.
    """

    kind: str
    every: int

    @classmethod
    def parse(cls, text: str) -> Frequency:
        """From "15m", "1h", "1d", "1b" (business days), "1w", "1mo", "1q", "1y" or "1i" (plain numbers)."""
        match = re.fullmatch(r"([1-9]\d*)(us|s|m|h|d|b|w|mo|q|y|i)", text)
        if not match or (match[2] == "b" and match[1] != "1"):
            raise OptionError(
                f"frequency cannot be {text!r}; write 15m, 1h, 1d, 1b (Monday to Friday), 1w, 1mo, 1y, 1i"
            )
        count, unit = int(match[1]), match[2]
        if unit in MONTHS:
            return cls("month", count * MONTHS[unit])
        if unit in ("b", "i"):
            return cls("business" if unit == "b" else "number", count)
        return cls("time", count * UNITS[unit])

    def __str__(self) -> str:
        if self.kind == "month":
            unit = "y" if self.every % 12 == 0 else "mo"
            return f"{self.every // (12 if unit == 'y' else 1)}{unit}"
        if self.kind == "time":
            unit = next(unit for unit in ("w", "d", "h", "m", "s", "us") if self.every % UNITS[unit] == 0)
            return f"{self.every // UNITS[unit]}{unit}"
        return f"{self.every}{'b' if self.kind == 'business' else 'i'}"

    @property
    def season(self) -> int:
        """Points in the usual season: a day of hours or less, a week of days, a year of weeks, months or quarters."""
        if self.kind == "number":
            return 1
        if self.kind == "business":
            return 5
        if self.kind == "month":
            return max(12 // self.every, 1)
        whole = DAY if self.every < DAY else WEEK if self.every < WEEK else 52 * WEEK
        return max(whole // self.every, 1)

    @property
    def whole_days(self) -> bool:
        """Whether all points may stand at the same hour of the day."""
        return self.kind in ("month", "business") or (self.kind == "time" and self.every % DAY == 0)

    def steps(self, start: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many steps after `start` each time stands, and whether it is exactly on a step."""
        if self.kind == "business":
            first, day = _days(start), _days(times)
            return np.busday_count(first, day), np.is_busday(day) & ((times - start) % DAY == 0)
        if self.kind == "month":
            count = _months(times) - _months(start)
            return count // self.every, count % self.every == 0
        return (times - start) // self.every, (times - start) % self.every == 0

    def times(self, start: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The time `steps` after `start`; a month's last day stays the last day."""
        if self.kind == "business":
            days = np.busday_offset(_days(start), steps, roll="forward")
            return days.astype("datetime64[us]").astype(np.int64) + start % DAY
        if self.kind != "month":
            return start + steps * self.every
        month = (_months(start) + steps * self.every).astype("datetime64[M]")
        last = _day_of_month((month + 1).astype("datetime64[D]") - 1)
        day = _day_of_month(_days(start))
        is_last = _day_of_month(_days(start) + 1) == 1
        day = np.where(is_last, last, np.minimum(day, last))
        return (month.astype("datetime64[D]") + day - 1).astype("datetime64[us]").astype(np.int64) + start % DAY


def infer(times: np.ndarray, owners: np.ndarray, dates: bool) -> Frequency:
    """The step that is most common between neighbours; times are sorted within each series."""
    gaps = np.diff(times)[np.diff(owners) == 0]
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return Frequency("time", DAY) if dates else Frequency("number", 1)
    sizes, counts = np.unique(gaps, return_counts=True)
    common = int(sizes[counts.argmax()])
    if not dates:
        return Frequency("number", common)
    for low, high, months in CALENDAR_STEPS:
        if low * DAY <= common <= high * DAY and common % WEEK:
            return Frequency("month", months)
    on_weekends = not np.is_busday(_days(times)).all()
    if common == DAY and not on_weekends and (sizes == 3 * DAY).any():
        return Frequency("business", 1)
    return Frequency("time", common)


def _as_dates(times: np.ndarray) -> np.ndarray:
    return np.asarray(times, np.int64).astype("datetime64[us]")


def _days(times: np.ndarray) -> np.ndarray:
    return _as_dates(times).astype("datetime64[D]")


def _months(times: np.ndarray) -> np.ndarray:
    return _as_dates(times).astype("datetime64[M]").astype(np.int64)


def _day_of_month(days: np.ndarray) -> np.ndarray:
    return (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1


def calendar(times: np.ndarray, frequency: Frequency) -> np.ndarray:
    """Sine and cosine of the place in day, week and year, as far as the step resolves them: times [N] -> [N, C].

    Plain numbers have no calendar: C is 0.
    """
    if frequency.kind == "number":
        return np.zeros((len(times), 0), np.float32)
    parts = []
    step = DAY if frequency.kind == "business" else frequency.every
    if frequency.kind != "month" and step < DAY:
        parts.append((times % DAY) / DAY)
    if frequency.kind != "month" and step < WEEK:
        parts.append((times - 4 * DAY) % WEEK / WEEK)  # 1970 began on a Thursday
    years = _as_dates(times).astype("datetime64[Y]")
    if frequency.kind != "month" or frequency.every < 12:
        parts.append((times - years.astype("datetime64[us]").astype(np.int64)) / (365.25 * DAY))
    angles = 2 * np.pi * np.array(parts, np.float64).reshape(len(parts), len(times)).T
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
