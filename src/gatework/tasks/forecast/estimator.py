"""`Forecaster`: the job `forecast` in the shape of a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import polars as pl

from gatework.errors import OptionError
from gatework.tasks.base import Source
from gatework.tasks.estimator import Estimator
from gatework.tasks.forecast.backtest import backtest, summary
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.task import ForecastTask


class Forecaster(Estimator):
    """Forecasts series of a frame; the options of `gatework train forecast` are its parameters.

        frame = pl.DataFrame({"date": days, "store": names, "units": sold})     # a row per day and store
        model = Forecaster(time="date", target=("units",), series="store", horizon=28).fit(frame)
        model.predict(7)                       # [stores * 7 rows]: series, time, forecast, q0.05 ... q0.95
        model.predict(56)                      # beyond the horizon, with a warning: forecasts are fed back
        model.backtest(frame, windows=3)       # the errors of models trained at three earlier dates
        model.backtest_                        # their mean and spread, a row for each method
        model.score(later)                     # minus the MASE on later rows

    Polars and pandas frames, mappings of columns and paths are read alike; what comes back is of `fit`'s kind.
    `get_params`, `set_params` and `clone` are scikit-learn's; `save` and `load` keep a run folder.

    Raises: DataError that names row and column; OptionError for options that cannot be.
    """

    Task = ForecastTask

    def fit(self, X: Source, y: None = None) -> Self:
        """Learns from a polars or pandas frame, a mapping of columns, the path of a file, or one series of numbers."""
        self.pandas_ = _is_pandas(X)
        return self._fit(self._framed(X))

    def _framed(self, source: Source) -> Source:
        """One series of numbers as a frame: its steps are counted, or are the index of a pandas series, whose
        name is the column's."""
        if not isinstance(source, Sequence | np.ndarray) and not hasattr(source, "to_numpy"):
            return source
        numbers = np.asarray(source)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iuf":
            return source
        options = self._options()
        assert isinstance(options, ForecastOptions)
        series: Any = source
        steps = series.index if _is_pandas(series) else range(len(numbers))
        name = str(getattr(series, "name", None) or "value")
        return {options.time or "time": list(steps), (*options.target, name)[0]: numbers.tolist()}

    def predict(self, h: int | None = None, X: Source | None = None, lacking: str = "refuse") -> Any:
        """The next `h` steps of each series (by default the horizon), after the rows of `X` where they are given.

        More than the horizon is an extrapolation, of which a warning tells: forecasts are fed back, and quantiles are
        those of sampled paths. The frame is a pandas one where `fit` got one. Series for which `X` lacks what is known
        ahead are an error, left out (lacking="skip"), or go on with the last value known ("fill"), with a warning.
        """
        if h is not None and (isinstance(h, bool) or not isinstance(h, int | np.integer) or h < 1):
            raise OptionError(f"h must be a whole number of 1 or more, not {h!r}")
        how = {"horizon": None if h is None else int(h), "lacking": lacking}
        frame = pl.DataFrame(self._fitted().predict(self._framed(X), **how))
        if frame.height and frame["time"].dtype == pl.String:
            frame = frame.with_columns(time=self._times(frame["time"]))
        return frame.to_pandas() if getattr(self, "pandas_", False) else frame

    def _times(self, shown: pl.Series) -> pl.Series:
        """Times as datetimes, of their zone where they have one."""
        whole = pl.select(
            pl.when(shown.str.len_chars() == len("2024-01-31")).then(shown + " 00:00:00").otherwise(shown)
        )
        task = self._fitted().task
        assert isinstance(task, ForecastTask)
        clock = task.last.clock
        if clock is None or clock.shown == "local":
            return whole.to_series().str.to_datetime(ISO)
        zone = "UTC" if clock.shown == "utc" or clock.zone[0] in "+-" else clock.zone
        return whole.to_series().str.to_datetime(f"{ISO}%z").dt.convert_time_zone(zone)

    def backtest(self, X: Source, windows: int = 3) -> Any:
        """Errors over earlier origins: for each, a model trained on what was known then, beside the baselines.

        A frame with a row per origin and method. What is fitted stays as it is; `backtest_` keeps a frame with the mean
        and the spread over the origins of each method, see `gatework.tasks.forecast.backtest.summary`.
        """
        options = self._options()
        assert isinstance(options, ForecastOptions)
        rows = backtest(ForecastTask(options), self._framed(X), windows)
        frames = [pl.DataFrame(each, infer_schema_length=None) for each in (rows, summary(rows))]
        table, self.backtest_ = [frame.to_pandas() if _is_pandas(X) else frame for frame in frames]
        return table

    def score(self, X: Source, y: None = None) -> float:
        """Minus the MASE on later rows, of intermittent demand minus the RMSSE: higher is better."""
        trained = self._fitted()
        return -trained.evaluate(self._framed(X))[trained.task.metric.name]


ISO = "%Y-%m-%d %H:%M:%S%.f"


def _is_pandas(source: Source) -> bool:
    return hasattr(source, "iloc")
