"""The job "classify": how its pieces meet the training loop. See `gatework.tasks.base.Task`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatework.data import seen
from gatework.data.batching import pieces
from gatework.data.codecs import NOTHING, Labels
from gatework.data.finding import Finding, refuse
from gatework.data.vectors import read_vectors
from gatework.errors import GateworkError
from gatework.runtime.exported import Exported
from gatework.tasks.base import Axes, Contender, Metric, Parts, Round, Shard, Source, Step
from gatework.tasks.classify import folds, measures, reading, wide
from gatework.tasks.classify.augment import augmentation
from gatework.tasks.classify.baselines import baselines
from gatework.tasks.classify.codecs import Codecs
from gatework.tasks.classify.dividing import check_parts, divided, division_notes
from gatework.tasks.classify.examples import Batch, Batches, Examples
from gatework.tasks.classify.judging import contenders, judged, logits_of, settle
from gatework.tasks.classify.loss import class_weights, cross_entropy
from gatework.tasks.classify.model import Classifier
from gatework.tasks.classify.options import MEDIA, ClassifyOptions, ClassifyPredicting
from gatework.tasks.classify.page import ClassifyPages
from gatework.tasks.classify.reading import Rows
from gatework.tasks.classify.sections import facts, sections
from gatework.tasks.classify.settling import settled
from gatework.training.learner import NETWORK_LOSS

SCALED = 1_000  # sounds, pictures or films that the scale of frames is taken of


class Classify(ClassifyPages):
    """Texts, numeric sequences, sounds, pictures or films -> one of K labels."""

    name = "classify"
    Options = ClassifyOptions
    metric = Metric("accuracy", higher=True)
    Predicting = ClassifyPredicting
    answers = "label, confidence, and the probability of each label in a column p_LABEL"
    options: ClassifyOptions
    codecs: Codecs

    def __init__(self, options: ClassifyOptions):
        super().__init__(options)
        if options.class_weights != "none" or options.focal or options.tune_threshold:
            self.metric = Metric("macro_f1", higher=True)  # who weighs rare classes up does not watch accuracy
        self.found: list[Finding] = []
        self.seen = np.zeros(0, np.uint32)  # numbers of the texts or files that were learned
        self.bag: Any = None
        self._wide: wide.Wide | None = None
        self._frames: np.ndarray | None = None  # some of those that are learned: the network takes their scale
        self._begins = False  # whether `build` is for a training, not for saved weights
        self._weights: Tensor | None = None

    # -- data -----------------------------------------------------------------------------------------------

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        """Reads and refuses, splits, fits tokenizer or scaler and the n-gram model on the training part, encodes."""
        rows = reading.read(source, self.options)
        found = reading.check_rows(rows, self.options)
        self.options = replace(self.options, **settled(rows, source, self.options))
        refuse(found)
        train, others = divided(rows, valid, test, self.options)
        given = {name for name, other in (("valid", valid), ("test", test)) if other is not None}
        refuse(found := found + check_parts(train, others, given, self.options))
        self.found = [*(Finding("note", note) for note in rows.notes), *found]
        self.codecs = Codecs(self.options, rows.kind, Labels(rows.label_type).fit(train.labels))
        examples = self._fit(train)
        encoded = {name: self._encoded(part) for name, part in others.items()}
        parts = [examples, *encoded.values()]
        told = self.codecs.told_cut(sum(part.cut for part in parts), sum(map(len, parts)))
        self.found += [Finding("warning", told)] if told else []
        self._begins = True
        return Parts(examples, encoded["valid"], encoded.get("test"))

    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training; what cannot be read is one error."""
        try:
            rows = reading.read(source, self.options)
            self.options = replace(self.options, **settled(rows, source, self.options))
            notes = [
                Finding("note", f"{rows.source}: {len(rows):,} rows"),
                *(Finding("note", note) for note in rows.notes),
            ]
            return [*notes, *reading.check_rows(rows, self.options), *self._try_parts(rows)]
        except GateworkError as error:
            return [Finding("error", str(error))]

    def _try_parts(self, rows: Rows) -> list[Finding]:
        """What would be held out of the rows, and what would be learned of the words of the rest."""
        if len(rows) < 2 or rows.labels.n_unique() < 2:
            return []
        found: list[Finding] = []
        try:
            train, others = divided(rows, None, None, self.options)
            found += division_notes(rows, train, others)
            return found + (self._word_notes(train) if train.texts is not None else [])
        except GateworkError as error:
            return [*found, Finding("error", str(error))]

    def _word_notes(self, train: Rows) -> list[Finding]:
        """The vocabulary of training texts, texts that lose all words, and words with vectors; or what refuses them."""
        assert train.texts is not None
        self.codecs = Codecs(self.options, "texts", Labels().fit(train.labels))
        inputs, _, cut = self.codecs.fit(train)
        assert self.codecs.tokenizer is not None
        told = [Finding("note", f"the vocabulary has {len(self.codecs.tokenizer):,} units")]
        written = (train.texts.fill_null("").str.strip_chars() != "").to_numpy()
        lost = np.flatnonzero((inputs.values[inputs.offsets[:-1]] == NOTHING) & written)
        if self.options.stop and len(lost):
            text = f"{len(lost):,} training texts are stop words alone (first: {train.where(int(lost[0]))})"
            told.append(Finding("warning", text))
        if cut:
            told.append(Finding("warning", self.codecs.told_cut(cut, len(train))))
        if self.options.vectors:
            told.append(Finding("note", _vector_note(self._vectors()[1])))
        return told

    def _fit(self, rows: Rows) -> Examples:
        """Learns tokenizer or scaler, n-gram model and class weights from the training rows."""
        inputs, words, cut = self.codecs.fit(rows)
        labels = self.codecs.labels.encode(rows.labels)
        classes = len(self.codecs.classes)
        if self.options.class_weights == "balanced":
            self._weights = class_weights(labels, classes)
        examples = Examples(inputs, labels, rows.where, rows.texts, words=words, cut=cut, media=rows.media)
        if rows.keys is not None:
            self.seen = seen.learned(rows.keys)
        if rows.media is not None:
            self._frames = rows.media.frames.some(SCALED).values
        self.bag = wide.make_bag(self.options, len(inputs.values)) if rows.texts is not None else None
        if self.bag is None:
            return examples
        features = self.bag.fit_transform(examples.texts)
        self.codecs.grams = self.bag.sizes
        self._wide = wide.Wide(self.bag.sizes, classes)
        self._wide.take(self.bag, *wide.fit_linear(features, labels, classes, self.options))
        return examples.with_offsets(self._wide.scores(features).astype(np.float32))

    def _encoded(self, rows: Rows) -> Examples:
        inputs, words, cut = self.codecs.inputs(rows)
        labels = self.codecs.labels.encode(rows.labels)
        examples = Examples(inputs, labels, rows.where, rows.texts, words=words, cut=cut, media=rows.media)
        if self._wide is None or examples.texts is None:
            return examples
        return examples.with_offsets(self._wide.logits(self.bag, examples.texts.fill_null("")).astype(np.float32))

    def examples(self, source: Source) -> Examples:
        """Labelled rows of another source."""
        rows = reading.read(source, self.options, known=self.codecs.classes)
        refuse(reading.check_rows(rows, self.options, self.codecs.classes))
        examples = self._encoded(rows)
        self._tell(rows, examples.cut)
        return examples

    def _tell(self, rows: Rows, cut: int) -> None:
        doubts = rows.doubts if rows.media is not None else ()
        others = self.codecs.told_cut(cut, len(rows)), self.codecs.told_letters(rows.texts)
        for told in filter(None, (*doubts, *others)):
            warnings.warn(told, stacklevel=4)

    def caution(self, examples: Examples) -> str:
        """How many of the texts or files were learned."""
        if examples.media is not None:
            return seen.overlap(examples.media.digests, self.seen, "file")
        return "" if examples.texts is None else seen.overlap(examples.texts, self.seen)

    def assets(self) -> dict[str, str]:
        """The codecs' JSON, and numbers of the texts or files that were learned; n-grams are among the weights."""
        known = {} if self.codecs.kind == "sequences" else {"seen.json": seen.to_json(self.seen)}
        return self.codecs.assets() | known

    def restore(self, assets: Mapping[str, str]) -> None:
        self.codecs = Codecs.restored(self.options, assets)
        if "seen.json" in assets:
            self.seen = seen.from_json(assets["seen.json"])
        if self.codecs.grams:
            sizes = self.codecs.grams
            kind = self.options.ngrams if self.options.ngrams != "auto" else "both" if len(sizes) > 1 else "words"
            self.bag = wide.make_bag(replace(self.options, ngrams=kind), 0)
            with torch.device("meta"):  # `build` gives it memory, once it is known that the weights fit
                self._wide = wide.Wide(sizes, len(self.codecs.classes))

    def rounds(self, source: Source, count: int, hold_out: bool) -> list[Round]:
        return folds.rounds(self, source, count, hold_out)

    @property
    def rows_name_files(self) -> bool:
        return self.codecs.kind in MEDIA

    @property
    def variant(self) -> str:
        return self.options.kind

    # -- model and training ---------------------------------------------------------------------------------

    def axes(self) -> Mapping[str, Axes]:
        classes = self.codecs.classes
        found: dict[str, Axes] = {"output.weight": (classes, None), "output.bias": (classes,)}
        if self.codecs.tokenizer is not None:
            found["embedding.weight"] = (self.codecs.tokenizer.vocabulary, None)
        return found

    def learns_validation(self, epoch: int) -> bool:
        return self.options.refit

    def joined(self, parts: Parts) -> Examples:
        return parts.train  # `prepare` joined them, so that vocabulary and n-grams are of both

    def build(self) -> Classifier:
        tokenizer = self.codecs.tokenizer
        size = None if tokenizer is None else len(tokenizer)
        channels, pieces = len(self.codecs.channels), self.codecs.by_pieces
        if self._wide is not None and self._wide.is_empty:
            self._wide.to_empty(device=torch.get_default_device())
        model = Classifier(self.options, len(self.codecs.classes), size, channels, self._wide, pieces)
        if model.reader is not None and self._frames is not None:
            model.reader.scale_by(self._frames)
        if self.options.vectors and self._begins:
            self._use_vectors(model)
        return model

    def _use_vectors(self, model: Classifier) -> None:
        """Known words start from the file's vectors."""
        assert model.embedding is not None
        vectors, found = self._vectors()
        self.found.append(Finding("note", _vector_note(found)))
        model.embedding.start_from(vectors, found, self.options.freeze_vectors)

    def _vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors [V, I] of the vocabulary, and which of its words the file has."""
        assert self.codecs.tokenizer is not None and self.options.vectors
        return read_vectors(self.options.vectors, self.codecs.tokenizer.vocabulary, self.options.embedding_size)

    def batches(self, examples: Examples, epoch: int, shard: Shard) -> Batches:
        changes = augmentation(self.options, self._frames)
        return Batches(examples, self.options.batch_size, self.options.seed, epoch, shard, changes)

    def loss(self, model: Classifier, batch: Batch, carry: dict[str, Tensor]) -> Step:
        return Step(self._loss(model(batch), batch.labels), len(batch.labels))

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits, labels, self._weights, self.options.label_smoothing, self.options.focal)

    # -- results --------------------------------------------------------------------------------------------

    def logits(self, model: Classifier, examples: Examples) -> np.ndarray:
        """[n, K], in the order of the examples."""
        return logits_of(model, examples)[0]

    def settle(self, model: Classifier, examples: Examples) -> None:
        settle(model, examples, self._weights)

    def measure(self, model: Classifier, examples: Examples) -> dict[str, float]:
        return measures.measures(*judged(model, self.logits(model, examples)), examples.labels)

    def watched(self, model: Classifier, examples: Examples) -> dict[str, float]:
        """`network_loss` is the loss of training with dropout off, where "loss" is another."""
        logits, alone = logits_of(model, examples)
        found = measures.measures(*judged(model, logits), examples.labels)
        if self._wide or self._weights is not None or self.options.label_smoothing or self.options.focal:
            loss = self._loss(torch.from_numpy(alone), torch.from_numpy(examples.labels.astype(np.int64)))
            found[NETWORK_LOSS] = float(loss)
        return found

    def contenders(self, model: Classifier, examples: Examples) -> list[Contender]:
        return contenders(model, examples)

    def score(self, sums: np.ndarray, metric: str) -> np.ndarray:
        return measures.score(sums, metric)

    def baselines(self, parts: Parts) -> list[Contender]:
        return baselines(parts, len(self.codecs.classes), self.options, self.metric.name)

    def sections(self, model: Classifier, parts: Parts) -> dict[str, Any]:
        return sections(model, parts, self.codecs.classes)

    def facts(self, parts: Parts) -> dict[str, Any]:
        return facts(parts, self.codecs, self.found)

    def predict(self, model: Classifier, source: Source, keep: Sequence[str] = ()) -> list[dict[str, Any]]:
        """{"label", "confidence", "probabilities"} of each row, after the "id" of a sequence or the "file" of a sound,
        picture or film that has one.

        Labels in the source are not read. `keep` names columns of a table that come back before each answer ("all":
        every one); one called as an answer's column is, comes back as NAME_given.
        """
        rows = self._unlabelled(source)
        reading.warn_of_empty(rows)
        probabilities, predicted = self.probabilities(model, rows)
        names, ids = self.codecs.classes, rows.sequences.ids if rows.sequences is not None else None
        heads: list[dict[str, Any]] = [{}] * len(rows) if ids is None else [{"id": each} for each in ids]
        if rows.media is not None:
            heads = rows.media.named()
        if keep:
            heads = reading.kept(rows, keep, ("label", "confidence", "probabilities"))
        return [
            {
                **head,
                "label": names[k],
                "confidence": round(float(row[k]), 6),
                "probabilities": {name: round(float(value), 6) for name, value in zip(names, row, strict=True)},
            }
            for head, k, row in zip(heads, predicted, probabilities, strict=True)
        ]

    def exported(self, model: Classifier) -> Exported:
        from gatework.tasks.classify.exported import exported

        return exported(self, model)

    def _unlabelled(self, source: Source) -> Rows:
        rows = reading.read(source, self.options, labelled=False)
        refuse(reading.check_inputs(rows, self.options))
        return rows

    def probabilities(self, model: Classifier, source: Source | Rows) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities [n, K] and predicted classes [n] of rows that need no labels."""
        rows = source if isinstance(source, Rows) else self._unlabelled(source)
        with torch.no_grad():
            parts = [rows] if rows.texts is None else [reading.take(rows, piece) for piece in pieces(rows.texts)]
            encoded = map(self._encoded, parts)
            answered = [(each.cut, *judged(model, self.logits(model, each))) for each in encoded]
        cut, found, answers = zip(*answered, strict=True)
        self._tell(rows, sum(cut))
        return np.concatenate(found), np.concatenate(answers)


def _vector_note(found: np.ndarray) -> str:
    return f"{found.sum():,} of {len(found):,} words have a pretrained vector"
