"""What turns rows into numbers: tokenizer or scaler, and the labels. Learned from training rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np
import polars as pl

from gatework.data import tokenizers
from gatework.data.ngrams import character_grams
from gatework.data.ragged import Ragged
from gatework.data.series import Scaler, fill_missing
from gatework.data.tokenizers import Tokenizer
from gatework.errors import DataError
from gatework.tasks.classify.examples import WordTable
from gatework.tasks.classify.options import ClassifyOptions
from gatework.tasks.classify.reading import Rows

PIECES = (3, 5)  # shortest and longest character n-gram of a word's vector


@dataclass
class Encoder:
    """`fit(rows)` learns, `inputs(rows)` and `labels(rows)` encode."""

    options: ClassifyOptions
    kind: str
    classes: list[str]
    label_type: str = "str"
    tokenizer: Tokenizer | None = None
    scaler: Scaler | None = None
    channels: tuple[str, ...] = ()
    grams: tuple[int, ...] = field(default=())

    def fit(self, rows: Rows) -> tuple[Ragged, WordTable | None]:
        """Learns from training rows and gives their inputs."""
        if rows.sequences is not None:
            self.channels = rows.sequences.channels
            self.scaler = Scaler.fit(_finite(rows.sequences.values.values), self.options.scale)
            return self.inputs(rows)
        self.tokenizer = make_tokenizer(self.options)
        if self.by_pieces:
            return self._with_pieces(*self.tokenizer.fit_distinct(_texts(rows)))  # type: ignore[attr-defined]
        return self._cut(self.tokenizer.fit_encode(_texts(rows))), None

    @property
    def by_pieces(self) -> bool:
        """Whether words are encoded with their character n-grams."""
        return self.options.subwords > 0 and isinstance(self.tokenizer, tokenizers.Words)

    def inputs(self, rows: Rows) -> tuple[Ragged, WordTable | None]:
        """Ids int32 [N] and, for words with pieces, the table that they number; or scaled channels float32 [N, C]."""
        if self.by_pieces:
            return self._with_pieces(*self.tokenizer.distinct(_texts(rows)))  # type: ignore[union-attr]
        if self.tokenizer is not None:
            return self._cut(self.tokenizer.encode(_texts(rows))), None
        assert self.scaler is not None and rows.sequences is not None
        sequences = rows.sequences
        if len(sequences.channels) != len(self.channels):
            have, want = ", ".join(sequences.channels), ", ".join(self.channels)
            raise DataError(f"{sequences.source} has the channels {have}; this model was trained on {want}")
        filled = fill_missing(sequences.values, np.array(self.scaler.shift, np.float32))
        return Ragged(self.scaler.transform(filled.values), filled.offsets), None

    def _with_pieces(self, numbers: Ragged, words: list[str]) -> tuple[Ragged, WordTable]:
        """Numbers of words [N], and what each of the words is: its id and the buckets of its pieces."""
        keys = character_grams(words, *PIECES)
        pieces = Ragged((keys.values % np.uint64(self.options.subwords)).astype(np.int32), keys.offsets)
        return self._cut(numbers), WordTable(self.tokenizer.numbers(words), pieces)  # type: ignore[union-attr]

    def labels(self, rows: Rows) -> np.ndarray:
        """Numbers of the classes; -1 where a row has no label or an unknown one."""
        number = {name: i for i, name in enumerate(self.classes)}
        return np.array([number.get(name, -1) for name in rows.labels.to_list()], np.int64)

    def _cut(self, ids: Ragged) -> Ragged:
        tail = self.options.max_length // 4
        return ids.truncate(self.options.max_length - tail, tail)

    def to_json(self) -> str:
        """Everything but the tokenizer, which has its own file."""
        scaler = None if self.scaler is None else asdict(self.scaler)
        state = {"kind": self.kind, "classes": self.classes, "label_type": self.label_type, "scaler": scaler}
        return json.dumps({**state, "channels": self.channels, "grams": self.grams}, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, options: ClassifyOptions, text: str, tokenizer: str | None) -> Encoder:
        state = json.loads(text)
        fitted = state["scaler"]
        scaler = fitted and Scaler(fitted["kind"], tuple(fitted["shift"]), tuple(fitted["scale"]))
        words = tokenizers.from_json(tokenizer) if tokenizer else None
        lists = tuple(state["channels"]), tuple(state["grams"])
        return cls(options, state["kind"], state["classes"], state["label_type"], words, scaler, *lists)


def make_tokenizer(options: ClassifyOptions) -> Tokenizer:
    """The tokenizer that the options describe, not yet fitted."""
    if options.tokenizer == "characters":
        return tokenizers.Characters(options.lower, options.min_count, options.vocabulary)
    if options.tokenizer == "bpe":
        return tokenizers.Pieces(options.lower, options.vocabulary)
    return tokenizers.Words(
        options.lower, options.spaces, False, options.stop, options.stem, options.min_count, options.vocabulary
    )


def class_names(labels: pl.Series) -> list[str]:
    """The different labels, in the order of numbers if all are numbers, else of the alphabet."""
    names = labels.drop_nulls().unique().to_list()
    convert: Callable = float if all(_is_number(name) for name in names) else str
    return sorted(names, key=convert)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).lstrip("-").isdecimal()


def _texts(rows: Rows) -> pl.Series:
    assert rows.texts is not None
    return rows.texts


def _finite(values: np.ndarray) -> np.ndarray:
    """A channel that is missing altogether counts as zero."""
    lost = np.isnan(values).all(axis=0)
    return np.where(lost, 0, values) if lost.any() else values
