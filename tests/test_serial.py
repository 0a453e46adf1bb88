"""Graphs in files: what is written is read again, and what nobody could have written is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatework import cell, cells, maximum, tanh
from gatework.compiler import serial
from gatework.compiler.pipeline import prepare
from gatework.compiler.serial import decode, encode, from_json, to_json
from gatework.errors import FileFormatError
from random_cells import random_cells


@pytest.mark.parametrize("name", cells.names())
def test_every_cell_survives(name: str) -> None:
    graph = cells.get(name).graph
    assert from_json(to_json(graph)) == graph
    assert from_json(to_json(graph).encode()) == graph
    assert decode(encode(graph)) == graph


def test_wrapped_cells_and_infinities_survive() -> None:
    options = {"reset": {}, "hold": {}, "recurrent_dropout": {"per": "map"}, "layer_norm": {"of": "parts"}}
    graph = prepare(cells.get("slstm").graph, options)
    assert from_json(to_json(graph)) == graph
    bounded = cell(lambda x, h, W: maximum(tanh(W.f(h, x)), -math.inf)).graph
    assert from_json(to_json(bounded)) == bounded


@settings(max_examples=25, deadline=None, derandomize=True)
@given(random_cells())
def test_random_cells_survive(drawn) -> None:
    assert from_json(to_json(drawn.graph)) == drawn.graph


Change = Callable[[dict], Any]


def put(key: str, at: int, slot: int, value: Any) -> Change:
    def change(data: dict) -> None:
        data[key][at][slot] = value

    return change


def whole(key: str, value: Any) -> Change:
    return lambda data: data.update({key: value})


# The LSTM's nodes: 0 x, 1 h, 2 c, 3 dot, 4 sigmoid, ..., 11 mul.
DAMAGE: dict[str, tuple[Change, str]] = {
    "another version": (whole("version", 99), "version"),
    "a key too many": (whole("code", "import os"), "outermost"),
    "a key too few": (lambda data: data.pop("news"), "outermost"),
    "unknown operation": (put("nodes", 4, 0, "system"), "operation of gatework"),
    "an operation of backward graphs": (put("nodes", 0, 0, "ct"), "operation of gatework"),
    "operation of another type": (put("nodes", 4, 0, ["sigmoid"]), "operation"),
    "argument ahead": (put("nodes", 4, 1, [5]), "earlier nodes"),
    "argument itself": (put("nodes", 4, 1, [4]), "earlier nodes"),
    "negative argument": (put("nodes", 4, 1, [-1]), "earlier nodes"),
    "argument true": (put("nodes", 4, 1, [True]), "earlier nodes"),
    "argument 3.0": (put("nodes", 4, 1, [3.0]), "earlier nodes"),
    "wrong number of arguments": (put("nodes", 4, 1, [3, 3]), "1 arguments"),
    "attribute where none belongs": (put("nodes", 4, 2, "x"), "1 arguments"),
    "wrong width": (put("nodes", 4, 3, "I"), "width"),
    "mixed widths": (put("nodes", 11, 1, [0, 2]), "one width"),
    "leaf without a declaration": (put("nodes", 0, 2, "y"), "name of the cell"),
    "leaf with arguments": (put("nodes", 1, 1, [0]), "none for a leaf"),
    "map unknown": (put("nodes", 3, 2, [[["q", 0], ["f", 1]], "f"]), "map of the cell"),
    "slot beyond": (put("nodes", 3, 2, [[["f", 0], ["f", 2]], "f"]), "slot"),
    "slot of another width": (put("nodes", 3, 2, [[["f", 1], ["f", 1]], "f"]), "operand width"),
    "weights too few": (put("nodes", 3, 2, [[["f", 0]], "f"]), "one weight for each"),
    "bias of another map": (put("nodes", 3, 2, [[["f", 0], ["f", 1]], "i"]), "bias"),
    "name with a path": (put("nodes", 4, 4, "../f"), "a name"),
    "name of the graph": (whole("name", "a b"), "a name"),
    "name too long": (whole("name", "a" * 500), "a name"),
    "documentation too long": (whole("doc", "a" * 50_000), "doc"),
    "new state beyond": (whole("news", [15, 400]), "numbers of nodes"),
    "new state of another width": (whole("news", [15, 0]), "width 'H'"),
    "new states too few": (whole("news", [15]), "2 numbers"),
    "no states": (lambda data: data.update(states=[], news=[]), "at least one"),
    "two inputs of one name": (lambda data: data["inputs"].append(["h", "I", "step"]), "nothing else has"),
    "map and vector of one name": (lambda data: data["vectors"].append(["f", "H", 0.0]), "nothing else has"),
    "no input per step": (put("inputs", 0, 2, "sequence"), "per step"),
    "a number that is none": (put("states", 0, 2, "nan"), "a number"),
    "period of an input": (put("inputs", 0, 2, "day"), "step"),
    "start that is no number": (put("states", 0, 2, "soon"), "a number"),
    "operands of a map": (put("maps", 0, 2, []), "1 to 64"),
    "slots by the thousand": (put("maps", 0, 2, ["H"] * 1000), "1 to 64"),
    "bias that is a number": (put("maps", 0, 3, 1), "true or false"),
    "blocks that do not fit": (put("maps", 0, 4, [True]), "true or false"),
    "labels that are lists": (put("maps", 0, 5, [["h"], "x"]), "label"),
    "a row too short": (lambda data: data["nodes"][3].pop(), "a list of 5"),
    "nodes by the million": (lambda data: data["nodes"].extend([[]] * 20_000), "a list of up to"),
    "not an object": (lambda data: data["nodes"].__setitem__(0, {"op": "input"}), "a list of 5"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_refused(what: str) -> None:
    change, says = DAMAGE[what]
    data = json.loads(to_json(cells.get("lstm").graph))
    change(data)
    with pytest.raises(FileFormatError) as caught:
        decode(data)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", "NaN", "[" * 100_000, '{"version": Infinity}', b"\xff\xfe"]
)
def test_what_is_no_graph_is_refused(text: str | bytes) -> None:
    with pytest.raises(FileFormatError):
        from_json(text)


def test_more_bytes_than_any_graph_needs_are_not_parsed() -> None:
    with pytest.raises(FileFormatError, match="not read"):
        from_json(" " * (serial.MOST_BYTES + 1))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 40) | st.floats() | st.sampled_from(["", "x", "f", "H", "dot", "1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_anything_anywhere_is_read_or_refused(data) -> None:
    """Replace one value of a true file by any JSON value: it is refused as FileFormatError, or read and sound."""
    content = json.loads(to_json(cells.get("gru").graph))
    place: Any = content
    key = data.draw(st.sampled_from(sorted(content)))
    while isinstance(place[key], list) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.integers(0, len(place) - 1))
    place[key] = data.draw(JSON)
    try:
        graph = from_json(json.dumps(content))
    except FileFormatError:
        return
    assert from_json(to_json(graph)) == graph


def test_a_number_beyond_all_floats_is_refused() -> None:
    text = to_json(cells.get("lstm").graph)
    for digits in (400, 3000):
        with pytest.raises(FileFormatError, match=r"start of states\[0\] is a number larger than any float"):
            from_json(text.replace('"h","H",0.0', '"h","H",1' + "0" * digits))
