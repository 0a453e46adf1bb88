"""Programs in C that leave the workshop: they prove themselves, and their proof finds every fault that is planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from c_face import layer, needs_compiler, write_program
from cases import sizes_of
from gatework import cells
from gatework.compiler import lang
from gatework.compiler.ir import Graph
from gatework.errors import KernelError, OptionError
from gatework.exporting import c
from gatework.exporting.c import compiling
from gatework.exporting.c.vectors import Model, in_float64
from gatework.runtime.saved import Layer

SANITIZED = (*compiling.STRICT, "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@lang.cell(per={"static": "sequence", "rate": "call"})
def awkward(x, gap, static, rate, int, W):
    """Inputs of each kind, under words of C."""
    new = lang.tanh(W.n(int, x, gap) + W.s(static, width="H"))
    return rate * int + (1 - rate) * new


def of(graph: Graph, ways: int = 1, I: int = 5, seed: int = 0, learned: bool = False) -> Layer:
    return layer(graph, sizes_of(graph, H=6, I=I, P=4, heads=2), ways, seed, learned)


def stacks() -> dict[str, list[Layer]]:
    lstm, gru, slstm = (cells.get(name).graph for name in ("lstm", "gru", "slstm"))
    return {
        "one": [of(lstm)],
        "two": [of(lstm), of(gru, I=6)],
        "same": [of(gru, I=6), of(gru, I=6, seed=1)],
        "starts": [of(lstm, learned=True)],
        "heads": [of(slstm)],
        "normed": [of(cells.get("lstm_layer_norm").graph)],
        "awkward": [of(awkward.graph)],
        "both": [of(lstm, 2), of(gru, 2, I=12), of(lstm, I=12)],
        "bothstarts": [of(gru, 2, learned=True)],
    }


@needs_compiler
@pytest.mark.parametrize("name", stacks())
def test_programs_prove_themselves(name: str, tmp_path: Path) -> None:
    report = c.write_stack(stacks()[name], tmp_path, name)
    proved(report, *SANITIZED)


@needs_compiler
def test_the_proof_of_smaller_weights(tmp_path: Path) -> None:
    for weights in ("int8", "bf16"):
        report = c.write_stack(stacks()["two"], tmp_path, "two", weights)
        proved(report, *SANITIZED)
        assert report.error is not None and 0 < report.error < 0.1
        again = c.write_stack([x.with_weights(weights) for x in stacks()["two"]], tmp_path / "again", "two", weights)
        assert again.files[1].read_text() == report.files[1].read_text()


def proved(report: c.Report, *flags: str) -> None:
    """Compile source and proof together, and run it."""
    out = report.files[0].parent / "proof"
    compiling.compiled(report.files[1:], out, *flags)
    assert "all cases agree" in compiling.called([str(out)])


@needs_compiler
def test_layers_of_float64_become_float32(tmp_path: Path) -> None:
    wide = [replace(x, weights=tuple({k: v.astype(float) for k, v in w.items()} for w in x.weights), dtype="float64")
            for x in stacks()["two"]]  # fmt: skip
    proved(c.write_stack(wide, tmp_path, "two", "int8"))


@needs_compiler
def test_the_program_of_the_docs_runs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "export-c.md").read_text()
    (tmp_path / "main.c").write_text(page.partition("```c\n")[2].partition("```")[0])
    layers = [layer(cells.get("lstm").graph, {"I": 3, "H": 8})]
    report = c.write_stack(layers, tmp_path, "net")
    out = compiling.compiled([tmp_path / "main.c", report.files[1]], tmp_path / "main", *compiling.STRICT)
    x = np.tile([0.5, -1.0, 0.25], (3, 1))
    outputs, _ = Model(in_float64(layers)).run({"x": x}, None)
    assert float(compiling.called([str(out)])) == pytest.approx(outputs[-1, 0], abs=2e-6)


# ---- planted faults


def faults(layers: list[Layer]) -> dict[str, list[Layer]]:
    """The stack with one number of one weight changed; with two gates swapped; with a start changed."""
    found = {}
    for k, one in enumerate(layers):
        for d, weights in enumerate(one.weights):
            for key in weights:
                found[f"{k}.{d}/{key}"] = _with(layers, k, d, {**weights, key: _nudged(weights[key])})
    weights = layers[0].weights[0]
    swapped = {{"f": "i", "i": "f"}.get(key[0], key[0]) + key[1:]: values for key, values in weights.items()}
    return found | {"f and i": _with(layers, 0, 0, swapped)}


def _nudged(values: np.ndarray) -> np.ndarray:
    nudged = values.copy()
    nudged.reshape(-1)[values.size // 2] += 0.05
    return nudged


def _with(layers: list[Layer], k: int, d: int, weights: dict[str, np.ndarray]) -> list[Layer]:
    ways = (*layers[k].weights[:d], weights, *layers[k].weights[d + 1 :])
    return [*layers[:k], replace(layers[k], weights=ways), *layers[k + 1 :]]


@needs_compiler
@pytest.mark.parametrize("ways", [1, 2])
def test_the_proof_finds_every_planted_fault(ways: int, tmp_path: Path) -> None:
    layers = [of(cells.get("lstm").graph, ways)]
    report = c.write_stack(layers, tmp_path, "net")
    test = compiling.compiled([report.files[2]], tmp_path / "test.o", "-c")
    assert fails(report.files[1], test) is None
    for name, wrong in faults(layers).items():
        assert fails(write_program(tmp_path, "net", wrong), test), f"{name}: the proof of a wrong program passed"


def fails(source: Path, test: Path) -> str | None:
    """What the proof says of a program that it refuses."""
    out = compiling.compiled([source, test], source.parent / "proof")
    try:
        compiling.called([str(out)])
    except KernelError as error:
        return str(error)
    return None


EDITS: dict[str, Callable[[str], str]] = {
    "a reset that forgets a state": lambda text: text.replace("s->c_0[u] = 0x0p+0f", "s->c_0[u] += 0x0p+0f"),
    "a state that all streams share": lambda text: text.replace(
        "net_cell0(&", "static net_state *kept;\n    if (!kept) kept = s;\n    s = kept;\n    net_cell0(&"
    ),
    "NaN": lambda text: text.replace("memcpy(y, s->h_0", "s->h_0[1] = NAN; memcpy(y, s->h_0"),
    "a state that is not kept": lambda text: text.replace("memcpy(s_h, new_h, sizeof new_h);", "(void)new_h;"),
    "an input that is read twice": lambda text: text.replace("x + t * 5", "x"),
}


@needs_compiler
@pytest.mark.parametrize("edit", EDITS)
def test_the_proof_finds_faults_of_the_text(edit: str, tmp_path: Path) -> None:
    report = c.write_stack([of(cells.get("lstm").graph)], tmp_path, "net")
    text = report.files[1].read_text()
    changed = EDITS[edit](text)
    assert changed != text
    report.files[1].write_text(changed)
    with pytest.raises(KernelError, match="FAILED"):
        proved(report)


# ---- what is in an object


ALLOWED = {"memcpy", "memset", "expf", "tanhf", "logf", "log1pf", "sqrtf"}


@needs_compiler
@pytest.mark.parametrize("name", ["two", "heads", "normed", "both"])
def test_an_object_needs_nothing_and_pollutes_nothing(name: str, tmp_path: Path) -> None:
    report = c.write_stack(stacks()[name], tmp_path, name)
    found = compiling.symbols(compiling.compiled([report.files[1]], tmp_path / "o.o", "-O2", "-c"))
    assert {symbol for kind, symbol, _ in found if kind == "U"} <= ALLOWED
    exported = {symbol for kind, symbol, _ in found if kind.isupper() and kind != "U"}
    assert exported == {f"{name}_{f}" for f in (("run",) if name == "both" else ("reset", "step", "run"))}
    assert not {symbol for kind, symbol, _ in found if kind in "bBdDcC"}, "there is memory that changes"


@needs_compiler
def test_an_int8_lstm_of_32_units_fits_into_32_kilobytes(tmp_path: Path) -> None:
    report = c.write_stack([layer(cells.get("lstm").graph, {"I": 32, "H": 32})], tmp_path, "net", "int8")
    report = c.prove(report, "-O2", *compiling.STRICT)
    assert report.code is not None and report.weights + report.code < 16_000
    assert report.state == 2 * 32 * 4 and report.multiply_adds == 4 * 32 * 64
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.c", "net.h", "net_test.c"]


def test_layers_of_the_same_kind_share_a_function(tmp_path: Path) -> None:
    text = c.write_stack(stacks()["same"], tmp_path, "net").files[1].read_text()
    assert text.count("static void net_cell") == 1 and text.count("static const struct net_tables0") == 2


def test_the_report(tmp_path: Path) -> None:
    report = c.write_stack(stacks()["both"], tmp_path, "net", most_steps=10)
    assert report.scratch == 2 * 10 * 12 * 4
    assert any(line.split() == ["scratch", "960", "bytes"] for line in report.lines())
    assert "net_MOST_STEPS 10" in report.files[0].read_text()


# ---- refusals


@pytest.mark.parametrize("name", ["", "1st", "a-b", "_a", "x" * 50, "ä"])
def test_names_that_c_cannot_have_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot begin the names"):
        c.write_stack(stacks()["one"], tmp_path, name)


def test_what_has_no_program_is_refused(tmp_path: Path) -> None:
    one = stacks()["one"]
    with pytest.raises(OptionError, match="float32, bf16, int8"):
        c.write_stack(one, tmp_path, "net", "float16")
    broken = {**one[0].weights[0], "f.0": np.full((6, 6), np.nan, np.float32)}
    with pytest.raises(OptionError, match=r"'f\.0' of layer 0 is not finite"):
        c.write_stack([replace(one[0], weights=(broken,))], tmp_path, "net")
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="cannot be written"):
        c.write_stack(one, tmp_path / "file", "net")
    (tmp_path / "no").mkdir()


def test_without_a_compiler_a_proof_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = c.write_stack(stacks()["one"], tmp_path, "net")
    monkeypatch.setattr(compiling, "compiler", lambda: None)
    with pytest.raises(KernelError, match="no C compiler"):
        c.prove(report)
