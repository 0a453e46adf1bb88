"""The network: convolutions that shorten time, recurrent layers, and scores of each unit at each step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatework.networks.encoder import Encoder
from gatework.networks.fronts import Front, LineFront, SoundFront
from gatework.networks.heads import Symbols
from gatework.networks.states import States
from gatework.runtime.net.builder import Builder, Value
from gatework.tasks.transcribe.options import TranscribeOptions


class Listener(nn.Module):
    """Log probabilities of units at each step, given frames.

        listener = Listener(options, units=11)
        log_p, lengths = listener(torch.zeros(8, 250, 40), lengths)        # (B, T, F) -> (T / 3, B, 11)

    Args:
        options: sizes, regularisation.
        units: V, the blank among them.
        picture: whether frames are columns (B, W, H, C) of pictures.
    """

    def __init__(self, options: TranscribeOptions, units: int, picture: bool = False):
        super().__init__()
        self.front = _front(options, picture)
        both = options.bidirectional
        self.encoder = Encoder(options, options.front_size, locked=options.dropout, bidirectional=both)
        self.head = Symbols(options.hidden_size * (2 if both else 1), units)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(T', B, V) and the steps [B] of rows that are sorted, the longest first."""
        features, lengths = self.front(frames, lengths)
        packed, _ = self.encoder(pack_padded_sequence(features, lengths))
        assert isinstance(packed, PackedSequence)
        outputs, _ = pad_packed_sequence(packed)
        return functional.log_softmax(self.head(outputs), -1), lengths

    def in_net(self, b: Builder, frames: Value, lengths: Value) -> Value:
        """The same in a net, of frames (T, B, F, 1) or columns (W, B, H, C): log probabilities (T', B, V)."""
        features, lengths = self.front.in_net(b, frames, lengths)
        outputs, _ = self.encoder.in_net(b, features, lengths)
        return b.log_softmax(self.head.in_net(b, outputs))

    def step_in_net(self, b: Builder, frames: Value) -> Value:
        """One step of a stream in a net, of `stride` frames (B, stride * F): log probabilities (B, V)."""
        output = b.step(b.stacks[0], self.front.step_in_net(b, frames))
        return b.log_softmax(self.head.in_net(b, output))

    def further(self, features: Tensor, states: States) -> tuple[Tensor, States]:
        """(t, B, V), what further steps (t, B, C) of a stream add, and the states after them."""
        if not len(features):
            return features.new_zeros(0, features.shape[1], self.head.output.out_features), states
        outputs, states = self.encoder(features, states)
        assert isinstance(outputs, Tensor)
        return functional.log_softmax(self.head(outputs), -1), states


def _front(options: TranscribeOptions, picture: bool) -> Front:
    if picture:
        return LineFront(options.height, 3 if options.colour else 1, options.front_size)
    causal = not options.bidirectional
    return SoundFront(options.mels, options.front_size, stride=options.stride, causal=causal)


@torch.no_grad()
def heard(listener: Listener, frames: Tensor, lengths: Tensor) -> list[Tensor]:
    """Log probabilities (T, V) of each row."""
    log_p, lengths = listener(frames, lengths)
    return [log_p[: int(length), row] for row, length in enumerate(lengths)]
