"""On which day of their month stamps of months, quarters and years stand: a rule, fitted to all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gatework.errors import OptionError

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MASKS = {"b": "1111100"} | {name: "0" * day + "1" + "0" * (6 - day) for day, name in enumerate(WEEKDAYS)}
MOST = {"": 31, "b": 20} | dict.fromkeys(WEEKDAYS, 4)  # which every month has; of days, the last stands for the others
ENOUGH = 6  # months that must agree on a rule that nobody would guess, such as the fourth business day
ANY_DAY = 28  # every month has it
ORDINALS = {1: "1st", 2: "2nd", 3: "3rd", 21: "21st", 22: "22nd", 23: "23rd", 31: "31st"}


@dataclass(frozen=True)
class MonthDay:
    """The n-th day ("") of a month, business day ("b", Monday to Friday) or weekday ("fri"); from its end where n < 0.

    Example: `MonthDay.parse("-1b").of(np.array(["2024-03"], "datetime64[M]"))` is 2024-03-29, a Friday.

    A day that a month lacks is its last one. Count 0: the day of the series' own first stamp.
    """

    count: int
    unit: str = ""

    @classmethod
    def parse(cls, text: str) -> MonthDay:
        """From "15", "-1" (the last day), "1b", "-1b" (the last business day), "3fri", "-1fri" or "own"."""
        match = re.fullmatch(rf"(-?[1-9]\d?)(b|{'|'.join(WEEKDAYS)})?", text)
        count, unit = (int(match[1]), match[2] or "") if match else (0, "")
        if text != "own" and not 1 <= abs(count) <= MOST[unit]:
            raise OptionError(
                f"a day of the month cannot be {text!r}; write 15, -1 (the last), 1b or -1b (the first or last of "
                "Monday to Friday), 3fri (the third Friday), -1fri, or own (each series on its own)"
            )
        return cls(count, unit)

    def __str__(self) -> str:
        return f"{self.count}{self.unit}" if self.count else "own"

    @property
    def words(self) -> str:
        """Such as "the last business day"."""
        if not self.count:
            return "each series' own day"
        kind = {"": "day", "b": "business day"}.get(self.unit) or NAMES[WEEKDAYS.index(self.unit)]
        size = abs(self.count)
        place = ORDINALS.get(size, f"{size}th")
        if self.count < 0:
            return f"the last {kind}" if size == 1 else f"the {place} {kind} from the end"
        return f"the {place}" if kind == "day" else f"the {place} {kind}"

    def of(self, months: np.ndarray) -> np.ndarray:
        """The days of months (datetime64[M]), as datetime64[D]."""
        first, last = months.astype("datetime64[D]"), (months + 1).astype("datetime64[D]") - 1
        if not self.unit:
            return (
                np.minimum(first + self.count - 1, last) if self.count > 0 else np.maximum(last + self.count + 1, first)
            )
        mask = MASKS[self.unit]
        if self.count > 0:
            return np.busday_offset(first, self.count - 1, roll="forward", weekmask=mask)
        return np.busday_offset(last, self.count + 1, roll="backward", weekmask=mask)


OWN = MonthDay(0)
NEARLY = 0.9  # of the stamps
PARTS = (2, 4)  # the fewest and the most points that a month may have, on days of their own


def parts_of(days: tuple[MonthDay, ...], months: np.ndarray) -> np.ndarray:
    """[n, K] days (datetime64[D]) of months [n]."""
    return np.stack([day.of(months) for day in days], axis=-1)


def fitted_parts(stamps: np.ndarray) -> tuple[MonthDay, ...] | None:
    """The several days of each month on which nearly all stamps (datetime64[D]) stand, such as the 1st and the 15th."""
    stamps = np.unique(stamps)
    months = stamps.astype("datetime64[M]")
    day = (stamps - months.astype("datetime64[D]")).astype(np.int64) + 1
    last = stamps == (months + 1).astype("datetime64[D]") - 1
    several, counts = np.unique(day[~last], return_counts=True)
    inner, ends = several[2 * counts >= counts.max(initial=0)].tolist(), day[last].tolist()
    for chosen in (inner, *([*inner, end] for end in (-1, max(ends, default=-1)) if ends)):
        days = tuple(map(MonthDay, chosen))
        if PARTS[0] <= len(days) <= PARTS[1]:
            there = (parts_of(days, months) == stamps[:, None]).any(axis=1)
            if there.mean() >= NEARLY:
                return days
    return None


def fitted(days: np.ndarray, owners: np.ndarray) -> MonthDay:
    """The rule of stamps (datetime64[D]) of series: the first that all follow, else each series' own day, else the
    rule that most follow."""
    stamps, counts = np.unique(days, return_counts=True)
    months = stamps.astype("datetime64[M]")
    best, most = MonthDay(1), -1
    for rule in _rules(stamps, months):
        followed = int(counts[rule.of(months) == stamps].sum())
        if followed == len(days):
            return rule
        sure = not rule.unit or 2 * followed >= len(days)  # of scattered days some are first Sundays
        best, most = (rule, followed) if sure and followed > most else (best, most)
    return OWN if _own(days, owners) else best


def _rules(stamps: np.ndarray, months: np.ndarray) -> Iterator[MonthDay]:
    """What stamps could follow, what people do first: the last day, the same day, the last and first business day."""
    first, last = months.astype("datetime64[D]"), (months + 1).astype("datetime64[D]")
    day = (stamps - first).astype(np.int64) + 1
    yield MonthDay(-1)
    yield MonthDay(int(day.max()))
    yield MonthDay(_commonest(day))
    yield MonthDay(-1, "b")
    yield MonthDay(1, "b")
    weekday = WEEKDAYS[_commonest((stamps.astype(np.int64) - 4) % 7)]  # 1970 began on a Thursday
    many = len(np.unique(months)) >= ENOUGH
    for unit in (weekday, "b"):
        here = np.is_busday(stamps, weekmask=MASKS[unit])
        if not here.any() or (unit == "b" and not many):
            continue
        counted = 1 + np.busday_count(first[here], stamps[here], weekmask=MASKS[unit])
        back = np.busday_count(stamps[here], last[here], weekmask=MASKS[unit])
        yield MonthDay(min(_commonest(counted), MOST[unit]), unit)
        yield MonthDay(-min(_commonest(back), MOST[unit]), unit)


def _own(days: np.ndarray, owners: np.ndarray) -> bool:
    """Whether each series keeps to a day of its own that every month has."""
    day = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1
    _, first, place = np.unique(owners, return_index=True, return_inverse=True)
    return bool((day == day[first][place]).all() and day.max() <= ANY_DAY)


def _commonest(numbers: np.ndarray) -> int:
    values, counts = np.unique(numbers, return_counts=True)
    return int(values[counts.argmax()])
