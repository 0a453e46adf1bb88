"""The jobs: one folder for each task, found by its place here; the modules beside them are what tasks build with.

Other packages add tasks by the entry point `gatework.tasks`: see `gatework.plugins`. Besides `TASK`, which its module
sets, a task's folder may hold estimator.py (its public classes are found under `gatework.NAME`), commands.py (with
`register(app)`, for the command line), space.toml (what `gatework tune` varies) and a template for its pages.
"""

from __future__ import annotations

import importlib
import re
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from gatework.errors import OptionError
from gatework.plugins import TASKS, plugins, warn_of

if TYPE_CHECKING:
    from gatework.tasks.base import Task

ESTIMATOR = re.compile(r"^class ([A-Z]\w*)\(", re.MULTILINE)


def __getattr__(name: str) -> Any:
    if not name[:1].isupper() or name not in (known := estimators()):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(known[name]), name)


def homes() -> dict[str, str]:
    """Task's name -> its module: the folders here, then what other packages add. None is imported.

    Raises: OptionError where two of them have one name.
    """
    found = {module.name: f"{__name__}.{module.name}" for module in iter_modules(__path__) if module.ispkg}
    for name, module, package in plugins(TASKS):
        if (other := found.setdefault(name, module)) != module:
            both = f"that of {other} and that of {module} (package {package})"
            raise OptionError(f"two tasks are called {name!r}: {both}; uninstall one")
    return found


def names() -> list[str]:
    """The tasks there are, sorted; none is imported."""
    return sorted(homes())


def get(name: str) -> type[Task]:
    """The task of that name, or an OptionError that lists them; also for a task whose package is broken."""
    if name not in (known := homes()):
        from gatework.training.options import known_names

        raise OptionError(f"there is no task {name!r}{known_names(name, sorted(known))}")
    if known[name].startswith(__name__):
        return importlib.import_module(known[name]).TASK
    try:
        task = importlib.import_module(known[name]).TASK
    except Exception as error:
        raise OptionError(f"the task {name!r} of {known[name]} cannot be used: {error!r}") from error
    if task.name != name:
        raise OptionError(f"the entry point {name!r} leads to {known[name]}, whose task calls itself {task.name!r}")
    return task


def working() -> dict[str, type[Task]]:
    """Every task by name; one of another package that cannot be imported is left out with a warning."""
    found: dict[str, type[Task]] = {}
    for name, home in sorted(homes().items()):
        try:
            found[name] = get(name)
        except OptionError as error:
            warn_of(f"the task {name!r} of {home}", error)
    return found


def files(name: str) -> dict[str, Path]:
    """The modules of that name in the folders of tasks, by task; read off the disk, so that no task is imported."""
    found: dict[str, Path] = {}
    for task, home in homes().items():
        try:
            spec = find_spec(home)
        except ImportError:  # `working` and `get` speak of it
            continue
        for place in (spec and spec.submodule_search_locations) or ():
            if (path := Path(place) / f"{name}.py").exists():
                found[task] = path
    return found


def estimators() -> dict[str, str]:
    """Public name -> module of all estimators: the public classes of the modules `estimator` of all tasks."""
    known = homes()
    return {
        name: f"{known[task]}.estimator"
        for task, path in files("estimator").items()
        for name in ESTIMATOR.findall(path.read_text(encoding="utf-8"))
    }
