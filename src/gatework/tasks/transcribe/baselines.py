"""What a transcriber is compared with: the most frequent text, and the nearest of what training heard or saw.

Recordings of single units are compared as they are, those of several are cut where it is quiet, and each piece is the
nearest piece of training. Pictures of lines are compared point by point, all of one width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gatework.runtime.sounds.warping import distances
from gatework.tasks.transcribe.examples import Examples
from gatework.tasks.transcribe.hearing import Hearing
from gatework.tasks.transcribe.units import Units

MOST = 400  # pieces of training that others are compared with
WORK = 4e9  # places of two recordings that are compared, at most: of more pieces fewer are known
TOGETHER = 2  # frames that count as one: half of the steps costs a quarter
PAUSED = 0.8  # share of training recordings that pauses must cut into as many pieces as units
SHORTEST = 3  # frames of a piece
GOLDEN = (5**0.5 - 1) / 2
WIDTH, HEIGHT = 64, 16  # points of compared pictures
Frames = np.ndarray


class Baseline(NamedTuple):
    """What a baseline is called, what is to be said of it, and what it says of each recording or picture."""

    name: str
    note: str
    said: list[str]


def baselines(train: Examples, asked: Examples, hearing: Hearing, units: Units) -> Iterator[Baseline]:
    """Learned from training clips with their texts, answering for others."""
    texts = [" ".join(text.split()) for text in train.clips.texts or []]
    yield _most_frequent(texts, len(asked))
    if hearing.kind == "picture":
        yield _nearest_picture(train, texts, asked)
        return
    known, unknown = (list(part.clips.store) for part in (train, asked))  # in logarithms of power: one scale for all
    cut = [units.split(text) for text in texts]
    if all(len(each) <= 1 for each in cut):
        yield _nearest_recording(known, texts, unknown)
        return
    pauses = Pauses.of(known, [len(each) for each in cut])
    if pauses.cuts >= PAUSED:
        yield _cut_at_pauses(pauses, known, cut, unknown, units)
    else:
        yield _nearest_recording(known, texts, unknown)


def _most_frequent(texts: Sequence[str], count: int) -> Baseline:
    ((text, often),) = Counter(texts).most_common(1)
    return Baseline("most frequent text", f"{text!r}, {often:,} of {len(texts):,} times", [text] * count)


# -- recordings ---------------------------------------------------------------------------------------------


def _nearest_recording(known: list[Frames], texts: list[str], asked: list[Frames]) -> Baseline:
    rows = spread(texts, _affordable(known, asked))
    some = f" of {len(rows):,} training recordings" if len(rows) < len(known) else " of all training recordings"
    found = nearest([known[row] for row in rows], asked)
    said = [texts[rows[each]] for each in found.tolist()]
    return Baseline("nearest recording", f"the text of the nearest{some}, by dynamic time warping", said)


def nearest(known: Sequence[Frames], asked: Sequence[Frames]) -> np.ndarray:
    """[n]: which known recording is most like each one asked, by dynamic time warping."""
    known = [_fewer(each) for each in known]
    return np.array([distances(_fewer(each), known).argmin() for each in asked], np.int64)


def _fewer(frames: Frames) -> Frames:
    """The means of every TOGETHER frames."""
    starts = np.arange(0, len(frames), TOGETHER)
    return np.add.reduceat(frames, starts) / np.diff(starts, append=len(frames))[:, None]


def _affordable(known: Sequence[Frames], asked: Sequence[Frames]) -> int:
    """How many of the known can be compared with all that are asked."""
    steps = [np.mean([len(each) for each in part] or [1]) / TOGETHER for part in (known, asked)]
    return int(np.clip(WORK / (np.prod(steps) * max(len(asked), 1) * known[0].shape[1]), 1, MOST)) if known else 1


def spread(texts: Sequence[str], count: int) -> list[int]:
    """At most `count` rows, in turns of each text, spread over the rows that have it: recordings stand speaker by
    speaker. Multiples of the golden section, less their whole part, fill 0 to 1 evenly, however many are taken."""
    turns: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        turns.setdefault(text, []).append(row)
    turn = [(GOLDEN * place % 1, GOLDEN * row % 1, row) for rows in turns.values() for place, row in enumerate(rows)]
    return sorted(row for _, _, row in sorted(turn)[:count])


class Pauses(NamedTuple):
    """Where recordings of several units are cut: quiet for `longest` frames or more. `cuts` is the share of training
    recordings that this cuts into as many pieces as they have units."""

    longest: int
    cuts: float

    @classmethod
    def of(cls, known: Sequence[Frames], counts: Sequence[int]) -> Pauses:
        """The length that cuts most of the training recordings rightly."""
        gaps = [np.array([end - start for start, end in inner(each)], np.int64) for each in known]
        lengths = np.unique(np.concatenate([np.ones(1, np.int64), *gaps]))
        right = [
            np.mean([(each >= length).sum() + 1 == count for each, count in zip(gaps, counts, strict=True)])
            for length in lengths.tolist()
        ]
        best = int(np.argmax(right))
        return cls(int(lengths[best]), float(right[best]))

    def __call__(self, frames: Frames) -> list[Frames]:
        """The pieces of a recording."""
        loud = np.flatnonzero(loudness(frames))
        if not len(loud):
            return []
        cuts = [each for each in inner(frames) if each[1] - each[0] >= self.longest]
        starts, ends = [loud[0], *(end for _, end in cuts)], [*(start for start, _ in cuts), loud[-1] + 1]
        return [frames[start:end] for start, end in zip(starts, ends, strict=True)]


def loudness(frames: Frames) -> np.ndarray:
    """Whether each frame (T,) is nearer to the loudest than to the quietest of its recording."""
    level = np.logaddexp.reduce(frames, 1)
    low, high = np.quantile(level, [0.05, 0.95])
    return level > (low + high) / 2


def inner(frames: Frames) -> list[tuple[int, int]]:
    """The quiet stretches [start, end) between loud ones."""
    loud = np.flatnonzero(loudness(frames))
    after = np.flatnonzero(np.diff(loud) > 1)
    return list(zip((loud[after] + 1).tolist(), loud[after + 1].tolist(), strict=True))


def _cut_at_pauses(
    pauses: Pauses, known: list[Frames], cut: list[list[str]], asked: list[Frames], units: Units
) -> Baseline:
    """Pieces of training recordings that were cut into as many as they have units teach; others say nothing."""
    pieces: list[Frames] = []
    names: list[str] = []
    for frames, each in zip(known, cut, strict=True):
        found = pauses(frames)
        if len(found) == len(each):
            pieces += found
            names += each
    heard = [pauses(frames) for frames in asked]
    flat = [piece for each in heard for piece in each]
    rows = spread(names, _affordable(pieces, flat))
    said = iter([names[rows[each]] for each in nearest([pieces[row] for row in rows], flat).tolist()])
    joint = " " if units.kind == "words" else ""
    lines = [joint.join(next(said) for _ in each) for each in heard]
    note = f"cut where it is quiet for {pauses.longest} frames; each piece is the nearest of {len(rows):,} of training"
    return Baseline("nearest pieces", note, lines)


# -- pictures -----------------------------------------------------------------------------------------------


def _nearest_picture(train: Examples, texts: list[str], asked: Examples) -> Baseline:
    known, unknown = (np.stack([_small(each) for each in part.clips.store]) for part in (train, asked))
    apart = np.square(known).sum(1) - 2 * unknown @ known.T  # the squares of those asked change no order
    said = [texts[row] for row in apart.argmin(1).tolist()]
    return Baseline("nearest picture", "the text of the training picture with the most similar points", said)


def _small(picture: np.ndarray) -> np.ndarray:
    """The grey of a picture (W, H, C) as a vector of means of its points, whatever its width was."""
    from PIL import Image

    grey = Image.fromarray(picture.mean(2).astype(np.uint8).T)
    return np.asarray(grey.resize((WIDTH, HEIGHT), Image.Resampling.BOX), np.float32).ravel()
