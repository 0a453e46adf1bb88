"""Plans: what they look like, and that the choices they leave open (hoisting, saving, chunks) change no bit."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import expecttest
import pytest

from gatework import cells
from gatework.compiler import lang as g
from gatework.compiler.derive import derive
from gatework.compiler.ir import Graph
from gatework.compiler.params import state_matrices
from gatework.compiler.pipeline import differentiate, prepare
from gatework.compiler.plan import Access, Plan, choose_saved, leaf_homes, loads_of, plan_forward, plan_replay
from gatework.compiler.plan_backward import plan_backward
from gatework.compiler.serial import from_json, to_json
from gatework.compiler.show_plan import plan_text
from gatework.runtime.llvm.compiled import step_chunks
from gatework.runtime.llvm.parts import Mode
from gatework.runtime.llvm.script import segments, split_rows
from gatework.runtime.rows import Rows
from kernel_check import LAYOUTS, Pair, Setting, rows_of, same
from test_threads import assert_same, results

ALL = [(name, cells.get(name).graph) for name in cells.names()]
ALL += [(f"lstm, {w}", prepare(cells.get("lstm").graph, {w: {}})) for w in ("layer_norm", "reset", "hold")]
ALL += [("slstm, reset", prepare(cells.get("slstm").graph, {"reset": {}, "hold": {}}))]


class Golden(expecttest.TestCase):
    """Renewed with EXPECTTEST_ACCEPT=1; read the difference before it is committed."""

    maxDiff = None

    def test_lstm_forward(self) -> None:
        self.assertExpectedInline(
            plan_text(plan_forward(cells.get("lstm").graph, train=False)),
            """\
stage 0: over H
  column 0 = %3 from f.bias
  column 1 = %5 from i.bias
  column 2 = %7 from g.bias
  column 3 = %9 from o.bias
  input:x[cur] times f.1 -> 0, i.1 -> 1, g.1 -> 2, o.1 -> 3
  history:h[prev] times f.0 -> 0, i.0 -> 1, g.0 -> 2, o.0 -> 3
  %4 = sigmoid(%3)  (f)
  %6 = sigmoid(%5)  (i)
  %8 = tanh(%7)  (g)
  %10 = sigmoid(%9)  (o)
  %11 = mul(%4, state:c[row])
  %12 = mul(%6, %8)
  %13 = add(%11, %12)  (c)
  %14 = tanh(%13)
  %15 = mul(%10, %14)  (h)
  history:h[cur] = %15
  state:c[row] = %13
""",
        )

    def test_lstm_backward(self) -> None:
        backward = derive(cells.get("lstm").graph)
        self.assertExpectedInline(
            plan_text(plan_backward(backward, choose_saved(backward))),
            """\
stage 0: over H
  %14 = tanh(history:c[cur])
  %18 = add(ct:h[row], d:h[cur])
  %21 = add(ct:c[row], d:c[cur])
  %22 = mul(%18, %14)
  %23 = mul(%18, saved:10[cur])
  %24 = mul(%14, %14)
  %26 = sub(1, %24)
  %27 = mul(%23, %26)
  %28 = add(%21, %27)
  %29 = mul(%28, saved:8[cur])
  %30 = mul(%28, saved:6[cur])
  %31 = mul(%28, history:c[prev])
  %32 = mul(%28, saved:4[cur])
  %33 = sub(1, saved:10[cur])
  %34 = mul(saved:10[cur], %33)
  %35 = mul(%22, %34)
  %36 = mul(saved:8[cur], saved:8[cur])
  %37 = sub(1, %36)
  %38 = mul(%30, %37)
  %39 = sub(1, saved:6[cur])
  %40 = mul(saved:6[cur], %39)
  %41 = mul(%29, %40)
  %42 = sub(1, saved:4[cur])
  %43 = mul(saved:4[cur], %42)
  %44 = mul(%31, %43)
  chunk:35[local] = %35
  chunk:38[local] = %38
  chunk:41[local] = %41
  chunk:44[local] = %44
  ct:c[row] = %32
stage 1: over H
  column 0 = %45
  chunk:35[local] times o.0' -> 0
  chunk:38[local] times g.0' -> 0
  chunk:41[local] times i.0' -> 0
  chunk:44[local] times f.0' -> 0
  ct:h[row] = %45
after the loop: over I
  column 0 = %46
  chunk:44[local] times f.1' -> 0
  chunk:41[local] times i.1' -> 0
  chunk:38[local] times g.1' -> 0
  chunk:35[local] times o.1' -> 0
  dinput:x[cur] = %46
gradient o.0 += chunk:35[local] outer history:h[prev]
gradient o.1 += chunk:35[local] outer input:x[cur]
gradient g.0 += chunk:38[local] outer history:h[prev]
gradient g.1 += chunk:38[local] outer input:x[cur]
gradient i.0 += chunk:41[local] outer history:h[prev]
gradient i.1 += chunk:41[local] outer input:x[cur]
gradient f.0 += chunk:44[local] outer history:h[prev]
gradient f.1 += chunk:44[local] outer input:x[cur]
gradient o.bias += chunk:35[local]
gradient g.bias += chunk:38[local]
gradient i.bias += chunk:41[local]
gradient f.bias += chunk:44[local]
""",
        )

    def test_gru_forward(self) -> None:
        graph = cells.get("gru_reset_before").graph
        saved = choose_saved(derive(graph))
        self.assertExpectedInline(
            plan_text(plan_forward(graph, train=True, saved=saved)),
            """\
stage 0: over H
  column 0 = %2 from r.bias
  column 1 = %4 from z.bias
  input:x[cur] times r.1 -> 0, z.1 -> 1
  history:h[prev] times r.0 -> 0, z.0 -> 1
  %3 = sigmoid(%2)  (r)
  %5 = sigmoid(%4)  (z)
  %6 = mul(%3, history:h[prev])
  value:6[row] = %6
  saved:3[cur] = %3
  saved:5[cur] = %5
stage 1: over H
  column 0 = %7 from n.bias
  input:x[cur] times n.1 -> 0
  value:6[row] times n.0 -> 0
  %8 = tanh(%7)  (n)
  %10 = sub(1, saved:5[cur])
  %11 = mul(%10, %8)
  %12 = mul(saved:5[cur], history:h[prev])
  %13 = add(%11, %12)  (h)
  saved:8[cur] = %8
  history:h[cur] = %13
""",
        )

    def test_gru_backward(self) -> None:
        backward = derive(cells.get("gru_reset_before").graph)
        self.assertExpectedInline(
            plan_text(plan_backward(backward, choose_saved(backward))),
            """\
stage 0: over H
  %6 = mul(saved:3[cur], history:h[prev])
  %10 = sub(1, saved:5[cur])
  %16 = add(ct:h[row], d:h[cur])
  %17 = mul(%16, history:h[prev])
  %19 = mul(%16, saved:8[cur])
  %20 = mul(%16, %10)
  %21 = mul(saved:8[cur], saved:8[cur])
  %22 = sub(1, %21)
  %23 = mul(%20, %22)
  %27 = sub(%17, %19)
  %28 = mul(saved:5[cur], %10)
  %29 = mul(%27, %28)
  chunk:23[local] = %23
  chunk:6[local] = %6
  chunk:29[local] = %29
stage 1: over H
  column 0 = %24
  chunk:23[local] times n.0' -> 0
  %25 = mul(%24, history:h[prev])
  %30 = sub(1, saved:3[cur])
  %31 = mul(saved:3[cur], %30)
  %32 = mul(%25, %31)
  value:24[row] = %24
  chunk:32[local] = %32
stage 2: over H
  column 0 = %33
  chunk:29[local] times z.0' -> 0
  chunk:32[local] times r.0' -> 0
  %16 = add(ct:h[row], d:h[cur])
  %18 = mul(%16, saved:5[cur])
  %26 = mul(value:24[row], saved:3[cur])
  %34 = add(%33, %18)
  %35 = add(%34, %26)
  ct:h[row] = %35
after the loop: over I
  column 0 = %36
  chunk:32[local] times r.1' -> 0
  chunk:29[local] times z.1' -> 0
  chunk:23[local] times n.1' -> 0
  dinput:x[cur] = %36
gradient n.0 += chunk:23[local] outer chunk:6[local]
gradient n.1 += chunk:23[local] outer input:x[cur]
gradient z.0 += chunk:29[local] outer history:h[prev]
gradient z.1 += chunk:29[local] outer input:x[cur]
gradient r.0 += chunk:32[local] outer history:h[prev]
gradient r.1 += chunk:32[local] outer input:x[cur]
gradient n.bias += chunk:23[local]
gradient z.bias += chunk:29[local]
gradient r.bias += chunk:32[local]
""",
        )


# ---- what every plan must keep


def plans_of(graph: Any) -> dict[str, Plan]:
    backward = derive(graph)
    saved = choose_saved(backward)
    return {
        "inference": plan_forward(graph, train=False), "training": plan_forward(graph, True, saved),
        "replay": plan_replay(graph, saved), "backward": plan_backward(backward, saved),
        "backward from a chunk": plan_backward(backward, saved, local=True),
    }  # fmt: skip


@pytest.mark.parametrize(("name", "graph"), ALL, ids=lambda v: v if isinstance(v, str) else "")
def test_nothing_is_read_before_it_is_written(name: str, graph: Any) -> None:
    """Within a step: what a stage reads is a leaf, a saved value, or was stored by an earlier stage."""
    for kind, plan in plans_of(graph).items():
        written = set(leaf_homes(graph).values()) | {Access(f"state:{s.name}", "row") for s in graph.states}
        if "backward" in kind:
            kept = ("history", "saved", "ct", "d", "units")
            written |= {a for a in plan.homes.values() if a.array.split(":")[0] in kept}
        for stage in plan.stages:
            operands = [t.operand for t in stage.terms]
            for node in {*operands, *([] if stage.rows else loads_of(stage, plan))} - set(stage.dots):
                access = plan.homes[node]
                assert access in written or access.mode in ("prev", "one", "call"), f"{name} {kind}: {access}"
            written |= {s.access for s in stage.stores}


@pytest.mark.parametrize(("name", "graph"), ALL, ids=lambda v: v if isinstance(v, str) else "")
def test_gradients_outlive_the_step_that_makes_them(name: str, graph: Any) -> None:
    """What the products after a chunk read is a sequence or a chunk's buffer, never one step's."""
    plan = plans_of(graph)["backward"]
    for gradient in plan.gradients:
        assert gradient.ct.mode in ("cur", "local"), gradient
        assert gradient.operand is None or not gradient.operand.array.startswith(("value", "ct")), gradient
    for product in plan.products:
        for term in product.terms:
            assert plan.homes[term.operand].mode in ("cur", "local"), f"{name}: {plan.homes[term.operand]}"


@pytest.mark.parametrize(("name", "graph"), ALL, ids=lambda v: v if isinstance(v, str) else "")
def test_each_product_is_counted_once(name: str, graph: Any) -> None:
    for kind, plan in plans_of(graph).items():
        for stage in [*plan.stages, *plan.products]:
            wanted = [(c, w) for c, d in enumerate(stage.dots) for w in plan.nodes[d].attr.weights]
            assert sorted((t.column, t.weight) for t in stage.terms) == sorted(wanted), f"{name} {kind}"


# ---- choices that change no bit


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "lstm_layer_norm", "gru_d"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_hoisting_changes_no_bit(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(cells.get(name).graph, Setting(T=9, B=3, H=40, I=30, dtype=dtype, layout="ragged"))
    found = []
    for hoist in (False, True):
        pair.forget()
        monkeypatch.setattr(
            sys.modules["gatework.runtime.llvm.compiled"],
            "choose_mode",
            lambda *a, hoist=hoist: (Mode(1, False, hoist), "forced"),
        )
        found.append(results(pair, 1))
    assert any(s.hoisted for s in pair.program.scripts.values())
    assert_same(found[1], found[0])


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_reset_before", "slstm_exp", "lstm_layer_norm"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_saving_or_computing_again_gives_the_same_bits(name: str, layout: str) -> None:
    graph = cells.get(name).graph
    saving, again = (Pair(graph, Setting(T=20, B=33, H=21, layout=layout, recompute=r)) for r in (False, True))
    assert again.forward().saved is None
    assert_same(results(again, 1), results(saving, 1))


@pytest.mark.parametrize("most", [1, 40, 10_000])
def test_cutting_into_chunks_changes_no_more_than_the_order_of_sums(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a sequence is cut depends on the layer alone; another cut adds weight gradients up in another order."""
    pair = Pair(cells.get("lstm").graph, Setting(T=20, B=33, H=21, layout="ragged", recompute=True))
    want = results(pair, 1)
    pair.forget()
    monkeypatch.setattr(sys.modules["gatework.runtime.llvm.compiled"], "chunk_rows", lambda _: most)
    got = results(pair, 1)
    for name, values in want.items():
        if name.startswith("w "):
            assert abs(got[name] - values).max() <= 1e-13 * abs(values).max(), name
        else:
            same(got[name], values, name)


# ---- tables


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_rows_are_split_completely(layout: str, threads: int) -> None:
    for T, B in itertools.product((0, 1, 9), (0, 1, 7, 40)):
        pair = Pair(cells.get("rnn").graph, Setting(T=T, B=B, layout=layout))
        cuts = split_rows(pair.rows, threads)
        assert len(cuts) == threads + 1 and cuts == sorted(cuts) and cuts[0] == 0
        if pair.rows.size:
            assert cuts[-1] >= pair.rows.counts[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_segments_and_chunks_hold_every_row_once(layout: str) -> None:
    pair = Pair(cells.get("rnn").graph, Setting(T=9, B=7, layout=layout, seed=3))
    rows = rows_of(pair.made, 9, layout)
    chunks = step_chunks(rows, 10)
    assert [s for chunk in chunks for s in chunk] == list(range(len(rows.counts)))
    before: dict[int, int] = {}
    for s in range(1, len(rows.counts)):
        before |= {int(rows.offsets[s]) + j: int(rows.offsets[s - 1]) + j for j in range(int(rows.counts[s]))}
    seen: list[int] = []
    for steps in chunks:
        base = int(min(rows.offsets[steps[0]], rows.offsets[steps[-1]]))
        count = int(rows.counts[steps[0] : steps[-1] + 1].sum())
        for ct, operand, length, fresh in segments("prev", rows, steps, base, count):
            for j in range(length):
                seen.append(base + ct + j)
                assert fresh or before[base + ct + j] == operand + j
    assert sorted(seen) == list(range(rows.size))


def test_a_plan_of_nothing_left() -> None:
    """A batch without steps has no chunk to work on."""
    assert step_chunks(Rows.rectangle(3, 2), 4) == [range(2), range(2, 3)]
    assert step_chunks(Rows.rectangle(3, 2), 1) == [range(1), range(1, 2), range(2, 3)]


# ---- large graphs


def repeated(step: Any, times: int) -> Graph:
    """A step whose value is computed again from itself."""

    def function(x: Any, h: Any, W: Any) -> Any:
        value, other = h, W.u(x)
        for _ in range(times):
            value = step(value, other)
        return g.tanh(value)

    return g.cell(name="repeated")(function).graph


@pytest.mark.parametrize("step", [lambda v, u: v + 0.01 * (g.tanh(v) - u), lambda v, u: v * v + u])
def test_walks_over_graphs_take_linear_time_and_no_recursion(step: Any) -> None:
    """A neural ODE of many steps is deep; a value that is used twice, many times over, has paths without number."""
    graph = repeated(step, 1500)
    backward = differentiate(graph)
    saved = choose_saved(backward)
    for plan in (plan_forward(graph, False), plan_forward(graph, True, saved), plan_backward(backward, saved)):
        assert plan.stages
    assert state_matrices(graph) == () and from_json(to_json(graph)) == graph
