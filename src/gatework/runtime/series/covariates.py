"""Columns beside the target as scaled numbers: known ahead, known up to now, or the same all through a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

IDENTITY = "(series)"  # the column of channels that say which series it is
STILL = 1e6  # of its value: scale of a column that never varied; what another value does was not learned


@dataclass(frozen=True)
class Channel:
    """One number that a model sees of a column: `(value - shift) / scale`, or whether the column holds `label`."""

    column: str
    role: str
    label: str | None = None
    shift: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Covariates:
    """`values` [N, C] of the channels that change with time, on a panel's grid, NaN = missing; `static` [S, K].

    Series s is `values[offsets[s]:offsets[s + 1]]`: from the panel's start of it, and past its end where rows with an
    empty target say what is known ahead. `channels` are the C of `values`, then the K of `static`.
    """

    channels: tuple[Channel, ...]
    values: np.ndarray
    offsets: np.ndarray
    static: np.ndarray

    def part(self, number: int) -> np.ndarray:
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    def with_parts(self, parts: Sequence[np.ndarray], static: np.ndarray) -> Covariates:
        """The same channels with other values."""
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        values = np.concatenate([np.zeros((0, self.values.shape[1])), *parts])
        return replace(self, values=values, offsets=offsets, static=static)

    def from_steps(self, firsts: np.ndarray) -> Covariates:
        """Each series from a step on."""
        return self.with_parts([self.part(s)[first:] for s, first in enumerate(firsts)], self.static)

    def places(self, *roles: str) -> list[int]:
        """Which columns of `values` have a role."""
        return [c for c, channel in enumerate(self.channels[: self.values.shape[1]]) if channel.role in roles]

    def laid_out(self, owners: np.ndarray, steps: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is known ahead [M, F] and up to now [M, P] at steps of series; 0, the mean, where nothing is known."""
        there = (steps >= 0) & (steps < np.diff(self.offsets)[owners])
        whole = np.zeros((len(steps), self.values.shape[1]), np.float32)
        whole[there] = np.nan_to_num(self.values[(self.offsets[owners] + steps)[there]])
        seen = whole[:, self.places("past")]
        seen[~inside] = 0
        return whole[:, self.places("future")], seen

    def lacking(self, number: int, begin: int, count: int) -> list[tuple[int, list[str]]]:
        """Steps of a series from `begin` on at which columns known ahead have no value, and those columns."""
        columns = self.places("future")
        known = np.zeros((count, len(columns)), bool)
        part = self.part(number)[begin : begin + count, columns]
        known[: len(part)] = ~np.isnan(part)
        names = [self.channels[c].column for c in columns]
        return [
            (begin + step, list(dict.fromkeys(name for name, there in zip(names, row, strict=True) if not there)))
            for step, row in enumerate(known)
            if not row.all()
        ]

    def scaled(self, ends: np.ndarray) -> Covariates:
        """Numbers with mean 0 and deviation 1 over each series' first steps, up to `ends` [S]: the training part."""
        steps = np.arange(len(self.values)) - np.repeat(self.offsets[:-1], np.diff(self.offsets))
        training = steps < np.repeat(ends, np.diff(self.offsets))
        count = self.values.shape[1]
        channels = [_fitted(each, self.values[training, c]) for c, each in enumerate(self.channels[:count])]
        channels += [_fitted(each, self.static[:, c]) for c, each in enumerate(self.channels[count:])]
        values, static = apply(channels[:count], self.values), apply(channels[count:], self.static)
        return replace(self, channels=tuple(channels), values=values, static=np.nan_to_num(static))


def apply(channels: Sequence[Channel], values: np.ndarray) -> np.ndarray:
    """Values [N, C] as channels see them, in float32."""
    shift, scale = np.array([[each.shift, each.scale] for each in channels]).reshape(-1, 2).T
    return ((values - shift) / scale).astype(np.float32)


def _fitted(channel: Channel, values: np.ndarray) -> Channel:
    known = values[~np.isnan(values)]
    if channel.label is not None or not len(known):
        return channel
    mean = float(known.mean())
    still = 1.0 if channel.role == "static" else STILL * (abs(mean) or 1.0)
    return replace(channel, shift=mean, scale=float(known.std()) or still)
