"""The zoo: every cell against scalar loops and torch.nn, the laws that hold for each, and the registry."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cases import Case, case, sizes_of
from compare import assert_all_close, assert_close
from gatework import cell, cells, tanh
from gatework.backends.reference import run, run_backward
from gatework.compiler.ir import SCALAR
from gatework.compiler.params import check_sizes, cost, count, shapes
from gatework.errors import CellError, OptionError, ShapeError
from oracles import ORACLES, sequence

NAMES = cells.names()


def made_of(name: str, **options: int) -> Case:
    return case(cells.get(name).graph, **options)


# -- oracles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_scalar_loops_agree(name: str) -> None:
    made = made_of(name)
    got = run(*made.call).history
    want = {k: np.array(v) for k, v in sequence(name, made.inputs, made.start, made.weights).items()}
    assert_all_close(got, want, 5, name, loosen=10)  # exp(m) of the sLSTM's oracle spans many powers of ten


@pytest.mark.parametrize("name", NAMES)
def test_cells_start_where_they_say(name: str) -> None:
    """Without start values: what the state's `start` is, -inf of the stabiliser included."""
    made = made_of(name)
    start = {s.name: np.full_like(made.start[s.name], s.start) for s in made.graph.states}
    got = run(made.graph, made.sizes, made.inputs, None, made.weights).history
    want = sequence(name, made.inputs, start, made.weights)
    assert_all_close(got, {k: np.array(v) for k, v in want.items()}, 5, name, loosen=10)


def test_every_cell_has_an_oracle() -> None:
    assert set(ORACLES) == set(NAMES)


TORCH = {
    "lstm": (lambda I, H: torch.nn.LSTM(I, H), "ifgo"),
    "gru": (lambda I, H: torch.nn.GRU(I, H), "rzn"),
    "rnn": (lambda I, H: torch.nn.RNN(I, H), "h"),
    "rnn_relu": (lambda I, H: torch.nn.RNN(I, H, nonlinearity="relu"), "h"),
    "lstm_projected": (lambda I, H: torch.nn.LSTM(I, H, proj_size=2), "ifgo"),
}


def from_torch(name: str, layer: torch.nn.Module, gates: str) -> dict[str, torch.Tensor]:
    """torch's stacked weights under our keys; its two biases are one sum, but for the GRU's n."""
    p = {k.removesuffix("_l0"): v for k, v in layer.named_parameters()}
    blocks = {k: dict(zip(gates, v.chunk(len(gates)), strict=True)) for k, v in p.items() if k != "weight_hr"}
    weights = {}
    for g in gates:
        if name == "gru" and g == "n":
            weights |= {"nx.0": blocks["weight_ih"][g], "nx.bias": blocks["bias_ih"][g]}
            weights |= {"nh.0": blocks["weight_hh"][g], "nh.bias": blocks["bias_hh"][g]}
        else:
            weights |= {f"{g}.0": blocks["weight_hh"][g], f"{g}.1": blocks["weight_ih"][g]}
            weights[f"{g}.bias"] = blocks["bias_ih"][g] + blocks["bias_hh"][g]
    return weights | ({"p.0": p["weight_hr"]} if "weight_hr" in p else {})


@pytest.mark.parametrize("name", TORCH)
def test_torchs_layers_agree_forward_and_backward(name: str) -> None:
    torch.manual_seed(3)
    make, gates = TORCH[name]
    graph, T, B = cells.get(name).graph, 6, 3
    sizes = sizes_of(graph)
    layer = make(sizes["I"], sizes["H"]).double()
    x = torch.randn(T, B, sizes["I"], dtype=torch.float64, requires_grad=True)
    start = tuple(torch.randn(B, sizes[s.width], dtype=torch.float64, requires_grad=True) for s in graph.states)
    states = tuple(s[None] for s in start)
    output, _ = layer(x, states if len(states) > 1 else states[0])
    weights = from_torch(name, layer, gates)
    ours = run(graph, sizes, {"x": x}, dict(zip([s.name for s in graph.states], start, strict=True)), weights)
    assert_close(ours.history["h"], output, T)
    d = torch.randn_like(output)
    want = torch.autograd.grad(output, (x, *start), d)
    plain = {k: v.detach().numpy() for k, v in weights.items()}
    begin = {s.name: v.detach().numpy() for s, v in zip(graph.states, start, strict=True)}
    found = run_backward(graph, sizes, {"x": x.detach().numpy()}, begin, plain, {"h": d.numpy()})
    for got, expected in zip((found.inputs["x"], *found.start.values()), want, strict=True):
        assert_close(got, expected, T)


# -- laws -----------------------------------------------------------------------------------------------------------


def cut(made: Case, where: slice) -> dict:
    per_step = {i.name for i in made.graph.inputs if i.per == "step"}
    return {k: v[where] if k in per_step else v for k, v in made.inputs.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_sequence_split_in_two_gives_the_same(name: str) -> None:
    made = made_of(name, T=6)
    whole = run(*made.call)
    first = run(made.graph, made.sizes, cut(made, slice(0, 4)), made.start, made.weights)
    second = run(made.graph, made.sizes, cut(made, slice(4, 6)), first.final, made.weights)
    assert_all_close(second.final, whole.final, 6)
    joined = {k: np.concatenate([first.history[k], second.history[k]]) for k in whole.history}
    assert_all_close(joined, whole.history, 6)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("name", NAMES)
def test_padding_does_not_matter(name: str, reverse: bool) -> None:
    """A row with its length is the row alone, whatever stands behind its end; there the history is zero."""
    made = made_of(name)
    for i in made.graph.inputs:
        if i.per == "step":
            for b, n in enumerate(made.lengths):
                made.inputs[i.name][n:, b] = 1e6
    whole = run(*made.call, made.lengths, reverse)
    for b, n in enumerate(made.lengths):
        one = {k: v[:n, b : b + 1] for k, v in made.inputs.items()}
        start = {k: v[b : b + 1] for k, v in made.start.items()}
        alone = run(made.graph, made.sizes, one, start, made.weights, reverse=reverse)
        for state in made.start:
            assert_close(whole.final[state][b : b + 1], alone.final[state], 5)
            assert_close(whole.history[state][:n, b : b + 1], alone.history[state], 5)
            assert not whole.history[state][n:, b].any()


@pytest.mark.parametrize("name", NAMES)
def test_reverse_is_the_sequence_turned_round(name: str) -> None:
    made = made_of(name)
    turned = run(made.graph, made.sizes, {k: v[::-1] for k, v in made.inputs.items()}, made.start, made.weights)
    got = run(*made.call, reverse=True)
    assert_all_close(got.final, turned.final, 5)
    assert_all_close(got.history, {k: v[::-1] for k, v in turned.history.items()}, 5)


@pytest.mark.parametrize("name", NAMES)
def test_order_in_the_batch_does_not_matter(name: str) -> None:
    made, order = made_of(name, B=4), [2, 0, 3, 1]
    mixed = run(
        made.graph, made.sizes, {k: v[:, order] for k, v in made.inputs.items()},
        {k: v[order] for k, v in made.start.items()}, made.weights, [made.lengths[b] for b in order],
    )  # fmt: skip
    want = run(*made.call, made.lengths)
    assert_all_close(mixed.history, {k: v[:, order] for k, v in want.history.items()}, 5)


@pytest.mark.parametrize("name", NAMES)
def test_permuted_units_permute_the_results(name: str) -> None:
    """Renaming the units of each width renames the results and does nothing else (with one head)."""
    made = made_of(name)
    made.sizes["heads"] = 1
    draw = np.random.default_rng(5)
    made.weights = {k: draw.normal(size=s) * 0.5 for k, s in shapes(made.graph, made.sizes).items()}
    order = {w: draw.permutation(n) for w, n in made.sizes.items()} | {SCALAR: np.array([0])}
    maps = {m.name: m for m in made.graph.maps}
    vectors = {v.name: v.width for v in made.graph.vectors}

    def moved(key: str, value: np.ndarray) -> np.ndarray:
        m = maps.get(key.split(".")[0]) if "." in key else None
        if m is None:
            return value[order[vectors[key]]]
        if key.endswith("bias"):
            return value[order[m.width]]
        return value[..., order[m.width], :][..., order[m.operands[int(key.split(".")[1])]]]

    widths = {x.name: x.width for x in (*made.graph.inputs, *made.graph.states)}
    got = run(
        made.graph, made.sizes, {k: v[..., order[widths[k]]] for k, v in made.inputs.items()},
        {k: v[:, order[widths[k]]] for k, v in made.start.items()}, {k: moved(k, v) for k, v in made.weights.items()},
    )  # fmt: skip
    want = run(*made.call)
    assert_all_close(got.history, {k: v[..., order[widths[k]]] for k, v in want.history.items()}, 5, loosen=10)


@pytest.mark.parametrize("name", NAMES)
def test_no_step_no_row_no_change(name: str) -> None:
    for T, B in ((0, 3), (4, 0)):
        made = made_of(name, T=T, B=B)
        got = run(*made.call)
        assert_all_close(got.final, made.start)
        found = run_backward(*made.call, made.d_history, made.d_final)
        assert_all_close(found.start, made.d_final)
        assert not any(g.any() for g in found.weights.values())


@pytest.mark.parametrize("name", NAMES)
def test_float32_agrees_with_float64(name: str) -> None:
    """Also through torch: the same code, the same numbers."""
    made, T = made_of(name, T=20), 20
    narrow = [{k: v.astype(np.float32) for k, v in t.items()} for t in (made.inputs, made.start, made.weights)]
    got = run(made.graph, made.sizes, *narrow)
    wide = [{k: v.astype(np.float64) for k, v in t.items()} for t in narrow]
    want = run(made.graph, made.sizes, *wide)
    assert all(v.dtype == np.float32 for v in got.history.values())
    assert_all_close(got.history, want.history, T)
    tensors = [{k: torch.tensor(v) for k, v in t.items()} for t in wide]
    assert_all_close(run(made.graph, made.sizes, *tensors).history, want.history, T)


def test_the_stabiliser_of_slstm_keeps_large_gates_finite() -> None:
    """exp(800) overflows nothing, and h does not depend on m: c / n cancels it."""
    made = made_of("slstm")
    made.weights["i.bias"] = made.weights["i.bias"] + 800.0
    got = run(made.graph, made.sizes, made.inputs, None, made.weights)
    assert np.isfinite(got.history["h"]).all()
    assert got.history["m"].max() > 790


def test_gru_d_never_reads_what_is_missing() -> None:
    made = made_of("gru_d")
    want = run(*made.call)
    made.inputs["x"][made.inputs["mask"] == 0] = np.nan
    assert_all_close(run(*made.call).history, want.history, 5)
    assert np.isfinite(run_backward(*made.call, made.d_history).weights["r.1"]).all()


# -- registry and counts ----------------------------------------------------------------------------------------------


def test_every_cell_names_its_source() -> None:
    for name in NAMES:
        assert len(cells.get(name).doc) > 40, f"{name} does not say where it comes from"


def test_unknown_cells_get_a_hint() -> None:
    with pytest.raises(OptionError, match="did you mean lstm"):
        cells.get("lsmt")
    assert cells.get(cells.get("gru")) is cells.get("gru")


def test_counts_of_the_lstm() -> None:
    graph, sizes = cells.get("lstm").graph, {"I": 3, "H": 4}
    assert count(graph, sizes) == 4 * (4 * 3 + 4 * 4 + 4)
    assert cost(graph, sizes) == 4 * 4 * (3 + 4)
    assert shapes(cells.get("slstm").graph, {"I": 3, "H": 4, "heads": 2})["f.0"] == (2, 2, 2)


@pytest.mark.parametrize("sizes", [{"I": 3}, {"I": 3, "H": 0}, {"I": 3, "H": 2.5}, {"I": True, "H": 4}])
def test_sizes_that_are_not(sizes: dict) -> None:
    with pytest.raises(ShapeError):
        shapes(cells.get("lstm").graph, sizes)


def test_heads_must_divide() -> None:
    with pytest.raises(ShapeError, match="3 heads"):
        shapes(cells.get("slstm").graph, {"I": 3, "H": 4, "heads": 3})


CELL = """
from gatework import cell, tanh
@cell
def {name}(x, h, W):
    return tanh(W.f(x) + h)
"""


def test_a_module_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cells, "_used", [])
    (tmp_path / "own_cells.py").write_text(CELL.format(name="echo_own"), encoding="utf-8")
    (tmp_path / "clashing_cells.py").write_text(CELL.format(name="lstm"), encoding="utf-8")
    assert cells.use("own_cells") == ["echo_own"]
    assert cells.get("echo_own").graph.name == "echo_own"
    assert "echo_own" in cells.names()
    with pytest.raises(OptionError, match="holds no cell"):
        cells.use("json")
    with pytest.raises(CellError, match=r"clashing_cells and gatework\.cells\.layernorm both define a cell 'lstm'"):
        cells.use("clashing_cells")
    for odd in ("", 3, cells):
        with pytest.raises(OptionError, match="is used by its name"):
            cells.use(odd)  # type: ignore[arg-type]
    for module in ("own_cells", "clashing_cells"):
        sys.modules.pop(module, None)


def test_a_package_that_is_not_there_says_where_python_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWORK_CELLS", "mycells")
    with pytest.raises(OptionError, match=r"'mycells', .*cannot be imported.*PYTHONPATH=\."):
        cells.get("lstm")
    with pytest.raises(OptionError, match=r"'mycells\.inner'"):
        cells.use("mycells.inner")


def test_a_module_whose_own_import_fails_is_not_taken_for_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "failing_cells.py").write_text("import nowhere_at_all", encoding="utf-8")
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        cells.use("failing_cells")


def test_what_is_no_cell_says_how_to_make_one() -> None:
    def mine(x, h, W):
        return tanh(W.f(h, x))

    with pytest.raises(OptionError, match=r"'mine' is a function, not a cell: decorate it, @gatework\.cell"):
        cells.get(mine)  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="GATEWORK_CELLS=package"):
        cells.get("nothing_like_it")


def test_a_forgotten_state_in_the_return_is_explained() -> None:
    @cell
    def bad(x, h, c, W):
        return tanh(W.a(h, x))

    with pytest.raises(OptionError, match=r"needs a size for 'h'.*h is an input, as 1 new value is returned for "
                       r"\(x, h, c\).*return its new value too"):  # fmt: skip
        check_sizes(bad.graph, {"H": 4})
    with pytest.raises(OptionError, match=r"needs a size for 'P': sizes=\{'P': 16\}$"):
        check_sizes(cells.get("lstm_projected").graph, {"H": 4})


def test_a_cell_is_not_changed_by_its_name() -> None:
    graph = cells.get("lstm").graph
    assert replace(graph, name="other").nodes == graph.nodes
