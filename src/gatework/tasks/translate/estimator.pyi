# Written by `make docs`.
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from gatework.tasks.base import Source
from gatework.tasks.estimator import Estimator
from gatework.tasks.translate.task import Translate

class Looked(NamedTuple):
    def __init__(self, /, *args, **kwargs) -> None: ...
    target_units: list[str]
    source_units: list[str]
    weights: np.ndarray

class Translator(Estimator):
    def __init__(
        self,
        *,
        out: str | None = None,
        quiet: bool | None = None,
        seed: int = 1,
        epochs: int | None = None,
        batch_size: int | None = None,
        optimizer: str = "adamw",
        learning_rate: float = 0.006,
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
        hidden_size: int = 384,
        layers: int = 1,
        layer_norm: bool = False,
        chrono: int | None = None,
        precision: str = "float32",
        dropout: float = 0.3,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout: float = 0.0,
        format: str | None = None,
        encoding: str | None = None,
        source_column: str | None = None,
        target_column: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        quote: str | None = None,
        bad_rows: str = "refuse",
        bad_pairs: str = "refuse",
        valid_share: float = 0.05,
        test_share: float | None = None,
        source_tokenizer: str | None = None,
        target_tokenizer: str | None = None,
        joint: bool = False,
        vocabulary: int = 5000,
        min_count: int = 1,
        lower: str = "none",
        max_length: int = 200,
        embedding_size: int = 256,
        encoder_size: int = 256,
        attention: str = "general",
        tied: bool = True,
        coverage: float = 0.0,
        label_smoothing: float = 0.1,
        word_dropout: float = 0.0,
        batch_tokens: int = 2000,
        valid_pairs: int = 500,
    ) -> None: ...
    Task = Translate

    def fit(self, X: Source, y: Sequence[str] | None = None) -> Self: ...
    def predict(self, X: Source, **how: object) -> np.ndarray: ...
    def n_best(self, X: Source, count: int = 5, **how: object) -> list[list[tuple[str, float]]]: ...
    def looks(self, X: Source, **how: object) -> list[Looked]: ...
    def score(self, X: Source, y: Sequence[str] | None = None) -> float: ...
    def signature(self) -> dict[str, str]: ...

def pairs(X: Source, y: Sequence[str]) -> tuple[list[str], list[str]]: ...
