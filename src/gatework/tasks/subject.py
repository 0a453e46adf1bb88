"""What is explained: one input of one model, in a form that every task can be brought into.

Letters: T steps, I units that the recurrent layers read, K outputs, S variants of the input, W windows of steps.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gatework.errors import OptionError

ROWS = 65_536  # steps of all variants that are run at once, so that memory stays small


@dataclass(frozen=True)
class Wording:
    """How sentences and tables speak of a subject.

    An answer is a name whose probability is shown ("the model answers 'good': 97%"), or the shown number itself ("the
    forecast is 12"): then `opening` is "".
    """

    what: str  # "text", "sequence" or "series"
    unit: str  # "word", "character", "sentence", "step": what one step is
    output: str  # the output that is explained, with its unit
    shown: str  # the number that people read: a probability, or a forecast
    absent: str  # what stands where a step is taken away
    notes: tuple[str, ...] = ()
    opening: str = "The model answers"  # what is said before the answer's name
    number: str = "probability"  # what the shown number is, in a word
    left: str = (
        "last"  # which steps are left where the others are cut off: the last, or the nearest to what is explained
    )
    beside: tuple[str, ...] = ()  # sentences on what the answer rests on beside the steps, said after it

    @property
    def valued(self) -> bool:
        """Whether the shown number is the answer."""
        return not self.opening

    @property
    def beyond(self) -> str:
        """Where the steps lie that are cut off."""
        return "before" if self.left == "last" else "around"

    @property
    def space(self) -> str:
        """What stands between two steps where they are written as one text."""
        return " " if self.unit in ("word", "sentence") else ""

    @property
    def pro(self) -> str:
        return "raises" if self.valued else "speaks for"

    @property
    def contra(self) -> str:
        return "lowers" if self.valued else "speaks against"

    def told(self, value: float) -> str:
        """The shown number as it is written."""
        return f"{value:.4g}" if self.valued else f"{value:.1%}"


class Looked(NamedTuple):
    """Attention: weights (R, T) of R rows, each a look, on the T steps; `what` a row is: "written word", "reading".
    Where steps are the places of a picture, row after row, `scene` (H, W, C) is that picture."""

    what: str
    rows: Sequence[str]
    weights: np.ndarray
    scene: np.ndarray | None = None


class Subject(ABC):
    """One input. The explained output is `logits @ contrast`, for logits = network(entry) + what else the model adds.

    `entry` (T, I) is what the recurrent layers read, `baseline` (T, I) the same with nothing in it. `exact` holds parts
    of the model beside the network that are attributed to steps exactly, (T,) each; `constant` is what they owe to no
    step. `linear` names parts that are inside `network` and linear in the entry.
    """

    source: str
    steps: list[str]
    answer: str
    spoken: str  # the explained output's name: a label, a unit, a forecast
    model: Any
    entry: Tensor
    baseline: Tensor
    contrast: Tensor
    words: Wording
    exact: dict[str, np.ndarray]
    linear: dict[str, np.ndarray]
    constant: float = 0.0
    values: np.ndarray | None = None  # (T,) or (T, C) numbers as they were read
    channels: Sequence[str] = ()  # their C names
    timed: str | None = ""  # the module whose recurrent layers read one step after another; "": the model; None: none
    looked: Looked | None = None  # what attention put on the steps
    near: float = 0.05  # by how much the shown number may change while the answer counts as the same

    def __len__(self) -> int:
        return len(self.steps)

    @abstractmethod
    def network(self, entries: Tensor) -> Tensor:
        """Outputs (S, K) of the differentiable part for entries (S, T, I)."""

    # What follows is right for a model that is its network and answers with a number; others have their own.

    @torch.no_grad()
    def whole(self) -> np.ndarray:
        """Outputs (K,) of the whole model, as `predict` computes them."""
        return self.network(self.entry[None])[0].double().numpy()

    def without(self, windows: list[tuple[int, int]]) -> np.ndarray:
        """Outputs (W, K) of the whole model with the steps of each window taken away."""
        return self.replaced(windows)

    def last(self, lengths: list[int]) -> tuple[np.ndarray, list[str]]:
        """Shown numbers and answers of the whole model that is given its last steps alone (or the nearest:
        `Wording.left`)."""
        numbers = self.shown(self.replaced([(0, len(self) - length) for length in lengths]))
        return numbers, [f"{number:.4g}" for number in numbers]

    def shown(self, outputs: np.ndarray) -> np.ndarray:
        """The number that people read, (S,), of outputs (S, K)."""
        return outputs[:, 0]

    @contextmanager
    def precisely(self) -> Iterator[None]:
        """While it lasts, `network` takes and gives double precision."""
        single = self.model
        if not hasattr(self, "_double"):
            self._double = copy.deepcopy(single).double()
        self.model = self._double
        try:
            yield
        finally:
            self.model = single

    def score(self, entries: Tensor) -> Tensor:
        """The explained output's differentiable part, (S,)."""
        return self.network(entries) @ self.contrast

    @torch.no_grad()
    def replaced(self, windows: list[tuple[int, int]]) -> np.ndarray:
        """Outputs (W, K) of the network with the baseline in each window."""
        size = max(ROWS // len(self), 1)
        parts = [windows[start : start + size] for start in range(0, len(windows), size)]
        return np.concatenate([self.network(self._variants(part)).double().numpy() for part in parts])

    def _variants(self, windows: list[tuple[int, int]]) -> Tensor:
        entries = self.entry.repeat(len(windows), 1, 1)
        for row, (start, stop) in enumerate(windows):
            entries[row, start:stop] = self.baseline[start:stop]
        return entries


def contrast_to_others(count: int, target: int) -> Tensor:
    """Weights (K,) of K logits: the target against the mean of the others; with two classes, the log-odds."""
    weights = torch.full((count,), -1.0 / max(count - 1, 1), dtype=torch.float64)
    weights[target] = 1.0
    return weights


def must_name_one(text: str | None, row: int | None, what: str = "a row", like: str = "TEXT") -> None:
    """Refuses an input that neither a text nor a row of a file (`what` it is called) names, or that both do."""
    if (text is None) == (row is None):
        raise OptionError(
            f"give either a text or {what} of a file: --text {like} or FILE --row 3; in Python text=... or source=..., "
            "row=3"
        )


def must_be_written(text: str) -> None:
    """Refuses a text without a letter."""
    if not text.strip():
        raise OptionError("the text is empty; give at least one word")


@dataclass
class Seen:
    """A recurrent layer as it ran on the subject: its name in the model and what it read, (T, 1, I)."""

    name: str
    layer: Any
    inputs: Tensor
    others: dict[str, Tensor] = field(default_factory=dict)


@torch.no_grad()
def recurrent_layers(subject: Subject) -> list[Seen]:
    """Every recurrent layer of the model that ran over the steps, in the order of running."""
    from gatework.layers import Recurrent

    found: list[Seen] = []
    if subject.timed is None:
        return found

    def watcher(name: str):
        def hook(layer: nn.Module, given: tuple, kept: dict, _: object) -> None:
            values = given[0] if isinstance(given[0], Tensor) else given[0].data
            inputs = values if values.dim() == 3 else values.unsqueeze(1)
            found.append(Seen(name, layer, inputs.detach(), {k: v for k, v in kept.items() if v is not None}))

        return hook

    named = subject.model.named_modules()
    modules = [(name, each) for name, each in named if isinstance(each, Recurrent) and name.startswith(subject.timed)]
    hooks = [each.register_forward_hook(watcher(name), with_kwargs=True) for name, each in modules]
    try:
        subject.network(subject.entry.unsqueeze(0))
    finally:
        for hook in hooks:
            hook.remove()
    return found


@contextmanager
def fixed(model: nn.Module) -> Iterator[None]:
    """While it lasts, no parameter takes a gradient: those of the input cost a third less."""
    learning = [each for each in model.parameters() if each.requires_grad]
    for each in learning:
        each.requires_grad_(False)
    try:
        yield
    finally:
        for each in learning:
            each.requires_grad_(True)


@torch.no_grad()
def given_to(layer: nn.Module, run: Callable[[], object]) -> Tensor:
    """What a recurrent layer reads, (T, I), while `run` runs the model on one row."""
    found: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, given: found.append(given[0]))
    try:
        run()
    finally:
        hook.remove()
    values = found[0] if isinstance(found[0], Tensor) else found[0].data
    return values.reshape(-1, values.shape[-1]).detach().clone()


class Through:
    """Runs a module with another input than it was given: for `with`, while the model around it runs as it does."""

    def __init__(self, layer: nn.Module, vectors: Tensor):
        self.layer, self.vectors = layer, vectors

    def __enter__(self) -> None:
        self.hook = self.layer.register_forward_pre_hook(self._instead)

    def __exit__(self, *_: object) -> None:
        self.hook.remove()

    def _instead(self, _: nn.Module, given: tuple) -> tuple:
        if isinstance(given[0], Tensor):
            return self.vectors.transpose(0, 1), *given[1:]
        flat = self.vectors.transpose(0, 1).reshape(-1, self.vectors.shape[2])  # equally long: step after step
        return given[0]._replace(data=flat), *given[1:]
