"""`gatework.runtime.load`: what a file holds, ready to run without torch."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from gatework.runtime import exported, saved
from gatework.runtime.answers import of_kind
from gatework.runtime.quantised import check_kind
from gatework.runtime.runner import Runner


def load(path: str | os.PathLike[str], weights: str | None = None) -> Any:
    """Load what `gatework.save` or `gatework.export` wrote; torch is not needed.

        runner = gatework.runtime.load("layer.safetensors")    # of save: a `Runner`
        y = runner.step(x)            # (B, I) to (B, H): B independent streams, states kept inside
        ys = runner.run(xs)           # (T, B, I) to (T, B, H), going on from the states
        runner.reset()

        model = gatework.runtime.load("reviews.safetensors")   # of export: a `Model`
        model.predict(["a superb film"])                       # what the run answers

    `weights` are those of recurrent layers: None as the file has them, "bf16" or "int8" to make steps of few streams
    read fewer bytes (see `gatework.save`), "float32" for float32 again.

    Raises FileFormatError for a file that is missing, damaged, foreign, or asks for something unsafe; OptionError for
    other weights, and for bf16 that would become int8 or the reverse.
    """
    if weights is not None:
        check_kind(weights, "float32")
    said, tensors = saved.contents(path, exported.VERSION, saved.VERSION)
    if said["version"] == saved.VERSION:
        with saved.naming(path):
            layers = saved.restored(said, tensors)
        return Runner([layer.with_weights(weights) for layer in layers])
    with saved.naming(path):
        found = exported.restored(said, tensors)
    found = found.with_weights(weights)
    with saved.naming(path):
        return of_kind(found.kind)(found, sha256(Path(path).read_bytes()).hexdigest())
