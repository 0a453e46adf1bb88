"""What a translator's page shows: tables against counts by hand, and sections of a run."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from gatework.tasks import jobs
from gatework.tasks.translate import Translate, TranslateOptions, measures, tables

SMALL = {"embedding_size": 16, "encoder_size": 16, "hidden_size": 32, "batch_size": 32, "dropout": 0.0}


# -- tables -------------------------------------------------------------------------------------------------


def test_groups_of_length_hold_all_pairs_and_their_metric() -> None:
    draw = random.Random(1)
    true = [" ".join(draw.choices("abcdefg", k=draw.randint(1, 12))) for _ in range(200)]
    said = [text if draw.random() < 0.5 else text[::-1] for text in true]
    lengths = np.array([len(text.split()) for text in true])
    sums = {"model": measures.sums(said, true, "text"), "copy": measures.sums(true, true, "text")}
    rows = tables.by_length(lengths, sums, "bleu")
    assert sum(row["pairs"] for row in rows) == 200
    assert 3 <= len(rows) <= tables.GROUPS
    first = rows[0]
    low, *rest = map(int, first["length"].split(" to "))
    high = rest[0] if rest else low
    mine = [i for i in range(200) if low <= lengths[i] <= high]
    expected = measures.measures([said[i] for i in mine], [true[i] for i in mine], "text")["bleu"]
    assert first["pairs"] == len(mine)
    assert first["values"]["model"] == pytest.approx(expected)
    assert rows[-1]["values"]["copy"] == pytest.approx(100)


def test_one_length_is_one_group() -> None:
    sums = {"model": measures.sums(["a"] * 5, ["a"] * 5, "letters")}
    assert tables.by_length(np.full(5, 3), sums, "symbol_error") == [
        {"length": "3", "pairs": 5, "values": {"model": 0.0}}
    ]
    assert tables.by_length(np.zeros(0, np.int64), {"model": np.zeros((0, 4))}, "symbol_error") == []


def test_the_rarest_word_says_the_group() -> None:
    known = [["a"] * 12, ["b", "c", "c"]]
    seen = tables.rarest(known, [["a"], ["a", "b"], ["c", "a"], ["x", "a"], []])
    assert seen.tolist() == [12, 1, 2, 0, 12]
    sums = {"model": measures.sums(["u", "u", "v", "u", "u"], ["u"] * 5, "letters")}
    rows = tables.by_rarity(seen, sums, "symbol_error")
    assert [(row["seen"], row["pairs"], row["values"]["model"]) for row in rows] == [
        ("never", 1, 0.0),
        ("once", 1, 0.0),
        ("2 to 9 times", 1, 1.0),
        ("10 times and more", 2, 0.0),
    ]


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("a b c", False),
        ("a a", False),
        ("x a a a y", True),
        ("a b a b", False),
        ("a b a b a b", True),
        ("a b a b a c", False),
        ("a b c d a b c d a b c d", True),
        ("a b c d e a b c d e a b c d e", False),
        ("", False),
    ],
)
def test_repetitions(text: str, again: bool) -> None:
    assert tables.repeats(text.split()) == again


def test_odd_outputs_are_counted() -> None:
    rows = [
        ("ein hund", "a dog", "a  dog", True),  # right
        ("ein hund", "", "a dog", True),  # empty
        ("ein hund", "a dog a", "a dog", False),  # cut
        ("ein hund", "a dog dog dog", "a big dog", True),  # repeating
        ("ha ha ha", "ha ha ha ha", "ha ha ha", True),  # as the reference does
        ("ein hund", "a dog and a cat", "a dog", True),  # too long
        ("ein hund", "a", "a dog and a cat", True),  # too short
        ("taxi", "taxi", "cab", True),  # copied
        ("taxi", "taxi", "taxi", True),  # right, and the same in both languages
    ]
    found = tables.outputs(
        *map(list, zip(*[(s, said, true) for s, said, true, _ in rows], strict=True)), [e for *_, e in rows], "text"
    )
    assert {row["what"]: row["places"] for row in found} == {
        "right": [0, 8],
        "empty": [1],
        "cut": [2],
        "repeating": [3],
        "too long": [5],
        "too short": [6],
        "copied": [7],
    }
    assert found[0]["share"] == 2 / 9


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12, 100])
def test_the_best_the_median_and_the_worst_are_different_pairs(count: int) -> None:
    scores = np.random.default_rng(count).permutation(count) / 2
    chosen = tables.spread(scores, np.ones(count), 4)
    rows = [row for each in chosen.values() for row in each]
    assert len(rows) == len(set(rows)) <= count
    assert scores[chosen["best"][0]] == scores.max()
    if count > 1:
        assert scores[chosen["worst"][0]] == scores.min()
    if count == 100:
        assert all(abs(scores[row] - np.median(scores)) <= 1 for row in chosen["median"])


def test_of_equally_good_ones_the_longest_is_shown() -> None:
    chosen = tables.spread(np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.5]), np.array([1, 9, 3, 1, 1, 1]), 1)
    assert chosen["best"] == [1]


# -- a run --------------------------------------------------------------------------------------------------


def results(folder: Path, pairs: list[tuple[str, str]]) -> tuple[dict, jobs.Trained]:
    task = Translate(TranslateOptions(**SMALL, epochs=1, valid_share=0.3))
    run = jobs.train(task, pairs, out=folder / "run", quiet=True)
    return run.run.results()["sections"], run


def test_sections_of_texts(tmp_path: Path) -> None:
    draw = random.Random(2)
    pairs = [
        (" ".join(words), " ".join(words[::-1]))
        for words in (draw.choices("abcdefghij", k=draw.randint(2, 9)) for _ in range(90))
    ]
    found, run = results(tmp_path, pairs)
    assert json.loads(json.dumps(found)) == found
    assert (found["kind"], found["metric"], found["part"]) == ("text", "bleu", "valid")
    assert [row["group"] for row in found["translations"]] == ["best"] * 4 + ["median"] * 4 + ["worst"] * 4
    scores = [row["scores"][0] for row in found["translations"]]
    assert scores == sorted(scores[:8], reverse=True) + sorted(scores[8:])
    assert all(row["baseline"] and (row["source"], row["reference"]) in pairs for row in found["translations"])
    assert sum(row["pairs"] for row in found["lengths"]) == sum(row["pairs"] for row in found["rare"]) == found["pairs"]
    best = max(run.run.results()["baselines"], key=lambda row: row["metrics"]["bleu"])["name"]
    assert list(found["lengths"][0]["values"]) == ["model", best]
    assert [row["what"] for row in found["outputs"]][:3] == ["right", "empty", "cut"]
    for few in found["few"]:
        assert len(few["n_best"]) == 5
        weights = np.array(few["attention"])
        assert weights.shape == (len(few["target_units"]), len(few["source_units"]))
        np.testing.assert_allclose(weights.sum(1), 1, atol=0.01)


def test_sections_of_an_evaluation_and_of_spellings(tmp_path: Path) -> None:
    draw = random.Random(3)
    words = sorted({"".join(draw.choices("abcd", k=draw.randint(1, 6))) for _ in range(150)})
    found, run = results(tmp_path, [(word, " ".join(word.upper())) for word in words])
    assert (found["kind"], found["rare"]) == ("symbols", [])
    assert len(found["few"]) == 3
    alone = run.assessed([("abxyz", "A B"), ("xyzba", "B A")])["sections"]
    assert list(alone["lengths"][0]["values"]) == ["model", "copy"]
    assert [row["group"] for row in alone["translations"]] == ["best", "worst"]
