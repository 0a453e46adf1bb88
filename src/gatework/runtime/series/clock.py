"""Times of a zone: counted in UTC, with hours and weekdays of the zone's clocks, shown as they came."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import numpy as np

from gatework.errors import DataError, FileFormatError, OptionError

SHOWN = ("utc", "offset", "local")  # how a clock may show times
FIXED = re.compile(r"([+-])(0\d|1[0-4]):([0-5]\d)")  # an offset in place of a zone
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Clock:
    """The clocks that times go by: a zone ("Europe/Paris", "UTC" or an offset such as "+05:30"), and how times are
    shown: in UTC ("utc"), with the zone's offset ("offset"), or bare, as its clocks show them ("local").

    Example: `Clock("+01:00", "offset").suffixes(np.array([0]))` is ["+01:00"].
    """

    zone: str = "UTC"
    shown: str = "utc"

    def local(self, times: np.ndarray) -> np.ndarray:
        """Microseconds since 1970 in UTC as the zone's clocks show them."""
        if self.zone == "UTC":
            return times
        own, (several, where) = zone_of(self.zone), np.unique(times, return_inverse=True)
        return times + np.array([_ahead(int(time), own) for time in several], np.int64)[where].reshape(times.shape)

    def as_shown(self, times: np.ndarray) -> np.ndarray:
        return times if self.shown == "utc" else self.local(times)

    def suffixes(self, times: np.ndarray) -> list[str]:
        """What stands after each time: "+01:00", or nothing."""
        minutes = (self.as_shown(times) - times) // 60_000_000
        if self.shown == "local":
            return [""] * len(times)
        return [f"{'-' if each < 0 else '+'}{abs(each) // 60:02}:{abs(each) % 60:02}" for each in minutes.tolist()]


def of_json(said: object) -> Clock | None:
    """The clock that a file describes. Raises FileFormatError."""
    if said is None:
        return None
    if not isinstance(said, dict) or said.get("shown") not in SHOWN or not isinstance(said.get("zone"), str):
        raise FileFormatError(f"a clock has a zone, and is shown as one of {', '.join(SHOWN)}; got {said!r:.80}")
    return Clock(said["zone"], said["shown"])


def in_utc(local: datetime, zone: str, second: bool = False) -> int:
    """Microseconds since 1970 of a time that clocks showed; `second` where they showed it again after going back.

    Raises ValueError where they show no such time.
    """
    found = local.replace(tzinfo=zone_of(zone), fold=int(second)).astimezone(UTC)
    if found.astimezone(zone_of(zone)).replace(tzinfo=None) != local:
        raise ValueError(f"clocks in {zone} show no such time")
    return (found - EPOCH) // MICROSECOND


def zone_of(name: str) -> tzinfo:
    """A zone by its name. Raises OptionError where this machine does not know it."""
    if fixed := FIXED.fullmatch(name):
        size = timedelta(hours=int(fixed[2]), minutes=int(fixed[3]))
        return timezone(-size if fixed[1] == "-" else size)
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise OptionError(f"this machine knows no zone {name!r:.80}; pip install tzdata brings them") from error


def _ahead(time: int, zone: tzinfo) -> int:
    """Microseconds by which clocks are ahead of UTC at a time."""
    try:
        offset = (EPOCH + time * MICROSECOND).astimezone(zone).utcoffset()
    except OverflowError as error:
        raise DataError(f"{time} microseconds since 1970 are no time that a clock can show") from error
    return (offset or timedelta()) // MICROSECOND
