"""What a search can be asked beside: words that must and must not occur, coverage, given sequences, draws of many rows;
and that rows that have ended leave."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from decoders import DECODERS, END, LIMIT, START, V, decoder_of, found_by, listed, one_row, rows_of, written_by
from gatework.errors import OptionError
from gatework.networks.attention import coverage_loss
from gatework.networks.decoder import Decoder, Places
from gatework.networks.forced import forced
from gatework.runtime.drawing import uniform
from gatework.runtime.search import Beam, Drawn
from gatework.runtime.search.choices import largest
from gatework.runtime.search.constraints import Constrained, Words
from gatework.runtime.search.hypotheses import length_penalty
from gatework.runtime.search.rules import Edges, never
from gatework.runtime.search.walk import few

WIDE = 4 * V * 3 ** (LIMIT - 1)
ASKED = (
    [[3]],
    [[2, 3]],
    [[1], [3, 3]],
    [[2, 2], [2, 1]],
    [[1, 1], [1]],
)  # the last three: more symbols than a beam of 1


def holds(ids: tuple[int, ...] | list[int], sequence: list[int]) -> bool:
    return any(list(ids[at : at + len(sequence)]) == sequence for at in range(len(ids)))


def one_way(words: list[list[int]]) -> list[list[list[int]]]:
    """Each word is written in one way."""
    return [[each] for each in words]


def ranked(every: dict[tuple[int, ...], float], alpha: float = 0.0) -> list[tuple[int, ...]]:
    return sorted(every, key=lambda ids: (ids[-1] == END, every[ids] / length_penalty(len(ids), alpha)), reverse=True)


# -- words that must occur ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("asked", ASKED)
def test_a_wide_beam_finds_the_best_of_all_that_hold_the_words(asked: list[list[int]], alpha: float) -> None:
    for seed in DECODERS[:8]:
        decoder = decoder_of(seed)
        memory, start = rows_of(decoder, 1, seed)
        every = listed(decoder, memory, start)
        wanted = [ids for ids in ranked(every, alpha) if all(holds(ids, each) for each in asked)]
        choice = Constrained(WIDE, END, Words([one_way(asked)]))
        (found,) = found_by(decoder, memory, start, choice, count=6, alpha=alpha)
        assert [tuple(each.ids) for each in found] == wanted[:6]
        for each in found:
            assert each.score == pytest.approx(every[tuple(each.ids)], abs=1e-4)


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("asked", ASKED)
def test_narrow_beams_hold_the_words_too(asked: list[list[int]], width: int) -> None:
    for seed in DECODERS[:15]:
        decoder = decoder_of(seed)
        memory, start = rows_of(decoder, 2, seed)
        for found in found_by(
            decoder, memory, start, Constrained(width, END, Words([one_way(asked)] * 2)), limit=8, count=3
        ):
            assert found and all(holds(each.ids, sequence) for each in found for sequence in asked)


def test_each_row_holds_its_own_words_and_rows_without_words_are_a_beams() -> None:
    words: list[list[list[int]]] = [[], [[3, 1]], [], [[2], [3]], [[1, 1, 1]]]
    how = {"limit": 7, "count": 3, "alpha": 0.5}
    for seed in DECODERS[:20]:
        decoder = decoder_of(seed)
        memory, start = rows_of(decoder, 5, seed)
        together = found_by(decoder, memory, start, Constrained(3, END, Words([one_way(own) for own in words])), **how)
        plain = found_by(decoder, memory, start, Beam(3, END), **how)
        for row, found in enumerate(together):
            own = Constrained(3, END, Words([one_way(words[row])]))
            (alone,) = found_by(decoder, *one_row(memory, start, row), own, **how)
            assert [each.ids for each in found] == [each.ids for each in alone]
            assert words[row] or [each.ids for each in found] == [each.ids for each in plain[row]]


def test_where_the_limit_leaves_no_room_nothing_is_found() -> None:
    decoder = decoder_of(0)
    memory, start = rows_of(decoder, 1)
    assert found_by(decoder, memory, start, Constrained(4, END, Words([[[[1, 2, 3]]]])), limit=2) == [[]]
    with pytest.raises(OptionError, match="without symbols"):
        Words([[[[1]], [[2], []]]])


def test_what_is_held_is_its_definition() -> None:
    generator = np.random.default_rng(0)
    for steps in (0, 1, 2, 5, 8):
        ids = generator.integers(2, size=(3, 4, steps))
        sequences = [[[0, 0], [0, 1, 0]], [[1]], [[1, 1, 0, 1], [0], [1, 0]]]
        words, rows = Words([one_way(own) for own in sequences]), np.arange(3)
        held = words.held(ids, rows)
        progress, following = words.progress(held, rows), words.following(held, rows)
        for row, place in itertools.product(range(3), range(4)):
            own, reached = ids[row, place].tolist(), 0
            for number, each in enumerate(sequences[row]):
                begun = max(n for n in range(len(each) + 1) if own[len(own) - n :] == each[:n] and n <= len(own))
                assert bool(held.there[row, place, number]) == holds(own, each)
                reached += len(each) if holds(own, each) else begun
                assert int(following[row, place, number]) == (-1 if holds(own, each) else each[begun])
            assert int(progress[row, place]) == reached


def whole(ids: tuple[int, ...], way: list[int], edges: Edges) -> list[int]:
    """Where in ids a word is written that way, and neither goes on what stands before it nor goes on behind it."""
    joined = [bool(edges.closes[a] and edges.opens[b]) for a, b in itertools.pairwise(ids)]
    found = [at for at in range(len(ids) - len(way) + 1) if list(ids[at : at + len(way)]) == way]
    return [
        at
        for at in found
        if not (at and joined[at - 1]) and not (at + len(way) < len(ids) and joined[at + len(way) - 1])
    ]


EDGES = Edges(np.array([False, True, False, True]), np.array([False, True, True, False]))


@pytest.mark.parametrize("asked", [[[[1], [2]]], [[[2, 1], [3, 3]], [[1], [2, 3]]], [[[3, 1], [2, 3]], [[2, 2], [1]]]])
def test_one_of_several_ways_is_written_as_a_whole_word(asked: list[list[list[int]]]) -> None:
    """One way of each does not open, as " man" beside "man": it can be written behind anything."""
    for seed in DECODERS[:8]:
        decoder = decoder_of(seed)
        memory, start = rows_of(decoder, 1, seed)
        every = listed(decoder, memory, start)

        def held(ids: tuple[int, ...]) -> bool:
            return all(any(whole(ids, way, EDGES) for way in ways) for ways in asked)

        (best,) = found_by(decoder, memory, start, Constrained(WIDE, END, Words([asked], EDGES)), count=6)
        assert [tuple(each.ids) for each in best] == [ids for ids in ranked(every) if held(ids)][:6]
        for width in (1, 2):
            choice = Constrained(width, END, Words([asked], EDGES))
            (found,) = found_by(decoder, memory, start, choice, count=3, limit=9)
            assert found and all(held(tuple(each.ids)) for each in found)


# -- words that must not occur --------------------------------------------------------------------------------------


@pytest.mark.parametrize("banned", [[[3]], [[2, 3], [1]], [[1, 1, 1], [2, END]], [[]]])
def test_what_must_not_occur_does_not_and_nothing_else_is_lost(banned: list[list[int]]) -> None:
    for seed in DECODERS[:8]:
        decoder = decoder_of(seed)
        memory, start = rows_of(decoder, 1, seed)
        every = listed(decoder, memory, start)
        wanted = [ids for ids in ranked(every) if not any(each and holds(ids, each) for each in banned)]
        (found,) = found_by(decoder, memory, start, Beam(WIDE, END), rules=[never(banned)], count=8)
        assert [tuple(each.ids) for each in found] == wanted[:8]


@pytest.mark.parametrize("steps", [0, 1, 2, 7])
def test_never_forbids_the_last_symbol_after_the_others(steps: int) -> None:
    written = written_by(np.random.default_rng(1).integers(2, size=(3, 5, steps)))
    banned = [[0, 1], [1, 1, 0], [1, 0, 0, 1], [0, 1]]
    scores = never(banned)(np.zeros((*written.ids.shape[:2], 2)), written)
    for b, k, v in itertools.product(range(3), range(scores.shape[1]), range(2)):
        ids = [*written.ids[b, k].tolist(), v]
        assert (scores[b, k, v] == -np.inf) == any(ids[-len(each) :] == each for each in banned)


def test_what_must_not_occur_may_go_on_a_word() -> None:
    for seed in DECODERS[:8]:
        decoder = decoder_of(seed)
        memory, start = rows_of(decoder, 1, seed)
        every, banned = listed(decoder, memory, start), [[1], [3, 3]]

        def free(ids: tuple[int, ...], banned: list[list[int]] = banned) -> bool:
            return not any(whole(ids[: at + len(way)], way, EDGES) for way in banned for at in range(len(ids)))

        (found,) = found_by(decoder, memory, start, Beam(WIDE, END), rules=[never(banned, EDGES)], count=8)
        assert [tuple(each.ids) for each in found] == [ids for ids in ranked(every) if free(ids)][:8]
        assert all(ids[0] != 1 for ids in ([each.ids for each in found]))


# -- coverage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_coverage_ranks_by_what_was_looked_at(beta: float) -> None:
    """A wide beam against equations 14 and 15 over everything, of a memory that is partly padding."""
    changed = 0
    for seed in DECODERS[:12]:
        decoder = decoder_of(seed)
        memory, start = one_row(*rows_of(decoder, 2, seed), 1)
        every = {ids: score for ids, score in listed(decoder, memory, start).items() if ids[-1] == END}
        values = {}
        for ids, score in every.items():
            with torch.no_grad():
                looked = decoder(torch.tensor([START, *ids[:-1]])[:, None], memory, start)[1]
            assert looked is not None
            covered = sum(math.log(min(float(looked[0, :, s].sum()), 1)) for s in range(2))
            values[ids] = score / length_penalty(len(ids), 0.5) + beta * covered
        assert memory.lengths is not None
        how = {"alpha": 0.5, "lengths": memory.lengths.numpy()}
        (found,) = found_by(decoder, memory, start, Beam(WIDE, END), count=4, beta=beta, **how)
        (plain,) = found_by(decoder, memory, start, Beam(WIDE, END), count=4, **how)
        assert [tuple(each.ids) for each in found] == sorted(values, key=values.__getitem__, reverse=True)[:4]
        for each in found:
            assert each.normalised == pytest.approx(values[tuple(each.ids)], abs=1e-4)
        changed += [each.ids for each in found] != [each.ids for each in plain]
    assert changed > 3


def test_coverage_in_a_narrow_beam_follows_its_places() -> None:
    """What each place has looked at is reordered with it, and rows that leave take theirs along."""
    for seed in DECODERS[:20]:
        decoder = decoder_of(seed)
        memory, start = rows_of(decoder, 5, seed)
        assert memory.lengths is not None
        how = {"alpha": 0.5, "beta": 0.7, "lengths": memory.lengths.numpy(), "limit": 9, "count": 3}
        for row, found in enumerate(found_by(decoder, memory, start, Beam(3, END), **how)):
            for each in found:
                assert each.attention is not None
                covered = np.log(each.attention.sum(0).clip(max=1)[: row % 3 + 1]).sum()
                wanted = each.score / length_penalty(len(each.ids), 0.5) + 0.7 * float(covered)
                assert each.normalised == pytest.approx(wanted, abs=1e-4)


def test_coverage_loss_is_its_sum() -> None:
    weights = torch.softmax(torch.randn(2, 5, 4) * 2, 2)
    for b, t in itertools.product(range(2), range(5)):
        wanted = sum(min(float(weights[b, t, s]), float(weights[b, :t, s].sum())) for s in range(4))
        assert float(coverage_loss(weights)[b, t]) == pytest.approx(wanted, abs=1e-6)
    assert coverage_loss(torch.eye(4)[None]).sum() == 0, "every place is looked at once"


# -- given sequences ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attended", [True, False])
def test_given_sequences_have_the_scores_of_the_search(attended: bool) -> None:
    for seed in DECODERS[:20]:
        decoder = decoder_of(seed, "lstm", 2)
        memory, start = rows_of(decoder, 5, seed)
        best = [own[0] for own in found_by(decoder, memory, start, Beam(3, END), limit=6)]
        lengths = torch.tensor([len(each.ids) for each in best])
        ids = torch.zeros(5, int(lengths.max()), dtype=torch.long)
        for row, each in enumerate(best):
            ids[row, : len(each.ids)] = torch.tensor(each.ids)
        found = forced(decoder, decoder.begin(memory, start), torch.full((5, 1), START), ids, lengths)
        for row, each in enumerate(best):
            length = len(each.ids)
            np.testing.assert_allclose(found.log_p[row, :length], each.token_log_p, atol=1e-4)
            assert not found.log_p[row, length:].any()
            assert found.attention is not None and each.attention is not None
            np.testing.assert_allclose(found.attention[row, :length], each.attention, atol=1e-4, rtol=1e-4)


# -- many rows ------------------------------------------------------------------------------------------------------


def test_each_row_has_its_limit() -> None:
    for seed in DECODERS[:20]:
        decoder = decoder_of(seed)
        memory, start = rows_of(decoder, 5, seed)
        limits = [0, 1, 9, 3, 2]
        how = {"count": 3, "alpha": 0.7}
        together = found_by(decoder, memory, start, Beam(3, END), limit=np.array(limits), **how)
        assert together[0] == []
        for row, found in enumerate(together):
            (alone,) = found_by(decoder, *one_row(memory, start, row), Beam(3, END), limit=limits[row], **how)
            assert [each.ids for each in found] == [each.ids for each in alone]


def test_what_a_row_draws_does_not_hang_on_others() -> None:
    decoder = decoder_of(5)
    memory, start = rows_of(decoder, 6)

    def drawn(rows: list[int]) -> Drawn:
        return Drawn(numbers=[uniform(row) for row in rows], places=3, end=END)

    together = found_by(decoder, memory, start, drawn([*range(6)]), limit=7, count=3)
    for row, found in enumerate(together):
        (alone,) = found_by(decoder, *one_row(memory, start, row), drawn([row]), limit=7, count=3)
        assert [each.ids for each in found] == [each.ids for each in alone]
        assert len(found) == 3
    assert len({tuple(each.ids) for found in together for each in found}) > 6


def test_patience_ends_a_row_when_so_many_have_ended() -> None:
    """Then no better one is waited for, nor found while the row waits for others to leave with it."""
    fewer = 0
    for seed in DECODERS[:10]:
        decoder = decoder_of(seed)
        memory, start = rows_of(decoder, 15, seed)
        how = {"limit": 12, "count": 2, "alpha": 2.0}
        counted = [Counted(decoder), Counted(decoder)]
        exact = found_by(counted[0], memory, start, Beam(2, END), **how)
        quick = found_by(counted[1], memory, start, Beam(2, END), patience=1, **how)
        fewer += counted[0].places - counted[1].places
        for row, (own, wanted) in enumerate(zip(quick, exact, strict=True)):
            assert own[0].normalised <= wanted[0].normalised + 1e-6
            (alone,) = found_by(decoder, *one_row(memory, start, row), Beam(2, END), patience=1, **how)
            assert [each.ids for each in own] == [each.ids for each in alone]
    assert fewer > 0


class Counted(Decoder):
    """Counts the places that are computed, and the numbers of rows that come."""

    def __init__(self, inner: Decoder):
        super().__init__(inner.embedding, inner.encoder, inner.head, inner.attention)
        self.eval()
        self.places, self.rows = 0, []

    def step(self, state: Places, last: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, Places]:
        self.places += last.size
        self.rows.append(len(last))
        return super().step(state, last)


def test_rows_that_have_ended_leave() -> None:
    decoder = Counted(decoder_of(1))
    memory, start = rows_of(decoder, 40)
    limits = np.arange(1, 41)
    found_by(decoder, memory, start, Beam(2, END), limit=limits, count=2)
    assert len(set(decoder.rows)) > 3, "they become fewer"
    assert set(decoder.rows) <= {40, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1}
    assert all(rows <= 4 / 3 * (limits > step).sum() for step, rows in enumerate(decoder.rows[1:], 1))
    assert decoder.places < sum(decoder.rows) * 2, "one place is enough at first"


def test_few_is_the_next_of_its_numbers() -> None:
    sizes = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128]
    assert [few(n) for n in range(129)] == [min(size for size in sizes if size >= n) for n in range(129)]


@pytest.mark.parametrize("symbols", [5, 64, 97, 640, 1003])
def test_largest_is_topk(symbols: int) -> None:
    generator = np.random.default_rng(symbols)
    for places, count in ((1, 2), (3, 6), (5, 40)):
        scores = generator.normal(size=(4, places, symbols))
        alive = generator.normal(size=(4, places))
        alive[0, 1:] = -np.inf
        at = largest(alive, scores, count)
        totals = torch.from_numpy(alive[:, :, None] + scores).flatten(1)
        wanted = totals.topk(min(count, places * symbols), dim=1)
        real = wanted.values.isfinite().numpy()
        np.testing.assert_array_equal(at[real], wanted.indices.numpy()[real])
