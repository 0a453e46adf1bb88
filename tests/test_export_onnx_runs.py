"""Trained runs as ONNX files: all that their nets are asked for an answer, asked of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatework
import test_export
import test_export_horizon
import test_export_symbols
import test_export_transcripts
from gatework.runtime.net.run import Bound
from small import lined, said
from test_export_onnx import answers, near, session

Asked = list[tuple[Bound, dict[str, np.ndarray], dict[str, np.ndarray]]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Every call of a net from here on: the net, what it was given, and what it gave."""
    calls: Asked = []
    call = Bound.__call__

    def recorded(net: Bound, **given: np.ndarray) -> dict[str, np.ndarray]:
        found = call(net, **given)
        calls.append((net, given, dict(found)))
        return found

    monkeypatch.setattr(Bound, "__call__", recorded)
    return calls


def compared(run: Any, folder: Path, asked: Asked, rows: list[Any], steps: list[Any] | None = None) -> None:
    """The answers for rows, and the steps of a stream, by the nets of the files."""
    made = gatework.export(run, folder / "run.onnx", to="onnx")
    model = gatework.runtime.load(gatework.export(run, folder / "run.safetensors").files[0])
    model.predict(rows)
    for row in (steps or rows[0][:3]) if model.stepper is not None else ():
        model.step(row)
    ready = {path.suffixes[0].removesuffix(".onnx") or ".whole": session(path) for path in made.files}
    assert set(ready) == {f".{name}" for name in model.exported.nets}
    assert asked
    for net, given, wanted in asked:
        name = next(n for n, each in model.exported.nets.items() if each == net.net)
        types = {i.name: np.int64 if "int64" in i.type else np.float32 for i in ready[f".{name}"].get_inputs()}
        found = answers(ready[f".{name}"], {n: np.asarray(v, types[n]) for n, v in given.items() if n in types})
        for key, value in wanted.items():
            near(found[key + ".after" if key in net.net.states else key], value)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_classifiers_of_sequences(tmp_path: Path, pooling: str, both: bool, asked: Asked) -> None:
    cell = "lstm" if both else "mgu"
    run = test_export.trained(tmp_path / "run", pooling=pooling, bidirectional=both, cell=cell, layers=1 + both)
    compared(run, tmp_path, asked, test_export.waves())


@pytest.mark.parametrize("name", ["words", "without n-grams", "characters"])
@pytest.mark.filterwarnings("ignore:.*longer than max_length")
def test_classifiers_of_texts(tmp_path: Path, name: str, asked: Asked) -> None:
    options = {"hidden_size": 4, "embedding_size": 4, "epochs": 1, "subwords": 50, "valid_share": 0.3}
    options |= test_export.TEXTS[name]
    run = gatework.TextClassifier(out=str(tmp_path / "run"), **options).fit(*test_export.reviews()).trained_
    compared(run, tmp_path, asked, test_export.reviews()[0][:5])


@pytest.mark.parametrize("options", test_export_symbols.SETTINGS[:3])
def test_generators(tmp_path: Path, options: dict[str, Any], asked: Asked) -> None:
    compared(test_export_symbols.trained(tmp_path / "run", **options), tmp_path, asked, test_export_symbols.PROMPTS[:2])


@pytest.mark.parametrize("name", test_export_transcripts.SETTINGS)
def test_transcribers(tmp_path: Path, name: str, asked: Asked) -> None:
    run = test_export_transcripts.listening(tmp_path / "run", said(), **test_export_transcripts.SETTINGS[name])
    sounds = test_export_transcripts.sounds()
    chunk = run.task.options.stride * run.task.hearing.mel.hop
    compared(run, tmp_path, asked, sounds, [sounds[0][at : at + chunk] for at in range(0, 4 * chunk, chunk)])


def test_transcribers_of_pictures(tmp_path: Path, asked: Asked) -> None:
    run = test_export_transcripts.listening(tmp_path / "run", lined(), height=16)
    compared(run, tmp_path, asked, [each["image"] for each in lined()[:3]])


@pytest.mark.parametrize("name", ["segments", "gaps", "logs"])
def test_forecasters(tmp_path: Path, name: str, asked: Asked) -> None:
    run = test_export_horizon.trained(tmp_path, **test_export_horizon.WAYS[name])
    compared(run, tmp_path, asked, [])
