"""What a check of data reports: single facts, their order, and what they come to."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from gatework.errors import DataError

LEVELS = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """What, where, and what to do. "error" stops a training, "warning" deserves a look, "note" only informs. `series`
    are those that a fault is confined to."""

    level: str
    message: str
    row: int | None = None
    column: str | None = None
    series: tuple[str, ...] = ()


def in_order(findings: list[Finding]) -> list[Finding]:
    """Errors, then warnings, then notes; each as they were found."""
    return sorted(findings, key=lambda found: LEVELS.index(found.level))


def outcome(findings: list[Finding]) -> str:
    """What they come to: "1 error, 2 warnings: correct the error, then train"."""
    counts = {level: sum(found.level == level for found in findings) for level in LEVELS}
    told = ", ".join(f"{n} {_plural(level, n)}" for level, n in counts.items() if n and level != "note")
    if counts["error"]:
        return f"{told}: correct the {_plural('error', counts['error'])}, then train"
    return (
        f"{told}: a training can begin, but look at {'it' if counts['warning'] == 1 else 'them'} first"
        if told
        else "nothing stands in the way of training"
    )


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def by_level(findings: list[Finding]) -> dict[str, list[str]]:
    """The messages of notes and of warnings, each once, for what is said of a run's data."""
    return {f"{level}s": list(dict.fromkeys(f.message for f in findings if f.level == level)) for level in LEVELS[1:]}


def warn(findings: Iterable[Finding]) -> None:
    """Gives every finding of level "warning" as a warning of Python: answers have no report to tell it in."""
    for found in findings:
        if found.level == "warning":
            warnings.warn(found.message, stacklevel=3)


def refuse(findings: list[Finding]) -> None:
    """Raises one DataError that holds every finding of level "error"."""
    errors = [finding.message for finding in findings if finding.level == "error"]
    if errors:
        raise DataError("\n".join(errors))
