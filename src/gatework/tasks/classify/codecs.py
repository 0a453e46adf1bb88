"""What turns rows into numbers: tokenizer or scaler, and the labels. Learned from training rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

import numpy as np
import polars as pl

from gatework.data.batching import pieces
from gatework.data.codecs import BytePairs, Characters, Codec, Labels, Scaler, TextCodec, from_json
from gatework.data.codecs.numbers import fill_missing
from gatework.data.codecs.words import Words
from gatework.data.ngrams import character_grams
from gatework.data.ragged import Ragged
from gatework.data.stored import stored
from gatework.errors import DataError, FileFormatError
from gatework.runtime.texts.grams import PIECES
from gatework.tasks.classify.examples import WordTable
from gatework.tasks.classify.options import ClassifyOptions
from gatework.tasks.classify.reading import Rows, width

CODECS: dict[str, type[Codec]] = {"labels": Labels, "tokenizer": TextCodec, "scaler": Scaler}


class Inputs(TypedDict):
    """inputs.json."""

    kind: str
    channels: list[str]
    grams: list[int]
    letters: int


class Encoded(NamedTuple):
    """Rows as numbers: ids int32 [N] (rows of `words`, where there is such a table) or scaled channels float32 [N, C];
    `cut` of them were longer than `max_length`."""

    inputs: Ragged
    words: WordTable | None = None
    cut: int = 0


@dataclass
class Codecs:
    """`fit(rows)` learns, `inputs(rows)` encodes; `labels` encodes the labels.

    `grams` are the sizes of the n-gram model's blocks; `letters` is how many each training text has, 0 where they
    differ or no n-gram is told apart by its place.
    """

    options: ClassifyOptions
    kind: str
    labels: Labels
    tokenizer: TextCodec | None = None
    scaler: Scaler | None = None
    channels: tuple[str, ...] = ()
    grams: tuple[int, ...] = field(default=())
    letters: int = 0

    def fit(self, rows: Rows) -> Encoded:
        """Learns from training rows and gives their inputs."""
        self.letters = width(rows.texts) if self.options.ngrams == "places" else 0
        if rows.media is not None:
            return Encoded(rows.media.frames)
        if rows.sequences is not None:
            self.channels = rows.sequences.channels
            self.scaler = Scaler(self.options.scale).fit(_finite(rows.sequences.values.values))
            return self.inputs(rows)
        self.tokenizer = make_tokenizer(self.options)
        if self.by_pieces and isinstance(self.tokenizer, Words):
            return self._with_pieces(self.tokenizer, *self.tokenizer.fit_distinct(_texts(rows)))
        return self._cut(self.tokenizer.fit_encode(_texts(rows)))

    @property
    def classes(self) -> list[str]:
        """The labels, in the order of the network's outputs."""
        return self.labels.classes

    @property
    def by_pieces(self) -> bool:
        """Whether words are encoded with their character n-grams."""
        return self.options.subwords > 0 and isinstance(self.tokenizer, Words)

    def inputs(self, rows: Rows) -> Encoded:
        """Rows encoded with what `fit` learned; texts in pieces, so that memory holds the words of some at a time.
        Frames of sounds and pictures stay as they were decoded, on disk: the network scales them."""
        if rows.media is not None:
            return Encoded(rows.media.frames)
        if self.tokenizer is not None:
            texts = _texts(rows)
            return joined([self._of_texts(texts[piece]) for piece in pieces(texts)])
        assert self.scaler is not None and rows.sequences is not None
        sequences = rows.sequences
        if len(sequences.channels) != len(self.channels):
            have, want = ", ".join(sequences.channels), ", ".join(self.channels)
            raise DataError(
                f"{sequences.source} has the channels {have}; this model was trained on {want} (of arrays, "
                "pass a list of sequences [steps, channels], for a single one [X])"
            )
        filled = fill_missing(sequences.values, np.array(self.scaler.shift, np.float32))
        return Encoded(Ragged(self.scaler.encode(filled.values), filled.offsets))

    def _of_texts(self, texts: pl.Series) -> Encoded:
        assert self.tokenizer is not None
        if self.by_pieces and isinstance(self.tokenizer, Words):
            return self._with_pieces(self.tokenizer, *self.tokenizer.distinct(texts))
        return self._cut(self.tokenizer.encode(texts))

    def _with_pieces(self, codec: Words, numbers: Ragged, words: list[str]) -> Encoded:
        """Numbers of words [N], and what each of the words is: its id and the buckets of its pieces."""
        keys = character_grams(words, *PIECES)
        buckets = Ragged((keys.values % np.uint64(self.options.subwords)).astype(np.int32), keys.offsets)
        return self._cut(numbers)._replace(words=WordTable(codec.numbers(words), buckets))

    def _cut(self, ids: Ragged) -> Encoded:
        most = self.options.max_length
        tail = most // 4
        return Encoded(ids.truncate(most - tail, tail), cut=int((ids.lengths > most).sum()))

    def told_cut(self, cut: int, rows: int) -> str:
        """What is said where texts are longer than what the network reads; "" where none is."""
        most = self.options.max_length
        if not cut:
            return ""
        ends = f"the first {most - most // 4:,} and the last {most // 4:,} units"
        long = f"{cut:,} of {rows:,} texts are longer than max_length ({most:,} units)"
        return f"{long}: the network reads {ends} of each"

    def told_letters(self, texts: pl.Series | None) -> str:
        """What is said where texts have another number of letters than those that were learned; "" where none has."""
        if not self.letters or texts is None:
            return ""
        others = int((texts.fill_null("").str.len_chars() != self.letters).sum())
        if not others:
            return ""
        long = f"{others:,} of {len(texts):,} texts do not have the {self.letters:,} letters of those that were learned"
        return f"{long}: of their n-grams by place only those at learned places are known"

    def assets(self) -> dict[str, str]:
        """The codecs, and what else is needed to encode as in training."""
        codecs = {"labels.json": self.labels, "tokenizer.json": self.tokenizer, "scaler.json": self.scaler}
        inputs = {"kind": self.kind, "channels": self.channels, "grams": self.grams, "letters": self.letters}
        return {
            "inputs.json": json.dumps(inputs, ensure_ascii=False, indent=1),
            **{name: codec.to_json() for name, codec in codecs.items() if codec is not None},
        }

    @classmethod
    def restored(cls, options: ClassifyOptions, assets: Mapping[str, str]) -> Codecs:
        """The codecs that `assets` were taken from."""
        inputs: Inputs = stored(assets["inputs.json"], Inputs, "inputs.json")
        codecs: dict[str, Any] = {name: _codec(assets, name) for name in CODECS if f"{name}.json" in assets}
        channels, grams = tuple(inputs["channels"]), tuple(inputs["grams"])
        letters = inputs["letters"]
        fitted = cls(options, inputs["kind"], channels=channels, grams=grams, letters=letters, **codecs)
        needed = {"texts": fitted.tokenizer, "sequences": fitted.scaler}
        if (
            needed.get(fitted.kind, fitted) is None
            or not fitted.classes
            or (fitted.scaler and len(fitted.scaler.shift) != len(channels))
        ):
            raise FileFormatError(f"the assets of a classifier of {fitted.kind!r:.20} do not fit each other")
        if len(grams) > 2 or min(grams, default=1) < 1:
            raise FileFormatError(f"inputs.json: there are at most two sorts of n-grams, not {grams!r:.60}")
        return fitted


def joined(parts: list[Encoded]) -> Encoded:
    """Parts one after another; those with tables of words number the joined table."""
    tables = [part.words for part in parts if part.words is not None]
    inputs, cut = [part.inputs for part in parts], sum(part.cut for part in parts)
    if not tables:
        return Encoded(Ragged.joined(inputs), cut=cut)
    first = np.cumsum([0, *(len(table.ids) for table in tables)])
    shifted = [Ragged(ids.values + at, ids.offsets) for ids, at in zip(inputs, first.astype(np.int32), strict=False)]
    words = WordTable(np.concatenate([each.ids for each in tables]), Ragged.joined([each.pieces for each in tables]))
    return Encoded(Ragged.joined(shifted), words, cut)


def _codec(assets: Mapping[str, str], name: str) -> Codec:
    codec = from_json(assets[f"{name}.json"])
    if not isinstance(codec, CODECS[name]):
        raise FileFormatError(f"{name}.json holds a codec of kind {codec.kind!r}")
    return codec


def make_tokenizer(options: ClassifyOptions) -> TextCodec:
    """The codec that the options describe, not yet fitted."""
    if options.tokenizer == "characters":
        return Characters(options.lower, options.min_count, options.vocabulary)
    if options.tokenizer == "bpe":
        return BytePairs(options.lower, options.vocabulary)
    return Words(
        options.lower,
        options.spaces,
        stop=options.stop,
        stem=options.stem,
        min_count=options.min_count,
        max_size=options.vocabulary,
    )


def _texts(rows: Rows) -> pl.Series:
    assert rows.texts is not None
    return rows.texts


def _finite(values: np.ndarray) -> np.ndarray:
    """A channel that is missing altogether counts as zero."""
    lost = np.isnan(values).all(axis=0)
    return np.where(lost, 0, values) if lost.any() else values
