"""Exported generators against their runs: the same texts from the same seeds, without the libraries of the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gatework
from exports import bare
from gatework import tasks
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.runtime import exported as files
from gatework.runtime.counts import Order, Tables
from gatework.runtime.drawing import Drawing, uniform
from gatework.tasks import jobs
from small import book

PROMPTS = ["the film sat", "dull. the ", "", "Zebra €", "on\nthe"]
SETTINGS: list[dict[str, Any]] = [
    {},
    {"cell": "gru", "layers": 2, "tied": True, "embedding_size": 5, "ngram_length": 0},
    {"cell": "mgu", "tokenizer": "bpe", "vocabulary": 320, "ngram_share": 0.5},
    {"cell": "lstm_peephole", "tokenizer": "words", "vocabulary": 300, "tied": True, "dropout": 0.0},
    {"cell": "rnn", "backwards": True, "layer_norm": True, "layers": 2, "zoneout": 0.2},
]


def trained(folder: Path, **options: Any) -> Any:
    quick = {"hidden_size": 6, "epochs": 1, "sequence_length": 16, "batch_size": 8, "sample_length": 40}
    kind = tasks.get("generate")
    return jobs.train(kind(kind.Options.of({**quick, **options})), book(), out=folder)


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda options: "-".join(map(str, options.values())) or "usual")
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("run")
    run = trained(folder / "run", **request.param)
    gatework.export(run, folder / "model.safetensors")
    return run, folder / "model.safetensors"


def test_answers_are_the_run_s(both: tuple[Any, Path]) -> None:
    run, file = both
    found = bare(file, PROMPTS)
    assert found == run.predict(PROMPTS)


@pytest.mark.filterwarnings("ignore:the model never saw")
def test_texts_are_the_run_s_however_they_are_drawn(both: tuple[Any, Path]) -> None:
    run, file = both
    model = gatework.runtime.load(file)
    for how in ({}, {"temperature": 0}, {"temperature": 1.5, "seed": 1 << 40}, {"top_k": 3}, {"top_p": 0.7, "seed": 9}):
        for prompt in PROMPTS[2:4]:
            wanted = "".join(run.task.write(run.model, prompt, length=30, **how))
            assert "".join(model.generate(prompt, length=30, **how)) == wanted


def test_each_step_has_the_run_s_distribution(both: tuple[Any, Path]) -> None:
    run, file = both
    model = gatework.runtime.load(file)
    ids = np.random.default_rng(0).integers(2, len(model.codec), 30)
    states, stepper = {name: each[None] for name, each in model.stepper.start().items()}, model.stepper
    for count, unit in enumerate(ids, 1):
        scores, states = stepper.step(np.array([[unit]]), states)
        wanted = np.exp(run.model.expected(torch.from_numpy(ids[:count])))
        np.testing.assert_allclose(np.exp(scores[0]), wanted, rtol=1e-5, atol=1e-9)
    assert {name: each.shape for name, each in states.items()} == {k: (1, w) for k, w in stepper.widths.items()}


def test_whole_texts_and_steps_are_one_network(both: tuple[Any, Path]) -> None:
    _, file = both
    model = gatework.runtime.load(file)
    ids, lengths = np.random.default_rng(0).integers(2, len(model.codec), (9, 3)), np.array([9, 4, 7])
    whole, step = (model.exported.bound(name) for name in ("whole", "step"))
    found, states = whole(ids=ids, lengths=lengths)["scores"], step.start(3)
    for t, units in enumerate(ids):
        states = step(ids=units, **states)
        scores = states.pop("scores")
        np.testing.assert_allclose(found[t, lengths > t], scores[lengths > t], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    gatework.export(trained(folder / "run"), folder / "model.safetensors")
    return gatework.runtime.load(folder / "model.safetensors")


def test_a_model_steps_unit_by_unit(model: Any) -> None:
    first = model.step("t")
    again = model.step("t")
    model.reset()
    assert model.step("t") == first != again
    assert first["probabilities"][first["unit"]] == first["probability"] == max(first["probabilities"].values())
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=0.05)


def test_what_is_no_step_and_no_prompt_is_refused(model: Any) -> None:
    for row in ("the", "", "€", None, 3):
        with pytest.raises(DataError, match="one unit"):
            model.step(row)
    with pytest.raises(DataError, match="row 2 is 3"):
        model.predict(["a", 3])
    assert model.predict([{"prompt": "the"}]) == model.predict(["the"])


def test_senseless_drawing_is_refused_at_once(model: Any) -> None:
    for how in ({"length": -1}, {"temperature": -1}, {"top_k": -1}, {"top_p": 0}):
        with pytest.raises(OptionError, match=next(iter(how))):
            model.generate("the", **how)
    with pytest.warns(UserWarning, match="never saw '€'"):
        model.generate("€")


@pytest.mark.parametrize("seed", [0, 1, 12345, (1 << 32) + 5])
def test_numbers_are_those_of_torch(seed: int) -> None:
    generator, numbers = torch.Generator().manual_seed(seed), uniform(seed)
    for _ in range(20):
        assert float(torch.rand(1, dtype=torch.double, generator=generator)) == next(numbers)


def test_what_has_no_probability_is_not_drawn() -> None:
    scores = np.log([[0.5, 0.0, 0.5, 0.0]], where=[[True, False, True, False]], out=np.full((1, 4), -np.inf))
    numbers = np.array([[0.0, 0.4999, 0.5, 1 - 2**-53]])
    assert Drawing().drawn(scores, numbers).tolist() == [[0, 0, 2, 2]]


def tables(**changes: Any) -> Tables:
    """Of the text 1 0 1: one order of units, one of pairs."""
    first = Order(np.array([0, 1]), np.array([1, 2]), np.array([3]), np.array([2]))
    second = Order(np.array([3, 4]), np.array([1, 1]), np.array([0, 1, 1]), np.array([0, 1, 1]))
    return Tables(2, [first, second._replace(**changes)])


def test_counts_go_on_from_what_was_read() -> None:
    found = tables()
    found.check()
    (likely,) = found.next(found.place(np.array([0])))
    alone = (np.array([1, 2]) + 2 * 0.5) / 5
    np.testing.assert_allclose(likely, (np.array([0, 1]) + alone) / 2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pairs": np.array([4, 3])}, "not in order"),
        ({"pairs": np.array([3, 6])}, "not in order"),
        ({"pairs": np.array([3.0, 4.0])}, "do not fit"),
        ({"hits": np.array([1])}, "do not fit"),
        ({"totals": np.array([0, 1])}, "do not fit"),
        ({"kinds": np.array([0, 1, -1])}, "less than never"),
    ],
)
def test_tables_that_lead_nowhere_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(FileFormatError, match=told):
        tables(**changes).check()


def test_a_damaged_file_is_refused(model: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    for change in ({"settings": {}}, {"texts": {}}, {"arrays": {}}, {"stacks": []}, {"nets": {}}):
        files.write(files.Exported(**{**vars(model.exported), **change}), other)
        with pytest.raises(FileFormatError, match=r"other\.safetensors"):
            gatework.runtime.load(other)
