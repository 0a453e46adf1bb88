"""Every cell of the zoo once more, as loops over single numbers, written from the papers and not from the graphs.

An oracle takes the parameters, the inputs of one step and the old states as lists of floats, and gives the new states.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, sqrt, tanh
from typing import Any

Row = list[float]
Step = Callable[[dict[str, Any], dict[str, Row], dict[str, Row]], dict[str, Row]]


def sigma(x: float) -> float:
    return 1 / (1 + exp(-x))


def product(matrix: Any, vector: Row) -> Row:
    """One matrix, or one for each head."""
    if not isinstance(matrix[0][0], list):
        return [sum(w * v for w, v in zip(row, vector, strict=True)) for row in matrix]
    wide = len(matrix[0][0])
    return [y for k, block in enumerate(matrix) for y in product(block, vector[k * wide : (k + 1) * wide])]


def affine(w: dict[str, Any], name: str, *operands: Row) -> Row:
    parts = [product(w[f"{name}.{slot}"], v) for slot, v in enumerate(operands)]
    if f"{name}.bias" in w:
        parts.append(w[f"{name}.bias"])
    return [sum(terms) for terms in zip(*parts, strict=True)]


def each(function: Callable[..., float], *rows: Row) -> Row:
    return [function(*values) for values in zip(*rows, strict=True)]


def gate(w: dict[str, Any], name: str, *operands: Row) -> Row:
    return each(sigma, affine(w, name, *operands))


def squash(w: dict[str, Any], name: str, *operands: Row) -> Row:
    return each(tanh, affine(w, name, *operands))


def rnn(function: Callable[[float], float]) -> Step:
    return lambda w, u, s: {"h": each(function, affine(w, "h", s["h"], u["x"]))}


def lstm_parts(w: dict[str, Any], h: Row, x: Row, names: str = "figo") -> dict[str, Row]:
    return {n: squash(w, n, h, x) if n == "g" else gate(w, n, h, x) for n in names}


def lstm(w: Any, u: Any, s: Any) -> dict[str, Row]:
    p = lstm_parts(w, s["h"], u["x"])
    c = each(lambda f, c, i, g: f * c + i * g, p["f"], s["c"], p["i"], p["g"])
    return {"h": each(lambda o, c: o * tanh(c), p["o"], c), "c": c}


def lstm_1997(w: Any, u: Any, s: Any) -> dict[str, Row]:
    p = lstm_parts(w, s["h"], u["x"], "igo")
    c = each(lambda c, i, g: c + i * g, s["c"], p["i"], p["g"])
    return {"h": each(lambda o, c: o * tanh(c), p["o"], c), "c": c}


def lstm_coupled(w: Any, u: Any, s: Any) -> dict[str, Row]:
    p = lstm_parts(w, s["h"], u["x"], "fgo")
    c = each(lambda f, c, g: f * c + (1 - f) * g, p["f"], s["c"], p["g"])
    return {"h": each(lambda o, c: o * tanh(c), p["o"], c), "c": c}


def lstm_peephole(w: Any, u: Any, s: Any) -> dict[str, Row]:
    def peep(name: str, c: Row) -> Row:
        return each(lambda a, p, c: sigma(a + p * c), affine(w, name, s["h"], u["x"]), w[f"peep_{name}"], c)

    f, i, g = peep("f", s["c"]), peep("i", s["c"]), squash(w, "g", s["h"], u["x"])
    c = each(lambda f, c, i, g: f * c + i * g, f, s["c"], i, g)
    return {"h": each(lambda o, c: o * tanh(c), peep("o", c), c), "c": c}


def lstm_projected(w: Any, u: Any, s: Any) -> dict[str, Row]:
    new = lstm(w, u, s)
    return {"h": affine(w, "p", new["h"]), "c": new["c"]}


def lstm_tanh_product(w: Any, u: Any, s: Any) -> dict[str, Row]:
    new, o = lstm(w, u, s), gate(w, "o", s["h"], u["x"])
    return {"h": each(lambda c, o: tanh(c * o), new["c"], o), "c": new["c"]}


def lstm_candidate_output(w: Any, u: Any, s: Any) -> dict[str, Row]:
    p = lstm_parts(w, s["h"], u["x"], "go")
    return {"h": each(lambda o, g: o * tanh(g), p["o"], p["g"])}


def lstm_candidate_gate(w: Any, u: Any, s: Any) -> dict[str, Row]:
    p = lstm_parts(w, s["h"], u["x"], "fig")
    c = each(lambda f, c, i, g: f * c + i * g, p["f"], s["c"], p["i"], p["g"])
    return {"h": each(lambda o, c: o * tanh(c), gate(w, "o", s["h"], p["g"]), c), "c": c}


def lstm_second_map(w: Any, u: Any, s: Any) -> dict[str, Row]:
    p = lstm_parts(w, s["h"], u["x"], "go")
    return {"h": each(lambda o, a: o * tanh(a), p["o"], affine(w, "h", s["h"], p["g"]))}


def normal(values: Row, gain: Row, shift: Row) -> Row:
    mean = sum(values) / len(values)
    deviation = sqrt(sum((v - mean) ** 2 for v in values) / len(values) + 1e-5)
    return each(lambda v, g, b: (v - mean) / deviation * g + b, values, gain, shift)


def lstm_layer_norm(w: Any, u: Any, s: Any) -> dict[str, Row]:
    a = {n: normal(affine(w, n, s["h"], u["x"]), w[f"{n}_gain"], w[f"{n}_shift"]) for n in "figo"}
    c = each(lambda f, c, i, g: sigma(f) * c + sigma(i) * tanh(g), a["f"], s["c"], a["i"], a["g"])
    seen = normal(c, w["c_gain"], w["c_shift"])
    return {"h": each(lambda o, c: sigma(o) * tanh(c), a["o"], seen), "c": c}


def gru(w: Any, u: Any, s: Any) -> dict[str, Row]:
    r, z = gate(w, "r", s["h"], u["x"]), gate(w, "z", s["h"], u["x"])
    n = each(lambda a, r, b: tanh(a + r * b), affine(w, "nx", u["x"]), r, affine(w, "nh", s["h"]))
    return {"h": each(lambda z, n, h: (1 - z) * n + z * h, z, n, s["h"])}


def gru_reset_before(w: Any, u: Any, s: Any) -> dict[str, Row]:
    r, z = gate(w, "r", s["h"], u["x"]), gate(w, "z", s["h"], u["x"])
    n = squash(w, "n", each(lambda r, h: r * h, r, s["h"]), u["x"])
    return {"h": each(lambda z, n, h: (1 - z) * n + z * h, z, n, s["h"])}


def mgu(w: Any, u: Any, s: Any) -> dict[str, Row]:
    f = gate(w, "f", s["h"], u["x"])
    n = squash(w, "n", each(lambda f, h: f * h, f, s["h"]), u["x"])
    return {"h": each(lambda f, n, h: (1 - f) * h + f * n, f, n, s["h"])}


def minlstm(w: Any, u: Any, s: Any) -> dict[str, Row]:
    f, i, n = gate(w, "f", u["x"]), gate(w, "i", u["x"]), affine(w, "n", u["x"])
    return {"h": each(lambda f, i, n, h: f / (f + i) * h + i / (f + i) * n, f, i, n, s["h"])}


def mingru(w: Any, u: Any, s: Any) -> dict[str, Row]:
    z, n = gate(w, "z", u["x"]), affine(w, "n", u["x"])
    return {"h": each(lambda z, n, h: (1 - z) * h + z * n, z, n, s["h"])}


def sru(w: Any, u: Any, s: Any) -> dict[str, Row]:
    f = each(lambda a, v, c: sigma(a + v * c), affine(w, "f", u["x"]), w["peep_f"], s["c"])
    r = each(lambda a, v, c: sigma(a + v * c), affine(w, "r", u["x"]), w["peep_r"], s["c"])
    c = each(lambda f, c, n: f * c + (1 - f) * n, f, s["c"], affine(w, "n", u["x"]))
    return {"h": each(lambda r, c, x: r * c + (1 - r) * x, r, c, affine(w, "skip", u["x"])), "c": c}


def indrnn(function: Callable[[float], float]) -> Step:
    return lambda w, u, s: {"h": each(lambda a, v, h: function(a + v * h), affine(w, "h", u["x"]), w["u"], s["h"])}


def slstm(forget: Callable[[float], float]) -> Step:
    """Equations 8 to 14 with c and n as they are, without a stabiliser: m only scales both, c' = c exp(-m)."""

    def step(w: Any, u: Any, s: Any) -> dict[str, Row]:
        f, i = each(forget, affine(w, "f", s["h"], u["x"])), each(exp, affine(w, "i", s["h"], u["x"]))
        z, o = squash(w, "z", s["h"], u["x"]), gate(w, "o", s["h"], u["x"])
        whole = each(exp, s["m"])
        c = each(lambda f, m, c, i, z: f * m * c + i * z, f, whole, s["c"], i, z)
        n = each(lambda f, m, n, i: f * m * n + i, f, whole, s["n"], i)
        m = each(lambda f, m, i: max(log(f * m) if m else -1e999, log(i)), f, whole, i)
        scaled = {k: each(lambda v, m: v / exp(m), values, m) for k, values in (("c", c), ("n", n))}
        return {"h": each(lambda o, c, n: o * c / n, o, c, n), **scaled, "m": m}

    return step


def gru_d(w: Any, u: Any, s: Any) -> dict[str, Row]:
    fade = each(lambda a, d, b: exp(-max(0.0, a * d + b)), w["rate"], u["gap"], w["rate_bias"])
    decay = each(lambda a: exp(-max(0.0, a)), affine(w, "decay", u["gap"]))
    old = each(lambda g, p, m: g * p + (1 - g) * m, fade, s["last"], w["mean"])
    x = each(lambda m, x, o: m * x + (1 - m) * o, u["mask"], u["x"], old)
    last = each(lambda m, x, p: m * x + (1 - m) * p, u["mask"], u["x"], s["last"])
    h = each(lambda g, h: g * h, decay, s["h"])
    r, z = gate(w, "r", h, x, u["mask"]), gate(w, "z", h, x, u["mask"])
    n = squash(w, "n", each(lambda r, h: r * h, r, h), x, u["mask"])
    return {"h": each(lambda z, n, h: (1 - z) * h + z * n, z, n, h), "last": last}


ORACLES: dict[str, Step] = {
    "gru": gru,
    "gru_d": gru_d,
    "gru_reset_before": gru_reset_before,
    "indrnn": indrnn(lambda a: max(a, 0.0)),
    "indrnn_tanh": indrnn(tanh),
    "lstm": lstm,
    "lstm_1997": lstm_1997,
    "lstm_candidate_gate": lstm_candidate_gate,
    "lstm_candidate_output": lstm_candidate_output,
    "lstm_coupled": lstm_coupled,
    "lstm_layer_norm": lstm_layer_norm,
    "lstm_peephole": lstm_peephole,
    "lstm_projected": lstm_projected,
    "lstm_second_map": lstm_second_map,
    "lstm_tanh_product": lstm_tanh_product,
    "mgu": mgu,
    "mingru": mingru,
    "minlstm": minlstm,
    "rnn": rnn(tanh),
    "rnn_relu": rnn(lambda a: max(a, 0.0)),
    "rnn_sigmoid": rnn(sigma),
    "slstm": slstm(sigma),
    "slstm_exp": slstm(exp),
    "sru": sru,
}


def sequence(name: str, inputs: dict[str, Any], start: dict[str, Any], weights: dict[str, Any]) -> dict[str, list]:
    """Run an oracle over arrays (T, B, w); gives every state's history as nested lists."""
    w = {k: v.tolist() for k, v in weights.items()}
    T, B = inputs["x"].shape[:2]
    history: dict[str, list] = {s: [[] for _ in range(T)] for s in start}
    for b in range(B):
        states = {s: v[b].tolist() for s, v in start.items()}
        for t in range(T):
            states = ORACLES[name](w, {k: v[t, b].tolist() for k, v in inputs.items()}, states)
            for s, row in states.items():
                history[s][t].append(row)
    return history
