"""The comparison helper finds planted faults: a test that cannot fail is worse than none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compare import assert_all_close, assert_close

GOOD = np.random.default_rng(0).normal(size=(4, 3))


def faulty(**change: float) -> np.ndarray:
    array = GOOD.copy()
    array[2, 1] = change["to"]
    return array


def test_equal_arrays_pass() -> None:
    assert_close(GOOD, GOOD)
    assert_close(GOOD.astype(np.float32), GOOD)
    assert_close(torch.tensor(GOOD, dtype=torch.bfloat16), GOOD)
    assert_close(np.zeros((0, 2)), np.zeros((0, 2)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, GOOD[2, 1] + 1e-6, GOOD[2, 1] * 1.0001, 0.0])
def test_one_wrong_value_fails(value: float) -> None:
    with pytest.raises(AssertionError):
        assert_close(faulty(to=value), GOOD)
    with pytest.raises(AssertionError):
        assert_close(GOOD, faulty(to=value))


def test_nan_fails_even_on_both_sides() -> None:
    with pytest.raises(AssertionError, match="NaN"):
        assert_close(faulty(to=np.nan), faulty(to=np.nan))


def test_infinities_must_agree() -> None:
    assert_close(faulty(to=np.inf), faulty(to=np.inf))
    with pytest.raises(AssertionError, match="infinities"):
        assert_close(faulty(to=np.inf), faulty(to=-np.inf))


def test_shapes_do_not_broadcast() -> None:
    with pytest.raises(AssertionError, match="shape"):
        assert_close(GOOD[:1], GOOD)


def test_tolerance_follows_dtype_and_length() -> None:
    off = (GOOD * (1 + 3e-5)).astype(np.float32)
    with pytest.raises(AssertionError):
        assert_close(off, GOOD)
    assert_close(off, GOOD, length=100)
    with pytest.raises(AssertionError):
        assert_close(GOOD * (1 + 3e-5), GOOD, length=100)


def test_zero_expected_is_not_a_free_pass() -> None:
    with pytest.raises(AssertionError):
        assert_close(GOOD, np.zeros_like(GOOD))


def test_missing_and_extra_keys_fail() -> None:
    assert_all_close({"a": GOOD}, {"a": GOOD})
    for got in ({}, {"a": GOOD, "b": GOOD}):
        with pytest.raises(AssertionError, match="keys"):
            assert_all_close(got, {"a": GOOD})
