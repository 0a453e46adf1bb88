"""The network: an encoder that reads the text both ways, and two recurrent stacks that make frames of what they see.

What is said at a step hangs on where the network looks, and where it looks on what was said before. So the first stack
reads the last frame and asks; the second reads the state that asked and what was seen, and makes r frames. No state
goes from the second back to the first but through the frame, so that in training, where frames are given, both run
over whole recordings in the fused kernels (Tacotron, Wang et al. 2017, without the loop of its attention).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatework.networks.attention import Attention, Memory
from gatework.networks.encoder import Encoder
from gatework.networks.states import States
from gatework.tasks.speak.examples import Batch
from gatework.tasks.speak.options import SpeakOptions


class Read(NamedTuple):
    """B texts as the frames need them: what can be looked at, and the speakers' vectors (B, K)."""

    memory: Memory
    voices: Tensor


class Outputs(NamedTuple):
    """`rough` and `frames` (B, T r, F), before and after the finish; `ends` (B, T), the logit that a step is the last;
    `weights` (B, T, S), where each step looked."""

    rough: Tensor
    frames: Tensor
    ends: Tensor
    weights: Tensor


class Spoken(NamedTuple):
    """What B texts have said by now: the last frame (B, F) and both stacks' states; {} at the start."""

    last: Tensor
    asking: States
    making: States


class Voice(nn.Module):
    """Frames of texts and speakers.

        model = Voice(options, units=20, speakers=6)
        model(batch).frames                                          # (B, T r, F), each from those recorded before
        read = model.read(batch.units, batch.lengths, batch.speakers)
        rough, end, weights, spoken = model.step(read, model.begin(read))      # a step of its own: (B, r, F), (B,)

    Args:
        options: sizes, regularisation.
        units, speakers: of each vocabulary.
    """

    def __init__(self, options: SpeakOptions, units: int, speakers: int):
        super().__init__()
        width, dropped = 2 * options.encoder_size + options.speaker_size, options.dropout
        self.mels, self.reduction = options.mels, options.reduction
        self.units = nn.Embedding(units, options.embedding_size)
        self.speakers = nn.Embedding(speakers, options.speaker_size)
        reads = replace(options, hidden_size=options.encoder_size)
        self.encoder = Encoder(reads, options.embedding_size, locked=dropped, bidirectional=True)
        self.bottleneck = Bottleneck(options.mels, options.bottleneck, options.bottleneck_dropout)
        asks = replace(options, hidden_size=options.asking_size)
        self.asking = Encoder(asks, self.bottleneck.size + options.speaker_size, locked=dropped)
        self.attention = Attention(options.asking_size, width, options.attention)
        self.making = Encoder(options, options.asking_size + width, locked=dropped)
        self.output = nn.Linear(options.hidden_size + width, options.mels * options.reduction)
        self.end = nn.Linear(options.hidden_size + width, 1)
        self.finish = Finish(options.mels, options.finish) if options.finish else None

    def forward(self, batch: Batch) -> Outputs:
        """Each step reads the last frame recorded before it, the first one zeros."""
        read = self.read(batch.units, batch.lengths, batch.speakers)
        before = batch.frames[:, self.reduction - 1 :: self.reduction]
        before = functional.pad(before, (0, 0, 1, 0))[:, :-1].transpose(0, 1)
        rough, ends, weights, _ = self._made(read, before, {}, {})
        inside = torch.arange(ends.shape[1]) < batch.steps[:, None]
        rough = rough * inside.repeat_interleave(self.reduction, 1).unsqueeze(2)  # the finish sees no padding
        return Outputs(rough, self.finished(rough), ends, weights)

    def read(self, units: Tensor, lengths: Tensor, speakers: Tensor) -> Read:
        """What the encoder makes of texts (S, B)."""
        packed = pack_padded_sequence(self.units(units), lengths, enforce_sorted=False)
        outputs, _ = self.encoder(packed)
        assert isinstance(outputs, PackedSequence)
        values, voices = pad_packed_sequence(outputs, batch_first=True)[0], self.speakers(speakers)
        spread = voices[:, None].expand(-1, values.shape[1], -1)
        return Read(self.attention.memory(torch.cat([values, spread], 2), lengths), voices)

    def begin(self, read: Read) -> Spoken:
        """Nothing is said yet."""
        return Spoken(read.voices.new_zeros(len(read.voices), self.mels), {}, {})

    def step(self, read: Read, spoken: Spoken) -> tuple[Tensor, Tensor, Tensor, Spoken]:
        """The next frames (B, r, F), before the finish; the logit (B,) of the end; where it looked (B, S)."""
        rough, ends, weights, (asking, making) = self._made(read, spoken.last[None], spoken.asking, spoken.making)
        return rough, ends[:, 0], weights[:, 0], Spoken(rough[:, -1], asking, making)

    def finished(self, rough: Tensor) -> Tensor:
        """Frames (B, T, F) with what convolutions add, that see frames to come, too."""
        return rough if self.finish is None else rough + self.finish(rough)

    def _made(
        self, read: Read, last: Tensor, asking: States, making: States
    ) -> tuple[Tensor, Tensor, Tensor, Sequence[States]]:
        """Frames (B, T r, F), ends (B, T), weights (B, T, S) and states after frames `last` (T, B, F)."""
        voices = read.voices.expand(len(last), -1, -1)
        asked, asking = self.asking(torch.cat([self.bottleneck(last), voices], 2), asking)
        assert isinstance(asked, Tensor)
        seen, weights = self.attention(asked.transpose(0, 1), read.memory)
        seen = seen.transpose(0, 1)
        made, making = self.making(torch.cat([asked, seen], 2), making)
        assert isinstance(made, Tensor)
        both = torch.cat([made, seen], 2).transpose(0, 1)
        frames = self.output(both).unflatten(2, (self.reduction, self.mels)).flatten(1, 2)
        return frames, self.end(both).squeeze(2), weights, (asking, making)


class Bottleneck(nn.Module):
    """Two narrow layers that read the last frame. With dropout they say too little to go on from it alone, so that the
    network learns to look at the text (Wang et al. 2017, section 3.3)."""

    def __init__(self, mels: int, size: int, dropout: float):
        super().__init__()
        self.size, self.dropout = size // 2, dropout
        self.first, self.second = nn.Linear(mels, size), nn.Linear(size, self.size)

    def forward(self, frames: Tensor) -> Tensor:
        for layer in (self.first, self.second):
            frames = functional.dropout(torch.relu(layer(frames)), self.dropout, self.training)
        return frames


class Finish(nn.Sequential):
    """What is added to frames (B, T, F), seeing two steps of each layer around (Tacotron 2, Shen et al. 2018)."""

    WIDTH, DROPOUT = 5, 0.2

    def __init__(self, mels: int, channels: int):
        layers: list[nn.Module] = []
        for inputs in (mels, channels):
            layers += [nn.Conv1d(inputs, channels, self.WIDTH, padding="same"), nn.Tanh(), nn.Dropout(self.DROPOUT)]
        super().__init__(*layers, nn.Conv1d(channels, mels, self.WIDTH, padding="same"))

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.transpose(1, 2)).transpose(1, 2)
