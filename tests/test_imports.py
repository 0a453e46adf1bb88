"""Imports point one way, without cycles, and heavy libraries are loaded where they belong: read off the source."""

from __future__ import annotations

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from sources import files, imports, module, within

# Who may import whom inside the package: a part, and the parts it sees.
EVERYBODY = ("errors", "extras", "plugins")
SEES = {
    "errors": (),
    "extras": ("errors",),
    "plugins": (),
    "compiler": (),
    "cells": ("compiler",),
    "backends": ("compiler",),
    "runtime": ("backends", "compiler"),
    "layers": ("runtime", "backends", "cells", "compiler"),
    "verification": ("runtime", "backends", "cells", "compiler"),
    "keras": ("layers", "runtime", "backends", "cells", "compiler"),
    "data": ("runtime", "backends", "compiler"),
    "training": ("data", "runtime", "backends", "compiler"),
    "pages": ("training", "data"),
    "networks": ("training", "data", "layers", "runtime", "cells", "backends", "compiler", ""),
    "tasks": ("networks", "pages", "training", "data", "layers", "runtime", "cells", "backends", "compiler", ""),
}
BELOW = (*SEES, "")  # "" is the package itself: its public names, such as gatework.LSTM
for _part in ("report", "explanation", "tuning", "bench", "comparison", "exporting"):
    SEES[_part] = BELOW
SEES["explanation"] = SEES["tuning"] = (*BELOW, "report")
SEES["bench"] = (*BELOW, "exporting")
SEES["diagnosis"] = (*BELOW, "report", "explanation")
SEES["serve"] = (*BELOW, "exporting")
SEES["commands"] = (*BELOW, "report", "explanation", "diagnosis", "tuning", "comparison", "bench", "exporting", "serve")
SEES["verbs"] = (*BELOW, "report")
SEES["batch"] = BELOW
SEES["cli"] = ("commands", "tasks", "")
SEES["__main__"] = ("cli",)
SEES[""] = ()

TORCH = (
    *("layers", "keras", "training", "networks", "tasks"),
    *("report", "explanation", "diagnosis", "tuning", "comparison", "exporting", "verbs", "bench", "commands"),
)
HEAVY = {
    "torch": TORCH,
    "keras": ("keras", "layers", "bench"),
    "llvmlite": ("runtime", "bench"),
    "polars": ("data", "training", "tasks", "explanation", "tuning", "report", "bench", "commands"),
    "sklearn": ("training", "tasks", "explanation", "tuning", "bench", "report", "data"),
}
NEVER = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "requests", "httpx"}
NETWORK = {"urllib.request", "http.client"}


def part(name: str) -> str:
    return [*name.split("."), ""][1]


@pytest.mark.parametrize("path", files(), ids=module)
def test_imports_point_one_way(path) -> None:
    own = part(module(path))
    assert own in SEES, f"{module(path)}: say in SEES what the new part {own!r} may import"
    wrong = {m for m in within(path) if part(m) not in (own, *EVERYBODY, *SEES[own])}
    assert not wrong, f"{module(path)} imports {sorted(wrong)}, but {own} sees only {SEES[own]}"


def test_no_cycles() -> None:
    graph = {module(path): within(path) for path in files()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail("cycle: " + " -> ".join(error.args[1]))


@pytest.mark.parametrize("path", files(), ids=module)
def test_heavy_libraries_are_imported_where_they_belong(path) -> None:
    for name in {n.split(".")[0] for n in imports(path)}:
        assert name not in NEVER, f"{module(path)} imports {name}: it runs code from files, or the network"
        assert part(module(path)) in HEAVY.get(name, (part(module(path)),)), f"{module(path)} imports {name}"
    assert not {n for n in imports(path) if n in NETWORK or n.rpartition(".")[0] in NETWORK}, module(path)


def test_cells_import_the_language_only() -> None:
    for path in files():
        if part(module(path)) == "cells" and path.name != "__init__.py":
            wrong = {m for m in within(path) if not m.startswith(("gatework.compiler.", "gatework.cells."))}
            assert not wrong, f"{module(path)} imports {sorted(wrong)}; a cell needs gatework.compiler.lang"
            assert not {n for n in imports(path) if n.split(".")[0] in ("numpy", "torch")}, module(path)


def test_the_compiler_needs_no_numpy() -> None:
    users = [module(p) for p in files() if part(module(p)) == "compiler" and "numpy" in imports(p)]
    assert not users


def test_texts_need_numpy_alone() -> None:
    light = {"gatework", "numpy", "snowballstemmer", "stopwordsiso", *sys.stdlib_module_names}
    for path in files():
        if module(path).startswith("gatework.runtime.texts"):
            assert not {n for n in imports(path) if n.split(".")[0] not in light}, module(path)
            assert not {n for n in imports(path, top=True) if n.startswith(("snowball", "stopwords"))}, module(path)
            wrong = {m for m in within(path) if not m.startswith(("gatework.runtime.texts", "gatework.errors"))}
            assert not wrong, f"{module(path)} imports {sorted(wrong)}"


def test_no_backend_imports_another() -> None:
    for path in files():
        own = module(path).split(".")
        if own[1:2] == ["backends"] and len(own) > 2:
            seen = {m.split(".")[2] for m in within(path) if m.startswith("gatework.backends.")}
            others = seen - {own[2], "arrays", "series"}  # what numpy and torch call differently; numbers for exp, log
            assert not others, f"{module(path)} imports the backends {sorted(others)}"


def test_commands_are_light_until_they_run() -> None:
    light = {"gatework", "typer", "rich", *sys.stdlib_module_names}
    for path in files():
        if part(module(path)) in ("commands", "cli") or path.name == "commands.py":
            heavy = {n for n in imports(path, top=True) if n.split(".")[0] not in light}
            heavy |= {
                m for m in within(path, top=True) if part(m) not in ("commands", "errors", "extras", "plugins", "")
            }
            assert not heavy, f"{module(path)} imports {sorted(heavy)} before it runs: move them into the function"


@pytest.mark.paths
@pytest.mark.parametrize("statement", ["import gatework", "import gatework.cli", "import gatework.cells"])
def test_nothing_heavy_is_loaded(statement: str) -> None:
    code = f"{statement}; import sys; print(*{{n.split('.')[0] for n in sys.modules}})"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"torch", "llvmlite", "keras", "polars", "pandas", "sklearn", "matplotlib", "numpy"}


def seconds(code: str, runs: int = 5) -> float:
    """The processor's time for `code`, which other work on the machine hardly changes; the best of some runs."""
    timed = f"import time; s = time.process_time(); exec({code!r}); print(time.process_time() - s)"
    command = [sys.executable, "-c", timed]
    outputs = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(runs))
    return min(float(output.split()[-1]) for output in outputs)


def test_import_takes_under_a_tenth_of_a_second() -> None:
    assert seconds("import gatework") < 0.1


def test_help_takes_under_three_tenths_of_a_second() -> None:
    """That of `gatework --help`, without Python's own start (10 to 20 ms)."""
    code = "import sys; from gatework.cli import app\ntry: app(['--help'])\nexcept SystemExit: pass"
    assert seconds(code) < 0.28
