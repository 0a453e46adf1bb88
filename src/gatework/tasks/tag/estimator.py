"""`SequenceTagger`: the job in the shape of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Self, cast

import numpy as np

from gatework.data.arrays import refuse_kinds
from gatework.data.given import given_texts
from gatework.errors import DataError
from gatework.tasks.base import Source
from gatework.tasks.estimator import Estimator
from gatework.tasks.tag import measures
from gatework.tasks.tag.task import Tag

LABEL = "label"


class SequenceTagger(Estimator):
    """Tags the tokens of sentences.

        model = SequenceTagger(epochs=5).fit(sentences, tags)       # lists of tokens, lists of as many tags
        model.predict([["Ada", "slept"]])                           # [["B-PER", "O"]]
        model.predict_spans(["Ada slept."])                         # [[{"start": 0, "end": 3, "label": "PER", ...}]]

    The parameters are the options of the job (`gatework train tag --help`). X is a list of n lists of tokens; or a
    path, a frame or a list of objects that hold the tags too. `clone`, `cross_val_score` and grid searches work.
    """

    Task = Tag
    _reads = ("string", "one_d_array")

    def fit(self, X: Source, y: Sequence[Sequence[str]] | None = None, labels: Sequence[str] | None = None) -> Self:
        """Learns from sentences X [n] and their tags y [n], and with `labels` [n] a label of each sentence beside them;
        or from a source X that has tags (y None).

        Example: `fit([["Ada", "slept"]], [["B-PER", "O"]], labels=["fact"])`.
        """
        if y is None:
            if are_tokens(X):
                raise DataError("SequenceTagger requires y to be passed, but the target y is None: fit(X, y)")
            return self._fit(X)
        changes = {} if labels is None else {LABEL: LABEL}
        return self._fit(tagged(X, y, labels), **changes)

    @property
    def classes_(self) -> np.ndarray:
        """The tags that an answer may hold, as they are written."""
        codecs = self._codecs()
        count = len(codecs.tags.classes)
        return np.unique([str(tag) for tag in codecs.decode(np.arange(count), np.ones(count, np.int64))])

    def _codecs(self) -> Any:
        return self._fitted().task.codecs  # type: ignore[attr-defined]

    def predict(self, X: Source) -> list[list[str]]:
        """Tags of each of the n sentences, one for each token, in the scheme of training; [] of one without tokens."""
        if isinstance(X, list | tuple | np.ndarray) and len(X) and isinstance(X[0], str):
            raise DataError(
                f"X holds texts such as {X[0]!r:.40}; predict reads lists of tokens: give "
                "[text.split() for text in X], or call predict_spans(X)"
            )
        fitted, sentences = self._fitted(), cast("list[list[str]]", X) if are_tokens(X) else []
        full = [tokens for tokens in sentences if len(tokens)]
        if len(full) == len(sentences):
            return [row["tags"] for row in fitted.predict(X, format="jsonl")]
        rows = iter(fitted.predict(full, format="jsonl") if full else [])
        return [next(rows)["tags"] if len(tokens) else [] for tokens in sentences]

    def predict_spans(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        """The spans in each of the n raw texts, in order: {"start", "end", "label", "text", "confidence"}, where start
        and end count characters. Of plain tags, each token is a span.
        """
        given = [text or "" for text in given_texts(texts)]
        rows = self._fitted().predict(given, format="spans") if any(map(str.strip, given)) else []
        rest, found = iter(rows), []
        row = next(rest, None)
        for text in given:  # one without a token has no row
            if row is not None and row["text"] == text.rstrip("\r"):
                found.append(row["spans"])
                row = next(rest, None)
            else:
                found.append([])
        return found

    def score(self, X: Source, y: Sequence[Sequence[str]] | None = None) -> float:
        """F1 of whole spans, or the accuracy of plain tags; X and y as for `fit`."""
        if y is None:
            found = self._fitted().evaluate(X)
        else:
            given = tagged(X, y)
            said = chain.from_iterable(self.predict(given["tokens"]))
            lengths = np.array([len(tokens) for tokens in given["tokens"]])
            plain = self._codecs().scheme == "plain"
            found = measures.measures(list(chain.from_iterable(given["tags"])), list(said), lengths, plain=plain)
        return found["f1"] if "f1" in found else found["accuracy"]


def are_tokens(X: Source) -> bool:
    """Whether X is a list of lists of tokens, which has no tags."""
    if not isinstance(X, list | np.ndarray):
        return False
    return len(X) == 0 or isinstance(X[0], list | np.ndarray | str)


def tagged(X: Source, y: Sequence[Sequence[str]], labels: Sequence[str] | None = None) -> dict[str, list]:
    """Columns of tokens, tags and labels, of equal length."""
    refuse_kinds(X)
    columns = {"tokens": list(X), "tags": list(y)} | ({} if labels is None else {LABEL: list(labels)})
    sizes = {name: len(values) for name, values in columns.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(
            f"{', '.join(f'{size} {name}' for name, size in sizes.items())}; give each sentence one of each"
        )
    return columns
