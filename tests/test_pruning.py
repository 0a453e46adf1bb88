"""Units cut away before a training starts from a run: the smaller model is the larger one without them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import gatework
import small
from gatework.errors import OptionError
from gatework.tasks import jobs
from gatework.tasks.base import Parts
from gatework.tasks.jobs import Trained
from gatework.tasks.pruning import pruned, smaller
from gatework.tasks.transfer import started

UNITS, LEFT = 6, 4


@torch.no_grad()
def silence(trained: Trained, kept: list[int], fresh: nn.Module) -> None:
    """Zeros for all weights of the units that go."""
    shapes = {name: weight.shape for name, weight in fresh.named_parameters()}
    gone = [unit for unit in range(UNITS) if unit not in kept]
    for name, weight in trained.model.named_parameters():
        for axis, (there, here) in enumerate(zip(weight.shape, shapes[name], strict=True)):
            for block in range((there - here) // len(gone)):
                weight.movedim(axis, 0)[[block * UNITS + unit for unit in gone]] = 0


CASES = [case for case in small.CASES if "refit_epochs" not in case.options]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_left_computes_what_the_run_would_without_the_units(case: small.Small, tmp_path: Path) -> None:
    trained = jobs.train(case.task(epochs=1), case.source(), out=tmp_path / "a", quiet=True)
    cut = pruned(trained, 0.34)
    task = type(trained.task)(smaller(trained.task.options, cut))
    parts: Parts = task.prepare(case.source(), None, None)
    assert task.options.hidden_size == len(cut.kept) == LEFT
    model = task.build()
    told = started(task, model, trained, cut)
    assert told.startswith(f"cut {UNITS - LEFT} of {UNITS} units of each layer, with ") and "not taken" not in told
    silence(trained, cut.kept.tolist(), model)
    theirs = dict(trained.model.named_buffers())
    for name, buffer in model.named_buffers():
        if buffer.shape == theirs[name].shape:
            buffer.copy_(theirs[name])
    examples = parts.valid if parts.valid is not None else parts.train
    with torch.no_grad():
        want, got = (each.measure(m.eval(), examples) for each, m in ((trained.task, trained.model), (task, model)))
    assert got == pytest.approx(want, rel=1e-3, abs=1e-5)


def test_the_units_that_go_have_the_smallest_weights(tmp_path: Path) -> None:
    case = small.CASES[2]
    trained = jobs.train(case.task(epochs=0), case.source(), out=tmp_path / "a", quiet=True)
    cut = pruned(trained, 0.34)
    assert 0 < cut.lost < 0.34
    for gone in ([1, 4], [0, 5]):
        again = jobs.load(tmp_path / "a")
        with torch.no_grad():
            for weight in again.model.recurrent.parameters():
                if weight.ndim > 1:
                    weight.view(-1, UNITS, weight.shape[1])[:, gone] *= 1e-3
        cut = pruned(again, 0.34)
        assert cut.kept.tolist() == [unit for unit in range(UNITS) if unit not in gone]
        assert f"cut 2 of 6 units of each layer, with {cut.lost:.1%}" in cut.told()


def test_a_training_starts_from_what_is_left(tmp_path: Path) -> None:
    case = small.CASES[0]
    first = jobs.train(case.task(epochs=2), case.source(), out=tmp_path / "a", quiet=True)
    kind = type(first.task)
    again = gatework.train(
        kind, case.source(), config=tmp_path / "a", epochs=1, out=tmp_path / "b", start=tmp_path / "a", prune=0.5,
        quiet=True,
    )  # fmt: skip
    assert again.run.options["hidden_size"] == 3
    (note,) = [text for text in again.run.config["data"]["notes"] if "cut" in text]
    assert note.startswith("cut 3 of 6 units of each layer") and str(tmp_path / "a") in note
    loaded = jobs.load(tmp_path / "b")
    assert loaded.predict(case.source()) == again.predict(case.source())


@pytest.mark.parametrize(
    ("options", "how", "words"),
    [
        ({}, {"prune": 0.5}, "name it with start"),
        ({}, {"prune": 0.0, "start": True}, "lies between 0 and 1"),
        ({}, {"prune": float("nan"), "start": True}, "lies between 0 and 1"),
        ({}, {"prune": 0.01, "start": True}, "of 6 units leaves 6: choose another share"),
        ({}, {"prune": 0.99, "start": True}, "of 6 units leaves 0"),
        (
            {"hidden_size": 5},
            {"prune": 0.5, "start": True},
            "hidden_size=5, but 3 of 6 units are left .* leave hidden_size out",
        ),
        ({}, {"prune": 0.5, "start": True, "resume": True}, "leave the run to start from"),
    ],
)
def test_what_cannot_be_cut_is_told(options: dict, how: dict, words: str, tmp_path: Path) -> None:
    case = small.CASES[2]
    jobs.train(case.task(epochs=0), case.source(), out=tmp_path / "a", quiet=True)
    how = how | ({"start": tmp_path / "a"} if "start" in how else {})
    with pytest.raises(OptionError, match=words):
        jobs.train(case.task(**options), case.source(), out=tmp_path / "b", quiet=True, **how)
    assert not (tmp_path / "b").exists()


def test_the_command(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from gatework.cli import app

    case = small.CASES[2]
    jobs.train(case.task(epochs=0), case.source(), out=tmp_path / "a", quiet=True)
    rows, names = case.source(), list(case.source())
    lines = [",".join(names), *(",".join(map(str, row)) for row in zip(*rows.values(), strict=True))]
    (tmp_path / "waves.csv").write_text("\n".join(lines), encoding="utf-8")
    words = ["train", "classify", tmp_path / "waves.csv", "--config", tmp_path / "a", "--from", tmp_path / "a"]
    words += ["--prune", "0.5", "--out", tmp_path / "b", "--quiet"]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    assert jobs.load(tmp_path / "b").run.options["hidden_size"] == 3
