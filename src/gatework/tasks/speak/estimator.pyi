# Written by `make docs`.
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from gatework.tasks.base import Source
from gatework.tasks.estimator import Estimator
from gatework.tasks.speak.task import Speak

class Speaker(Estimator):
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
        hidden_size: int = 256,
        layers: int = 1,
        layer_norm: bool = False,
        chrono: int | None = None,
        precision: str = "float32",
        dropout: float = 0.1,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout: float = 0.0,
        audio: str | None = None,
        text: str | None = None,
        speaker: str | None = None,
        format: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        bad_files: str = "refuse",
        valid_share: float = 0.05,
        test_share: float | None = None,
        rate: int | None = None,
        mels: int = 64,
        window_ms: float = 40.0,
        hop_ms: float = 10.0,
        units: str | None = None,
        lower: bool = True,
        embedding_size: int = 64,
        speaker_size: int = 32,
        encoder_size: int = 64,
        asking_size: int = 128,
        attention: str = "additive",
        reduction: int = 2,
        bottleneck: int = 128,
        finish: int = 128,
        guided: float = 1.0,
        stop_weight: float = 1.0,
        bottleneck_dropout: float = 0.5,
        batch_frames: int = 12000,
        valid_recordings: int = 200,
    ) -> None: ...
    Task = Speak

    def fit(self, X: Source, y: Sequence[str] | None = None) -> Self: ...
    def predict(self, X: Source, **how: object) -> list[np.ndarray]: ...
    def score(self, X: Source, y: Sequence[str] | None = None) -> float: ...
    @property
    def rate_(self) -> int: ...
    @property
    def speakers_(self) -> list[str]: ...

def spoken(X: Source, y: Sequence[str]) -> list[dict[str, Any]]: ...
