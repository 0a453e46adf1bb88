"""Diagnoses: gradients by state and step against brute force, gates that are stuck, what curves say, and the advice."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence
from typer.testing import CliRunner

import gatework
from gatework import cells, cli, tasks
from gatework.diagnosis import examples_of, findings
from gatework.diagnosis.gates import Gate, gates_of, with_gates
from gatework.diagnosis.watch import Part, from_the_end, pushed, watched
from gatework.errors import DataError
from gatework.pages import words
from gatework.tasks import jobs

OPTIONS = {"dropout": 0.1, "epochs": 3, "learning_rate": 1e-3, "clip": 5.0, "hidden_size": 8, "weight_decay": 0.0}


class Model(torch.nn.Module):
    def __init__(self, layer: Any):
        super().__init__()
        self.layer = layer

    def forward(self, values: Any) -> Any:
        return self.layer(values)


def stack(kind: Any = gatework.LSTM, **options: Any) -> Model:
    torch.manual_seed(4)
    return Model(kind(3, 4, **options).eval())


# -- gradients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [gatework.LSTM, gatework.GRU])
def test_a_watched_model_says_the_same(kind: Any) -> None:
    """Also of packed rows of unequal length in any order, in two layers and both directions."""
    model = stack(kind, num_layers=2, bidirectional=True)
    rows = pack_sequence([torch.randn(n, 3) for n in (4, 6, 1)], enforce_sorted=False)
    expected, states = model(rows)
    with watched(model) as parts:
        output, last = model(rows)
    torch.testing.assert_close(output.data, expected.data)
    torch.testing.assert_close(last, states)
    assert [part.name for part in parts] == [
        "layer layer 1", "layer layer 1 backward", "layer layer 2", "layer layer 2 backward"
    ]  # fmt: skip
    torch.testing.assert_close(model(rows)[0].data, expected.data)  # as before, when the watch is over
    assert "forward" not in vars(model.layer)


class OwnGRU(gatework.GRU):
    """A subclass, which gives its state as gatework.GRU does."""


def test_a_watched_subclass_is_treated_as_what_it_is() -> None:
    model, values = stack(OwnGRU), torch.randn(5, 2, 3)
    expected = model(values)[1]
    with watched(model):
        last = model(values)[1]
    torch.testing.assert_close(last, expected)


def test_gradients_by_states_are_those_of_a_nudge() -> None:
    """Each state at each step nudged by hand: the loss through all later steps, by central differences."""
    model, inputs = stack().double(), torch.randn(5, 1, 3, dtype=torch.float64)
    with watched(model) as parts:
        (model(inputs)[0][-1] ** 2).sum().backward()
    (part,) = parts
    for place, state in enumerate(("h", "c")):
        for t in range(5):
            by_hand = [nudged(model.layer, inputs, t, place, unit) for unit in range(4)]
            np.testing.assert_allclose(part.pushes[state].grad[t, 0], by_hand, atol=1e-7)  # type: ignore[index]
    back = part.back("h")
    assert back[0] == pytest.approx(float(part.pushes["h"].grad[-1, 0].norm()))  # type: ignore[index]


@torch.no_grad()
def nudged(layer: Any, inputs: torch.Tensor, t: int, place: int, unit: int, size: float = 1e-5) -> float:
    losses = []
    for change in (size, -size):
        states = layer(inputs[: t + 1])[1]
        states[place][0, 0, unit] += change
        last = states[0][0] if t == len(inputs) - 1 else layer(inputs[t + 1 :], states)[0][-1]
        losses.append(float((last**2).sum()))
    return (losses[0] - losses[1]) / (2 * size)


@pytest.mark.parametrize("name", cells.names())
def test_every_cell_can_be_pushed(name: str) -> None:
    graph = cells.get(name).graph
    wide = pushed(graph)
    assert [i.name for i in wide.inputs[len(graph.inputs) :]] == [f"push_{s.name}" for s in graph.states]
    assert len(wide.news) == len(graph.news) and wide.maps == graph.maps


def test_backward_layers_are_read_from_their_end() -> None:
    """The loss sees the last output alone; a backward layer has read that step alone by then."""
    model, rows = stack(bidirectional=True), pack_sequence([torch.randn(n, 3) for n in (6, 4)])
    with watched(model) as parts:
        values, lengths = pad_packed_sequence(model(rows)[0])
        (values[lengths - 1, [0, 1]] ** 2).sum().backward()
    forward, backward = parts
    assert (forward.back("h") > 0).all()
    assert backward.back("h")[-1] > 0 and (backward.back("h")[:3] == 0).all()


def test_rows_are_aligned_at_their_ends() -> None:
    values = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 0.0]])
    assert from_the_end(values, np.array([3, 2])).tolist() == [4.5, 3.5, 1.0]


# -- gates -------------------------------------------------------------------------------------------------------------


def test_gates_are_what_sigmoids_give() -> None:
    assert with_gates(cells.get("lstm").graph)[1] == ["f", "i", "o"]
    assert with_gates(cells.get("gru").graph)[1] == ["r", "z"]
    assert with_gates(cells.get("rnn").graph)[1] == []


@gatework.cell
def unnamed_gate(x, h, W):
    return gatework.sigmoid(W.a(x, h)) * gatework.tanh(W.b(x))


def test_stuck_gates_are_counted_also_without_a_name() -> None:
    torch.manual_seed(0)
    layer = gatework.Recurrent(unnamed_gate, 3, 4).eval()
    with torch.no_grad():
        layer.bias_a_l0.copy_(torch.tensor([-30.0, 30.0, 0.0, 0.0]))  # type: ignore[operator]
    (gate,) = gates_of(Part("layer", layer, 0, 0, torch.randn(7, 2, 3), np.array([7, 3])))
    np.testing.assert_allclose(gate.closed, [1, 0, 0, 0])
    np.testing.assert_allclose(gate.open, [0, 1, 0, 0])
    assert gate.stuck_closed == gate.stuck_open == 0.25
    found = findings.of_gates([gate], OPTIONS)
    assert [each.level for each in found] == ["problem", "problem"] and found[0].setting == "--set hidden_size=4"
    switching = Gate("layer", "f", np.full(4, 0.5), np.full(4, 0.45))
    (found,) = findings.of_gates([switching], OPTIONS | {"learning_rate": 10.0}, {"learning_rate": 1e-3})
    assert "(layer f): 95% or more" in found.what and found.setting == "--set learning_rate=0.001"
    fine = Gate("layer", "f", np.zeros(4), np.zeros(4))
    assert findings.of_gates([fine], OPTIONS)[0].what == "The only gate, f, is not stuck open or closed"
    assert findings.of_gates([fine, fine], OPTIONS)[0].level == "good"


# -- what numbers mean -------------------------------------------------------------------------------------------------


def curve(train: list[float], valid: list[float], **more: Any) -> findings.Finding:
    rows = [
        {"epoch": n + 1.0, "train_loss": t, "valid_loss": v} for n, (t, v) in enumerate(zip(train, valid, strict=True))
    ]
    return findings.of_curves(rows, OPTIONS | more)[0]


def results(own: float, *others: float, higher: bool = True) -> dict[str, Any]:
    rows = [{"name": f"number {n}", "role": "baseline", "metrics": {"score": value}} for n, value in enumerate(others)]
    return {"metric": {"name": "score", "higher": higher}, "valid": {"score": own}, "test": None, "contenders": rows}


def test_a_model_that_learned_nothing_is_told_which_setting_is_odd() -> None:
    usual = {"learning_rate": 0.002, "hidden_size": 128, "epochs": None}
    odd = OPTIONS | {"learning_rate": 10.0, "hidden_size": 1, "epochs": 5}
    (found,) = findings.of_standing(results(0.17, 0.8, 0.17), odd, usual)
    assert "0.17 against 0.17 of number 1" in found.what
    assert found.setting == "--set learning_rate=0.002 --set hidden_size=128"
    assert findings.of_standing(results(0.79, 0.8, 0.17), odd, usual) == []
    assert findings.of_standing(results(1.01, 1.0, 3.0, higher=False), odd, usual) == []
    fine = OPTIONS | {"hidden_size": 128, "epochs": 5}
    (plain,) = findings.of_standing(results(3.0, 1.0, 3.0, higher=False), fine, usual)
    assert plain.setting == "" and "look at the data" in plain.advice
    assert findings.of_standing({}, odd, usual) == [] == findings.of_standing(results(0.1), odd, usual)


def test_a_network_that_adds_nothing_is_named() -> None:
    usual = {"learning_rate": 0.001, "hidden_size": 8, "epochs": None}
    told = results(0.9, 0.8, 0.5) | {"comparison": {"earned": "simple"}, "verdict": "The simple part earned it."}
    (found,) = findings.of_standing(told, OPTIONS | {"epochs": 10, "learning_rate": 1e-7}, usual)
    assert (found.what, found.setting) == ("The simple part earned it", "--set learning_rate=0.001")
    assert findings.of_standing(told | {"comparison": {"earned": "both"}}, OPTIONS, usual) == []


def test_a_simpler_method_that_is_better_is_named() -> None:
    usual = {"learning_rate": 0.001, "hidden_size": 8, "epochs": None}
    (found,) = findings.of_standing(results(0.75, 1.0, 0.5), OPTIONS | {"epochs": 5}, usual)
    assert found.level == "hint" and "0.75 against 1 of number 0" in found.what and "gatework tune" in found.advice
    (found,) = findings.of_standing(results(2.0, 1.0, 3.0, higher=False), OPTIONS, usual)
    assert "2 against 1 of number 0" in found.what and found.setting == "--set epochs=10", (
        "3 are few where 10 are usual"
    )
    flat = [{"epoch": n + 1.0, "train_loss": 9.0, "valid_loss": 9.0} for n in range(2)]
    assert findings.of_curves(flat, OPTIONS, usual)[0].setting == "--set epochs=10"


def test_states_whose_gradient_vanishes_are_one_finding() -> None:
    gradients = {"layer": {"h": 0.5 ** np.arange(40), "c": 0.4 ** np.arange(40), "n": np.ones(40)}}
    first, other = findings.of_times(gradients, OPTIONS)
    assert "in 2 states" in first.what and "the last 7 of 40 steps (layer, state h)" in first.what
    assert first.level == "problem" and other.level == "good" and other.what.startswith("layer, state n")
    assert len(findings.of_times({"layer": {"h": 0.5 ** np.arange(40)}}, OPTIONS)) == 1


def test_advice_leads_back_to_what_is_usual() -> None:
    rows = [{"epoch": n + 1.0, "train_loss": 9.0, "valid_loss": 9.0, "gradient_norm": 300.0} for n in range(2)]
    for usual, setting in ({"learning_rate": 1e-3}, "--set learning_rate=0.001"), ({}, "--set learning_rate=30"):
        assert findings.of_curves(rows, OPTIONS | {"learning_rate": 10.0}, usual)[0].setting == setting
    exploded = findings.of_norms(rows, OPTIONS | {"learning_rate": 10.0}, {"learning_rate": 1e-3})
    assert exploded[0].setting == "--set learning_rate=0.001"
    falling = [{"epoch": n + 1.0, "train_loss": 3.0 - n, "valid_loss": 3.0 - n} for n in range(2)]
    for more, usual, setting in (
        ({"epochs": 2}, {"epochs": 20}, "--set epochs=20"), ({"epochs": 2}, {"epochs": None}, "--set epochs=10"),
        ({"epochs": 2, "time_limit": 9.0}, {}, "--set epochs=4"), ({"time_limit": 9.0}, {}, "--set time_limit=27"),
    ):  # fmt: skip
        assert findings.of_curves(falling, OPTIONS | more, usual)[0].setting == setting
    slow = [{"epoch": n + 1.0, "train_loss": 2.5 - 0.06 * n, "valid_loss": 2.5 - 0.01 * n} for n in range(2)]
    few, enough = (findings.of_curves(slow, OPTIONS | {"epochs": n}, {"epochs": None})[0] for n in (2, 20))
    assert (few.level, few.setting, enough.level) == ("hint", "--set epochs=10", "good") and "2 epochs" in few.what


def test_what_curves_say() -> None:
    over = curve([2, 1, 0.1], [2, 1, 1.5])
    assert over.level == "problem" and "epoch 2" in over.what and over.setting == "--set dropout=0.3"
    assert curve([2, 1, 0.1], [2, 1, 1.5], dropout=0.5).setting == "--set weight_decay=0.01"
    under = curve([3, 2, 1], [3, 2, 1])
    assert under.level == "problem" and under.setting == "--set epochs=6"
    assert curve([2, 1.999], [2, 2.0]).setting == "--set learning_rate=0.003"
    assert curve([3, 2, 1.5], [3, 2, 1.5], epochs=1234).setting == "--set epochs=2468"
    assert curve([2, 1, 0.2], [2, 0.99, 1.0]).level == "hint"
    assert curve([2, 1, 0.9], [2, 1, 1.01]).level == "good"
    for first, last, said in (
        (0.98, 1.0, "The gap between the network's training (0.1) and validation loss (1)"),
        (1.2, 0.3, "The network's validation loss was still falling at the end (1.2 to 0.3)"),
        (0.3, 0.6, "Overfitted: the network's validation loss was lowest in epoch 1"),
    ):
        one = {"epoch": 1.0, "train_loss": 0.2, "valid_loss": 0.1, "valid_network_loss": first}
        rows = [one, {**one, "epoch": 2.0, "train_loss": 0.1, "valid_network_loss": last}]
        assert said in findings.of_curves(rows, OPTIONS)[0].what, "not the whole model's, which is lower and flat"
    assert "too few" in curve([2], [2]).what and "too few" in curve([float("nan")] * 3, [1, 1, 1]).what


def test_what_gradients_say() -> None:
    fading = findings.of_time("layer, state h", 0.5 ** np.arange(40), OPTIONS | {"cell": "rnn"})
    assert fading.level == "problem" and "last 7 of 40" in fading.what and fading.setting == "--set cell=lstm"
    growing = findings.of_time("layer, state h", 1.5 ** np.arange(40), OPTIONS)
    assert growing.level == "problem" and growing.setting == "--set clip=1"
    assert findings.of_time("layer, state h", np.ones(40), OPTIONS).level == "good"
    assert findings.of_time("layer, state h", np.zeros(40), OPTIONS).level == "hint"
    assert findings.of_time("layer, state h", np.full(9, np.nan), OPTIONS).level == "problem"
    rows = [{"gradient_norm": 3.0}, {"gradient_norm": 4000.0}]
    assert findings.of_norms(rows, OPTIONS)[0].level == "problem"
    assert findings.of_norms(rows[:1], OPTIONS)[0].level == "good"
    lost = findings.of_parameters({"a": (float("nan"), 1.0), "b": (0.0, 1.0)}, OPTIONS)
    assert [each.level for each in lost] == ["problem", "hint"]


# -- the whole ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    """A plain RNN on long rows whose label stands at the very beginning."""
    folder, draw = tmp_path_factory.mktemp("rows"), np.random.default_rng(3)
    lines = ["id,step,value,label"]
    for row in range(60):
        values = draw.normal(size=40)
        values[0] = 3 if row % 2 else -3
        lines += [f"{row},{step},{value:.3f},{'b' if row % 2 else 'a'}" for step, value in enumerate(values)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    kind = tasks.get("classify")
    small = {"id": "id", "time": "step", "label": "label", "cell": "rnn", "hidden_size": 6, "epochs": 3}
    options = kind.Options.of({**small, "bidirectional": False, "pooling": "last"})
    return jobs.train(kind(options), folder / "rows.csv", out=folder / "run", quiet=True)


def test_a_vanishing_gradient_is_found(run: jobs.Trained) -> None:
    generator = torch.get_rng_state()
    found = gatework.diagnose(run)
    assert torch.equal(torch.get_rng_state(), generator)
    assert found.data.startswith("the validation part of") and list(found.gradients) == ["recurrent.layers.0"]
    (problem,) = [each for each in found.findings if "vanishes" in each.what]
    assert problem.setting == "--set pooling=max" and "of 40 steps" in problem.what
    assert all(np.isfinite(norm) for pair in found.parameters.values() for norm in pair)
    assert all(each.grad is None for each in run.model.parameters())
    assert str(found).startswith("problem:")


def test_without_data_the_curves_are_judged(run: jobs.Trained, tmp_path: Path) -> None:
    import shutil

    moved = tmp_path / "moved here"
    shutil.copytree(run.run.path, moved)
    source = Path(run.run.config["data"]["source"])
    text = source.read_text()
    try:
        source.write_text(text.replace("0,0,-3", "0,0,-2", 1))  # no longer what the run learned from
        found = gatework.diagnose(moved)
        assert not found.gradients and len(found.findings) >= 3
        typed = found.findings[-1].advice.removeprefix("name a file: ")
        assert shlex.split(typed) == ["gatework", "diagnose", str(moved), "FILE"]
        given = gatework.diagnose(moved, source)
        assert given.gradients and given.data == str(source)
    finally:
        source.write_text(text)


def table(path: Path, rows: int) -> Path:
    lines = [f"{'good' if row % 2 else 'bad'} film {row},{'yes' if row % 2 else 'no'}" for row in range(rows)]
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


def test_files_for_validation_and_test_are_found_again(tmp_path: Path) -> None:
    """The rows that the training was validated on, also where the training file is named; none once a file changed."""
    train, valid, test = (table(tmp_path / f"{name}.csv", rows) for name, rows in (("a", 40), ("b", 14), ("c", 10)))
    kind = tasks.get("classify")
    small = {"hidden_size": 4, "embedding_size": 4, "epochs": 1, "ngrams": "none", "subwords": 0, "test_share": 0.0}
    apart = jobs.train(kind(kind.Options.of(small)), train, valid=valid, test=test, out=tmp_path / "run", quiet=True)
    for source in (None, train):
        examples, data = examples_of(jobs.load(apart.run.path), source)
        assert (len(examples), data) == (14, str(valid))
    other = examples_of(apart, test)
    assert (len(other[0]), other[1]) == (10, str(test)), "other rows are taken as they are"
    assert gatework.diagnose(apart).gradients
    assert gatework.explain(apart, row=2).source == "a.csv, line 3"
    test.write_text(test.read_text().replace("film", "movie"))
    assert examples_of(apart, None) == (None, "")
    assert len(examples_of(apart, train)[0]) == 40
    test.unlink()
    assert not gatework.diagnose(apart).gradients


def test_a_diagnosis_is_short_on_a_screen_and_a_page_in_a_notebook(run: jobs.Trained) -> None:
    found = gatework.diagnose(run)
    problems = sum(each.level == "problem" for each in found.findings)
    assert problems and len(repr(found)) < 200 and f", problems={problems}, hints=" in repr(found)
    assert repr(found).endswith("layers=1, gates=0)")
    assert found._repr_html_().startswith("<iframe") and found._repr_html_().count("<") == 2


def test_the_command(run: jobs.Trained, tmp_path: Path) -> None:
    path, page = str(run.run.path), tmp_path / "page.html"
    done = CliRunner().invoke(cli.app, ["diagnose", path, "--page", str(page)])
    assert done.exit_code == 0 and "--set pooling=max" in done.output
    html = page.read_text()
    assert "--set pooling=max" in html and "<script" not in html and "default-src 'none'" in html
    values = json.loads(CliRunner().invoke(cli.app, ["diagnose", path, "--json"]).output)
    for command in (["diagnose", path], ["explain", path, "--row", "1"]):
        refused = CliRunner().invoke(cli.app, [*command, "--json", "--page", str(page)])
        assert refused.exit_code == 2 and "leave out --page" in refused.output
    assert len(values["gradients"]["recurrent.layers.0"]["h"]) == 40 and values["findings"]
    (tmp_path / "bad.csv").write_text("id,step,value,label\n1,0,1.0,c\n")
    assert CliRunner().invoke(cli.app, ["diagnose", path, str(tmp_path / "bad.csv")]).exit_code == 2
    assert CliRunner().invoke(cli.app, ["diagnose", str(tmp_path)]).exit_code == 1
    with pytest.raises(DataError):
        gatework.diagnose(run, tmp_path / "bad.csv")


def course(losses: list[float], rates: list[float]) -> list[dict[str, float]]:
    rows = zip(losses, rates, strict=True)
    return [
        {"epoch": k + 1, "learning_rate": rate, "train_loss": loss, "valid_loss": loss}
        for k, (loss, rate) in enumerate(rows)
    ]


COSINE = [1.0, 0.9, 0.8, 0.65, 0.5, 0.3, 0.2, 0.1, 0.03, 0.0]
FALLING = [10.0, 9.0, 8.0, 7.0, 6.0, 5.6, 5.4, 5.35, 5.34, 5.34]


def test_the_flat_end_of_a_schedule_is_no_convergence() -> None:
    """The same losses: cut short where the rate came down, arrived where it stayed."""
    (found,) = findings.of_curves(course(FALLING, COSINE), OPTIONS)
    assert found.level == "problem" and "made the steps small" in found.what and "epochs" in found.setting
    assert "more epochs may help" in " ".join(words.gap(course(FALLING, COSINE)))
    (found,) = findings.of_curves(course(FALLING, [1.0] * 10), OPTIONS)
    assert found.level == "good" and "would bring little" in " ".join(words.gap(course(FALLING, [1.0] * 10)))
    flat = [10.0, 5.5, 5.4, 5.38, 5.37, 5.36, 5.36, 5.35, 5.35, 5.34]
    (found,) = findings.of_curves(course(flat, COSINE), OPTIONS)
    assert found.level == "good" and "would bring little" in " ".join(words.gap(course(flat, COSINE)))
    risen = [*FALLING[:6], 5.8, 6.0, 6.2, 6.4]
    assert "made the steps small" not in " ".join(
        each.what for each in findings.of_curves(course(risen, COSINE), OPTIONS)
    )
