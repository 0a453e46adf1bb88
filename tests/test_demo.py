"""`gatework demo`: the built-in data, and a short run of it from end to end."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gatework.cli import app
from gatework.commands import demo
from gatework.data import embedded
from gatework.training.run import Run


def test_sentences_come_with_the_one_library_they_are_from() -> None:
    rows = embedded.sentences()
    assert rows == embedded.sentences()
    assert len(rows) == len({row["text"] for row in rows}) > 2000
    assert {row["library"] for row in rows} == set(embedded.SUBJECTS)
    assert not [row for row in rows if row["library"] in row["text"].lower()], "a sentence names its label"
    assert all(len(re.findall("[A-Za-z]+", row["text"])) >= embedded.FEWEST_WORDS for row in rows)


def test_a_sentence_of_a_known_docstring_is_there() -> None:
    import statistics

    first = (statistics.median.__doc__ or "").strip().partition("\n")[0]
    assert {"text": first, "library": "statistics"} in embedded.sentences(("statistics", "decimal"))


def test_missing_sources_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(embedded, "_folder", lambda: tmp_path)
    with pytest.raises(embedded.DataError, match="holds no sources"):
        embedded.sentences()


def test_the_manual_says_nothing_twice() -> None:
    text = embedded.manual()
    long = [part for part in text.split("\n\n") if len(part) > 80]
    assert len(text) > 200_000 and len(long) == len(set(long))
    assert "Assignment" in text


def test_digits_are_the_dots_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    header, *lines = embedded.digits().splitlines()
    images, labels = load_digits(return_X_y=True)
    assert header == "id,line,dot1,dot2,dot3,dot4,dot5,dot6,dot7,dot8,digit" and len(lines) == 8 * len(images)
    number = 1234
    rows = [list(map(int, line.split(","))) for line in lines[8 * number : 8 * number + 8]]
    assert [row[0] for row in rows] == [number] * 8 and [row[1] for row in rows] == list(range(8))
    assert [row[2:10] for row in rows] == images[number].reshape(8, 8).tolist()
    assert {row[10] for row in rows} == {labels[number]}


@pytest.mark.parametrize(
    ("text", "column", "rows", "missing", "first", "last"),
    [
        (embedded.sunspots(), "month,sunspots", 2820, 0, "1749-01-01,58.0", "1983-12-01,33.4"),
        (embedded.co2(), "week,co2", 2284, 59, "1958-03-29,316.1", "2001-12-29,371.5"),
    ],
)
def test_series_are_whole_and_say_where_they_are_from(
    text: str, column: str, rows: int, missing: int, first: str, last: str
) -> None:
    from datetime import date

    header, *lines = text.splitlines()
    days = [date.fromisoformat(line.partition(",")[0]) for line in lines]
    gaps = {(after - before).days for before, after in pairwise(days)}
    assert (header, len(lines), lines[0], lines[-1]) == (column, rows, first, last)
    assert gaps == ({7} if column.startswith("week") else {28, 29, 30, 31})
    assert sum(line.endswith(",") for line in lines) == missing
    source = embedded.series_source()
    assert f"{column.partition(',')[2]}.csv" in source and "public domain" in source


def test_a_taken_folder_gets_a_number(tmp_path: Path) -> None:
    assert demo.free(tmp_path / "demo") == tmp_path / "demo"
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo-2").mkdir()
    assert demo.free(tmp_path / "demo") == tmp_path / "demo-3"


def test_what_is_shown() -> None:
    from gatework import tasks

    assert {"classify", "forecast", "generate"} <= {each.task for each in demo.DEMOS} <= set(tasks.names())
    assert len({each.name for each in demo.DEMOS}) == len(demo.DEMOS)


def test_an_unknown_job_is_named() -> None:
    result = CliRunner().invoke(app, ["demo", "--job", "sentence"])
    assert result.exit_code == 2 and "did you mean 'sentences'?" in result.output


def test_the_demo_ends_with_results_and_reports(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    chosen = {"digits": "accuracy", "manual": "nats per character", "co2": "mase"}
    flags = [word for name in chosen for word in ("--job", name)]
    arguments = ["demo", "--out", str(out), *flags, "--time-limit", "0.3", "--quiet"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    for name, metric in chosen.items():
        report = out / name / "report.html"
        assert report.exists() and str(report) in result.output.replace("\n", "")
        assert metric in result.output
        assert f"{Run.open(out / name).results()['test'][metric.replace(' ', '_')]:.4f}" in result.output


@pytest.mark.paths
def test_the_command_shown_is_the_training_that_ran(tmp_path: Path) -> None:
    each = demo.wanted(["digits"])[0]
    data, options = tmp_path / each.file, {**each.options, "time_limit": 0.2}
    each.write(data)
    trained = demo.train(each.task, data, tmp_path / "one", options, quiet=True)
    words = shlex.split(demo.command(each.task, data, tmp_path / "the second", options))
    result = CliRunner().invoke(app, [*words[1:], "--quiet"])
    assert result.exit_code == 0, result.output
    assert "report: " + str(tmp_path / "the second" / "report.html") in result.output.replace("\n", "")
    one, two = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("one", "the second"))
    assert one["options"] == two["options"] and one["data"]["sha256"] == two["data"]["sha256"]
    assert trained.run.path == tmp_path / "one"
