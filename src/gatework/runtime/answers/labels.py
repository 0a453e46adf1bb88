"""Labels with probabilities, of texts or of sequences of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatework.errors import DataError, FileFormatError
from gatework.runtime.answers.given import rows_of, text_schema, whole_text
from gatework.runtime.exported import Exported
from gatework.runtime.model import Model, NetStepper, Stepper
from gatework.runtime.numbers import filled

BATCH = 256


class Labels(Model):
    """{"label", "confidence", "probabilities"} of each row: a text, or an array (T, C)."""

    kind = "labels"

    def __init__(self, exported: Exported, hash: str = ""):
        super().__init__(exported, hash)
        said = exported.settings
        self.classes: list[str] = said["classes"]
        self.reader = Texts(exported) if said["reads"] == "text" else Numbers(said)
        self.inputs = self.reader.inputs
        self.net = exported.bound("whole")
        self.decision = np.array(said["decision"], np.float32)
        if len(self.decision) != len(self.classes) or not self.classes:
            raise FileFormatError(f"the model has {len(self.classes)} labels and {len(self.decision)} decisions")

    @property
    def schema(self) -> dict[str, Any]:
        return self.reader.schema

    @property
    def example(self) -> object:
        return self.reader.example

    def predict(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        rows = rows_of(rows, self.inputs)
        if not len(rows):
            return []
        read = [self.reader.read(row, number) for number, row in enumerate(rows, 1)]
        scores = np.zeros((len(read), len(self.classes)), np.float32)
        order = sorted(range(len(read)), key=lambda i: len(read[i]["own"]))
        for at in range(0, len(order), BATCH):
            some = order[at : at + BATCH]
            scores[some] = self.net(**padded([read[i] for i in some]))["scores"]
        mixed = self._mixed(scores, self.reader.offsets(rows))
        return [self._answer(row) for row in mixed]

    def _mixed(self, scores: np.ndarray, offsets: np.ndarray | None) -> np.ndarray:
        """The network's scores, averaged with those of the n-grams, at the temperature."""
        said = self.exported.settings
        whole = scores if offsets is None else scores + np.float32(said["share"]) * (offsets - scores)
        return whole / np.float32(said["temperature"])

    def _answer(self, scores: np.ndarray) -> dict[str, Any]:
        raised = np.exp(scores - scores.max())
        probabilities = raised / raised.sum()
        best = int((scores + self.decision).argmax())
        said = {name: round(float(p), 6) for name, p in zip(self.classes, probabilities, strict=True)}
        label = self.classes[best]
        return {"label": label, "confidence": said[label], "probabilities": said}

    @property
    def stepper(self) -> Stepper | None:
        if "step" not in self.exported.nets:
            return None
        answer = lambda output: self._answer(self._mixed(output, None))  # noqa: E731
        return NetStepper(self.exported.bound("step"), self.reader.step, answer)

    @property
    def why_no_stream(self) -> str:
        return self.exported.settings["no_stream"]


class Numbers:
    """Sequences (T, C) of numbers, missing values filled, channels scaled."""

    @property
    def schema(self) -> dict[str, Any]:
        """What a row is; null is a missing value, where the model fills these."""
        number: dict[str, Any] = {"type": ["number", "null"] if self.fills else "number"}
        step = {"type": "array", "items": number, "minItems": len(self.channels), "maxItems": len(self.channels)}
        steps = {"anyOf": [step, number]} if len(self.channels) == 1 else step
        row = {"type": "array", "items": steps, "minItems": 1}
        return {"anyOf": [row, {"type": "object", "properties": {"values": row}, "required": ["values"]}]}

    @property
    def example(self) -> object:
        return [[0.5] * len(self.channels)] * 2

    def __init__(self, said: Mapping[str, Any]):
        self.channels: list[str] = said["channels"]
        self.fills = said["missing"] == "interpolate"
        self.shift, self.scale = np.array(said["scaler"]["shift"]), np.array(said["scaler"]["scale"])
        if not self.shift.shape == self.scale.shape == (len(self.channels),):
            raise FileFormatError("the scaler does not fit the channels")
        self.inputs = f"a list of steps, each with {len(self.channels)} numbers: {', '.join(self.channels)}"

    def read(self, row: object, number: int) -> dict[str, np.ndarray]:
        values = _numbers(row["values"] if isinstance(row, Mapping) and "values" in row else row, f"row {number}")
        values = values[:, None] if values.ndim == 1 and len(self.channels) == 1 else values
        if values.ndim != 2 or values.shape[1] != len(self.channels) or not len(values):
            raise DataError(f"row {number} has the shape {values.shape}; it must be (T, {len(self.channels)})")
        if np.isinf(values).any() or (np.isnan(values).any() and not self.fills):
            step, channel = np.argwhere(~np.isfinite(values))[0]
            value = values[step, channel]
            raise DataError(f"row {number}, step {step + 1}, {self.channels[channel]!r}: {value}; give a finite number")
        whole = filled(values.astype(np.float32), self.shift.astype(np.float32))
        return {"own": ((whole - self.shift) / self.scale).astype(np.float32)}

    def step(self, row: object) -> np.ndarray:
        values = _numbers(row, "the step").reshape(-1)
        if len(values) != len(self.channels) or not np.isfinite(values).all():
            raise DataError(f"a step has {len(self.channels)} finite numbers; got {row!r:.60}")
        return ((values.astype(np.float32) - self.shift) / self.scale).astype(np.float32)

    def offsets(self, rows: Sequence[Any]) -> None:
        return None


class Texts:
    """Texts as ids of units, words with the buckets of their pieces; and the scores of the n-gram model."""

    example = "a fine film"

    def __init__(self, exported: Exported):
        from gatework.runtime.texts import NOTHING, SPECIAL, Grams, character_buckets, codec

        self._buckets, self._nothing = character_buckets, SPECIAL[NOTHING]
        said = exported.settings
        self.column, self.most, self.pieces = said["column"], said["max_length"], said["pieces"]
        self.codec = codec(exported.texts["tokenizer"])
        self.inputs, self.schema = f'a text, or {{"{self.column}": a text}}', text_schema(self.column)
        arrays = {name.removeprefix("grams."): array for name, array in exported.arrays.items()}
        self.grams = None if said["grams"] is None else Grams.restored(said["grams"], arrays)
        self.weights = None if self.grams is None else (arrays["coefficients"], arrays["intercept"])

    def text(self, row: object, number: int) -> str:
        if isinstance(row, Mapping) and self.column not in row:
            raise DataError(f"row {number} has no {self.column!r}; it must be {self.inputs}; got {row!r:.60}")
        text = row.get(self.column) if isinstance(row, Mapping) else row
        return "" if text is None else whole_text(text, number, self.inputs)

    def read(self, row: object, number: int) -> dict[str, np.ndarray | list[np.ndarray]]:
        text = self.text(row, number)
        if self.pieces is None:
            return {"own": cut(self.codec.ids(text), self.most)}
        words = cut(np.array(self.codec.units(text) or [self._nothing], object), self.most)
        return {"own": self.codec.numbers(words), "pieces": self._buckets(list(words), *self.pieces)}

    def step(self, row: object) -> np.ndarray:
        ids = self.codec.ids(self.text(row, 1))
        if len(ids) != 1:
            raise DataError(f"a step is one unit of a text; {row!r:.60} has {len(ids)}")
        return ids

    def offsets(self, rows: Sequence[Any]) -> np.ndarray | None:
        if self.grams is None or self.weights is None:
            return None
        coefficients, intercept = self.weights
        found = [self.grams.features(self.text(row, number)) for number, row in enumerate(rows, 1)]
        return np.array([values @ coefficients[columns] + intercept for columns, values in found], np.float32)


def cut(units: np.ndarray, most: int) -> np.ndarray:
    """At most so many units: three quarters from the start, one from the end."""
    tail = most // 4
    return units if len(units) <= most else np.concatenate([units[: most - tail], units[len(units) - tail :]])


def padded(rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The inputs of a net, time-major: numbers or ids, and the pieces of words where there are any."""
    lengths = np.array([len(row["own"]) for row in rows], np.int64)
    first = rows[0]["own"]
    own = np.zeros((int(lengths.max(initial=0)), len(rows), *first.shape[1:]), first.dtype)
    for i, row in enumerate(rows):
        own[: lengths[i], i] = row["own"]
    found = {"x" if own.ndim == 3 else "ids": own, "lengths": lengths}
    if "pieces" in rows[0]:
        widest = max((len(each) for row in rows for each in row["pieces"]), default=1)
        pieces, counts = np.zeros((*own.shape, max(widest, 1)), np.int64), np.zeros(own.shape, np.int64)
        for i, row in enumerate(rows):
            for t, each in enumerate(row["pieces"]):
                pieces[t, i, : len(each)], counts[t, i] = each, len(each)
        found |= {"pieces": pieces, "counts": counts}
    return found


def _numbers(row: object, where: str) -> np.ndarray:
    try:
        return np.asarray(row, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where} is not made of numbers: {error}") from None
