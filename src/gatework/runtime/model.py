"""Exported models, ready to answer: what all kinds of answers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from gatework.errors import OptionError
from gatework.runtime.exported import Exported
from gatework.runtime.net.run import Bound
from gatework.runtime.stepper import Stepper

States = dict[str, np.ndarray]


class Model(ABC):
    """A trained model without the library that trained it; see `gatework.runtime.load`.

    model = gatework.runtime.load("reviews.safetensors")
    model.predict(["a superb film", "dull"])      # a dict for each row, as the run itself gives it
    """

    kind: ClassVar[str]
    together: ClassVar[bool] = False  # whether the rows of a call are one question, with any number of answers
    inputs: str = ""  # what a row is, in words

    @property
    def schema(self) -> dict[str, Any]:
        """What a row of JSON is, as JSON schema; `inputs` says it in words."""
        return {}

    @property
    def example(self) -> object:
        """A row that `predict` takes, as JSON has it."""
        return "a fine film"

    def __init__(self, exported: Exported, hash: str = ""):
        self.exported, self.hash = exported, hash
        self.about = exported.about
        self._states: States | None = None

    @abstractmethod
    def predict(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """One answer for each row. Raises DataError or ShapeError for a row that is none, with its number."""

    def generate(self, prompt: str = "", **how: object) -> Iterator[str]:
        """What the model writes after a prompt, piece by piece."""
        raise OptionError(f"a model of the kind {self.kind!r} writes no texts; predict answers for rows")

    # -- streams --------------------------------------------------------------------------------------------

    @property
    def stepper(self) -> Stepper | None:
        """What steps streams; None where the model reads whole rows alone: see `why_no_stream`."""
        return None

    @property
    def why_no_stream(self) -> str:
        return "it reads whole rows"

    def step(self, row: object) -> Any:
        """The answer after one more step of the model's own stream, which `reset` begins anew."""
        stepper = self.stepper
        if stepper is None:
            raise OptionError(f"this model takes no single steps: {self.why_no_stream}; give predict whole rows")
        before = self._states or {name: each[None] for name, each in stepper.start().items()}
        output, self._states = stepper.step(stepper.read(row)[None], before)
        return stepper.answer(output[0])

    def reset(self) -> None:
        """The next step is the first one."""
        self._states = None


class NetStepper:
    """The steps of a net that keeps states: inputs (B, I) go in under one name, the scores come out."""

    def __init__(
        self,
        net: Bound,
        read: Callable[[object], np.ndarray],
        answer: Callable[[np.ndarray], Any],
    ):
        self.net, self._read, self._answer = net, read, answer
        (self._input,) = set(net.net.inputs) - set(net.net.states)
        self._ids = net.net.inputs[self._input].dtype == "int64"
        self.widths = {name: state.width for name, state in net.net.states.items()}

    def start(self) -> States:
        return {name: rows[0] for name, rows in self.net.start(1).items()}

    def step(self, inputs: np.ndarray, states: Mapping[str, np.ndarray]) -> tuple[np.ndarray, States]:
        given = inputs[:, 0].astype(np.int64) if self._ids else inputs
        found = self.net(**{self._input: given}, **states)
        return found.pop("scores"), found

    def read(self, row: object) -> np.ndarray:
        return self._read(row)

    def answer(self, output: np.ndarray) -> Any:
        return self._answer(output)
