"""The job "speak": how its pieces meet the training loop. See `gatework.tasks.base.Task`."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from gatework.data import seen
from gatework.data.finding import Finding, by_level, refuse
from gatework.data.media.store import Store
from gatework.data.splits import folds, split_rows, with_held_out
from gatework.errors import DataError, GateworkError, OptionError
from gatework.tasks.base import Axes, Contender, Parts, Round, Shard, Source, Step
from gatework.tasks.speak import measures, reading, sounding
from gatework.tasks.speak.baselines import NAME, NOTE, Templates
from gatework.tasks.speak.codecs import Codecs, settled
from gatework.tasks.speak.examples import Batch, Batches, Examples, alike, make_batch
from gatework.tasks.speak.loss import losses
from gatework.tasks.speak.model import Voice
from gatework.tasks.speak.options import SpeakOptions, SpeakPredicting
from gatework.tasks.speak.page import SpeakPages
from gatework.tasks.speak.reading import Utterances
from gatework.tasks.speak.saying import Said, Saying
from gatework.tasks.speak.sections import sections
from gatework.training.options import Options

STEPS, FEWEST, MOST = 2_000, 10, 400  # steps of a training, as epochs between these
STEPS_OF_EPOCH, SMALLEST, LARGEST = 20, 8, 32  # steps that an epoch has at least, as recordings of a step between these


class Speak(SpeakPages):
    """Text -> sound: digits, names, sentences, in the voices of those who were recorded."""

    name = "speak"
    Options = SpeakOptions
    Predicting = SpeakPredicting
    metric = measures.DISTANCE
    counted = "recordings"
    answers = (
        "text, speaker, seconds, whether it stopped by itself; with --out the sound: a wav file, or a folder of them"
    )
    reads_lines = False
    options: SpeakOptions
    codecs: Codecs

    def __init__(self, options: SpeakOptions):
        super().__init__(options)
        self.found: list[Finding] = []
        self.seen = np.zeros(0, np.uint32)  # numbers of the recordings that were learned

    # -- data -----------------------------------------------------------------------------------------------

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts[Examples]:
        """Reads and refuses, hears every recording, splits, learns texts, speakers and scale, encodes."""
        utterances = self._recorded(source)
        self.options = settled(self.options, utterances)
        self.codecs = Codecs(self.options)
        train, others = self._parts(self._heard(utterances), valid, test, isinstance(source, str | Path))
        examples = self.codecs.fit(*train)
        self.found += [each for name, part in others.items() for each in repeated(train[1], part[1], name)]
        encoded = {name: self.codecs.encode(*part) for name, part in others.items()}
        self.seen = _numbers(examples)
        self._settle_steps(examples)
        return Parts(examples, encoded["valid"], encoded.get("test"))

    def _recorded(self, source: Source) -> Utterances:
        utterances = reading.recorded(source, self.options)
        found = reading.check(utterances)
        refuse(found)
        self.found += [*(Finding("note", note) for note in utterances.notes), *found]
        return utterances

    def _heard(self, utterances: Utterances) -> tuple[Utterances, Store]:
        """The recordings that can be heard, and their frames."""
        assert utterances.listing is not None
        frames = Store.of(utterances.listing, self.codecs.heard, bad_files=self.options.bad_files)
        self.found += frames.findings
        return utterances.take(frames.rows), replace(frames, rows=np.arange(len(frames)))

    def _parts(
        self, whole: tuple[Utterances, Store], valid: Source | None, test: Source | None, of_file: bool
    ) -> tuple[tuple[Utterances, Store], dict[str, tuple[Utterances, Store]]]:
        """The training recordings, and "valid" and "test" from their own sources, or held out."""
        given = {name: other for name, other in (("valid", valid), ("test", test)) if other is not None}
        others = {name: self._heard(self._recorded(other)) for name, other in given.items()}
        share = self.options.test_share
        share = (0.05 if of_file else 0.0) if share is None else share
        self.options = self.codecs.options = replace(self.options, test_share=share)
        return with_held_out(whole, others, self._held_out, valid=self.options.valid_share, test=share)

    def _held_out(
        self, whole: tuple[Utterances, Store], share: float
    ) -> tuple[tuple[Utterances, Store], tuple[Utterances, Store]]:
        """The recordings without a share of each speaker's, and that share; equal recordings stay together."""
        utterances, frames = whole
        kept, held = split_rows(
            len(frames), share, labels=utterances.speakers, groups=frames.digests, seed=self.options.seed
        )
        if not len(kept) or not len(held):
            raise DataError(
                f"{utterances.source}: {len(frames):,} recording(s) are too few to hold out {share:.0%} of them; add "
                "some, or give files for the other parts (valid=, test=)"
            )
        kept_part, held_part = ((utterances.take(rows), frames.take(rows)) for rows in (kept, held))
        return kept_part, held_part

    def _settle_steps(self, examples: Examples) -> None:
        """How many recordings a step learns from, and how many epochs there are."""
        if self.options.batch_size is None:
            fitting = min(max(len(examples) // STEPS_OF_EPOCH, SMALLEST), LARGEST)
            self.options = self.codecs.options = replace(self.options, batch_size=fitting)
        if self.options.epochs is None:
            steps = len(self.batches(examples, 0, Shard()))
            epochs = min(max(-(-STEPS // steps), FEWEST), MOST)
            self.options = self.codecs.options = replace(self.options, epochs=epochs)

    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training; what cannot be read is one error."""
        self.found = []
        try:
            utterances = reading.recorded(source, self.options)
            notes = [Finding("note", f"{utterances.source}: {len(utterances):,} recordings"), *_notes(utterances)]
            found = [*notes, *reading.check(utterances)]
            if any(each.level == "error" for each in found):
                return found
            self.options = settled(self.options, utterances)
            self.codecs = Codecs(self.options)
            train, others = self._parts(self._heard(utterances), None, None, isinstance(source, str | Path))
            self.codecs.fit(*train)
            sizes = ", ".join(f"{len(part[1]):,} {name}" for name, part in {"training": train, **others}.items())
            return [*found, *self.found, Finding("note", f"would split into {sizes}"), self._chosen()]
        except GateworkError as error:
            return [Finding("error", str(error))]

    def _chosen(self) -> Finding:
        options, voices = self.options, len(self.codecs.speakers)
        cut = f"texts are cut into {options.units}, {len(self.codecs.text.vocabulary) - 2} different ones"
        return Finding("note", f"{cut}; {voices:,} voice(s); {options.rate:,} samples a second")

    def examples(self, source: Source) -> Examples:
        """Recordings of another source."""
        self.found = []
        utterances, frames = self._heard(self._recorded(source))
        for finding in self.found:
            if finding.level == "warning":
                warnings.warn(finding.message, stacklevel=2)
        self._warn_unread(utterances)
        return self.codecs.encode(utterances, frames)

    def assets(self) -> dict[str, str]:
        return self.codecs.assets() | {"seen.json": seen.to_json(self.seen)}

    def restore(self, assets: Mapping[str, str]) -> None:
        self.codecs = Codecs.restored(self.options, assets)
        self.seen = seen.from_json(assets["seen.json"])

    def caution(self, examples: Examples) -> str:
        """How many of the recordings were learned."""
        known = int(np.isin(_numbers(examples), self.seen).sum())
        said = f"{known:,} of {len(examples):,} recordings are among those that the model learned from"
        return f"{said}: the figures flatter; leave these rows out" if known else ""

    def rounds(self, source: Source, count: int, hold_out: bool) -> list[Round]:
        """Rounds of a cross-validation over recordings."""
        utterances = reading.recorded(source, self.options)
        if hold_out and self.options.test_share:
            utterances, _ = (self._held_out(self._heard(utterances), self.options.test_share))[0]
        parts = folds(len(utterances), count, labels=utterances.speakers, seed=self.options.seed)
        return [Round(utterances.take(kept), None, utterances.take(held), {"test_share": 0.0}) for kept, held in parts]

    # -- model and training ---------------------------------------------------------------------------------

    def axes(self) -> Mapping[str, Axes]:
        return {
            "units.weight": (self.codecs.text.vocabulary, None),
            "speakers.weight": (self.codecs.speakers.classes, None),
        }

    def build(self) -> Voice:
        return Voice(self.options, len(self.codecs.text), len(self.codecs.speakers))

    def batches(self, examples: Examples, epoch: int, shard: Shard) -> Sequence[Batch]:
        options = self.options
        size, most = options.batch_size or LARGEST, options.batch_frames
        return Batches(examples, size, most, options.reduction, options.seed, epoch, shard)

    def loss(self, model: Voice, batch: Batch, carry: dict[str, Tensor]) -> Step:
        found = losses(model(batch), batch, self.options.stop_weight)
        return Step(found.total(self.options.guided), len(batch.rows))

    # -- results --------------------------------------------------------------------------------------------

    def measure(self, model: Voice, examples: Examples) -> dict[str, float]:
        """loss (frames, ends and looks, each after frames that were recorded); mcd, decibels between what is said anew
        and the recording; ended, the share of texts that came to an end by themselves."""
        return self.contenders(model, examples)[0].metrics

    def watched(self, model: Voice, examples: Examples) -> dict[str, float]:
        """The same, where no more than `valid_recordings` are said anew."""
        few = self.some(examples, self.options.valid_recordings)
        return self._loss(model, examples) | self._metrics(self._sums(Saying(model, self.codecs)(few), few))

    def contenders(self, model: Voice, examples: Examples) -> list[Contender]:
        """The model, which is its network."""
        counted = self._sums(Saying(model, self.codecs)(examples), examples)
        return [Contender("model", self._loss(model, examples) | self._metrics(counted), role="model", sums=counted)]

    def _sums(self, said: Sequence[Said], examples: Examples) -> np.ndarray:
        assert examples.frames is not None
        near = measures.distances([each.frames for each in said], list(examples.frames))
        return measures.sums(near, [each.stopped for each in said])

    def _metrics(self, sums: np.ndarray) -> dict[str, float]:
        return {name: float(measures.score(sums.sum(0), name)) for name in ("mcd", "ended")}

    @torch.no_grad()
    def _loss(self, model: Voice, examples: Examples) -> dict[str, float]:
        options = self.options
        groups = alike(examples.lengths, np.arange(len(examples)), LARGEST, options.batch_frames)
        batches = (make_batch(examples, rows, options.reduction) for rows in groups)
        found = [losses(model(batch), batch, options.stop_weight) for batch in batches]
        frames, ends, looks, counts = (torch.stack(each).sum(0) for each in zip(*found, strict=True))
        return {"loss": float(type(found[0])(frames, ends, looks, counts).total(options.guided))}

    def baselines(self, parts: Parts[Examples]) -> list[Contender]:
        """The mean of the recordings of the same text by the same speaker; no answer where there was none."""
        examples, templates = parts.last[1], Templates(parts.train)(parts.last[1])
        assert examples.frames is not None
        rows = [row for row, each in enumerate(templates) if each is not None]
        near = np.full((len(examples), 2), np.nan)
        if rows:
            true = [examples.frames[row] for row in rows]
            near[rows] = measures.distances([each for each in templates if each is not None], true)
        counted = measures.sums(near, [True] * len(near))
        value = float(measures.score(counted[rows].sum(0), "mcd")) if rows else float("nan")
        note = NOTE if len(rows) == len(near) else f"{NOTE}; {len(near) - len(rows):,} of {len(near):,} have none"
        return [Contender(NAME, {"mcd": value}, note, sums=counted)]

    def score(self, sums: np.ndarray, metric: str) -> np.ndarray:
        return measures.score(sums, metric)

    def sections(self, model: Voice, parts: Parts[Examples]) -> dict[str, Any]:
        part, examples = parts.last
        return sections(part, examples, Templates(parts.train), Saying(model, self.codecs))

    def facts(self, parts: Parts[Examples]) -> dict[str, Any]:
        utterances, options = parts.train.utterances, self.options
        seconds = {
            name: round(float(part.lengths.sum()) * options.hop_ms / 1000, 1)
            for name, part in vars(parts).items()
            if part is not None
        }
        return {
            "recordings": {name: len(part) for name, part in vars(parts).items() if part is not None},
            "seconds": seconds,
            "speakers": dict(Counter(utterances.speakers)) if options.speaker else {},
            "texts": dict(Counter(utterances.texts).most_common(30)),
            "different_texts": len(set(utterances.texts)),
            "rate": options.rate,
            "vocabulary": len(self.codecs.text),
            **by_level([*self.found, self._chosen()]),
        }

    # -- answers --------------------------------------------------------------------------------------------

    def predict(self, model: Voice, source: Source, **how: object) -> list[dict[str, Any]]:
        """{"text", "speaker", "seconds", "stopped"} of each text; the sounds themselves: `soundings`."""
        return [each.row for each in self.soundings(model, source, SpeakPredicting.of(how))]

    def soundings(self, model: Voice, source: Source, how: SpeakPredicting) -> Iterator[sounding.Sounding]:
        """The sound of each text, and its row of answers."""
        if (source is None) == (how.text is None):
            asked = "name one" if source is None else "name only one of them"
            raise OptionError(f"what is said is --text TEXT, or a file of texts; {asked}")
        if how.speaker and self.codecs.speakers.classes == [reading.ONE]:
            raise OptionError(f"speaker={how.speaker!r}: the one voice that was learned has no name; leave speaker out")
        utterances = reading.asked([how.text] if source is None else source, self.options, how.speaker)
        words, _ = self.codecs.parted(utterances)
        self._warn_unread(words)
        if len(words) > len(utterances):
            warnings.warn("single words were learned, so that each word of a text is said for itself", stacklevel=2)
        return sounding.soundings(Saying(model, self.codecs, how.threshold, how.max_seconds), utterances, how.rounds)

    def saved(self, model: Voice, source: Source, out: Path, how: Options) -> list[dict[str, Any]]:
        assert isinstance(how, SpeakPredicting)
        return sounding.write(list(self.soundings(model, source, how)), self.codecs.mel.rate, out)

    def _warn_unread(self, utterances: Utterances) -> None:
        """A warning of letters that were never learned."""
        unread = self.codecs.unread(utterances)
        if unread:
            row, units = unread[0]
            more = f" ({len(unread):,} such texts)" if len(unread) > 1 else ""
            told = ", ".join(map(repr, units[:8]))
            were = "was never learned and is" if len(units) == 1 else "were never learned and are"
            warnings.warn(f"{utterances.where(row)}: {told} {were} left out{more}", stacklevel=3)


def repeated(train: Store, part: Store, name: str) -> list[Finding]:
    """A warning of recordings that are learned and measured on."""
    count = len(set(part.digests) & set(train.digests))
    said = f"{count:,} recording(s) of the {name} part are also learned: its figures flatter; leave them out of one"
    return [Finding("warning", said)] if count else []


def _numbers(examples: Examples) -> np.ndarray:
    """The number of each different recording."""
    return seen.learned(pl.Series([] if examples.frames is None else examples.frames.digests, dtype=pl.String))


def _notes(utterances: Utterances) -> list[Finding]:
    return [Finding("note", note) for note in utterances.notes]
