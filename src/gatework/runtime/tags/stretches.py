"""The stretches that long sentences are read in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Stretches(NamedTuple):
    """What is read at once: tokens `first` to `last` [S] of a `sentence` [S]. Of these `begin` to `end` [S] are its
    own; around them lies what it overlaps with its neighbours, read for its context."""

    sentence: np.ndarray
    first: np.ndarray
    last: np.ndarray
    begin: np.ndarray
    end: np.ndarray

    def __len__(self) -> int:
        return len(self.sentence)


def stretches(offsets: np.ndarray, longest: int) -> Stretches:
    """The stretches of sentences: one for each of at most `longest` tokens, else several that overlap by a quarter."""
    lengths = np.diff(offsets)
    aside = longest // 8  # read on each side
    own = np.where(lengths > longest, longest - 2 * aside, np.maximum(lengths, 1))
    counts = -(-lengths // own)
    sentence = np.repeat(np.arange(len(lengths)), counts)
    place = np.arange(len(sentence)) - np.repeat(np.cumsum(counts) - counts, counts)
    start, stop = offsets[sentence], offsets[sentence + 1]
    begin = start + place * own[sentence]
    end = np.minimum(begin + own[sentence], stop)
    return Stretches(sentence, np.maximum(begin - aside, start), np.minimum(end + aside, stop), begin, end)
