"""What an export tells of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Written:
    """The files, and what a person is told of them: sizes, costs."""

    files: list[Path]
    notes: list[str] = field(default_factory=list)
