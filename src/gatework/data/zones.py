"""Times of a zone: counted in UTC, with hours and weekdays of the zone's clocks, shown as they came; or as its days."""

from __future__ import annotations

import re
from datetime import datetime, time
from typing import NamedTuple

import numpy as np
import polars as pl

from gatework.data.finding import Finding
from gatework.errors import OptionError
from gatework.runtime.series import clock as series
from gatework.runtime.series.clock import FIXED

UTC = "UTC"
# One zone for each rule of when clocks change, the commonest first: what times may be recognised by
ZONES = (
    "Europe/Paris",
    "Europe/London",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "Europe/Athens",
    "Australia/Sydney",
    "Australia/Adelaide",
    "Pacific/Auckland",
    "America/Anchorage",
    "America/Halifax",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/Asuncion",
    "America/Havana",
    "America/Mexico_City",
    "Europe/Moscow",
    "Europe/Istanbul",
    "Europe/Chisinau",
    "Asia/Jerusalem",
    "Asia/Beirut",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Tehran",
    "Asia/Amman",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
)
MOST_HOURS = 4  # of the day at which the days of one zone begin in UTC


class Clock(series.Clock):
    """A clock that reckons with polars, which knows all zones on every system."""

    def local(self, times: np.ndarray) -> np.ndarray:
        """Microseconds since 1970 in UTC as the zone's clocks show them."""
        if self.zone == UTC:
            return times
        return times + offsets(pl.Series(times).cast(pl.Datetime("us")), self.zone).to_numpy()


class Stamps(NamedTuple):
    """Datetimes as they were read: `times` in UTC where `zoned`, else as a clock showed them; `local` as it did;
    `zone` where the column says it."""

    times: pl.Series
    local: pl.Series
    zoned: bool
    zone: str | None = None


def checked(zone: str | None) -> str | None:
    """A zone's name, if there is such a zone."""
    if zone is None or FIXED.fullmatch(zone):
        return zone
    try:
        pl.Series([datetime(2024, 1, 1)]).dt.convert_time_zone(zone)
    except pl.exceptions.PolarsError as error:
        near = re.search(r"did you mean '(.+?)'", str(error))
        advice = f"; did you mean {near[1]!r}?" if near else "; write it as Europe/Paris or UTC"
        raise OptionError(f"there is no time zone {zone!r}{advice}") from None
    return zone


def offsets(times: pl.Series, zone: str) -> pl.Series:
    """How many microseconds a zone's clocks are ahead of UTC at each time."""
    if fixed := FIXED.fullmatch(zone):
        size = (int(fixed[2]) * 60 + int(fixed[3])) * 60_000_000
        return pl.Series(np.full(len(times), -size if fixed[1] == "-" else size))
    there = times.cast(pl.Datetime("us", UTC)).dt.convert_time_zone(zone)
    return (there.dt.base_utc_offset() + there.dt.dst_offset()).cast(pl.Duration("us")).cast(pl.Int64)


def on_clocks(times: pl.Series, zone: str) -> pl.Series:
    """Datetimes of UTC as a zone's clocks show them."""
    return times + offsets(times, zone).cast(pl.Duration("us"))


def in_utc(local: pl.Series, zone: str, twice: pl.Series) -> pl.Series:
    """Datetimes as a zone's clocks showed them in UTC; null where they show no such time. `twice` counts the rows with
    the same time: when clocks go back, the second one is the later."""
    if zone == UTC or FIXED.fullmatch(zone):
        return local - offsets(local, zone).cast(pl.Duration("us"))
    frame = pl.DataFrame({"local": local, "which": twice > 0})
    which = pl.when("which").then(pl.lit("latest")).otherwise(pl.lit("earliest"))
    there = pl.col("local").dt.replace_time_zone(zone, ambiguous=which, non_existent="null")
    return frame.select(there.dt.convert_time_zone(UTC).dt.replace_time_zone(None)).to_series()


class Settled(NamedTuple):
    """Times to count by; their clock, where they are in UTC; the zone that later rows are read with too; notes."""

    times: pl.Series
    clock: Clock | None
    zone: str | None
    found: list[Finding]


def settled(source: str, name: str, stamps: Stamps, given: str | None, days: bool | None, twice: pl.Series) -> Settled:
    """Times of a zone are counted in UTC. Those that stand at one hour of its day are its days, as in UTC they would be
    23 or 25 hours apart when clocks change; `days`: whether the step is known to be days or longer."""
    if not stamps.zoned:
        return _bare(source, name, stamps.times, given, days, twice)
    zone = given or stamps.zone or _zone_of(stamps.times, stamps.local)
    local = on_clocks(stamps.times, zone) if given else stamps.local
    if days is not False:
        if len(_hours(local)) == 1:
            note = f"are days of {zone}" if given else "stand at one hour of the day: they are days of their own zone"
            found = _told(source, name, f"times with an offset or zone {note}", _ask(local, given))
            return Settled(local, None, given, found)
        if given is None and (found := _midnights(stamps.times, False)):
            return Settled(on_clocks(stamps.times, found), None, found, _recognised(source, name, found))
    came = bool((stamps.local == stamps.times).all())
    what = "are counted and shown in UTC" if came else f"are counted in UTC, and shown with the offset of {zone}"
    clocks = "" if zone == UTC else f"; hours and weekdays are those of {zone}"
    ask = "" if given or zone != UTC else "; if hours and weekdays are those of a zone, give it: zone=Europe/Paris"
    clock = Clock(zone, "utc" if came else "offset")
    known = None if zone == UTC or zone[0] in "+-" else zone
    return Settled(
        stamps.times, clock, given or known, _told(source, name, f"times with an offset or zone {what}{clocks}", ask)
    )


def _bare(source: str, name: str, local: pl.Series, given: str | None, days: bool | None, twice: pl.Series) -> Settled:
    """Times without offset: of the zone that is given, or without any."""
    whole = days is not False and len(_hours(local)) == 1
    if given is None or whole:
        found = None if days is False or whole else _midnights(local, True)
        if found is None:
            return Settled(local, None, given, [])
        return Settled(on_clocks(local, found), None, found, _recognised(source, name, found))
    if days is not False and len(_hours(moved := on_clocks(local, given))) == 1:
        return Settled(moved, None, given, _told(source, name, f"times are read as UTC: they are days of {given}"))
    note = f"times are read as those of clocks in {given}, and shown so"
    return Settled(in_utc(local, given, twice), Clock(given, "local"), given, _told(source, name, note))


def _told(source: str, name: str, what: str, more: str = "") -> list[Finding]:
    return [Finding("note", f"{source}: {what}{more}", column=name)]


def _recognised(source: str, name: str, zone: str) -> list[Finding]:
    note = f"times stand at one hour of {zone}, whose clocks change: they are days of it (zone= names another)"
    return _told(source, name, note)


def _ask(local: pl.Series, given: str | None) -> str:
    """Days that begin late in the evening of UTC may be those of a zone."""
    at = local.drop_nulls().head(1).dt.time().to_list()
    if given or not at or at[0] == time(0):
        return ""
    return f"; they stand at {at[0]:%H:%M}: if that is midnight of a zone, give it: zone=Europe/Paris"


def _hours(times: pl.Series) -> list[time]:
    return times.drop_nulls().dt.time().unique().to_list()


def _midnights(utc: pl.Series, strictly: bool) -> str | None:
    """The zone in which all times are midnights; else (unless `strictly`) in which all are one hour of the day."""
    times = utc.drop_nulls().unique()
    if not 2 <= len(_hours(times)) <= MOST_HOURS:
        return None
    hours = {zone: _hours(on_clocks(times, zone)) for zone in ZONES}
    single = [zone for zone, each in hours.items() if len(each) == 1]
    return next((zone for zone in single if hours[zone] == [time(0)]), single[0] if single and not strictly else None)


def _zone_of(utc: pl.Series, local: pl.Series) -> str:
    """The zone by whose clocks times were written, or their one offset; UTC where none fits."""
    ahead = (local - utc).cast(pl.Int64)
    sizes = ahead.drop_nulls().unique().to_list()
    if len(sizes) <= 1:
        minutes = sizes[0] // 60_000_000 if sizes else 0
        return UTC if not minutes else f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    there = utc.is_not_null()
    known, seen = utc.filter(there), ahead.filter(there)
    return next((zone for zone in ZONES if (offsets(known, zone) == seen).all()), UTC)
