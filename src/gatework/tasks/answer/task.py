"""The job "answer": how its pieces meet the training loop. See `gatework.tasks.base.Task`."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gatework.data.codecs import UNKNOWN
from gatework.data.finding import Finding, by_level, refuse
from gatework.data.splits import folds, split_rows, with_held_out
from gatework.errors import DataError, GateworkError
from gatework.networks.decoder import axes
from gatework.runtime.answers.stories import told
from gatework.runtime.exported import Exported
from gatework.tasks.answer import measures, reading
from gatework.tasks.answer.baselines import baselines
from gatework.tasks.answer.codecs import Codecs
from gatework.tasks.answer.decoding import answers, forced, word_nats
from gatework.tasks.answer.examples import Batch, Batches, Examples
from gatework.tasks.answer.model import Answering
from gatework.tasks.answer.options import AnswerOptions, AnswerPredicting
from gatework.tasks.answer.page import AnswerPages
from gatework.tasks.answer.sections import sections
from gatework.tasks.answer.stories import Stories
from gatework.tasks.base import Axes, Contender, Metric, Parts, Round, Shard, Source, Step

STEPS, FEWEST, MOST = 25_000, 10, 200  # steps of a training, as epochs between these


class Answer(AnswerPages):
    """A story of sentences and a question -> an answer, written word by word."""

    name = "answer"
    Options = AnswerOptions
    Predicting = AnswerPredicting
    metric = Metric("accuracy", higher=True)
    counted = "questions"
    answers = "question, answer and its probability"
    options: AnswerOptions
    codecs: Codecs

    def __init__(self, options: AnswerOptions):
        super().__init__(options)
        self.found: list[Finding] = []

    # -- data -----------------------------------------------------------------------------------------------

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        """Reads and refuses, splits, learns the words of the training part, encodes."""
        read = reading.read(source, self.options)
        self.found = reading.check(read)
        refuse(self.found)
        train, others = self._parts(read, valid, test, isinstance(source, str | Path))
        self._settle(train)
        self.codecs = Codecs(self.options)
        encoded = {"train": self.codecs.fit(train)}
        encoded |= {name: self.codecs.encode(part) for name, part in others.items()}
        self.found = [*(Finding("note", note) for note in read.notes), *self.found, *self._cut_off(train)]
        for name, part in others.items():
            self.found += [*never_written(encoded[name], name), *repeated(train, part, name)]
        return Parts(encoded["train"], encoded["valid"], encoded.get("test"))

    def _parts(
        self, read: Stories, valid: Source | None, test: Source | None, of_file: bool
    ) -> tuple[Stories, dict[str, Stories]]:
        """The training questions, and "valid" and "test" from their own sources, as the files are named, or held
        out."""
        given = {name: other for name, other in (("valid", valid), ("test", test)) if other is not None}
        others = {name: part_of(reading.read(other, self.options), name) for name, other in given.items()}
        for part in others.values():
            refuse(reading.check(part, learned=False))
        train = read
        if read.parts is not None:
            train = learned(read)
            named = {name for name in ("valid", "test") if name in read.parts and name not in others}
            others |= {name: part_of(read, name) for name in sorted(named)}
        share = self.options.test_share
        share = (0.1 if of_file and "test" not in others else 0.0) if share is None else share
        self.options = replace(self.options, test_share=share)
        return with_held_out(train, others, self._held_out, valid=self.options.valid_share, test=share)

    def _held_out(self, read: Stories, share: float) -> tuple[Stories, Stories]:
        """The questions without a share of them, and that share, drawn by chance from each kind; those about one story
        stay together."""
        kept, held = split_rows(len(read), share, labels=read.kinds, groups=read.wholes(), seed=self.options.seed)
        if not len(kept) or not len(held):
            raise DataError(
                f"{read.source}: {len(read):,} questions are too few to hold out {share:.0%} of them; add stories, or "
                "give files for the other parts (valid=, test=)"
            )
        return read.take(kept), read.take(held)

    def _settle(self, train: Stories) -> None:
        """Values for the options that were left to be worked out."""
        if self.options.epochs is None:
            batches = max(len(train) // self.options.batch_size, 1)
            self.options = replace(self.options, epochs=min(max(-(-STEPS // batches), FEWEST), MOST))

    def _cut_off(self, train: Stories) -> list[Finding]:
        """A note of stories longer than what is read."""
        long = int((train.lengths > self.options.memory).sum())
        if not long:
            return []
        text = f"{long:,} of {len(train):,} stories have more than {self.options.memory} sentences"
        return [Finding("note", f"{text}: the last ones are read; memory={int(train.lengths.max())} reads all")]

    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training; what cannot be read is one error."""
        try:
            read = reading.read(source, self.options)
            notes = [Finding("note", f"{read.source}: {len(read):,} questions, {len(read.sentences):,} sentences")]
            notes += [Finding("note", note) for note in read.notes]
            found = reading.check(read)
            if any(each.level == "error" for each in found):
                return [*notes, *found]
            train, others = self._parts(read, None, None, isinstance(source, str | Path))
            self.codecs = Codecs(self.options)
            self.codecs.fit(train)
            sizes = ", ".join(f"{len(part):,} {name}" for name, part in {"training": train, **others}.items())
            many = len(set(train.answers or []))
            notes.append(Finding("note", f"would split into {sizes}; {many:,} different answers"))
            found += self._cut_off(train)
            for name, part in others.items():
                found += [*never_written(self.codecs.encode(part), name), *repeated(train, part, name)]
            return [*notes, *found]
        except GateworkError as error:
            return [Finding("error", str(error))]

    def examples(self, source: Source) -> Examples:
        """Questions with answers of another source; of a folder that names parts, those of the test part."""
        read = part_of(reading.read(source, self.options), "test")
        refuse(reading.check(read, learned=False))
        examples = self.codecs.encode(read)
        for found in never_written(examples):
            warnings.warn(found.message, stacklevel=2)
        return examples

    def assets(self) -> dict[str, str]:
        return self.codecs.assets()

    def restore(self, assets: Mapping[str, str]) -> None:
        self.codecs = Codecs.restored(self.options, assets)

    def rounds(self, source: Source, count: int, hold_out: bool) -> list[Round]:
        """Rounds of a cross-validation over questions; those about one story stay together."""
        read = reading.read(source, self.options)
        if read.parts is not None:
            read = learned(read)
        if hold_out and self.options.test_share:
            read, _ = self._held_out(read, self.options.test_share)
        pairs = folds(len(read), count, labels=read.kinds, groups=read.wholes(), seed=self.options.seed)
        changes = {"test_share": 0.0}
        return [Round(read.take(kept), None, read.take(held), changes) for kept, held in pairs]

    # -- model and training ---------------------------------------------------------------------------------

    def axes(self) -> Mapping[str, Axes]:
        return {"sentences.words.weight": (self.codecs.words.vocabulary, None), **axes(self.codecs.answers.vocabulary)}

    def build(self) -> Answering:
        return Answering(self.options, *self.codecs.sizes)

    def batches(self, examples: Examples, epoch: int, shard: Shard) -> Batches:
        return Batches(examples, self.options.batch_size, self.options.seed, epoch, shard)

    def loss(self, model: Answering, batch: Batch, carry: dict[str, Tensor]) -> Step:
        count = len(batch.lengths)
        return Step(word_nats(model(batch), batch).sum() / count, count)

    # -- results --------------------------------------------------------------------------------------------

    def measure(self, model: Answering, examples: Examples) -> dict[str, float]:
        """accuracy of whole answers; mean_accuracy over kinds of questions; loss (nats an answer); perplexity."""
        return measures.measures(forced(model, examples), examples.stories.kinds)

    def contenders(self, model: Answering, examples: Examples) -> list[Contender]:
        found = forced(model, examples)
        values = measures.measures(found, examples.stories.kinds)
        return [Contender("model", values, role="model", sums=measures.sums(found.right))]

    def baselines(self, parts: Parts) -> list[Contender]:
        """The most frequent answer, the same by question, logistic regression on words."""
        stories = parts.last[1].stories
        found = []
        for each in baselines(parts.train.stories, self.options.seed):
            right = rightly(each.answers(stories), stories)
            values = measures.accuracies(right, stories.kinds)
            found.append(Contender(each.name, values, each.note, sums=measures.sums(right)))
        return found

    def blocks(self, examples: Examples) -> np.ndarray:
        """Questions about one story depend on each other."""
        return np.unique(examples.stories.wholes(), return_inverse=True)[1]

    def sections(self, model: Answering, parts: Parts) -> dict[str, Any]:
        part, examples = parts.last
        return sections(part, examples, self.codecs, model)

    def facts(self, parts: Parts) -> dict[str, Any]:
        stories = parts.train.stories
        lengths = stories.lengths
        return {
            "form": stories.form,
            "questions": {name: len(part) for name, part in vars(parts).items() if part is not None},
            "kinds": dict(Counter(stories.kinds or [])),
            "answers": dict(Counter(stories.answers or []).most_common(30)),
            "sentences": {"mean": round(float(lengths.mean()), 1), "max": int(lengths.max())},
            "vocabulary": len(self.codecs.words),
            **by_level(self.found),
        }

    def exported(self, model: Answering) -> Exported:
        from gatework.tasks.answer.exported import exported

        return exported(self, model)

    def predict(
        self, model: Answering, source: Source, beam: int = 1, n_best: int = 1, looks: bool = False
    ) -> list[dict[str, Any]]:
        """{"question", "answer", "probability"} of each question; with n_best > 1 a row for each answer, numbered by
        "question_number" and "rank"; with `looks` also "looks" [hops, S], the weights of the story's last S sentences.

        Answers in the source are not read.
        """
        read = reading.read(source, self.options, answered=False)
        examples = self.codecs.encode(replace(read, answers=None))
        if unread := never_read(examples):
            warnings.warn(unread, stacklevel=3)
        found = answers(model, self.codecs, examples, beam, n_best)
        return list(told(read.questions, found, n_best, looks))


def learned(read: Stories) -> Stories:
    """The questions to learn from."""
    if read.parts is not None and "train" not in read.parts:
        raise DataError(f"{read.source}: no file is called ..._train, so there is nothing to learn from; name one so")
    return part_of(read, "train")


def part_of(read: Stories, name: str) -> Stories:
    """The questions of a part, where the files name parts; else all."""
    if read.parts is None or name not in read.parts:
        return read
    return replace(read.take(np.flatnonzero(np.array(read.parts) == name)), parts=None)


def rightly(said: list[str], stories: Stories) -> np.ndarray:
    """Which answers are the true ones, [n]."""
    assert stories.answers is not None
    return np.array([one == other for one, other in zip(said, stories.answers, strict=True)], bool)


def never_read(examples: Examples) -> str:
    """What is to be said of questions that hold no word of the training; "" where there are none."""
    known = np.add.reduceat(examples.texts.values > UNKNOWN, examples.texts.offsets[:-1])
    odd = np.flatnonzero(known[examples.questions] == 0)
    if not len(odd):
        return ""
    where = f"{examples.stories.where(int(odd[0]))}: "
    return f"{where}{len(odd):,} of {len(examples):,} questions hold no word that the training has: mistrust answers"


def never_written(examples: Examples, name: str = "") -> list[Finding]:
    """A warning of answers with words that no answer of the training has: they count as errors."""
    odd = np.unique(examples.answers.owners[examples.answers.values == UNKNOWN]).tolist()
    if not odd:
        return []
    stories = examples.stories
    texts = list(dict.fromkeys((stories.answers or [])[row] for row in odd))
    told = ", ".join(f"{text!r:.30}" for text in texts[:3]) + (" ..." if len(texts) > 3 else "")
    of_part = f" of the {name} part" if name else ""
    text = f"{len(odd):,} of {len(stories):,} answers{of_part} hold words that no answer of the training has ({told})"
    return [Finding("warning", f"{stories.where(odd[0])}: {text}; they count as errors")]


def repeated(train: Stories, part: Stories, name: str) -> list[Finding]:
    """A warning of questions that training holds with the same story."""
    known = set(zip(train.told(), train.questions, strict=True))
    asked = zip(part.told(), part.questions, strict=True)
    rows = [row for row, each in enumerate(asked) if each in known]
    if not rows:
        return []
    text = f"{len(rows):,} of {len(part):,} questions of the {name} part are learned too, with the same story"
    return [Finding("warning", f"{part.where(rows[0])}: {text}; the result is the better for it")]
