"""Exported translators: the run's own rows without torch, over cells, attention, vocabularies and ways to search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import gatework
from exports import bare, fits, same
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.runtime import exported, saved
from gatework.runtime.answers.asked import How

PAIRS = [
    *(("eins zwei", "one two"), ("zwei drei vier", "two three four"), ("vier eins", "four one"), ("drei", "three")),
    *(("fünf zwei", "five two"), ("eins Fünf drei", "one Five three"), ("vier vier", "four four"), ("zwei", "two")),
]
ROWS = ["eins zwei drei", "", "zwei xyz", None, "  ", "Fünf vier vier eins"]
ROUNDING = 1.01e-4  # rows have four digits behind the point
WORDS = {"source_tokenizer": "words", "target_tokenizer": "words"}
LETTERS = {"source_tokenizer": "characters", "target_tokenizer": "characters"}
KINDS = {
    "lstm": {"cell": "lstm", "lower": "both", **WORDS},
    "deep": {"cell": "gru", "layers": 2, "tied": False, "attention": "additive", **LETTERS},
    "joint": {"cell": "mgu", "joint": True, "attention": "dot", "encoder_size": 5, "hidden_size": 10, **LETTERS},
    "bytes": {"cell": "lstm", "layers": 2, "vocabulary": 300, "lower": "source"},
    "spaces": {"cell": "gru", "source_tokenizer": "spaces", "target_tokenizer": "characters", "max_length": 3},
}
WAYS = [
    {},
    {"beam": 1},
    {"n_best": 3, "coverage_penalty": 0.4, "length_penalty": 0.5},
    {"copy_unknown": True, "attention": True},
    {"must": ["two"], "beam": 3},
    {"must_not": ["one", "four"], "n_best": 2},
    {"min_length": 2, "max_length": 3},
    {"sample": True, "n_best": 2, "temperature": 0.7, "top_k": 6, "top_p": 0.9, "seed": 3},
]


def trained(out: Path, **options):
    """A run whose weights are far from those of a start, so that what was read matters."""
    sizes = {"embedding_size": 7, "encoder_size": 4, "hidden_size": 9, "epochs": 0, "batch_size": 8}
    run = gatework.Translator(out=str(out), **{**sizes, **options}).fit(*zip(*PAIRS * 3, strict=True)).trained_
    torch.manual_seed(3)
    for parameter in run.model.parameters():
        parameter.data += torch.randn_like(parameter) * 0.6
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "numbers", **KINDS["lstm"])


@pytest.fixture(scope="module")
def file(run, tmp_path_factory) -> Path:
    return gatework.export(run, tmp_path_factory.mktemp("files") / "numbers.safetensors").files[0]


@pytest.mark.filterwarnings("ignore:.*only max_length=3 units are read")
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_the_runs(tmp_path: Path, kind: str) -> None:
    made = trained(tmp_path / "run", **KINDS[kind])
    model = gatework.runtime.load(gatework.export(made, tmp_path / "model.safetensors").files[0])
    said = set()
    for how in WAYS:
        found, own = model.predict(ROWS, **how), {k: tuple(v) if isinstance(v, list) else v for k, v in how.items()}
        same(found, made.predict(ROWS, **own), 1e-5, ROUNDING)
        said |= {row["translation"] for row in found}
    assert len(said) > len(WAYS), "different ways must show"


@pytest.mark.parametrize("how", [{}, {"n_best": 3, "attention": True, "must_not": ["one"]}], ids=str)
def test_rows_need_neither_torch_nor_tokenizers(run, file: Path, how: dict) -> None:
    wanted = run.predict(ROWS, **{**how, "must_not": tuple(how.get("must_not", ()))})
    same(bare(file, ROWS, **how), wanted, 1e-5, ROUNDING)


def test_byte_pairs_need_no_tokenizers(tmp_path: Path) -> None:
    made = trained(tmp_path / "run", **KINDS["bytes"])
    found = bare(gatework.export(made, tmp_path / "model.safetensors").files[0], ROWS)
    same(found, made.predict(ROWS), 1e-5, ROUNDING)


def test_many_texts_are_each_alone(file: Path) -> None:
    model, generator = gatework.runtime.load(file), np.random.default_rng(0)
    words = ["eins", "zwei", "drei", "vier"]
    texts = [" ".join(generator.choice(words, size)) for size in generator.integers(1, 9, 200)]
    together = model.predict(texts, beam=2)
    for place in (0, 50, 199):
        same(together[place], model.predict([texts[place]], beam=2)[0], 1e-5, ROUNDING)


def test_a_blank_text_has_a_blank_translation(file: Path) -> None:
    model, blank = gatework.runtime.load(file), {"translation": "", "score": None, "log_p": None}
    assert model.predict(["", None], n_best=2) == [{"source": "", **blank, "n_best": []}] * 2
    assert model.predict([]) == []


def test_rows_are_texts_or_name_them(file: Path) -> None:
    model = gatework.runtime.load(file)
    same(model.predict([{"source": "zwei"}, {"src": "zwei", "id": 3}]), model.predict(["zwei"] * 2))
    fits(model, ["zwei", {"source": "zwei"}])


def test_a_named_column_is_the_one_that_is_read(tmp_path: Path, run) -> None:
    found = run.task.exported(run.model)
    exported.write(replace(found, settings={**found.settings, "column": "de"}), tmp_path / "model.safetensors")
    model = gatework.runtime.load(tmp_path / "model.safetensors")
    same(model.predict([{"de": "zwei", "source": "drei"}]), model.predict(["zwei"]))
    with pytest.raises(DataError, match=r'row 1 is .*"de": a text'):
        model.predict([{"source": "drei"}])


@pytest.mark.parametrize(
    ("row", "told"),
    [(3.5, "row 2 is 3.5; it must be a text"), ([], "row 2"), ({"b": "c"}, "row 2"), ("a\ud800", "row 2 holds half a")],
)
def test_bad_rows_are_named(file: Path, row: object, told: str) -> None:
    with pytest.raises(DataError, match=told):
        gatework.runtime.load(file).predict(["zwei", row])


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"width": 3}, "no option 'width': there are beam, n_best"),
        ({"beam": 0}, "beam must lie between 1 and 100, not 0"),
        ({"beam": "5"}, "beam='5' is no value like 5"),
        ({"beam": True}, "beam=True is no value like 5"),
        ({"length_penalty": float("nan")}, "length_penalty must lie"),
        ({"must": "zwei"}, "must='zwei' is no value like"),
        ({"must": ["Ω"]}, "no units to write it with"),
        ({"must": ["one"], "must_not": ["one"]}, "must occur and must not"),
        ({"top_k": 3}, "add sample=True"),
        ({"sample": True, "beam": 2}, "leave one of them out"),
        ({"min_length": 3, "max_length": 2}, "below min_length"),
    ],
    ids=str,
)
def test_options_act_or_refuse(file: Path, how: dict, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        gatework.runtime.load(file).predict(["zwei"], **how)


def test_predict_of_the_run_has_the_same_options_and_defaults(run) -> None:
    assert run.task.Predicting().how == How()


@pytest.mark.parametrize(
    "changed",
    [{"ratio": float("inf")}, {"ratio": 0}, {"max_length": 0}, {"max_length": 1e9}, {"lower": "all"}, {"column": 3}],
    ids=str,
)
def test_settings_that_no_run_has_are_refused(run, tmp_path: Path, changed: dict) -> None:
    found = run.task.exported(run.model)
    exported.write(replace(found, settings={**found.settings, **changed}), tmp_path / "model.safetensors")
    with pytest.raises(FileFormatError, match=r"model\.safetensors"):
        gatework.runtime.load(tmp_path / "model.safetensors")


def test_a_table_that_is_the_output_too_is_stored_once(run, file: Path) -> None:
    assert run.model.decoder.head.output.weight is run.model.decoder.embedding.weight
    model = exported.restored(*saved.contents(file, 2, 1))
    np.testing.assert_array_equal(model.arrays["decoder.units"], run.model.decoder.embedding.weight.detach())
    assert "output.weight" not in model.arrays


def test_a_translator_takes_no_single_steps(file: Path) -> None:
    with pytest.raises(OptionError, match="no single steps"):
        gatework.runtime.load(file).step("zwei")


def test_the_nets_become_onnx_and_say_why_not_c(run, tmp_path: Path) -> None:
    """Places of two rows share the memory of their row."""
    session = pytest.importorskip("onnxruntime").InferenceSession
    files = gatework.export(run, tmp_path / "numbers.onnx", to="onnx").files
    step = next(file for file in files if "step" in file.name)
    net, generator = run.task.exported(run.model).bound("step"), np.random.default_rng(0)
    sizes = {"N": 6, "B": 6, "S": 4}
    given = {"last": generator.integers(1, 6, 6), "lengths": np.array([4, 2])}
    for name, each in net.net.inputs.items():
        shape = [2 if name in ("keys", "values") and axis == "B" else sizes.get(axis, axis) for axis in each.shape]
        given.setdefault(name, generator.standard_normal(shape).astype(np.float32))
    ready = session(str(step))
    found = dict(zip([each.name for each in ready.get_outputs()], ready.run(None, given), strict=True))
    for name in ("log_p", "attention"):
        np.testing.assert_allclose(found[name], net(**given)[name], rtol=1e-4, atol=1e-5)
    with pytest.raises(OptionError, match="several hand numbers to each other"):
        gatework.export(run, tmp_path / "c", to="c")
