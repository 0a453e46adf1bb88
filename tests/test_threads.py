"""Any number of threads gives the same bits, whoever runs them: torch's team, a pool of ours, a child after a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import children
from gatework import cells
from gatework.errors import OptionError
from gatework.runtime import get_threads, program, set_threads
from gatework.runtime.llvm import team as threads
from kernel_check import HERE, Pair, Setting, same

# Enough work to share: by rows (a large batch), by units (few rows, wide), by rows of unequal length, with reductions.
SHARED = {
    "by rows": ("lstm", Setting(T=12, B=37, H=50, I=20, dtype="float32")),
    "by units": ("lstm", Setting(T=6, B=2, H=200, I=40, dtype="float32")),
    "by units, one row": ("gru_reset_before", Setting(T=4, B=1, H=333, I=40)),
    "ragged": ("gru", Setting(T=20, B=33, H=50, I=20, layout="ragged", recompute=True)),
    "reductions by rows": ("lstm_layer_norm", Setting(T=8, B=40, H=50, I=20, dtype="float32", isa=HERE[-1])),
    "reductions by units": ("lstm_layer_norm", Setting(T=5, B=3, H=150, I=20)),
    "heads by units": ("slstm", Setting(T=5, B=2, H=300, I=40, dtype="float32")),
    "bf16, ragged": ("lstm", Setting(T=20, B=33, H=51, I=21, layout="ragged", dtype="float32", precision="bf16")),
    "bf16, by units": ("gru", Setting(T=4, B=3, H=301, I=41, dtype="float32", precision="bf16")),
}


@pytest.fixture(autouse=True)
def own_number() -> Iterator[None]:
    yield
    set_threads(None)


def results(pair: Pair, count: int, together: bool = True) -> dict[str, np.ndarray]:
    """Everything that a forward and backward pass give; that the threads came `together` is checked."""
    set_threads(count)
    done, said = pair.forward(), pair.program.describe()
    assert (f"{count} threads" in said) == (count > 1 and together), said
    found = pair.backward(done)
    tables = {
        "history": done.history, "final": done.final, "x": found.inputs, "start": found.start, "w": found.weights,
        "inference": pair.forward(train=False).final,
    }  # fmt: skip
    return {f"{kind} {k}": v for kind, table in tables.items() for k, v in table.items()}


def assert_same(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    assert set(got) == set(want)
    for name, values in want.items():
        same(got[name], values, name)


@pytest.mark.parametrize("how", SHARED)
def test_same_bits_for_any_number_of_threads(how: str) -> None:
    pytest.importorskip("torch")
    name, at = SHARED[how]
    pair = Pair(cells.get(name).graph, at)
    want = results(pair, 1)
    for count in (2, 3, 4):
        assert_same(results(pair, count), want)
        assert ("by units" if "units" in how else "by rows") in pair.program.describe()
    assert isinstance(threads.team(), threads.OpenMP)


def test_same_bits_for_both_ways_of_sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same call shared by rows and by units."""
    from gatework.runtime.llvm.parts import Mode

    pair = Pair(cells.get("lstm").graph, Setting(T=5, B=9, H=70, I=30, dtype="float32"))
    want = results(pair, 1)
    for by_units, hoist in ((True, True), (True, False), (False, True), (False, False)):
        pair.forget()
        monkeypatch.setattr(
            sys.modules["gatework.runtime.llvm.compiled"], "choose_mode",
            lambda p, rows, count, mode=(by_units, hoist): (Mode(count, *mode), f"{count} threads, forced"),
        )  # fmt: skip
        assert_same(results(pair, 3), want)


def script(text: str, *arguments: str, timeout: int = 60, **environment: str) -> str:
    """Run Python in a process of its own; hanging fails."""
    code = textwrap.dedent(text)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=timeout,
        env={**os.environ, "PYTHONPATH": children.path(), **environment}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    return done.stdout


START = """
    import sys
    {first}
    import test_threads as t
    from gatework import cells
    from gatework.runtime.llvm import team as threads
    pairs = [t.Pair(cells.get(name).graph, at) for name, at in (t.SHARED["by rows"], t.SHARED["by units"])]
"""
COMPARE = """
    for pair in pairs:
        want = t.results(pair, 1)
        for count in (2, 3, 4):
            t.assert_same(t.results(pair, count), want)
"""


def test_a_pool_of_our_own_without_torch() -> None:
    script(
        START.format(first="")
        + COMPARE
        + """
    assert "torch" not in sys.modules
    assert isinstance(threads.team(), threads.Workers) and len(threads.team().workers) == 3
    import torch                                    # from here on it is torch's team
    """
        + COMPARE
        + """
    assert isinstance(threads.team(), threads.OpenMP)
    """
    )


FORKED = (
    START
    + COMPARE
    + """
    import os, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    child = os.fork()
    if not child:
        try:
            for pair in pairs:
                t.assert_same(t.results(pair, 3), t.results(pair, 1))
            assert isinstance(threads.team(), threads.Workers)
            os._exit(0)
        except BaseException as error:
            print(repr(error)[:2000], flush=True)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
"""
    + COMPARE
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("first", ["", "import torch; torch.ones(9999).exp()"])
def test_after_a_fork(first: str) -> None:
    script(FORKED.format(first=first))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork_while_another_thread_is_inside() -> None:
    """A child is not held up by locks that a thread which does not exist there would have to open."""
    script(
        START.format(first="")
        + """
    import os, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    t.set_threads(2)
    for pair in pairs: pair.forward(); pair.forward(train=False)      # a fork in the middle of compiling is not safe
    stop = threading.Event()
    def work():
        while not stop.is_set():
            for pair in pairs: pair.forward(train=False)
    other = threading.Thread(target=work); other.start()
    for attempt in range(8):
        child = os.fork()
        if not child:
            for pair in pairs: pair.forward()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    stop.set(); other.join()
    """
    )


def test_where_openmp_gives_fewer_threads() -> None:
    """With a limit, or inside a parallel region of torch's, the team does not come complete: one thread does it all."""
    pytest.importorskip("torch")
    script(
        START.format(first="import torch") + COMPARE.replace("count)", "count, together=False)"), OMP_THREAD_LIMIT="1"
    )


def test_inside_a_parallel_region() -> None:
    pytest.importorskip("torch")
    script(
        START.format(first="import torch")
        + """
    import ctypes
    team = threads.team()
    failures = []
    wanted = t.results(pairs[0], 1)
    size = ctypes.CFUNCTYPE(ctypes.c_int)(team.size_function)

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    def region(_):
        if threads.threading.current_thread() is threads.threading.main_thread():
            assert size() == 2
            try:
                t.assert_same(t.results(pairs[0], 2, together=False), wanted)
            except BaseException as error:
                failures.append(error)

    team.parallel(ctypes.cast(region, ctypes.c_void_p), None, 2, 0)
    assert not failures, failures
    """
    )


def test_backward_in_a_thread_of_autograd() -> None:
    """torch runs backward passes in a thread of its own; the kernel's team must be right there too."""
    torch = pytest.importorskip("torch")
    import gatework

    def gradients(count: int) -> list[Any]:
        set_threads(count)
        torch.manual_seed(0)
        layer = gatework.LSTM(20, 60)
        x = torch.randn(9, 33, 20, requires_grad=True)
        y = layer(x)[0]
        caught: list[Any] = []

        def work() -> None:
            y.square().sum().backward()
            caught.extend([x.grad, *(p.grad for p in layer.parameters())])

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return caught

    for a, b in zip(gradients(1), gradients(2), strict=True):
        assert torch.equal(a, b)


CROWD = """
    import threading
    wanted = [t.results(pair, 1) for pair in pairs]
    t.set_threads(2)
    failures = []

    def work(k):
        try:
            for _ in range(15):
                pair, want = pairs[k % len(pairs)], wanted[k % len(pairs)]
                done = pair.forward()
                found = pair.backward(done)
                t.same(done.history["h"], want["history h"], "history")
                t.same(found.weights["f.0"], want["w f.0"], "gradient")
        except BaseException as error:
            failures.append(error)

    crowd = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in crowd: thread.start()
    for thread in crowd: thread.join()
    assert not failures, failures
"""


@pytest.mark.parametrize("first", ["", "import torch"])
def test_python_threads_call_the_same_programs(first: str) -> None:
    """Four Python threads, two programs, each call with a team of two."""
    script(START.format(first=first) + CROWD)


def test_one_program_object_for_equal_arguments() -> None:
    graph = cells.get("gru").graph
    assert program(graph, {"I": 2, "H": 3}) is program(graph, {"H": 3, "I": 2}, "float32")
    assert program(graph, {"I": 2, "H": 3}) is not program(graph, {"I": 2, "H": 3}, "float64")


@pytest.mark.parametrize("wrong", [0, -1, 1025, 2.0, "2", True])
def test_set_threads_refuses(wrong: Any) -> None:
    with pytest.raises(OptionError, match="from 1 to 1024"):
        set_threads(wrong)


def test_the_default_number() -> None:
    torch = pytest.importorskip("torch")
    set_threads(None)
    assert get_threads() == torch.get_num_threads()
    set_threads(7)
    assert get_threads() == 7
    code = "from gatework.runtime import get_threads; print(get_threads())"
    assert script(code, GATEWORK_THREADS="3").strip() == "3"
    assert script(code, OMP_NUM_THREADS="5", GATEWORK_THREADS="").strip() == "5"


def test_more_threads_than_rows_or_units() -> None:
    for at in (Setting(T=40, B=3, H=90, I=3), Setting(T=60, B=40, H=17, I=3)):
        pair = Pair(cells.get("lstm").graph, replace(at, dtype="float32"))
        want = results(pair, 1)
        set_threads(16)
        same(pair.forward().history["h"], want["history h"], "h")
