"""`Recurrent`: any cell as a layer over sequences, stacked and in both directions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Never

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from gatework import cells
from gatework.compiler import params, wrappers
from gatework.compiler.edit import without_bias
from gatework.compiler.ir import Graph
from gatework.compiler.lang import Cell
from gatework.errors import OptionError
from gatework.layers import init, options, variants
from gatework.layers.batches import Lengths
from gatework.layers.binding import Binding, to_numpy
from gatework.layers.call import Asked, Reset, States, describe, products, run, traced
from gatework.layers.options import OPTIONS
from gatework.layers.parameters import Declared, separate
from gatework.layers.quick import quick
from gatework.layers.recorded import refuse_script, run_recorded
from gatework.layers.stack import stacked
from gatework.runtime.memory import Recent

MADE_ANEW = ("_bindings", "_stacks", "_torchs")  # machine code and memory, which no copy of a layer holds


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
        precision       "bf16": in training, products read bfloat16 and sum in float32; inputs, states, outputs,
                        parameters and gradients stay float32. Evaluation is as without
        forget_bias     what the biases of the gate that keeps the state add up to at the start (Gers et al. 2000;
                        Jozefowicz et al., ICML 2015, use 1)
        chrono          the longest dependency in steps: biases start so that units forget over 1 to `chrono` steps
                        (Tallec & Ollivier, ICLR 2018); for every cell with a sigmoid gate that keeps a state
        device, dtype   of the parameters: float32 and float64 run as they are, narrower types in float32. Under
                        torch.autocast("cpu", torch.bfloat16) products read bfloat16, and outputs and last states are
                        bfloat16, as those of torch.nn.LSTM

    Raises OptionError for options that do not fit the cell.
    """

    empty_sequences = True  # may there be no steps at all? torch.nn's layers refuse that
    __prepare_scriptable__ = refuse_script

    def __init__(
        self,
        cell: str | Cell | Graph,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        sizes: Mapping[str, int] | None = None,
        recurrent_dropout: float = 0.0,
        recurrent_dropout_per: str = "state",
        weight_drop: float = 0.0,
        zoneout: float | Mapping[str, float] = 0.0,
        layer_norm: bool | Mapping[str, Any] = False,
        learn_initial_state: bool = False,
        recompute: bool = False,
        precision: str | None = None,
        forget_bias: float | None = None,
        chrono: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **unknown: Never,
    ):
        super().__init__()
        options.refuse_unknown(self, unknown)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.recurrent_dropout, self.recurrent_dropout_per = recurrent_dropout, recurrent_dropout_per
        self.weight_drop = weight_drop
        self.layer_norm, self.learn_initial_state = layer_norm, learn_initial_state
        self.recompute, self.precision = recompute, precision
        self.forget_bias, self.chrono = forget_bias, chrono
        self.graph = self._normalised(cell if isinstance(cell, Graph) else cells.get(cell).graph)
        self.zoneout = options.rates(self, "zoneout", zoneout)  # after the graph, whose states it names
        self.sizes = options.sizes(self, sizes)
        options.check_together(self)
        self._declare(device, dtype)
        self._forget_kernels()
        self.reset_parameters()

    def _normalised(self, graph: Graph) -> Graph:
        graph = graph if self.bias else without_bias(graph)
        if self.layer_norm is False:
            return graph
        return wrappers.layer_norm(graph, **({} if self.layer_norm is True else self.layer_norm))

    def __setattr__(self, name: str, value: Any) -> None:
        """An option is checked whenever it is set; one that is changed later acts from the next call on."""
        option = OPTIONS.get(name)
        if option is not None:
            value = option.check(self, name, value)
            if "_stacks" in self.__dict__:  # the layer is built
                if option.fixed and value != getattr(self, name):
                    raise OptionError(f"{name}={value!r}: a layer keeps its {name}; make a new layer with it")
                self._forget_kernels()
        super().__setattr__(name, value)

    # --- shapes and parameters ---------------------------------------------------------------------------------------

    @property
    def native(self) -> bool:
        """Can torch's own kernels compute this layer?"""
        return False

    @property
    def beyond_torch(self) -> list[str]:
        """The options in use that torch.nn's layers do not have."""
        return [name for name in options.BEYOND_TORCH if getattr(self, name) != OPTIONS[name].default]

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
        return {**self.sizes, self.graph.inputs[0].width: below}

    def suffixes(self, layer: int) -> list[str]:
        """What the names of a layer's parameters end with, for each direction."""
        return self._suffixes[layer * self.directions : (layer + 1) * self.directions]

    def all_suffixes(self) -> list[str]:
        """Those of all layers: one for each direction, counted through the layers."""
        return self._suffixes

    def _declared(self, layer: int) -> Declared:
        return separate(self.graph, self.layer_sizes(layer))

    def _declare(self, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        """Register the parameters: `_names` lists those of each direction, `_layouts` says what they are."""
        both = ("", "_reverse")[: self.directions]
        self._suffixes = [f"_l{layer}{direction}" for layer in range(self.num_layers) for direction in both]
        self._layouts = [self._declared(layer) for layer in range(self.num_layers)]
        self._names = []
        for k, suffix in enumerate(self._suffixes):
            shapes = self._layouts[k // len(both)].shapes
            self._names.append([name + suffix for name in shapes])
            for name, shape in shapes.items():
                self.register_parameter(name + suffix, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        if not self._names[0]:
            self.register_buffer("_empty", torch.empty(0, device=device, dtype=dtype), persistent=False)
        acting = params.state_matrices(self.graph)
        self._acting = [{piece.param for key in acting for piece in each.pieces[key]} for each in self._layouts]
        for suffix in self._suffixes if self.learn_initial_state else ():
            for state in self.graph.states:
                width = params.size(self.layer_sizes(0), state.width)
                start = torch.full((width,), state.start, device=device, dtype=dtype)
                self.register_parameter(f"initial_{state.name}{suffix}", nn.Parameter(start))

    def reset_parameters(self) -> None:
        """Draw matrices and biases uniformly from +-1/sqrt(H); set vectors and initial states to where they start."""
        init.reset(self)

    def flatten_parameters(self) -> None:
        """Nothing: for code written for torch.nn's layers."""

    def parameter(self, direction: int) -> Tensor:
        """One parameter of a direction, for its type and device; an empty tensor where the cell has none."""
        names = self._names[direction]
        return getattr(self, names[0] if names else "_empty")

    def _params(self, k: int) -> list[Tensor]:
        """The parameters of direction k, counted through the layers."""
        own: dict[str, Any] = self._parameters  # parametrizations (weight_norm) take some out of it
        return [own[n] if n in own else getattr(self, n) for n in self._names[k]]

    def params_of_call(self, k: int) -> list[Tensor]:
        """The parameters of direction k; in training with weight_drop, what a fresh mask leaves of those on states."""
        found = self._params(k)
        if not (self.weight_drop and self.training):
            return found
        acting = self._acting[k // self.directions]
        return [functional.dropout(p, self.weight_drop) if n in acting else p for n, p in enumerate(found)]

    def weights(self, direction: int) -> dict[str, Any]:
        """The graph's weights of a direction, counted through the layers, as numpy arrays by key ("f.0", "f.bias")."""
        arrays = [to_numpy(p) for p in self._params(direction)]
        return self.binding(direction // self.directions).weights(arrays)

    def extra_repr(self) -> str:
        said = [self.graph.name, str(self.input_size), str(self.hidden_size)]
        present = {n: (dict(self.zoneout) if n == "zoneout" else getattr(self, n)) for n in OPTIONS}
        shown = [n for n, option in OPTIONS.items() if option.shown and present[n] != option.default]
        return ", ".join(said + [f"{n}={present[n]}" for n in shown])

    # --- kernels -----------------------------------------------------------------------------------------------------

    def _forget_kernels(self) -> None:
        """After a change of what a call depends on: graph, options."""
        self._bindings: dict[tuple, Binding] = {}
        self._stacks = Recent(32, 64 << 20)
        self.state_names = tuple(s.name for s in self.graph.states)
        self.state_widths = tuple(params.size(self.layer_sizes(0), s.width) for s in self.graph.states)

    def binding(self, layer: int, reset: bool = False, return_all: bool = False) -> Binding:
        """What runs in a layer, in the present mode (training or evaluation)."""
        return self._binding(layer, self.training, reset, return_all, products(self))

    @torch.compiler.assume_constant_result
    def _binding(self, layer: int, training: bool, reset: bool, return_all: bool, precision: str | None) -> Binding:
        key = (layer > 0, training, reset, return_all, precision)
        found = self._bindings.get(key)
        if found is None:
            graph = self.graph_in_training() if training else self.graph_in_evaluation()
            graph = wrappers.reset(graph) if reset else graph
            graph = variants.exposed(graph) if return_all else graph
            sizes, declared = self.layer_sizes(layer), self._layouts[layer]
            found = self._bindings[key] = Binding(graph, sizes, declared, self.recompute, precision=precision)
        return found

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

    def describe(self) -> str:
        """Which kernel runs, and why; one line for each different layer."""
        return describe(self)

    # --- copies ------------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name not in MADE_ANEW}
        return {**kept, "zoneout": dict(self.zoneout)}  # a read-only mapping cannot be pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "zoneout": MappingProxyType(state["zoneout"])})
        self._forget_kernels()

    def __deepcopy__(self, memo: dict[int, Any]) -> Recurrent:
        """Asks for this class' state: torch forbids `__getstate__` to layers with parametrizations (weight_norm)."""
        made = memo[id(self)] = type(self).__new__(type(self))
        made.__setstate__(copy.deepcopy(Recurrent.__getstate__(self), memo))
        return made

    # --- the call ----------------------------------------------------------------------------------------------------

    def forward(
        self,
        input: Tensor | PackedSequence,
        states: States = None,
        lengths: Lengths = None,
        reset: Reset = None,
        return_all: bool = False,
        **inputs: Tensor | PackedSequence,
    ) -> Any:
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
        plain = lengths is None and reset is None and return_all is False and not inputs
        if plain and not torch.compiler.is_compiling():
            found = stacked(self, input, states) if torch.is_grad_enabled() else quick(self, input, states)
            if found is not None:
                return found
        return self._ordinary(input, Asked(states, lengths, reset, return_all, inputs), plain)

    def _ordinary(self, input: Tensor | PackedSequence, asked: Asked, plain: bool) -> Any:
        """A call that is not one for `quick` or `stacked`. `plain`: nothing is asked for beside the states."""
        return run_recorded(self, input, asked) if traced() else run(self, input, asked)

    def step(self, input: Tensor, states: States = None, **inputs: Tensor) -> Any:
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
