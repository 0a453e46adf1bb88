"""One fact that a check of data reports."""

from __future__ import annotations

from dataclasses import dataclass

from gatework.errors import DataError


@dataclass(frozen=True)
class Finding:
    """What, where, and what to do. "error" stops a training, "warning" deserves a look, "note" only informs."""

    level: str
    message: str
    row: int | None = None
    column: str | None = None


def refuse(findings: list[Finding]) -> None:
    """Raises one DataError that holds every finding of level "error"."""
    errors = [finding.message for finding in findings if finding.level == "error"]
    if errors:
        raise DataError("\n".join(errors))
