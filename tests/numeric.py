"""Derivatives by numbers: central differences, and the complex step, which loses no digits but asks for analyticity."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


def directions(arrays: Arrays, seed: int = 1) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {name: draw.normal(size=np.shape(value)) for name, value in arrays.items()}


def slope(gradient: Arrays, direction: Arrays, name: str) -> float:
    return float((np.asarray(gradient[name]) * direction[name]).sum())


def central(
    function: Callable[[Arrays], float], arrays: Arrays, direction: Arrays, name: str, step: float = 1e-4
) -> float:
    """The derivative along a direction of one array; the error falls with the fourth power of the step."""

    def at(distance: float) -> float:
        return function({**arrays, name: arrays[name] + distance * direction[name]})

    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)


def complex_step(function: Callable[[Arrays], complex], arrays: Arrays, direction: Arrays, name: str) -> float:
    """The same by Im f(a + i 1e-30 d) / 1e-30 (Squire & Trapp, SIAM Review 40(1), 1998)."""
    moved = {k: v.astype(complex) for k, v in arrays.items()}
    moved[name] = moved[name] + 1e-30j * direction[name]
    return float(np.imag(function(moved)) / 1e-30)
