"""A trained forecaster as data: its network as a net, the ends of its series, and what stands before and after it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gatework.networks.heads import linear_in_net
from gatework.runtime.exported import Exported
from gatework.runtime.net import Builder, Net
from gatework.runtime.series.windows import Shape
from gatework.tasks.forecast import combined
from gatework.tasks.forecast.model import Forecast

if TYPE_CHECKING:
    from gatework.tasks.forecast.task import ForecastTask


def exported(task: ForecastTask, model: Forecast) -> Exported:
    b = Builder()
    whole = network(b, model, task.shape())
    arrays = {**b.arrays, "adjustment": model.adjustment.numpy()}
    return Exported("horizon", _settings(task, model), {"whole": whole}, arrays, b.stacks, task.assets())


def _settings(task: ForecastTask, model: Forecast) -> dict[str, Any]:
    options = task.options
    return {
        "shape": asdict(task.shape()),
        "columns": {"time": options.time, "target": list(options.target), "series": options.series},
        "date_format": options.date_format,
        "zone": options.zone,
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


def network(b: Builder, model: Forecast, shape: Shape) -> Net:
    """All that the model does, from windows to forecasts in units of each window's scale."""
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
    said = [member.in_net(b, f"member{k}", x, lengths, future, start) for k, member in enumerate(members)]
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
