"""A trained classifier as data: its network as nets, what stands before and after it as settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatework.errors import OptionError
from gatework.networks.heads import linear_in_net
from gatework.runtime.exported import Exported
from gatework.runtime.net import Builder, Net
from gatework.runtime.texts.grams import PIECES
from gatework.tasks.classify.codecs import Codecs
from gatework.tasks.classify.model import Classifier

if TYPE_CHECKING:
    from gatework.tasks.classify.task import Classify


def exported(task: Classify, model: Classifier) -> Exported:
    """Nets "whole" and, where the model reads one way and pools what can be kept, "step".

    Raises: OptionError where the model reads sounds, pictures or films.
    """
    if model.reader is not None:
        what = f"runs of 'classify' on {task.codecs.kind} have no export yet"
        raise OptionError(f"{what}: labels are exported of texts and of sequences of numbers; use gatework predict")
    b = Builder()
    nets = {"whole": _whole(b, model)}
    settings = _settings(task.codecs, model)
    if (why := _no_stream(model)) is None:
        nets["step"] = _step(Builder(beside=b), model)
    settings["no_stream"] = why or ""
    codecs = task.codecs
    texts = {} if codecs.tokenizer is None else {"tokenizer": codecs.tokenizer.to_json()}
    if model.wide is not None and task.bag is not None:
        settings["grams"] = task.bag.settings()
        b.arrays.update({f"grams.{name}": value.numpy() for name, value in model.wide.named_buffers()})
    return Exported("labels", settings, nets, b.arrays, b.stacks, texts)


def _settings(codecs: Codecs, model: Classifier) -> dict[str, Any]:
    scaler, options = codecs.scaler, codecs.options
    return {
        "reads": "sequence" if scaler is not None else "text",
        "column": options.text or "text",
        "classes": codecs.classes,
        "channels": list(codecs.channels),
        "scaler": None if scaler is None else scaler.settings(),
        "missing": options.missing,
        "max_length": options.max_length,
        "pieces": [options.subwords, *PIECES] if codecs.by_pieces else None,
        "share": float(model.share),
        "temperature": float(model.temperatures[0]),
        "decision": model.decision.tolist(),
        "grams": None,
    }


def _whole(b: Builder, model: Classifier) -> Net:
    lengths = b.input("lengths", ("B",), "int64")
    if model.embedding is None:
        x = b.input("x", ("T", "B", model.recurrent.inputs))
    else:
        ids = b.input("ids", ("T", "B"), "int64")
        spelled = None
        if model.embedding.pieces is not None:
            spelled = b.input("pieces", ("T", "B", "P"), "int64"), b.input("counts", ("T", "B"), "int64")
        x = model.embedding.in_net(b, ids, spelled)
    outputs, last = model.recurrent.in_net(b, x, lengths)
    top = len(b.stacks[-1]) - 1
    ends = [last[f"{top}.{d}.{b.stacks[-1][top].graph.states[0].name}"] for d in range(model.directions)]
    b.output("scores", linear_in_net(model.output, b, "output", model.pool.in_net(b, outputs, ends, lengths)))
    return b.net()


def _no_stream(model: Classifier) -> str | None:
    """Why the model cannot answer step by step; None where it can."""
    if model.directions == 2:
        return "it reads in both directions"
    if model.embedding is not None and (model.wide is not None or model.embedding.pieces is not None):
        return "its n-grams are of whole texts"
    return None if model.pool.kind != "attention" else "its attention weighs all steps of a whole sequence"


def _step(b: Builder, model: Classifier) -> Net:
    if model.embedding is None:
        x = b.input("x", ("B", model.recurrent.inputs))
    else:
        x = model.embedding.in_net(b, b.input("ids", ("B",), "int64"))
    output = b.step(b.stacks[0], x)
    features = model.output.in_features
    if model.pool.kind == "mean":
        total, count = b.state("sum", features), b.state("count", 1)
        total, count = b.after("sum", b.add(total, output)), b.after("count", b.scale(count, by=1.0, plus=1.0))
        output = b.div(total, count)
    elif model.pool.kind == "max":
        output = b.after("most", b.maximum(b.state("most", features, -3e38), output))
    b.output("scores", linear_in_net(model.output, b, "output", output))
    return b.net()
