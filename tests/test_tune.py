"""The search for settings: spaces, studies that survive kill -9, several workers, honest words about the defaults."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import gatework
from children import child
from gatework import tasks
from gatework.cli import app
from gatework.errors import FileFormatError, OptionError, TrainingError
from gatework.tasks import jobs
from gatework.tasks.base import Metric, Round, Shard
from gatework.training import locks
from gatework.training.run import Run
from gatework.tuning import entry, finals, page, search, space, study, words
from gatework.tuning.evaluate import Evaluator, make_rounds
from gatework.tuning.space import Choices, Range
from toy import Toy, ToyOptions

NUMBERS = [0.1 * k for k in range(20)]
SPACE = {"shift": "0..2", "learning_rate": "0.001..0.1 log"}
KINDS = [
    ("classify", "texts"),
    ("classify", "sequences"),
    ("forecast", None),
    ("generate", None),
    ("tag", None),
    ("answer", None),
    ("transcribe", None),
    ("translate", None),
    ("speak", None),
    ("caption", None),
]


def tuned(out: Path, **others: Any) -> entry.Tuned:
    settings = {"space": SPACE, "trials": 6, "seeds": 2} | others
    return gatework.tune(Toy, NUMBERS, out=out, **settings)


# -- spaces -------------------------------------------------------------------------------------------------


def test_ranges_and_choices_are_read_as_they_are_written() -> None:
    found = space.space_of(
        ToyOptions, {"learning-rate": "1e-3 .. 0.1 log", "epochs": "2..10 step 4", "kind_of": "a,b", "several": "x,y|"}
    )
    assert found == {
        "learning_rate": Range(0.001, 0.1, log=True),
        "epochs": Range(2, 10, step=4, whole=True),
        "kind_of": Choices(("a", "b")),
        "several": Choices((("x", "y"), ())),
    }
    assert found["learning_rate"].points(3) == [0.001, 0.01, 0.1]
    assert found["epochs"].points(3) == [2, 6, 10]
    assert [found["epochs"].holds(value) for value in (2, 6, 7, 11, None)] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"lerning_rate": "0.1..1"}, "no option 'lerning_rate'; did you mean 'learning_rate'?"),
        ({"shift": "2..1"}, "the range '2..1' is empty"),
        ({"shift": "1..1"}, "is empty"),
        ({"shift": "a..b"}, "is no range"),
        ({"shift": "0..1 log"}, "begins above 0"),
        ({"epochs": "1..3 step 5"}, "a step lies between"),
        ({"shift": []}, "no values to choose from"),
        ({"kind_of": ["a", "c"]}, "cannot be 'c'"),
        ({"kind_of": "0..1"}, "no single number"),
        ({"epochs": ["many"]}, "takes int"),
        ({"seed": [1, 2]}, "'seed' cannot be searched: it is no setting of the model"),
        ({}, "the search space is empty"),
    ],
)
def test_bad_spaces_are_refused(tmp_path: Path, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=re.escape(words)):
        tuned(tmp_path / "out", space=asked)
    assert not (tmp_path / "out").exists()


def test_an_unknown_cell_is_refused_before_any_trial() -> None:
    with pytest.raises(OptionError, match="no cell 'lstn'; did you mean lstm"):
        space.space_of(tasks.get("forecast").Options, {"cell": ["lstm", "lstn"]})


@pytest.mark.parametrize(("task", "kind"), KINDS)
def test_default_spaces_are_valid_and_near_the_defaults(task: str, kind: str | None) -> None:
    options = tasks.get(task).Options
    found = space.space_of(options, space.default(tasks.get(task), kind))
    outside = [n for n in found if (value := getattr(options(), n)) not in (None, "auto") and not found[n].holds(value)]
    assert len(found) >= 6 and not outside


def test_every_task_has_a_default_space() -> None:
    assert {task for task, _ in KINDS} == set(tasks.names())
    assert all(space.default_text(tasks.get(task)) for task, _ in KINDS)


def test_a_space_file_may_have_a_table_for_each_kind(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text('layers = [1, 2]\n[texts]\ndropout = "0..0.5"\n[sequences]\njitter = "0..1"\n')
    assert space.read(path, tasks.get("classify"), "texts") == {"layers": [1, 2], "dropout": "0..0.5"}
    path.write_text("dropout = 0..1")
    with pytest.raises(OptionError, match="is no TOML file"):
        space.read(path, tasks.get("classify"), None)
    path.write_text("[texts]\nlayers = [1, 2]")
    with pytest.raises(OptionError, match=re.escape("no table [sequences]")):
        space.read(path, tasks.get("classify"), "sequences")
    with pytest.raises(OptionError, match=re.escape("[texts]; for forecast no table has a meaning")):
        space.read(path, tasks.get("forecast"), None)


# -- what prepared data depends on --------------------------------------------------------------------------


SOURCES: dict[str, Any] = {
    "classify": {"text": [f"word{k % 7} and {'good' if k % 2 else 'bad'}{k}" for k in range(40)],
                 "label": ["ab"[k % 2] for k in range(40)]},
    "forecast": {"time": [f"{2000 + k // 12}-{k % 12 + 1:02}" for k in range(60)],
                 "y": [float(k % 7) for k in range(60)]},
    "generate": ["the quick brown fox jumps over the lazy dog " * 60],
}  # fmt: skip


@pytest.mark.parametrize("task", sorted(SOURCES))
def test_options_of_the_model_change_nothing_in_prepared_data(task: str) -> None:
    kind = tasks.get(task)
    base = kind.Options(epochs=3)
    fields = {f.name: f for f in dataclasses.fields(base) if f.name in kind.Options.with_role("late")}
    changed = dataclasses.replace(base, **{name: another(field, getattr(base, name)) for name, field in fields.items()})
    assert {name for name in fields if getattr(changed, name) == getattr(base, name)} <= {"cell"}
    one, other = (Evaluator(kind, [Round(SOURCES[task])]).ready(options) for options in (base, changed))
    assert one.task.assets() == other.task.assets()
    fixed = dataclasses.replace(changed, batch_size=8)
    batches = []
    for each in (one, other):
        torch.manual_seed(1)  # for what augmentation draws
        batches.append(each.task_for(fixed).batches(each.parts.train, 0, Shard())[0])
    for left, right in zip(*batches, strict=True):
        assert same(left, right)


def another(field: Any, value: Any) -> Any:
    if value is None:
        return 2 if str(field.type).startswith("int") else 0.2
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 or 0.01
    choices = field.metadata["choices"]
    return next((each for each in choices if each != value), value)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, tuple):
        return all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, torch.Tensor):
        return torch.equal(left.nan_to_num(-9.5), right.nan_to_num(-9.5))
    return np.array_equal(left, right) if isinstance(left, np.ndarray) else left == right


def test_data_are_prepared_once_for_settings_of_the_model() -> None:
    evaluator = Evaluator(Toy, [Round(NUMBERS)])
    base = ToyOptions()
    assert evaluator.ready(base) is evaluator.ready(dataclasses.replace(base, learning_rate=0.5))
    assert evaluator.ready(base) is not evaluator.ready(dataclasses.replace(base, kind_of="b"))


def test_the_search_never_sees_test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(Toy, "measure", lambda self, model, rows: seen.append(rows.tolist()) or {"loss": 1.0})
    Evaluator(Toy, [Round(NUMBERS)]).scores(ToyOptions())
    assert seen and not [rows for rows in seen if set(rows) & set(np.array(NUMBERS[-2:], np.float32).tolist())]


# -- the search ---------------------------------------------------------------------------------------------


def test_a_search_finds_better_settings_and_leaves_run_and_page(tmp_path: Path) -> None:
    found = tuned(tmp_path / "out", trials=25)
    first, best = found.study.trials[0], min(found.trials["value"].drop_nulls())
    assert study.DEFAULTS in first.user_attrs and first.params["shift"] == 1.0
    assert found.trials.height == 25 and best < first.value
    assert abs(found.options.shift - 0.3) < 0.4 and set(found.changed) == set(SPACE)
    assert found.comparison is not None and found.comparison.part == "test" and found.comparison.verdict == "better"
    assert found.comparison.seeds == [2, 3]
    assert found.verdict.startswith("The search won: loss ")
    assert found.run is not None and found.run.options["shift"] == found.options.shift
    assert found.run.results()["test"]
    html = (tmp_path / "out" / "tune.html").read_text()
    for word in (
        found.verdict,
        "data:image/svg+xml",
        "Parallel coordinates",
        "decided whether a trial",
        "seed 2",
        "ended early",
    ):
        assert word in html
    assert "<script" not in html and "http" not in html.replace("http-equiv", "")
    assert json.loads((tmp_path / "out" / "tune.json").read_text())["verdict"] == found.verdict


def test_where_nothing_beats_the_defaults_the_page_says_so(tmp_path: Path) -> None:
    threads, generator = torch.get_num_threads(), torch.get_rng_state()
    found = tuned(tmp_path / "out", options={"shift": 0.3, "threads": threads + 1}, space={"shift": "1..2"}, trials=4)
    assert "shift" not in found.study.trials[0].params  # outside the space, and tried all the same
    assert found.verdict.startswith("The defaults win: ") and "no trial was better" in found.verdict
    assert found.changed == {} and found.run is not None and found.run.options["shift"] == 0.3
    assert "The default settings stand" in (tmp_path / "out" / "tune.html").read_text()
    assert torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), generator)


def test_a_tie_is_a_tie(tmp_path: Path) -> None:
    found = tuned(tmp_path / "out", space={"kind_of": ["a", "b"]}, trials=2)  # a name that changes nothing
    assert found.verdict.startswith("No difference: the best other trial and the defaults both have loss")
    assert "were trained anew" not in (tmp_path / "out" / "tune.html").read_text(), "none was"


def test_the_same_call_goes_on_and_others_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = tuned(out, trials=3)
    before = (out / "best" / "config.json").stat().st_mtime_ns
    again = tuned(out, trials=3)
    assert again.trials.equals(first.trials)
    assert (out / "best" / "config.json").stat().st_mtime_ns == before, "the finished run was trained again"
    assert tuned(out, trials=5).trials.height == 5
    refused = {
        "has another search space: shift is 0..2 there and 0..3 here": {"space": {**SPACE, "shift": "0..3"}},
        "has another set of options: epochs is 2 there and 4 here": {"options": {"epochs": 4}},
    }
    for text, others in refused.items():
        with pytest.raises(OptionError, match=text):
            tuned(out, **others)
    with pytest.raises(OptionError, match="the data changed since the study"):
        gatework.tune(Toy, NUMBERS[1:], out=out, space=SPACE)
    with pytest.raises(OptionError, match="holds a study of 'toy', not of 'generate'"):
        gatework.tune("generate", SOURCES["generate"], out=out, trials=1)
    with pytest.raises(OptionError, match="holds a run, not a study"):
        tuned(out / "best")


def test_a_resumed_search_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    whole = tuned(tmp_path / "whole", trials=11, pruner="none")
    tuned(tmp_path / "parts", trials=4, pruner="none")
    parts = tuned(tmp_path / "parts", trials=11, pruner="none")
    assert [t.params for t in whole.study.trials] == [t.params for t in parts.study.trials]


def test_a_grid_is_searched_whole(tmp_path: Path) -> None:
    asked = {"shift": "0..1", "kind_of": ["a", "b"]}
    found = tuned(tmp_path / "out", space=asked, sampler="grid", trials=None)
    points = {(t.params["shift"], t.params["kind_of"]) for t in found.study.trials[1:]}
    assert points == {(shift, kind) for shift in (0.0, 0.5, 1.0) for kind in "ab"} and len(found.study.trials) == 7
    with pytest.raises(OptionError, match="the grid has 6,561 points"):
        study.grid({f"x{k}": Range(0.0, 1.0) for k in range(8)}, 1)


@pytest.mark.parametrize(("sampler", "pruner"), [("random", "hyperband"), ("tpe", "median")])
def test_samplers_and_pruners(tmp_path: Path, sampler: str, pruner: str) -> None:
    found = tuned(tmp_path / "out", sampler=sampler, pruner=pruner, trials=24, options={"epochs": 9})
    states = set(found.trials["state"])
    assert states == {"complete", "pruned"}
    pruned = next(t for t in found.study.trials if t.state.name == "PRUNED")
    assert "behind the others in epoch" in pruned.user_attrs["pruned"] and len(pruned.intermediate_values) < 9


def test_what_fails_is_noted_and_the_defaults_must_not_fail(tmp_path: Path) -> None:
    found = tuned(tmp_path / "out", space={"kind_of": ["a", "fail", "nan"]}, sampler="grid", trials=None)
    notes = {row["options"]["kind_of"]: row["note"] for row in found.rows if row["state"] == "failed"}
    assert notes["fail"] == "TrainingError: the toy is broken"
    assert "is no number" in notes["nan"]
    with pytest.raises(TrainingError, match="the toy is broken"):
        tuned(tmp_path / "other", options={"kind_of": "fail"})


def test_a_time_budget_holds_over_sessions(tmp_path: Path) -> None:
    options = {"wait": 0.02, "epochs": 3}
    found = tuned(tmp_path / "out", trials=None, minutes=0.8 / 60, options=options, pruner="none")
    trials = found.study.trials
    assert 2 <= len(trials) < 20
    assert study.spent(trials) > 0.5 and study.spent(trials[:-1]) < 0.8, "time was left when the last trial began"
    assert (
        tuned(tmp_path / "out", trials=None, minutes=0.8 / 60, options=options).trials.height <= found.trials.height + 1
    )


@pytest.mark.parametrize("bad", [{"trials": 0}, {"workers": 0}, {"seeds": 1}, {"minutes": 0.0}, {"sampler": "gird"}])
def test_bad_arguments_are_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        tuned(tmp_path / "out", **bad)


# -- processes ----------------------------------------------------------------------------------------------

PROGRAM = """
import sys
import gatework
from toy import Toy
if __name__ == "__main__":
    found = gatework.tune(Toy, [0.1 * k for k in range(20)], out=sys.argv[1], space={"shift": "0..2"}, pruner="none",
                          trials=8, workers=int(sys.argv[2]), seeds=2, options={"wait": float(sys.argv[3])})
    print(found.verdict)
"""


def start(tmp_path: Path, workers: int, wait: float) -> AbstractContextManager[subprocess.Popen[str]]:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    arguments = (str(path), str(tmp_path / "out"), str(workers), str(wait))
    return child(*arguments, OMP_NUM_THREADS="1")


def ended(journal: Path) -> int:
    """Trials told to the journal (operation 6 sets a state)."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return sum('"state":1' in line for line in lines)


def test_kill_9_loses_the_running_trial_alone_and_two_workers_go_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with start(tmp_path, 1, 0.05) as process:
        while ended(out / "journal.jsonl") < 3 and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    with open(out / "journal.jsonl", "ab") as file:
        file.write(b'{"op_code": 4, "torn')  # a line that the crash cut
    with start(tmp_path, 2, 0.05) as process:
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert stdout.startswith(("The search won", "No difference", "The defaults")), stdout
    rows = json.loads((out / "tune.json").read_text())["trials"]
    states = [row["state"] for row in rows]
    assert states.count("complete") == 8 and states.count("lost") <= 1 and len(states) <= 9
    kept = sorted(row["number"] for row in rows if row["state"] == "complete")
    assert {0, 1, 2} <= set(kept)
    assert list((out / "workers").iterdir()) == []


def test_a_worker_that_fails_answers_with_its_words() -> None:
    class Answers(list[Any]):
        put = list.append

    def fail() -> None:
        raise TrainingError("the toy is broken")

    answers = Answers()
    with pytest.raises(SystemExit) as ended_with:
        search._answering(answers, fail, ())
    assert ended_with.value.code == 1 and answers == [("error", "the toy is broken")]


def test_a_dead_process_is_known_by_its_lock(tmp_path: Path) -> None:
    with locks.present(tmp_path) as name:
        assert locks.alive(tmp_path, name)
    assert not locks.alive(tmp_path, name) and not locks.alive(tmp_path, None)
    code = (
        "import os; from gatework.training import locks; from pathlib import Path\n"
        f"with locks.present(Path({str(tmp_path)!r})) as name: print(name, flush=True); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    name = killed.stdout.strip()
    assert killed.returncode == -signal.SIGKILL and (tmp_path / "workers" / name).exists()
    assert not locks.alive(tmp_path, name)


def test_a_lock_that_was_swept_away_before_it_was_held_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, real = locks.FileLock(tmp_path / "lock"), locks._lock

    def late(*arguments: Any) -> bool:
        monkeypatch.setattr(locks, "_lock", real)
        lock.path.unlink()  # what another process may do between our opening and our locking
        return real(*arguments)

    monkeypatch.setattr(locks, "_lock", late)
    with lock:
        assert lock.path.exists() and not locks.FileLock(lock.path).acquire(wait=False)


def test_ctrl_c_ends_with_what_there_is(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text(SOURCES["generate"][0])
    out = tmp_path / "out"
    words_ = ["tune", "generate", str(book), "--out", str(out), "--only", "--search", "learning_rate=0.001..0.1 log",
              "--hidden-size=4", "--sequence-length=8", "--epochs=1", "--sample-length=5",
              "--trials=100000"]  # fmt: skip
    with child("-c", "from gatework.cli import main; main()", *words_) as process:
        while ended(out / "journal.jsonl") < 2 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "the same command goes on" in stderr and "trial 0: nats_per_character" in stderr
    assert "Traceback" not in stderr and "page: " in stdout
    assert "not compared" in stdout or "The defaults win" in stdout
    assert (out / "tune.html").exists() and not (out / "best").exists()


# -- finals and words ---------------------------------------------------------------------------------------


def compared(best: list[float], defaults: list[float], higher: bool = True) -> finals.Comparison:
    sign = 1 if higher else -1
    gain = sign * (np.mean(best) - np.mean(defaults))
    return finals.Comparison(
        "accuracy", "test", [2, 3, 4], best, defaults, float(gain), finals.noise_of(best, defaults)
    )


@pytest.mark.parametrize(
    ("best", "defaults", "verdict", "said"),
    [
        ([0.90, 0.91, 0.92], [0.80, 0.81, 0.82], "better", "The search won"),
        ([0.80, 0.85, 0.90], [0.79, 0.84, 0.88], "even", "No difference beyond the noise"),
        ([0.70, 0.71, 0.72], [0.80, 0.81, 0.82], "worse", "The defaults win on held-out rows"),
    ],
)
def test_the_words_follow_the_numbers(best: list[float], defaults: list[float], verdict: str, said: str) -> None:
    found = compared(best, defaults)
    assert found.verdict == verdict
    told = words.compared(found, {"dropout": 0.2})
    assert told.startswith(said) and ("best/ has the found settings" in told) == (verdict != "better")


def test_seeds_that_change_nothing_say_nothing_of_chance() -> None:
    told = words.compared(compared([0.9, 0.9, 0.9], [0.8, 0.8, 0.8]), {"dropout": 0.2})
    assert "the seeds make no difference" in told and "could bring" not in told


def test_notes_name_the_trial_that_has_the_defaults() -> None:
    """A search that was killed at once draws them again, under a later number."""
    import optuna

    made = optuna.create_study()
    made.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
    made.add_trial(optuna.trial.create_trial(value=1.0, user_attrs={study.DEFAULTS: []}))
    told = " ".join(words.notes(0, made, None, {"complete": 1, "lost": 1, "pruned": 2}))
    assert "Trial 1 has the defaults" in told and "1 trial was running" in told and "2 trials were ended early" in told


def test_noise_is_welch_s() -> None:
    from scipy.stats import ttest_ind

    ours, theirs = [0.80, 0.85, 0.90], [0.70, 0.72, 0.81]
    edge = np.mean(ours) - np.mean(theirs) - finals.noise_of(ours, theirs)
    assert ttest_ind([value - edge for value in ours], theirs, equal_var=False).pvalue == pytest.approx(finals.LEVEL)


# -- folds --------------------------------------------------------------------------------------------------


def test_folds_of_texts_are_stratified_disjoint_and_keep_copies_together() -> None:
    texts = [f"{word} {k % 30}" for word in ("up", "down") for k in range(60)]  # every text stands twice
    source = {"text": texts, "label": ["u"] * 60 + ["d"] * 60}
    ready = Evaluator(tasks.get("classify"), [Round(source)]).ready(tasks.get("classify").Options(test_share=0.2))
    rounds = make_rounds(ready.task, source, 4, hold_out=True)
    held = set(ready.parts.test.texts)
    tested: list[str] = []
    for each in rounds:
        train, valid = set(each.source["text"]), set(each.valid["text"])
        assert not train & valid and not (train | valid) & held
        assert 0.3 < each.valid["label"].count("u") / len(each.valid["label"]) < 0.7
        tested += each.valid["text"]
    assert len(tested) == len(set(zip(tested, range(len(tested)), strict=True))) and set(tested) == set(texts) - held


def test_folds_of_series_roll_and_never_look_ahead() -> None:
    source = SOURCES["forecast"]
    kind = tasks.get("forecast")
    ready = Evaluator(kind, [Round(source)]).ready(kind.Options(horizon=4, season=7, test_windows=1))
    rounds = make_rounds(ready.task, source, 3, hold_out=True)
    assert [int(each.source.lengths[0]) for each in rounds] == [60 - 4 - 8, 60 - 4 - 4, 60 - 4]
    last = [Evaluator(kind, [each]).ready(kind.Options()).parts for each in rounds]
    assert [int(parts.valid.cuts[0]) for parts in last] == [44, 48, 52]
    assert all(parts.test is None or len(parts.test) == 0 for parts in last)
    assert [int(parts.train.cuts.max()) + 4 for parts in last] == [44, 48, 52]


def test_folds_of_series_keep_covariates_and_scale_them_anew() -> None:
    kind = tasks.get("forecast")
    source = {**SOURCES["forecast"], "price": [float(k) for k in range(60)]}
    options = kind.Options(horizon=4, season=7, future=("price",))
    ready = Evaluator(kind, [Round(source)]).ready(options)
    rounds = make_rounds(ready.task, source, 2)
    scaled = [Evaluator(kind, [each]).ready(options).task.channels[0] for each in rounds]
    assert [channel.column for channel in scaled] == ["price", "price"]
    assert [channel.shift for channel in scaled] == [pytest.approx((n - 1) / 2) for n in (52, 56)]


def test_folds_of_a_text_cover_it() -> None:
    kind = tasks.get("generate")
    source = ["".join(chr(97 + k % 26) for k in range(1000))]
    ready = Evaluator(kind, [Round(source)]).ready(kind.Options(sequence_length=8))
    rounds = make_rounds(ready.task, source, 4)
    assert "".join(each.valid[0] for each in rounds) == source[0]
    assert rounds[1].source == [source[0][:250], source[0][500:]]


def test_folds_are_refused_with_words() -> None:
    kind = tasks.get("classify")
    source = {"text": ["a b", "c d", "a b", "e f", "g h", "i j"], "label": ["x", "y", "x", "y", "y", "y"]}
    task = kind(dataclasses.replace(kind.Options(), kind="texts", test_share=0.0))
    with pytest.warns(UserWarning, match="label 'x' has one row, or copies of one: it is learned in every fold"):
        rounds = make_rounds(task, source, 2)
    assert all(each.source["label"].count("x") == 2 and "x" not in each.valid["label"] for each in rounds)
    assert sorted(text for each in rounds for text in each.valid["text"]) == ["c d", "e f", "g h", "i j"]
    for count, text in ((1, "at least 2"), (4, "6 rows are too few for 4 folds")):
        with pytest.raises(OptionError, match=text):
            make_rounds(task, source, count)
    with pytest.raises(OptionError, match="task 'toy' has no folds"):
        gatework.cross_validate(Toy, NUMBERS)
    with pytest.raises(OptionError, match="60 points, too few for 30 folds of 4 steps each"):
        gatework.cross_validate("forecast", SOURCES["forecast"], {"horizon": 4, "season": 7}, folds=30)


def test_the_folder_of_a_search_is_no_run_but_has_one(tmp_path: Path) -> None:
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "config.json").write_text("{}")
    with pytest.raises(FileFormatError, match="the run of a search is in its folder best/"):
        Run.open(tmp_path)


def test_cross_validation_on_the_command_line_and_in_a_search(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    path.write_text("t,y\n" + "".join(f"{k},{k % 7 + 0.1 * (k % 3)}\n" for k in range(80)))
    flags = ["--time=t", "--epochs=1", "--hidden-size=2", "--horizon=4", "--season=7"]
    result = CliRunner().invoke(app, ["validate", "forecast", str(path), "--folds=3", "--json", *flags])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    values = [row["mase"] for row in found["folds"]]
    assert len(values) == 3 and found["mean"] == pytest.approx(np.mean(values))
    assert found["spread"] == pytest.approx(np.std(values, ddof=1))
    out = tmp_path / "out"
    words_ = ["tune", "forecast", str(path), "--out", str(out), "--folds=3", "--trials=2", "--seeds=2", "-q", *flags]
    result = CliRunner().invoke(app, [*words_, "--only", "--search", "learning_rate=0.0001..0.1 log"])
    assert result.exit_code == 0, result.output
    first = next(row for row in json.loads((out / "tune.json").read_text())["trials"] if row["number"] == 0)
    assert first["spread"] > 0
    trained = jobs.load(out / "best")
    assert len(trained.predict(None)) == 4 and (out / "best" / "report.html").exists()


def test_the_space_is_printed_as_it_is_read() -> None:
    result = CliRunner().invoke(app, ["tune", "forecast", "--show-space"])
    assert result.exit_code == 0 and result.output == space.default_text(tasks.get("forecast"))
    missing = CliRunner().invoke(app, ["tune", "forecast"])
    assert missing.exit_code == 2 and "name the data" in missing.output


def test_settings_are_written_as_set_reads_them() -> None:
    base = ToyOptions()
    for name, value in {"shift": 0.125, "several": ("x", "y"), "nan_guard": False, "epochs": 7}.items():
        assert getattr(base.with_settings([f"{name}={page.as_setting(value)}"]), name) == value
    assert Metric("loss", higher=False).better(1.0, 2.0)
