"""Between models of torch.nn's recurrent layers and models of gatework's: the same structure, weights and hooks."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import torch
from torch import nn
from torch.nn.utils import parametrize

from gatework import cells
from gatework.backends import layouts
from gatework.compiler.edit import is_known
from gatework.errors import OptionError
from gatework.layers.recurrent import Recurrent
from gatework.layers.steps import GRUCell, LSTMCell, RNNCell
from gatework.layers.torch_compat import GRU, LSTM, RNN

Made = Callable[[str, Any], nn.Module]  # a layer from one of another kind, which has this name in the model

SHARED = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")
STEP = ("input_size", "hidden_size", "bias")
PAIRS: tuple[tuple[type[nn.Module], type[nn.Module], tuple[str, ...]], ...] = (
    (nn.LSTM, LSTM, (*SHARED, "proj_size")),
    (nn.GRU, GRU, SHARED),
    (nn.RNN, RNN, (*SHARED, "nonlinearity")),
    (nn.LSTMCell, LSTMCell, STEP),
    (nn.GRUCell, GRUCell, STEP),
    (nn.RNNCell, RNNCell, (*STEP, "nonlinearity")),
)
LAYERS: dict[str, type[nn.RNNBase]] = {  # of torch's, for a cell of ours
    "lstm": nn.LSTM,
    "lstm_projected": nn.LSTM,
    "gru": nn.GRU,
    "rnn": nn.RNN,
    "rnn_relu": nn.RNN,
}


def from_torch(model: nn.Module) -> nn.Module:
    """A copy of a torch model whose nn.LSTM, nn.GRU, nn.RNN and their cells are gatework's, with the same weights.

    >>> model = from_torch(nn.Sequential(nn.LSTM(3, 4)))

    What the model shares, its copy shares too: tied weights, a layer in two places. Subclasses of torch's layers stay
    as they are, with a warning. Raises OptionError for layers with parametrizations (weight_norm): convert first, then
    parametrize.
    """
    return _swapped(model, {old: _twin(new, names) for old, new, names in PAIRS}, _left)


def to_torch(model: nn.Module) -> nn.Module:
    """A copy of a model with torch.nn's layers in place of gatework's, with the same weights.

    >>> model = to_torch(nn.Sequential(gatework.Recurrent("gru", 3, 4)))

    Raises OptionError, with the layer's name, for cells and options that torch.nn does not have.
    """
    return _swapped(model, {new: _twin(old, names) for old, new, names in PAIRS} | {Recurrent: _of_cell}, _refused)


def _swapped(model: nn.Module, made: Mapping[type, Made], other: Callable[[str, Any], None]) -> nn.Module:
    """The copy; `other` is told of modules that are subclasses of those in `made`."""
    if not isinstance(model, nn.Module):
        raise OptionError(f"only a torch module can be converted, not {type(model).__name__}")
    model, new = copy.deepcopy(model), {}
    for path, module in model.named_modules():
        name = path or "the layer"
        if parametrize.is_parametrized(module) and isinstance(module, tuple(made)):
            raise OptionError(
                f"{name} has parametrizations, which a layer of another kind cannot take over: convert the model "
                "first and parametrize then, or call torch.nn.utils.parametrize.remove_parametrizations"
            )
        if type(module) in made:
            new[module] = made[type(module)](name, module)
        elif isinstance(module, tuple(made)):
            other(name, module)
    for parent in list(model.modules()):
        parent._modules.update({name: new[m] for name, m in parent._modules.items() if m in new})
    return new.get(model, model)


def _left(name: str, module: nn.Module) -> None:
    if not isinstance(module, tuple(new for _, new, _ in PAIRS)):
        kind, base = type(module).__name__, type(module).__mro__[1].__name__
        warnings.warn(f"{name} stays as it is: {kind} may do something else than its base, {base}", stacklevel=4)


def _refused(name: str, layer: Recurrent) -> NoReturn:
    raise OptionError(
        f"{name}, a {type(layer).__name__} of the cell {layer.graph.name!r}, cannot become a layer of torch.nn, which "
        f"has {', '.join(LAYERS)}. torch.export, torch.compile, torch.onnx.export and gatework.save take it as it is"
    )


def _twin(kind: type[nn.Module], names: tuple[str, ...]) -> Made:
    """Makes a layer over the very parameters of its twin."""

    def made(name: str, layer: nn.Module) -> nn.Module:
        _refuse_options(name, layer)
        new = kind(**{n: getattr(layer, n) for n in names}, device="meta")
        return _taken_over(layer, new, dict(layer.named_parameters(remove_duplicate=False)))

    return made


def _of_cell(name: str, layer: Recurrent) -> nn.Module:
    """torch's layer in place of a `Recurrent`, whose weights become rows of torch's matrices."""
    _refuse_options(name, layer)
    cell = next((cell for cell in LAYERS if is_known(layer.graph, cells.get(cell).graph)), None)
    if cell is None:
        _refused(name, layer)
    more = {"lstm_projected": {"proj_size": layer.output_size}, "rnn_relu": {"nonlinearity": "relu"}}.get(cell, {})
    arguments = {n: getattr(layer, n) for n in SHARED} | {"bias": any(m.bias for m in layer.graph.maps)}
    parameters = {}
    for k, suffix in enumerate(layer.all_suffixes()):
        own = layer._params(k)
        stacked = layouts.to_torch(cell, layer.binding(k // layer.directions).weights([p.detach() for p in own]), torch)
        learns = any(p.requires_grad for p in own)
        parameters |= {n + suffix: nn.Parameter(value, requires_grad=learns) for n, value in stacked.items()}
    return _taken_over(layer, LAYERS[cell](**arguments, **more, device="meta"), parameters)


def _refuse_options(name: str, layer: object) -> None:
    own = getattr(layer, "beyond_torch", [])
    if own:
        raise OptionError(f"{name} uses what torch.nn's layers do not have ({', '.join(own)}), so it cannot become one")


def _taken_over(old: nn.Module, new: nn.Module, parameters: Mapping[str, nn.Parameter]) -> nn.Module:
    """The new layer with these parameters, and the old one's hooks and mode."""
    for name, parameter in parameters.items():
        setattr(new, name, parameter)
    new.__dict__.update({name: value for name, value in vars(old).items() if "_hook" in name})
    if isinstance(new, nn.RNNBase):
        new.flatten_parameters()
    return new.train(old.training)
