"""Measuring changes nothing: of every task, neither model nor task nor examples are others afterwards."""

from __future__ import annotations

import copy
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gatework import tasks
from gatework.tasks.base import Learner, Task
from gatework.training.learner import Shard
from small import CASES, Small


def frozen(thing: Any, seen: tuple[int, ...] = ()) -> Any:
    """All that a thing holds, as plain values that compare by what they are; NaN equals NaN."""
    if id(thing) in seen:
        return "again"
    seen = (*seen, id(thing))
    if isinstance(thing, torch.Tensor):
        thing = thing.detach().numpy()
    if isinstance(thing, np.ndarray):
        return str(thing.dtype), thing.shape, thing.tobytes() if thing.dtype != object else repr(thing.tolist())
    if isinstance(thing, nn.Module):
        return frozen(thing.state_dict(), seen), [each.requires_grad for each in thing.parameters()], thing.training
    if isinstance(thing, dict):
        return {repr(key): frozen(value, seen) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [frozen(value, seen) for value in thing]
    if is_dataclass(thing) and not isinstance(thing, type):
        return {field.name: frozen(getattr(thing, field.name), seen) for field in fields(thing)}
    if type(thing).__module__.startswith("gatework") and hasattr(thing, "__dict__"):
        return frozen(vars(thing), seen)
    return repr(thing)


def prepared(case: Small) -> tuple[Task, Any, nn.Module]:
    torch.manual_seed(0)
    task = case.task()
    parts = task.prepare(case.source())
    return task, parts, task.build().eval()


def test_every_task_has_small_data() -> None:
    assert {case.name for case in CASES} == set(tasks.names())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_measuring_changes_nothing_and_is_the_same_twice(case: Small) -> None:
    task, parts, model = prepared(case)
    before = copy.deepcopy([frozen(each) for each in (vars(task), model, parts)])
    with torch.no_grad():
        Learner(task, parts).validate(model)
        settled = frozen(model)
        for measure in (task.measure, task.watched, task.final_measures):
            for part in (parts.valid, parts.test):
                assert measure(model, part) == measure(model, part)
    assert [frozen(vars(task)), settled, frozen(parts)] == [before[0], frozen(model), before[2]]
    assert (settled != before[1]) is case.settles


@pytest.mark.parametrize("case", CASES, ids=str)
def test_batches_and_losses_change_nothing(case: Small) -> None:
    task, parts, model = prepared(case)
    learner, before = Learner(task, parts), [frozen(each) for each in (vars(task), weights(model.train()), parts)]
    for epoch in (0, 1):
        for batch in learner.batches(epoch, Shard()):
            given = frozen(batch)
            task.loss(model, batch, {}).loss.backward()
            assert frozen(batch) == given
    assert [frozen(each) for each in (vars(task), weights(model), parts)] == before


def weights(model: nn.Module) -> list[Any]:
    """A model but for the running statistics of its normalisation, which training has to move."""
    running = {name for name, each in model.named_modules() if getattr(each, "track_running_stats", False)}
    buffers = {name for name, _ in model.named_buffers() if name.rpartition(".")[0] in running}
    state = {name: tensor for name, tensor in model.state_dict().items() if name not in buffers}
    return [state, [each.requires_grad for each in model.parameters()], model.training]


@pytest.mark.parametrize("case", [each for each in CASES if each.settles], ids=str)
def test_only_validation_rows_that_are_not_learned_settle_anything(case: Small) -> None:
    task, parts, model = prepared(case)
    task.learns_validation = lambda epoch: True
    before = frozen(model)
    with torch.no_grad():
        Learner(task, parts).validate(model)
        assert frozen(model) == before
        task.settle(model, parts.valid)
    assert frozen(model) != before


def test_planted_changes_are_seen() -> None:
    model = nn.BatchNorm1d(2)
    before = frozen({"model": model, "rows": [np.array([1.0, np.nan])]})
    assert before == frozen({"model": copy.deepcopy(model), "rows": [np.array([1.0, np.nan])]})
    assert before != frozen({"model": model, "rows": [np.array([1.0, 2.0])]})
    model(torch.ones(3, 2))
    assert before != frozen({"model": model, "rows": [np.array([1.0, np.nan])]})
