"""Texts that go on: the next unit after those that were read, drawn from the network's distribution and counts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from gatework.errors import DataError, OptionError
from gatework.runtime.answers.given import count, rows_of, text_schema
from gatework.runtime.counts import Order, Tables, mixed
from gatework.runtime.drawing import Drawing, uniform
from gatework.runtime.exported import Exported
from gatework.runtime.model import Model, NetStepper, States
from gatework.runtime.net.ops import log_softmax
from gatework.runtime.net.run import Bound
from gatework.runtime.texts import Codec, codec
from gatework.runtime.texts.prompts import prompt_ids, unseen_note, written

LIKELIEST = 20  # units that the answer to a step names
LENGTH, TEMPERATURE = 300, 0.8
MOST = 100_000  # units of a text
CONTEXTS = "contexts"


class Symbols(Model):
    """{"prompt", "text"}: how a text goes on; one of a model that reads backwards is what leads to it.

    model.predict(["It was"])
    for piece in model.generate("It was", length=500, temperature=0.5):
        print(piece, end="")
    model.step("t")      # {"unit": "h", "probability": 0.41, "probabilities": {"h": 0.41, "o": 0.2, ...}}
    """

    kind = "symbols"
    inputs = 'a text that goes on, or {"prompt": a text}'

    def __init__(self, exported: Exported, hash: str = ""):
        super().__init__(exported, hash)
        said = exported.settings
        self.backwards, self.length = bool(said["backwards"]), count(said, "length", MOST)
        self.codec = codec(exported.texts["tokenizer"])
        tables = _tables(exported, len(self.codec))
        self._steps = UnitStepper(exported.bound("step"), self.codec, tables, float(said["share"]))

    @property
    def stepper(self) -> UnitStepper:
        return self._steps

    @property
    def schema(self) -> dict[str, Any]:
        return text_schema("prompt")

    def predict(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        rows = rows_of(rows, self.inputs)
        prompts, how = [_prompt(row, number) for number, row in enumerate(rows, 1)], Drawing(TEMPERATURE)
        return [{"prompt": each, "text": "".join(self._written(each, self.length, how, 1))} for each in prompts]

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = LENGTH,
        temperature: float = TEMPERATURE,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 1,
    ) -> Iterator[str]:
        """Pieces of text as they are written, `length` units in all, after the prompt, which is not repeated. The same
        seed writes the same. Of a model that reads backwards one piece: the text before the prompt.

        Raises: OptionError for settings out of bounds, DataError for a prompt that is no text.
        """
        if length < 0:
            raise OptionError(f"length must be at least 0, not {length}")
        prompt, how = _prompt(prompt, 1), Drawing(temperature, top_k, top_p)
        if note := unseen_note(self.codec, prompt):
            warnings.warn(note, stacklevel=2)
        return self._written(prompt, length, how, seed)

    def _written(self, prompt: str, length: int, how: Drawing, seed: int) -> Iterator[str]:
        ids = prompt_ids(self.codec, prompt[::-1] if self.backwards else prompt)
        pieces = written(self.codec, self._units(ids, length, how, seed))
        return iter(["".join(pieces)[::-1]]) if self.backwards else pieces

    def _units(self, ids: np.ndarray, length: int, how: Drawing, seed: int) -> Iterator[int]:
        """The units that follow those of a prompt."""
        states = {name: each[None] for name, each in self._steps.start().items()}
        for unit in ids[:-1]:
            _, states = self._steps.step(np.array([[unit]]), states)
        unit = ids[-1]
        for number in islice(uniform(seed), length):
            scores, states = self._steps.step(np.array([[unit]]), states)
            scores[:, list(self.codec.forbidden)] = -np.inf
            unit = int(how.drawn(scores, np.array([[number]]))[0, 0])
            yield unit


class UnitStepper(NetStepper):
    """Steps of texts: units (B, 1) to log probabilities (B, V) of the next ones, counts mixed in."""

    def __init__(self, net: Bound, codec: Codec, tables: Tables | None, share: float):
        super().__init__(net, self.read, self.answer)
        self.codec, self.tables, self.share = codec, tables, share
        if tables is not None:
            self.widths[CONTEXTS] = len(tables.orders)

    def read(self, row: object) -> np.ndarray:
        ids = self.codec.ids(row) if isinstance(row, str) else np.zeros(0, np.int32)
        if len(ids) != 1 or ids[0] in self.codec.forbidden:
            known = self.codec.vocabulary[-1]
            raise DataError(f"a step is one unit that the model knows, such as {known!r}; got {row!r:.60}")
        return ids

    def answer(self, output: np.ndarray) -> dict[str, Any]:
        """The likeliest next unit, and the 20 likeliest with their probabilities."""
        best = np.argsort(-output, kind="stable")[:LIKELIEST]
        likely = {self.codec.vocabulary[i]: round(float(np.exp(output[i])), 6) for i in best}
        unit, probability = next(iter(likely.items()))
        return {"unit": unit, "probability": probability, "probabilities": likely}

    def start(self) -> States:
        return super().start() | ({} if self.tables is None else {CONTEXTS: self.tables.start(1)[0].astype(np.float32)})

    def step(self, inputs: np.ndarray, states: States) -> tuple[np.ndarray, States]:
        logits, after = super().step(inputs, states)
        scores = log_softmax(logits.astype(np.float64))
        if self.tables is None:
            return scores, after
        contexts = self.tables.moved(states[CONTEXTS].astype(np.int64), inputs[:, 0].astype(np.int64))
        counted = -np.log(self.tables.next(contexts))
        return -mixed(-scores, counted, self.share), after | {CONTEXTS: contexts.astype(np.float32)}


def _prompt(row: object, number: int) -> str:
    text = row.get("prompt") if isinstance(row, Mapping) else row
    if not isinstance(text, str):
        raise DataError(f"row {number} is {row!r:.60}; it must be {Symbols.inputs}")
    return text


def _tables(exported: Exported, size: int) -> Tables | None:
    orders = [
        Order(*(exported.arrays[f"counts.{k}.{field}"] for field in Order._fields))
        for k in range(exported.settings["orders"])
    ]
    tables = Tables(size, orders)
    tables.check()
    return tables if orders else None
