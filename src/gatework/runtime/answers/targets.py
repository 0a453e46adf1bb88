"""A text of another side for each text: translations, spellings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatework.errors import FileFormatError
from gatework.runtime.answers.asked import Asked, How
from gatework.runtime.answers.given import count, rows_of, text_schema, whole_text
from gatework.runtime.answers.sides import Sides
from gatework.runtime.exported import Exported
from gatework.runtime.model import Model
from gatework.runtime.search import Hypothesis
from gatework.runtime.search.steps import Stand, Steps
from gatework.runtime.texts import NOTHING, codec

AT_ONCE = 128  # texts that are searched for together
LOWER, MOST_RATIO, MOST = ("none", "source", "both"), 1_000, 1 << 31  # what settings can be
NAMES = ("source", "src", "input", "question")  # of a row's text, where the run named no column


class Targets(Model):
    """{"source", "translation", "score", "log_p"} of each text; options of `How` change the search and what is told.

    model.predict(["ein Haus", "ein Hund"], n_best=3, must_not=["cat"])
    """

    kind = "targets"

    def __init__(self, exported: Exported, hash: str = ""):
        super().__init__(exported, hash)
        said, texts = exported.settings, exported.texts
        source = codec(texts["source"])
        target = codec(texts["target"]) if "target" in texts else source
        lower, ratio, self.column = said["lower"], float(said["ratio"]), said["column"]
        if lower not in LOWER or not 0 < ratio <= MOST_RATIO or not isinstance(self.column, str | None):
            raise FileFormatError(f"the settings of texts are no run's: {lower!r:.20}, {ratio}, {self.column!r:.20}")
        self.sides = Sides(source, target, lower, count(said, "max_length", MOST), ratio)
        self.inputs = f'a text, or {{"{self.column or NAMES[0]}": a text}}'
        self.encoder, self.begin = exported.bound("encoder"), exported.bound("begin")
        self.decoder = Steps(exported.bound("step"))

    @property
    def schema(self) -> dict[str, Any]:
        return text_schema(*((self.column,) if self.column else NAMES))

    def predict(self, rows: Sequence[Any], **how: object) -> list[dict[str, Any]]:
        rows = rows_of(rows, self.inputs)
        asked = Asked(self.sides, How.of(how))
        texts = [self._text(row, number) for number, row in enumerate(rows, 1)]
        read = [self.sides.read(text) for text in texts]
        order = sorted(range(len(texts)), key=lambda i: len(read[i]))
        found: dict[int, list[Hypothesis]] = {}
        for at in range(0, len(order), AT_ONCE):
            some = order[at : at + AT_ONCE]
            best = self._searched(asked, [texts[i] for i in some], [read[i] for i in some])
            found |= dict(zip(some, best, strict=True))
        return [asked.row(text, found[i]) for i, text in enumerate(texts)]

    def _text(self, row: object, number: int) -> str:
        if isinstance(row, Mapping):
            names = [name for name in ((self.column,) if self.column else NAMES) if name in row]
            row = row[names[0]] if names else row
        return "" if row is None else whole_text(row, number, self.inputs)

    def _searched(self, asked: Asked, texts: Sequence[str], read: Sequence[np.ndarray]) -> list[list[Hypothesis]]:
        lengths = np.array([len(ids) for ids in read], np.int64)
        ids = np.full((int(lengths.max()), len(read)), NOTHING, np.int64)
        for place, own in enumerate(read):
            ids[: len(own), place] = own
        memory = self.encoder(ids=ids, lengths=lengths)
        states = self.begin(x=memory.pop("summary"), **self.begin.start(len(read)))
        return asked.search(self.decoder, Stand(states, {**memory, "lengths": lengths}), texts, lengths)
