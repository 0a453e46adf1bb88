"""`Recurrent`: any cell as a layer over sequences, stacked and in both directions."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from numbers import Real
from types import MappingProxyType
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from gatework import cells
from gatework.compiler import params, wrappers
from gatework.compiler.carry import gates
from gatework.compiler.ir import Graph
from gatework.compiler.lang import Cell
from gatework.errors import OptionError
from gatework.layers import init, variants
from gatework.layers.binding import Binding, to_numpy
from gatework.layers.dispatch import autocasts, describe, run
from gatework.layers.errors import LayerError
from gatework.layers.parameters import Declared, separate
from gatework.layers.quick import quick
from gatework.runtime.memory import Recent

States = Any
NORM = ("of", "over", "state", "eps")
FLAGS = ("bias", "batch_first", "bidirectional", "learn_initial_state", "recompute")
LATER = ("batch_first", "dropout", "recurrent_dropout", "recurrent_dropout_per", "weight_drop", "zoneout", "recompute")
MADE = ("_bindings", "_stacks", "_torchs")
FIXED = ("input_size", "hidden_size", "num_layers", "bias", "bidirectional", "layer_norm", "learn_initial_state")
RATES = ("dropout", "recurrent_dropout", "weight_drop")


def _rate(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:  # type: ignore[operator]
        raise OptionError(f"{name} is a probability between 0 and 1; got {value!r}")
    return float(value)


class Options(TypedDict, total=False):
    """The keyword options that every layer has; see `Recurrent`."""

    recurrent_dropout: float
    recurrent_dropout_per: str
    weight_drop: float
    zoneout: float | Mapping[str, float]
    layer_norm: bool | Mapping[str, Any]
    learn_initial_state: bool
    recompute: bool
    forget_bias: float | None
    chrono: int | None


class Recurrent(nn.Module):
    """A cell over sequences: `output, states = layer(input)`.

        layer = gatework.Recurrent("slstm", 32, 64, sizes={"heads": 4})
        output, (h, c, n, m) = layer(torch.zeros(100, 8, 32))          # (T, B, I) -> (T, B, H), states (1, B, H) each

    Arguments
        cell            a cell, its name, or a graph
        input_size      I, units of the input
        hidden_size     H, units of the states
        num_layers      layers, each of which reads the output of the one below
        bias            False: the maps have no bias
        batch_first     sequences are (B, T, I) instead of (T, B, I)
        dropout         rate of dropout between layers, fresh at each step
        bidirectional   a second copy of each layer runs from the end; outputs are joined, (T, B, 2H)
        sizes           numbers for the cell's other width symbols, and {"heads": n}
        recurrent_dropout  rate of variational dropout of the states that maps read: one mask a sequence (Gal &
                        Ghahramani, NIPS 2016), one for each state ("state") or each map ("map", as Keras) as
                        recurrent_dropout_per says
        weight_drop     rate of dropout of the matrices that multiply states, one mask a call (Merity, Keskar & Socher,
                        ICLR 2018, section 2)
        zoneout         rate at which units keep their old value, for all states or {"h": 0.05, "c": 0.5} (Krueger et
                        al., ICLR 2017); the expectation in evaluation
        layer_norm      normalise every gate over its units (Ba, Kiros & Hinton 2016); or options of
                        `compiler.wrappers.layer_norm`: {"of": "parts", "over": "all", "state": "c"}
        learn_initial_state  the states before the first step are parameters
        recompute       keep less for the backward pass, compute it again
        forget_bias     what the biases of the gate that keeps the state add up to at the start (Gers et al. 2000;
                        Jozefowicz et al., ICML 2015, use 1)
        chrono          the longest dependency in steps: biases start so that units forget over 1 to `chrono` steps
                        (Tallec & Ollivier, ICLR 2018); for every cell with a sigmoid gate that keeps a state
        device, dtype   of the parameters: float32 and float64 run as they are, narrower types in float32. Autocast does
                        not reach the recurrence: outputs have the input's type

    Raises OptionError for options that do not fit the cell.
    """

    def __init__(
        self, cell: str | Cell | Graph, input_size: int, hidden_size: int, num_layers: int = 1, *, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        sizes: Mapping[str, int] | None = None, recurrent_dropout: float = 0.0, recurrent_dropout_per: str = "state",
        weight_drop: float = 0.0, zoneout: float | Mapping[str, float] = 0.0,
        layer_norm: bool | Mapping[str, Any] = False, learn_initial_state: bool = False, recompute: bool = False,
        forget_bias: float | None = None, chrono: int | None = None, device: Any = None, dtype: Any = None,
    ):  # fmt: skip
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.recurrent_dropout, self.recurrent_dropout_per = recurrent_dropout, recurrent_dropout_per
        self.weight_drop = weight_drop
        self.layer_norm, self.learn_initial_state, self.recompute = layer_norm, learn_initial_state, recompute
        self.forget_bias, self.chrono = forget_bias, chrono
        graph = cell if isinstance(cell, Graph) else cells.get(cell).graph
        graph = graph if bias else variants.without_bias(graph)
        norm = self._norm(layer_norm)
        self.graph: Graph = graph if layer_norm is False else wrappers.layer_norm(graph, **norm)
        self.zoneout = self._rates(zoneout)
        self.sizes = {"H": hidden_size, **self._sizes(sizes)}
        self._check_options()
        self._declare(device, dtype)
        self._forget_kernels()
        self.reset_parameters()

    # --- construction ------------------------------------------------------------------------------------------------

    def _norm(self, layer_norm: Any) -> dict[str, Any]:
        """The options of `wrappers.layer_norm`."""
        if isinstance(layer_norm, bool):
            return {}
        if not isinstance(layer_norm, Mapping) or set(layer_norm) - set(NORM):
            raise OptionError(f"layer_norm is True, False or options of {', '.join(NORM)}; got {layer_norm!r}")
        return dict(layer_norm)

    def _sizes(self, given: Any) -> Mapping[str, int]:
        if given is not None and not isinstance(given, Mapping):
            raise OptionError(f'sizes gives numbers for width symbols, as in {{"heads": 4}}; got {given!r}')
        if given and given.get("H", self.hidden_size) != self.hidden_size:
            raise OptionError(f"H is hidden_size={self.hidden_size}, but sizes says {given['H']!r}; leave it out there")
        return given or {}

    def _rates(self, zoneout: float | Mapping[str, float]) -> Mapping[str, float]:
        states = [s.name for s in self.graph.states]
        rates = dict(zoneout) if isinstance(zoneout, Mapping) else dict.fromkeys(states, zoneout)
        unknown = [name for name in rates if name not in states]
        if unknown:
            raise OptionError(f"zoneout names the state {unknown[0]!r}; {self.graph.name} has {', '.join(states)}")
        wrong = [rate for rate in rates.values() if isinstance(rate, bool) or not isinstance(rate, Real)]
        if wrong:
            raise OptionError(f"zoneout is a rate between 0 and 1, or one for each state; got {zoneout!r}")
        return MappingProxyType({s: _rate(f"zoneout of {s}", rate) for s, rate in rates.items() if rate})

    def _check_options(self) -> None:
        for name in ("input_size", "hidden_size", "num_layers"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionError(f"{name} must be a whole number of at least 1; got {value!r}")
        if self.recurrent_dropout_per not in ("state", "map"):
            raise OptionError(f'recurrent_dropout_per is "state" or "map"; got {self.recurrent_dropout_per!r}')
        if self.weight_drop and not params.state_matrices(self.graph):
            raise OptionError(f"weight_drop means nothing for {self.graph.name}: no matrix multiplies a state")
        if self.forget_bias is not None and self.chrono is not None:
            raise OptionError("forget_bias and chrono both set the forget gate's bias; choose one of them")
        bias = self.forget_bias
        if bias is not None and (not isinstance(bias, Real) or not math.isfinite(bias)):
            raise OptionError(f"forget_bias is a finite number, as 1.0; got {bias!r}")
        if (bias is not None or self.chrono is not None) and not gates(self.graph):
            why = "has no sigmoid gate that keeps a state" if self.bias else "has bias=False"
            raise OptionError(f"forget_bias and chrono set a gate's bias, but {self.graph.name} {why}; leave them away")
        params.check_sizes(self.graph, self.sizes)
        deep = self.num_layers > 1 and any(i.width == self._data.width for i in self.graph.inputs[1:])
        if deep and self.input_size != self.output_size * self.directions:
            raise OptionError(
                f"{self.graph.name} has inputs as wide as {self._data.name}, which a second layer cannot read; "
                "stack layers by hand, or choose input_size equal to the output's width"
            )

    @property
    def _data(self) -> Any:
        return self.graph.inputs[0]

    @property
    def directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Units of the output of one direction."""
        return params.size(self.sizes, self.graph.states[0].width)

    def layer_sizes(self, layer: int) -> dict[str, int]:
        """Every width of a layer as a number."""
        below = self.input_size if layer == 0 else self.output_size * self.directions
        return {**self.sizes, self._data.width: below}

    def _declared(self, layer: int) -> Declared:
        return separate(self.graph, self.layer_sizes(layer))

    def _declare(self, device: Any, dtype: Any) -> None:
        self._names: list[list[str]] = []
        self._layouts = [self._declared(layer) for layer in range(self.num_layers)]
        acting = params.state_matrices(self.graph)
        self._acting = [{piece.param for key in acting for piece in each.pieces[key]} for each in self._layouts]
        for layer in range(self.num_layers):
            for suffix in self.suffixes(layer):
                shapes = self._layouts[layer].shapes
                self._names.append([name + suffix for name in shapes])
                for name, shape in shapes.items():
                    self.register_parameter(name + suffix, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        for suffix in self.all_suffixes() if self.learn_initial_state else ():
            for state in self.graph.states:
                start = torch.full(
                    (params.size(self.layer_sizes(0), state.width),), state.start, device=device, dtype=dtype
                )
                self.register_parameter(f"initial_{state.name}{suffix}", nn.Parameter(start))

    def suffixes(self, layer: int) -> list[str]:
        """What the names of a layer's parameters end with, for each direction."""
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.directions]

    def all_suffixes(self) -> list[str]:
        return [suffix for layer in range(self.num_layers) for suffix in self.suffixes(layer)]

    def reset_parameters(self) -> None:
        """Draw matrices and biases uniformly from +-1/sqrt(H); set vectors and initial states to where they start."""
        starts = {v.name: v.start for v in self.graph.vectors}
        for names, suffix in zip(self._names, self.all_suffixes(), strict=True):
            plain = [getattr(self, n) for n in names if n.removesuffix(suffix) not in starts]
            init.uniform(plain, self.hidden_size)
            for vector, start in starts.items():
                nn.init.constant_(getattr(self, vector + suffix), start)
            for state in self.graph.states if self.learn_initial_state else ():
                nn.init.constant_(getattr(self, f"initial_{state.name}{suffix}"), state.start)
        if self.forget_bias is not None or self.chrono is not None:
            for suffix in self.all_suffixes():
                self._start_gates(suffix)

    def _start_gates(self, suffix: str) -> None:
        """The biases that forget_bias or chrono ask for; where a gate has two, the second becomes 0."""
        declared = self._layouts[0]
        for state, gate in gates(self.graph).items():
            units = params.size(self.layer_sizes(0), self.graph.state(state).width)
            for key, values in init.gate_biases(gate, units, self.forget_bias, self.chrono).items():
                for number, piece in enumerate(declared.pieces[key]):
                    bias = piece.of([getattr(self, name + suffix) for name in declared.shapes])
                    with torch.no_grad():
                        bias[:] = 0 if number else values

    def flatten_parameters(self) -> None:
        """Nothing: for code written for torch.nn's layers."""

    # --- kernels -----------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        """An option that is changed later acts from the next call on; the layer's shape is not one."""
        if name in FLAGS and value not in (True, False):
            raise OptionError(f"{name} is True or False; got {value!r}")
        if name in FIXED and "_stacks" in self.__dict__ and value != getattr(self, name):
            raise OptionError(f"{name}={value!r}: a layer keeps its {name}; make a new layer with it")
        if name in LATER and "_stacks" in self.__dict__:
            value = self._rates(value) if name == "zoneout" else value
            self._forget_kernels()
        value = _rate(name, value) if name in RATES else value
        super().__setattr__(name, value)

    def _forget_kernels(self) -> None:
        self._bindings: dict[tuple, Binding] = {}
        self._stacks = Recent(32, 64 << 20)

    def __getstate__(self) -> dict[str, Any]:
        return self._kept()

    def _kept(self) -> dict[str, Any]:
        """What a copy of the layer is made from: all but what is made anew when it is needed."""
        kept = {name: value for name, value in self.__dict__.items() if name not in MADE}
        return {**kept, "zoneout": dict(self.zoneout)}

    def __deepcopy__(self, memo: dict[int, Any]) -> Recurrent:
        """Not by way of `__getstate__`, which torch forbids to layers with parametrizations (weight_norm)."""
        made = memo[id(self)] = type(self).__new__(type(self))
        made.__setstate__(copy.deepcopy(self._kept(), memo))
        return made

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "zoneout": MappingProxyType(state["zoneout"])})
        self._forget_kernels()

    def binding(self, layer: int, reset: bool = False, every: bool = False) -> Binding:
        """What runs in a layer, in the present mode (training or evaluation)."""
        return self._binding(layer, self.training, reset, every)

    @torch.compiler.assume_constant_result
    def _binding(self, layer: int, training: bool, reset: bool, every: bool) -> Binding:
        key = (layer > 0, training, reset, every)
        found = self._bindings.get(key)
        if found is None:
            graph, sizes = self._variant(training, reset, every), self.layer_sizes(layer)
            found = self._bindings[key] = Binding(graph, sizes, self._layouts[layer], self.recompute)
        return found

    def _variant(self, training: bool, reset: bool, every: bool) -> Graph:
        graph = self.graph_in_training() if training else self.graph_in_evaluation()
        graph = wrappers.reset(graph) if reset else graph
        return variants.exposed(graph) if every else graph

    def graph_in_training(self) -> Graph:
        """The cell with its masks as inputs."""
        graph = self.graph
        if self.recurrent_dropout:
            graph = wrappers.recurrent_dropout(graph, per=self.recurrent_dropout_per)
        return wrappers.zoneout(graph, states=tuple(self.zoneout)) if self.zoneout else graph

    def graph_in_evaluation(self) -> Graph:
        """The cell without masks; where zoneout would keep a value, the expectation."""
        if not self.zoneout:
            return self.graph
        rates = {f"zoneout_{state}": rate for state, rate in self.zoneout.items()}
        return variants.fixed(wrappers.zoneout(self.graph, states=tuple(self.zoneout)), rates)

    def weights(self, direction: int) -> dict[str, Any]:
        """The graph's weights of a direction, counted through the layers, as numpy arrays by key ("f.0", "f.bias")."""
        arrays = [to_numpy(p) for p in self._params(direction)]
        return self.binding(direction // self.directions).weights(arrays)

    def describe(self) -> str:
        """Which kernel runs, and why; one line for each different layer."""
        return describe(self)

    # --- the call ----------------------------------------------------------------------------------------------------

    def forward(
        self, input: Tensor | PackedSequence, states: States = None, *, lengths: Any = None, reset: Any = None,
        return_all: bool = False, **inputs: Any,
    ) -> Any:  # fmt: skip
        """Run over sequences: (T, B, I) to (T, B, H * directions), and the last states (layers * directions, B, H).

        Arguments
            input       (T, B, I), (B, T, I) if batch_first, (T, I) for one sequence, or a PackedSequence
            states      the states before the first step, as they are returned; a tuple in the cell's order, or by name
            lengths     (B,) steps of each sequence; outputs beyond are zero, states are those of the last real step
            reset       (T, B) as the input lies: where true, the states start afresh at this step from the cell's or
                        the learned start. Segments are independent in both directions: the backward one starts afresh
                        where it leaves a segment for the one before
            return_all  a third result: every state and gate, {"f_l0": (T, B, H), ...}
            inputs      the cell's other inputs by name: each step's laid out as the input, each sequence's (B, w)

        Raises LayerError (a ValueError and RuntimeError) for shapes and values that do not fit.
        """
        if lengths is None and reset is None and not return_all and not inputs and not torch.compiler.is_compiling():
            found = quick(self, input, states)
            if found is not None:
                return found
        return run(self, input, states, lengths, reset, return_all, inputs)

    def step(self, input: Tensor, states: States = None, **inputs: Any) -> Any:
        """One step: (B, I) to (B, H), and the states, which go into the next call.

        output, states = layer.step(x)
        output, states = layer.step(x, states)
        """
        if self.bidirectional:
            raise OptionError("a bidirectional layer reads the whole sequence; it has no single step")
        axis = 1 if self.batch_first else 0
        steps = [i.name for i in self.graph.inputs if i.per == "step"]
        inputs = {name: v.unsqueeze(axis) if name in steps else v for name, v in inputs.items()}
        output, states = self(input.unsqueeze(axis), states, **inputs)
        return output.squeeze(axis), states

    def _check_input(self, input: Any) -> None:
        """The errors of torch.nn's layers."""
        if not isinstance(input, (Tensor, PackedSequence)):
            raise LayerError(
                f"input must be a tensor or PackedSequence, not {type(input).__name__}: torch.as_tensor(x)"
            )
        data = input.data if isinstance(input, PackedSequence) else input
        if data.is_nested or data.layout is not torch.strided:
            kind = "nested" if data.is_nested else str(data.layout).removeprefix("torch.")
            raise LayerError(f"input is a {kind} tensor; give a padded one with lengths=, or a PackedSequence")
        if not isinstance(input, PackedSequence) and data.dim() not in (2, 3):
            raise LayerError(f"{type(self).__name__}: Expected input to be 2D or 3D, got {data.dim()}D instead")
        if isinstance(input, PackedSequence) and data.dim() != 2:
            raise LayerError(f"input must have 2 dimensions, got {data.dim()}")
        dtype = self.parameter(0).dtype
        if data.dtype != dtype and not autocasts(data.device):
            model = f", or convert model: model.to({data.dtype})" if data.is_floating_point() else ""
            raise LayerError(
                f"RNN input dtype ({data.dtype}) does not match weight dtype ({dtype}). "
                f"Convert input: input.to({dtype}){model}"
            )
        if not dtype.is_floating_point:
            raise LayerError(f"there is no recurrence in {dtype}; use real numbers: float32, float64, or narrower")
        if data.shape[-1] != self.input_size:
            raise LayerError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {data.shape[-1]}"
            )

    def parameter(self, direction: int) -> Tensor:
        return getattr(self, self._names[direction][0])

    def _params(self, k: int) -> list[Tensor]:
        """The parameters of direction k, counted through the layers."""
        own = self._parameters
        return [own[n] if n in own else getattr(self, n) for n in self._names[k]]  # type: ignore[misc]

    def params_of_call(self, k: int) -> list[Tensor]:
        """The parameters of direction k; in training with weight_drop, what a fresh mask leaves of those on states."""
        found = self._params(k)
        if not (self.weight_drop and self.training):
            return found
        acting = self._acting[k // self.directions]
        return [functional.dropout(p, self.weight_drop) if n in acting else p for n, p in enumerate(found)]

    def extra_repr(self) -> str:
        said = [self.graph.name, str(self.input_size), str(self.hidden_size)]
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        defaults |= {"recurrent_dropout": 0.0, "weight_drop": 0.0, "zoneout": {}}
        defaults |= {"layer_norm": False, "learn_initial_state": False}
        present = {n: getattr(self, n) for n in defaults} | {"zoneout": dict(self.zoneout)}
        return ", ".join(said + [f"{n}={present[n]}" for n, d in defaults.items() if present[n] != d])
