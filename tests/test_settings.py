"""Options in a file: what `gatework init` writes is read back, a run's config is one, and faults are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gatework import cli, tasks
from gatework.errors import FileFormatError, OptionError
from gatework.training.run import Run
from gatework.training.settings import as_toml, read
from small import CASES, Small
from toy import ToyOptions


@pytest.mark.parametrize("case", [CASES[0], CASES[3], CASES[5], CASES[6]], ids=str)
def test_options_that_the_data_settle_come_back(case: Small, tmp_path: Path) -> None:
    """All of them set (a # goes from each line with a value), the file gives the very same options."""
    task, path = case.task(), tmp_path / "some.toml"
    task.prepare(case.source())
    text = as_toml(task.options, case.name, 'gatework train "x"\n[options]\nseed = 9')
    path.write_text(text)
    set_ones = read(path, type(task.options), case.name)
    assert type(task.options).of(set_ones) == task.options
    path.write_text("\n".join(line.removeprefix("#") if line[1:2] != " " else line for line in text.splitlines()))
    assert read(path, type(task.options), case.name) == vars(task.options)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[options]\nepoch = 3", OptionError, r"some.toml: there is no option 'epoch'.*epochs"),
        ("[options]\nepochs = 'many'", OptionError, "some.toml: option 'epochs' takes a whole number"),
        ("[options]\nepochs = 2.5", OptionError, "takes int, not 2.5"),
        ("epochs = 3", OptionError, r"no key 'epochs'; options stand under \[options\]"),
        ("task = 'tag'", OptionError, "of the task 'tag', not of 'toy'"),
        ("options = 3", FileFormatError, "not a table"),
        ("[options", FileFormatError, "some.toml cannot be read: "),
        ("\udcff", FileFormatError, "cannot be read"),
    ],
)
def test_faults_of_a_file_are_named(text: str, error: type, message: str, tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(error, match=message):
        read(path, ToyOptions, "toy")


def test_texts_are_read_as_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text("[options]\nseveral = 'a, b'\nwait = '0.5'\nshift = 2")
    assert read(path, ToyOptions, "toy") == {"several": ("a", "b"), "wait": 0.5, "shift": 2.0}
    with pytest.raises(OptionError, match="is no file"):
        read(tmp_path / "none.toml", ToyOptions, "toy")


def test_init_then_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("the cat sat on the mat, and the dog ate the hat; " * 30)

    def invoke(*words: str):
        return CliRunner().invoke(cli.app, words)

    made = invoke("init", "generate", "book.txt", "--hidden-size", "4", "--quiet")
    assert made.exit_code == 0, made.output
    assert "gatework train generate book.txt --config book.toml" in made.stdout
    text = Path("book.toml").read_text()
    assert "\nhidden_size = 4\n" in text and "\n#layers = 1\n" in text and "# -- training" in text
    assert invoke("init", "generate", "book.txt").exit_code == 2, "it exists"
    Path("book.toml").write_text(text.replace("#epochs = 20", "epochs = 1").replace("#layers = 1", "layers = 2"))
    done = invoke("train", "generate", "book.txt", "--config", "book.toml", "--set", "embedding_size=3", "--quiet")
    assert done.exit_code == 0, done.output
    options = Run.open("runs/book").options
    assert [options[name] for name in ("hidden_size", "layers", "epochs", "embedding_size")] == [4, 2, 1, 3]
    again = invoke("train", "generate", "book.txt", "--config", "runs/book", "--layers", "1", "--quiet")
    assert again.exit_code == 0 and Run.open("runs/book-2").options == options | {"layers": 1}
    refused = invoke("train", "generate", "book.txt", "--config", "book.toml", "--resume")
    assert refused.exit_code == 2 and "leave --config out" in refused.stderr
    assert tasks.get("generate").Options.of(read("runs/book", tasks.get("generate").Options, "generate"))
