"""A whole task, as an example: a network that learns to add up.

Each line of a file is a row, numbers and behind "=" their sum: `0.5 -1 2 = 1.5`. A package that holds this folder adds
the task by an entry point, and `gatework train total rows.txt` and all other verbs know it:

    [project.entry-points."gatework.tasks"]
    total = "my_package.total"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gatework.data.files import read_text
from gatework.data.finding import Finding, refuse
from gatework.errors import DataError
from gatework.networks.encoder import Encoder
from gatework.tasks.base import Contender, Metric, Page, Parts, Round, Shard, Source, Step, Task
from gatework.tasks.subject import Subject, Wording
from gatework.training.options import Options, option
from gatework.training.regularisation import RecurrentOptions

if TYPE_CHECKING:
    from gatework.tasks.jobs import Trained


@dataclass(frozen=True, kw_only=True)
class TotalOptions(RecurrentOptions):
    """Options of `train total`: a field is a flag, a setting and a parameter of the estimator."""

    held_out: float = option(0.2, "share of rows for choices; as many test", panel="data", high=0.4, role="question")
    hidden_size: int = option(16, "units per layer (H)", panel="model", low=1)


@dataclass(frozen=True, kw_only=True)
class TotalPredicting(Options):
    places: int | None = option(None, "round sums to so many places", panel="answers", low=0)


@dataclass(frozen=True, kw_only=True)
class TotalExplaining(Options):
    line: int = option(1, "the line of FILE to explain", panel="what to explain", low=1)


@dataclass(frozen=True)
class Rows:
    """Numbers (N, T) and their sums (N,), NaN where these are not known."""

    numbers: Tensor
    sums: Tensor

    def __len__(self) -> int:
        return len(self.sums)

    def take(self, rows: Any) -> Rows:
        return Rows(self.numbers[rows], self.sums[rows])


class Adder(nn.Module):
    """Numbers (B, T) -> sums (B,)."""

    def __init__(self, options: TotalOptions):
        super().__init__()
        self.encoder = Encoder(options, 1)
        self.head = nn.Linear(options.hidden_size, 1)

    def forward(self, numbers: Tensor) -> Tensor:
        output, _ = self.encoder(numbers.t().unsqueeze(2))
        return self.head(output[-1]).squeeze(1)


class Total(Task):
    """Rows of numbers -> their sums."""

    name = "total"
    Options, Predicting, Explaining = TotalOptions, TotalPredicting, TotalExplaining
    metric = Metric("error", higher=False)
    answers = "sum"
    options: TotalOptions  # pyright: ignore[reportIncompatibleVariableOverride] (its options are these)

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        rows = self.examples(source)
        if len(rows) < 3:
            raise DataError(f"{len(rows)} rows are too few to learn from some and hold out others; give at least 3")
        held = max(round(len(rows) * self.options.held_out), 1)
        choosing, last = rows.take(slice(-2 * held, -held)), rows.take(slice(-held, None))
        others = [self.examples(given) if given else own for given, own in ((valid, choosing), (test, last))]
        return Parts(rows.take(slice(-2 * held)), *others)

    def check(self, source: Source) -> list[Finding]:
        widths = [width(line) for line in lines(source)]
        text = f"is no row of {max(widths, default=0)} numbers; write such as 0.5 -1 2 = 1.5"
        odd = [row for row, each in enumerate(widths, 1) if each < 1 or each != max(widths)]
        return [Finding("error", f"line {row} {text}", row) for row in odd]

    def examples(self, source: Source) -> Rows:
        refuse(self.check(source))
        read = [line.partition("=") for line in lines(source)]
        numbers = torch.tensor([[float(word) for word in left.split()] for left, _, _ in read])
        return Rows(numbers, torch.tensor([float(right or "nan") for _, _, right in read]))

    def rounds(self, source: Source, count: int, hold_out: bool) -> list[Round]:
        rows = lines(source)[: -round(len(lines(source)) * self.options.held_out) if hold_out else None]
        return [Round([row for n, row in enumerate(rows) if n % count != k], rows[k::count]) for k in range(count)]

    def build(self) -> Adder:
        return Adder(self.options)

    def batches(self, examples: Rows, epoch: int, shard: Shard) -> Sequence[Rows]:
        order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(self.options.seed + 1000 * epoch))
        return [examples.take(rows[shard.rank :: shard.world]) for rows in order.split(self.options.batch_size)]

    def loss(self, model: nn.Module, batch: Rows, carry: dict[str, Tensor]) -> Step:
        return Step((model(batch.numbers) - batch.sums).square().mean(), len(batch))

    def measure(self, model: nn.Module, examples: Rows) -> dict[str, float]:
        wrong = model(examples.numbers) - examples.sums
        return {"loss": float(wrong.square().mean()), "error": float(wrong.abs().mean())}

    def contenders(self, model: nn.Module, examples: Rows) -> list[Contender]:
        return [contender("model", model(examples.numbers), examples, "model")]

    def baselines(self, parts: Parts) -> list[Contender]:
        rows = parts.last[1]
        return [contender("mean of the training part", parts.train.sums.mean().expand(len(rows)), rows, "baseline")]

    def predict(self, model: nn.Module, source: Source, places: int | None = None) -> list[dict[str, Any]]:
        sums = model(self.examples(source).numbers).tolist()
        return [{"sum": each if places is None else round(each, places)} for each in sums]

    def sections(self, model: nn.Module, parts: Parts) -> dict[str, Any]:
        rows = parts.last[1].take(slice(5))
        return {"first": list(zip(rows.sums.tolist(), model(rows.numbers).tolist(), strict=True))}

    @classmethod
    def page(cls, results: Mapping[str, Any], options: Mapping[str, Any]) -> Page:
        return Page("page.html", sections=frozenset({"first"}))

    def subject(self, trained: Trained, given: TotalExplaining, source: Source | None) -> Row:
        if source is None or given.line > len(rows := self.examples(source)):
            raise DataError(f"name a file that has a line {given.line}")
        return Row(trained.model, rows.numbers[given.line - 1], given.line)


class Row(Subject):
    """One row; each step is a number, and a zero stands where one is taken away."""

    def __init__(self, model: nn.Module, numbers: Tensor, line: int):
        self.model, self.entry, self.baseline = model, numbers[:, None], torch.zeros(len(numbers), 1)
        self.source, self.spoken, self.steps = f"line {line}", "sum", [f"{number:g}" for number in numbers]
        self.values, self.contrast = numbers.numpy(), torch.ones(1, dtype=torch.float64)
        self.exact, self.linear = {}, {}
        self.words = Wording("row", "number", "the sum", "sum", "a zero")
        self.answer = f"{self.whole()[0]:.4g}"

    def network(self, entries: Tensor) -> Tensor:
        return self.model(entries[:, :, 0]).double().unsqueeze(1)


def lines(source: Source) -> list[str]:
    """The rows of a file, or of a list of texts."""
    return list(source) if isinstance(source, list | tuple) else read_text(source).splitlines()


def width(line: str) -> int:
    """How many numbers a row has before its sum; -1 where something else stands among them."""
    left, _, right = line.partition("=")
    try:
        return len([float(word) for word in (*left.split(), right or "0")]) - 1
    except ValueError:
        return -1


def contender(name: str, answers: Tensor, rows: Rows, role: str) -> Contender:
    """Its error, and the sums that a comparison on the same rows is made of."""
    wrong = (answers - rows.sums).abs()
    sums = torch.stack([wrong, torch.ones(len(rows))], 1).double().numpy()
    return Contender(name, {"error": float(wrong.mean())}, role=role, sums=sums)


TASK = Total
