"""Baselines of translations: IBM model 1 against loops over its equations, the nearest source by its definition."""

from __future__ import annotations

import math
import random
import time
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from gatework.tasks.translate import baselines, lexicon
from gatework.tasks.translate.baselines import cut, joined, nearest
from gatework.tasks.translate.pairs import Pairs

Sentences = list[list[str]]


# -- IBM model 1 --------------------------------------------------------------------------------------------


def model_1(sources: Sentences, targets: Sentences, rounds: int) -> dict[tuple[str | None, str], float]:
    """t(target | source) by Brown et al. 1993, equations 10 and 14 to 17, one word after another."""
    t: dict[tuple[str | None, str], float] = defaultdict(lambda: 1.0)
    for _ in range(rounds):
        counts: dict[tuple[str | None, str], float] = defaultdict(float)
        totals: dict[str | None, float] = defaultdict(float)
        for source, target in zip(sources, targets, strict=True):
            for written in target:
                whole = sum(t[read, written] for read in [None, *source])
                for read in [None, *source]:
                    counts[read, written] += t[read, written] / whole
                    totals[read] += t[read, written] / whole
        t = {pair: count / totals[pair[0]] for pair, count in counts.items()}
    return t


def drawn(seed: int, count: int = 30) -> tuple[Sentences, Sentences]:
    """Sentences of none to six words, some of them twice, and their translations by a dictionary, out of order."""
    draw = random.Random(seed)
    words = [f"s{number}" for number in range(8)]
    sources = [draw.choices(words, k=draw.randrange(7)) for _ in range(count)]
    targets = [
        draw.sample([*(f"t{word[1:]}" for word in source), "und"], draw.randint(0, len(source))) for source in sources
    ]
    return sources, targets


@pytest.mark.parametrize("rounds", [1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_the_lexicon_is_that_of_the_equations(seed: int, rounds: int) -> None:
    sources, targets = drawn(seed)
    expected, found = model_1(sources, targets, rounds), lexicon.fit(sources, targets, rounds)
    assert len(found.probabilities) == len(expected)
    for (source, target), probability in expected.items():
        assert found.probability(source, target) == pytest.approx(probability, rel=1e-9, abs=1e-300)


def test_probabilities_of_a_source_sum_to_1() -> None:
    found = lexicon.fit(*drawn(7), 5)
    np.testing.assert_allclose(np.bincount(found.source, found.probabilities), 1)


def test_every_round_makes_the_data_likelier() -> None:
    sources, targets = drawn(8)

    def log_p(rounds: int) -> float:
        t = model_1(sources, targets, rounds)
        sides = zip(sources, targets, strict=True)
        return sum(math.log(sum(t[r, w] for r in [None, *s]) / (len(s) + 1)) for s, target in sides for w in target)

    ours = [lexicon.fit(sources, targets, rounds) for rounds in (1, 2, 3, 8)]
    known = [
        sum(
            math.log(sum(each.probability(r, w) for r in [None, *s]) / (len(s) + 1))
            for s, target in zip(sources, targets, strict=True)
            for w in target
        )
        for each in ours
    ]
    assert known == sorted(known)
    assert known[1] == pytest.approx(log_p(2))


def test_the_house_of_the_textbook() -> None:
    """Koehn 2010, "Statistical machine translation", figure 4.4: three sentences tell four words apart."""
    sources = [["das", "Haus"], ["das", "Buch"], ["ein", "Buch"]]
    targets = [["the", "house"], ["the", "book"], ["a", "book"]]
    found = lexicon.fit(sources, targets, 20)
    assert found.translate(["ein", "Haus", "und", "das", "Buch"]) == ["a", "house", "und", "the", "book"]


def test_a_part_of_many_pairs_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    sources, targets = drawn(9, 400)
    monkeypatch.setattr(lexicon, "MOST_LINKS", 2_000)
    links = sum((len(s) + 1) * len(t) for s, t in zip(sources, targets, strict=True))
    assert links > 2_500
    found = lexicon.fit([*sources, ["s0"] * 100], [*targets, ["t0"] * 100])
    assert 100 < found.pairs < 300
    assert found.translate(["s1", "s2"]) == ["t1", "t2"]


@pytest.mark.parametrize("sides", [([], []), ([[]], [["a"]]), ([["a"]], [[]])])
def test_nothing_to_learn_copies(sides: tuple[Sentences, Sentences]) -> None:
    assert lexicon.fit(*sides).translate(["a", "b"])[1] == "b"


def test_ten_thousand_pairs_take_seconds() -> None:
    generator = np.random.default_rng(0)
    sources, targets = (generator.zipf(1.3, (10_000, 13)).clip(max=15_000).astype(str).tolist() for _ in range(2))
    start = time.process_time()
    lexicon.fit(sources, targets)
    assert time.process_time() - start < 10


# -- the nearest source -------------------------------------------------------------------------------------


def grams(text: str) -> list[list[tuple[str, ...]]]:
    """Words and pairs of words; 2 to 4 characters of words with a space on both sides."""
    words = text.lower().split()
    pairs = [*((word,) for word in words), *pairwise(words)]
    padded = [f" {word} " for word in words]
    return [pairs, [tuple(p[i : i + n]) for p in padded for n in (2, 3, 4) for i in range(len(p) - n + 1)]]


def likeness(known: list[str], text: str) -> list[float]:
    """Cosines by blocks, each of length 1."""
    total = [0.0] * len(known)
    for block in range(2):
        seen = [set(grams(each)[block]) for each in known]

        def weights(
            text: str, seen: list[set[tuple[str, ...]]] = seen, block: int = block
        ) -> dict[tuple[str, ...], float]:
            counts = Counter(grams(text)[block])
            rows = {gram: sum(gram in each for each in seen) for gram in counts}
            found = {
                gram: (1 + math.log(count)) * (1 + math.log((1 + len(known)) / (1 + rows[gram])))
                for gram, count in counts.items()
                if rows[gram]
            }
            length = math.sqrt(sum(value**2 for value in found.values()))
            return {gram: value / length for gram, value in found.items()}

        asked = weights(text)
        for number, each in enumerate(known):
            other = weights(each)
            total[number] += sum(value * other.get(gram, 0) for gram, value in asked.items())
    return total


def test_the_nearest_source_is_the_most_like() -> None:
    draw = random.Random(3)
    words = ["dog", "dogs", "red", "reddish", "a", "cat", "runs", "running", "house"]
    known = [" ".join(draw.choices(words, k=draw.randint(1, 6))) for _ in range(40)]
    texts = [" ".join(draw.choices([*words, "horse", "bed"], k=draw.randint(1, 6))) for _ in range(60)]
    for text, found in zip(texts, nearest(known, texts).tolist(), strict=True):
        values = likeness(known, text)
        assert values[found] == pytest.approx(max(values), rel=1e-5)


def test_a_known_source_is_the_nearest_to_itself() -> None:
    known = ["ein hund", "zwei hunde", "eine katze im haus", "x"]
    assert nearest(known, known[::-1]).tolist() == [3, 2, 1, 0]


def test_nothing_in_common_has_no_nearest() -> None:
    assert nearest(["ein hund"], ["猫", "", "hund"]).tolist() == [-1, -1, 0]
    assert nearest(["ein hund"], []).tolist() == []


def test_frequent_grams_are_left_out_where_they_cost_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [f"the man number {number}" for number in range(100)]
    monkeypatch.setattr(baselines, "MOST_WORK", 50)
    assert nearest(known, ["the man number 17", "the man"]).tolist() == [17, -1]


# -- all of them --------------------------------------------------------------------------------------------


def pairs_of(rows: list[tuple[str, str]]) -> Pairs:
    return Pairs([one for one, _ in rows], [other for _, other in rows], lambda row: f"row {row + 1}", "rows", "rows")


def test_what_each_baseline_says() -> None:
    train = pairs_of([("ein Hund.", "a dog."), ("ein Mann", "a man"), ("der Hund", "the dog"), ("der Mann", "the man")])
    copy, near, words = baselines.baselines(train, ["ein Hund", "der Igel (ein Mann)."], ("text", "text"))
    assert copy.translations == ["ein Hund", "der Igel (ein Mann)."]
    assert near.translations == ["a dog.", "a man"]
    assert words.translations == ["a dog", "the Igel (a man)."]
    assert [each.name for each in (copy, near, words)] == ["copy", "nearest source", "word by word"]


def test_letters_become_symbols() -> None:
    train = pairs_of([("ab", "A B"), ("ba", "B A"), ("a", "A"), ("b", "B")])
    *_, last = baselines.baselines(train, ["aabx"], ("letters", "symbols"))
    assert (last.name, last.translations) == ("letter by letter", ["A A B x"])


def test_texts_are_cut_and_joined() -> None:
    text = "Wait, is (that) so?! Yes: “it's” 3.5…"
    assert joined(cut([text], "text")[0], "text").startswith("Wait, is (that) so?! Yes:")
    assert cut(["a b", "", "c"], "symbols") == [["a", "b"], [], ["c"]]
    assert joined(cut(["new york"], "letters")[0], "letters") == "new york"
    assert joined(["AA", ".", "B"], "symbols") == "AA . B"


def test_parts_of_large_data_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MOST_SOURCES", 10)
    monkeypatch.setattr(lexicon, "MOST_LINKS", 200)
    train = pairs_of([(f"w{i}", f"v{i}") for i in range(300)])
    _, near, words = baselines.baselines(train, ["w0", "w1"], ("text", "text"))
    assert near.note.endswith("of 10 sources")
    assert "of 100 pairs" in words.note
