"""The end of each series, as a run keeps it: `predict` goes on from there without any file."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any, TypedDict

import numpy as np

from gatework.data.stored import stored
from gatework.data.zones import Clock, checked
from gatework.errors import FileFormatError
from gatework.runtime.series.covariates import Channel
from gatework.runtime.series.ends import panel_of
from gatework.runtime.series.frequency import Frequency
from gatework.runtime.series.panel import Panel

FAR = 1 << 57  # microseconds: some 4,500 years


class Ahead(TypedDict, total=False):
    """What a series has where there are covariates."""

    covariates: list[list[float | None]]
    static: list[float]
    effects: list[float]


class Series(Ahead):
    name: str
    start: int
    scale: float | None
    values: list[float | None]


class Effects(TypedDict):
    """See `gatework.runtime.series.effects`."""

    usual: list[float]
    bends: list[float]
    log: bool


class Learned(TypedDict, total=False):
    """What a run has where columns known ahead have effects."""

    effects: Effects


class Kept(Learned):
    """series.json."""

    frequency: str
    dates: bool
    clock: Clock | None
    channels: list[Channel]
    series: list[Series]


def to_json(last: Panel, scales: np.ndarray) -> str:
    """Names, starts, values, denominators of MASE, and covariates, all as JSON."""
    series = [
        {
            "name": name,
            "start": int(last.starts[number]),
            "scale": plain(scales[number]),
            "values": [plain(value) for value in last.series(number)],
            **_beside(last, number),
        }
        for number, name in enumerate(last.names)
    ]
    channels = [] if last.covariates is None else [asdict(each) for each in last.covariates.channels]
    kinds: dict[str, Any] = {
        "frequency": last.frequency.text,
        "dates": last.dates,
        "clock": last.clock and {"zone": last.clock.zone, "shown": last.clock.shown},
    }
    said = last.effects
    if said is not None:
        kinds["effects"] = {"usual": said.usual.tolist(), "bends": said.bends.tolist(), "log": said.log}
    return json.dumps({**kinds, "channels": channels, "series": series})


def from_json(text: str) -> tuple[Panel, np.ndarray]:
    """What `to_json` was given."""
    found: dict[str, Any] = stored(text, Kept, "series.json")
    rows, frequency = found["series"], Frequency.parse(found["frequency"])
    if frequency.every > FAR or not rows or any(abs(row["start"]) > FAR for row in rows):
        raise FileFormatError(f"series.json has no series, or times that cannot be: {frequency!r:.80}")
    scales, panel = np.array([row["scale"] for row in rows], np.float64), panel_of(found)
    if panel.clock is None:
        return panel, scales
    return replace(panel, clock=Clock(str(checked(panel.clock.zone)), panel.clock.shown)), scales


def _beside(last: Panel, number: int) -> dict[str, Any]:
    covariates, effects = last.covariates, last.effects
    if covariates is None:
        return {}
    rows = [[plain(value) for value in row] for row in covariates.part(number)]
    found = {"covariates": rows, "static": [float(value) for value in covariates.static[number]]}
    return found if effects is None else found | {"effects": effects.each[number].tolist()}


def plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
