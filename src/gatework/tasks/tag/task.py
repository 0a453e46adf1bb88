"""The job "tag": how its pieces meet the training loop. See `gatework.tasks.base.Task`."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import functional

from gatework.data.finding import Finding, by_level, refuse
from gatework.data.splits import folds, split_rows, with_held_out
from gatework.data.vectors import read_vectors
from gatework.errors import DataError, GateworkError, OptionError
from gatework.runtime.exported import Exported
from gatework.runtime.tags.stretches import stretches
from gatework.tasks.base import Axes, Contender, Metric, Parts, Round, Shard, Source, Step
from gatework.tasks.tag import measures, reading, writing
from gatework.tasks.tag.answers import Answers, answered, settle_shares
from gatework.tasks.tag.baselines import LINEAR, baselines
from gatework.tasks.tag.codecs import Codecs
from gatework.tasks.tag.examples import Batch, Batches, Examples
from gatework.tasks.tag.linear import Allowed, Linear, fit_sentences
from gatework.tasks.tag.model import EMBEDDING, Tagger
from gatework.tasks.tag.options import TagOptions, TagPredicting
from gatework.tasks.tag.page import TagPages
from gatework.tasks.tag.sections import sections
from gatework.tasks.tag.sentences import Sentences
from gatework.training.learner import NETWORK_LOSS
from gatework.training.options import Options

STEPS, FEWEST, MOST = 3_000, 6, 30  # steps of a training, as epochs between these
FORMS = {"conll": "conll", "conllu": "conll", "jsonl": "jsonl", "rows": "jsonl", "spans": "spans", "fasta": "fasta"}
NONE = "<none>"  # of a further column, where a token has none that was learned
MANY = 500_000  # tokens of which less dropout is needed
ROLES = {"model": "model", "simple": "windows alone", "network": "network alone"}


class Tag(TagPages):
    """Tokens -> a tag for each of them, and a label for the whole where there is one."""

    name = "tag"
    Options = TagOptions
    Predicting = TagPredicting
    metric = Metric("f1", higher=True)
    fallbacks = (Metric("accuracy", higher=True),)
    counted = "sentences"
    answers = "a token a line with its tag, or --format jsonl or spans"
    options: TagOptions
    codecs: Codecs

    def __init__(self, options: TagOptions):
        super().__init__(options)
        self.found: list[Finding] = []
        self._begins = False  # whether `build` is for a training, not for saved weights
        self._linear: Linear | None = None  # fitted, as the next; a restored model brings its own weights
        self._label_linear: Linear | None = None

    # -- data -----------------------------------------------------------------------------------------------

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        """Reads and refuses, splits, learns vocabulary and tags of the training part, encodes."""
        read = reading.read(source, self.options)
        found = reading.check(read)
        refuse(found)
        train, others = self._parts(read, valid, test, isinstance(source, str | Path))
        given = {"valid": valid, "test": test}
        for name in others:
            if given[name] is not None:
                refuse(reading.check(others[name], learned=False))
        self._settle(train)
        self.codecs = Codecs(self.options)
        examples = self.codecs.fit(train)
        self._fit_linear(examples)
        self._choose_metric()
        self.found = [*(Finding("note", note) for note in read.notes), *found]
        self.found += [each for name, part in others.items() for each in self._never_learned(part, name)]
        self.found += [Finding("note", note) for note in (examples.written.notes if examples.written else [])]
        encoded = {name: self.codecs.encode(part) for name, part in others.items()}
        self._begins = True
        return Parts(examples, encoded["valid"], encoded.get("test"))

    def _fit_linear(self, examples: Examples) -> None:
        """The linear models on windows: by whole sentences where the network is, else by tokens; and of labels."""
        self._linear = self._label_linear = None
        if examples.windows is not None:
            _, fit = LINEAR[self.options.output]
            classes, offsets = len(self.codecs.tags), examples.inputs.offsets
            self._linear = fit(examples.windows, examples.tags, offsets, classes, self._allowed, self.options.seed)
            self.codecs.known = len(self._linear.keys)
            if examples.labels is not None and self.codecs.labels is not None:
                kinds, seed = len(self.codecs.labels), self.options.seed
                self._label_linear = fit_sentences(examples.windows, examples.labels, offsets, kinds, seed)
                self.codecs.known_to_labels = len(self._label_linear.keys)

    def _parts(
        self, read: Sentences, valid: Source | None, test: Source | None, of_file: bool
    ) -> tuple[Sentences, dict[str, Sentences]]:
        """The training sentences, and "valid" and "test" from their own sources, as the data name them, or held out."""
        if self.options.refit and valid is not None:
            raise OptionError("refit learns the sentences held out of the training file; leave valid= out, or refit")
        given = {name: other for name, other in (("valid", valid), ("test", test)) if other is not None}
        others = {name: reading.read(other, self.options, like=read) for name, other in given.items()}
        train = read
        if read.parts is not None:  # a file given for a part stands in for the sequences named so
            train, named = _as_named(read, self.options.refit)
            others = named | others
        share = self.options.test_share
        share = (0.1 if of_file else 0.0) if share is None else share
        self.options = replace(self.options, test_share=share)
        return with_held_out(
            train, others, self._held_out, valid=self.options.valid_share, test=share, refit=self.options.refit
        )

    def _held_out(self, read: Sentences, share: float) -> tuple[Sentences, Sentences]:
        """The sentences without a share of them, and that share, drawn by chance; repeated ones stay together."""
        kept, held = split_rows(len(read), share, groups=read.wholes(), seed=self.options.seed)
        if not len(kept) or not len(held):
            raise DataError(
                f"{read.source}: {len(read):,} sentences are too few to hold out {share:.0%} of them; add sentences, "
                "or give files for the other parts (valid=, test=)"
            )
        return read.take(kept), read.take(held)

    def _settle(self, train: Sentences) -> None:
        """Values for the options that were left to be worked out."""
        lettered = all(len(token) == 1 for token in train.tokens)
        batches = max(len(train) // self.options.batch_size, len(train.tokens) // self.options.batch_tokens, 1)
        settled: dict[str, Any] = {}
        if self.options.characters is None:
            settled["characters"] = 0 if lettered else 60
        if self.options.common_dropout is None:
            settled["common_dropout"] = 0.0 if lettered else 0.1
        if self.options.neighbours is None:
            settled["neighbours"] = 32 if lettered else 0
        if self.options.embedding_size is None:
            settled["embedding_size"] = 32 if lettered else EMBEDDING
        if self.options.dropout is None:
            settled["dropout"] = 0.2 if len(train.tokens) >= MANY else 0.5
        if self.options.output == "auto":
            settled["output"] = "softmax" if train.scheme == "plain" else "crf"
        if self.options.epochs is None:
            settled["epochs"] = min(max(-(-STEPS // batches), FEWEST), MOST)
        self.options = replace(self.options, **settled)

    def _never_learned(self, part: Sentences, name: str = "") -> list[Finding]:
        """A warning of tags that training never saw: they count as errors."""
        tags = self.codecs.learned_tags(part)
        unknown = [k for k, code in enumerate(self.codecs.tags.encode(tags)) if code < 0 and tags[k] is not None]
        if not unknown:
            return []
        names = sorted({str(tags[k]) for k in unknown})
        told = f"{'' if self.codecs.scheme == 'plain' else 'in BIOES '}{', '.join(names[:5])}"
        told += " ..." if len(names) > 5 else ""
        of_part = f" of the {name} part" if name else ""
        text = f"{len(unknown):,} tokens{of_part} have tags that training lacks ({told})"
        return [Finding("warning", f"{part.where(unknown[0])}: {text}; they count as errors", None)]

    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training; what cannot be read is one error."""
        try:
            read = reading.read(source, self.options)
            notes = [Finding("note", f"{read.source}: {len(read):,} sentences, {len(read.tokens):,} tokens")]
            notes += [Finding("note", note) for note in read.notes]
            found = reading.check(read)
            if any(each.level == "error" for each in found):
                return [*notes, *found]
            train, others = self._parts(read, None, None, isinstance(source, str | Path))
            self.codecs = Codecs(self.options)
            self.codecs.fit(train)
            sizes = ", ".join(f"{len(part):,} {name}" for name, part in {"training": train, **others}.items())
            notes.append(Finding("note", f"would split into {sizes}; {len(self.codecs.tags)} tags as they are learned"))
            found += [each for name, part in others.items() for each in self._never_learned(part, name)]
            return [*notes, *found]
        except GateworkError as error:
            return [Finding("error", str(error))]

    def examples(self, source: Source) -> Examples:
        """Tagged sentences of another source."""
        read = reading.read(source, self.options, like=self.codecs.layout)
        refuse(reading.check(read, learned=False))
        for found in self._never_learned(read):
            warnings.warn(found.message, stacklevel=2)
        return self.codecs.encode(read)

    def assets(self) -> dict[str, str]:
        return self.codecs.assets()

    def restore(self, assets: Mapping[str, str]) -> None:
        self.codecs = Codecs.restored(self.options, assets)
        self._choose_metric()

    def _choose_metric(self) -> None:
        """Tags that write no spans are judged by tokens."""
        self.metric = Metric("accuracy" if self.codecs.scheme == "plain" else "f1", higher=True)

    def rounds(self, source: Source, count: int, hold_out: bool) -> list[Round]:
        """Rounds of a cross-validation over sentences; repeated ones stay together."""
        read = reading.read(source, self.options)
        if hold_out and self.options.test_share:
            read, _ = self._held_out(read, self.options.test_share)
        pairs = folds(len(read), count, groups=read.wholes(), seed=self.options.seed)
        changes = {"test_share": 0.0}
        return [Round(read.take(kept), None, read.take(held), changes) for kept, held in pairs]

    # -- model and training ---------------------------------------------------------------------------------

    def axes(self) -> Mapping[str, Axes]:
        codecs, tags = self.codecs, self.codecs.tags.classes
        labels = [] if codecs.labels is None else codecs.labels.classes
        columns = {
            f"columns.{k}.weight": ([NONE, *each.classes], None) for k, each in enumerate(codecs.columns.values())
        }
        return columns | {
            "words.weight": (codecs.words.vocabulary, None),
            "spelling.embedding.weight": (codecs.letters.vocabulary, None),
            "output.weight": (tags, None),
            "output.bias": (tags,),
            "label.weight": (labels, None),
            "label.bias": (labels,),
            "crf.start": (tags,),
            "crf.transitions": (tags, tags),
            "crf.end": (tags,),
        }

    def learns_validation(self, epoch: int) -> bool:
        return self.options.refit

    def joined(self, parts: Parts) -> Examples:
        return parts.train  # `prepare` joined them, so that the vocabulary is of both

    def build(self) -> Tagger:
        plain = self.codecs.scheme == "plain" and self.options.output == "softmax"
        allowed = None if plain else self.codecs.allowed
        windows = self._windows_model(), self._label_windows_model()
        model = Tagger(self.options, self.codecs.sizes, allowed, *windows, self.codecs.languages)
        if self.options.vectors and self._begins:
            self._use_vectors(model)
        return model

    def _windows_model(self) -> Linear | None:
        """The linear model that was fitted, or one that takes saved weights."""
        if self._linear is not None or not self.options.windows:
            return self._linear
        return Linear(self.codecs.known, len(self.codecs.tags), self._allowed)

    def _label_windows_model(self) -> Linear | None:
        if self._label_linear is not None or not self.options.windows or self.codecs.labels is None:
            return self._label_linear
        return Linear(self.codecs.known_to_labels, len(self.codecs.labels))

    @property
    def _allowed(self) -> Allowed | None:
        """Which tags may begin, follow each other and end; None: any."""
        return None if self.codecs.scheme == "plain" else self.codecs.allowed

    def _use_vectors(self, model: Tagger) -> None:
        """Known words start from the file's vectors."""
        size, vocabulary = model.words.embedding_dim, self.codecs.words.vocabulary
        vectors, found = read_vectors(str(self.options.vectors), vocabulary, size)
        self.found.append(Finding("note", f"{found.sum():,} of {len(found):,} words have a pretrained vector"))
        model.words.start_from(vectors, found, self.options.freeze_vectors)

    def batches(self, examples: Examples, epoch: int, shard: Shard) -> Batches:
        pieces = stretches(examples.inputs.offsets, self.options.max_length)
        options = self.options
        return Batches(examples, pieces, options.batch_size, options.batch_tokens, options.seed, epoch, shard)

    def loss(self, model: Tagger, batch: Batch, carry: dict[str, Tensor]) -> Step:
        scores = model(batch)
        counted = max(int((batch.tags >= 0).sum()), 1)
        loss = model.judge("network", scores.tags, None).nats(batch.tags, batch.counts).sum() / counted
        if scores.labels is not None and batch.labels is not None and bool((batch.labels >= 0).any()):
            wrong = functional.cross_entropy(scores.labels, batch.labels, ignore_index=-1)
            loss = loss + self.options.label_weight * wrong
        return Step(loss, counted)

    # -- results --------------------------------------------------------------------------------------------

    def settle(self, model: Tagger, examples: Examples) -> None:
        """The windows' shares, unless they were given."""
        if model.windows is not None and self.options.window_share is None:
            settle_shares(model, examples, self.options.max_length)

    def answered(self, model: Tagger, examples: Examples, *roles: str, sure: bool = False) -> dict[str, Answers]:
        """What the model says, or each of these parts of it alone."""
        return answered(model, examples, self.options.max_length, roles or ("model",), sure)

    def compared(self, examples: Examples, answers: Answers) -> Compared:
        """True and said tags as they are learned, and labels: what all measures read."""
        labels = None
        if answers.labels is not None and self.codecs.labels is not None and examples.sentences.labels is not None:
            said = [self.codecs.labels.classes[k] for k in answers.labels.argmax(1)]
            labels = (examples.sentences.labels, said)
        true = self.codecs.learned_tags(examples.sentences)
        said = [self.codecs.tags.classes[k] for k in answers.tags]
        rest = {"plain": self.codecs.scheme == "plain", "known": examples.seen > 0, "labels": labels}
        return Compared(true, said, examples.sentences.lengths, rest)

    def measure(self, model: Tagger, examples: Examples) -> dict[str, float]:
        """loss (nats a token), accuracy, where there are spans precision, recall, f1; accuracy_unseen of words that
        training never saw; label_accuracy and both_right where sentences have labels."""
        return self._measured(examples, self.answered(model, examples)["model"])

    def watched(self, model: Tagger, examples: Examples) -> dict[str, float]:
        """`network_loss` is what training makes small, of the network alone."""
        answers = self.answered(model, examples, "model", "network")
        network = answers["network"]
        found = self._measured(examples, answers["model"])
        return found if model.windows is None else found | {NETWORK_LOSS: network.nats / max(network.counted, 1)}

    def _measured(self, examples: Examples, answers: Answers) -> dict[str, float]:
        true, said, lengths, rest = self.compared(examples, answers)
        found = {"loss": answers.nats / max(answers.counted, 1)} | measures.measures(true, said, lengths, **rest)
        return self._with_value(found)

    def _with_value(self, found: dict[str, float]) -> dict[str, float]:
        """Without metrics of which nothing was counted, but for the one that is watched."""
        return {name: value for name, value in found.items() if name == self.metric.name or not math.isnan(value)}

    def contenders(self, model: Tagger, examples: Examples) -> list[Contender]:
        """The model, its windows alone, its network alone."""
        found = []
        for role, answers in self.answered(model, examples, *ROLES).items():
            true, said, lengths, rest = self.compared(examples, answers)
            counted = measures.sums(true, said, lengths, **rest)
            note = self._settled_note(model) if role == "model" else ""
            found.append(Contender(ROLES[role], self._measured(examples, answers), note, role=role, sums=counted))
        return found if model.windows is not None else found[:1]

    def _settled_note(self, model: Tagger) -> str:
        """What validation sentences decided, for the tables of results."""
        if model.windows is None:
            return ""
        chosen = " (chosen)" if self.options.window_share is None and not self.options.refit else ""
        of_labels = "" if model.label_windows is None else f"; of labels {float(model.label_share):.0%} windows"
        return f"{float(model.share):.0%} windows, {1 - float(model.share):.0%} network{of_labels}{chosen}"

    def score(self, sums: np.ndarray, metric: str) -> np.ndarray:
        """F1 is 1 where there is no span, neither true nor predicted: such a sentence was answered, and must not be
        left out of a comparison with a method that invents one there."""
        found = measures.score(sums, metric)
        return np.where(np.isnan(found), 1.0, found) if metric == "f1" else found

    def baselines(self, parts: Parts) -> list[Contender]:
        """Each word's most frequent tag, a linear model on windows, a linear CRF on them."""
        train, last = parts.train, parts.last[1]
        given = ((train, self._windows(train)), (last, self._windows(last)))
        fitted = {} if self._linear is None else {self.options.output: self._linear}
        found = []
        for each in baselines(*given, len(self.codecs.tags), self._allowed, self.options.seed, fitted):
            true, said, lengths, rest = self.compared(last, each.answers)
            values = self._with_value(measures.measures(true, said, lengths, **rest))
            found.append(Contender(each.name, values, each.note, sums=measures.sums(true, said, lengths, **rest)))
        return found

    def _windows(self, examples: Examples) -> np.ndarray:
        return self.codecs.windows(examples.sentences) if examples.windows is None else examples.windows

    def sections(self, model: Tagger, parts: Parts) -> dict[str, Any]:
        part, examples = parts.last
        return sections(part, examples, self.codecs, self.answered(model, examples, sure=True)["model"], model)

    def facts(self, parts: Parts) -> dict[str, Any]:
        sentences = parts.train.sentences
        tags = Counter(tag for tag in sentences.tags or [] if tag is not None)
        return {
            "form": self.codecs.layout.form,
            "scheme": self.codecs.scheme,
            "sentences": {name: len(part) for name, part in vars(parts).items() if part is not None},
            "tokens": {name: len(part.tags) for name, part in vars(parts).items() if part is not None},
            "tags": dict(tags.most_common()),
            "length": {"mean": round(float(sentences.lengths.mean()), 1), "max": int(sentences.lengths.max())},
            "vocabulary": len(self.codecs.words),
            "columns": list(self.codecs.columns),
            "labels": [] if self.codecs.labels is None else self.codecs.labels.classes,
            **by_level(self.found),
        }

    def predict(self, model: Tagger, source: Source, format: str | None = None) -> list[dict[str, Any]]:
        """{"tokens", "tags", "confidence"} of each sentence, or with format="spans" {"text", "spans"} of each text;
        with "label" where the run learned labels of whole sentences.

        A tag's confidence is its probability over all sequences of tags. Tags in the source are not read.
        """
        said = self._said(model, source)
        return writing.rows(said.read, said.tags, "spans" if format == "spans" else "jsonl", said.labels, said.sure)

    def written(self, model: Tagger, source: Source, how: Options) -> str:
        """The answers as a file: in the form that the source has, unless `format` says otherwise."""
        assert isinstance(how, TagPredicting)
        said = self._said(model, source)
        form = how.format or FORMS.get(said.read.form) or ("conll" if self.codecs.scheme == "plain" else "spans")
        return writing.written(said.read, said.tags, form, said.labels, said.sure)

    def exported(self, model: Tagger) -> Exported:
        from gatework.tasks.tag.exported import exported

        return exported(self, model)

    def untagged(self, source: Source) -> Sentences:
        """New sentences; tags that they may have are not read."""
        read = reading.read(source, self.options, tagged=False, like=self.codecs.layout)
        return replace(read, tags=None, labels=None, scheme=self.codecs.scheme)

    def _said(self, model: Tagger, source: Source) -> Said:
        """Sentences without their tags, and what the model says of them."""
        read = self.untagged(source)
        answers = self.answered(model, self.codecs.encode(read), sure=True)["model"]
        tags = self.codecs.decode(answers.tags, read.lengths)
        labels = None
        if answers.labels is not None and self.codecs.labels is not None:
            labels = [self.codecs.labels.classes[k] for k in answers.labels.argmax(1)]
        return Said(read, tags, labels, answers.confidence)


class Compared(NamedTuple):
    """What measures read: tags [N] as they are learned, lengths [n], and the further arguments of `measures`."""

    true: list[str | None]
    said: list[str]
    lengths: np.ndarray
    rest: dict[str, Any]


class Said(NamedTuple):
    """Sentences, the tags [N] of their tokens as the data write them, labels [n], and the tags' probabilities [N]."""

    read: Sentences
    tags: list[str]
    labels: list[str] | None
    sure: np.ndarray | None


def _as_named(read: Sentences, refit: bool) -> tuple[Sentences, dict[str, Sentences]]:
    """The parts that the data themselves name; with `refit`, those held out for choosing are learned too."""
    assert read.parts is not None
    named = np.array(read.parts)
    parts = {name: read.take(np.flatnonzero(named == name)) for name in ("train", "valid", "test") if name in named}
    if "train" not in parts:
        raise DataError(
            f"{read.source}: the headers name no sequence to learn from (SET=train); name some, or take SET out of them"
        )
    if refit and "valid" in parts:
        parts["train"] = read.take(np.flatnonzero(named != "test"))
    return parts.pop("train"), parts
