"""Keras' recurrent layers on gatework's kernels: `LSTM`, `GRU`, `SimpleRNN`, the ways between them and Keras' own, and
`Recurrent` for any cell.

    import os; os.environ["KERAS_BACKEND"] = "torch"       # before the first import of keras
    import keras, gatework.keras
    model = keras.Sequential([gatework.keras.LSTM(128), keras.layers.Dense(3)])       # was: keras.layers.LSTM(128)

Arguments, weights, masks, results and file formats are those of `keras.layers`.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from gatework.errors import OptionError
from gatework.extras import explained


def _refuse(found: str, cause: BaseException | None = None) -> NoReturn:
    raise OptionError(
        f"gatework.keras runs on Keras' torch backend, but {found}. Set the environment variable KERAS_BACKEND=torch "
        'before Python starts, or os.environ["KERAS_BACKEND"] = "torch" before the first import of keras'
    ) from cause


try:
    import keras as _keras
except ModuleNotFoundError as error:
    if error.name not in ("tensorflow", "jax", "openvino", "mlx"):
        raise explained(error) from error
    sys.modules.pop("keras", None)
    _refuse(f"Keras is set to {error.name}, which is not installed", error)

if _keras.backend.backend() != "torch":
    _refuse(f"Keras has started with {_keras.backend.backend()}")

from gatework.keras.convert import from_keras, load_model, to_keras, to_torch  # noqa: E402
from gatework.keras.layers import GRU, LSTM, SimpleRNN  # noqa: E402
from gatework.keras.recurrent import Recurrent  # noqa: E402

__all__ = ["GRU", "LSTM", "Recurrent", "SimpleRNN", "from_keras", "load_model", "to_keras", "to_torch"]


def __dir__() -> list[str]:
    return __all__
