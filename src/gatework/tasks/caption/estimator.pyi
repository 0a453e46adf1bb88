# Written by `make docs`.
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from gatework.tasks.base import Source
from gatework.tasks.caption.task import Caption
from gatework.tasks.estimator import Estimator

class Looked(NamedTuple):
    def __init__(self, /, *args, **kwargs) -> None: ...
    units: list[str]
    weights: np.ndarray

class Captioner(Estimator):
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
        weight_decay: float = 0.05,
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
        dropout: float = 0.3,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout: float = 0.0,
        image: str | None = None,
        video: str | None = None,
        vectors: str | None = None,
        text: str | None = None,
        bad_files: str = "refuse",
        valid_share: float = 0.1,
        test_share: float | None = None,
        size: int | None = None,
        colour: bool | None = None,
        frames: int = 8,
        shift: float = 0.06,
        tokenizer: str = "words",
        vocabulary: int = 5000,
        min_count: int = 1,
        max_length: int = 100,
        widths: tuple[int, ...] | None = None,
        half: bool | None = None,
        embedding_size: int = 128,
        encoder_size: int = 64,
        attention: str = "general",
        tied: bool = True,
        label_smoothing: float = 0.0,
    ) -> None: ...
    Task = Caption

    def fit(self, X: Source, y: Sequence[str] | None = None) -> Self: ...
    def predict(self, X: Source, **how: object) -> np.ndarray: ...
    def n_best(self, X: Source, count: int = 5, **how: object) -> list[list[tuple[str, float]]]: ...
    def looks(self, X: Source, **how: object) -> list[Looked]: ...
    def score(self, X: Source, y: Sequence[str] | None = None) -> float: ...

def pairs(X: Source, y: Sequence[str]) -> tuple[Any, list[str]]: ...
