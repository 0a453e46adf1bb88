"""A trained generator as data: its network as a step and over whole texts, its counts as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatework.networks.embedding import Embedding
from gatework.networks.heads import Symbols
from gatework.runtime.counts import Order
from gatework.runtime.exported import Exported
from gatework.runtime.net import Builder, Net
from gatework.tasks.generate.model import LanguageModel

if TYPE_CHECKING:
    from gatework.tasks.generate import Generate


def exported(task: Generate, model: LanguageModel) -> Exported:
    """Nets "whole" (T, B) and "step" (B,): units to logits of the next ones."""
    b = Builder()
    nets = {"whole": _whole(b, model), "step": _step(Builder(beside=b), model)}
    orders = [] if model.counts is None else model.counts.tables.orders
    for k, order in enumerate(orders):
        b.arrays.update({f"counts.{k}.{field}": getattr(order, field) for field in Order._fields})
    settings = {
        "share": float(model.share),
        "orders": len(orders),
        "backwards": task.options.backwards,
        "length": task.options.sample_length,
    }
    return Exported("symbols", settings, nets, b.arrays, b.stacks, {"tokenizer": task.tokens.to_json()})


def _whole(b: Builder, model: LanguageModel) -> Net:
    ids, lengths = b.input("ids", ("T", "B"), "int64"), b.input("lengths", ("B",), "int64")
    embedding, head = _ends(model)
    hidden, _ = model.decoder.encoder.in_net(b, embedding.in_net(b, ids), lengths)
    b.output("scores", head.in_net(b, hidden))
    return b.net()


def _step(b: Builder, model: LanguageModel) -> Net:
    embedding, head = _ends(model)
    vectors = embedding.in_net(b, b.input("ids", ("B",), "int64"))
    b.output("scores", head.in_net(b, b.step(b.stacks[0], vectors)))
    return b.net()


def _ends(model: LanguageModel) -> tuple[Embedding, Symbols]:
    embedding, head = model.decoder.embedding, model.decoder.head
    assert isinstance(embedding, Embedding) and isinstance(head, Symbols)
    return embedding, head
