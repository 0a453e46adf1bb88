"""The disk cache of kernels: used when it can be trusted, made again when not, and never a reason to fail."""

from __future__ import annotations

import ast
import multiprocessing
import os
import stat
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import children
import gatework
from gatework import cells
from gatework.runtime.llvm import cache, cpu, kernel
from kernel_check import HERE, Pair, Setting, same

posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX's")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "below" / "my kernels"
    monkeypatch.setenv("GATEWORK_CACHE", str(path))
    return path


def put(folder: Path) -> Path:
    """Write one entry and give its file."""
    assert cache.write("cell", "key", b"machine code")
    (path,) = folder.iterdir()
    assert cache.read("cell", "key") == b"machine code"
    return path


def outputs() -> np.ndarray:
    """Of a program that finds no kernel in memory."""
    kernel.kernels.cache_clear()
    return Pair(cells.get("mgu").graph, Setting(T=3, B=2)).forward().history["h"]


def compiled_anew(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows with each compilation."""
    found: list[int] = []
    original = cpu.compile_object
    monkeypatch.setattr(cpu, "compile_object", lambda *a: found.append(1) or original(*a))
    return found


def test_a_second_program_is_not_compiled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = compiled_anew(monkeypatch)
    first = outputs()
    assert count
    count.clear()
    same(outputs(), first, "h")
    assert not count


@pytest.mark.paths
@posix
def test_only_the_owner_can_read_and_write(folder: Path) -> None:
    old = os.umask(0)
    try:
        path = put(folder)
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer", "text"])
def test_a_damaged_entry_is_made_again(folder: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = outputs()
    for path in folder.iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        whole = path.read_bytes()
        changed = {"flip": bytes(data), "cut": whole[:-100], "empty": b"", "longer": whole + b"x", "text": b"not code"}
        path.write_bytes(changed[damage])
    count = compiled_anew(monkeypatch)
    same(outputs(), first, "h")
    assert count
    count.clear()
    same(outputs(), first, "h")
    assert not count, "the entry was not replaced"


@pytest.mark.paths
@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o666])
def test_an_entry_that_others_may_touch_is_ignored(folder: Path, mode: int) -> None:
    put(folder).chmod(mode)
    assert cache.read("cell", "key") is None
    assert cache.write("cell", "key", b"new") and cache.read("cell", "key") == b"new"


@pytest.mark.paths
@posix
@pytest.mark.parametrize("mode", [0o775, 0o770, 0o702, 0o777])
def test_a_folder_that_others_may_write_is_not_used_and_said(
    folder: Path, mode: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("GATEWORK_DEBUG", "compile")
    path = put(folder)
    folder.chmod(mode)
    assert cache.read("cell", "key") is None
    assert not cache.write("cell", "other", b"new")
    assert list(folder.iterdir()) == [path]
    said = capsys.readouterr().err
    assert f"others may write {folder}: chmod go-w" in said
    advice = next(line for line in said.splitlines() if "chmod" in line).partition("write ")[2]
    subprocess.run(advice.removeprefix(f"{folder}: "), shell=True, check=True)
    assert cache.read("cell", "key") == b"machine code", "the advice, typed as it stands, helps"


@pytest.mark.paths
@posix
@pytest.mark.parametrize("mode", [0o755, 0o711, 0o750])
def test_a_folder_that_others_may_only_read_is_used(folder: Path, mode: int) -> None:
    put(folder)
    folder.chmod(mode)
    assert cache.read("cell", "key") == b"machine code"
    assert cache.write("cell", "other", b"new") and cache.read("cell", "other") == b"new"


def test_the_oldest_entries_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_BYTES", 250)
    for k, key in enumerate(("second", "first", "third")):
        assert cache.write("cell", key, bytes(68))
        os.utime(folder / f"cell-{key}.o", (0, 10 * k if key != "first" else -1))
    assert len(list(folder.iterdir())) == 2
    assert cache.read("cell", "first") is None and cache.read("cell", "third") == bytes(68)


@posix
def test_what_belongs_to_somebody_else_is_ignored(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("GATEWORK_DEBUG", "compile")
    put(folder)
    monkeypatch.setattr(cache.os, "getuid", lambda: os.geteuid() + 1)
    assert cache.read("cell", "key") is None
    assert not cache.write("cell", "key", b"new")
    assert f"{folder} belongs to another user" in capsys.readouterr().err


@posix
def test_links_are_not_followed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("GATEWORK_DEBUG", "compile")
    path = put(folder)
    elsewhere = tmp_path / "elsewhere.o"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert cache.read("cell", "key") is None
    assert cache.write("cell", "key", b"new") and not path.is_symlink()
    assert elsewhere.read_bytes()[32:] == b"machine code"
    link = tmp_path / "link"
    link.symlink_to(folder, target_is_directory=True)
    monkeypatch.setenv("GATEWORK_CACHE", str(link))
    assert cache.read("cell", "key") is None and not cache.write("cell", "x", b"")
    assert f"{link} is a link: name the folder itself" in capsys.readouterr().err


def test_an_entry_that_is_a_folder(folder: Path) -> None:
    path = put(folder)
    path.unlink()
    path.mkdir(mode=0o700)
    assert cache.read("cell", "key") is None and not cache.write("cell", "key", b"new")
    assert list(folder.iterdir()) == [path], "a temporary file was left"


@pytest.mark.parametrize("call", ["mkdir", "mkstemp", "write", "replace"])
def test_a_full_or_read_only_disk_is_no_error(
    folder: Path, tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each system call on the way may fail; the kernel is compiled and right, and no temporary file stays."""
    expected = outputs()
    empty = tmp_path / "another"
    monkeypatch.setenv("GATEWORK_CACHE", str(empty))

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    class Full:
        def __init__(self, handle: int, _: str):
            self.handle = handle

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: Any) -> None:
            os.close(self.handle)

        write = full

    place = {"mkdir": (Path, "mkdir", full), "mkstemp": (cache.tempfile, "mkstemp", full),
             "write": (cache.os, "fdopen", Full), "replace": (cache.os, "replace", full)}[call]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(*place)
        same(outputs(), expected, "h")
    assert not empty.exists() or not list(empty.iterdir())


def test_a_real_file_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = outputs()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none/kernels")):
        monkeypatch.setenv("GATEWORK_CACHE", str(path))
        same(outputs(), expected, "h")


def test_empty_means_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWORK_CACHE", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    count = compiled_anew(monkeypatch)
    outputs()
    count.clear()
    outputs()
    assert count and not list(tmp_path.rglob("*.o"))


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWORK_CACHE", raising=False)
    monkeypatch.setattr(cache.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.directory() == tmp_path / "gatework" / "kernels"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache.directory() == Path("/home/someone/.cache/gatework/kernels")
    monkeypatch.setattr(cache.os.path, "expanduser", lambda path: path)  # a user without a home
    assert cache.directory() is None


def test_the_name_says_all_that_code_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = cache.digest("a", "b")
    assert cache.digest("a", "b") == usual
    assert cache.digest("ab", "") != usual and cache.digest("a", "c") != usual
    monkeypatch.setattr(cache, "generator", lambda: "other sources")
    assert cache.digest("a", "b") != usual


def test_the_name_says_the_sources_of_what_is_printed() -> None:
    """Whatever the printing code imports of backends and the compiler counts, constants of a series, too."""
    root = Path(gatework.__file__).parent
    counted = set(cache.sources())
    for source in counted:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                path = root.joinpath(*str(node.module).split(".")[1:]).with_suffix(".py")
                printing = {"backends", "compiler"} & set(path.relative_to(root.parent).parts)
                assert not (printing and path.is_file()) or path in counted, f"{source} imports {node.module}"


def write_often(turn: int) -> bool:
    """Write one entry over and over, and read what is there: always one of the two, whole."""
    images = {bytes([k]) * (100_000 + k) for k in range(2)}
    for _ in range(100):
        cache.write("cell", "key", bytes([turn % 2]) * (100_000 + turn % 2))
        if cache.read("cell", "key") not in images:
            return False
    return True


def test_processes_that_write_the_same_entry(folder: Path) -> None:
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        assert all(pool.map(write_often, range(4), timeout=60))
    assert len(list(folder.iterdir())) == 1


COMPILE = """
from gatework import cells
from kernel_check import Pair, Setting
print(Pair(cells.get("mgu").graph, Setting(T=3, B=2)).forward().history["h"].tobytes().hex())
"""


@pytest.mark.paths
def test_processes_that_compile_the_same_cell(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": children.path()}
    running = [
        subprocess.Popen([sys.executable, "-c", COMPILE], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    printed = {p.communicate(timeout=60)[0] for p in running}
    assert all(p.returncode == 0 for p in running)
    assert printed == {outputs().tobytes().hex() + "\n"}


def test_instruction_sets_do_not_share_entries(folder: Path) -> None:
    kernel.kernels.cache_clear()
    for isa in HERE:
        Pair(cells.get("mgu").graph, Setting(T=1, B=1, isa=isa)).forward(train=False)
    assert len([p for p in folder.iterdir() if p.name.startswith("mgu")]) == len(HERE)


def test_a_copy_under_another_name_is_another_cells_code(folder: Path) -> None:
    """An entry is bound to its name: what somebody copied runs for no other cell."""
    assert cache.write("lstm-forward", "a" * 32, b"code of the one")
    entry = folder / f"lstm-forward-{'a' * 32}.o"
    for name, key in (("gru-forward", "a" * 32), ("lstm-forward", "b" * 32)):
        copied = folder / f"{name}-{key}.o"
        copied.write_bytes(entry.read_bytes())
        copied.chmod(0o600)
        assert cache.read(name, key) is None
    assert cache.read("lstm-forward", "a" * 32) == b"code of the one"
