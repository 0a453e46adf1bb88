"""What is explained of a translation: where each written unit looked, and what of the source speaks for one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor
from torch.nn import functional

from gatework.data.codecs import NOTHING
from gatework.data.ragged import Ragged
from gatework.errors import DataError
from gatework.runtime.answers.asked import Asked
from gatework.tasks.origin import training_file
from gatework.tasks.subject import Looked, Subject, Through, Wording, contrast_to_others, must_be_written, must_name_one
from gatework.tasks.translate import reading
from gatework.tasks.translate.decoding import PREDICTING, Decoding
from gatework.tasks.translate.examples import Examples, make_batch
from gatework.tasks.translate.options import TranslateExplaining
from gatework.tasks.translate.pairs import Pairs
from gatework.training.options import known_names

if TYPE_CHECKING:
    from gatework.tasks.base import Source
    from gatework.tasks.jobs import Trained
    from gatework.tasks.translate.model import EncoderDecoder
    from gatework.tasks.translate.task import Translate

END = "(end)"  # the name of what stands behind the last unit
UNITS = {"words": "word", "characters": "character", "bpe": "piece", "spaces": "word"}


def subject(trained: Trained, given: TranslateExplaining, source: Source | None) -> Unit:
    """The text that is named, and a unit of its translation; an OptionError where none is named, or two are."""
    must_name_one(given.text, given.row)
    task = cast("Translate", trained.task)
    if given.text is not None:
        must_be_written(given.text)
        return Unit(trained, given.text, given.target, given.word)
    pairs = reading.read(training_file(trained.run) if source is None else source, task.options, paired=False)
    if not 1 <= (row := given.row or 0) <= len(pairs):
        raise DataError(f"{pairs.source} has the rows 1 to {len(pairs):,}; there is no row {row}")
    return Unit(trained, pairs.sources[row - 1], given.target, given.word)


class Unit(Subject):
    """A unit of a translation, given what stands before it; each step is a unit of the source, the last one its end.

    The outputs are the scores of the V target units at that place.
    """

    model: EncoderDecoder
    timed = "encoder"

    def __init__(self, trained: Trained, text: str, target: str | None, word: str | None):
        self.model, self.task = cast("EncoderDecoder", trained.model), cast("Translate", trained.task)
        self.codecs, self.text = self.task.codecs, text
        self.ids = self._written(text, target)
        self.names = self.codecs.target_units([*self.ids, NOTHING])
        self.steps = [*self.codecs.source_units(text), END]
        self.entry, self.baseline = self._vectors()
        self.exact, self.linear = {}, {}
        scores, weights = self._read()
        self.looked = Looked("written unit", [name or END for name in self.names], weights)
        self.place = self._chosen(word, scores)
        self._settle(scores[self.place])
        self.words = self._wording()

    def _examples(self, sources: np.ndarray, ids: list[int], rows: int) -> Examples:
        """As many equal pairs of source and target ids."""
        each = Examples(Pairs([""], [""], str, "rows", ""), Ragged.of([sources], np.int32), Ragged.of([ids], np.int32))
        return each.take(np.zeros(rows, np.int64))

    def _written(self, text: str, target: str | None) -> list[int]:
        """The ids of the translation, without its end: the model's, or those of `target`."""
        pair = Pairs([text], [target or ""], str, "rows", "")
        self.read = self.codecs.encode(pair)
        if target is not None and self.read.targets is not None:
            must_be_written(target)
            return self.read.targets[0].tolist()
        (found,) = Decoding(self.model, Asked(self.codecs, PREDICTING))(self.read)
        return [unit for unit in (found[0].ids if found else []) if unit != NOTHING]

    @torch.no_grad()
    def _vectors(self) -> tuple[Tensor, Tensor]:
        """What the encoder reads, and the same with an average unit in each place but the end."""
        table = self.model.embedding.weight.detach()
        entry = table[torch.from_numpy(self.read.sources[0].astype(np.int64))]
        return entry, torch.cat([table.mean(0).expand(len(entry) - 1, -1), entry[-1:]])

    @torch.no_grad()
    def _read(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores (t, V) of each written unit, the end among them, and where it looked (t, S)."""
        batch = make_batch(self._examples(self.read.sources[0], self.ids, 1), np.array([0]))
        outputs, weights = self.model.outputs(batch)
        return functional.linear(*outputs).double().numpy(), weights[0].double().numpy()

    def _chosen(self, word: str | None, scores: np.ndarray) -> int:
        """The place that `word` names, by its text or its number; of none, that of which the model was least sure."""
        if word is None:
            sure = softmax(scores, axis=1)[np.arange(len(self.ids)), self.ids] if self.ids else np.zeros(1)
            return int(sure.argmin())
        if word.isdecimal() and 1 <= int(word) <= len(self.names):
            return int(word) - 1
        places = self._places(word)
        if not places:
            told = known_names(word, filter(None, self.names)) if self.ids else ": it is empty"
            raise DataError(f"the translation has no {word!r}{told}")
        if len(places) > 1:
            numbers = ", ".join(str(place + 1) for place in places[:8])
            raise DataError(f"the translation has {word!r} {len(places)} times; name one by its number: {numbers}")
        return places[0]

    def _places(self, word: str) -> list[int]:
        """Where a unit, or the first unit of a word, is this one."""
        units = [place for place, name in enumerate(self.names) if name == word]
        if units:
            return units
        said = [self.codecs.text(self.ids[: place + 1]) for place in range(len(self.ids))]
        lengths, whole, found, start = [len(text) for text in said], said[-1] if said else "", [], 0
        while (start := whole.find(word, start)) >= 0:
            found.append(int(np.searchsorted(lengths, start, "right")))
            start += len(word)
        return found

    def _settle(self, scores: np.ndarray) -> None:
        """The answer at the place, and the unit that is explained: the one that was written."""
        self.target = [*self.ids, NOTHING][self.place]
        self.spoken = self.names[self.place] or END
        self.answer = self.codecs.target_units([int(scores.argmax())])[0] or END
        self.contrast = contrast_to_others(len(scores), self.target)
        said, read = (text if len(text) <= 70 else text[:69] + "…" for text in (self.codecs.text(self.ids), self.text))
        self.source = f"{self.spoken} in: {said} ← {read}"

    def network(self, entries: Tensor) -> Tensor:
        rows, length = entries.shape[:2]
        batch = make_batch(self._examples(np.ones(length), self.ids[: self.place], rows), np.arange(rows))
        with Through(self.model.encoder, entries):
            outputs, _ = self.model.outputs(batch)
        return functional.linear(outputs.hidden[-rows:], outputs.weight, outputs.bias).double()

    def shown(self, outputs: np.ndarray) -> np.ndarray:
        return softmax(outputs, axis=1)[:, self.target]

    @torch.no_grad()
    def last(self, lengths: list[int]) -> tuple[np.ndarray, list[str]]:
        """What the model writes at this place of a source that has but its last units."""
        found = np.concatenate([self.network(self.entry[None, -length:]).numpy() for length in lengths])
        return self.shown(found), [name or END for name in self.codecs.target_units(found.argmax(1).tolist())]

    def _wording(self) -> Wording:
        unit = UNITS.get(self.task.options.source_tokenizer or "", "unit")
        before = self.codecs.text(self.ids[: self.place])
        notes = [f"Before it stands: {before}" if before else "It is the first that is written."]
        if self.answer != self.spoken:
            notes.append(f"At this place the model itself would write {self.answer!r}.")
        return Wording(
            "text",
            unit,
            f"the score of {self.spoken!r} above the mean of all other units",
            f"probability of {self.spoken!r}",
            f"the average {unit}",
            tuple(notes),
            opening="Here the model writes",
        )
