"""Options against learning rows by heart: what each does to values and gradients, and that every job has them."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gatework
from gatework.data.augment import Augmentation, warped, warped_places
from gatework.data.codecs import UNKNOWN
from gatework.data.ragged import Ragged
from gatework.errors import OptionError
from gatework.networks.embedding import Embedding
from gatework.networks.encoder import recurrent_stack
from gatework.tasks import jobs
from gatework.tasks.classify import Classify, ClassifyOptions
from gatework.tasks.classify.examples import Batches, Examples
from gatework.tasks.classify.model import Classifier
from gatework.tasks.forecast import ForecastOptions, ForecastTask
from gatework.tasks.generate import Generate, GenerateOptions
from gatework.tasks.generate.model import LanguageModel
from gatework.training.learner import Shard
from gatework.training.optimizer import add_penalties
from gatework.training.options import kinds
from gatework.training.regularisation import RecurrentOptions
from small import CHOSEN

I, H = 3, 40
STATES = ("recurrent_dropout", "weight_drop", "zoneout", "layer_norm")


def ragged(lengths: tuple[int, ...] = (9, 1, 30), channels: int = 2) -> Ragged:
    random = np.random.default_rng(3)
    return Ragged.of([random.normal(size=(n, channels)).astype(np.float32) for n in lengths])


# -- weight drop ------------------------------------------------------------------------------------------------


def gradients(layer: torch.nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    layer.zero_grad()
    layer(x)[0].square().sum().backward()
    return {name: each.grad.clone() for name, each in layer.named_parameters() if each.grad is not None}


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before", "gru_d", "slstm"])
def test_weight_drop_drops_matrices_on_states_and_their_gradients(cell: str) -> None:
    """A dropped weight has no gradient; those on inputs have one."""
    torch.manual_seed(1)
    layer, x = gatework.Recurrent(cell, I, H, weight_drop=0.3), torch.randn(12, 4, I)
    inputs = {each.name: torch.rand(12, 4, I) for each in layer.graph.inputs[1:]}
    layer(x, **inputs)[0].square().sum().backward()
    zero = {name: float((each.grad == 0).double().mean()) for name, each in layer.named_parameters() if each.dim() > 1}
    for name, share in zero.items():
        operand = name.split("_")[-2]  # "0" is r * h
        if operand in ("h", "0"):
            assert abs(share - 0.3) < 0.05, name
        if operand == "x":
            assert share < 0.01, name
    assert {name.split("_")[-2] for name in zero} & {"h", "0"}


def test_weight_drop_scales_what_it_keeps_and_draws_anew_in_each_call() -> None:
    torch.manual_seed(2)
    layer = gatework.LSTM(I, H, 2, bidirectional=True, weight_drop=0.5)
    found = [layer.params_of_call(3) for _ in range(2)]
    weights = layer._params(3)
    ratios = found[0][1] / weights[1]  # weight_hh
    assert set(ratios.unique().round(decimals=4).tolist()) == {0.0, 2.0}
    assert not torch.equal(found[0][1], found[1][1])
    assert all(torch.equal(found[0][n], weights[n]) for n in (0, 2, 3))
    torch.testing.assert_close(torch.stack([layer.params_of_call(0)[1] for _ in range(900)]).mean(0),
                               layer._params(0)[1], atol=0.03, rtol=0.0)  # fmt: skip


def test_weight_drop_is_what_it_is_by_hand() -> None:
    """The same mask, put into the weights of a plain layer, gives the same values and the masked gradient."""
    torch.manual_seed(3)
    layer, plain, x = gatework.GRU(I, 8, weight_drop=0.4), gatework.GRU(I, 8), torch.randn(7, 2, I)
    plain.load_state_dict(layer.state_dict())
    torch.manual_seed(4)
    ours, output = gradients(layer, x), layer(x)[0]
    torch.manual_seed(4)
    mask = layer.params_of_call(0)[1].detach() / layer._params(0)[1].detach()
    with torch.no_grad():
        plain._params(0)[1].mul_(mask)
    theirs = gradients(plain, x)
    torch.testing.assert_close(ours["weight_hh_l0"], theirs["weight_hh_l0"] * mask)
    torch.testing.assert_close(ours["weight_ih_l0"], theirs["weight_ih_l0"])
    assert not torch.equal(output, plain(x)[0])  # the call after drew another mask
    torch.testing.assert_close(layer.eval()(x)[0], layer(x)[0], atol=0, rtol=0)


def test_weight_drop_without_gradients_and_changed_later() -> None:
    layer, x = gatework.LSTM(I, 8), torch.randn(5, 2, I)
    with torch.no_grad():
        before = layer(x)[0]
        layer.weight_drop = 0.5
        assert not torch.equal(layer(x)[0], before)
        assert torch.equal(layer.eval()(x)[0], before)
    assert "weight_drop=0.5" in repr(layer)


def test_weight_drop_is_refused_where_no_matrix_multiplies_a_state() -> None:
    with pytest.raises(OptionError, match="weight_drop means nothing for mingru"):
        gatework.Recurrent("mingru", I, 8, weight_drop=0.1)
    with pytest.raises(OptionError, match="weight_drop is a probability"):
        gatework.LSTM(I, 8, weight_drop=1.5)
    with pytest.raises(OptionError, match=r"do not have \(weight_drop\)"):
        gatework.layers.to_torch(torch.nn.Sequential(gatework.LSTM(I, 8, weight_drop=0.5)))


# -- the stack that every job builds ---------------------------------------------------------------------------


@pytest.mark.parametrize("option", STATES)
@pytest.mark.parametrize("cell", ["lstm", "mgu"])
def test_each_option_of_states_acts(option: str, cell: str) -> None:
    setting: dict[str, Any] = {option: True if option == "layer_norm" else 0.5}
    options = RecurrentOptions(cell=cell, hidden_size=6, **setting)
    stack, x = recurrent_stack(options, I, 2), torch.randn(9, 2, I)
    assert stack.num_layers == 2
    assert getattr(stack, option)
    noisy = not torch.equal(stack(x)[0], stack(x)[0])
    assert noisy == (option != "layer_norm")
    assert torch.equal(stack.eval()(x)[0], stack(x)[0])


def test_precision_is_that_of_products_in_training() -> None:
    stack = recurrent_stack(RecurrentOptions(hidden_size=6, precision="bf16"), I, 2)
    plain = recurrent_stack(RecurrentOptions(hidden_size=6), I, 2)
    plain.load_state_dict(stack.state_dict())
    x = torch.randn(9, 2, I)
    assert 0 < (stack(x)[0] - plain(x)[0]).abs().max() < 0.02
    assert torch.equal(stack.eval()(x)[0], plain(x)[0])
    with pytest.raises(OptionError, match="precision"):
        RecurrentOptions(precision="int8")


def test_zoneout_in_evaluation_is_the_expectation() -> None:
    """For one step from h = 0 the mean over masks is (1 - rate) times the new state; evaluation gives just that."""
    torch.manual_seed(5)
    stack = recurrent_stack(RecurrentOptions(cell="rnn", hidden_size=4, zoneout=0.25), I)
    plain = recurrent_stack(RecurrentOptions(cell="rnn", hidden_size=4), I)
    plain.load_state_dict(stack.state_dict())
    x = torch.randn(1, 1, I)
    torch.testing.assert_close(stack.eval()(x)[0], 0.75 * plain(x)[0])
    mean = stack.train()(x.expand(1, 20_000, I))[0].mean(1, keepdim=True)
    torch.testing.assert_close(mean, 0.75 * plain(x)[0], atol=0.02, rtol=0)


def test_options_that_mean_nothing_for_a_cell_are_refused_when_it_is_built() -> None:
    for option, cell in (("recurrent_dropout", "mingru"), ("weight_drop", "sru"), ("zoneout", "slstm")):
        setting: dict[str, Any] = {option: 0.2}
        with pytest.raises(OptionError, match="means nothing for"):
            recurrent_stack(RecurrentOptions(cell=cell, hidden_size=4, **setting), I)


@pytest.mark.parametrize("Options", [ClassifyOptions, GenerateOptions, ForecastOptions])
def test_every_job_has_the_options_under_one_name(Options: Any) -> None:
    names = {field.name for field in dataclasses.fields(Options)}
    numeric = {"jitter", "rescale", "window_warp"} if Options is not GenerateOptions else set()
    words = {"word_dropout"} if Options is not ForecastOptions else set()
    shared = {"l1", "l2", "weight_decay", "dropout", *STATES} | numeric | words
    assert names >= {*shared, "precision"}
    assert {kinds(Options)[name][0] for name in shared - {"layer_norm"}} == {float}, "redeclared as something else"
    for name in (*STATES[:3], "dropout", "l1", "l2"):
        negative: dict[str, Any] = {name: -0.1}
        with pytest.raises(OptionError, match=name):
            Options(**negative)


def test_penalties_are_the_gradients_of_their_sums() -> None:
    weight = torch.nn.Parameter(torch.randn(3, 4))
    (0.3 * weight.abs().sum() + 0.2 * weight.square().sum()).backward()
    wanted, weight.grad = weight.grad, torch.zeros_like(weight)
    add_penalties([weight], 0.3, 0.2)
    torch.testing.assert_close(weight.grad, wanted)


@pytest.mark.parametrize("task", ["classify", "generate"])
def test_word_dropout_is_a_share_of_units_made_the_unknown_unit_in_every_job(task: str) -> None:
    task_options: dict[str, Any] = {"hidden_size": 6, "word_dropout": 0.4}
    if task == "classify":
        embedding = Classifier(ClassifyOptions(**task_options), 2, 9, 0).embedding
    else:
        embedding = LanguageModel(9, GenerateOptions(**task_options)).decoder.embedding
    assert isinstance(embedding, Embedding)
    vectors = embedding(torch.full((50, 40), 5))
    share = float((vectors == embedding.weight[UNKNOWN]).all(2).double().mean())
    assert abs(share - 0.4) < 0.05


# -- changed copies of numbers ---------------------------------------------------------------------------------


def test_warping_keeps_length_ends_and_order() -> None:
    lengths = np.array([1, 2, 3, 10, 400])
    places = warped_places(lengths, 0.3, np.random.default_rng(0))
    assert len(places) == lengths.sum()
    for part, n in zip(np.split(places, np.cumsum(lengths)[:-1]), lengths, strict=True):
        assert part[0] == 0
        assert abs(part[-1] - (n - 1)) < 1e-9
        assert (np.diff(part) > 0).all()
    steps = np.diff(places[-400:])
    speeds = steps / np.median(steps)
    assert abs((np.abs(speeds - 1) > 0.1).mean() - (0.3 * 2 if speeds.min() < 0.6 else 0.15)) < 0.2
    assert {round(float(s), 1) for s in speeds} & {0.5, 2.0}, "a part runs at half or double speed"


def test_a_warped_ramp_is_its_places_and_nothing_else_changes() -> None:
    ramp = Ragged.of([np.arange(n, dtype=float)[:, None] for n in (5, 50)])
    values = warped(ramp, 0.5, np.random.default_rng(1))[:, 0]
    np.testing.assert_allclose(values, warped_places(ramp.lengths, 0.5, np.random.default_rng(1)))
    np.testing.assert_allclose(warped(ramp, 0.0, np.random.default_rng(1))[:, 0], ramp.values[:, 0])


def test_jitter_and_scaling_have_their_size() -> None:
    sequences = ragged((400, 400, 400))
    noise = Augmentation(jitter=0.2).sequences(sequences, np.random.default_rng(0)).values - sequences.values
    assert abs(noise.std() - 0.2) < 0.01
    scaled = Augmentation(rescale=0.3).sequences(sequences, np.random.default_rng(0)).values / sequences.values
    by_sequence = scaled.reshape(3, 400, 2)
    assert np.ptp(by_sequence, axis=1).max() < 1e-4, "one factor for a channel of a sequence"
    assert len(np.unique(by_sequence[:, 0].round(4))) == 6
    many = Augmentation(rescale=0.3).sequences(Ragged.of([np.ones((1, 1))] * 5000), np.random.default_rng(0)).values
    assert abs(np.log(many).std() - 0.3) < 0.02


def test_changed_windows_keep_their_futures_and_gaps() -> None:
    values = np.arange(60, dtype=float).reshape(3, 20)
    values[0, :5] = np.nan
    change, random = Augmentation(jitter=0.1), np.random.default_rng
    noisy = change.windows(values, 15, random(0))
    assert np.array_equal(noisy[:, 15:], values[:, 15:])
    assert np.array_equal(np.isnan(noisy), np.isnan(values))
    assert not np.array_equal(noisy[1:, :15], values[1:, :15])
    scaled = Augmentation(rescale=0.5).windows(values, 15, random(0)) / values
    assert np.nanmax(np.ptp(scaled[1:, 1:], axis=1)) < 1e-9, "past and future get the same factor"
    bent = Augmentation(window_warp=0.5).windows(values, 15, random(0))
    assert bent.shape == values.shape
    assert (np.diff(bent[1:], axis=1) > 0).all()


def test_changes_of_a_batch_follow_torchs_generator() -> None:
    """As the checkpoint holds its state, a resumed training sees the same copies; without changes nothing is drawn."""
    examples = Examples(ragged((9, 4, 30, 7)), np.arange(4), str)
    changed = Batches(examples, 4, 1, 0, Shard(), Augmentation(jitter=0.1, rescale=0.1, window_warp=0.3))
    state = torch.get_rng_state()
    first, second = changed[0].values, changed[0].values
    torch.set_rng_state(state)
    assert torch.equal(changed[0].values, first)
    assert not torch.equal(first, second)
    assert torch.equal(changed[0].labels, Batches(examples, 4, 1, 0, Shard())[0].labels)
    state = torch.get_rng_state()
    plain = Batches(examples, 4, 1, 0, Shard())
    assert torch.equal(plain[0].values, plain[0].values)
    assert torch.equal(torch.get_rng_state(), state)


# -- whole jobs ---------------------------------------------------------------------------------------------------

EVERYTHING: dict[str, Any] = {
    "l1": 1e-5, "l2": 1e-5, "dropout": 0.1, "recurrent_dropout": 0.1, "weight_drop": 0.1, "zoneout": 0.1,
    "jitter": 0.1, "rescale": 0.1, "window_warp": 0.2, "hidden_size": 5, "epochs": 2, "batch_size": 8, "threads": 1,
    "precision": "bf16",
}  # fmt: skip


def table(days: int = 60) -> dict[str, list[Any]]:
    start = datetime(2024, 1, 1)
    return {
        "day": [start + timedelta(days=day) for day in range(days)],
        "units": [10.0 + day % 7 + day * 37 % 11 / 7 for day in range(days)],
    }


def classify(**options: Any) -> tuple[Any, Any]:
    rows = ragged(tuple(range(4, 44)))
    return Classify(ClassifyOptions(**{**EVERYTHING, **options})), {"values": [*rows], "label": [0, 1] * 20}


def forecast(**options: Any) -> tuple[Any, Any]:
    settings = CHOSEN | {"horizon": 3, "season": 7, "lookback": 10, "width": 2}
    return ForecastTask(ForecastOptions(**{**EVERYTHING, **settings, **options})), table()


@pytest.mark.parametrize("job", [classify, forecast])
def test_a_stopped_run_with_everything_goes_on_bit_for_bit(job: Any, tmp_path: Path) -> None:
    class Stop(gatework.training.callbacks.Callback):
        def stepped(self, trainer: Any) -> None:
            if trainer.step == 3:
                trainer.stop(gatework.training.trainer.INTERRUPTED)

    whole = jobs.train(*job(), out=tmp_path / "whole", quiet=True)
    jobs.train(*job(), out=tmp_path / "parts", quiet=True, callbacks=[Stop()])
    resumed = jobs.train(*job(), out=tmp_path / "parts", quiet=True, resume=True)
    weights = whole.model.state_dict()
    assert all(torch.equal(weights[name], each) for name, each in resumed.model.state_dict().items())
    results = resumed.run.results()
    assert results["train"].keys() == results["valid"].keys()
    assert 0 < results["train"]["loss"] < 10
    other = jobs.train(*job(jitter=0.2), out=tmp_path / "other", quiet=True)
    assert any(not torch.equal(weights[name], each) for name, each in other.model.state_dict().items())


def test_the_gap_is_measured_in_evaluation_mode_on_training_examples() -> None:
    task, source = classify(dropout=0.9)
    parts = task.prepare(source)
    seen = task.some(parts.train, len(parts.valid))
    assert len(seen) == len(parts.valid)
    assert all(any(np.array_equal(row, each) for each in parts.train.inputs) for row in seen.inputs)
    book = Generate(GenerateOptions(tokenizer="words"))
    parts = book.prepare([" ".join(f"one {n} two;" for n in range(200))])
    seen = book.some(parts.train, len(parts.valid))
    assert torch.equal(seen.ids, parts.train.ids[-len(parts.valid) :])
    assert seen.characters == len(book.tokens.text(seen.ids[1:].tolist()))
    series, table = forecast()
    parts = series.prepare(table)
    seen = series.some(parts.train, 7)
    assert len(seen) == 7
    assert {0, len(parts.train) - 1} <= {int(np.flatnonzero(parts.train.cuts == cut)[0]) for cut in seen.cuts}
    assert np.isfinite(seen.scales).any()


def test_changes_that_do_not_fit_the_rows_are_refused() -> None:
    texts = {"text": [f"{word} film {n}" for n in range(20) for word in ("good", "bad")], "label": ["a", "b"] * 20}
    with pytest.raises(OptionError, match="the rows are texts"):
        Classify(ClassifyOptions(jitter=0.1)).prepare(texts)
    with pytest.raises(OptionError, match="word_dropout works on texts"):
        Classify(ClassifyOptions(word_dropout=0.1)).prepare(classify()[1])
    task = Classify(ClassifyOptions())
    task.prepare(texts)
    assert task.options.word_dropout == 0.1
