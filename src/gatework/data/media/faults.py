"""What readers say of many files, gathered by row: warnings of one kind together, every broken file named."""

from __future__ import annotations

import re
from typing import NamedTuple

from gatework.data.finding import Finding
from gatework.data.media.items import Tell, distinct, name_of
from gatework.data.media.listing import Listing
from gatework.data.suggest import setting
from gatework.errors import DataError

NAMED = 50  # broken files of which the reason is said too; the others are named
SKIP = f"to leave broken files out pass {setting('bad_files', 'skip')}"
NONE = "none of them can be read: is the column of files the right one, and do they lie where the table says?"


class Fault(NamedTuple):
    row: int
    level: str
    message: str


class Faults:
    """Hears what is said of the items of a listing.

    `tell(row)` is the ear of a reader for the item of that row, `broken(row, error)` takes what it raised.
    """

    def __init__(self, listing: Listing):
        self.listing = listing
        self.heard: list[Fault] = []

    def tell(self, row: int) -> Tell:
        return lambda message, level="warning", /: self.heard.append(Fault(row, level, self.at(row, message)))

    def broken(self, row: int, error: DataError) -> None:
        self.heard.append(Fault(row, "error", self.at(row, str(error))))

    def at(self, row: int, message: str) -> str:
        """The message with the row's place where the name of its item stood."""
        name, where = name_of(self.listing.items[row]), self.listing.where(row)
        return where + message.removeprefix(name) if message.startswith(name) else f"{where}: {message}"

    def findings(self) -> list[Finding]:
        """A finding for each broken file; of notes and warnings one for each kind, with the number of such files."""
        faults = sorted(self.heard, key=lambda fault: fault.row)
        kinds: dict[tuple[str, str], list[Fault]] = {}
        for fault in faults:
            if fault.level != "error":
                kinds.setdefault((fault.level, self._kind(fault)), []).append(fault)
        errors = [Finding(fault.level, fault.message, fault.row) for fault in faults if fault.level == "error"]
        return errors + [self._together(group) for group in kinds.values()]

    def refuse(self) -> None:
        """Raises one DataError that names every broken file."""
        errors = [found for found in self.findings() if found.level == "error"]
        if errors:
            lines = [error.message for error in errors[:NAMED]]
            rest = [self.listing.where(error.row or 0) for error in errors[NAMED:]]
            lines += [f"and {len(rest)} more: {', '.join(rest)}"] if rest else []
            files = len(distinct(self.listing.items)[0])
            advice = "" if files == 1 else f"; {SKIP if len(errors) < files else NONE}"
            raise DataError("\n".join(lines) + advice)

    def _kind(self, fault: Fault) -> str:
        """What is said, up to the first number, bracket or comma."""
        return re.split(r"[,;(0-9]", fault.message.removeprefix(self.listing.where(fault.row)))[0]

    def _together(self, group: list[Fault]) -> Finding:
        first = group[0]
        others = ", ".join(self.listing.where(fault.row) for fault in group[1:4])
        more = f" ({len(group)} such files; the next: {others})" if others else ""
        return Finding(first.level, first.message + more, first.row)
