"""Who earned a result: a model beside its parts and the baselines on the same examples, by paired intervals, in words.

A result is the network's only if the model beats the best baseline, beats its own simple part, and the network alone
knows something. What n examples cannot tell apart is called so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from gatework.pages.words import apart, measured, named
from gatework.tasks.base import Contender, Metric, Task

MANY = 200  # blocks that are enough, however many there are
FEWEST = 10  # blocks below which nothing is told apart
MOST = 1_000  # blocks that are drawn from; more are merged, which changes no sum
LEVEL, RESAMPLES, SEED = 0.95, 2_000, 1
SMALL = 0.001  # a difference that is a smaller share of the value counts as none
WON, LOST = ("network", "both"), ("baseline",)
EARNED = {  # in a table
    "network": "the network",
    "both": "network and simple part",
    "simple": "the simple part",
    "baseline": "baseline",
    "even": "no difference",
    "few": "too few to tell",
}


@dataclass(frozen=True)
class Difference:
    """How much better one method is than another, on the examples that both answered.

    `difference` is above 0 where the first is better, whichever way the metric goes; `low` and `high` bound it with
    95%, None where there are too few blocks for that.
    """

    against: str
    value: float
    other: float
    difference: float
    low: float | None = None
    high: float | None = None
    blocks: int = 0

    @property
    def sign(self) -> int:
        """1 where the first is better by more than chance and a trifle, -1 where it is worse so, else 0."""
        if self.low is None or self.high is None or abs(self.difference) < SMALL * abs(self.other):
            return 0
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Verdict:
    """What earned a result, in words and for results.json.

    `earned` is "network", "both", "simple", "baseline", "even" (no difference that these examples could show), "few"
    (too few to tell), "unclear" (without an interval), or "none" (nothing to compare).
    """

    text: str
    earned: str
    metric: str
    n: int
    best: Difference | None = None
    simple: Difference | None = None

    def to_dict(self) -> dict[str, Any]:
        """The comparison with the best baseline; "simple": that with the simple part alone, if there is one."""
        best = {} if self.best is None else asdict(self.best)
        simple = self.simple and asdict(self.simple)
        return {"earned": self.earned, "metric": self.metric, "n": self.n, **best, "simple": simple}


@dataclass(frozen=True)
class Contest:
    """Contenders on n examples, ready to be judged.

        Contest(contenders, (Metric("accuracy", True),), score, 400, "400 rows", "test").verdict.text

    Args:
        contenders: one of them with the role "model".
        metrics: the verdict goes by the first that has a value.
        score: see `Task.score`.
        examples: how many of what, in words; `where`: the part they are from.
        blocks: see `Task.blocks`.
        notes: sentences that the verdict ends with.
    """

    contenders: Sequence[Contender]
    metrics: Sequence[Metric]
    score: Callable[[np.ndarray, str], np.ndarray]
    n: int
    examples: str
    where: str
    blocks: np.ndarray | None = None
    notes: Sequence[str] = ()

    @classmethod
    def of(cls, task: Task, contenders: Sequence[Contender], examples: Sized, where: str) -> Contest:
        """The contest of a task's contenders on its examples."""
        n, metrics = len(examples), (task.metric, *task.fallbacks)
        counted = f"{n:,} {task.counted.removesuffix('s') if n == 1 else task.counted}"
        notes, blocks = task.remarks(examples), task.blocks(examples)
        return cls(contenders, metrics, task.score, n, counted, where, blocks, notes)

    # -- who is there ---------------------------------------------------------------------------------------

    @cached_property
    def metric(self) -> Metric:
        """The first metric that any of them has a value of."""
        there = (m for m in self.metrics if any(math.isfinite(value(each, m)) for each in self.contenders))
        return next(there, self.metrics[0])

    def part(self, role: str) -> Contender | None:
        return next((each for each in self.contenders if each.role == role), None)

    @cached_property
    def model(self) -> Contender:
        found = self.part("model")
        assert found is not None
        return found

    def value(self, contender: Contender) -> float:
        return value(contender, self.metric)

    @cached_property
    def rivals(self) -> list[Contender]:
        """The baselines that have a number."""
        return [each for each in self.contenders if each.role == "baseline" and math.isfinite(self.value(each))]

    # -- differences ----------------------------------------------------------------------------------------

    def difference(self, first: Contender, second: Contender) -> Difference:
        """How much better the first is, with a paired interval over the blocks that both answered."""
        found = self._gap(first, second)
        if found.blocks < FEWEST:
            return found
        sign, name = 1 if self.metric.higher else -1, self.metric.name
        low, high = interval(lambda sums: sign * self.score(sums, name), *self._common(first, second))
        return replace(found, low=low, high=high)

    def _gap(self, first: Contender, second: Contender) -> Difference:
        """The difference without an interval, which takes time."""
        ours, theirs, blocks = self.value(first), self.value(second), 0
        if first.sums is not None and second.sums is not None:
            common = self._common(first, second)
            ours, theirs = (float(self.score(sums.sum(0), self.metric.name)) for sums in common)
            blocks = len(common[0])
        gap = ours - theirs if self.metric.higher else theirs - ours
        return Difference(second.name, ours, theirs, gap, blocks=blocks)

    def _common(self, first: Contender, second: Contender) -> tuple[np.ndarray, np.ndarray]:
        """The sums of both over the blocks of what both answered."""
        assert first.sums is not None and second.sums is not None
        scores = [self.score(sums, self.metric.name) for sums in (first.sums, second.sums)]
        rows = np.flatnonzero(np.isfinite(scores).all(axis=0))
        return self._blocks(first.sums[rows], rows), self._blocks(second.sums[rows], rows)

    def _blocks(self, sums: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Sums [.., k] added up over the blocks that these rows are of."""
        return grouped(sums, None if self.blocks is None else self.blocks[rows])

    @cached_property
    def rival(self) -> Contender | None:
        """The baseline that is most ahead of the model, on what both answered: of those that were measured on enough
        examples for an interval, where there is one, and on most of what others were, or on many: among methods that
        were measured on a few each, the one that was lucky there would be ahead."""
        gaps = [(self._gap(self.model, rival), rival) for rival in self.rivals]
        enough = max(FEWEST, min(max((gap.blocks for gap, _ in gaps), default=0) / 2, MANY))
        sure = [each for each in gaps if each[0].blocks >= enough] or [each for each in gaps if each[0].blocks]
        return min(sure or gaps, key=lambda each: each[0].difference, default=(None, None))[1]

    @cached_property
    def best(self) -> Difference | None:
        """The model beside the best baseline."""
        return None if self.rival is None else self.difference(self.model, self.rival)

    @cached_property
    def ahead(self) -> Difference | None:
        """The model beside the best baseline of which only one number is known, where that is ahead."""
        gaps = [self._gap(self.model, rival) for rival in self.rivals if rival.sums is None]
        return min((each for each in gaps if each.difference < 0), key=lambda each: each.difference, default=None)

    @cached_property
    def simple(self) -> Difference | None:
        """The model beside its simple part alone."""
        part = self.part("simple")
        return None if part is None else self.difference(self.model, part)

    def knows(self) -> bool:
        """Whether the network alone beats the weakest baseline: one that knows nothing may still stir a mixture."""
        network, rivals = self.part("network"), [each for each in self.rivals if each.sums is not None]
        if network is None:
            return True
        if not rivals:
            return False
        weakest = max(rivals, key=lambda rival: self._gap(network, rival).difference)
        return self.difference(network, weakest).sign > 0

    # -- the verdict ----------------------------------------------------------------------------------------

    @cached_property
    def verdict(self) -> Verdict:
        earned = self.earned()
        text = " ".join([TELL[earned](self), *self._remarks()])
        best = self.ahead or self.best if earned == "unclear" else self.best
        return Verdict(text, earned, self.metric.name, self.n, best, self.simple)

    def earned(self) -> str:
        """What earned the result: see `Verdict`."""
        best = self.best
        if best is None or not math.isfinite(self.value(self.model)):
            return "none"
        if best.low is None:
            return "few" if best.blocks and self.ahead is None else "unclear"
        if best.sign < 0:
            return "baseline"
        if self.ahead is not None:
            return "unclear"
        if best.sign == 0 or self.silent():
            return "even"
        if self.simple is None:
            return "network"
        if self.simple.sign <= 0 or not self.knows():
            return "simple"
        return "network" if self.leads("network") else "both"

    def silent(self) -> bool:
        """Whether the model says nothing: where others say what is wrong, that is better, and earns nothing."""
        return self.metric.idle is not None and self.value(self.model) == self.metric.idle

    def leads(self, role: str) -> bool:
        """Whether a part alone beats the best baseline."""
        part = self.part(role)
        return part is not None and self.rival is not None and self.difference(part, self.rival).sign > 0

    def _remarks(self) -> list[str]:
        lost = [each.name for each in self.contenders if each.role != "model" and self._lost(each)]
        verb = "have" if len(lost) > 1 else "has"
        found = [f"{' and '.join(lost)} {verb} no number here, and cannot be compared."] if lost else []
        few = [each.name for each in self.rivals if self._partly(each)]
        if few:
            found.append(f"{' and '.join(few)}: measured on too few of {self.examples} to be compared.")
        if self.metric != self.metrics[0]:
            found.append(f"{shown(self.metrics[0])} has no value here; compared by {shown(self.metric)}.")
        return [*found, *self.notes]

    def _partly(self, contender: Contender) -> bool:
        """Whether a baseline is left out of the comparison as it answered little of what the best one did."""
        if contender.sums is None or self.best is None:
            return False
        return self._gap(self.model, contender).blocks < min(self.best.blocks / 2, MANY)

    def _lost(self, contender: Contender) -> bool:
        return not math.isfinite(self.value(contender))

    # -- words ----------------------------------------------------------------------------------------------

    def against(self, other: Difference | None = None) -> str:
        best = other or self.best
        assert best is not None
        ours, theirs = self.told(best.value), self.told(best.other)
        return f"{shown(self.metric)} {ours} against {theirs} of the best baseline, {best.against} ({self.where})"

    def told(self, value: float) -> str:
        """A value of the metric, in the digits in which pages show it."""
        return measured(self.metric.name, value)

    def by(self, found: Difference | None) -> str:
        """`better by 0.02 (95% interval 0.01 to 0.03; 400 rows)`"""
        assert found is not None and found.low is not None and found.high is not None
        often = f" in {found.blocks:,} blocks" if found.blocks != self.n else ""
        if found.low == found.high == 0:
            return f"the same in all {self.examples}{often}"
        turned = found.difference < 0
        low, high = (-found.high, -found.low) if turned else (found.low, found.high)
        name = self.metric.name
        bounds = f"95% interval {apart(name, low, unit=False)} to {apart(name, high, unit=False)}"
        size = f"{apart(name, abs(found.difference))} ({bounds}; {self.examples}{often})"
        return f"{'worse' if turned else 'better'} by {size}"

    def parts(self) -> str:
        """What each part has alone."""
        found = [self.part(role) for role in ("simple", "network")]
        told = [f"{each.name} {self.told(self.value(each))}" for each in found if each is not None]
        return "".join(f"; {each}" for each in told)

    def simple_name(self) -> str:
        part = self.part("simple")
        return "" if part is None else part.name.removesuffix(" alone")


def value(contender: Contender, metric: Metric) -> float:
    return contender.metrics.get(metric.name, math.nan)


def shown(metric: Metric) -> str:
    return named(metric.name)


def _network(contest: Contest) -> str:
    return f"The network earned it: {contest.against()}, {contest.by(contest.best)}{contest.parts()}."


def _both(contest: Contest) -> str:
    first = "Network and {} earned it together" if contest.leads("simple") else "Only network and {} together earned it"
    told = f"{contest.against()}, {contest.by(contest.best)}{contest.parts()}"
    return f"{first.format(contest.simple_name())}: {told}."


def _simple(contest: Contest) -> str:
    name, beside = contest.simple_name(), contest.simple
    assert beside is not None
    adds = "makes it worse" if beside.sign < 0 else f"adds nothing that {contest.examples} could show"
    told = f"{contest.against()}, {contest.by(contest.best)}; {name} alone {contest.told(beside.other)}"
    return f"The simple part ({name}) earned it; the network {adds}: {told}."


def _baseline(contest: Contest) -> str:
    assert contest.best is not None
    advice = f"Prefer {contest.best.against}, or give the model more data or training."
    return f"The baseline is better: {contest.against()}, {contest.by(contest.best)}. {advice}"


def _even(contest: Contest) -> str:
    assert contest.best is not None and contest.best.low is not None and contest.best.high is not None
    if contest.silent():
        return f"The model says nothing yet: {contest.against()}. gatework diagnose RUN tells what to change."
    sure = contest.best.low > 0 or contest.best.high < 0
    which = f"that matters (below {SMALL:.1%})" if sure else f"that {contest.examples} could show"
    told = f"{contest.against()}, {contest.by(contest.best)}"
    return f"No difference {which}: {told}. The simpler method is enough."


def _few(contest: Contest) -> str:
    assert contest.best is not None
    count = contest.best.blocks
    few = f"{count} independent {'block' if count == 1 else 'blocks'} of examples"
    return f"Too few to tell: {contest.against()}; {few}, where {FEWEST} are the least that can show a difference."


def _unclear(contest: Contest) -> str:
    who = "The model" if contest.ahead is None else contest.ahead.against
    return f"{who} is ahead, no interval says how surely: {contest.against(contest.ahead)}."


def _none(contest: Contest) -> str:
    name, own = shown(contest.metric), contest.value(contest.model)
    if not math.isfinite(own):
        return f"The model gave no number: {name} is {own} ({contest.where}). gatework check and diagnose look for why."
    told = f"{name} {contest.told(own)} ({contest.where}); no baseline was measured."
    beside = contest.simple
    if beside is None:
        return told
    much = contest.by(beside) if beside.low is not None else f"{contest.examples}, too few to tell"
    name = beside.against[0].upper() + beside.against[1:]
    return f"{told} {name}: {contest.told(beside.other)}; with the network {much}."


TELL: Mapping[str, Callable[[Contest], str]] = {
    "network": _network,
    "both": _both,
    "simple": _simple,
    "baseline": _baseline,
    "even": _even,
    "few": _few,
    "unclear": _unclear,
    "none": _none,
}


def grouped(sums: np.ndarray, blocks: np.ndarray | None) -> np.ndarray:
    """Sums [G, k] added up over the blocks [G] of their rows; each row is one where these are None."""
    if blocks is None:
        return sums
    kinds, numbers = np.unique(blocks, return_inverse=True)
    found = np.zeros((len(kinds), sums.shape[1]))
    np.add.at(found, numbers, sums)
    return found


def interval(
    score: Callable[[np.ndarray], np.ndarray], ours: np.ndarray, theirs: np.ndarray | None = None
) -> tuple[float | None, float | None]:
    """A 95% interval of score(sum of ours) - score(sum of theirs), both [G, k], over blocks drawn anew for both alike;
    without `theirs` of score(sum of ours).

    Percentiles of the bootstrap (Efron & Tibshirani 1993), moved outwards so that few blocks give as wide an interval
    as Student's t does (Hesterberg 2015, "What teachers should know about the bootstrap", section 4.3.1). BCa, scipy's
    default, has no value where all blocks differ alike, as they do where two methods nearly agree. (None, None) for
    fewer than FEWEST blocks.
    """
    from scipy.stats import bootstrap, norm, t

    if len(ours) < FEWEST:
        return None, None
    ours, theirs = merged(ours), None if theirs is None else merged(theirs)
    n = len(ours)

    def gained(drawn: np.ndarray, axis: int) -> np.ndarray:
        drawn = np.atleast_2d(drawn)
        places = drawn + n * np.arange(len(drawn))[:, None]
        often = np.bincount(places.ravel(), minlength=n * len(drawn)).reshape(len(drawn), n).astype(float)
        return score(often @ ours) - (0.0 if theirs is None else score(often @ theirs))

    level = float(1 - 2 * norm.cdf(-math.sqrt(n / (n - 1)) * t.ppf((1 + LEVEL) / 2, n - 1)))
    found = bootstrap(
        (np.arange(n),),
        gained,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=500,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def merged(sums: np.ndarray) -> np.ndarray:
    """At most MOST blocks: neighbours together."""
    if len(sums) <= MOST:
        return sums
    return np.add.reduceat(sums, np.arange(MOST) * len(sums) // MOST)


def of_role(results: Mapping[str, Any], *roles: str) -> list[dict[str, Any]]:
    """Rows of results.json's "contenders" that have one of these roles."""
    return [row for row in results.get("contenders") or [] if row["role"] in roles]


def told(contender: Contender) -> dict[str, Any]:
    """A contender as results.json keeps it."""
    return {"name": contender.name, "role": contender.role, "metrics": contender.metrics, "note": contender.note}
