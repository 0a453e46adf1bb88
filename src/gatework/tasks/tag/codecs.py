"""What turns sentences into numbers: words and their characters, further columns, tags, labels. Learned in training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

import numpy as np
import polars as pl

from gatework.data.codecs import Characters, Labels, from_json
from gatework.data.codecs.words import Words
from gatework.data.ngrams import character_grams
from gatework.data.ragged import Ragged
from gatework.data.stored import stored
from gatework.data.suggest import setting
from gatework.errors import DataError, FileFormatError
from gatework.runtime.tags import schemes
from gatework.runtime.tags.network import FRONT, LETTERS
from gatework.runtime.texts import SPECIAL, tokens, windows
from gatework.runtime.texts.grams import PIECES
from gatework.tasks.generate.options import GenerateOptions
from gatework.tasks.tag.examples import Examples, WordTable
from gatework.tasks.tag.layout import Layout
from gatework.tasks.tag.options import TagOptions
from gatework.tasks.tag.sentences import Sentences
from gatework.tasks.tag.states import Language, Written

MOST_TAGS = 5_000  # whose moves from one to another are a table


class Sizes(NamedTuple):
    """How many words, characters, values of each further column, tags and labels there are."""

    words: int
    letters: int
    columns: tuple[int, ...]
    tags: int
    labels: int


class Kept(TypedDict):
    """inputs.json."""

    form: str
    scheme: str
    features: list[str]
    style: list[Any]
    columns: list[str]
    lettered: bool
    windows: int
    label_windows: int
    languages: list[dict[str, Any]]


@dataclass
class Codecs:
    """`fit(sentences)` learns from training sentences, `encode(sentences)` gives Examples.

    `layout` is how the data lay, the scheme of their spans among it; `lettered`: every token is a single letter, as in
    proteins and genes.
    """

    options: TagOptions
    layout: Layout = field(default_factory=lambda: Layout("conll", "plain"))
    lettered: bool = False
    words: Words = field(default_factory=Words)
    letters: Characters = field(default_factory=Characters)
    tags: Labels = field(default_factory=Labels)
    labels: Labels | None = None
    columns: dict[str, Labels] = field(default_factory=dict)
    languages: list[Language] = field(default_factory=list)
    known: int = 0  # features of windows that the linear model knows
    known_to_labels: int = 0  # and that the one of sentences' labels knows
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # of the vocabulary's words in training

    @property
    def scheme(self) -> str:
        """How the data write spans; "plain": they write none."""
        return self.layout.scheme

    # -- learning ---------------------------------------------------------------------------------------------

    def fit(self, sentences: Sentences) -> Examples:
        """Learns vocabulary, characters, values of columns, tags and labels; gives the encoded sentences."""
        self.layout = Layout.of(sentences)
        self.lettered = windows.are_letters(sentences.tokens)
        self.words = Words(self.options.lower, True, min_count=self.options.min_count, max_size=self.options.vocabulary)
        forms = pl.Series(self._forms(sentences.tokens), dtype=pl.String)
        self.words.learn(forms)
        counts = dict(forms.value_counts(name="count").iter_rows())
        known = self.words.vocabulary[len(SPECIAL) :]
        self.counts = np.array([0] * len(SPECIAL) + [counts[word] for word in known], np.int64)
        self.letters = Characters().fit(dict.fromkeys(sentences.tokens))
        self.tags = _few(Labels().fit(_completed(self.learned_tags(sentences), self.scheme)))
        self.labels = None if sentences.labels is None else Labels().fit(sentences.labels)
        self.columns = {name: Labels().fit(values) for name, values in self._read(sentences).items()}
        self.languages = [Language.read(path) for path in self.options.language_model]
        return self.encode(sentences)

    def _forms(self, tokens: Sequence[str]) -> list[str]:
        return [token.lower() for token in tokens] if self.options.lower else list(tokens)

    def _read(self, sentences: Sentences) -> dict[str, list[str]]:
        """The further columns that the options ask for."""
        wanted = self.options.features
        if wanted in ((), ("none",)):
            return {}
        if wanted == ("all",):
            return sentences.features
        lacking = [name for name in wanted if name not in sentences.features]
        if lacking:
            there = ", ".join(sentences.features) or "none"
            raise DataError(
                f"{sentences.source} has no column {lacking[0]!r} beside tokens and tags; there are: {there}"
            )
        return {name: sentences.features[name] for name in wanted}

    def learned_tags(self, sentences: Sentences) -> list[str | None]:
        """The tags as they are learned: BIOES where they write spans."""
        assert sentences.tags is not None
        if self.scheme == "plain":
            return sentences.tags
        return schemes.to_bioes(sentences.tags, sentences.lengths, sentences.scheme)

    # -- encoding ---------------------------------------------------------------------------------------------

    def encode(self, sentences: Sentences) -> Examples:
        """Sentences encoded with what `fit` learned; those without tags have none that counts."""
        different, rows = np.unique(np.array(sentences.tokens, dtype=object), return_inverse=True)
        count = len(sentences.tokens)
        tags = np.full(count, -1) if sentences.tags is None else self.tags.encode(self.learned_tags(sentences))
        labels = None
        if self.labels is not None:
            labels = self.labels.encode(sentences.labels or [None] * len(sentences))
        return Examples(
            sentences,
            Ragged.from_lengths(rows.astype(np.int32), sentences.lengths),
            self._table(different.tolist()),
            self._codes(sentences, count),
            tags,
            self.windows(sentences) if self.options.windows else None,
            labels,
            Written.of(self.languages, sentences, "" if self.lettered else " ") if self.languages else None,
        )

    def _table(self, different: list[str]) -> WordTable:
        ids = self.words.numbers(self._forms(different)).astype(np.int64)
        letters, pieces = self.letters.encode(different).truncate(FRONT, LETTERS - FRONT), None
        if self.options.subwords:
            grams = character_grams(different, *PIECES)
            pieces = Ragged((grams.values % np.uint64(self.options.subwords)).astype(np.int64), grams.offsets)
        return WordTable(ids, letters, self.counts[ids], pieces)

    def _codes(self, sentences: Sentences, count: int) -> np.ndarray:
        """[N, C]: 1 and up for the values that were learned, 0 for others."""
        if lacking := [name for name in self.columns if name not in sentences.features]:
            raise DataError(
                f"{sentences.source} has no column {lacking[0]!r}, which the run reads beside the tokens; add it, or "
                "train without it: --features none"
            )
        found = [codec.encode(sentences.features[name]) + 1 for name, codec in self.columns.items()]
        return np.stack(found, 1) if found else np.zeros((count, 0), np.int64)

    def windows(self, sentences: Sentences) -> np.ndarray:
        """Features int32 [N, F] of the windows around tokens."""
        further = {name: sentences.features[name] for name in self.columns}
        return windows.features(sentences.tokens, sentences.lengths, further, self.lettered)

    @property
    def sizes(self) -> Sizes:
        columns = tuple(len(codec) + 1 for codec in self.columns.values())
        labels = 0 if self.labels is None else len(self.labels)
        return Sizes(len(self.words), len(self.letters), columns, len(self.tags), labels)

    @property
    def allowed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which tags may begin, follow each other, and end."""
        return schemes.allowed(self.tags.classes, "plain" if self.scheme == "plain" else "BIOES")

    def decode(self, numbers: np.ndarray, lengths: np.ndarray) -> list[str]:
        """Tags as the data write them, of numbers [N]."""
        names = [self.tags.classes[k] for k in numbers]
        return [tag or "O" for tag in schemes.from_bioes(names, lengths, self.scheme)]

    # -- keeping ----------------------------------------------------------------------------------------------

    def assets(self) -> dict[str, str]:
        """File name -> JSON."""
        kept = self.layout._asdict() | {"columns": list(self.columns), "lettered": self.lettered, "windows": self.known}
        kept["label_windows"] = self.known_to_labels
        kept["languages"] = [each.options.to_dict() for each in self.languages]
        codecs: dict[str, Any] = {
            "words": self.words,
            "letters": self.letters,
            "tags": self.tags,
            "labels": self.labels,
        }
        codecs |= {f"column{i}": codec for i, codec in enumerate(self.columns.values())}
        codecs |= {f"language{i}": each.tokens for i, each in enumerate(self.languages)}
        return {
            "inputs.json": json.dumps(kept, ensure_ascii=False, indent=1),
            "counts.json": json.dumps(self.counts.tolist()),
            **{f"{name}.json": codec.to_json() for name, codec in codecs.items() if codec is not None},
        }

    @classmethod
    def restored(cls, options: TagOptions, assets: Mapping[str, str]) -> Codecs:
        """The codecs that `assets` were taken from."""
        kept: Kept = stored(assets["inputs.json"], Kept, "inputs.json")
        if kept["scheme"] not in schemes.SCHEMES:
            raise FileFormatError(f"inputs.json: there is no scheme {kept['scheme']!r:.20}")
        layout = Layout(kept["form"], kept["scheme"], tuple(kept["features"]), style_of(kept["style"]))
        found = cls(options, layout, kept["lettered"])
        found.known, found.known_to_labels = kept["windows"], kept["label_windows"]
        found.words, found.letters = _codec(assets, "words", Words), _codec(assets, "letters", Characters)
        found.tags = _few(_codec(assets, "tags", Labels))
        found.labels = _codec(assets, "labels", Labels) if "labels.json" in assets else None
        found.columns = {name: _codec(assets, f"column{i}", Labels) for i, name in enumerate(kept["columns"])}
        found.languages = [
            Language(GenerateOptions.of(each), _codec(assets, f"language{i}", Characters))
            for i, each in enumerate(kept["languages"])
        ]
        found.counts = np.array(stored(assets["counts.json"], list[int], "counts.json"), np.int64)
        if not found.tags.classes or len(found.counts) != len(found.words):
            raise FileFormatError("the assets of a tagger hold no tags, or not a count for each word")
        return found


def _few(tags: Labels) -> Labels:
    """Refuses so many tags that a table of their moves does not fit in memory."""
    if len(tags) > MOST_TAGS:
        raise DataError(
            f"{len(tags):,} different tags are too many to learn which may follow which: {MOST_TAGS:,} are the most; "
            f"is it the right column? Name it: {setting('column', '2')}"
        )
    return tags


def _completed(tags: Sequence[str | None], scheme: str) -> list[str | None]:
    """The tags that can be answered: with O where no other tag can stand alone, as for a sentence of one token."""
    names = set(tags)
    alone = scheme == "plain" or any(tag is not None and tag[:1] in ("O", "S") for tag in names)
    return [*names] if alone else [*names, "O"]


def style_of(kept: list[Any]) -> tokens.Style:
    """The style of cutting that was kept as JSON."""
    whole = [str, bool, bool, list]
    if len(kept) != len(whole) or not all(isinstance(part, kind) for part, kind in zip(kept, whole, strict=True)):
        raise FileFormatError(f"inputs.json: {kept!r:.60} is no style of cutting texts into tokens")
    glue, mixed, negations, short = kept
    return tokens.Style(glue, mixed, negations, tuple(map(str, short)))


def _codec(assets: Mapping[str, str], name: str, kind: type) -> Any:
    codec = from_json(assets[f"{name}.json"])
    if not isinstance(codec, kind):
        raise FileFormatError(f"{name}.json holds a codec of kind {codec.kind!r}")
    return codec
