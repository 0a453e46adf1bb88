"""The training loop on a straight line: each option acts, and acts as its definition says."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from gatework.diagnosis.findings import of_curves
from gatework.errors import TrainingError
from gatework.pages import words
from gatework.training import optimizer as optimizers
from gatework.training import schedule
from gatework.training.average import Average
from gatework.training.callbacks import Callback
from gatework.training.console import summary
from gatework.training.finder import find_rate
from gatework.training.interrupts import Interrupts
from gatework.training.learner import Metric, Shard
from gatework.training.options import TrainingOptions
from gatework.training.trainer import Trainer
from learners import Line, fresh


def trained(callbacks: tuple[Callback, ...] = (), learner: Line | None = None, **options: Any) -> Trainer:
    chosen = {"epochs": 6, "learning_rate": 0.05, **options}
    trainer = Trainer(learner or Line(), fresh(), TrainingOptions(**chosen), callbacks=callbacks)
    trainer.fit()
    return trainer


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam", "adamw"])
@pytest.mark.parametrize("course", ["constant", "cosine", "one-cycle", "plateau"])
def test_every_optimizer_learns_with_every_schedule(name: str, course: str) -> None:
    rate = {"sgd": 0.02, "rmsprop": 0.003}.get(name, 0.05)
    history = trained(epochs=15, optimizer=name, schedule=course, learning_rate=rate).progress.history
    assert history[-1]["valid_loss"] < 0.5 * Line().validate(fresh().eval())["loss"]


def test_schedules_at_their_marks() -> None:
    def at(progress: float, **options: Any) -> float:
        return schedule.factor(TrainingOptions(**options), progress)

    assert at(0.0, schedule="constant", warmup=0.5) == 0
    assert at(0.25, schedule="constant", warmup=0.5) == 0.5
    assert at(0.9, schedule="constant", warmup=0.5) == 1
    assert at(0.5, schedule="cosine", warmup=0) == pytest.approx(0.5)
    assert at(1.0, schedule="cosine", warmup=0.2, final_rate=0.1) == pytest.approx(0.1)
    assert at(0.3, schedule="one-cycle") == pytest.approx(1)
    assert at(0.0, schedule="one-cycle") == pytest.approx(1 / 25)


def test_plateau_halves_after_its_patience() -> None:
    plateau = schedule.Plateau(TrainingOptions(schedule="plateau", plateau_patience=1))
    factors = []
    for improved in (True, False, False, False, True, False):
        plateau.validated(improved)
        factors.append(plateau.factor)
    assert factors == [1, 1, 0.5, 0.5, 0.5, 0.5]


class Bumpy(Line):
    """Validation gets worse after the third epoch, whatever the weights."""

    metric = Metric("score", higher=True)

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def validate(self, model: nn.Module) -> dict[str, float]:
        self.seen.append(model.linear.weight.detach().clone())  # pyright: ignore
        return {"score": float(-abs(len(self.seen) - 3)), "loss": 0.0}


def test_early_stopping_restores_the_best_weights() -> None:
    learner = Bumpy()
    trainer = trained(learner=learner, epochs=20, patience=2)
    assert trainer.stopped == "no gain in 2 epochs"
    assert len(trainer.progress.history) == 5
    assert trainer.progress.best_epoch == 3
    assert torch.equal(trainer.model.linear.weight, learner.seen[2])  # pyright: ignore
    assert not torch.equal(learner.seen[2], learner.seen[4])


class Refitted(Line):
    """Learns what it is measured on from the third of six epochs."""

    def batches(self, epoch: int, shard: Shard) -> Sequence[Any]:
        self.learned = epoch >= 2
        return super().batches(epoch, shard)


def test_epochs_that_learned_the_validation_part_are_neither_valid_nor_best() -> None:
    trainer = trained(learner=Refitted(), keep="last")
    history = trainer.progress.history
    assert ["valid_loss" in row for row in history] == [True, True, False, False, False, False]
    assert all("learned_loss" in row for row in history[2:]) and trainer.progress.best_epoch == 2
    assert "learned loss" in summary(trainer, history[-1]) and "best" not in summary(trainer, history[-1])
    told = " ".join(words.gap(history))
    assert "The last 4 of 6 epochs learned the validation part too" in told and "In epoch 2" in told
    assert "Every epoch learned" in words.gap(history[2:])[0]
    assert "Every epoch learned" in of_curves(history[2:], vars(trainer.options))[0].what
    slow = [{**row, "train_loss": 1.0, "valid_loss": 1.0} for row in history[:2]]
    assert "epochs may help" not in " ".join(words.gap([*slow, *history[2:]])), "the loss fell where it was learned"


class Silent(Line):
    """Says nothing for five epochs, then something, and then nothing better."""

    metric = Metric("score", higher=False, idle=1.0)

    def __init__(self) -> None:
        super().__init__()
        self.validations = 0

    def validate(self, model: nn.Module) -> dict[str, float]:
        self.validations += 1
        return {"score": 1.0 if self.validations <= 5 else 0.5, "loss": 0.0}


def test_early_stopping_waits_while_a_model_says_nothing() -> None:
    trainer = trained(learner=Silent(), epochs=20, patience=2)
    assert trainer.stopped == "no gain in 2 epochs"
    assert len(trainer.progress.history) == 8
    first, last = trainer.progress.history[0], trainer.progress.history[-1]
    assert "says nothing yet" in summary(trainer, first) and "says nothing" not in summary(trainer, last)


def test_penalties_are_the_gradients_of_their_definitions() -> None:
    model = fresh()
    weight = model.linear.weight
    (0.3 * weight.abs().sum() + 0.2 * weight.square().sum()).backward()
    wanted = weight.grad.clone()  # pyright: ignore
    weight.grad = torch.zeros_like(weight)
    model.linear.bias.grad = torch.zeros_like(model.linear.bias)
    optimizers.add_penalties(optimizers.matrices(model), 0.3, 0.2)
    torch.testing.assert_close(weight.grad, wanted)
    assert not model.linear.bias.grad.any()


def test_clipping_gives_the_norm_before_it_and_bounds_it_after() -> None:
    model = fresh()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    assert optimizers.clip(list(model.parameters()), 1.0) == pytest.approx(2 * math.sqrt(15))
    assert optimizers.clip(list(model.parameters()), 0.0) == pytest.approx(1.0, rel=1e-5)


def test_averaged_weights_follow_their_formula_and_step_aside() -> None:
    model, decay = fresh(), 0.5
    average, own = Average(model, decay), model.linear.weight.detach().clone()
    followed = own.clone()
    for step in range(1, 5):
        with torch.no_grad():
            model.linear.weight.add_(1.0)
        average.update()
        followed += (1 - min(decay, (1 + step) / (10 + step))) * (model.linear.weight.detach() - followed)
    with average.applied():
        torch.testing.assert_close(model.linear.weight.detach(), followed)
    torch.testing.assert_close(model.linear.weight.detach(), own + 4)


def test_averaging_is_what_validation_and_the_result_use() -> None:
    assert trained(average="ema").best["linear.weight"].ne(trained().best["linear.weight"]).any()


def test_a_nan_goes_back_and_halves_the_rate() -> None:
    trainer = trained(learner=Line(poison=(3, 4)), schedule="constant", warmup=0.0)
    assert len(trainer.progress.events) == 2
    assert "at step 3 of epoch 1 (batch 3) the loss was nan at learning rate 0.05" in trainer.progress.events[0]
    assert "went back to the weights of step 0 and halved the rate" in trainer.progress.events[0]
    assert trainer.progress.rate == 0.05 / 4
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())
    assert trainer.progress.history[-1]["valid_loss"] < trainer.progress.history[0]["valid_loss"]


def test_the_guard_gives_up_with_advice() -> None:
    with pytest.raises(TrainingError, match=r"gave up.*5th time.*gatework check.*learning_rate=0\.00"):
        trained(learner=Line(poison=tuple(range(100))))


def test_without_the_guard_a_nan_stays() -> None:
    trainer = trained(learner=Line(poison=(3,)), nan_guard=False)
    assert math.isnan(trainer.progress.history[-1]["valid_loss"])
    assert not trainer.guard.good  # no weights are copied for it


def test_a_callback_sees_gradients_and_may_stop() -> None:
    class Watcher(Callback):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def started(self, trainer: Trainer) -> None:
            self.seen.append("started")

        def stepped(self, trainer: Trainer) -> None:
            assert all(each.grad is not None for each in trainer.model.parameters())
            self.seen.append("stepped")

        def validated(self, trainer: Trainer, row: dict[str, float]) -> None:
            self.seen.append("validated")
            trainer.stop("enough")

        def finished(self, trainer: Trainer) -> None:
            self.seen.append("finished")

    watcher = Watcher()
    assert trained((watcher,)).stopped == "enough"
    assert watcher.seen == ["started", *["stepped"] * 6, "validated", "finished"]


def test_the_rate_follows_a_time_limit_that_ends_the_training_and_no_other() -> None:
    ended = trained(epochs=1000000, time_limit=0.3, warmup=0.0)
    assert ended.progress.rate < 0.2 * ended.options.learning_rate
    by_steps = trained(epochs=1000000, time_limit=0.3, warmup=0.0, schedule_by="steps")
    assert by_steps.progress.rate > 0.9 * by_steps.options.learning_rate
    far, none = trained(epochs=2, time_limit=1e6), trained(epochs=2)
    assert [row["learning_rate"] for row in far.progress.history] == [
        row["learning_rate"] for row in none.progress.history
    ]


def test_a_time_limit_validates_what_it_has() -> None:
    trainer = trained(epochs=1000000, time_limit=0.2)
    assert trainer.stopped == "time limit of 0.2 s reached"
    assert 0.2 <= trainer.progress.seconds < 2
    assert trainer.best


def test_a_second_ctrl_c_acts_at_once_and_an_echo_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.wanted
        monkeypatch.setattr("gatework.training.interrupts.ECHO", -1.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_comes_too_late_for_a_block_is_for_the_one_around() -> None:
    with Interrupts() as around:
        with Interrupts() as inside:
            signal.raise_signal(signal.SIGINT)
        assert inside.wanted and around.wanted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_rate_finder_proposes_a_rate_that_learns_and_touches_nothing() -> None:
    model, learner = fresh(), Line()
    before, state = model.linear.weight.detach().clone(), torch.get_rng_state()
    found = find_rate(learner, model, TrainingOptions())
    assert torch.equal(model.linear.weight, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert 1e-4 < found.suggestion < 1
    start = learner.validate(model.eval())["loss"]
    assert trained(epochs=8, learning_rate=found.suggestion).progress.history[-1]["valid_loss"] < 0.5 * start
