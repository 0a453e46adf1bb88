"""Every choice of the job "forecast", with its default."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatework.data.roles import refuse_two_roles
from gatework.errors import OptionError
from gatework.training.options import Options, option
from gatework.training.regularisation import NumericOptions

AUTO = "auto"
CHOSEN = "auto: chosen by a backtest inside the training part"
LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True, kw_only=True)
class ForecastExplaining(Options):
    """What names the forecast to explain."""

    series: str | None = option(
        None, "the name of one series (not of a column); not needed where there is one", panel="what to explain"
    )
    step: int | None = option(None, "the step ahead; none: the mean of all", panel="what to explain")
    lacking: str = option(
        "refuse",
        "where what is known ahead is lacking: refuse, or fill with the last value known",
        panel="what to explain",
        choices=("refuse", "fill"),
    )


@dataclass(frozen=True, kw_only=True)
class ForecastPredicting(Options):
    """What `predict` can be told beside its source."""

    horizon: int | None = option(
        None, "steps to forecast, also more than the model was trained for", panel="answers", low=1
    )
    lacking: str = option(
        "refuse",
        "series that lack what is known ahead: refuse all, skip these, or fill with the last value known",
        panel="answers",
        choices=("refuse", "skip", "fill"),
    )


@dataclass(frozen=True, kw_only=True)
class ForecastEvaluating(Options):
    """What asks for another evaluation than that of the trained model."""

    backtest: int | None = option(
        None,
        "train anew as of N earlier dates of FILE, and measure each model; a verdict takes 10; makes no page",
        panel="another evaluation",
        low=1,
    )


@dataclass(frozen=True, kw_only=True)
class ForecastOptions(NumericOptions):
    """Options of `train forecast`. Those that are None are worked out from the data and written to the run's config."""

    time: str | None = option(
        None,
        "column of dates or step numbers, or several that make a time: date,hour or year,month; without any, each row "
        "is a step",
        panel="data",
        basic=True,
        completes="column",
        role="reading",
    )
    target: tuple[str, ...] = option(
        (),
        "name of the column to forecast; several: each is a series of its own",
        panel="data",
        basic=True,
        completes="column",
        role="reading",
    )
    series: str | None = option(
        None,
        "name of the column that says which series a row belongs to",
        panel="data",
        basic=True,
        completes="column",
        role="reading",
    )
    past: tuple[str, ...] = option(
        (),
        "columns known only up to now, such as visitors or temperature",
        panel="data",
        completes="column",
        role="question",
    )
    future: tuple[str, ...] = option(
        (),
        "columns known ahead, such as prices or holidays; predict needs rows with them",
        panel="data",
        basic=True,
        completes="column",
        role="question",
    )
    static: tuple[str, ...] = option(
        (),
        "columns that say something of each series, such as its region",
        panel="data",
        completes="column",
        role="question",
    )
    identity: bool = option(
        False, "tell the model which of at most 100 series it is, as a static column of their names would", panel="data"
    )
    frequency: str | None = option(
        None,
        "step between points: 15m, 1h, 1d, 1b, 1w, 1mo, 1y, 1i; months also with their day: 1mo@15, 1mo@-1 (its last), "
        "1mo@-1b (its last business day), 1mo@3fri (its third Friday), 1mo@1+15 (both days)",
        panel="data",
        role="question",
    )
    date_format: str | None = option(
        None, "how dates are written, such as %d/%m/%Y; none: what reads most of them", panel="data", role="reading"
    )
    zone: str | None = option(
        None,
        "zone of the clocks that times go by, such as Europe/Paris; none: that which the times are written with",
        panel="data",
        role="reading",
    )
    round: str | None = option(
        None,
        "bring times that jitter to whole steps: 5m (the nearest), 1d-down (the one before), 1mo (its first day)",
        panel="data",
        role="reading",
    )
    format: str | None = option(None, "csv, tsv, jsonl or parquet", panel="data", role="reading")
    encoding: str | None = option(None, "encoding of text files, if not UTF-8", panel="data", role="reading")
    delimiter: str | None = option(None, "what stands between the fields of a table", panel="data", role="reading")
    header: bool | None = option(None, "whether the first row names the columns", panel="data", role="reading")
    quote: str | None = option(None, 'what stands around fields; none: "', panel="data", role="reading")
    bad_rows: str = option("refuse", "broken rows", panel="data", choices=("refuse", "skip", "join"), role="reading")
    bad_series: str = option(
        "refuse",
        "series with faults, such as a text for a number: refuse the data, or skip these series and say which",
        panel="data",
        choices=("refuse", "skip"),
        role="reading",
    )
    calendar: bool = option(
        True, "tell the model hour, weekday and season, as far as the steps show them", panel="data"
    )
    transform: str = option(
        AUTO,
        "what the model works on in place of the values: logarithms (log), steps between points as its input "
        f"(difference), or steps between logarithms; {CHOSEN}",
        panel="data",
        choices=(AUTO, "none", "log", "difference", "log-difference"),
    )
    scale: str = option(
        AUTO,
        f"windows in units of their own deviation around their mean, or as changes since their last value; {CHOSEN}",
        panel="data",
        choices=(AUTO, "deviation", "last"),
    )
    unit: float | None = option(
        None,
        "unit of scale=last, and of windows that do not vary; none: the mean change over a horizon in the data",
        panel="data",
        low=0,
    )
    valid_windows: int | None = option(
        None,
        "last windows of each series for choosing weights and intervals; none: 20 or more in all where series are long",
        panel="data",
        low=1,
        role="question",
    )
    test_windows: int | None = option(
        None, "windows after those, for the final result; none: as many", panel="data", low=0, role="question"
    )
    stride: int | None = option(
        None,
        "steps from one of these windows to the next; none: the horizon, or fewer where short series have to give many",
        panel="data",
        low=1,
        role="question",
    )
    split: str = option(
        "ends",
        "where validation and test begin: counted back from the end of each series, or at the same dates in all",
        panel="data",
        choices=("ends", "date"),
        role="question",
    )

    horizon: int | None = option(
        None, "steps to forecast; none: one season", panel="model", basic=True, low=1, role="question"
    )
    season: int | None = option(
        None, "points in a season; none: by the frequency", panel="model", low=1, role="question"
    )
    lookback: int | None = option(
        None, "points the model sees; none: chosen by a backtest inside the training part", panel="model", low=2
    )
    hidden_size: int = option(64, "units per layer (H)", panel="model", low=1)
    width: int = option(16, "units of the head for each step ahead", panel="model", low=1, role="late")
    dropout: float = option(0.1, "dropout of the encoder's last state", panel="regularisation", low=0, high=0.99)
    decoding: str = option(
        AUTO,
        "direct: all steps from the last state; segments: several steps are read as one and forecast as one; "
        "recursive: step by step, each fed back; attention: a second layer over what is known ahead looks back at "
        f"the window; {CHOSEN}",
        panel="model",
        choices=(AUTO, "direct", "segments", "recursive", "attention"),
    )
    segment: int | None = option(
        None, "steps in a segment (decoding=segments); none: a season, or what fits", panel="model", low=1
    )
    ensemble: int = option(
        1,
        "networks of different starts that are trained side by side; their mean is forecast",
        panel="model",
        low=1,
        high=100,
    )
    linear: str = option(
        AUTO,
        "linear map from the window, and from what is known ahead, to all steps, to which the network adds: solved in "
        f"closed form before training and then trained on, solved and fixed, learned from 0, or none; {CHOSEN}",
        panel="model",
        choices=(AUTO, "solved", "fixed", "learned", "none"),
        role="late",
    )
    effects: str = option(
        AUTO,
        "what columns known ahead do to each series: solved in closed form, taken out of the values that the model "
        f"sees and added to what it forecasts (solved), or learned by the model alone (none); {CHOSEN}",
        panel="model",
        choices=(AUTO, "solved", "none"),
    )
    base: str = option(
        AUTO,
        "forecast that the model corrects: the value a season before (season), or the window's last value (last), "
        f"which leaves less noise to undo where linear=none; {CHOSEN}",
        panel="model",
        choices=(AUTO, "season", "last"),
    )
    ridge: float | None = option(
        None,
        "penalty on the squared weights of the solved linear map; none: chosen by the same backtest",
        panel="model",
        low=0,
    )
    quantiles: tuple[float, ...] = option(LEVELS, "levels of the quantile forecasts", panel="model", role="question")
    interval: float = option(
        0.9, "share of values that the interval shall cover", panel="model", low=0.01, high=0.999, role="question"
    )
    lowest: float | None = option(None, "no forecast lies below it, such as 0 for counts", panel="model")
    highest: float | None = option(None, "no forecast lies above it, such as 1 for shares", panel="model")
    limits: str = option(
        "auto",
        "bounds where lowest and highest are none: those the part shows (0 where nothing is negative; 1 or 100 "
        "of shares), which a run's config calls noticed; or none",
        panel="model",
        choices=("auto", "none", "noticed"),
    )
    conformal: bool = option(True, "widen or narrow intervals by the errors on the validation part", panel="model")

    classical: str = option(
        "both",
        "classical forecasts of each series that the model is measured against: dynamic optimised theta, exponential "
        "smoothing (ets), both, or none; beside them Croston's method where demand is intermittent",
        panel="baselines",
        choices=("theta", "ets", "both", "none"),
        role="question",
    )
    classical_seconds: float = option(
        20.0, "most seconds for them; series that get no turn are left out", panel="baselines", low=0, role="question"
    )
    combine: str = option(
        AUTO,
        "forecast a mean of the model and of simple methods, with intervals that are adjusted to it: of Theta and the "
        "seasonal naive forecast (simple), Theta, exponential smoothing (ets, which takes long, in predict too), Theta "
        f"and ets (both), or none; {CHOSEN}",
        panel="model",
        choices=(AUTO, "none", "simple", "theta", "ets", "both"),
    )
    combine_share: float | None = option(
        None,
        "the share that those have in the mean; none: half, unless the same backtest (of many series) or the "
        "validation part (of few) shows more surely than by chance that less or more is better",
        panel="model",
        low=0,
        high=0.95,
    )
    intermittent: bool | None = option(
        None,
        "demand with many zeros, which is judged by squared errors (RMSSE) and bias; none: as the data are",
        panel="baselines",
        role="question",
    )
    loss: str = option(
        AUTO,
        f"error of the point forecast in the model's units; mape: as a share of the truth (transform=log); {CHOSEN}",
        panel="loss",
        choices=(AUTO, "mae", "mse", "mape"),
    )
    average: str = option("ema", "evaluate with averaged weights", panel="training", choices=("none", "ema"))
    keep: str = option("last", "which weights the result has", panel="training", choices=("best", "last"))
    refit_epochs: int | None = option(
        None,
        "last epochs that learn the validation part too, once it has set the intervals; needs keep=last; none: a "
        "fifth of them where nothing forbids it",
        panel="training",
        low=0,
        role=("question", "refit"),
    )
    windows: int = option(20_000, "most windows per epoch, drawn anew each epoch", panel="training", low=1)
    batch_size: int | None = option(
        None, "windows per step (B); none: 128, or 32 where there are few windows", panel="training", low=1
    )
    epochs: int | None = option(None, "passes over the windows; none: 10, up to 60 of few", panel="training", low=0)

    def validate(self) -> None:
        super().validate()
        self._refuse_columns_of_two_roles()
        self._refuse_what_cannot_act()
        levels = self.quantiles
        if any(not 0 < level < 1 for level in levels) or list(levels) != sorted(set(levels)):
            raise OptionError(f"quantiles are levels between 0 and 1 in rising order, not {levels}")
        if levels and not all(_near(1 - level, levels) for level in levels):
            raise OptionError(f"quantiles must come in pairs such as 0.05 and 0.95, not {levels}")
        if levels and not _near((1 - self.interval) / 2, levels):
            raise OptionError(
                f"interval={self.interval:g} needs the quantiles {(1 - self.interval) / 2:g} and "
                f"{(1 + self.interval) / 2:g} among {levels}"
            )

    def _refuse_what_cannot_act(self) -> None:
        if self.refit_epochs and (
            self.keep != "last" or self.patience or (self.epochs is not None and self.refit_epochs >= self.epochs)
        ):
            raise OptionError(
                f"refit_epochs={self.refit_epochs} learns the validation part, which then can choose nothing: add "
                f"keep=last patience=0 and more epochs than {self.refit_epochs}"
            )
        if self.segment and self.decoding not in (AUTO, "segments"):
            raise OptionError(f"segment={self.segment} is of decoding=segments, not of decoding={self.decoding}")
        if self.decoding == "segments" and self.cell == "gru_d":
            raise OptionError("cell=gru_d reads step by step what is missing; use another decoding than segments")
        if self.loss == "mape" and not self.transform.startswith((AUTO, "log")):
            raise OptionError("loss=mape is a share of values above 0: add transform=log")
        if self.effects == "solved" and not self.future:
            raise OptionError("effects=solved are those of columns known ahead: name them with future=COLUMN")
        if self.lowest is not None and self.highest is not None and self.lowest >= self.highest:
            raise OptionError(f"lowest={self.lowest:g} must be below highest={self.highest:g}")

    def _refuse_columns_of_two_roles(self) -> None:
        roles = {"time": [self.time], "series": [self.series], "target": self.target, **self.covariates}
        refuse_two_roles({role: names for role, names in roles.items() if len(names) == 1})  # others may hold commas
        if self.static and not self.series:
            raise OptionError(f"static={','.join(self.static)} needs the column that says which series: series=COLUMN")

    @property
    def covariates(self) -> dict[str, tuple[str, ...]]:
        """The columns beside the target, by role."""
        return {"past": self.past, "future": self.future, "static": self.static}

    def limited(self, values: np.ndarray) -> np.ndarray:
        """Forecasts that lie between `lowest` and `highest`."""
        if self.lowest is None and self.highest is None:
            return values
        return np.clip(values, self.lowest, self.highest)

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The places of the interval's ends among the quantiles."""
        if not self.quantiles:
            return None
        low = min(range(len(self.quantiles)), key=lambda k: abs(self.quantiles[k] - (1 - self.interval) / 2))
        return low, len(self.quantiles) - 1 - low


def _near(value: float, levels: tuple[float, ...]) -> bool:
    return any(abs(value - level) < 1e-6 for level in levels)
