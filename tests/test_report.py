"""The report: what it shows of real results, what it says in words, and that data cannot become HTML."""

from __future__ import annotations

import copy
import json
import re
import shlex
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gatework import report, tasks
from gatework.errors import FileFormatError
from gatework.pages import words
from gatework.pages.picture import Picture, picture
from gatework.report import equations, page, plots
from gatework.tasks import jobs
from gatework.tasks.base import Page as OwnPage
from gatework.tasks.base import Usage
from gatework.tasks.classify.page import MOST_CELLS, calibrated
from gatework.training.run import Run
from toy import Toy, ToyOptions

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> $\\frac{a$ & {{ 7*7 }} 漢字"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Tags with their attributes and the text of a page; complains about tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self.open[-1:] != ["style"] else ""


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Texts and labels that hold markup; one in ten is mislabelled so that there are errors."""
    rows = [{"text": f"{'good' if n % 2 else 'bad'} film {n} {EVIL}", "label": f"{EVIL} {n % 2}"} for n in range(120)]
    for row in rows[::10]:
        row["label"] = f"{EVIL} 1"
    folder = tmp_path_factory.mktemp("classified")
    source = folder / "<b>data.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kind = tasks.get("classify")
    small = {"hidden_size": 4, "embedding_size": 4, "epochs": 2, "ngrams": "none", "subwords": 0}
    trained = jobs.train(kind(kind.Options.of(small)), source, out=folder / "run $(x) it's", quiet=True)
    report.write(trained.run)
    return trained.run


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Run:
    text = "".join(f"the <b>cat</b> {n} sat & sat on the <i>mat</i>.\n" for n in range(60))
    kind = tasks.get("generate")
    small = {"hidden_size": 8, "sequence_length": 8, "batch_size": 4, "epochs": 2, "sample_length": 20, "dynamic": True}
    out = tmp_path_factory.mktemp("generated") / "run"
    trained = jobs.train(kind(kind.Options.of(small)), [text], out=out, quiet=True)
    report.write(trained.run)
    return trained.run


def html(run: Run) -> str:
    return (run.path / "report.html").read_text()


def redrawn(run: Run, results: dict[str, Any]) -> str:
    return page.Report(run, results).render()


# -- what is shown --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["classified", "generated"])
def test_a_page_stands_alone(which: str, request: pytest.FixtureRequest) -> None:
    parsed = Page(html(request.getfixturevalue(which)))
    names = {tag for tag, _ in parsed.tags}
    assert not names & {"script", "link", "iframe", "object", "form", "base"}
    assert all(str(attributes["src"]).startswith("data:image/") for tag, attributes in parsed.tags if tag == "img")
    assert not [attributes for _, attributes in parsed.tags if any(key.startswith("on") for key in attributes)]
    policies = [a["content"] for tag, a in parsed.tags if tag == "meta" and "http-equiv" in a]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"]
    assert "{{" not in re.sub(r"\{\{ 7\*7 \}\}", "", parsed.text)


def test_data_cannot_become_html(classified: Run) -> None:
    text = html(classified)
    parsed = Page(text)
    assert "<script" not in text and "onerror=alert" in parsed.text and "<script>alert(1)</script>" in parsed.text
    assert "{{ 7*7 }}" in parsed.text, "templates in the data are not run"
    assert sum(tag == "b" for tag, _ in parsed.tags) == text.count("<b>") and "<b>data.jsonl" in parsed.text
    assert "&lt;b&gt;data.jsonl" in text


def test_results_errors_and_baselines_of_classify(classified: Run) -> None:
    results, shown = classified.results(), Page(html(classified)).text
    for value in (results["test"]["accuracy"], results["contenders"][-1]["metrics"]["macro_f1"]):
        assert f"{value:.1%}" in shown
    assert "TF-IDF" in shown and "majority" in shown and results["data"]["sha256"] in shown
    assert results["sections"]["worst"], "the data has errors by design"
    for row in results["sections"]["worst"]:
        assert row["text"] in shown and f"{row['confidence']:.1%}" in shown
    assert all(sentence in shown for sentence in words.gap(results["history"], results))
    assert calibrated(results["sections"]["calibration"]["error"]) in shown


def test_samples_and_costs_of_generate(generated: Run) -> None:
    results, shown = generated.results(), Page(html(generated)).text
    for sample in results["sections"]["samples"]:
        assert sample["prompt"] + sample["text"] in shown and f"Temperature {sample['temperature']}" in shown
    for baseline in results["contenders"]:
        assert baseline["name"] in shown and words.number(baseline["metrics"]["bits_per_character"]) in shown
    assert "perplexity" in shown and "Dynamic evaluation" in shown


def test_the_cell_and_the_use_of_the_model(classified: Run) -> None:
    shown = Page(html(classified)).text
    assert "c = f⊙c₋ + i⊙g" in shown and "\\begin{aligned}" in shown
    found = page.use(classified, tasks.get("classify"))
    assert all(line in shown for line in [*found.commands, *found.python])
    assert shlex.split(found.commands[0])[2] == str(classified.path), "a path with quotes and $ can be pasted"
    spoken: dict[str, Any] = {}
    exec("\n".join(found.python), spoken)
    assert spoken["model"].classes_.tolist() == sorted(classified.results()["data"]["labels"])


def test_plots_lie_beside_the_report(classified: Run) -> None:
    names = {path.name for path in (classified.path / "plots").iterdir()}
    assert names == {"loss.png", "metric.png", "calibration.png", "confusion.png"}
    for name in names:
        assert (classified.path / "plots" / name).read_bytes().startswith(b"\x89PNG")


def test_the_same_results_give_the_same_page(classified: Run) -> None:
    before = html(classified)
    assert report.write(classified.path) == classified.path / "report.html"
    assert html(classified) == before


def test_a_run_without_results_is_refused(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", task="generate", options={}, data={}, assets={})
    with pytest.raises(FileFormatError, match="the training has not finished"):
        report.write(run)


# -- results that are out of the ordinary -----------------------------------------------------------------------


def test_a_baseline_that_wins_is_said_and_marked(classified: Run) -> None:
    results = copy.deepcopy(classified.results())
    results["test"]["accuracy"], results["contenders"][-1]["metrics"]["accuracy"] = 0.5, 0.75
    results["comparison"]["earned"] = "baseline"
    results["verdict"] = "The baseline is better: accuracy 0.5 against 0.75."
    text = redrawn(classified, results)
    assert page.won(results) is False and 'class="verdict lost"' in text and results["verdict"] in text
    rows = page.result_table(results)["rows"]
    assert rows[0][2][0] == (0.5, False) and rows[-1][2][0] == (0.75, True)
    for earned, colour in {"both": "won", "network": "won", "simple": "none", "even": "none", "few": "none"}.items():
        results["comparison"]["earned"] = earned
        assert f'class="verdict {colour}"' in redrawn(classified, results)
    results["contenders"] = results["contenders"][:1]
    assert page.bars(results) == [("this model", 0.5, 100.0)]


def test_lower_is_better_where_it_is(generated: Run) -> None:
    results = copy.deepcopy(generated.results())
    results["test"]["nats_per_character"] = 0.01
    assert page.result_table(results)["rows"][0][2][0] == (0.01, True)
    results["test"]["nats_per_character"] = 9.0
    assert page.result_table(results)["rows"][0][2][0] == (9.0, False)


def test_nothing_learned_nothing_wrong_nothing_tested(classified: Run) -> None:
    results = copy.deepcopy(classified.results())
    results["history"], results["test"] = [], None
    results["sections"]["worst"] = results["sections"]["most_confused"] = []
    results["valid"]["loss"] = float("nan")
    shown = Page(redrawn(classified, results)).text
    assert "No loss was recorded." in shown and "There is no error on this part." in shown
    assert "Measured on the validation part" in shown and "not a number" in shown


def test_many_classes_become_a_picture(classified: Run) -> None:
    results = copy.deepcopy(classified.results())
    count = MOST_CELLS + 1
    matrix = [[int(row == column) for column in range(count)] for row in range(count)]
    results["sections"]["confusion"] = {"labels": [EVIL] * count, "matrix": matrix}
    text = redrawn(classified, results)
    assert 'class="matrix"' not in text and "Which class was taken for which" in Page(text).text


def test_sections_of_other_tasks_are_tables(generated: Run) -> None:
    results = copy.deepcopy(generated.results())
    results["sections"] |= {"error_by_step": [{"step": 1, "sha256": 0.5}, {"step": 2, "sha256": EVIL}], "remark": EVIL}
    text = redrawn(generated, results)
    parsed = Page(text)
    assert "Error by step" in parsed.text and "SHA-256" in parsed.text and "<script" not in text
    assert parsed.text.count("<script>alert(1)</script>") == 2


def test_a_run_of_a_task_that_is_not_installed_has_a_plain_page(classified: Run) -> None:
    run = Run(classified.path, {**classified.config, "task": "gone"})
    text = page.Report(run, run.results()).render()
    shown = Page(text).text
    assert run.results()["verdict"] in shown and "Loss by epoch" in shown and "most confused" in shown.lower()
    assert "Class by class" not in shown and "Labels of the training part" not in shown
    assert f"gatework predict {shlex.quote(str(run.path))} new.jsonl" in shown and "<script" not in text


class Shown(Toy):
    """A toy with a page of its own: words, a picture that lies beside it, and counts."""

    place: ClassVar[Path]

    @classmethod
    def folder(cls) -> Path:
        return cls.place

    @classmethod
    def page(cls, results: Mapping[str, Any], options: Mapping[str, Any]) -> OwnPage:
        names = {"said": f"{EVIL} {results['metric']['name']}"}
        return OwnPage("own.html", names, frozenset({"drawn"}), {"kinds": "Kinds of rows"}, "About metrics.", ("line",))

    @classmethod
    def pictures(cls, sections: Mapping[str, Any]) -> dict[str, Picture]:
        return {"line": picture("line", "A line", lambda axes: axes.plot(sections["drawn"]))}

    @classmethod
    def usage(cls, run: str, new: str, options: Mapping[str, Any]) -> Usage:
        return Usage(["gatework toy"], ["import toy"])


def test_a_task_brings_its_own_part_of_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shown, "place", tmp_path, raising=False)
    monkeypatch.setattr(tasks, "get", lambda name: Shown)
    (tmp_path / "own.html").write_text(
        '{% import "macros.html" as m with context %}<h2>Own part</h2><p>{{ said }}</p>{{ m.picture("line") }}'
    )
    run = jobs.train(Shown(ToyOptions()), [str(n) for n in range(9)], out=tmp_path / "run", quiet=True).run
    results = run.results()
    run.write_results(
        {**results, "sections": {"drawn": [1, 2]}, "data": {**results["data"], "kinds": {"x": 7, "y": 2}}}
    )
    text = report.write(run).read_text()
    shown = Page(text).text
    assert "Own part" in shown and f"{EVIL} loss" in shown and "Drawn" not in shown and "<script" not in text
    assert (
        "Kinds of rows" in shown and "About metrics." in shown and "gatework toy\n" in shown and 'alt="A line"' in text
    )
    assert (run.path / "line.png").read_bytes() == (run.path / "plots" / "line.png").read_bytes()


def test_a_further_task_names_its_metrics() -> None:
    """And says which way is better, for the marks in tables."""
    assert words.named("toy_score") == "toy score" and words.best_of("toy_score", [1.0, 2.0]) is None
    try:
        words.know({"toy_score": "ToyScore"}, higher=["toy_score"], lower=["toy_cost"])
        assert words.named("toy_score") == "ToyScore" and words.best_of("toy_score", [1.0, None, 2.0]) == 2.0
        assert words.best_of("toy_cost", [1.0, float("nan"), 2.0]) == 1.0 and words.best_of("toy_cost", [1.0]) is None
    finally:
        for known in (words.NAMES, words.HIGHER):
            for key in ("toy_score", "toy_cost"):
                known.pop(key, None)


# -- words and numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (1234567, "1,234,567"), (0.123456, "0.1235"), (12345.6, "12,346"), ("a", "a")],
)
def test_numbers(value: Any, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "0.2 s"), (59.4, "59 s"), (75, "1 min 15 s"), (3600, "1 h"), (7384, "2 h 3 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def curve(train: list[float], valid: list[float]) -> str:
    rows = [
        {"epoch": n + 1.0, "train_loss": t, "valid_loss": v} for n, (t, v) in enumerate(zip(train, valid, strict=True))
    ]
    return " ".join(words.gap(rows))


def test_what_curves_say() -> None:
    assert "still falling" in curve([3, 2, 1.0], [3, 2, 1.0]) and "no gap" in curve([3, 2, 1.0], [3, 2, 1.0])
    assert "hardly moved in the last" in curve([3, 2, 0.5, 0.44, 0.43, 0.43], [3, 2, 0.5, 0.44, 0.43, 0.429])
    assert "hardly moved in the last" in curve([2, 1e-4, 1.1e-5, 1e-5], [2, 1e-4, 1.1e-5, 1e-5])
    overfitted = curve([2, 1, 0.1], [2, 1, 1.5])
    assert "a gap of 1.4" in overfitted and "lowest in epoch 2 and rose by 0.5" in overfitted
    assert "hardly moved" in curve([2, 1, 0.9], [2, 1, 1.01])
    assert "dropout is off" in curve([2], [1]) and "too few" in curve([2], [1])
    assert curve([float("nan")], [1]) == "No loss was recorded."


def test_the_gap_is_between_what_was_measured_alike() -> None:
    rows = [{"epoch": 1.0, "train_loss": 9.0, "valid_loss": 2.0}]

    def said(train: float, valid: float, accuracy: float = 0.7) -> str:
        parts = {"train": {"loss": train, "accuracy": 0.9}, "valid": {"loss": valid, "accuracy": accuracy}}
        return words.gap(rows, {**parts, "metric": {"name": "accuracy", "higher": True}})[0]

    assert "0.5 on training rows and 2 on validation (accuracy 90.0% and 70.0%)" in said(0.5, 2)
    assert "a gap of 1.5" in said(0.5, 2)
    assert "no gap" in said(1.99, 2)
    assert "does not overfit" in said(2, 1, accuracy=0.9)
    assert "the harder one by accuracy" in said(2, 1) and "does not overfit" not in said(2, 1)
    assert words.gap(rows, {"train": None, "valid": None})[0] == words.gap(rows)[0], "of runs before it was measured"


def test_curves_of_losses_compare_like_with_like() -> None:
    """Where the model is more than its network, both curves of training are the network's, and say so."""
    row = {"epoch": 1.0, "train_loss": 2.0, "valid_loss": 1.0}
    plain, mixed = plots.loss_curves([row]), plots.loss_curves([{**row, "valid_network_loss": 2.5}])
    assert "network" not in plain.caption and "of the network" in mixed.caption and "as it answers" in mixed.caption
    assert mixed.svg.count(b'id="line2d_') > plain.svg.count(b'id="line2d_')
    later = [{**row, "valid_network_loss": 2.5}, {**row, "epoch": 2.0, "valid_network_loss": 2.2}]
    assert "a gap of 0.5" in words.gap(later[:1])[0]
    assert "The network's validation loss was still falling" in words.gap(later)[1]


def test_every_cell_has_its_equations() -> None:
    from gatework import cells

    for name in cells.names():
        found = equations.of(name)
        assert found is not None and found.lines and all(line.text for line in found.lines), name
    lstm = equations.of("lstm")
    assert lstm is not None and all(line.uri for line in lstm.lines)
    assert equations.of("no such cell") is None


def test_a_picture_of_equations_fails_softly() -> None:
    assert equations.image("a &= \\begin{cases}1\\end{cases}") is None


def test_all_pages_have_one_head() -> None:
    """No page opens a document of its own: the policy that forbids scripts is written once."""
    own = Path(report.__file__).parents[1].glob("*/templates/*.html")
    texts = {path.name: path.read_text(encoding="utf-8") for path in own}
    assert [name for name, text in texts.items() if "<head>" in text] == ["base.html"]
    assert not [
        path for path in Path(report.__file__).parents[1].glob("tasks/*/*.html") if "<head>" in path.read_text()
    ]
    pages = {name for name, text in texts.items() if text.startswith('{% extends "base.html" %}')}
    assert pages == {"page.html", "tune.html", "explain.html", "diagnose.html", "compare.html"}
