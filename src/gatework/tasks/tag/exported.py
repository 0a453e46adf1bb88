"""A trained tagger as data: its network over whole sentences, the weights of windows, the moves between tags."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gatework.data import fasta
from gatework.errors import OptionError
from gatework.networks.heads import linear_in_net
from gatework.runtime.exported import Exported
from gatework.runtime.net import Builder, Net
from gatework.runtime.net.builder import Value
from gatework.runtime.tags.chain import Chain
from gatework.tasks.tag.codecs import Codecs
from gatework.tasks.tag.model import Tagger
from gatework.tasks.tag.records import TOKENS

if TYPE_CHECKING:
    from gatework.tasks.tag.task import Tag


def exported(task: Tag, model: Tagger) -> Exported:
    """The net "whole". Raises OptionError where language models read beside the tagger."""
    codecs = task.codecs
    if codecs.languages:
        raise OptionError("the vectors of its words are states of language models: train it without language_model")
    b = Builder()
    nets = {"whole": _whole(b, model)}
    for name, linear in (("windows", model.windows), ("label_windows", model.label_windows)):
        if linear is not None:
            b.arrays |= {f"{name}.keys": linear.keys.numpy(), f"{name}.weight": linear.weight.numpy()}
    with torch.no_grad():
        moves = model.moves()
    if moves is not None:
        parts = zip(Chain._fields, moves.chain, strict=True)
        b.arrays |= {f"moves.{name}": part.astype("float32") for name, part in parts}
    texts = {"words": codecs.words.to_json(), "letters": codecs.letters.to_json()}
    return Exported("tags", _settings(codecs, model), nets, b.arrays, b.stacks, texts)


def _settings(codecs: Codecs, model: Tagger) -> dict[str, Any]:
    options = codecs.options
    return {
        "tags": codecs.tags.classes,
        "labels": [] if codecs.labels is None else codecs.labels.classes,
        "scheme": codecs.scheme,
        "columns": list(codecs.columns),
        "values": {name: codec.classes for name, codec in codecs.columns.items()},
        "fields": [*([options.token_column] if options.token_column else []), *TOKENS, "text"],
        "style": list(codecs.layout.style),
        "whole": codecs.layout.form == "spans",
        "chains": _alphabet(codecs) if codecs.layout.form == "fasta" else None,
        "lettered": codecs.lettered,
        "lower": options.lower,
        "max_length": options.max_length,
        "subwords": options.subwords,
        "chained": model.chained,
        "moves": model.crf is not None,
        "share": float(model.share),
        "label_share": float(model.label_share),
    }


def _alphabet(codecs: Codecs) -> tuple[str, str]:
    """Letters that are read as others, as FASTA files are: see `gatework.data.fasta.cleaned`."""
    counts = dict(zip(codecs.words.vocabulary, codecs.counts.tolist(), strict=True))
    return fasta.alphabet(Counter({letter.upper(): count for letter, count in counts.items() if len(letter) == 1}))


def _whole(b: Builder, model: Tagger) -> Net:
    """Scores "tags" (T, B, K) and "labels" (B, L) of words (T, B), numbers of u different ones."""
    lengths = b.input("lengths", ("B",), "int64")
    vectors = b.gather(_words(b, model), b.input("words", ("T", "B"), "int64"))
    columns = []
    for k, table in enumerate(model.columns):
        assert isinstance(table, nn.Embedding)
        columns.append(b.gather(b.array(f"column.{k}", table.weight), b.input(f"column.{k}", ("T", "B"), "int64")))
    x = b.concat(vectors, *columns) if columns else vectors
    x = x if model.neighbours is None else model.neighbours.in_net(b, x, lengths)
    outputs, last = model.encoder.in_net(b, x, lengths)
    b.output("tags", linear_in_net(model.output, b, "output", outputs))
    if model.label is not None and model.pool is not None:
        pooled = model.pool.in_net(b, outputs, list(last.values()), lengths)
        b.output("labels", linear_in_net(model.label, b, "label", pooled))
    return b.net()


def _words(b: Builder, model: Tagger) -> Value:
    """Vectors (u, C) of different words, by their ids and letters."""
    ids, spelled = b.input("ids", ("U",), "int64"), None
    if model.words.pieces is not None:
        spelled = b.input("pieces", ("U", "P"), "int64"), b.input("counts", ("U",), "int64")
    vectors = model.words.in_net(b, ids, spelled)
    if model.spelling is None:
        return vectors
    letters, sizes = b.input("letters", ("L", "U"), "int64"), b.input("sizes", ("U",), "int64")
    return b.concat(vectors, model.spelling.in_net(b, letters, sizes))
