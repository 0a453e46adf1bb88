"""What a result is compared with: the most frequent answer, the same by question, and logistic regression."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gatework.data.ngrams import Bag
from gatework.tasks.answer.stories import Stories

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LATE = 3  # sentences that are features of their own: the last ones
MOST_CLASSES = 300  # different answers that logistic regression tells apart; rarer ones it never gives
MOST_FEATURES = 20_000
Answerer = Callable[[Stories], list[str]]


class Baseline(NamedTuple):
    """What a baseline is called, what is to be said of it, and what it answers to stories."""

    name: str
    note: str
    answers: Answerer


def baselines(train: Stories, seed: int) -> Iterator[Baseline]:
    """Fitted on training stories, which have answers."""
    assert train.answers is not None
    yield Baseline("most frequent answer", "", most_frequent(train))
    by = "of the kind of question, and of questions that were asked with the same words"
    yield Baseline("most frequent answer to the question", by, by_question(train))
    note = f"words and pairs of words of question and story, and of its last {LATE} sentences"
    yield Baseline("logistic regression", note, regression(train, seed))


def most_frequent(train: Stories) -> Answerer:
    """The training's most frequent answer, to every question."""
    best = _usual(train.answers or [])
    return lambda stories: [best] * len(stories)


def by_question(train: Stories) -> Answerer:
    """The most frequent answer to the same question; to one that training lacks, of its kind; else of all."""
    answers = train.answers or []
    same = _by(train.questions, answers)
    kinds = _by(train.kinds or [], answers) if train.kinds else {}
    best = _usual(answers)

    def answered(stories: Stories) -> list[str]:
        named = stories.kinds or [""] * len(stories)
        pairs = zip(stories.questions, named, strict=True)
        return [same.get(question, kinds.get(kind, best)) for question, kind in pairs]

    return answered


def _by(keys: Sequence[str], answers: Sequence[str]) -> dict[str, str]:
    groups: dict[str, list[str]] = {}
    for key, answer in zip(keys, answers, strict=True):
        groups.setdefault(key, []).append(answer)
    return {key: _usual(group) for key, group in groups.items()}


def _usual(answers: Sequence[str]) -> str:
    """The most frequent answer; of equally frequent ones the first in order."""
    return min(Counter(answers).items(), key=lambda each: (-each[1], each[0]))[0]


def regression(train: Stories, seed: int) -> Answerer:
    """Logistic regression on TF-IDF of words and pairs of words of the question, of the whole story and of its last
    sentences, over the most frequent answers."""
    from sklearn.linear_model import SGDClassifier
    from threadpoolctl import threadpool_limits

    answers = train.answers or []
    known = [answer for answer, _ in Counter(answers).most_common(MOST_CLASSES)]
    rows = np.flatnonzero(np.isin(np.array(answers, object), np.array(known, object)))
    learned = train.take(rows)
    if len(known) < 2:
        return most_frequent(train)
    bags = [Bag(2, max_size=MOST_FEATURES) for _ in _texts(learned)]
    features = _joined([bag.fit_transform(texts) for bag, texts in zip(bags, _texts(learned), strict=True)])
    model = SGDClassifier(loss="log_loss", alpha=1e-6, random_state=seed, average=True, max_iter=20, tol=1e-3)
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(features, learned.answers)

    def answered(stories: Stories) -> list[str]:
        told = _joined([bag.transform(texts) for bag, texts in zip(bags, _texts(stories), strict=True)])
        return [str(answer) for answer in model.predict(told)]

    return answered


def _joined(blocks: list[csr_matrix]) -> csr_matrix:
    from scipy.sparse import csr_matrix, hstack

    return csr_matrix(hstack(blocks, format="csr"))


def _texts(stories: Stories) -> list[list[str]]:
    """Blocks of texts, one for each question: what is asked, the whole story, and each of its last sentences."""
    told = [stories.story(row) for row in range(len(stories))]
    late = [[story[-back] if len(story) >= back else "" for story in told] for back in range(1, LATE + 1)]
    return [stories.questions, [" ".join(story) for story in told], *late]
