"""What is written around dates: the end of an interval, the short name of a zone; and dates that say no year."""

from __future__ import annotations

import re
from typing import NamedTuple

import polars as pl

from gatework.data import zones
from gatework.data.dateformats import MONTH_NAMES, evenness, parse

DATE = r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{8})"
TIME = r"\d{1,2}[:.]\d{2}(?:[:.]\d{2}(?:\.\d+)?)?(?:\s?[AaPp][Mm])?"
OFFSET = r"(?:[zZ]|[+-]\d{2}:?\d{2})"
SIGN = r"\s*(?:-|–|—|/|to|bis|until)\s*"
WHOLE = rf"(?i)^({DATE}(?:[ T]{TIME})?{OFFSET}?){SIGN}{DATE}(?:[ T]{TIME})?({OFFSET}?)$"
HOURS = rf"(?i)^({DATE}[ T]{TIME})(?:\s+[-/]\s+|\s*(?:–|—|to|bis|until|/)\s*){TIME}({OFFSET}?)$"
TIGHT = rf"^({DATE}[ T](\d{{1,2}}):(\d{{2}})(?::\d{{2}})?)-(\d{{1,2}}):(\d{{2}})(?::\d{{2}})?$"  # or an offset
CLOCKS = rf"(?i)^(\d{{1,2}}(?:[:.]\d{{2}}){{0,2}}){SIGN}\d{{1,2}}(?:[:.]\d{{2}}){{0,2}}$"
SOME = 20  # cells that show what stands around dates
MOST_OFFSETS = 2  # of a zone: of its winter and of its summer

NAMED = r"(?i)^(.*\d\s?(?:[AaPp][Mm])?)\s*\(?\b([A-Z]{3,5}(?:/[A-Z]{3,5})?)\)?$"
# Minutes ahead of UTC; those of North America as in mail (RFC 822). Others share their names: BST, IST, AST
AHEAD = {"UTC": 0, "GMT": 0, "WET": 0, "WEST": 60, "CET": 60, "CEST": 120, "MEZ": 60, "MESZ": 120, "EET": 120}
AHEAD |= {"EEST": 180, "MSK": 180, "SAST": 120, "JST": 540, "KST": 540, "HST": -600, "AKST": -540, "AKDT": -480}
AHEAD |= {"EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420}
AHEAD |= {"AWST": 480, "ACST": 570, "ACDT": 630, "AEST": 600, "AEDT": 660, "NZST": 720, "NZDT": 780}
SHARED = {"EST", "EDT", "CST", "MST", "PST"}  # with zones elsewhere
EXAMPLES = {"CET/CEST": "Europe/Paris", "MEZ/MESZ": "Europe/Berlin", "IST": "Asia/Kolkata"}
HALVES = (1_704_067_200_000_000, 1_719_792_000_000_000)  # January and July, in which clocks of a zone differ
DAY_AND_MONTH = rf"^\d{{1,2}}\.?[-./ ]?(?i:{MONTH_NAMES})[a-z]*\.?$"
MONTH_AND_DAY = rf"^(?i:{MONTH_NAMES})[a-z]*[-./' ]?\d{{1,2}}$"


class Bare(NamedTuple):
    """Texts of dates alone, and notes of what was left out."""

    text: pl.Series
    notes: list[str]


def bare(text: pl.Series, zone: str | None) -> Bare:
    """Dates without what stands around them; `zone` is the one that was given."""
    some = text.drop_nulls().head(SOME)
    if not any(some.str.contains(shape).any() for shape in (NAMED, WHOLE, HOURS, TIGHT)):
        return Bare(text, [])
    named = _without_names(text, zone)
    begun = beginnings(named.text)
    notes = [] if (begun == named.text).all() else [f"{text[0]!r} is an interval, whose beginning is read"]
    return Bare(begun, [*named.notes, *notes])


def beginnings(text: pl.Series) -> pl.Series:
    """Intervals such as "2020-01-01 00:00 - 01:00" as the times at which they begin."""
    begun = text.str.replace(HOURS, "${1}${2}").str.replace(WHOLE, "${1}${2}")
    begun = begun.str.replace(rf"({OFFSET}){OFFSET}$", "${1}")  # the end's offset is the beginning's, if that has none
    parts = text.str.extract_groups(TIGHT).struct.unnest()
    if parts["1"].null_count() or not len(text):
        return begun
    hour, minute, to, past = (parts[each].cast(pl.Int64) for each in "2345")
    long = (to * 60 + past - hour * 60 - minute) % 1440
    return parts["1"] if long.n_unique() == 1 and (to * 60 + past).n_unique() > MOST_OFFSETS else begun


def hours_alone(text: pl.Series) -> pl.Series:
    """Times of day without the ends of their intervals: "00:00-01:00" is 00:00."""
    return text.str.replace(CLOCKS, "${1}")


def _without_names(text: pl.Series, zone: str | None) -> Bare:
    parts = text.str.extract_groups(NAMED).struct.unnest()
    names = parts["2"].str.to_uppercase()
    known = {name: _as_offset(name, zone) for name in names.drop_nulls().unique().sort() if _is_zone(name, zone)}
    if not known:
        return Bare(text, [])
    if "" in known.values():  # the same for all: they are clocks of the zone
        known = dict.fromkeys(known, "")
    offsets = names.replace_strict(known, default=None, return_dtype=pl.String)
    without = pl.select(pl.when(offsets.is_null()).then(text).otherwise(parts["1"].str.strip_chars() + offsets))
    return Bare(without.to_series(), _told(known, zone))


def _told(known: dict[str, str], zone: str | None) -> list[str]:
    told = ", ".join(f"{name} as {offset}" for name, offset in known.items() if offset != "Z")
    if not told:
        return []
    if "" in known.values():
        return [f"names of zones behind times are left out ({', '.join(known)}): they are those of clocks in {zone}"]
    other = "" if zone or not SHARED & {*known} else "; if another zone is meant, say which: zone=Asia/Shanghai"
    return [f"names of zones are read as offsets: {told}{other}"]


def _is_zone(name: str, zone: str | None) -> bool:
    """Not the name of a month, a half of the day, ..."""
    return name in AHEAD or (zone is not None and not re.fullmatch(rf"(?i){MONTH_NAMES}[a-z]*", name))


def _as_offset(name: str, zone: str | None) -> str:
    """Such as "+01:00"; nothing where clocks of the zone that was given never show it: another zone of this name."""
    minutes = AHEAD.get(name)
    if minutes is None:
        return ""
    halves = pl.Series(HALVES).cast(pl.Datetime("us"))
    if zone is not None and minutes * 60_000_000 not in zones.offsets(halves, zone).to_list():
        return ""
    return "Z" if not minutes else f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def unknown_zone(cell: str) -> str:
    """What to do about the short name of a zone behind a time; nothing where there is none."""
    found = re.match(NAMED, cell)
    if not found or not found[2].isupper():
        return ""
    example = EXAMPLES.get(found[2], "Europe/London")
    return f"{found[2]} behind a time does not say which clocks it was: name their zone, such as zone={example}"


class Short(NamedTuple):
    """How dates such as "10-Jan" or "Jan-10" are written, if their numbers are years; whether they are: "Jan-10" is
    January 2010, as Excel writes it, unless days of a year are more evenly apart."""

    shape: str
    sure: bool


def short(text: pl.Series) -> Short | None:
    """What dates of a month's name and a number are; None where texts are none such."""
    known = text.drop_nulls()
    if not len(known) or not known.str.contains(f"{DAY_AND_MONTH}|{MONTH_AND_DAY}").all():
        return None
    return Short(_format(known), bool(known.str.contains(MONTH_AND_DAY).all()) and not _days_of_a_year(known))


def _days_of_a_year(text: pl.Series) -> bool:
    plain = text.str.replace(rf"(?i)^({MONTH_NAMES})[a-z]*[-./' ]?(\d{{1,2}})$", "${1} ${2}")  # "Jan 10"
    days, months = parse("2000 " + plain, "%Y %b %d"), parse(plain, "%b %y")
    return not days.null_count() and (months.null_count() > 0 or _in_order(months) < _in_order(days))


def _in_order(times: pl.Series) -> float:
    """How evenly apart times are, and how many come after the one before."""
    steps = times.diff().drop_nulls().dt.total_seconds().to_numpy()
    return evenness(times) + (float((steps >= 0).mean()) if len(steps) else 0.0)


def _format(text: pl.Series) -> str:
    """How texts are written, if their numbers are years."""
    name = "%B" if text.str.contains("[A-Za-z]{4}").any() else "%b"
    shape = re.sub(rf"(?i){MONTH_NAMES}[a-z]*", name, text[0])
    return re.sub(r"(?<!%)\d{1,2}", "%y", shape)
