"""Series on a regular grid, one after another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gatework.errors import DataError
from gatework.runtime.series.clock import Clock
from gatework.runtime.series.covariates import Covariates
from gatework.runtime.series.effects import Effects
from gatework.runtime.series.frequency import Frequency

ROWS = "(rows)"  # the time of a table that has none: each row is a step


@dataclass(frozen=True)
class Panel:
    """Series one after another: series s is `values[offsets[s]:offsets[s + 1]]`, from `starts[s]` on, NaN = missing.

    `dates` says whether times are microseconds since 1970 (else plain numbers); `columns` were time, target, series;
    `date_format` is how dates were written; `clock` is that of their zone, where it is known, and then they are in UTC;
    `zone` is that which later rows are read with; `effects` is what columns known ahead do, where a run reads values
    without it.
    """

    names: tuple[str, ...]
    values: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    frequency: Frequency
    dates: bool
    columns: tuple[str, tuple[str, ...], str | None] = ("time", ("value",), "series")
    date_format: str | None = None
    notes: tuple[str, ...] = ()
    covariates: Covariates | None = None
    clock: Clock | None = None
    zone: str | None = None
    effects: Effects | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def series(self, number: int) -> np.ndarray:
        """The values of one series."""
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.series(number) for number in range(len(self)))

    def worked_on(self, number: int, log: bool) -> np.ndarray:
        """The values of one series as a model works on them: in logarithms, or less what columns known ahead did."""
        values = logarithms(self.series(number)) if log else self.series(number)
        if self.effects is None or self.covariates is None:
            return values
        known = self.covariates.part(number)[: len(values), self.covariates.places("future")]
        added = self.effects.take(np.array([number])).added(known, np.array([0, len(known)]))
        return values - np.concatenate([added, np.zeros(len(values) - len(known))])

    def fingerprint(self) -> str:
        """A SHA-256 of names, times and values."""
        beside = [] if self.covariates is None else [self.covariates.values, self.covariates.static]
        parts = [self.values, self.offsets, self.starts, *beside]
        texts = [repr((self.names, self.frequency, self.dates)).encode(), *(part.tobytes() for part in parts)]
        return hashlib.sha256(b"".join(texts)).hexdigest()

    def times(self, number: int, steps: np.ndarray) -> np.ndarray:
        """The times of some steps of a series; they may lie past its end."""
        steps = np.asarray(steps, np.int64)
        return self.frequency.times(np.full(len(steps), self.starts[number]), steps)

    def with_series(self, parts: Sequence[np.ndarray], starts: np.ndarray | None = None) -> Panel:
        """The same names and step with other values; covariates stay as they are."""
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        values = np.concatenate([np.zeros(0), *parts])
        return replace(self, values=values, offsets=offsets, starts=self.starts if starts is None else starts)

    def ends(self, most: int) -> Panel:
        """The last steps of each series, `most` at most, with all covariates from there on."""
        return self.between(np.maximum(self.lengths - most, 0), self.lengths)

    def between(self, firsts: np.ndarray, ends: np.ndarray) -> Panel:
        """Each series from a step on to before another one, with all covariates from there on."""
        starts = [self.times(s, firsts[s : s + 1])[0] for s in range(len(self))]
        parts = [part[first:end] for part, first, end in zip(self, firsts, ends, strict=True)]
        panel = self.with_series(parts, np.array(starts, np.int64))
        return panel if self.covariates is None else replace(panel, covariates=self.covariates.from_steps(firsts))

    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """[S] the first step with a value of each series, and the step after its last one; 0 and 0 where there is
        none."""
        there = [np.flatnonzero(~np.isnan(part)) for part in self]
        bounds = [(each[0], each[-1] + 1) if len(each) else (0, 0) for each in there]
        firsts, ends = np.array(bounds, np.int64).reshape(-1, 2).T
        return firsts, ends

    def scaled(self, ends: np.ndarray) -> Panel:
        """Covariates scaled by the first steps of each series, up to `ends` [S]."""
        return self if self.covariates is None else replace(self, covariates=self.covariates.scaled(ends))

    def take(self, numbers: Sequence[int] | np.ndarray) -> Panel:
        """Some of the series, in the order of their numbers; one may come several times."""
        numbers = np.asarray(numbers, np.int64)
        names = tuple(self.names[s] for s in numbers)
        panel = replace(self.with_series([self.series(s) for s in numbers], self.starts[numbers]), names=names)
        if self.covariates is None:
            return panel
        beside = self.covariates.with_parts([self.covariates.part(s) for s in numbers], self.covariates.static[numbers])
        return replace(panel, covariates=beside, effects=self.effects and self.effects.take(numbers))

    def renewed(self, later: Panel) -> tuple[Panel, np.ndarray]:
        """These series as `later` has them where it does, then those it has beyond; and the number of each there, or
        -1."""
        there = {name: number for number, name in enumerate(later.names)}
        names = [*self.names, *(name for name in later.names if name not in set(self.names))]
        both = self.with_series([*self, *later], np.concatenate([self.starts, later.starts]))
        both = replace(both, names=self.names + later.names)
        old, new = self.covariates, later.covariates
        if old is not None and new is not None:
            parts = [each.part(s) for each, panel in ((old, self), (new, later)) for s in range(len(panel))]
            both = replace(both, covariates=new.with_parts(parts, np.concatenate([old.static, new.static])))
        if self.effects is not None and later.effects is not None:
            both = replace(both, effects=self.effects.and_of(later.effects))
        numbers = np.array([there.get(name, -1) for name in names], np.int64)
        return both.take(np.where(numbers >= 0, len(self) + numbers, np.arange(len(names)))), numbers

    def followed_by(self, later: Panel) -> tuple[Panel, np.ndarray]:
        """The series of `later` with what this panel knows before (or between) them, and where this panel ended.

        A series that is not in this panel stands as it is, its end at 0.
        """
        parts, beside, starts, ends = [], [], later.starts.copy(), np.zeros(len(later), np.int64)
        numbers = {name: number for number, name in enumerate(self.names)}
        old, new = self.covariates, later.covariates
        static = None if new is None else new.static.copy()
        for place, name in enumerate(later.names):
            part = later.series(place)
            extra = None if new is None else new.part(place)
            if name in numbers:
                number = numbers[name]
                starts[place], at, then = self._meeting(number, later, place)
                ends[place] = at + len(self.series(number))
                part = _laid_over(self.series(number), at, part, then)
                if old is not None and extra is not None and static is not None:
                    extra = _laid_over(old.part(number), at, extra, then)
                    static[place] = np.where(np.isnan(static[place]), old.static[number], static[place])
            parts.append(part)
            beside.append(extra)
        joined = replace(later.with_series(parts, starts), clock=self.clock)
        if new is not None and static is not None:
            joined = replace(joined, covariates=new.with_parts(beside, np.nan_to_num(static)))
        if self.effects is not None:
            joined = replace(joined, effects=self.effects.of([numbers.get(name) for name in later.names], parts))
        return joined, ends

    def _meeting(self, number: int, later: Panel, place: int) -> tuple[int, int, int]:
        """Where a series of this panel and one of `later` begin: the first time, and the step of each after it."""
        start, other = self.starts[number : number + 1], later.starts[place : place + 1]
        first = min(int(start[0]), int(other[0]))
        (at,), (exact,) = self.frequency.steps(np.array([first]), start)
        (then,), (fits,) = self.frequency.steps(np.array([first]), other)
        if not (exact and fits):
            time = shown_time(int(other[0]), self.dates)
            raise DataError(
                f"series {self.names[number]!r} goes on at {time}, which is not on its grid of {self.frequency}"
            )
        return first, int(at), int(then)


def _laid_over(old: np.ndarray, at: int, new: np.ndarray, then: int) -> np.ndarray:
    """Both on one line of steps, new values over old ones."""
    end = max(at + len(old), then + len(new) if len(new) else 0)
    values = np.full((end, *old.shape[1:]), np.nan)
    values[at : at + len(old)] = old
    if len(new):
        values[then : then + len(new)] = np.where(np.isnan(new), values[then : then + len(new)], new)
    return values


def logarithms(values: np.ndarray) -> np.ndarray:
    """Missing where there is none."""
    return np.log(np.where(values > 0, values, np.nan))


def shown_time(time: int, dates: bool) -> int | str:
    """A time as JSON: an ISO date (with the hour where there is one), or the number."""
    if not dates:
        return int(time)
    text = np.datetime64(int(time), "us").astype("datetime64[us]").item().isoformat(sep=" ")
    return text.removesuffix(" 00:00:00")


def shown_times(times: np.ndarray, dates: bool, hours: bool, clock: Clock | None) -> list[int | str]:
    """Times of a table, all written alike: with their hours, and as their clock shows them, or without."""
    seen = times if clock is None else clock.as_shown(times)
    shown = [shown_time(int(each), dates) for each in seen]
    whole = [f"{each} 00:00:00" if dates and hours and len(str(each)) == len("2024-01-31") else each for each in shown]
    if clock is None or not dates:
        return whole
    return [f"{each}{suffix}" for each, suffix in zip(whole, clock.suffixes(times), strict=True)]
