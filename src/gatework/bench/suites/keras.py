"""The Keras layers against Keras' own on the torch backend, and against Keras in environments with other backends."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gatework.bench import keras_fit, peers
from gatework.bench.contest import contest
from gatework.bench.rows import OURS, Row
from gatework.bench.settings import USUAL, Settings, Shape, all_threads, processors
from gatework.bench.timing import Sample
from gatework.errors import OptionError
from gatework.extras import explained

KERAS = "keras (torch)"
Maker = Callable[..., Any]  # the class of a Keras layer


def measure(settings: Settings) -> Iterator[Row]:
    s = settings.or_else(shapes=(USUAL,), threads=all_threads()[-1:])
    own, theirs = layers()
    for shape in s.shapes or ():
        for threads in s.threads or ():
            peers.use_threads(threads)
            yield fit(s, "fit, one epoch", shape, threads, own, theirs, {})
            yield fit(s, "fit, recurrent dropout", shape, threads, own, theirs, {"recurrent_dropout": 0.2})
            yield masked(s, shape, threads, own, theirs)


def layers() -> tuple[Maker, Maker]:
    """gatework.keras.LSTM and keras.layers.LSTM."""
    if os.environ.setdefault("KERAS_BACKEND", "torch") != "torch":
        raise OptionError(
            f"KERAS_BACKEND={os.environ['KERAS_BACKEND']}: gatework.keras needs torch; unset it or set torch"
        )
    try:
        import keras

        from gatework import keras as own
    except ImportError as error:
        raise explained(error) from error
    return own.LSTM, keras.layers.LSTM


def fit(s: Settings, what: str, shape: Shape, threads: int, own: Maker, theirs: Maker, options: dict[str, Any]) -> Row:
    """`fit` over eight batches; other environments only run the plain layer, by themselves and not in turns."""
    x, y = keras_fit.data(shape.T, shape.B, shape.I)

    def epoch(layer: Maker) -> Callable[[], object]:
        model = keras_fit.classifier(layer(shape.H, **options), shape.T, shape.I)
        return lambda: model.fit(x, y, batch_size=shape.B, verbose=0)

    row = contest(s, "keras", what, str(shape), threads, {OURS: epoch(own), KERAS: epoch(theirs)})
    for backend, python in () if options else s.peer_python or ():
        row.samples[f"keras ({backend})"] = elsewhere(backend, python, shape, s.runs, threads)
    return row


def elsewhere(backend: str, python: str, shape: Shape, runs: int, threads: int) -> Sample:
    """The same epoch with another Python."""
    if threads != processors():
        raise OptionError(f"--peer-python is measured with all {processors()} threads; leave out --threads {threads}")
    job = json.dumps({**shape._asdict(), "runs": runs})
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [python, keras_fit.__file__, job]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise OptionError(f"{python} could not run Keras on {backend}: {done.stderr.strip().splitlines()[-1:]}")
    return Sample(tuple(seconds * keras_fit.BATCHES for seconds in json.loads(done.stdout.splitlines()[-1])))


def masked(s: Settings, shape: Shape, threads: int, own: Maker, theirs: Maker) -> Row:
    """A call with a padding mask; lengths are uniform between a fifth of T and T."""
    import torch

    random = np.random.default_rng(0)
    lengths = random.integers(max(shape.T // 5, 1), shape.T + 1, shape.B)
    x = torch.from_numpy(random.standard_normal((shape.B, shape.T, shape.I), np.float32))
    mask = torch.from_numpy(np.arange(shape.T)[None, :] < lengths[:, None])

    def call(layer: Maker) -> Callable[[], object]:
        made = layer(shape.H)
        return torch.inference_mode()(lambda: made(x, mask=mask))

    return contest(s, "keras", "forward, padding mask", str(shape), threads, {OURS: call(own), KERAS: call(theirs)})
