"""Exported transcribers against their runs: the same texts, probabilities and times, from samples or bytes alone."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gatework
from exports import bare, fits, same
from gatework.data.media import pictures
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.runtime import exported as files
from gatework.runtime.answers import transcripts
from gatework.tasks import jobs
from gatework.tasks.transcribe import Transcribe, TranscribeOptions
from small import lined, said

SIZES: dict[str, Any] = {"hidden_size": 6, "front_size": 5, "layers": 2, "epochs": 0, "batch_size": 8}
SETTINGS: dict[str, dict[str, Any]] = {
    "both ways": {},
    "forward": {"bidirectional": False, "cell": "gru", "stride": 2, "units": "characters", "mels": 21},
    "long steps": {"cell": "mgu", "stride": 5, "hop_ms": 7.0, "layers": 1},
}


def listening(folder: Path, source: Any, **options: Any) -> Any:
    """A run whose weights were drawn, not learned."""
    run = jobs.train(Transcribe(TranscribeOptions(**SIZES | options)), source, out=folder, quiet=True)
    torch.manual_seed(0)
    for parameter in run.model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return run


def exported(run: Any, folder: Path) -> Path:
    return gatework.export(run, folder / "model.safetensors").files[0]


def told(run: Any, items: list[Any], **how: Any) -> list[dict[str, Any]]:
    """What the run says of items, without the names of their files."""
    return [{name: value for name, value in row.items() if name != "file"} for row in run.predict(items, **how)]


def sounds(count: int = 7) -> list[np.ndarray]:
    return [each["audio"] for each in said()[:count]]


@pytest.fixture(scope="module", params=SETTINGS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("run")
    run = listening(folder / "run", said(), **SETTINGS[request.param])
    return run, exported(run, folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    return gatework.runtime.load(exported(listening(folder / "run", said()), folder))


def test_answers_are_the_run_s(both: tuple[Any, Path], tmp_path: Path) -> None:
    run, file = both
    model, items = gatework.runtime.load(file), [(each, 8_000) for each in sounds()]
    rows = [{"sound": each.tolist(), "rate": 8_000} for each in sounds()]
    fits(model, rows[:2])
    same(model.predict(rows, timestamps=True), told(run, items, timestamps=True), absolute=0)
    how: dict[str, Any] = {"beam": 6, "n_best": 3, "lm_weight": 0.5, "unit_bonus": 0.2, "timestamps": True}
    same(model.predict(items, **how), told(run, items, **how), absolute=0)
    (tmp_path / "words.txt").write_text("low\nhigh")
    wanted = told(run, items, lm_weight=0.5, word_list=str(tmp_path / "words.txt"))
    same(model.predict(sounds(), lm_weight=0.5, word_list=["low", "high"]), wanted, absolute=0)


def test_answers_need_no_library_of_the_training(both: tuple[Any, Path]) -> None:
    run, file = both
    items = [(each, 8_000) for each in sounds(3)]
    rows = [each.tolist() for each in sounds(3)]
    same(bare(file, rows, n_best=2), told(run, items, n_best=2), absolute=0)


@pytest.mark.parametrize("colour", [False, True])
def test_pictures_of_lines_are_read_as_by_the_run(tmp_path: Path, colour: bool) -> None:
    run = listening(tmp_path / "run", lined(), height=16, units="characters", colour=colour)
    file = exported(run, tmp_path)
    draw = np.random.default_rng(2)
    items = [draw.integers(0, 256, (16, 30 + 5 * n, *((3,) if n % 2 else ())), np.uint8) for n in range(4)]
    rows = [{"picture": each.tolist()} for each in items]
    fits(model := gatework.runtime.load(file), rows)
    same(bare(file, rows, timestamps=True), told(run, items, timestamps=True), absolute=0)
    same(model.predict(items), told(run, items), absolute=0)
    with pytest.raises(DataError, match="row 2 is 15 points high; the model reads 16: scale it"):
        model.predict([items[0], items[0][1:]])
    for odd, message in (
        (items[0].astype(float) + 0.5, r"has the value \d+\.5; give bytes"),
        (np.zeros((16, 4, 2), np.uint8), r"shape \(16, 4, 2\)"),
        (np.zeros((16, 3_201), np.uint8), "3,201 points wide; a line has at most 3,200"),
        ({"sound": [0.0]}, "row 1 is None"),
    ):
        with pytest.raises(DataError, match=message):
            model.predict([odd])


def test_grey_is_rounded_as_pillow_rounds_it() -> None:
    points = np.random.default_rng(0).integers(0, 256, (8, 500, 3), np.uint8)
    found = transcripts.Pictures({"height": 8, "colour": False}).read(points, 1)
    wanted = np.asarray(Image.fromarray(points).convert("L"))
    np.testing.assert_array_equal(found[:, :, 0].T, wanted)
    assert transcripts.WIDEST == pictures.LONGEST


def test_the_net_answers_alike_in_torch_and_c(both: tuple[Any, Path], tmp_path: Path) -> None:
    """The program in C is compiled and proves itself; cells that torch lacks are refused."""
    run, file = both
    made = gatework.export(run, tmp_path / "listener-c", to="c")
    assert any(note.startswith("code") for note in made.notes)
    assert "#define listener_MOST_T" in made.files[0].read_text() or "MOST_STEPS 1000" in made.files[0].read_text()
    if run.task.options.cell == "mgu":
        with pytest.raises(OptionError, match="no layer for the cell 'mgu'"):
            gatework.export(run, tmp_path / "plain", to="torch")
        return
    script = gatework.export(run, tmp_path / "plain", to="torch").files[0]
    spec = importlib.util.spec_from_file_location("plain", script)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(plain := importlib.util.module_from_spec(spec))
    net = gatework.runtime.load(file).net
    x = np.random.default_rng(0).standard_normal((30, 3, run.task.options.mels)).astype(np.float32)
    lengths = np.array([30, 1, 14])
    with torch.no_grad():
        found = plain.load()(torch.from_numpy(x), torch.from_numpy(lengths))["log_p"].numpy()
    wanted = net(x=x, lengths=lengths)["log_p"]
    for row, steps in enumerate(-(-lengths // run.task.options.stride)):
        np.testing.assert_allclose(found[:steps, row], wanted[:steps, row], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("stride", "window_ms", "cell"), [(3, 25.0, "lstm"), (1, 35.0, "gru"), (4, 10.0, "mgu")])
def test_a_stream_says_what_the_whole_says(tmp_path: Path, stride: int, window_ms: float, cell: str) -> None:
    """Step by step, later by what a frame reaches beyond its own step; other streams beside it change no bit."""
    options = {"bidirectional": False, "stride": stride, "window_ms": window_ms, "cell": cell}
    model = gatework.runtime.load(exported(listening(tmp_path / "run", said(), **options), tmp_path))
    stepper: Any = model.stepper
    sound = np.concatenate(sounds(5))
    ends = range(stepper.chunk, len(sound) + 1, stepper.chunk)
    chunks = [stepper.read(sound[end - stepper.chunk : end]) for end in ends]
    (whole,) = model._steps([model.reader.read(sound, 1)])
    states = {name: np.tile(each, (3, 1)) for name, each in stepper.start().items()}
    alone, outputs = {name: each[:1] for name, each in states.items()}, []
    for chunk in chunks:
        output, states = stepper.step(np.stack([chunk, chunk[::-1], 0.5 * chunk]), states)
        own, alone = stepper.step(chunk[None], alone)
        np.testing.assert_array_equal(own[0], output[0])
        outputs.append(output[0])
    assert {name: each.shape[1] for name, each in states.items()} == stepper.widths
    assert np.isneginf(np.array(outputs[: stepper.late])[:, 1:-1]).all()
    found = np.array(outputs[stepper.late :])[:, :-1]
    np.testing.assert_allclose(found, whole[: len(found)], rtol=1e-5, atol=1e-5)
    units = [answer["unit"] for answer in map(model.step, chunks)]
    begun = transcripts.Searching(model.units).read(whole[: len(found)]).result().ids.tolist()
    assert begun and [unit for unit in units if unit] == [model.units.symbols[unit] for unit in begun]


def test_steps_that_are_none_are_told(both: tuple[Any, Path]) -> None:
    model = gatework.runtime.load(both[1])
    if model.stepper is None:
        return
    chunk = model.stepper.chunk
    for row in ([0.0] * (chunk - 1), [0.0] * (chunk - 1) + [float("nan")], [2.0] * chunk, "a", None, [[0.0]] * chunk):
        with pytest.raises(DataError, match=f"it must be {chunk} samples from -1 to 1|give one channel"):
            model.step(row)
    for row in ([True] * chunk, ["0.1"] * chunk, np.ones(chunk) * 1j, [10**400] * chunk, [1e39] * chunk):
        with pytest.raises(DataError, match=f"it must be {chunk} samples from -1 to 1"):
            model.step(row)
    with pytest.raises(DataError, match="a step is at 16000 samples a second"):
        model.step({"sound": [0.0] * chunk, "rate": 16_000})
    assert model.step({"sound": [0] * chunk}) == {"unit": "", "confidence": 1.0}
    whole = np.arange(chunk, dtype=np.int16) * 50 - 900
    np.testing.assert_array_equal(model.stepper.read(whole), whole / 32_768)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"sound": [0.1, -0.1] * 200, "rate": 16_000},
            "row 2 is at 16000 samples a second; the model learned at 8,000",
        ),
        ((np.zeros(900), 44_100), "row 2 is at 44100 samples"),
        ([[0.1, 0.2]] * 400, r"row 2 has the shape \(400, 2\); give one channel"),
        ([0.1, -0.1], "row 2: too short"),
        ([0.5] * 400, "row 2: silent"),
        ([0.1, float("nan")] * 200, "row 2: 200 samples are no numbers"),
        ("a.wav", "row 2 is 'a.wav'; it must be {\"sound\": samples"),
        ({"rate": 8_000}, "row 2 is None"),
        ([0.1, "x"], "row 2 is "),
        (["0.1", "0.2"] * 200, "row 2 is .'0.1', '0.2'.*; it must be"),
        ([True, False] * 200, "row 2 is .True, False.*; it must be"),
        ({"sound": [0.1, -0.1] * 200, "rate": np.array([8_000, 8_000])}, "row 2 is at array"),
        ([1e30, -1e30] * 200, "row 2: values up to 1e"),
    ],
)
def test_bad_rows_are_named(model: Any, row: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        model.predict([sounds(1)[0], row])


def test_long_recordings_are_to_be_cut(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.reader, "most", 500)
    with pytest.raises(DataError, match="row 1: 600 samples; at most 1,200 s are read at once: cut it at pauses"):
        model.predict([np.sin(np.arange(600.0))])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"word_list": "words.txt"}, "reads no files: give word_list the words themselves"),
        ({"beam": 1, "lm_weight": 0.5}, "beam=1 follows one text; lm_weight needs several"),
        ({"beam": 0}, "beam must lie between 1 and 1000, not 0"),
        ({"stream": True}, "there is no option 'stream'"),
        ({"n_best": 1.5}, "n_best=1.5 is no value like 1"),
    ],
)
def test_what_cannot_be_asked_is_said(model: Any, how: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        model.predict(sounds(1), **how)
    with pytest.raises(OptionError, match="no single steps: it reads recordings from both ends"):
        model.step([0.0])


def test_lists_that_say_nothing_are_refused(model: Any) -> None:
    for words, message in (
        (["  "], "has no word"),
        (["a b"], "has several words; give each by itself"),
        (["x"], "never"),
    ):
        with pytest.raises(DataError, match=message):
            model.predict(sounds(1), word_list=words)


def test_a_damaged_file_is_refused(model: Any, tmp_path: Path) -> None:
    own, other = vars(model.exported), tmp_path / "other.safetensors"
    settings = [
        {"symbols": ["a", "b"]},
        {"symbols": ["", "a", "a"]},
        {"units": "letters"},
        {"mean": [0.0]},
        {"scale": 0.0},
        {"scale": "x"},
        {"rate": 0},
        {"window_ms": float(1 << 60)},
        {"window_ms": 300_000.0},
        {"hop_ms": -1},
        {"mels": 1 << 20},
        {"mels": 4096, "window_ms": 1.0, "hop_ms": 1.0},
        {"stride": 0},
    ]
    if "step" in own["nets"]:
        settings.append({"stride": 1 << 16, "hop_ms": 50.0, "window_ms": 50.0})
    texts = ["{", "[1]", '{"a": 0}', '{"a": "b"}', json.dumps({"abc": 1 << 40})]
    changes = [{"settings": {**own["settings"], **each}} for each in settings]
    changes += [{"texts": {"texts": each}} for each in texts]
    changes += [{"nets": {**own["nets"], name: replace(net, outputs={})}} for name, net in own["nets"].items()]
    for change in (*changes, {"settings": {}}, {"texts": {}}, {"nets": {}}, {"arrays": {}}, {"stacks": []}):
        files.write(files.Exported(**{**own, **change}), other)
        with pytest.raises(FileFormatError, match=r"other\.safetensors"):
            gatework.runtime.load(other)


def test_nets_that_answer_in_another_shape_are_refused(model: Any) -> None:
    arrays = model.exported.arrays
    wider = replace(model.exported, arrays={**arrays, "output.bias": arrays["output.bias"][:, None]})
    odd: Any = transcripts.Transcripts(wider)
    with pytest.raises(FileFormatError, match="the net answers with the shape"):
        odd.predict(sounds(1))
    if odd.stepper is not None:
        with pytest.raises(FileFormatError, match="the net answers with the shape"):
            odd.step([0.0] * odd.stepper.chunk)
