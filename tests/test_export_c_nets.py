"""Whole networks as C programs: every operation, planted faults, what is refused; a trained run, from C to label."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gatework
from c_face import layer, needs_compiler
from cases import sizes_of
from gatework import cells
from gatework.errors import KernelError, OptionError
from gatework.exporting import c
from gatework.exporting.c import compiling, operations
from gatework.exporting.c.program import quoted
from gatework.exporting.c.values import Room, count
from gatework.runtime.exported import Exported
from gatework.runtime.net import Builder
from gatework.runtime.net.ops import OPS
from gatework.runtime.saved import Layer
from test_export_c import SANITIZED, proved

TOKENS = {"kind": "characters", "vocabulary": ["<nothing>", "<unknown>", "a"]}
DRAW = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray:
    return (DRAW.normal(size=shape) / max(1, shape[-1]) ** 0.5).astype(np.float32)


def of(name: str, I: int, H: int, ways: int = 1, learned: bool = False) -> Layer:
    graph = cells.get(name).graph
    return layer(graph, sizes_of(graph, I=I, H=H), ways, learned=learned)


def model(*nets: tuple[str, Builder]) -> Exported:
    builder = nets[0][1]
    made = {name: b.net() for name, b in nets}
    settings = {"classes": ['a "b"', "\\?é", "@"], "scaler": {"shift": [0.5, -1.0]}, "temperature": 1.25}
    texts = {"tokenizer": json.dumps(TOKENS), "other": "no codec"}
    return Exported("labels", settings, made, builder.arrays, builder.stacks, texts, {"made by": "a test */ of ours"})


def reader() -> Exported:
    """Ids to scores, in both directions, with attention over time and every kind of pooling."""
    b = Builder()
    ids, lengths = b.input("ids", ("T", "B"), "int64"), b.input("lengths", ("B",), "int64")
    x = b.gather(b.array("table", weights(20, 5)), ids)
    outputs, last = b.recurrent([of("lstm", 5, 6, 2, learned=True), of("gru", 12, 4, 2)], x, lengths)
    seen = b.tanh(b.linear(outputs, b.array("seen", weights(7, 8)), b.array("seen.bias", weights(7))))
    shares = b.time_softmax(b.squeeze(b.linear(seen, b.array("query", weights(1, 7))), axis=-1), lengths)
    pooled = [b.pool(outputs, lengths, kind="max"), b.pool(outputs, lengths, kind="mean"), last["1.0.h"]]
    features = b.concat(b.weighed(outputs, shares), *pooled)
    b.output("scores", b.linear(features, b.array("w", weights(3, 28)), b.array("w.bias", weights(3))))
    b.output("attention", shares)
    s = Builder(beside=b)
    out = s.step([of("lstm", 5, 6, learned=True), of("mgu", 6, 4)], s.gather("@table", s.input("ids", ("B",), "int64")))
    total = s.after("sum", s.add(s.state("sum", 4), out))
    steps = s.after("count", s.scale(s.state("count", 1), by=1.0, plus=1.0))
    s.output("scores", s.log_softmax(s.linear(s.div(total, steps), s.array("v", weights(3, 4)))))
    return model(("whole", b), ("step", s))


def pieces() -> Exported:
    """Words by their pieces, a convolution, a mask and the time since, a cell with further inputs."""
    b = Builder()
    table, lengths = b.array("pieces", weights(11, 4)), b.input("lengths", ("B",), "int64")
    bags = b.input("pieces", ("T", "B", "P"), "int64"), b.input("counts", ("T", "B"), "int64")
    mask = b.input("mask", ("T", "B", 4))
    x = b.add(b.bag(table, *bags), b.bag(table, *bags, kind="sum"))
    x = b.relu(b.conv(x, b.array("taps", weights(4, 4, 3)), b.array("taps.bias", weights(4)), lengths))
    outputs, _ = b.recurrent([of("gru_d", 4, 5)], x, lengths, {"mask": mask, "gap": b.time_since(mask)})
    b.output("y", b.sub(b.exp(b.sigmoid(outputs)), b.array("shift", weights(5))))
    return model(("whole", b))


def attending() -> Exported:
    """Queries over a memory, and shapes that are turned, cut and spread."""
    b = Builder()
    x, lengths = b.input("x", ("T", "B", 6)), b.input("lengths", ("B",), "int64")
    queries = b.expand(b.array("queries", weights(3, 6)), axis=0)
    shares = b.add(b.attention(queries, x, lengths), b.softmax_inside(b.attention(queries, x, lengths), lengths))
    seen = b.attended(shares, x)
    turned = b.transpose(seen, axes=[2, 0, 1])  # (6, 1, 3)
    wide = b.mul(b.maximum(turned, b.array("floor", weights(1, 1, 3))), b.piece(turned, start=1, stop=2, axis=0))
    b.output("y", b.softmax(wide, axis=0))
    b.output("grouped", b.grouped(b.squeeze(seen, axis=0), x))
    b.output("same", b.transpose(b.squeeze(b.piece(turned, start=-2, stop=6, axis=0), axis=1), axes=[0, 1]))
    return model(("whole", b))


def shrinking() -> Exported:
    """Maps over time and across it, read with strides; every second step is left for a layer of both directions."""
    b = Builder()
    x, lengths = b.input("x", ("T", "B", 7)), b.input("lengths", ("B",), "int64")
    seen = b.conv2d(
        b.expand(x, axis=-1),
        b.array("kernel", weights(5, 1, 3, 4)),
        b.array("kernel.bias", weights(5)),
        lengths,
        strides=[1, 3],
        before=[2, 1],
    )
    shorter = b.array("shorter", weights(6, 5, 2, 3)), b.array("shorter.bias", weights(6))
    seen = b.squeeze(b.conv2d(b.gelu(seen), *shorter, lengths, strides=[2, 3], before=[0, 0]), axis=2)
    seen = b.layer_norm(seen, b.array("norm", weights(6)), b.array("norm.bias", weights(6)), epsilon=1e-5)
    outputs, _ = b.recurrent([of("gru", 6, 4, 2)], seen, b.shortened(lengths, stride=2))
    b.output("log_p", b.log_softmax(b.linear(outputs, b.array("w", weights(3, 8)))))
    return model(("whole", b))


def spelled() -> Exported:
    """Vectors of different words, of their letters, each word of a length of its own; a sentence of their numbers."""
    b = Builder()
    letters, sizes = b.input("letters", ("L", "U"), "int64"), b.input("sizes", ("U",), "int64")
    x = b.conv(
        b.gather(b.array("letters", weights(9, 3)), letters),
        b.array("f", weights(4, 3, 5)),
        b.array("fb", weights(4)),
        sizes,
    )
    words = b.relu(b.concat(b.pool(x, sizes, kind="max"), b.pool(x, sizes, kind="mean")))
    lengths = b.input("lengths", ("B",), "int64")
    outputs, _ = b.recurrent([of("gru", 8, 5, 2)], b.gather(words, b.input("words", ("T", "B"), "int64")), lengths)
    b.output("tags", b.linear(outputs, b.array("w", weights(3, 10))))
    return model(("whole", b))


def ahead() -> Exported:
    """Windows of one length, cut into segments; several steps asked at once from one state; inputs of no width."""
    b = Builder()
    x, lengths = b.input("x", ("T", "B", 2)), b.input("lengths", ("B",), "int64")
    future = b.input("future", ("B", 5, 0))
    cut = b.pad(b.transpose(x, axes=[1, 0, 2]), front=2, back=0, axis=1)  # 10 steps are 12, or 3 segments of 4
    read = b.linear(b.reshape(cut, shape=[-1, 3, 8]), b.array("read", weights(6, 8)))
    layers = [of("lstm", 6, 6)]
    outputs, states = b.recurrent(layers, b.transpose(read, axes=[1, 0, 2]), b.scale(lengths, by=0, plus=3))
    asked = b.repeat(
        b.linear(future, b.array("none", weights(6, 0)), b.array("none.bias", weights(6))), count=1, axis=1
    )
    asked = b.reshape(b.add(asked, b.array("places", weights(5, 6))), shape=[-1, 6])
    starts = [b.repeat(each, count=5) for each in states.values()]
    found, *_ = b.add_node("step", [asked, *starts], 3, stack=0)
    last = b.squeeze(b.piece(outputs, start=-1, stop=None, axis=0), axis=0)
    b.output("y", b.add(b.linear(found, b.array("w", weights(2, 6))), b.linear(last, b.array("v", weights(2, 6)))))
    return replace(model(("whole", b)), kind="horizon", settings={"shape": {"lookback": 10}})


MODELS: dict[str, Callable[[], Exported]] = {
    f.__name__: f for f in (reader, pieces, shrinking, spelled, attending, ahead)
}


@needs_compiler
@pytest.mark.parametrize("name", MODELS)
def test_nets_prove_themselves(name: str, tmp_path: Path) -> None:
    proved(c.write_nets(MODELS[name](), tmp_path, name, most_steps=20), *SANITIZED)


@needs_compiler
def test_nets_with_smaller_weights(tmp_path: Path) -> None:
    report = c.write_nets(reader(), tmp_path, "net", "int8", most_steps=20)
    proved(report, *SANITIZED)
    assert report.error is not None and 0 < report.error < 0.1


def test_every_operation_is_proved() -> None:
    used = {node.op for make in MODELS.values() for net in make().nets.values() for node in net.nodes}
    assert used >= set(OPS), f"no net of these tests has {set(OPS) - used}"
    assert set(operations.PRINTERS) == set(OPS)


@needs_compiler
def test_the_proof_finds_every_planted_fault(tmp_path: Path) -> None:
    """Some numbers of each array and of each start, changed: different ones, as a softmax hides equal changes."""
    own = reader()
    report = c.write_nets(own, tmp_path, "net", most_steps=20)
    test = compiling.compiled([report.files[2]], tmp_path / "test.o", "-c")
    for name, values in own.arrays.items():
        wrong = values.copy()
        places = wrong.reshape(-1)[:: max(1, values.size // 8)]
        places += 0.05 * np.arange(1, 1 + places.size)
        text = c.net_texts(replace(own, arrays={**own.arrays, name: wrong}), "net", "float32", 20)
        report.files[1].write_text(text["net.c"].replace("@", "net_"))
        out = compiling.compiled([report.files[1], test], tmp_path / "proof")
        with pytest.raises(KernelError, match="FAILED"):
            compiling.called([str(out)])
            pytest.fail(f"the proof of a program with a wrong {name!r} passed")


@needs_compiler
def test_bad_calls_are_refused_and_change_nothing(tmp_path: Path) -> None:
    report = c.write_nets(reader(), tmp_path, "net", most_steps=20)
    out = compiling.compiled([report.files[1]], tmp_path / "net.so", "-O1", "-shared", "-fPIC")
    library = ctypes.CDLL(str(out))
    room, scores = np.zeros(1 << 14, np.float32), np.zeros(64, np.float32)

    def call(name: str, ids: list[int], *steps: int) -> int:
        given = np.array(ids, np.int32)
        sizes = [ctypes.c_size_t(n) for n in steps]
        outputs = [scores, np.zeros(64, np.float32)][: 2 if steps else 1]
        arrays = [ctypes.c_void_p(a.ctypes.data) for a in (room, given, *outputs)]
        return getattr(library, f"net_{name}")(*arrays[:2], *sizes, *arrays[2:])

    assert call("run", [1, 19, 0], 3) == 0 and scores.any()
    assert [call("run", [1, 20], 2), call("run", [-1], 1), call("run", [1], 0), call("run", [1] * 21, 21)] == [-1] * 4
    library.net_reset(ctypes.c_void_p(room.ctypes.data))
    before = room.copy()
    assert call("step", [20]) == -1 and np.array_equal(room, before)
    assert call("step", [3]) == 0 and not np.array_equal(room, before)


def test_tables_of_texts_and_numbers_are_in_the_header(tmp_path: Path) -> None:
    header, source, _ = c.write_nets(reader(), tmp_path, "net", most_steps=20).files
    text = header.read_text()
    assert (
        "extern const char *const net_model_classes[3];" in text and "#define net_model_temperature 0x1.4p+0f" in text
    )
    assert "extern const char *const net_model_tokenizer[3];" in text and "net_other" not in text
    assert "a test _/ of ours" in text and "extern const float net_model_scaler_shift[2];" in text
    assert '"a \\042b\\042",\n    "\\134\\077\\303\\251",\n    "\\100"' in source.read_text()
    assert quoted('"\\') == '"\\042\\134"'


@needs_compiler
def test_names_from_a_stranger_s_file_stay_names(tmp_path: Path) -> None:
    """A model's file may come from anywhere, and what it writes into a source is compiled and run."""
    evil = '"; */ int main(void) { abort(); } /* @ \\ \n#error'
    b = Builder()
    x, lengths = b.input(evil, ("T", "B", 3)), b.input(f"{evil} lengths", ("B",), "int64")
    b.output(evil, b.linear(b.pool(x, lengths, kind="max"), b.array(evil, weights(2, 3))))
    about = {evil: evil, "x": 1}
    hostile = Exported(evil, {evil: [evil], "deep": {evil: [1.0]}}, {evil: b.net()}, b.arrays, [], {evil: evil}, about)
    proved(c.write_nets(hostile, tmp_path, "net"), *SANITIZED)
    b = Builder()
    b.output("y", b.tanh(b.input("x", ("T; abort()", "B", 3))))
    with pytest.raises(OptionError, match=r"the axis 'T; abort\(\)'.*one capital letter"):
        c.write_nets(model(("whole", b)), tmp_path, "net")


def test_values_that_nobody_reads_give_their_room_back() -> None:
    b = Builder()
    x = b.input("x", ("T", "B", 4))
    for _ in range(6):
        x = b.tanh(x)
    b.output("y", x)
    made = c.net_texts(model(("whole", b)), "net", "float32", 10)["net.h"]
    assert "room1[40]" in made and "room2" not in made
    assert count(("T", "B", 3, 4)) == "T * 12" and count(()) == "1" and Room(b.net(), 3).sizes == []


def lengths_that_are_added() -> Builder:
    b = Builder()
    x, lengths = b.input("x", ("T", "B", 3)), b.input("lengths", ("B",), "int64")
    b.output("y", b.add(b.pool(x, lengths, kind="max"), lengths))
    return b


def a_computed_matrix() -> Builder:
    b = Builder()
    b.output("y", b.linear(b.input("x", ("B", 3)), b.tanh(b.array("w", weights(3, 3)))))
    return b


def names_that_c_confuses() -> Builder:
    b = Builder()
    b.output("y", b.add(b.input("a.b", ("B", 3)), b.input("a_b", ("B", 3))))
    return b


def time_joined() -> Builder:
    b = Builder()
    x = b.input("x", ("T", "B", 3))
    b.output("y", b.concat(x, x, axis=0))
    return b


def several_sequences() -> Builder:
    b = Builder()
    x, sizes = b.input("x", ("L", "U", 3)), b.input("sizes", ("U",), "int64")
    b.output("y", b.time_softmax(b.squeeze(b.piece(x, start=0, stop=1), axis=-1), sizes))
    return b


REFUSED = {
    several_sequences: "several sequences at once",
    lengths_that_are_added: "lengths in 'add'",
    a_computed_matrix: "a matrix that it computes",
    names_that_c_confuses: "the same name in C",
    time_joined: "unknown length",
}


@pytest.mark.parametrize("make", REFUSED)
def test_what_has_no_form_in_c_is_refused_by_its_name(make: Callable[[], Builder], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=REFUSED[make]):
        c.write_nets(model(("whole", make())), tmp_path, "net")
    assert not list(tmp_path.iterdir())


def test_an_operation_without_a_printer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(operations.PRINTERS, "time_softmax")
    with pytest.raises(OptionError, match="'time_softmax' of the net 'whole' has no form in C"):
        c.write_nets(reader(), tmp_path, "net")
    with pytest.raises(OptionError, match="no net"):
        c.write_nets(replace(reader(), nets={}), tmp_path, "net")


@needs_compiler
def test_a_trained_run_answers_from_c(tmp_path: Path) -> None:
    """From raw numbers to the label, with nothing but what the header offers."""
    rows = [np.sin(np.arange(9 + n)[:, None] * [1, 2] / (2 + n % 2)).astype(np.float32) for n in range(12)]
    estimator = gatework.SequenceClassifier(out=str(tmp_path / "run"), hidden_size=4, epochs=2, pooling="attention")
    trained = estimator.fit(rows, ["slow", "fast"] * 6).trained_
    written = gatework.export(trained, tmp_path / "waves-c", to="c")
    assert [f.name for f in written.files] == ["waves.h", "waves.c", "waves_test.c"]
    assert any(note.startswith("code") and note.endswith("bytes") for note in written.notes)
    assert written.notes[-1].endswith(f"{written.files[1]} {written.files[2]} -lm -o check && ./check")
    assert "_reset" not in written.files[0].read_text()
    out = compiling.compiled([written.files[1]], tmp_path / "waves.so", "-O1", "-shared", "-fPIC")
    library = ctypes.CDLL(str(out))
    classes = (ctypes.c_char_p * 2).in_dll(library, "waves_model_classes")
    tables = {
        n: np.array((ctypes.c_float * 2).in_dll(library, f"waves_model_{n}"))
        for n in ("scaler_shift", "scaler_scale", "decision")
    }
    room = np.zeros(1 << 18, np.float32)
    for row, wanted in zip(rows, trained.predict(rows), strict=True):
        x = np.ascontiguousarray((row - tables["scaler_shift"]) / tables["scaler_scale"], np.float32)
        scores = np.zeros(2, np.float32)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (room, x, scores)]
        assert library.waves_run(*pointers[:2], ctypes.c_size_t(len(x)), pointers[2]) == 0
        assert classes[int((scores + tables["decision"]).argmax())].decode() == wanted["label"]


@needs_compiler
def test_the_program_of_the_docs_calls_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[1] / "docs" / "export-c.md").read_text().partition("## A whole run\n")[2]
    monkeypatch.chdir(tmp_path)
    exec(page.partition("```python\n")[2].partition("```")[0], {"gatework": gatework})
    Path("answer.c").write_text(page.partition("```c\n")[2].partition("```")[0])
    flags = (*compiling.STRICT, "-Iwaves-c")
    out = compiling.compiled([Path("answer.c"), Path("waves-c/waves.c")], tmp_path / "answer", *flags)
    x = 0.1 * (np.arange(20)[:, None] % [3, 4])
    gatework.export("runs/waves", "waves.safetensors")
    wanted = gatework.runtime.load("waves.safetensors").predict([x])[0]["label"]
    assert compiling.called([str(out)]).strip() == wanted
    assert "waves_reset begins a stream" in Path("waves-c/waves.h").read_text()


def test_notes_tell_what_is_left_out_and_what_is_large(tmp_path: Path) -> None:
    whole = reader()
    assert not c.write_nets(whole, tmp_path, "small").notes
    arrays = {**whole.arrays, "table": weights(60_000, 5), "grams.weight": weights(3, 2)}
    left, large = c.write_nets(replace(whole, arrays=arrays), tmp_path, "net").notes
    assert "not in the program: grams" in left and "differ from those of gatework predict" in left
    assert large.startswith("large tables: table 1,200,000 bytes;") and "subwords=0" in large
