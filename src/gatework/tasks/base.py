"""What a task is: the one interface between files of data and everything that works on tasks.

A task is one folder beside this file, or a package named under the entry point `gatework.tasks`; it sets `TASK`.
Nothing outside that folder knows a task by its name: training, report, explanation, diagnosis, tuning and the commands
work on this protocol. Small records come first, then the protocol in the order in which a job uses it: data, model,
training, results, pages, explanations, search.
"""

from __future__ import annotations

import inspect
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from torch import Tensor, nn

from gatework.data.finding import Finding
from gatework.errors import OptionError
from gatework.training.learner import Metric, Shard, Step
from gatework.training.options import Options, TrainingOptions

if TYPE_CHECKING:
    from gatework.pages.picture import Picture
    from gatework.runtime.exported import Exported
    from gatework.tasks.jobs import Trained
    from gatework.tasks.subject import Subject

__all__ = [
    "Axes",
    "Contender",
    "Evaluated",
    "Finding",
    "Metric",
    "Page",
    "Parts",
    "Round",
    "Shard",
    "Step",
    "Task",
    "Usage",
]

Examples = TypeVar("Examples")  # what data are encoded as: one part of them
Batch = TypeVar("Batch")
Model = TypeVar("Model", bound=nn.Module)
Source = Any  # a path, a data frame, or rows in memory; each task says which it reads
Axes = tuple[Sequence[str] | None, ...]  # what the places along each axis of a weight stand for; None: for no units


@dataclass(frozen=True)
class Contender:
    """A method's result on the examples of a part, in the task's own metrics.

    `role` says who it is: "model" (what the run answers with), "network" and "simple" (the parts of the model, each
    alone; a model without a simple part is its network), "baseline", or "combination" (of model and baselines: shown,
    and no part of a verdict). `sums` [G, k] are what the watched metric is
    computed from, added up over each of G groups of examples (a row, a window, a stretch of text): see `Task.score`
    and `Task.blocks`. NaN in a group: the method has no answer there. All contenders of a part have the same groups;
    one without `sums` is shown, and can be ahead, but not by more than chance.
    """

    name: str
    metrics: dict[str, float]
    note: str = ""
    role: str = "baseline"
    sums: np.ndarray | None = None


def ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """sums / counts, NaN where nothing was counted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts == 0, np.nan, sums / counts)


@dataclass(frozen=True)
class Parts(Generic[Examples]):
    """Encoded examples: what is learned from, what choices are made on, what is read once at the end."""

    train: Examples
    valid: Examples
    test: Examples | None = None

    @property
    def last(self) -> tuple[str, Examples]:
        """The part that results are told on: test where there is one, else valid."""
        return ("valid", self.valid) if self.test is None else ("test", self.test)


@dataclass(frozen=True)
class Round:
    """Data of one training of a cross-validation; `changes` are options that its form needs."""

    source: Source
    valid: Source | None = None
    test: Source | None = None
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluated:
    """What another evaluation than the usual one found: for the screen, and as JSON-able rows."""

    text: str
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Usage:
    """What a page says of using a run: lines for a shell, and of Python, that work as they stand, given new data."""

    commands: list[str]
    python: list[str]
    other: str = "other-data"  # what `gatework evaluate` takes


@dataclass(frozen=True)
class Page:
    """A task's part of a report.

    `template` is a file in the folder of the task's package, "" for none; `names` are what it shows beside what every
    page has; `sections` are the keys of `Task.sections` that it shows (others are shown as plain tables); `counts` are
    keys of `Task.facts` that hold counts by name, each with the heading under which they become bars; `metrics`
    explains the metrics in a sentence or two, `example` what one of the examples that are counted is; `plainly`
    is what came out, for those in a hurry; `beside` names pictures that are also written as PNG beside the page.
    """

    template: str = ""
    names: Mapping[str, Any] = field(default_factory=dict)
    sections: frozenset[str] = frozenset()
    counts: Mapping[str, str] = field(default_factory=dict)
    metrics: str = ""
    beside: tuple[str, ...] = ()
    example: str = ""
    plainly: str = ""


@dataclass(frozen=True, kw_only=True)
class NoOptions(Options):
    """Where there is nothing to choose."""


class Task(ABC, Generic[Examples, Batch, Model]):
    """How files become examples, examples batches, batches a loss, and weights an answer.

    kind = get(name)
    task = kind(kind.Options(hidden_size=64))
    parts = task.prepare("book.txt")
    model = task.build()
    """

    name: ClassVar[str]
    Options: ClassVar[type[TrainingOptions]] = TrainingOptions
    Predicting: ClassVar[type[Options]] = NoOptions  # what `predict` can be told beside its source
    Evaluating: ClassVar[type[Options]] = NoOptions  # what `evaluate` can be told: see `evaluated`
    Explaining: ClassVar[type[Options]] = NoOptions  # what names a subject of `explain`
    Files: ClassVar[type[Options]] = NoOptions  # files that a command can name beside FILE: see `source`
    metric: Metric  # of the class; a task may choose another one by its options or data
    fallbacks: ClassVar[tuple[Metric, ...]] = ()  # what a verdict goes by where `metric` has no value
    counted: ClassVar[str] = "rows"  # what an example is called
    learns_all: ClassVar[bool] = True  # of a file but what is held out; False: an evaluation reads the end alone
    draws_parts: ClassVar[bool] = True  # whether the seed decides which examples are held out
    answers: ClassVar[str] = ""  # the columns of `predict`'s answers, in words, for its help
    reads_lines: ClassVar[bool] = True  # `predict` without a file takes lines of text; False: it needs no data
    streams: ClassVar[bool] = (
        False  # `written` takes them as an iterator of lists, and each line is answered for itself
    )

    def __init__(self, options: TrainingOptions):
        self.options = options

    @classmethod
    def folder(cls) -> Path:
        """Where the task's files lie beside its code: its search space, its template."""
        return Path(inspect.getfile(cls)).parent

    # -- data -----------------------------------------------------------------------------------------------

    @classmethod
    def source(cls, file: Path | None, others: Options) -> Source | None:
        """The data that a command names: FILE and what options of `Files` add to it; None where nothing is named.

        Several files of one source are a tuple of paths."""
        return file

    @abstractmethod
    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts[Examples]:
        """Reads, refuses bad data, splits, fits tokenizer / labels / scaler (kept on the task), and encodes."""

    @abstractmethod
    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training."""

    @abstractmethod
    def examples(self, source: Source) -> Examples:
        """New data, encoded with what `prepare` or `restore` set."""

    def caution(self, examples: Examples) -> str:
        """What makes a measurement on new data flatter, in a sentence: examples that were learned; "" where nothing."""
        return ""

    def assets(self) -> dict[str, str]:
        """File name -> text of all that the run folder must keep besides options and weights."""
        return {}

    def restore(self, assets: Mapping[str, str]) -> None:
        """Takes back what `assets` gave."""

    def rounds(self, source: Source, count: int, hold_out: bool) -> list[Round]:
        """The rounds of a cross-validation, after `prepare`; `hold_out`: the rows of the test part are in none."""
        raise OptionError(f"task {self.name!r} has no folds")

    # -- model ----------------------------------------------------------------------------------------------

    @abstractmethod
    def build(self) -> Model:
        """A fresh model; after `prepare` or `restore`."""

    def axes(self) -> Mapping[str, Axes]:
        """Weights whose places stand for units of the data, such as the words of a vocabulary: `{"embedding.weight":
        (words, None)}`. A training that starts from another run takes such weights over by the names of the units."""
        return {}

    # -- training: none of these changes the task; the model gets gradients (and running statistics), no more -----

    def learns_validation(self, epoch: int) -> bool:
        """Whether an epoch learns the validation part too, which from then on settles nothing."""
        return False

    def joined(self, parts: Parts[Examples]) -> Examples:
        """The examples of such an epoch: training and validation part."""
        raise NotImplementedError

    @abstractmethod
    def batches(self, examples: Examples, epoch: int, shard: Shard) -> Sequence[Batch]:
        """The epoch's batches, in an order that (options.seed, epoch) alone decide; this process' share of each.

        What is random inside a batch is drawn from torch's global generator, whose state the checkpoint holds.
        """

    @abstractmethod
    def loss(self, model: Model, batch: Batch, carry: dict[str, Tensor]) -> Step:
        """The batch's loss; `carry` is what the step before gave, detached, and empty when an epoch starts."""

    # -- results --------------------------------------------------------------------------------------------

    def settle(self, model: Model, examples: Examples) -> None:
        """Sets what validation rows decide beside the weights, in the model's buffers, which are saved with them:
        thresholds, shares of a mixture, widths of intervals. After each epoch that has not learned these rows."""

    @abstractmethod
    def measure(self, model: Model, examples: Examples) -> dict[str, float]:
        """All metrics, "loss" among them; the model is in evaluation mode and no gradient is kept. Changes nothing."""

    def watched(self, model: Model, examples: Examples) -> dict[str, float]:
        """What the history says about the validation part: `measure`, and where "loss" is not what training makes small
        (the model is more than its network), `NETWORK_LOSS` too. Changes nothing."""
        return self.measure(model, examples)

    def final_measures(self, model: Model, examples: Examples) -> dict[str, float]:
        """Further metrics that take too long for every epoch: told once, at the end of a training or of new data."""
        return {}

    def contenders(self, model: Model, examples: Examples) -> list[Contender]:
        """The model, then each of its parts alone, on the same examples; with `sums`, so that they can be compared."""
        return [Contender("model", self.measure(model, examples), role="model")]

    def baselines(self, parts: Parts[Examples]) -> list[Contender]:
        """Simple methods, fitted on the training part and measured on `parts.last`."""
        return []

    def simple(self, examples: Examples) -> list[Contender]:
        """Those baselines that need no training data: what an evaluation on other data stands beside."""
        return []

    def score(self, sums: np.ndarray, metric: str) -> np.ndarray:
        """A metric [...] (the watched one, or a fallback) from `Contender.sums` [..., k] added up over examples, NaN
        where these have none; here the ratio of two, sum / count."""
        return ratio(sums[..., 0], sums[..., 1])

    def blocks(self, examples: Examples) -> np.ndarray | None:
        """[G]: the block of each row of `Contender.sums`. What depends on each other is in one block (windows of a
        series). None: each row stands for itself."""
        return None

    def remarks(self, examples: Examples) -> list[str]:
        """What limits a comparison on these examples, in sentences: examples that the metric leaves out."""
        return []

    @abstractmethod
    def predict(self, model: Model, source: Source) -> list[dict[str, Any]]:
        """One JSON-able answer per row of the source; further keywords are the fields of `Predicting`."""

    def written(self, model: Model, source: Source, how: Options) -> str | Iterator[str] | None:
        """The answers of `predict` as a file in a form of the task's own, or its pieces as they come; None: rows of a
        table say them best. `how` is of `Predicting`."""
        return None

    def saved(self, model: Model, source: Source, out: Path, how: Options) -> list[dict[str, Any]] | None:
        """Writes answers that are no text, such as sounds, to the file or folder `out`, and gives their rows; None:
        answers are text, see `written`. `how` is of `Predicting`."""
        return None

    def evaluated(self, trained: Trained, source: Source | None, how: Options) -> Evaluated:
        """Another evaluation than the usual one: what `gatework evaluate` does where options of `Evaluating` are given.

        `source` is None where no data was named."""
        raise OptionError(f"runs of {self.name!r} have one evaluation")

    def some(self, examples: Examples, count: int) -> Examples:
        """At most `count` of the examples, spread over all of them: measured like validation, they show the gap."""
        whole: Any = examples  # with `take`, unless a task says otherwise here
        return whole.take(np.unique(np.linspace(0, len(whole) - 1, count).astype(np.int64)))

    def origin(self) -> str:
        """Where `predict` without a source starts from, in words; for tasks that need no data."""
        return ""

    @property
    def rows_name_files(self) -> bool:
        """Whether a row of `predict` can name a file, which is then read; strangers must not give such rows."""
        return False

    def exported(self, model: Model) -> Exported:
        """The model as data, with what stands before and after it, for use without torch."""
        raise OptionError(f"runs of {self.name!r} have no export: the task does not say what its model is as data")

    # -- pages ------------------------------------------------------------------------------------------------

    def sections(self, model: Model, parts: Parts[Examples]) -> dict[str, Any]:
        """What only this task's report shows: confusion matrix, samples, worst errors; JSON-able. "hints", a list of
        {"what", "advice", "setting"}, are told by `diagnose` too."""
        return {}

    def facts(self, parts: Parts[Examples]) -> dict[str, Any]:
        """What the report says of the data; JSON-able."""
        return {}

    @classmethod
    def page(cls, results: Mapping[str, Any], options: Mapping[str, Any]) -> Page:
        """The task's part of the report of a run with these results and options."""
        return Page()

    @classmethod
    def pictures(cls, sections: Mapping[str, Any]) -> dict[str, Picture]:
        """The pictures that `sections` have the numbers for, by name."""
        return {}

    @classmethod
    def usage(cls, run: str, new: str, options: Mapping[str, Any]) -> Usage:
        """How the run folder `run` is used on a file like `new`."""
        return Usage(
            [f"gatework predict {shlex.quote(run)} {new}"],
            ["from gatework.tasks.jobs import load", f"load({run!r}).predict({new!r})"],
        )

    # -- explanations and search ------------------------------------------------------------------------------

    def subject(self, trained: Trained, given: Options, source: Source | None) -> Subject:
        """What is explained: one input of the trained model, as `given` (of `Explaining`) and `source` name it."""
        raise OptionError(f"runs of {self.name!r} cannot be explained")

    @property
    def variant(self) -> str | None:
        """The table of `space.toml` that fits the data, after `prepare`; None where the space is one table."""
        return None


@dataclass
class Learner:
    """A task and its parts, as the training loop sees them."""

    task: Task
    parts: Parts
    metric: Metric = field(init=False)
    epoch: int = field(init=False, default=0)  # of the batches given last
    _both: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.metric = self.task.metric

    @property
    def learned(self) -> bool:
        return self.task.learns_validation(self.epoch)

    def batches(self, epoch: int, shard: Shard) -> Sequence[Any]:
        self.epoch = epoch
        if not self.learned:
            return self.task.batches(self.parts.train, epoch, shard)
        if self._both is None:
            self._both = self.task.joined(self.parts)
        return self.task.batches(self._both, epoch, shard)

    def loss(self, model: nn.Module, batch: Any, carry: dict[str, Tensor]) -> Step:
        return self.task.loss(model, batch, carry)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Settles what the validation part decides, as long as it is not learned itself; then measures on it."""
        if not self.learned:
            self.task.settle(model, self.parts.valid)
        return self.task.watched(model, self.parts.valid)
