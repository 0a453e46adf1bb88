"""A search that two commands share over a real PostgreSQL, which this test begins and ends."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
import pytest

import gatework
from children import child
from gatework.errors import TrainingError
from toy import Toy

SECRET = "Fox/glove:7"
QUOTED = "Fox%2Fglove%3A7"
NUMBERS = [0.1 * k for k in range(20)]
PROGRAM = """
import sys
import gatework
from gatework.tuning import places
from toy import Toy
places.HEARTBEAT, places.GRACE = 1, 3
if __name__ == "__main__":
    gatework.tune(Toy, [0.1 * k for k in range(20)], out=sys.argv[1], storage=sys.argv[2], space={"shift": "0..2"},
                  pruner="none", trials=6, seeds=2, options={"wait": float(sys.argv[3])}, quiet=False)
"""


@dataclass(frozen=True)
class Server:
    port: int
    log: Path

    def address(self, password: str = QUOTED) -> str:
        return f"postgresql://tuner:{password}@127.0.0.1:{self.port}/postgres"

    def ask(self, query: str) -> list[tuple[object, ...]]:
        with closing(psycopg2.connect(self.address())) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with TemporaryDirectory() as folder:  # not pytest's, which nobody but its user may enter
        yield from running(Path(folder))


def running(folder: Path) -> Iterator[Server]:
    tools = {name: tool(name) for name in ("initdb", "pg_ctl")}
    data, log, secret, port = folder / "data", folder / "log", folder / "password", free_port()
    secret.write_text(SECRET)
    run = as_somebody(folder)
    run(tools["initdb"], "-D", data, "-U", "tuner", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync")
    settings = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off -c log_statement=all"
    try:
        run(tools["pg_ctl"], "-D", data, "-l", log, "-w", "-t", "60", "-o", settings, "start")
        yield Server(port, log)
    finally:
        run(tools["pg_ctl"], "-D", data, "-m", "immediate", "stop", check=False)


def tool(name: str) -> str:
    """A program of PostgreSQL's; distributions keep them off the path."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    found = shutil.which(name) or next(map(str, places), None)
    if found is None:
        pytest.skip(f"PostgreSQL's {name} is not on this system")
    return found


def as_somebody(folder: Path):
    """Runs programs as a user that is not root, whom PostgreSQL refuses, and who owns the folder."""
    before: list[str] = []
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("PostgreSQL refuses to run as root, and there is no setpriv to run it as another user")
        user = pwd.getpwnam("nobody")
        before = [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        for path in (folder, folder / "password"):
            os.chown(path, user.pw_uid, user.pw_gid)

    def run(*arguments: object, check: bool = True) -> None:
        command = [*before, *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder, timeout=120)
        assert not check or done.returncode == 0, done.stderr

    return run


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def begin(stack: ExitStack, tmp_path: Path, server: Server, machine: str, wait: float) -> subprocess.Popen[str]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    out = tmp_path / machine / tmp_path.name
    return stack.enter_context(child(str(program), str(out), server.address(), str(wait), OMP_NUM_THREADS="1"))


@pytest.mark.timeout(280)
def test_two_workers_share_the_trials_and_tell_no_password(server: Server, tmp_path: Path) -> None:
    told = ""
    with ExitStack() as stack:
        for process in [begin(stack, tmp_path, server, machine, 0.1) for machine in "ab"]:
            stdout, stderr = process.communicate(timeout=240)
            assert process.returncode == 0, stderr
            told += stdout + stderr
    first, second = (json.loads((tmp_path / m / tmp_path.name / "tune.json").read_text()) for m in "ab")
    rows = first["trials"]
    assert [row["state"] for row in rows] == ["complete"] * 6 and rows == second["trials"]
    assert len({row["options"]["shift"] for row in rows}) == 6 and len(set(re.findall(r"trial (\d+):", told))) == 6
    assert server.ask("SELECT count(DISTINCT value_json) FROM trial_user_attributes WHERE key = 'worker'") == [(2,)]
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for text in (*kept, told.encode(), server.log.read_bytes()):
        assert not [secret for secret in (SECRET, QUOTED) if secret.encode() in text]


@pytest.mark.timeout(280)
def test_a_killed_worker_leaves_no_running_trial(server: Server, tmp_path: Path) -> None:
    running = "SELECT count(*) FROM trials WHERE state = 'RUNNING'"
    with ExitStack() as stack:
        killed = begin(stack, tmp_path, server, "a", 0.5)
        while server.ask(running) != [(1,)] and killed.poll() is None:
            time.sleep(0.1)
        killed.kill()
        killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL and server.ask(running) == [(1,)]
        other = begin(stack, tmp_path, server, "b", 0.5)
        _, stderr = other.communicate(timeout=240)
        assert other.returncode == 0, stderr
    states = [row["state"] for row in json.loads((tmp_path / "b" / tmp_path.name / "tune.json").read_text())["trials"]]
    assert server.ask(running) == [(0,)] and sorted(states) == ["complete"] * 6 + ["lost"]


def test_errors_name_the_database_and_no_password(server: Server, tmp_path: Path) -> None:
    wrong = server.address("Fox%2Fgrove")
    with pytest.raises(TrainingError, match=r"postgresql://tuner@127.0.0.1:.*password authentication failed") as raised:
        gatework.tune(Toy, NUMBERS, out=tmp_path / "toy", storage=wrong, space={"shift": "0..2"})
    assert "grove" not in str(raised.value)
    with pytest.raises(TrainingError, match=r"/nowhere fails: .*does not exist"):
        address = server.address().replace("/postgres", "/nowhere")
        gatework.tune(Toy, NUMBERS, out=tmp_path / "toy", storage=address, space={"shift": "0..2"})


def test_the_password_may_stand_outside_of_the_address(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    plain = f"postgresql://tuner@127.0.0.1:{server.port}/postgres"
    found = gatework.tune(Toy, NUMBERS, out=tmp_path / "toy", storage=plain, space={"shift": "0..2"}, trials=2, seeds=2)
    assert found.trials.height == 2
