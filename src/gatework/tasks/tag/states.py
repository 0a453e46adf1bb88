"""States of characters' language models as word vectors (Akbik, Blythe & Vollgraf 2018, "Contextual String Embeddings
for Sequence Labeling").

forwards:   \\n G o _ a w a y     "away" is what the state holds after its last character
backwards:  \\n y a w a _ o G     "away" is what the state holds after its first one, the last of it that is read

Both know the word by its letters and its place in the sentence, as neither had words to learn. The models are frozen;
they travel with the tagger's weights, and the run that they came from is not needed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from gatework.data.codecs import UNKNOWN, Characters
from gatework.data.ragged import Ragged
from gatework.errors import FileFormatError, OptionError
from gatework.networks.states import States
from gatework.tasks.generate import Generate
from gatework.tasks.generate.model import LanguageModel
from gatework.tasks.generate.options import GenerateOptions
from gatework.tasks.jobs import load
from gatework.tasks.tag.sentences import Sentences
from gatework.training.state import Tensors

END = "\n"
WIDEST = 256  # numbers of all states together that the tagger reads as they are
STEPS = 128  # characters of a line that are read at once, which bounds the memory of long ones
MOST_KEPT = 1 << 28  # bytes of states that a model keeps while a tagger is trained
Line = tuple[bytes, bytes]  # what is read, and at which steps


@dataclass(frozen=True)
class Language:
    """A trained language model of characters: `Language.read("runs/forwards")`, a run of `gatework train generate`.

    `weights` are there when it comes from its own run; later they are among the tagger's.
    """

    options: GenerateOptions
    tokens: Characters
    weights: Tensors | None = None
    name: str = "the language model"

    def __post_init__(self) -> None:
        if self.tokens.lower:
            raise FileFormatError(f"{self.name} reads characters in lower case, which no training makes")
        if END not in self.tokens.vocabulary:
            raise OptionError(f"{self.name} never saw the end of a line, where its reading begins; train it on several")

    @classmethod
    def read(cls, path: str) -> Language:
        """Raises an OptionError for a run of another task, or of another tokenizer than characters."""
        trained = load(path, "generate")
        assert isinstance(trained.task, Generate) and isinstance(trained.model, LanguageModel)
        options, tokens = trained.task.options, trained.task.tokens
        if not isinstance(tokens, Characters):
            raise OptionError(f"{path} reads {options.tokenizer}; a tagger reads characters: tokenizer=characters")
        weights = trained.model.decoder.state_dict()
        return cls(
            options, tokens, {name: each for name, each in weights.items() if not name.startswith("head.")}, path
        )

    @property
    def backwards(self) -> bool:
        return self.options.backwards


# -- from sentences to batches ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """n sentences as text: `codes` Ragged [n], characters' ids in each language model; `spans` int64 [N, 2], the
    characters of its sentence that each token is."""

    languages: Sequence[Language]
    codes: tuple[Ragged, ...]
    spans: np.ndarray

    @classmethod
    def of(cls, languages: Sequence[Language], sentences: Sentences, joint: str = " ") -> Written:
        """Raw text where tokens were cut out of one, else tokens with `joint` between them."""
        texts, spans = _texts(sentences, joint)
        return cls(languages, tuple(each.tokens.encode(texts) for each in languages), spans)

    @property
    def notes(self) -> list[str]:
        """What is told of each language model: how it reads, and how much of it it knows."""
        found = []
        for language, codes in zip(self.languages, self.codes, strict=True):
            way = "backwards" if language.backwards else "forwards"
            unknown = int((codes.values == UNKNOWN).sum())
            told = f"; {unknown:,} of {len(codes.values):,} characters are unknown to it" if unknown else ""
            found.append(f"{language.name} reads {way}, {language.options.hidden_size} numbers for each token{told}")
        return found

    def take(self, rows: np.ndarray, tokens: np.ndarray) -> Written:
        return replace(self, codes=tuple(each.take(rows) for each in self.codes), spans=self.spans[tokens])

    def lines(self, sentence: np.ndarray, tokens: Ragged) -> Lines:
        """What is read of stretches [B]: the sentence of each, and the numbers of its tokens, which stand together."""
        owners, values = tokens.owners, tokens.values
        begin, end = self.spans[values[tokens.offsets[:-1]], 0], self.spans[values[tokens.offsets[1:] - 1], 1]
        after = self.spans[values, 1] - begin[owners]
        before = end[owners] - self.spans[values, 0]
        pairs = list(zip(self.languages, self.codes, strict=True))
        return Lines(
            tuple(_line(codes, codes.offsets[sentence] + begin, end - begin, language) for language, codes in pairs),
            tuple(Ragged(before if language.backwards else after, tokens.offsets) for language, _ in pairs),
            Ragged(np.arange(len(values)), tokens.offsets).pack(np.arange(len(tokens))).values,
        )


class Lines(NamedTuple):
    """B stretches as language models read them, each after the end of a line: by model, `codes` Ragged [B] characters
    in the order of reading, and `at` Ragged [B] the step after which each token has been read; `order` [M]: of all
    tokens, stretch by stretch, the one at each packed place."""

    codes: tuple[Ragged, ...]
    at: tuple[Ragged, ...]
    order: np.ndarray


def _texts(sentences: Sentences, joint: str) -> tuple[Sequence[str], np.ndarray]:
    if sentences.texts is not None and sentences.spans is not None:  # several sentences may be cut out of a long text
        begin = sentences.spans[sentences.offsets[:-1], 0]
        pieces = zip(
            sentences.texts, begin.tolist(), sentences.spans[sentences.offsets[1:] - 1, 1].tolist(), strict=True
        )
        return [text[start:stop] for text, start, stop in pieces], sentences.spans - np.repeat(
            begin, sentences.lengths
        ).reshape(-1, 1)
    words = Ragged.from_lengths(np.array(sentences.tokens, dtype=object), sentences.lengths)
    lengths = np.array([len(token) for token in sentences.tokens], np.int64)
    ends = np.cumsum(lengths + len(joint)) - len(joint)
    starts = ends - lengths
    begin = starts[words.offsets[:-1]][words.owners]
    return [joint.join(words[i]) for i in range(len(words))], np.stack([starts - begin, ends - begin], 1)


def _line(codes: Ragged, start: np.ndarray, length: np.ndarray, language: Language) -> Ragged:
    """Characters `start` to `start + length` [B] of all, in the order of reading, each row after the end of a line."""
    steps = Ragged.from_lengths(np.zeros(int((length + 1).sum()), np.int64), length + 1)
    step = np.arange(len(steps.values)) - steps.offsets[steps.owners]
    place = (length + 1)[steps.owners] - step if language.backwards else step
    read = codes.values[np.where(step == 0, 0, start[steps.owners] + place - 1)]
    end = language.tokens.vocabulary.index(END)
    return Ragged(np.where(step == 0, end, read), steps.offsets)


# -- the network's part -------------------------------------------------------------------------------------------


class WordStates(nn.Module):
    """Vectors [M, `size`] of the tokens of a batch: `WordStates(languages, 0.5)(lines)`.

    The states of all models side by side; where these are more than 256 numbers, a learned linear map of them, after
    dropout, as a wide entry would drown the other vectors and slow every layer above it.
    """

    def __init__(self, languages: Sequence[Language], dropout: float):
        super().__init__()
        self.readers = nn.ModuleList(_Reader(each) for each in languages)
        width = sum(each.options.hidden_size for each in languages)
        self.size, self.dropout = min(width, WIDEST), dropout
        self.map = nn.Linear(width, WIDEST) if width > WIDEST else None

    def forward(self, lines: Lines) -> Tensor:
        found = [reader(*line) for reader, *line in zip(self.readers, lines.codes, lines.at, strict=True)]
        states = torch.cat(found, 1)[torch.from_numpy(lines.order)]
        return states if self.map is None else self.map(functional.dropout(states, self.dropout, self.training))


class _Reader(nn.Module):
    """A frozen language model without its head: the states [M, H] of its top layer at steps `at` of lines `codes`.

    A tagger reads its training sentences again in every epoch, and a frozen model answers the same each time: the same
    to the bit, as a line's states do not hang on the lines beside it. So states are kept up to `room` bytes, which
    saves most of the time of a training; beyond that, lines are read anew. A model that was loaded keeps nothing.
    """

    def __init__(self, language: Language):
        super().__init__()
        decoder = LanguageModel(len(language.tokens), replace(language.options, ngram_length=0)).decoder
        self.embedding, self.encoder = decoder.embedding, decoder.encoder
        self.size = language.options.hidden_size
        self.room = 0
        self.kept: dict[Line, Tensor] = {}
        if language.weights is not None:
            self.load_state_dict(language.weights)
            self.room = MOST_KEPT
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> _Reader:
        """Never: dropout and the like belong to its own training, which is over."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, codes: Ragged, at: Ragged) -> Tensor:
        keys = [(codes[row].tobytes(), at[row].tobytes()) for row in range(len(codes))]
        lacking = np.array([row for row, key in enumerate(keys) if key not in self.kept], np.int64)
        if not len(lacking):
            return torch.cat([self.kept[key] for key in keys])
        states = self.read(codes.take(lacking), at.take(lacking))
        if not self.room and not self.kept:
            return states
        fresh = dict(zip((keys[row] for row in lacking), states.split(at.lengths[lacking].tolist()), strict=True))
        self._keep(fresh)
        return torch.cat([fresh[key] if key in fresh else self.kept[key] for key in keys])

    def _keep(self, fresh: dict[Line, Tensor]) -> None:
        for key, states in fresh.items():
            if (size := states.nbytes + sum(map(len, key))) <= self.room:
                self.kept[key] = states.clone()
                self.room -= size

    def read(self, codes: Ragged, at: Ragged) -> Tensor:
        """All lines side by side, the longest first, so many steps at a time."""
        ids, counts, order = codes.pack(np.arange(len(codes)))
        starts = np.cumsum(counts) - counts
        place = np.argsort(order)  # of each line among the packed ones
        wanted = starts[at.values] + place[at.owners]
        found, states = torch.empty(len(wanted), self.size), States()
        for first in range(0, len(counts), STEPS):
            alive = torch.from_numpy(counts[first : first + STEPS])
            begin = starts[first]
            part = torch.from_numpy(ids[begin : begin + int(alive.sum())])
            states = {name: state[:, : alive[0]].contiguous() for name, state in states.items()}
            outputs, states = self.encoder(PackedSequence(self.embedding(part), alive), states)
            here = np.flatnonzero(at.values // STEPS == first // STEPS)
            found[here] = outputs.data[wanted[here] - begin]
        return found
