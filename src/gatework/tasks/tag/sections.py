"""What a tagger's report shows beside results: kinds, confusions, rare words, marked sentences, moves of tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gatework.tasks.tag import measures
from gatework.tasks.tag.answers import Answers
from gatework.tasks.tag.codecs import Codecs
from gatework.tasks.tag.examples import Examples
from gatework.tasks.tag.model import Tagger

MOST_TAGS = 40  # whose moves are drawn
SHOWN_WRONG, SHOWN_RIGHT, SHOWN = 9, 3, 3
LONG = 150  # tokens from which on a sentence is drawn as a track
MOST_CHAINS, MOST_DRAWN = 4, 1_500  # of these, and tokens of one
FEWEST = 5  # tokens of a sentence that is shown as right


class Told(NamedTuple):
    """[N] each: true and predicted tags as learned, how sure the model is of them, and which are wrong."""

    true: list[str | None]
    said: list[str]
    sure: np.ndarray
    wrong: np.ndarray

    @classmethod
    def of(cls, examples: Examples, codecs: Codecs, answers: Answers) -> Told:
        true = codecs.learned_tags(examples.sentences)
        said = [codecs.tags.classes[k] for k in answers.tags]
        wrong = np.array([tag is not None and tag != other for tag, other in zip(true, said, strict=True)], bool)
        assert answers.confidence is not None
        return cls(true, said, answers.confidence, wrong)


def sections(part: str, examples: Examples, codecs: Codecs, answers: Answers, model: Tagger) -> dict[str, Any]:
    """All of it, JSON-able.

    Args:
        part: "valid" or "test", the part that `examples` are; they have tags.
        answers: the model's of these examples, with confidence.
    """
    told = Told.of(examples, codecs, answers)
    plain, lengths = codecs.scheme == "plain", examples.inputs.lengths
    return {
        "part": part,
        "scheme": codecs.scheme,
        "lettered": codecs.lettered,
        "kinds": measures.by_kind(told.true, told.said, lengths, plain=plain),
        "confusions": confusions(examples, told, plain),
        "matrix": matrix(told, codecs.tags.classes) if plain else None,
        "frequency": [] if codecs.lettered else measures.by_frequency(told.true, told.said, examples.seen),
        "marked": marked(examples, told, tracks=codecs.lettered and plain),
        "transitions": None if not model.chained else transitions(model, codecs.tags.classes, answers.tags),
        "labels": labels(examples, codecs, answers),
    }


# -- what was taken for what --------------------------------------------------------------------------------


def confusions(examples: Examples, told: Told, plain: bool) -> list[dict[str, Any]]:
    """Kinds taken for each other, other borders, spans missed and invented, the most frequent first, with examples."""
    tokens = examples.sentences.tokens
    found = measures.confusions(told.true, told.said, examples.inputs.lengths, plain=plain)
    for row in found:
        texts = [_texts(tokens, *places) for places in row.pop("places")]
        row["examples"] = [text for text, _ in Counter(texts).most_common(SHOWN)]
    return found


def _texts(tokens: Sequence[str], true: Sequence[int] | None, said: Sequence[int] | None) -> str:
    """The words of the true span and of the predicted one; once, where these are the same."""
    texts = [" ".join(tokens[place[0] : place[1]]) for place in (true, said) if place is not None]
    return " → ".join(text if len(text) <= 60 else f"{text[:59]}…" for text in dict.fromkeys(texts))


def matrix(told: Told, names: Sequence[str]) -> dict[str, Any]:
    """Counts [true][predicted] of the plain tags that occur."""
    known = {name: k for k, name in enumerate(names)}
    pairs = [(known[tag], known[other]) for tag, other in zip(told.true, told.said, strict=True) if tag in known]
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, tuple(np.array(pairs, np.int64).reshape(-1, 2).T), 1)
    there = np.flatnonzero(counts.sum(0) + counts.sum(1)).tolist()
    return {"labels": [names[k] for k in there], "matrix": counts[np.ix_(there, there)].tolist()}


# -- sentences ----------------------------------------------------------------------------------------------


def marked(examples: Examples, told: Told, tracks: bool) -> list[dict[str, Any]]:
    """Sentences with truth and answer: those with the surest errors first, then some that are right. Where they are
    drawn as tracks, or most are long: the worst, some in the middle, and the best."""
    places = list(pairwise(examples.inputs.offsets.tolist()))
    lengths, first = examples.inputs.lengths, examples.inputs.offsets[:-1]
    wrong = np.add.reduceat(told.wrong, first, dtype=np.int64)
    known = np.add.reduceat(np.array([tag is not None for tag in told.true], np.int64), first)
    if tracks or np.median(lengths) > LONG:
        ranked = np.flatnonzero(known)
        ranked = ranked[np.argsort(-wrong[ranked] / known[ranked], kind="stable")]
        chosen = ranked[np.unique(np.linspace(0, len(ranked) - 1, MOST_CHAINS).astype(int))]
    else:
        sure = np.where(lengths > LONG, 0, np.maximum.reduceat(told.sure * told.wrong, first))
        worst = np.argsort(-sure, kind="stable")[:SHOWN_WRONG]
        right = np.flatnonzero((wrong == 0) & (known >= FEWEST) & (lengths <= LONG))[:SHOWN_RIGHT]
        chosen = np.concatenate([worst[sure[worst] > 0], right])
    return [_sentence(examples, told, *places[i]) for i in chosen]


def _sentence(examples: Examples, told: Told, start: int, stop: int) -> dict[str, Any]:
    read, stop = examples.sentences, min(stop, start + MOST_DRAWN)
    where = read.where(start).removesuffix(", token 1").removesuffix(", letter 1")
    return {
        "where": Path(read.source).name + where.removeprefix(read.source),
        "tokens": read.tokens[start:stop],
        "true": told.true[start:stop],
        "predicted": told.said[start:stop],
        "confidence": np.round(told.sure[start:stop].astype(float), 3).tolist(),
    }


# -- moves and labels ---------------------------------------------------------------------------------------


def transitions(model: Tagger, names: Sequence[str], answers: np.ndarray) -> dict[str, Any]:
    """Learned scores of moves: rows from the start and each tag, columns to each tag and the end; None where a move is
    not allowed. Of many tags, those that the answers hold most of."""
    crf, count = model.moves(), len(names)
    assert crf is not None
    scores = np.full((count + 1, count + 1), np.nan)
    scores[0, :-1] = np.where(crf.may_start.numpy(), crf.start.detach().numpy(), np.nan)
    scores[1:, :-1] = np.where(crf.may_follow.numpy(), crf.transitions.detach().numpy(), np.nan)
    scores[1:, -1] = np.where(crf.may_end.numpy(), crf.end.detach().numpy(), np.nan)
    kept = np.sort(np.argsort(-np.bincount(answers, minlength=count), kind="stable")[:MOST_TAGS])
    scores = scores[np.ix_([0, *(kept + 1)], [*kept, count])]
    shown = [names[k] for k in kept]
    cells = [[None if np.isnan(value) else round(float(value), 3) for value in row] for row in scores]
    return {"rows": ["start", *shown], "columns": [*shown, "end"], "matrix": cells, "tags": count}


def labels(examples: Examples, codecs: Codecs, answers: Answers) -> list[dict[str, Any]] | None:
    """Precision, recall and F1 of the sentences' labels; None where there are none."""
    true = examples.sentences.labels
    if codecs.labels is None or answers.labels is None or true is None:
        return None
    said = [codecs.labels.classes[k] for k in answers.labels.argmax(1)]
    return measures.by_kind(true, said, np.ones(len(true), np.int64), plain=True)
