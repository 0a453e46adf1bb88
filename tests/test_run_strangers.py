"""A run folder from a stranger: it reads and writes nothing outside itself, and is refused in words before memory is
taken, whatever stands in it. `python tests/fuzz RUNS` draws thousands of such folders; a few hundred are drawn here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import hostile
from gatework.data.stored import restoring, stored
from gatework.errors import FileFormatError, GateworkError, OptionError
from gatework.tasks import jobs
from gatework.training.files import write_bytes
from gatework.training.locks import TRAINING, alone
from gatework.training.run import Run
from small import CASES

posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each kind."""
    folder = tmp_path_factory.mktemp("runs")
    for number, case in enumerate(CASES):
        jobs.train(case.task(), case.source(), out=folder / f"{number}-{case.name}", quiet=True)
    return {path.name: path for path in sorted(folder.iterdir())}


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A classifier of texts with n-grams."""
    return hostile.copied(runs["0-classify"], tmp_path / "run")


@pytest.mark.parametrize("name", ["../../secret.txt", "/etc/hostname", "..", "a/b", "C:\\x", ".hidden", "", "ä\n"])
def test_names_of_assets_are_names(run: Path, name: str) -> None:
    hostile.changed(run, lambda config, assets, weights: config["assets"].update({name: "0"}))
    with pytest.raises(FileFormatError, match="has an asset called"):
        jobs.load(run)
    with pytest.raises(FileFormatError, match="a task has an asset called"):
        Run.create(run.parent / "new", task="line", options={}, data={"sha256": "0"}, assets={name: "x"})


@posix
@pytest.mark.parametrize("name", ["config.json", "assets", "assets/labels.json", "best.safetensors"])
def test_nothing_is_read_through_a_link(run: Path, name: str) -> None:
    (run / name).rename(run.parent / "elsewhere")
    (run / name).symlink_to(run.parent / "elsewhere")
    with pytest.raises(FileFormatError, match=r"is a link, .* cp -rL"):
        jobs.load(run)


@posix
@pytest.mark.parametrize("name", ["config.json", "assets/labels.json", "best.safetensors"])
def test_pipes_are_not_waited_for(run: Path, name: str) -> None:
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(FileFormatError, match="is a pipe or a device"):
        jobs.load(run)


@posix
def test_nothing_is_written_through_a_link(run: Path) -> None:
    mine = run.parent / "mine.txt"
    mine.write_text("mine")
    opened = Run.open(run)
    for name in ("log.txt", ".config.json.part", TRAINING):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(mine)
    with pytest.raises(OSError, match="link"):
        opened.log("a line")
    write_bytes(run / "config.json", b"{}")
    with pytest.raises(FileFormatError, match="is a link"), alone(run):
        pass
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["config.json", "assets/labels.json"])
def test_a_file_that_is_too_long_is_not_read(run: Path, name: str) -> None:
    os.truncate(run / name, 1 << 40)  # of holes
    with pytest.raises(FileFormatError, match=r"has 1,099,511,627,776 bytes; at most [\d,]+ can be right"):
        jobs.load(run)


@pytest.mark.parametrize(
    "options", [{"hidden_size": 1 << 40}, {"embedding_size": 1 << 30}, {"layers": 3}, {"pooling": "attention"}]
)
def test_a_size_that_the_weights_do_not_have_takes_no_memory(run: Path, options: dict[str, Any]) -> None:
    hostile.changed(run, lambda config, assets, weights: config["options"].update(options))
    with pytest.raises(GateworkError, match=r"does not fit the model|does not hold what it should"):
        jobs.load(run)


def test_n_grams_that_the_weights_do_not_have_take_no_memory(run: Path) -> None:
    def change(config: dict[str, Any], assets: dict[str, str], weights: dict[str, Any]) -> None:
        assets["inputs.json"] = json.dumps({**json.loads(assets["inputs.json"]), "grams": [1 << 50, 5]})

    with pytest.raises(FileFormatError, match="does not fit the model of its config: 'wide"):
        jobs.load(hostile.changed(run, change))


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (dict[str, list[int]], '{"a": [1, true]}', "x.json: a.1 is True, not int"),
        (dict[str, float], '{"a": "1"}', "x.json: a is '1', not float"),
        (list[str | None], "[null, 3]", "x.json: 1 is 3, not str"),
        (list[str], r'["\ud800"]', "x.json: 0 holds half a character"),
        (list[int], "[" * 50_000, "x.json is damaged"),
        (list[int], "{", "x.json is damaged"),
    ],
)
def test_json_of_another_type_is_refused_with_its_place(kind: Any, text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        stored(text, kind, "x.json")


def test_what_cannot_be_restored_is_an_error_of_the_file() -> None:
    with pytest.raises(FileFormatError, match=r"x does not hold what it should \(KeyError: 'a'\)"), restoring("x"):
        _ = {}["a"]
    with pytest.raises(OptionError, match="as it was"), restoring("x"):
        raise OptionError("as it was")
