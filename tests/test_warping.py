"""Dynamic time warping: against a loop straight from the recurrence, and what must hold of a distance."""

from __future__ import annotations

import numpy as np
import pytest

from gatework.errors import ShapeError
from gatework.runtime.sounds.warping import distances, path


def by_loop(asked: np.ndarray, known: np.ndarray, both: float = 2) -> float:
    best = np.full((len(asked) + 1, len(known) + 1), np.inf)
    best[0, 0] = 0.0
    for i, one in enumerate(asked):
        for j, other in enumerate(known):
            apart = np.linalg.norm(one - other)
            best[i + 1, j + 1] = min(best[i, j] + both * apart, best[i + 1, j] + apart, best[i, j + 1] + apart)
    return best[-1, -1] / (len(asked) + len(known))


def drawn(seed: int, *lengths: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(size=(length, 3)) for length in lengths]


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_distances_are_those_of_a_loop(steps: int) -> None:
    (asked,), known = drawn(1, steps), drawn(2, 1, 4, 7, 12, 7)
    np.testing.assert_allclose(distances(asked, known), [by_loop(asked, each) for each in known], rtol=1e-5)


def test_a_slower_copy_is_no_distance_away_and_others_do_not_matter() -> None:
    asked, other = drawn(3, 6, 9)
    slower = asked.repeat([1, 3, 1, 2, 5, 1], 0)
    alone, both = distances(asked, [slower]), distances(asked, [slower, other])
    assert alone[0] == both[0] == pytest.approx(0, abs=1e-3)
    assert both[1] > 0.1


def test_nothing_known_and_what_is_no_recording() -> None:
    (asked,) = drawn(4, 5)
    assert distances(asked, []).shape == (0,)
    for known in ([np.zeros((0, 3))], [np.zeros((4, 2))], [np.zeros(4)]):
        with pytest.raises(ShapeError, match="at least one frame"):
            distances(asked, known)


@pytest.mark.parametrize("lengths", [(1, 1), (1, 5), (7, 3), (12, 12)])
def test_a_path_has_the_sum_of_a_loop_and_goes_on_in_one_or_both(lengths: tuple[int, int]) -> None:
    one, other = drawn(5, *lengths)
    found = path(one, other)
    steps = np.diff(found.places, axis=0)
    assert found.places[0].tolist() == [0, 0]
    assert found.places[-1].tolist() == [lengths[0] - 1, lengths[1] - 1]
    assert ((steps >= 0) & (steps <= 1)).all() and steps.any(axis=1).all()
    own = sum(np.linalg.norm(one[i] - other[j]) for i, j in found.places)
    assert found.total == pytest.approx(own, rel=1e-4)
    assert found.total == pytest.approx(by_loop(one, other, both=1) * sum(lengths), rel=1e-4)
