"""The end of each series, as a run keeps it: `predict` goes on from there without any file."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any, TypedDict

import numpy as np

from gatework.data.stored import stored
from gatework.data.zones import SHOWN, Clock, checked
from gatework.errors import FileFormatError
from gatework.runtime.series.covariates import Channel, Covariates
from gatework.runtime.series.frequency import Frequency
from gatework.runtime.series.panel import Panel

FAR = 1 << 57  # microseconds: some 4,500 years


class Ahead(TypedDict, total=False):
    """What a series has where there are covariates."""

    covariates: list[list[float | None]]
    static: list[float]


class Series(Ahead):
    name: str
    start: int
    scale: float | None
    values: list[float | None]


class Kept(TypedDict):
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
            **_beside(last.covariates, number),
        }
        for number, name in enumerate(last.names)
    ]
    channels = [] if last.covariates is None else [asdict(each) for each in last.covariates.channels]
    kinds = {
        "frequency": last.frequency.text,
        "dates": last.dates,
        "clock": last.clock and {"zone": last.clock.zone, "shown": last.clock.shown},
    }
    return json.dumps({**kinds, "channels": channels, "series": series})


def from_json(text: str) -> tuple[Panel, np.ndarray]:
    """What `to_json` was given."""
    found: dict[str, Any] = stored(text, Kept, "series.json")
    rows, frequency = found["series"], Frequency.parse(found["frequency"])
    if frequency.every > FAR or not rows or any(abs(row["start"]) > FAR for row in rows):
        raise FileFormatError(f"series.json has no series, or times that cannot be: {frequency!r:.80}")
    scales = np.array([row["scale"] for row in rows], np.float64)
    starts = np.array([row["start"] for row in rows], np.int64)
    names = tuple(row["name"] for row in rows)
    empty = Panel(names, np.zeros(0), np.zeros(1, np.int64), starts, frequency, found["dates"])
    empty = replace(empty, clock=_clock(found["clock"]))
    panel = empty.with_series([np.array(row["values"], np.float64) for row in rows])
    if not found.get("channels"):
        return panel, scales
    channels = tuple(Channel(**each) for each in found["channels"])
    static = np.array([row["static"] for row in rows], np.float32)
    width = len(channels) - static.shape[1]
    parts = [np.array(row["covariates"], np.float64).reshape(len(row["covariates"]), width) for row in rows]
    covariates = Covariates(channels, np.zeros((0, width)), np.zeros(1, np.int64), static).with_parts(parts, static)
    return replace(panel, covariates=covariates), scales


def _clock(found: dict[str, str] | None) -> Clock | None:
    if found is None:
        return None
    if found["shown"] not in SHOWN:
        raise FileFormatError(f"series.json: times cannot be shown as {found['shown']!r:.80}")
    return Clock(str(checked(found["zone"])), found["shown"])


def _beside(covariates: Covariates | None, number: int) -> dict[str, Any]:
    if covariates is None:
        return {}
    rows = [[plain(value) for value in row] for row in covariates.part(number)]
    return {"covariates": rows, "static": [float(value) for value in covariates.static[number]]}


def plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
