"""Rows of a source before it is known which column names the files: plain columns, and where each row stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Rows:
    """Columns of equal length; `files` where the source itself says which file each row is about, `column` where it
    says which of them holds the items."""

    columns: dict[str, list]
    source: str
    where: Callable[[int], str]
    notes: tuple[str, ...] = ()
    files: list[Path] = field(default_factory=list)
    column: str | None = None

    @classmethod
    def of_files(
        cls, files: list[Path], source: str, columns: dict[str, list] | None = None, notes: tuple[str, ...] = ()
    ) -> Rows:
        """Rows that are called by the paths of their files."""
        return cls(columns or {}, source, lambda row: str(files[row]), notes, files)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), self.files))
