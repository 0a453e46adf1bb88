"""Texts, speakers and sounds as numbers, learned in training: units, voices, and what frames are scaled by."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypedDict

import numpy as np

from gatework.data.codecs import NOTHING, Characters, Labels, TextCodec, Words, from_json
from gatework.data.media import sounds
from gatework.data.media.items import Item, Tell
from gatework.data.media.store import Store
from gatework.data.ragged import Ragged
from gatework.data.stored import stored
from gatework.errors import DataError, FileFormatError
from gatework.runtime.sounds.mel import Mel
from gatework.runtime.texts import UNKNOWN
from gatework.tasks.speak.examples import Examples, Scale
from gatework.tasks.speak.options import SpeakOptions
from gatework.tasks.speak.reading import ONE, Utterances
from gatework.training.options import known_names

MOST_RATE = 24_000
FEW_SYMBOLS = 200  # different ones; more of them are words
SLOW = 1.5  # times the slowest recording learned, a text may go on


class Kept(TypedDict):
    """voice.json: what frames are scaled by, and the most frames that a unit took."""

    mean: list[float]
    deviation: list[float]
    slowest: float


@dataclass
class Codecs:
    """`fit(utterances, frames)` learns from the training part and gives Examples, as `encode` does of others."""

    options: SpeakOptions
    text: TextCodec = field(default_factory=Characters)
    speakers: Labels = field(default_factory=Labels)
    scale: Scale = field(default_factory=lambda: Scale(np.zeros(1), np.ones(1)))
    slowest: float = 1.0

    @property
    def mel(self) -> Mel:
        """How samples become frames."""
        options = self.options
        return Mel(options.rate or MOST_RATE, options.mels, options.window_ms, options.hop_ms)

    def heard(self, item: Item, tell: Tell) -> np.ndarray:
        """The frames (T, F) of a recording."""
        return self.mel.features(sounds.load(item, self.options.rate, tell))

    def fit(self, utterances: Utterances, frames: Store) -> Examples:
        """Learns units, speakers, scale, and how long a text may take."""
        self.text = _codec(self.options).fit(utterances.texts)
        self.speakers = Labels().fit(utterances.speakers)
        self.scale = Scale.of(frames)
        examples = self.encode(utterances, frames)
        self.slowest = float((frames.lengths / examples.units.lengths).max())
        return examples

    def encode(self, utterances: Utterances, frames: Store | None = None) -> Examples:
        """Ids of texts, each with NOTHING at its end; units that were never learned are left out.

        Raises: DataError for a speaker that was never heard, and for a text of which nothing was learned.
        """
        ids = self.text.encode(utterances.texts)
        known = (ids.values != UNKNOWN) & (ids.values != NOTHING)
        lengths = np.bincount(ids.owners[known], minlength=len(ids))
        if not lengths.all():
            row = int(np.argmin(lengths))
            raise DataError(f"{utterances.where(row)}: of {utterances.texts[row]!r:.60} no unit was learned")
        ends = np.insert(ids.values[known], np.cumsum(lengths), NOTHING)
        return Examples(utterances, Ragged.from_lengths(ends, lengths + 1), self.voices(utterances), self.scale, frames)

    def voices(self, utterances: Utterances) -> np.ndarray:
        """The number of each row's speaker; the only one need not be named."""
        known = self.speakers.classes
        named = [each or known[0] if len(known) == 1 else each for each in utterances.speakers]
        found = self.speakers.encode(named)
        if len(known) == 1 and known[0] == ONE:
            return np.zeros(len(named), np.int64)
        if (found < 0).any():
            row = int(np.argmin(found))
            if not named[row]:
                voices = ", ".join(known[:12])
                raise DataError(
                    f"{utterances.where(row)} names no speaker; give one of {voices} (--speaker {known[0]})"
                )
            raise DataError(
                f"{utterances.where(row)}: no speaker {named[row]!r} was heard{known_names(named[row], known)}"
            )
        return found

    def unread(self, utterances: Utterances) -> list[tuple[int, list[str]]]:
        """Rows that hold units which were never learned, with these."""
        vocabulary = set(self.text.vocabulary)
        cut = [[unit for unit in self.text.units(text) if unit not in vocabulary] for text in utterances.texts]
        return [(row, list(dict.fromkeys(units))) for row, units in enumerate(cut) if units]

    def parted(self, utterances: Utterances) -> tuple[Utterances, np.ndarray]:
        """What is said at once, and the row [m] of each: where no space between words was learned, every word."""
        if self.options.units != "characters" or " " in self.text.vocabulary:
            return utterances, np.arange(len(utterances))
        words = [text.split() or [""] for text in utterances.texts]
        owners = np.repeat(np.arange(len(words)), [len(each) for each in words])
        return replace(utterances.take(owners), texts=[word for each in words for word in each]), owners

    def most_steps(self, units: int, seconds: float | None = None) -> int:
        """How many steps a text of so many units may take: by the slowest recording, or by what was asked for."""
        frames = SLOW * self.slowest * units if seconds is None else seconds * 1000 / self.options.hop_ms
        return max(math.ceil(frames / self.options.reduction), 1)

    # -- into the run folder and back -----------------------------------------------------------------------

    def assets(self) -> dict[str, str]:
        kept = Kept(mean=self.scale.mean.tolist(), deviation=self.scale.deviation.tolist(), slowest=self.slowest)
        return {
            "text.json": self.text.to_json(),
            "speakers.json": self.speakers.to_json(),
            "voice.json": json.dumps(kept),
        }

    @classmethod
    def restored(cls, options: SpeakOptions, assets: Mapping[str, str]) -> Codecs:
        """The codecs that `assets` were taken from."""
        text, speakers = from_json(assets["text.json"]), from_json(assets["speakers.json"])
        if not isinstance(text, TextCodec) or not isinstance(speakers, Labels) or not len(speakers):
            raise FileFormatError("text.json and speakers.json are a codec of texts and one of labels")
        kept: Kept = stored(assets["voice.json"], Kept, "voice.json")
        mean, deviation = np.array(kept["mean"], float), np.array(kept["deviation"], float)
        if not len(mean) == len(deviation) == options.mels or not (deviation > 0).all():
            raise FileFormatError(f"voice.json scales {len(mean)} and {len(deviation)} bands, not {options.mels}")
        if not 0 < kept["slowest"] < math.inf:
            raise FileFormatError(f"voice.json: a unit cannot take {kept['slowest']:g} frames")
        return cls(options, text, speakers, Scale(mean, deviation), kept["slowest"])


def settled(options: SpeakOptions, utterances: Utterances) -> SpeakOptions:
    """Options that the recordings decide: their rate, the column of speakers, what texts are cut into."""
    assert utterances.listing is not None
    rate = options.rate or sounds.usual_rate(utterances.listing.items, MOST_RATE)
    if rate is None:
        raise DataError(f"{utterances.source} does not say how many samples a second has; give rate (--rate 8000)")
    units = options.units or ("spaces" if _are_symbols(utterances.texts) else "characters")
    return replace(options, rate=rate, units=units, speaker=options.speaker or utterances.speaker)


def _codec(options: SpeakOptions) -> TextCodec:
    if options.units == "spaces":
        return Words(lower=options.lower, markup=True, spaces=True)
    return Characters(lower=options.lower)


def _are_symbols(texts: list[str]) -> bool:
    """Whether texts are few symbols with spaces between them, as phones: HH AH L OW."""
    symbols = [symbol for text in texts for symbol in text.split()]
    short = np.mean([len(symbol) <= 3 for symbol in symbols] or [0]) > 0.9
    return bool(short) and len(symbols) > 2 * len(texts) and len(set(symbols)) <= FEW_SYMBOLS
