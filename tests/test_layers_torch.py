"""gatework.LSTM, GRU and RNN against torch.nn's: options, inputs, results, gradients, errors, and torch's own tests."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close
from torch.testing._internal.common_modules import ModuleErrorEnum, module_db

import gatework
from gatework.errors import OptionError
from gatework.layers import from_torch, to_torch

PAIRS = {"LSTM": (nn.LSTM, gatework.LSTM), "GRU": (nn.GRU, gatework.GRU), "RNN": (nn.RNN, gatework.RNN)}
KINDS = sorted(PAIRS)
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def twins(kind: str, *args: Any, seed: int = 0, **options: Any) -> tuple[nn.Module, nn.Module]:
    """torch's layer and ours, each drawn from the same seed."""
    made = []
    for cls in PAIRS[kind]:
        torch.manual_seed(seed)
        made.append(cls(*args, **options))
    return made[0], made[1]


def leaves(value: Any) -> list[torch.Tensor]:
    if isinstance(value, PackedSequence):
        return [value.data]
    return [value] if isinstance(value, torch.Tensor) else [t for v in value for t in leaves(v)]


def results_and_gradients(layer: nn.Module, inputs: list[torch.Tensor], call: Any) -> list[torch.Tensor]:
    """Every output and the gradient of a weighted sum of them by every parameter and input."""
    outputs = leaves(call(layer))
    generator = torch.Generator().manual_seed(7)
    loss = sum((o * torch.randn(o.shape, generator=generator, dtype=o.dtype)).sum() for o in outputs)
    wanted = [*layer.parameters(), *(t for t in inputs if t.requires_grad)]
    return [*outputs, *torch.autograd.grad(loss, wanted)]


def assert_same(kind: str, options: dict, inputs: list[torch.Tensor], call: Any) -> None:
    theirs, ours = twins(kind, **options)
    expected = results_and_gradients(theirs, inputs, call)
    found = results_and_gradients(ours, inputs, call)
    scale = 1e-10 if inputs[0].dtype == torch.float64 else 2e-5
    for e, f in zip(expected, found, strict=True):
        assert_close(f, e, rtol=scale, atol=scale, check_stride=False)


CASES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "num_layers": st.integers(1, 3),
        "bias": st.booleans(),
        "batch_first": st.booleans(),
        "bidirectional": st.booleans(),
        "proj": st.booleans(),
        "relu": st.booleans(),
        "dtype": st.sampled_from([torch.float32, torch.float64]),
        "form": st.sampled_from(["batched", "unbatched", "packed", "packed sorted", "non-contiguous"]),
        "hx": st.booleans(),
        "sizes": st.tuples(*[st.integers(1, 5)] * 4),
    }
)


@given(CASES)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_agrees_with_torch_over_options_and_forms_of_input(case: dict) -> None:
    steps, batch, i, h = case["sizes"]
    kind, dtype = case["kind"], case["dtype"]
    options: dict[str, Any] = {k: case[k] for k in ("num_layers", "bias", "batch_first", "bidirectional", "dtype")}
    options |= {"input_size": i, "hidden_size": h}
    proj = h - 1 if kind == "LSTM" and case["proj"] else 0
    options |= {"proj_size": proj} if proj else {}
    options |= {"nonlinearity": "relu"} if kind == "RNN" and case["relu"] else {}
    torch.manual_seed(1)
    unbatched = case["form"] == "unbatched"
    lead = (steps,) if unbatched else (batch, steps) if case["batch_first"] else (steps, batch)
    x = torch.randn(*lead, i, dtype=dtype)
    if case["form"] == "non-contiguous":
        x = torch.randn(*lead, 2 * i, dtype=dtype)[..., ::2]
    x.requires_grad_()
    rows = case["num_layers"] * (2 if case["bidirectional"] else 1)
    widths = [proj or h, h] if kind == "LSTM" else [h]
    hx = [torch.randn(rows, *(() if unbatched else (batch,)), w, dtype=dtype, requires_grad=True) for w in widths]
    lengths = torch.randint(1, steps + 1, (batch,))
    if case["form"] == "packed sorted":
        lengths = lengths.sort(descending=True).values
    given_hx = None if not case["hx"] else tuple(hx) if kind == "LSTM" else hx[0]

    def call(layer: nn.Module) -> Any:
        data: Any = x
        if case["form"].startswith("packed"):
            data = pack_padded_sequence(x, lengths, case["batch_first"], case["form"] == "packed sorted")
        return layer(data, given_hx)

    assert_same(kind, options, [x, *(hx if case["hx"] else [])], call)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_are_what_packing_gives(kind: str, batch_first: bool) -> None:
    """Also with rows of no steps, which torch cannot pack: those keep their start."""
    theirs, ours = twins(kind, 3, 4, 2, bidirectional=True, batch_first=batch_first, dtype=torch.float64)
    x = torch.randn(5, 6, 3, dtype=torch.float64)
    lengths = torch.tensor([3, 0, 6, 1, 6] if batch_first else [3, 0, 5, 1, 5, 2])
    h0 = torch.randn(4, len(lengths), 4, dtype=torch.float64)
    hx = (h0, h0 + 1) if kind == "LSTM" else h0
    output, states = ours(x, hx, lengths=lengths)
    some = lengths > 0
    packed = pack_padded_sequence(x[some] if batch_first else x[:, some], lengths[some], batch_first, False)
    expected, last = theirs(packed, tuple(s[:, some] for s in hx) if kind == "LSTM" else hx[:, some])
    expected, _ = pad_packed_sequence(expected, batch_first)
    got = output[some] if batch_first else output[:, some]
    assert_close(got, expected)
    assert output.shape[:2] == x.shape[:2]
    assert not (output[~some] if batch_first else output[:, ~some]).any()
    for s, e, start in zip(leaves(states), leaves(last), leaves(hx), strict=True):
        assert_close(s[:, some], e)
        assert_close(s[:, ~some], start[:, ~some])


@pytest.mark.parametrize("kind", KINDS)
def test_no_steps_and_no_sequences(kind: str) -> None:
    torchs, layer = (made(3, 4, 2, bidirectional=True) for made in PAIRS[kind])
    for made in (torchs, layer):
        with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0 in RNN"):
            made(torch.zeros(0, 2, 3))
    layer = gatework.Recurrent(layer.graph, 3, 4, 2, bidirectional=True)
    for steps, batch in ((0, 2), (3, 0), (0, 0)):
        x = torch.randn(steps, batch, 3, requires_grad=True)
        output, states = layer(x)
        assert output.shape == (steps, batch, 8)
        assert all(s.shape == (4, batch, 4) and not s.any() for s in leaves(states))
        (output.sum() + sum(s.sum() for s in leaves(states))).backward()
        assert x.grad is not None and x.grad.shape == x.shape
        assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())
    output, _ = layer(torch.randn(3, 2, 3), lengths=[0, 0])
    assert output.shape == (3, 2, 8)
    assert not output.any()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_go_both_ways(kind: str) -> None:
    model = nn.ModuleDict({"rnn": PAIRS[kind][0](3, 4, 2, bidirectional=True), "out": nn.Linear(8, 2)}).eval()
    ours = from_torch(model)
    back = to_torch(ours)
    assert type(ours["rnn"]) is PAIRS[kind][1]
    assert type(back["rnn"]) is PAIRS[kind][0]
    x = torch.randn(5, 2, 3)
    assert_close(ours["rnn"](x)[0], model["rnn"](x)[0])
    assert torch.equal(back["rnn"](x)[0], model["rnn"](x)[0])
    assert list(ours.state_dict()) == list(model.state_dict())
    assert not ours["rnn"].training
    ours["rnn"].weight_ih_l0.data.zero_()
    assert model["rnn"].weight_ih_l0.any(), "the copy shares memory with the original"


class Tied(nn.Module):
    """An embedding whose weight is the output's too, and one LSTM in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn, self.out = nn.Embedding(10, 4), nn.LSTM(4, 4, batch_first=True), nn.Linear(4, 10)
        self.again, self.out.weight = self.rnn, self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.again(self.rnn(self.embed(x))[0])[0])


def test_copies_share_what_the_model_shares_and_nothing_with_it() -> None:
    model, calls = Tied(), []
    model.rnn.bias_hh_l0.requires_grad_(False)
    model.rnn.register_forward_hook(lambda *_: calls.append("rnn"))
    ours = from_torch(model)
    x = torch.tensor([[1, 2, 3]])
    assert_close(ours(x), model(x))
    for copied, kind in ((ours, gatework.LSTM), (to_torch(ours), nn.LSTM)):
        assert type(copied.rnn) is kind and copied.again is copied.rnn
        assert copied.out.weight is copied.embed.weight is not model.embed.weight
        assert len(list(copied.parameters())) == len(list(model.parameters()))
        assert not copied.rnn.bias_hh_l0.requires_grad and copied.rnn.weight_hh_l0.requires_grad
        calls.clear()
        copied.out.register_forward_hook(lambda *_: calls.append("out"))
        model(x)
        assert calls == ["rnn", "rnn"], "a hook of the copy ran for the original"
        copied(x)
        assert calls[2:] == ["rnn", "rnn", "out"], "the copy lost a hook"


def test_a_layer_with_options_of_its_own_does_not_become_torchs() -> None:
    made = nn.Sequential(gatework.LSTM(3, 4, peephole=True, layer_norm=True, learn_initial_state=True))
    with pytest.raises(OptionError, match=r"^0 uses .*\(layer_norm, learn_initial_state, peephole\)"):
        to_torch(made)
    with pytest.raises(OptionError, match="zoneout"):
        to_torch(gatework.Recurrent("gru", 3, 4, zoneout=0.1))


TORCHS_CELLS = [
    ("lstm", nn.LSTM, {}),
    ("lstm_projected", nn.LSTM, {"P": 2}),
    ("gru", nn.GRU, {}),
    ("rnn", nn.RNN, {}),
    ("rnn_relu", nn.RNN, {}),
]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("cell", "kind", "sizes"), TORCHS_CELLS)
def test_a_cell_that_torch_has_becomes_torchs_layer(cell: str, kind: type, sizes: dict[str, int], bias: bool) -> None:
    own = gatework.Recurrent(cell, 3, 4, 2, bidirectional=True, bias=bias, sizes=sizes, dropout=0.5).eval()
    own.requires_grad_(False)
    theirs = to_torch(nn.ModuleDict({"reads": own}))["reads"]
    assert type(theirs) is kind and not theirs.training and theirs.dropout == 0.5
    assert not any(p.requires_grad for p in theirs.parameters())
    x = torch.randn(5, 2, 3)
    (output, states), (expected, last) = own(x), theirs(x)
    assert_close(output, expected)
    assert_close(states, leaves(last))


def test_cells_that_torch_lacks_are_refused_by_name_and_subclasses_left_with_a_warning() -> None:
    own = gatework.cells.get("rnn_relu").wrapped("lstm", lambda graph: graph)  # named as one that torch has
    for cell in ("mgu", own):
        with pytest.raises(OptionError, match=r"reads, a Recurrent of the cell '(mgu|lstm)', cannot become"):
            to_torch(nn.ModuleDict({"reads": gatework.Recurrent(cell, 3, 4)}))

    class Last(nn.LSTM):
        pass

    with pytest.warns(UserWarning, match="rnn stays as it is: Last may do something else than its base, LSTM"):
        kept = from_torch(nn.ModuleDict({"rnn": Last(3, 4), "step": gatework.LSTMCell(3, 4)}))
    assert type(kept["rnn"]) is Last


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_between_layers_draws_what_torch_draws(kind: str) -> None:
    theirs, ours = twins(kind, 3, 4, 3, dropout=0.4, bidirectional=True)
    x = torch.randn(6, 2, 3)
    torch.manual_seed(5)
    expected = theirs(x)[0]
    torch.manual_seed(5)
    assert_close(ours(x)[0], expected)
    assert_close(ours.eval()(x)[0], theirs.eval()(x)[0])


# --- PyTorch's own module tests --------------------------------------------------------------------------------------

INFOS = {info.module_cls.__name__: info for info in module_db if info.module_cls.__name__ in PAIRS}


def samples(kind: str, training: bool = True) -> list[Any]:
    info = INFOS[kind]
    return info.module_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=True, training=training)


def built(kind: str, sample: Any, training: bool = True) -> nn.Module:
    torch.manual_seed(0)
    made = sample.constructor_input
    layer = PAIRS[kind][1](*made.args, **made.kwargs, device="cpu", dtype=torch.float64)
    return layer.train(training)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [True, False])
def test_torchs_forward(kind: str, training: bool) -> None:
    for sample in samples(kind, training):
        layer = built(kind, sample, training)
        asked = sample.forward_input
        outputs = layer(*asked.args, **asked.kwargs)
        expected = sample.reference_fn(layer, *asked.args, **asked.kwargs)
        assert_close(outputs, expected)


def flat_call(layer: nn.Module, sample: Any) -> tuple[Any, tuple[torch.Tensor, ...]]:
    """The sample's call as a function of plain tensors: parameters, then inputs."""
    asked, names = sample.forward_input, [n for n, _ in layer.named_parameters()]
    x, *hx = asked.args
    tensors = (*layer.parameters(), x, *leaves(hx))

    def call(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        own, (first, *rest) = dict(zip(names, values, strict=False)), values[len(names) :]
        state = () if not rest else (tuple(rest),) if len(rest) > 1 else (rest[0],)
        return tuple(leaves(torch.func.functional_call(layer, own, (first, *state))))

    return call, tensors


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", [True, False])
def test_torchs_grad(kind: str, training: bool) -> None:
    for number, sample in enumerate(samples(kind, training)[:: 1 if training else 4]):
        call, tensors = flat_call(built(kind, sample, training), sample)
        assert torch.autograd.gradcheck(call, tensors, fast_mode=number != 1)


@pytest.mark.parametrize("kind", KINDS)
def test_torchs_gradgrad(kind: str) -> None:
    for sample in samples(kind)[::2]:
        call, tensors = flat_call(built(kind, sample), sample)
        assert torch.autograd.gradgradcheck(call, tensors, fast_mode=True)


@pytest.mark.parametrize("kind", KINDS)
def test_torchs_non_contiguous(kind: str) -> None:
    """Inputs and gradients whose memory has holes give what contiguous ones give."""
    for sample in samples(kind):
        call, tensors = flat_call(built(kind, sample), sample)
        spread = [torch.stack([t.detach(), t.detach() + 1], -1)[..., 0].requires_grad_() for t in tensors]
        for t, s in zip(tensors, spread, strict=True):
            assert t.shape == s.shape
        outputs, others = call(*tensors), call(*spread)
        assert_close(others, outputs, check_stride=False)
        grads = [torch.stack([torch.ones_like(o), o.detach()], -1)[..., 0] for o in outputs]
        expected = torch.autograd.grad(outputs, tensors, [g.contiguous() for g in grads])
        assert_close(torch.autograd.grad(others, spread, grads), expected, check_stride=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torchs_errors(kind: str, dtype: torch.dtype) -> None:
    info = INFOS[kind]
    errors = info.module_error_inputs_func(info, device="cpu", dtype=dtype, requires_grad=False, training=False)
    for wrong in errors:
        made, asked = wrong.module_error_input.constructor_input, wrong.module_error_input.forward_input
        with pytest.raises(wrong.error_type, match=wrong.error_regex):
            layer = PAIRS[kind][1](*made.args, **made.kwargs)
            assert wrong.error_on is ModuleErrorEnum.FORWARD_ERROR
            layer(*asked.args, **asked.kwargs)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_calls_fail_as_torchs_do(kind: str) -> None:
    theirs, ours = twins(kind, 3, 4)
    x, wide, h = torch.randn(5, 2, 3), torch.randn(5, 2, 4), torch.randn(1, 2, 4)
    state = (lambda *s: s) if kind == "LSTM" else (lambda *s: s[0])
    for args in ((torch.randn(5),), (wide,), (x, state(h[0], h[0])), (x, state(torch.randn(1, 3, 4), h)),
                 (x[:, 0], state(h, h)), (x.double(),)):  # fmt: skip
        with pytest.raises((RuntimeError, ValueError)) as expected:
            theirs(*args)
        with pytest.raises(type(expected.value)) as found:
            ours(*args)
        assert str(expected.value)[:25] == str(found.value)[:25]


def test_constructor_refuses_what_torch_refuses() -> None:
    with pytest.raises(ValueError, match="proj_size has to be smaller"):
        gatework.LSTM(3, 4, proj_size=4)
    with pytest.raises(ValueError, match="nonlinearity"):
        gatework.RNN(3, 4, nonlinearity="sine")
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
        gatework.GRU(3, 4, dropout=0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_copies_and_pickles(kind: str) -> None:
    layer = PAIRS[kind][1](3, 4, 2, recurrent_dropout=0.2).eval()
    x = torch.randn(5, 2, 3)
    expected = layer(x)[0]
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(x)[0], expected)
        twin.weight_hh_l0.data.add_(1.0)
        assert not torch.equal(twin(x)[0], expected)
    assert torch.equal(layer(x)[0], expected)


@pytest.mark.parametrize(
    ("kind", "options"), [("LSTM", {}), ("GRU", {}), ("RNN", {}), ("RNN", {"nonlinearity": "relu"})]
)
def test_the_mode_is_torchs(kind: str, options: dict) -> None:
    theirs, ours = twins(kind, 3, 4, **options)
    assert ours.mode == theirs.mode


@pytest.mark.parametrize("kind", ["GRU", "RNN"])
def test_arguments_of_other_layers_are_refused_in_torchs_words(kind: str) -> None:
    for made in (getattr(nn, kind), getattr(gatework, kind)):
        with pytest.raises(ValueError, match="proj_size argument is only supported for LSTM"):
            made(3, 4, proj_size=2)
