"""Transcribe: units, batches, changed copies, training, answers and faults. Streams: test_transcribe_streams.py."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import gatework
from gatework.data.media import sounds
from gatework.data.ragged import Ragged
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.tasks.jobs import load, train
from gatework.tasks.transcribe import Transcribe, TranscribeOptions, augment, ctc
from gatework.tasks.transcribe.augment import Augmentation
from gatework.tasks.transcribe.examples import FRAMES, Batch, alike, drawn, make_batch
from gatework.tasks.transcribe.units import Units
from gatework.training.learner import Shard
from small import lined, said

SMALL = {"hidden_size": 12, "front_size": 12, "layers": 1, "epochs": 2, "batch_size": 8}


def transcribe(**options) -> Transcribe:
    return Transcribe(TranscribeOptions(**{**SMALL, **options}))


# -- units ----------------------------------------------------------------------------------------------------


def test_few_words_that_come_often_are_units_and_else_characters() -> None:
    assert Units.of(["no yes", " yes  no"] * 10).symbols == ("", "no", "yes")
    assert Units.of(["no yes", "yes no"]).kind == "characters"
    assert Units.of([f"w{number}" for number in range(70)] * 20).kind == "characters"
    letters = Units.of(["ab  a"], "characters")
    assert letters.symbols == ("", " ", "a", "b")
    assert letters.text(letters.encode(["  b  a "])[0][0]) == "b a"
    with pytest.raises(DataError, match="every text is empty"):
        Units.of(["", " "])


def test_unknown_units_are_told_and_left_out() -> None:
    ids, unknown = Units.of(["no yes"] * 10, "words").encode(["yes maybe no", "never"])
    assert [row.tolist() for row in (ids[0], ids[1])] == [[2, 1], []] and unknown == ["maybe", "never"]


def test_units_come_back_from_json_and_nothing_else_does() -> None:
    units = Units.of(["ö b"], "characters")
    assert Units.from_json(units.to_json()) == units
    for bad in ('{"kind": "words", "symbols": ["a"]}', '{"kind": "x", "symbols": [""]}', '{"kind": "words"}', "["):
        with pytest.raises(FileFormatError):
            Units.from_json(bad)


# -- the loss -------------------------------------------------------------------------------------------------


def test_the_steps_that_a_text_needs_are_the_fewest_that_any_path_has() -> None:
    def fewest(ids: tuple[int, ...]) -> int:
        for steps in itertools.count():
            for path in itertools.product(range(3), repeat=steps):
                if tuple(key for key, _ in itertools.groupby(path) if key) == ids:
                    return steps
        raise AssertionError

    texts = [ids for length in range(4) for ids in itertools.product((1, 2), repeat=length)]
    assert ctc.needed(Ragged.of([list(ids) for ids in texts], np.int64)).tolist() == [fewest(ids) for ids in texts]


def test_the_loss_is_that_of_single_texts_and_0_where_there_is_no_room() -> None:
    log_p = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    targets, lengths = Ragged.of([[1, 2], [3], [1, 1]], np.int64), torch.tensor([6, 4, 2])

    told = Batch(log_p, lengths, torch.from_numpy(targets.values), torch.from_numpy(targets.lengths), np.arange(3))
    found = ctc.negative_log_p(log_p, lengths, told)
    alone = [ctc.nats(log_p[: int(lengths[i]), i].contiguous().numpy(), targets[i]) for i in range(3)]
    assert found.tolist() == pytest.approx(alone) and found[2] == 0 < found[0]


# -- batches and changed copies -------------------------------------------------------------------------------


def test_batches_hold_each_row_once_and_are_no_larger_than_asked() -> None:
    lengths = np.random.default_rng(0).integers(5, 200, 97)
    for short_first in (False, True):
        groups = drawn(lengths, 8, 600, np.random.default_rng(1), short_first)
        assert sorted(np.concatenate(groups).tolist()) == list(range(97))
        assert all(len(rows) <= 8 and (len(rows) == 1 or len(rows) * lengths[rows].max() <= 600) for rows in groups)
    longest = [int(lengths[rows].max()) for rows in groups]
    assert longest == sorted(longest)
    assert alike(lengths, np.arange(0), 8, 600) == []


def test_the_order_hangs_on_seed_and_epoch_alone_and_copies_on_torch_s_generator() -> None:
    task = transcribe()
    parts = task.prepare(said())
    first, again, other = (task.batches(parts.train, epoch, Shard()) for epoch in (3, 3, 4))
    assert [rows.tolist() for rows in first.rows] == [rows.tolist() for rows in again.rows]
    assert [rows.tolist() for rows in first.rows] != [rows.tolist() for rows in other.rows]
    torch.manual_seed(5)
    one = first[0]
    torch.manual_seed(5)
    two = again[0]
    assert torch.equal(one.frames, two.frames) and not torch.equal(
        one.frames[:, : two.frames.shape[1]], first[0].frames
    )


def test_the_first_epochs_are_of_recordings_as_they_are_the_shortest_first() -> None:
    task = transcribe(epochs=10, curriculum=0.2)
    parts = task.prepare(said())
    for epoch, early in ((0, True), (1, True), (2, False)):
        batches = task.batches(parts.train, epoch, Shard())
        lengths = [int(batch.lengths[0]) for batch in batches]
        assert (lengths == sorted(lengths)) == early
        same = [
            torch.equal(batch.frames, make_batch(parts.train, batch.rows, task.hearing).frames) for batch in batches
        ]
        assert all(same) == early


def test_a_batch_is_scaled_sorted_and_0_beyond_each_end() -> None:
    task = transcribe()
    examples = task.prepare(said()).train
    batch = make_batch(examples, np.arange(6), task.hearing)
    assert batch.lengths.tolist() == sorted(batch.lengths.tolist(), reverse=True)
    ids = batch.targets.split(batch.target_lengths.tolist())
    for place, row in enumerate(batch.rows.tolist()):
        length = int(batch.lengths[place])
        frames = task.hearing.scaled(examples.clips.store[row])
        assert np.array_equal(batch.frames[place, :length].numpy(), frames) and not batch.frames[place, length:].any()
        assert task.units.text(ids[place].tolist()) == examples.clips.texts[row]
    assert {make_batch(examples, batch.rows[:k], task.hearing).frames.shape[1] % FRAMES for k in (1, 2, 3)} == {0}
    every = np.concatenate([task.hearing.scaled(frames) for frames in examples.clips.store])
    assert np.abs(every.mean(0)).max() < 1e-3 and every.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", ["sound", "picture"])
def test_without_amounts_nothing_changes_and_with_them_all_does(kind: str) -> None:
    none = dict.fromkeys(("speed", "pitch", "loudness", "colouring", "noise", "shift", "specaugment"), 0.0)
    frames = np.random.default_rng(0).normal(100, 9, (40, 16) if kind == "sound" else (40, 16, 1)).astype(np.float32)
    calm = Augmentation.of(TranscribeOptions(**none), kind)
    draw = np.random.default_rng(2)
    assert calm.masked(calm.changed(frames, draw), draw) is frames
    for name in ("speed", "pitch", "loudness", "colouring", "noise") if kind == "sound" else ("noise", "shift"):
        changed = Augmentation.of(TranscribeOptions(**none | {name: 0.3}), kind)
        copies = [changed.changed(frames, draw) for _ in range(12)]
        assert any(copy.shape != frames.shape or not np.allclose(copy, frames) for copy in copies), name
        assert all(np.isfinite(copy).all() and copy.shape[1:] == frames.shape[1:] for copy in copies)


def test_noise_only_adds_and_loudness_is_one_number() -> None:
    frames, draw = np.random.default_rng(0).normal(0, 3, (50, 20)).astype(np.float32), np.random.default_rng(1)
    assert (augment.noisy(frames, draw, 1.0) >= frames - 1e-5).all()
    assert np.ptp(augment.louder(frames, draw, 2.0) - frames) < 1e-5
    curve = augment.coloured(frames, draw, 1.0) - frames
    assert np.ptp(curve, axis=0).max() < 1e-5 < np.ptp(curve, axis=1).min()


def test_masks_grow_with_the_length_and_never_take_most_of_a_short_one() -> None:
    draw = np.random.default_rng(3)
    for length in (1, 3, 10, 100, 1_000):
        ones = [augment.masked(np.ones((length, 40), np.float32), draw, 1.0) for _ in range(50)]
        gone = np.mean([(copy == 0).all(1).mean() for copy in ones])
        assert gone <= 0.25 and (length < 10 or gone > 0.03)


def test_a_faster_copy_is_the_same_sound() -> None:
    ramp = np.linspace(0, 1, 30, dtype=np.float32)[:, None]
    copy = augment.faster(ramp, np.random.default_rng(0), 0.5)
    assert len(copy) != 30 and np.allclose(copy[:, 0], np.linspace(0, 1, len(copy)), atol=1e-5)


# -- trainings and answers ------------------------------------------------------------------------------------


def test_tones_are_learned_and_recognised(tmp_path: Path) -> None:
    task = transcribe(epochs=30, learning_rate=0.01, dropout=0.0, batch_size=8, curriculum=0.0, noise=0.0, pitch=0.0)
    trained = train(task, said(), out=tmp_path / "run", quiet=True)
    assert trained.run.results()["valid"]["word_error"] < 0.1
    some = said()[:5]
    again = load(tmp_path / "run")
    rows = again.predict([(each["audio"], 8_000) for each in some])
    assert [row["text"] for row in rows] == [each["text"] for each in some]
    assert all(0 < row["confidence"] <= 1 for row in rows)
    file = gatework.export(again, tmp_path / "tones.safetensors").files[0]
    answers = gatework.runtime.load(file).predict([{"sound": each["audio"], "rate": 8_000} for each in some])
    assert [row["text"] for row in answers] == [each["text"] for each in some]
    with pytest.warns(UserWarning, match=r"hold a sound that the model learned from"):
        assert again.evaluate(some)["word_error"] == 0


def test_lines_are_learned_and_read(tmp_path: Path) -> None:
    task = transcribe(epochs=20, learning_rate=0.01, dropout=0.0, height=16, units="characters", curriculum=0.0)
    trained = train(task, lined(), out=tmp_path / "run", quiet=True)
    assert trained.run.results()["valid"]["character_error"] < 0.1
    assert trained.predict([lined()[0]["image"]])[0]["text"] == lined()[0]["text"]


def write(folder: Path, count: int = 30) -> Path:
    """A table of recordings, one of another rate."""
    lines = ["file,words,who"]
    for number, each in enumerate(said()[:count]):
        rate = 16_000 if number == 4 else 8_000
        sounds.write(folder / f"{number}.wav", sounds.resampled(each["audio"], 8_000, rate), rate)
        lines.append(f"{number}.wav,{each['text']},{each['who']}")
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder / "clips.csv"


def test_a_table_of_files_is_trained_on_and_a_file_is_answered(tmp_path: Path) -> None:
    table = write(tmp_path)
    trained = train(transcribe(audio="file", text="words", speaker="who"), table, out=tmp_path / "run", quiet=True)
    assert trained.task.hearing.rate == 8_000 and trained.task.units.kind == "words"
    (row,) = trained.predict(tmp_path / "4.wav")
    assert row["file"] == "4.wav"
    assert len(trained.predict(table)) == 30


def test_broken_files_of_every_part_are_told(tmp_path: Path) -> None:
    table = write(tmp_path)
    (tmp_path / "7.wav").write_bytes(b"RIFF")
    task = transcribe(bad_files="skip")
    parts = task.prepare(said(), valid=table)
    assert len(parts.valid) == 29 and any("left out: " in found.message for found in task.found)
    with pytest.warns(UserWarning, match=r"left out: .*7\.wav"):
        assert len(task.examples(table)) == 29


def test_recordings_too_short_for_their_text_are_refused_or_left_out_and_told() -> None:
    rows = [dict(each) for each in said()]
    rows[3] |= {"audio": rows[3]["audio"][:800], "text": "low low low low"}
    with pytest.raises(DataError, match="3 steps cannot say the 7"):
        transcribe(valid_share=0.02).prepare(rows)
    task = transcribe(valid_share=0.02, bad_files="skip")
    parts = task.prepare(rows)
    assert len(parts.train) + len(parts.valid) == 59
    assert any("left out" in found.message and "3 steps" in found.message for found in task.found)
    with pytest.raises(DataError, match="3 steps cannot say the 7"):
        transcribe().prepare(rows[10:], valid=rows[:10])
    with pytest.warns(UserWarning, match="3 steps cannot say the 7 that the text needs: it counts as an error"):
        assert len(task.examples(rows[:10])) == 10


def test_one_recording_with_two_texts_is_told() -> None:
    (found,) = transcribe().check([*said(), said()[3] | {"text": "low high low"}])[-3:-2]
    assert found.level == "warning" and "another text than that of the given rows, row 4" in found.message


def test_missing_and_empty_texts_and_unlearned_units() -> None:
    rows = [dict(each) for each in said()]
    with pytest.raises(DataError, match="no text"):
        transcribe().prepare([*rows, rows[0] | {"text": None}])
    task = transcribe()
    task.prepare([*rows, rows[0] | {"text": ""}])
    assert any("an empty text" in found.message for found in task.found)
    with pytest.warns(UserWarning, match=r": 1 word never learned \('zebra'\), so that each counts as an error"):
        task.examples([rows[0] | {"text": "zebra low"}])
    task.prepare(rows[10:], valid=[*rows[:10], rows[0] | {"text": "zebra low"}], test=rows[:10])
    assert [found.message.split(", ")[1] for found in task.found if "zebra" in found.message] == [
        "valid part: 1 word never learned ('zebra')"
    ]


def test_a_text_is_of_a_recording_or_of_a_picture() -> None:
    with pytest.raises(OptionError, match="name one"):
        TranscribeOptions(audio="a", image="b")
    assert transcribe(height=16).prepare(lined()).train.clips.store[0].shape[1:] == (16, 1)


def test_equal_recordings_stay_in_one_part() -> None:
    rows = said()[:20] * 3
    parts = transcribe(test_share=0.2).prepare(rows)
    digests = [set(part.clips.store.digests) for part in (parts.train, parts.valid, parts.test) if part]
    assert len(digests) == 3 and not any(one & other for one, other in itertools.combinations(digests, 2))


def test_rounds_test_each_clip_once_and_are_the_same_data_again() -> None:
    task = transcribe()
    task.prepare(said())
    rounds, again = (task.rounds(said(), 3, hold_out=False) for _ in range(2))
    tested = [part.clips for part in (task.examples(each.test) for each in rounds)]
    digests = [digest for part in tested for digest in part.store.digests]
    assert len(digests) == 60 == len(set(digests))
    assert [each.source.fingerprint() for each in rounds] == [each.source.fingerprint() for each in again]
    assert len({each.source.fingerprint() for each in rounds}) == 3
    coarse = transcribe(mels=20)
    coarse.prepare(said())
    fingerprints = [each.test.fingerprint() for each in coarse.rounds(said(), 3, hold_out=False)]
    assert fingerprints == [each.test.fingerprint() for each in rounds], "alike with other bands"
