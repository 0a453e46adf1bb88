"""The job "transcribe": how its pieces meet the training loop. See `gatework.tasks.base.Task`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor

from gatework.data import seen
from gatework.data.finding import Finding, by_level, warn
from gatework.data.splits import folds, split_rows, with_held_out
from gatework.data.stored import stored
from gatework.errors import DataError, GateworkError, OptionError
from gatework.runtime.exported import Exported
from gatework.tasks.base import Axes, Contender, Metric, Parts, Round, Shard, Source, Step
from gatework.tasks.origin import files_of
from gatework.tasks.transcribe import ctc, decoding, measures, pipes, reading, streams
from gatework.tasks.transcribe.augment import Augmentation
from gatework.tasks.transcribe.baselines import Baseline, baselines
from gatework.tasks.transcribe.clips import Clips
from gatework.tasks.transcribe.examples import Batch, Batches, Examples, drawn
from gatework.tasks.transcribe.exported import exported
from gatework.tasks.transcribe.hearing import Hearing
from gatework.tasks.transcribe.model import Listener
from gatework.tasks.transcribe.options import TranscribeOptions, TranscribePredicting
from gatework.tasks.transcribe.page import TranscribePages
from gatework.tasks.transcribe.search import Searching, kept
from gatework.tasks.transcribe.sections import sections
from gatework.tasks.transcribe.units import Units
from gatework.training.options import Options

STEPS, FEWEST, MOST = 3_000, 10, 200  # steps of a training, as epochs between these
STEPS_OF_EPOCH, SMALLEST, LARGEST = 50, 8, 32  # steps that an epoch has at least, as clips of a step between these


class Transcribe(TranscribePages):
    """Sound -> text: what is said in recordings; or what stands on pictures of lines."""

    name = "transcribe"
    Options = TranscribeOptions
    Predicting = TranscribePredicting
    metric = Metric("word_error", higher=False)
    counted = "clips"
    answers = "file, text, confidence; with --n-best a row for each text, with its score and rank"
    reads_lines = False
    options: TranscribeOptions
    hearing: Hearing
    units: Units
    texts: dict[str, int]  # those of the training part, and how often each was there

    def __init__(self, options: TranscribeOptions):
        super().__init__(options)
        self.found: list[Finding] = []
        self.seen = np.zeros(0, np.uint32)  # numbers of the recordings that were learned
        self._simpler: tuple[Examples, list[Baseline]] | None = None

    @property
    def rows_name_files(self) -> bool:
        return True

    # -- data -----------------------------------------------------------------------------------------------

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        """Reads and refuses, splits, learns units and scale of the training part, encodes."""
        whole = self._opened(source)
        self.found = [*(Finding("note", note) for note in whole.notes), *whole.findings, *reading.check(whole)]
        train, others = self._parts(whole, valid, test, bool(files_of(source)))
        self.units, self.texts = Units.of(train.texts or [], self.options.units), kept(train.texts or [])
        mean, scale = self.hearing.fitted(train.store)
        self.options = replace(self.options, units=self.units.kind, rate=self.hearing.rate or None)
        self.hearing = replace(self.hearing, options=self.options, mean=mean, scale=scale)
        self.metric = watched(self.units)
        self.seen = seen.learned(_series(train.store.digests))
        self.found.append(self._chosen())
        examples = self._sayable(self._encoded(train))
        encoded = {name: self._sayable(self._encoded(part, f", {name} part")) for name, part in others.items()}
        self._settle_steps(examples)
        return Parts(examples, encoded["valid"], encoded.get("test"))

    def _opened(self, source: Source) -> Clips:
        """The clips of a source, decoded as it asks for; from now on everything is."""
        listing, kind = reading.listed(source, self.options)
        self.hearing = reading.first_hearing(listing, kind, self.options)
        return reading.clips(listing, self.hearing, self.options)

    def _parts(
        self, whole: Clips, valid: Source | None, test: Source | None, of_file: bool
    ) -> tuple[Clips, dict[str, Clips]]:
        """The training clips, and "valid" and "test" from their own sources, or held out."""
        given = {name: other for name, other in (("valid", valid), ("test", test)) if other is not None}
        others = {name: self._clips(other) for name, other in given.items()}
        self.found += [finding for part in others.values() for finding in part.findings]
        share = self.options.test_share
        share = (0.1 if of_file else 0.0) if share is None else share
        self.options = replace(self.options, test_share=share)
        return with_held_out(whole, others, self._held_out, valid=self.options.valid_share, test=share)

    def _clips(self, source: Source, texted: bool = True) -> Clips:
        """The clips of another source, heard as those of the training."""
        listing, _ = reading.listed(source, self.options, self.hearing.kind)
        return reading.clips(listing, self.hearing, self.options, texted=texted)

    def _held_out(self, clips: Clips, share: float) -> tuple[Clips, Clips]:
        """The clips without a share of them, and that share, drawn by chance; equal recordings stay together."""
        kept, held = split_rows(len(clips), share, groups=clips.store.copies, seed=self.options.seed)
        if not len(kept) or not len(held):
            different = len(set(clips.store.digests))
            raise DataError(
                f"{clips.source}: {different:,} different file(s) are too few to hold out {share:.0%} of them; add "
                "some, or give files for the other parts (valid=, test=)"
            )
        return clips.take(kept), clips.take(held)

    def _encoded(self, clips: Clips, part: str = "") -> Examples:
        """Clips with the ids of their texts; units that were never learned are told, with the part they are of."""
        if clips.texts is None:
            return Examples(clips, None)
        targets, unknown = self.units.encode(clips.texts)
        if unknown:
            shown = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
            what = f"{clips.source}{part}: {self.units.count(len(unknown))} never learned ({shown})"
            self.found.append(Finding("warning", f"{what}, so that each counts as an error"))
        return Examples(clips, targets)

    def _sayable(self, examples: Examples) -> Examples:
        """The examples whose texts their frames have room for; the others are refused, or left out and told."""
        short, message = self._short(examples)
        if not len(short):
            return examples
        if self.options.bad_files == "refuse" or len(short) == len(examples):
            raise DataError(
                f"{message}: correct the text, take a smaller stride or hop_ms, or leave such files out with "
                "bad_files=skip"
            )
        self.found.append(Finding("warning", f"left out: {message}"))
        return examples.take(np.delete(np.arange(len(examples)), short))

    def _short(self, examples: Examples) -> tuple[np.ndarray, str]:
        """The rows of recordings that are too short for their text, and what is to be said of them."""
        assert examples.targets is not None
        needed, there = ctc.needed(examples.targets), ctc.steps(examples.clips.lengths, self._stride)
        short = np.flatnonzero(needed > there)
        if not len(short):
            return short, ""
        first = int(short[0])
        more = f" ({len(short):,} such files)" if len(short) > 1 else ""
        where = examples.clips.where(first)
        return short, f"{where}: its {there[first]} steps cannot say the {needed[first]} that the text needs{more}"

    @property
    def _stride(self) -> int:
        """Frames, or columns of points, of each step."""
        return self.options.stride if self.hearing.kind == "sound" else 2

    def _chosen(self) -> Finding:
        """What is recognised, how files are read, and how late a stream is."""
        hearing, options = self.hearing, self.options
        read = f"pictures, {options.height} points high"
        if hearing.kind == "sound":
            late = (
                "" if options.bidirectional else f", as they come {streams.delay(hearing, options.stride):.3f} s late"
            )
            read = f"sounds at {hearing.rate:,} samples a second{late}"
        return Finding("note", f"{read}; recognises {self.units.count(len(self.units) - 1)}")

    def _settle_steps(self, examples: Examples) -> None:
        """How many clips a step learns from, and how many epochs there are."""
        if self.options.batch_size is None:
            fitting = min(max(len(examples) // STEPS_OF_EPOCH, SMALLEST), LARGEST)
            self.options = replace(self.options, batch_size=fitting)
        if self.options.epochs is None:
            steps = len(self.batches(examples, 0, Shard()))
            self.options = replace(self.options, epochs=min(max(-(-STEPS // steps), FEWEST), MOST))

    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training; what cannot be read is one error."""
        try:
            whole = self._opened(source)
            train, others = self._parts(whole, None, None, True)
            self.units = Units.of(train.texts or [], self.options.units)
            self._sayable(self._encoded(train))
            for name, part in others.items():
                self._sayable(self._encoded(part, f", {name} part"))
            sizes = ", ".join(f"{len(part):,} {name}" for name, part in {"training": train, **others}.items())
            notes = [Finding("note", note) for note in (f"{whole.source}: {len(whole):,} clips", *whole.notes)]
            split = Finding("note", f"would split into {sizes}")
            return [*notes, *whole.findings, *reading.check(whole), *self.found, split, self._chosen()]
        except GateworkError as error:
            return [Finding("error", str(error))]

    def examples(self, source: Source) -> Examples:
        """Clips of another source, with their texts."""
        clips, known = self._clips(source), len(self.found)
        examples = self._encoded(clips)
        if message := self._short(examples)[1]:
            self.found.append(Finding("warning", f"{message}: it counts as an error"))
        warn([*clips.findings, *self.found[known:]])
        del self.found[known:]
        return examples

    def assets(self) -> dict[str, str]:
        return {
            "hearing.json": self.hearing.to_json(),
            "units.json": self.units.to_json(),
            "texts.json": json.dumps(self.texts, ensure_ascii=False),
            "seen.json": seen.to_json(self.seen),
        }

    def restore(self, assets: Mapping[str, str]) -> None:
        self.hearing = Hearing.from_json(self.options, assets["hearing.json"])
        self.units = Units.from_json(assets["units.json"])
        self.texts = stored(assets["texts.json"], dict[str, int], "texts.json")
        self.seen = seen.from_json(assets["seen.json"])
        self.metric = watched(self.units)

    def rounds(self, source: Source, count: int, hold_out: bool) -> list[Round]:
        """Rounds of a cross-validation over clips; equal recordings stay together."""
        listing, _ = reading.listed(source, self.options, self.hearing.kind)
        clips = reading.clips(listing, self.hearing, self.options)
        if hold_out and self.options.test_share:
            clips, _ = self._held_out(clips, self.options.test_share)
        parts = folds(len(clips), count, groups=clips.store.copies, seed=self.options.seed)
        some = listing.take(clips.store.rows)
        return [Round(some.take(kept), None, some.take(held), {"test_share": 0.0}) for kept, held in parts]

    # -- model and training ---------------------------------------------------------------------------------

    def axes(self) -> Mapping[str, Axes]:
        return {"head.output.weight": (self.units.symbols, None), "head.output.bias": (self.units.symbols,)}

    def build(self) -> Listener:
        return Listener(self.options, len(self.units), self.hearing.kind == "picture")

    def batches(self, examples: Examples, epoch: int, shard: Shard) -> Sequence[Batch]:
        options = self.options
        random = np.random.default_rng([options.seed, epoch])
        early = epoch < options.curriculum * (options.epochs or 0)
        size, most = (options.batch_size or LARGEST) * shard.world, options.batch_frames * shard.world
        groups = drawn(examples.clips.lengths, size, most, random, short_first=early)
        # Changed copies keep a network on the plateau of blanks several times longer.
        augmentation = Augmentation() if early else Augmentation.of(options, self.hearing.kind)
        return Batches(examples, self.hearing, augmentation, groups, shard)

    def loss(self, model: Listener, batch: Batch, carry: dict[str, Tensor]) -> Step:
        log_p, lengths = model(batch.frames, batch.lengths)
        nats = ctc.negative_log_p(log_p, lengths, batch)
        count = max(int(batch.target_lengths.sum()), 1)
        return Step(nats.sum() / count, count)

    # -- results --------------------------------------------------------------------------------------------

    def measure(self, model: Listener, examples: Examples) -> dict[str, float]:
        """loss (nats of a unit), word_error and character_error (edits a true word, a true character), exact (share of
        whole texts)."""
        return self.contenders(model, examples)[0].metrics

    def contenders(self, model: Listener, examples: Examples) -> list[Contender]:
        """The model, which is its network."""
        assert examples.targets is not None and examples.clips.texts is not None
        searching, said, nats = self.searching(), [], 0.0
        for row, steps in enumerate(decoding.log_p(model, examples, self.hearing)):
            said.append(self.units.text(searching.read(steps).partial().tolist()))
            nats += ctc.nats(steps, examples.targets[row])
        counts = measures.sums(said, examples.clips.texts)
        loss = nats / max(len(examples.targets.values), 1)
        return [Contender("model", {"loss": loss} | measures.metrics(counts.sum(0)), role="model", sums=counts)]

    def baselines(self, parts: Parts) -> list[Contender]:
        """The most frequent text, and the nearest of what training heard or saw."""
        return [
            Contender(each.name, measures.metrics(counts.sum(0)), each.note, sums=counts)
            for each in self.simpler(parts)
            for counts in [measures.sums(each.said, parts.last[1].clips.texts or [])]
        ]

    def simpler(self, parts: Parts) -> list[Baseline]:
        """What the baselines say of the last part, for the results and for the pages; none without a training part."""
        last = parts.last[1]
        if parts.train is None:
            return []
        if self._simpler is None or self._simpler[0] is not last:
            self._simpler = last, list(baselines(parts.train, last, self.hearing, self.units))
        return self._simpler[1]

    def score(self, sums: np.ndarray, metric: str) -> np.ndarray:
        return measures.score(sums, metric)

    def sections(self, model: Listener, parts: Parts) -> dict[str, Any]:
        hear = partial(decoding.log_p, model, hearing=self.hearing)
        return sections(*parts.last, hear, self.simpler(parts), self.searching(), self.metric.name)

    def caution(self, examples: Examples) -> str:
        """How many of the recordings were learned."""
        return seen.overlap(_series(examples.clips.store.digests), self.seen, self.hearing.kind)

    def facts(self, parts: Parts) -> dict[str, Any]:
        sizes = {name: len(part) for name, part in vars(parts).items() if part is not None}
        return {"kind": self.hearing.kind, "clips": sizes, "units": self.units.kind, **by_level(self.found)}

    # -- answers --------------------------------------------------------------------------------------------

    def predict(self, model: Listener, source: Source, **how: object) -> list[dict[str, Any]]:
        """{"file", "text", "confidence"} of each clip; with "words" and "n_best" where they are asked for."""
        asked = TranscribePredicting.of(how)
        if asked.stream:
            return [streams.heard(*self._piped(model, source, asked))]
        if source is None:
            raise OptionError("name a recording, or a table of them; with stream=True (--stream) sound comes by a pipe")
        examples = self.unread(source)
        searching = self.searching(asked)
        steps = decoding.log_p(model, examples, self.hearing)
        return [
            {"file": name} | searching.row(searching.read(log_p))
            for name, log_p in zip(examples.clips.names, steps, strict=True)
        ]

    def unread(self, source: Source) -> Examples:
        """Clips of a source whose texts, if it has any, are not looked at."""
        clips = self._clips(source, texted=False)
        warn(clips.findings)
        return self._encoded(clips)

    def searching(self, how: TranscribePredicting | None = None) -> Searching:
        """How steps become texts, as the options of predicting say."""
        hop = self.options.hop_ms / 1000 if self.hearing.kind == "sound" else 1.0
        return Searching(self.units, how or TranscribePredicting(), self.texts, hop * self._stride)

    def written(self, model: Listener, source: Source, how: Options) -> Iterator[str] | None:
        """With `stream` lines as the sound comes, seconds, "partial" or "final", and the text, with tabs between."""
        assert isinstance(how, TranscribePredicting)
        return streams.lines(*self._piped(model, source, how)) if how.stream else None

    def _piped(
        self, model: Listener, source: Source, how: TranscribePredicting
    ) -> tuple[streams.Recogniser, Iterator[np.ndarray]]:
        """What reads a stream, and the samples that come through the pipe."""
        if source is not None:
            raise OptionError("with stream=True sound comes by a pipe: name - in place of a file, or leave stream out")
        streams.must_stream(model, self.hearing)
        rate, chunks = pipes.opened(sys.stdin.buffer, how.rate, self.hearing.rate)
        return streams.Recogniser(model, self.hearing, self.searching(how), rate), chunks

    def exported(self, model: Listener) -> Exported:
        return exported(self, model)


def watched(units: Units) -> Metric:
    """The error by units. It is 1 as long as nothing but blanks is said, where CTC stays for hundreds of steps."""
    return replace(measures.WATCHED[units.kind], idle=1.0)


def _series(digests: list[str]) -> pl.Series:
    return pl.Series(digests, dtype=pl.String)
