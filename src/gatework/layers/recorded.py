"""Calls that something records in place of running them: torch.compile, torch.export, torch.onnx.export, torch.jit, and
modes that look at every operation (make_fx, FlopCounterMode). What they record must be an operation that they know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from gatework.layers import onnx
from gatework.layers.batches import Sequences
from gatework.layers.call import Asked, run, tracing, transformed
from gatework.layers.errors import LayerError

if TYPE_CHECKING:
    from gatework.layers.recurrent import Recurrent

SCRIPTS = (
    "TorchScript cannot hold our kernels: {call}(gatework.layers.to_torch(model)) takes torch.nn's layers with these "
    "weights; or use torch.export, torch.compile or gatework.save"
)


def run_recorded(layer: Recurrent, input: Sequences, asked: Asked) -> Any:
    """`call.run` where `call.traced()`."""
    if _exporting():
        return onnx.run(layer, input, asked)
    if tracing():
        raise LayerError(SCRIPTS.format(call="torch.jit.trace"))
    if torch.compiler.is_compiling() and (isinstance(input, PackedSequence) or transformed()):
        return _apart(layer, input, asked)
    return run(layer, input, asked)


# An ordinary call, between two graphs of the compiler: the sizes of packed sequences are data, for which torch.nn's
# layers leave the graph, too; and the operator does not have the rules of torch.func. Untold, the compiler would follow
# the call into our own.
_apart: Any = torch.compiler.disable(run)


def refuse_script(layer: nn.Module) -> NoReturn:
    """What torch.jit.script asks a module for, as `__prepare_scriptable__`, before it reads its code."""
    raise LayerError(SCRIPTS.format(call="torch.jit.script"))


@torch.compiler.assume_constant_result  # else the compiler takes the answer for no
def _exporting() -> bool:
    return torch.onnx.is_in_onnx_export()
