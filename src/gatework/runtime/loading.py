"""`gatework.runtime.load`: what a file holds, ready to run with numpy alone."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from gatework.runtime import exported, saved
from gatework.runtime.answers import of_kind
from gatework.runtime.runner import Runner


def load(path: str | os.PathLike[str]) -> Any:
    """Load what `gatework.save` or `gatework.export` wrote; torch is not needed.

        runner = gatework.runtime.load("layer.safetensors")    # of save: a `Runner`
        y = runner.step(x)            # (B, I) to (B, H): B independent streams, states kept inside
        ys = runner.run(xs)           # (T, B, I) to (T, B, H), going on from the states
        runner.reset()

        model = gatework.runtime.load("reviews.safetensors")   # of export: a `Model`
        model.predict(["a superb film"])                       # what the run answers

    Raises FileFormatError for a file that is missing, damaged, foreign, or asks for something unsafe.
    """
    said, tensors = saved.contents(path, exported.VERSION, saved.VERSION)
    with saved.naming(path):
        if said["version"] == saved.VERSION:
            return Runner(saved.restored(said, tensors))
        found = exported.restored(said, tensors)
        return of_kind(found.kind)(found, sha256(Path(path).read_bytes()).hexdigest())
