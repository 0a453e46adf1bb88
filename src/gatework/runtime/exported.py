"""Exported models: a trained run as data alone, and the file that holds it.

The file is safetensors. Its metadata say the kind of answer and its settings, the nets, and what stands in each stack;
its tensors are arrays ("array/NAME"), stacks ("stack/K/...") and texts such as vocabularies ("text/NAME", as bytes).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gatework.errors import FileFormatError
from gatework.runtime import saved
from gatework.runtime.net.graph import Net, decode
from gatework.runtime.net.run import Bound
from gatework.runtime.saved import Layer

VERSION = 2
MOST_NETS, MOST_STACKS = 16, 64
KEYS = {"version", "kind", "settings", "nets", "stacks", "about"}


@dataclass(frozen=True)
class Exported:
    """A trained model as data.

    Args:
        kind: of answer, a name of `gatework.runtime.answers`.
        settings: JSON-able; what that kind needs beside nets and texts.
        nets: by name, such as "whole" and "step"; they share `arrays` and `stacks`.
        texts: vocabularies and the like, by name.
        about: what a person is told: where it comes from, what it answers.
    """

    kind: str
    settings: dict[str, Any]
    nets: dict[str, Net] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    stacks: list[list[Layer]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def with_weights(self, kind: str | None) -> Exported:
        """The same model with recurrent matrices that are "float32", "bf16" or "int8"; None: as they are."""
        return replace(self, stacks=[[layer.with_weights(kind) for layer in stack] for stack in self.stacks])

    def bound(self, name: str) -> Bound:
        """A net with its weights."""
        return Bound(self.nets[name], self.arrays, self.stacks)


def write(model: Exported, path: str | os.PathLike[str]) -> None:
    """Write a model for `gatework.runtime.load`; the file replaces an older one only when it is complete."""
    tensors = {f"array/{name}": np.ascontiguousarray(array) for name, array in model.arrays.items()}
    tensors |= {f"text/{name}": np.frombuffer(text.encode(), np.uint8) for name, text in model.texts.items()}
    stacks = []
    for number, layers in enumerate(model.stacks):
        said, found = saved.described(layers, f"stack/{number}/")
        stacks.append({"dtype": layers[0].dtype, "layers": said})
        tensors |= found
    nets = {name: net.encode() for name, net in model.nets.items()}
    about = {"version": VERSION, "kind": model.kind, "settings": model.settings, "about": model.about}
    saved.write_tensors(tensors, about | {"nets": nets, "stacks": stacks}, path)


def restored(said: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Exported:
    """The model of a file. Raises FileFormatError for what `write` did not write."""
    if set(said) != KEYS or not isinstance(said["kind"], str):
        raise FileFormatError("it does not describe a model")
    _must_be(dict, said["settings"], said["nets"], said["about"])
    _must_be(list, said["stacks"])
    if len(said["nets"]) > MOST_NETS or len(said["stacks"]) > MOST_STACKS:
        raise FileFormatError(f"a model has at most {MOST_NETS} nets and {MOST_STACKS} stacks")
    stacks = [saved.restored(each, tensors, f"stack/{k}/") for k, each in enumerate(said["stacks"])]
    nets = {name: decode(each) for name, each in said["nets"].items()}
    arrays = _under("array/", tensors)
    texts = {name: _text(name, array) for name, array in _under("text/", tensors).items()}
    return Exported(said["kind"], said["settings"], nets, arrays, stacks, texts, said["about"])


def _under(prefix: str, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _text(name: str, array: np.ndarray) -> str:
    if array.dtype != np.uint8:
        raise FileFormatError(f"the text {name!r:.60} is {array.dtype}")
    try:
        return array.tobytes().decode()
    except UnicodeDecodeError as error:
        raise FileFormatError(f"the text {name!r:.60} is no UTF-8: {error}") from error


def _must_be(kind: type, *values: object) -> None:
    for value in values:
        if not isinstance(value, kind):
            raise FileFormatError(f"the description of the model has {value!r:.40} in the place of a {kind.__name__}")
