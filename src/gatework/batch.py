"""Predictions on engines that run on many machines: what Ray Data, Spark and Dask call on each piece of a table.

    from gatework.batch import Predictor

    predictor = Predictor("reviews.safetensors", keep=("id",))
    dataset.map_batches(predictor, batch_format="pandas")                        # Ray Data
    frame.mapInPandas(predictor.partitions, "id long, label string, confidence double")  # Spark
    frame.map_partitions(predictor, meta=predictor(frame.head(2)))               # Dask

A predictor is a path and two lists of names, so it is cheap to send; each process loads the model once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    Batch = pd.DataFrame | Mapping[str, np.ndarray] | Sequence[Any]


class Predictor:
    """Answers for batches, in the kind in which they come: a data frame, a dict of columns, or a list of rows.

        Predictor("reviews.safetensors")([{"text": "a superb film"}])
        # [{"label": "good", "confidence": 0.93, "probabilities.bad": 0.07, "probabilities.good": 0.93}]

    Args:
        path: an export (no torch is needed), or a run folder (which needs it). Each machine must see it.
        keep: columns that come back before the answers, where there is one answer for each row.
        columns: the answers' columns that are wanted; () for all. Nested ones are "probabilities.good".

    Raises: DataError for a row that is none, with its number in the batch.
    """

    def __init__(self, path: str | os.PathLike[str], *, keep: Sequence[str] = (), columns: Sequence[str] = ()):
        self.path, self.keep, self.columns = os.fspath(path), tuple(keep), tuple(columns)

    def __call__(self, batch: Batch) -> Any:
        rows = _rows(batch)
        found = [self._chosen(_flat(each)) for each in _loaded(self.path)(rows)]
        if self.keep:
            found = [self._kept(row) | each for row, each in zip(rows, self._one_each(found, rows), strict=True)]
        return _like(batch, found)

    def partitions(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """For Spark's mapInPandas: a frame for each of some frames."""
        return map(self, batches)

    def _chosen(self, row: dict[str, Any]) -> dict[str, Any]:
        missing = [name for name in self.columns if name not in row]
        if missing:
            raise DataError(f"the answers have no column {missing[0]!r}; there are {', '.join(row)}")
        return {name: row[name] for name in self.columns} if self.columns else row

    def _kept(self, row: object) -> dict[str, Any]:
        missing = [name for name in self.keep if not isinstance(row, Mapping) or name not in row]
        if missing:
            raise DataError(f"a row has no column {missing[0]!r} to keep: {row!r:.60}")
        assert isinstance(row, Mapping)
        return {name: row[name] for name in self.keep}

    def _one_each(self, found: list[dict[str, Any]], rows: Sequence[Any]) -> list[dict[str, Any]]:
        if len(found) != len(rows):
            raise DataError(f"{len(rows)} rows have {len(found)} answers: no column can be kept; leave keep out")
        return found


@lru_cache(maxsize=4)
def _loaded(path: str):
    """What answers for rows; once a process."""
    if os.path.isdir(path):
        from gatework.tasks.jobs import load

        return load(path).predict
    from gatework.runtime import load

    model = load(path)
    if not hasattr(model, "predict"):
        raise DataError(f"{path} is a saved layer, which answers no rows; gatework export RUN writes a file that does")
    return model.predict


def _rows(batch: Batch) -> Sequence[Any]:
    """A list of dicts, or the rows as they are."""
    of_frame: Any = getattr(batch, "to_dict", None)
    if of_frame is not None:
        return of_frame("records")
    if isinstance(batch, Mapping):
        lengths = {name: len(column) for name, column in batch.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"the columns of a batch have different lengths: {lengths}")
        return [dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True)]
    return list(batch)


def _flat(answer: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as columns of their own."""
    found: dict[str, Any] = {}
    for name, value in answer.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found


def _like(batch: Batch, found: list[dict[str, Any]]) -> Any:
    """Answers in the kind of the batch."""
    if hasattr(batch, "to_dict"):
        import pandas as pd

        return pd.DataFrame(found)
    if isinstance(batch, Mapping):
        names = found[0] if found else ()
        return {name: np.array([each[name] for each in found]) for name in names}
    return found
