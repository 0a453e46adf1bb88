"""CTC without torch: against listing every path of tiny cases and torch's loss; texts of a language add up to one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn import functional

from gatework.errors import DataError, OptionError, ShapeError
from gatework.runtime.ctc import Beam, Counted, Greedy, Language, Listed, Search, align, counted, likelihood, read
from gatework.runtime.ctc.paths import likeliest

T, V = 5, 4
SPACE = 3


def drawn(seed: int, steps: int = T, size: int = V, sharp: float = 2.0) -> np.ndarray:
    """Log probabilities (T, V)."""
    scores = sharp * np.random.default_rng(seed).normal(size=(steps, size))
    return scores - np.logaddexp.reduce(scores, 1, keepdims=True)


def paths(log_p: np.ndarray) -> dict[tuple[int, ...], list[tuple[float, np.ndarray]]]:
    """Every path, by what it reads as; written without the code that is tested."""
    found: dict[tuple[int, ...], list[tuple[float, np.ndarray]]] = {}
    for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)):
        text = tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)
        found.setdefault(text, []).append((sum(log_p[t, c] for t, c in enumerate(path)), np.array(path)))
    return found


def sums(log_p: np.ndarray) -> dict[tuple[int, ...], float]:
    return {text: float(np.logaddexp.reduce([score for score, _ in each])) for text, each in paths(log_p).items()}


# -- one text -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_likelihood_of_a_text_is_the_sum_over_its_paths(seed: int) -> None:
    log_p = drawn(seed)
    for text, total in sums(log_p).items():
        assert likelihood(log_p, text) == pytest.approx(total, abs=1e-10)
    assert likelihood(log_p, [1, 1, 1, 1]) == -np.inf  # four need seven steps
    assert likelihood(log_p[:0], []) == 0


def test_the_likelihood_is_torchs_loss() -> None:
    log_p, ids = drawn(1, 40, 9), [1, 1, 5, 8, 8, 8, 2]
    loss = functional.ctc_loss(
        torch.from_numpy(log_p), torch.tensor(ids), torch.tensor([40]), torch.tensor([7]), reduction="sum"
    )
    assert likelihood(log_p, ids) == pytest.approx(-float(loss), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_text_is_aligned_by_its_likeliest_path(seed: int) -> None:
    log_p = drawn(seed)
    for text, each in paths(log_p).items():
        _, best = max(each, key=lambda scored: scored[0])
        starts, ends = align(log_p, text)
        lies = np.zeros(T, np.int64)
        for symbol, start, end in zip(text, starts, ends, strict=True):
            lies[start:end] = symbol
        np.testing.assert_array_equal(lies, best)
        np.testing.assert_array_equal(read(best), text)


def test_what_no_path_reads_as_is_not_aligned() -> None:
    with pytest.raises(DataError, match="no path of 5 steps reads as these 4 symbols"):
        align(drawn(0), [1, 1, 1, 1])


# -- greedy -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_greedy_is_the_likeliest_path(seed: int) -> None:
    log_p = drawn(seed)
    text, (_, path) = max(
        ((text, max(each, key=lambda scored: scored[0])) for text, each in paths(log_p).items()),
        key=lambda each: each[1][0],
    )
    search = Greedy(V)
    search.next(log_p)
    found = search.result()
    assert tuple(found.ids) == tuple(search.partial()) == text
    assert found.log_p == found.score == pytest.approx(sums(log_p)[text])
    for ours, own in zip(likeliest(log_p), (found.ids, *align(log_p, found.ids)), strict=True):
        np.testing.assert_array_equal(ours, own)
    for symbol, start, end, sure in zip(*found[:4], strict=True):
        assert (path[start:end] == symbol).all()
        assert sure == pytest.approx(np.exp(log_p[start:end, symbol].max()), rel=1e-6)


# -- the beam -----------------------------------------------------------------------------------------------


def score_of(language: Language, text: tuple[int, ...], end: bool = True) -> float:
    state, total = language.start(), 0.0
    for symbol in text:
        total += float(language.next(state)[symbol])
        if total == -np.inf:
            return total
        state = language.move(state, symbol)
    return total + (language.end(state) if end else 0.0)


def languages() -> dict[str, Language | None]:
    texts = [np.array(each) for each in ([1, 2], [1, 2, 3, 1], [2], [1, 1], [])]
    return {
        "none": None,
        "symbols": Counted(counted(texts, 3, V)),
        "some symbols": Counted(counted(texts, 2, V), only=[1, 3]),
        "words": Listed([[1, 2], [1], [2, 2], [1, 2, 1]], V, SPACE),
        "one word": Listed([[3, 2], [1], [2, 2]], V),
        "counted words": Listed([[1], [1, 2]], V, SPACE, counted([np.array([1, 2, 2]), np.array([2])], 2, 3)),
    }


@pytest.mark.parametrize("weight", [0.0, 0.7])
@pytest.mark.parametrize("name", languages())
def test_a_beam_as_wide_as_everything_finds_the_n_best_of_everything(name: str, weight: float) -> None:
    for seed in range(4):
        log_p, language = drawn(seed), languages()[name]
        said = {text: 0.0 if language is None else score_of(language, text) for text in sums(log_p)}
        ranked = {
            text: total + (weight * said[text] if said[text] > -np.inf else said[text]) + 0.1 * len(text)
            for text, total in sums(log_p).items()
        }
        best = sorted((text for text in ranked if ranked[text] > -np.inf), key=lambda text: -ranked[text])
        search = Beam(V**T, V, language, weight=weight, bonus=0.1)
        search.next(log_p)
        found = search.best(10)
        assert [tuple(each.ids) for each in found] == best[:10]
        for each in found:
            assert each.score == pytest.approx(ranked[tuple(each.ids)], abs=1e-9)
            assert each.log_p == pytest.approx(sums(log_p)[tuple(each.ids)], abs=1e-5)


def test_a_prefix_that_comes_back_into_the_beam_is_one_prefix() -> None:
    for seed in range(200):
        search = Beam(3, V)
        search.next(drawn(seed, 30, sharp=0.7))
        held = [tuple(each.ids) for each in search.best(3)]
        assert len(held) == len(set(held)), seed


@pytest.mark.parametrize("seed", range(3))
def test_a_narrow_beam_never_claims_more_than_there_is(seed: int) -> None:
    search = Beam(2, V)
    search.next(drawn(seed))
    for each in search.best(2):
        assert each.score <= sums(drawn(seed))[tuple(each.ids)] + 1e-9


def searches() -> dict[str, Search]:
    texts = [np.random.default_rng(7).integers(1, 12, 9) for _ in range(20)]
    words = [[1, 2], [3], [4, 5, 6], [7, 7], [8, 1, 2]]
    return {
        "greedy": Greedy(12),
        "beam": Beam(8, 12),
        "counted": Beam(8, 12, Counted(counted(texts, 4, 12)), weight=0.6, bonus=0.3),
        "listed": Beam(8, 12, Listed(words, 12, 9)),
    }


@pytest.mark.parametrize("name", searches())
def test_pieces_of_any_size_give_the_same_bits(name: str) -> None:
    log_p = drawn(3, 60, 12).astype(np.float32)
    whole = searches()[name]
    whole.next(log_p)
    for cuts in ([1] * 60, [7] * 9, [0, 59, 0, 1], [30, 30]):
        pieces, start = searches()[name], 0
        for cut in cuts:
            pieces.next(log_p[start : start + cut])
            start += cut
            pieces.result()  # asked in between, which must change nothing
            pieces.partial()
        np.testing.assert_array_equal(pieces.partial(), whole.partial())
        for one, other in zip(pieces.result(), whole.result(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_single_step_may_be_a_vector() -> None:
    one, other = Greedy(V), Greedy(V)
    one.next(drawn(0)[0])
    other.next(drawn(0)[:1])
    np.testing.assert_array_equal(one.result().ids, other.result().ids)


def test_steps_that_are_none() -> None:
    for search in searches().values():
        assert list(search.partial()) == list(search.result().ids) == []
        assert search.result().log_p == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((3, 5)), r"shape \(3, 5\).*\(T, 4\)"),
        (np.zeros((1, 3, 4)), r"shape \(1, 3, 4\)"),
        (np.zeros((3, 4), np.int64), "type int64"),
        (np.array([[0.0] * 4, [0.0, np.nan, 0, 0]]), "step 1 of log_p has a NaN"),
    ],
)
def test_what_is_no_log_probability_is_refused(given: np.ndarray, message: str) -> None:
    search = Beam(4, V)
    with pytest.raises((ShapeError, DataError), match=message):
        search.next(given)
    assert not len(search.steps)


@pytest.mark.parametrize("search", [Beam(4, V), Beam(4, V, Listed([[1, 2]], V))])
def test_steps_without_any_probability_leave_a_text(search: Search) -> None:
    search.next(np.full((2, V), -np.inf))
    assert list(search.result().ids) == [] and search.result().log_p == -np.inf


def test_a_beam_needs_a_place() -> None:
    with pytest.raises(OptionError, match="width=0"):
        Beam(0, V)


# -- languages ----------------------------------------------------------------------------------------------


def texts_of(length: int) -> Iterator[tuple[int, ...]]:
    for size in range(length + 1):
        yield from itertools.product(range(1, V), repeat=size)


@pytest.mark.parametrize("name", [name for name in languages() if name != "none" and name != "some symbols"])
def test_texts_and_what_texts_begin_with_add_up_to_one(name: str) -> None:
    language = languages()[name]
    assert language is not None
    ended = np.exp([score_of(language, text) for text in texts_of(4)]).sum()
    begun = np.exp([score_of(language, text, end=False) for text in texts_of(5) if len(text) == 5]).sum()
    assert ended + begun == pytest.approx(1, abs=1e-9)


def test_only_what_is_listed_is_written() -> None:
    language = Listed([[1, 2], [1], [2, 2]], V, SPACE)
    allowed = {text for text in texts_of(5) if score_of(language, text) > -np.inf}
    words = {(), (1,), (1, 2), (2, 2)}
    assert {text for text in allowed if SPACE not in text} == words
    assert (1, SPACE, 2, 2) in allowed
    assert not allowed & {(1, SPACE), (SPACE, 1), (1, SPACE, SPACE, 1), (2, SPACE, 1)}


def test_counted_words_are_likelier_where_they_were_seen() -> None:
    texts = [np.array([1, 2, 1, 2]), np.array([1, 2])]
    language = Listed([[1], [2]], V, SPACE, counted(texts, 3, 3))
    assert score_of(language, (1, SPACE, 2)) > score_of(language, (2, SPACE, 1)) > -np.inf
    assert score_of(language, (1,)) < score_of(language, (1, SPACE, 2))


def test_a_word_that_was_not_finished_is_cut_where_it_can_end() -> None:
    steps = np.full((3, V), -30.0)
    steps[[0, 1, 2], [1, 3, 2]] = 0.0  # "1 2": of the list is [1] and [2, 1, 2]
    search = Beam(1, V, Listed([[1], [2, 1, 2]], V, SPACE))
    search.next(steps)
    assert list(search.partial()) == [1, 3, 2]
    assert list(search.result().ids) == [1]


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "at least one word"), ([[1], []], "none of them empty"), ([[1, 3]], "space"), ([[0]], "or blank")],
)
def test_a_list_without_words_is_refused(words: list[list[int]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Listed(words, V, SPACE)


def test_counts_of_other_words_are_refused() -> None:
    with pytest.raises(DataError, match="the counts are of 4 words, the list has 1"):
        Listed([[1]], V, SPACE, counted([np.array([1])], 2, 5))
