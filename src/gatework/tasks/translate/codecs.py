"""What turns texts into ids and back: a tokenizer for each side, or one for both. Learned in training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np

from gatework.data.codecs import NOTHING, BytePairs, TextCodec, from_json
from gatework.data.codecs.whole import units_of, whole
from gatework.data.ragged import Ragged
from gatework.data.stored import stored
from gatework.errors import DataError, FileFormatError
from gatework.runtime.answers.sides import Sides
from gatework.runtime.answers.targets import MOST_RATIO
from gatework.tasks.translate.examples import Examples
from gatework.tasks.translate.measures import KINDS, SINGLE, kind_of
from gatework.tasks.translate.options import TranslateOptions
from gatework.tasks.translate.pairs import Pairs

COMMON = 0.99  # share of pairs whose lengths are usual
LONGEST_SPELLING = 40  # characters of what is a word; more without a space is a text of letters


class Kept(TypedDict):
    """codecs.json."""

    kind: str
    ratio: float


@dataclass
class Codecs(Sides):
    """`fit(pairs)` learns from training pairs and gives Examples, as `encode(pairs)` does of others.

    `kind` is what targets are (see `measures.KINDS`); `ratio` how many of their units a unit of the source, its end
    among them, becomes at most, but for a hundredth of the pairs.
    """

    options: TranslateOptions
    source: TextCodec = field(default_factory=BytePairs)
    target: TextCodec = field(default_factory=BytePairs)
    kind: str = "text"
    ratio: float = 1.0

    def __post_init__(self) -> None:
        self.lower, self.most = self.options.lower, self.options.max_length

    def fit(self, pairs: Pairs) -> Examples:
        """Learns both vocabularies; the options name both tokenizers."""
        sources, targets = self.lowered(pairs.sources), self.written(pairs.targets or [])
        if not any(map(str.strip, sources)) or not any(map(str.strip, targets)):
            raise DataError(f"{pairs.source}: there is nothing but empty texts on one side")
        self.source = self.target = self._codec(self.options.source_tokenizer)
        self.source.fit([*sources, *targets] if self.options.joint else sources)
        if not self.options.joint:
            self.target = self._codec(self.options.target_tokenizer).fit(targets)
        examples = self.encode(pairs)
        self.kind = kind_of(pairs.targets or [], self.options.target_tokenizer)
        self.ratio = min(float(np.quantile(examples.written / examples.sources.lengths, COMMON)), MOST_RATIO)
        return examples

    def _codec(self, tokenizer: str | None) -> TextCodec:
        """A codec that is still to learn."""
        return whole(tokenizer, size=self.options.vocabulary, rare=self.options.min_count)

    def encode(self, pairs: Pairs) -> Examples:
        """Ids of both sides; a source ends with NOTHING, a target has its own units alone."""
        most = self.most
        read = units_of(self.source, self.lowered(pairs.sources)).truncate(most)
        sources = Ragged.from_lengths(np.insert(read.values, read.offsets[1:], NOTHING), read.lengths + 1)
        if pairs.targets is None:
            return Examples(pairs, sources, None)
        return Examples(pairs, sources, units_of(self.target, self.written(pairs.targets)).truncate(most))

    # -- into the run folder and back ---------------------------------------------------------------------------

    def assets(self) -> dict[str, str]:
        kept = Kept(kind=self.kind, ratio=self.ratio)
        found = {"codecs.json": json.dumps(kept), "source.json": self.source.to_json()}
        return found if self.options.joint else found | {"target.json": self.target.to_json()}

    @classmethod
    def restored(cls, options: TranslateOptions, assets: Mapping[str, str]) -> Codecs:
        """The codecs that `assets` were taken from."""
        kept: Kept = stored(assets["codecs.json"], Kept, "codecs.json")
        if kept["kind"] not in KINDS or not 0 < kept["ratio"] <= MOST_RATIO:
            raise FileFormatError(
                f"codecs.json: no kind {kept['kind']!r:.20} with ratio {kept['ratio']!r:.20} is known"
            )
        source = _read(assets, "source.json")
        target = source if options.joint else _read(assets, "target.json")
        return cls(options, source, target, kept["kind"], kept["ratio"])


def _read(assets: Mapping[str, str], name: str) -> TextCodec:
    codec = from_json(assets[name])
    if not isinstance(codec, TextCodec):
        raise FileFormatError(f"{name} holds a codec of kind {codec.kind!r}, not one of texts")
    return codec


def tokenizers(pairs: Pairs) -> tuple[str, str]:
    """The tokenizers that fit training pairs: symbols stand apart on a side whose other side is single words;
    sentences are cut into byte pairs."""
    sides = (pairs.sources, pairs.targets or [])
    single = [_share(side, lambda text: len(text.split()) == 1 and len(text) <= LONGEST_SPELLING) for side in sides]
    found = ["characters" if share > SINGLE else "bpe" for share in single]
    for own, other in ((0, 1), (1, 0)):
        if found[own] == "bpe" and found[other] == "characters":
            found[own] = "spaces" if _are_symbols(sides[own]) else found[own]
    return found[0], found[1]


def _are_symbols(texts: Sequence[str]) -> bool:
    """Whether texts are few symbols with spaces between them, as phones: HH AH L OW."""
    words = [word for text in texts for word in text.split()]
    return len(set(words)) <= max(len(texts) ** 0.5, 20) and len(set(words)) <= 500


def _share(texts: Sequence[str], holds) -> float:
    return sum(map(holds, texts)) / max(len(texts), 1)
