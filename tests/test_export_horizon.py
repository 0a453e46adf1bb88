"""Exported forecasters: the run's forecasts without torch and polars, from its ends and from further rows."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import gatework
from exports import bare, fits, same
from gatework.errors import DataError, OptionError
from gatework.tasks.jobs import Trained

START, LENGTH = np.datetime64("2024-01-01"), 90


def rows(first: int, last: int, target: bool = True) -> list[dict[str, Any]]:
    draw = np.random.default_rng(first)
    return [
        {
            "date": str(START + day),
            "units": 10 + 3 * np.sin(day / 7 * 2 * np.pi) + draw.uniform() + 5 * (day % 5 == 0) if target else None,
            "promo": float(day % 5 == 0),
            "shop": shop,
            "kind": kind,
        }
        for shop, kind in (("a", "big"), ("b", "small"))
        for day in range(first, last)
    ]


def trained(folder: Path, **options: Any) -> Trained:
    table = rows(0, LENGTH)
    with open(folder / "sales.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, table[0].keys())
        writer.writeheader()
        writer.writerows(table)
    common = {"horizon": 7, "time": "date", "target": ["units"], "series": "shop", "lookback": 21, "hidden_size": 4}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = folder / "sales.csv"
        return gatework.train("forecast", source, out=folder / "run", quiet=True, epochs=1, **common, **options)


WAYS = {
    "ets": {"combine": "both", "combine_share": 0.5, "decoding": "recursive"},
    "segments": {"combine": "simple", "decoding": "segments"},
    "ahead": {"combine": "theta", "future": ["promo"], "decoding": "direct"},
    "static": {"combine": "none", "future": ["promo"], "static": ["kind"], "decoding": "segments"},
    "gaps": {"combine": "none", "cell": "gru_d", "decoding": "attention"},
    "logs": {"combine": "none", "decoding": "direct", "ensemble": 2, "transform": "log", "past": ["promo"]},
}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.filterwarnings("ignore")
def test_forecasts_are_the_runs(tmp_path: Path, name: str) -> None:
    run = trained(tmp_path, **WAYS[name])
    file = gatework.export(run, tmp_path / "sales.safetensors").files[0]
    model = gatework.runtime.load(file)
    assert name != "ets" or model.weights.all()
    later = rows(LENGTH, LENGTH + 4) + rows(LENGTH + 4, LENGTH + 30, target=False)
    for given, steps in ((None, None), (later, None), (later, 3), (later, 16)):
        if given is None and "future" in WAYS[name]:
            continue
        wanted = run.predict(None if given is None else pl.DataFrame(given), horizon=steps)
        same(model.predict(given or (), horizon=steps), wanted)
    if name == "segments":
        same(bare(file, later), run.predict(pl.DataFrame(later)))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sales")
    run = trained(folder, **WAYS["ahead"])
    return gatework.runtime.load(gatework.export(run, folder / "sales.safetensors").files[0])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"date": "soon"}, "row 1: date 'soon' cannot be read"),
        ({"date": None}, "row 1: date None cannot be read"),
        ({"date": "2024-04-01T00:00:00+02:00"}, "row 1: .*cannot be read"),
        ({"units": "many"}, "row 1, units: 'many' is no number"),
        ({"units": float("inf")}, "row 1, units: inf"),
        ({"promo": "yes"}, "promo: 'yes' is no number"),
    ],
)
def test_bad_rows_are_named(model, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        model.predict([{**rows(LENGTH, LENGTH + 1)[0], **changes}])


def test_what_must_be_known_ahead_is_asked_for(model) -> None:
    with pytest.raises(DataError, match="series 'a' lacks promo at 7 of the 7 steps ahead"):
        model.predict()
    with pytest.raises(DataError, match="row 1 is 3; it must be a dict with date, units, shop, promo"):
        model.predict([3])
    with pytest.raises(DataError, match="row 2: series 'a' has date '2024-03-31' twice"):
        model.predict(rows(LENGTH, LENGTH + 1)[:1] * 2)
    with pytest.raises(OptionError, match="horizon must be"):
        model.predict(horizon=0)


@pytest.mark.filterwarnings("ignore")
def test_rows_without_times_follow_one_another(tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("sales\n" + "".join(f"{10 + day % 12}\n" for day in range(80)))
    options = {"horizon": 6, "epochs": 1, "combine": "none", "decoding": "direct", "hidden_size": 4}
    run = gatework.train("forecast", tmp_path / "bare.csv", out=tmp_path / "run", quiet=True, **options)
    model = gatework.runtime.load(gatework.export(run, tmp_path / "bare.safetensors").files[0])
    later = [{"sales": 3.0}, {"sales": 4.0}]
    same(model.predict(later), run.predict(pl.DataFrame(later)))


HOURS = np.datetime64("2024-10-20T00:00", "us") + np.arange(24 * 14) * np.timedelta64(1, "h")


def hourly(times: pl.Series, told: str) -> list[dict[str, Any]]:
    """Rows of hours in UTC, as text of Paris with or without its offset: clocks go back at the end of the 8th day."""
    local = times.dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Paris")
    shown = local.dt.to_string("%Y-%m-%dT%H:%M:%S" + ("%:z" if told == "offset" else ""))
    hours = local.dt.hour().to_numpy()
    return [{"time": time, "load": 5.0 + hour + hour**2 / 50} for time, hour in zip(shown, hours, strict=True)]


@pytest.mark.parametrize("told", ["offset", "zone"])
@pytest.mark.filterwarnings("ignore")
def test_times_of_a_zone(tmp_path: Path, told: str) -> None:
    """The run ends an hour before clocks go back; later rows have an hour twice."""
    times, end = pl.Series(HOURS), 24 * 7
    pl.DataFrame(hourly(times[:end], told)).write_csv(tmp_path / "load.csv")
    settings = {"zone": "Europe/Paris"} if told == "zone" else {}
    common = {"horizon": 24, "lookback": 24, "epochs": 1, "hidden_size": 4, "combine": "none", "decoding": "direct"}
    common |= {"transform": "none", "classical": "none", "conformal": False, **settings}
    run = gatework.train("forecast", tmp_path / "load.csv", out=tmp_path / "run", quiet=True, **common)
    model = gatework.runtime.load(gatework.export(run, tmp_path / "load.safetensors").files[0])
    same(model.predict(), run.predict(None))
    later = hourly(times[end : end + 12], told)
    fits(model, later)
    same(model.predict(later), run.predict(pl.DataFrame(later)))
    assert model.example["time"].endswith("+02:00" if told == "offset" else "00:00")
    with pytest.raises(DataError, match="show no such time" if told == "zone" else "it has no offset"):
        model.predict([{"time": "2025-03-30T02:30:00", "load": 1.0}])
    with pytest.raises(DataError, match=r"row 1: time .0001.* cannot be read"):
        model.predict([{"time": "0001-01-01T00:00:00+05:00", "load": 1.0}])
