"""Exported answerers: the run's own rows without torch, over cells, readings and ways to read a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import gatework
from exports import bare, fits, same
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.runtime import exported
from gatework.runtime.texts import NOTHING

QUESTIONS = [
    {"story": ["Mary went home.", "Bo left."], "question": "Where is Mary?", "answer": "home"},
    {"story": "Eve ran to the old garden. Mary went home.", "question": "Where is Eve?", "answer": "old garden"},
    {"story": ["Bo is in the kitchen."], "question": "Where is Bo?", "answer": "kitchen"},
    {"story": ["Bo ran.", "Eve ran.", "Mary ran home."], "question": "Who ran?", "answer": "Bo, Eve"},
]
ROWS = [
    *({name: each[name] for name in ("story", "question")} for each in QUESTIONS),
    {"story": [], "question": "Where is Bo?"},
    {"question": " Who is Zed? "},
    {"story": ["  ", "Bo left."], "question": "?"},
]
ROUNDING = 1.01e-4  # rows have four digits behind the point
KINDS = {
    "gru": {},
    "recurrent": {"sentences": "recurrent", "cell": "lstm", "layers": 2, "hops": 2},
    "short": {"cell": "lstm", "memory": 2, "hops": 1},
    "mgu": {"cell": "mgu", "layers": 2, "sentences": "recurrent"},
}
WAYS = [{}, {"beam": 3}, {"beam": 4, "n_best": 3}, {"looks": True}]


def trained(out: Path, **options):
    """A run whose weights are far from those of a start, so that what was read matters."""
    run = gatework.Answerer(out=str(out), **{"hidden_size": 6, "epochs": 0, **options}).fit(QUESTIONS * 4).trained_
    torch.manual_seed(1)
    for parameter in run.model.parameters():
        parameter.data += torch.randn_like(parameter) * 0.5
    run.model.decoder.head.output.bias.data[NOTHING] += 2  # answers come to an end
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "stories")


@pytest.fixture(scope="module")
def file(run, tmp_path_factory) -> Path:
    return gatework.export(run, tmp_path_factory.mktemp("files") / "stories.safetensors").files[0]


@pytest.mark.filterwarnings("ignore:.*questions hold no word")
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_the_runs(tmp_path: Path, kind: str) -> None:
    made = trained(tmp_path / "run", **KINDS[kind])
    model = gatework.runtime.load(gatework.export(made, tmp_path / "model.safetensors").files[0])
    for how in WAYS:
        found = model.predict(ROWS, **how)
        same(found, made.predict(ROWS, **how), 1e-5, ROUNDING)
        assert len({row["probability"] for row in found}) > 2, "what was read must show"


@pytest.mark.filterwarnings("ignore:.*questions hold no word")
def test_rows_need_neither_torch_nor_polars(run, file: Path) -> None:
    same(bare(file, ROWS, looks=True), run.predict(ROWS, looks=True), 1e-5, ROUNDING)


def test_many_questions_are_each_alone(file: Path) -> None:
    model = gatework.runtime.load(file)
    fits(model, ROWS)
    together = model.predict(ROWS * 30)
    for place in (0, 4, 100, len(together) - 1):
        same(together[place], model.predict([ROWS[place % len(ROWS)]])[0], 1e-5, ROUNDING)
    assert model.predict([]) == []


def test_fields_have_the_names_of_the_run(tmp_path: Path) -> None:
    renamed = [{"told": q["story"], "asked": q["question"], "answer": q["answer"]} for q in QUESTIONS]
    estimator = gatework.Answerer(out=str(tmp_path / "run"), hidden_size=6, epochs=0, story="told", question="asked")
    made = estimator.fit(renamed * 4).trained_
    model = gatework.runtime.load(gatework.export(made, tmp_path / "model.safetensors").files[0])
    same(model.predict(renamed), made.predict(renamed), 1e-5, ROUNDING)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("Where is Mary?", 'row 2 is .*"story": a text or a list of sentences, "question": a text'),
        ({"story": ["Bo ran."]}, "row 2 is None"),
        ({"question": "  "}, "row 2: the question is empty"),
        ({"question": 3}, "row 2 is 3"),
        ({"story": 7, "question": "Who?"}, "row 2: the story is 7"),
        ({"story": ["Bo", 7], "question": "Who?"}, "row 2 is 7"),
        ({"story": ["Bo \ud800"], "question": "Who?"}, "row 2 holds half a character"),
    ],
)
def test_bad_rows_are_named(file: Path, row: object, told: str) -> None:
    with pytest.raises(DataError, match=told):
        gatework.runtime.load(file).predict([ROWS[0], row])


@pytest.mark.parametrize("how", [{"n_best": 2}, {"beam": 0}, {"beam": 2, "n_best": 0}, {"beam": "2"}], ids=str)
def test_options_act_or_refuse(file: Path, how: dict) -> None:
    with pytest.raises(OptionError, match="beam"):
        gatework.runtime.load(file).predict(ROWS, **how)


@pytest.mark.parametrize("changed", [{"memory": 0}, {"memory": 10**9}, {"longest": 10**6}, {"fields": {}}], ids=str)
def test_settings_that_no_run_has_are_refused(run, tmp_path: Path, changed: dict) -> None:
    found = run.task.exported(run.model)
    exported.write(replace(found, settings={**found.settings, **changed}), tmp_path / "model.safetensors")
    with pytest.raises(FileFormatError, match=r"model\.safetensors"):
        gatework.runtime.load(tmp_path / "model.safetensors")


def test_the_nets_become_onnx_and_say_why_not_c(run, tmp_path: Path) -> None:
    session = pytest.importorskip("onnxruntime").InferenceSession
    assert all(session(str(file)) for file in gatework.export(run, tmp_path / "stories.onnx", to="onnx").files)
    with pytest.raises(OptionError, match="several hand numbers to each other"):
        gatework.export(run, tmp_path / "c", to="c")
