"""Forecast series of dates and numbers.

    from gatework import Forecaster
    model = Forecaster(time="date", target=("units",), horizon=28).fit(frame)
    model.predict()                                           # the next 28 steps of each series, with quantiles

Which file to open: options.py (every choice), windows.py (what the model sees), model.py (the network), measures.py
(errors), baselines.py, task.py (how they make a job), estimator.py (scikit-learn's shape).
"""

from __future__ import annotations

from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.task import ForecastTask

TASK = ForecastTask

__all__ = ["TASK", "ForecastOptions", "ForecastTask"]
