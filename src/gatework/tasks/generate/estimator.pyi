# Written by `make docs`.
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from gatework.tasks.estimator import Estimator
from gatework.tasks.generate import Generate

class TextGenerator(Estimator):
    def __init__(
        self,
        *,
        out: str | None = None,
        quiet: bool | None = None,
        seed: int = 1,
        epochs: int = 20,
        batch_size: int = 32,
        optimizer: str = "adamw",
        learning_rate: float = 0.005,
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
        weight_decay: float = 0.1,
        l1: float = 0.0,
        l2: float = 0.0,
        average: str = "none",
        average_decay: float = 0.999,
        keep: str = "best",
        patience: int = 3,
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
        tokenizer: str = "characters",
        vocabulary: int = 5000,
        spaces: bool = False,
        backwards: bool = False,
        encoding: str | None = None,
        test_share: float = 0.1,
        valid_share: float = 0.05,
        refit: bool = False,
        ngram_length: int | None = None,
        ngram_share: float | None = None,
        embedding_size: int = 0,
        tied: bool = False,
        word_dropout: float = 0.0,
        sequence_length: int = 64,
        dynamic: bool = False,
        dynamic_rate: float = 0.05,
        sample_length: int = 300,
    ) -> None: ...
    Task = Generate

    def fit(self, X: str | Path | Sequence[str], y: None = None) -> Self: ...
    def generate(
        self,
        prompt: str = "",
        length: int = 300,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 1,
    ) -> str: ...
    def stream(self, prompt: str = "", length: int = 300, *sampling: Any) -> Iterator[str]: ...
    def predict(self, X: Sequence[str]) -> list[str]: ...
    def score(self, X: str | Path | Sequence[str], y: None = None) -> float: ...
