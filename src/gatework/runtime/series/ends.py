"""The ends of series that a forecaster goes on from, as its run keeps them in series.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gatework.runtime.series.clock import of_json
from gatework.runtime.series.covariates import Channel, Covariates
from gatework.runtime.series.effects import Effects
from gatework.runtime.series.frequency import Frequency
from gatework.runtime.series.panel import Panel


def panel_of(said: Mapping[str, Any]) -> Panel:
    """The series that series.json describes, which a trained run wrote."""
    rows = said["series"]
    names, starts = tuple(row["name"] for row in rows), np.array([row["start"] for row in rows], np.int64)
    frequency, clock = Frequency.parse(said["frequency"]), of_json(said.get("clock"))
    empty = Panel(names, np.zeros(0), np.zeros(1, np.int64), starts, frequency, said["dates"], clock=clock)
    panel = empty.with_series([np.array(row["values"], np.float64) for row in rows])
    if not said.get("channels"):
        return panel
    channels = tuple(Channel(**each) for each in said["channels"])
    static = np.array([row["static"] for row in rows], np.float32)
    width = len(channels) - static.shape[1]
    parts = [np.array(row["covariates"], np.float64).reshape(len(row["covariates"]), width) for row in rows]
    covariates = Covariates(channels, np.zeros((0, width)), np.zeros(1, np.int64), static).with_parts(parts, static)
    panel = replace(panel, covariates=covariates)
    if not said.get("effects"):
        return panel
    each = np.array([row["effects"] for row in rows], np.float64)
    usual, bends = (np.array(said["effects"][name], np.float64) for name in ("usual", "bends"))
    return replace(panel, effects=Effects(each, usual, bends, said["effects"]["log"]))
