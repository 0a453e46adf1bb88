"""What is explained of a classifier: a text, with the n-gram model beside the network, or a numeric sequence; sounds,
pictures and films are in explained_media.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from gatework.data.codecs import UNKNOWN
from gatework.data.finding import refuse
from gatework.data.ragged import Ragged
from gatework.errors import DataError, OptionError
from gatework.tasks.classify import reading
from gatework.tasks.classify.classified import Classified, named
from gatework.tasks.classify.examples import Examples
from gatework.tasks.classify.explained_media import Frames
from gatework.tasks.classify.options import MEDIA, ClassifyExplaining
from gatework.tasks.classify.shares import NGrams
from gatework.tasks.classify.units import Units, units_of
from gatework.tasks.origin import training_file
from gatework.tasks.subject import Wording, given_to, must_be_written

if TYPE_CHECKING:
    from gatework.tasks.base import Source
    from gatework.tasks.classify.task import Classify
    from gatework.tasks.jobs import Trained

A_ROW = "FILE --row 3"


def subject(trained: Trained, given: ClassifyExplaining, source: Source | None) -> Classified:
    """The text or the row that is named; an OptionError where none is, or both are."""
    kind = cast("Classify", trained.task).codecs.kind
    if given.text is not None and kind != "texts":
        what = "numeric sequences" if kind == "sequences" else kind
        raise OptionError(f"the run classifies {what}, not texts; give a row of a file: {A_ROW}")
    if kind in MEDIA and source is not None:
        return text_row(trained, source, given.row, given.target)
    if (given.text is None) == (given.row is None):
        either = f"either a text or a row of a file: --text TEXT or {A_ROW}; in Python text=... or "
        alone = f"a row of a file: {A_ROW}; in Python "
        raise OptionError(f"give {either if kind == 'texts' else alone}source=..., row=3")
    if given.text is not None:
        must_be_written(given.text)
        return Text(trained, given.text, shortened(given.text), given.target)
    return text_row(trained, training_file(trained.run) if source is None else source, given.row or 0, given.target)


def shortened(text: str, most: int = 90) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


class Text(Classified):
    """A text; each step is a unit of the run's tokenizer."""

    def __init__(self, trained: Any, text: str, source: str, target: str | None = None):
        super().__init__(trained, target)
        rows = reading.read([text], self.classifier.options, labelled=False)
        assert rows.texts is not None
        self.text, self.source = (text := rows.texts[0]), source
        self.units: Units = units_of(self.classifier.codecs.tokenizer, text, self.classifier.options.max_length)
        if not len(self.units):
            raise DataError(f"{source} holds no word that the model could read: {text!r}; give a text with words")
        self.steps = self.units.tokens
        self.grams = NGrams.of(trained, self.units)
        self.settle(self.classifier.codecs.inputs(rows))
        self.entry = given_to(self.model.recurrent, lambda: self.model(self.batch))
        unknown = self.model.embedding.weight[UNKNOWN].detach()
        self.baseline = unknown.expand_as(self.entry).clone()
        self._attribute_grams()
        self.words = self._wording()

    def _wording(self) -> Wording:
        unit = {"words": "word", "characters": "character"}.get(self.classifier.codecs.tokenizer.kind, "piece")
        shown = f"probability of {self.spoken!r}"
        notes = []
        if self.grams is not None:
            notes.append("The n-gram model's weights are divided exactly among the units that its n-grams hold.")
        if self.units.dropped:
            notes.append(
                f"The text is longer than max_length={self.classifier.options.max_length}: {self.units.dropped} units "
                "in its middle are not read by the network."
            )
        return Wording("text", unit, self.against, shown, "an unknown word", tuple(notes))

    def _nothing(self, entries: Tensor) -> Tensor | None:
        return None if self.grams is None else entries.new_zeros(len(entries), len(self.names))

    def _attribute_grams(self) -> None:
        """By their weight in the whole model, which is the output's slope by their logits."""
        if self.grams is None:
            return
        with torch.no_grad():
            one, none = (
                self.model(self.batch._replace(offsets=torch.full((1, len(self.names)), x))) for x in (1.0, 0.0)
            )
        self.weight = float((one - none).double().mean())
        contrast = self.weight * self.contrast.numpy()
        self.exact["n-grams"] = self.grams.steps @ contrast
        self.constant = float(self.grams.rest @ contrast)

    def whole(self) -> np.ndarray:
        return self._outputs([self.text])[0]

    def _outputs(self, texts: list[str], placed: list[str] | None = None) -> np.ndarray:
        """Logits of texts; `placed` are those of the n-gram model, where their letters must keep their places."""
        rows = reading.read(texts, self.classifier.options, labelled=False)
        inputs, words, _ = self.classifier.codecs.inputs(rows)
        offsets = None if self.grams is None else self.grams.logits(placed or texts).astype(np.float32)
        examples = Examples(inputs, np.full(len(texts), -1), lambda row: self.source, None, offsets, words)
        with torch.no_grad():
            return self.classifier.logits(self.model, examples).astype(np.float64)

    def without(self, windows: list[tuple[int, int]]) -> np.ndarray:
        found = self.replaced(windows)
        if self.grams is None:
            return found
        return found + self.weight * self.grams.logits([self.units.blanked(*window) for window in windows])

    def last(self, lengths: list[int]) -> tuple[np.ndarray, list[str]]:
        tails = [self.units.tail(length) for length in lengths]
        if self.grams is None or not self.grams.bag.places:
            return self.judged(self._outputs(tails))
        return self.judged(self._outputs(tails, [self.units.blanked(0, len(self.units) - n) for n in lengths]))


class Sequence(Classified):
    """A numeric sequence; each step is a row of its channels."""

    values: np.ndarray

    def __init__(self, trained: Trained, rows: reading.Rows, row: int, target: str | None = None):
        super().__init__(trained, target)
        assert rows.sequences is not None
        self.source = named(rows, row)
        refuse(reading.check_inputs(reading.take(rows, np.array([row])), self.classifier.options))
        encoded = self.classifier.codecs.inputs(reading.take(rows, np.array([row])))
        self.values = np.asarray(rows.sequences.values[row], np.float64)
        self.channels = list(rows.sequences.channels)
        self.settle(encoded)
        self.entry = torch.from_numpy(np.asarray(encoded.inputs.values, np.float32))
        self.steps = [str(step + 1) for step in range(len(self.entry))]
        self.baseline = self._absent()
        self.words = Wording(
            "sequence", "step", self.against, f"probability of {self.spoken!r}", "the mean of the data"
        )

    def _absent(self) -> Tensor:
        """Scaled channels at the middle of the training data: its mean, median or mid-range, as they were scaled."""
        kind = self.classifier.codecs.scaler.method
        if kind == "none":
            return self.entry.mean(0, keepdim=True).expand_as(self.entry).clone()
        return torch.full_like(self.entry, 0.5 if kind == "range" else 0.0)

    def whole(self) -> np.ndarray:
        return self._outputs([len(self.row.inputs.values)])[0]

    def _outputs(self, lengths: list[int]) -> np.ndarray:
        values = self.row.inputs.values
        inputs = Ragged.of([values[len(values) - length :] for length in lengths])
        with torch.no_grad():
            examples = Examples(inputs, np.full(len(lengths), -1), lambda row: self.source)
            return self.classifier.logits(self.model, examples).astype(np.float64)

    def without(self, windows: list[tuple[int, int]]) -> np.ndarray:
        return self.replaced(windows)

    def last(self, lengths: list[int]) -> tuple[np.ndarray, list[str]]:
        return self.judged(self._outputs(lengths))


def text_row(trained: Any, source: Any, row: int | None, target: str | None) -> Classified:
    """The row of a file or frame, counted from 1, as a subject; None: the only one."""
    rows = reading.read(source, trained.task.options, labelled=False)
    if row is None and len(rows) > 1:
        raise OptionError(f"{rows.source} has {len(rows):,} rows; say which is to be explained: --row 3, row=3")
    row = 1 if row is None else row
    if not 1 <= row <= len(rows):
        raise DataError(f"{rows.source} has the rows 1 to {len(rows):,}; there is no row {row}")
    if rows.sequences is not None:
        return Sequence(trained, rows, row - 1, target)
    if rows.media is not None:
        return Frames(trained, rows, row - 1, target)
    assert rows.texts is not None
    text = rows.texts[row - 1] or ""
    where = rows.where(row - 1)
    if not text.strip():
        raise DataError(f"{where} is empty; choose a row with a text")
    return Text(trained, text, named(rows, row - 1), target)
