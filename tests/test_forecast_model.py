"""The forecast model: ways to decode, the solved linear map, ensembles, differences, intervals, refitting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import gatework
from gatework.errors import DataError, OptionError
from gatework.networks.encoder import time_since
from gatework.runtime.series import baselines
from gatework.runtime.series.intervals import stretched
from gatework.tasks import jobs
from gatework.tasks.base import Learner
from gatework.tasks.forecast import ForecastOptions, ForecastTask
from gatework.tasks.forecast.intervals import conformal
from gatework.tasks.forecast.linear import solve
from gatework.tasks.forecast.model import Forecast, forecast_loss
from gatework.tasks.forecast.windows import Batch, make_batch
from gatework.training.callbacks import Callback
from gatework.training.learner import Shard
from small import CHOSEN

SMALL: dict[str, Any] = CHOSEN | {
    "time": "t", "target": ("y",), "series": "s", "frequency": "1i", "horizon": 5, "season": 4, "lookback": 10,
    "hidden_size": 6, "width": 3, "epochs": 2, "windows": 200, "batch_size": 32, "classical": "none",
    "valid_windows": 1, "test_windows": 1,
}  # fmt: skip
WAYS = ("direct", "segments", "recursive", "attention")


def table(length: int = 60, series: int = 3) -> pl.DataFrame:
    """Products of level, season and noise: positive, so that logarithms exist, and no two windows are alike."""
    noise = np.random.default_rng(7).uniform(0.8, 1.2, (series, length))
    rows = [
        (f"s{s}", t, 10.0 * (s + 1) * (1 + 0.3 * (t % 4)) * (1 + t / 50) * noise[s, t])
        for s in range(series)
        for t in range(length)
    ]
    return pl.DataFrame(rows, schema=["s", "t", "y"], orient="row")


def prepared(frame: pl.DataFrame | None = None, **options: Any) -> tuple[Any, Any]:
    task = ForecastTask(ForecastOptions(**{**SMALL, **options}))
    return task, task.prepare(table() if frame is None else frame)


def some(task: Any, parts: Any) -> Batch:
    return task.batches(parts.train, 0, Shard())[0]


def changed(batch: Batch, **tensors: Any) -> Batch:
    return Batch(**(batch._asdict() | tensors))


# -- ways to decode ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_fresh_network_corrects_nothing_and_then_learns(way: str) -> None:
    task, parts = prepared(decoding=way, linear="none", ensemble=2)
    torch.manual_seed(1)
    model, batch = task.build(), some(task, parts)
    point, quantiles = model(batch)[:, :, 0], model(batch)[:, :, 1:]
    torch.testing.assert_close(point, batch.base)
    torch.testing.assert_close(quantiles - point.unsqueeze(2), model.spread[:, 1:].expand(len(batch), -1, -1))
    optimizer, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(30):
        loss = task.loss(model, batch, {}).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in model.parameters())


@pytest.mark.parametrize("way", WAYS)
def test_each_step_sees_what_is_known_of_it_ahead(way: str) -> None:
    task, parts = prepared(decoding=way)
    model, batch = _stirred(task.build().eval()), some(task, parts)
    later = batch.future.clone()
    later[:, 4] += 1.0
    change = (model(changed(batch, future=later)) - model(batch)).abs().detach().amax(dim=(0, 2))
    assert change[4] > 1e-4
    if way in ("recursive", "attention"):  # neither looks ahead
        assert change[:4].max() < 1e-6


def test_recursive_steps_feed_on_each_other() -> None:
    task, parts = prepared(decoding="recursive", linear="none")
    model, batch = _stirred(task.build().eval()), some(task, parts)
    base = batch.base.clone()
    base[:, 0] += 1.0  # the first step's forecast, which the second one reads as a value
    change = (model(changed(batch, base=base)) - model(batch)).abs().detach().amax(dim=(0, 2))
    assert change[0] == pytest.approx(1.0, abs=1e-5)
    assert change[1] > 1e-4


def test_attention_looks_back_at_every_step() -> None:
    task, parts = prepared(decoding="attention")
    model, batch = _stirred(task.build().eval()), some(task, parts)
    inputs = batch.inputs.clone().requires_grad_()
    model(changed(batch, inputs=inputs)).sum().backward()
    assert inputs.grad is not None
    assert (inputs.grad[:, :, 0].abs().amax(1) > 0).all()


@pytest.mark.parametrize("scale", ["deviation", "last"])
def test_a_network_may_correct_the_last_value(scale: str) -> None:
    frame = table().with_columns(pl.when(pl.col("t") == 40).then(None).otherwise("y").alias("y"))
    task, parts = prepared(frame, base="last", linear="none", scale=scale)
    windows = parts.train.take(np.flatnonzero(parts.train.cuts == 41))  # the last value is not known
    expected = baselines.all_naive(windows)["naive"]
    assert not np.allclose(expected, baselines.all_naive(windows)["seasonal naive"])
    with torch.no_grad():
        found = task.forecasts(task.build().eval(), windows)[:, :, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_segments_read_what_is_static_once_each() -> None:
    """Of any length, and also where the window is filled up in front and the horizon behind."""
    frame = table().with_columns(kind=pl.col("s"))
    task, parts = prepared(frame, decoding="segments", segment=4, static=("kind",))
    model, batch = _stirred(task.build().eval()), some(task, parts)
    decoder = model.members[0]
    changing, future = (each - 3 for each in parts.train.channels[:2])
    assert decoder.read.in_features == 4 * changing + 3
    assert decoder.future.in_features == 4 * future + 3
    own = batch.future[:, 0, -3:]
    assert (decoder.cut(batch.inputs.transpose(0, 1), front=2)[:, :, -3:] == own[:, None]).all()
    assert (decoder.cut(batch.future, back=3)[:, :, -3:] == own[:, None]).all()
    other = changed(batch, future=torch.cat([batch.future[:, :, :-3], own.roll(1, 1)[:, None].expand(-1, 5, -1)], 2))
    assert ((model(other) - model(batch)).abs().amax((0, 2)) > 1e-4).all()


@pytest.mark.parametrize("segment", [1, 3, 4, 10])
def test_segments_of_any_length_fill_horizon_and_window(segment: int) -> None:
    task, parts = prepared(decoding="segments", segment=segment)
    batch = some(task, parts)
    assert task.build()(batch).shape == (*batch.truth.shape, 12)


def test_gru_d_is_told_of_gaps() -> None:
    mask = torch.tensor([1.0, 0, 0, 1, 0]).reshape(5, 1, 1)
    assert time_since(mask).flatten().tolist() == [0, 1, 2, 3, 1]
    frame = table().with_columns(pl.when(pl.col("t") % 5 == 2).then(None).otherwise("y").alias("y"))
    task, parts = prepared(frame, cell="gru_d")
    model, batch = _stirred(task.build().eval()), some(task, parts)
    hidden = batch.inputs.clone()
    hidden[:, :, 0] += 9 * (1 - hidden[:, :, 1])  # what stands where nothing was seen
    torch.testing.assert_close(model(changed(batch, inputs=hidden)), model(batch))


def _stirred(model: torch.nn.Module) -> torch.nn.Module:
    """Weights that are nowhere 0, as a fresh model's last maps are."""
    torch.manual_seed(3)
    with torch.no_grad():
        for each in model.parameters():
            each.add_(0.2 * torch.randn_like(each))
    return model


# -- linear map, ensemble, transforms ---------------------------------------------------------------------------


def test_the_solved_map_is_ridge_and_shrugs_off_wild_windows() -> None:
    """Least squares gives the line's weights; one wild window spoils them, but not those of absolute errors."""
    frame = pl.DataFrame({"s": "a", "t": np.arange(80), "y": 3.0 + 0.5 * np.arange(80) + np.sin(np.arange(80))})
    for loss, spoilt in (("mse", True), ("mae", False)):
        task, parts = prepared(frame, loss=loss, ridge=1e-6, quantiles=())
        model = task.build()
        clean = make_batch(parts.test, np.arange(1))
        np.testing.assert_allclose(model(clean).detach()[:, :, 0], clean.truth, atol=0.02)
        parts.train.values[parts.train.offsets[0] + SMALL["lookback"] + 40] = 500.0
        solve(model, parts.train, task.options)
        off = (model(clean).detach()[:, :, 0] - clean.truth).abs().max()
        assert (off > 0.1) == spoilt, (loss, off)


def test_a_fixed_map_stays_and_a_solved_one_moves() -> None:
    for kind, stays in (("fixed", True), ("solved", False)):
        task, parts = prepared(linear=kind)
        model = task.build()
        before = model.linear.weight.detach().clone()
        moving = [each for each in model.parameters() if each.requires_grad]
        task.loss(model, some(task, parts), {}).loss.backward()
        torch.optim.SGD(moving, 0.1).step()
        assert torch.equal(before, model.linear.weight) == stays


def test_members_differ_and_their_mean_is_forecast() -> None:
    task, parts = prepared(ensemble=3)
    torch.manual_seed(2)
    model, batch = task.build(), some(task, parts)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        task.loss(model, batch, {}).loss.backward()
        optimizer.step()
    each = model.eval().each(batch).detach()
    assert each.shape[0] == 3
    assert (each[0] - each[1]).abs().max() > 1e-4
    torch.testing.assert_close(model(batch).detach(), each.mean(0))
    alone = [float(forecast_loss(one, batch, torch.tensor(task.options.quantiles), "mae")) for one in each]
    together = float(forecast_loss(each, batch, torch.tensor(task.options.quantiles), "mae"))
    assert together == pytest.approx(np.mean(alone), rel=1e-5)


@pytest.mark.parametrize("transform", ["difference", "log-difference"])
@pytest.mark.parametrize("scale", ["deviation", "last"])
def test_differences_add_up_to_values_again(transform: str, scale: str) -> None:
    """The inputs are steps between points; the fresh forecast is the seasonal naive one in the data's own unit."""
    task, parts = prepared(transform=transform, scale=scale, linear="learned")
    batch = make_batch(parts.test, np.arange(3))
    past = parts.test.past(np.arange(3))
    past = np.log(past) if transform.startswith("log") else past
    steps = np.diff(past, axis=1) / batch.scale[:, None]
    np.testing.assert_allclose(batch.inputs[1:, :, 0].T, steps, rtol=1e-4, atol=1e-5)
    assert (batch.inputs[0, :, 1] == 0).all()  # the first step has none before it
    with torch.no_grad():
        forecasts = task.forecasts(task.build().eval(), parts.test)
    np.testing.assert_allclose(forecasts[:, :, 0], baselines.all_naive(parts.test)["seasonal naive"], rtol=1e-4)


def test_changes_since_the_last_value_have_one_unit() -> None:
    task, parts = prepared(scale="last", transform="log")
    batch = make_batch(parts.test, np.arange(3))
    np.testing.assert_allclose(batch.center, np.log(parts.test.past(np.arange(3))[:, -1]))
    assert set(batch.scale) == {task.options.unit}
    values = [np.log(part[:-10]) for part in parts.test.panel]
    assert task.options.unit == pytest.approx(np.mean([np.abs(v[5:] - v[:-5]) for v in values]))


def test_mape_is_the_share_of_the_truth() -> None:
    task, parts = prepared(transform="log", scale="last", loss="mape", quantiles=(), linear="none")
    batch = make_batch(parts.test, np.arange(3))
    with torch.no_grad():
        loss = float(forecast_loss(task.build()(batch), batch, torch.zeros(0), "mape")) * (task.options.unit or 0)
    naive, truth = baselines.all_naive(parts.test)["seasonal naive"], parts.test.truth()
    assert loss == pytest.approx(np.mean(np.abs(naive - truth) / truth), rel=1e-4)


# -- intervals and refitting ------------------------------------------------------------------------------------


def test_wide_windows_are_stretched_more_than_narrow_ones() -> None:
    """Errors in proportion to the width that the model gives: one factor makes calm and restless windows cover."""
    generator = np.random.default_rng(4)
    width = generator.choice([0.1, 10.0], (4000, 1, 1))
    quantiles = width * np.array([-1.0, 0, 1]) * np.ones((1, 2, 1))
    truth = generator.normal(size=(4000, 2)) * width[:, :, 0]
    wide = stretched(quantiles, conformal(quantiles, truth, (0.05, 0.5, 0.95)))
    inside = (wide[:, :, 0] <= truth) & (truth <= wide[:, :, 2])
    for each in (0.1, 10.0):
        assert inside[width[:, 0, 0] == each].mean() == pytest.approx(0.9, abs=0.02)
    np.testing.assert_allclose(stretched(quantiles, np.ones((2, 3))), quantiles)


def test_refit_learns_up_to_the_end_of_validation_and_keeps_the_intervals(tmp_path: Path) -> None:
    options = ForecastOptions(**{**SMALL, "epochs": 3, "refit_epochs": 1, "keep": "last"})
    task, seen = ForecastTask(options), _Adjustments()
    trained = jobs.train(task, table(), out=tmp_path / "run", callbacks=[seen], quiet=True)
    parts = ForecastTask(options).prepare(table())
    learner = Learner(task, parts)
    before, after = (learner.batches(epoch, Shard()).windows for epoch in (1, 2))
    assert before.cuts.max() == 45  # 60, less test and validation, less a horizon
    assert after.cuts.max() == 50
    assert len(task.joined(parts)) == len(parts.train) + 3 * 5
    assert isinstance(trained.model, Forecast)
    assert torch.equal(seen.found[1], trained.model.adjustment)
    assert not torch.equal(seen.found[0], seen.found[1])


class _Adjustments(Callback):
    """Notes the intervals' factors after each epoch."""

    def __init__(self) -> None:
        self.found: list[torch.Tensor] = []

    def validated(self, trainer: Any, row: Any) -> None:
        self.found.append(trainer.model.adjustment.clone())


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"refit_epochs": 1, "keep": "best"}, "keep=last"),
        ({"segment": 4, "decoding": "direct"}, "decoding=segments"),
        ({"cell": "gru_d", "decoding": "segments"}, "another decoding"),
        ({"loss": "mape", "transform": "none"}, "transform=log"),
    ],
)
def test_options_that_cannot_act_are_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        ForecastOptions(**wrong)


@pytest.mark.parametrize("way", ["segments", "recursive", "attention"])
def test_a_run_of_each_kind_is_loaded_the_same(way: str, tmp_path: Path) -> None:
    options = ForecastOptions(**SMALL | {"decoding": way, "ensemble": 2, "transform": "log-difference"})
    trained = jobs.train(ForecastTask(options), table(), out=tmp_path / "run", quiet=True)
    assert jobs.load(tmp_path / "run").predict(None) == trained.predict(None)


def test_without_quantiles_points_alone_are_forecast(tmp_path: Path) -> None:
    model = gatework.Forecaster(**SMALL, quantiles=(), out=str(tmp_path / "run")).fit(table())
    found = model.predict()
    assert found.columns == ["series", "time", "forecast"] and len(found) == 15
    exported = gatework.runtime.load(gatework.export(tmp_path / "run", tmp_path / "run.safetensors").files[0])
    answers = [row["forecast"] for row in exported.predict()]
    np.testing.assert_allclose(answers, found["forecast"], rtol=1e-5)


def test_no_forecast_leaves_its_limits(tmp_path: Path) -> None:
    """Of counts of 0 and 1: quantiles, forecasts beyond the horizon and baselines stay at 0 or above, too."""
    rng = np.random.default_rng(5)
    counts = {"step": np.arange(120), "sold": (rng.random(120) < 0.4).astype(float)}
    small = CHOSEN | {"horizon": 4, "season": 4, "lookback": 8, "epochs": 1, "hidden_size": 4, "width": 2}
    small |= {"valid_windows": 1}
    both = ({"limits": "none"}, {"lowest": 0, "highest": 1.5})
    free, limited = (gatework.Forecaster(**small, **more).fit(counts) for more in both)
    assert free.predict()["q0.05"].min() < 0
    with pytest.warns(UserWarning, match="trained for 4 steps"):
        far = limited.predict(8).drop("series", "time").to_numpy()
    assert far.min() >= 0 and far.max() <= 1.5 and len(far) == 8
    np.testing.assert_array_equal(
        limited.predict()["q0.5"], np.clip(free.predict()["q0.5"].to_numpy(), 0, 1.5)
    )  # what is learned is the same
    with pytest.raises(DataError, match="lowest=0 says that no value is below it, but series 'sold' has -1"):
        gatework.Forecaster(**small, lowest=0).fit({**counts, "sold": counts["sold"] - 1})
    with pytest.raises(OptionError, match="lowest=2 must be below highest=1"):
        gatework.Forecaster(**small, lowest=2, highest=1).fit(counts)
