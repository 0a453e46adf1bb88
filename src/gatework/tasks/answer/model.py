"""The network: sentences to vectors, several readings of a story by attention, and an answer written word by word.

The readings are those of a memory network (Sukhbaatar et al. 2015) with a recurrent cell between them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatework.networks.attention import Attention, Memory
from gatework.networks.decoder import Decoder
from gatework.networks.embedding import Embedding
from gatework.networks.encoder import Encoder
from gatework.networks.heads import Symbols
from gatework.networks.states import States, begun
from gatework.tasks.answer.examples import Batch, Texts
from gatework.tasks.answer.options import AnswerOptions

STD = 0.1  # deviation of vectors at the start


class Readings(NamedTuple):
    """The states that the answers are written from, and what each reading `looked` at, weights (B, hops, S)."""

    start: States
    looked: Tensor


class Answering(nn.Module):
    """Logits of the words of the answers to a batch of questions.

        logits = Answering(options, words, answers)(batch)         # (T, B, V)
        readings = model.read(batch)                               # to write from: see decoding.py
        readings.looked                                            # (B, hops, S)

    Args:
        options: sizes, cell, hops, dropout.
        words, answers: how many words there are of stories, and of answers (V).

    Every text has hops + 1 vectors side by side. A reading finds sentences by one of them and reads the next one, by
    which the next reading finds ("adjacent" weights, section 2.2 of the paper); a question is asked by the first.

    What is asked next is what was asked, what was found (the sum of a memory network), and what a cell makes of both:
    its state begins as the question. The writer's state begins as what would be asked in the end. Only the first state
    of a cell is set, its output, so that any cell will do.
    """

    def __init__(self, options: AnswerOptions, words: int, answers: int):
        super().__init__()
        size = options.hidden_size
        self.hops, self.empty = options.hops, options.empty
        self.sentences = SentenceVectors(options, words)
        self.places = nn.Embedding(2 * options.memory, size * (options.hops + 1))
        nn.init.normal_(self.places.weight, std=STD)
        self.attention = Attention(size, size, "dot")
        self.controller = Encoder(options, size)
        self.dropout = nn.Dropout(options.dropout)
        self.bridge = nn.Linear(size, size)
        self.decoder = Decoder(nn.Embedding(answers, size), Encoder(options, size), Symbols(size, answers))

    def forward(self, batch: Batch) -> Tensor:
        readings = self.read(batch)
        return self.decoder(batch.read, None, readings.start)[0]

    def read(self, batch: Batch) -> Readings:
        """Reads the story of each question several times."""
        vectors = self.sentences(batch.texts)
        nothing = vectors.new_zeros(1, vectors.shape[1])
        told = torch.cat([vectors, nothing])[batch.story]
        return self.readings(told, batch.lengths, vectors[batch.questions])

    def readings(self, told: Tensor, lengths: Tensor, questions: Tensor) -> Readings:
        """A look at the story for each hop; vectors (hops + 1) H wide of sentences (B, S), of which `lengths` (B,) are
        there, and of questions (B,)."""
        placed = self.dropout(told + self.places(self.placed(lengths, told.shape[1])))
        query = questions.chunk(self.hops + 1, 1)[0]
        states = begun(self.controller.layers, query)
        looked = []
        for keys, values in pairwise(placed.chunk(self.hops + 1, 2)):
            context, weights = self.attention(query.unsqueeze(1), Memory(keys, values, lengths))
            outputs, states = self.controller(context.transpose(0, 1), states)
            assert isinstance(outputs, Tensor)
            query = query + context.squeeze(1) + outputs[0]
            looked.append(weights.squeeze(1))
        start = begun(self.decoder.encoder.layers, self.bridge(self.dropout(query)))
        return Readings(start, torch.stack(looked, 1))

    def placed(self, lengths: Tensor, steps: int) -> Tensor:
        """How far from its story's end each sentence stands, (B, S). In training empty sentences are put in, which
        count as places: places that no story of the training has are learned, too."""
        place = (lengths[:, None] - 1 - torch.arange(steps)).clamp(min=0)
        if self.training and self.empty:
            before = torch.rand(place.shape) < self.empty
            place = place + before.flip(1).cumsum(1).flip(1)
        return place.clamp(max=self.places.num_embeddings - 1)


class SentenceVectors(nn.Module):
    """Vectors (u, (hops + 1) H) of packed texts: sums of the words' vectors, weighted by place, or a map of a recurrent
    network's last states from both ends.

    Word j of J has the weights (1 - j/J) - (k/H) (1 - 2j/J) for unit k of H (Sukhbaatar et al. 2015, section 4.1): a
    sum that tells "the dog bit Bo" from "Bo bit the dog".
    """

    def __init__(self, options: AnswerOptions, words: int):
        super().__init__()
        size, count = options.hidden_size, options.hops + 1
        self.encoder, width = None, size * count
        if options.sentences == "recurrent":
            self.encoder, width = Encoder(options, size, bidirectional=True), size
            self.mapped = nn.Linear(2 * size, size * count)
        self.words = Embedding(words, width, std=STD, word_dropout=options.word_dropout)
        self.register_buffer("unit", (torch.arange(1, size + 1) / size).repeat(count), persistent=False)

    unit: Tensor

    def forward(self, texts: Texts) -> Tensor:
        vectors = self.words(texts.words)
        if self.encoder is None:
            summed = vectors.new_zeros(len(texts.sizes), vectors.shape[1])
            return summed.index_add(0, texts.text, vectors * self._weights(texts))
        _, states = self.encoder(PackedSequence(vectors, texts.counts))
        return self.mapped(torch.cat(list(states["0.0"][-2:]), 1))[texts.at]

    def _weights(self, texts: Texts) -> Tensor:
        place = ((texts.step + 1) / texts.sizes[texts.text]).unsqueeze(1)
        return (1 - place) - self.unit * (1 - 2 * place)
