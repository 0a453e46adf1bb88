"""Tags of tokens: a network beside windows of hashed features, and a chain of moves between tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from gatework.errors import FileFormatError, OptionError
from gatework.runtime.answers.given import rows_of
from gatework.runtime.exported import Exported
from gatework.runtime.model import Model
from gatework.runtime.net.ops import log_softmax, softmax
from gatework.runtime.tags import rows as written
from gatework.runtime.tags import schemes
from gatework.runtime.tags.chain import Chain
from gatework.runtime.tags.network import Network
from gatework.runtime.tags.reading import Reader, Sentence
from gatework.runtime.tags.weights import Weights
from gatework.runtime.texts.windows import features

FORMATS = ("jsonl", "spans")
GROUP = 50_000  # tokens that are answered together
Arrays = dict[str, np.ndarray]


class Said(NamedTuple):
    """What the model says of a sentence: its tags as the data wrote them, their probabilities, its label."""

    tags: list[str]
    sure: np.ndarray
    label: str | None


class Tags(Model):
    """{"tokens", "tags", "confidence"} of tokens, {"text", "spans"} of a text; with "label" where sentences have one.

    model.predict([["Ada", "slept"]])       # [{"tokens": ["Ada", "slept"], "tags": ["B-PER", "O"], ...}]
    model.predict(["Ada slept."])           # [{"text": "Ada slept.", "spans": [{"start": 0, "end": 3, ...}]}]
    """

    kind = "tags"

    def __init__(self, exported: Exported, hash: str = ""):
        super().__init__(exported, hash)
        said = exported.settings
        self.reader = Reader(said)
        self.inputs = self.reader.inputs
        self.network = Network(exported)
        self.tags, self.labels, self.scheme = said["tags"], said["labels"], said["scheme"]
        self.share, self.label_share = np.float32(said["share"]), np.float32(said["label_share"])
        self.columns, self.lettered, self.chained = said["columns"], bool(said["lettered"]), bool(said["chained"])
        self.windows, self.label_windows = _weights(exported, "windows"), _weights(exported, "label_windows")
        self.chain = _chain(exported, len(self.tags)) if said["moves"] else None
        if self.scheme not in schemes.SCHEMES:
            raise FileFormatError(f"there is no scheme {self.scheme!r:.20}")

    @property
    def schema(self) -> dict[str, Any]:
        return self.reader.schema

    @property
    def example(self) -> object:
        return self.reader.example

    def predict(self, rows: Sequence[Any], format: str | None = None) -> list[dict[str, Any]]:
        """One answer for each row. A `format` is asked of all rows, as of the run's `predict`: "jsonl" answers for each
        sentence of a text apart, "spans" for whole texts; what has no token then has no answer.
        """
        rows = rows_of(rows, self.inputs)
        if format not in (None, *FORMATS):
            raise OptionError(f"format cannot be {format!r}; there are: {', '.join(FORMATS)}")
        read = [sentence for number, row in enumerate(rows, 1) for sentence in self.reader.read(row, number)]
        said = self._said(read)
        pairs = [pair for pair in zip(read, said, strict=True) if format is None or pair[0].tokens]
        if format == "jsonl":
            return [self._of_tokens([pair]) for pair in pairs]
        return [
            self._of_text(own) if format == "spans" or own[0][0].text is not None else self._of_tokens(own)
            for own in (list(own) for _, own in groupby(pairs, lambda pair: pair[0].row))
        ]

    def _of_tokens(self, pairs: list[tuple[Sentence, Said]]) -> dict[str, Any]:
        ((sentence, said),) = pairs
        named = {} if sentence.name is None else {"name": sentence.name}
        return named | written.of_tokens(sentence.tokens, said.tags, said.label, said.sure)

    def _of_text(self, pairs: list[tuple[Sentence, Said]]) -> dict[str, Any]:
        """A row of all sentences of a text."""
        first, spans = pairs[0][0], []
        for sentence, said in pairs:
            learned = schemes.to_bioes(said.tags, np.array([len(said.tags)]), self.scheme)
            text, places = _placed(sentence)
            spans += written.of_spans(learned, self.scheme, text, places, said.sure)
        label = pairs[0][1].label
        named = {} if first.name is None else {"name": first.name}
        return named | {"text": _placed(first)[0], "spans": spans} | ({} if label is None else {"label": label})

    @property
    def why_no_stream(self) -> str:
        return "it reads in both directions"

    # -- what is said -----------------------------------------------------------------------------------------

    def _said(self, read: list[Sentence]) -> list[Said]:
        found = [Said([], np.zeros(0, np.float32), None)] * len(read)
        order = sorted((i for i, each in enumerate(read) if each.tokens), key=lambda i: len(read[i].tokens))
        ends = np.cumsum([len(read[i].tokens) for i in order])
        for _, group in groupby(zip(order, ends // GROUP, strict=True), lambda pair: pair[1]):
            some = [i for i, _ in group]
            for i, said in zip(some, self._group([read[i] for i in some]), strict=True):
                found[i] = said
        return found

    def _group(self, read: list[Sentence]) -> Iterator[Said]:
        tokens = [token for each in read for token in each.tokens]
        columns = {name: [value for each in read for value in each.columns[name]] for name in self.columns}
        lengths = np.array([len(each.tokens) for each in read])
        scores, labels = self.network(tokens, columns, lengths)
        if self.windows is not None:
            beside = features(tokens, lengths, columns, self.lettered)
            scores += self.share * (self.windows.scores(beside) - scores)
            if labels is not None and self.label_windows is not None:
                means = np.add.reduceat(self.label_windows.scores(beside), np.cumsum(lengths) - lengths)
                labels += self.label_share * (means / lengths[:, None].astype(np.float32) - labels)
        best, sure = self._judged(scores, lengths)
        tags = [tag or "O" for tag in schemes.from_bioes([self.tags[k] for k in best], lengths, self.scheme)]
        for i, (end, length) in enumerate(zip(np.cumsum(lengths).tolist(), lengths.tolist(), strict=True)):
            own = slice(end - length, end)
            yield Said(tags[own], sure[own], None if labels is None else self.labels[int(labels[i].argmax())])

    def _judged(self, scores: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best tags [N] of sentences one after another, and how probable each is."""
        at, counts = packed(lengths)
        own = scores[at]
        if self.chain is None:
            best = own.argmax(1)
        else:
            best = self.chain.best(own if self.chained else log_softmax(own), counts)
        likely = self.chain.marginals(own, counts) if self.chain is not None and self.chained else softmax(own)
        tags, sure = np.zeros(len(own), np.int64), np.zeros(len(own), np.float32)
        tags[at], sure[at] = best, likely[np.arange(len(best)), best]
        return tags, sure


def packed(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where packed rows stand among tokens one sentence after another, and how many each step has: see `Chain`."""
    order = np.argsort(-lengths, kind="stable")
    there = np.arange(lengths.max())[:, None] < lengths[order]
    step, row = np.nonzero(there)
    return (np.cumsum(lengths) - lengths)[order][row] + step, there.sum(1)


def _placed(sentence: Sentence) -> tuple[str, list[list[int]]]:
    """A text, and where its tokens stand; of tokens alone, these with blanks between, but for letters."""
    if sentence.text is not None:
        return sentence.text, [list(place) for place in sentence.places]
    blank = " " if sentence.name is None else ""
    ends = np.cumsum([len(token) + len(blank) for token in sentence.tokens], dtype=np.int64) - len(blank)
    places = [[int(end) - len(token), int(end)] for token, end in zip(sentence.tokens, ends, strict=True)]
    return blank.join(sentence.tokens), places


def _weights(exported: Exported, name: str) -> Weights | None:
    arrays = exported.arrays
    return Weights(arrays[f"{name}.keys"], arrays[f"{name}.weight"]) if f"{name}.keys" in arrays else None


def _chain(exported: Exported, tags: int) -> Chain:
    moves = [exported.arrays[f"moves.{part}"].astype(np.float64) for part in Chain._fields]
    if [each.shape for each in moves] != [(tags,), (tags, tags), (tags,)]:
        raise FileFormatError(f"the moves between {tags} tags have the shapes {[each.shape for each in moves]}")
    return Chain(*moves)
