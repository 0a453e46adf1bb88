"""The job "translate": how its pieces meet the training loop. See `gatework.tasks.base.Task`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gatework.data.finding import Finding, by_level, refuse
from gatework.data.splits import folds, split_rows
from gatework.errors import DataError, GateworkError
from gatework.tasks.base import Contender, Metric, Parts, Round, Shard, Source, Step, Task
from gatework.tasks.translate import measures, reading
from gatework.tasks.translate.codecs import Codecs, tokenizers
from gatework.tasks.translate.decoding import GREEDY, translate
from gatework.tasks.translate.examples import Batch, Batches, Examples, alike, make_batch
from gatework.tasks.translate.loss import nats, smoothed
from gatework.tasks.translate.model import Translator
from gatework.tasks.translate.options import TranslateExplaining, TranslateOptions, TranslatePredicting
from gatework.tasks.translate.pairs import Pairs

STEPS, FEWEST, MOST = 5_000, 6, 60  # steps of a training, as epochs between these


class Translate(Task[Examples, Batch, Translator]):
    """Text -> text: sentences of another language, sounds of letters, numbers in words."""

    name = "translate"
    Options = TranslateOptions
    Predicting = TranslatePredicting
    Explaining = TranslateExplaining
    metric = Metric("loss", higher=False)
    counted = "pairs"
    answers = "a translation a line; with --n-best number ||| translation ||| score"
    options: TranslateOptions
    codecs: Codecs
    kind: str

    def __init__(self, options: TranslateOptions):
        super().__init__(options)
        self.found: list[Finding] = []

    # -- data -----------------------------------------------------------------------------------------------

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        """Reads and refuses, splits, learns both vocabularies of the training part, encodes."""
        pairs = reading.read(source, self.options, target=self.options.target)
        self.found = reading.check(pairs)
        refuse(self.found)
        train, others = self._parts(pairs, valid, test, isinstance(source, str | Path))
        self._settle(train)
        self.codecs = Codecs(self.options)
        examples = self.codecs.fit(train)
        encoded = {name: self.codecs.encode(part) for name, part in others.items()}
        self._settle_epochs(examples)
        return Parts(examples, encoded["valid"], encoded.get("test"))

    def _parts(
        self, pairs: Pairs, valid: Source | None, test: Source | None, of_file: bool
    ) -> tuple[Pairs, dict[str, Pairs]]:
        """The training pairs, and "valid" and "test" from their own sources, or held out."""
        given = {"valid": (valid, self.options.valid_target), "test": (test, self.options.test_target)}
        others = {
            name: reading.read(other, self.options, target=target)
            for name, (other, target) in given.items()
            if other is not None
        }
        for part in others.values():
            refuse(reading.check(part))
        share = self.options.test_share
        share = (0.05 if of_file else 0.0) if share is None else share
        self.options = replace(self.options, test_share=share)
        train = pairs
        if share and "test" not in others:
            train, others["test"] = self._held_out(train, share)
        if "valid" not in others:
            left = 1 - share if test is None else 1
            train, others["valid"] = self._held_out(train, min(self.options.valid_share / left, 0.9))
        return train, others

    def _held_out(self, pairs: Pairs, share: float) -> tuple[Pairs, Pairs]:
        """The pairs without a share of them, and that share, drawn by chance; equal sources stay together."""
        kept, held = split_rows(len(pairs), share, groups=pairs.sources, seed=self.options.seed)
        if not len(kept) or not len(held):
            raise DataError(
                f"{pairs.source}: {len(pairs):,} pairs are too few to hold out {share:.0%} of them; add pairs, or give "
                "files for the other parts (valid=, test=)"
            )
        return pairs.take(kept), pairs.take(held)

    def _settle(self, train: Pairs) -> None:
        """Values for the options that were left to be worked out."""
        source, target = tokenizers(train)
        own = self.options.source_tokenizer or source
        self.options = replace(
            self.options, source_tokenizer=own, target_tokenizer=self.options.target_tokenizer or target
        )
        self.kind = measures.kind_of(train.targets or [])

    def _settle_epochs(self, examples: Examples) -> None:
        if self.options.epochs is None:
            batches = len(self.batches(examples, 0, Shard()))
            self.options = replace(self.options, epochs=min(max(-(-STEPS // batches), FEWEST), MOST))

    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training; what cannot be read is one error."""
        try:
            pairs = reading.read(source, self.options, target=self.options.target)
        except GateworkError as error:
            return [Finding("error", str(error))]
        return [Finding("note", f"{pairs.source}: {len(pairs):,} pairs"), *reading.check(pairs)]

    def examples(self, source: Source) -> Examples:
        """Pairs of another source."""
        pairs = reading.read(source, self.options, target=self.options.target)
        refuse(reading.check(pairs))
        return self.codecs.encode(pairs)

    def assets(self) -> dict[str, str]:
        return self.codecs.assets()

    def restore(self, assets: Mapping[str, str]) -> None:
        self.codecs = Codecs.restored(self.options, assets)
        self.kind = "text"

    def rounds(self, source: Source, count: int, hold_out: bool) -> list[Round]:
        """Rounds of a cross-validation over pairs; equal sources stay together."""
        pairs = reading.read(source, self.options, target=self.options.target)
        if hold_out and self.options.test_share:
            pairs, _ = self._held_out(pairs, self.options.test_share)
        parts = folds(len(pairs), count, groups=pairs.sources, seed=self.options.seed)
        return [Round(pairs.take(kept), None, pairs.take(held), {"test_share": 0.0}) for kept, held in parts]

    # -- model and training ---------------------------------------------------------------------------------

    def build(self) -> Translator:
        return Translator(self.options, len(self.codecs.source), len(self.codecs.target))

    def batches(self, examples: Examples, epoch: int, shard: Shard) -> Sequence[Batch]:
        options = self.options
        return Batches(examples, options.batch_size, options.batch_tokens, options.seed, epoch, shard)

    def loss(self, model: Translator, batch: Batch, carry: dict[str, Tensor]) -> Step:
        hidden, _ = model.hidden(batch)
        head = model.decoder.head
        mean = smoothed(
            head.bridged(hidden), head.output.weight, head.output.bias, batch.written, self.options.label_smoothing
        )
        return Step(mean, len(batch.written))

    # -- results --------------------------------------------------------------------------------------------

    def measure(self, model: Translator, examples: Examples) -> dict[str, float]:
        return {"loss": self._nats(model, examples)} | self._measures(model, examples)

    def _nats(self, model: Translator, examples: Examples) -> float:
        """Nats per written symbol."""
        total, count = 0.0, 0
        for rows in alike(examples, np.arange(len(examples)), self.options.batch_size, self.options.batch_tokens):
            batch = make_batch(examples, rows)
            hidden, _ = model.hidden(batch)
            head = model.decoder.head
            total += float(nats(head.bridged(hidden), head.output.weight, head.output.bias, batch.written).sum())
            count += len(batch.written)
        return total / max(count, 1)

    def _measures(self, model: Translator, examples: Examples) -> dict[str, float]:
        said = self.codecs.texts([own[0].ids if own else [] for own in translate(model, examples, GREEDY)])
        return measures.measures(said, examples.pairs.targets or [], self.kind)

    def contenders(self, model: Translator, examples: Examples) -> list[Contender]:
        said = self.codecs.texts([own[0].ids if own else [] for own in translate(model, examples, GREEDY)])
        return [Contender("model", self.measure(model, examples), role="model")]

    def facts(self, parts: Parts) -> dict[str, Any]:
        return {
            "pairs": {name: len(part) for name, part in vars(parts).items() if part is not None},
            **by_level(self.found),
        }

    def predict(self, model: Translator, source: Source, **how: Any) -> list[dict[str, Any]]:
        """{"source", "translation", "score"} of each text."""
        pairs = reading.read(source, self.options, paired=False)
        asked = TranslatePredicting.of(how)
        rows = []
        for text, own in zip(pairs.sources, translate(model, self.codecs.encode(pairs), asked), strict=True):
            best = self.codecs.texts([each.ids for each in own])
            rows.append(
                {
                    "source": text,
                    "translation": best[0] if best else "",
                    "score": own[0].normalised if own else math.nan,
                }
            )
        return rows
