"""Exported runs of sequences: the same answers without torch, steps, the form torch, the command, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gatework
from exports import bare, same
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.exporting import costs
from gatework.exporting.run import FORMS
from gatework.runtime import exported, saved
from gatework.tasks.base import Task


def waves(count: int = 12) -> list[np.ndarray]:
    return [np.sin(np.arange(8 + n)[:, None] * [1, 2] / (2 + n % 2)).astype(np.float32) for n in range(count)]


def trained(out: Path, **options):
    options = {"hidden_size": 4, "epochs": 1, "missing": "interpolate", **options}
    estimator = gatework.SequenceClassifier(out=str(out), **options)
    return estimator.fit(waves(), ["slow", "fast"] * 6).trained_


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "waves", bidirectional=False, pooling="max", layers=2)


@pytest.fixture(scope="module")
def file(run, tmp_path_factory) -> Path:
    return gatework.export(run, tmp_path_factory.mktemp("files") / "waves.safetensors").files[0]


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "mgu"])
def test_answers_are_the_runs(tmp_path: Path, pooling: str, both: bool, cell: str) -> None:
    made = trained(tmp_path / "run", pooling=pooling, bidirectional=both, cell=cell, layers=1 + both)
    model = gatework.runtime.load(gatework.export(made, tmp_path / "model.safetensors").files[0])
    rows = waves()
    rows[3][5, 1] = np.nan
    same(model.predict(rows), made.predict(rows))
    if model.stepper is None:
        with pytest.raises(OptionError, match=r"both directions|attention"):
            model.step(rows[0][0])
        return
    for number in (0, 1):  # the second time from the start
        model.reset()
        *_, last = [model.step(values) for values in rows[number]]
        same(last, made.predict(rows[number : number + 1])[0])


def test_answers_need_neither_torch_nor_polars(run, file: Path) -> None:
    rows = [row.tolist() for row in waves()]
    same(bare(file, rows), run.predict([np.array(row, np.float32) for row in rows]))


TEXTS = {
    "words": {},
    "without n-grams": {"ngrams": "none", "subwords": 0, "bidirectional": False, "pooling": "mean"},
    "characters": {"tokenizer": "characters", "ngrams": "characters", "bidirectional": False},
    "byte pairs": {"tokenizer": "bpe", "vocabulary": 300, "ngrams": "words"},
    "stop words": {"stop": ["en"], "max_length": 4, "lower": False},
    "spaces": {"spaces": True, "subwords": 0},
}


def reviews() -> tuple[list[str], list[str]]:
    good, bad = ("a stirring, funny film", "warm and bright"), ("dull and slow", "it isn't funny at all, <br /> no")
    texts = [f"{text} {word}" for word in ("indeed", "truly", "Überall 日本語", "") for text in (*good, *bad)] * 2
    return texts, ["good", "good", "bad", "bad"] * 8


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.filterwarnings("ignore:.*longer than max_length")
def test_texts_are_answered_as_by_the_run(tmp_path: Path, name: str) -> None:
    options = {"hidden_size": 4, "embedding_size": 4, "epochs": 1, "subwords": 50, "valid_share": 0.3, **TEXTS[name]}
    run = gatework.TextClassifier(out=str(tmp_path / "run"), **options).fit(*reviews()).trained_
    file = gatework.export(run, tmp_path / "reviews.safetensors").files[0]
    rows = [*reviews()[0][:5], "never seen: ǅ é ﷽ 👍🏽", "x " * 30, "ΟΔΟΣ İI", "."]
    same(bare(file, rows), run.predict(rows))
    model = gatework.runtime.load(file)
    column = run.task.options.text or "text"
    same(model.predict([{column: rows[0]}]), run.predict(rows[:1]))
    with pytest.raises(DataError, match="row 2 is 3"):
        model.predict(["a", 3])
    if model.stepper is None:
        assert "n-grams" in model.why_no_stream or "both" in model.why_no_stream
        return
    *_, last = [model.step(unit) for unit in rows[0].replace(",", " ,").split()]
    same(last, run.predict(rows[:1])[0])


def test_many_streams_are_each_alone(file: Path) -> None:
    model = gatework.runtime.load(file)
    stepper = model.stepper
    start, rows = stepper.start(), waves(5)
    states = {name: np.tile(each, (5, 1)) for name, each in start.items()}
    for t in range(8):
        outputs, states = stepper.step(np.stack([stepper.read(row[t]) for row in rows]), states)
    for row, output in zip(rows, outputs, strict=True):
        model.reset()
        *_, last = [model.step(values) for values in row[:8]]
        same(stepper.answer(output), last)


def test_the_form_torch_is_the_net(file: Path, run, tmp_path: Path) -> None:
    """The script runs without gatework."""
    gatework.export(run, tmp_path / "plain", to="torch")
    x, lengths = np.random.default_rng(0).standard_normal((9, 3, 2)).astype(np.float32), [9, 1, 5]
    code = (
        "import json, sys, torch; sys.modules['gatework'] = None; from model import load\n"
        "x, lengths = json.loads(sys.stdin.read())\n"
        "print(json.dumps(load()(torch.tensor(lengths), torch.tensor(x))['scores'].tolist()))"
    )
    given = json.dumps([x.tolist(), lengths])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "plain", input=given, capture_output=True, text=True, timeout=120
    )
    wanted = gatework.runtime.load(file).net(x=x, lengths=np.array(lengths))["scores"]
    np.testing.assert_allclose(json.loads(done.stdout), wanted, rtol=1e-5, atol=1e-6, err_msg=done.stderr)


def test_torch_has_not_every_cell(tmp_path: Path) -> None:
    made = trained(tmp_path / "run", cell="mgu")
    with pytest.raises(OptionError, match=r"no layer for the cell 'mgu'.*--to gatework"):
        gatework.export(made, tmp_path / "plain", to="torch")
    assert not (tmp_path / "plain").exists()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ([[1.0, 2.0], [1.0]], "row 2 is not made of numbers"),
        ([[1.0, 2.0, 3.0]], r"row 2 has the shape \(1, 3\); it must be \(T, 2\)"),
        ([[1.0, float("inf")]], "row 2, step 1, 'channel 2': inf"),
        ([], "row 2 has the shape"),
        ("abc", "row 2 is not made of numbers"),
        (None, "row 2"),
        ({"values": [["a", "b"]]}, "row 2 is not made of numbers"),
        ([[10**400, 0.0]], "row 2 is not made of numbers"),
    ],
)
def test_bad_rows_are_named(file: Path, row: object, told: str) -> None:
    with pytest.raises(DataError, match=told):
        gatework.runtime.load(file).predict([[[0.0, 0.0]], row])


@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_smaller_weights_say_what_they_cost(tmp_path: Path, weights: str) -> None:
    lines = [f"{'a fine film' if k % 2 else 'a dull film'} {k},{k % 2}" for k in range(60)]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *lines]))
    options = {"epochs": 2, "hidden_size": 16, "embedding_size": 4, "ngrams": "none", "subwords": 0, "layer_norm": True}
    run = gatework.train("classify", tmp_path / "reviews.csv", out=tmp_path / "run", quiet=True, **options)
    plain = gatework.export(run, tmp_path / "plain.safetensors").files[0]
    written = gatework.export(run, tmp_path / "small.safetensors", weights=weights)
    assert written.files[0].stat().st_size < plain.stat().st_size
    metric = run.task.metric.name
    before = run.run.results()["test"][metric]
    assert f"{metric} on the test part: {before:.6g} with float32, " in written.notes[-1]
    small = costs.quantised(run.model, weights)
    texts = ["a fine film 3", "a dull film 4", "fine"]
    wanted = run.task.predict(small, texts)
    same(gatework.runtime.load(written.files[0]).predict(texts), wanted)
    assert wanted != run.predict(texts)
    (tmp_path / "reviews.csv").unlink()
    assert "was not measured: the data of the run" in gatework.export(run, plain, weights=weights).notes[-1]


@pytest.mark.parametrize("rows", ["abc", {"text": ["a"]}, None, 5])
def test_a_lone_row_is_no_list(file: Path, rows: object) -> None:
    with pytest.raises(DataError, match="predict takes a list of rows, each a list of steps"):
        gatework.runtime.load(file).predict(rows)


def test_an_export_takes_no_place_of_a_run(run, tmp_path: Path) -> None:
    for place, told in (("", "is no name"), (run.run.path, "is a run")):
        with pytest.raises(OptionError, match=told):
            gatework.export(run, place, to="torch")


def test_a_damaged_file_is_refused(file: Path, tmp_path: Path) -> None:
    model = exported.restored(*saved.contents(file, 2, 1))
    other = tmp_path / "other.safetensors"
    for change in (
        {"kind": "spells"},
        {"settings": {**model.settings, "decision": [0.0]}},
        {"settings": {}},
        {"settings": {**model.settings, "scaler": [1]}},
        {"settings": [1]},
        {"arrays": {}},
        {"stacks": []},
        {"nets": {}},
    ):
        exported.write(exported.Exported(**{**vars(model), **change}), other)
        with pytest.raises(FileFormatError, match=r"other\.safetensors"):
            gatework.runtime.load(other)
    other.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(FileFormatError, match="damaged"):
        gatework.runtime.load(other)


def test_the_command_writes_beside_the_runs(run, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gatework", "export", str(run.run.path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "exports" / "waves.safetensors").is_file() and "waves.safetensors" in done.stdout
    done = subprocess.run([*command, "--to", "onxx"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "there are" in done.stderr and "Traceback" not in done.stderr


def test_a_task_without_export_says_so(run, monkeypatch) -> None:
    monkeypatch.setattr(type(run.task), "exported", Task.exported)
    with pytest.raises(OptionError, match="no export: the task does not say"):
        gatework.export(run)


def test_every_form_has_a_writer() -> None:
    from gatework.exporting.run import writer

    assert all(callable(writer(form)) for form in FORMS)
