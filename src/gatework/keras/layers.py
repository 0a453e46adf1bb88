"""`LSTM`, `GRU` and `SimpleRNN` of Keras with another loop inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import torch
from torch import Tensor

from gatework.errors import OptionError
from gatework.keras.activations import name_of
from gatework.keras.graphs import Form, binding, masks
from gatework.keras.loop import Call, inside, loop
from gatework.layers.call import transformed

States = Tensor | Sequence[Tensor]
Mask = Tensor | Sequence[Tensor | None] | None

registered = keras.saving.register_keras_serializable("gatework")
BEYOND_KERAS = ("layer_norm", "zoneout", "learn_initial_state", "forget_bias", "chrono", "recompute")


class Fused(keras.layers.RNN):
    """What the layers share: the loop over time runs on a kernel, where there is one; the rest is Keras'."""

    kind = ""

    def __new__(cls, *args: object, **options: object) -> Any:
        more = [name for name in options if name in BEYOND_KERAS] if cls.kind else []
        if more:
            shown = ", ".join(f"{name}={options[name]!r}" for name in more)
            raise OptionError(
                f"{cls.__name__} has the arguments of Keras' layer, and {', '.join(more)} is not among them: write "
                f'gatework.keras.Recurrent("{cls.kind}", units, {shown})'
            )
        return super().__new__(cls, *args, **options)

    def inner_loop(self, sequences: Tensor, initial_state: States, mask: Mask, training: bool = False) -> Any:
        """The last output, the outputs, and the last states; Keras calls it from `call`."""
        mask = _two_axes(mask, sequences)
        if self._reason(sequences, mask):
            return self.own_loop(sequences, initial_state, mask, training)
        return self._kernels_loop(sequences, initial_state, mask, training)  # pyright: ignore[reportCallIssue] (torch types its decorator as a class)

    @torch.compiler.disable
    def _kernels_loop(self, sequences: Tensor, initial_state: States, mask: Tensor | None, training: bool) -> Any:
        """All that torch.compile need not look into."""
        states = [initial_state] if isinstance(initial_state, Tensor) else initial_state
        call, inputs = self._prepared(sequences, states, training)
        return loop(call, inputs, mask)

    def own_loop(self, sequences: Tensor, initial_state: States, mask: Mask, training: bool) -> Any:
        """Keras' loop, step by step."""
        return super().inner_loop(sequences, initial_state, mask, training)

    def describe(self) -> str:
        """What runs, and why.

        `keras_layer.describe()` -> "lstm float32, avx512: 2 threads by rows (32 rows)"
        """
        reason = self._reason()
        if reason:
            return f"Keras' own loop: {reason}"
        if not self.built:
            return "a kernel; which one is known once the layer is built"
        return self.described()

    def described(self) -> str:
        """What a built layer's kernel says of itself."""
        cell: Any = self.cell
        kernel = tensor(cell.kernel)
        return binding(self, self._form(), len(kernel), cell.units).program(inside(kernel.dtype)).describe()

    # --- what there is no kernel for ---------------------------------------------------------------------------------

    def _reason(self, inputs: Tensor | None = None, mask: Tensor | None = None) -> str:
        """Why Keras' own loop has to run; empty if a kernel can."""
        found = self.reason_of_form()
        if found:
            return found
        if torch.compiler.is_exporting() or torch._C._is_tracing() or transformed():
            return "the layer is being exported or transformed"
        if inputs is not None and inputs.device.type != "cpu":
            return f"there is no kernel for the device {inputs.device.type}"
        return "" if mask is None or mask.dim() == 2 else "the mask differs between units"

    def reason_of_form(self) -> str:
        """The same, of what the layer's arguments say."""
        cell: Any = self.cell
        for name in ("activation", "recurrent_activation"):
            function = getattr(cell, name, None)
            if name_of(function) is None:
                return f"no elementary operations of a kernel make the {name} {getattr(function, '__name__', function)}"
        for name in ("dropout", "recurrent_dropout"):
            if getattr(cell, name) == 1.0:
                return f"Keras alone knows what {name}=1 means"
        return ""

    # --- what the kernel is given ------------------------------------------------------------------------------------

    def _form(self, drop_inputs: bool = False, drop_states: bool = False) -> Form:
        cell: Any = self.cell
        kind = "gru_reset_before" if self.kind == "gru" and not cell.reset_after else self.kind
        names = (name_of(cell.activation), name_of(getattr(cell, "recurrent_activation", keras.activations.sigmoid)))
        return Form(kind, *names, bool(cell.use_bias), drop_inputs, drop_states)  # type: ignore[arg-type]

    def _parameters_in_order(self) -> list[Tensor]:
        """The binding's parameters: the kernels transposed, the rows of the bias."""
        cell: Any = self.cell
        found = [tensor(cell.kernel).t(), tensor(cell.recurrent_kernel).t()]
        if cell.use_bias:
            bias = tensor(cell.bias)
            found += bias.unbind(0) if bias.dim() == 2 else [bias]
        dtype = inside(found[0].dtype)
        return [p.to(dtype) for p in found]

    def _prepared(self, inputs: Tensor, states: Sequence[Tensor], training: bool) -> tuple[Call, Tensor]:
        """The call of a kernel, and its input."""
        parameters = self._parameters_in_order()
        dtype = parameters[0].dtype
        form, drops, inputs = self._dropped(inputs.to(dtype), states, training)
        starts = [(s.clone() if self.stateful else s).to(dtype) for s in states]
        call = Call(
            binding(self, form, parameters[0].shape[1], self.cell.units),
            starts,
            {n: d.to(dtype) for n, d in drops.items()},
            parameters,
            self.go_backwards,
            self.return_sequences,
            self.zero_output_for_mask,
        )
        return call, inputs

    def _dropped(
        self, inputs: Tensor, states: Sequence[Tensor], training: bool
    ) -> tuple[Form, dict[str, Tensor], Tensor]:
        """Keras' masks as it draws them: applied to the input where all gates share one, else for the kernel."""
        cell: Any = self.cell
        if not training or not (cell.dropout or cell.recurrent_dropout):
            return self._form(), {}, inputs
        of_inputs, of_states = cell.get_dropout_mask(inputs[:, 0, :]), cell.get_recurrent_dropout_mask(states[0])
        if isinstance(of_inputs, Tensor):
            inputs, of_inputs = inputs * of_inputs.unsqueeze(1).to(inputs.dtype), None
        form = self._form(of_inputs is not None, of_states is not None)
        drops = dict(zip(masks(form, "x"), of_inputs or [], strict=False))
        drops |= zip(masks(form, "h"), _listed(of_states), strict=False)
        return form, drops, inputs


def tensor(value: object) -> Tensor:
    return keras.ops.convert_to_tensor(value)  # type: ignore[return-value]


def _listed(found: Tensor | list[Tensor] | None) -> list[Tensor]:
    return [] if found is None else [found] if isinstance(found, Tensor) else found


def _two_axes(mask: Mask, inputs: Tensor) -> Tensor | None:
    """A mask as booleans (B, T); as it is where it has values for each unit."""
    mask = mask[0] if isinstance(mask, (list, tuple)) else mask
    if mask is None:
        return None
    mask = tensor(mask).to(torch.bool)
    mask = mask.squeeze(-1) if mask.dim() == 3 and mask.shape[-1] == 1 else mask
    return mask.expand(inputs.shape[:2]) if mask.dim() == 2 else mask


@registered
class LSTM(Fused, keras.layers.LSTM):
    """`keras.layers.LSTM`, faster: `gatework.keras.LSTM(128, return_sequences=True)` maps (B, T, F) to (B, T, 128).

    Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000. The arguments, the order of random numbers,
    the weights `kernel` (F, 4u), `recurrent_kernel` (u, 4u), `bias` (4u,) with blocks i f c o, and the results are
    those of keras.layers.LSTM. `unroll` and `use_cudnn` are accepted and make no difference to results. Of masks, with
    holes or without, only the steps that count run. Activations that no kernel can be made of (gelu, sparsemax,
    functions of one's own) run Keras' own loop; `layer.describe()` says which it is, and why.
    """

    kind = "lstm"


@registered
class GRU(Fused, keras.layers.GRU):
    """`keras.layers.GRU`, faster: `gatework.keras.GRU(64, reset_after=False)` maps (B, T, F) to (B, 64).

    Cho et al. 2014; weights `kernel` (F, 3u), `recurrent_kernel` (u, 3u), `bias` (2, 3u), or (3u,) without
    `reset_after`; blocks z r h. What is said of `LSTM` holds here too.
    """

    kind = "gru"


@registered
class SimpleRNN(Fused, keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN`, faster: `gatework.keras.SimpleRNN(32, activation="relu")` maps (B, T, F) to (B, 32).

    Elman 1990; weights `kernel` (F, u), `recurrent_kernel` (u, u), `bias` (u,). What is said of `LSTM` holds here too.
    """

    kind = "rnn"
