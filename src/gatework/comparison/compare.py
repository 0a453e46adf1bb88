"""What some runs differ in, and how much better one is than the first, by intervals that take both as they are.

Where two runs were judged on the same examples and kept their sums (`gatework.tasks.kept`), the interval is of the
paired difference: what is hard for both alike counts for neither. Where they were judged on other rows of the same data
each has an interval of its own, and the one of the difference is made of these two. On other data nothing is judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from gatework import tasks
from gatework.comparison.listing import number
from gatework.data.stored import restoring
from gatework.errors import OptionError
from gatework.pages import words
from gatework.pages.templating import framed
from gatework.tasks.base import Contender, Metric, Task
from gatework.tasks.kept import Kept, kept
from gatework.tasks.verdict import Contest, Difference, grouped, interval
from gatework.training.files import write_bytes
from gatework.training.run import Run


@dataclass(frozen=True)
class Side:
    """One of the runs: its result on its last part, None where its training has not finished."""

    run: Run
    results: Mapping[str, Any] | None
    kept: Kept | None

    @classmethod
    def open(cls, path: str | Path) -> Side:
        run = Run.open(path)
        return cls(run, run.results() if run.finished else None, kept(run))

    @property
    def name(self) -> str:
        return str(self.run.path)

    @property
    def part(self) -> str:
        return "valid" if self.results is None or self.results["test"] is None else "test"

    def value(self, metric: str) -> float:
        found = None if self.results is None else number(self.results[self.part].get(metric))
        return math.nan if found is None else found

    @property
    def history(self) -> list[dict[str, float]]:
        return self.run.history() if self.results is None else self.results["history"]


@dataclass(frozen=True)
class Result:
    """A run beside the first: its value with a 95% interval, and how much better it is than the first.

    `paired` says whether the interval of `difference` is of the same examples; `why` says why not, or why there is no
    difference to tell.
    """

    run: str
    part: str
    value: float
    low: float | None
    high: float | None
    difference: Difference | None = None
    paired: bool = False
    why: str = ""


@dataclass(frozen=True)
class Comparison:
    """Runs of one task side by side; the first is the one that the others are compared with.

    `print` shows it, `write("compare.html")` makes a page of it, and a notebook shows that.
    """

    sides: Sequence[Side]
    metric: Metric
    examples: str

    @cached_property
    def options(self) -> dict[str, list[Any]]:
        """The options that differ: the value in each run."""
        every = dict.fromkeys(name for side in self.sides for name in side.run.options)
        found = {name: [side.run.options.get(name) for side in self.sides] for name in every}
        data = {"data": [side.run.config["data"].get("source") for side in self.sides]}
        same = len({side.run.config["data"]["sha256"] for side in self.sides}) == 1
        differ = {name: values for name, values in found.items() if any(each != values[0] for each in values)}
        return differ if same else data | differ

    @cached_property
    def results(self) -> list[Result]:
        """Each run beside the first."""
        return [_result(self.metric, self.sides[0], side) for side in self.sides]

    @cached_property
    def sentences(self) -> list[str]:
        """What came out of each comparison with the first, in words."""
        return [_sentence(self, result) for result in self.results[1:]]

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON-able values."""
        runs = [
            {**asdict(result), "history": list(side.history)}
            for result, side in zip(self.results, self.sides, strict=True)
        ]
        told = {"metric": vars(self.metric), "options": self.options, "runs": runs, "sentences": self.sentences}
        return _finite(told)

    def write(self, path: str | Path) -> Path:
        """Writes a page about it; gives the path."""
        from gatework.comparison.page import render

        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, render(self).encode())
        return target

    def __str__(self) -> str:
        from gatework.comparison.page import text

        return text(self)

    def _repr_html_(self) -> str:
        from gatework.comparison.page import render

        return framed(render(self))


def compare(*paths: str | Path) -> Comparison:
    """Compares runs of one task: options that differ, results with paired intervals, learning curves.

        print(gatework.compare("runs/reviews", "runs/reviews-2"))

    Raises: OptionError for runs of several tasks or without a metric in common; FileFormatError for what is no run.
    """
    if len(paths) < 2:
        raise OptionError("name at least two runs to compare")
    sides = [Side.open(path) for path in paths]
    kinds = {side.run.task: side.name for side in sides}
    if len(kinds) > 1:
        told = " and ".join(f"{name} is a run of {task!r}" for task, name in kinds.items())
        raise OptionError(f"{told}; runs of one task can be compared")
    done = [side for side in sides if side.results is not None]
    with restoring(" or ".join(side.name for side in done)):
        metric = _metric(done)
    examples = done[0].kept.about["counted"] if done and done[0].kept else ""
    return Comparison(sides, metric, examples)


def _metric(done: Sequence[Side]) -> Metric:
    """The metric that the first run watches, if all have it, else one that another watches and all have."""
    for side in done:
        assert side.results is not None
        found = Metric(str(side.results["metric"]["name"]), bool(side.results["metric"]["higher"]))
        if all(math.isfinite(each.value(found.name)) for each in done):
            return found
    if not done:
        raise OptionError("none of these trainings has finished; go on with them: gatework resume RUN")
    raise OptionError("these runs were measured by different metrics, and have none in common")


def _result(metric: Metric, first: Side, side: Side) -> Result:
    with restoring(side.name):
        low, high = _own(side, metric) or (None, None)
    found = Result(side.name, side.part, side.value(metric.name), low, high)
    if side is first:
        return found
    if first.results is None or side.results is None:
        return replace(found, why="a training has not finished")
    if why := other_data(first, side):
        return replace(found, why=why)
    why = other_examples(first, side)
    with restoring(f"{first.name} or {side.name}"):
        gap = _unpaired(metric, first, side) if why else _paired(metric, first, side)
    return replace(found, difference=gap, paired=not why, why=why)


def other_data(first: Side, second: Side) -> str:
    """Why the results of two runs are of other data, so that no number of one says anything of the other; "" where they
    are not: of other files, or of the same files read otherwise (another target, another encoding)."""
    if first.kept is None or second.kept is None:
        alike = first.run.config["data"]["sha256"] == second.run.config["data"]["sha256"]
        return "" if alike else "they learned from other data"
    if first.kept.about["data"] != second.kept.about["data"]:
        return "they were measured on other data"
    differ = differing(first, second, tasks.get(first.run.task).Options.with_role("reading"))
    return f"they were measured on other data: {differ}" if differ else ""


def other_examples(first: Side, second: Side) -> str:
    """Why two runs were not judged on the same examples, in words; "" where they were."""
    ours, theirs = first.kept, second.kept
    if ours is None or theirs is None:
        return f"{(first if ours is None else second).name} kept nothing to pair its examples by"
    if ours.about["part"] != theirs.about["part"]:
        return "one result is of a test part, the other of a validation part"
    if ours.about["apart"] != theirs.about["apart"]:
        return "one was measured on a file of its own, the other on a part of it"
    if differ := differing(first, second, _decisive(first, held_out=not ours.about["apart"])):
        return f"they were measured on other examples: {differ}"
    return "" if ours.sums.shape == theirs.sums.shape else "they were measured on other numbers of examples"


def _decisive(side: Side, held_out: bool) -> list[str]:
    """The options that say which examples are judged; where these are held out by chance, the seed is one."""
    task = tasks.get(side.run.task)
    return [*task.Options.with_role("question"), *(["seed"] if held_out and task.draws_parts else [])]


def differing(first: Side, second: Side, names: Sequence[str]) -> str:
    """Of these options those in which two runs differ: "target and seed differ"; "" where they agree."""
    found = [name for name in names if first.run.options.get(name) != second.run.options.get(name)]
    told = " and ".join(map(words.named, found))
    return f"{told} {'differs' if len(found) == 1 else 'differ'}" if found else ""


def _task(side: Side) -> Task:
    kind = tasks.get(side.run.task)
    return kind(kind.Options.of(side.run.options))


def _paired(metric: Metric, first: Side, second: Side) -> Difference:
    """How much better the second is, on the examples of both."""
    assert first.kept is not None and second.kept is not None
    both = [
        Contender(side.name, {metric.name: side.value(metric.name)}, "", role, side.kept.sums if side.kept else None)
        for side, role in ((second, "model"), (first, "baseline"))
    ]
    about, n = first.kept.about, len(first.kept.sums)
    contest = Contest(both, (metric,), _task(first).score, n, about["counted"], about["part"], first.kept.blocks)
    return contest.difference(*both)


def _own(side: Side, metric: Metric) -> tuple[float, float] | None:
    """The interval of a run's own value, where its examples are enough for one."""
    if side.kept is None or side.results is None:
        return None
    score = _task(side).score
    low, high = interval(lambda sums: score(sums, metric.name), grouped(side.kept.sums, side.kept.blocks))
    return None if low is None or high is None else (low, high)


def _unpaired(metric: Metric, first: Side, second: Side) -> Difference:
    """How much better the second is; bounds from those of the two values (MOVER, Zou & Donner 2008, section 2)."""
    sign = 1 if metric.higher else -1
    ours, theirs = second.value(metric.name), first.value(metric.name)
    own, other = _own(second, metric), _own(first, metric)
    gap = sign * (ours - theirs)
    if own is None or other is None:
        return Difference(first.name, ours, theirs, gap)
    low = ours - theirs - math.hypot(ours - own[0], other[1] - theirs)
    high = ours - theirs + math.hypot(own[1] - ours, theirs - other[0])
    return Difference(first.name, ours, theirs, gap, *((low, high) if sign > 0 else (-high, -low)))


def _sentence(comparison: Comparison, result: Result) -> str:
    """`runs/b is better than runs/a: accuracy 0.83 against 0.81, by 0.02 (95% interval 0.01 to 0.03; ...)`."""
    gap, first = result.difference, comparison.results[0].run
    if gap is None:
        return f"{result.run} is not compared with {first}: {result.why}."
    size = f"{abs(gap.difference):.3g} {'better' if gap.difference > 0 else 'worse'}" if gap.difference else "the same"
    values = f"{words.named(comparison.metric.name)} {gap.value:.4g} against {gap.other:.4g}, {size}"
    if gap.low is None or gap.high is None:
        return f"{result.run} beside {first}: {values}; no interval says how surely, as {_why(result, gap)}."
    bounds = f"95% interval of the gain {gap.low:.3g} to {gap.high:.3g}"
    how = f"paired, {comparison.examples}" if result.paired else f"unpaired, as {result.why}"
    judged = {1: "is better than", -1: "is worse than", 0: "cannot be told from"}[gap.sign]
    return f"{result.run} {judged} {first}: {values} ({bounds}; {how})."


def _finite(value: object) -> Any:
    """JSON has no number for what is none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _why(result: Result, gap: Difference) -> str:
    return result.why if result.why else f"{gap.blocks} independent blocks of examples are too few"
