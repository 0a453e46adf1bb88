"""The job "classify": how its pieces meet the training loop. See `gatework.tasks.base.Task`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatework.data import seen
from gatework.data.augment import Augmentation
from gatework.data.batching import pieces
from gatework.data.checks import check_absent, check_overlap
from gatework.data.codecs import NOTHING, Labels
from gatework.data.codecs.labels import class_names
from gatework.data.finding import Finding, by_level, refuse
from gatework.data.splits import split_by_time, split_rows
from gatework.data.vectors import read_vectors
from gatework.errors import DataError, GateworkError, OptionError
from gatework.runtime.exported import Exported
from gatework.tasks.base import Axes, Contender, Metric, Parts, Round, Shard, Source, Step
from gatework.tasks.classify import folds, measures, reading, wide
from gatework.tasks.classify.baselines import baselines
from gatework.tasks.classify.codecs import Codecs
from gatework.tasks.classify.examples import Batch, Batches, Examples, make_batch
from gatework.tasks.classify.loss import class_weights, cross_entropy, tuned_decision
from gatework.tasks.classify.mixture import best_share, helpful_temperature
from gatework.tasks.classify.model import Classifier
from gatework.tasks.classify.options import ClassifyOptions, ClassifyPredicting
from gatework.tasks.classify.page import ClassifyPages
from gatework.tasks.classify.reading import Rows
from gatework.training.learner import NETWORK_LOSS

STEPS_OF_FEW = 2_500  # steps that few sequences, or few short rows of letters, are trained for, as epochs of them
EVALUATION_BATCH = 256
ROLES = {"model": "model", "simple": "n-grams alone", "network": "network alone"}
PARTS = {"valid": "validation", "test": "test"}


class Classify(ClassifyPages):
    """Texts or numeric sequences -> one of K labels."""

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
        self.seen = np.zeros(0, np.uint32)  # numbers of the texts that were learned
        self.bag: Any = None
        self._wide: wide.Wide | None = None
        self._begins = False  # whether `build` is for a training, not for saved weights
        self._weights: Tensor | None = None

    # -- data -----------------------------------------------------------------------------------------------

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        """Reads and refuses, splits, fits tokenizer or scaler and the n-gram model on the training part, encodes."""
        rows = reading.read(source, self.options)
        found = reading.check_rows(rows, self.options)
        self.options = replace(self.options, **self._settled(rows, source))
        refuse(found)
        train, others = self._parts(rows, valid, test)
        given = {name for name, other in (("valid", valid), ("test", test)) if other is not None}
        refuse(found := found + self._check_parts(train, others, given))
        self.found = [*(Finding("note", note) for note in rows.notes), *found]
        kind = "texts" if rows.texts is not None else "sequences"
        self.codecs = Codecs(self.options, kind, Labels(rows.label_type).fit(train.labels))
        examples = self._fit(train)
        encoded = {name: self._encoded(part) for name, part in others.items()}
        parts = [examples, *encoded.values()]
        told = self.codecs.told_cut(sum(part.cut for part in parts), sum(map(len, parts)))
        self.found += [Finding("warning", told)] if told else []
        self._begins = True
        return Parts(examples, encoded["valid"], encoded.get("test"))

    def _settled(self, rows: Rows, source: Source) -> dict[str, Any]:
        """Values for the options that were left to be worked out."""
        texts = rows.texts is not None
        settled: dict[str, Any] = {"kind": "texts" if texts else "sequences"}
        settled["word_dropout"] = self._word_dropout(texts)
        settled["tokenizer"] = reading.tokenizer(rows, self.options)
        settled["ngrams"] = reading.ngrams(rows, self.options)
        settled["channels"] = self.options.channels or (None if texts else "last")
        if texts and rows.table is not None:
            settled |= {"text": rows.text_column, "label": rows.label_column}
            settled |= {name: rows.table.format[name] for name in ("format", "header") if name in rows.table.format}
        if self.options.test_share is None:
            settled["test_share"] = 0.1 if isinstance(source, str | Path) else 0.0
        if self.options.epochs is None:
            steps = max(len(rows) // self.options.batch_size, 1)
            most = 200 if not texts else 60 if reading.are_short_letters(rows, self.options) else 10
            settled["epochs"] = min(max(STEPS_OF_FEW // steps, 10), most)
        return settled

    def _word_dropout(self, texts: bool) -> float:
        """Its value, after a look whether the options that change training data fit the data."""
        if texts and Augmentation.of(self.options):
            raise OptionError(
                "jitter, rescale and window_warp change numbers, but the rows are texts; take word_dropout, or leave "
                "them out"
            )
        if not texts and self.options.word_dropout:
            raise OptionError("word_dropout works on texts, but the rows are numeric sequences; take jitter")
        words = [name for name in ("stop", "stem", "spaces", "vectors") if getattr(self.options, name)]
        if not texts and words:
            raise OptionError(f"{' and '.join(words)} works on texts, but the rows are numeric sequences; leave it out")
        return 0.1 if texts and self.options.word_dropout is None else self.options.word_dropout or 0.0

    def _parts(self, rows: Rows, valid: Source | None, test: Source | None) -> tuple[Rows, dict[str, Rows]]:
        """The training rows, and "valid" and "test" from their own sources or held out."""
        others: dict[str, Rows] = {}
        train = rows
        if self.options.refit and valid is not None:
            raise OptionError("refit learns the rows held out of the training file; leave valid= out, or refit")
        if test is not None:
            others["test"] = reading.read(test, self.options).like(rows)
        elif self.options.test_share:
            train, others["test"] = self.held_out(train, self.options.test_share)
        if valid is not None:
            others["valid"] = reading.read(valid, self.options).like(rows)
        else:
            left = 1 - (self.options.test_share or 0) if test is None else 1
            kept, others["valid"] = self.held_out(train, min(self.options.valid_share / left, 0.9))
            train = train if self.options.refit else kept
        return train, others

    def held_out(self, rows: Rows, share: float) -> tuple[Rows, Rows]:
        """The rows without a share of them, and that share: by chance, by time or by group, as the options say."""
        options, among = self.options, ""
        if options.split == "time":
            if rows.table is None:
                raise DataError(f"{rows.source}: split=time needs a table with the column {options.time!r}")
            kept, held = split_by_time(rows.table.times(str(options.time)), share)
        else:
            groups = rows.groups(options.group if options.split == "group" else None)
            labels = rows.labels.to_list()
            kept, held = split_rows(len(rows), share, labels=labels, groups=groups, seed=options.seed)
            kinds = len(np.unique(groups))
            what = "groups, each kept whole," if options.split == "group" else "distinct inputs, repeats kept together,"
            among = f" of {kinds} {what}" if kinds < len(rows) else ""
        if not len(held) or not len(kept):
            raise DataError(
                f"{rows.source}: {len(rows)} rows{among} are too few to hold out {share:.0%} of them; add rows, or "
                "give files for the other parts (valid=, test=)"
            )
        return reading.take(rows, kept), reading.take(rows, held)

    def _check_parts(self, train: Rows, others: dict[str, Rows], given: set[str]) -> list[Finding]:
        """Faults of the parts; the rows of those that were not given apart are checked with the others already."""
        known = class_names(train.labels)
        found = []
        if len(known) < 2:
            found.append(
                Finding("error", f"{train.source}: the training part has the one label {known[0]!r}; split otherwise")
            )
        for name, rows in others.items():
            found += reading.check_rows(rows, self.options, known) if name in given else []
            found += check_absent(rows.labels, known, PARTS[name])
            learned = name == "valid" and self.options.refit
            if train.texts is not None and rows.texts is not None and not learned:
                found += check_overlap(train.texts, rows.texts, rows.where, name)
        return found

    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training; what cannot be read is one error."""
        try:
            rows = reading.read(source, self.options)
            self.options = replace(self.options, **self._settled(rows, source))
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
            train, others = self._parts(rows, None, None)
            found += self._split_notes(rows, train, others)
            return found + (self._word_notes(train) if train.texts is not None else [])
        except GateworkError as error:
            return [*found, Finding("error", str(error))]

    def _split_notes(self, rows: Rows, train: Rows, others: dict[str, Rows]) -> list[Finding]:
        sizes = ", ".join(f"{len(part):,} {name}" for name, part in {"training": train, **others}.items())
        counts = rows.labels.drop_nulls().value_counts(sort=True)
        shown = ", ".join(f"{label!r} {count:,}" for label, count in counts.head(12).rows())
        known = class_names(train.labels)
        absent = [each for name, part in others.items() for each in check_absent(part.labels, known, PARTS[name])]
        return [Finding("note", f"would split into {sizes}"), Finding("note", f"labels: {shown}"), *absent]

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
        examples = Examples(inputs, labels, rows.where, rows.texts, words=words, cut=cut)
        if rows.texts is not None:
            self.seen = seen.learned(rows.texts)
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
        examples = Examples(inputs, labels, rows.where, rows.texts, words=words, cut=cut)
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
        for told in filter(None, (self.codecs.told_cut(cut, len(rows)), self.codecs.told_letters(rows.texts))):
            warnings.warn(told, stacklevel=4)

    def caution(self, examples: Examples) -> str:
        """How many of the texts were learned."""
        return "" if examples.texts is None else seen.overlap(examples.texts, self.seen)

    def assets(self) -> dict[str, str]:
        """The codecs' JSON, and numbers of the texts that were learned; the n-gram model is among the weights."""
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
        changes = Augmentation.of(self.options)
        return Batches(examples, self.options.batch_size, self.options.seed, epoch, shard, changes)

    def loss(self, model: Classifier, batch: Batch, carry: dict[str, Tensor]) -> Step:
        return Step(self._loss(model(batch), batch.labels), len(batch.labels))

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits, labels, self._weights, self.options.label_smoothing, self.options.focal)

    # -- results --------------------------------------------------------------------------------------------

    def logits(self, model: Classifier, examples: Examples) -> np.ndarray:
        """[n, K], in the order of the examples."""
        return self._logits(model, examples)[0]

    def _logits(self, model: Classifier, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
        """[n, K] of the model and of its network alone, in the order of the examples."""
        whole, alone = np.zeros((2, len(examples), len(self.codecs.classes)), np.float32)
        order = np.argsort(examples.inputs.lengths, kind="stable")
        for start in range(0, len(order), EVALUATION_BATCH):
            batch, rows = make_batch(examples, order[start : start + EVALUATION_BATCH])
            logits = model.network(batch)
            whole[rows], alone[rows] = model.mixed(logits, batch).numpy(), logits.numpy()
        return whole, alone

    def _judged(self, model: Classifier, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities [n, K] and predicted classes [n]."""
        return measures.softmax(logits), (logits + model.decision.numpy()).argmax(axis=1)

    def settle(self, model: Classifier, examples: Examples) -> None:
        """The n-grams' share, unless it was given; then of the model and each of its parts the temperature and, with
        `tune_threshold`, the decision."""
        network, grams, labels = self._logits(model, examples)[1], examples.offsets, examples.labels
        if grams is not None and self.options.ngram_share is None:
            rows = None if self._weights is None else self._weights.numpy()[labels]
            model.share.fill_(best_share(network, grams, labels, rows))
        share = float(model.share)
        parts = [network] if grams is None else [(1 - share) * network + share * grams, grams, network]
        for kept, logits in zip(model.temperatures, parts, strict=False):
            kept.fill_(helpful_temperature(logits, labels))
        if not self.options.tune_threshold:
            return
        for _, logits, decision in self._parts_of(model, examples):
            decision.copy_(torch.from_numpy(tuned_decision(logits, examples.labels)))

    def _parts_of(self, model: Classifier, examples: Examples) -> Iterator[tuple[str, np.ndarray, Tensor]]:
        """Role, logits [n, K] and decision [K] of the model and, where it has two parts, of each alone."""
        whole, network = self._logits(model, examples)
        yield "model", whole, model.decision
        if examples.offsets is not None:
            _, *temperatures = model.temperatures.tolist()
            yield "simple", examples.offsets / temperatures[0], model.decision_apart[0]
            yield "network", network / temperatures[1], model.decision_apart[1]

    def measure(self, model: Classifier, examples: Examples) -> dict[str, float]:
        return measures.measures(*self._judged(model, self.logits(model, examples)), examples.labels)

    def watched(self, model: Classifier, examples: Examples) -> dict[str, float]:
        """`network_loss` is the loss of training with dropout off, where "loss" is another."""
        logits, alone = self._logits(model, examples)
        found = measures.measures(*self._judged(model, logits), examples.labels)
        if self._wide or self._weights is not None or self.options.label_smoothing or self.options.focal:
            loss = self._loss(torch.from_numpy(alone), torch.from_numpy(examples.labels.astype(np.int64)))
            found[NETWORK_LOSS] = float(loss)
        return found

    def contenders(self, model: Classifier, examples: Examples) -> list[Contender]:
        """The model, its n-gram model alone, its network alone."""
        found, labels = [], examples.labels
        for role, logits, decision in self._parts_of(model, examples):
            predicted = (logits + decision.numpy()).argmax(axis=1)
            told = measures.measures(measures.softmax(logits), predicted, labels)
            counted = measures.sums(predicted, labels, len(self.codecs.classes))
            note = self._settled_note(model) if role == "model" else ""
            found.append(Contender(ROLES[role], told, note, role=role, sums=counted))
        return found

    def _settled_note(self, model: Classifier) -> str:
        """What validation rows decided, for the tables of results."""
        share, heat = float(model.share), float(model.temperatures[0])
        chosen = " (chosen)" if self.options.ngram_share is None and not self.options.refit else ""
        mixed = f"{share:.0%} n-grams, {1 - share:.0%} network{chosen}" if self._wide is not None else ""
        return ", ".join(part for part in (mixed, f"temperature {heat:.2f}" if heat != 1 else "") if part)

    def score(self, sums: np.ndarray, metric: str) -> np.ndarray:
        return measures.score(sums, metric)

    def baselines(self, parts: Parts) -> list[Contender]:
        return baselines(parts, len(self.codecs.classes), self.options, self.metric.name)

    def sections(self, model: Classifier, parts: Parts) -> dict[str, Any]:
        """classes (per-class table), hints, confusion, most_confused, calibration, worst (most confident errors)."""
        part, examples = parts.last
        probabilities, predicted = self._judged(model, self.logits(model, examples))
        names = self.codecs.classes
        matrix = measures.confusion(predicted, examples.labels, len(names))
        table = measures.class_table(predicted, examples.labels, names)
        weighed = self.options.class_weights != "none" or self.options.focal > 0 or self.options.tune_threshold
        return {
            "part": part,
            "classes": table,
            "hints": measures.missed_hint(table, weighed),
            "confusion": {"labels": names, "matrix": matrix.tolist()},
            "most_confused": measures.most_confused(matrix, names),
            "calibration": measures.calibration(probabilities, predicted, examples.labels),
            "worst": measures.worst(examples, probabilities, predicted, names),
        }

    def facts(self, parts: Parts) -> dict[str, Any]:
        lengths = parts.train.inputs.lengths
        tokenizer = self.codecs.tokenizer
        return {
            "kind": self.codecs.kind,
            "rows": {name: len(part) for name, part in vars(parts).items() if part is not None},
            "labels": dict(zip(self.codecs.classes, np.bincount(parts.train.labels).tolist(), strict=True)),
            "length": {"mean": round(float(lengths.mean()), 1), "max": int(lengths.max())},
            "vocabulary": None if tokenizer is None else len(tokenizer),
            "channels": list(self.codecs.channels),
            "ngrams": sum(self.codecs.grams),
            **by_level(self.found),
        }

    def predict(self, model: Classifier, source: Source, keep: Sequence[str] = ()) -> list[dict[str, Any]]:
        """{"label", "confidence", "probabilities"} of each row, after the "id" of a sequence that has one.

        Labels in the source are not read. `keep` names columns of a table that come back before each answer ("all":
        every one); one called as an answer's column is, comes back as NAME_given.
        """
        rows = self._unlabelled(source)
        reading.warn_of_empty(rows)
        probabilities, predicted = self.probabilities(model, rows)
        names, ids = self.codecs.classes, rows.sequences.ids if rows.sequences is not None else None
        heads = [{}] * len(rows) if ids is None else [{"id": each} for each in ids]
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
            judged = [(each.cut, *self._judged(model, self.logits(model, each))) for each in encoded]
        cut, found, answers = zip(*judged, strict=True)
        self._tell(rows, sum(cut))
        return np.concatenate(found), np.concatenate(answers)


def _vector_note(found: np.ndarray) -> str:
    return f"{found.sum():,} of {len(found):,} words have a pretrained vector"
