"""Parts of a network by the names of its modules, as people call them."""

from __future__ import annotations

import re

MANY = {"weight": "weights", "bias": "biases"}
LEAF = re.compile(r"(weight|bias)_(?:(ih|hh)|(\w+?)(?:_(\w+?))?)_l(\d+)(_reverse)?")


def part(path: str) -> str:
    """A module or weight in words; the network of a model that has one is not told.

    part("members.0.encoder.encoder.layers.0.weight_hh_l0")     # encoder, layer 1: recurrent weights
    """
    told: list[str] = []
    pieces = path.split(".")
    for before, piece in zip(["", *pieces], pieces, strict=False):
        if piece in ("members", "layers") or piece == before:
            continue
        if before in ("members", "layers") and piece.isdigit():
            name = {"members": "network", "layers": "layer"}[before]
            told += [f"{name} {int(piece) + 1}"] * (before == "layers" or piece != "0")
        else:
            told.append(leaf(piece))
    last = told.pop() if len(told) > 1 and pieces[-1].startswith(("weight", "bias")) else ""
    return ", ".join(told) + (f": {last}" if last else "")


def leaf(name: str) -> str:
    """The last piece of a weight's path in words: `weight_f_x_l0` -> "weights of f from x"."""
    found = LEAF.fullmatch(name)
    if found is None:
        return MANY.get(name, name.replace("_", " "))
    what, torch, gate, source, depth, reverse = found.groups()
    whole = MANY[what]
    said = f"{whole} of {gate}" if torch is None else f"{'input' if torch == 'ih' else 'recurrent'} {whole}"
    said += f" from {source}" if source else ""
    return said + (f" of layer {int(depth) + 1}" if depth != "0" else "") + (", backward" if reverse else "")


def spoken(text: str) -> str:
    """The name of a layer, or what we say of some, with paths of modules told in words; not for what others wrote."""
    return re.sub(r"\b[a-z_]+(?:\.\w+)*\.(?:layers|members)\.\d+(?:\.[a-z_]\w*)*", lambda found: part(found[0]), text)
