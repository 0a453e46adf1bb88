"""What was measured as JSON, and the trainings of an earlier run taken up again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gatework.bench.memory import tasks
from gatework.bench.memory.ladder import Asked, Key, Reached
from gatework.bench.memory.training import Trial, settings
from gatework.errors import FileFormatError

NOTHING: Mapping[str, Any] = MappingProxyType({})


def content(asked: Asked, found: Sequence[Reached], earlier: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
    """What was asked, and a row for each test and model with all trainings and their settings.

    Of an `earlier` content stays what was not measured again, and the machines that it came from.
    """
    wanted = {name: getattr(asked, name) for name in ("models", "tests", "lengths", "seeds", "chrono", "minutes")}
    rows = [row(each, asked.chrono) for each in found]
    again = {(each["test"], each["model"]) for each in rows}
    rows += [each for each in earlier.get("rows", ()) if (each["test"], each["model"]) not in again]
    machines = [*earlier.get("resumed", ()), *([earlier["machine"]] if "machine" in earlier else [])]
    return {"suite": "memory", "asked": wanted, **({"resumed": machines} if machines else {}), "rows": rows}


def row(each: Reached, chrono: bool) -> dict[str, Any]:
    """A result with the settings that its trainings had."""
    score = None if math.isnan(each.score) else each.score
    return asdict(each) | {"score": score, "settings": settings(tasks.get(each.test), each.model, chrono)}


def earlier(path: Path) -> dict[str, Any]:
    """What an earlier run wrote; nothing if there is no file.

    Raises FileFormatError for a file that is no result of the tests of memory.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known(found, True)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(
            f"{path} is no result of `gatework bench memory` ({error!r}); give the file of an earlier --json, or leave "
            "--resume away"
        ) from None
    return found


def known(found: Mapping[str, Any], chrono: bool) -> dict[Key, Trial]:
    """The trainings that a content holds and that would be done in the same way today.

    known(earlier(Path("memory.json")), True)[Key("adding", "lstm", 200, 1)]    # Trial(..., score=0.0047, ...)
    """
    rows = found["rows"] if found else []
    return {Key(t.task, t.model, t.length, t.seed): t for row in rows for t in trials(row, chrono)}


def trials(row: Mapping[str, Any], chrono: bool) -> list[Trial]:
    """A row's trainings; none where the settings are others by now."""
    made = [Trial(**each) for each in row["trials"]]
    same = row["test"] in tasks.TESTS and row.get("settings") == settings(tasks.get(row["test"]), row["model"], chrono)
    return made if same else []
