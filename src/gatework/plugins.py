"""What other packages add: tasks and cells, named by their entry points `gatework.tasks` and `gatework.cells`.

They stand in its pyproject.toml: the task's name and the module that sets `TASK`; any name and a module of cells.

    [project.entry-points."gatework.tasks"]
    slope = "my_package.slope"

    [project.entry-points."gatework.cells"]
    mine = "my_package.cells"
"""

from __future__ import annotations

import warnings
from functools import cache

TASKS, CELLS = "gatework.tasks", "gatework.cells"


@cache
def plugins(group: str) -> tuple[tuple[str, str, str], ...]:
    """(name, module, package) of each entry point of a group, sorted; none is imported."""
    from importlib.metadata import entry_points

    found = {(each.name, each.module, each.dist.name if each.dist else "?") for each in entry_points(group=group)}
    return tuple(sorted(found))


def warn_of(what: str, error: Exception) -> None:
    """Says that something another package adds cannot be used; all else goes on without it."""
    warnings.warn(f"{what} cannot be used and is left out: {type(error).__name__}: {error}", stacklevel=3)
