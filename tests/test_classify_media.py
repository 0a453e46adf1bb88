"""Sounds, pictures and films as rows of `classify`: what reads them, then the whole job on files."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.utils.rnn import pack_padded_sequence
from typer.testing import CliRunner, Result

import gatework
from gatework import cli, explain
from gatework.data.media import changes, sounds
from gatework.data.media.store import Store
from gatework.data.media.stored import Stored
from gatework.data.ragged import Ragged
from gatework.errors import DataError, OptionError
from gatework.serve.served import opened
from gatework.tasks import jobs
from gatework.tasks.classify import Classify, ClassifyOptions, reading
from gatework.tasks.classify.examples import Examples, make_batch
from gatework.tasks.classify.fronts import packed
from gatework.tasks.classify.media_baselines import numbers
from gatework.training.learner import Shard
from small import CASES, Small, squares, tones

QUICK = {"hidden_size": 6, "front_size": 6, "epochs": 2, "batch_size": 8, "mels": 8, "dropout": 0.0}
MEDIA = [case for case in CASES if case.options.get("kind") in ("sounds", "pictures", "films")]


def invoke(*arguments: Any) -> Result:
    return CliRunner().invoke(cli.app, [str(each) for each in arguments])


def written(folder: Path, kind: str, count: int = 40) -> Path:
    """A table of files, named as people do, with a label of each."""
    made = tones(count) if kind == "sounds" else squares(count, 8 if kind == "films" else 0)
    column = {"sounds": "audio", "pictures": "image", "films": "video"}[kind]
    folder.mkdir(exist_ok=True)
    rows = []
    for number, (item, label) in enumerate(zip(made[column], made["label"], strict=True)):
        name = f"{number:03}" + {"sounds": ".wav", "pictures": ".png", "films": ".gif"}[kind]
        if kind == "sounds":
            sounds.write(folder / name, item, 8_000)
        elif kind == "pictures":
            Image.fromarray(item).save(folder / name)
        else:
            first, *others = map(Image.fromarray, item)
            first.save(folder / name, save_all=True, append_images=others)
        rows.append((name, label, "ab"[number % 4 > 1]))
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("file", "what", "who"), *rows])
    return path


def lines(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]


COLUMN = {"sounds": "audio", "pictures": "image", "films": "video"}


@pytest.fixture(scope="module", params=list(COLUMN))
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A table of files, a run that learned them, and their kind."""
    kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    path = written(folder / "data", kind)
    settings = [part for name, value in QUICK.items() for part in ("--set", f"{name}={value}")]
    done = invoke("train", "classify", path, f"--{COLUMN[kind]}", "file", "--label", "what", "--out", folder / "run",
                  *settings)  # fmt: skip
    assert done.exit_code == 0, done.output
    return path, folder / "run", kind


# -- what reads frames ------------------------------------------------------------------------------------------


def test_packed_values_are_torchs() -> None:
    values, lengths = torch.randn(5, 4, 3), torch.tensor([5, 3, 3, 1])
    like = pack_padded_sequence(values, lengths)
    batch, _ = make_batch(examples([np.zeros((1, 2), np.float32)] * 4), np.arange(4))
    found = packed(batch, values, lengths)
    assert torch.equal(found.values, like.data) and torch.equal(found.counts, like.batch_sizes)
    assert found.rows.tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 0, 0] and torch.equal(found.lengths, lengths)


def examples(frames: list[np.ndarray]) -> Examples:
    return Examples(Ragged.of(frames), np.zeros(len(frames), np.int64), str)


@pytest.mark.parametrize("case", MEDIA, ids=str)
def test_neither_padding_nor_neighbours_change_an_answer(case: Small) -> None:
    torch.manual_seed(1)
    task = case.task()
    assert isinstance(task, Classify)
    parts = task.prepare(case.source())
    model = task.build().eval()
    with torch.no_grad():
        together = task.logits(model, parts.train)
        alone = np.concatenate([task.logits(model, parts.train.take(np.array([row]))) for row in range(len(together))])
    assert np.ptp(together, axis=0).min() > 1e-4  # rows that are told apart
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_taken_rows_are_read_from_disk_when_they_are_packed() -> None:
    from gatework.data.media import listing

    arrays = [np.full((length, 2), length, np.float32) for length in (3, 1, 2)]
    store = Store.of(listing.read(arrays, kind="vectors"), lambda item, tell: np.asarray(item))
    some = Stored(store).take(np.array([2, 0]))
    assert isinstance(store.values, np.memmap) and isinstance(some.store.values, np.memmap)
    assert some.lengths.tolist() == [2, 3] and len(some) == 2
    assert some.pack([0, 1]).values[:, 0].tolist() == [3, 2, 3, 2, 3] and some.pack([0, 1]).order.tolist() == [1, 0]
    assert some.some(1).values.tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize("case", MEDIA, ids=str)
def test_training_sees_changed_copies_and_answers_the_very_frames(case: Small) -> None:
    task = case.task()
    parts = task.prepare(case.source())
    torch.manual_seed(0)
    first, again = (task.batches(parts.train, 0, Shard())[0].values for _ in range(2))
    plain = case.task(specaugment=0, speed=0, pitch=0, loudness=0, noise=0, shift=0)
    parts = plain.prepare(case.source())
    one, same = (plain.batches(parts.train, 0, Shard())[0].values for _ in range(2))
    assert torch.equal(one, same) and (first.shape != again.shape or not torch.equal(first, again))


def test_changes_do_what_they_are_called() -> None:
    draw = np.random.default_rng(0)
    frames = np.arange(24, dtype=np.float32).reshape(8, 3)
    lengths = {len(changes.faster(frames, draw, 0.5)) for _ in range(50)}
    assert min(lengths) >= 4 and max(lengths) <= 13 and len(lengths) > 3
    louder = changes.louder(frames, draw, 2.0) - frames
    assert np.ptp(louder) < 1e-5 and 0 < abs(louder[0, 0]) <= 2
    hidden = changes.masked(np.ones((100, 20), np.float32), draw, 1.0, np.full(20, 7.0))
    assert set(np.unique(hidden)) == {1.0, 7.0}
    assert (changes.noisy(frames, draw, 1.0) > frames - 1e-4).all()
    picture = np.zeros((2, 10, 10, 1), np.uint8)
    picture[:, 5, 5] = 9
    moved = {tuple(np.argwhere(changes.shifted(picture, draw, 0.2)[0, :, :, 0])[0]) for _ in range(200)}
    assert moved == {(row, column) for row in range(3, 8) for column in range(3, 8)}


# -- settings and data ------------------------------------------------------------------------------------------


def test_rate_size_and_colours_follow_from_the_data_and_are_kept(run: tuple[Path, Path, str]) -> None:
    _, folder, kind = run
    options = json.loads((folder / "config.json").read_text())["options"]
    assert options["kind"] == kind
    if kind == "sounds":
        assert options["rate"] == 8_000
    else:
        assert options["size"] == 12 and options["colour"] is False


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"audio": "a", "image": "b"}, "audio=a and image=b: rows are of one kind"),
        ({"audio": "a", "kind": "texts"}, "audio=a with kind=texts: rows are of one kind"),
        ({"kind": "sounds", "rate": 8_000, "jitter": 0.1}, "jitter.*numeric sequences.*speed"),
        (
            {"kind": "sounds", "rate": 8_000, "word_dropout": 0.1},
            "word_dropout works on texts, but the rows are sounds",
        ),
        ({"kind": "sounds", "rate": 8_000, "stem": "english"}, "stem works on texts, but the rows are sounds"),
        ({"kind": "sounds"}, "do not say their rate"),
    ],
)
def test_options_that_fit_no_sound_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises((OptionError, DataError), match=says):
        Classify(ClassifyOptions.of(options)).prepare(tones())


def test_a_folder_of_each_class_needs_no_table(tmp_path: Path) -> None:
    path = written(tmp_path / "flat", "pictures", 12)
    for name, label, _ in lines(path):
        (tmp_path / "all" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(path.parent / name, tmp_path / "all" / label)
    rows = reading.read(tmp_path / "all", ClassifyOptions())
    assert rows.kind == "pictures" and rows.label_column == "folder"
    assert sorted(rows.labels.to_list()) == ["a"] * 6 + ["b"] * 6


def test_every_broken_file_is_named_or_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "sounds", 20)
    (tmp_path / "003.wav").write_bytes(b"")
    (tmp_path / "007.wav").write_text("no sound")
    refused = invoke("check", "classify", path, "--audio", "file", "--label", "what")
    assert refused.exit_code == 2 and "003.wav" in refused.output and "007.wav" in refused.output
    rows = reading.read(path, ClassifyOptions(audio="file", label="what", bad_files="skip"))
    assert len(rows) == 18 and sum("left out" in doubt for doubt in rows.doubts) == 2
    assert rows.where(3).endswith("(004.wav)") and rows.labels[3] == "falls"


def test_equal_files_stay_together_and_are_told_across_parts(tmp_path: Path) -> None:
    path = written(tmp_path, "pictures", 20)
    shutil.copy(tmp_path / "001.png", tmp_path / "002.png")  # now the same picture with another label
    told = [found.message for found in Classify(ClassifyOptions(image="file", label="what")).check(path)]
    assert any("the same file stands elsewhere with another label" in message for message in told)
    task = Classify(ClassifyOptions(image="file", label="what", test_share=0.0))
    task.prepare(path, test=path)
    assert any("this file is also in the training data" in found.message for found in task.found)


# -- the job on files -------------------------------------------------------------------------------------------


def test_a_file_or_a_table_is_answered(run: tuple[Path, Path, str]) -> None:
    path, folder, _ = run
    name = lines(path)[0][0]
    (alone,) = map(json.loads, invoke("predict", folder, path.parent / name, "--json").stdout.splitlines())
    rows = [json.loads(line) for line in invoke("predict", folder, path, "--json").stdout.splitlines()]
    assert alone["file"] == name and rows[0]["file"] == name and len(rows) == 40
    assert alone["probabilities"] == pytest.approx(rows[0]["probabilities"], abs=1e-5)
    kept = invoke("predict", folder, path, "--keep", "who,what").stdout.splitlines()
    assert kept[0].startswith("who,what,label,confidence") and len(kept) == 41


def test_new_data_are_measured_and_learned_files_told(run: tuple[Path, Path, str]) -> None:
    path, folder, _ = run
    some = path.with_name("some.csv")
    some.write_text("\n".join(path.read_text().splitlines()[:21]))
    done = invoke("evaluate", folder, some)
    assert done.exit_code == 0 and "hold a file that the model learned from" in done.output


def test_a_run_that_was_loaded_answers_alike(run: tuple[Path, Path, str]) -> None:
    path, folder, kind = run
    estimator = {"sounds": gatework.SoundClassifier, "pictures": gatework.PictureClassifier}.get(
        kind, gatework.FilmClassifier
    )
    model, trained = estimator.load(folder), jobs.load(folder)
    files = [path.parent / row[0] for row in lines(path)[:5]]
    labels = [row["label"] for row in trained.predict(path)][:5]
    assert model.predict(files).tolist() == labels and model.classes_.shape == (2,)


def test_folds_a_search_and_a_diagnosis_work(run: tuple[Path, Path, str], tmp_path: Path) -> None:
    path, folder, kind = run
    common = (f"--{COLUMN[kind]}", "file", "--label", "what")
    settings = [part for name, value in QUICK.items() for part in ("--set", f"{name}={value}")]
    folds = invoke("validate", "classify", path, *common, "--folds", 2, *settings)
    assert folds.exit_code == 0 and "accuracy" in folds.output, folds.output
    found = invoke("tune", "classify", path, *common, *settings, "--trials", 2, "--out", tmp_path / "study")
    assert found.exit_code == 0, found.output
    assert invoke("diagnose", folder, path).exit_code in (0, 1)


def test_a_page_holds_the_worst_errors_to_be_heard_or_seen(run: tuple[Path, Path, str]) -> None:
    _, folder, kind = run
    page = (folder / "report.html").read_text()
    worst = json.loads((folder / "results.json").read_text())["sections"]["worst"]
    what = "sound" if kind == "sounds" else "picture"
    assert all(row[what].startswith("data:") for row in worst[:8]) and len(page) < 3_000_000
    if worst:
        assert ("<audio controls" if kind == "sounds" else '<img src="data:image/png') in page
    assert f"gatework.{'Sound' if kind == 'sounds' else 'Picture' if kind == 'pictures' else 'Film'}Classifier" in page


def test_an_export_is_refused_in_words(run: tuple[Path, Path, str], tmp_path: Path) -> None:
    _, folder, kind = run
    done = invoke("export", folder, "--out", tmp_path / "model.gw")
    assert done.exit_code == 2 and f"runs of 'classify' on {kind} have no export yet" in done.output
    with pytest.raises(OptionError, match="rows of a run of 'classify' can name files of this machine"):
        opened("model", folder)


def test_steps_are_seconds_places_or_frames(run: tuple[Path, Path, str]) -> None:
    path, folder, kind = run
    found = explain(folder, path, row=2)
    shown = {"sounds": "0.03 s", "pictures": "row 1, column 2", "films": "2"}[kind]
    assert found.steps[1] == shown and found.series is not None and len(found.series) == len(found)
    row = jobs.load(folder).predict(path)[1]
    assert (found.answer, found.probability) == (row["label"], pytest.approx(row["confidence"], abs=1e-5))
    whole = found.attribution.output - found.attribution.start
    assert float(found.attribution.steps.sum()) == pytest.approx(whole, abs=0.02 * max(abs(whole), 0.1))
    assert explain(folder, path.parent / lines(path)[1][0]).answer == found.answer
    with pytest.raises(OptionError, match="has 40 rows; say which"):
        explain(folder, path)


# -- simple methods ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "size"), [("sounds", 5 * 8 + 8), ("pictures", 256), ("films", 128)])
def test_simple_methods_see_few_numbers_of_each_row(kind: str, size: int) -> None:
    draw = np.random.default_rng(0)
    frames: list[np.ndarray] = {
        "sounds": [draw.normal(size=(length, 8)) for length in (1, 3, 40)],
        "pictures": [draw.integers(0, 255, (1, 20, 20, 1)) for _ in range(3)],
        "films": [draw.integers(0, 255, (length, 20, 20, 1)) for length in (1, 2, 9)],
    }[kind]
    found = numbers(Ragged.of(frames), kind)
    assert found.shape == (3, size) and np.isfinite(found).all()
    if kind == "sounds":
        np.testing.assert_allclose(found[2, :8], frames[2][:8].mean(0), rtol=1e-5)
    if kind == "films":
        assert (found[0, 64:] == 0).all() and (found[1, 64:] > 0).all()


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("case", MEDIA, ids=str)
def test_simple_methods_stand_beside_the_model(case: Small, refit: bool) -> None:
    task = case.task(**({"refit": True, "keep": "last", "patience": 0} if refit else {}))
    parts = task.prepare(case.source())
    rows = task.baselines(parts)
    names = {row.name for row in rows}
    assert {"majority", "1-NN"} < names and names & {"SVM", "logistic regression"}
    assert ("1-NN, warped" in names) == (case.options["kind"] == "sounds")
    assert max(row.metrics["accuracy"] for row in rows) > 0.6 and all(row.sums is not None for row in rows)


ARRAYS: list[tuple[Any, Callable[[], Any]]] = [
    (gatework.SoundClassifier, lambda: [(clip, 8_000) for clip in tones()["audio"]]),
    (gatework.PictureClassifier, lambda: np.stack(squares()["image"])),
    (gatework.FilmClassifier, lambda: squares(frames=8)["video"]),
]


def test_labels_of_columns_may_be_an_array() -> None:
    made = squares()
    rows = reading.read(
        {"image": np.stack(made["image"]), "label": np.arange(40) % 2}, ClassifyOptions(kind="pictures")
    )
    assert len(rows) == 40 and rows.label_type == "int" and rows.labels[:3].to_list() == ["0", "1", "0"]


@pytest.mark.parametrize(("make", "source"), ARRAYS, ids=["sounds", "pictures", "films"])
def test_estimators_take_arrays_and_keep_the_type_of_labels(make: Any, source: Callable[[], Any]) -> None:
    X, y = source(), [3, 5] * 20
    model = make(**QUICK).fit(X, y)
    assert model.classes_.tolist() == [3, 5] and model.predict_proba(X).shape == (40, 2)
    assert model.predict(X[:3]).dtype.kind == "i" and 0 <= model.score(X, y) <= 1
    with pytest.raises(DataError, match=r"different lengths \(.* 40, label 39\)"):
        make(**QUICK).fit(X, y[:39])


def test_a_network_learns_what_the_order_of_time_says() -> None:
    """Rising and falling tones have the same mean spectrum."""
    made = tones(80)
    options = {**QUICK, "hidden_size": 16, "front_size": 16, "epochs": 12, "learning_rate": 0.01}
    model = gatework.SoundClassifier(rate=8_000, **options).fit(made["audio"], made["label"])
    new = tones(120)
    assert model.score(new["audio"][80:], new["label"][80:]) > 0.9
