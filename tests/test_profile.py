"""`gatework profile`: every part of a step is told, and the time of a step is divided among them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from gatework.cli import app
from gatework.errors import OptionError
from gatework.tasks.profiling import profile
from gatework.training import profile as profiles
from gatework.training.profile import BACKWARD, LOSS, OPTIMISER, RANGE, READING, REST, Spent, medians
from small import CASES, Small, book


def event(name: str, start: float, own: float, above: Any = None, number: int = -1) -> Any:
    """An operation that took `own` microseconds itself."""
    times = SimpleNamespace(start=start)
    return SimpleNamespace(name=name, time_range=times, self_cpu_time_total=own, cpu_parent=above, sequence_nr=number)


def step(begin: float, slower: float = 1) -> list[Any]:
    """A module's product and the loss, forward and backward, and the optimiser."""
    loss = event(RANGE + LOSS, begin + 2, 5)
    module = event(f"{RANGE}head (Linear)", begin + 3, 1, loss)
    product = event("aten::addmm", begin + 4, 30 * slower, module, 7)
    entropy = event("aten::cross_entropy", begin + 50, 4, loss, 8)
    nodes = [event(f"{profiles.ENGINE}: Some", begin + 60 + n, 0, None, n) for n in (8, 7, 99)]
    return [
        event(RANGE + READING, begin, 2),
        *(loss, module, product, entropy, *nodes),
        *(event("aten::mm", begin + 70 + n, 10 * (n + 1), node) for n, node in enumerate(nodes)),
        event("aten::add", begin + 90, 7, event("Optimizer.step#AdamW.step", begin + 85, 3)),
        event("aten::mul", begin + 95, 11),
    ]


def test_backward_belongs_to_the_module_whose_operation_it_differentiates() -> None:
    events = [each for k in range(3) for each in step(1000 * k, slower=1 + 9 * (k == 1))]
    times = [2e-4, 5e-4, 2e-4]
    forward, backward = medians(events, times)
    assert forward == {
        READING: pytest.approx(2e-6),
        LOSS: pytest.approx(9e-6),
        "head (Linear)": pytest.approx(31e-6),
        OPTIMISER: pytest.approx(7e-6),
        REST: pytest.approx(2e-4 - 109e-6),
    }
    assert backward == {
        LOSS: pytest.approx(10e-6), "head (Linear)": pytest.approx(20e-6), BACKWARD: pytest.approx(30e-6)
    }  # fmt: skip


def test_the_table_begins_with_the_costliest_and_adds_up() -> None:
    spent = Spent({"a": 0.002, "b": 0.0961, "c": 0.0009}, {"a": 0.001}, 0.1, 0.1)
    rows = spent.table()
    assert list(rows) == ["b", "a", "1 smaller part", "together"]
    assert rows["a"] == {"forward ms": 2.0, "backward ms": 1.0, "share %": pytest.approx(3.0)}
    assert rows["together"]["share %"] == pytest.approx(100)


@pytest.mark.parametrize("case", CASES[:2], ids=str)
def test_a_tiny_run_of_a_task(case: Small) -> None:
    spent = profile(case.task(), case.source(), steps=2)
    modules = [name for name in spent.forward if name.endswith(")")]
    assert {READING, LOSS, OPTIMISER, REST} <= set(spent.forward)
    recurrent = [name for name in modules if ".layers.0 (" in name]
    assert recurrent and all(spent.backward[name] > 0 and spent.forward[name] > 0 for name in recurrent)
    assert spent.step > 0 and sum(spent.backward.values()) < spent.profiled


def test_a_training_that_ends_too_early_has_no_profile() -> None:
    with pytest.raises(OptionError, match="after 0 of the 7 steps that a profile needs; profile fewer steps"):
        profile(CASES[0].task(epochs=0), CASES[0].source(), steps=2)


def test_the_command_prints_a_table_and_json_and_keeps_nothing(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text(book()[0], encoding="utf-8")
    words = ["profile", "generate", "book.txt", "--steps", "1", "--hidden-size", "4"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert "a step takes" in shown.output and "together" in shown.output and "layers.0 (LSTM)" in shown.output
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert told["forward"][OPTIMISER] > 0
    assert [each.name for each in tmp_path.iterdir()] == ["book.txt"]
