# Written by `make docs`.
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from gatework.tasks.base import Source
from gatework.tasks.estimator import Estimator
from gatework.tasks.tag.task import Tag

class SequenceTagger(Estimator):
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
        dropout: float | None = None,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout: float = 0.0,
        format: str | None = None,
        column: str | None = None,
        token_column: str | None = None,
        label: str | None = None,
        tags: str | None = None,
        mask: str | None = None,
        encoding: str | None = None,
        scheme: str = "auto",
        bad_spans: str = "refuse",
        features: tuple[str, ...] = ("all",),
        valid_share: float = 0.1,
        refit: bool = False,
        test_share: float | None = None,
        lower: bool = True,
        min_count: int = 1,
        vocabulary: int = 50000,
        max_length: int = 300,
        subwords: int = 0,
        vectors: str | None = None,
        freeze_vectors: bool = False,
        language_model: tuple[str, ...] = (),
        embedding_size: int | None = None,
        characters: int | None = None,
        neighbours: int | None = None,
        windows: bool = True,
        window_share: float | None = None,
        output: str = "auto",
        word_dropout: float = 0.5,
        common_dropout: float | None = None,
        label_weight: float = 1.0,
        batch_tokens: int = 4000,
    ) -> None: ...
    Task = Tag

    def fit(self, X: Source, y: Sequence[Sequence[str]] | None = None, labels: Sequence[str] | None = None) -> Self: ...
    @property
    def classes_(self) -> np.ndarray: ...
    def predict(self, X: Source) -> list[list[str]]: ...
    def predict_spans(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]: ...
    def score(self, X: Source, y: Sequence[Sequence[str]] | None = None) -> float: ...

def are_tokens(X: Source) -> bool: ...
def tagged(X: Source, y: Sequence[Sequence[str]], labels: Sequence[str] | None = None) -> dict[str, list]: ...
