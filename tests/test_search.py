"""Search: against listing everything, greedy against a beam, batches against rows, draws against probabilities."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
import torch

from decoders import (
    DECODERS,
    END,
    LIMIT,
    START,
    V,
    decoder_of,
    found_by,
    listed,
    one_row,
    rows_of,
    written_by,
)
from gatework.errors import OptionError, ShapeError
from gatework.networks.attention import Memory
from gatework.networks.decoder import Decoder, Places
from gatework.networks.states import States
from gatework.runtime.drawing import uniform
from gatework.runtime.search import Beam, Drawn, search, unroll
from gatework.runtime.search.hypotheses import length_penalty
from gatework.runtime.search.rules import at_least, beginning, forbid, no_repeats


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_a_beam_as_wide_as_everything_finds_the_n_best_of_everything(alpha: float) -> None:
    for seed in DECODERS[:12]:
        decoder = decoder_of(seed)
        memory, start = rows_of(decoder, 1, seed)
        every = listed(decoder, memory, start)
        ranked = sorted(
            every, key=lambda ids: (ids[-1] == END, every[ids] / length_penalty(len(ids), alpha)), reverse=True
        )
        (found,) = found_by(decoder, memory, start, Beam(V * 3 ** (LIMIT - 1), END), count=7, alpha=alpha)
        assert [tuple(each.ids) for each in found] == ranked[:7]
        for each in found:
            assert each.score == pytest.approx(every[tuple(each.ids)], abs=1e-4)
            assert each.score == pytest.approx(sum(each.token_log_p), abs=1e-4)
            assert each.normalised == pytest.approx(each.score / length_penalty(len(each.ids), alpha), abs=1e-5)
            assert each.ended == (each.ids[-1] == END)


def test_fewer_found_stay_fewer() -> None:
    decoder = decoder_of(0)
    memory, start = rows_of(decoder, 1)
    (found,) = found_by(decoder, memory, start, Beam(V * 3 ** (LIMIT - 1), END), count=1000)
    assert len(found) == len(listed(decoder, memory, start)) == len({tuple(each.ids) for each in found})
    (short,) = found_by(decoder, memory, start, Beam(2, END), count=50, limit=1)
    assert len(short) <= 3


@pytest.mark.parametrize(("cell", "layers"), [("lstm", 2), ("gru", 1), ("mgu", 1)])
def test_a_beam_of_one_is_greedy(cell: str, layers: int) -> None:
    for seed in DECODERS:
        decoder = decoder_of(seed, cell, layers)
        memory, start = rows_of(decoder, 1, seed)
        (found,) = found_by(decoder, memory, start, Beam(1, END), limit=9)
        ids = [START]
        while len(ids) < 10 and (len(ids) == 1 or ids[-1] != END):
            with torch.no_grad():
                ids.append(int(decoder(torch.tensor(ids)[:, None], memory, start)[0][-1, 0].argmax()))
        assert found[0].ids == ids[1:]
        (drawn,) = found_by(decoder, memory, start, Drawn(temperature=0, end=END), limit=9)
        assert drawn[0].ids == ids[1:]


def by_hand(decoder: Decoder, memory: Memory, start: States, width: int, limit: int) -> dict[tuple[int, ...], float]:
    """What a beam comes to, with lists and whole sequences: of the best 2K ways at each step those among the first K
    that end are found, and the first K that do not go on."""
    alive, found = {(): 0.0}, {}
    for _ in range(limit):
        ways = {}
        for ids, total in alive.items():
            with torch.no_grad():
                logits, _, _ = decoder(torch.tensor([START, *ids])[:, None], memory, start)
            ways |= {(*ids, v): total + float(logits[-1, 0].log_softmax(0)[v]) for v in range(V)}
        best = sorted(ways, key=ways.__getitem__, reverse=True)[: 2 * width]
        found |= {ids: ways[ids] for ids in best[:width] if ids[-1] == END}
        alive = {ids: ways[ids] for ids in [ids for ids in best if ids[-1] != END][:width]}
    return found


@pytest.mark.parametrize("width", [2, 3])
def test_a_narrow_beam_is_its_definition(width: int) -> None:
    """Places whose way ends are filled again."""
    for seed in DECODERS[:20]:
        decoder = decoder_of(seed)
        memory, start = rows_of(decoder, 1, seed)
        wanted = by_hand(decoder, memory, start, width, 5)
        (found,) = found_by(decoder, memory, start, Beam(width, END), limit=5, count=1000)
        assert {tuple(each.ids) for each in found if each.ended} == wanted.keys()
        for each in found:
            assert not each.ended or each.score == pytest.approx(wanted[tuple(each.ids)], abs=1e-4)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_batch_is_each_row_alone(cell: str) -> None:
    for seed in DECODERS:
        decoder = decoder_of(seed, cell, 2)
        memory, start = rows_of(decoder, 5, seed)
        how = {"count": 3, "alpha": 0.7, "limit": 7}
        together = found_by(decoder, memory, start, Beam(3, END), **how)
        for row, found in enumerate(together):
            (alone,) = found_by(decoder, *one_row(memory, start, row), Beam(3, END), **how)
            assert [each.ids for each in found] == [each.ids for each in alone]
            np.testing.assert_allclose([e.score for e in found], [e.score for e in alone], atol=1e-4)


def test_what_a_beam_says_of_its_hypotheses_is_what_the_whole_sequence_says() -> None:
    """Scores of each symbol, and where the decoder looked: states and attention were reordered together."""
    for seed in DECODERS:
        decoder = decoder_of(seed, "lstm")
        memory, start = rows_of(decoder, 3, seed)
        for row, found in enumerate(found_by(decoder, memory, start, Beam(3, END), count=3, limit=6)):
            for each in found:
                with torch.no_grad():
                    read = torch.tensor([START, *each.ids[:-1]])[:, None]
                    logits, looked, _ = decoder(read, *one_row(memory, start, row))
                log_p = logits.log_softmax(2)[torch.arange(len(each.ids)), 0, each.ids]
                np.testing.assert_allclose(each.token_log_p, log_p, atol=1e-4)
                assert each.attention is not None and looked is not None
                np.testing.assert_allclose(each.attention, looked[0], atol=1e-4, rtol=1e-4)


def test_draws_follow_the_decoder() -> None:
    """Whole sequences of 40,000 places, by how often each comes."""
    places = 40_000
    decoder = decoder_of(3)
    memory, start = rows_of(decoder, 1)
    drawn = Drawn(numbers=uniform(1), places=places, end=END)
    moments = unroll(decoder, decoder.begin(memory, start), np.full((1, 1), START), drawn, (), LIMIT)
    found: list[tuple[int, ...]] = []
    for written, taken, _ in moments:
        complete = np.isfinite(taken.total) & (taken.ended | (written.left[:, None] == 1))
        before = written.ids[0, taken.parent[complete]].tolist()
        found += [(*ids, last) for ids, last in zip(before, taken.next[complete].tolist(), strict=True)]
    assert len(found) == places
    for ids, log_p in listed(decoder, memory, start).items():
        assert found.count(ids) / places == pytest.approx(np.exp(log_p), abs=0.012)


LOG_P = np.log([0.1, 0.5, 0.25, 0.15])


def shares(**how) -> np.ndarray:
    numbers = np.fromiter(islice(uniform(0), 20_000), float)
    drawn = Drawn(places=20_000, **how).drawn(LOG_P[None], numbers[None])
    return np.bincount(drawn.ravel(), minlength=4) / 20_000


def test_temperature_top_k_and_top_p_change_the_distribution_as_they_say() -> None:
    np.testing.assert_allclose(shares(), [0.1, 0.5, 0.25, 0.15], atol=0.012)
    np.testing.assert_allclose(shares(temperature=0.5), np.array([1, 25, 6.25, 2.25]) / 34.5, atol=0.012)
    np.testing.assert_allclose(shares(top_k=2), [0, 2 / 3, 1 / 3, 0], atol=0.012)
    np.testing.assert_allclose(shares(top_p=0.6), [0, 2 / 3, 1 / 3, 0], atol=0.012)
    np.testing.assert_allclose(shares(top_k=3, top_p=0.8), [0, 0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9], atol=0.012)
    assert shares(temperature=0).tolist() == shares(top_p=0.01).tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Drawn(temperature=-1), "temperature must be 0"),
        (lambda: Drawn(temperature=float("nan")), "temperature must be 0"),
        (lambda: Drawn(top_k=-1), "top_k"),
        (lambda: Drawn(top_p=0), "top_p"),
        (lambda: Beam(0, END), "1 place or more"),
    ],
)
def test_senseless_strategies_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


# -- rules --------------------------------------------------------------------------------------------------------


def test_rules_hold_in_everything_that_is_found() -> None:
    for seed in DECODERS[:15]:
        decoder = decoder_of(seed)
        memory, start = rows_of(decoder, 2, seed)
        given = np.array([[2, 3], [3, 2]])
        rules = {
            "forbid": forbid([3]),
            "at_least": at_least(4, END),
            "beginning": beginning(given),
            "no_repeats": no_repeats(2),
        }
        found = {
            name: found_by(decoder, memory, start, Beam(4, END), rules=[r], limit=8, count=4)
            for name, r in rules.items()
        }
        for row in range(2):
            assert all(3 not in each.ids for each in found["forbid"][row])
            assert all(len(each.ids) > 4 for each in found["at_least"][row])
            assert all(each.ids[:2] == given[row].tolist() for each in found["beginning"][row])
            for each in found["no_repeats"][row]:
                pairs = list(itertools.pairwise(each.ids))
                assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 9])
def test_no_repeats_is_its_definition(steps: int) -> None:
    generator = np.random.default_rng(0)
    for length in (1, 2, 3):
        written = written_by(generator.integers(2, size=(3, 5, steps)))
        scores = no_repeats(length)(np.zeros((3, 5, 2)), written)
        for b, k, v in itertools.product(range(3), range(5 if steps else 1), range(2)):
            ids = [*written.ids[b, k].tolist(), v]
            parts = [tuple(ids[at : at + length]) for at in range(len(ids) - length + 1)]
            assert (scores[b, k, v] == -np.inf) == (bool(parts) and parts[-1] in parts[:-1])


# -- steps --------------------------------------------------------------------------------------------------------


def test_steps_come_one_by_one_and_end_where_all_places_end() -> None:
    class Fixed:
        """Says 2, 3, END whatever it reads."""

        def __init__(self) -> None:
            self.read: list[int] = []

        def step(self, state: Places, last: np.ndarray) -> tuple[np.ndarray, None, Places]:
            self.read.append(last.item())
            scores = np.full((1, 1, V), -9.0)
            scores[0, 0, [2, 3, END][len(self.read) - 1]] = 9.0
            return scores, None, state

    fixed = Fixed()
    moments = unroll(fixed, Places({}, None), np.array([[START]]), Drawn(temperature=0, end=END))
    assert (next(moments).candidates.next.item(), fixed.read) == (2, [START]), "nothing is read ahead"
    assert [moment.candidates.next.item() for moment in moments] == [3, END]
    assert fixed.read == [START, 2, 3]


@pytest.mark.parametrize("shape", [(2, 3), (2,)])
def test_each_row_reads_one_symbol_first(shape: tuple[int, ...]) -> None:
    decoder, beam = decoder_of(0), Beam(2, END)
    memory, start = rows_of(decoder, 2)
    with pytest.raises(ShapeError, match=r"\(rows, 1\)"):
        search(decoder, decoder.begin(memory, start), np.full(shape, START), beam)
