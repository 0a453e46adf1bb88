"""The runtime's edges: bad input is refused before machine code runs, and unknown machines get the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import children
from gatework import cells, runtime
from gatework.backends.llvm.emit import module
from gatework.backends.llvm.epilogue import epilogue
from gatework.backends.llvm.isa import ISAS
from gatework.compiler.derive import derive
from gatework.compiler.pipeline import prepare
from gatework.compiler.plan import choose_saved, plan_forward, plan_replay
from gatework.compiler.plan_backward import plan_backward
from gatework.errors import DataError, GateworkError, KernelError, OptionError, ShapeError
from gatework.runtime import select
from gatework.runtime.frame import Slots
from gatework.runtime.interpreted import Interpreted
from gatework.runtime.llvm import cpu, kernel
from gatework.runtime.rows import Rows
from kernel_check import HERE, Pair, Setting, same

LSTM = cells.get("lstm").graph


@pytest.fixture
def pair() -> Pair:
    return Pair(LSTM, Setting())


# ---- arrays


WRONG_ARRAYS: dict[str, Any] = {
    "rows": lambda v: v[:-1],
    "more rows": lambda v: np.concatenate([v, v]),
    "columns": lambda v: v[:, :-1],
    "dimensions": lambda v: v.reshape(6, 5, -1),
    "one dimension": lambda v: v.ravel(),
    "float32": lambda v: v.astype(np.float32),
    "integers": lambda v: v.astype(np.int64),
    "other byte order": lambda v: v.astype(v.dtype.newbyteorder()),
    "complex": lambda v: v.astype(complex),
    "a list": lambda v: v.tolist(),
    "nothing": lambda v: None,
    "objects": lambda v: v.astype(object),
}


@pytest.mark.parametrize("wrong", WRONG_ARRAYS)
@pytest.mark.parametrize("slow", [False, True])
def test_wrong_inputs(pair: Pair, wrong: str, slow: bool) -> None:
    program: Any = Interpreted(LSTM, pair.made.sizes, "float64") if slow else pair.program
    inputs = {"x": WRONG_ARRAYS[wrong](pair.inputs["x"])}
    with pytest.raises(ShapeError, match=r"lstm: input 'x' is .*; it must be float64 \(30, 7\)"):
        program.forward(pair.rows, inputs, {}, pair.weights)


@pytest.mark.parametrize("wrong", sorted(set(WRONG_ARRAYS) - {"nothing", "dimensions"}))
def test_wrong_starts_and_weights_and_gradients(pair: Pair, wrong: str) -> None:
    change, program = WRONG_ARRAYS[wrong], pair.program
    with pytest.raises(ShapeError, match=r"the start of 'c' .* must be float64 \(5, 12\)"):
        program.forward(pair.rows, pair.inputs, {"c": change(pair.start["c"])}, pair.weights)
    with pytest.raises(ShapeError, match=r"weight 'f.0' .* must be float64 \(12, 12\)"):
        program.forward(pair.rows, pair.inputs, {}, pair.weights | {"f.0": change(pair.weights["f.0"])})
    done = pair.forward()
    with pytest.raises(ShapeError, match=r"gradient of 'h' at every step .* must be float64 \(30, 12\)"):
        program.backward(done, {"h": change(done.history["h"])}, {})
    with pytest.raises(ShapeError, match=r"gradient of the last 'c' .* must be float64 \(5, 12\)"):
        program.backward(done, {}, {"c": change(done.final["c"])})
    with pytest.raises(ShapeError, match=r"into\['f.0'\] .* must be writable float64 \(12, 12\)"):
        program.backward(done, {}, {}, into={"f.0": change(pair.weights["f.0"])})


@pytest.mark.parametrize("slow", [False, True])
def test_missing_and_unknown_names(pair: Pair, slow: bool) -> None:
    program: Any = Interpreted(LSTM, pair.made.sizes, "float64") if slow else pair.program
    with pytest.raises(ShapeError, match=r"input 'x' is missing; given are \['y'\]"):
        program.forward(pair.rows, {"y": pair.inputs["x"]}, {}, pair.weights)
    with pytest.raises(ShapeError, match="has no input 'y'"):
        program.forward(pair.rows, pair.inputs | {"y": 1.0}, {}, pair.weights)
    with pytest.raises(ShapeError, match="has no state 'k'; it has c, h"):
        program.forward(pair.rows, pair.inputs, {"k": pair.start["h"]}, pair.weights)
    with pytest.raises(ShapeError, match=r"weight 'g.bias' is missing"):
        program.forward(pair.rows, pair.inputs, {}, {k: v for k, v in pair.weights.items() if k != "g.bias"})


def test_read_only_targets_are_refused(pair: Pair) -> None:
    done, target = pair.forward(), np.zeros((12, 12))
    target.setflags(write=False)
    with pytest.raises(ShapeError, match="writable"):
        pair.backward(done, into={"f.0": target})


@pytest.mark.parametrize("wrong", [None, "0.5", np.zeros(2), 1j, [0.5, 0.5]])
def test_numbers_of_a_call(wrong: Any) -> None:
    from gatework import cell, tanh

    @cell(per={"rate": "call"})
    def leaky(x: Any, rate: Any, h: Any, W: Any) -> Any:
        """A number that the whole call shares."""
        return (1 - rate) * h + rate * tanh(W.h(h, x))

    at = Pair(leaky.graph, Setting())
    at.check()
    at.inputs["rate"] = wrong
    with pytest.raises(ShapeError, match=r"'rate' is .*must be one number"):
        at.forward()


def test_a_pass_that_kept_nothing_has_no_way_back(pair: Pair) -> None:
    with pytest.raises(ShapeError, match="train=True"):
        pair.backward(pair.forward(train=False))
    keeping = Pair(LSTM, Setting(recompute=True))
    with pytest.raises(ShapeError, match="train=True"):
        keeping.backward(keeping.forward(train=False))
    with pytest.raises(ShapeError, match="train=True"):
        pair.backward(keeping.forward())
    other = Pair(LSTM, Setting(H=13))
    with pytest.raises(ShapeError, match="must be float64"):
        other.backward(pair.forward())


# ---- rows


BAD_ROWS = {
    "growing": ([1, 2], [0, 1], 2),
    "more than the batch": ([3], [0], 2),
    "negative count": ([-1], [0], 2),
    "negative batch": ([], [], -1),
    "a gap": ([2, 2], [0, 3], 2),
    "overlap": ([2, 2], [0, 1], 2),
    "beyond the end": ([2, 2], [0, 1 << 40], 2),
    "before the beginning": ([2, 2], [-2, 0], 2),
    "mixed order": ([1, 1, 1], [0, 2, 1], 1),
    "lengths differ": ([1, 1], [0], 1),
    "fractions": ([1.5], [0], 2),
    "two dimensions": ([[1]], [[0]], 1),
    "text": (["1"], [0], 1),
    "huge": ([1 << 62, 1 << 62], [0, 1 << 62], 1 << 62),
}


@pytest.mark.parametrize("bad", BAD_ROWS)
def test_layouts_that_machine_code_could_not_follow(bad: str) -> None:
    with pytest.raises(ShapeError, match=r"^Rows: "):
        Rows(*BAD_ROWS[bad])


def test_good_layouts() -> None:
    assert Rows([3, 2, 0], [0, 3, 5], 4).size == 5
    assert Rows([3, 2, 0], [2, 0, 0], 4).last_steps.tolist() == [0, 1, 4, -1]
    assert Rows.packed(np.array([2, 1], np.int32), 2).offsets.tolist() == [0, 2]
    assert Rows.rectangle(0, 3).size == Rows.rectangle(3, 0).size == 0
    with pytest.raises(ShapeError, match="T >= 0; got T = -1"):
        Rows.rectangle(-1, 2)


def test_layouts_cannot_be_changed_afterwards() -> None:
    counts = np.array([2, 1])
    rows = Rows.packed(counts, 2)
    counts[0] = 1_000_000
    assert rows.counts.tolist() == [2, 1]
    for field in (rows.counts, rows.offsets):
        with pytest.raises(ValueError, match="read-only"):
            field[0] = 7


# ---- finite values


@pytest.fixture
def checking() -> Any:
    runtime.check_finite(True)
    yield
    runtime.check_finite(False)


def test_values_that_are_not_finite(pair: Pair, checking: None) -> None:
    def spoilt(values: np.ndarray, value: float) -> np.ndarray:
        copy = values.copy()
        copy[2, 3] = value
        return copy

    done = pair.forward()
    with pytest.raises(DataError, match=r"lstm: input 'x' is nan at \[2, 3\].* 1 of its 210 values"):
        pair.program.forward(pair.rows, {"x": spoilt(pair.inputs["x"], np.nan)}, {}, pair.weights)
    with pytest.raises(DataError, match=r"the start of 'c' is -inf at \[2, 3\]"):
        pair.program.forward(pair.rows, pair.inputs, {"c": spoilt(pair.start["c"], -np.inf)}, pair.weights)
    with pytest.raises(DataError, match=r"weight 'o.1' is inf at \[2, 3\]"):
        pair.program.forward(pair.rows, pair.inputs, {}, pair.weights | {"o.1": spoilt(pair.weights["o.1"], np.inf)})
    with pytest.raises(DataError, match=r"gradient of 'h' at every step is nan at \[2, 3\]"):
        pair.program.backward(done, {"h": spoilt(done.history["h"], np.nan)}, {})


def test_weights_that_are_spoilt_in_place(pair: Pair, checking: None) -> None:
    pair.forward()
    pair.weights["f.1"][0, 0] = np.nan
    with pytest.raises(DataError, match=r"weight 'f.1' is nan at \[0, 0\]"):
        pair.forward()


def test_starts_at_minus_infinity_are_meant(checking: None) -> None:
    graph = cells.get("slstm").graph
    at = Pair(graph, Setting())
    at.start["m"] = np.full_like(at.start["m"], -np.inf)
    assert np.isfinite(at.forward().history["h"]).all()
    at.start["m"][0, 0] = np.nan
    with pytest.raises(DataError, match="the start of 'm' is nan"):
        at.forward()
    restarted = Pair(prepare(graph, {"reset": {}}), Setting())
    restarted.inputs["start_m"] = np.full_like(restarted.inputs["start_m"], -np.inf)
    restarted.forward()


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": children.path(), **environment},
    )  # fmt: skip


CALL = """
import numpy as np
from kernel_check import *
from gatework import cells, runtime
at = Pair(cells.get("lstm").graph, Setting(T=2, B=2))
program = runtime.program(at.graph, at.made.sizes, "float64")
"""


def test_the_check_can_be_switched_on_from_outside() -> None:
    code = CALL + "at.inputs['x'][1, 1] = np.nan\nprogram.forward(at.rows, at.inputs, {}, at.weights)"
    assert run(code, GATEWORK_CHECK="").returncode == 0
    assert run(code, GATEWORK_CHECK="0").returncode == 0
    found = run(code, GATEWORK_CHECK="1")
    assert found.returncode == 1 and "input 'x' is nan at [1, 1]" in found.stderr


# ---- machines


@pytest.fixture
def fresh() -> Any:
    """Nothing is remembered of this machine, before and after."""

    def forget() -> None:
        select._programs.clear()
        cpu.best_isa.cache_clear()

    forget()
    yield forget
    forget()


SIZES = {"I": 3, "H": 4}


@pytest.mark.parametrize(("name", "message"), [("avx1024", "is unknown; choose one of"), ("neon", "cannot run 'neon'")])
def test_an_instruction_set_that_cannot_be(name: str, message: str, fresh: Any, monkeypatch: Any) -> None:
    if name in HERE:
        name = "avx2"
    monkeypatch.setenv("GATEWORK_ISA", name)
    with pytest.raises(OptionError, match=message.replace("neon", name)):
        runtime.program(LSTM, SIZES)


@pytest.mark.parametrize("isa", HERE)
def test_an_instruction_set_can_be_chosen(isa: str, fresh: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("GATEWORK_ISA", isa)
    assert f", {isa}: " in runtime.program(LSTM, SIZES).describe()


def test_the_interpreter_can_be_chosen(fresh: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("GATEWORK_ISA", "reference")
    assert "reference interpreter, float32 (GATEWORK_ISA=reference)" in runtime.program(LSTM, SIZES).describe()


def test_an_unknown_processor_gets_the_interpreter(fresh: Any, monkeypatch: Any) -> None:
    monkeypatch.delenv("GATEWORK_ISA", raising=False)
    monkeypatch.setattr(cpu.platform, "machine", lambda: "riscv64")
    program = runtime.program(LSTM, SIZES, "float64")
    assert "reference interpreter" in program.describe() and "riscv64" in program.describe()
    at = Pair(LSTM, Setting())
    want = at.forward().history["h"]
    at.program = runtime.program(LSTM, at.made.sizes, "float64")  # type: ignore[assignment]
    np.testing.assert_allclose(at.forward().history["h"], want, atol=1e-12)


def test_a_processor_that_lacks_everything(fresh: Any, monkeypatch: Any) -> None:
    monkeypatch.delenv("GATEWORK_ISA", raising=False)
    monkeypatch.setattr(cpu, "host", lambda: ("i386", {}))
    assert "reference interpreter" in runtime.program(LSTM, SIZES).describe()


def test_without_llvmlite(fresh: Any, monkeypatch: Any) -> None:
    def missing() -> Any:
        raise KernelError("llvmlite cannot be loaded; run: pip install llvmlite")

    monkeypatch.delenv("GATEWORK_ISA", raising=False)
    monkeypatch.setattr(cpu, "binding", missing)
    cpu.host.cache_clear()
    try:
        assert "pip install llvmlite" in runtime.program(LSTM, SIZES).describe()
    finally:
        cpu.host.cache_clear()


@pytest.mark.parametrize("wrong", ["float16", "int32", "complex128", "bool"])
def test_types_that_no_kernel_computes_in(wrong: str) -> None:
    with pytest.raises(ShapeError, match=f"float32 or float64, not {wrong}"):
        runtime.program(LSTM, SIZES, wrong)


@pytest.mark.parametrize("wrong", [{}, {"I": 3}, {"I": 3, "H": 0}, {"I": 3, "H": -1}, {"I": 3, "H": 2.5}])
def test_sizes_that_cannot_be(wrong: dict) -> None:
    with pytest.raises(ShapeError, match="width"):
        runtime.program(LSTM, wrong)


def test_text_that_is_no_code() -> None:
    with pytest.raises(KernelError, match="not valid LLVM IR"):
        cpu.compile_object("define void @f() { ret i32 1 }", ISAS[HERE[0]])


def test_a_function_that_is_not_there(pair: Pair) -> None:
    pair.forward()
    with pytest.raises(KernelError, match="has no function 'nothing'"):
        pair.program.kernels.training.code["nothing"]


MAIN = (
    "lstm",
    "gru",
    "gru_reset_before",
    "rnn",
    "lstm_layer_norm",
    "slstm",
    "lstm_peephole",
    "lstm_projected",
    "gru_d",
)


@pytest.mark.parametrize("scalar", ["float", "double"])
@pytest.mark.parametrize("name", ["library", *MAIN])
def test_code_for_aarch64_is_assembled(name: str, scalar: str) -> None:
    isa = ISAS["neon"]
    if name == "library":
        text = kernel._library_text(isa, scalar)
    else:
        graph = cells.get(name).graph
        backward = derive(graph)
        saved = choose_saved(backward)
        plans = {
            "infer": plan_forward(graph, train=False), "train": plan_forward(graph, True, saved),
            "backward": plan_backward(backward, saved), "replay": plan_replay(graph, saved),
        }  # fmt: skip
        slots = Slots(graph, plans.values())
        stages = [(p, key, i, s) for key, p in plans.items() for i, s in enumerate([*p.stages, *p.products])]
        text = module([epilogue(s, p, slots, f"{key}_{i}", isa, scalar) for p, key, i, s in stages], isa)
    image = cpu.compile_object(text, isa)
    if cpu.host()[0] and sys.platform == "linux":
        assert image[:4] == b"\x7fELF" and int.from_bytes(image[18:20], "little") == 183, "not code for AArch64"
    assert len(image) > 1000


# ---- looking inside


@pytest.mark.parametrize(
    ("asked", "shown", "hidden"),
    [
        ("", [], ["gatework:", "== plan"]),
        ("0", [], ["gatework:", "== plan"]),
        ("1", ["gatework: compiled lstm-forward-double"], ["== plan", "define void"]),
        ("2", ["== plan of lstm, forward", "== derive", "stage 0: over H"], ["define void"]),
        ("3", ["define void @forward_0(", "= fmul <"], ["forward_0:"]),
        ("4", ["define void @forward_0(", "forward_0:"], []),
        ("plan", ["== plan of lstm, backward", "gradient f.0 += "], ["define void", "gatework: compiled"]),
        ("passes", ["== derive"], ["== plan"]),
        ("ir,asm", ["define void @forward_0(", "forward_0:"], ["== plan"]),
        ("nonsense", [], ["gatework:", "== plan"]),
    ],
)
def test_debug_prints_what_is_asked_for(asked: str, shown: list[str], hidden: list[str], tmp_path: Path) -> None:
    code = CALL + "program.backward(program.forward(at.rows, at.inputs, {}, at.weights, train=True), {}, {})"
    found = run(code, GATEWORK_DEBUG=asked, GATEWORK_CACHE=str(tmp_path / "kernels"))
    assert found.returncode == 0, found.stderr
    for text in shown:
        assert text in found.stderr, text
    for text in hidden:
        assert text not in found.stderr, text


def test_describe_says_what_ran_and_why(pair: Pair) -> None:
    assert pair.program.describe().endswith("nothing has run yet")
    pair.forward()
    said = pair.program.describe()
    assert said.startswith(f"lstm float64, {HERE[0]}: 1 thread (") and said.endswith(")")


# ---- streams


@pytest.mark.parametrize("name", ["lstm", "gru", "slstm", "gru_reset_before", "lstm_peephole", "gru_d"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_stream_gives_what_the_sequence_gives(name: str, batch: int) -> None:
    at = Pair(cells.get(name).graph, Setting(T=7, B=batch, H=24, dtype="float32"))
    done = at.forward(train=False)
    stream = runtime.Stream(at.program, at.weights, batch)
    stream.state = at.start
    for t in range(7):
        step = slice(t * batch, (t + 1) * batch)
        for name_, buffer in stream.inputs.items():
            buffer[...] = at.inputs[name_][step] if name_ in at.steps else at.inputs[name_]
        same(np.array(stream.step(at.inputs["x"][step])), done.history["h"][step], f"step {t}")
    for state, values in stream.state.items():
        same(values, done.final[state], state)


def test_a_stream_takes_a_row_for_each(pair: Pair) -> None:
    stream, row = runtime.Stream(pair.program, pair.weights, 4), np.ones(7)
    with pytest.raises(ShapeError, match=r"input is \(7,\); it must be \(4, 7\)"):
        stream.step(row)
    with pytest.raises(ShapeError, match="input is complex128; it must be real"):
        stream.step(np.ones((4, 7), complex))
    one = runtime.Stream(pair.program, pair.weights, 1)
    first = one.step(row).copy()
    one.reset()
    same(one.step(row[None]), first, "one row")


def test_streams_do_not_touch_each_other(pair: Pair) -> None:
    other = {k: 2 * v for k, v in pair.weights.items()}
    one, two = (runtime.Stream(pair.program, w, 5) for w in (pair.weights, other))
    alone = runtime.Stream(pair.program, pair.weights, 5)
    for t in range(4):
        x = pair.inputs["x"][t * 5 : t * 5 + 5]
        wanted = np.array(alone.step(x))
        two.step(-x)
        pair.forward()
        same(np.array(one.step(x)), wanted, f"step {t}")


def test_a_stream_without_its_team_keeps_its_weights(pair: Pair) -> None:
    wanted = runtime.Stream(pair.program, pair.weights, 5)
    stream = runtime.Stream(pair.program, pair.weights, 5)
    x = pair.inputs["x"][:5]
    want = [np.array(wanted.step(x)) for _ in range(3)]
    same(np.array(stream.step(x)), want[0], "before")
    pair.program.forward(pair.rows, pair.inputs, {}, {k: 3 * v for k, v in pair.weights.items()})
    stream._next = 0
    stream._go_alone(1)
    same(np.array(stream._outputs[1]), want[1], "alone")
    assert runtime.get_threads() >= 1


def test_stream_states(pair: Pair) -> None:
    stream = runtime.Stream(pair.program, pair.weights, 5)
    x = pair.inputs["x"][:5]
    first = np.array(stream.step(x))
    kept = stream.state
    second = np.array(stream.step(x))
    stream.state = kept
    same(np.array(stream.step(x)), second, "after going back")
    stream.reset()
    same(np.array(stream.step(x)), first, "after a reset")
    stream.reset([1, 3])
    third = np.array(stream.step(x))
    same(third[[1, 3]], first[[1, 3]], "rows that were reset")
    same(third[[0, 2, 4]], second[[0, 2, 4]], "rows that were not")


def test_streams_refuse(pair: Pair) -> None:
    stream = runtime.Stream(pair.program, pair.weights, 5)
    with pytest.raises(ShapeError, match=r"must be \(5, 7\)"):
        stream.step(np.zeros((4, 7)))
    with pytest.raises(ShapeError, match="no state 'k'"):
        stream.state = {"k": np.zeros((5, 12))}
    with pytest.raises(ShapeError, match="state 'h'"):
        stream.state = {"h": np.zeros((1, 12))}
    for batch in (0, -1, 1.0, True):
        with pytest.raises(OptionError, match="a whole number of at least 1"):
            runtime.Stream(pair.program, pair.weights, batch)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [np.zeros((1, 12)), np.full((5, 12), "much"), np.zeros((5, 12), complex), None])
def test_a_refused_state_leaves_the_stream_as_it_was(pair: Pair, wrong: Any) -> None:
    """Whichever of the states is the wrong one."""
    stream, x = runtime.Stream(pair.program, pair.weights, 5), pair.inputs["x"][:5]
    stream.step(x)
    kept = stream.state
    for right, bad in (("h", "c"), ("c", "h")):
        with pytest.raises(ShapeError, match=f"state '{bad}'"):
            stream.state = {right: np.full((5, 12), 7.0), bad: wrong}
        with pytest.raises(ShapeError, match="no state 'k'"):
            stream.state = {right: np.full((5, 12), 7.0), "k": kept[bad]}
        for name, values in stream.state.items():
            same(values, kept[name], name)


def test_errors_are_ours() -> None:
    """All of them can be caught as one."""
    for error in (ShapeError, DataError, OptionError, KernelError):
        assert issubclass(error, GateworkError)
