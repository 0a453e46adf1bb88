"""Which search is asked for, what counted texts and lists of words change, and times of words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatework.errors import DataError, OptionError
from gatework.runtime.ctc import Greedy
from gatework.tasks.transcribe.options import TranscribePredicting
from gatework.tasks.transcribe.search import MOST_CHARACTERS, Searching, kept
from gatework.tasks.transcribe.units import Units

LETTERS = Units.of(["abcd e"], "characters")
WORDS = Units.of(["one two six"], "words")
TEXTS = kept(["ab cd", "ab cd", "ab", "cd ab ab"])


def steps(units: Units, *said: str, sure: float = 0.9) -> np.ndarray:
    """Steps that say each unit ("" is the blank), the others alike; "a|b" says both, the first a little more."""
    found = np.full((len(said), len(units)), (1 - sure) / (len(units) - 1))
    for row, each in zip(found, said, strict=True):
        names = each.split("|")
        for share, name in zip((sure,) if len(names) == 1 else (0.5, 0.4), names, strict=True):
            row[units.symbols.index(name)] = share
    return np.log(found / found.sum(1, keepdims=True))


def answered(units: Units, log_p: np.ndarray, texts: dict[str, int] | None = None, **how) -> dict:
    searching = Searching(units, TranscribePredicting(**how), texts, 0.03)
    return searching.row(searching.read(log_p))


def test_greedy_unless_something_weighs_texts() -> None:
    def places(**how) -> int:
        return TranscribePredicting(**how).places

    assert isinstance(Searching(LETTERS).new(), Greedy) and places() == 1
    assert places(lm_weight=0.5) == places(unit_bonus=0.1) == places(word_list="x") == places(n_best=2) == 16
    assert (places(beam=4, lm_weight=1.0), places(beam=4), places(n_best=50), places(beam=4, n_best=9)) == (4, 4, 50, 9)
    with pytest.raises(OptionError, match="beam=1 follows one text; lm_weight needs several"):
        TranscribePredicting(beam=1, lm_weight=0.5)


def test_counted_texts_decide_where_steps_do_not() -> None:
    heard = steps(LETTERS, "a", "d|b", " ", "c", "d")
    assert answered(LETTERS, heard)["text"] == answered(LETTERS, heard, TEXTS, beam=16)["text"] == "ad cd"
    found = answered(LETTERS, heard, TEXTS, lm_weight=0.5)
    assert found["text"] == "ab cd"
    assert found["confidence"] < answered(LETTERS, heard)["confidence"]  # the network's own, whatever texts weigh
    heard = steps(WORDS, "one", "", "six|two")
    assert answered(WORDS, heard)["text"] == "one six"
    assert answered(WORDS, heard, kept(["one two", "six"]), lm_weight=0.5)["text"] == "one two"


def test_a_bonus_writes_more_units() -> None:
    heard = steps(LETTERS, "a", "|b")
    assert answered(LETTERS, heard, beam=8)["text"] == "a"
    assert answered(LETTERS, heard, unit_bonus=2.0)["text"] == "ab"


def test_only_listed_words_are_written(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("ad\n\n cab \nad\n", encoding="utf-8")
    heard = steps(LETTERS, "a", "b|d", " ", "c", "a", "d|b")
    assert answered(LETTERS, heard)["text"] == "ab cad"
    assert answered(LETTERS, heard, word_list=str(path))["text"] == "ad cab"
    assert answered(LETTERS, heard, kept(["ad cab"]), word_list=str(path), lm_weight=1.0)["text"] == "ad cab"
    path.write_text("two\nsix", encoding="utf-8")
    assert answered(WORDS, steps(WORDS, "one|six"), word_list=str(path))["text"] == "six"
    assert answered(WORDS, steps(WORDS, "two|six"), kept(["six"]), word_list=str(path), lm_weight=1.0)["text"] == "six"


def test_lists_that_say_nothing_are_refused(tmp_path: Path) -> None:
    path, heard = tmp_path / "words.txt", steps(LETTERS, "a")
    for text, message in (
        ("\n \n", "is empty"),
        ("ab\na cd\n", "'a cd' has several words; write one a line"),
        ("xyz\n", "1 of 1 words, such as 'xyz', have characters that were never learned"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            answered(LETTERS, heard, word_list=str(path))
    with pytest.raises(DataError, match=r"none\.txt"):
        answered(LETTERS, heard, word_list=str(tmp_path / "none.txt"))
    path.write_text("ab\nxyz\na\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="1 of 3 words, such as 'xyz'"):
        assert answered(LETTERS, heard, word_list=str(path))["text"] == "a"


def test_words_have_times() -> None:
    found = answered(LETTERS, steps(LETTERS, "", "a", "a", "b", "", " ", "", "c"), timestamps=True)
    first, second = found["words"]
    assert (first["word"], second["word"]) == ("ab", "c")
    assert [first["start"], first["end"], second["start"], second["end"]] == pytest.approx([0.03, 0.12, 0.21, 0.24])
    assert first["confidence"] == pytest.approx(0.81, abs=1e-6) and second["confidence"] == pytest.approx(0.9, abs=1e-6)
    one, two = answered(WORDS, steps(WORDS, "one", "", "two"), timestamps=True)["words"]
    assert (one["word"], one["end"], two["word"], two["start"]) == ("one", 0.03, "two", 0.06)
    assert answered(LETTERS, steps(LETTERS, ""), timestamps=True)["words"] == []


def test_several_texts_come_with_scores() -> None:
    found = answered(LETTERS, steps(LETTERS, "a|b", "c"), n_best=3)
    assert [each["text"] for each in found["n_best"][:2]] == ["ac", "bc"]
    scores = [each["score"] for each in found["n_best"]]
    assert scores == sorted(scores, reverse=True) and found["confidence"] == pytest.approx(np.exp(scores[0]))


def test_kept_texts_are_counted_and_bounded() -> None:
    assert kept(["a  b", "a b ", "c"]) == {"a b": 2, "c": 1}
    long = "x" * (MOST_CHARACTERS - 1)
    assert kept([long, "ab", "ab"]) == {"ab": 2}
