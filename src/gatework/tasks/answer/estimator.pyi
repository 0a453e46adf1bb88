# Written by `make docs`.
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from gatework.tasks.answer.task import Answer
from gatework.tasks.base import Source
from gatework.tasks.estimator import Estimator

class Answerer(Estimator):
    def __init__(
        self,
        *,
        out: str | None = None,
        quiet: bool | None = None,
        seed: int = 1,
        epochs: int | None = None,
        batch_size: int = 32,
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
        clip: float = 5.0,
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
        cell: str = "gru",
        hidden_size: int = 64,
        layers: int = 1,
        layer_norm: bool = False,
        chrono: int | None = None,
        precision: str = "float32",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout: float = 0.0,
        format: str | None = None,
        encoding: str | None = None,
        story: str = "story",
        question: str = "question",
        answer: str = "answer",
        kind: str = "kind",
        facts: str = "facts",
        valid_share: float = 0.1,
        test_share: float | None = None,
        min_count: int = 1,
        vocabulary: int = 50000,
        memory: int = 70,
        sentences: str = "positions",
        hops: int = 3,
        empty: float = 0.1,
        word_dropout: float = 0.0,
    ) -> None: ...
    Task = Answer

    def fit(self, X: Source, y: Sequence[str] | None = None) -> Self: ...
    def predict(self, X: Source) -> np.ndarray: ...
    def looks(self, X: Source) -> list[np.ndarray]: ...
    def score(self, X: Source, y: Sequence[str] | None = None) -> float: ...

def answered(X: Source, y: Sequence[str]) -> list[dict[str, Any]]: ...
