"""What is told of a describer: its page, why a unit was written, and `Captioner`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import described
import gatework
from gatework import Captioner, report
from gatework.errors import DataError, OptionError
from gatework.explanation.page import render

KINDS = {"pictures": described.pictures, "films": described.films}


@pytest.fixture(scope="module", params=KINDS)
def fitted(request: pytest.FixtureRequest) -> tuple[str, Captioner]:
    model = Captioner(**described.SMALL, epochs=30, learning_rate=0.01, test_share=0.2)
    return request.param, model.fit(*KINDS[request.param]())


def test_the_estimator_says_what_was_learned(fitted: tuple[str, Captioner]) -> None:
    kind, model = fitted
    shown, said = KINDS[kind](20, seed=8)
    assert model.score(shown, said) > 0.8
    assert model.score((shown, said)) == pytest.approx(model.score(shown, said))
    best = model.n_best(shown, 2)
    assert [own[0][0] for own in best] == model.predict(shown).tolist() and all(len(own) == 2 for own in best)
    looks = model.looks(shown)
    lengths = [16] * 20 if kind == "pictures" else [len(film) for film in shown]
    for look, length in zip(looks, lengths, strict=True):
        assert look.weights.shape[0] == len(look.units) and look.units[-1] == ""
        np.testing.assert_allclose(look.weights[:, :length].sum(1), 1, atol=0.01)
    assert clone(model).get_params() == model.get_params()


def test_the_page_shows_pictures_captions_and_where_they_looked(fitted: tuple[str, Captioner], tmp_path: Path) -> None:
    kind, model = fitted
    text = report.write(model.trained_.run, tmp_path / "page.html").read_text(encoding="utf-8")
    sections = model.trained_.run.results()["sections"]
    assert text.count("data:image/png") >= len(sections["shown"])
    assert "nearest by points" in text and "Where it looked" in text
    for row in sections["few"]:
        assert row["references"][0] in text
    told = "the rest is dark" if kind == "pictures" else "looked at each step of the film"
    assert text.count(told) >= len(sections["few"])


@pytest.mark.parametrize("given", [{}, {"word": "1"}, {"caption": None, "word": "2"}])
def test_attributions_add_up_to_the_score(fitted: tuple[str, Captioner], given: dict[str, Any]) -> None:
    kind, model = fitted
    shown, said = KINDS[kind](3, seed=2)
    if "caption" in given:
        given = {**given, "caption": said[1]}
    found = gatework.explain(model, (shown, said), row=2, **given)
    assert found.attribution.error < 0.01
    assert found.attribution.steps.sum() == pytest.approx(found.attribution.difference, rel=0.01, abs=1e-3)
    assert len(found.steps) == (16 if kind == "pictures" else len(shown[1]))
    assert found.looked is not None and found.looked.weights.shape == (len(found.looked.rows), len(found.steps))
    page = render(found)
    assert ("the rest is dark" in page) == (kind == "pictures")


def test_what_cannot_be_explained_is_named(fitted: tuple[str, Captioner]) -> None:
    kind, model = fitted
    source = KINDS[kind](3, seed=2)
    for given, told in (({}, "name one"), ({"row": 9}, "no row 9"), ({"row": 1, "word": "zebra"}, "no 'zebra'")):
        with pytest.raises((DataError, OptionError), match=told):
            gatework.explain(model, source, **given)


def test_a_saved_model_is_loaded(fitted: tuple[str, Captioner], tmp_path: Path) -> None:
    kind, model = fitted
    model.save(tmp_path / "run")
    shown, _ = KINDS[kind](5, seed=1)
    assert Captioner.load(tmp_path / "run").predict(shown).tolist() == model.predict(shown).tolist()


def test_unlike_counts_are_refused() -> None:
    shown, said = described.pictures(5)
    with pytest.raises(DataError, match="5 pictures, but 4 captions"):
        Captioner().fit(shown, said[:4])
