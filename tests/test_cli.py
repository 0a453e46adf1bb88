"""The frame of the command line: messages instead of tracebacks, exit codes, help, version."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
import typer
from typer.testing import CliRunner

import gatework
from gatework import cli, tasks
from gatework.commands import predict
from gatework.errors import DataError, FileFormatError, KernelError, OptionError

FAILURES = [
    (OptionError("no option 'epoch'"), 2, "error: no option 'epoch'"),
    (DataError("a.csv, row 3"), 2, "error: a.csv, row 3"),
    (FileFormatError("cut short"), 1, "error: cut short"),
    (KernelError("no kernel"), 1, "error: no kernel"),
    (FileNotFoundError(2, "No such file or directory", "x.csv"), 2, "error: x.csv: No such file or directory"),
    (OSError(28, "No space left on device", "runs/a"), 1, "error: runs/a: No space left on device"),
    (ModuleNotFoundError("No module named 'torch'", name="torch"), 1, "[train]'"),
    (ZeroDivisionError("by zero"), 1, "ZeroDivisionError: by zero"),
]


def application(error: Exception) -> typer.Typer:
    app = typer.Typer(cls=cli.Commands, rich_markup_mode=None, pretty_exceptions_enable=False)

    @app.command()
    def fails() -> None:
        raise error

    app.callback()(lambda: None)
    return app


@pytest.mark.parametrize(("error", "code", "text"), FAILURES, ids=lambda v: type(v).__name__)
def test_errors_become_one_message_and_a_code(error: Exception, code: int, text: str) -> None:
    result = CliRunner().invoke(application(error), ["fails"])
    assert result.exit_code == code
    assert text in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.output
    assert len(result.stderr.splitlines()) == 1


def test_the_traceback_is_there_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cli.TRACEBACK, "1")
    result = CliRunner().invoke(application(KernelError("no kernel")), ["fails"])
    assert isinstance(result.exception, KernelError)


def test_bad_use_of_the_command_line_itself() -> None:
    result = CliRunner().invoke(cli.app, ["cels"])
    assert result.exit_code == 2
    assert "Did you mean 'cells'?" in result.stderr


def test_version() -> None:
    result = CliRunner().invoke(cli.app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"gatework {gatework.__version__}\n")


def test_help_of_a_task_groups_its_options() -> None:
    text = CliRunner().invoke(cli.app, ["train", "classify", "--help-all"]).stdout
    headings = [line.rstrip(":") for line in text.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == [
        *("Arguments", "Options", "Data", "Text", "Model", "Loss", "Regularisation", "Training", "Sound", "Picture")
    ]
    regularisation = text.split("Regularisation:")[1].split("Training:")[0]
    assert "--zoneout" in regularisation and "--epochs" not in regularisation
    assert "[yes]" in text.split("--nan-guard /")[1].split("--save-every")[0]


@pytest.mark.parametrize("task", tasks.names())
def test_short_help_of_a_task_fits_a_screen(task: str) -> None:
    """40 lines of 100 columns, a dozen options of the task at most, and where the others are told."""
    flags = ("--help", "--help-all")
    short, whole = (CliRunner().invoke(cli.app, ["train", task, flag], terminal_width=98).stdout for flag in flags)
    fields = {f"--{name.replace('_', '-')}" for name in tasks.get(task).Options.__dataclass_fields__}
    there = {word for line in short.splitlines() for word in re.findall(r"^  (--[\w-]+)", line)} & fields
    assert len(short.splitlines()) <= 40, short
    assert 6 <= len(there) <= 14 and {"--epochs", "--hidden-size"} <= there
    assert re.search(rf"\n[1-9]\d further options: gatework train {task} --help-all\n", short)
    assert fields <= {word for line in whole.splitlines() for word in re.findall(r"^  (--[\w-]+)", line)}


def test_help_lists_every_command_whole() -> None:
    lines = CliRunner().invoke(cli.app, ["--help"]).stdout.split("Commands:")[1].strip().splitlines()
    assert not [line for line in lines if line.endswith("...")], "the first sentence of a command's help is too long"


def test_answers_are_csv_that_a_table_program_reads() -> None:
    """Commas, quotes and line breaks are quoted, numbers are not cut, every label has a column; JSON holds the same."""
    answers = [
        {"label": 'a "b", c', "confidence": 0.75, "probabilities": {'a "b", c': 0.75, "d": 0.25}},
        {"label": "d", "confidence": 1 / 3, "probabilities": {'a "b", c': 1 - 1 / 3, "d": 1 / 3}},
    ]
    header, *rows = csv.reader(io.StringIO(predict.table(answers, as_json=False)))
    assert header == ["label", "confidence", 'p_a "b", c', "p_d"]
    assert rows == [['a "b", c', "0.75", "0.75", "0.25"], ["d", "0.333333", "0.666667", "0.333333"]]
    odd = [{"forecast": 12_345_678.25, "text": "two\nlines", "none": None, "nan": float("nan")}]
    assert predict.table(odd, as_json=False) == 'forecast,text,none,nan\n12345678.2,"two\nlines",,nan\n'
    assert [json.loads(line) for line in predict.table(answers, as_json=True).splitlines()] == answers


def test_the_n_best_answers_are_rows_of_a_table() -> None:
    answers = [
        {"file": "a.png", "caption": "", "score": None, "n_best": []},
        {
            "file": "b.png",
            "caption": "a dog",
            "score": -0.1,
            "words": ["a", "dog"],
            "n_best": [{"caption": "a dog", "score": -0.1}, {"caption": "a cat", "score": -2.5}],
        },
    ]
    header, *rows = csv.reader(io.StringIO(predict.table(answers, as_json=False)))
    assert header == ["file", "caption", "score", "rank", "words"]
    assert rows == [
        ["a.png", "", "", "1", ""],
        ["b.png", "a dog", "-0.1", "1", '["a", "dog"]'],
        ["b.png", "a cat", "-2.5", "2", ""],
    ]
