"""A study in a database that workers share: no trial twice, none of a dead worker for ever, no password told."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sqlite3
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import gatework
from children import child
from gatework.cli import app
from gatework.errors import MissingExtraError, OptionError, TrainingError
from gatework.tuning import places
from gatework.tuning.entry import Tuned
from gatework.tuning.search import Search
from toy import Toy

NUMBERS = [0.1 * k for k in range(20)]
SECRET = "fox%3F-glove"  # ? as a URL has it

PROGRAM = """
import sys
import gatework
from gatework.tuning import places
from toy import Toy
places.HEARTBEAT, places.GRACE = 1, 2
if __name__ == "__main__":
    gatework.tune(Toy, [0.1 * k for k in range(20)], out=sys.argv[1], storage=sys.argv[2], space={"shift": "0..2"},
                  pruner="none", trials=int(sys.argv[3]), seeds=2, options={"wait": float(sys.argv[4])})
"""


def tuned(out: Path, storage: str, **others: Any) -> Tuned:
    settings = {"space": {"shift": "0..2"}, "trials": 3, "seeds": 2, "pruner": "none"} | others
    return gatework.tune(Toy, NUMBERS, out=out, storage=storage, **settings)


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'studies.db'}"


def states(path: Path) -> list[str]:
    """Of all trials, in the words of Optuna's table."""
    with closing(sqlite3.connect(path, timeout=60)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'trials'").fetchone():
            return []
        return [state for (state,) in database.execute("SELECT state FROM trials ORDER BY number")]


def test_a_search_in_a_database_goes_on_and_is_the_journal_s(tmp_path: Path, storage: str) -> None:
    found = tuned(tmp_path / "one" / "toy", storage)
    assert not (tmp_path / "one" / "toy" / "journal.jsonl").exists()
    assert found.study.study_name == "toy" and found.run is not None
    plain = gatework.tune(Toy, NUMBERS, out=tmp_path / "plain", space={"shift": "0..2"}, trials=3, seeds=2)
    assert found.trials["shift"].to_list() == plain.trials["shift"].to_list() and found.verdict == plain.verdict
    assert tuned(tmp_path / "two" / "toy", storage, trials=5).trials.height == 5, (
        "another folder of that name takes part"
    )
    assert tuned(tmp_path / "other", storage).trials.height == 3, "another name is another study"
    with pytest.raises(OptionError, match=r"the study in sqlite:///.*studies.db has another search space"):
        tuned(tmp_path / "toy", storage, space={"shift": "0..3"})


def test_two_machines_share_the_trials(tmp_path: Path, storage: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    outs = [tmp_path / machine / "toy" for machine in "ab"]
    with ExitStack() as stack:
        arguments = [(str(program), str(out), storage, "6", "0.01") for out in outs]
        both = [stack.enter_context(child(*each, OMP_NUM_THREADS="1")) for each in arguments]
        for process in both:
            _, stderr = process.communicate(timeout=120)
            assert process.returncode == 0, stderr
    first, second = (json.loads((out / "tune.json").read_text()) for out in outs)
    rows = first["trials"]
    assert [row["state"] for row in rows] == ["complete"] * 6 and rows == second["trials"]
    assert len({row["options"]["shift"] for row in rows}) == 6, "no trial twice"
    assert first["verdict"] == second["verdict"] and all((out / "best" / "results.json").exists() for out in outs)
    with closing(sqlite3.connect(tmp_path / "studies.db")) as database:
        asked = "SELECT count(DISTINCT value_json) FROM trial_user_attributes WHERE key = 'worker'"
        assert database.execute(asked).fetchone() == (2,), "each ran some"


def test_a_killed_worker_s_trial_is_lost_after_its_heartbeat(
    tmp_path: Path, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    path, out = tmp_path / "studies.db", tmp_path / "a" / "toy"
    with child(str(program), str(out), storage, "1", "1.7", OMP_NUM_THREADS="1") as process:
        while "RUNNING" not in states(path) and process.poll() is None:
            time.sleep(0.05)
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL and states(path) == ["RUNNING"]
    monkeypatch.setattr(places, "HEARTBEAT", 1)
    monkeypatch.setattr(places, "GRACE", 2)
    found = tuned(tmp_path / "b" / "toy", storage, trials=1, options={"wait": 1.7})
    assert sorted(found.trials["state"]) == ["complete", "lost"], "one longer than the grace lives by its heartbeat"


def test_a_trial_that_was_begun_without_a_heartbeat_is_closed(tmp_path: Path, storage: str) -> None:
    found = tuned(tmp_path / "toy", storage)
    with places.quiet():
        found.study.ask()  # a process that died before it told who it is
    assert [row["state"] for row in tuned(tmp_path / "toy", storage).rows].count("lost") == 1


def test_a_trial_that_others_took_for_lost_does_not_end_the_search(
    tmp_path: Path, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = Toy.measure, []

    def late(self: Toy, *arguments: Any) -> dict[str, float]:
        if not seen:
            with closing(sqlite3.connect(tmp_path / "studies.db")) as database, database:
                database.execute("UPDATE trials SET state = 'FAIL' WHERE state = 'RUNNING'")
        seen.append(1)
        return real(self, *arguments)

    monkeypatch.setattr(Toy, "measure", late)
    states_ = tuned(tmp_path / "toy", storage).trials["state"].to_list()
    assert states_.count("lost") == 1 and states_.count("complete") >= 2


# -- addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("studies.db", "storage is no URL of a database, such as postgresql://"),
        (f"postgresql://me:{SECRET}@host:port/name", "storage is no URL of a database"),
        (f"mysql://me:{SECRET}@host/name", "mysql:// is not known; give postgresql:// or sqlite://"),
        ("postgres://host/name", "postgres:// is not known; give postgresql://"),
        ("sqlite://", "a study in memory ends with its process"),
    ],
)
def test_bad_addresses_are_refused(tmp_path: Path, address: str, told: str) -> None:
    with pytest.raises(OptionError, match=told) as raised:
        tuned(tmp_path / "toy", address)
    assert SECRET not in str(raised.value)
    assert not (tmp_path / "toy").exists()


def test_a_missing_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(MissingExtraError, match=r"needs psycopg2.*pip install .*\[postgres\]'"):
        tuned(tmp_path / "toy", "postgresql://me@host/name")


def test_what_fails_in_the_database_is_told_without_its_password(tmp_path: Path) -> None:
    """The driver is planted: it complains with the whole address, as drivers may."""
    from sqlalchemy.exc import OperationalError

    place = places.Database.__new__(places.Database)
    object.__setattr__(place, "folder", tmp_path / "toy")
    object.__setattr__(place, "address", f"postgresql://me:{SECRET}@host/name?sslpassword=hem+lock&sslmode=require")
    assert place.shown == "postgresql://me@host/name"
    search = Search(tmp_path, Toy, *[None] * 10, storage=place.address)  # type: ignore[arg-type]
    assert "fox" not in repr(place) + repr(search) + str(pickle.loads(pickle.dumps(place)))
    complaint = OperationalError("SELECT 1", {}, ValueError(f"no way to {place.address}, fox?-glove, hem lock\nmore"))
    with pytest.raises(TrainingError) as raised, place.guarded():
        raise complaint
    told = str(raised.value)
    assert told.startswith("the database postgresql://me@host/name fails: no way to ") and "goes on" in told
    assert not [secret for secret in ("fox", "hem", "more") if secret in told] and raised.value.__suppress_context__


def test_the_command_takes_a_storage(tmp_path: Path, storage: str) -> None:
    book, out = tmp_path / "book.txt", tmp_path / "out"
    book.write_text("the quick brown fox jumps over the lazy dog " * 60)
    words = ["tune", "generate", str(book), "--out", str(out), "--trials=1", "--seeds=2", "-q", "--storage", storage]
    words += ["--hidden-size=4", "--sequence-length=8", "--epochs=1", "--sample-length=5"]
    words += ["--only", "--search", "learning_rate=0.001..0.1 log"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert states(tmp_path / "studies.db") == ["COMPLETE"]
    for path in (Path(root) / name for root, _, names in os.walk(out) for name in names):
        assert b"studies.db" not in path.read_bytes(), f"{path} tells where the study is"
    result = CliRunner().invoke(app, ["mysql://me:secret@host/x" if each == storage else each for each in words])
    assert result.exit_code == 2 and "secret" not in result.output
