"""Scores of tags by the features of windows: a row of weights for each, added up."""

from __future__ import annotations

import numpy as np

from gatework.errors import FileFormatError

LOW = (1 << 22) - 1  # the bits of a feature by which its weights are found


class Weights:
    """Scores (M, K) of features (M, F): the sum of a row of `weight` (D + 1, K) for each feature.

    The weights of a feature are row i + 1 where its low bits are `keys` (D,) [i], sorted; row 0, all zeros, is that of
    features which training never saw.
    """

    def __init__(self, keys: np.ndarray, weight: np.ndarray):
        if len(weight) != len(keys) + 1 or weight.ndim != 2:
            raise FileFormatError(f"{len(keys)} features of windows have weights of the shape {weight.shape}")
        self.table, self.weight = table_of(keys), weight

    def scores(self, features: np.ndarray) -> np.ndarray:
        rows = self.table[features & LOW]
        found = np.zeros((len(rows), self.weight.shape[1]), self.weight.dtype)
        for column in rows.T:
            found += self.weight[column]
        return found


def table_of(keys: np.ndarray) -> np.ndarray:
    """int32 [2^22]: which row of the weights each feature has by its low bits."""
    if len(keys) and (keys[0] < 0 or keys[-1] > LOW or not (np.diff(keys) > 0).all()):
        raise FileFormatError("the weights of windows are damaged: their keys are not sorted numbers in range")
    table = np.zeros(LOW + 1, np.int32)
    table[keys] = np.arange(1, len(keys) + 1)
    return table
