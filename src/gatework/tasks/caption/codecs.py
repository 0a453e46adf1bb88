"""What turns captions into ids and back, learned in training, and what the run keeps of the pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypedDict

from gatework.data.codecs import TextCodec, from_json
from gatework.data.codecs.whole import units_of, whole
from gatework.data.ragged import Ragged
from gatework.data.stored import stored
from gatework.errors import DataError, FileFormatError
from gatework.runtime.answers.sides import Sides
from gatework.tasks.caption.options import MEDIA, CaptionOptions

MOST = 100_000  # units of a caption, and numbers of a vector, in a file of a stranger


class Kept(TypedDict):
    """caption.json: what is read, its channels, units of the longest caption that was learned, the watched metric."""

    medium: str
    channels: int
    longest: int
    metric: str


class Captions(Sides):
    """`fit(texts)` learns the units of training captions and gives their ids, as `encode(texts)` does of others.

    A search takes it for both sides, and is told that sources are `longest` long: so it may write half as much again as
    the longest caption that was learned.
    """

    def __init__(self, options: CaptionOptions, codec: TextCodec | None = None, longest: int = 1):
        self.codec = codec or whole(options.tokenizer, size=options.vocabulary, rare=options.min_count)
        self.longest = longest
        super().__init__(self.codec, self.codec, "none", options.max_length, 1.0)

    def fit(self, texts: Sequence[str], source: str) -> Ragged:
        if not any(map(str.strip, texts)):
            raise DataError(f"{source}: all captions are empty; give at least one")
        self.codec.fit(texts)
        units = self.encode(texts)
        self.longest = int(units.lengths.max())
        return units

    def encode(self, texts: Sequence[str]) -> Ragged:
        """Ids, without an end."""
        return units_of(self.codec, texts).truncate(self.most)

    def __len__(self) -> int:
        return len(self.codec)

    def assets(self, medium: str, channels: int, metric: str) -> dict[str, str]:
        kept = Kept(medium=medium, channels=channels, longest=self.longest, metric=metric)
        return {"caption.json": json.dumps(kept), "units.json": self.codec.to_json()}

    @classmethod
    def restored(cls, options: CaptionOptions, assets: Mapping[str, str]) -> tuple[Captions, Kept]:
        """What `assets` were taken from.

        Raises: FileFormatError.
        """
        kept: Kept = stored(assets["caption.json"], Kept, "caption.json")
        sizes = kept["channels"], kept["longest"]
        if kept["medium"] not in MEDIA or not all(0 < size <= MOST for size in sizes):
            raise FileFormatError(f"caption.json: no medium {kept['medium']!r:.20} of sizes {sizes} is known")
        codec = from_json(assets["units.json"])
        if not isinstance(codec, TextCodec):
            raise FileFormatError(f"units.json holds a codec of kind {codec.kind!r}, not one of texts")
        return cls(options, codec, kept["longest"]), kept
