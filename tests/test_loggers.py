"""Where a training is told: fakes of MLflow and wandb note what they hear; what is not installed is refused first."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gatework.errors import MissingExtraError, OptionError
from gatework.tasks import jobs
from gatework.tasks.jobs import Trained
from gatework.training.options import TrainingOptions
from small import QUICK, Small, reviews

TEXTS = Small("classify", reviews, QUICK)


class Fake(ModuleType):
    """Stands in for MLflow and for wandb, whose record of a run is the module itself."""

    def __init__(self) -> None:
        super().__init__("fake")
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def note(*arguments: Any, **named: Any) -> Fake | None:
            self.calls.append((name, arguments, named))
            return None if name == "active_run" else self

        return note

    def named(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [call for kind, *call in self.calls if kind == name]  # pyright: ignore[reportReturnType] (pairs)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Fake]:
    made = {name: Fake() for name in ("mlflow", "wandb")}
    for name, fake in made.items():
        monkeypatch.setitem(sys.modules, name, fake)
    return made


def trained(out: Path, **options: Any) -> Trained:
    return jobs.train(TEXTS.task(**options), reviews(), out=out, quiet=True)


def test_mlflow_and_wandb_are_told_options_and_course(fakes: dict[str, Fake], tmp_path: Path) -> None:
    run = trained(tmp_path / "run", log_to=("mlflow", "wandb"), epochs=6).run
    losses = [row["valid_loss"] for row in run.history()]
    mlflow, wandb = fakes["mlflow"], fakes["wandb"]
    assert [kind for kind, *_ in mlflow.calls][-1] == "end_run" and [kind for kind, *_ in wandb.calls][-1] == "finish"
    assert mlflow.named("start_run")[0][1] == {"run_name": "classify run", "nested": False}
    assert mlflow.named("log_params")[0][0][0]["hidden_size"] == "6"
    about = wandb.named("init")[0][1]
    assert about["config"]["hidden_size"] == 6 and about["project"] == "gatework" and about["resume"] == "allow"
    for told in (mlflow.named("log_metrics"), wandb.named("log")):
        rows = [values[0] for values, _ in told]
        assert [row["epoch/valid_loss"] for row in rows if "epoch/valid_loss" in row] == pytest.approx(losses)
        steps = [at["step"] for values, at in told if "step/loss" in values[0]]
        assert steps == list(range(10, run.results()["training"]["steps"] + 1, 10)) and steps


def test_what_is_not_installed_is_refused_before_data_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("mlflow", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingExtraError, match=rf"pip install .*\[{name}\]'"):
            trained(tmp_path / "run", log_to=(name,))
    assert not any(tmp_path.iterdir())


def test_tensorboard_is_either_flag_and_others_are_refused() -> None:
    assert TrainingOptions(tensorboard=True).loggers() == TrainingOptions(log_to="tensorboard").loggers()  # pyright: ignore[reportArgumentType] (as people write it)
    with pytest.raises(OptionError, match="log_to"):
        TrainingOptions(log_to=("neptune",))
