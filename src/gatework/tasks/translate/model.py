"""The network: an encoder that reads the source both ways, and a decoder that looks at it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from gatework.networks.attention import AttentionLayer, Memory
from gatework.networks.decoder import Decoder
from gatework.networks.embedding import Embedding
from gatework.networks.encoder import Encoder, padded
from gatework.networks.heads import Symbols
from gatework.networks.states import States
from gatework.tasks.translate.examples import Batch
from gatework.tasks.translate.options import TranslateOptions

STD = 0.1  # of vectors at the start: those of the target are the output's matrix, too


class Read(NamedTuple):
    """B sources as the decoder needs them: what can be looked at, and the states that it starts from."""

    memory: Memory
    start: States


class Outputs(NamedTuple):
    """hidden (M, E), weight (V, E) and bias (V,), which make the scores (M, V)."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor


class EncoderDecoder(nn.Module):
    """Scores of target units, given sources and what has been written of the targets.

        model = EncoderDecoder(options, sources=5000, targets=5000)
        logits = model(batch)                                        # [M, V]: of the M symbols that are written
        read = model.read(batch)                                     # for a search: model.decoder.begin(*read)

    Args:
        options: sizes, regularisation.
        sources, targets: units of each vocabulary.

    The decoder starts by reading the source's summary, the mean of what the encoder says of its units: any cell and any
    depth can, whatever its states are.
    """

    def __init__(self, options: TranslateOptions, sources: int, targets: int):
        super().__init__()
        size, width, dropped = options.embedding_size, 2 * options.encoder_size, options.dropout
        self.embedding = Embedding(sources, size, std=STD, word_dropout=options.word_dropout)
        reading = replace(options, hidden_size=options.encoder_size, attention="general")
        self.encoder = Encoder(reading, size, locked=dropped, bidirectional=True)
        self.summary = nn.Linear(width, size)
        own = None if options.joint else Embedding(targets, size, std=STD, word_dropout=options.word_dropout)
        vectors = own or self.embedding
        self.decoder = Decoder(
            vectors,
            Encoder(options, size, locked=dropped),
            Symbols(options.hidden_size, targets, vectors if options.tied else None),
            AttentionLayer(options.hidden_size, width, options.attention),
        )
        self.dropout = dropped

    @property
    def head(self) -> Symbols:
        """What makes scores of the decoder's units."""
        assert isinstance(self.decoder.head, Symbols)
        return self.decoder.head

    def read(self, batch: Batch) -> Read:
        """What the encoder makes of the sources."""
        packed, _ = self.encoder(PackedSequence(self.embedding(batch.sources), batch.counts))
        assert isinstance(packed, PackedSequence)
        values = padded(packed.data, batch.counts)
        summary = self.summary(values.sum(1) / batch.lengths[:, None])
        assert self.decoder.attention is not None
        return Read(self.decoder.attention.memory(values, batch.lengths), self.decoder.encoder(summary[None])[1])

    def forward(self, batch: Batch) -> Tensor:
        hidden, weight, bias = self.outputs(batch)[0]
        return functional.linear(hidden, weight, bias)

    def outputs(self, batch: Batch) -> tuple[Outputs, Tensor]:
        """What makes the scores of each written symbol, and attention (B, T, S)."""
        memory, start = self.read(batch)
        looked, weights, _ = self.decoder.looked(batch.read, memory, start)
        assert weights is not None
        looked = looked * functional.dropout(looked.new_ones(1, *looked.shape[1:]), self.dropout, self.training)
        hidden = self.head.bridged(looked.flatten(0, 1)[batch.places])
        return Outputs(hidden, self.head.output.weight, self.head.output.bias), weights
