"""`TextGenerator`: the job `generate` in the shape of a scikit-learn estimator."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from gatework.data.arrays import refuse_kinds
from gatework.data.given import given_texts
from gatework.tasks.base import Source
from gatework.tasks.estimator import Estimator
from gatework.tasks.generate import Generate


class TextGenerator(Estimator):
    """Writes like the text it was fitted on; the options of `gatework train generate` are its parameters.

    writer = TextGenerator(hidden_size=128, epochs=5).fit(Path("book.txt"))
    writer.generate("Once", length=200, temperature=0.8)
    writer.score(other_text)                # minus nats per character: higher is better
    """

    Task = Generate
    _reads = ("string", "one_d_array")

    def fit(self, X: str | Path | Sequence[str], y: None = None) -> Self:
        """Learns from a text, a list of texts, or the file of a `Path`."""
        return self._fit(_texts(X))

    def generate(
        self,
        prompt: str = "",
        length: int = 300,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 1,
    ) -> str:
        """The text after the prompt (with `backwards`, before it), `length` units long."""
        return "".join(self.stream(prompt, length, temperature, top_k, top_p, seed))

    def stream(self, prompt: str = "", length: int = 300, *sampling: Any) -> Iterator[str]:
        """The same in pieces, as they are written."""
        trained = self._fitted()
        task: Generate = trained.task  # pyright: ignore[reportAssignmentType]
        if note := task.unseen_note(prompt):
            warnings.warn(note, stacklevel=2)
        return task.write(trained.model, prompt, length, *sampling)  # pyright: ignore[reportArgumentType]

    def predict(self, X: Sequence[str]) -> list[str]:
        """A continuation of each prompt; with `backwards`, what leads to it."""
        return [row["text"] for row in self._fitted().predict(list(X))]

    def score(self, X: str | Path | Sequence[str], y: None = None) -> float:
        """Minus the nats per character of a text."""
        return -self._fitted().evaluate(_texts(X))["nats_per_character"]


def _texts(X: str | Path | Sequence[str]) -> Source:
    if isinstance(X, Path):
        return X
    if isinstance(X, str):
        return [X]
    refuse_kinds(X)
    return given_texts(X).fill_null("").to_list()
