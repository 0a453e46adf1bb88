"""What is explained of a tagger: the tag of one token in its sentence, the windows' scores beside the network's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from gatework.data.codecs import UNKNOWN
from gatework.errors import DataError
from gatework.runtime.tags.stretches import stretches
from gatework.runtime.texts.windows import places_of
from gatework.tasks.origin import training_file
from gatework.tasks.subject import Subject, Wording, contrast_to_others, must_be_written, must_name_one
from gatework.tasks.tag.answers import answered
from gatework.tasks.tag.examples import make_batch
from gatework.tasks.tag.options import TagExplaining
from gatework.tasks.tag.sentences import Sentences
from gatework.training.options import known_names

if TYPE_CHECKING:
    from gatework.tasks.base import Source
    from gatework.tasks.jobs import Trained
    from gatework.tasks.tag.model import Tagger
    from gatework.tasks.tag.task import Tag


def subject(trained: Trained, given: TagExplaining, source: Source | None) -> Token:
    """The token that is named, in its sentence; an OptionError where no sentence is named, or two are."""
    task = cast("Tag", trained.task)
    must_name_one(given.text, given.row, "a sentence")
    if given.text is not None:
        must_be_written(given.text)
        read = task.untagged([given.text])
    else:
        read = task.untagged(training_file(trained.run) if source is None else source)
        if not 1 <= (row := given.row or 0) <= len(read):
            raise DataError(f"{read.source} has the sentences 1 to {len(read):,}; there is no sentence {row}")
        read = read.take(np.array([row - 1]))
    place = chosen(trained, read, given.word)
    row = int(np.searchsorted(read.offsets, place, "right")) - 1
    return Token(trained, read.take(np.array([row])), place - int(read.offsets[row]), given.target)


def chosen(trained: Trained, read: Sentences, word: str | None) -> int:
    """The number of the token that `word` names; of none given, the one whose tag, not O, is surest."""
    if word is None:
        return surest(trained, read)
    if word.isdecimal() and 1 <= int(word) <= len(read.tokens):
        return int(word) - 1
    places = [place for place, token in enumerate(read.tokens) if token == word]
    if not places:
        raise DataError(f"the sentence has no word {word!r}{known_names(word, dict.fromkeys(read.tokens))}")
    if len(places) > 1:
        numbers = ", ".join(str(place + 1) for place in places[:8])
        raise DataError(f"the sentence has {word!r} {len(places)} times; name one by its number: {numbers}")
    return places[0]


def surest(trained: Trained, read: Sentences) -> int:
    """The token whose tag the model is surest of, among those that are not O if there are any."""
    task = cast("Tag", trained.task)
    model = cast("Tagger", trained.model)
    found = answered(model, task.codecs.encode(read), task.options.max_length, sure=True)["model"]
    assert found.confidence is not None
    outside = np.array([tag == "O" for tag in task.codecs.tags.classes])[found.tags]
    return int(np.argmax(found.confidence - 2.0 * (outside & ~outside.all())))


class Token(Subject):
    """A token of one sentence; each step is a token of the stretch that answers for it.

    The outputs are the K scores of its tags, before moves between tags count.
    """

    model: Tagger

    def __init__(self, trained: Trained, sentence: Sentences, place: int, target: str | None):
        self.trained, self.model, self.task = trained, cast("Tagger", trained.model), cast("Tag", trained.task)
        self.sentence, self.codecs = sentence, self.task.codecs
        self.names: list[str] = self.codecs.tags.classes
        self.examples = self.codecs.encode(sentence)
        pieces = stretches(self.examples.inputs.offsets, self.task.options.max_length)
        mine = int(np.searchsorted(pieces.end, place, "right"))
        self.first, self.past = int(pieces.first[mine]), int(pieces.last[mine])
        self.place, self.number = place, place - self.first
        self.batch = make_batch(self.examples, pieces, np.array([mine]))
        self.steps = sentence.tokens[self.first : self.past]
        self.source = self._named()
        with torch.no_grad():
            self.entry = self.model.entry(self.batch).detach().clone()
        self.baseline = self._absent()
        self.exact, self.linear = {}, {}
        self._attribute_windows()
        self._settle(target)
        self.words = self._wording()

    def _named(self) -> str:
        text = (" " if not self.codecs.lettered else "").join(self.sentence.tokens)
        shown = text if len(text) <= 90 else text[:89] + "…"
        return f"{self.sentence.tokens[self.place]} in: {shown}"

    def _settle(self, target: str | None) -> None:
        """The answer, and which output is explained."""
        chosen = answered(self.model, self.examples, self.task.options.max_length)["model"].tags[self.place]
        self.answer = self.names[chosen]
        self.target = int(chosen) if target is None else self._output(target)
        self.contrast = contrast_to_others(len(self.names), self.target)
        self.spoken = self.names[self.target]
        for name in self.exact:
            self.exact[name] = self._shares @ self.contrast.numpy()
        self.constant = float(self._rest @ self.contrast.numpy())

    def _output(self, target: str) -> int:
        """The tag of that name, or of the tags of a kind the one with the highest score."""
        if target in self.names:
            return self.names.index(target)
        kind = target[2:] if target[1:2] == "-" else target
        fit = [k for k, name in enumerate(self.names) if name[1:2] == "-" and name[2:] == kind]
        if not fit:
            raise DataError(f"the run has no tag {target!r}{known_names(target, self.names)}")
        return max(fit, key=lambda k: self.whole()[k])

    # -- the network ------------------------------------------------------------------------------------------

    def network(self, entries: Tensor) -> Tensor:
        outputs, _ = self.model.read(entries.transpose(0, 1))
        return (1 - float(self.model.share)) * self.model.output(outputs[self.number]).double()

    def _absent(self) -> Tensor:
        """An unknown word without letters: its columns are the mean of those that are known."""
        table = self.model.words.weight.detach()
        found = torch.zeros_like(self.entry)
        found[:, : table.shape[1]] = table[UNKNOWN]
        start = table.shape[1] + (0 if self.model.spelling is None else self.model.spelling.features)
        for column in self.model.columns:
            (values,) = (each.detach() for each in column.parameters())
            found[:, start : start + values.shape[1]] = values[1:].mean(0)
            start += values.shape[1]
        return found

    # -- the windows ------------------------------------------------------------------------------------------

    def _attribute_windows(self) -> None:
        """The weights of each feature of the token, as they count in the whole, shared equally among the places that it
        is made of; what lies outside of the sentence is owed to no step."""
        count, tags = len(self.steps), len(self.names)
        self._weights, self._touch = np.zeros((0, tags)), np.zeros((0, count))
        if self.model.windows is not None and self.examples.windows is not None:
            each = self.model.windows.each(self.examples.windows[self.place])
            self._weights = float(self.model.share) * each.double().numpy()
            self._touch = self._touched()
            self.exact["windows"] = np.zeros(count)
        self._shares = self._touch.T @ self._weights
        self._rest = self._weights.sum(0) - self._shares.sum(0)

    def _touched(self) -> np.ndarray:
        """[F, T]: the share of each feature that each step has."""
        made = places_of(len(self.codecs.columns), self.codecs.lettered)
        shares = np.zeros((len(made), len(self.steps)))
        for row, places in zip(shares, made, strict=True):
            for place in places:
                if 0 <= (step := self.number + place) < len(row):
                    row[step] += 1 / len(places)
        return shares

    @torch.no_grad()
    def whole(self) -> np.ndarray:
        return self.network(self.entry[None])[0].numpy() + self._weights.sum(0)

    def without(self, windows: list[tuple[int, int]]) -> np.ndarray:
        """Features that are made of a step that is taken away are taken away too."""
        kept = np.stack([self._touch[:, start:stop].sum(1) == 0 for start, stop in windows])
        return self.replaced(windows) + kept @ self._weights

    # -- what people read -------------------------------------------------------------------------------------

    def shown(self, outputs: np.ndarray) -> np.ndarray:
        return softmax(outputs, axis=1)[:, self.target]

    def last(self, lengths: list[int]) -> tuple[np.ndarray, list[str]]:
        """What the whole model says of the token when its sentence has but the tokens nearest to it."""
        cuts = [self._nearest(length) for length in lengths]
        parts = [Token(self.trained, self._cut(*cut), self.place - cut[0], self.spoken) for cut in cuts]
        return np.concatenate([part.shown(part.whole()[None]) for part in parts]), [part.answer for part in parts]

    def _nearest(self, length: int) -> tuple[int, int]:
        start = min(max(self.place - length // 2, self.first), self.past - length)
        return start, start + length

    def _cut(self, start: int, stop: int) -> Sentences:
        """A part of the sentence, as if it were one."""
        read, size = self.sentence, np.array([stop - start], np.int64)
        features = {name: column[start:stop] for name, column in read.features.items()}
        tokens = read.tokens[start:stop]
        return replace(read, tokens=tokens, lengths=size, tags=None, features=features, texts=None, spans=None)

    def _wording(self) -> Wording:
        token, unit = self.sentence.tokens[self.place], "letter" if self.codecs.lettered else "word"
        against = f"the score of {self.spoken!r} above the mean of the other tags"
        if len(self.names) == 2:
            against = f"the log-odds of {self.spoken!r} against {self.names[1 - self.target]!r}"
        notes = []
        if self.model.crf is not None:
            notes.append(
                f"The probability is by this {unit}'s own scores; the answer also counts which tags follow each other."
            )
        if "windows" in self.exact:
            notes.append(f"The weights of the windows are divided exactly among the {unit}s that each is made of.")
        if len(self.steps) < len(self.sentence.tokens):
            notes.append(
                f"The sentence is longer than max_length={self.task.options.max_length}: shown is the stretch that "
                f"answers for this {unit}, {unit}s {self.first + 1} to {self.past}."
            )
        return Wording(
            "text",
            unit,
            against,
            f"probability of {self.spoken!r}",
            f"an unknown {unit}",
            tuple(notes),
            opening=f"The model tags {token!r} ({unit} {self.place + 1}) as",
            left="nearest",
        )
