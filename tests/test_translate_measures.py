"""Measures of translations against sacrebleu's own results, edit distances from their definition, counts by hand."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from gatework.errors import MissingExtraError, ShapeError
from gatework.tasks import bleu
from gatework.tasks.translate import counting, measures

METRICS = ("bleu", "chrf", "ter")
WORDS = [
    "a",
    "man",
    "Man",
    "the",
    "dog's",
    "läuft",
    "fast,",
    "(very)",
    "3.5",
    "U.S.",
    "well-known",
    "&amp;",
    "“so”",
    ".",
]


def moved(words: list[str], draw: random.Random) -> list[str]:
    """With a block elsewhere, a word replaced, or one left out or twice."""
    words = list(words)
    for _ in range(draw.choice([0, 1, 1, 2, 5])):
        start, size, to = (draw.randrange(len(words) + 1), draw.randrange(5), draw.randrange(len(words) + 1))
        how = draw.randrange(4)
        if how == 0:
            block = words[start : start + size]
            del words[start : start + size]
            words[to:to] = block
        elif how == 1:
            words[start : start + 1] = [draw.choice(WORDS)]
        elif how == 2:
            del words[start : start + 1]
        else:
            words[start:start] = words[start : start + 1]
    return words


def drawn(seed: int) -> tuple[list[str], list[str]]:
    """A corpus: lines of none to 20 words, translations that are empty, a word, something else, or nearly right."""
    draw = random.Random(seed)
    longest = draw.choice([1, 2, 4, 8, 20])
    said, true = [], []
    for _ in range(draw.choice([1, 2, 5, 10])):
        words = draw.choices(WORDS, k=draw.randrange(longest + 1))
        others = draw.choice([[], [draw.choice(WORDS)], draw.choices(WORDS, k=longest), ["zebra"] * 3])
        answer = draw.choice([others, words, moved(words, draw), moved(words, draw)])
        said.append(draw.choice([" ", "  "]).join(answer))
        true.append(" ".join(words) + draw.choice(["", " "]))
    return said, true


def of_sacrebleu(said: list[str], true: list[str], lower: bool) -> dict[str, float]:
    from sacrebleu.metrics import BLEU, CHRF, TER

    counters = {"bleu": BLEU(lowercase=lower), "chrf": CHRF(lowercase=lower), "ter": TER()}
    return {name: counter.corpus_score(said, [true]).score for name, counter in counters.items()}


def agrees(seeds: range) -> None:
    """Fails where a metric of a corpus is not what sacrebleu says."""
    for seed in seeds:
        said, true = drawn(seed)
        lower = bool(seed % 2)
        ours, theirs = measures.measures(said, true, "text", lower=lower), of_sacrebleu(said, true, lower)
        for name in METRICS:
            assert abs(ours[name] - theirs[name]) <= 1e-10, (seed, name, ours[name], theirs[name])


def test_metrics_are_those_of_sacrebleu() -> None:
    agrees(range(300))


def test_corpora_hold_what_is_hard() -> None:
    """Empty lines, no match of any order, fewer than four words in all, translations without fault."""
    corpora = [drawn(seed) for seed in range(300)]
    counts = [measures.sums(*each, "text").sum(0) for each in corpora]
    assert any(not all(map(str.split, said)) for said, _ in corpora)
    assert any(not all(map(str.split, true)) for _, true in corpora)
    right, total = (np.array([each[part] for each in counts]) for part in (bleu.RIGHT, bleu.SAID))
    assert ((right[:, 0] == 0) & (total[:, 0] > 0)).any()
    assert ((right[:, 1] > 0) & (right[:, 2] == 0) & (total[:, 3] > 0)).any()
    assert ((total[:, 0] > 0) & (total[:, 3] == 0)).any()
    assert any(measures.score(each, "bleu") > 99.99 for each in counts)


FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "chrF weighs recall as precision": lambda patch: patch.setattr(measures, "BETA", 1),
    "BLEU reads true lengths as said ones": lambda patch: patch.setattr(bleu, "LENGTHS", slice(1, None, -1)),
    "BLEU takes matches for n-grams": lambda patch: patch.setattr(bleu, "SAID", bleu.RIGHT),
    "chrF reads matches of another order": lambda patch: patch.setattr(measures, "CHRF_RIGHT", slice(9, 27, 3)),
    "TER makes no moves": lambda patch: patch.setattr(
        counting, "edits", lambda said, true: int(counting.distances([said], [true])[0])
    ),
    "lines are compared in lower case": lambda patch: patch.setattr(
        measures, "tidy", lambda text, lower=False: text.lower()
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[fault](monkeypatch)
    with pytest.raises(AssertionError):
        agrees(range(100))


def test_smoothing_and_missing_orders_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """BLEU without smoothing, and BLEU of texts with less than four words, are not sacrebleu's."""

    def plain(sums: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            found = np.exp(np.log(sums[..., bleu.RIGHT] / sums[..., bleu.SAID]).mean(-1))
        return np.where(np.isfinite(found), 100 * found, 0)

    monkeypatch.setattr(measures, "SCORES", {**measures.SCORES, "bleu": plain})
    with pytest.raises(AssertionError):
        agrees(range(100))


def test_moves_are_those_of_sacrebleu_in_long_lines() -> None:
    from sacrebleu.metrics import TER

    draw = random.Random(1)
    names = [f"w{number}" for number in range(30)]
    for size in (25, 40, 60):
        true = draw.choices(names, k=size)
        for _ in range(6):
            said = moved(moved(true, draw), draw)
            assert counting.edits(said, true) == TER().sentence_score(" ".join(said), [" ".join(true)]).num_edits


def test_scores_of_many_draws_are_those_of_each() -> None:
    said, true = drawn(3)
    counts = measures.sums(said, true, "text")
    often = np.random.default_rng(0).integers(0, 3, (2, 50, len(said)))
    for metric in (*METRICS, "exact"):
        whole = measures.score(often @ counts, metric)
        assert whole.shape == (2, 50)
        one = [
            measures.measures(np.repeat(said, draw).tolist(), np.repeat(true, draw).tolist(), "text")[metric]
            for draw in often[1][:10]
        ]
        np.testing.assert_allclose(whole[1, :10], one, rtol=0, atol=1e-10)


# -- spellings ----------------------------------------------------------------------------------------------


def edit_distance(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """By definition: the last symbols are the same, or one of them is deleted, inserted or replaced."""

    @cache
    def least(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        replaced = least(i - 1, j - 1) + (one[i - 1] != other[j - 1])
        return min(least(i - 1, j) + 1, least(i, j - 1) + 1, replaced)

    return least(len(one), len(other))


@pytest.mark.parametrize("kind", ["symbols", "letters"])
def test_symbol_errors_are_edits_over_true_symbols(kind: str) -> None:
    draw = random.Random(2)
    symbols = ["AH0", "K", "T", "IY1", "A"] if kind == "symbols" else list("aäbeT")
    between = " " if kind == "symbols" else ""
    lines = [[draw.choices(symbols, k=draw.randrange(1, 9)) for _ in range(100)] for _ in range(2)]
    lines[0][0], lines[0][1] = [], list(lines[1][1])
    edits = [edit_distance(tuple(one), tuple(other)) for one, other in zip(*lines, strict=True)]
    found = measures.measures(*([between.join(line) for line in side] for side in lines), kind)
    assert found["symbol_error"] == sum(edits) / sum(map(len, lines[1]))
    assert found["word_error"] == np.mean([one != other for one, other in zip(*lines, strict=True)]) < 1


def test_examples_by_hand() -> None:
    assert measures.measures(["K AE T"], ["K AH T"], "symbols") == {"word_error": 1.0, "symbol_error": 1 / 3}
    assert measures.measures(["kat", "Dog"], ["cat", "dog"], "letters", lower=True) == {
        "word_error": 0.5,
        "symbol_error": 1 / 6,
    }
    found = measures.measures(["a man walks", "so it is "], ["a man runs", "so  it is"], "text")
    assert found["exact"] == 0.5
    assert found["ter"] == pytest.approx(100 / 6)
    assert measures.measures(["the cat sat on the mat"], ["the cat sat on the mat"], "text")["bleu"] == pytest.approx(
        100
    )


def test_what_a_text_is() -> None:
    assert measures.kind_of(["cat", "dog", "b"]) == "letters"
    assert measures.kind_of(["K AE T", "D AO G"], "spaces") == "symbols"
    assert measures.kind_of(["K AE T", "D AO G"], "words") == "text"
    assert measures.kind_of(["a man", "a dog", "so"], "characters") == "text"
    assert measures.kind_of([f"w{i} v{i}" for i in range(1_000)], "spaces") == "text"
    assert measures.kind_of(["new york"] + ["rome"] * 19) == "letters"
    assert set(measures.WATCHED) == set(measures.KINDS)


def test_nothing_to_measure_has_no_value() -> None:
    for kind in measures.KINDS:
        found = measures.measures([], [], kind)
        assert found
        assert np.isnan(list(found.values())).all()


def test_lines_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ShapeError, match="2 translations of 1 references"):
        measures.sums(["a", "b"], ["a"], "text")


@pytest.mark.parametrize("missing", ["sacrebleu", "rapidfuzz"])
def test_a_missing_library_is_told_with_its_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gatework.tasks.translate.counting")
    monkeypatch.delattr("gatework.tasks.translate.counting")
    for name in [each for each in sys.modules if each.startswith(missing)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r"\[translate\]"):
        measures.measures(["a"], ["a"], "letters")


def test_signatures_say_what_was_counted() -> None:
    plain, lower = measures.signature(), measures.signature(lower=True)
    assert plain["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert lower["bleu"].startswith("nrefs:1|case:lc|")
    assert plain["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|")
    assert lower["ter"] == plain["ter"]
    assert plain["ter"].startswith("nrefs:1|case:lc|")


def test_a_thousand_sentences_take_seconds() -> None:
    draw = random.Random(4)
    true = [draw.choices([f"w{i}" for i in range(300)], k=12) for _ in range(1_000)]
    said = [moved(words, draw) for words in true]
    lines = [[" ".join(words) for words in side] for side in (said, true)]
    measures.sums(lines[0][:1], lines[1][:1], "text")
    start = time.process_time()
    measures.sums(*lines, "text")
    assert time.process_time() - start < 2


def test_a_line_of_thousands_of_words_takes_seconds() -> None:
    draw = random.Random(5)
    true = draw.choices("abcdefgh", k=1_500)
    said = draw.sample(true, len(true))
    start = time.process_time()
    measures.sums([" ".join(said), "a " * 4_000], [" ".join(true), "a b"], "text")
    assert time.process_time() - start < 10
