"""The job "translate": how its pieces meet the training loop. See `gatework.tasks.base.Task`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor

from gatework.data import seen
from gatework.data.finding import Finding, by_level, refuse
from gatework.data.splits import folds, split_rows, with_held_out
from gatework.errors import DataError, GateworkError, OptionError
from gatework.networks.attention import coverage_loss
from gatework.networks.decoder import axes
from gatework.runtime.answers.asked import Asked
from gatework.runtime.exported import Exported
from gatework.runtime.search.hypotheses import length_penalty
from gatework.tasks.base import Axes, Contender, Metric, Parts, Round, Shard, Source, Step
from gatework.tasks.origin import files_of
from gatework.tasks.translate import measures, reading, writing
from gatework.tasks.translate.baselines import Baseline, baselines, untaught
from gatework.tasks.translate.codecs import Codecs, tokenizers
from gatework.tasks.translate.decoding import GREEDY, PREDICTING, Decoding, best_texts, log_p
from gatework.tasks.translate.examples import Batch, Batches, Examples
from gatework.tasks.translate.loss import smoothed
from gatework.tasks.translate.model import EncoderDecoder
from gatework.tasks.translate.options import TranslateFiles, TranslateOptions, TranslatePredicting
from gatework.tasks.translate.page import TranslatePages
from gatework.tasks.translate.pairs import Pairs
from gatework.tasks.translate.sections import sections
from gatework.training.options import Options

STEPS, FEWEST, MOST = 3_000, 10, 200  # steps of a training, as epochs between these
STEPS_OF_EPOCH, SMALLEST, LARGEST = 100, 16, 128  # steps that an epoch has at least, as pairs of a step between these
MOST_NATS = 700.0  # of which a perplexity is told: of more it is no number


class Translate(TranslatePages):
    """Text -> text: sentences of another language, sounds of letters, numbers in words."""

    name = "translate"
    Options = TranslateOptions
    Predicting = TranslatePredicting
    Files = TranslateFiles
    metric = Metric("bleu", higher=True)
    counted = "pairs"
    answers = "a translation a line; with --n-best number ||| translation ||| score; with --score a score a line"
    streams = True
    options: TranslateOptions
    codecs: Codecs

    def __init__(self, options: TranslateOptions):
        super().__init__(options)
        self.found: list[Finding] = []
        self.seen = np.zeros(0, np.uint32)  # numbers of the sources that were learned
        self._simpler: tuple[Examples, list[Baseline]] | None = None

    # -- data -----------------------------------------------------------------------------------------------

    @classmethod
    def source(cls, file: Path | None, others: Options) -> Source | None:
        """FILE, or its two sides in two files."""
        assert isinstance(others, TranslateFiles)
        return reading.named(file, others.source, others.target)

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        """Reads and refuses, splits, learns both vocabularies of the training part, encodes."""
        pairs = reading.read(source, self.options)
        found = reading.check(pairs)
        refuse(found)
        train, others = self._parts(pairs, valid, test, pairs.form != "rows")
        self._settle(train)
        self.codecs = Codecs(self.options)
        examples = self.codecs.fit(train)
        self.found = [*(Finding("note", note) for note in pairs.notes), *found, self._chosen(), *self._cut(examples)]
        self.found += [each for name, part in others.items() for each in reading.overlap(train, part, name)]
        self._choose_metric()
        self.seen = seen.learned(pl.Series(train.sources, dtype=pl.String))
        encoded = {name: self.codecs.encode(part) for name, part in others.items()}
        self._settle_steps(examples)
        return Parts(examples, encoded["valid"], encoded.get("test"))

    def _parts(
        self, pairs: Pairs, valid: Source | None, test: Source | None, of_file: bool
    ) -> tuple[Pairs, dict[str, Pairs]]:
        """The training pairs, and "valid" and "test" from their own sources, or held out."""
        given = {name: other for name, other in (("valid", valid), ("test", test)) if other is not None}
        others = {name: reading.read(other, self.options) for name, other in given.items()}
        for part in others.values():
            refuse(reading.check(part))
        share = self.options.test_share
        share = (0.05 if of_file else 0.0) if share is None else share
        self.options = replace(self.options, test_share=share)
        return with_held_out(pairs, others, self._held_out, valid=self.options.valid_share, test=share)

    def _held_out(self, pairs: Pairs, share: float) -> tuple[Pairs, Pairs]:
        """The pairs without a share of them, and that share, drawn by chance; equal sources stay together."""
        kept, held = split_rows(len(pairs), share, groups=pairs.sources, seed=self.options.seed)
        if not len(kept) or not len(held):
            different = len(set(pairs.sources))
            raise DataError(
                f"{pairs.source}: {different:,} different source(s) are too few to hold out {share:.0%} of them; add "
                "pairs, or give files for the other parts (valid=, test=)"
            )
        return pairs.take(kept), pairs.take(held)

    def _settle(self, train: Pairs) -> None:
        """Values for the options that were left to be worked out."""
        own = self.options.source_tokenizer, self.options.target_tokenizer
        if self.options.joint:
            own = (own[0] or own[1],) * 2
        source, target = (given or fitting for given, fitting in zip(own, tokenizers(train), strict=True))
        target = source if self.options.joint else target
        self.options = replace(self.options, source_tokenizer=source, target_tokenizer=target)

    def _settle_steps(self, examples: Examples) -> None:
        """How many pairs a step learns from, and how many epochs there are."""
        if self.options.batch_size is None:
            fitting = min(max(len(examples) // STEPS_OF_EPOCH, SMALLEST), LARGEST)
            self.options = replace(self.options, batch_size=fitting)
        if self.options.epochs is None:
            steps = len(self.batches(examples, 0, Shard()))
            self.options = replace(self.options, epochs=min(max(-(-STEPS // steps), FEWEST), MOST))

    def _chosen(self) -> Finding:
        """How texts are cut, and what results are told of."""
        options = self.options
        cut = f"sources are cut into {options.source_tokenizer}, targets into {options.target_tokenizer}"
        return Finding("note", f"{cut}; results are those of {measures.KINDS[self.codecs.kind]}")

    def _cut(self, examples: Examples) -> list[Finding]:
        """A warning of texts that are not read to their ends."""
        most = self.options.max_length
        long = (examples.sources.lengths > most) | (examples.written > most)
        if not long.any():
            return []
        where = examples.pairs.where(int(long.argmax()))
        rest = f" ({int(long.sum()):,} such texts)" if long.sum() > 1 else ""
        return [Finding("warning", f"{where}: only max_length={most} units are read{rest}", None)]

    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training; what cannot be read is one error."""
        try:
            pairs = reading.read(source, self.options)
            notes = [f"{pairs.source}: {len(pairs):,} pairs", *pairs.notes]
            found = [*(Finding("note", note) for note in notes), *reading.check(pairs)]
            if any(each.level == "error" for each in found):
                return found
            train, others = self._parts(pairs, None, None, pairs.form != "rows")
            self._settle(train)
            self.codecs = Codecs(self.options)
            self.codecs.fit(train)
            sizes = ", ".join(f"{len(part):,} {name}" for name, part in {"training": train, **others}.items())
            return [*found, Finding("note", f"would split into {sizes}"), self._chosen()]
        except GateworkError as error:
            return [Finding("error", str(error))]

    def examples(self, source: Source) -> Examples:
        """Pairs of another source."""
        pairs = reading.read(source, self.options)
        refuse(reading.check(pairs))
        return self._encoded(pairs)

    def _encoded(self, pairs: Pairs) -> Examples:
        """New pairs as ids."""
        examples = self.codecs.encode(pairs)
        for finding in self._cut(examples):
            warnings.warn(finding.message, stacklevel=3)
        return examples

    def assets(self) -> dict[str, str]:
        return self.codecs.assets() | {"seen.json": seen.to_json(self.seen)}

    def restore(self, assets: Mapping[str, str]) -> None:
        self.codecs = Codecs.restored(self.options, assets)
        self.seen = seen.from_json(assets["seen.json"])
        self._choose_metric()

    def _choose_metric(self) -> None:
        """What fits the targets. What counts it is an extra, which is missed now, not after a training."""
        self.metric = measures.WATCHED[self.codecs.kind]
        measures.needed()

    def caution(self, examples: Examples) -> str:
        """How many of the sources were learned."""
        return seen.overlap(pl.Series(examples.pairs.sources, dtype=pl.String), self.seen)

    def rounds(self, source: Source, count: int, hold_out: bool) -> list[Round]:
        """Rounds of a cross-validation over pairs; equal sources stay together."""
        pairs = reading.read(source, self.options)
        if hold_out and self.options.test_share:
            pairs, _ = self._held_out(pairs, self.options.test_share)
        parts = folds(len(pairs), count, groups=pairs.sources, seed=self.options.seed)
        return [Round(pairs.take(kept), None, pairs.take(held), {"test_share": 0.0}) for kept, held in parts]

    # -- model and training ---------------------------------------------------------------------------------

    def axes(self) -> Mapping[str, Axes]:
        return {"embedding.weight": (self.codecs.source.vocabulary, None), **axes(self.codecs.target.vocabulary)}

    def build(self) -> EncoderDecoder:
        return EncoderDecoder(self.options, len(self.codecs.source), len(self.codecs.target))

    def batches(self, examples: Examples, epoch: int, shard: Shard) -> Sequence[Batch]:
        options = self.options
        return Batches(examples, options.batch_size or LARGEST, options.batch_tokens, options.seed, epoch, shard)

    def loss(self, model: EncoderDecoder, batch: Batch, carry: dict[str, Tensor]) -> Step:
        outputs, weights = model.outputs(batch)
        mean = smoothed(*outputs, batch.written, self.options.label_smoothing)
        if self.options.coverage:
            again = coverage_loss(weights).t().flatten()[batch.places].mean()
            mean = mean + self.options.coverage * again
        return Step(mean, len(batch.written))

    # -- results --------------------------------------------------------------------------------------------

    def measure(self, model: EncoderDecoder, examples: Examples) -> dict[str, float]:
        """loss (nats of a target unit) and perplexity, then what fits the targets: bleu, chrf, ter and exact of texts,
        word_error and symbol_error of spellings. Translated as `predict` does."""
        return self.contenders(model, examples)[0].metrics

    def watched(self, model: EncoderDecoder, examples: Examples) -> dict[str, float]:
        """The same by greedy search, of no more than `valid_pairs`; the loss is of all."""
        some = examples if len(examples) <= self.options.valid_pairs else self.some(examples, self.options.valid_pairs)
        counts = self._counts(best_texts(model, self.codecs, some, GREEDY), some)
        return self._likelihood(model, examples) | measures.metrics(counts.sum(0), self.codecs.kind)

    def contenders(self, model: EncoderDecoder, examples: Examples) -> list[Contender]:
        """The model, which is its network."""
        counts = self._counts(best_texts(model, self.codecs, examples, PREDICTING), examples)
        found = self._likelihood(model, examples) | measures.metrics(counts.sum(0), self.codecs.kind)
        return [Contender("model", found, role="model", sums=counts)]

    def _counts(self, said: Sequence[str], examples: Examples) -> np.ndarray:
        return measures.sums(said, examples.pairs.targets or [], self.codecs.kind, lower=self.lower)

    @property
    def lower(self) -> bool:
        """Whether translations are written, and therefore compared, in lower case."""
        return self.options.lower == "both"

    def _likelihood(self, model: EncoderDecoder, examples: Examples) -> dict[str, float]:
        loss = -float(log_p(model, examples).sum()) / max(int(examples.written.sum()), 1)
        return {"loss": loss, "perplexity": math.exp(min(loss, MOST_NATS))}

    def simple(self, examples: Examples) -> list[Contender]:
        """The source as it stands, and of spellings nothing at all."""
        return [self._contender(each, examples) for each in untaught(examples.pairs.sources, self.codecs.kind)]

    def baselines(self, parts: Parts) -> list[Contender]:
        """The source as it stands, the nearest training source's target, word by word."""
        return [self._contender(each, parts.last[1]) for each in self.simpler(parts)]

    def simpler(self, parts: Parts) -> list[Baseline]:
        """What the baselines say of the last part, for the results and for the pages; without a training part, what
        needs none."""
        if self._simpler is None or self._simpler[0] is not parts.last[1]:
            sources, train = parts.last[1].pairs.sources, parts.train and parts.train.pairs
            self._simpler = parts.last[1], self._learned(train, sources)
        return self._simpler[1]

    def _learned(self, train: Pairs | None, sources: Sequence[str]) -> list[Baseline]:
        if train is None:
            return untaught(sources, self.codecs.kind)
        kind = measures.kind_of(train.sources, self.options.source_tokenizer)
        return list(baselines(train, sources, (kind, self.codecs.kind)))

    def _contender(self, baseline: Baseline, examples: Examples) -> Contender:
        counts = self._counts(baseline.translations, examples)
        return Contender(baseline.name, measures.metrics(counts.sum(0), self.codecs.kind), baseline.note, sums=counts)

    def score(self, sums: np.ndarray, metric: str) -> np.ndarray:
        return measures.score(sums, metric)

    def sections(self, model: EncoderDecoder, parts: Parts) -> dict[str, Any]:
        part, examples = parts.last
        known = None if parts.train is None else parts.train.pairs.sources
        return sections(part, examples, known, self.simpler(parts), model, self.codecs, self.lower)

    def facts(self, parts: Parts) -> dict[str, Any]:
        sizes = {"source": len(self.codecs.source), "target": len(self.codecs.target)}
        return {
            "form": parts.train.pairs.form,
            "kind": self.codecs.kind,
            "judged": measures.KINDS[self.codecs.kind] + (", in lower case" if self.lower else ""),
            "signature": measures.signature(lower=self.lower) if self.codecs.kind == "text" else {},
            "pairs": {name: len(part) for name, part in vars(parts).items() if part is not None},
            "units": {name: _units(part) for name, part in vars(parts).items() if part is not None},
            "vocabulary": sizes,
            **by_level(self.found),
        }

    # -- answers --------------------------------------------------------------------------------------------

    def predict(self, model: EncoderDecoder, source: Source, **how: object) -> list[dict[str, Any]]:
        """{"source", "translation", "score", "log_p"} of each text; see `writing.rows`."""
        return list(self._rows(model, source, TranslatePredicting.of(how)))

    def written(self, model: EncoderDecoder, source: Source, how: Options) -> Iterator[str]:
        """A translation a line, as they come; of an iterator of lists, those of each list before the next is read."""
        assert isinstance(how, TranslatePredicting)
        if how.attention:
            raise OptionError("attention is part of the rows, not of lines: add --json, or call predict")
        groups = source if isinstance(source, Iterator) else (source,)
        return writing.written(row for group in groups for row in self._rows(model, group, how))

    def _rows(self, model: EncoderDecoder, source: Source, how: TranslatePredicting) -> Iterator[dict[str, Any]]:
        if len(files_of(source)) > 1 and not how.score:
            raise OptionError("translations are given, but only score reads them: add --score, or leave --target out")
        pairs = reading.read(source, self.options, paired=how.score, whole=True)
        examples = self._encoded(pairs)
        if how.score:
            penalties = [length_penalty(int(count), how.length_penalty) for count in examples.written]
            return writing.scored(pairs, log_p(model, examples), penalties)
        return Decoding(model, Asked(self.codecs, how.how)).rows(examples)

    def exported(self, model: EncoderDecoder) -> Exported:
        from gatework.tasks.translate.exported import exported

        return exported(self, model)


def _units(part: Examples) -> dict[str, int]:
    """How many units both sides have, without their ends."""
    targets = 0 if part.targets is None else len(part.targets.values)
    return {"source": len(part.sources.values) - len(part), "target": targets}
