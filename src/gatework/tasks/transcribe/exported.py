"""A trained transcriber as data: its network over whole rows, how rows become frames, units and training texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gatework.runtime.exported import Exported
from gatework.runtime.net import Builder
from gatework.tasks.transcribe.model import Listener

if TYPE_CHECKING:
    from gatework.tasks.transcribe.task import Transcribe


def exported(task: Transcribe, model: Listener) -> Exported:
    """The net "whole", and of a model that reads sounds forward alone "step"."""
    b, options = Builder(), task.options
    if task.hearing.kind == "sound":
        frames = b.expand(b.input("x", ("T", "B", options.mels)), axis=-1)
    else:
        frames = b.input("x", ("T", "B", options.height, 3 if options.colour else 1))
    b.output("log_p", model.in_net(b, frames, b.input("lengths", ("B",), "int64")))
    nets = {"whole": b.net()}
    if model.front.causal:
        s = Builder(beside=b)
        s.output("log_p", model.step_in_net(s, s.input("x", ("B", model.front.stride * options.mels))))
        nets["step"] = s.net()
    texts = {"texts": json.dumps(task.texts, ensure_ascii=False)}
    return Exported("transcripts", _settings(task, model), nets, b.arrays, b.stacks, texts)


def _settings(task: Transcribe, model: Listener) -> dict[str, Any]:
    options, hearing = task.options, task.hearing
    read: dict[str, Any] = {"height": options.height, "colour": options.colour}
    if hearing.kind == "sound":
        read = {"rate": hearing.rate, "mels": options.mels, "window_ms": options.window_ms, "hop_ms": options.hop_ms}
    return read | {
        "reads": hearing.kind,
        "mean": list(hearing.mean),
        "scale": hearing.scale,
        "stride": model.front.stride,
        "units": task.units.kind,
        "symbols": list(task.units.symbols),
    }
