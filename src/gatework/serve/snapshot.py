"""All kept streams of a model as one safetensors file, and back: refuses those of another model."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from gatework.errors import FileFormatError, OptionError
from gatework.serve.places import FIRST, Arrays
from gatework.serve.streams import Streams

KEY = "gatework streams"
VERSION = 1


def snapshot(streams: Streams, model: str) -> bytes:
    """The streams that are kept: states, steps and last outputs; `model` is the hash of theirs."""
    from safetensors.numpy import save

    kept = {key: s.place for key, s in streams.sessions.items() if s.kept}
    rows, places = np.fromiter(kept.values(), np.int64, len(kept)), streams.places
    tensors = {f"state/{name}": values for name, values in places.gather(rows).items()}
    tensors |= {"places": rows, "steps": places.steps[rows]}
    tensors["keys"] = np.frombuffer(json.dumps([*kept]).encode(), np.uint8)
    if places.outputs is not None:
        tensors["outputs"] = places.outputs[rows]
    about = {"version": VERSION, "model": model, "steps": int(tensors["steps"].sum())}
    return save(tensors, {KEY: json.dumps(about)})


def restore(streams: Streams, data: bytes, model: str) -> None:
    """Make the streams what a snapshot holds; `streams` are new and have none.

    Raises OptionError for those of another model, FileFormatError for what is no snapshot.
    """
    about, tensors = _contents(data)
    if about.get("model") != model:
        raise OptionError("its streams belong to another model")
    keys = _checked(tensors, streams)
    for key, place in zip(keys, tensors["places"].tolist(), strict=True):
        streams.begin(key, streams.places.take(place))
    rows, places = tensors["places"], streams.places
    for name, values in places.states.items():
        values[rows] = tensors[f"state/{name}"]
    places.steps[rows] = tensors["steps"]
    if "outputs" in tensors:
        outputs = tensors["outputs"]
        places.outputs = np.zeros((len(places), outputs.shape[1]), outputs.dtype)
        places.outputs[rows] = outputs


def _contents(data: bytes) -> tuple[Mapping[str, object], Arrays]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        size = int.from_bytes(data[:8], "little")
        about = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][KEY])
        tensors = load(data)
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise FileFormatError("it is damaged, or no snapshot of streams") from error
    if not isinstance(about, dict) or about.get("version") != VERSION:
        raise FileFormatError(f"its version is not {VERSION}: update gatework")
    return about, tensors


def _checked(tensors: Arrays, streams: Streams) -> list[str]:
    """The keys, if all tensors fit them."""
    try:
        keys = json.loads(tensors["keys"].tobytes())
    except (KeyError, ValueError, RecursionError) as error:
        raise FileFormatError("it names no streams") from error
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) < len(keys):
        raise FileFormatError("its streams have no names, or two have one")
    count = len(keys)
    expected = {f"state/{name}": (count, width) for name, width in streams.stepper.widths.items()}
    for name, shape in (expected | {"places": (count,), "steps": (count,)}).items():
        if name not in tensors or tensors[name].shape != shape:
            raise FileFormatError(f"its {name} must have shape {shape}")
    places = tensors["places"]
    most = max(FIRST, 4 * streams.limits.sessions)  # a stranger's file takes no more memory than the server's own
    if len(np.unique(places)) < count or (count and not 0 <= places.min() <= places.max() < most):
        raise FileFormatError("its places are no numbers of places, or two streams have one")
    return keys
