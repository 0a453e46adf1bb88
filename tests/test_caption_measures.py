"""Measures of captions against sacrebleu's own results with several references, counts by hand, planted faults."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from gatework.errors import ShapeError
from gatework.tasks import bleu
from gatework.tasks.caption import measures
from gatework.tasks.caption.baselines import baselines, colours, nearest, points
from gatework.tasks.caption.sections import by_kind

WORDS = ["a", "the", "man", "dog", "red", "runs,", "(very)", "well-known", "two", "U.S.", "3.5", "skin:", "tone"]


def drawn(seed: int, lines: int = 6) -> tuple[list[str], list[list[str]]]:
    """Lines with one to three references; some are one of them, some share a piece."""
    draw = random.Random(seed)
    said, references = [], []
    for _ in range(lines):
        own = [" ".join(draw.choices(WORDS, k=draw.randint(1, 8))) for _ in range(draw.randint(1, 3))]
        words = draw.choice(own).split()
        if draw.random() < 0.6:
            words[draw.randrange(len(words))] = draw.choice(WORDS)
        said.append(" ".join(words))
        references.append(own)
    return said, references


def agrees(seeds: range) -> None:
    from sacrebleu.metrics import BLEU

    for seed in seeds:
        said, references = drawn(seed)
        most = max(map(len, references))
        streams = [[own[k] if k < len(own) else None for own in references] for k in range(most)]
        found = measures.measures(said, references)
        for orders in (1, 2, 3, 4):
            theirs = BLEU(max_ngram_order=orders, force=True).corpus_score(said, streams).score
            assert found[f"bleu{orders}"] == pytest.approx(theirs, abs=1e-6), (seed, orders)


def test_bleu_is_sacrebleus() -> None:
    agrees(range(60))


FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "lengths are swapped": lambda patch: patch.setattr(bleu, "LENGTHS", slice(1, None, -1)),
    "matches are taken for n-grams": lambda patch: patch.setattr(bleu, "SAID", bleu.RIGHT),
    "only the first reference counts": lambda patch: patch.setattr(
        measures, "counts", lambda said, own: bleu.counts(said, [each[:1] for each in own])
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[fault](monkeypatch)
    with pytest.raises(AssertionError):
        agrees(range(60))


def test_counts_by_hand() -> None:
    found = measures.measures(["a red dog", "two  men "], [["the red dog runs", "a red cat"], ["one man", "two men"]])
    assert found["exact"] == 0.5
    assert found["word_error"] == pytest.approx(1 / 5)  # one word of "a red cat", none of "two men"
    assert np.isnan(measures.metrics(np.zeros(14))["exact"]) and np.isnan(measures.metrics(np.zeros(14))["bleu4"])
    with pytest.raises(ShapeError, match="1 captions of 2 pictures"):
        measures.sums(["a"], [["a"], ["b"]])


def test_scores_of_many_draws_are_those_of_each() -> None:
    said, references = drawn(3)
    counts = measures.sums(said, references)
    often = np.random.default_rng(0).integers(0, 3, (20, len(said)))
    for metric in measures.SCORES:
        one = [
            measures.measures(
                np.repeat(said, draw).tolist(),
                [own for own, times in zip(references, draw, strict=True) for _ in range(times)],
            )[metric]
            for draw in often
        ]
        np.testing.assert_allclose(measures.score(often @ counts, metric), one)


# -- baselines ----------------------------------------------------------------------------------------------


def test_points_are_means_of_pieces() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 35, 3), dtype=np.uint8)
    found = points(picture).reshape(16, 16, 3)
    rows, columns = (np.linspace(0, size, 17).astype(int) for size in (20, 35))
    for row, column in ((0, 0), (7, 3), (15, 15)):
        piece = picture[rows[row] : rows[row + 1], columns[column] : columns[column + 1]]
        np.testing.assert_allclose(found[row, column], piece.mean((0, 1)), rtol=1e-5)
    assert points(picture[:5, :4]).shape == (5 * 4 * 3,)


def test_colours_are_counted_and_far_ones_are_far() -> None:
    red, half = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)
    red[..., 0], half[:2, :, 0] = 255, 255
    found = [colours(each) for each in (red, half, np.zeros((4, 4, 3), np.uint8))]
    assert all((each**2).sum() == pytest.approx(1) for each in found)
    assert np.linalg.norm(found[0] - found[1]) < np.linalg.norm(found[0] - found[2])


def test_nearest_is_that_of_all_distances() -> None:
    draw = np.random.default_rng(1)
    known, asked = draw.normal(size=(30, 7)), draw.normal(size=(230, 7))
    wanted = np.linalg.norm(asked[:, None] - known, axis=2).argmin(1)
    assert nearest(known, asked) == wanted.tolist()


def test_baselines_answer_for_each_picture() -> None:
    import described
    from gatework.tasks.caption import CaptionOptions, reading

    options = CaptionOptions(**described.SMALL)
    train, asked = (reading.read(described.pictures(30, seed), options) for seed in (0, 1))
    found = {each.name: each.captions for each in baselines(train, asked)}
    assert list(found) == ["most frequent", "nearest by points", "nearest by colours"]
    texts = train.captions or []
    assert set(found["most frequent"]) == {max(set(texts), key=lambda text: (texts.count(text), -texts.index(text)))}
    again = {each.name: each.captions for each in baselines(train, train)}
    assert again["nearest by points"] == texts


def test_kinds_are_words_that_neither_few_nor_most_hold() -> None:
    references = [[f"a red dog q{n}"] for n in range(10)] + [[f"a blue cat z{n}", "a cat"] for n in range(30)]
    said = ["a red dog q1"] * 10 + ["a cat"] * 30
    rows = by_kind(references, {"model": measures.sums(said, references)}, "exact")
    assert {row["word"]: (row["pictures"], row["values"]["model"]) for row in rows} == {
        "red": (10, 0.1),
        "dog": (10, 0.1),
        "none of these": (30, 1.0),
    }
