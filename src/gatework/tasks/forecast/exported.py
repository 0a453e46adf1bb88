"""A trained forecaster as data: its network as a net, the ends of its series, and what stands before and after it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gatework.errors import OptionError
from gatework.networks.heads import linear_in_net
from gatework.runtime.exported import Exported
from gatework.runtime.net import Builder, Net
from gatework.tasks.forecast import combined
from gatework.tasks.forecast.model import Forecast

if TYPE_CHECKING:
    from gatework.tasks.forecast.task import ForecastTask


def exported(task: ForecastTask, model: Forecast) -> Exported:
    options, b = task.options, Builder()
    if options.combine in ("ets", "both"):
        raise OptionError(
            f"combine={options.combine} asks statsforecast for each forecast: train with combine=simple, theta or none"
        )
    if task.last.clock is not None:
        raise OptionError("times with a zone have no export yet: give times without offsets, as their clocks show them")
    whole = _net(b, model, task)
    arrays = {**b.arrays, "adjustment": model.adjustment.numpy()}
    return Exported("horizon", _settings(task, model), {"whole": whole}, arrays, b.stacks, task.assets())


def _settings(task: ForecastTask, model: Forecast) -> dict[str, Any]:
    options = task.options
    return {
        "shape": asdict(task.shape()),
        "columns": {"time": options.time, "target": list(options.target), "series": options.series},
        "date_format": options.date_format,
        "quantiles": list(options.quantiles),
        "names": ["forecast", *(f"q{level:g}" for level in options.quantiles)],
        "lowest": options.lowest,
        "highest": options.highest,
        "beside": list(combined.MEMBERS[options.combine]),
        "weights": model.beside.tolist(),
        "follow": float(model.follow),
        "segment": options.segment if options.decoding == "segments" else 1,
        "seed": options.seed,
    }


def _net(b: Builder, model: Forecast, task: ForecastTask) -> Net:
    shape = task.shape()
    x = b.input("inputs", ("T", "B", model.inputs))
    lengths = b.input("lengths", ("B",), "int64")
    window, base = b.input("window", ("B", shape.lookback)), b.input("base", ("B", shape.horizon))
    future = b.input("future", ("B", shape.horizon, model.future))
    start = base
    if model.linear is not None:
        start = b.add(start, linear_in_net(model.linear, b, "linear", window))
    if model.ahead is not None:
        known = b.input("ahead", ("B", shape.horizon, model.ahead.in_features))
        start = b.add(start, b.squeeze(linear_in_net(model.ahead, b, "ahead", known), axis=-1))
    members: Any = model.members
    said = [member.in_net(b, f"member{k}", x, lengths, future) for k, member in enumerate(members)]
    total = said[0]
    for each in said[1:]:
        total = b.add(total, each)
    made = b.add(b.scale(total, by=1 / len(said)), b.expand(start, axis=-1))
    made = b.add(made, b.array("spread", model.spread))
    if float(model.share) != 1:
        moved = b.sub(b.squeeze(b.piece(made, start=0, stop=1, axis=-1), axis=-1), start)
        made = b.sub(made, b.expand(b.scale(moved, by=1 - float(model.share)), axis=-1))
    b.output("made", made)
    return b.net()
