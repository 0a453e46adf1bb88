# Written by `make docs`.
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from gatework.tasks.base import Source
from gatework.tasks.estimator import Estimator
from gatework.tasks.transcribe.streams import Recogniser
from gatework.tasks.transcribe.task import Transcribe

class Word(NamedTuple):
    def __init__(self, /, *args, **kwargs) -> None: ...
    word: str
    start: float
    end: float
    confidence: float

class Transcriber(Estimator):
    def __init__(
        self,
        *,
        out: str | None = None,
        quiet: bool | None = None,
        seed: int = 1,
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: str = "adamw",
        learning_rate: float = 0.003,
        find_rate: bool = False,
        momentum: float = 0.9,
        beta1: float = 0.9,
        beta2: float = 0.999,
        schedule: str = "cosine",
        schedule_by: str = "auto",
        warmup: float = 0.05,
        final_rate: float = 0.0,
        plateau_patience: int = 2,
        plateau_factor: float = 0.5,
        clip: float = 1.0,
        weight_decay: float = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
        average: str = "none",
        average_decay: float = 0.999,
        keep: str = "best",
        patience: int = 0,
        time_limit: float = 0.0,
        nan_guard: bool = True,
        save_every: float = 60.0,
        keep_state: bool = False,
        threads: int = 0,
        tensorboard: bool = False,
        log_to: tuple[str, ...] = (),
        cell: str = "lstm",
        hidden_size: int = 128,
        layers: int = 1,
        layer_norm: bool = False,
        chrono: int | None = None,
        precision: str = "float32",
        dropout: float = 0.3,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout: float = 0.0,
        audio: str | None = None,
        image: str | None = None,
        text: str | None = None,
        speaker: str | None = None,
        format: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        quote: str | None = None,
        bad_rows: str = "refuse",
        bad_files: str = "refuse",
        valid_share: float = 0.1,
        test_share: float | None = None,
        units: str | None = None,
        rate: int | None = None,
        mels: int = 40,
        window_ms: float = 25.0,
        hop_ms: float = 10.0,
        height: int = 32,
        colour: bool = False,
        front_size: int = 128,
        stride: int = 3,
        bidirectional: bool = True,
        specaugment: float = 1.0,
        speed: float = 0.15,
        pitch: float = 0.12,
        loudness: float = 2.0,
        colouring: float = 0.5,
        noise: float = 0.5,
        shift: float = 0.1,
        curriculum: float = 0.15,
        batch_frames: int = 30000,
    ) -> None: ...
    Task = Transcribe

    def fit(self, X: Source, y: Sequence[str] | None = None) -> Self: ...
    def predict(self, X: Source, **how: object) -> np.ndarray: ...
    def confidence(self, X: Source, **how: object) -> np.ndarray: ...
    def words(self, X: Source, **how: object) -> list[list[Word]]: ...
    def n_best(self, X: Source, count: int = 5, **how: object) -> list[list[tuple[str, float]]]: ...
    def stream(self, rate: int | None = None, **how: object) -> Recogniser: ...
    def score(self, X: Source, y: Sequence[str] | None = None) -> float: ...

def paired(X: Source, y: Sequence[str]) -> tuple[Source, list[str]]: ...
