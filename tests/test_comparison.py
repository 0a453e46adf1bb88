"""Runs beside each other: lists that tell broken runs, and comparisons whose intervals are of the same examples."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

import gatework
from gatework import cli, tasks
from gatework.comparison.compare import Comparison, Side, other_data
from gatework.errors import FileFormatError, OptionError
from gatework.tasks import jobs
from gatework.tasks.kept import kept
from gatework.training.callbacks import Callback
from gatework.training.learner import Metric
from gatework.training.locks import alone
from gatework.training.run import SUMS, Run
from gatework.training.trainer import INTERRUPTED
from small import CASES
from toy import Toy, ToyOptions

ROWS = [0.5, -1.0, 2.0, 0.25, 1.5, -0.5, 1.0, 3.0]
TEXTS = CASES[0]


class Stop(Callback):
    def stepped(self, trainer: Any) -> None:
        trainer.stop(INTERRUPTED)


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on the same texts: two that are alike, one that was drawn with another seed, one that watches alike."""
    folder = tmp_path_factory.mktemp("runs")
    rows = TEXTS.source()
    wide = {name: values * 4 for name, values in rows.items()}
    wide["text"] = [f"{text} {number}" for number, text in enumerate(wide["text"])]
    for name, options in {"a": {}, "b": {"hidden_size": 4}, "seed": {"seed": 2}}.items():
        task = TEXTS.task(tune_threshold=False, test_share=0.3, **options)
        jobs.train(task, wide, out=folder / name, quiet=True)
    return folder


# -- lists --------------------------------------------------------------------------------------------------


def test_a_list_tells_runs_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    jobs.train(Toy(ToyOptions()), ROWS, out="runs/done", quiet=True)
    jobs.train(Toy(ToyOptions(epochs=3)), ROWS, out="runs/deep/er/left", quiet=True, callbacks=[Stop()])
    shutil.copytree("runs/done", "runs/broken")
    Path("runs/broken/config.json").write_text("{")
    shutil.copytree("runs/done", "runs/odd")
    results = json.loads(Path("runs/odd/results.json").read_text())
    Path("runs/odd/results.json").write_text(json.dumps(results | {"metric": {"name": "loss"}, "comparison": [1]}))
    Path("runs/link").symlink_to(tmp_path)
    found = {each.run: each for each in gatework.runs("runs")}
    states = {"runs/done": "done", "runs/deep/er/left": "interrupted", "runs/broken": "damaged", "runs/odd": "damaged"}
    assert {run: each.state for run, each in found.items()} == states
    done = found["runs/done"]
    assert (done.task, done.data, done.metric, done.part) == ("toy", "rows in memory", "loss", "test")
    assert done.value is not None and math.isclose(done.value, Run.open("runs/done").results()["test"]["loss"])
    assert done.bytes == sum(path.stat().st_size for path in Path("runs/done").rglob("*") if path.is_file())
    assert found["runs/deep/er/left"].note == "1 of 3 epochs"
    with alone(Path("runs/deep/er/left")):
        shown = invoke("runs")
    assert shown.exit_code == 0 and "running (1 of 3 epochs)" in shown.stdout
    assert "runs/broken: " in shown.stderr, "and why"
    lines = [json.loads(line) for line in invoke("runs", "runs", "--json").stdout.splitlines()]
    assert {line["run"]: line["state"] for line in lines} == states
    assert invoke("runs", "nowhere").exit_code == 2


def test_a_list_says_who_earned_a_result(folder: Path) -> None:
    best = {Path(each.run).name: each for each in gatework.runs(folder)}["a"]
    results = Run.open(folder / "a").results()
    assert (best.against, best.other) == (results["comparison"]["against"], results["comparison"]["other"])
    assert best.earned == results["comparison"]["earned"]
    assert str(best.against) in invoke("runs", folder).stdout


# -- what is kept -------------------------------------------------------------------------------------------


def test_kept_sums_give_the_result_and_are_small(folder: Path) -> None:
    trained = jobs.load(folder / "a")
    found = kept(trained.run)
    assert found is not None
    assert (folder / "a" / SUMS).stat().st_size < 10_000
    score = trained.task.score(found.sums.sum(0), "accuracy")
    assert math.isclose(float(score), trained.run.results()["test"]["accuracy"], rel_tol=1e-6)


@pytest.mark.parametrize("change", ["shape", "kind", "about", "other"])
def test_sums_of_a_stranger_are_refused(folder: Path, tmp_path: Path, change: str) -> None:
    path = tmp_path / "run"
    shutil.copytree(folder / "a", path)
    run = Run.open(path)
    tensors, about = run.sums()
    known = about["about"]
    if change == "shape":
        tensors["sums"] = tensors["sums"].flatten()
    if change == "kind":
        tensors["blocks"] = torch.zeros(len(tensors["sums"]))
    if change == "about":
        known = {"part": 1}
    if change == "other":
        shutil.copy(folder / "b" / SUMS, path)
    else:
        run.save_sums(tensors, known)
    with pytest.raises(FileFormatError):
        gatework.compare(path, folder / "b")


# -- comparisons --------------------------------------------------------------------------------------------


def test_runs_on_the_same_examples_are_paired(folder: Path) -> None:
    found = gatework.compare(folder / "a", folder / "b")
    assert found.options == {"hidden_size": [6, 4]}
    first, second = found.results
    assert second.paired and second.difference is not None and first.difference is None
    sums = [kept(side.run) for side in found.sides]
    gap = [
        float(np.diff([each.sums.sum(0)[:2].sum() for each in sums if each])[0]) / len(sums[0].sums if sums[0] else [])
    ]
    assert math.isclose(second.difference.difference, gap[0], rel_tol=1e-6, abs_tol=1e-9)
    assert second.difference.low is not None and second.difference.high is not None
    assert second.difference.low <= second.difference.difference <= second.difference.high
    assert "paired, 96 rows" in found.sentences[0]
    itself = gatework.compare(folder / "a", folder / "a").results[1].difference
    assert itself is not None and (itself.low, itself.high) == (0.0, 0.0), "paired, a run is surely as good as itself"


def test_runs_on_other_examples_have_wider_intervals_and_say_why(folder: Path) -> None:
    found = gatework.compare(folder / "a", folder / "seed")
    gap = found.results[1]
    assert not gap.paired and "seed differs" in gap.why and "unpaired, as they were measured" in found.sentences[0]
    assert gap.difference is not None and gap.difference.low is not None and gap.difference.high is not None
    wide = [row.high - row.low for row in found.results if row.high is not None and row.low is not None]
    whole = gap.difference.high - gap.difference.low
    assert max(wide) < whole < sum(wide), "as of two independent values"


def test_runs_on_other_data_are_not_judged(folder: Path) -> None:
    first, second = Side.open(folder / "a"), Side.open(folder / "b")
    assert first.kept is not None and second.kept is not None
    other = replace(second.kept, about={**second.kept.about, "data": "of another file"})
    found = Comparison([first, replace(second, kept=other)], Metric("accuracy", True), "")
    assert found.results[1].difference is None
    assert found.sentences[0].endswith("is not compared with " + first.name + ": they were measured on other data.")
    second.run.config["options"]["label"] = "another"
    assert "other data: label differs" in other_data(first, second)


def test_where_the_seed_draws_no_rows_other_seeds_are_paired(tmp_path: Path) -> None:
    kind = tasks.get("generate")
    for seed in (1, 2):
        task = kind(kind.Options.of({"seed": seed, "epochs": 0, "hidden_size": 4, "test_share": 0.4}))
        jobs.train(task, ["abc dcba " * 900], out=tmp_path / str(seed), quiet=True)
    found = gatework.compare(tmp_path / "1", tmp_path / "2")
    assert found.options == {"seed": [1, 2]} and found.results[1].paired


def test_the_sign_follows_the_metric(tmp_path: Path) -> None:
    jobs.train(Toy(ToyOptions(shift=1.0)), ROWS, out=tmp_path / "far", quiet=True)
    jobs.train(Toy(ToyOptions(shift=0.4)), ROWS, out=tmp_path / "near", quiet=True)
    shown = str(bare(tmp_path, "far", "near"))
    assert "0.6 better; no interval" in shown and "kept nothing to pair" in shown, "a lower loss is better"


def bare(folder: Path, *names: str) -> Comparison:
    """A comparison of runs of a task that `gatework.tasks` does not know; it kept no sums."""
    return gatework.compare(*(folder / name for name in names))


def test_text_json_and_page_say_the_same(folder: Path, tmp_path: Path) -> None:
    words = ["compare", folder / "a", folder / "b", folder / "seed"]
    shown = invoke(*words, "--page", tmp_path / "new" / "page.html")
    assert shown.exit_code == 0, shown.output
    assert "hidden size" in shown.stdout and "▁" in shown.stdout
    page = (tmp_path / "new" / "page.html").read_text()
    told = json.loads(invoke(*words, "--json").stdout)
    assert [run["run"] for run in told["runs"]] == [str(path) for path in words[1:]]
    for sentence in told["sentences"]:
        assert sentence in shown.stdout and sentence.partition(" is ")[0].partition(" cannot")[0] in page
    assert "data:image/svg+xml" in page and "<script" not in page


def test_what_cannot_be_compared_is_refused(folder: Path, tmp_path: Path) -> None:
    jobs.train(Toy(ToyOptions()), ROWS, out=tmp_path / "toy", quiet=True)
    with pytest.raises(OptionError, match="is a run of 'toy'"):
        gatework.compare(folder / "a", tmp_path / "toy")
    with pytest.raises(OptionError, match="at least two"):
        gatework.compare(folder / "a")
    jobs.train(Toy(ToyOptions()), ROWS, out=tmp_path / "left", quiet=True, callbacks=[Stop()])
    with pytest.raises(OptionError, match="gatework resume"):
        gatework.compare(tmp_path / "left", tmp_path / "left")
    half = gatework.compare(tmp_path / "toy", tmp_path / "left")
    assert "not finished" in str(half) and half.to_dict()["runs"][1]["value"] is None
