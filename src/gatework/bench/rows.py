"""A measurement as a line to read and as JSON: medians, ratios with errors, shares of the peaks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gatework.bench import steady
from gatework.bench.timing import Sample, ratio

OURS = "gatework"
AFTER = "after a matrix product"  # what is timed after a call of another team, which makes its times unsteady
BUSY = 0.1  # of a processor, gone elsewhere


@dataclass(frozen=True)
class Row:
    """One thing measured, in seconds or (`unit`) "bytes". `flops` and `bytes` are of one call of ours, `peak_*` per
    second; samples that are named `aside` are no peers. Where times are unsteady there are no ratios, unless they are
    wanted anyway."""

    suite: str
    what: str
    case: str
    threads: int
    samples: dict[str, Sample]
    ours: str = OURS
    unit: str = "s"
    flops: float = 0
    bytes: float = 0
    peak_flops: float = 0
    peak_bytes: float = 0
    aside: tuple[str, ...] = ()
    facts: dict[str, float] = field(default_factory=dict)  # further results by name
    known: dict[str, float] = field(default_factory=dict)  # the best times of the peaks so far
    anyway: bool = False
    elsewhere: float | None = None  # processors that others used meanwhile
    report: dict[str, str] = field(default_factory=dict)  # words, such as which kernel ran

    def unsteady(self) -> dict[str, float]:
        """Whose times are unsteady, and by how much (see steady.py)."""
        return steady.unsteady({n: s.times for n, s in self.samples.items() if n != AFTER}, self.known)

    @property
    def refused(self) -> bool:
        """Whether there are samples to compare, too unsteady for it."""
        return not self.anyway and len(self.samples) > 1 and bool(self.unsteady())

    def ratios(self) -> dict[str, tuple[float, float]]:
        """How many times faster we are than each other, and the error."""
        mine, others = self.samples[self.ours], {} if self.refused else self.samples
        return {n: ratio(s, mine) for n, s in others.items() if n not in (self.ours, *self.aside)}

    def rates(self) -> dict[str, float]:
        """Of ours: GFLOP/s, GB/s and, if steady, their shares of the peaks."""
        seconds = self.samples[self.ours].median
        found = {}
        for unit, amount, peak in (("GFLOP/s", self.flops, self.peak_flops), ("GB/s", self.bytes, self.peak_bytes)):
            if amount:
                found[unit] = amount / seconds / 1e9
            if amount and peak and not self.refused:
                found[f"share of {unit}"] = amount / seconds / peak
        return found

    def line(self) -> str:
        """
        >>> samples = {"gatework": Sample((2e-6,) * 3), "torch": Sample((8e-6,) * 3)}
        >>> Row("grid", "forward", "T1 B1 I2 H2", 1, samples).line()
        'T1 B1 I2 H2           1 thread   forward           gatework 2.00 us ±0.0% | torch 8.00 us ±0.0%: 4.00±0.00x'
        """
        own = " ".join([f"{self.ours} {shown(self.samples[self.ours], self.unit)}", *self._rates()])
        ratios = {n: f": {r:.2f}±{e:.2f}x" for n, (r, e) in self.ratios().items()}
        peers = [n for n in self.samples if n not in (self.ours, *self.aside)]
        others = [f"{n} {shown(self.samples[n], self.unit)}{ratios.get(n, '')}" for n in peers]
        facts = [] if self.refused else [f"{name} {value:.3g}" for name, value in self.facts.items()]
        parts = [f"{self.case:<21} {threaded(self.threads):<10} {self.what:<17} {own}", *others, *facts]
        return " | ".join(parts) + self._warning()

    def _rates(self) -> list[str]:
        rates = self.rates()
        texts = []
        for unit in ("GFLOP/s", "GB/s"):
            if unit in rates:
                share = rates.get(f"share of {unit}")
                texts.append(f"{rates[unit]:.0f} {unit}" + (f" ({share:.0%} of the peak)" if share else ""))
        return texts

    def _warning(self) -> str:
        """What speaks against the numbers."""
        told = []
        if wild := [f"{name} {by:.0%}" for name, by in self.unsteady().items()]:
            told.append(f"{'unsteady, no ratio' if self.refused else 'unsteady'}: {', '.join(wild)}")
        if self.elsewhere is not None and self.elsewhere > BUSY:
            told.append(f"disturbed: others used {self.elsewhere:.2f} processors")
        return "".join(f" | {each}" for each in told)

    def to_dict(self) -> dict[str, Any]:
        """All there is, raw times in seconds included."""
        samples = {
            n: {"median": s.median, "spread": s.spread, "error": s.error, "times": list(s.times)}
            for n, s in self.samples.items()
        }
        ratios = {n: {"ratio": r, "error": e} for n, (r, e) in self.ratios().items()}
        words = {n: getattr(self, n) for n in ("suite", "what", "case", "threads", "ours", "unit", "elsewhere")}
        return {
            **words,
            "facts": self.facts,
            "report": self.report,
            "samples": samples,
            "ratios": ratios,
            "rates": self.rates(),
            "unsteady": self.unsteady(),
        }


UNITS = {
    "s": (("s", 1.0), ("ms", 1e3), ("us", 1e6)),
    "bytes": (("GiB", 2.0**-30), ("MiB", 2.0**-20), ("KiB", 2.0**-10)),
}


def shown(sample: Sample, unit: str) -> str:
    """Median and deviation in a unit that suits: "2.08 ms ±0.5%"."""
    named, scale = next(((n, s) for n, s in UNITS[unit] if sample.median * s >= 1), UNITS[unit][-1])
    value = sample.median * scale
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {named} ±{sample.spread:.1%}"


def summary(rows: Iterable[Row]) -> list[str]:
    """For each suite, thing, number of threads and peer, the least ratio and the geometric mean; the range of facts."""
    rows = list(rows)
    good = [row for row in rows if not row.refused]
    return [*_ratios(good), *_facts(good), *_left_out(len(rows) - len(good), len(rows))]


def _left_out(refused: int, rows: int) -> list[str]:
    if not refused:
        return []
    return [
        f"{refused} of {rows} rows have no ratio: times or the machine's peak were unsteady by more than "
        f"{steady.MOST:.0%}. `gatework bench doctor` says what disturbs; --patience 60 waits longer for quiet, "
        "--anyway shows the ratios all the same."
    ]


def _ratios(rows: list[Row]) -> list[str]:
    groups: dict[tuple[str, str, int, str], list[tuple[float, str]]] = {}
    for row in rows:
        for peer, (value, _) in row.ratios().items():
            groups.setdefault((row.suite, row.what, row.threads, peer), []).append((value, row.case))
    lines = []
    for (suite, what, count, peer), found in groups.items():
        mean = math.exp(sum(math.log(value) for value, _ in found) / len(found))
        least, where = min(found)
        head = f"{suite}, {what}, {threaded(count)}, against {peer}"
        if len(found) > 1:
            lines.append(f"{head}: geometric mean {mean:.2f}x of {len(found)}, least {least:.2f}x at {where}")
    return lines


def _facts(rows: list[Row]) -> list[str]:
    groups: dict[tuple[str, str, int, str], list[float]] = {}
    for row in rows:
        for name, value in row.facts.items():
            groups.setdefault((row.suite, row.what, row.threads, name), []).append(value)
    return [
        f"{suite}, {what}, {threaded(count)}, {name}: {min(found):.3g} to {max(found):.3g}"
        for (suite, what, count, name), found in groups.items()
        if len(found) > 1
    ]


def threaded(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"
