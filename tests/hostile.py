"""Run folders from strangers: changed as one likes and signed again, as no checksum is a secret."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from gatework.training import files
from gatework.training.run import CONFIG, Run, _checksum

WEIGHTS = "best.safetensors"
LEAVE_OUT = ("plots", "report.html", "tensorboard", "training.safetensors", "last.safetensors")


def copied(run: Path, to: Path) -> Path:
    """The run without what an answer does not need."""
    shutil.rmtree(to, ignore_errors=True)
    return shutil.copytree(run, to, ignore=shutil.ignore_patterns(*LEAVE_OUT))


def changed(run: Path, change: Callable[[dict[str, Any], dict[str, str], dict[str, Tensor]], object]) -> Path:
    """The run after `change(config, assets, weights)`, signed again."""
    config = json.loads((run / CONFIG).read_text())
    assets = {name: (run / "assets" / name).read_text() for name in config["assets"]}
    weights, about = files.read_tensors(run / WEIGHTS)
    change(config, assets, weights)
    for name, text in assets.items():
        data = text.encode("utf-8", "surrogatepass")
        config["assets"] |= {name: files.sha256(data)}
        (run / "assets" / name).write_bytes(data)
    _sign(run, config)
    about = json.dumps({**about, "run": Run(run, config)._identity()})
    header = {"about": about, "sha256": files._digest(weights, about)}
    (run / WEIGHTS).write_bytes(safetensors.torch.save(files._unshared(weights), header))
    return run


def _sign(run: Path, config: dict[str, Any]) -> None:
    config["checksum"] = _checksum(config)
    (run / CONFIG).write_text(json.dumps(config))
