"""Between models of Keras' layers and models of gatework's: the same structure, weights, optimiser and random state."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any

import keras

from gatework.errors import OptionError
from gatework.keras import plain
from gatework.keras.graphs import binding, graph
from gatework.keras.layers import GRU, LSTM, Fused, SimpleRNN, tensor
from gatework.keras.recurrent import Recurrent as CellLayer
from gatework.layers.parameters import parameter_name
from gatework.layers.recurrent import Recurrent

NAMES = {layer.__name__: layer for layer in (LSTM, GRU, SimpleRNN)}
Change = Callable[[dict], dict]  # of the configuration of one object
CELLS = {f"{name}Cell": name for name in NAMES}
PLAIN = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)


def to_keras(model: keras.Layer) -> Any:
    """A model, or layer, with Keras' own layers in place of gatework's: Keras alone can save, load and run it.

        gatework.keras.to_keras(model).save("model.keras")

    The new model has the old one's weights, compile options, optimiser and random state; the old one stays as it is.
    Models that are subclasses of keras.Model have to describe themselves by get_config. Raises OptionError for one that
    keeps layers of gatework where its configuration does not reach, or has a `Recurrent` of a cell, or with an option,
    that Keras does not have. For other `Recurrent` the new optimiser and random state begin afresh, with a warning.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, CellLayer):
            plain.check(layer)
    return _converted(model, _plain, tuple(NAMES.values()))


def from_keras(model: keras.Layer) -> Any:
    """A model, or layer, with gatework's layers in place of Keras': the same weights and results, faster on the CPU.

        model = gatework.keras.from_keras(keras.models.load_model("model.keras"))

    The reverse of `to_keras`, with the same limits. `keras.layers.RNN` of one of Keras' cells is converted, too;
    several cells in one RNN, and subclasses of Keras' layers, stay as they are, with a warning.
    """
    new = _converted(model, _own, PLAIN)
    for layer in _recurrent(new):
        stacked = isinstance(layer.cell, keras.layers.StackedRNNCells)
        if not isinstance(layer, Fused) and (stacked or isinstance(layer, PLAIN)):
            why = "write a layer for each of its cells" if stacked else f"{type(layer).__name__} is a class of its own"
            warnings.warn(f"the layer {layer.name!r} stays as it is: {why}", stacklevel=2)
    return new


def load_model(path: str | os.PathLike[str], **options: Any) -> Any:
    """`keras.models.load_model`, with gatework's layers in the model whether Keras or gatework wrote the file.

    `model = gatework.keras.load_model("model.keras")`; `options` are those of Keras.
    """
    model: Any = keras.models.load_model(path, **options)
    return from_keras(model)


def to_torch(layer: keras.Layer) -> Recurrent:
    """A recurrent layer of Keras', or ours, as a torch module with the same step and weights, over (B, T, F).

        module = gatework.keras.to_torch(model.layers[0])
        gatework.save(module, "step.safetensors")          # for gatework.runtime.load: a stream without Keras or torch

    Masks, dropout and the direction are the caller's to add. Raises OptionError for a layer that is not built, or whose
    activation no kernel can be made of.
    """
    layer = from_keras(layer) if type(layer) in PLAIN else layer
    reason = (
        layer._reason() if isinstance(layer, Fused) else f"{type(layer).__name__} is not a recurrent layer of Keras"
    )
    if reason or not layer.built:
        raise OptionError(f"{layer.name!r} cannot become a torch module: {reason or 'build the layer first'}")
    if isinstance(layer, CellLayer):
        return _module_of_cell(layer)
    inputs, units = layer.cell.kernel.shape[0], layer.cell.units
    made, parameters = graph(layer._form()), [p.detach() for p in layer._parameters_in_order()]
    module = Recurrent(made, inputs, units, batch_first=True, dtype=parameters[0].dtype)
    weights = binding(layer, layer._form(), inputs, units).weights(parameters)
    module.load_state_dict({f"{parameter_name(made, key)}_l0": value for key, value in weights.items()})
    return module


def _module_of_cell(layer: CellLayer) -> Recurrent:
    step, weights = layer.step, {v.name: tensor(v).detach() for v in [*layer.step.ordered, *layer.step.initial]}
    data, dtype = step.graph.inputs[0].width, next(iter(weights.values())).dtype
    sizes = {name: size for name, size in step.sizes if name not in ("H", data)}
    kept = {"zoneout": step.zoneout, "learn_initial_state": step.learn_initial_state}
    module = Recurrent(
        step.graph, dict(step.sizes)[data], step.units, sizes=sizes, batch_first=True, dtype=dtype, **kept
    )
    module.load_state_dict({f"{name}_l0": value for name, value in weights.items()})
    return module


def _plain(config: dict) -> dict:
    if config.get("registered_name") in {f"gatework>{name}" for name in NAMES}:
        return {**config, "module": "keras.layers", "registered_name": None}
    return plain.configuration(config) if config.get("registered_name") == "gatework>Recurrent" else config


def _own(config: dict) -> dict:
    cell = config["config"].get("cell") if config.get("class_name") == "RNN" else None
    if isinstance(cell, dict) and cell["module"] == "keras.layers" and cell["class_name"] in CELLS:
        inner = {**cell["config"], **{key: value for key, value in config["config"].items() if key != "cell"}}
        config = {**config, "class_name": CELLS[cell["class_name"]], "config": inner}
    if config.get("module") == "keras.layers" and config.get("class_name") in NAMES and not config["registered_name"]:
        layer = NAMES[config["class_name"]]
        return {**config, "module": layer.__module__, "registered_name": f"gatework>{layer.__name__}"}
    return config


def _converted(model: keras.Layer, change: Change, old: tuple[type, ...]) -> Any:
    config = _changed(keras.saving.serialize_keras_object(model), change)
    new = keras.saving.deserialize_keras_object(config)
    left = [layer.name for layer in new._flatten_layers() if type(layer) in old]
    if left:
        raise OptionError(
            f"the layer {left[0]!r} of {model.name!r} is made inside {type(model).__name__}, where its configuration "
            "does not reach; change the import there and load the weights: save_weights and load_weights fit both ways"
        )
    _copy(model, new)
    return new


def _changed(config: Any, change: Change) -> Any:
    """A configuration with `change` applied to every object in it."""
    if isinstance(config, dict):
        inner = {key: _changed(value, change) for key, value in config.items()}
        return change(inner) if "class_name" in inner else inner
    return type(config)(_changed(item, change) for item in config) if isinstance(config, (list, tuple)) else config


def _copy(old: keras.Layer, new: keras.Layer) -> None:
    """Weights, random states, and what an optimiser remembers."""
    if old.built and not new.built:
        new.build_from_config(old.get_build_config())
    pairs = zip(_recurrent(old), _recurrent(new), strict=True)
    changed = [(a, b) for a, b in pairs if isinstance(a, CellLayer) and not isinstance(b, CellLayer) and a.built]
    for a, b in changed:
        plain.assign(a, b)
    skip = {id(v) for pair in changed for layer in pair for v in layer.variables}
    for a, b in zip(_variables(old, skip), _variables(new, skip), strict=True):
        b.assign(a)
    if changed and getattr(getattr(old, "optimizer", None), "built", False):
        warnings.warn("what the optimiser remembers does not fit the new weights: it begins afresh", stacklevel=5)


def _recurrent(model: keras.Layer) -> list[Any]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]


def _variables(model: keras.Layer, skip: Collection[int]) -> Iterator[Any]:
    yield from (v for v in model.variables if id(v) not in skip)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and model.built and not skip:
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        yield from optimizer.variables
