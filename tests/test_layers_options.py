"""What gatework's layers have beyond torch.nn's: each option against a loop in plain torch, or against a law."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

import gatework
from gatework import cells
from gatework.backends import reference
from gatework.compiler import params
from gatework.compiler.carry import gates
from gatework.errors import OptionError
from gatework.layers.errors import LayerError

D = torch.float64
STEPS, BATCH, I, H = 6, 3, 4, 5


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(3)
    return torch.randn(STEPS, BATCH, I, dtype=D)


def lstm_loop(layer: gatework.LSTM, x: Tensor, change: Any) -> Tensor:
    """An LSTM by hand; `change(kind, value)` may change the h that is read ("h"), the gates' sums ("gates") and the new
    states ("c", "h'")."""
    h = c = x.new_zeros(x.shape[1], layer.hidden_size)
    outputs = []
    for step in x:
        sums = [step @ layer.weight_ih_l0.T, change("h", h, None) @ layer.weight_hh_l0.T]
        i, f, g, o = change("gates", sum(sums) + sum(getattr(layer, b, 0.0) for b in ("bias_ih_l0", "bias_hh_l0")), c)
        new_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        new_h = torch.sigmoid(change("o", o, new_c)) * torch.tanh(new_c)
        h, c = change("h'", new_h, h), change("c", new_c, c)
        outputs.append(h)
    return torch.stack(outputs)


def plain(kind: str, value: Any, _: Any) -> Any:
    return value.chunk(4, 1) if kind == "gates" else value


def test_the_loop_is_an_lstm(x: Tensor) -> None:
    layer = gatework.LSTM(I, H, dtype=D)
    assert_close(layer(x)[0], lstm_loop(layer, x, plain))


def test_recurrent_dropout_has_one_mask_a_sequence(x: Tensor) -> None:
    layer = gatework.LSTM(I, H, dtype=D, recurrent_dropout=0.4)
    torch.manual_seed(0)
    output = layer(x)[0]
    torch.manual_seed(0)
    mask = torch.empty(BATCH, H, dtype=D).bernoulli_(0.6) / 0.6
    assert 0 < (mask == 0).sum() < mask.numel()
    assert_close(output, lstm_loop(layer, x, lambda k, v, s: v * mask if k == "h" else plain(k, v, s)))
    assert not torch.equal(layer(x)[0], output), "a call draws new masks"
    layer.eval()
    assert_close(layer(x)[0], lstm_loop(layer, x, plain))


def test_recurrent_dropout_for_each_map(x: Tensor) -> None:
    layer = gatework.LSTM(I, H, dtype=D, recurrent_dropout=0.4, recurrent_dropout_per="map")
    names = [i.name for i in layer.graph_in_training().inputs if i.per == "sequence"]
    assert sorted(names) == ["drop_h_f", "drop_h_g", "drop_h_i", "drop_h_o"]
    torch.manual_seed(0)
    output = layer(x)[0]
    assert not torch.equal(layer(x)[0], output)
    torch.manual_seed(0)
    assert torch.equal(layer(x)[0], output)


def test_zoneout_keeps_units_and_expects_in_evaluation(x: Tensor) -> None:
    layer = gatework.LSTM(I, H, dtype=D, zoneout={"c": 0.3, "h": 0.1})
    expectation = {"c": 0.3, "h'": 0.1}

    def change(kind: str, new: Any, old: Any) -> Any:
        rate = expectation.get(kind, 0.0)
        return rate * old + (1 - rate) * new if rate else plain(kind, new, old)

    assert_close(layer.eval()(x)[0], lstm_loop(layer, x, change))
    output = layer.train()(x)[0]
    kept = (output[1:] == output[:-1]).double().mean()
    assert 0 < kept < 0.4
    always = gatework.LSTM(I, H, dtype=D, zoneout=1.0)
    assert not always(x)[0].any()


def test_layer_norm_over_each_gate(x: Tensor) -> None:
    layer = gatework.LSTM(I, H, dtype=D, layer_norm=True)
    names = [n for n, _ in layer.named_parameters()]
    assert "f_gain_l0" in names
    assert "bias_ih_l0" not in names
    with torch.no_grad():
        for gate in "figo":
            getattr(layer, f"{gate}_gain_l0").normal_()
            getattr(layer, f"{gate}_shift_l0").normal_()

    def change(kind: str, value: Any, state: Any) -> Any:
        if kind != "gates":
            return value
        ends = [(getattr(layer, f"{g}_gain_l0"), getattr(layer, f"{g}_shift_l0")) for g in "ifgo"]
        return [
            torch.nn.functional.layer_norm(v, (H,), w, b) for v, (w, b) in zip(value.chunk(4, 1), ends, strict=True)
        ]

    assert_close(layer(x)[0], lstm_loop(layer, x, change))


def test_peephole(x: Tensor) -> None:
    layer = gatework.LSTM(I, H, dtype=D, peephole=True)
    assert not layer.peep_f_l0.any(), "peepholes start at zero"
    with torch.no_grad():
        for gate in "fio":
            getattr(layer, f"peep_{gate}_l0").normal_()

    def change(kind: str, value: Any, c: Any) -> Any:
        if kind == "gates":
            i, f, g, o = value.chunk(4, 1)
            return i + layer.peep_i_l0 * c, f + layer.peep_f_l0 * c, g, o
        return value + layer.peep_o_l0 * c if kind == "o" else value

    assert_close(layer(x)[0], lstm_loop(layer, x, change))


def test_forget_bias_and_chrono() -> None:
    layer = gatework.LSTM(I, H, 2, forget_bias=1.5, bidirectional=True)
    for suffix in layer.all_suffixes():
        both = getattr(layer, "bias_ih" + suffix) + getattr(layer, "bias_hh" + suffix)
        assert_close(both[H : 2 * H], torch.full((H,), 1.5))
        assert both[:H].abs().max() < 1
    layer = gatework.LSTM(I, 400, chrono=1000)
    both = layer.bias_ih_l0 + layer.bias_hh_l0
    i, f, *_ = both.chunk(4)
    assert torch.equal(i, -f)
    assert 0 <= f.min() < f.max() <= np.log(999)
    assert 400 < f.exp().mean() < 600
    z = gatework.GRU(I, 400, chrono=1000)
    assert 400 < (z.bias_ih_l0 + z.bias_hh_l0)[400:800].exp().mean() < 600
    assert torch.equal(gatework.LSTM(I, H, layer_norm=True, forget_bias=2.0).f_shift_l0, torch.full((H,), 2.0))
    for wrong in ({"chrono": 2}, {"forget_bias": 1.0, "bias": False}):
        with pytest.raises(OptionError):
            gatework.LSTM(I, H, **wrong)


def test_chrono_finds_the_gate_of_any_cell() -> None:
    """Kept over 1 to 50 steps at the start, whatever the gate is called and whichever way it works."""
    for cell in ("lstm_peephole", "lstm_coupled", "gru_reset_before", "mgu", "mingru", "sru", "lstm_layer_norm"):
        layer = gatework.Recurrent(cell, I, 300, chrono=50)
        gate, *_ = gates(layer.graph).values()
        name = gate.bias if gate.bias.endswith("_shift") else "bias_" + gate.bias.partition(".")[0]
        kept = torch.sigmoid(gate.sign * getattr(layer, name + "_l0"))
        assert 0.5 <= kept.min() < 0.7, cell
        assert 0.97 < kept.max() <= 0.98, cell
    coupled = gatework.Recurrent("lstm_peephole", I, H, chrono=50, forget_bias=None)
    assert torch.equal(coupled.bias_f_l0, -coupled.bias_i_l0)
    for cell in ("rnn", "lstm_1997", "slstm", "minlstm"):
        with pytest.raises(OptionError, match=f"{cell} has no sigmoid gate"):
            gatework.Recurrent(cell, I, H, chrono=50)


def test_learned_initial_state(x: Tensor) -> None:
    layer = gatework.LSTM(I, H, 2, dtype=D, learn_initial_state=True, bidirectional=True)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("initial"):
                assert not parameter.any()
                parameter.normal_()
    starts = [[getattr(layer, f"initial_{s}{k}") for k in layer.all_suffixes()] for s in "hc"]
    hx = tuple(torch.stack(s)[:, None].expand(-1, BATCH, -1).contiguous() for s in starts)
    expected = layer(x, hx)[0]
    assert_close(layer(x)[0], expected)
    layer(x)[0].sum().backward()
    assert layer.initial_c_l1_reverse.grad.abs().min() > 0


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_all_states_and_gates(kind: str, x: Tensor) -> None:
    layer = getattr(gatework, kind)(I, H, 2, dtype=D, bidirectional=True)
    output, _, values = layer(x, return_all=True)
    assert_close(output, layer(x)[0])
    assert_close(torch.cat([values["h_l1"], values["h_l1_reverse"]], -1), output)
    if kind == "LSTM":
        f, i, g, o, c, h = (values[n + "_l0"] for n in "figoch")
        assert_close(c[1:], f[1:] * c[:-1] + i[1:] * g[1:])
        assert_close(h, o * torch.tanh(c))
        f, i, g, c = (values[n + "_l0_reverse"] for n in "figc")
        assert_close(c[:-1], f[:-1] * c[1:] + i[:-1] * g[:-1])
    layer, x = getattr(gatework, kind)(2, 3, dtype=D, bidirectional=True), x[:3, :2, :2].clone().requires_grad_()

    def shown(x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        changed = torch.func.functional_call(layer, {"weight_hh_l0_reverse": weight}, (x,), {"return_all": True})
        return tuple(changed[2].values())

    assert torch.autograd.gradcheck(shown, (x, layer.weight_hh_l0_reverse))


def test_all_gates_of_ragged_batches_lie_as_the_output(x: Tensor) -> None:
    layer = gatework.LSTM(I, H, dtype=D, batch_first=True, bidirectional=True)
    lengths = [2, 6, 4]
    values = layer(x.transpose(0, 1), lengths=lengths, return_all=True)[2]
    for row, length in enumerate(lengths):
        alone = layer(x[:length, row], return_all=True)[2]
        for name, value in alone.items():
            assert_close(values[name][row, :length], value)
            assert not values[name][row, length:].any()


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_reset_makes_segments_independent(x: Tensor, learned: bool, bidirectional: bool) -> None:
    layer = gatework.LSTM(I, H, 2, dtype=D, bidirectional=bidirectional, learn_initial_state=learned)
    for name, parameter in layer.named_parameters():
        if name.startswith("initial"):
            torch.nn.init.normal_(parameter)
    reset = torch.zeros(STEPS, BATCH, dtype=torch.bool)
    reset[2, 0] = reset[4, 0] = reset[1, 1] = True
    lengths = [6, 4, 5]
    output, (h, _) = layer(x, reset=reset, lengths=lengths)
    for row, length in enumerate(lengths):
        cuts = [0, *reset[:, row].nonzero().flatten().tolist(), length]
        parts = [layer(x[a:b, row]) for a, b in itertools.pairwise(cuts)]
        assert_close(output[:length, row], torch.cat([p[0] for p in parts]))
        assert_close(h[0, row], parts[-1][1][0][0])
        if bidirectional:
            assert_close(h[1, row], parts[0][1][0][1])


def test_reset_forgets_the_given_states_and_fits_every_form(x: Tensor) -> None:
    layer = gatework.GRU(I, H, dtype=D)
    reset = torch.zeros(STEPS, BATCH, dtype=torch.bool)
    reset[0] = True
    h = torch.randn(1, BATCH, H, dtype=D)
    assert_close(layer(x, h, reset=reset)[0], layer(x)[0])
    reset[3, 1] = True
    expected = layer(x, h, reset=reset)[0]
    first = gatework.GRU(I, H, dtype=D, batch_first=True)
    first.load_state_dict(layer.state_dict())
    assert_close(first(x.transpose(0, 1), h, reset=reset.T)[0], expected.transpose(0, 1))
    assert_close(layer(x[:, 1], h[:, 1], reset=reset[:, 1])[0], expected[:, 1])
    lengths = torch.tensor([3, 6, 5])
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    marks = pack_padded_sequence(reset, lengths, enforce_sorted=False)
    for given in (reset, marks):
        assert_close(layer(packed, h, reset=given)[1], layer(x, h, reset=reset, lengths=lengths)[1])
    with pytest.raises(LayerError, match=r"reset must have shape \(\d+, \d+\), as the input lies"):
        layer(x, reset=reset.T)


@pytest.mark.parametrize("form", ["packed", "packed in another order", "lengths"])
def test_sequences_of_one_length_are_a_rectangle(x: Tensor, form: str) -> None:
    """Values of all kinds, last states, and gradients of the input, of states and of parameters."""
    layer = gatework.LSTM(I, H, 2, bidirectional=True, dtype=D)
    reset = torch.zeros(STEPS, BATCH, dtype=torch.bool)
    reset[2, 0] = reset[3, 2] = True
    order = torch.tensor([2, 0, 1])
    lengths = torch.full((BATCH,), STEPS)
    if form == "packed in another order":
        flat, counts = pack_padded_sequence(x[:, order], lengths)[:2]
        packed: Any = PackedSequence(flat, counts, order, order.argsort())
    else:
        packed = pack_padded_sequence(x, lengths)

    def run(**how: Any) -> list[Tensor]:
        given = x.clone().requires_grad_()
        states = [(torch.arange(4.0 * BATCH * H, dtype=D).view(4, BATCH, H) / 50).requires_grad_() for _ in "hc"]
        data = given if not how.pop("pack", False) else packed._replace(data=given.flatten(0, 1)[places])
        output, last, values = layer(data, states, reset=reset, return_all=True, **how)
        found = [output, *last, *values.values()]
        found = [pad_packed_sequence(f)[0] if isinstance(f, PackedSequence) else f for f in found]
        loss = sum((f * torch.linspace(-1, 1, f.numel(), dtype=D).view(f.shape)).sum() for f in found)
        return [*found, *torch.autograd.grad(loss, [given, *states, *layer.parameters()])]

    rows = order if form == "packed in another order" else torch.arange(BATCH)
    places = (torch.arange(STEPS)[:, None] * BATCH + rows).flatten()
    got = run(lengths=lengths) if form == "lengths" else run(pack=True)
    for one, other in zip(got, run(), strict=True):
        assert_close(one, other)


# --- Recurrent -------------------------------------------------------------------------------------------------------


def layer_of(cell: str, **options: Any) -> gatework.Recurrent:
    graph = cells.get(cell).graph
    sizes = {w: 2 if w == "heads" else 4 for w in params.symbols(graph) if w not in ("H", "I")}
    torch.manual_seed(0)
    return gatework.Recurrent(cell, I, 6, dtype=D, sizes=sizes, **options)


def others(layer: gatework.Recurrent, steps: int, batch: int) -> dict[str, Any]:
    """Values for a cell's inputs after x."""
    sizes, found = layer.layer_sizes(0), {}
    for item in layer.graph.inputs[1:]:
        width = params.size(sizes, item.width)
        shape = (steps, batch, width) if item.per == "step" else (batch, width)
        found[item.name] = 0.5 if item.per == "call" else torch.rand(shape, dtype=D).round()
    return found


@pytest.mark.parametrize("cell", cells.names())
def test_every_cell_is_a_layer(cell: str, x: Tensor) -> None:
    layer = layer_of(cell)
    more = others(layer, STEPS, BATCH)
    x = x.requires_grad_()
    output, states = layer(x, **more)
    given = {layer.graph.inputs[0].name: x, **more}
    given = {n: v.detach().numpy() if isinstance(v, Tensor) else v for n, v in given.items()}
    run = reference.run(layer.graph, layer.layer_sizes(0), given, None, layer.weights(0))
    assert_close(output.detach().numpy(), run.history[layer.graph.states[0].name])
    for state, value in zip(layer.graph.states, states, strict=True):
        assert_close(value[0].detach().numpy(), run.final[state.name])
    grads = torch.autograd.grad(output.square().sum(), [x, *layer.parameters()])
    assert all(g.isfinite().all() for g in grads)


@pytest.mark.parametrize("cell", cells.names())
def test_steps_are_the_sequence(cell: str, x: Tensor) -> None:
    layer = layer_of(cell)
    more = others(layer, STEPS, BATCH)
    per = {i.name: i.per for i in layer.graph.inputs}
    expected, last = layer(x, **more)
    states, outputs = None, []
    for t in range(STEPS):
        output, states = layer.step(x[t], states, **{n: v[t] if per[n] == "step" else v for n, v in more.items()})
        outputs.append(output)
    assert_close(torch.stack(outputs), expected)
    assert_close(states, last)


def test_a_cell_of_ones_own_in_a_stack_of_both_directions(x: Tensor) -> None:
    from gatework.compiler.lang import cell, sigmoid, tanh

    @cell
    def leaky(x, h, W):
        f = sigmoid(W.f(h, x))
        return f * h + (1 - f) * tanh(W.n(h, x))

    layer = gatework.Recurrent(leaky, I, H, 2, bidirectional=True, dropout=0.2, dtype=D)
    assert layer.weight_f_h_l1_reverse.shape == (H, H)
    assert layer.weight_f_x_l1.shape == (H, 2 * H)
    output, (h,) = layer(x, lengths=[6, 2, 0])
    assert output.shape == (STEPS, BATCH, 2 * H)
    assert h.shape == (4, BATCH, H)
    assert not output[:, 2].any()
    assert torch.autograd.gradcheck(lambda v: layer.eval()(v)[0], x.requires_grad_(), fast_mode=True)


def test_options_that_do_not_fit_are_refused() -> None:
    for options, words in (
        ({"zoneout": {"q": 0.1}}, "zoneout names the state 'q'"),
        ({"recurrent_dropout": 1.5}, "recurrent_dropout is a probability"),
        ({"hidden_size": 0}, "hidden_size must be a whole number"),
        ({"num_layers": 0}, "num_layers must be a whole number of at least 1"),
    ):
        with pytest.raises(OptionError, match=words):
            gatework.Recurrent("gru_reset_before", **{"input_size": I, "hidden_size": H, **options})
    with pytest.raises(OptionError, match="did you mean"):
        gatework.Recurrent("lstn", I, H)
    with pytest.raises(OptionError, match="needs a size for 'P'"):
        gatework.Recurrent("lstm_projected", I, H)


def test_wrong_values_are_named(x: Tensor) -> None:
    layer = gatework.LSTM(I, H, dtype=D)
    for wrong, words in (
        ({"lengths": [1, 2]}, r"lengths must have one entry per sequence, shape \(3,\)"),
        ({"lengths": [1, 9, 2]}, r"lengths\[1\] is 9"),
        ({"lengths": [1, -1, 2]}, r"lengths\[1\] is -1"),
        ({"lengths": [1.0, 2.0, 3.0]}, "lengths must be integers"),
        ({"hx": torch.zeros(1, BATCH, H)}, "states must be the 2 tensors h, c"),
    ):
        with pytest.raises(LayerError, match=words):
            layer(x, **wrong)
    with pytest.raises(LayerError, match="has no input 'mask'"):
        gatework.Recurrent("gru", I, H, dtype=D)(x, mask=x)
    with pytest.raises(OptionError, match="no single step"):
        gatework.Recurrent("gru", I, H, bidirectional=True).step(x[0])


def test_it_says_which_kernel_runs() -> None:
    layer = gatework.LSTM(I, H, 2, dtype=torch.bfloat16)
    said = layer.describe()
    assert "lstm, float32 inside (parameters are bfloat16" in said
    assert "layer 0: " in said
    assert "layer 1: " in said
    with torch.autocast("cpu", torch.bfloat16):
        assert "autocast: products and outputs in bfloat16\nlayer 0: gru float32" in gatework.GRU(I, H).describe()
    assert "torch's own kernel" in gatework.LSTM(I, H, device="meta").describe()
    assert "the reference" in gatework.LSTM(I, H, device="meta", zoneout=0.1).describe()
    assert "the reference" in gatework.Recurrent("mgu", I, H, device="meta").describe()


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_other_devices_run_torchs_kernel_or_the_reference(kind: str, x: Tensor) -> None:
    options = {"num_layers": 2, "bidirectional": True}
    x = x.requires_grad_()
    layer = getattr(gatework, kind)(I, H, **options, dtype=D)
    layer.load_state_dict({k: v * 2 for k, v in layer.state_dict().items()})
    wanted = [x, *layer.parameters()]
    theirs = layer.torchs_layer()
    assert_close(theirs(x), layer(x))
    assert_close(torch.autograd.grad(theirs(x)[0].sum(), wanted), torch.autograd.grad(layer(x)[0].sum(), wanted))
    with torch.no_grad():
        layer.weight_hh_l0.add_(1.0)
    assert_close(layer.torchs_layer()(x), layer(x))
    assert len(list(layer.modules())) == 1
    for more in ({}, {"zoneout": 0.2}):
        elsewhere = getattr(gatework, kind)(I, H, **options, **more, device="meta")
        assert elsewhere(torch.zeros(4, 3, I, device="meta"))[0].shape == (4, 3, 2 * H)


def test_a_layer_keeps_its_shape_and_refuses_what_is_no_rate_or_no_reset() -> None:
    layer = gatework.LSTM(I, H)
    for name, value in (("num_layers", 2), ("bidirectional", True), ("layer_norm", True), ("hidden_size", H + 1)):
        with pytest.raises(OptionError, match=f"a layer keeps its {name}"):
            setattr(layer, name, value)
    with pytest.raises(OptionError, match="zoneout is a rate between 0 and 1"):
        gatework.LSTM(I, H, zoneout="h")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"reset says yes or no for each step; it holds 0\.5"):
        layer(torch.randn(3, 2, I), reset=torch.full((3, 2), 0.5))


def test_values_without_a_derivative_are_returned_and_leave_gradients_as_they_are() -> None:
    """A comparison, what `stop` holds, a function of the call's number."""

    @gatework.cell(per={"rate": "call"}, width={"rate": "1"})
    def mixed(x: Any, rate: Any, h: Any, W: Any) -> Any:
        keep = 1.0 / (1.0 + rate * rate)
        old = gatework.stop(h)
        n = gatework.tanh(W.n(h, x)) + 0.1 * old
        fire = n > 0.5
        return keep * h + (1 - keep) * n * gatework.where(fire, 1.0, 0.5)

    torch.manual_seed(0)
    layer, found = gatework.Recurrent(mixed, 4, 5), []
    for every in (False, True):
        x = torch.randn(6, 2, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
        layer.zero_grad()
        output, _, *values = layer(x, rate=0.5, return_all=every)
        output.sum().backward()
        found.append([x.grad, *(p.grad.clone() for p in layer.parameters())])
    assert {"old_l0", "keep_l0", "fire_l0"} <= set(values[0])
    for plain, asked in zip(*found, strict=True):
        torch.testing.assert_close(plain, asked, rtol=0, atol=0)


def test_unknown_options_are_refused_with_what_may_be_meant() -> None:
    wrong: Any = {"recurent_dropout": 0.1}
    for made in (lambda: gatework.LSTM(3, 4, **wrong), lambda: gatework.Recurrent("lstm", 3, 4, **wrong)):
        with pytest.raises(OptionError, match="has no option 'recurent_dropout'; did you mean 'recurrent_dropout'"):
            made()
    for name, says in {
        "peephole": "lstm_peephole",
        "clip": "cell.wrapped",
        "colour": "it has cell, input_size",
    }.items():
        other: Any = {name: True}
        with pytest.raises(OptionError, match=rf"Recurrent has no option '{name}'; .*{says}"):
            gatework.Recurrent("lstm", 3, 4, **other)
    more: Any = {"sizes": {"P": 2}}
    with pytest.raises(OptionError, match="LSTM has no option 'sizes'"):
        gatework.LSTM(3, 4, **more)


def test_the_layers_text_shows_every_option_that_is_set() -> None:
    said = repr(
        gatework.LSTM(3, 4, forget_bias=1.0, recompute=True, recurrent_dropout=0.1, recurrent_dropout_per="map")
    )
    for shown in ("forget_bias=1.0", "recompute=True", "recurrent_dropout_per=map"):
        assert shown in said
    assert "chrono=20" in repr(gatework.GRU(3, 4, chrono=20))
