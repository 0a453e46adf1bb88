"""The settings that figures were measured with are options that there are: a renamed option is renamed there too."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from gatework import tasks
from sources import ROOT

MODULES = (
    "classify",
    "explain",
    "forecast",
    "generate_speed",
    "hear",
    "regularisation",
    "see",
    "shakespeare",
    "translate",
)


def settings(found: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Task, name and options of every benchmark that trains."""
    explain, forecast, book = found["explain"], found["forecast"], found["shakespeare"]
    return [
        *(("classify", name, each) for name, each in found["classify"].SETTINGS.items()),
        *((explain.TASKS.get(name, "classify"), name, each) for name, each in explain.SETTINGS.items()),
        *(
            ("forecast", name, each)
            for name, each in {**forecast.SETTINGS, "ett": forecast.OF_ETT, "segrnn": forecast.SEGRNN}.items()
        ),
        *(("generate", f"{minutes} minutes", {**book.SHARED, **each}) for minutes, each in book.SETTINGS.items()),
        *((task, f"{name}, regularised", each) for name, (task, _, each, _) in found["regularisation"].JOBS.items()),
        *(("transcribe", name, found["hear"].SOUND | each) for name, each in found["hear"].SETTINGS.items()),
        *(("caption", name, each) for name, each in found["see"].SETTINGS.items()),
        *(("translate", name, each) for name, each in found["translate"].SETTINGS.items()),
        ("generate", "speed", found["generate_speed"].SIZES),
    ]


def test_settings_of_benchmarks_are_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    rows = settings({name: importlib.import_module(name) for name in MODULES})
    assert len(rows) > 20
    for task, name, given in rows:
        options = tasks.get(task).Options.of(given)
        assert {key: getattr(options, key) for key in given} == given, name
