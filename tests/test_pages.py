"""Every kind of page: in a browser at three widths, in the dark and in print, and its outline for those who hear it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import gatework
from browser import AXE, CHROMIUM, FOLDED, Page, browser
from gatework import report
from gatework.pages.outline import outlined
from gatework.pages.parts import part, spoken
from gatework.pages.words import apart, measured
from gatework.tasks import jobs
from small import CASES, Small, reviews

WIDTHS = (1280, 768, 390)
KINDS = [each for number, each in enumerate(CASES) if str(each) not in map(str, CASES[:number])]


def test_headings_become_contents() -> None:
    body = "".join(f"<section><h2>{name}</h2></section>" for name in ("The data", "<code>a</code> &amp; b", "C", "C"))
    page = outlined(body)
    assert [anchor for anchor, _ in page.contents] == ["the-data", "a-amp-b", "c", "c-2"]
    assert '<h2 id="the-data">The data</h2>' in page.body and '<h2 id="c-2">C</h2>' in page.body
    assert outlined("<h2>One</h2>").contents == [], "a short page needs none"


def test_tables_say_what_they_are_and_what_their_heads_head() -> None:
    table = "<table><tr><th></th><th>a</th></tr><tr><th>x</th><td>1</td></tr></table>"
    own = table.replace("<table>", "<table><caption>Mine</caption>")
    body = str(outlined(f"<h2>The data</h2>{table}<h3>More <b>of</b> it</h3>{table}{own}").body)
    assert body.count('<thead><tr><td></td><th scope="col">a</th></tr></thead>') == 3
    assert body.count('<tr><th scope="row">x</th><td>1</td></tr>') == 3
    assert '<caption class="unseen">The data</caption>' in body and ">More of it</caption>" in body
    assert body.count("<caption>Mine</caption>") == 1 and body.count("<caption") == 3


def test_a_table_without_a_head_has_heads_of_rows_alone() -> None:
    body = str(outlined("<h2>A</h2><table><tr><th>source</th><td>x</td></tr></table>").body)
    assert '<tr><th scope="row">source</th>' in body and "thead" not in body


def test_a_measure_has_the_same_digits_everywhere() -> None:
    assert measured("accuracy", 0.83514) == "83.5%" and apart("accuracy", 0.0309) == "3.1 points"
    assert measured("accuracy", float("nan")) == "not a number" and measured("accuracy", None) == "–"
    assert measured("mase", 0.83514) == "0.8351" and apart("mase", 0.0309) == "0.0309"
    assert apart("accuracy", 0.0004, unit=False) == "0.04"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("members.0.encoder.encoder.layers.0.weight_hh_l0", "encoder, layer 1: recurrent weights"),
        ("members.1.context.bias", "network 2, context: biases"),
        ("recurrent.layers.0.weight_f_h_l0", "recurrent, layer 1: weights of f from h"),
        ("decoder.encoder.layers.1.bias_ih_l0_reverse", "decoder, encoder, layer 2: input biases, backward"),
        ("weight_ih_l1", "input weights of layer 2"),
        ("embedding.weight", "embedding: weights"),
    ],
)
def test_parts_of_networks_have_names_that_people_know(path: str, said: str) -> None:
    assert part(path) == said


def test_sentences_name_parts_in_words_and_keep_the_rest() -> None:
    text = "members.0.encoder.layers.0 backward: stuck. Look at runs.layers of 0.5, e.g. <code>--layers 2</code>"
    assert spoken(text) == text.replace("members.0.encoder.layers.0", "encoder, layer 1")


# -- in a browser -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here, so that no page is looked at: apt-get install chromium")
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    return trained(CASES[0], tmp_path_factory.mktemp("texts") / "run")


def trained(small: Small, out: Path) -> jobs.Trained:
    return jobs.train(small.task(), small.source(), out=out, quiet=True)


def must_be_fine(page: Page, path: Path) -> None:
    """Nothing is cut, hidden in print, hard to read or said to the console."""
    page.said.clear()
    page.open(path)
    for width in WIDTHS:
        page.look(width)
        assert page.beyond(width) == []
    for scheme in ("light", "dark") if AXE.exists() else ():
        page.look(WIDTHS[0], scheme=scheme)
        assert not page.axe(), scheme
    page.look(700, media="print")
    assert page.ask(FOLDED) == []
    assert page.said == []


def test_a_fault_is_found(page: Page, tmp_path: Path) -> None:
    """What the other tests look for: something too wide, something folded, a script that fails."""
    path = tmp_path / "bad.html"
    wide = '<div style="width:1500px">wide</div><details><summary>s</summary><p>folded</p></details>'
    path.write_text(f'<html lang="en"><title>bad</title><main>{wide}</main><script>throw Error("no")</script>')
    page.open(path)
    page.look(1280)
    assert any("wide" in each for each in page.beyond(1280))
    assert page.ask(FOLDED) and any("Error: no" in said for said in page.said)


@pytest.mark.skipif(not AXE.exists(), reason="no axe-core here, so that pages are looked at without it: make axe")
def test_axe_finds_what_is_hard_to_read(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text('<html lang="en"><title>bad</title><main><p style="color:#ccc">pale</p><img src="data:,"></main>')
    page.open(path)
    page.look(1280)
    found = " ".join(page.axe())
    assert "color-contrast" in found and "image-alt" in found


@pytest.mark.parametrize("small", KINDS, ids=str)
def test_reports(page: Page, small: Small, tmp_path: Path) -> None:
    must_be_fine(page, report.write(trained(small, tmp_path / "run").run))


def test_an_evaluation(page: Page, texts: jobs.Trained, tmp_path: Path) -> None:
    must_be_fine(page, report.evaluation(texts, reviews(), tmp_path / "evaluation.html")[1])


def test_an_explanation(page: Page, texts: jobs.Trained, tmp_path: Path) -> None:
    must_be_fine(page, gatework.explain(texts, text="a good film, a dull plot").write(tmp_path / "why.html"))


def test_a_diagnosis(page: Page, texts: jobs.Trained, tmp_path: Path) -> None:
    must_be_fine(page, gatework.diagnose(texts, reviews()).write(tmp_path / "diagnosis.html"))


def test_a_comparison(page: Page, texts: jobs.Trained, tmp_path: Path) -> None:
    other = shutil.copytree(texts.run.path, tmp_path / "another")
    must_be_fine(page, gatework.compare(texts.run.path, other).write(tmp_path / "compared.html"))


def test_a_search(page: Page, tmp_path: Path) -> None:
    options, space = CASES[0].task().options.to_dict(), {"dropout": "0..0.5"}
    gatework.tune("classify", reviews(), out=tmp_path / "tuned", options=options, space=space, trials=2, seeds=2)
    must_be_fine(page, tmp_path / "tuned" / "tune.html")
