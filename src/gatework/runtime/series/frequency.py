"""The step between two points of a series: found in the data, named, counted in both directions.

Times are whole numbers: microseconds since 1970 where they are dates, else the numbers themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from gatework.errors import OptionError
from gatework.runtime.series.monthdays import OWN, MonthDay, fitted, fitted_parts, parts_of

SECOND = 1_000_000
UNITS = {"us": 1, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND, "w": 604_800 * SECOND}
DAY, WEEK = UNITS["d"], UNITS["w"]
MONTHS = {"mo": 1, "q": 3, "y": 12}
# Days from, to, and months: of stamps on the same day, or on one that moves, such as the last Friday
CALENDAR_STEPS = ((26, 35, 1), (56, 66, 2), (84, 98, 3), (175, 190, 6), (357, 371, 12))
FEW = 0.1  # of the steps between stamps: as many may be wrong
LEAST_PART = 5 * DAY  # of a month that has several points


@dataclass(frozen=True)
class Frequency:
    """`every` units of a kind: "time" (microseconds), "month", "business" (Monday to Friday) or "number"; of the kind
    "parts" that many points stand in each month, on `days` of it.

    Example: `Frequency.parse("15m").season` is 96, a day of quarters of an hour.

    Stamps of months stand on `day` of theirs; None: on that of a series' first stamp.
    """

    kind: str
    every: int
    day: MonthDay | None = None
    days: tuple[MonthDay, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Frequency:
        """From "15m", "1h", "1d", "1b" (business days), "1w", "1mo", "1q", "1y" or "1i" (plain numbers).

        Months may name their day, "1mo@-1", see `MonthDay.parse`, or several: "1mo@1+15".
        """
        match = re.fullmatch(r"([1-9]\d*)(us|s|m|h|d|b|w|mo|q|y|i)(?:@(.*))?", text)
        if not match or (match[2] == "b" and match[1] != "1") or (match[3] is not None and match[2] not in MONTHS):
            raise OptionError(
                f"frequency cannot be {text!r}; write 15m, 1h, 1d, 1b (Monday to Friday), 1w, 1mo, 1y, 1i, or with the "
                "day of the month 1mo@15, 1mo@-1 (its last), 1mo@1+15 (both)"
            )
        count, unit = int(match[1]), match[2]
        if "+" in (match[3] or ""):
            return cls._of_parts(text, match[1] + unit, match[3].split("+"))
        if unit in MONTHS:
            return cls("month", count * MONTHS[unit], None if match[3] is None else MonthDay.parse(match[3]))
        if unit in ("b", "i"):
            return cls("business" if unit == "b" else "number", count)
        return cls("time", count * UNITS[unit])

    @classmethod
    def _of_parts(cls, text: str, month: str, names: list[str]) -> Frequency:
        days = tuple(map(MonthDay.parse, names))
        rising = [day.count if day.count > 0 else 32 + day.count for day in days]
        if month != "1mo" or any(day.unit or not day.count for day in days) or rising != sorted(set(rising)):
            raise OptionError(
                f"frequency cannot be {text!r}; several days of each month are such as 1mo@1+15, 1mo@15+-1"
            )
        return cls("parts", len(days), days=days)

    def __str__(self) -> str:
        return self.text.removesuffix("@1")

    @property
    def text(self) -> str:
        """What `parse` makes the same step of."""
        if self.kind == "month":
            unit = "y" if self.every % 12 == 0 else "mo"
            on = f"@{self.day}" if self.day else ""
            return f"{self.every // (12 if unit == 'y' else 1)}{unit}{on}"
        if self.kind == "parts":
            return f"1mo@{'+'.join(map(str, self.days))}"
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
        if self.kind == "parts":
            return 12 * self.every
        whole = DAY if self.every < DAY else WEEK if self.every < WEEK else 52 * WEEK
        return max(whole // self.every, 1)

    @property
    def whole_days(self) -> bool:
        """Whether all points may stand at the same hour of the day."""
        return self.kind in ("month", "business", "parts") or (self.kind == "time" and self.every % DAY == 0)

    def steps(self, start: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many steps after `start` each time stands, and whether it is exactly on a step."""
        if self.kind == "business":
            first, day = _days(start), _days(times)
            return np.busday_count(first, day), np.is_busday(day) & ((times - start) % DAY == 0)
        if self.kind == "month":
            count = _months(times) - _months(start)
            return count // self.every, count % self.every == 0
        if self.kind == "parts":
            (first, _), (place, exact) = self._places(start), self._places(times)
            return place - first, exact & ((times - start) % DAY == 0)
        return (times - start) // self.every, (times - start) % self.every == 0

    def times(self, start: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The time `steps` after `start`."""
        if self.kind == "business":
            days = np.busday_offset(_days(start), steps, roll="forward")
            return days.astype("datetime64[us]").astype(np.int64) + start % DAY
        if self.kind == "parts":
            places = self._places(start)[0] + steps
            days = parts_of(self.days, (places // self.every).astype("datetime64[M]"))
            chosen = np.take_along_axis(days, (places % self.every)[..., None], axis=-1)[..., 0]
            return chosen.astype("datetime64[us]").astype(np.int64) + start % DAY
        if self.kind != "month":
            return start + steps * self.every
        months = (_months(start) + steps * self.every).astype("datetime64[M]")
        return self._days_of(months, start).astype("datetime64[us]").astype(np.int64) + start % DAY

    def _places(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which point since 1970 is the last one at each time, where months have several, and whether it is its day."""
        day, months = _days(times), _months_of(times)
        place = (parts_of(self.days, months) <= day[..., None]).sum(axis=-1) - 1 + months.astype(np.int64) * self.every
        here = parts_of(self.days, (place // self.every).astype("datetime64[M]"))
        return place, (here == day[..., None]).any(axis=-1)

    def _days_of(self, months: np.ndarray, start: np.ndarray) -> np.ndarray:
        """The days of months, for series that begin at `start`."""
        if self.day not in (None, OWN):
            return self.day.of(months)
        last = (months + 1).astype("datetime64[D]") - 1
        return np.minimum(months.astype("datetime64[D]") + (_day_of_month(_days(start)) - 1), last)

    def on_days_of(self, times: np.ndarray, owners: np.ndarray) -> Frequency:
        """With the day of the month that all these times of series stand on, unless it is known."""
        if self.kind != "month" or self.day is not None or not len(times):
            return self
        return replace(self, day=fitted(_days(times), owners))


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
    for gap in (common, int(np.median(gaps))):
        for low, high, months in CALENDAR_STEPS:
            step = Frequency("month", months)
            if low * DAY <= gap <= high * DAY and _monthly(step, times, owners, bool((gaps % common == 0).all())):
                return step.on_days_of(times, owners)
    if common >= LEAST_PART and (sizes % common).any() and (parts := _in_parts(times, owners)):
        return parts
    on_weekends = not np.is_busday(_days(times)).all()
    if common == DAY and not on_weekends and (sizes == 3 * DAY).any():
        return Frequency("business", 1)
    return Frequency("time", common)


def _monthly(step: Frequency, times: np.ndarray, owners: np.ndarray, even: bool) -> bool:
    """Whether nearly all times stand whole steps of months apart; evenly spaced ones also on one day of the month, as
    every fourth or thirteenth week does not."""
    apart = np.diff(_months(times))[(np.diff(owners) == 0) & (np.diff(times) > 0)]
    if ((apart == 0) | (apart % step.every > 0)).mean() > FEW:
        return False
    day = step.on_days_of(times, owners).day
    same = day not in (None, OWN) and not day.unit and (day.of(_months_of(times)) == _days(times)).all()
    return not even or bool(same)


def _in_parts(times: np.ndarray, owners: np.ndarray) -> Frequency | None:
    """Several points each month on the same days of it, most of them one after the other."""
    days = fitted_parts(_days(times))
    if days is None or len(times) < 2 * len(days):
        return None
    step = Frequency("parts", len(days), days=days)
    apart = np.diff(step._places(times)[0])[np.diff(owners) == 0]
    return step if (apart == 1).mean() >= 0.5 else None


def _as_dates(times: np.ndarray) -> np.ndarray:
    return np.asarray(times, np.int64).astype("datetime64[us]")


def _days(times: np.ndarray) -> np.ndarray:
    return _as_dates(times).astype("datetime64[D]")


def _months_of(times: np.ndarray) -> np.ndarray:
    return _as_dates(times).astype("datetime64[M]")


def _months(times: np.ndarray) -> np.ndarray:
    return _months_of(times).astype(np.int64)


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
    monthly = frequency.kind in ("month", "parts")
    if not monthly and step < DAY:
        parts.append((times % DAY) / DAY)
    if not monthly and step < WEEK:
        parts.append((times - 4 * DAY) % WEEK / WEEK)  # 1970 began on a Thursday
    years = _as_dates(times).astype("datetime64[Y]")
    if frequency.kind != "month" or frequency.every < 12:
        parts.append((times - years.astype("datetime64[us]").astype(np.int64)) / (365.25 * DAY))
    angles = 2 * np.pi * np.array(parts, np.float64).reshape(len(parts), len(times)).T
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
