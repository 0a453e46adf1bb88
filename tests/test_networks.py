"""What networks are built from: embedding, neighbours, encoder, pooling, attention, decoder, heads, by definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

from compare import assert_close
from gatework.data.codecs import UNKNOWN
from gatework.errors import OptionError
from gatework.networks.attention import SCORES, Attention, AttentionLayer, Memory
from gatework.networks.characters import Spelling
from gatework.networks.decoder import Decoder
from gatework.networks.embedding import Embedding, Spelled
from gatework.networks.encoder import Encoder, reads_gaps, time_since
from gatework.networks.heads import Symbols, silent
from gatework.networks.neighbours import Neighbours
from gatework.networks.pooling import POOLINGS, Pooling
from gatework.networks.states import chosen, of_layer, repeated, zeroed
from gatework.training.regularisation import RecurrentOptions

I, H, V = 3, 5, 7
LENGTHS = (6, 4, 4, 1)


def encoder_of(cell: str = "lstm", layers: int = 2, **how: Any) -> Encoder:
    torch.manual_seed(3)
    return Encoder(RecurrentOptions(cell=cell, hidden_size=H, layers=layers), I, **how)


def packed() -> tuple[list[Tensor], PackedSequence]:
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(length, I, generator=generator) for length in LENGTHS]
    return rows, pack_sequence(rows)


# -- embedding ----------------------------------------------------------------------------------------------------


def test_dropped_units_are_the_unknown_unit_in_training_alone() -> None:
    torch.manual_seed(0)
    embedding = Embedding(50, 4, word_dropout=0.3)
    ids = torch.randint(2, 50, (200, 30))
    vectors = embedding(ids)
    unknown = (vectors == embedding.weight[UNKNOWN]).all(2)
    assert float(unknown.double().mean()) == pytest.approx(0.3, abs=0.03)
    assert torch.equal(vectors[~unknown], embedding.weight[ids[~unknown]])
    assert torch.equal(embedding.eval()(ids), embedding.weight[ids])


def test_a_word_is_itself_and_the_mean_of_its_pieces() -> None:
    embedding = Embedding(9, 4, pieces=20)
    words = Spelled(torch.tensor([4, 1]), torch.tensor([0, 5, 19, 7]), torch.tensor([0, 3]))
    vectors = embedding(torch.tensor([[1, 0]]), words)
    assert embedding.pieces is not None
    pieces = embedding.pieces.weight
    torch.testing.assert_close(vectors[0, 1], embedding.weight[4] + pieces[[0, 5, 19]].mean(0))
    torch.testing.assert_close(vectors[0, 0], embedding.weight[1] + pieces[7])


def test_a_dropped_word_loses_its_pieces_too() -> None:
    torch.manual_seed(0)
    embedding = Embedding(9, 4, pieces=20, word_dropout=0.5)
    words = Spelled(torch.tensor([4]), torch.tensor([3]), torch.tensor([0]))
    vectors = embedding(torch.zeros(4000, dtype=torch.long), words)
    assert float((vectors == embedding.weight[UNKNOWN]).all(1).double().mean()) == pytest.approx(0.5, abs=0.04)


def test_known_units_start_from_given_vectors() -> None:
    embedding = Embedding(4, 2)
    before = embedding.weight[3].clone()
    embedding.start_from(
        np.arange(8, dtype=np.float32).reshape(4, 2), np.array([True, False, True, False]), freeze=True
    )
    assert embedding.weight[[0, 2]].tolist() == [[0, 1], [4, 5]]
    assert torch.equal(embedding.weight[3], before)
    assert not embedding.weight.requires_grad


# -- characters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("characters", [6, 400])  # fewer and more than the letters of a batch
@pytest.mark.parametrize("widths", [(1,), (3,), (3, 5)], ids=str)
def test_spelling_is_the_convolution_of_each_word_alone(characters: int, widths: tuple[int, ...]) -> None:
    """The maximum of the letters "aaa" is at several places at once; gradients must count it once."""
    torch.manual_seed(0)
    spelling = Spelling(characters, 4, widths).double()
    words = [[3, 3, 3, 3], [5], [1, 2, characters - 1], [], [2, 1, 2, 1]]
    lengths = torch.tensor([len(word) for word in words])
    letters = torch.zeros(len(words), 4, dtype=torch.long)
    for row, word in enumerate(words):
        letters[row, : len(word)] = torch.tensor(word, dtype=torch.long)
    found = spelling(letters, lengths)
    vectors = [spelling.embedding(torch.tensor(word)).T for word in words if word]
    alone = [torch.cat([each(letters).amax(1) for each in spelling.filters]) for letters in vectors]
    expected = torch.relu(torch.stack([*alone[:3], torch.zeros_like(alone[0]), alone[3]]))
    assert_close(found, expected)
    weights = torch.randn_like(found)
    parameters = list(spelling.parameters())
    got, want = (torch.autograd.grad((v * weights).sum(), parameters) for v in (found, expected))
    for one, other in zip(got, want, strict=True):
        assert_close(one, other)


# -- neighbours ---------------------------------------------------------------------------------------------------


def test_neighbours_are_weighted_sums_of_what_stands_around_a_step() -> None:
    rows, inputs = packed()
    neighbours = Neighbours(I, 2, widths=(3, 5))
    outputs = neighbours(inputs)
    assert isinstance(outputs, PackedSequence)
    found, _ = pad_packed_sequence(outputs)
    for number, row in enumerate(rows):
        outside = torch.zeros(2, I)
        around = torch.cat([outside, row, outside])
        for step in range(len(row)):
            wanted = [row[step]]
            for each, reach in zip(neighbours.filters, (1, 2), strict=True):
                assert isinstance(each, nn.Conv1d) and each.bias is not None
                seen = each.weight * around[step + 2 - reach : step + 3 + reach].T
                wanted.append(torch.relu(seen.sum((1, 2)) + each.bias))
            torch.testing.assert_close(found[step, number], torch.cat(wanted))
        alone = neighbours(row[:, None])
        torch.testing.assert_close(found[: len(row), number], alone[:, 0])


# -- encoder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locked", [0.0, 0.4])
@pytest.mark.parametrize("cell", ["lstm", "gru", "mgu", "slstm"])
def test_a_sequence_read_in_two_parts_is_the_sequence(cell: str, locked: float) -> None:
    encoder = encoder_of(cell, locked=locked).eval()
    x = torch.randn(9, 2, I)
    whole, last = encoder(x)
    first, states = encoder(x[:4])
    second, states = encoder(x[4:], states)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    assert states.keys() == last.keys()
    for name, state in states.items():
        torch.testing.assert_close(state, last[name])


@pytest.mark.parametrize("locked", [0.0, 0.4])
def test_packed_rows_are_each_sequence_alone(locked: float) -> None:
    encoder = encoder_of(locked=locked, bidirectional=True).eval()
    rows, batch = packed()
    outputs, _ = encoder(batch)
    padded, lengths = pad_packed_sequence(outputs)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(padded[:length, row], encoder(rows[row][:, None])[0][:, 0])


def test_layers_apart_and_one_stack_are_the_same_network() -> None:
    apart, stack = encoder_of(locked=0.5).eval(), encoder_of().eval()
    names = {name.replace("layers.1.", "layers.0.").replace("_l0", "_l1") if "layers.1." in name else name: tensor
             for name, tensor in apart.state_dict().items()}  # fmt: skip
    stack.load_state_dict(names)
    x = torch.randn(6, 2, I)
    torch.testing.assert_close(apart(x)[0], stack(x)[0])


@pytest.mark.parametrize("form", ["rectangle", "packed"])
def test_locked_dropout_keeps_one_mask_for_all_steps(form: str) -> None:
    encoder = encoder_of(locked=0.5)
    values = torch.ones(6, 4, 50) if form == "rectangle" else pack_sequence([torch.ones(n, 50) for n in LENGTHS])
    dropped = encoder._dropped(values)
    padded = dropped if isinstance(dropped, Tensor) else pad_packed_sequence(dropped)[0]
    for row, length in enumerate(LENGTHS if form == "packed" else (6,) * 4):
        assert torch.equal(padded[:length, row], padded[:1, row].expand(length, -1))
    assert len({tuple(row.tolist()) for row in padded[0]}) == 4, "each sequence has its own"
    assert 0.3 < float((padded[0] == 0).double().mean()) < 0.7


def test_time_since_is_gru_ds() -> None:
    seen = torch.tensor([0.0, 1, 0, 0, 1, 0]).view(6, 1, 1)
    assert time_since(seen).flatten().tolist() == [0, 1, 1, 2, 3, 1]


def test_a_cell_that_reads_gaps_is_told_them() -> None:
    assert reads_gaps("gru_d") and not reads_gaps("lstm")
    encoder = encoder_of("gru_d", 1)
    x, mask = torch.randn(6, 2, I), (torch.rand(6, 2, I) < 0.5).float()
    told = encoder(x, mask=mask)[0]
    wanted = encoder.layers[0](x, mask=mask, gap=time_since(mask))[0]
    torch.testing.assert_close(told, wanted)


def test_states_are_repeated_chosen_and_zeroed_by_row() -> None:
    encoder = encoder_of()
    with torch.no_grad():
        _, states = encoder(torch.randn(4, 3, I))
    assert {name: tuple(state.shape) for name, state in states.items()} == {"0.0": (2, 3, H), "0.1": (2, 3, H)}
    assert torch.equal(repeated(states, 2)["0.1"][:, [2, 3]], states["0.1"][:, [1, 1]])
    assert torch.equal(chosen(states, torch.tensor([2, 2, 0]))["0.0"], states["0.0"][:, [2, 2, 0]])
    assert not zeroed(states, 1)["0.0"][:, 1].any()
    assert torch.equal(zeroed(states, 1)["0.0"][:, [0, 2]], states["0.0"][:, [0, 2]])
    assert of_layer({}, 0) is None


# -- pooling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", POOLINGS)
def test_pooling_is_its_definition_on_each_sequence_alone(kind: str) -> None:
    torch.manual_seed(0)
    pooling = Pooling(kind, I)
    sequences, batch = packed()
    rows = torch.cat([torch.arange(int(n)) for n in batch.batch_sizes])
    ends = torch.stack([each[-1] for each in sequences])[None]
    found = pooling(batch.data, ends, rows, torch.tensor(LENGTHS))
    for row, values in enumerate(sequences):
        if kind == "attention":
            assert pooling.score is not None
            scores = pooling.score.vector(torch.tanh(pooling.score.map(values)))
            wanted = (torch.softmax(scores, 0) * values).sum(0)
        else:
            wanted = {"last": values[-1], "mean": values.mean(0), "max": values.amax(0)}[kind]
        torch.testing.assert_close(found[row], wanted)


@pytest.mark.parametrize(("kind", "reduce"), [("mean", lambda v: v.mean(0)), ("max", lambda v: v.amax(0))])
def test_pooling_has_the_gradient_of_its_definition(kind: str, reduce: Any) -> None:
    _, batch = packed()
    rows = torch.cat([torch.arange(int(n)) for n in batch.batch_sizes])
    values = batch.data.double().requires_grad_()
    pooled = Pooling(kind, I)(values, values[None], rows, torch.tensor(LENGTHS))
    expected = torch.stack([reduce(values[rows == row]) for row in range(len(LENGTHS))])
    weights = torch.randn_like(pooled)
    ours, theirs = (torch.autograd.grad((each * weights).sum(), values)[0] for each in (pooled, expected))
    torch.testing.assert_close(ours, theirs)


# -- attention ----------------------------------------------------------------------------------------------------


def scalar_scores(attention: Attention, query: Tensor, value: Tensor) -> Tensor:
    """One query against one step, straight from the papers."""
    if attention.kind == "dot":
        return query @ value
    assert attention.query is not None
    if attention.kind == "general":
        return (attention.query.weight @ query) @ value
    assert attention.key is not None and attention.vector is not None
    inner = attention.query.weight @ query + attention.key.weight @ value + attention.key.bias
    return attention.vector.weight[0] @ torch.tanh(inner)


@pytest.mark.parametrize("score", SCORES)
def test_attention_is_its_definition(score: str) -> None:
    torch.manual_seed(0)
    width = H if score == "dot" else 4
    attention = Attention(H, width, score)
    queries, values, lengths = torch.randn(3, 2, H), torch.randn(3, 6, width), torch.tensor([6, 1, 3])
    context, weights = attention(queries, attention.memory(values, lengths))
    for b in range(3):
        for k in range(2):
            own = torch.stack([scalar_scores(attention, queries[b, k], value) for value in values[b, : lengths[b]]])
            wanted = torch.softmax(own, 0)
            torch.testing.assert_close(weights[b, k, : lengths[b]], wanted)
            assert not weights[b, k, lengths[b] :].any()
            torch.testing.assert_close(context[b, k], wanted @ values[b, : lengths[b]])


@pytest.mark.parametrize("score", SCORES)
def test_padding_changes_neither_results_nor_gradients(score: str) -> None:
    attention, queries = Attention(H, H, score), torch.randn(2, 3, H, requires_grad=True)
    values = torch.randn(2, 4, H)
    padded = torch.cat([values, torch.full((2, 3, H), 1e4)], 1)
    found = []
    for memory in (attention.memory(values), attention.memory(padded, torch.tensor([4, 4]))):
        context, _ = attention(queries, memory)
        (slope,) = torch.autograd.grad(context.square().sum(), queries)
        found.append((context, slope))
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right)


def test_an_empty_memory_gives_nothing_and_not_nan() -> None:
    attention = Attention(H, H)
    context, weights = attention(torch.randn(1, 2, H), attention.memory(torch.randn(1, 3, H), torch.tensor([0])))
    assert not context.any() and not weights.any()


def test_scores_that_cannot_be_are_refused() -> None:
    with pytest.raises(OptionError, match="one of dot, general, additive"):
        Attention(H, H, "cosine")
    with pytest.raises(OptionError, match="as wide as values; got 5 and 4"):
        Attention(H, 4, "dot")


# -- decoder and heads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attended", [True, False])
@pytest.mark.parametrize(("cell", "locked"), [("lstm", 0.0), ("lstm", 0.3), ("gru", 0.0), ("mgu", 0.0)])
def test_step_by_step_is_the_whole_sequence(cell: str, locked: float, attended: bool) -> None:
    encoder = encoder_of(cell, locked=locked)
    decoder = Decoder(Embedding(V, I), encoder, Symbols(H, V), AttentionLayer(H, 2) if attended else None).eval()
    targets, memory = torch.randint(V, (6, 4)), None
    if decoder.attention is not None:
        memory = decoder.attention.memory(torch.randn(4, 5, 2), torch.tensor([5, 1, 2, 4]))
    _, start = encoder(torch.randn(3, 4, I))
    with torch.no_grad():
        whole, looked, last = decoder(targets, memory, start)
        state = decoder.begin(memory, start).select(np.zeros((4, 2), np.int64))
        for step, ids in enumerate(targets):
            outputs, weights, state = decoder.step(state, ids[:, None].expand(-1, 2).numpy())
            wanted = whole[step].log_softmax(1)[:, None].expand(-1, 2, -1)
            torch.testing.assert_close(torch.from_numpy(outputs), wanted)
            if looked is not None and weights is not None:
                torch.testing.assert_close(torch.from_numpy(weights), looked[:, step][:, None].expand(-1, 2, -1))
    for name, wanted in repeated(last, 2).items():
        torch.testing.assert_close(state.states[name], wanted)


def test_places_go_on_from_their_parents() -> None:
    decoder = Decoder(Embedding(V, I), encoder_of(), Symbols(H, V)).eval()
    _, start = decoder.encoder(torch.randn(3, 2, I))
    with torch.no_grad():
        state = decoder.begin(None, start).select(np.zeros((2, 3), np.int64))
        _, _, state = decoder.step(state, np.array([[0, 1, 2], [3, 4, 5]]))
        moved = state.select(np.array([[2, 0, 0], [1, 1, 2]]))
        outputs, _, _ = decoder.step(moved, np.full((2, 3), 6))
        for row, reads in enumerate([[2, 0, 0], [4, 4, 5]]):
            for place, first in enumerate(reads):
                own = {name: each[:, row : row + 1] for name, each in start.items()}
                alone, _, _ = decoder(torch.tensor([[first], [6]]), None, own)
                wanted = alone[-1, 0].log_softmax(0)
                torch.testing.assert_close(torch.from_numpy(outputs[row, place]), wanted)


@pytest.mark.parametrize("score", SCORES)
def test_a_memory_that_is_ready_says_the_same(score: str) -> None:
    layer = AttentionLayer(H, H, score)
    memory = layer.memory(torch.randn(4, 6, H), torch.tensor([6, 1, 0, 3]))
    ready, states = layer.ready(memory), torch.randn(4, 2, H)
    assert ready.ready and layer.ready(ready) is ready
    for found, wanted in zip(layer(states, ready), layer(states, memory), strict=True):
        torch.testing.assert_close(found, wanted)


def test_memories_are_not_copied_for_each_place() -> None:
    decoder = Decoder(Embedding(V, I), encoder_of(), Symbols(H, V), AttentionLayer(H, 2))
    assert decoder.attention is not None
    memory = decoder.attention.ready(Memory(torch.randn(2, 3, 2), torch.randn(2, 3, 2)))
    state = decoder.begin(memory, {}).select(np.zeros((2, 4), np.int64))
    assert state.memory is memory
    _, _, after = decoder.step(state, np.zeros((2, 4), np.int64))
    assert after.select(np.zeros((2, 4), np.int64)).memory is memory


@pytest.mark.parametrize("width", [H, 4])
def test_a_tied_head_shares_the_embeddings_matrix(width: int) -> None:
    embedding = Embedding(V, width)
    head = Symbols(H, V, tied=embedding)
    assert head.output.weight is embedding.weight
    assert (head.bridge is None) == (width == H)
    assert head(torch.zeros(2, 1, H)).tolist() == torch.zeros(2, 1, V).tolist()


def test_a_silent_map_gives_nothing() -> None:
    assert silent(nn.Linear(3, 2))(torch.ones(3)).tolist() == [0, 0]
