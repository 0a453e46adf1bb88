"""The tests of memory ask what they claim, and the trial loop, table and picture say what was found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gatework.bench.memory import grammars, ladder, picture, results, sequences, speed, table, tasks, training
from gatework.bench.memory.ladder import Asked, Reached
from gatework.bench.memory.models import Cached, Transformer
from gatework.bench.memory.sequences import Batch
from gatework.cli import app
from gatework.errors import OptionError


def random() -> np.random.Generator:
    return np.random.default_rng(1)


# --- what is shown and asked


def test_adding_marks_one_number_in_each_half_and_asks_for_the_sum() -> None:
    inputs, targets, _ = sequences.adding(20, 50, random())
    values, marks = inputs.unbind(2)
    assert torch.equal(marks[:10].sum(0), torch.ones(50))
    assert torch.equal(marks[10:].sum(0), torch.ones(50))
    torch.testing.assert_close((values * marks).sum(0), targets)
    assert 0.1 < float(((sequences.adding(9, 5000, random()).targets - 1) ** 2).mean()) < 0.2  # the answer 1: 1/6


def test_copy_asks_for_the_ten_symbols_after_the_mark() -> None:
    inputs, targets, counts = sequences.copy(7, 4, random())
    shown = inputs.argmax(2)
    assert counts is not None
    assert torch.equal(shown[:10], targets[-10:])
    assert (shown[10:16] == 8).all()
    assert (shown[16] == 9).all()
    assert counts.sum(0).tolist() == [10] * 4
    assert counts[:-10].sum() == 0


def test_temporal_order_is_the_class() -> None:
    inputs, classes, _ = sequences.temporal_order(100, 60, random())
    shown = inputs.argmax(2)
    for row in range(60):
        places = (shown[:, row] >= 6).nonzero()[:, 0]
        first, second = (shown[places, row] - 6).tolist()
        assert 10 <= places[0] < 20 <= 50 <= places[1] < 60
        assert classes[row] == 2 * first + second
    assert set(classes.tolist()) == {0, 1, 2, 3}


def test_digits_are_told_apart_and_test_digits_are_never_trained_on() -> None:
    test = sequences.digits(64, 1, random(), test=True)
    assert test.inputs.shape == (64, 360, 1)
    longer = sequences.digits(80, 5000, random())
    assert not longer.inputs[64:].any()
    trained = {tuple(row) for row in longer.inputs[:64, :, 0].T.tolist()}
    assert sum(tuple(row) in trained for row in test.inputs[:, :, 0].T.tolist()) == 0


def test_reber_strings_are_of_the_grammar_and_keep_the_second_symbol() -> None:
    for number in range(200):
        read, legal = grammars.embedded_reber(Random(number), shortest=number % 12)
        assert read[0] == "B"
        assert read[1] == read[-1] in "TP"
        assert len(read) >= 3 + number % 12
        for following, allowed in zip(read[1:], legal, strict=False):
            assert following in allowed
        assert legal[-2:] == [read[1], "E"]
        assert legal[0] == "TP"
    assert grammars.reber(Random(3))[0][:1] == "B"


def test_strings_of_the_test_are_never_trained_on() -> None:
    def texts(only: int | None) -> set[str]:
        batch = grammars.reber_strings(5, 300, random(), only)
        found = zip(batch.inputs.argmax(2).T, batch.counts.sum(0).int(), strict=True)  # type: ignore[union-attr]
        return {"".join(grammars.REBER[k] for k in row[:n]) for row, n in found}

    trained, watched, tested = texts(None), texts(grammars.WATCHED), texts(grammars.TEST)
    assert not trained & tested
    assert not watched & tested
    assert not trained & watched


def test_counted_strings_and_what_may_follow() -> None:
    assert grammars.counted("ab", 1) == ("Sab", ["a", "ab", "T"])
    assert grammars.counted("abc", 2) == ("Saabbcc", ["a", "ab", "ab", "b", "c", "c", "T"])
    batch = grammars.counting("ab", [1, 3])
    assert batch.inputs.shape == (7, 2, 4)
    assert batch.counts is not None
    assert batch.counts.sum(0).tolist() == [3, 7]


# --- how it is judged


def counter(wrong_from: int):
    """An answer that is right for all strings shorter than `wrong_from`."""

    def answer(inputs: torch.Tensor) -> torch.Tensor:
        most = inputs.shape[1]
        right = 2 * grammars.counting("ab", range(1, most + 1)).targets - 1
        right[:, wrong_from - 1 :] *= -1
        return right

    return answer


def test_reach_is_the_last_n_before_the_first_mistake() -> None:
    test = tasks.get("anbn")
    assert tasks.reach(test, counter(5), 20) == 4
    assert tasks.reach(test, counter(1), 20) == 0
    assert tasks.reach(test, counter(21), 20) == 20


def test_a_string_with_one_wrong_step_is_wrong_and_steps_behind_its_end_do_not_count() -> None:
    test = tasks.get("reber")
    batch = Batch(torch.zeros(3, 2, 7), torch.zeros(3, 2, 7), torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]]))
    answers = torch.full((3, 2, 7), -1.0)
    answers[2, :, 4] = 1.0
    assert test.right(answers, batch).tolist() == [0.0, 1.0]
    assert test.score(answers, batch) == 0.5


def test_goals() -> None:
    assert tasks.get("adding").passes(0.009)
    assert not tasks.get("adding").passes(0.01)
    assert not tasks.get("adding").passes(float("nan"))
    assert tasks.get("reber").passes(0.99)
    assert not tasks.get("order").passes(0.98)
    with pytest.raises(OptionError, match="no memory test 'add'; choose of adding, copy"):
        tasks.get("add")


def test_a_trained_network_passes_and_the_same_seed_gives_the_same() -> None:
    first, second = (training.trial(tasks.get("adding"), "gru", 10, seed=1) for _ in range(2))
    assert first.passed
    assert first.score < 0.01
    assert (first.score, first.steps) == (second.score, second.steps)
    hopeless = training.trial(replace(tasks.get("order"), steps=3), "rnn", 50, seed=1)
    assert not hopeless.passed
    assert hopeless.steps == 3


def test_noise_is_taken_back_and_touches_the_recurrent_layer_alone() -> None:
    net = training.network(tasks.get("anbn"), "lstm")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with training.noisy(net, 0.5):
        changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if name.startswith("recurrent.")}
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name])


def test_noise_is_for_cells_with_a_state_to_count_in() -> None:
    noises = {name: training.planned(tasks.get("anbn"), name).noise for name in ("lstm_peephole", "gru", "rnn")}
    assert noises == {"lstm_peephole": 0.2, "gru": 0.0, "rnn": 0.0}
    assert training.planned(tasks.get("anbn"), "transformer").noise == 0


@pytest.mark.parametrize("model", ["rnn", "lstm_second_map"])
def test_cells_that_carry_nothing_on_start_with_orthogonal_matrices(model: str) -> None:
    layer = training.network(tasks.get("adding"), model).recurrent
    squares = [w.detach() for w in layer.parameters() if w.shape == (32, 32)]  # type: ignore[union-attr]
    assert squares
    for weight in squares:
        torch.testing.assert_close(weight @ weight.T, torch.eye(32), atol=1e-5, rtol=0)
    assert training.settings(tasks.get("adding"), model, True)["start"] == "orthogonal"
    assert training.settings(tasks.get("adding"), "lstm", True)["start"] == "chrono"
    assert training.settings(tasks.get("reber"), "lstm", True)["start"] == "uniform"


def test_memories_last_as_long_as_what_is_to_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[int | None] = []
    made = training.network
    monkeypatch.setattr(training, "network", lambda test, model, chrono: asked_for.append(chrono) or made(test, model))
    test = replace(tasks.get("copy"), steps=1)
    training.trial(test, "gru", 5, seed=1)
    training.trial(test, "gru", 5, seed=1, chrono=False)
    assert asked_for == [15, None]


@pytest.mark.parametrize(("model", "kept"), [("lstm", True), ("gru", True), ("rnn", False)])
def test_chrono_starts_the_gates_of_cells_that_have_them(model: str, kept: bool) -> None:
    layer = training.network(tasks.get("adding"), model, 500).recurrent
    assert (layer.chrono == 500) == kept  # type: ignore[union-attr]


# --- the Transformer and the time of a step


def test_the_transformer_sees_the_past_alone_and_its_cached_step_is_the_same() -> None:
    torch.manual_seed(0)
    net, x = Transformer(3, 16, 5).eval(), torch.randn(9, 2, 3)
    with torch.no_grad():
        whole, shorter = net(x), net(x[:6])
        cached = Cached(net, rows=2)
        steps = torch.stack([cached.step(each) for each in x])
    torch.testing.assert_close(whole[:6], shorter)
    torch.testing.assert_close(steps, whole)
    torch.testing.assert_close(net(x, last=True), whole[-1])


def test_the_stream_that_is_timed_computes_the_network() -> None:
    test = tasks.get("adding")
    net = training.network(test, "lstm").eval()
    step = speed._stream(net, np.ones((1, 2), np.float32))
    for _ in range(4):
        found = step()
    with torch.no_grad():
        assert found == pytest.approx(net(torch.ones(4, 1, 2), last=True).numpy(), abs=1e-6)
    assert speed.seconds_a_step(test, "lstm", 10) > 0


# --- the ladder, the table, the picture


def test_the_ladder_stops_at_the_first_length_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[int] = []

    def fake(test: tasks.Test, model: str, length: int, seed: int, chrono: bool) -> training.Trial:
        asked_for.append(length)
        score = 0.5 if length >= 100 or seed == 1 else 0.001  # one bad seed of three does not decide
        return training.Trial(test.name, model, length, seed, score, test.passes(score), 1, 0.0, 1)

    monkeypatch.setattr(ladder, "trial", fake)
    (found,) = ladder.measure(Asked(models=("rnn", "rnn"), tests=("adding",), lengths=(100, 50, 200)))
    assert (found.longest, found.fails, found.score) == (50, 100, 0.5)
    assert asked_for == [50] * 3 + [100] * 3
    assert not list(ladder.measure(Asked(models=("rnn",), tests=("adding",), minutes=1e-9)))


def test_trainings_of_an_earlier_run_are_not_done_again_and_their_time_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> training.Trial:
        raise AssertionError("this training was known")

    monkeypatch.setattr(ladder, "trial", never)
    known = {ladder.Key("adding", "gru", 50, seed): passed(50, seed) for seed in (1, 2)}
    asked = Asked(models=("gru",), tests=("adding",), lengths=(50,), seeds=2, minutes=1e-9, known=known)
    (found,) = ladder.measure(asked)
    assert (found.longest, found.fails, found.in_time) == (50, None, True)
    assert found.trials == tuple(known.values())


def test_a_ladder_that_time_ends_says_so_and_keeps_its_trainings() -> None:
    known = {ladder.Key("adding", "gru", length, 1): passed(length, 1) for length in (50, 100)}
    asked = Asked(models=("gru",), tests=("adding",), lengths=(50, 100), seeds=2, minutes=1e-9, known=known)
    said: list[str] = []
    (found,) = ladder.measure(asked, said.append)
    assert (found.longest, found.fails, found.in_time, len(found.trials)) == (0, None, False, 1)
    assert "the time is up at length 50" in said[0]
    assert table.lines([found])[2].split("|")[3:6] == [" -           ", " time up  ", "             "]


def passed(length: int, seed: int) -> training.Trial:
    return training.Trial("adding", "gru", length, seed, 0.001, True, 400, 1.0, 3425)


def test_a_file_is_taken_up_where_the_settings_are_the_same() -> None:
    asked = Asked(models=("gru",), tests=("adding",))
    found = Reached("adding", "gru", 50, None, float("nan"), 2e-6, (passed(50, 1),), False)
    held = json.loads(json.dumps(results.content(asked, [found]) | {"machine": {"processor": "a"}}))
    key = ladder.Key("adding", "gru", 50, 1)
    assert held["rows"][0]["score"] is None
    assert results.known(held, True) == {key: passed(50, 1)}
    assert results.known(held, False) == {}  # gates start in another way
    held["rows"][0]["settings"]["steps"] += 1
    assert results.known(held, True) == {}
    assert results.known({}, True) == {}


def test_what_was_not_measured_again_stays_in_the_file() -> None:
    asked = Asked(models=("gru",), tests=("adding",))
    before = results.content(asked, [reached("adding", "gru", 50, None, 1.0), reached("order", "gru", 50, None, 1.0)])
    after = results.content(asked, [reached("adding", "gru", 100, None, 1.0)], before | {"machine": {"processor": "a"}})
    assert [(row["test"], row["longest"]) for row in after["rows"]] == [("adding", 100), ("order", 50)]
    assert after["resumed"] == [{"processor": "a"}]


def reached(test: str, model: str, longest: int, fails: int | None, step: float) -> Reached:
    return Reached(test, model, longest, fails, 0.5, step, ())


def test_the_table_says_who_reaches_farthest_and_what_a_step_costs() -> None:
    own = [reached("copy", "transformer", 200, None, 9e-5), reached("copy", "gru", 10, 50, 2e-6)]
    assert "transformer longest, 200 or more." in table.words(own)[0]
    own.append(reached("copy", "rnn", 10, 50, 2e-6))
    assert table.words(own)[0].endswith("a step costs about the same for gru, 45.0 times as much for transformer.")
    both = table.words([reached("copy", "lstm", 10, 50, 2.1e-6), own[2]])[0]
    assert "lstm and rnn longest, 10. Up to 10 the plain RNN is enough." in both
    nobody = [reached("copy", "lstm", 0, 2, 2e-6)]
    assert "nobody passes" in table.words(nobody)[0]


def test_the_table_says_when_the_plain_network_is_the_answer() -> None:
    own = [reached("adding", "lstm", 200, 400, 4e-6), reached("adding", "rnn", 50, 100, 2e-6)]
    lines = table.lines(own)
    assert lines[2].split("|")[3:5] == [" 200         ", " 400      "]
    assert "lstm longest, 200." in table.words(own)[0]
    assert "Up to 50 the plain RNN is enough. Where latency counts: a step costs 2.0 times" in table.words(own)[0]
    failing = [own[0], reached("adding", "rnn", 0, 50, 2e-6)]
    assert "where latency counts it is no answer" in table.words(failing)[0]


@pytest.mark.parametrize("name", ["a.svg", "deep/b.png"])
def test_the_picture_is_written(name: str, tmp_path: Path) -> None:
    found = [reached("adding", "lstm", 200, None, 4e-6), reached("anbn", "rnn", 0, 1, 2e-6)]
    picture.draw(found, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert len(content) > 1000
    picture.draw(found, tmp_path / name)
    assert (tmp_path / name).read_bytes() == content
    assert name.endswith("png") or b"none failed" in content
    with pytest.raises(OptionError, match=r"ends with \.svg"):
        picture.check(tmp_path / "c.doc")


# --- the command


def run(*words: str):
    return CliRunner().invoke(app, ["bench", *words])


def test_the_command_measures_and_writes(tmp_path: Path) -> None:
    paths = tmp_path / "found.json", tmp_path / "found.svg"
    words = ["memory", "--cell", "gru", "--task", "adding", "--lengths", "6", "--seeds", "1"]
    done = run(*words, "--json", str(paths[0]), "--out", str(paths[1]))
    assert done.exit_code == 0, done.output
    assert "adding gru length 6 seed 1" in done.output
    assert "us a step" in done.output
    assert "| us a step | 32 units | 128 units | 512 units |" in done.output
    held = json.loads(paths[0].read_text(encoding="utf-8"))
    assert 0 < held["steps"]["gru"]["32"] < held["steps"]["gru"]["512"]
    (row,) = held["rows"]
    assert row["longest"] == 6
    assert row["trials"][0]["seed"] == 1
    assert paths[1].read_text(encoding="utf-8").lstrip().startswith("<?xml")
    again = run(*words, "--json", str(paths[0]), "--resume")
    assert again.exit_code == 0, again.output
    assert "seed 1:" not in again.output  # it was known
    assert json.loads(paths[0].read_text(encoding="utf-8"))["rows"][0]["trials"] == row["trials"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["memory", "--task", "sums"], "there is no memory test 'sums'"),
        (["memory", "--cell", "lstn"], "did you mean"),
        (["memory", "--cell", "lstm_projected"], "asks for more"),
        (["memory", "--lengths", "5", "--task", "digits"], "digits begins at length 64"),
        (["memory", "--lengths", "5", "--task", "anbn"], "leave lengths away"),
        (["memory", "--lengths", "five"], "--lengths 'five': write whole numbers"),
        (["memory", "--lengths", ","], "leave it out"),
        (["memory", "--seeds", "0"], "at least 1 seed"),
        (["memory", "--resume"], "name the file of the earlier run with --json"),
        (["memory", "--resume", "--json", str(Path(__file__))], "is no result of `gatework bench memory`"),
        (["grid", "--resume"], "'grid' does not use resume"),
        (["memory", "--threads", "2"], "'memory' does not use threads"),
        (["grid", "--seeds", "2"], "'grid' does not use seeds"),
        (["grid", "--task", "copy"], "'grid' does not use task"),
        (["memory", "--out", "a.doc"], "a picture's name ends with"),
    ],
)
def test_what_cannot_be_asked(words: list[str], says: str) -> None:
    done = run(*words)
    assert done.exit_code not in (0, 1) or isinstance(done.exception, OptionError | SystemExit)
    assert says in done.output + str(done.exception)
