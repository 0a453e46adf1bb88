"""Forecast series of dates and numbers.

    from gatework import Forecaster
    model = Forecaster(time="date", target=("units",), horizon=28).fit(frame)
    model.predict()                                           # the next 28 steps of each series, with quantiles

Which file to open: options.py (every choice); series.py (the data side), parts.py (training, validation, test),
windows.py (what the model sees), kept.py (what a run keeps of the data); model.py and decoding.py (the network),
task.py (how they meet the training loop), intervals.py, further.py (beyond the horizon); measures.py (errors),
baselines.py, ridge.py, classical.py, backtest.py, results.py (for the report); estimator.py (scikit-learn's shape).
Tables become series in `gatework.data`: panel.py, grid.py, covariates.py.
"""

from __future__ import annotations

from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.task import ForecastTask

TASK = ForecastTask

__all__ = ["TASK", "ForecastOptions", "ForecastTask"]
