"""Explanations against brute force: attributions, occlusion, n-gram shares, memory; bad input; the page."""

from __future__ import annotations

import json
import math
import random
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from markupsafe import escape
from typer.testing import CliRunner

import gatework
from gatework import cells, cli, tasks
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.explanation import opened, subject_of
from gatework.explanation.attribution import (
    Attribution,
    Occlusion,
    baselines,
    integrated_gradients,
    occlude,
    windows_of,
)
from gatework.explanation.memory import all_values, half_life, layers_of, reach_of
from gatework.explanation.page import render
from gatework.explanation.path import integral
from gatework.explanation.pictures import drawn, log_scale
from gatework.explanation.places import Samples, pieces
from gatework.explanation.sentences import percentages, taken_away
from gatework.layers.parts import part_of
from gatework.tasks import jobs
from gatework.tasks.classify.explained import Sequence, Text
from gatework.tasks.classify.shares import NGrams
from gatework.tasks.classify.units import units_of
from gatework.tasks.subject import Seen, recurrent_layers
from small import CHOSEN
from toy import Toy, ToyOptions

EVIL = "<script>alert(1)</script>"
FILLER = ["the", "a", "of", "and", "to", "in", "that", "it", "is", "was", "for", "on", "are", "as", "with", "his", "at"]


def texts(count: int, seed: int) -> tuple[list[str], list[str], list[int]]:
    """Texts of filler words with one decisive word, its label, and its place."""
    draw, rows, labels, spots = random.Random(seed), [], [], []
    for _ in range(count):
        words = [draw.choice(FILLER) for _ in range(draw.randint(6, 14))]
        label = draw.choice(["good", "bad"])
        place = draw.randrange(len(words))
        words[place] = {"good": draw.choice(["superb", "lovely"]), "bad": draw.choice(["dreadful", "dull"])}[label]
        rows, labels, spots = [*rows, " ".join(words)], [*labels, label], [*spots, place]
    return rows, labels, spots


def trained(task: str, source: Any, out: Path, **options: Any) -> jobs.Trained:
    kind = tasks.get(task)
    return jobs.train(kind(kind.Options.of(options)), source, out=out, quiet=True)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    rows, labels, _ = texts(240, 1)
    out = tmp_path_factory.mktemp("words") / "run"
    small = {"hidden_size": 12, "embedding_size": 8, "epochs": 6, "ngrams": "both", "subwords": 0, "test_share": 0.0}
    return trained("classify", {"text": rows, "label": labels}, out, **small, learning_rate=0.02)


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    """Sequences of two channels whose label is in the sign of a bump; read by two layers of GRU."""
    draw, values, labels = np.random.default_rng(2), [], []
    for row in range(120):
        steps = draw.normal(0, 0.3, (int(draw.integers(9, 16)), 2))
        steps[draw.integers(0, len(steps) - 2) :][:2, 0] += 3 if row % 2 else -3
        values.append(steps)
        labels.append("up" if row % 2 else "down")
    out = tmp_path_factory.mktemp("waves") / "run"
    small = {"hidden_size": 6, "epochs": 15, "bidirectional": False, "pooling": "last", "cell": "gru", "layers": 2}
    return trained("classify", {"values": values, "label": labels}, out, **small, dropout=0.0, learning_rate=0.02)


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    noise = np.random.default_rng(5).normal(size=(2, 90))
    rows = [
        (f"shop {s}", datetime(2024, 1, 1) + timedelta(days=d), 10.0 * (s + 1) + 3 * (d % 7) + noise[s, d])
        for s in range(2)
        for d in range(90)
    ]
    frame = pl.DataFrame([*rows, ("new", datetime(2024, 3, 1), 5.0)], schema=["shop", "day", "units"], orient="row")
    out = tmp_path_factory.mktemp("sales") / "run"
    small = CHOSEN | {"horizon": 4, "season": 7, "lookback": 14, "epochs": 3, "hidden_size": 6, "series": "shop"}
    return trained("forecast", frame, out, **small)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    out = tmp_path_factory.mktemp("book") / "run"
    small = {"hidden_size": 12, "sequence_length": 16, "batch_size": 4, "epochs": 3, "sample_length": 5}
    return trained("generate", ["the cat sat on the mat. a dog ran to the cat. " * 40], out, **small)


EXAMPLES: dict[str, dict[str, Any]] = {
    "words": {"text": "the film was superb and it is <b>in</b> that"},
    "waves": {"row": 2, "source": {"values": [np.zeros((9, 2)), np.ones((12, 2)) * np.arange(12)[:, None] / 6]}},
    "sales": {"series": "shop 1"},
    "book": {"text": "the cat sat on the m"},
}


def subject(run: jobs.Trained, **given: Any) -> Any:
    source = given.pop("source", None)
    return subject_of(opened(run), source, given)


# -- attributions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_attributions_are_the_integral_of_the_gradient(name: str, request: pytest.FixtureRequest) -> None:
    """Against 2,000 midpoints of autograd's gradients; the network must be all of the model but its exact parts."""
    made = subject(request.getfixturevalue(name), **EXAMPLES[name])
    name_of, baseline = baselines(made)[0]
    found = Attribution.of(made, name_of, baseline)
    total, way = torch.zeros_like(made.entry, dtype=torch.float64), made.entry - made.baseline
    for place in ((torch.arange(2000) + 0.5) / 2000).split(500):
        points = (made.baseline + place.view(-1, 1, 1) * way).requires_grad_(True)
        total += torch.autograd.grad(made.score(points).sum(), points)[0].double().sum(0)
    brute = (total / 2000 * way).numpy()
    np.testing.assert_allclose(found.channels, brute, atol=0.01 * np.abs(brute).max())
    assert found.error < 0.01 and integrated_gradients(made).error <= found.error
    np.testing.assert_allclose(sum(found.parts.values()), found.steps, atol=1e-9)
    beside = made.constant + sum(each.sum() for each in made.exact.values())
    whole = float(made.score(made.entry.unsqueeze(0))[0].detach()) + beside
    assert whole == pytest.approx(found.output, abs=1e-4)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_explained_output_is_what_the_model_predicts(name: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(name)
    found = gatework.explain(run, **EXAMPLES[name])
    if name == "words":
        row = run.predict([EXAMPLES[name]["text"]])[0]
        assert (found.answer, found.probability) == (row["label"], pytest.approx(row["confidence"], abs=1e-5))
    elif name == "sales":
        rows = [row["forecast"] for row in run.predict(None) if row["series"] == "shop 1"]
        assert found.probability == pytest.approx(np.mean(rows), rel=1e-5)
        first = gatework.explain(run, series="shop 1", step=1)
        assert first.probability == pytest.approx(rows[0], rel=1e-5)
    assert found.cut.lengths[-1] == len(found) and found.cut.shown[-1] == pytest.approx(found.probability, abs=1e-4)
    assert [layer.values[layer.states[0].name].shape[0] for layer in found.layers] == [len(found)] * len(found.layers)


class Leap:
    """An output that leaps by 6 at one place of the path; the larger `steep`, the more suddenly."""

    entry = torch.tensor([[1.0], [3.0], [0.0]])

    def __init__(self, steep: float):
        self.steep = steep

    def score(self, entries: torch.Tensor) -> torch.Tensor:
        total, second = entries.double().sum((1, 2)), entries[:, 1, 0].double()
        return 3 * torch.tanh(self.steep * (total - 1.3)) + second**2

    def precisely(self) -> AbstractContextManager[None]:
        return nullcontext()

    def __len__(self) -> int:
        return len(self.entry)


@pytest.mark.parametrize("steep", [20, 2e3, 2e4, 1e6, 1e7])
def test_a_path_over_a_watershed_adds_up(steep: float) -> None:
    """The leap belongs to the steps that lead over the border, in proportion to what they add; nothing is scaled."""
    channels, leap = integral(Leap(steep), torch.zeros(3, 1), 64)  # type: ignore[arg-type]
    assert leap == 0 and channels.sum() == pytest.approx(15, rel=0.002)
    np.testing.assert_allclose(channels[:, 0], [1.5, 13.5, 0], rtol=0.002)


def test_an_output_that_is_no_number_is_told() -> None:
    with pytest.raises(DataError, match=r"output is nan at 0% of the way"):
        integral(Leap(math.nan), torch.zeros(3, 1), 64)  # type: ignore[arg-type]


def test_a_leap_too_steep_to_follow_is_divided_and_told() -> None:
    channels, leap = integral(Leap(1e14), torch.zeros(3, 1), 64)  # type: ignore[arg-type]
    assert leap == pytest.approx(6, rel=0.01)
    np.testing.assert_allclose(channels[:, 0], [1.5, 13.5, 0], rtol=0.01)


def test_a_leap_that_no_gradient_shows_is_not_made_up() -> None:
    channels, leap = integral(Leap(1e18), torch.zeros(3, 1), 64)  # type: ignore[arg-type]
    assert leap == 0 and channels.sum() == pytest.approx(9, rel=0.01), "the missing 6 are then told as an error"


class Kinks(Leap):
    """An output of maxima over time: 24 units, each the largest of four lines; the slope leaps at some 40 places."""

    def __init__(self, seed: int):
        super().__init__(1.0)
        draw = torch.Generator().manual_seed(seed)
        self.lines = torch.randn(24, 4, 3, generator=draw, dtype=torch.float64)
        self.shift = torch.randn(24, 4, generator=draw, dtype=torch.float64)
        self.weights = torch.randn(24, generator=draw, dtype=torch.float64)

    def score(self, entries: torch.Tensor) -> torch.Tensor:
        units = torch.einsum("uki,si->suk", self.lines, entries[:, :, 0].double()) + self.shift
        return units.amax(2).tanh() @ self.weights


@pytest.mark.parametrize("seed", range(6))
def test_a_path_over_many_kinks_adds_up(seed: int) -> None:
    """As of a maximum over time; in the sum and, beside 20,000 midpoints, in its parts."""
    made = Kinks(seed)
    channels, leap = integral(made, torch.zeros(3, 1), 64)  # type: ignore[arg-type]
    places = ((torch.arange(20_000) + 0.5) / 20_000).view(-1, 1, 1)
    points = (places * made.entry.double()).requires_grad_(True)
    slopes = torch.autograd.grad(made.score(points).sum(), points)[0].mean(0)
    exact = (slopes * made.entry)[:, 0].numpy()
    whole = np.abs(exact).sum()
    assert leap == 0 and abs(channels.sum() - exact.sum()) < 0.001 * whole
    assert np.abs(channels[:, 0] - exact).sum() < 0.003 * whole


@pytest.mark.parametrize("name", EXAMPLES)
def test_double_precision_is_the_same_model(name: str, request: pytest.FixtureRequest) -> None:
    made = subject(request.getfixturevalue(name), **EXAMPLES[name])
    with torch.no_grad():
        single = float(made.score(made.entry.unsqueeze(0))[0])
        with made.precisely():
            double = made.network(made.entry.unsqueeze(0).double())
            assert float(made.score(made.entry.unsqueeze(0).double())[0]) == pytest.approx(single, rel=1e-5)
    assert double.dtype == torch.float64 and next(made.model.parameters()).dtype == torch.float32


def test_pieces_are_narrow_where_the_output_bends_and_no_more_than_asked_for() -> None:
    def outputs(places: np.ndarray) -> np.ndarray:
        return np.tanh(1e3 * (places - 0.3))

    samples = Samples.even(outputs).closer(outputs, 300, 2.0**-20)
    for points in (1, 2, 3, 7, 64, 65, 1024):
        ends, each = pieces(samples, points)
        assert ends[0] == 0 and ends[-1] == 1 and (np.diff(ends) > 0).all() and len(each) == len(ends) - 1
        assert each.sum() == points and set(each) <= {1, 2}
        assert points < 64 or np.mean(np.abs(ends - 0.3) < 0.01) > 0.4


def test_occlusion_is_the_model_without_the_word(words: jobs.Trained) -> None:
    """Every word in turn replaced by one that the training did not hold, through `predict`."""
    text = texts(1, 7)[0][0]
    made = subject(words, text=text)
    found = occlude(made)
    tokens = text.split()
    assert found.windows == [(i, i + 1) for i in range(len(tokens))] and made.steps == tokens
    for i in range(len(tokens)):
        changed = " ".join([*tokens[:i], "\ufffd", *tokens[i + 1 :]])
        likely = words.task.probabilities(words.model, [changed])[0][0]  # pyright: ignore[reportAttributeAccessIssue]
        assert found.shown[i] == pytest.approx(likely[made.target], abs=1e-5)


def test_occlusion_of_windows_of_a_sequence(waves: jobs.Trained) -> None:
    made = subject(waves, **EXAMPLES["waves"])
    windows = windows_of(made, 5)
    assert windows == [(0, 5), (5, 10), (10, 12)]
    found = occlude(made, 5)
    scaler = waves.task.codecs.scaler  # pyright: ignore[reportAttributeAccessIssue]
    for (start, stop), shown in zip(windows, found.shown, strict=True):
        values = np.array(made.values)
        values[start:stop] = scaler.shift
        likely = waves.task.probabilities(waves.model, {"values": [values]})[0][0]  # pyright: ignore[reportAttributeAccessIssue]
        assert shown == pytest.approx(likely[made.target], abs=1e-5)
    assert found.per_step(12).tolist() == np.repeat(found.effect, [5, 5, 2]).tolist()


def test_planted_evidence_is_found(words: jobs.Trained) -> None:
    rows, labels, spots = texts(30, 99)
    found = [gatework.explain(words, text=text, target=label) for text, label in zip(rows, labels, strict=True)]
    by_occlusion = [each.top()[0] == spot for each, spot in zip(found, spots, strict=True)]
    by_gradients = [each.attribution.steps.argmax() == spot for each, spot in zip(found, spots, strict=True)]
    assert np.mean(by_occlusion) >= 0.95 and np.mean(by_gradients) >= 0.9
    assert max(each.attribution.error for each in found) < 0.01


def test_shares_of_ngrams_add_up_to_the_logits(words: jobs.Trained) -> None:
    """Also where the network reads fewer words than the n-grams, and each word's share is where the word is."""
    tokenizer = words.task.codecs.tokenizer  # pyright: ignore[reportAttributeAccessIssue]
    text = "It was superb, <br/>superb; dull And SUPERB the the"
    for most in (100, 4):
        units = units_of(tokenizer, text, most)
        found = NGrams.of(words, units)
        assert found is not None and found.steps.shape == (len(units), 2)
        np.testing.assert_allclose(found.steps.sum(0) + found.rest, found.logits([text])[0], atol=1e-5)
    whole = NGrams.of(words, units_of(tokenizer, text, 100))
    assert whole is not None
    good = words.task.codecs.classes.index("good")  # pyright: ignore[reportAttributeAccessIssue]
    named = dict(
        zip(units_of(tokenizer, text, 100).tokens, whole.steps[:, good] - whole.steps[:, 1 - good], strict=True)
    )
    assert named["superb"] > 0 > named["dull"]


def test_units_stand_where_they_are_in_the_text(words: jobs.Trained) -> None:
    tokenizer = words.task.codecs.tokenizer  # pyright: ignore[reportAttributeAccessIssue]
    units = units_of(tokenizer, "The <i>film</i>, isn't it? İt", 100)
    assert units.tokens[:5] == ["The", "film", ",", "isn't", "it"]
    assert [units.text[start:stop] for start, stop in units.spans[:5]] == units.tokens[:5]
    assert units.tail(3).startswith(units.text[slice(*units.spans[-3])])
    assert units.blanked(1, 2) == units.text.replace("film", "\ufffd")
    assert len(units_of(tokenizer, "a b c d e f g h i j", 4)) == 4


# -- memory ------------------------------------------------------------------------------------------------------------


def layer_of(name: str, **options: Any) -> Any:
    torch.manual_seed(3)
    sizes = {"lstm_projected": {"P": 3}, "gru_d": {}}.get(name, {})
    sizes |= {"heads": 2} if name == "slstm" else {}
    return gatework.Recurrent(name, 3, 4, sizes=sizes, **options).eval()


@pytest.mark.parametrize("name", cells.names())
def test_every_cell_shows_its_values_and_factors(name: str) -> None:
    layer = layer_of(name)
    shapes = {i.name: layer.layer_sizes(0).get(i.width, 1) for i in layer.graph.inputs[1:]}
    others = {key: torch.rand(6, 1, width) for key, width in shapes.items()}
    inputs = torch.randn(6, 1, 3)
    (found,) = layers_of([Seen("layer", layer, inputs, others)])
    *_, direct = layer(inputs, return_all=True, **others)
    for key, value in direct.items():
        np.testing.assert_allclose(found.values[key.removesuffix("_l0")], value[:, 0].detach(), atol=1e-6)
    assert [state.name for state in found.states] == [state.name for state in layer.graph.states]
    assert all(state.factor is None or state.factor.shape[0] == 6 for state in found.states)
    assert found.reach is not None and found.reach.shape == (6,) and np.isfinite(found.reach).all()


@pytest.mark.parametrize(("name", "state", "gate"), [("lstm", "c", "f"), ("gru", "h", "z"), ("mgu", "h", None)])
def test_factors_are_the_gates_that_keep(name: str, state: str, gate: str | None) -> None:
    (found,) = layers_of([Seen("layer", layer_of(name), torch.randn(9, 1, 3))])
    factor = {s.name: s.factor for s in found.states}[state]
    expected = found.values[gate] if gate else 1 - found.values["f"]
    np.testing.assert_allclose(factor, expected, atol=1e-6)


def test_half_lives() -> None:
    halves = half_life(np.array([[0.5, 1.0, 0.25], [0.5, 1.0, 1.0]]))
    np.testing.assert_allclose(halves, [1.0, np.inf, 1.0])
    assert half_life(np.array([[0.0], [0.5]]))[0] == 0
    (found,) = layers_of([Seen("layer", layer_of("lstm_1997"), torch.randn(9, 1, 3))])
    assert np.isinf({s.name: s.half_life for s in found.states}["c"]).all()  # type: ignore[union-attr]
    (plain,) = layers_of([Seen("layer", layer_of("rnn"), torch.randn(9, 1, 3))])
    assert plain.states[0].factor is None


def test_the_first_step_forgets_nothing_since_nothing_is_held_before_it() -> None:
    """The stabiliser of slstm starts at -inf, so that its first factor is 0."""
    both = layers_of([Seen("layer", layer_of("slstm", bidirectional=True), torch.randn(9, 1, 3))])
    for layer, later in zip(both, (slice(1, None), slice(-1)), strict=True):
        c = {state.name: state for state in layer.states}["c"]
        assert c.factor is not None and c.half_life is not None and (c.factor.min(0) == 0).all()
        np.testing.assert_allclose(c.half_life, np.log(0.5) / np.log(c.factor[later]).mean(0))


def test_curves_are_drawn_also_of_values_that_have_no_logarithm() -> None:
    for values in ([0.0, 0.0], [np.nan, np.nan], [0.9, 1.1], [1e-3, 1.0]):

        def paint(axes: Any, values: list[float] = values) -> None:
            axes.plot(values)
            log_scale(axes)

        assert drawn(paint).startswith("data:image/svg")


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"bidirectional": True, "num_layers": 2}])
def test_reach_is_the_norm_of_the_jacobian(options: dict[str, Any]) -> None:
    layer, inputs = layer_of("lstm", **options), torch.randn(7, 1, 3)
    for d in range(layer.directions):
        jacobian = torch.autograd.functional.jacobian(
            lambda x, d=d: layer(x)[0][0 if d else -1, 0, 4 * d : 4 * d + 4], inputs
        )
        expected = jacobian[:, :, 0].square().sum((0, 2)).sqrt()  # type: ignore[index]
        np.testing.assert_allclose(reach_of(layer, Seen("layer", layer, inputs), d), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", [gatework.LSTM, gatework.GRU])
def test_parts_of_a_stack_are_the_stack(kind: Any) -> None:
    torch.manual_seed(1)
    layer, inputs = kind(3, 4, 2, bidirectional=True).eval(), torch.randn(5, 2, 3)
    values = inputs
    for depth in range(2):
        backward = part_of(layer, depth, 1)(values.flip(0))[0].flip(0)
        values = torch.cat([part_of(layer, depth, 0)(values)[0], backward], 2)
    torch.testing.assert_close(values, layer(inputs)[0])


def test_values_of_layers_in_a_model(words: jobs.Trained) -> None:
    made = subject(words, **EXAMPLES["words"])
    (seen,) = recurrent_layers(made)
    torch.testing.assert_close(seen.inputs[:, 0], made.entry)
    values, _, _ = all_values(seen.layer, seen.inputs, {})
    assert {"f_l0", "f_l0_reverse", "c_l0"} <= set(values)


def test_the_past_cut_off_is_a_shorter_input(words: jobs.Trained, waves: jobs.Trained, sales: jobs.Trained) -> None:
    text = "the film was superb and dull"
    shown, answers = Text(words, text, "").last([1, 2, 6])
    rows = words.predict(["dull", "and dull", text])
    assert answers == [row["label"] for row in rows]
    target = gatework.explain(words, text=text).target
    np.testing.assert_allclose(shown, [row["probabilities"][target] for row in rows], atol=1e-5)
    made: Sequence = subject(waves, **EXAMPLES["waves"])
    likely = waves.task.probabilities(waves.model, {"values": [made.values[-4:]]})[0][0]  # pyright: ignore[reportAttributeAccessIssue]
    assert made.last([4])[0][0] == pytest.approx(likely[made.target], abs=1e-5)
    assert subject(sales, series="shop 0").last([14])[0][0] == pytest.approx(
        gatework.explain(sales, series="shop 0").probability
    )


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("words", {"text": "  "}, "the text is empty"),
        ("words", {}, "either a text or a row of a file: --text TEXT or FILE --row 3; in Python text=... or source="),
        ("words", {"text": "a", "row": 1}, "either a text or a row"),
        ("words", {"row": 9, "source": ["a", "b"]}, "rows 1 to 2; there is no row 9"),
        ("words", {"row": 0, "source": ["a", "b"]}, "there is no row 0"),
        ("words", {"row": 1}, "not at hand; name a file"),
        ("words", {"text": "a", "target": "god"}, "did you mean 'good'"),
        ("words", {"text": "a", "series": "x"}, "series means nothing for a run of 'classify'"),
        ("words", {"text": "a", "window": 0}, "window must be at least 1"),
        ("waves", {"text": "a"}, "numeric sequences, not texts; give a row of a file: FILE --row 3"),
        ("sales", {"text": "a"}, "text means nothing"),
        ("sales", {}, "choose one with --series"),
        ("sales", {"series": "shop"}, "did you mean 'shop"),
        ("sales", {"series": "new"}, "has 1 points, but the model looks at 14"),
        ("sales", {"series": "shop 0", "step": 5}, "steps 1 to 4"),
        ("book", {}, "has no labels; give a text"),
        ("book", {"text": " "}, "the text is empty"),
        ("book", {"text": "a", "source": ["a"]}, "explains no file"),
        ("book", {"text": "a", "row": 1}, "row means nothing for a run of 'generate'; it takes text, target"),
        ("sales", {"series": "shop 0", "step": "one"}, "option 'step' takes int, not 'one'"),
        ("book", {"text": "§§"}, "holds nothing that the model was trained on"),
        ("book", {"text": "a", "target": "§"}, "writes no unit"),
    ],
)
def test_bad_input_is_named(name: str, given: dict[str, Any], message: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises((OptionError, DataError), match=message):
        gatework.explain(request.getfixturevalue(name), **given)


def test_a_task_without_explanations_says_so(tmp_path: Path) -> None:
    run = jobs.train(Toy(ToyOptions(epochs=1)), [str(n) for n in range(9)], out=tmp_path / "run", quiet=True)
    with pytest.raises(OptionError, match="text means nothing for a run of 'toy'; it cannot be explained"):
        gatework.explain(run, text="a")
    with pytest.raises(OptionError, match="runs of 'toy' cannot be explained"):
        gatework.explain(run)


def test_a_damaged_run_is_refused(book: jobs.Trained, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(book.run.path, copy)
    weights = copy / "best.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(FileFormatError):
        gatework.explain(copy, text="the")
    with pytest.raises(OptionError, match="neither a run folder"):
        gatework.explain(42)


# -- the page and the command ------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_page_stands_alone(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    found = gatework.explain(request.getfixturevalue(name), **EXAMPLES[name])
    html = found.write(tmp_path / "deep" / "page.html").read_text()
    parsed = Tags(html)
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "iframe", "object"}
    assert all(str(each["src"]).startswith("data:image/") for tag, each in parsed.tags if tag == "img")
    assert "http" not in html.replace("http-equiv", "") and "default-src 'none'" in html
    maps = sum(each.get("class") == "map" for _, each in parsed.tags)
    assert maps == sum(len(layer.values) for layer in found.layers)
    radios = [each for tag, each in parsed.tags if tag == "input"]
    assert len(radios) >= 3 * len(found.layers) and sum("checked" in each for each in radios) == len(found.layers)
    assert len(found.sentences) >= 6 and all(str(escape(each)) in html for each in found.sentences)
    assert (
        html.index("In short: ")
        < html.index("By integrated")
        < html.index(">In more detail</h2>")
        < html.index("half of what")
    )


def test_what_everybody_reads_is_said_without_numbers(words: jobs.Trained) -> None:
    found = gatework.explain(words, text="the superb film was in that")
    assert found.answer == "good" and found.sentences[1] == "In short: what speaks for it most is 'superb' (word 2)."
    assert gatework.explain(words, text="the superb", target="bad").sentences[1].startswith("In short: what speaks ag")


def test_a_small_change_of_a_probability_is_seen(words: jobs.Trained) -> None:
    assert percentages(0.75, 0.25) == ("75.0%", "25.0%")
    assert percentages(0.99999, 0.9996) == ("100.00%", "99.96%")
    assert percentages(1.0, 1.0 - 1e-12) == ("100.0%", "100.0%")
    made = subject(words, text="superb film")
    told = taken_away(made, Occlusion([(0, 1), (1, 2)], np.array([9.0, 0.1]), np.array([0.999998, 1.0]), 1), 1 - 1e-9)
    assert "goes from 100.0000% to 99.9998%" in told
    told = taken_away(made, Occlusion([(0, 2)], np.array([1e-9]), np.array([1.0]), 2), 1.0)
    assert "the probability of 'good' stays at 100.0% (" in told


def test_a_row_of_a_file_is_named_by_the_file_alone(words: jobs.Trained, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("text,label\na superb film,good\n")
    assert gatework.explain(words, row=1, source=path).source == "new.csv, line 2"


def test_explaining_leaves_the_model_as_it_was(words: jobs.Trained) -> None:
    before = [each.requires_grad for each in words.model.parameters()]
    gatework.explain(words, text="superb")
    assert all(before) and before == [each.requires_grad for each in words.model.parameters()]


def test_a_text_cannot_become_html(words: jobs.Trained, tmp_path: Path) -> None:
    html = gatework.explain(words, text=f"superb {EVIL} & '").write(tmp_path / "page.html").read_text()
    assert "<script" not in html and "alert" in html
    shown = gatework.explain(words, text="superb film")._repr_html_()
    assert shown.startswith("<iframe") and shown.count("<") == 2


def test_layers_are_named_in_words_and_texts_stay_as_they_are(words: jobs.Trained) -> None:
    found = gatework.explain(words, text="superb film")
    html = render(replace(found, steps=["self.layers.0", "film"]))
    assert "self.layers.0" in html and "layer 1" in html
    assert all(layer.name not in html for layer in found.layers)


def test_the_command(words: jobs.Trained, sales: jobs.Trained, tmp_path: Path) -> None:
    run, page = str(words.run.path), tmp_path / "why.html"
    done = CliRunner().invoke(cli.app, ["explain", run, "--text", "a superb film", "--page", str(page)])
    assert done.exit_code == 0 and "The model answers 'good'" in done.output and page.exists()
    printed = CliRunner().invoke(cli.app, ["explain", run, "--text", "a superb film", "--json"])
    values = json.loads(printed.output)
    assert len(values["attribution"]["steps"]) == 3 and values["layers"][0]["states"][1]["half_life"]
    assert CliRunner().invoke(cli.app, ["explain", run, "--text", ""]).exit_code == 2
    assert CliRunner().invoke(cli.app, ["explain", str(tmp_path / "none"), "--text", "a"]).exit_code == 2
    done = CliRunner().invoke(cli.app, ["explain", str(sales.run.path), "--series", "shop 1"])
    assert done.exit_code == 0 and (sales.run.path / "explain.html").exists()


def test_a_series_goes_on_with_the_rows_of_a_file(sales: jobs.Trained, tmp_path: Path) -> None:
    """Also where other series of the run have too few values."""
    rows = [("shop 1", f"2024-03-{31 + d}" if d < 1 else f"2024-04-{d:02}", 20.0 + d) for d in range(5)]
    file = tmp_path / "later.csv"
    pl.DataFrame([*rows, ("shop 9", "2024-04-01", 5.0)], schema=["shop", "day", "units"], orient="row").write_csv(file)
    done = CliRunner().invoke(cli.app, ["explain", str(sales.run.path), str(file), "--series", "shop 1", "--json"])
    assert done.exit_code == 0 and "warning: 1 series not in the training data: shop 9" in done.stderr
    found = json.loads(done.stdout)
    assert found["steps"][-5:] == [row[1] for row in rows]
    with pytest.warns(UserWarning, match="no row of 2"), pytest.warns(UserWarning, match="not in the training data"):
        predicted = [row["forecast"] for row in sales.predict(file) if row["series"] == "shop 1"]
    assert found["probability"] == pytest.approx(np.mean(predicted))
