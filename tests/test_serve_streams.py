"""The owner of streams: the same bits as one runner for each, whoever else is there, also across restarts."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from gatework import runtime
from gatework.errors import DataError, FileFormatError, GateworkError, OptionError, ShapeError
from gatework.runtime.runner import Runner
from gatework.serve import journal as journals
from gatework.serve.journal import Journal, records
from gatework.serve.limits import Busy, Limits, NotKnown, TooLate
from gatework.serve.live import Live
from gatework.serve.places import FIRST, Places, lanes
from gatework.serve.snapshot import restore, snapshot
from gatework.serve.streams import Answer, Streams
from layer_files import write_layer

I = 3
FOLDER = Path(tempfile.mkdtemp())
LAYER = write_layer(FOLDER / "layer.safetensors", inputs=I)


def runner() -> Runner:
    return runtime.load(LAYER)


STEPPER = runner().stepper


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def made(clock: Callable[[], float] | None = None, **limits: Any) -> Streams:
    return Streams(STEPPER, Limits(**limits), clock or Clock())


def rows(count: int, seed: int = 0) -> list[list[float]]:
    return np.random.default_rng(seed).standard_normal((count, I)).round(3).tolist()


def stepped(streams: Streams, key: str, row: object) -> Answer:
    streams.push(key, row)
    answer = streams.tick()[key]
    assert isinstance(answer, Answer)
    return answer


def recovered(folder: Path) -> Streams:
    """The streams that a server would find in a folder."""
    journal, streams = Journal(folder, "model"), made()
    journal.recover(streams)
    journal.close()
    return streams


# ---- the machine
ROW = st.lists(st.floats(-3, 3, width=32), min_size=I, max_size=I)


class Machine(RuleBasedStateMachine):
    """Streams with a journal beside a runner for each stream."""

    keys = Bundle("keys")

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=FOLDER))
        self.alone: dict[str, Runner] = {}
        self.queued: dict[str, list[list[float]]] = {}
        self.steps: dict[str, int] = {}
        self.count = 0
        self._start()

    def _start(self) -> None:
        self.journal = Journal(self.folder, "model")
        self.streams = Streams(STEPPER, Limits(queue=3), Clock(), self.journal)
        self.journal.recover(self.streams)

    @rule(target=keys, new=st.integers(1, 70))
    def open_many(self, new: int) -> str:
        """Others beside the last one are opened to fill places."""
        for _ in range(new):
            key = f"stream {self.count}"
            self.count += 1
            assert self.streams.open(key) == 0
            self.alone[key], self.queued[key], self.steps[key] = runner(), [], 0
        return key

    @rule(key=keys, row=ROW)
    def push(self, key: str, row: list[float]) -> None:
        if len(self.queued[key]) == 3:
            with pytest.raises(Busy, match="3 inputs of this stream wait"):
                self.streams.push(key, row)
        else:
            self.streams.push(key, row)
            self.queued[key].append(row)

    @rule(row=ROW)
    def push_all(self, row: list[float]) -> None:
        for key in self.alone:
            self.push(key, row)

    @rule(key=keys, row=st.sampled_from([[1.0], ["a", 0, 0], [float("nan"), 0, 0], None]))
    def push_bad(self, key: str, row: object) -> None:
        with pytest.raises((DataError, ShapeError)):
            self.streams.push(key, row)

    @rule()
    def tick(self) -> None:
        answers = self.streams.tick()
        assert set(answers) == {key for key, queue in self.queued.items() if queue}
        for key, answer in answers.items():
            expected = self.alone[key].step(np.array([self.queued[key].pop(0)], np.float32))[0]
            self.steps[key] += 1
            assert isinstance(answer, Answer)
            assert answer.step == self.steps[key] and (answer.output == expected).all()

    @rule(key=consumes(keys))
    def drop(self, key: str) -> None:
        self.streams.drop(key)
        for each in (self.alone, self.queued, self.steps):
            del each[key]

    @rule(key=keys)
    def peek(self, key: str) -> None:
        found = self.streams.peek(key)
        assert (found.steps, found.waiting) == (self.steps[key], len(self.queued[key]))
        if found.steps:
            assert found.output is not None
            (layer,) = self.alone[key].state
            assert all((found.states[f"0.{name}"] == values[0]).all() for name, values in layer.items())
            assert (found.output == found.states["0.h"]).all()

    @rule(renew=st.booleans(), torn=st.booleans())
    def die_and_come_back(self, renew: bool, torn: bool) -> None:
        """What was flushed is there; what waited is lost, and so is what a torn write left."""
        self.journal.flush(self.journal.taken(), snapshot(self.streams, "model") if renew else None)
        if torn:
            with open(self.journal._log(self.journal.number), "ab") as file:
                file.write(b"\x02\x30\x00\x00\x00half")
        self.journal.close()
        self._start()
        self.queued = {key: [] for key in self.queued}

    @invariant()
    def all_are_there(self) -> None:
        if hasattr(self, "streams"):
            assert set(self.streams.sessions) == set(self.alone)
            assert self.streams.waiting == sum(map(len, self.queued.values()))

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            shutil.rmtree(self.folder)


Machine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase


# ---- places and lanes
def test_places_double_and_keep_what_they_hold() -> None:
    places = Places({"h": np.ones(2, np.float32)})
    taken = [places.take() for _ in range(FIRST + 1)]
    assert sorted(taken) == list(range(FIRST + 1)) and len(places) == 2 * FIRST
    places.states["h"][5] = 7
    places.steps[5] = 3
    places.give_back(5)
    assert places.take() == 5 and (places.states["h"][5] == 1).all() and places.steps[5] == 0
    assert places.take(1000) == 1000 and len(places) == 1024


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7, 8, 9, 31, 32, 63, 64, 65, 255, 256, 511, 512, 513, 2000])
def test_batches_are_at_least_half_full(count: int) -> None:
    parts = list(lanes(count))
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(count))
    for part in parts:
        size = part.stop - part.start
        assert size in (1, 8, 64, 512) or size > min(s for s in (8, 64, 512) if s > size) / 2 - 1


# ---- limits
def test_each_limit_refuses_and_is_counted() -> None:
    streams = made(sessions=2, queue=1, inputs=1)
    streams.open("a"), streams.open("b")
    with pytest.raises(Busy, match="2 streams"):
        streams.open("c")
    streams.push("a", [0, 0, 0])
    with pytest.raises(Busy, match="1 inputs of this stream wait"):
        streams.push("a", [0, 0, 0])
    with pytest.raises(Busy, match="1 inputs wait"):
        streams.push("b", [0, 0, 0])
    assert streams.refused == {"sessions": 1, "queue": 1, "inputs": 1}
    with pytest.raises(Busy, match="memory"):
        made(bytes=40).open("a")


def test_a_deadline_counts_in_the_queue() -> None:
    clock = Clock()
    streams = made(clock)
    streams.open("a"), streams.open("b")
    streams.push("a", [1, 1, 1], deadline=5)
    streams.push("b", [1, 1, 1], deadline=50)
    clock.now = 6.0
    answers = streams.tick()
    assert isinstance(answers["a"], TooLate) and isinstance(answers["b"], Answer)
    assert streams.peek("a").steps == 0 and streams.refused["late"] == 1


def test_old_streams_end() -> None:
    clock = Clock()
    streams = made(clock, age=10)
    for key in "abc":
        streams.open(key)
    clock.now = 8.0
    stepped(streams, "b", [1, 1, 1])
    streams.push("c", [1, 1, 1])
    assert streams.sweep(17.0) == ["a"] and set(streams.sessions) == {"b", "c"}
    with pytest.raises(NotKnown, match="'a'"):
        streams.push("a", [1, 1, 1])


def test_a_stream_that_is_finished_answers_what_waits() -> None:
    streams = made(queue=3)
    streams.open("a")
    streams.push("a", [1, 1, 1])
    streams.push("a", [2, 1, 1])
    streams.finish("a")
    with pytest.raises(NotKnown, match="takes no more"):
        streams.push("a", [3, 1, 1])
    assert [streams.tick()["a"][0] for _ in range(2)] == [1, 2] and not streams.sessions and not streams.tick()
    streams.open("b")
    streams.finish("b")
    assert not streams.sessions


class Faulty:
    """A stepper that fails where a row is 13, and gives infinity where it is 7."""

    widths = STEPPER.widths
    start, read, answer = STEPPER.start, STEPPER.read, STEPPER.answer

    def step(self, inputs: np.ndarray, states: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        if (inputs[:, 0] == 13).any():
            raise ZeroDivisionError("thirteen")
        output, after = STEPPER.step(inputs, states)
        after["0.c"][inputs[:, 0] == 7] = np.inf
        return output, after


@pytest.mark.parametrize("bad", [7, 13])
def test_a_bad_row_fails_alone_and_changes_nothing(bad: int) -> None:
    streams, twins = Streams(Faulty(), Limits()), made()
    for each in (streams, twins):
        for key in map(str, range(20)):
            each.open(key)
            each.push(key, [1, 2, 3])
        each.tick()
    for key in map(str, range(20)):
        streams.push(key, [bad if key == "4" else 0.5, 0, 0])
        twins.push(key, [0.5, 0, 0])
    answers, expected = streams.tick(), twins.tick()
    assert isinstance(answers.pop("4"), GateworkError)
    assert all((answers[key].output == expected[key].output).all() for key in answers)
    assert streams.peek("4").steps == 1
    assert (stepped(streams, "4", [0.5, 0, 0]).output == expected["4"].output).all(), "the state stood as before"


def test_without_a_first_step_there_is_no_output() -> None:
    streams = made()
    streams.open("a")
    assert streams.peek("a").output is None
    stepped(streams, "a", [1, 2, 3])
    streams.open("b")
    assert streams.peek("b").output is None, "a's output is not b's"


# ---- snapshots
def test_a_snapshot_of_another_model_is_refused() -> None:
    streams = made()
    streams.open("a")
    with pytest.raises(OptionError, match="another model"):
        restore(made(), snapshot(streams, "one"), "two")


def test_a_foreign_or_damaged_snapshot_is_refused() -> None:
    streams = made()
    for key in "abc":
        streams.open(key)
    data = snapshot(streams, "model")
    for broken in (b"", b"abc", data[:-5], data[:40], b"\xff" * 8 + data[8:], data.replace(b"places", b"plaxes")):
        with pytest.raises(FileFormatError):
            restore(made(), broken, "model")
    other = Streams(runtime.load(write_layer(FOLDER / "wide.safetensors", hidden=9)).stepper)
    with pytest.raises(FileFormatError, match="must have shape"):
        restore(other, data, "model")


def test_streams_that_are_not_kept_are_in_no_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "model")
    streams = Streams(STEPPER, Limits(), notes=journal)
    journal.recover(streams)
    streams.open("kept")
    streams.open("passing", kept=False)
    for key in ("kept", "passing"):
        streams.push(key, [1, 2, 3])
    streams.tick()
    journal.flush(journal.taken())
    journal.close()
    assert len(list(records(tmp_path / "log-1"))) == 2
    again = recovered(tmp_path)
    assert set(again.sessions) == {"kept"} and again.peek("kept").steps == 1


# ---- the journal
def test_two_servers_do_not_share_a_folder(tmp_path: Path) -> None:
    first = Journal(tmp_path, "model")
    with pytest.raises(OptionError, match="another server keeps its streams"):
        Journal(tmp_path, "model")
    first.close()
    Journal(tmp_path, "model").close()


def test_a_folder_of_another_model_is_refused_and_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "one")
    journal.recover(made())
    journal.close()
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    other = Journal(tmp_path, "two")
    with pytest.raises(OptionError, match="another model; name another folder"):
        other.recover(made())
    other.close()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_disk_that_fails_leaves_the_log_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, "model")
    streams = Streams(STEPPER, Limits(), notes=journal)
    journal.recover(streams)
    streams.open("a")
    stepped(streams, "a", [1, 2, 3])
    journal.flush(journal.taken())
    stepped(streams, "a", [1, 2, 3])

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(journals, "sync", full)
        with pytest.raises(OSError, match="No space"):
            journal.flush(journal.taken())
    assert len(list(records(tmp_path / "log-1"))) == 2
    journal.flush(b"", snapshot(streams, "model"))  # what the next flush is after a failure
    journal.close()
    assert recovered(tmp_path).peek("a").steps == 2


def test_a_new_model_is_taken_whole_where_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    async def turned() -> None:
        journal = Journal(tmp_path, "one")
        old = Streams(STEPPER, Limits(), notes=journal)
        journal.recover(old)
        live = Live(old, journal)
        with monkeypatch.context() as broken:
            broken.setattr(journal, "flush", full)
            await live.turn(STEPPER, "two")
        assert live.streams is not old and live.renewing
        await live.close()

    asyncio.run(turned())
    journal = Journal(tmp_path, "two")
    journal.recover(made())
    journal.close()


def test_a_write_that_runs_when_a_new_model_is_taken_is_no_snapshot_of_it(tmp_path: Path) -> None:
    async def turned() -> None:
        journal = Journal(tmp_path, "one")
        old = Streams(STEPPER, Limits(), notes=journal)
        journal.recover(old)
        live = Live(old, journal)
        live.enter("a")
        live.leave("a")
        dropped = asyncio.create_task(live.drop("a"))
        await asyncio.sleep(0)
        while journal.notes:  # until they are on their way to the disk
            await asyncio.sleep(0)
        await live.turn(STEPPER, "two")
        await dropped
        live.writer.shutdown()
        journal.close()  # with no last snapshot, as kill -9 leaves it

    asyncio.run(turned())
    journal = Journal(tmp_path, "two")
    journal.recover(made())
    journal.close()


def test_a_crash_between_the_writes_of_a_renewal_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in ("replace", "_sync_folder", "_tidy"):
        folder = tmp_path / stage
        journal = Journal(folder, "model")
        streams = Streams(STEPPER, Limits(), notes=journal)
        journal.recover(streams)
        streams.open("a")
        stepped(streams, "a", [1, 2, 3])
        journal.flush(journal.taken())
        data = snapshot(streams, "model")
        target = {"replace": Path, "_sync_folder": journals, "_tidy": Journal}[stage]

        def crash(*given: object) -> None:
            raise InterruptedError("kill -9")

        with monkeypatch.context() as broken:
            broken.setattr(target, stage, crash)
            with pytest.raises(InterruptedError):
                journal.flush(b"", data)
        journal.close()
        assert recovered(folder).peek("a").steps == 1
