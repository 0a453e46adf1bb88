"""The job `generate`: learns to write like a text, measures how well it predicts one, and writes.

options.py  streams.py (batches)  spelling.py (unknown units)  counts.py (n-grams)  model.py  sampling.py  baselines.py
dynamic.py; here they meet.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatework.data.codecs import UNKNOWN, BytePairs, Characters, TextCodec, from_json
from gatework.data.files import must_exist, read_text
from gatework.data.finding import Finding, refuse
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.networks.decoder import axes
from gatework.networks.heads import cross_entropy
from gatework.networks.states import States, zeroed
from gatework.runtime.exported import Exported
from gatework.runtime.texts.prompts import unseen_note
from gatework.tasks.base import Axes, Contender, Metric, Parts, Round, Shard, Source, Step
from gatework.tasks.generate import baselines, sampling
from gatework.tasks.generate.counts import Counts, best_share, mixed
from gatework.tasks.generate.dynamic import dynamic_nats
from gatework.tasks.generate.model import LanguageModel
from gatework.tasks.generate.options import GenerateOptions
from gatework.tasks.generate.page import GeneratePages
from gatework.tasks.generate.spelling import Spelling
from gatework.tasks.generate.streams import Chunk, Streams, Text, encoded, reading, stream_count
from gatework.training.learner import NETWORK_LOSS

MEASURED_STREAMS = 32  # streams in which a text is measured, and the units each reads before it counts
WARM_UP = 256
MEASURED_STEPS = 128
TEMPERATURES = (0.5, 0.8, 1.0)
SHORTEST = 100  # characters below which there is nothing to learn
TOKENS, SPELLING = "tokens.json", "spelling.json"
EVERY = 0x110000  # as many characters as there are


class Generate(GeneratePages):
    """A language model of one text.

        task = Generate(GenerateOptions(hidden_size=64))
        trained = jobs.train(task, "book.txt", out="runs/book")

    A source is the path of a text file (or of a folder of them), or a list of texts, which are joined. With
    `backwards`, texts are turned round where they are read, and once more where people see what was written.
    """

    name = "generate"
    answers = "prompt and text"
    Options = GenerateOptions
    metric = Metric("nats_per_character", higher=False)
    counted = "units"
    draws_parts = False
    options: GenerateOptions
    tokens: TextCodec
    spelling: Spelling | None = None  # of units that the vocabulary may lack
    counts: Counts | None = None  # of the training text; a restored model brings its own

    # -- data -----------------------------------------------------------------------------------------------

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        text = self.read(source)
        refuse(self._findings(text, source))
        train_text, valid_text, test_text = map(self._turned, self._split(text, valid, test))
        if self.options.refit:
            train_text += valid_text
        self.tokens = fitted(self.options, train_text)
        if not isinstance(self.tokens, BytePairs):  # which know every byte
            ids = encoded(self.tokens, train_text).numpy()
            self.spelling = Spelling.of(self.tokens, ids, self.tokens.units(train_text))
        self.texts = (train_text, test_text or valid_text)
        train, valid_part = self._encode(train_text), self._encode(valid_text)
        self._must_fill(train)
        if self.options.orders:
            self.counts = Counts.of(train.ids.numpy(), self.options.orders, len(self.tokens))
            valid_part = replace(valid_part, counted=self.counts.nats(valid_part.ids))
        return Parts(train, valid_part, self._encode(test_text) if test_text else None)

    def check(self, source: Source) -> list[Finding]:
        try:
            text = self.read(source)
        except DataError as error:
            return [Finding("error", str(error))]
        return [*self._findings(text, source), Finding("note", f"{len(text):,} characters, {len(set(text))} different")]

    def examples(self, source: Source) -> Text:
        return self._encode(self._turned(self.read(source)))

    def _turned(self, text: str) -> str:
        """A text in the order in which the model reads it, and back."""
        return text[::-1] if self.options.backwards else text

    def read(self, source: Source) -> str:
        """The text of a file, of all files of a folder, or of a list of texts."""
        if isinstance(source, list | tuple):
            return "\n".join(source)
        path = Path(source)
        must_exist(path)
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        if not files:
            raise DataError(f"{path} is a folder without files; name a text file or a folder of them")
        return "\n".join(read_text(each, self.options.encoding) for each in files)

    def _findings(self, text: str, source: Source) -> list[Finding]:
        name = "the text" if isinstance(source, list | tuple) else str(source)
        found = []
        if len(text.strip()) < SHORTEST:
            found.append(Finding("error", f"{name} holds {len(text)} characters; give at least {SHORTEST}"))
        elif len(set(text)) < 2:
            found.append(Finding("error", f"{name} repeats one character, {text[0]!r}; there is nothing to learn"))
        if "\0" in text:
            row = text[: text.index("\0")].count("\n") + 1
            found.append(Finding("error", f"{name}, line {row} holds a NUL character; is it a text file?", row))
        if "\r\n" in text:
            found.append(Finding("note", f"{name} ends its lines with CR LF; both are learned as characters"))
        return found

    def _split(self, text: str, valid: Source | None, test: Source | None) -> tuple[str, str, str]:
        """Train, validation and test text: the last part of the text is the test, the last of the rest validation."""
        end = len(text) if test is not None else round(len(text) * (1 - self.options.test_share))
        middle = end if valid is not None else end - max(round(end * self.options.valid_share), 2)
        valid_text = text[middle:end] if valid is None else self.read(valid)
        return text[:middle], valid_text, text[end:] if test is None else self.read(test)

    def _encode(self, text: str) -> Text:
        ids = encoded(self.tokens, text)
        if len(ids) < 2:
            raise DataError(f"a text of {len(ids)} {self.options.tokenizer} is too short to measure; give at least 2")
        if self.spelling is None:
            first = len(self.tokens.text(ids[:1].tolist()))
            return Text(ids, len(text) - first, words=_words(text[first:]))
        units = self.tokens.units(text)
        first, lengths = len(units[0]), torch.tensor([len(unit) for unit in units])
        spelled, unknown = torch.zeros(len(ids) - 1, dtype=torch.double), (ids[1:] == UNKNOWN).nonzero()[:, 0]
        spelled[unknown] = torch.from_numpy(self.spelling.nats([units[i + 1] for i in unknown.tolist()]))
        return Text(ids, len(text) - first, None, spelled, lengths, _words(text[first:]))

    def _must_fill(self, train: Text) -> None:
        if len(train.ids) < 2 * self.options.sequence_length:
            raise DataError(
                f"the training part holds {len(train.ids)} {self.options.tokenizer}, too few for "
                f"sequence_length={self.options.sequence_length}; give more text or a smaller one"
            )

    def rounds(self, source: Source, count: int, hold_out: bool) -> list[Round]:
        """Stretches of the text; each round learns what stands before and after one of them."""
        text = self.read(source)
        if hold_out:
            text = text[: round(len(text) * (1 - self.options.test_share))]
        edges = [round(len(text) * part / count) for part in range(count + 1)]
        changes = {"test_share": 0.0, "encoding": None}
        pairs = itertools.pairwise(edges)
        return [Round(_without(text, start, end), [text[start:end]], None, changes) for start, end in pairs]

    def assets(self) -> dict[str, str]:
        spelling = {} if self.spelling is None else {SPELLING: self.spelling.to_json()}
        return {TOKENS: self.tokens.to_json(), **spelling}

    def restore(self, assets: Mapping[str, str]) -> None:
        codec = from_json(assets[TOKENS])
        if not isinstance(codec, TextCodec):
            raise FileFormatError(f"{TOKENS} holds a codec of kind {codec.kind!r}, which is none of text")
        self.tokens = codec
        self.spelling = Spelling.from_json(assets[SPELLING]) if SPELLING in assets else None

    def facts(self, parts: Parts) -> dict[str, Any]:
        _, last = parts.last
        unknown = self.tokens.unseen(self.texts[1])
        return {
            "unit": self.options.tokenizer,
            "vocabulary": len(self.tokens),
            "characters": {"train": parts.train.characters, "valid": parts.valid.characters, "last": last.characters},
            "units": {"train": len(parts.train.ids), "valid": len(parts.valid.ids), "last": len(last.ids)},
            "streams": self._streams(parts.train, Shard()),
            "unknown": {"kinds": len(unknown), "first": unknown[:10]},
            "unknown_share": float((last.ids == UNKNOWN).double().mean()),
        }

    # -- model and training ---------------------------------------------------------------------------------

    def build(self) -> LanguageModel:
        return LanguageModel(len(self.tokens), self.options, self.counts)

    def axes(self) -> Mapping[str, Axes]:
        return axes(self.tokens.vocabulary)

    def learns_validation(self, epoch: int) -> bool:
        return self.options.refit

    def joined(self, parts: Parts) -> Text:
        return parts.train  # `prepare` joined them, so that units and counts are of both

    def batches(self, examples: Text, epoch: int, shard: Shard) -> Streams:
        if self.options.batch_size % shard.world:
            raise OptionError(f"batch_size={self.options.batch_size} does not divide among {shard.world} processes")
        return Streams(
            examples.ids, self._streams(examples, shard), self.options.sequence_length, epoch, self.options.seed, shard
        )

    def _streams(self, examples: Text, shard: Shard) -> int:
        return stream_count(len(examples.ids), self.options.batch_size, self.options.sequence_length, shard.world)

    def loss(self, model: LanguageModel, batch: Chunk, carry: States) -> Step:
        logits, states = model(batch.inputs, carry)
        return Step(cross_entropy(logits, batch.targets), batch.targets.numel(), states)

    # -- results --------------------------------------------------------------------------------------------

    def settle(self, model: LanguageModel, examples: Text) -> None:
        """The counts' share, where it was not given; and what it is best beside a network that knows nothing."""
        counted = self._counted(model, examples)
        if counted is None:
            return
        model.share_apart.fill_(best_share(self._uniform(counted), counted))
        if self.options.ngram_share is None:
            model.share.fill_(best_share(nats(model, examples.ids), counted))

    def measure(self, model: LanguageModel, examples: Text) -> dict[str, float]:
        return self._measures(float(self._nats(model, examples)[0].sum()), examples)

    def watched(self, model: LanguageModel, examples: Text) -> dict[str, float]:
        """`network_loss`: nats per unit of the network alone, as in training but with dropout off."""
        whole, network = self._nats(model, examples)
        apart = model.counts is not None or examples.spelled is not None
        own = {NETWORK_LOSS: float((network - _spelled(examples)).mean())} if apart else {}
        return self._measures(float(whole.sum()), examples) | own

    def _nats(self, model: LanguageModel, examples: Text) -> tuple[Tensor, Tensor]:
        """(N - 1,): what each unit but the first costs the model, and its network alone; both spell unknown units."""
        network, spelled = nats(model, examples.ids), _spelled(examples)
        counted = self._counted(model, examples)
        whole = network if counted is None else mixed(network, counted, float(model.share))
        return whole + spelled, network + spelled

    def _uniform(self, costs: Tensor) -> Tensor:
        """What each unit costs where all are equally likely."""
        return torch.full_like(costs, math.log(len(self.tokens)))

    def _counted(self, model: LanguageModel, examples: Text) -> Tensor | None:
        """What each unit costs by the counts, where there are any."""
        if model.counts is None or examples.counted is not None:
            return examples.counted
        return model.counts.nats(examples.ids)

    def _measures(self, total: float, examples: Text) -> dict[str, float]:
        """`loss` is nats per unit; a character costs what all units cost, over the characters. A word, as the field
        counts: what stands between white space, and each end of a line (Mikolov et al. 2010 and since)."""
        each = total / (len(examples.ids) - 1)
        perplexity = _perplexity(each)
        word = {"perplexity_per_word": _perplexity(total / examples.words)} if examples.words else {}
        return {"loss": each, "perplexity": perplexity, **word, **baselines.per_character(total, examples.characters)}

    def contenders(self, model: LanguageModel, examples: Text) -> list[Contender]:
        """The model, its network alone, and its counts alone: mixed with a network that knows nothing, at the best
        share, so that what any mixture gains is not taken for the network's."""
        whole, network = self._nats(model, examples)
        found, counted = [("model", "model", whole)], self._counted(model, examples)
        if counted is not None:
            alone = mixed(self._uniform(counted), counted, float(model.share_apart)) + _spelled(examples)
            found += [("counts alone", "simple", alone), ("network alone", "network", network)]
        return [
            Contender(name, self._measures(float(costs.sum()), examples), "", role, self._sums(costs, examples))
            for name, role, costs in found
        ]

    def _sums(self, costs: Tensor, examples: Text) -> np.ndarray:
        return baselines.stretches(costs.numpy(), examples.characters)

    def final_measures(self, model: LanguageModel, examples: Text) -> dict[str, float]:
        """With `dynamic`, what a character costs a model that learns on as it reads."""
        if not self.options.dynamic:
            return {}
        total = dynamic_nats(model, examples.ids, self.options.dynamic_rate) + float(_spelled(examples).sum())
        return {f"dynamic_{name}": value for name, value in baselines.per_character(total, examples.characters).items()}

    def some(self, examples: Text, count: int) -> Text:
        """The last units of a text, read as if nothing stood before them."""
        last = slice(-max(count, 2), None)
        ids, decoded = examples.ids[last], self.tokens.text
        counted = None if self.counts is None else self.counts.nats(ids, own=True)
        if examples.lengths is None or examples.spelled is None:
            return Text(ids, len(decoded(ids.tolist())) - len(decoded(ids[:1].tolist())), counted)
        lengths, spelled = examples.lengths[last], examples.spelled[len(examples.spelled) - len(ids) + 1 :]
        return Text(ids, int(lengths[1:].sum()), counted, spelled, lengths)

    def baselines(self, parts: Parts) -> list[Contender]:
        _, last = parts.last
        train, valid, test = (part.ids.numpy() for part in (parts.train, parts.valid, last))
        chosen_on = train[: -len(valid)] if self.options.refit else train
        order = baselines.best_order(chosen_on, valid, len(self.tokens))
        spelled = _spelled(last).numpy()
        counted = baselines.ngrams(train, test, sorted({1, order}), len(self.tokens), last.characters, spelled)
        return [*counted[::-1], baselines.compressor(*self.texts)]

    def sections(self, model: LanguageModel, parts: Parts) -> dict[str, Any]:
        prompt = self._turned(self.tokens.text(parts.last[1].ids[:40].tolist())[:40])
        length = self.options.sample_length
        samples = [
            {"temperature": heat, "prompt": prompt, "text": "".join(self.write(model, prompt, length, heat))}
            for heat in TEMPERATURES
        ]
        found: dict[str, Any] = {"samples": samples, "cell": self.options.cell}
        _, last = parts.last
        if model.counts is not None:
            alone = self._measures(float(self._nats(model, last)[1].sum()), last)["nats_per_character"]
            found["counts"] = {
                "longest": model.counts.orders,
                "share": float(model.share),
                "network_alone": alone,
            }
        return found

    def write(
        self,
        model: LanguageModel,
        prompt: str = "",
        length: int = 300,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 1,
    ) -> Iterator[str]:
        """Pieces of text that go on after the prompt; see `sampling.stream`. Of a model that reads backwards one piece,
        once it is whole: the text before the prompt."""
        read = self._turned(prompt)
        pieces = sampling.stream(model, self.tokens, read, length, temperature, top_k, top_p, seed)
        return iter(["".join(pieces)[::-1]]) if self.options.backwards else pieces

    def placed(self, prompt: str, pieces: Iterator[str]) -> Iterator[str]:
        """What `write` gives, and its prompt, in the order in which people read them."""
        return itertools.chain(pieces, [prompt]) if self.options.backwards else itertools.chain([prompt], pieces)

    def unseen_note(self, prompt: str) -> str | None:
        """What to say of a prompt with units that the model never saw."""
        return unseen_note(self.tokens, prompt)

    def exported(self, model: LanguageModel) -> Exported:
        from gatework.tasks.generate.exported import exported

        return exported(self, model)

    def predict(self, model: LanguageModel, source: Source) -> list[dict[str, Any]]:
        """A continuation of each line of a file, or of each text of a list; backwards, what leads to it."""
        prompts = source if isinstance(source, list | tuple) else self.read(source).splitlines()
        length = self.options.sample_length
        return [{"prompt": prompt, "text": "".join(self.write(model, prompt, length))} for prompt in prompts]


def _without(text: str, start: int, end: int) -> list[str]:
    return [part for part in (text[:start], text[end:]) if part]


def _spelled(text: Text) -> Tensor:
    """(N - 1,): what spelling costs; nothing where every unit is known."""
    return torch.zeros(len(text) - 1, dtype=torch.double) if text.spelled is None else text.spelled


def _words(text: str) -> int:
    return len(text.split()) + text.count("\n")


def _perplexity(nats: float) -> float:
    return float(torch.tensor(nats, dtype=torch.float64).exp())


def fitted(options: GenerateOptions, text: str) -> TextCodec:
    """The units that the options ask for, learned line by line from a text."""
    codec = make_codec(options).fit(text.splitlines(keepends=True))
    known = len(codec) - len(codec.forbidden)
    if known < 2:
        raise DataError(f"the text holds {known} different {options.tokenizer}; a generator needs at least 2")
    return codec


def make_codec(options: GenerateOptions) -> TextCodec:
    """Units from which a text can be put together again."""
    if options.tokenizer == "characters":
        return Characters(max_size=EVERY)
    if options.tokenizer == "bpe":
        return BytePairs(max_size=options.vocabulary)
    from gatework.data.codecs.words import Words  # late: it loads polars

    return Words(lower=False, spaces=options.spaces, markup=True, lossless=True, max_size=options.vocabulary)


@torch.no_grad()
def nats(model: LanguageModel, ids: Tensor) -> Tensor:
    """(N - 1,): what each unit of a text but the first costs the network.

    The text is read in parallel streams, each warmed up on what stands before it.
    """
    streams = max(min(MEASURED_STREAMS, (len(ids) - 1) // WARM_UP), 1)
    warm_up = WARM_UP if streams > 1 else 0
    inputs, targets = reading(ids, streams, warm_up)
    states: States = {}
    if warm_up:
        _, states = model(inputs[:warm_up], states)
        states = zeroed(states, 0)
    found = []
    for start in range(warm_up, len(inputs), MEASURED_STEPS):
        logits, states = model(inputs[start : start + MEASURED_STEPS], states)
        found.append(cross_entropy(logits, targets[start : start + MEASURED_STEPS], "none").view(-1, streams))
    return torch.cat(found).t().flatten()[: len(ids) - 1].double()


TASK = Generate
