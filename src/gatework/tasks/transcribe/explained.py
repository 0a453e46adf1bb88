"""What is explained of a transcript: which part of a recording speaks for one of its units."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from gatework.errors import DataError
from gatework.tasks.origin import training_file
from gatework.tasks.subject import Subject, Through, Wording, contrast_to_others, given_to
from gatework.tasks.transcribe.examples import Examples, make_batch
from gatework.tasks.transcribe.options import TranscribeExplaining
from gatework.training.options import known_names

if TYPE_CHECKING:
    from gatework.tasks.base import Source
    from gatework.tasks.jobs import Trained
    from gatework.tasks.transcribe.model import Listener
    from gatework.tasks.transcribe.task import Transcribe

UNITS = {"words": "word", "characters": "character"}


def subject(trained: Trained, given: TranscribeExplaining, source: Source | None) -> Unit:
    """The unit that is named, in the text of the recording that is named."""
    task = cast("Transcribe", trained.task)
    examples = task.unread(training_file(trained.run) if source is None else source)
    if not 1 <= given.row <= len(examples):
        where = examples.clips.source
        raise DataError(f"{where} has the rows 1 to {len(examples):,}; there is no row {given.row}")
    return Unit(trained, examples.take(np.array([given.row - 1])), given.word)


class Unit(Subject):
    """A unit at the step where it is likeliest; each step is what the convolutions make of a few frames or columns.

    The outputs are the scores of the V units, the blank among them, at that step.
    """

    model: Listener
    timed = "encoder"

    def __init__(self, trained: Trained, examples: Examples, word: str | None):
        self.model, self.task = cast("Listener", trained.model), cast("Transcribe", trained.task)
        self.examples, self.units = examples, self.task.units
        self.batch = make_batch(examples, np.array([0]), self.task.hearing)
        self.searching = self.task.searching()
        self.entry = given_to(self.model.encoder, lambda: self.model(self.batch.frames, self.batch.lengths))
        self.baseline = self.entry.mean(0, keepdim=True).expand_as(self.entry).clone()
        self.exact, self.linear = {}, {}
        unit = " s" if examples.clips.kind == "sound" else ""
        self.steps = [f"{step * self.searching.second:.4g}{unit}" for step in range(len(self.entry))]
        self._choose(word)
        self.values = self._loudness()
        self._settle()

    # -- which unit -----------------------------------------------------------------------------------------

    @torch.no_grad()
    def _choose(self, word: str | None) -> None:
        """Finds the text, and in it the place that `word` names; of none, that of which the model was least sure."""
        log_p, _ = self.model(self.batch.frames, self.batch.lengths)
        path = self.searching.read(log_p[:, 0].numpy()).result()
        self.names = [self.units.symbols[unit] for unit in path.ids.tolist()]
        if not self.names:
            raise DataError(f"{self._where()}: the model found no text in it, so there is no unit to explain")
        place = int(path.sure.argmin()) if word is None else self._named(word)
        start, end = int(path.starts[place]), int(path.ends[place])
        self.place, self.target = place, int(path.ids[place])
        self.step = start + int(log_p[start:end, 0, self.target].argmax())

    def _named(self, word: str) -> int:
        if word.isdecimal() and 1 <= int(word) <= len(self.names) and word not in self.names:
            return int(word) - 1
        places = [place for place, name in enumerate(self.names) if name == word]
        text = self.units.text(self.units.symbols.index(name) for name in self.names)
        if not places:
            raise DataError(f"the text {text!r} has no {word!r}{known_names(word, dict.fromkeys(self.names))}")
        if len(places) > 1:
            numbers = ", ".join(str(place + 1) for place in places[:8])
            raise DataError(f"the text {text!r} has {word!r} {len(places)} times; name one by its number: {numbers}")
        return places[0]

    def _where(self) -> str:
        return self.examples.clips.where(0)

    # -- the network ----------------------------------------------------------------------------------------

    def network(self, entries: Tensor) -> Tensor:
        rows = len(entries)
        frames = self.batch.frames.to(entries.dtype).expand(rows, *self.batch.frames.shape[1:])
        with Through(self.model.encoder, entries):
            log_p, _ = self.model(frames, self.batch.lengths.expand(rows))
        return log_p[self.step].double()

    def shown(self, outputs: np.ndarray) -> np.ndarray:
        return softmax(outputs, axis=1)[:, self.target]

    @torch.no_grad()
    def last(self, lengths: list[int]) -> tuple[np.ndarray, list[str]]:
        """What the model finds at this step where all but the steps nearest to it are nothing."""
        outputs = []
        for length in lengths:
            start = min(max(self.step - length // 2, 0), len(self) - length)
            entry = self.baseline.clone()
            entry[start : start + length] = self.entry[start : start + length]
            outputs.append(self.network(entry[None])[0].numpy())
        found = np.stack(outputs)
        return self.shown(found), [self._spoken(int(unit)) for unit in found.argmax(1)]

    # -- what people read -------------------------------------------------------------------------------------

    def _spoken(self, unit: int) -> str:
        return self.units.symbols[unit].replace(" ", "(space)") if unit else "(nothing)"

    def _loudness(self) -> np.ndarray:
        """How loud, or how dark, each step is."""
        frames = self.batch.frames[0, : int(self.batch.lengths[0])].flatten(1).mean(1).numpy()
        each = -(-len(frames) // len(self))
        starts = np.arange(0, len(frames), each)[: len(self)]
        return (np.add.reduceat(frames, starts) / np.diff(starts, append=len(frames))).astype(float)

    def _settle(self) -> None:
        """The answer at the step, and how it is spoken of."""
        outputs = self.whole()
        self.contrast = contrast_to_others(len(outputs), self.target)
        self.spoken, self.answer = self._spoken(self.target), self._spoken(int(outputs.argmax()))
        sound, unit = self.examples.clips.kind == "sound", UNITS[self.units.kind]
        text = self.units.text(self.units.symbols.index(name) for name in self.names)
        self.source = f"{self.spoken} in: {text if len(text) <= 70 else text[:69] + '…'} ← {self._where()}"
        measure = "seconds" if sound else "points"
        place = f"{self.step * self.searching.second:.4g} {measure}"
        self.words = Wording(
            "recording" if sound else "picture",
            "step",
            f"the score of {self.spoken!r} above the mean of all other units, at {place}",
            f"probability of {self.spoken!r}",
            "the mean of all steps",
            (
                f"A step is {self.searching.second:.3g} {measure} long and named by its start; "
                f"the {unit} is number {self.place + 1} of the text.",
            ),
            opening=f"At {place} the model hears" if sound else f"At {place} the model reads",
            left="nearest",
        )
