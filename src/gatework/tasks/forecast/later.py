"""Rows of later times beside what a run knows: joined, and told where they end early, contradict it, or lack values."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gatework.data.table import listed
from gatework.errors import DataError
from gatework.runtime.series.covariates import IDENTITY, Channel, Covariates
from gatework.runtime.series.panel import ROWS, Clock, Panel, shown_time
from gatework.tasks.base import Source

MOST_LINES = 5  # of series that an error lists
CLOSE = 1e-5  # relative difference of static values, which a run keeps as float32


def named(source: Source) -> str:
    """A source in messages."""
    return str(source) if isinstance(source, str | Path) else "the given rows"


def counted_on(known: Panel, later: Panel) -> Panel:
    """Rows without times go on from the end of their series; others stand where their times say."""
    if later.columns[0] != ROWS:
        return later
    ends = dict(zip(known.names, known.starts + known.lengths, strict=True))
    return replace(later, starts=np.array([ends.get(name, 0) for name in later.names], np.int64))


def followed(known: Panel, later: Panel, source: Source) -> tuple[Panel, np.ndarray]:
    """`known.followed_by(later)`; an error also names the source."""
    if (known.clock is None) != (later.clock is None):
        new, old = ("an offset or zone", "none") if later.clock else ("no offset or zone", "one")
        raise DataError(
            f"{named(source)}: times have {new}, those of the training data had {old}: they could be hours apart; "
            f"write times as the training data has them{_shown_as(known.clock)}"
        )
    try:
        return known.followed_by(later)
    except DataError as error:
        raise DataError(f"{named(source)}: {error}; write times as the training data has them") from None


def _shown_as(clock: Clock | None) -> str:
    if clock is None or clock.shown == "local":
        return ""
    return f" (its forecasts are in {'UTC, +00:00' if clock.shown == 'utc' else clock.zone})"


def news(known: Panel, later: Panel, source: Source) -> list[str]:
    """What one has to know of later rows before their forecasts are read."""
    found = [
        *unseen(known, later),
        *between(known, later),
        *early(known, later, source),
        *revised(known, later, source),
    ]
    return [*found, *static_told(known, later, source)]


def unseen(known: Panel, later: Panel) -> list[str]:
    new = [name for name in later.names if name not in set(known.names)]
    message = f"{len(new):,} series not in the training data: {listed(new, 5)}; forecast from these rows alone"
    return [message] if new else []


def absent(known: Panel, later: Panel, source: Source) -> list[str]:
    """A warning of series that rows say nothing of."""
    there = set(later.names)
    without = [name for name, length in zip(known.names, known.lengths, strict=True) if length and name not in there]
    message = f"{named(source)}: no row of {len(without):,} of the {len(known):,} series that the run knows "
    return [f"{message}({listed(without, 5)}): these are not forecast"] if without else []


def _both(known: Panel, later: Panel) -> Iterator[tuple[int, int, int]]:
    """The number of each series that both have, in each of them, and the step of the first at which `later` begins."""
    numbers = {name: number for number, name in enumerate(known.names)}
    for place, name in enumerate(later.names):
        number = numbers.get(name, -1)
        if number >= 0 and known.lengths[number]:
            steps, _ = known.frequency.steps(known.starts[number : number + 1], later.starts[place : place + 1])
            yield number, place, int(steps[0])


def between(known: Panel, later: Panel) -> list[str]:
    """A warning where rows lack between the end of what is known and the first new ones."""
    gaps = {number: first - int(known.lengths[number]) for number, _, first in _both(known, later)}
    wide = {number: gap for number, gap in gaps.items() if gap > 0}
    if not wide:
        return []
    number = max(wide, key=lambda each: wide[each])
    first = known.times(number, known.lengths[number : number + 1])[0]
    return [
        f"{len(wide):,} series with rows missing between what the model knows and these rows, the most in "
        f"{known.names[number]!r}: {wide[number]:,} steps of {known.frequency} from {shown_time(first, known.dates)} "
        "on; they count as missing"
    ]


def early(known: Panel, later: Panel, source: Source) -> list[str]:
    """A warning of series whose rows end before the data of the run does."""
    short = {
        number: int(known.lengths[number]) - (first + int(later.lengths[place]))
        for number, place, first in _both(known, later)
        if later.lengths[place]
    }
    short = {number: steps for number, steps in short.items() if steps > 0}
    if not short:
        return []
    number = max(short, key=lambda each: short[each])
    ends = known.times(number, known.lengths[number] - 1 - np.array([short[number], 0]))
    last, own = (shown_time(int(end), known.dates) for end in ends)
    return [
        f"{named(source)}: rows end before the data of the run in {len(short):,} series: in {known.names[number]!r} at "
        f"{last}, the run knows it up to {own}; forecasts go on from the end of what the run knows"
    ]


def revised(known: Panel, later: Panel, source: Source) -> list[str]:
    """A warning of values, of target or covariates, that are others than the run knows for the same times."""
    count, example = 0, ""
    for number, place, first in _both(known, later):
        pairs = [(known.series(number), later.series(place))]
        if known.covariates is not None and later.covariates is not None:
            pairs.append((known.covariates.part(number), later.covariates.part(place)))
        for old, new in pairs:
            at, where = _changes(old, new, first)
            if len(at) and not example:
                time = shown_time(int(known.times(number, at[:1])[0]), known.dates)
                values = _change(known, old[at[0]], new[at[0] - first])
                example = f"series {known.names[number]!r} at {time}{values}"
            count += where
    if not count:
        return []
    what = "1 value is another" if count == 1 else f"{count:,} values are others"
    return [f"{named(source)}: {what} than the run knows ({example}); the new ones are used"]


def _change(known: Panel, old: np.ndarray, new: np.ndarray) -> str:
    """What stands at a step, of the target or (scaled [C]) beside it, and what stood there."""
    if old.ndim == 0:
        return f": {new:g}, it was {old:g}"
    assert known.covariates is not None
    at = int(np.flatnonzero(~np.isclose(old, new, rtol=1e-6, atol=1e-12) & ~np.isnan(old) & ~np.isnan(new))[0])
    channel = known.covariates.channels[at]
    if channel.label is not None:
        return f", column {channel.column!r}"
    here, there = (float(each[at]) * channel.scale + channel.shift for each in (new, old))
    return f", column {channel.column!r}: {here:.6g}, it was {there:.6g}"


def _changes(old: np.ndarray, new: np.ndarray, first: int) -> tuple[np.ndarray, int]:
    """The steps of `old` at which `new`, which begins at step `first` of it, has another value; and how many values."""
    begin, end = max(first, 0), min(len(old), first + len(new))
    if begin >= end:
        return np.zeros(0, np.int64), 0
    here, there = old[begin:end], new[begin - first : end - first]
    differs = ~np.isclose(here, there, rtol=1e-6, atol=1e-12) & ~np.isnan(here) & ~np.isnan(there)
    return begin + np.flatnonzero(differs.reshape(len(differs), -1).any(axis=1)), int(differs.sum())


def static_told(known: Panel, later: Panel, source: Source) -> list[str]:
    """Warnings of static columns that are missing, or others than in the training data."""
    old, new = known.covariates, later.covariates
    if old is None or new is None or not old.static.shape[1]:
        return []
    pairs = [(number, place) for number, place, _ in _both(known, later)]
    fresh = [place for place, name in enumerate(later.names) if name not in set(known.names)]
    channels, found = old.channels[old.values.shape[1] :], []
    for column in dict.fromkeys(each.column for each in channels if each.column != IDENTITY):
        own = [c for c, each in enumerate(channels) if each.column == column]
        said = [place for _, place in pairs if later.lengths[place]]  # rows that are only known ahead need not say it
        absent = [later.names[place] for place in said if np.isnan(new.static[place, own]).any()]
        bare = [later.names[place] for place in fresh if np.isnan(new.static[place, own]).any()]
        found += _static_missing(named(source), column, absent, "that of the training data is used")
        found += _static_missing(named(source), column, bare, "the mean of the training part stands for it")
        ours, theirs = old.static[:, own], new.static[:, own]
        found += _static_changed(named(source), [channels[c] for c in own], pairs, ours, theirs, later.names)
    return found


def _static_missing(source: str, column: str, series: list[str], what: str) -> list[str]:
    return [f"{source}: no {column} for {len(series):,} series ({listed(series, 5)}): {what}"] if series else []


def _static_changed(
    source: str,
    channels: Sequence[Channel],
    pairs: list[tuple[int, int]],
    old: np.ndarray,
    new: np.ndarray,
    names: Sequence[str],
) -> list[str]:
    other = [
        (number, place)
        for number, place in pairs
        if not np.isnan(new[place]).any() and not np.allclose(old[number], new[place], rtol=CLOSE, atol=CLOSE)
    ]
    if not other:
        return []
    number, place = other[0]
    return [
        f"{source}: {len(other):,} series with another {channels[0].column} than in the training data: "
        f"{names[place]!r} has {_static_value(channels, new[place])}, it had {_static_value(channels, old[number])}; "
        "the new one is used"
    ]


def _static_value(channels: Sequence[Channel], values: np.ndarray) -> str:
    """What scaled channels of one column hold, as the table has it."""
    if channels[0].label is None:
        return f"{float(values[0]) * channels[0].scale + channels[0].shift:.6g}"
    label = next((each.label for each, value in zip(channels, values, strict=True) if value == 1), None)
    return repr(label) if label is not None else "an unknown value"


# -- what is known ahead -----------------------------------------------------------------------------------------


def gaps_ahead(panel: Panel, horizon: int) -> dict[int, list[tuple[int, list[str]]]]:
    """Series that lack columns known ahead in their next steps: at which steps, and which columns."""
    extra = panel.covariates
    if extra is None:
        return {}
    numbers = map(int, np.flatnonzero(panel.lengths))
    return {s: gaps for s in numbers if (gaps := extra.lacking(s, int(panel.lengths[s]), horizon))}


def with_known_ahead(panel: Panel, horizon: int, lacking: str, columns: Sequence[str], needed: str) -> Panel:
    """The series whose columns known ahead are there for the next steps: an error where some lack them, or without
    them (lacking="skip"), or with the last value known of each ("fill"), of which warnings tell."""
    gaps = gaps_ahead(panel, horizon)
    if not gaps:
        return panel
    lines, names = lacking_lines(panel, gaps), listed(list(columns))
    if lacking == "fill":
        what = f"the last value known before stands for {names} where the next {horizon} steps lack it:"
        warnings.warn("\n".join([what, *lines]), stacklevel=4)
        return replace(panel, covariates=_carried_on(panel, gaps, horizon))
    rest = [s for s in range(len(panel)) if s not in gaps]
    if lacking == "skip" and rest:
        what = f"not forecast: {_lack(len(gaps))} {names} for the next {horizon} steps:"
        warnings.warn("\n".join([what, *lines]), stacklevel=4)
        return panel.take(rest)
    lines.insert(0, f"predict needs {names} for the {horizon} steps ahead; {_lack(len(gaps))} it:")
    others = "lacking=skip leaves these series out, " if rest else ""
    flags = f"--lacking {'skip or ' if rest else ''}fill"
    cure = f"give rows with {needed} for these times, the target empty, in a file; or {others}lacking=fill takes the "
    raise DataError("\n".join([*lines, f"{cure}last value known (in a command {flags})"]))


def lacking_lines(panel: Panel, gaps: dict[int, list[tuple[int, list[str]]]]) -> list[str]:
    """A line for each of the first series: which columns, at how many steps, from when to when."""
    lines = []
    for number, each in list(gaps.items())[:MOST_LINES]:
        ends = panel.times(number, np.array([each[0][0], each[-1][0]]))
        first, last = (shown_time(int(time), panel.dates) for time in ends)
        names = sorted({name for _, lacked in each for name in lacked})
        lines.append(f"  {panel.names[number]}: {', '.join(names)} {_spanning(len(each), first, last)}")
    return lines + ([f"  ... ({len(gaps):,} series in all)"] if len(gaps) > MOST_LINES else [])


def _lack(series: int) -> str:
    return "1 series lacks" if series == 1 else f"{series:,} series lack"


def _spanning(steps: int, first: int | str, last: int | str) -> str:
    return f"at {steps} steps, {first} to {last}" if steps > 1 else f"at 1 step, {first}"


def _carried_on(panel: Panel, gaps: dict[int, list[tuple[int, list[str]]]], horizon: int) -> Covariates:
    """Covariates whose columns known ahead go on with the last value known; the mean of the training, 0, before any."""
    extra = panel.covariates
    assert extra is not None
    columns, parts = extra.places("future"), []
    for number, length in enumerate(panel.lengths):
        part = extra.part(number)
        if number in gaps:
            part = np.concatenate([part, np.full((max(int(length) + horizon - len(part), 0), part.shape[1]), np.nan)])
            part[:, columns] = _forward(part[:, columns])
        parts.append(part)
    return extra.with_parts(parts, extra.static)


def _forward(values: np.ndarray) -> np.ndarray:
    """[n, C] with the value before in place of a missing one; 0 where there is none."""
    places = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))[:, None]), axis=0)
    return np.nan_to_num(np.take_along_axis(values, places, axis=0))
