"""`LSTM`, `GRU` and `RNN` with the arguments, parameters and results of torch.nn's, and more options."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.types import Device

from gatework.errors import OptionError
from gatework.layers.batches import Lengths
from gatework.layers.call import Asked, Reset, States, per_sample
from gatework.layers.options import Options, refuse_unknown
from gatework.layers.parameters import Declared, as_torch
from gatework.layers.recurrent import Recurrent


class _Compat(Recurrent):
    """A cell that torch.nn has too: torch's checks, parameter names and starting values."""

    twin: type[nn.RNNBase]
    cell_name: str
    proj_size: int
    empty_sequences = False

    def __init__(self, cell: str, arguments: dict[str, Any], **options: Unpack[Options]):
        device, dtype = arguments.pop("device"), arguments.pop("dtype")
        odd: Any = options  # of torch's arguments those that only some of its layers have: it refuses them in its words
        more = {name: odd.pop(name) for name in ("proj_size",) if name in odd}
        refuse_unknown(self, {name: odd[name] for name in ("cell", "sizes") if name in odd})  # the twin's own business
        self.twin(**arguments, **more, device="meta")  # its checks and warnings, without memory
        self.__dict__["arguments"] = tuple(arguments)
        proj_size = arguments.pop("proj_size", 0)
        nonlinearity = arguments.pop("nonlinearity", None)
        self.__dict__.update(proj_size=proj_size, cell_name=cell)
        if nonlinearity is not None:
            self.__dict__["nonlinearity"] = nonlinearity
        sizes = {"P": proj_size} if proj_size else {}
        super().__init__(cell, **arguments, **odd, sizes=sizes, device=device, dtype=dtype)

    def _declared(self, layer: int) -> Declared:
        return as_torch(self.cell_name, self.graph, self.layer_sizes(layer))

    def _ordinary(self, input: Tensor | PackedSequence, asked: Asked, plain: bool) -> Any:
        """torch's own kernel on other devices than the CPU and for torch's gradients of each sample, where that can do
        it."""
        given = input.data if isinstance(input, PackedSequence) else input
        elsewhere = isinstance(given, Tensor) and given.device.type != "cpu"  # what is no tensor is refused below
        if (elsewhere or per_sample(self.parameter(0))) and plain and self.native:
            return self.through_torch(input, asked.states)
        return super()._ordinary(input, asked, plain)

    @property
    def native(self) -> bool:
        return not self.beyond_torch

    @property
    def beyond_torch(self) -> list[str]:
        return super().beyond_torch + ["peephole"] * (self.cell_name == "lstm_peephole")

    def torchs_layer(self) -> nn.RNNBase:
        """torch's layer over these very parameters."""
        if "_torchs" not in self.__dict__:
            present = {name: getattr(self, name) for name in self.__dict__["arguments"]}
            self.__dict__["_torchs"] = self.twin(**present, device="meta")
        layer: nn.RNNBase = self.__dict__["_torchs"]
        layer._parameters = self._parameters
        return layer.train(self.training)

    def through_torch(self, input: Tensor | PackedSequence, states: States) -> Any:
        """The call of torch's layer, with all states in a tuple."""
        output, last = self.torchs_layer()(input, states)
        return output, last if isinstance(last, tuple) else (last,)

    def _forget_kernels(self) -> None:
        super()._forget_kernels()
        self.__dict__.pop("_torchs", None)

    @property
    def mode(self) -> str:
        """What torch.nn calls the cell: "LSTM", "GRU", "RNN_TANH" or "RNN_RELU"."""
        return f"RNN_{self.__dict__['nonlinearity'].upper()}" if self.twin is nn.RNN else self.twin.__name__

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction, as torch.nn's layers list them."""
        return [self._params(k) for k in range(len(self._names))]


class LSTM(_Compat):
    """torch.nn.LSTM, faster on the CPU, with more options.

        layer = gatework.LSTM(32, 64, num_layers=2, batch_first=True)
        output, (h, c) = layer(torch.zeros(8, 100, 32))            # (B, T, I) -> (B, T, H); states (2, B, H)
        output, (h, c) = layer(x, lengths=[100, 70, ...])          # costs what the real steps cost

    The first ten arguments, the parameters (both biases), their start, state_dict, results and errors are those of
    torch.nn.LSTM. Those that only this layer has are keywords; see `Recurrent` for the ones not named here:

        peephole       the gates see the cell (Gers & Schmidhuber 2000)

    It is no subclass of torch.nn.LSTM, whose internals (flat weights for cuDNN, TorchScript) it does not have. So code
    that asks `isinstance(module, nn.LSTM)`, to start weights for example, must ask for gatework.LSTM too, and
    torch.ao.quantization finds the layer only after `gatework.layers.to_torch(model)`. The names of parameters are the
    same: code that goes by `named_parameters()` needs no change.
    """

    twin = nn.LSTM

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        peephole: bool = False,
        **options: Unpack[Options],
    ):
        if peephole and proj_size:
            raise OptionError("there is no cell with both peephole=True and proj_size; define one with @gatework.cell")
        arguments = dict(  # noqa: C408
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            device=device,
            dtype=dtype,
        )
        cell = "lstm_peephole" if peephole else "lstm_projected" if proj_size else "lstm"
        super().__init__(cell, arguments, **options)

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        lengths: Lengths = None,
        reset: Reset = None,
        return_all: bool = False,
    ) -> Any:
        """`output, (h, c)`, as torch.nn.LSTM; keywords as `Recurrent.forward`."""
        return super().forward(input, hx, lengths=lengths, reset=reset, return_all=return_all)


class _OneState(_Compat):
    """Layers whose state is one tensor, passed and returned as it is."""

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        lengths: Lengths = None,
        reset: Reset = None,
        return_all: bool = False,
    ) -> Any:
        """`output, h`, as torch.nn's layer; keywords as `Recurrent.forward`."""
        output, (state,), *values = super().forward(input, hx, lengths=lengths, reset=reset, return_all=return_all)
        return output, state, *values


class GRU(_OneState):
    """torch.nn.GRU, faster on the CPU, with the keyword options of `LSTM` that a GRU has.

        layer = gatework.GRU(32, 64)
        output, h = layer(torch.zeros(100, 8, 32))                 # (T, B, I) -> (T, B, H); state (1, B, H)

    The gate that `forget_bias` and `chrono` start is z, which keeps the state.
    """

    twin = nn.GRU

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[Options],
    ):
        arguments = dict(  # noqa: C408
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
        )
        super().__init__("gru", arguments, **options)


class RNN(_OneState):
    """torch.nn.RNN (tanh or relu), faster on the CPU, with the keyword options of `LSTM` that it has.

    layer = gatework.RNN(32, 64, nonlinearity="relu")
    output, h = layer(torch.zeros(100, 8, 32))                 # (T, B, I) -> (T, B, H); state (1, B, H)
    """

    twin = nn.RNN

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[Options],
    ):
        arguments = dict(  # noqa: C408
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            nonlinearity=nonlinearity,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
        )
        super().__init__("rnn_relu" if nonlinearity == "relu" else "rnn", arguments, **options)
