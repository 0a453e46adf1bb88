"""Rows of later times, as dicts, behind the ends of known series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from gatework.errors import DataError
from gatework.runtime.series.clock import EPOCH, MICROSECOND, in_utc, zone_of
from gatework.runtime.series.covariates import IDENTITY, Channel
from gatework.runtime.series.panel import ROWS, Panel
from gatework.runtime.series.stamps import read

Times = dict[int, dict[str, Any]]  # rows of one series by their times


class LaterRows:
    """Reads rows with the names of the columns: `joined(rows)` is what is known with them behind it.

    `columns` are {"time": name, "target": [names], "series": name or None}; several targets are a series each. `zone`
    is that of times without an offset, where the known ones have one.
    """

    def __init__(self, known: Panel, columns: Mapping[str, Any], date_format: str | None, zone: str | None = None):
        self.known, self.format, self.zone = known, date_format, zone
        self.time, self.series = columns["time"] or "time", columns["series"]
        self.targets: list[str] = columns["target"] or ["value"]
        self.channels = () if known.covariates is None else known.covariates.channels
        others = sorted({each.column for each in self.channels} - {IDENTITY})
        named = [*([] if self.time == ROWS else [self.time]), *self.targets]
        named += [*([self.series] if self.series else []), *others]
        self.inputs = "a dict with " + ", ".join(named)

    @property
    def schema(self) -> dict[str, Any]:
        """What a row is, as JSON schema: null where a value is missing, or not known yet."""
        value, text = {"type": ["number", "null"]}, {"type": "string"}
        time = {"type": ["string", "number"]} if self.known.dates else {"type": ["integer", "string"]}
        others = [each for each in self.channels if each.column != IDENTITY]
        named = {each.column: value if each.label is None else {} for each in others}
        named |= dict.fromkeys(self.targets, value)
        named |= {} if self.time == ROWS else {self.time: time}
        named |= {self.series: text} if self.series else {}
        needed = [*([] if self.time == ROWS else [self.time]), *([self.series] if self.series else [])]
        return {"type": "object", "properties": named, "required": needed}

    def joined(self, rows: Sequence[Any]) -> Panel:
        """Each series that rows name, with what is known before them."""
        of_series: dict[str, Times] = {}
        for number, row in enumerate(rows, 1):
            self._sort_in(of_series, row, number)
        return self.known.followed_by(self._panel(of_series))[0]

    def _sort_in(self, of_series: dict[str, Times], row: object, number: int) -> None:
        if not isinstance(row, Mapping):
            raise DataError(f"row {number} is {row!r:.60}; it must be {self.inputs}")
        for target in self.targets:
            name = str(row.get(self.series)) if self.series else target if len(self.targets) > 1 else self._only()
            own = of_series.setdefault(name, {})
            time = self._end(name) + len(own) if self.time == ROWS else self._when(row.get(self.time), number, own)
            if time in own:
                raise DataError(f"row {number}: series {name!r} has {self.time} {row.get(self.time)!r} twice")
            own[time] = {**row, "": self._number(row.get(target), f"row {number}, {target}")}

    def _end(self, name: str) -> int:
        """The number of a series' next row, where rows are counted."""
        if name not in self.known.names:
            return 0
        number = self.known.names.index(name)
        return int(self.known.starts[number] + self.known.lengths[number])

    def _only(self) -> str:
        return self.known.names[0] if len(self.known) == 1 else self.targets[0]

    def _when(self, value: object, number: int, own: Times) -> int:
        """Microseconds since 1970, or the number. Of two rows with the same time of a clock the second is the later."""
        try:
            if not self.known.dates:
                return int(str(value))
            time = value
            if isinstance(value, str) or (self.format and type(value) in (int, float)):
                time = read(str(value), self.format)
            elif isinstance(value, np.datetime64):
                time = value.astype("datetime64[us]").item()
            if not isinstance(time, date):
                raise ValueError("it is no date")
            if self.known.clock is not None or getattr(time, "tzinfo", None):
                time = self._of_clock(time, own)
            return int(np.asarray(time, "datetime64[us]").astype(np.int64))
        except (TypeError, ValueError, OverflowError) as error:
            told = f"{self.time} {value!r:.40} cannot be read: {error}"
            how = "as the training data has it" if self.format or not self.known.dates else "as 2024-01-31T14:00:00"
            raise DataError(f"row {number}: {told}; write it {how}") from None

    def _of_clock(self, value: date, own: Times) -> datetime:
        """A time with an offset, or of a zone's clocks, as the known ones count: in UTC, or as the zone's days."""
        if not isinstance(value, datetime):
            raise ValueError("it has no hour, and the learned times had")
        if self.known.clock is None:
            if self.zone is None:
                raise ValueError("it has an offset, and the learned times had none")
            return value.astimezone(zone_of(self.zone)).replace(tzinfo=None)
        if value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        if self.zone is None:
            raise ValueError("it has no offset, and the learned times had one")
        first = in_utc(value, self.zone)
        time = in_utc(value, self.zone, second=True) if first in own else first
        return EPOCH.replace(tzinfo=None) + time * MICROSECOND

    def _number(self, value: object, where: str) -> float:
        try:
            found = np.nan if value is None or value == "" else float(str(value))
        except (TypeError, ValueError):
            raise DataError(f"{where}: {value!r:.40} is no number") from None
        if np.isinf(found):
            raise DataError(f"{where}: {found}; give a finite number, or None where it is missing")
        return found

    def _panel(self, of_series: dict[str, Times]) -> Panel:
        """Rows on the grid of the known series; steps without a row are missing. Rows at the end without a target say
        what is known ahead."""
        starts, values, beside = [], [], []
        for name, rows in of_series.items():
            first, times = min(rows), np.array(sorted(rows), np.int64)
            steps, exact = self.known.frequency.steps(np.full(len(times), first), times)
            if not exact.all():
                raise DataError(f"series {name!r} has times that are not on the grid of {self.known.frequency}")
            own, extra = np.full(int(steps[-1]) + 1, np.nan), np.full((int(steps[-1]) + 1, self._width), np.nan)
            for step, time in zip(steps, times, strict=True):
                own[step] = rows[int(time)][""]
                extra[step] = [self._channel(each, rows[int(time)]) for each in self.channels[: self._width]]
            known = np.flatnonzero(~np.isnan(own))
            starts.append(first)
            values.append(own[: known[-1] + 1 if len(known) else 0])
            beside.append(extra)
        panel = replace(self.known, names=tuple(of_series), covariates=None, starts=np.array(starts, np.int64))
        panel = panel.with_series(values)
        if self.known.covariates is None:
            return panel
        static = np.array([self._static(name, rows) for name, rows in of_series.items()], np.float32)
        static = static.reshape(len(of_series), len(self.channels) - self._width)
        return replace(panel, covariates=self.known.covariates.with_parts(beside, static))

    @property
    def _width(self) -> int:
        """How many channels change with time."""
        return 0 if self.known.covariates is None else self.known.covariates.values.shape[1]

    def _static(self, name: str, rows: Times) -> list[float]:
        row = next(iter(rows.values()))
        return [
            float(each.label == name) if each.column == IDENTITY else self._channel(each, row)
            for each in self.channels[self._width :]
        ]

    def _channel(self, channel: Channel, row: Mapping[str, Any]) -> float:
        """What a model sees of a column; NaN where it is missing."""
        value = row.get(channel.column)
        if value is None or value == "":
            return np.nan
        if channel.label is not None:
            return float(str(value) == channel.label)
        return float(np.float32((self._number(value, channel.column) - channel.shift) / channel.scale))
