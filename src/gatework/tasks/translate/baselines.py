"""What a translator is compared with: the source itself, the target of the most similar training source, a lexicon."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import sparse

from gatework.data.codecs import Words
from gatework.data.ngrams import Bag
from gatework.tasks.translate import lexicon
from gatework.tasks.translate.pairs import Pairs

MOST_SOURCES = 200_000  # training sources among which the nearest is looked for
MOST_WORK = 500_000_000  # multiplications of two weights
MANY = 10_000  # training sources from which on n-grams of one of them say nothing
ROWS = 200  # texts that are compared at once
BEFORE = re.compile(r" (?=[.,;:!?%)\]}…]+(?: |$))")  # spaces that texts do not have
AFTER = re.compile(r"(?<=[(\[{]) ")


class Baseline(NamedTuple):
    """What a baseline is called, what is to be said of it, and its translations."""

    name: str
    note: str
    translations: list[str]


def copies(sources: Sequence[str]) -> Baseline:
    """The sources themselves; needs no training data."""
    return Baseline("copy", "the source as it stands", list(sources))


def untaught(sources: Sequence[str], kind: str) -> list[Baseline]:
    """What needs no training data; of spellings also nothing at all, as of symbols more than all can be wrong."""
    empty = Baseline("empty", "nothing is written", [""] * len(sources))
    return [copies(sources)] + ([] if kind == "text" else [empty])


def baselines(train: Pairs, sources: Sequence[str], kinds: tuple[str, str]) -> Iterator[Baseline]:
    """Learned from training pairs, answering for other sources; `kinds` of both sides are of `measures.KINDS`."""
    targets = train.targets or []
    yield from untaught(sources, kinds[1])
    yield _nearest(train.sources, targets, sources)
    yield _word_by_word(train.sources, targets, sources, kinds)


# -- the most similar training source -----------------------------------------------------------------------


def _nearest(known: list[str], targets: list[str], sources: Sequence[str]) -> Baseline:
    count = min(len(known), MOST_SOURCES)
    rows: list[int] = np.unique(np.linspace(0, len(known) - 1, count).astype(np.int64)).tolist()
    some = f" of {len(rows):,} sources" if len(rows) < len(known) else ""
    found = nearest([known[i] for i in rows], sources)
    note = f"its target; TF-IDF of words, pairs of words and 2 to 4 characters{some}"
    return Baseline("nearest source", note, ["" if i < 0 else targets[rows[i]] for i in found.tolist()])


def nearest(known: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    """[n]: which known text is most like each text, the first of equal ones; -1 where they share nothing.

        nearest(["a red dog", "a cat"], ["two dogs"])                # [0]

    Likeness is the cosine of TF-IDF vectors of words, pairs of words and 2 to 4 characters of a word.
    """
    bag = Bag(words=2, characters=(2, 4), min_rows=2 if len(known) > MANY else 1)
    table, asked = bag.fit_transform(known), bag.transform(texts)
    kept = _affordable(table, asked, sum(bag.sizes))
    columns = sparse.csr_matrix(table[:, kept].T)
    asked = asked[:, kept]
    found = [_most_alike(asked[start : start + ROWS] @ columns) for start in range(0, len(texts), ROWS)]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _most_alike(alike: sparse.csr_matrix) -> np.ndarray:
    best = np.asarray(alike.argmax(axis=1)).ravel()
    return np.where(np.diff(alike.indptr) > 0, best, -1)


def _affordable(table: sparse.csr_matrix, asked: sparse.csr_matrix, size: int) -> np.ndarray:
    """Those of the columns whose comparison costs no more than MOST_WORK together: the rarest, which say most."""
    often, use = (np.bincount(each.indices, minlength=size) for each in (table, asked))
    order = np.argsort(often, kind="stable")
    return np.sort(order[np.cumsum(often[order] * use[order]) <= MOST_WORK])


# -- word by word -------------------------------------------------------------------------------------------


def _word_by_word(
    known: Sequence[str], targets: Sequence[str], sources: Sequence[str], kinds: tuple[str, str]
) -> Baseline:
    learned = lexicon.fit(cut(known, kinds[0]), cut(targets, kinds[1]))
    answers = [joined(learned.translate(words), kinds[1]) for words in cut(sources, kinds[0])]
    some = f" of {learned.pairs:,} pairs" if learned.pairs < len(known) else ""
    name = "letter by letter" if kinds[0] == "letters" else "word by word"
    return Baseline(name, f"by a lexicon learned by IBM model 1{some}; what is unknown is copied", answers)


def cut(texts: Sequence[str], kind: str) -> list[list[str]]:
    """The words of texts, or their symbols, or letters."""
    if kind == "letters":
        return [list(text) for text in texts]
    words, lengths = Words(lower=False, markup=True, spaces=kind == "symbols").split(texts)
    ends, words = np.cumsum([0, *lengths]).tolist(), words.to_list()
    return [words[start:end] for start, end in pairwise(ends)]


def joined(words: Sequence[str], kind: str) -> str:
    """A text of words (punctuation marks stand at a word), symbols or letters."""
    if kind == "letters":
        return "".join(words)
    text = " ".join(words)
    return AFTER.sub("", BEFORE.sub("", text)) if kind == "text" else text
