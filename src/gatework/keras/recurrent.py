"""`Recurrent`: a Keras layer for any cell, also one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any
from weakref import WeakKeyDictionary

import keras
import torch
from torch import Tensor

from gatework import cells
from gatework.backends import reference
from gatework.compiler import params, serial, wrappers
from gatework.compiler.carry import gates
from gatework.compiler.edit import without_bias
from gatework.compiler.ir import Graph
from gatework.compiler.lang import Cell
from gatework.compiler.wrappers import recurrent_dropout, zoneout
from gatework.errors import OptionError
from gatework.keras.layers import Fused, Mask, States, registered, tensor
from gatework.keras.loop import Call, inside
from gatework.layers.binding import Binding
from gatework.layers.init import gate_biases
from gatework.layers.options import check_gate_biases, finite, rates
from gatework.layers.parameters import parameter_name, separate
from gatework.layers.variants import fixed

_bindings: WeakKeyDictionary[Any, dict[tuple, Binding]] = WeakKeyDictionary()  # their memory goes with the layer


def bound(step: RecurrentCell, masked: bool) -> Binding:
    """The cell with its sizes, over one parameter for each weight; with the masks of training if `masked`."""
    own, sizes = _bindings.setdefault(step, {}), dict(step.sizes)
    if (masked, step.sizes) not in own:
        made = recurrent_dropout(step.graph, per="state") if masked and step.recurrent_dropout else step.graph
        made = zoneout(made, states=tuple(step.zoneout)) if step.zoneout else made
        made = made if masked else fixed(made, {f"zoneout_{state}": rate for state, rate in step.zoneout.items()})
        own[masked, step.sizes] = Binding(made, sizes, separate(step.graph, sizes), step.recompute)
    return own[masked, step.sizes]


def graph_of(cell: str | Cell | Graph) -> Graph:
    """The graph of a cell, a name, or the JSON text of a graph, which files of models hold."""
    if isinstance(cell, str) and cell.startswith("{"):
        return serial.from_json(cell)
    return cell if isinstance(cell, Graph) else cells.get(cell).graph


@registered
class RecurrentCell(keras.layers.Layer):
    """One step of any cell, as `keras.layers.RNN` takes it: the weights of `Recurrent`, and its slow way.

    `output, states = gatework.keras.Recurrent("mgu", 64).cell(x, states)` maps (B, F) and states (B, u) to (B, u).
    """

    def __init__(
        self,
        cell: str | Cell | Graph,
        units: int,
        sizes: Mapping[str, int] | None = None,
        use_bias: bool = True,
        kernel_initializer: object = "glorot_uniform",
        recurrent_initializer: object = "orthogonal",
        bias_initializer: object = "zeros",
        kernel_regularizer: object = None,
        recurrent_regularizer: object = None,
        bias_regularizer: object = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        layer_norm: bool | Mapping[str, Any] = False,
        zoneout: float | Mapping[str, float] = 0.0,
        learn_initial_state: bool = False,
        forget_bias: float | None = None,
        chrono: int | None = None,
        recompute: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units, self.use_bias, self.seed = units, use_bias, seed
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.layer_norm, self.learn_initial_state, self.recompute = layer_norm, learn_initial_state, recompute
        self.forget_bias, self.chrono, self.given_graph = forget_bias, chrono, graph_of(cell)
        self.graph = self.given_graph if use_bias else without_bias(self.given_graph)
        if layer_norm is not False:
            self.graph = wrappers.layer_norm(self.graph, **({} if layer_norm is True else layer_norm))
        self.__dict__["zoneout"] = rates(self, "zoneout", zoneout)  # Keras would track a mapping as a layer's state
        check_gate_biases(self.graph, use_bias, finite(self, "forget_bias", forget_bias), chrono)
        self.given_sizes = {"H": units, **(sizes or {})}
        check(self.graph, units, self.given_sizes, {"dropout": dropout, "recurrent_dropout": recurrent_dropout})
        self.initializers = [
            keras.initializers.get(i) for i in (kernel_initializer, recurrent_initializer, bias_initializer)
        ]
        self.regularizers = [
            keras.regularizers.get(r) for r in (kernel_regularizer, recurrent_regularizer, bias_regularizer)
        ]
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.state_size = [params.size(self.given_sizes, s.width) for s in self.graph.states]
        self.output_size = self.state_size[0]
        self.__dict__["drops"] = None  # masks of states, while a layer's loop runs in training

    @property
    def sizes(self) -> tuple[tuple[str, int], ...]:
        """Every width as a number, once the input's is known."""
        return tuple(sorted(self.given_sizes.items()))

    def build(self, input_shape: Sequence[int]) -> None:
        self.given_sizes = {**self.given_sizes, self.graph.inputs[0].width: int(input_shape[-1])}
        vectors, starts = {v.name: v.start for v in self.graph.vectors}, self.starts()
        onto_states, self.ordered = params.state_matrices(self.graph), []
        for number, (key, shape) in enumerate(params.shapes(self.graph, dict(self.sizes)).items()):
            kind = 2 if key.endswith(".bias") else 1 if key in onto_states else 0
            first = keras.initializers.Constant(starts[key]) if key in starts else self.initializer(kind, number)
            regularizer = None if key in vectors else self.regularizers[kind]
            name = parameter_name(self.graph, key)
            self.ordered.append(self.add_weight(shape=shape, name=name, initializer=first, regularizer=regularizer))
        learned = zip(self.graph.states, self.state_size, strict=True) if self.learn_initial_state else ()
        self.initial = [
            self.add_weight(shape=(w,), name=f"initial_{s.name}", initializer=keras.initializers.Constant(s.start))
            for s, w in learned
        ]
        self.built = True

    def starts(self) -> dict[str, Any]:
        """What weights are before training, by key, where no initializer draws them: vectors, and biases of gates."""
        found: dict[str, Any] = {v.name: v.start for v in self.graph.vectors}
        if self.forget_bias is None and self.chrono is None:
            return found
        for state, gate in gates(self.graph).items():
            units = params.size(self.given_sizes, self.graph.state(state).width)
            found |= {k: v.numpy() for k, v in gate_biases(gate, units, self.forget_bias, self.chrono).items()}
        return found

    def initializer(self, kind: int, number: int) -> Any:
        """What draws weight `number`; the blocks of heads are drawn one by one."""

        def drawn(shape: Sequence[int], dtype: str | None = None) -> Any:
            if len(shape) < 3:
                return self.fresh(kind, number)(shape, dtype=dtype)
            blocks = [self.fresh(kind, number + 1000 * k)(shape[1:], dtype=dtype) for k in range(shape[0])]
            return keras.ops.stack(blocks)

        return drawn

    def fresh(self, kind: int, number: int) -> Any:
        """An initializer of its own for each weight: one of Keras' gives the same numbers at every call."""
        made: Any = self.initializers[kind]
        config = made.get_config() if isinstance(made, keras.initializers.Initializer) else {}
        if "seed" not in config:
            return made
        seed = config["seed"] + number if isinstance(config["seed"], int) else config["seed"]
        return type(made).from_config({**config, "seed": seed})

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        sized = zip(self.graph.states, self.state_size, strict=True)
        if self.learn_initial_state:
            learned = zip(self.initial, self.state_size, strict=True)
            return [keras.ops.broadcast_to(tensor(first), (batch_size, w)) for first, w in learned]
        return [keras.ops.full((batch_size, w), s.start, dtype=self.compute_dtype) for s, w in sized]

    def call(self, inputs: Tensor, states: Sequence[Tensor]) -> tuple[Any, list[Any]]:
        """One step by the reference interpreter."""
        dtype = inside(inputs.dtype)
        names = [s.name for s in self.graph.states]
        start = {n: s.to(dtype) for n, s in zip(names, states, strict=True)}
        made = bound(self, self.drops is not None)
        weights = made.weights(self.parameters_in_order(dtype))
        given = {self.graph.inputs[0].name: inputs.to(dtype)[None], **(self.drops or {})}
        given |= {name: self.kept(name, len(inputs)).to(dtype)[None] for name in made.steps[1:]}
        final = reference.run(made.graph, made.sizes, given, start, weights).final
        found = [final[n].to(inputs.dtype) for n in names]
        return found[0], found

    def parameters_in_order(self, dtype: torch.dtype) -> list[Tensor]:
        return [tensor(w).to(dtype) for w in self.ordered]

    def masks(self, rows: Tensor) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Masks of dropout for a call: (B, F) of the inputs or None, and those of the states by name."""
        made, widths = bound(self, True), dict(self.sizes)
        drops = [i for i in made.graph.inputs if i.name.startswith("drop_")] if self.recurrent_dropout else []
        inputs = self.mask(rows, rows.shape[1], self.dropout) if self.dropout else None
        return inputs, {i.name: self.mask(rows, params.size(widths, i.width), self.recurrent_dropout) for i in drops}

    def mask(self, like: Tensor, width: int, rate: float) -> Tensor:
        ones = torch.ones(like.shape[0], width, dtype=like.dtype, device=like.device)
        return keras.random.dropout(ones, rate, seed=self.seed_generator)  # type: ignore[return-value]

    def kept(self, name: str, rows: int) -> Tensor:
        """Fresh masks of zoneout, (rows, w): 1 where a unit keeps its old value."""
        state = name.removeprefix("zoneout_")
        width = params.size(self.given_sizes, self.graph.state(state).width)
        return tensor(keras.random.uniform((rows, width), seed=self.seed_generator)).lt(self.zoneout[state])

    def get_config(self) -> dict[str, Any]:
        serialized = [keras.initializers.serialize(i) for i in self.initializers]
        kernel, recurrent, bias = [keras.regularizers.serialize(r) if r else None for r in self.regularizers]
        return {
            **super().get_config(),
            "cell": serial.to_json(self.given_graph),
            "units": self.units,
            "sizes": {k: v for k, v in self.sizes if k not in ("H", self.graph.inputs[0].width)},
            "use_bias": self.use_bias,
            "kernel_initializer": serialized[0],
            "recurrent_initializer": serialized[1],
            "bias_initializer": serialized[2],
            "kernel_regularizer": kernel,
            "recurrent_regularizer": recurrent,
            "bias_regularizer": bias,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
            "layer_norm": self.layer_norm,
            "zoneout": dict(self.zoneout),
            "learn_initial_state": self.learn_initial_state,
            "forget_bias": self.forget_bias,
            "chrono": self.chrono,
            "recompute": self.recompute,
        }


def check(graph: Graph, units: int, sizes: Mapping[str, int], rates: Mapping[str, float]) -> None:
    """Refuse what a Keras layer cannot be made of."""
    if len(graph.inputs) > 1:
        others = [i.name for i in graph.inputs[1:]]
        masks = all(name.startswith(("zoneout_", "drop_")) for name in others)
        advice = "give the layer the cell as it was, with zoneout or recurrent_dropout" if masks else ""
        raise OptionError(
            f"a Keras layer reads one input, but {graph.name} reads {', '.join(others)} too; "
            f"{advice or 'gatework.Recurrent takes those'}"
        )
    params.check_sizes(graph, sizes)
    if sizes["H"] != units:
        raise OptionError(f"H is units={units!r}, but sizes says {sizes['H']!r}; leave it out there")
    for name, rate in rates.items():
        if not isinstance(rate, Real) or not 0 <= rate < 1:
            raise OptionError(f"{name} is a rate from 0 to below 1; got {rate!r}")


@registered
class Recurrent(Fused):
    """A Keras layer of any cell: `gatework.keras.Recurrent(my_cell, 64)` maps (B, T, F) to (B, 64).

        layer = gatework.keras.Recurrent("slstm", 64, sizes={"heads": 4}, return_sequences=True)
        model = keras.Sequential([layer, keras.layers.Dense(3)])

    Arguments
        cell            a cell, its name, or a graph; it reads one input
        units           H, units of the states
        sizes           numbers for the cell's other width symbols, and {"heads": n}
        use_bias        False: the maps have no bias
        kernel_initializer, recurrent_initializer, bias_initializer   of the matrices that multiply inputs, of those
                        that multiply states, and of biases; learned vectors begin where the cell says
        kernel_regularizer, recurrent_regularizer, bias_regularizer   of the same
        dropout         rate of dropout of the inputs, one mask a call
        recurrent_dropout  rate of variational dropout of the states, one mask a call and state
        seed            of the masks
        layer_norm, zoneout, learn_initial_state, forget_bias, chrono, recompute   as in gatework.Recurrent
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask   as in keras.layers.RNN

    The weights are one matrix (u, F) or (u, u) for each map and operand, `weight_f_x`, and `bias_f`: those of
    `gatework.Recurrent`. Saved models hold the cell's equations, so they load where its function is not defined. Of
    masks, with holes or without, only the steps that count run. Keras' own cells (keras.layers.LSTMCell, GRUCell,
    SimpleRNNCell) serve within keras.layers.RNN; there is nothing to gain for single steps. Raises OptionError for a
    cell of several inputs, and for sizes and rates that do not fit.
    """

    def __init__(
        self,
        cell: str | Cell | Graph,
        units: int,
        sizes: Mapping[str, int] | None = None,
        use_bias: bool = True,
        kernel_initializer: object = "glorot_uniform",
        recurrent_initializer: object = "orthogonal",
        bias_initializer: object = "zeros",
        kernel_regularizer: object = None,
        recurrent_regularizer: object = None,
        bias_regularizer: object = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        layer_norm: bool | Mapping[str, Any] = False,
        zoneout: float | Mapping[str, float] = 0.0,
        learn_initial_state: bool = False,
        forget_bias: float | None = None,
        chrono: int | None = None,
        recompute: bool = False,
        **kwargs: Any,
    ):
        if learn_initial_state and stateful:
            raise OptionError("a stateful layer begins where it ended, so learn_initial_state would do nothing")
        initializers = (kernel_initializer, recurrent_initializer, bias_initializer)
        regularizers = (kernel_regularizer, recurrent_regularizer, bias_regularizer)
        masks = (dropout, recurrent_dropout, seed)
        more = (layer_norm, zoneout, learn_initial_state, forget_bias, chrono, recompute)
        kept = {"dtype": kwargs.get("dtype"), "trainable": kwargs.get("trainable", True)}
        step = RecurrentCell(cell, units, sizes, use_bias, *initializers, *regularizers, *masks, *more, **kept)
        super().__init__(
            step,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            zero_output_for_mask=zero_output_for_mask,
            **kwargs,
        )
        self.input_spec = [keras.InputSpec(ndim=3)]

    @property
    def step(self) -> RecurrentCell:
        """The cell that holds the weights."""
        return self.cell

    def own_loop(self, sequences: Tensor, initial_state: States, mask: Mask, training: bool) -> Any:
        """Keras' loop over the reference's step, with the masks of one call."""
        sequences, drops = self.dropped(sequences, training)
        self.step.__dict__["drops"] = drops
        try:
            return super().own_loop(sequences, initial_state, mask, training)
        finally:
            self.step.__dict__["drops"] = None

    def dropped(self, inputs: Tensor, training: bool) -> tuple[Tensor, dict[str, Tensor] | None]:
        """The inputs of a call, and the masks of its states; None where nothing is masked."""
        if not training or not (self.step.dropout or self.step.recurrent_dropout or self.step.zoneout):
            return inputs, None
        of_inputs, of_states = self.step.masks(inputs[:, 0, :])
        return (inputs if of_inputs is None else inputs * of_inputs.unsqueeze(1)), of_states

    def reset_state(self) -> None:
        """The states of a stateful layer begin anew, as the cell says."""
        for variable, state in zip(self.states or [], self.step.graph.states, strict=False):
            variable.assign(keras.ops.full_like(variable.value, state.start))

    def described(self) -> str:
        dtype = inside(tensor(self.step.ordered[0]).dtype)
        return bound(self.step, False).program(dtype).describe()

    def reason_of_form(self) -> str:
        return ""

    def _prepared(self, inputs: Tensor, states: Sequence[Tensor], training: bool) -> tuple[Call, Tensor]:
        step, dtype = self.step, inside(inputs.dtype)
        inputs, drops = self.dropped(inputs.to(dtype), training)
        made = bound(step, drops is not None)
        starts = [(s.clone() if self.stateful else s).to(dtype) for s in states]
        call = Call(
            made,
            starts,
            {n: d.to(dtype) for n, d in (drops or {}).items()},
            step.parameters_in_order(dtype),
            self.go_backwards,
            self.return_sequences,
            self.zero_output_for_mask,
            lambda name, rows: step.kept(name, rows).to(dtype),
        )
        return call, inputs

    def get_config(self) -> dict[str, Any]:
        base = super().get_config()
        del base["cell"]
        own = {k: v for k, v in self.step.get_config().items() if k not in ("name", "dtype", "trainable")}
        return {**base, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: object = None) -> Recurrent:
        return cls(**config)
