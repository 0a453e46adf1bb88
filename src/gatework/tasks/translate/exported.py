"""A trained translator as data: the encoder, the decoder's start and its step as nets, both vocabularies as texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatework.networks.heads import linear_in_net
from gatework.runtime.exported import Exported
from gatework.runtime.net import Builder, Net
from gatework.runtime.saved import Layer
from gatework.tasks.translate.model import EncoderDecoder

if TYPE_CHECKING:
    from gatework.tasks.translate.task import Translate


def exported(task: Translate, model: EncoderDecoder) -> Exported:
    """Nets "encoder", of sources; "begin", from their summary to the decoder's states; "step", of the decoder."""
    b, layers = Builder(), model.decoder.encoder.entries
    nets = {"encoder": _encoder(b, model)}
    nets["begin"] = _begin(Builder(beside=b), layers, model.summary.out_features)
    nets["step"] = _step(Builder(beside=b), layers, model)
    codecs, options = task.codecs, task.options
    settings = {
        "column": options.source_column,
        "lower": options.lower,
        "max_length": options.max_length,
        "ratio": codecs.ratio,
    }
    texts = {"source": codecs.source.to_json()} | ({} if options.joint else {"target": codecs.target.to_json()})
    return Exported("targets", settings, nets, b.arrays, b.stacks, texts)


def _encoder(b: Builder, model: EncoderDecoder) -> Net:
    ids, lengths = b.input("ids", ("T", "B"), "int64"), b.input("lengths", ("B",), "int64")
    outputs, _ = model.encoder.in_net(b, model.embedding.in_net(b, ids), lengths)
    assert model.decoder.attention is not None
    for name, value in zip(("keys", "values"), model.decoder.attention.memory_in_net(b, outputs), strict=True):
        b.output(name, value)
    b.output("summary", linear_in_net(model.summary, b, "summary", b.pool(outputs, lengths, kind="mean")))
    return b.net()


def _begin(b: Builder, layers: list[Layer], width: int) -> Net:
    """The states of the decoder that has read a summary."""
    b.step(layers, b.input("x", ("B", width)))
    return b.net()


def _step(b: Builder, layers: list[Layer], model: EncoderDecoder) -> Net:
    """N = B * P places of B sources."""
    last = b.input("last", ("N",), "int64")
    attention = model.decoder.attention
    assert attention is not None
    keys = b.input("keys", ("S", "B", attention.attention.keys))
    values = b.input("values", ("S", "B", attention.joined.out_features))
    log_p, weights = model.decoder.in_net(b, layers, last, (keys, values, b.input("lengths", ("B",), "int64")))
    b.output("log_p", log_p)
    if weights is not None:
        b.output("attention", weights)
    return b.net()
