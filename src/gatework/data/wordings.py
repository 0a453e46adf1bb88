"""Numbers and dates as people say and write them, and pairs of these with what they stand for, drawn by chance.

The rule is exact, so that every answer to such a pair is right or wrong. A number is read in British English. A date is
worded in one of six ways, half of the time after its day of the week, which says nothing:

    the third of march nineteen eighty-four, March the third, nineteen eighty-four, 3 March 1984, March 3, 1984,
    3rd of March 1984, sunday 3 mar 1984
"""

from __future__ import annotations

import random
from datetime import date, timedelta

UNDER_TWENTY = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS |= {"twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth"}
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
LARGEST = 999_999


def in_words(number: int) -> str:
    """A number from 0 to 999,999: `in_words(1984)` is "one thousand nine hundred and eighty-four"."""
    if number < 20:
        return UNDER_TWENTY[number]
    if number < 100:
        return _joined(TENS[number // 10 - 2], number % 10, "-")
    if number < 1000:
        return _joined(f"{in_words(number // 100)} hundred", number % 100, " and ")
    return _joined(f"{in_words(number // 1000)} thousand", number % 1000, " and " if number % 1000 < 100 else " ")


def _joined(start: str, rest: int, between: str) -> str:
    return f"{start}{between}{in_words(rest)}" if rest else start


def ordinal(number: int) -> str:
    """A place from 1 to 31: `ordinal(23)` is "twenty-third"."""
    start, hyphen, last = in_words(number).rpartition("-")
    return f"{start}{hyphen}{ORDINALS.get(last, f'{last}th')}"


def year_in_words(year: int) -> str:
    """A year from 1900 to 2099: "nineteen hundred and five", "two thousand and five", "twenty thirteen"."""
    century, rest = divmod(year, 100)
    if century == 20 and rest < 10:
        return in_words(year)
    start = in_words(century)
    return f"{start} {in_words(rest)}" if rest >= 10 else _joined(f"{start} hundred", rest, " and ")


def numbered(day: int) -> str:
    """`numbered(3)` is "3rd"."""
    ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def wordings(when: date) -> list[str]:
    """The six ways to word a date, without its day of the week."""
    day, month, year = when.day, MONTHS[when.month - 1], when.year
    name, said = month.title(), year_in_words(year)
    return [
        f"the {ordinal(day)} of {month} {said}",
        f"{name} the {ordinal(day)}, {said}",
        f"{day} {name} {year}",
        f"{name} {day}, {year}",
        f"{numbered(day)} of {name} {year}",
        f"{day} {month[:3]} {year}",
    ]


def dates(count: int = 4_000, seed: int = 1) -> list[tuple[str, str]]:
    """Different dates from 1900 to 2099, each worded once, with the date in ISO 8601.

    Example: ("the third of march nineteen eighty-four", "1984-03-03"). No date stands twice, so that a part held out
    has dates that were never learned.
    """
    draw = random.Random(seed)
    days = draw.sample(range((LAST - FIRST).days + 1), count)
    return [(_worded(when, draw), when.isoformat()) for when in (FIRST + timedelta(day) for day in days)]


def _worded(when: date, draw: random.Random) -> str:
    wording = draw.choice(wordings(when))
    weekday = WEEKDAYS[when.weekday()] if wording[0].islower() else WEEKDAYS[when.weekday()].title()
    return f"{weekday}{'' if wording[0].islower() else ','} {wording}" if draw.random() < 0.5 else wording


def numbers(count: int = 4_000, seed: int = 1) -> list[tuple[str, str]]:
    """Different numbers up to 999,999, those of one length as often as those of another, each with its words.

    Example: ("1984", "one thousand nine hundred and eighty-four").
    """
    draw, found = random.Random(seed), {}
    while len(found) < count:
        digits = draw.randint(1, len(str(LARGEST)))
        number = draw.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)
        found[str(number)] = in_words(number)
    return list(found.items())
