"""What is told of a translator: its page, why a unit was written, and `Translator`."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import gatework
from gatework import Translator, report
from gatework.errors import DataError, OptionError
from gatework.tasks.translate import page

SMALL: dict[str, Any] = {"embedding_size": 24, "encoder_size": 16, "hidden_size": 32, "epochs": 40, "dropout": 0.1}
TENS = {"twenty": "2", "thirty": "3", "<b>forty</b>": "4", "fifty": "5", "sixty": "6", "seventy": "7", "eighty": "8"}
ONES = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8"}
SOURCES = [f"{ten} {one}" for ten, one in itertools.product(TENS, ONES)]
TARGETS = [f"{ten}{one}" for ten, one in itertools.product(TENS.values(), ONES.values())]


@pytest.fixture(scope="module")
def numbers() -> Translator:
    made = Translator(**SMALL, source_tokenizer="spaces", test_share=0.15, learning_rate=0.01)
    return made.fit(SOURCES * 2, TARGETS * 2)


def test_the_page_shows_what_was_measured_and_escapes_it(numbers: Translator, tmp_path: Path) -> None:
    text = report.write(numbers.trained_.run, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<b>forty" not in text
    sections = numbers.trained_.run.results()["sections"]
    for row in sections["translations"]:
        assert row["reference"] in text
    assert text.count("how much each written unit (row)") >= 2 * len(sections["few"]), "a picture each, with its words"
    assert "What is odd" in text


def test_pictures_are_of_the_weights(numbers: Translator) -> None:
    sections = numbers.trained_.run.results()["sections"]
    drawn = page.TranslatePages.pictures(sections)
    assert [name for name in drawn if name.startswith("looked")] == [f"looked{k}" for k in range(len(sections["few"]))]
    for row in sections["few"]:
        weights = np.array(row["attention"])
        assert weights.shape == (len(row["target_units"]), len(row["source_units"]))
        np.testing.assert_allclose(weights.sum(1), 1, atol=0.01)


# -- explanations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"word": "3"}, {"word": "1"}, {"target": "25"}, {"target": "99", "word": "2"}])
def test_attributions_add_up_to_the_score(numbers: Translator, given: dict[str, Any]) -> None:
    found = gatework.explain(numbers, text="thirty two", **given)
    assert found.attribution.error < 0.01
    assert found.steps == ["thirty", "two", "(end)"]
    assert found.attribution.steps.sum() == pytest.approx(found.attribution.difference, rel=0.01, abs=1e-3)


def test_the_explained_unit_is_the_one_that_is_named(numbers: Translator) -> None:
    assert numbers.predict(["thirty two"]).tolist() == ["32"]
    first, last = (gatework.explain(numbers, text="thirty two", word=word) for word in ("1", "2"))
    assert (first.target, first.top()) == ("3", [0])
    assert (last.target, last.top()) == ("2", [1])
    other = gatework.explain(numbers, text="thirty two", target="38", word="2")
    assert (other.target, other.answer) == ("8", "2"), "a given translation is explained, the model's own is told"
    assert gatework.explain(numbers, text="thirty two", word="32").target == "3", "a word begins with its first unit"


def test_an_explanation_looks_where_the_translation_does(numbers: Translator) -> None:
    found = gatework.explain(numbers, text="sixty five")
    (looked,) = numbers.looks(["sixty five"])
    assert found.looked is not None
    assert list(found.looked.rows) == [unit or "(end)" for unit in looked.target_units]
    np.testing.assert_allclose(found.looked.weights, looked.weights, atol=1e-3)
    kept = json.loads(json.dumps(found.to_dict(), allow_nan=False))["looked"]
    assert kept["what"] == "written unit"
    np.testing.assert_allclose(kept["weights"], found.looked.weights)


def test_an_explanation_is_a_page_with_the_picture(numbers: Translator, tmp_path: Path) -> None:
    text = gatework.explain(numbers, text="<b>forty</b> two").write(tmp_path / "why.html").read_text(encoding="utf-8")
    assert "Where it looked" in text
    assert "<b>forty" not in text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "either a text or a row"),
        ({"text": "twenty one", "row": 1}, "either a text or a row"),
        ({"text": "   "}, "at least one word"),
        ({"text": "twenty one", "word": "x"}, "the translation has no 'x'"),
    ],
)
def test_what_cannot_be_explained_is_said(numbers: Translator, given: dict[str, Any], message: str) -> None:
    with pytest.raises((OptionError, DataError), match=message):
        gatework.explain(numbers, **given)


def test_a_row_of_a_file_is_explained(numbers: Translator, tmp_path: Path) -> None:
    file = tmp_path / "new.txt"
    file.write_text("twenty one\nfifty eight\n", encoding="utf-8")
    assert "fifty eight" in gatework.explain(numbers, file, row=2).source
    with pytest.raises(DataError, match="the rows 1 to 2; there is no row 3"):
        gatework.explain(numbers, file, row=3)


# -- Translator ---------------------------------------------------------------------------------------------


def test_translations_keep_their_places(numbers: Translator) -> None:
    said = numbers.predict(["fifty six", "", "twenty one"])
    assert said.tolist() == ["56", "", "21"]
    assert numbers.predict(np.array(["fifty six"], object), beam=1).tolist() == ["56"]


def test_n_best_are_ranked_and_begin_with_the_translation(numbers: Translator) -> None:
    (found,) = numbers.n_best(["sixty eight"], 4)
    assert found[0][0] == numbers.predict(["sixty eight"])[0]
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert len({text for text, _ in found}) == len(found) == 4


def test_a_translator_is_scored_cloned_kept_and_opened(numbers: Translator, tmp_path: Path) -> None:
    assert numbers.score(SOURCES, TARGETS) > 0.9
    wrong = [TARGETS[-1 - k] for k in range(len(TARGETS))]
    assert numbers.score(SOURCES, wrong) < 0.1
    numbers.save(tmp_path / "kept")
    assert Translator.load(tmp_path / "kept").predict(SOURCES[:3]).tolist() == numbers.predict(SOURCES[:3]).tolist()
    assert clone(numbers).get_params()["source_tokenizer"] == "spaces"
    assert any("case:mixed" in text for text in numbers.signature().values())


def test_sides_of_unequal_length_are_refused() -> None:
    with pytest.raises(DataError, match="2 source texts, but 1 targets"):
        Translator(**SMALL).fit(["a", "b"], ["c"])


def test_a_word_cannot_be_asked_for_and_forbidden(numbers: Translator) -> None:
    with pytest.raises(OptionError, match="'3' must occur and must not"):
        numbers.predict(["thirty two"], must=("2", "3"), must_not=("3",))
