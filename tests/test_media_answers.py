"""What is doubtful in a file is told with its answer, and a broken one is left out only where that is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import described
from gatework.data.media import sounds
from gatework.errors import DataError
from gatework.tasks.caption import Caption, CaptionOptions
from gatework.tasks.transcribe import Transcribe, TranscribeOptions
from small import said


def model_of(task):
    """An untrained model: what it answers does not matter."""
    torch.manual_seed(0)
    return task.build().eval()


def test_of_recordings(tmp_path: Path) -> None:
    task = Transcribe(TranscribeOptions(hidden_size=12, front_size=12, bad_files="skip"))
    task.prepare(said())
    model = model_of(task)
    sounds.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 8000), 8000)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "b.wav").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c.wav").touch()
    with pytest.warns(UserWarning, match=r"b.wav: cut short, the header says 1.00 s and 0.50 s are there"):
        assert [row["file"] for row in task.predict(model, tmp_path / "b.wav")] == ["b.wav"]
    (tmp_path / "b.wav").unlink()
    with pytest.warns(UserWarning, match=r"left out: .*c.wav is empty"):
        assert [row["file"] for row in task.predict(model, tmp_path)] == ["a.wav"]


def test_of_pictures(tmp_path: Path) -> None:
    task = Caption(CaptionOptions(**described.SMALL, bad_files="skip"))
    task.prepare(described.pictures())
    model = model_of(task)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("not a picture")
    with pytest.warns(UserWarning, match=r"left out: .*b.png: not a picture that can be read: it is text"):
        assert [row["file"] for row in task.predict(model, tmp_path)] == ["a.png"]
    with pytest.raises(DataError, match=r"b.png: not a picture"):
        task.predict(model, tmp_path / "b.png")
