"""Wrappers: what they do to the numbers, against loops around the scalar oracles, and where they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cases import Case, case
from compare import assert_all_close, assert_close
from gatework import cell, cells, tanh
from gatework.backends.reference import run
from gatework.compiler.carry import factors
from gatework.compiler.pipeline import ORDER, prepare
from gatework.compiler.wrappers import clip, hold, layer_norm, recurrent_dropout, reset, zoneout
from gatework.errors import OptionError
from oracles import ORACLES, affine, each, gate, lstm_parts, squash
from test_derive import check_gradients

LSTM, GRU = cells.get("lstm").graph, cells.get("gru").graph
NAMES = cells.names()


def by_hand(made: Case, step: Callable[[dict, dict, dict], dict]) -> dict[str, np.ndarray]:
    """Run `step(w, inputs of the step, old states)` over lists, row by row."""
    w = {k: v.tolist() for k, v in made.weights.items()}
    per_step = {i.name for i in made.graph.inputs if i.per == "step"}
    T, B = made.inputs["x"].shape[:2]
    out = {s: np.zeros((T, *v.shape)) for s, v in made.start.items()}
    for b in range(B):
        states = {s: v[b].tolist() for s, v in made.start.items()}
        for t in range(T):
            inputs = {k: (v[t, b] if k in per_step else v[b]).tolist() for k, v in made.inputs.items()}
            states = step(w, inputs, states)
            for s, row in states.items():
                out[s][t, b] = row
    return out


def times(a: list, b: list) -> list:
    return each(lambda x, y: x * y, a, b)


def mixed(mask: list, old: list, new: list) -> list:
    return each(lambda m, o, n: m * o + (1 - m) * n, mask, old, new)


def check(graph: Any, step: Callable[[dict, dict, dict], dict], seed: int = 0) -> Case:
    made = case(graph, seed=seed)
    assert_all_close(run(*made.call).history, by_hand(made, step), 5, loosen=10)
    return made


# -- values -----------------------------------------------------------------------------------------------------------


def test_recurrent_dropout_with_one_mask() -> None:
    check(recurrent_dropout(LSTM), lambda w, u, s: dropped_lstm(w, u, s, lambda n: u["drop_h"]))


def test_recurrent_dropout_with_a_mask_for_each_map() -> None:
    made = check(recurrent_dropout(LSTM, "map"), lambda w, u, s: dropped_lstm(w, u, s, lambda n: u[f"drop_h_{n}"]))
    assert [i.name for i in made.graph.inputs] == ["x", "drop_h_f", "drop_h_i", "drop_h_g", "drop_h_o"]


def dropped_lstm(w: dict, u: dict, s: dict, mask: Callable[[str], list]) -> dict:
    p = {n: lstm_parts(w, times(mask(n), s["h"]), u["x"], n)[n] for n in "figo"}
    c = each(lambda f, c, i, g: f * c + i * g, p["f"], s["c"], p["i"], p["g"])
    return {"h": each(lambda o, c: o * math.tanh(c), p["o"], c), "c": c}


def test_recurrent_dropout_masks_a_state_inside_an_operand_and_nowhere_else() -> None:
    """The GRU that resets before the product: r * (mask * h) goes into the map, z * h stays whole."""

    def step(w, u, s):
        h = times(u["drop_h"], s["h"])
        r, z = gate(w, "r", h, u["x"]), gate(w, "z", h, u["x"])
        n = squash(w, "n", times(r, h), u["x"])
        return {"h": each(lambda z, n, h: (1 - z) * n + z * h, z, n, s["h"])}

    check(recurrent_dropout(cells.get("gru_reset_before").graph), step)


def test_zoneout_mixes_what_is_carried_and_leaves_the_output_gate_the_raw_cell() -> None:
    def step(w, u, s):
        new = ORACLES["lstm"](w, u, s)
        return {k: mixed(u[f"zoneout_{k}"], s[k], new[k]) for k in ("h", "c")}

    made = check(zoneout(LSTM), step)
    for mask in (i for i in made.inputs if i.startswith("zoneout")):
        made.inputs[mask] = np.full_like(made.inputs[mask], 0.3)
    assert_all_close(run(*made.call).history, by_hand(made, step), 5)  # the expectation: the rate as a mask


def test_zoneout_of_one_state() -> None:
    def step(w, u, s):
        new = ORACLES["lstm"](w, u, s)
        return {"h": new["h"], "c": mixed(u["zoneout_c"], s["c"], new["c"])}

    assert [i.name for i in check(zoneout(LSTM, ["c"]), step).graph.inputs] == ["x", "zoneout_c"]


def test_clip_reaches_the_readers_of_the_new_value() -> None:
    def step(w, u, s):
        p = lstm_parts(w, s["h"], u["x"])
        c = each(lambda f, c, i, g: max(-0.2, min(0.2, f * c + i * g)), p["f"], s["c"], p["i"], p["g"])
        return {"h": each(lambda o, c: o * math.tanh(c), p["o"], c), "c": c}

    made = check(clip(LSTM, 0.2, ["c"]), step)
    assert np.abs(run(*made.call).history["c"]).max() == 0.2, "the limit was reached, or this tests nothing"


def test_hold_keeps_a_row() -> None:
    def step(w, u, s):
        return s if u["hold"][0] else ORACLES["lstm"](w, u, s)

    check(hold(LSTM), step)


def test_reset_comes_first() -> None:
    def step(w, u, s):
        s = {k: u[f"start_{k}"] for k in s} if u["reset"][0] else s
        return s if u["hold"][0] else ORACLES["lstm"](w, u, s)

    made = check(reset(hold(LSTM)), step, seed=1)
    both = (made.inputs["reset"] * made.inputs["hold"]).sum()
    assert both > 0, "a step at which both act, or this tests nothing"


def test_a_reset_makes_two_sequences_of_one() -> None:
    """What is after the reset does not depend on what was before it."""
    made = case(reset(cells.get("slstm").graph), T=6)
    made.inputs["reset"][:] = 0
    made.inputs["reset"][3] = 1
    whole = run(*made.call)
    tail = {k: v[3:] if v.ndim == 3 else v for k, v in made.inputs.items()}
    fresh = run(made.graph, made.sizes, tail, None, made.weights)
    assert_all_close(whole.final, fresh.final, 6)


def normal(values: list, sharing: list[list]) -> list:
    flat = [v for row in sharing for v in row]
    mean = sum(flat) / len(flat)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in flat) / len(flat) + 1e-5)
    return [(v - mean) / deviation for v in values]


def normal_lstm(w: dict, u: dict, s: dict, of: str, over: str) -> dict:
    def part(n: str, label: str) -> list:
        slots = {"h": ("0", s["h"]), "x": ("1", u["x"])}
        used = [slots[label]] if label else slots.values()
        return [sum(t) for t in zip(*(affine({f"{n}.0": w[f"{n}.{k}"]}, n, v) for k, v in used), strict=True)]

    labels, sums = ("h", "x") if of == "parts" else ("",), {}
    for n in "figo":
        terms = [w[f"{n}_shift"]]
        for label in labels:
            sharing = [part(m, label) for m in ("figo" if over == "all" else n)]
            gain = w[f"{n}_gain" + (f"_{label}" if label else "")]
            terms.append(times(gain, normal(part(n, label), sharing)))
        sums[n] = [sum(t) for t in zip(*terms, strict=True)]
    sigma = lambda v: 1 / (1 + math.exp(-v))  # noqa: E731
    c = each(lambda f, c, i, g: sigma(f) * c + sigma(i) * math.tanh(g), sums["f"], s["c"], sums["i"], sums["g"])
    return {"h": each(lambda o, c: sigma(o) * math.tanh(c), sums["o"], c), "c": c}


@pytest.mark.parametrize("over", ["gate", "all"])
@pytest.mark.parametrize("of", ["sum", "parts"])
def test_layer_norm(of: str, over: str) -> None:
    made = check(layer_norm(LSTM, of, over), lambda w, u, s: normal_lstm(w, u, s, of, over))
    assert not any(m.bias for m in made.graph.maps)


@pytest.mark.parametrize("name", NAMES)
def test_an_untouched_wrapper_changes_nothing(name: str) -> None:
    """Masks of ones, rates of zero, no hold, no reset, a limit beyond reach: the plain cell's numbers."""
    graph, states = cells.get(name).graph, [s.name for s in cells.get(name).graph.states if math.isfinite(s.start)]
    options: dict[str, dict] = {"zoneout": {"states": states}, "clip": {"limit": 1e6, "states": states}}
    options |= {"hold": {}, "reset": {}}
    if any(n.op == "dot" and any(graph.nodes[a].op == "state" for a in n.args) for n in graph.nodes):
        options["recurrent_dropout"] = {"per": "map"}
    made = case(prepare(graph, options))
    plain = {i.name for i in graph.inputs}
    for key, value in made.inputs.items():
        if key not in plain:
            made.inputs[key] = np.full_like(value, 1.0 if key.startswith("drop") else 0.0)
    want = run(graph, made.sizes, {k: made.inputs[k] for k in plain}, made.start, made.weights)
    assert_all_close(run(*made.call).history, want.history, 5)


# -- derivatives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_every_cell_in_all_its_wrappers(name: str) -> None:
    graph = cells.get(name).graph
    states = [s.name for s in graph.states if math.isfinite(s.start)]
    options: dict[str, dict] = {"zoneout": {"states": states}, "clip": {"limit": 0.9, "states": states[:1]}}
    options |= {"hold": {}, "reset": {}}
    if name != "lstm_layer_norm":
        options["layer_norm"] = {"of": "parts"}
    made = case(prepare(graph, options))
    check_gradients(made, analytic=False, reverse=False, rtol=1e-6)


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["minlstm", "mingru", "sru", "indrnn"])
def test_recurrent_dropout_without_recurrent_maps(name: str) -> None:
    with pytest.raises(OptionError, match="no map reads a state"):
        recurrent_dropout(cells.get(name).graph)


@pytest.mark.parametrize(
    ("wrap", "says"),
    [
        (lambda: recurrent_dropout(LSTM, "gate"), "'gate'"),
        (lambda: zoneout(LSTM, ["d"]), "no state 'd'"),
        (lambda: zoneout(cells.get("slstm").graph), "starts at -inf"),
        (lambda: clip(cells.get("slstm").graph, 3.0, ["m"]), "starts at -inf"),
        (lambda: clip(LSTM, -1.0), "positive"),
        (lambda: clip(LSTM, math.inf), "positive"),
        (lambda: hold(reset(LSTM)), "before reset"),
        (lambda: zoneout(zoneout(LSTM)), "applied before"),
        (lambda: reset(reset(LSTM)), "applied before"),
        (lambda: layer_norm(layer_norm(LSTM)), "applied before"),
        (lambda: layer_norm(LSTM, of="gates"), "'gates'"),
        (lambda: layer_norm(LSTM, over="both"), "'both'"),
        (lambda: layer_norm(LSTM, eps=0.0), "positive"),
        (lambda: layer_norm(LSTM, state="d"), "no state 'd'"),
        (lambda: layer_norm(LSTM, state="h"), "no equation reads"),
        (lambda: layer_norm(cells.get("gru_reset_before").graph, over="all"), "another map"),
        (lambda: layer_norm(cell(width={"h": "I"})(lambda x, h, W: tanh(x * W.p + h)).graph), "no map"),
        (lambda: prepare(LSTM, {"dropconnect": {}}), "no wrapper"),
    ],
)
def test_refusals(wrap: Callable[[], Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        wrap()


def test_the_order_of_options_does_not_matter() -> None:
    options = {
        "reset": {},
        "hold": {},
        "zoneout": {},
        "clip": {"limit": 2.0},
        "layer_norm": {},
        "recurrent_dropout": {},
    }
    assert prepare(LSTM, options) == prepare(LSTM, dict(reversed(options.items())))
    assert set(options) == set(ORDER)


def test_every_pass_can_be_seen(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWORK_DEBUG", "passes")
    prepare(GRU, {"hold": {}})
    printed = capsys.readouterr().err
    assert "== cell" in printed
    assert "== hold" in printed
    assert "input hold : 1 per step" in printed


# -- how much of a state survives -------------------------------------------------------------------------------------

CARRIED = {
    "lstm": {"c": "f"},
    "lstm_1997": {"c": 1.0},
    "lstm_peephole": {"c": "f"},
    "lstm_coupled": {"c": "f"},
    "gru": {"h": "z"},
    "gru_reset_before": {"h": "z"},
    "slstm": {"c": "f", "n": "f"},
    "sru": {"c": "f"},
    "rnn": {},
    "lstm_candidate_output": {},
}


@pytest.mark.parametrize("name", CARRIED)
def test_carry_factors(name: str) -> None:
    graph, found = factors(cells.get(name).graph)
    nodes = {s: graph.nodes[i] for s, i in found.items() if i is not None}
    assert {s: n.name or n.attr for s, n in nodes.items()} == CARRIED[name]


def test_carry_factors_that_no_value_has_are_made() -> None:
    """mgu: h' = (1 - f) h + f n, so the factor is 1 - f; minlstm: f / (f + i)."""
    for name, formula in (("mgu", lambda v: 1 - v["f"]), ("minlstm", lambda v: v["f"] / (v["f"] + v["i"]))):
        graph, found = factors(cells.get(name).graph)
        nodes = list(graph.nodes)
        nodes[found["h"]] = replace(nodes[found["h"]], name="kept")
        made = case(replace(graph, nodes=tuple(nodes)))
        values = run(*made.call).values
        assert_close(values["kept"], formula(values))
