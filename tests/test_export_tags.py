"""Exported taggers against their runs: the same answers, without the libraries of the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gatework
from exports import bare, fits, same
from gatework import tasks
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.networks.crf import Crf
from gatework.runtime import exported as files
from gatework.runtime.tags.weights import Weights
from gatework.tasks import jobs
from gatework.tasks.tag.linear import Linear
from small import WORDS

WRITER: dict[str, Any] = {"hidden_size": 4, "epochs": 0, "sequence_length": 8, "batch_size": 4}
TEXTS = ["See the film. Dull was the plot by Cast!", "music", "", "scene Über by good"]
SETTINGS: dict[str, dict[str, Any]] = {
    "usual": {},
    "labels": {"label": "mood", "cell": "gru", "layers": 2},
    "softmax": {"output": "softmax", "subwords": 20, "characters": 0, "windows": False, "label": "mood"},
    "plain": {"scheme": "plain", "cell": "mgu", "neighbours": 3, "window_share": 1.0},
    "columns": {"features": ("pos",), "lower": False, "max_length": 20, "common_dropout": 0.0},
}


def sentences(scheme: str = "B-{0} I-{0} O B-{1}", count: int = 30) -> list[dict[str, Any]]:
    """Sentences with names; every tenth is longer than a stretch."""
    draw = np.random.default_rng(3)
    kinds = scheme.format("FILM", "WHO").split()
    found = []
    for number in range(count):
        rest = [str(word) for word in draw.choice(WORDS, 40 if number % 10 == 0 else 4)]
        tokens = ["See", rest[0], rest[1].title(), *rest, "by", rest[1]]
        tags = ["O", *kinds[:2], *["O"] * len(rest), *kinds[2:]]
        pos = ["V", "N", "N", *["X"] * len(rest), "P", "N"]
        found.append({"tokens": tokens, "tags": tags, "mood": "ab"[number % 2], "pos": pos})
    return found


def trained(folder: Path, source: Any = None, **options: Any) -> Any:
    quick = {"hidden_size": 5, "embedding_size": 4, "characters": 3, "epochs": 1, "batch_size": 8}
    kind = tasks.get("tag")
    return jobs.train(kind(kind.Options.of({**quick, **options})), source or sentences(), out=folder)


def exported(run: Any, folder: Path) -> Path:
    return gatework.export(run, folder / "model.safetensors").files[0]


@pytest.fixture(scope="module", params=SETTINGS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("run")
    run = trained(folder / "run", **SETTINGS[request.param])
    return run, exported(run, folder)


def rows_for(run: Any) -> list[Any]:
    fields = ["tokens", *run.task.codecs.columns]
    return [{name: row[name] for name in fields} for row in sentences(count=12)]


def test_answers_are_the_run_s(both: tuple[Any, Path]) -> None:
    run, file = both
    rows = rows_for(run)
    same(bare(file, rows), run.predict(rows), absolute=2e-4)  # confidence has four digits


def test_texts_are_cut_and_answered_as_the_run_does(both: tuple[Any, Path]) -> None:
    run, file = both
    model = gatework.runtime.load(file)
    fits(model, rows_for(run))
    if run.task.codecs.columns:
        with pytest.raises(DataError, match="row 1 is 'See"):
            model.predict(TEXTS)
        return
    same(model.predict(TEXTS, format="jsonl"), run.predict(TEXTS), absolute=2e-4)
    same(model.predict(TEXTS, format="spans"), run.predict(TEXTS, format="spans"), absolute=2e-4)
    found = model.predict(TEXTS)
    assert [row["text"] for row in found] == TEXTS
    same([row for row in found if row["text"]], run.predict(TEXTS, format="spans"), absolute=2e-4)


def test_the_net_answers_alike_in_onnx(both: tuple[Any, Path], tmp_path: Path) -> None:
    run, file = both
    runtime = pytest.importorskip("onnxruntime")
    network = gatework.runtime.load(file).network
    words, lengths = np.array([[0, 2], [1, 0], [2, 1]]), np.array([3, 2])
    given = network._inputs(["See", "film", "Übergang"], words, [np.ones_like(words)] * len(network.columns), lengths)
    session = runtime.InferenceSession(gatework.export(run, tmp_path / "model.onnx", to="onnx").files[0])
    names = [each.name for each in session.get_outputs()]
    found = dict(zip(names, session.run(None, {k: v.astype(np.int64) for k, v in given.items()}), strict=True))
    wanted, there = network.net(**given), np.arange(3)[:, None] < lengths
    np.testing.assert_allclose(found["tags"][there], wanted["tags"][there], rtol=1e-5, atol=1e-5)
    if "labels" in wanted:
        np.testing.assert_allclose(found["labels"], wanted["labels"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("scheme", "pattern"),
    [("IOB1", "I-{0} I-{0} O I-{1}"), ("BIOES", "B-{0} E-{0} O S-{1}"), ("BMEWO", "B-{0} E-{0} O W-{1}")],
)
def test_tags_are_written_as_they_were_learned(tmp_path: Path, scheme: str, pattern: str) -> None:
    run = trained(tmp_path / "run", sentences(pattern), epochs=0)
    model = gatework.runtime.load(exported(run, tmp_path))
    rows = [row["tokens"] for row in sentences(pattern, 8)]
    assert model.scheme == scheme
    same(model.predict(rows), run.predict(rows), absolute=2e-4)
    same(model.predict(rows, format="spans"), run.predict(rows, format="spans"), absolute=2e-4)


def test_runs_of_spans_read_whole_texts(tmp_path: Path) -> None:
    """Their texts are not cut into sentences."""
    source = [{"text": f"See {a}. By {b}, now", "spans": [[4, 4 + len(a), "FILM"]]} for a in WORDS for b in WORDS[:3]]
    run = trained(tmp_path / "run", source, label=None)
    model = gatework.runtime.load(exported(run, tmp_path))
    texts = ["See music. By film, now", "dull"]
    same(model.predict(texts), run.predict(texts, format="spans"), absolute=2e-4)
    same(model.predict([{"text": each} for each in texts]), model.predict(texts))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    return gatework.runtime.load(exported(trained(folder / "run"), folder))


def test_every_row_has_an_answer_of_its_own(model: Any) -> None:
    found = model.predict([["good", "film"], "good film. Bad plot.", [], "", {"tokens": ["film"]}])
    assert [row.get("tokens", row.get("text")) for row in found] == [
        ["good", "film"],
        "good film. Bad plot.",
        [],
        "",
        ["film"],
    ]
    assert found[2] == {"tokens": [], "tags": [], "confidence": []} and found[3] == {"text": "", "spans": []}
    assert model.predict([]) == []


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (3, "row 2 is 3"),
        ({"words of it": ["a"]}, "row 2 has none of the fields"),
        ({"tokens": ["a", " "]}, "row 2, token 2"),
        (["a", "b\nc"], "row 2, token 2"),
        (["a", "\ud800"], "row 2: holds half a character"),
    ],
)
def test_bad_rows_are_named(model: Any, row: object, told: str) -> None:
    with pytest.raises(DataError, match=told):
        model.predict([["fine"], row])


def test_columns_are_asked_for(tmp_path: Path) -> None:
    model = gatework.runtime.load(exported(trained(tmp_path / "run", features=("pos",), epochs=0), tmp_path))
    for row, told in (
        (["a"], "row 1 has no list 'pos'"),
        ({"tokens": ["a"]}, "row 1 has no list 'pos'"),
        ({"tokens": ["a"], "pos": ["N", "V"]}, "row 1: 1 tokens, but 2 pos"),
    ):
        with pytest.raises(DataError, match=told):
            model.predict([row])


def test_a_tagger_makes_no_steps(model: Any) -> None:
    with pytest.raises(OptionError, match="both directions"):
        model.step("film")
    with pytest.raises(OptionError, match="format cannot be 'conll'"):
        model.predict(["film"], format="conll")


@pytest.mark.parametrize("rna", [False, True])
def test_chains_of_letters_are_read_in_one_alphabet(tmp_path: Path, rna: bool) -> None:
    draw = np.random.default_rng(0)
    letters = ["".join(draw.choice(list("ACGU" if rna else "MKVLAUGIQWERTY"), 30)) for _ in range(30)]
    for name, lines in (("a", letters), ("b", [each.translate({65: "H", 71: "H"}) for each in letters])):
        (tmp_path / f"{name}.fasta").write_text("".join(f">{n}\n{each}\n" for n, each in enumerate(lines)))
    run = trained(tmp_path / "run", str(tmp_path / "a.fasta"), tags=str(tmp_path / "b.fasta"), epochs=0)
    model = gatework.runtime.load(exported(run, tmp_path))
    rows = [letters[0].lower(), "GAU-.A"]
    same(model.predict(rows), run.predict(rows), absolute=2e-4)
    same(model.predict(rows, format="spans"), run.predict(rows, format="spans"), absolute=2e-4)
    with pytest.raises(DataError, match="row 2, letter 3: '5'"):
        model.predict(["GA", "GA5"])


def test_states_of_language_models_are_not_exported(model: Any, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("the film sat on the plot.\n" * 40)
    writer = jobs.train(tasks.get("generate")(tasks.get("generate").Options.of({**WRITER})), book, out=tmp_path / "w")
    run = trained(tmp_path / "run", language_model=(str(writer.run.path),), epochs=0)
    with pytest.raises(OptionError, match="language_model"):
        exported(run, tmp_path)


def test_stretches_of_no_length_are_refused(model: Any) -> None:
    changed = {**model.exported.settings, "max_length": 0}
    with pytest.raises(FileFormatError, match="stretches of 0"):
        type(model)(files.Exported(**{**vars(model.exported), "settings": changed}))


def test_moves_that_do_not_fit_are_refused(model: Any) -> None:
    for name, told in (("moves.follow", "moves between"), ("windows.weight", "weights of the shape")):
        arrays = {**model.exported.arrays, name: model.exported.arrays[name][:-1]}
        with pytest.raises(FileFormatError, match=told):
            type(model)(files.Exported(**{**vars(model.exported), "arrays": arrays}))


def test_weights_of_windows_are_the_linear_model_s() -> None:
    draw = np.random.default_rng(0)
    linear = Linear(50, 4)
    linear.keys.copy_(torch.from_numpy(np.sort(draw.choice(1 << 22, 50, False)).astype(np.int32)))
    linear.weight[1:] = torch.from_numpy(draw.standard_normal((50, 4)).astype(np.float32))
    features = draw.choice(np.append(linear.keys.numpy(), [5, 7]), (30, 6)) + (1 << 22) * draw.integers(0, 9, (30, 6))
    found = Weights(linear.keys.numpy(), linear.weight.numpy()).scores(features.astype(np.int32))
    np.testing.assert_allclose(found, linear.scores(features.astype(np.int32)), rtol=1e-5, atol=1e-6)


def test_chains_of_float32_scores_are_those_of_the_network() -> None:
    crf, scores = Crf(3), torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    counts = torch.tensor([3, 2, 1])
    assert crf.marginals(scores, counts).dtype == torch.float32
    np.testing.assert_allclose(crf.marginals(scores, counts).sum(1), 1, rtol=1e-6)


def test_a_damaged_file_is_refused(model: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    for change in ({"settings": {}}, {"texts": {}}, {"arrays": {}}, {"stacks": []}, {"nets": {}}):
        files.write(files.Exported(**{**vars(model.exported), **change}), other)
        with pytest.raises(FileFormatError, match=r"other\.safetensors"):
            gatework.runtime.load(other)
