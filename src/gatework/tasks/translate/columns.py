"""Which columns of a table hold the two sides, and whether its first row names them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gatework.data.suggest import COLUMN, setting
from gatework.data.table import Table, listed
from gatework.errors import DataError

SIDES = (("source", "target"), ("src", "tgt"), ("src", "trg"), ("input", "output"), ("question", "answer"))
# Words of which one stands in the name of a column of texts: what sides are called, languages, their codes.
_KNOWN = """
source src target tgt trg input output in out from to text texts sentence sentences word words phrase letters graphemes
phone phones phonemes pronunciation ipa spelling translation translated original reference question answer query
response formal informal raw normalized normalised date iso number numbers numeral id
ar bg bn ca cs cy da de el en eo es et eu fa fi fr ga he hi hr hu hy is it ja ka ko la lt lv mk mt nb nl nn no pl pt ro
ru sk sl sq sr sv ta th tr uk ur vi zh deu eng fra spa ita por rus zho jpn nld pol ces swe
arabic bulgarian catalan chinese croatian czech danish dutch english estonian finnish french german greek hebrew hindi
hungarian icelandic irish italian japanese korean latin latvian lithuanian norwegian persian polish portuguese romanian
russian serbian slovak slovenian spanish swedish turkish ukrainian vietnamese welsh deutsch englisch français anglais
español inglés
"""
NAMES = frozenset(_KNOWN.split())
_WORDS = re.compile(r"[^\W\d_]+")


def names_columns(cells: Sequence[str], asked: Sequence[str | None]) -> bool:
    """Whether a first row names the columns: it has a name that was asked for, or names as such columns have.

    >>> names_columns(["German text", "en"], ()), names_columns(["abandon", "AH B AE N D AH N"], ())
    (True, False)
    """
    known = [not NAMES.isdisjoint(_WORDS.findall(cell.lower())) and len(cell.split()) <= 3 for cell in cells]
    return any(name in cells for name in asked) or sum(known) >= min(2, len(cells))


def chosen(table: Table, source: str | None, target: str | None, paired: bool) -> tuple[str, str | None]:
    """The names of the column of sources and of that of targets (None where none is wanted): those asked for by name or
    by number from 1, else named as sides are, else the first two of text.

    Raises: DataError where one is missing.
    """
    left = [name for name in _usual(table) if name not in (source, target)]
    second = _asked(table, target, "target_column") if target and paired else None
    first = _asked(table, source, "source_column") if source else next(name for name in left if name != second)
    if not paired or second:
        return first, second
    others = [name for name in left if name != first]
    if not others:
        raise DataError(
            f"{table.source} has one column ({listed(table.columns)}); a pair needs two: add the translations, give "
            "them in a file of their own (--target FILE), or where another sign than a tab or comma stands between, "
            f"name it: {setting('delimiter', ';')}"
        )
    return first, others[0]


def _usual(table: Table) -> list[str]:
    """The columns, likeliest first: named as sides are, then texts, then numbers."""
    lower = {name.lower(): name for name in reversed(table.columns)}
    sides = next(([lower[side] for side in pair] for pair in SIDES if lower.keys() >= set(pair)), [])
    texts = [name for name in table.columns if table.kind(name) == "str"]
    ordered = [*sides, *texts, *table.columns] if sides or len(texts) > 1 else table.columns
    return list(dict.fromkeys(ordered))


def _asked(table: Table, name: str, role: str) -> str:
    """A column by its name, or by its number from 1."""
    if name not in table.columns and name.isdecimal():
        if not 1 <= int(name) <= len(table.columns):
            raise DataError(
                f"{table.source} has {len(table.columns)} columns ({listed(table.columns)}), no number {name}; name "
                f"another: {setting(role, COLUMN)}"
            )
        return table.columns[int(name) - 1]
    table.column(name, role)
    return name
