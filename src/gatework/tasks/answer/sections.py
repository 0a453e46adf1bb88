"""What an answerer's report shows beside results: kinds, confusions, lengths, and what each reading looked at."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from gatework.runtime.answers.stories import Answer
from gatework.tasks.answer import measures
from gatework.tasks.answer.codecs import Codecs
from gatework.tasks.answer.decoding import answers, forced, looks
from gatework.tasks.answer.examples import Examples
from gatework.tasks.answer.model import Answering

SHOWN_WRONG, SHOWN_RIGHT = 6, 6
MOST_SHOWN = 30  # sentences of a story that is shown with what was looked at
MOST_PAIRS = 12
LENGTHS = (5, 10, 20, 40)  # sentences: borders of the table of lengths


def sections(part: str, examples: Examples, codecs: Codecs, model: Answering) -> dict[str, Any]:
    """All of it, JSON-able.

    Args:
        part: "valid" or "test", the part that `examples` are; they have answers.
    """
    right = forced(model, examples).right
    looked = looks(model, examples)
    return {
        "part": part,
        "kinds": kinds(examples, right, looked),
        "lengths": lengths(examples, right),
        **confusions(examples, codecs, model, right),
        "stories": stories(examples, codecs, model, right),
        "places": places(looked),
    }


def kinds(examples: Examples, right: np.ndarray, looked: list[np.ndarray]) -> list[dict[str, Any]]:
    """Accuracy by kind of question, and in how many of them a reading looked most at each of the sentences that hold
    the answer, where the data name these; one row for all where there are no kinds."""
    names = examples.stories.kinds or ["all"] * len(examples)
    rows = measures.by_kind(right, names)
    seen = facts_seen(examples, looked)
    for row in rows:
        own = np.array([name == row["kind"] for name in names]) & ~np.isnan(seen)
        row["facts_seen"] = float(seen[own].mean()) if own.any() else None
    return rows


def facts_seen(examples: Examples, looked: list[np.ndarray]) -> np.ndarray:
    """The share of each question's supporting sentences that some reading looked at more than at any other; NaN where
    none are named."""
    facts, found = examples.stories.facts, np.full(len(examples), np.nan)
    if facts is None:
        return found
    for row, weights in enumerate(looked):
        own = np.unique(facts[row])
        if len(own) and weights.size:
            found[row] = np.isin(own, examples.first[row] + weights.argmax(1)).mean()
    return found


def lengths(examples: Examples, right: np.ndarray) -> list[dict[str, Any]]:
    """Accuracy by how many sentences were told before the question; empty groups are left out."""
    group = np.searchsorted(LENGTHS, examples.stories.lengths, side="left")
    low = [0, *(border + 1 for border in LENGTHS)]
    names = [f"{first} to {last}" for first, last in zip(low, LENGTHS, strict=False)] + [f"more than {LENGTHS[-1]}"]
    rows = measures.by_kind(right, [names[k] for k in group])
    return sorted(rows, key=lambda row: names.index(row["kind"]))


def confusions(examples: Examples, codecs: Codecs, model: Answering, right: np.ndarray) -> dict[str, Any]:
    """Which answers were given in place of which, the most frequent first; how many such pairs and wrong answers."""
    wrong = np.flatnonzero(~right)
    told = examples.stories.take(wrong).answers or []
    said = [each[0].text if each else "" for each in answers(model, codecs, examples.take(wrong))]
    pairs = Counter(zip(told, said, strict=True)).most_common()
    return {
        "confusions": [{"true": one, "predicted": other, "count": n} for (one, other), n in pairs[:MOST_PAIRS]],
        "confused": len(pairs),
        "wrong": len(wrong),
    }


def stories(examples: Examples, codecs: Codecs, model: Answering, right: np.ndarray) -> list[dict[str, Any]]:
    """Stories with what each reading looked at: wrong ones of different kinds, then right ones."""
    short = examples.lengths <= MOST_SHOWN
    rows = [*spread(examples, ~right & short, SHOWN_WRONG), *spread(examples, right & short, SHOWN_RIGHT)]
    some = examples.take(np.array(rows, np.int64))
    return [story(some, row, each[0]) for row, each in enumerate(answers(model, codecs, some)) if each]


def spread(examples: Examples, which: np.ndarray, count: int) -> list[int]:
    """The first rows of these, at most `count`: one of each kind before a second one of any."""
    rows = np.flatnonzero(which).tolist()
    names = examples.stories.kinds or [""] * len(examples)
    turn: Counter[str] = Counter()
    ranked = []
    for row in rows:
        turn[names[row]] += 1
        ranked.append((turn[names[row]], row))
    return [row for _, row in sorted(ranked)[:count]]


def story(examples: Examples, row: int, said: Answer) -> dict[str, Any]:
    """A question with its story and the weights [hops, S] of the sentences that were read."""
    told, first = examples.stories, int(examples.first[row])
    facts = [] if told.facts is None else np.unique(told.facts[row]) - first
    where = told.where(row)
    return {
        "where": Path(told.source).name + where.removeprefix(told.source) if where.startswith(told.source) else where,
        "kind": told.kinds[row] if told.kinds else "",
        "sentences": told.sentences[first : int(told.past[row])],
        "facts": [int(fact) for fact in facts if fact >= 0],
        "question": told.questions[row],
        "true": (told.answers or [""])[row],
        "predicted": said.text,
        "probability": round(said.probability, 4),
        "looks": np.round(said.looked.astype(float), 3).tolist(),
    }


def places(looked: list[np.ndarray], most: int = 20) -> list[list[float]]:
    """How much each reading looks at the last sentence, the one before it, ...: means over all stories that have it,
    [hops][places]."""
    hops = len(looked[0]) if looked else 0
    total, count = np.zeros((hops, most)), np.zeros(most)
    for weights in looked:
        late = weights[:, ::-1][:, :most]
        total[:, : late.shape[1]] += late
        count[: late.shape[1]] += 1
    there = count > 0
    return np.round(total[:, there] / count[there], 4).tolist()
