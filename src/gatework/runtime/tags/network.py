"""The network's part in an exported tagger: tokens as numbers, the net over stretches of sentences, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gatework.errors import FileFormatError
from gatework.runtime.exported import Exported
from gatework.runtime.tags.stretches import Stretches, stretches
from gatework.runtime.texts import Characters, Words, codec
from gatework.runtime.texts.grams import PIECES, character_buckets
from gatework.runtime.texts.windows import different

AT_ONCE = 8_000  # tokens that are read together
LETTERS, FRONT = 40, 30  # characters of a word that are read, and how many of them from its start


class Network:
    """Scores [N, K] of tokens, logits [n, L] of sentences' labels: `scores, labels = network(tokens, {}, lengths)`."""

    def __init__(self, exported: Exported):
        said = exported.settings
        self.net = exported.bound("whole")
        self.words, self.letters = (codec(exported.texts[name]) for name in ("words", "letters"))
        if not isinstance(self.words, Words) or not isinstance(self.letters, Characters):
            raise FileFormatError("a tagger has a codec of words and one of characters")
        if type(said["max_length"]) is not int or said["max_length"] < 1:
            raise FileFormatError(f"a tagger reads sentences in stretches of {said['max_length']!r:.20} tokens")
        self.columns = {name: {value: i for i, value in enumerate(said["values"][name], 1)} for name in said["columns"]}
        self.longest, self.subwords, self.lower = said["max_length"], said["subwords"], said["lower"]
        self.sizes = len(said["tags"]), len(said["labels"])

    def __call__(
        self, tokens: Sequence[str], columns: Mapping[str, Sequence[str]], lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        forms, words = different(tokens)
        codes = [np.array([known.get(value, 0) for value in columns[name]]) for name, known in self.columns.items()]
        pieces = stretches(np.concatenate([[0], np.cumsum(lengths)]), self.longest)
        read = pieces.last - pieces.first
        tags, kinds = self.sizes
        scores, labels = np.zeros((len(tokens), tags), np.float32), np.zeros((len(lengths), kinds), np.float32)
        order = np.argsort(read, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(np.cumsum(read[order]) // AT_ONCE)) + 1):
            at, there = _at(pieces, part)
            found = self.net(**self._inputs(forms, words[at], [each[at] for each in codes], read[part]))
            own = there & (at >= pieces.begin[part]) & (at < pieces.end[part])
            scores[at[own]] = found["tags"][own]
            if kinds:
                np.add.at(labels, pieces.sentence[part], found["labels"])
        counts = np.bincount(pieces.sentence, minlength=len(lengths))[:, None].astype(np.float32)
        return scores, labels / counts if kinds else None

    def _inputs(
        self, forms: list[str], words: np.ndarray, codes: list[np.ndarray], lengths: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The net's inputs: numbers (T, B) of different words, and of these ids, letters (L, u) and pieces (u, P)."""
        numbers, places = np.unique(words, return_inverse=True)
        some = [forms[number] for number in numbers]
        given = {"lengths": lengths, "words": places.reshape(words.shape)}
        given |= {f"column.{k}": each for k, each in enumerate(codes)}
        given["ids"] = self.words.numbers([form.lower() for form in some] if self.lower else some)
        if "letters" in self.net.net.inputs:
            rows = [_shortened(self.letters.ids(form)) for form in some]
            letters, given["sizes"] = _padded(rows)
            given["letters"] = letters.T
        if "pieces" in self.net.net.inputs:
            given["pieces"], given["counts"] = _padded(character_buckets(some, self.subwords, *PIECES))
        return given


def _at(pieces: Stretches, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tokens (T, B) of these stretches, and which are there; others are the first one of their stretch."""
    lengths = (pieces.last - pieces.first)[part]
    steps = np.arange(lengths.max())[:, None]
    there = steps < lengths
    return pieces.first[part] + np.where(there, steps, 0), there


def _shortened(ids: np.ndarray) -> np.ndarray:
    return ids if len(ids) <= LETTERS else np.concatenate([ids[:FRONT], ids[FRONT - LETTERS :]])


def _padded(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """[u, L] with 0 behind shorter rows, and the lengths [u]."""
    lengths = np.array([len(row) for row in rows])
    found = np.zeros((len(rows), max(int(lengths.max(initial=0)), 1)), np.int64)
    found[np.arange(found.shape[1]) < lengths[:, None]] = np.concatenate(rows)
    return found, lengths
