"""Speak: losses and steps against loops, what must hold of a voice, a training that is heard, bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.nn import functional

import gatework
from gatework import report
from gatework.data.media import sounds
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.runtime.sounds.mel import Mel
from gatework.tasks import jobs
from gatework.tasks.base import Parts
from gatework.tasks.speak import Speak, SpeakOptions, measures, sounding
from gatework.tasks.speak.baselines import mean
from gatework.tasks.speak.codecs import Codecs
from gatework.tasks.speak.examples import AFTER, Batch, Examples, make_batch
from gatework.tasks.speak.loss import Losses, losses, off_diagonal
from gatework.tasks.speak.model import Outputs, Voice
from gatework.tasks.speak.saying import Saying

RATE = 2_000
PITCHES = {"a": 200, "b": 400, "c": 800}
SMALL: dict[str, Any] = {
    "mels": 24, "embedding_size": 8, "speaker_size": 4, "encoder_size": 8, "asking_size": 16, "hidden_size": 32,
    "bottleneck": 16, "finish": 8, "batch_size": 8,
}  # fmt: skip


def tones(text: str, octave: int = 1, seed: int = 0) -> np.ndarray:
    """A tone of an eighth of a second for each letter, over low noise; longer or shorter by a tenth."""
    draw = np.random.default_rng([seed, *text.encode()])
    time = np.arange(int(RATE * 0.125 * draw.uniform(0.9, 1.1))) / RATE
    found = [0.4 * np.sin(2 * np.pi * PITCHES[letter] * octave * time) for letter in text]
    return (np.concatenate(found) + draw.normal(0, 0.002, len(found) * len(time))).astype(np.float32)


def recordings(count: int = 48, voices: str = "lh") -> list[dict[str, Any]]:
    """Letters and pairs of them, by a low voice and, if there are two, one that is half an octave higher."""
    texts = ["a", "b", "ab", "ba"]
    return [
        {
            "audio": tones(texts[number % 4], seed=number),
            "rate": RATE,
            "text": texts[number % 4],
            "speaker": voices[number // 4 % len(voices)],
        }
        for number in range(count)
    ]


def prepared(**options: Any) -> tuple[Speak, Parts[Examples], Voice]:
    torch.manual_seed(0)
    task = Speak(SpeakOptions(**{**SMALL, "epochs": 1, "test_share": 0.2, **options}))
    parts = task.prepare(recordings())
    return task, parts, task.build().eval()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    """A voice that has learned its tones."""
    folder = tmp_path_factory.mktemp("voice")
    options = SpeakOptions(**SMALL, epochs=80, test_share=0.1, bottleneck_dropout=0.3, learning_rate=6e-3)
    return jobs.train(Speak(options), recordings(), out=folder / "run", quiet=True)


def loudest(samples: np.ndarray) -> float:
    """The pitch, in hertz, of most power."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 4096))
    return float(power.argmax() * RATE / 4096)


# -- the network and its losses -----------------------------------------------------------------------------


def test_the_diagonal_is_that_of_a_loop() -> None:
    found = off_diagonal(torch.tensor([3, 2]), torch.tensor([4, 2]), 3)
    assert found.shape == (2, 3, 4)
    for row, (steps, units) in enumerate(((3, 4), (2, 2))):
        for step in range(steps):
            for unit in range(units):
                true = 1 - np.exp(-((step / steps - unit / units) ** 2) / (2 * 0.2**2))
                assert found[row, step, unit].item() == pytest.approx(true, abs=1e-6)


def batch_of(task: Speak, examples: Examples, rows: list[int]) -> Batch:
    return make_batch(examples, np.array(rows), task.options.reduction)


def test_losses_of_a_batch_are_those_of_its_rows() -> None:
    task, parts, model = prepared()
    rows = [0, 1, 2, 3]
    assert len(set(parts.train.lengths[rows].tolist())) > 1  # or nothing would be padded
    with torch.no_grad():
        both = losses(model(batch_of(task, parts.train, rows)), batch_of(task, parts.train, rows), 5.0)
        alone = [
            losses(model(batch_of(task, parts.train, [row])), batch_of(task, parts.train, [row]), 5.0) for row in rows
        ]
    for name in Losses._fields:
        torch.testing.assert_close(
            getattr(both, name), sum(getattr(each, name) for each in alone), rtol=1e-4, atol=1e-4
        )


def test_losses_are_those_of_a_loop_and_padding_counts_nowhere() -> None:
    draw = torch.Generator().manual_seed(1)
    steps, lengths, whole = torch.tensor([3, 1]), torch.tensor([2, 3]), 3 + AFTER
    frames, rough, finished = (torch.randn(2, 2 * whole, 4, generator=draw) for _ in range(3))
    ends, weights = torch.randn(2, whole, generator=draw), torch.rand(2, whole, 3, generator=draw)
    batch = Batch(torch.zeros(3, 2, dtype=torch.int64), lengths, torch.zeros(2), frames, steps, np.arange(2))
    found = losses(Outputs(rough, finished, ends, weights), batch, 5.0)
    wrong = nats = looks = 0.0
    far = off_diagonal(steps, lengths, whole)
    for row, count in enumerate(steps.tolist()):
        for each in (rough, finished):
            apart = each[row, : 2 * count] - frames[row, : 2 * count]
            wrong += float((apart.abs() + apart**2).mean(1).sum())
        for step in range(count + AFTER):
            over = step >= count - 1
            nats -= float(functional.logsigmoid(ends[row, step] if over else -ends[row, step])) * (5 if over else 1)
        looks += float((weights[row, :count] * far[row, :count]).sum())
    assert [float(found.frames), float(found.ends), float(found.looks)] == pytest.approx([wrong, nats, looks], rel=1e-5)
    assert found.counts.tolist() == [8, 4 + 2 * AFTER, 4]
    assert float(found.total(2.0)) == pytest.approx(wrong / 8 + nats / (4 + 2 * AFTER) + 2 * looks / 4, rel=1e-5)
    for each in (rough, finished, frames):
        each[1, 2:] = 9.0
    ends[1, 1 + AFTER :], weights[1, 1:] = 3.0, 2.0
    again = losses(Outputs(rough, finished, ends, weights), batch, 5.0)
    torch.testing.assert_close(torch.stack(again[:3]), torch.stack(found[:3]))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("reduction", [1, 3])
def test_steps_that_read_what_was_recorded_are_the_whole(cell: str, reduction: int) -> None:
    task, parts, model = prepared(cell=cell, reduction=reduction, layers=2)
    batch = batch_of(task, parts.train, [0, 1, 2])
    with torch.no_grad():
        whole = model(batch)
        read = model.read(batch.units, batch.lengths, batch.speakers)
        spoken, rough, ends, looks = model.begin(read), [], [], []
        for step in range(batch.frames.shape[1] // reduction):
            frames, end, weights, spoken = model.step(read, spoken)
            spoken = spoken._replace(last=batch.frames[:, (step + 1) * reduction - 1])
            for found, each in ((rough, frames), (ends, end[:, None]), (looks, weights[:, None])):
                found.append(each)
    inside = (whole.rough != 0).any(2, keepdim=True)
    torch.testing.assert_close(torch.cat(rough, 1) * inside, whole.rough, rtol=1e-4, atol=1e-5)
    for one, other in ((whole.ends, ends), (whole.weights, looks)):
        torch.testing.assert_close(torch.cat(other, 1), one, rtol=1e-4, atol=1e-5)


def test_a_text_is_said_alike_alone_and_beside_others() -> None:
    task, parts, model = prepared()
    rows = np.array([0, 1, 2, 3])
    together = Saying(model, task.codecs)(parts.train.take(rows))
    for row, found in zip(rows, together, strict=True):
        (alone,) = Saying(model, task.codecs)(parts.train.take(np.array([row])))
        assert found.frames.shape == alone.frames.shape
        np.testing.assert_allclose(found.frames, alone.frames, atol=1e-3)
        assert found.looks.shape == (len(found.frames) // task.options.reduction, len(parts.train.units[row]))
        np.testing.assert_allclose(found.looks.sum(1), 1, atol=1e-5)


def test_a_text_ends_where_its_end_is_likely_or_time_is_up() -> None:
    task, parts, model = prepared()
    one = parts.train.take(np.array([0]))
    with torch.no_grad():
        model.end.bias.fill_(50.0)
        (said,) = Saying(model, task.codecs)(one)
        assert said.stopped and len(said.frames) == task.options.reduction
        model.end.bias.fill_(-50.0)
        (said,) = Saying(model, task.codecs, seconds=0.3)(one)
    assert not said.stopped and len(said.frames) == 30


# -- measures and templates ---------------------------------------------------------------------------------


def test_cepstra_leave_the_level_out_and_are_decibels() -> None:
    frames = np.random.default_rng(2).normal(0, 1, (6, 24))
    np.testing.assert_allclose(measures.cepstra(frames + 3.0), measures.cepstra(frames), atol=1e-9)
    place = (np.arange(24) + 0.5) * np.pi / 24
    wave = np.sqrt(2) * np.cos(3 * place) / measures.DECIBELS  # one decibel in the root mean square, of the third
    apart = measures.cepstra(frames + wave) - measures.cepstra(frames)
    np.testing.assert_allclose(np.linalg.norm(apart, axis=1), 1.0, rtol=1e-9)


def test_a_slower_copy_is_near_and_sums_add_up() -> None:
    frames = np.random.default_rng(3).normal(0, 1, (8, 24)).astype(np.float32)
    near, far = measures.distances([frames.repeat(2, 0), frames[::-1]], [frames, frames])
    assert near[0] == pytest.approx(0, abs=0.01) and near[1] == 16 and far[0] > 10
    counted = measures.sums(np.array([near, far]), [True, False])
    assert measures.score(counted.sum(0), "ended") == 0.5
    assert measures.score(counted.sum(0), "mcd") == pytest.approx((near[0] + far[0]) / (near[1] + far[1]))
    assert np.isnan(measures.score(np.zeros(4), "mcd"))


def test_a_template_of_equal_takes_is_the_take_in_the_time_of_the_middle_one() -> None:
    frames = np.random.default_rng(4).normal(0, 3, (8, 24)).astype(np.float32)
    np.testing.assert_allclose(mean([frames, frames.repeat(2, 0), frames]), frames, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mean([frames]), frames, rtol=1e-6)


def test_a_pair_that_was_never_recorded_has_no_template() -> None:
    task, parts, _ = prepared()
    test = parts.test
    assert test is not None
    strange = replace(test, utterances=replace(test.utterances, texts=["new"] * len(test)))
    (found,) = task.baselines(Parts(parts.train, strange))
    assert np.isnan(found.metrics["mcd"]) and found.sums is not None and np.isnan(found.sums[:, 0]).all()
    assert f"{len(test)} of {len(test)} have none" in found.note


# -- a training, heard ---------------------------------------------------------------------------------------


def test_what_is_said_has_the_pitches_that_were_learned(trained: jobs.Trained) -> None:
    task = cast("Speak", trained.task)
    how = task.Predicting.of({"speaker": "l"})
    said = {
        each.row["text"]: each
        for each in task.soundings(cast("Voice", trained.model), ["a", "b", "ab", "ba"], cast("Any", how))
    }
    assert all(each.row["stopped"] for each in said.values())
    for text, each in said.items():
        assert each.row["seconds"] == pytest.approx(0.125 * len(text), rel=0.4)
        half = len(each.samples) // 2
        parts = [each.samples] if len(text) == 1 else [each.samples[: half - 40], each.samples[half + 40 :]]
        assert [loudest(part) for part in parts] == pytest.approx([PITCHES[letter] for letter in text], rel=0.12)


def test_results_tell_model_and_template_and_the_page_plays(trained: jobs.Trained, tmp_path: Path) -> None:
    results = trained.run.results()
    assert [row["name"] for row in results["contenders"]] == ["model", "mean template"]
    assert results["test"]["ended"] == 1.0 and np.isfinite(results["test"]["mcd"])
    few = results["sections"]["few"]
    assert {row["speaker"] for row in few} == {"l", "h"}
    page = report.write(trained.run, tmp_path / "page.html").read_text()
    assert page.count('<audio controls preload="metadata" src="data:audio/wav;base64,UklGR') == 2 * len(few)
    assert "media-src data:" in page and "where it looked" not in page.partition("<img")[0]


def test_a_run_that_is_loaded_says_the_same(trained: jobs.Trained) -> None:
    loaded = jobs.load(trained.run.path)
    how = {"speaker": "h"}
    assert loaded.predict(["ab"], **how) == trained.predict(["ab"], **how)
    row = loaded.predict([{"text": "AB", "speaker": "l"}])[0]
    assert (row["text"], row["speaker"], sorted(row)) == ("AB", "l", ["seconds", "speaker", "stopped", "text"])


def test_single_words_are_said_one_by_one(trained: jobs.Trained) -> None:
    with pytest.warns(UserWarning, match="each word of a text is said for itself"):
        (row,) = trained.predict(["a ba"], speaker="l")
    apart = [trained.predict([word], speaker="l")[0]["seconds"] for word in ("a", "ba")]
    assert row["text"] == "a ba" and row["seconds"] == pytest.approx(
        sum(apart) + (sounding.PAUSE_MS - 30) / 1000, abs=2e-3
    )  # a window is 30 ms longer than a hop


def test_learned_recordings_are_told_and_new_ones_are_measured_and_diagnosed(trained: jobs.Trained) -> None:
    task = cast("Speak", trained.task)
    assert "are among those that the model learned from" in task.caution(task.examples(recordings()))
    new = [{**row, "audio": tones(row["text"], seed=900 + place)} for place, row in enumerate(recordings(4))]
    assert task.caution(task.examples(new)) == ""
    few = trained.assessed(new)["sections"]["few"]  # without templates: learned recordings are not at hand
    assert few and all(row["distance"] > 0 for row in few)
    assert any("making" in finding.what for finding in gatework.diagnose(trained, new).findings)


# -- files ---------------------------------------------------------------------------------------------------


def saved(trained: jobs.Trained, out: Path, source: Any = None, **how: Any) -> list[dict[str, Any]]:
    options = trained.task.Predicting.of({"speaker": "l", **how})
    return trained.saved(source, out, options) or []


def test_sounds_become_a_file_or_numbered_files(trained: jobs.Trained, tmp_path: Path) -> None:
    (row,) = saved(trained, tmp_path / "new" / "one.wav", text="ab")
    sound = sounds.read(row["file"])
    assert sound.rate == RATE and sound.seconds == pytest.approx(row["seconds"], abs=1e-3)
    rows = saved(trained, tmp_path / "many", ["a", "b"] * 6)
    assert [Path(row["file"]).name for row in rows] == [f"{number:02}.wav" for number in range(1, 13)]
    (tmp_path / "texts.csv").write_text("text,speaker\nab,h\na,\n")
    rows = saved(trained, tmp_path / "table", tmp_path / "texts.csv")
    assert [(row["text"], row["speaker"]) for row in rows] == [("ab", "h"), ("a", "l")]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("many.wav", {"source": ["a", "b"]}, "is one file, but there are 2 texts; name a folder"),
    ("one.mp3", {"text": "a"}, "sounds are written as wav files; name it one.wav"),
    ("one.wav", {}, "--text TEXT, or a file of texts; name one"),
    ("one.wav", {"text": "a", "source": ["a"]}, "name only one of them"),
    ("one.wav", {"text": "a", "speaker": "L"}, "no speaker 'L' was heard"),
    ("one.wav", {"text": "a", "speaker": None}, "names no speaker; give one of h, l"),
    ("one.wav", {"text": "xyz"}, "of 'xyz' no unit was learned"),
    ("one.wav", {"source": [{"x": "a", "n": 1}]}, "has no column 'text'"),
]


@pytest.mark.parametrize(("out", "given", "said"), REFUSED, ids=lambda each: each if isinstance(each, str) else "")
@pytest.mark.filterwarnings("ignore:the given texts")
def test_what_cannot_be_said_is_refused_in_words(
    trained: jobs.Trained, tmp_path: Path, out: str, given: dict[str, Any], said: str
) -> None:
    with pytest.raises((DataError, OptionError)) as refused:
        saved(trained, tmp_path / out, **given)
    assert said in str(refused.value)


def test_letters_that_were_never_learned_are_left_out_and_named(trained: jobs.Trained) -> None:
    with pytest.warns(UserWarning, match="text 1: 'z' was never learned and is left out"):
        assert trained.predict(["azb"], speaker="l")[0]["seconds"] == trained.predict(["ab"], speaker="l")[0]["seconds"]


def test_unit_by_unit_explanations_and_exports_are_refused_with_a_reason(trained: jobs.Trained) -> None:
    with pytest.raises(OptionError, match="none of which is an answer"):
        trained.task.subject(trained, trained.task.Explaining(), None)
    with pytest.raises(OptionError, match="no export yet"):
        trained.task.exported(trained.model)


# -- data that are read ---------------------------------------------------------------------------------------


def written(folder: Path, rows: list[dict[str, Any]], header: str = "file,words,who") -> Path:
    lines = [header]
    for number, row in enumerate(rows):
        sounds.write(folder / f"{number}.wav", row["audio"], RATE)
        lines.append(f"{number}.wav,{row['text']},{row['speaker']}")
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder / "clips.csv"


def found(source: Any, **options: Any) -> str:
    return "\n".join(f"{each.level}: {each.message}" for each in Speak(SpeakOptions(**SMALL, **options)).check(source))


def test_a_table_of_files_is_read_by_its_columns(tmp_path: Path) -> None:
    told = found(written(tmp_path, recordings()), audio="file", text="words", speaker="who")
    assert "error" not in told and "48 recordings" in told
    assert "2 voice(s); 2,000 samples a second" in told and "cut into characters, 2 different ones" in told
    assert "1 voice(s)" in found(written(tmp_path, recordings(), "file,words,x"), text="words")
    assert "speaker is column 'who'" in found(written(tmp_path, recordings()), text="words")


def test_phones_are_symbols_between_spaces(tmp_path: Path) -> None:
    rows = [{**row, "text": " ".join(row["text"].upper() * 3)} for row in recordings()]
    assert "cut into spaces, 2 different ones" in found(rows)


FAULTS: list[tuple[str, Callable[[Path], Any], str]] = [
    (
        "no text",
        lambda path: path.write_text(path.read_text().replace("3.wav,ba", "3.wav,")),
        "line 5 (3.wav) says nothing",
    ),
    (
        "no speaker",
        lambda path: path.write_text(path.read_text().replace("2.wav,ab,l", "2.wav,ab,")),
        "names no speaker",
    ),
    ("empty file", lambda path: (path.parent / "1.wav").write_bytes(b""), "1.wav) is empty"),
    ("no sound", lambda path: (path.parent / "1.wav").write_text("<html>"), "1.wav): not a sound"),
    ("no file", lambda path: (path.parent / "1.wav").unlink(), "1.wav"),
    ("silent", lambda path: sounds.write(path.parent / "1.wav", np.zeros(400), RATE), "silent"),
]


@pytest.mark.parametrize(("what", "harm", "said"), FAULTS, ids=[name for name, _, _ in FAULTS])
def test_bad_recordings_are_named(tmp_path: Path, what: str, harm: Callable[[Path], Any], said: str) -> None:
    path = written(tmp_path, recordings())
    harm(path)
    told = found(path, audio="file", text="words", speaker="who")
    assert told.startswith("error") or "\nerror" in told
    assert said in told, told


def test_broken_recordings_are_left_out_where_asked(tmp_path: Path) -> None:
    path = written(tmp_path, recordings())
    (tmp_path / "5.wav").write_bytes(b"RIFF")
    told = found(path, audio="file", text="words", speaker="who", bad_files="skip")
    assert "error" not in told and "left out" in told and "5.wav" in told


def test_few_recordings_make_small_steps_and_many_epochs() -> None:
    task, parts, _ = prepared(batch_size=None, epochs=None)
    assert (task.options.batch_size, task.options.epochs) == (8, 400)
    assert len(parts.train) == 36  # 5 steps of an epoch


def test_too_few_recordings_and_other_columns_are_refused() -> None:
    assert "too few to hold out" in found(recordings(1))
    assert "has no column 'said'" in found(recordings(), text="said")


def test_options_that_make_no_sound_are_refused() -> None:
    with pytest.raises(OptionError, match="must be at least twice hop_ms"):
        SpeakOptions(window_ms=20.0, hop_ms=15.0)
    with pytest.raises(OptionError, match="asking_size = 2 \\* encoder_size"):
        SpeakOptions(attention="dot")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("voice.json", {"mean": [0.0], "deviation": [1.0], "slowest": 2.0}, "scales 1 and 1 bands, not 24"),
        ("voice.json", {"mean": [0.0] * 24, "deviation": [0.0] * 24, "slowest": 2.0}, "bands, not 24"),
        ("voice.json", {"mean": [0.0] * 24, "deviation": [1.0] * 24, "slowest": -1.0}, "cannot take -1 frames"),
        ("speakers.json", {"kind": "labels", "type": "str", "classes": []}, "a codec of texts and one of labels"),
    ],
)
def test_assets_of_strangers_are_refused(trained: jobs.Trained, name: str, text: Any, said: str) -> None:
    assets = {**trained.task.assets(), name: json.dumps(text)}
    with pytest.raises(FileFormatError, match=said):
        Codecs.restored(cast("SpeakOptions", trained.task.options), assets)


def test_rounds_test_each_recording_once_and_are_the_same_data_again() -> None:
    task, _, _ = prepared()
    rounds, again = (task.rounds(recordings(), 3, hold_out=False) for _ in range(2))
    digests = [digest for each in rounds for digest in cast("Any", task.examples(each.test).frames).digests]
    assert len(digests) == 48 == len(set(digests))
    assert [each.source.fingerprint() for each in rounds] == [each.source.fingerprint() for each in again]
    assert len({each.source.fingerprint() for each in rounds}) == 3
    assert len(task.rounds(recordings(), 3, hold_out=True)[0].source) < len(rounds[0].source)


# -- the estimator --------------------------------------------------------------------------------------------


def test_the_estimator_takes_arrays_and_gives_samples(tmp_path: Path) -> None:
    rows = recordings(16, voices="l")
    model = gatework.Speaker(**SMALL, epochs=2)
    model.fit([(row["audio"], RATE) for row in rows], [row["text"] for row in rows])
    (said,) = model.predict(["ab"], max_seconds=0.2)
    assert said.dtype == np.float32 and 0 < len(said) <= 0.25 * RATE and model.rate_ == RATE and model.speakers_ == [""]
    model.save(tmp_path / "run")
    np.testing.assert_array_equal(gatework.Speaker.load(tmp_path / "run").predict(["ab"], max_seconds=0.2)[0], said)
    assert model.score([(row["audio"], RATE) for row in rows], [row["text"] for row in rows]) < 0
    with pytest.raises(DataError, match="2 recordings, but 1 texts"):
        model.fit([rows[0]["audio"]] * 2, ["a"])
    with pytest.raises(OptionError, match="speaker='l': the one voice that was learned has no name"):
        model.predict(["ab"], speaker="l")


def test_rates_and_frames_are_those_of_the_recordings() -> None:
    task, parts, _ = prepared()
    assert task.codecs.mel == Mel(RATE, 24, 40.0, 10.0)
    features = task.codecs.mel.features(recordings()[0]["audio"])
    assert len(features) in parts.train.lengths
    scaled = np.concatenate([task.codecs.scale.scaled(each) for each in cast("Any", parts.train.frames)])
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(scaled.std(0), 1, atol=0.02)
