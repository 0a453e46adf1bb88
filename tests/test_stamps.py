"""Dates and zones as exported forecasters read them, beside polars, by which runs read them."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gatework.data import dateformats, datenumbers, zones
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.runtime.series import clock, stamps

TEXTS = {
    "%Y-%m-%dT%H:%M:%S%.f%#z": ["2024-03-31T02:30:00+02:00", "2024-03-31T02:30:00.25Z"],
    "%d.%m.%Y %H:%M:%S%.f": ["31.12.2024 23:59:59", "31.12.2024 23:59:59.5"],
    "%m/%d/%y": ["02/29/24"],
    "%G%V": ["201502", "202053"],
    "%Y%m": ["201512"],
    "%Y": ["1999"],
    "%d %B %Y": ["29 Feb 2024", "3 March 2023", "1 May 2020"],
    "%Y-%m-%d %H": ["2024-02-29 13"],
    "%Y-%q": ["2024-1", "2024-4"],
    "decimal": ["1949.083", "1949.75", "1949"],
}


@pytest.mark.parametrize("shape", TEXTS)
def test_formats_read_as_polars_reads_them(shape: str) -> None:
    wanted = dateformats.parse(pl.Series(TEXTS[shape]), shape)
    found = [stamps.read(text, shape) for text in TEXTS[shape]]
    utc = [each if each.tzinfo is None else each.astimezone(clock.UTC).replace(tzinfo=None) for each in found]
    assert utc == wanted.to_list() and None not in utc


@pytest.mark.parametrize("shape", [*datenumbers.COMPACT, *datenumbers.RARE])
def test_numbers_without_their_noughts_read_as_polars_reads_them(shape: str) -> None:
    days = [datetime(2020, 11, 1) + timedelta(days=7 * k) for k in range(18)]  # of 01112020 a number keeps 1112020
    numbers = [int(day.strftime(shape.replace("%q", str((day.month + 2) // 3)))) for day in days]
    wanted = dateformats.parse(datenumbers.digits(pl.Series(numbers), shape), shape)
    assert wanted.null_count() == 0 and [stamps.read(str(each), shape) for each in numbers] == wanted.to_list()


@pytest.mark.parametrize("shape", ["%Y-%q", "decimal"])
def test_parts_of_years_that_are_none_are_refused(shape: str) -> None:
    with pytest.raises(ValueError, match="it is no"):
        stamps.read("1949.03", shape)


@pytest.mark.parametrize("zone", ["UTC", "+05:30", "-03:30", *zones.ZONES])
def test_clocks_go_as_those_of_polars(zone: str) -> None:
    times = np.arange(3 * 365 * 24) * 3_600_000_000 + np.datetime64("2023-01-01", "us").astype(np.int64)
    np.testing.assert_array_equal(clock.Clock(zone).local(times), zones.Clock(zone).local(times))


def test_an_hour_that_comes_twice_and_one_that_does_not() -> None:
    first, second = (clock.in_utc(datetime(2024, 10, 27, 2, 30), "Europe/Paris", again) for again in (False, True))
    assert second - first == 3_600_000_000 == (first - clock.in_utc(datetime(2024, 10, 27, 1, 30), "Europe/Paris"))
    with pytest.raises(ValueError, match="clocks in Europe/Paris show no such time"):
        clock.in_utc(datetime(2024, 3, 31, 2, 30), "Europe/Paris")


def test_odd_zones_are_named() -> None:
    with pytest.raises(OptionError, match=r"knows no zone '\.\./etc/passwd'"):
        clock.Clock("../etc/passwd").local(np.zeros(1, np.int64))
    with pytest.raises(DataError, match="no time that a clock can show"):
        clock.Clock("Europe/Paris").local(np.array([1 << 62]))
    with pytest.raises(FileFormatError, match="a clock has a zone"):
        clock.of_json({"zone": "UTC", "shown": "sun"})
