"""What is explained of a caption: where each written unit looked, and what of the picture speaks for one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from gatework.data.codecs import NOTHING
from gatework.data.ragged import Ragged
from gatework.errors import DataError, OptionError
from gatework.networks.taught import taught
from gatework.tasks.caption import reading
from gatework.tasks.caption.decoding import Decoding
from gatework.tasks.caption.examples import make_batch
from gatework.tasks.caption.options import CaptionExplaining
from gatework.tasks.origin import training_file
from gatework.tasks.subject import Looked, Subject, Wording, contrast_to_others, must_be_written
from gatework.training.options import known_names

if TYPE_CHECKING:
    from gatework.tasks.base import Source
    from gatework.tasks.caption.examples import Examples
    from gatework.tasks.caption.model import Describer
    from gatework.tasks.caption.task import Caption
    from gatework.tasks.jobs import Trained

END = "(end)"  # the name of what stands behind the last unit
STEP = {"image": "place", "video": "frame", "vectors": "vector"}
WHAT = {"image": "picture", "video": "film", "vectors": "array"}


def subject(trained: Trained, given: CaptionExplaining, source: Source | None) -> Unit:
    """A unit of the caption of the picture that is named: a row of a file, or the only one.

    Raises: OptionError where several pictures are there and none is named; DataError for a row that is not there.
    """
    task = cast("Caption", trained.task)
    read = reading.read(
        training_file(trained.run) if source is None else source, task.options, task.medium, paired=False
    )
    if given.row is None and len(read) > 1:
        raise OptionError(f"{read.listing.source} has {len(read):,} rows; name one: --row 3, in Python row=3")
    if not 1 <= (row := given.row or 1) <= len(read):
        raise DataError(f"{read.listing.source} has the rows 1 to {len(read):,}; there is no row {row}")
    return Unit(trained, read.take(np.array([row - 1])), given.caption, given.word)


class Unit(Subject):
    """A unit of a caption, given what stands before it; the steps are the places of the picture's map, the frames of
    the film, or the vectors. The outputs are the scores of the V units at that place."""

    model: Describer

    def __init__(self, trained: Trained, read: Examples, caption: str | None, word: str | None):
        self.model, task = cast("Describer", trained.model), cast("Caption", trained.task)
        self.captions, self.read = task.captions, task.encoded(read)
        self.timed = "frames" if task.medium == "video" else None
        self.ids = self._written(caption)
        self.names = self.captions.target_units([*self.ids, NOTHING])
        self.entry = self._entry()
        self.baseline = self.entry.mean(0).expand_as(self.entry)
        self.steps = self._steps()
        self.exact, self.linear = {}, {}
        scores, weights = self._scores()
        scene = self.read.array(0) if task.medium == "image" else None
        self.looked = Looked("written unit", [name or END for name in self.names], weights, scene)
        self.place = self._chosen(word, scores)
        self._settle(scores[self.place])
        self.words = self._wording()

    def _written(self, caption: str | None) -> list[int]:
        """The ids of the caption, without its end: the model's, or those that are given."""
        if caption is not None:
            must_be_written(caption)
            return self.captions.encode([caption])[0].tolist()
        (found,) = Decoding(self.model, self.captions)(self.read)
        return [unit for unit in (found[0].ids if found else []) if unit != NOTHING]

    @torch.no_grad()
    def _entry(self) -> Tensor:
        """What can be looked at, or of a film what is read of each frame."""
        return self.model.entries(make_batch(self.read, np.array([0])))

    def _steps(self) -> list[str]:
        count = len(self.entry)
        if self.read.medium != "image":
            return [str(step + 1) for step in range(count)]
        side = round(count**0.5)
        return [f"{row + 1}.{column + 1}" for row in range(side) for column in range(side)]

    @torch.no_grad()
    def _scores(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores (t, V) of each written unit, the end among them, and where it looked (t, S)."""
        logits, weights = self.model.written(self.entry[None], taught(Ragged.of([self.ids], np.int64)))
        return logits.double().numpy(), weights[0].double().numpy()

    def _chosen(self, word: str | None, scores: np.ndarray) -> int:
        """The place that `word` names, by its text or its number; of none, that of which the model was least sure."""
        if word is None:
            sure = softmax(scores, axis=1)[np.arange(len(self.ids)), self.ids] if self.ids else np.zeros(1)
            return int(sure.argmin())
        if word.isdecimal() and 1 <= int(word) <= len(self.names):
            return int(word) - 1
        places = [place for place, name in enumerate(self.names) if name == word]
        if not places:
            told = known_names(word, filter(None, self.names)) if self.ids else ": it is empty"
            raise DataError(f"the caption has no {word!r}{told}")
        if len(places) > 1:
            numbers = ", ".join(str(place + 1) for place in places[:8])
            raise DataError(f"the caption has {word!r} {len(places)} times; name one by its number: {numbers}")
        return places[0]

    def _settle(self, scores: np.ndarray) -> None:
        """The answer at the place, and the unit that is explained: the one that was written."""
        self.target = [*self.ids, NOTHING][self.place]
        self.spoken = self.names[self.place] or END
        self.answer = self.captions.target_units([int(scores.argmax())])[0] or END
        self.contrast = contrast_to_others(len(scores), self.target)
        self.source = f"{self.spoken} in: {self.captions.text(self.ids)} ← {self.read.listing.where(0)}"

    def network(self, entries: Tensor) -> Tensor:
        rows = [self.ids[: self.place]] * len(entries)
        logits, _ = self.model.written(entries, taught(Ragged.of(rows, np.int64)))
        return logits[-len(entries) :].double()

    def shown(self, outputs: np.ndarray) -> np.ndarray:
        return softmax(outputs, axis=1)[:, self.target]

    @torch.no_grad()
    def last(self, lengths: list[int]) -> tuple[np.ndarray, list[str]]:
        """What the model writes here where but so many steps are left, those that it looked at most; the others are an
        average one."""
        assert self.looked is not None
        order = torch.from_numpy(np.argsort(-self.looked.weights[self.place], kind="stable"))
        found = []
        for length in lengths:
            entry = self.baseline.clone()
            entry[order[:length]] = self.entry[order[:length]]
            found.append(self.network(entry[None])[0].numpy())
        outputs = np.stack(found)
        return self.shown(outputs), [name or END for name in self.captions.target_units(outputs.argmax(1).tolist())]

    def _wording(self) -> Wording:
        what, step = WHAT[self.read.medium], STEP[self.read.medium]
        before = self.captions.text(self.ids[: self.place])
        notes = [f"Before it stands: {before}" if before else "It is the first that is written."]
        if self.read.medium == "image":
            notes.append("A place is called by its row and its column, both from 1.")
        if self.answer != self.spoken:
            notes.append(f"At this place the model itself would write {self.answer!r}.")
        return Wording(
            what,
            step,
            f"the score of {self.spoken!r} above the mean of all other units",
            f"probability of {self.spoken!r}",
            f"the average {step} of the {what}",
            tuple(notes),
            opening="Here the model writes",
            left="most seen",
        )
