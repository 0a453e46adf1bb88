"""From a window to corrections of its steps ahead: four ways to decode, each an encoder with its own end.

Each is built with (options, shape, channels, outputs), channels as `Windows.channels` counts them, and called with
(batch, start): `start` [B, h] is the forecast to be corrected, the result is [B, h, outputs]. A fresh one corrects
nothing, as its last map starts at 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatework.networks.attention import AttentionLayer
from gatework.networks.encoder import Encoder, reads_gaps
from gatework.networks.heads import linear_in_net, silent
from gatework.networks.states import States, repeated
from gatework.runtime.net.builder import Builder, Value
from gatework.runtime.saved import Layer
from gatework.runtime.series.windows import Shape
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.windows import Batch


class Reader(nn.Module):
    """An encoder of windows (T, B, I), value and mask first; a cell that reads gaps is told them of the value.

    reader(inputs) gives (T, B, H) and the states.
    """

    def __init__(self, inputs: int, options: ForecastOptions):
        super().__init__()
        self.inputs = inputs
        self.encoder = Encoder(options, inputs - 1 if reads_gaps(options.cell) else inputs)

    def forward(self, inputs: Tensor, states: Mapping[str, Tensor] | None = None) -> tuple[Tensor, States]:
        if not self.encoder.gaps:
            return self.encoder(inputs, states)
        values = torch.cat([inputs[:, :, :1], inputs[:, :, 2:]], 2)
        mask = torch.cat([inputs[:, :, 1:2], torch.ones_like(inputs[:, :, 2:])], 2)
        return self.encoder(values, states, mask)

    def in_net(
        self,
        b: Builder,
        inputs: Value,
        lengths: Value,
        states: Mapping[str, Value] | None = None,
        layers: list[Layer] | None = None,
    ) -> tuple[Value, dict[str, Value]]:
        """The same in a net; for `layers` see `Encoder.in_net`."""
        if not self.encoder.gaps:
            return self.encoder.in_net(b, inputs, lengths, None, states, layers)
        value, seen = b.piece(inputs, start=0, stop=1), b.piece(inputs, start=1, stop=2)
        others = b.piece(inputs, start=2, stop=self.inputs)
        mask = b.concat(seen, b.scale(others, by=0.0, plus=1.0))
        return self.encoder.in_net(b, b.concat(value, others), lengths, mask, states, layers)


class Direct(nn.Module):
    """All steps at once from the encoder's last output, each with what is known of it ahead."""

    def __init__(self, options: ForecastOptions, shape: Shape, channels: tuple[int, int, int], outputs: int):
        super().__init__()
        self.horizon = shape.horizon
        self.encoder = Reader(channels[0], options)
        self.dropout = nn.Dropout(options.dropout)
        self.context = nn.Linear(options.hidden_size, shape.horizon * options.width)
        self.future = nn.Linear(channels[1], options.width, bias=False)
        self.outputs = silent(nn.Linear(options.width, outputs))

    def forward(self, batch: Batch, start: Tensor) -> Tensor:
        last = self.dropout(self.encoder(batch.inputs)[0][-1])
        context = self.context(last).unflatten(1, (start.shape[1], -1))
        return self.outputs(torch.tanh(context + self.future(batch.future)))

    def in_net(self, b: Builder, name: str, inputs: Value, lengths: Value, future: Value, start: Value) -> Value:
        """The same in a net."""
        outputs, _ = self.encoder.in_net(b, inputs, lengths)
        last = b.squeeze(b.piece(outputs, start=-1, stop=None, axis=0), axis=0)
        context = linear_in_net(self.context, b, f"{name}.context", last)
        context = b.reshape(context, shape=[-1, self.horizon, self.context.out_features // self.horizon])
        known = linear_in_net(self.future, b, f"{name}.future", future)
        return linear_in_net(self.outputs, b, f"{name}.outputs", b.tanh(b.add(context, known)))


class Segments(nn.Module):
    """Segments of several steps are read as one and forecast as one, all from the same last state (Lin et al. 2023,
    "SegRNN", section 3: segment-wise iterations and parallel multi-step forecasting with position embeddings).

    What is static is read once a segment; where it says which series it is, its map holds the paper's channel vectors.
    """

    def __init__(self, options: ForecastOptions, shape: Shape, channels: tuple[int, int, int], outputs: int):
        super().__init__()
        self.shape = shape
        self.length = min(options.segment or shape.season, shape.lookback)
        self.count = -(-shape.horizon // self.length)
        hidden, self.static = options.hidden_size, channels[2]
        self.read = nn.Linear((channels[0] - self.static) * self.length + self.static, hidden)
        self.encoder = Encoder(options, hidden)
        self.position = nn.Parameter(torch.randn(self.count, hidden) * 0.1)
        self.future = nn.Linear((channels[1] - self.static) * self.length + self.static, hidden)
        self.dropout = nn.Dropout(options.dropout)
        self.outputs = silent(nn.Linear(hidden, self.length * outputs))

    def forward(self, batch: Batch, start: Tensor) -> Tensor:
        rows, horizon = start.shape
        read = self.cut(batch.inputs.transpose(0, 1), front=-len(batch.inputs) % self.length)
        _, states = self.encoder(torch.relu(self.read(read)).transpose(0, 1))
        asked = self.future(self.cut(batch.future, back=-horizon % self.length)) + self.position
        result, _ = self.encoder(asked.reshape(1, rows * self.count, -1), repeated(states, self.count))
        return self.outputs(self.dropout(result[0])).reshape(rows, self.count * self.length, -1)[:, :horizon]

    def cut(self, values: Tensor, front: int = 0, back: int = 0) -> Tensor:
        """(B, T, C + S), of which S are static, with padding -> (B, n, length * C + S)."""
        changing = values.shape[2] - self.static
        parts = functional.pad(values[:, :, :changing], (0, 0, front, back)).unflatten(1, (-1, self.length)).flatten(2)
        return torch.cat([parts, values[:, :1, changing:].expand(-1, parts.shape[1], -1)], 2)

    def in_net(self, b: Builder, name: str, inputs: Value, lengths: Value, future: Value, start: Value) -> Value:
        """The same in a net: the segments that are asked for are steps of rows of their own."""
        size, horizon, hidden = self.shape.lookback, self.shape.horizon, self.read.out_features
        cut = self._cut_in_net(b, b.transpose(inputs, axes=[1, 0, 2]), self.read, size, front=-size % self.length)
        read = b.transpose(b.relu(linear_in_net(self.read, b, f"{name}.read", cut)), axes=[1, 0, 2])
        count = b.scale(lengths, by=0, plus=-(-size // self.length))
        _, states = self.encoder.in_net(b, read, count)
        cut = self._cut_in_net(b, future, self.future, horizon, back=-horizon % self.length)
        asked = linear_in_net(self.future, b, f"{name}.asked", cut)
        asked = b.reshape(b.add(asked, b.array(f"{name}.position", self.position)), shape=[-1, hidden])
        repeated = [b.repeat(states[each], count=self.count) for each in states]
        result, _ = b.cell(b.stacks[-1], asked, repeated)
        found = linear_in_net(self.outputs, b, f"{name}.outputs", result)
        width = self.outputs.out_features // self.length
        return b.piece(b.reshape(found, shape=[-1, self.count * self.length, width]), start=0, stop=horizon, axis=1)

    def _cut_in_net(
        self, b: Builder, values: Value, reader: nn.Linear, steps: int, *, front: int = 0, back: int = 0
    ) -> Value:
        """`cut` in a net, of values (B, T, C + S) that the linear layer `reader` reads."""
        changing = (reader.in_features - self.static) // self.length
        parts = b.pad(b.piece(values, start=0, stop=changing), front=front, back=back, axis=1)
        count = (steps + front + back) // self.length
        parts = b.reshape(parts, shape=[-1, count, self.length * changing])
        if not self.static:
            return parts
        static = b.piece(b.piece(values, start=0, stop=1, axis=1), start=changing, stop=changing + self.static)
        return b.concat(parts, b.repeat(static, count=count, axis=1))


class Recursive(nn.Module):
    """One step ahead, fed back as if it had been seen (covariates that are not known ahead are 0 there)."""

    def __init__(self, options: ForecastOptions, shape: Shape, channels: tuple[int, int, int], outputs: int):
        super().__init__()
        self.encoder = Reader(channels[0], options)
        self.known, self.unknown = channels[1], channels[0] - channels[1]
        self.horizon, self.difference = shape.horizon, shape.difference
        self.dropout = nn.Dropout(options.dropout)
        self.outputs = silent(nn.Linear(options.hidden_size + channels[1], outputs))

    def forward(self, batch: Batch, start: Tensor) -> Tensor:
        output, states = self.encoder(batch.inputs)
        before = torch.zeros_like(start[:, 0]) if self.difference else batch.window[:, -1]
        results = []
        for step in range(start.shape[1]):
            known = batch.future[:, step]
            results.append(self.outputs(torch.cat([self.dropout(output[-1]), known], 1)))
            value = start[:, step] + results[-1][:, 0]
            output, states = self.encoder(self.fed_back(value - before if self.difference else value, known), states)
            before = value
        return torch.stack(results, 1)

    def fed_back(self, value: Tensor, known: Tensor) -> Tensor:
        """A forecast as the encoder's next input (1, B, I)."""
        nothing = value.new_zeros(len(value), self.unknown)
        return torch.cat([value[:, None], torch.ones_like(value[:, None]), nothing, known[:, 2:]], 1).unsqueeze(0)

    def in_net(self, b: Builder, name: str, inputs: Value, lengths: Value, future: Value, start: Value) -> Value:
        """The same in a net, step after step: all values are sequences (1, B, C) of one."""
        output, states = self.encoder.in_net(b, inputs, lengths)
        layers, one = b.stacks[-1], b.scale(lengths, by=0, plus=1)
        output = b.piece(output, start=-1, stop=None, axis=0)
        future, start = b.transpose(future, axes=[1, 0, 2]), b.expand(b.transpose(start, axes=[1, 0]), axis=-1)
        beside, before, results = self._beside_in_net(b, future), None, []
        for step in range(self.horizon):
            known, base, more = (b.piece(each, start=step, stop=step + 1, axis=0) for each in (future, start, beside))
            results.append(linear_in_net(self.outputs, b, f"{name}.outputs", b.concat(output, known)))
            value = b.add(base, b.piece(results[-1], start=0, stop=1))
            fed = value if before is None else b.sub(value, before)
            before = value if self.difference else None
            output, states = self.encoder.in_net(b, b.concat(fed, more), one, states, layers)
        return b.transpose(b.concat(*results, axis=0), axes=[1, 0, 2])

    def _beside_in_net(self, b: Builder, future: Value) -> Value:
        """What `fed_back` puts beside the value, of all steps (h, B, I - 1)."""
        seen = b.scale(b.piece(future, start=0, stop=1), by=0.0, plus=1.0)
        known = b.piece(future, start=2, stop=self.known) if self.known > 2 else None
        nothing = [b.repeat(b.scale(seen, by=0.0), count=self.unknown, axis=-1)] if self.unknown else []
        return b.concat(seen, *nothing, *([] if known is None else [known]))


class Attention(nn.Module):
    """A second recurrent layer runs over what is known ahead and looks back at every step of the window (Luong, Pham &
    Manning 2015, section 3.1: global attention, general score)."""

    def __init__(self, options: ForecastOptions, shape: Shape, channels: tuple[int, int, int], outputs: int):
        super().__init__()
        hidden, self.horizon = options.hidden_size, shape.horizon
        self.encoder = Reader(channels[0], options)
        self.asked = nn.Linear(channels[1], channels[0])
        self.attention = AttentionLayer(hidden, hidden)
        self.dropout = nn.Dropout(options.dropout)
        self.outputs = silent(nn.Linear(hidden, outputs))
        self.decoder = Reader(channels[0], options)

    def forward(self, batch: Batch, start: Tensor) -> Tensor:
        seen, states = self.encoder(batch.inputs)
        asked = self.asked(batch.future).transpose(0, 1)
        steps, _ = self.decoder(asked, states)
        looked, _ = self.attention(steps.transpose(0, 1), self.attention.memory(seen.transpose(0, 1)))
        return self.outputs(self.dropout(looked))

    def in_net(self, b: Builder, name: str, inputs: Value, lengths: Value, future: Value, start: Value) -> Value:
        """The same in a net."""
        seen, states = self.encoder.in_net(b, inputs, lengths)
        asked = b.transpose(linear_in_net(self.asked, b, f"{name}.asked", future), axes=[1, 0, 2])
        steps, _ = self.decoder.in_net(b, asked, b.scale(lengths, by=0, plus=self.horizon), states)
        keys, values = self.attention.memory_in_net(b, seen, f"{name}.attention")
        states_first = b.transpose(steps, axes=[1, 0, 2])
        looked, _ = self.attention.in_net(b, states_first, keys, values, lengths, f"{name}.attention")
        return linear_in_net(self.outputs, b, f"{name}.outputs", looked)


DECODERS = {"direct": Direct, "segments": Segments, "recursive": Recursive, "attention": Attention}
