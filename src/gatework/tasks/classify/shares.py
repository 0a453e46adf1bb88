"""What each unit of a text contributes to the logits of the n-gram model, exactly.

A text's logits are a sum over its n-grams of (TF-IDF value) times (coefficients). An n-gram's share is divided equally
among its occurrences, and an occurrence's among the words that it is made of, or the letters where it is told apart by
its place; so all shares add up to the logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from gatework.data.ngrams import Bag, character_grams, grams, letters, place_grams
from gatework.data.ragged import Ragged
from gatework.runtime.texts import Span, Words
from gatework.runtime.texts.grams import word_keys
from gatework.tasks.classify.units import Units


@dataclass(frozen=True)
class NGrams:
    """`steps` (T, K): what each unit that the network reads adds to the logits; `rest` (K,): the intercept, and words
    that the network does not read."""

    steps: np.ndarray
    rest: np.ndarray
    bag: Bag
    model: Any

    @classmethod
    def of(cls, trained: Any, units: Units) -> NGrams | None:
        """The shares of a text's units; None where the run has no n-gram model."""
        wide, bag = trained.model.wide, trained.task.bag
        if wide is None or bag is None:
            return None
        wide.logits(bag, pl.Series([units.text]))  # gives the bag its keys
        coefficients = wide.coefficients.numpy().astype(np.float64)
        tokens, spans = Words(spaces=bag.spaces).placed(units.text)
        parts = [(word_shares(bag, coefficients, tokens), spans)]
        parts += [letter_shares(bag, coefficients, units.text)] if bag.places else []
        steps = np.sum([overlaps(spans, units.spans).T @ shares for shares, spans in parts], axis=0)
        whole = np.sum([shares.sum(0) for shares, _ in parts], axis=0)
        return cls(steps, whole - steps.sum(0) + wide.intercept.numpy(), bag, wide)

    def logits(self, texts: list[str]) -> np.ndarray:
        """(n, K) of other texts."""
        return self.model.logits(self.bag, pl.Series(texts, dtype=pl.String)).astype(np.float64)


def word_shares(bag: Bag, coefficients: np.ndarray, tokens: list[str]) -> np.ndarray:
    """(n, K): what each of a text's words adds to the logits, over the blocks of words and of characters."""
    shares = np.zeros((len(tokens), coefficients.shape[1]))
    found = [*([of_words(tokens, bag.words)] if bag.words else []), *([of_characters(tokens, bag)])]
    start = 0
    for (keys, members), known, weights in zip([each for each in found if each], bag.keys, bag.weights, strict=False):
        add_block(shares, keys, members, known, weights, coefficients[start : start + len(known)])
        start += len(known)
    return shares


def letter_shares(bag: Bag, coefficients: np.ndarray, text: str) -> tuple[np.ndarray, list[Span]]:
    """(n, K): what each letter adds to the logits by its place, and where the letters stand in the text."""
    lowered = [letter.lower() if bag.lower else letter for letter in text]  # some become two: "İ"
    spans = [(i, i + 1) for i, signs in enumerate(lowered) for _ in signs]
    windows = [range(i, i + n) for n in range(1, bag.places + 1) for i in range(len(spans) - n + 1)]
    keys = place_grams(letters([text], bag.lower), bag.places).values
    shares = np.zeros((len(spans), coefficients.shape[1]))
    known = bag.keys[-1]
    add_block(shares, keys, windows, known, bag.weights[-1], coefficients[len(coefficients) - len(known) :])
    return shares, spans


def of_words(tokens: list[str], longest: int) -> tuple[np.ndarray, list[range]]:
    """Keys of all n-grams of words, and which words each is made of."""
    hashes = word_keys(tokens)
    windows = [range(i, i + n) for n in range(1, longest + 1) for i in range(len(tokens) - n + 1)]
    keys = [grams(Ragged(hashes[list(w)], np.array([0, len(w)])), len(w), len(w)).values for w in windows]
    return np.concatenate(keys) if keys else np.zeros(0, np.uint64), windows


def of_characters(tokens: list[str], bag: Bag) -> tuple[np.ndarray, list[range]] | None:
    """Keys of all n-grams of characters inside words, and the word of each."""
    if bag.characters is None:
        return None
    rows = character_grams(tokens, *bag.characters)
    return rows.values, [range(owner, owner + 1) for owner in rows.owners.tolist()]


def add_block(
    shares: np.ndarray,
    keys: np.ndarray,
    members: list[range],
    known: np.ndarray,
    weights: np.ndarray,
    coefficients: np.ndarray,
) -> None:
    """Adds what one block of features (each of its texts of length 1) gives to the words or letters."""
    different, which, counts = np.unique(keys, return_inverse=True, return_counts=True)
    place = np.searchsorted(known, different).clip(0, max(len(known) - 1, 0))
    there = known[place] == different if len(known) else np.zeros(len(different), bool)
    values = np.where(there, (1 + np.log(counts)) * (weights[place] if len(known) else 0.0), 0.0)
    norm = np.sqrt((values**2).sum()) or 1.0
    each = values / norm / counts
    for key, words in zip(which, members, strict=True):
        if there[key]:
            shares[words.start : words.stop] += each[key] * coefficients[place[key]] / len(words)


def overlaps(words: list[tuple[int, int]], units: list[tuple[int, int]]) -> np.ndarray:
    """(n, T): how a word's share is divided among the units that cover it, by letters; rows without any are zero."""
    first, last = np.array(words).reshape(-1, 2).T[:, :, None]
    start, stop = np.array(units).reshape(-1, 2).T[:, None, :]
    common = np.maximum(np.minimum(last, stop) - np.maximum(first, start), 0).astype(np.float64)
    total = common.sum(1, keepdims=True)
    return np.divide(common, total, out=np.zeros_like(common), where=total > 0)
