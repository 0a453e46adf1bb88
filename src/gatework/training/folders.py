"""Which folder a new run gets where nobody names one: runs/NAME, then runs/NAME-2, runs/NAME-3, ..."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

RUNS = Path("runs")  # where runs go, beside where one works


def free(folder: Path) -> Path:
    """`folder`, or the first of folder-2, folder-3, ... that does not exist: no earlier run is lost."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([folder], numbered) if not path.exists())


def numbered(folder: Path) -> list[Path]:
    """Those of `folder`, folder-2, ... that are there, the highest number first."""
    form = re.compile(re.escape(folder.name) + r"(?:-(\d+))?")
    beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
    found = {int(name[1] or 1): path for path in beside if (name := form.fullmatch(path.name)) and path.is_dir()}
    return [found[number] for number in sorted(found, reverse=True)]
