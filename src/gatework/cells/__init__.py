"""The cells that gatework knows, found by looking into packages: a file dropped there is a cell added.

    >>> from gatework import cells
    >>> cells.get("lstm").graph.states
    (State(name='h', width='H', start=0.0), State(name='c', width='H', start=0.0))

`cells.use("my_package")` adds a package or module of one's own; so does the environment variable GATEWORK_CELLS
(names separated by commas), for the command line. Packages that are installed name theirs by the entry point
`gatework.cells`: see `gatework.plugins`.
"""

from __future__ import annotations

import difflib
import os
import pkgutil
from functools import cache
from importlib import import_module

from gatework.compiler.lang import Cell
from gatework.errors import CellError, OptionError
from gatework.plugins import CELLS, plugins, warn_of

__all__ = ["get", "names", "use"]


def __dir__() -> list[str]:
    return __all__


_used: list[str] = []


def names() -> list[str]:
    """All cells, sorted by name."""
    return sorted(found((*packages(), *installed())))


def get(name: str | Cell) -> Cell:
    """The cell of that name; a Cell is given back as it is. Raises OptionError with the nearest names."""
    if isinstance(name, Cell):
        return name
    if callable(name):
        raise OptionError(f"{getattr(name, '__name__', name)!r} is a function, not a cell: decorate it, @gatework.cell")
    cell = one(str(name), packages()) or one(str(name), installed())
    if cell is None:
        known = found((*packages(), *installed()))
        near = difflib.get_close_matches(str(name), known, 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(known))}."
        raise OptionError(
            f"there is no cell {name!r}; {hint} A package of your own is added by cells.use('package'), or before the "
            "start by the environment variable GATEWORK_CELLS=package"
        )
    return cell


@cache
def one(name: str, searched: tuple[str, ...]) -> Cell | None:
    """A cell without tracing all others: modules whose name begins the cell's are looked into first."""
    named = [m for package in searched for m in modules(package)]
    for module in sorted(named, key=lambda m: not name.startswith(m.rpartition(".")[2])):
        for value in vars(import_module(module)).values():
            if isinstance(value, Cell) and value.name == name:
                return value
    return None


def use(package: str) -> list[str]:
    """Add the cells of a package (and its modules) or of one module; gives their names."""
    if not isinstance(package, str) or not package:
        raise OptionError(f"a package or module is used by its name, as 'my_package'; got {package!r}")
    added = found((package,))
    if not added:
        raise OptionError(f"{package} holds no cell: decorate functions with @gatework.cell")
    found((*packages(), *installed(), package))
    if package not in _used:
        _used.append(package)
    return sorted(added)


def packages() -> tuple[str, ...]:
    named = [p.strip() for p in os.environ.get("GATEWORK_CELLS", "").split(",")]
    return tuple(dict.fromkeys([__name__, *(p for p in named if p), *_used]))


@cache
def installed() -> tuple[str, ...]:
    """The modules that installed packages name; one that cannot be imported is left out with a warning."""
    working = []
    for _, module, package in plugins(CELLS):
        try:
            import_module(module)
        except Exception as error:
            warn_of(f"the cells of {module} (package {package})", error)
        else:
            working.append(module)
    return tuple(working)


@cache
def found(searched: tuple[str, ...]) -> dict[str, Cell]:
    """Cells by name. Two different cells of one name are refused: which one is meant would depend on the order."""
    cells: dict[str, tuple[str, Cell]] = {}
    for module in (m for package in searched for m in modules(package)):
        for value in vars(import_module(module)).values():
            if isinstance(value, Cell) and (first := cells.setdefault(value.name, (module, value)))[1] is not value:
                raise CellError(f"{module} and {first[0]} both define a cell {value.name!r}; give one another name")
    return {name: cell for name, (_, cell) in cells.items()}


def modules(package: str) -> list[str]:
    try:
        path = getattr(import_module(package), "__path__", None)
    except ModuleNotFoundError as error:
        if not f"{package}.".startswith(f"{error.name}."):
            raise
        raise OptionError(
            f"the package {package!r}, named for its cells, cannot be imported: Python looks for it in its path alone. "
            "For one in the current folder set PYTHONPATH=."
        ) from error
    own = [] if package == __name__ else [package]
    return own + [f"{package}.{m.name}" for m in pkgutil.iter_modules(path or [])]
