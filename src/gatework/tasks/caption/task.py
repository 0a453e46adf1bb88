"""The job "caption": how its pieces meet the training loop. See `gatework.tasks.base.Task`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional

from gatework.data.finding import Finding, by_level, refuse, warn
from gatework.data.splits import folds, split_rows, with_held_out
from gatework.errors import DataError, GateworkError
from gatework.networks.decoder import axes
from gatework.networks.pictures import quick_half
from gatework.tasks.base import Axes, Contender, Metric, Parts, Round, Shard, Source, Step
from gatework.tasks.caption import measures, reading
from gatework.tasks.caption.baselines import Baseline, baselines
from gatework.tasks.caption.codecs import Captions
from gatework.tasks.caption.decoding import GREEDY, Decoding, log_p
from gatework.tasks.caption.examples import Batch, Batches, Examples
from gatework.tasks.caption.model import Describer
from gatework.tasks.caption.options import LARGEST, SIZES, STEPS, WIDTHS, CaptionOptions, CaptionPredicting
from gatework.tasks.caption.page import CaptionPages
from gatework.tasks.caption.sections import sections

FEWEST, MOST = 10, 200  # epochs
STEPS_OF_EPOCH, SMALLEST = 40, 16  # steps that an epoch has at least, unless steps were of fewer captions
SAMPLE = 500  # training pictures from which mean and deviation of their points are taken
MOST_NATS = 700.0  # of which a perplexity is told: of more it is no number


class Caption(CaptionPages):
    """A picture, a film or vectors of either -> a text."""

    name = "caption"
    Options = CaptionOptions
    Predicting = CaptionPredicting
    metric = measures.EXACT
    fallbacks = (Metric("loss", higher=False),)
    counted = "pictures"
    answers = "file, caption and its score; with --n-best a row for each caption, and its rank"
    reads_lines = False
    options: CaptionOptions
    captions: Captions
    medium: str
    width: int

    def __init__(self, options: CaptionOptions):
        super().__init__(options)
        self.found: list[Finding] = []
        self._simpler: tuple[Examples, list[Baseline]] | None = None

    @property
    def rows_name_files(self) -> bool:
        return True

    # -- data -----------------------------------------------------------------------------------------------

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        """Reads and refuses, splits, learns the units of the training captions, encodes."""
        measures.needed()
        read = reading.read(source, self.options)
        self.found = reading.check(read)
        refuse(self.found)
        train, others = self._parts(read, valid, test, _of_files(read))
        self._settle(train)
        self.captions = Captions(self.options)
        units = self.captions.fit(train.captions or [], read.listing.source)
        train = replace(train, units=units, channels=self.width)
        self.found += [finding for name, part in others.items() for finding in reading.overlap(train, part, name)]
        self.metric = measures.watched(train.captions or [])
        self.sample = train
        encoded = {name: self.encoded(part) for name, part in others.items()}
        return Parts(train, encoded["valid"], encoded.get("test"))

    def _parts(
        self, read: Examples, valid: Source | None, test: Source | None, of_files: bool
    ) -> tuple[Examples, dict[str, Examples]]:
        """The training rows, and "valid" and "test" from their own sources, or held out."""
        given = {name: other for name, other in (("valid", valid), ("test", test)) if other is not None}
        others = {name: reading.read(other, self.options, read.medium) for name, other in given.items()}
        share = self.options.test_share
        share = (0.1 if of_files and "test" not in others else 0.0) if share is None else share
        self.options = replace(self.options, test_share=share)
        return with_held_out(read, others, self._held_out, valid=self.options.valid_share, test=share)

    def _held_out(self, read: Examples, share: float) -> tuple[Examples, Examples]:
        """The rows without a share of them, and that share, drawn by chance; equal pictures stay together."""
        copies = read.shown.copies
        kept, held = split_rows(len(read), share, groups=copies, seed=self.options.seed)
        if not len(kept) or not len(held):
            raise DataError(
                f"{read.listing.source}: {len(set(copies)):,} different file(s) are too few to hold out "
                f"{share:.0%} of them; add some, or give files for the other parts (valid=, test=)"
            )
        return read.take(kept), read.take(held)

    def _settle(self, train: Examples) -> None:
        """Values for the options that were left to be worked out."""
        options, self.medium = self.options, train.medium
        if self.medium != "vectors":
            colour = reading.coloured(train) if options.colour is None else options.colour
            half = quick_half() if options.half is None else options.half
            size, widths = options.size or SIZES[self.medium], options.widths or WIDTHS[self.medium]
            options = replace(options, colour=colour, half=half, size=size, widths=widths)
        self.width = train.width if self.medium == "vectors" else 3 if options.colour else 1
        if options.batch_size is None:
            fitting = min(max(len(train) // STEPS_OF_EPOCH, SMALLEST), LARGEST[self.medium])
            options = replace(options, batch_size=fitting)
        if options.epochs is None:
            steps = max(-(-len(train) // (options.batch_size or 1)), 1)
            options = replace(options, epochs=min(max(-(-STEPS[self.medium] // steps), FEWEST), MOST))
        self.options = options
        self.found.append(self._chosen())

    def _chosen(self) -> Finding:
        """How pictures are read."""
        options = self.options
        if self.medium == "vectors":
            return Finding("note", f"vectors of {self.width:,} numbers are read")
        frames = f", at most {options.frames} frames of each" if self.medium == "video" else ""
        how = f"{reading.PLURAL[self.medium]} are read as {options.size} x {options.size} points"
        half = "bfloat16" if options.half else "float32"
        return Finding("note", f"{how} in {'colour' if options.colour else 'grey'}{frames}; training multiplies {half}")

    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training; what cannot be read is one error."""
        try:
            read = reading.read(source, self.options)
            found = [Finding("note", f"{read.listing.source}: {len(read.pictures):,} {reading.PLURAL[read.medium]}")]
            found += reading.check(read)
            if any(each.level == "error" for each in found):
                return found
            train, others = self._parts(read, None, None, _of_files(read))
            sizes = ", ".join(f"{len(part):,} {name}" for name, part in {"training": train, **others}.items())
            return [*found, Finding("note", f"would split into {sizes}")]
        except GateworkError as error:
            return [Finding("error", line) for line in str(error).splitlines()]

    def examples(self, source: Source) -> Examples:
        """Pictures of another source, with their captions."""
        read = reading.read(source, self.options, self.medium)
        refuse(reading.check(read))
        return self.encoded(read)

    def encoded(self, read: Examples) -> Examples:
        """New rows as they are read, and the ids of their captions."""
        if read.medium == "vectors" and read.width != self.width:
            raise DataError(f"{read.listing.where(0)}: vectors of {read.width} numbers; the model reads {self.width}")
        units = None if read.captions is None else self.captions.encode(read.captions)
        return replace(read, units=units, channels=self.width)

    def assets(self) -> dict[str, str]:
        return self.captions.assets(self.medium, self.width, self.metric.name)

    def restore(self, assets: Mapping[str, str]) -> None:
        self.captions, kept = Captions.restored(self.options, assets)
        self.medium, self.width = kept["medium"], kept["channels"]
        self.metric = measures.BLEU if kept["metric"] == measures.BLEU.name else measures.EXACT

    def rounds(self, source: Source, count: int, hold_out: bool) -> list[Round]:
        """Rounds of a cross-validation over rows; equal pictures stay together."""
        read = reading.read(source, self.options)
        if hold_out and self.options.test_share:
            read, _ = self._held_out(read, self.options.test_share)
        parts = folds(len(read), count, groups=read.shown.copies, seed=self.options.seed)
        rows = read.listing
        return [Round(rows.take(kept), None, rows.take(held), {"test_share": 0.0}) for kept, held in parts]

    # -- model and training ---------------------------------------------------------------------------------

    def axes(self) -> Mapping[str, Axes]:
        return dict(axes(self.captions.codec.vocabulary))

    def build(self) -> Describer:
        model = Describer(self.options, self.medium, self.width, len(self.captions))
        if self.medium != "vectors" and hasattr(self, "sample"):
            model.pictures.scale_by(self._points())
        return model

    def _points(self) -> np.ndarray:
        """Points (n, C) of some training pictures."""
        train = self.sample
        rows = np.unique(np.linspace(0, len(train) - 1, SAMPLE).astype(np.int64)).tolist()
        return np.concatenate([train.array(row).reshape(-1, train.channels) for row in rows])

    def batches(self, examples: Examples, epoch: int, shard: Shard) -> Sequence[Batch]:
        return Batches(examples, self.options.batch_size or SMALLEST, self.options.seed, epoch, shard)

    def loss(self, model: Describer, batch: Batch, carry: dict[str, Tensor]) -> Step:
        logits, _ = model(batch)
        mean = functional.cross_entropy(logits, batch.written, label_smoothing=self.options.label_smoothing)
        return Step(mean, len(batch.written))

    # -- results --------------------------------------------------------------------------------------------

    def measure(self, model: Describer, examples: Examples) -> dict[str, float]:
        """loss (nats of a unit) and perplexity of all captions; then of each picture's best caption, found as `predict`
        does: exact (the share that is right as a whole), bleu1 to bleu4 (0 to 100), word_error (edits a word)."""
        return self.contenders(model, examples)[0].metrics

    def watched(self, model: Describer, examples: Examples) -> dict[str, float]:
        """The same by greedy search."""
        said = Decoding(model, self.captions, GREEDY).best(examples.once)
        counts = measures.sums(said, examples.references)
        return self._likelihood(model, examples) | measures.metrics(counts.sum(0))

    def contenders(self, model: Describer, examples: Examples) -> list[Contender]:
        """The model, which is its network."""
        counts = measures.sums(Decoding(model, self.captions).best(examples.once), examples.references)
        found = self._likelihood(model, examples) | measures.metrics(counts.sum(0))
        return [Contender("model", found, role="model", sums=counts)]

    def _likelihood(self, model: Describer, examples: Examples) -> dict[str, float]:
        assert examples.units is not None
        loss = -float(log_p(model, examples).sum()) / max(int((examples.units.lengths + 1).sum()), 1)
        return {"loss": loss, "perplexity": math.exp(min(loss, MOST_NATS))}

    def baselines(self, parts: Parts) -> list[Contender]:
        """The most frequent caption, and those of the nearest training pictures."""
        references = parts.last[1].references
        return [_contender(each, references) for each in self.simpler(parts)]

    def simpler(self, parts: Parts) -> list[Baseline]:
        """What the baselines say of the pictures of the last part, for the results and for the pages; without a
        training part nothing."""
        if self._simpler is None or self._simpler[0] is not parts.last[1]:
            learned = [] if parts.train is None else list(baselines(parts.train, parts.last[1].once))
            self._simpler = parts.last[1], learned
        return self._simpler[1]

    def score(self, sums: np.ndarray, metric: str) -> np.ndarray:
        return measures.score(sums, metric)

    def sections(self, model: Describer, parts: Parts) -> dict[str, Any]:
        part, examples = parts.last
        return sections(part, examples, self.simpler(parts), Decoding(model, self.captions), self.metric)

    def facts(self, parts: Parts) -> dict[str, Any]:
        return {
            "medium": self.medium,
            "pictures": {name: len(part.pictures) for name, part in vars(parts).items() if part is not None},
            "captions": {name: len(part) for name, part in vars(parts).items() if part is not None},
            "vocabulary": len(self.captions),
            **by_level(self.found),
        }

    # -- answers --------------------------------------------------------------------------------------------

    def predict(self, model: Describer, source: Source, **how: object) -> list[dict[str, Any]]:
        """{"file", "caption", "score", "log_p"} of each picture; see `Decoding.rows`."""
        asked = CaptionPredicting.of(how)
        read = self.encoded(reading.read(source, self.options, self.medium, paired=False))
        warn(read.shown.findings)
        return list(Decoding(model, self.captions, asked.how).rows(read))


def _contender(baseline: Baseline, references: Sequence[Sequence[str]]) -> Contender:
    counts = measures.sums(baseline.captions, references)
    return Contender(baseline.name, measures.metrics(counts.sum(0)), baseline.note, sums=counts)


def _of_files(read: Examples) -> bool:
    """Whether pictures were read from files, of which some may be held out; arrays are all learned."""
    return any(read.listing.names)
