"""What smaller networks cost: the test figures of three trained runs, with recurrent weights in bfloat16 and int8, or
with a share of their units cut away.

    python benchmarks/weights.py sst2 shakespeare m4_hourly --data ../shared/data
    python benchmarks/weights.py sst2 --prune 0.3           # and trained on from what is left, as often as before

Settings are those of benchmarks/classify.py, shakespeare.py (one minute) and forecast.py; one seed each. The results go
to weights.json or prune.json in benchmarks/results, with machine, versions and commit.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import classify
import forecast
import shakespeare
import torch

from gatework.exporting.costs import quantised
from gatework.tasks import jobs
from gatework.tasks.base import Source, Task
from gatework.tasks.classify import Classify, ClassifyOptions
from gatework.tasks.forecast import ForecastOptions, ForecastTask
from gatework.tasks.generate import Generate, GenerateOptions
from gatework.training.environment import environment

RESULTS = Path(__file__).parent / "results"
Run = tuple[Callable[[], Task], tuple[Source, Source | None, Source | None]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(RUNS))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--prune", type=float, metavar="SHARE", help="cut units away, in place of smaller weights")
    given = parser.parse_args()
    cost = measured if given.prune is None else partial(pruned, given.prune)
    found = {name: cost(*RUNS[name](given.data)) for name in given.names}
    for name, row in found.items():
        print(name, ", ".join(f"{key} {value:.5g}" for key, value in row.items() if isinstance(value, float)))
    kind = "weights" if given.prune is None else "prune"
    target = given.out / f"{kind}.json"
    target.write_text(json.dumps({"benchmark": kind, "runs": found, **environment()}, indent=2) + "\n")


@torch.no_grad()
def measured(make: Callable[[], Task], data: tuple[Source, Source | None, Source | None]) -> dict[str, Any]:
    """The watched metric on the test part by kind of weights, and what share of it each moves."""
    train, valid, test = data
    with torch.enable_grad(), tempfile.TemporaryDirectory() as folder:
        trained = jobs.train(make(), train, valid=valid, test=test, out=Path(folder) / "run", quiet=True)
    examples = type(trained.task)(trained.task.options).prepare(train, valid, test).last[1]
    metric = trained.task.metric.name
    kinds = {"float32": trained.model} | {kind: quantised(trained.model, kind) for kind in ("bf16", "int8")}
    values = {kind: trained.task.measure(model, examples)[metric] for kind, model in kinds.items()}
    moved = {f"{kind} moved": values[kind] / values["float32"] - 1 for kind in ("bf16", "int8")}
    return {"metric": metric, **values, **moved}


def pruned(share: float, make: Callable[[], Task], data: tuple[Source, Source | None, Source | None]) -> dict[str, Any]:
    """The watched metric on the test part of a run, and of one that goes on from it without a share of its units."""
    train, valid, test = data
    parts: dict[str, Any] = {"valid": valid, "test": test, "quiet": True}
    with tempfile.TemporaryDirectory() as folder:
        whole = jobs.train(make(), train, out=Path(folder) / "whole", **parts)
        cut = jobs.train(make(), train, out=Path(folder) / "cut", start=Path(folder) / "whole", prune=share, **parts)
    metric, found = whole.task.metric.name, dict[str, Any]()
    for name, trained in (("whole", whole), ("cut", cut)):
        examples = type(trained.task)(trained.task.options).prepare(train, valid, test).last[1]
        with torch.no_grad():
            found[name] = trained.task.measure(trained.model.eval(), examples)[metric]
        found[f"{name} units"] = trained.run.options["hidden_size"]
        found[f"{name} parameters"] = sum(each.numel() for each in trained.model.parameters())
    return {"metric": metric, "share": share, **found, "moved": found["cut"] / found["whole"] - 1}


def sst2(data: Path) -> Run:
    options = ClassifyOptions(**classify.SETTINGS["sst2"], seed=1)
    train, valid, test = (data / "sentence_cls" / f"stsa.binary.{part}" for part in ("train", "dev", "test"))
    return lambda: Classify(options), (train, valid, test)


def tiny(data: Path) -> Run:
    options = GenerateOptions(**{**shakespeare.SHARED, **shakespeare.SETTINGS[1]}, seed=1)
    return lambda: Generate(options), (data / "tinyshakespeare" / "input.txt", None, None)


def m4_hourly(data: Path) -> Run:
    options = ForecastOptions.of({**forecast.COLUMNS, **forecast.SETTINGS["m4_hourly"], "seed": 1})
    train, test = forecast.m4_frames(data, "m4_hourly")
    return lambda: ForecastTask(options), (train, None, test)


RUNS: dict[str, Callable[[Path], Run]] = {"sst2": sst2, "shakespeare": tiny, "m4_hourly": m4_hourly}

if __name__ == "__main__":
    main()
