"""With a team or alone: made times, never a clock. And that the way which a step goes changes no bit of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gatework import cells, runtime
from gatework.runtime.llvm import stream as streams
from gatework.runtime.llvm.pace import SHARE, STRETCH, TRIAL, Pace

Times = Callable[[bool, int], float]


def walked(steps: int, seconds: Times) -> tuple[Pace, np.ndarray, float]:
    """The ways of so many steps, and all that they took."""
    pace, ways, total = Pace(), np.zeros(steps, bool), 0.0
    for step in range(steps):
        ways[step] = pace.together
        took = seconds(pace.together, step)
        total += took
        if pace.rest:
            pace.rest -= 1
        else:
            pace.took(took)
    return pace, ways, total


@pytest.mark.parametrize(("team", "alone"), [(50e-6, 92e-6), (25e-3, 92e-6), (27e-6, 25e-6), (90e-6, 92e-6)])
def test_the_faster_way_is_taken_and_trials_cost_little(team: float, alone: float) -> None:
    steps = 60_000
    _, ways, total = walked(steps, lambda together, _: team if together else alone)
    assert (ways == (team < alone)).mean() > 0.75
    assert total < (1 + SHARE) * min(team, alone) * steps + team


def test_a_team_that_is_disturbed_is_left_at_once_and_taken_again() -> None:
    def seconds(together: bool, step: int) -> float:
        return (20e-3 if 1000 <= step < 2000 else 50e-6) if together else 90e-6

    _, ways, total = walked(50_000, seconds)
    assert ways[100:1000].mean() > 0.9
    assert ways[1000:2000].sum() == 1
    assert ways[-10_000:].mean() > 0.9
    assert total < 20e-3 + 50e-6 * 50_000 * 1.1


def test_long_steps_now_and_then_cost_no_more_than_going_alone() -> None:
    def seconds(together: bool, step: int) -> float:
        return 5e-3 if together and step % 97 == 50 else 50e-6 if together else 60e-6

    _, _, total = walked(50_000, seconds)
    assert total < 60e-6 * 50_000 * (1 + 2 * SHARE)


def test_short_disturbances_do_not_drive_the_team_away() -> None:
    _, ways, _ = walked(20_000, lambda together, step: (50e-6 if together else 90e-6) + (step % 50 == 0) * 5e-4)
    assert ways.mean() > 0.9


def test_a_thread_that_has_become_faster_alone_is_noticed() -> None:
    _, ways, _ = walked(20_000, lambda together, step: 50e-6 if together else 90e-6 if step < 5000 else 30e-6)
    assert ways[200:5000].mean() > 0.9
    assert ways[10_000:].mean() < 0.3


def test_what_is_told_names_both_ways() -> None:
    pace, _, _ = walked(TRIAL, lambda together, _: 9e-5)
    assert pace.why(3) == "3 threads (90 us a step with 1)"
    pace, _, _ = walked(TRIAL + STRETCH, lambda together, _: 2e-4 if together else 9e-5)
    assert pace.why(3) == "1 thread (90 us a step with 1, 200 us a step with 3)"


class ByTurns(Pace):
    def took(self, seconds: float) -> bool:
        self.together = not self.together
        return True


@pytest.mark.parametrize("batch", [1, 3])
def test_steps_of_a_stream_have_the_same_bits_both_ways(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(streams, "Pace", ByTurns)
    program = runtime.program(cells.get("lstm").graph, {"I": 200, "H": 320}, "float32")
    random = np.random.default_rng(0)
    weights = {k: random.uniform(-0.1, 0.1, shape).astype("f4") for k, shape in program.shapes.items()}
    x = random.standard_normal((5, batch, 200)).astype("f4")
    found: dict[int, np.ndarray] = {}
    for threads in (1, 2):
        runtime.set_threads(threads)
        try:
            stream = program.stream(weights, batch)
        finally:
            runtime.set_threads(None)
        found[threads] = np.stack([stream.step(row).copy() for row in x])
    assert program.describe().endswith("2 threads (for a trial)")  # after five steps by turns, alone first
    assert np.array_equal(found[1], found[2]) and np.abs(found[1]).max() > 0.01
