"""How fast the forecast job reads data and trains.

    python benchmarks/forecast_speed.py                  # both, written to benchmarks/results/forecast_speed.json
    python benchmarks/forecast_speed.py training --steps 10 --rounds 3

Reading: a CSV of a million rows in 1,000 series is made, then read, checked and cut into windows. Training: windows per
second of the whole training step (batch, forward, backward, optimiser), of our model and of the same model whose layers
are torch.nn.LSTM with the same weights; rounds take turns, medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

import gatework
from gatework.tasks.forecast import ForecastOptions, ForecastTask
from gatework.tasks.forecast.choosing import PLAIN
from gatework.training.environment import environment
from gatework.training.learner import Metric, Shard, Step
from gatework.training.trainer import Trainer

TARGET = Path(__file__).parent / "results" / "forecast_speed.json"
COLUMNS: dict[str, Any] = {"time": "time", "target": ("value",), "series": "series"}
MODEL: dict[str, Any] = {
    **PLAIN,
    "combine": "none",  # nothing is chosen: reading and training alone are timed
    "average": "none",
    "keep": "best",
    "lookback": 96,
    "horizon": 24,
    "hidden_size": 128,
    "layers": 2,
    "batch_size": 128,
    "epochs": 1,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *MEASURES], default=[], help=", ".join(MEASURES))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20, help="training steps in a round")
    parser.add_argument("--data", type=Path, help="not used: the data are made here")
    given = parser.parse_args()
    result = {"benchmark": "forecast_speed", "rounds": given.rounds, "steps": given.steps, "options": MODEL}
    for name in given.names or MEASURES:
        result[name] = MEASURES[name](given)
        print(name, {key: value for key, value in result[name].items() if key != "seconds"}, flush=True)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps({**result, **environment()}, indent=2) + "\n")


def frame(series: int, steps: int) -> pl.DataFrame:
    """Hourly series of levels and daily seasons of their own."""
    random = np.random.default_rng(1)
    times = pl.datetime_range(START, START + timedelta(hours=steps - 1), "1h", eager=True)
    wave = np.sin(2 * np.pi * np.arange(steps) / 24)
    values = 10 + random.uniform(0, 5, (series, 1)) * wave + random.normal(size=(series, steps))
    names = np.repeat([f"series {k}" for k in range(series)], steps)
    return pl.DataFrame({"series": names, "time": pl.concat([times] * series), "value": values.ravel().round(3)})


START = datetime(2021, 1, 1)


def reading(given: argparse.Namespace) -> dict[str, Any]:
    """Seconds from a CSV on disk to windows ready for training."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "million.csv"
        frame(1_000, 1_000).write_csv(path)
        for _ in range(max(given.rounds // 2, 1)):
            began = time.perf_counter()
            parts = ForecastTask(ForecastOptions(**COLUMNS, **MODEL)).prepare(path)
            seconds.append(time.perf_counter() - began)
    return {"rows": 1_000_000, "windows": len(parts.train), "median": statistics.median(seconds), "seconds": seconds}


class Unwatched:
    """The task as the training loop sees it, without a validation."""

    metric = Metric("loss", higher=False)

    def __init__(self, task: ForecastTask, windows: Any):
        self.task, self.windows = task, windows

    def batches(self, epoch: int, shard: Shard) -> Any:
        return self.task.batches(self.windows, epoch, shard)

    def loss(self, model: nn.Module, batch: Any, carry: dict[str, torch.Tensor]) -> Step:
        return self.task.loss(model, batch, carry)

    def validate(self, model: nn.Module) -> dict[str, float]:
        return {"loss": 0.0}


def training(given: argparse.Namespace) -> dict[str, Any]:
    """Windows per second of a training, ours and with torch's layers, in turns."""
    count = MODEL["batch_size"] * given.steps
    task = ForecastTask(ForecastOptions(**COLUMNS, **MODEL, windows=count))
    learner = Unwatched(task, task.prepare(frame(50, 800)).train)
    models = {"gatework": task.build()}
    models["torch"] = with_torch_layers(task.build(), models["gatework"])
    start = {key: value.clone() for key, value in models["gatework"].state_dict().items()}
    losses, seconds = {}, {name: [] for name in models}
    for _ in range(given.rounds + 1):
        for name, model in models.items():
            model.load_state_dict(start)
            trainer = Trainer(learner, model, task.options)
            torch.manual_seed(1)
            began = time.perf_counter()
            trainer.fit()
            seconds[name].append(time.perf_counter() - began)
            losses[name] = trainer.progress.history[-1]["train_loss"]
    if not np.isclose(losses["gatework"], losses["torch"], rtol=1e-3):
        raise SystemExit(f"the two models do not learn the same: {losses}")
    medians = {name: statistics.median(each[1:]) for name, each in seconds.items()}
    rates = {f"{name} windows per second": count / value for name, value in medians.items()}
    return {**rates, "ratio": medians["torch"] / medians["gatework"], "losses": losses, "seconds": seconds}


def with_torch_layers(model: nn.Module, ours: nn.Module) -> nn.Module:
    """The model with torch.nn.LSTM in place of each of our layers, and the weights of `ours`."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, gatework.LSTM):
                setattr(parent, name, nn.LSTM(layer.input_size, layer.hidden_size, layer.num_layers))
    model.load_state_dict(ours.state_dict())
    return model


MEASURES = {"reading": reading, "training": training}

if __name__ == "__main__":
    main()
