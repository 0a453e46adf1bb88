"""The chain of tags against a list of all paths: loss, gradients, marginals, best path; and where numbers underflow."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from compare import assert_close
from gatework.errors import DataError, GateworkError, ShapeError
from gatework.networks import crf as module
from gatework.networks.crf import Chain, Crf, Rows, by_logarithms, log_partition
from gatework.runtime.tags import chain as chains

LENGTHS = (4, 3, 3, 1)
SOME = (  # of three tags: 0 cannot start, 2 cannot end, 1 is not followed by 1, 2 is followed by 0 alone
    np.array([False, True, True]),
    np.array([[True, True, True], [True, False, True], [True, False, False]]),
    np.array([True, True, False]),
)
FREE = tuple(np.ones_like(mask) for mask in SOME)


def chain_of(tags: int = 3, allowed: tuple | None = None, seed: int = 0, scale: float = 1.0) -> Crf:
    crf, draw = Crf(tags, allowed).double(), torch.Generator().manual_seed(seed)
    for parameter in crf.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
    return crf


def batch(lengths: tuple[int, ...] = LENGTHS, tags: int = 3, seed: int = 1) -> tuple[list[Tensor], Tensor, Tensor]:
    """Scores of each sequence, the same packed, and counts."""
    draw = torch.Generator().manual_seed(seed)
    rows = [torch.randn(length, tags, generator=draw, dtype=torch.float64) for length in lengths]
    packed = pack_sequence(rows)
    return rows, packed.data, packed.batch_sizes


def unpacked(packed: Tensor, counts: Tensor) -> list[Tensor]:
    rows = Rows.of(counts)
    return [packed[rows.sequence == place] for place in range(int(counts[0]))]


# -- the definition: every path in a list -------------------------------------------------------------------------


def paths(crf: Crf, scores: Tensor) -> dict[tuple[int, ...], Tensor]:
    """The score of every allowed path of one sequence, added up move by move."""
    found = {}
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        moves = list(itertools.pairwise(path))
        if not (crf.may_start[path[0]] and crf.may_end[path[-1]] and all(crf.may_follow[move] for move in moves)):
            continue
        own = sum(scores[step, tag] for step, tag in enumerate(path))
        found[path] = crf.start[path[0]] + own + sum(crf.transitions[move] for move in moves) + crf.end[path[-1]]
    return found


def listed_loss(crf: Crf, scores: Tensor, tags: list[int]) -> Tensor:
    every = paths(crf, scores)
    agree = [s for path, s in every.items() if all(t in (-1, p) for t, p in zip(tags, path, strict=True))]
    return torch.stack([*every.values()]).logsumexp(0) - torch.stack(agree).logsumexp(0)


def listed_marginals(crf: Crf, scores: Tensor) -> Tensor:
    every = paths(crf, scores)
    made = torch.zeros_like(scores)
    for path, weight in zip(every, torch.stack([*every.values()]).softmax(0), strict=True):
        made[range(len(path)), path] += weight.detach()
    return made


TRUE = {  # tags of LENGTHS' sequences that SOME allows, wholly known or not
    "known": [[1, 0, 2, 0], [2, 0, 1], [1, 0, 0], [1]],
    "partly": [[1, -1, -1, 0], [-1, -1, -1], [-1, 0, 1], [-1]],
}


@pytest.mark.parametrize("allowed", [FREE, SOME], ids=["free", "some"])
@pytest.mark.parametrize("known", TRUE)
def test_loss_and_gradients_are_those_of_all_paths(known: str, allowed: tuple) -> None:
    crf = chain_of(allowed=allowed)
    rows, scores, counts = batch()
    tags = pack_sequence([torch.tensor(tags) for tags in TRUE[known]]).data
    weights = torch.tensor([0.3, -1.0, 2.0, 0.7], dtype=torch.float64)
    leaves = [leaf.requires_grad_() for leaf in rows]
    want = torch.stack([listed_loss(crf, row, tags) for row, tags in zip(leaves, TRUE[known], strict=True)])
    parts = [*crf.parameters(), *leaves]
    wanted = torch.autograd.grad((want * weights).sum(), parts, allow_unused=True)
    packed = scores.clone().requires_grad_()
    loss = crf.loss(packed, tags, counts)
    got = torch.autograd.grad((loss * weights).sum(), [*crf.parameters(), packed])
    assert_close(loss, want)
    for mine, other in zip([*got[:3], *unpacked(got[3], counts)], wanted, strict=True):
        assert_close(mine, torch.zeros_like(mine) if other is None else other)


def test_parameters_of_forbidden_moves_learn_nothing() -> None:
    crf = chain_of(allowed=SOME)
    _, scores, counts = batch()
    crf.loss(scores, torch.full((len(scores),), -1).scatter(0, torch.tensor([4]), 0), counts).sum().backward()
    for parameter, mask in zip(crf.parameters(), SOME, strict=True):
        assert parameter.grad is not None
        assert (parameter.grad != 0).numpy()[mask].any()
        assert not parameter.grad.numpy()[~mask].any()


@pytest.mark.parametrize("known", TRUE)
def test_gradcheck(known: str) -> None:
    crf = chain_of(allowed=SOME)
    _, scores, counts = batch()
    tags = pack_sequence([torch.tensor(tags) for tags in TRUE[known]]).data
    names = [name for name, _ in crf.named_parameters()]

    def loss(scores: Tensor, *parts: Tensor) -> Tensor:
        return torch.func.functional_call(Loss(crf), {f"crf.{n}": p for n, p in zip(names, parts, strict=True)},
                                          (scores, tags, counts))  # fmt: skip

    assert torch.autograd.gradcheck(loss, (scores.requires_grad_(), *crf.parameters()))


class Loss(torch.nn.Module):
    def __init__(self, crf: Crf):
        super().__init__()
        self.crf = crf

    def forward(self, *given: Tensor) -> Tensor:
        return self.crf.loss(*given)


def test_marginals_by_logarithms_are_those_of_all_paths() -> None:
    crf = chain_of(allowed=SOME)
    rows, scores, counts = batch()
    found, total = crf.chain._by_logarithms(scores.numpy(), counts.numpy())
    for place, (row, got) in enumerate(zip(rows, unpacked(torch.from_numpy(found), counts), strict=True)):
        assert_close(got, listed_marginals(crf, row))
        assert_close(total[place], torch.stack([*paths(crf, row).values()]).logsumexp(0).detach())


@pytest.mark.parametrize("allowed", [FREE, SOME], ids=["free", "some"])
def test_marginals_and_best_paths_are_those_of_all_paths(allowed: tuple) -> None:
    for seed in range(10):
        crf = chain_of(allowed=allowed, seed=seed)
        rows, scores, counts = batch(seed=seed + 100)
        for row, got in zip(rows, unpacked(crf.marginals(scores, counts), counts), strict=True):
            assert_close(got, listed_marginals(crf, row))
        for row, got in zip(rows, unpacked(crf.decode(scores, counts), counts), strict=True):
            every = paths(crf, row)
            assert tuple(got.tolist()) == max(every, key=lambda path: float(every[path].detach()))


# -- numbers that underflow ---------------------------------------------------------------------------------------


def by_definition(crf: Crf, scores: Tensor, counts: Tensor) -> Tensor:
    rows, chain, _ = crf._read(scores, counts)
    return by_logarithms(scores, chain, rows)


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sequences were done again by logarithms, call by call."""
    calls: list[int] = []

    def counted(scores: Tensor, chain: Chain, rows: Rows) -> Tensor:
        calls.append(len(rows.first))
        return by_logarithms(scores, chain, rows)

    monkeypatch.setattr(module, "by_logarithms", counted)
    return calls


@pytest.mark.parametrize("depth", [100, 300, 600, 1_000, 100_000])
def test_the_only_allowed_path_may_lie_far_below_the_best(depth: int, again: list[int]) -> None:
    """Tag 0 looks right at every step, but only 1 may end, and 0 is never followed by 1."""
    only = (np.ones(2, bool), np.array([[True, False], [True, True]]), np.array([False, True]))
    crf = chain_of(2, only)
    rows, _, _ = batch((4, 3, 2), 2)
    rows[1][:, 1] -= depth
    packed = pack_sequence(rows)
    scores, counts = packed.data.requires_grad_(), packed.batch_sizes
    tags = torch.ones(len(scores), dtype=torch.long)
    loss = crf.loss(scores, tags, counts)
    assert_close(loss, torch.zeros(3), loosen=depth)
    assert_close(crf.marginals(scores, counts), np.eye(2)[tags])
    assert crf.decode(scores, counts).tolist() == tags.tolist()
    assert again == ([] if depth == 100 else [1])  # the loss; LIMIT is 667 nats; the path lies 3 * depth nats below


def test_underflow_beside_sound_sequences_changes_neither(again: list[int]) -> None:
    crf = chain_of(3, SOME, scale=3.0)
    rows, _, _ = batch()
    rows[1] = rows[1] + torch.tensor([[0.0, -2_000, -2_000], [-1_000, 0, -1_500], [-5_000, -3_000, 0]])
    rows[2][1] *= 1_000
    packed = pack_sequence(rows)
    scores, counts = packed.data.requires_grad_(), packed.batch_sizes
    weights = torch.tensor([0.3, -1.0, 2.0, 0.7], dtype=torch.float64)
    chain = crf._read(scores, counts)[1]
    parts = [*crf.parameters(), scores]
    got = log_partition(scores, chain, Rows.of(counts))
    assert again and again[0] < 4
    want = by_definition(crf, scores, counts)
    assert_close(got, want)
    mine = torch.autograd.grad((got * weights).sum(), parts, retain_graph=True)
    for one, other in zip(mine, torch.autograd.grad((want * weights).sum(), parts), strict=True):
        assert_close(one, other)


def keeping_to_itself() -> tuple[Crf, Tensor, Tensor]:
    """Each tag follows itself alone. 0 hides 1 at the start, and dies; 2, which is no better than 1, stays all along.
    The paths have the scores -5,000, -709 and -709."""
    crf = chain_of(3, (np.ones(3, bool), np.eye(3, dtype=bool), np.ones(3, bool)), scale=0.0)
    scores = torch.tensor([[0.0, -709, -400], [-5_000, 0, -300], [0, 0, -9]], dtype=torch.float64)
    return crf, scores, torch.ones(3, dtype=torch.long)


def test_a_path_that_vanishes_is_missed_though_another_stays() -> None:
    """exp(-709) is below the normal numbers, and counts as 0 where these are flushed, as programs may ask."""
    crf, scores, counts = keeping_to_itself()
    rows, chain, _ = crf._read(scores, counts)
    torch.set_flush_denormal(True)
    try:
        got, marginals = log_partition(scores, chain, rows).detach(), crf.marginals(scores, counts)
    finally:
        torch.set_flush_denormal(False)
    assert_close(got, [np.log(2) - 709])
    assert_close(marginals, [[0, 0.5, 0.5]] * 3)


def agrees_with_the_definition(seed: int) -> None:
    """Scores of all sizes, 1 to 3,000."""
    draw = torch.Generator().manual_seed(seed)
    size = float(10 ** (3.5 * torch.rand(1, generator=draw)))
    crf = chain_of(3, SOME if seed % 2 else FREE, seed, size if seed % 3 else 1.0)
    _, scores, counts = batch((7, 5, 1), seed=seed)
    scores = (scores * size).requires_grad_()
    rows, chain, _ = crf._read(scores, counts)
    got, want = log_partition(scores, chain, rows), by_definition(crf, scores, counts)
    assert_close(got, want, what=f"seed {seed}")
    mine, other = (torch.autograd.grad(each.sum(), [*crf.parameters(), scores]) for each in (got, want))
    for one, two in zip(mine, other, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-9 + 1e-13 * size, err_msg=f"seed {seed}")
    marginals = crf.marginals(scores, counts)
    np.testing.assert_allclose(marginals, other[-1], atol=1e-9 + 1e-13 * size, err_msg=f"seed {seed}")


def test_scaled_numbers_are_kept_only_where_they_are_right(again: list[int]) -> None:
    """Whatever is not done again agrees with the definition, too; both come up often."""
    sound = 0
    for seed in range(200):
        before = len(again)
        agrees_with_the_definition(seed)
        sound += len(again) == before
    assert 40 < sound < 160


# -- laws ---------------------------------------------------------------------------------------------------------


def test_a_packed_batch_is_each_sequence_alone() -> None:
    lengths = (30, 21, 21, 9, 2, 1)
    crf = chain_of(5)
    rows, scores, counts = batch(lengths, 5)
    tags = crf.decode(scores, counts)
    together = crf.loss(scores, tags, counts), crf.marginals(scores, counts)
    for place, row in enumerate(rows):
        ones = torch.ones(len(row), dtype=torch.long)
        mine = unpacked(tags, counts)[place]
        assert torch.equal(crf.decode(row, ones), mine)
        assert_close(crf.loss(row, mine, ones)[0], together[0][place])
        assert_close(crf.marginals(row, ones), unpacked(together[1], counts)[place])


def test_many_sequences_are_decoded_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    crf = chain_of(allowed=SOME)
    _, scores, counts = batch((6, 6, 5, 5, 5, 2, 1))
    want = crf.decode(scores, counts)
    for room in (1, 18, 30):  # 1, 2 and 3 sequences of 9 numbers each
        monkeypatch.setattr(chains, "ROOM", room)
        assert torch.equal(crf.decode(scores, counts), want)


def test_permuted_tags_give_permuted_results() -> None:
    order = torch.tensor([2, 0, 1])
    crf, other = (
        chain_of(allowed=SOME),
        chain_of(allowed=tuple(m[order][:, order] if m.ndim > 1 else m[order] for m in SOME)),
    )
    for mine, given in zip(other.parameters(), crf.parameters(), strict=True):
        mine.data = given.data[order][:, order] if given.ndim > 1 else given.data[order]
    _, scores, counts = batch()
    best = other.decode(scores[:, order], counts)
    assert torch.equal(order[best], crf.decode(scores, counts))
    assert_close(other.marginals(scores[:, order], counts), crf.marginals(scores, counts)[:, order])
    assert_close(other.loss(scores[:, order], best, counts), crf.loss(scores, order[best], counts))


def test_the_same_bits_again() -> None:
    crf = chain_of(23)
    _, scores, counts = batch(tuple(range(40, 8, -1)), 23)
    tags = crf.decode(scores, counts)

    def once() -> list[Tensor]:
        leaf = scores.clone().requires_grad_()
        loss = crf.loss(leaf, tags, counts)
        return [loss.detach(), *torch.autograd.grad(loss.sum(), [*crf.parameters(), leaf]), crf.decode(scores, counts)]

    assert all(torch.equal(a, b) for a, b in zip(once(), once(), strict=True))


def test_without_moves_it_is_a_softmax() -> None:
    _, scores, counts = batch()
    crf = Crf(3)
    assert_close(crf.marginals(scores, counts), scores.softmax(1))
    assert torch.equal(crf.decode(scores, counts), scores.argmax(1))


@pytest.mark.parametrize("unknown", [False, True])
def test_ten_thousand_steps(unknown: bool) -> None:
    crf = chain_of(4)
    _, scores, counts = batch((10_000, 3), 4)
    tags = crf.decode(scores, counts)
    given = tags.masked_fill(torch.arange(len(tags)) % 3 == 0, -1) if unknown else tags
    leaf = scores.clone().requires_grad_()
    loss = crf.loss(leaf, given, counts)
    loss.sum().backward()
    _, chain, _ = crf._read(scores, counts)
    with torch.no_grad():
        assert_close(log_partition(scores, chain, Rows.of(counts)), by_definition(crf, scores, counts), 10_000)
    assert 0 < float(loss.detach()[0]) < 20_000
    assert leaf.grad is not None
    assert float(leaf.grad.sum(1).abs().max()) < 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_tag_and_one_step(dtype: torch.dtype) -> None:
    crf = chain_of(1).to(dtype)
    loss = crf.loss(torch.randn(5, 1, dtype=dtype), torch.zeros(5, dtype=torch.long), torch.tensor([2, 2, 1]))
    assert loss.dtype == dtype
    assert_close(loss, torch.zeros(2))
    crf = chain_of(3).to(dtype)
    scores, tags = torch.randn(2, 3, dtype=dtype), torch.tensor([2, 0])
    own = crf.start + scores + crf.end
    assert_close(
        crf.loss(scores, tags, torch.tensor([2])), torch.nn.functional.cross_entropy(own, tags, reduction="none")
    )


# -- planted faults -----------------------------------------------------------------------------------------------

FAULTS = {
    "the end is left out": ("stop / c_end[:, None]", "torch.ones_like(stop) / c_end[:, None]"),
    "moves are read backwards": ("back = move.T.contiguous()", "back = move.contiguous()"),
    "underflow is not noticed": ("c <= LIMIT)", "c <= float('inf'))"),
    "only NaN is noticed": ("~(beta.amax(1) / c <= LIMIT)", "(beta.amax(1) / c).isnan()"),
    "a sequence done again counts twice": ("kept[~held[rows.sequence]] = 0", "pass"),
    "unknown tags are the first tag": ("(tags >= 0)[:, None] &", "(tags >= -1)[:, None] &"),
    "all sequences weigh the same": ("gradient[sequence][:, None]", "gradient.mean()"),
    "the first step has a move": ("[len(first) :]\n        return", "[: len(before)]\n        return"),
    "moves of the sequence beside": ("- counts[:-1].repeat_interleave(counts[1:])", "- counts[0]"),
    "forbidden moves are allowed": (".masked_fill(~mask, -torch.inf)", ""),
    "one top too many": ("rows.sequence.bincount() - 1)\n        return", "rows.sequence.bincount())\n        return"),
}
OF_CHAINS = {
    "the best is sought by moves backwards": ("(self.follow.T)", "(self.follow)"),
    "a sum for a maximum": ("part.max(2)", "part.sum(2)"),
    "moves are read backwards": ("(given * now) @ move.T", "(given * now) @ move"),
    "marginals of a whole forget the end": ("beta[last] = stop /", "beta[last] = 1 /"),
    "underflow is not noticed": ("c[:, 0] <= LIMIT)", "c[:, 0] <= np.inf)"),
    "logarithms forget the end": ("beta[last] = end", "beta[last] = 0"),
    "logarithms read moves backwards": ("follow + (np.maximum", "follow.T + (np.maximum"),
}


def with_fault(fault: str, of: Any = module, faults: dict[str, tuple[str, str]] = FAULTS) -> dict[str, Any]:
    """The names of a copy of the module that holds the fault."""
    source, (right, wrong) = inspect.getsource(of), faults[fault]
    assert source.count(right) == 1, f"{right!r} stands {source.count(right)} times in {of.__name__}"
    names: dict[str, Any] = {"__name__": "faulty"}
    exec(compile(source.replace(right, wrong), "faulty", "exec"), names)
    return names


@pytest.mark.parametrize("fault", FAULTS)
def test_the_comparisons_find_a_planted_fault(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in with_fault(fault).items():
        if hasattr(module, name) and name in ("Crf", "Rows", "by_logarithms", "log_partition"):
            monkeypatch.setitem(globals(), name, value)
    assert_found()


@pytest.mark.parametrize("fault", OF_CHAINS)
def test_the_comparisons_find_a_planted_fault_of_chains(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "Chain", with_fault(fault, chains, OF_CHAINS)["Chain"])
    assert_found()


def assert_found() -> None:
    with pytest.raises((AssertionError, RuntimeError, IndexError, GateworkError)):
        compare()


def compare() -> None:
    test_marginals_by_logarithms_are_those_of_all_paths()
    test_loss_and_gradients_are_those_of_all_paths("partly", SOME)
    test_marginals_and_best_paths_are_those_of_all_paths(SOME)
    test_underflow_beside_sound_sequences_changes_neither([1])
    test_a_path_that_vanishes_is_missed_though_another_stays()
    for seed in range(20):
        agrees_with_the_definition(seed)


def test_the_comparisons_pass_without_a_fault() -> None:
    compare()


# -- what is refused ----------------------------------------------------------------------------------------------


def test_tags_that_break_what_is_allowed_are_refused() -> None:
    crf = chain_of(allowed=SOME)
    _, scores, counts = batch((3, 2))
    for wrong in ([0, 1, 0, 0, 0], [1, 1, 0, 1, 0], [1, 1, 0, 0, 2], [1, 1, 0, 1, -1]):
        with pytest.raises(DataError, match=r"sequence \d of the batch .*allowed"):
            crf.loss(scores, torch.tensor(wrong), counts)


def test_tags_that_no_path_has_beside_unknown_ones_do_not_count() -> None:
    """As where the middle of a span has a tag that was never learned."""
    follow = np.array([[True, True, False], [False, False, True], [True, True, False]])  # O, B, E
    crf = Crf(3, (np.array([True, True, False]), follow, np.array([True, False, True])))
    scores = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    counts = torch.tensor([2, 2, 2])
    loss = crf.loss(scores, torch.tensor([1, 1, -1, 2, 2, 0]), counts)  # B ? E and B E O
    assert loss[0] == 0 and loss[1] > 0
    loss.sum().backward()
    assert scores.grad is not None and not scores.grad[::2].any() and scores.grad[1::2].any()


def test_a_sequence_without_an_allowed_path_is_refused() -> None:
    crf = Crf(2, (np.array([True, False]), np.ones((2, 2), bool), np.array([False, True])))
    scores, counts = torch.zeros(3, 2), torch.tensor([2, 1])
    for ask in (crf.decode, crf.marginals):
        with pytest.raises(DataError, match=r"sequence 1 of the batch \(1 steps\): no path"):
            ask(scores, counts)
        with pytest.raises(DataError, match="NaN"):
            ask(scores.fill_(torch.nan), counts)
        scores = torch.zeros(3, 2)
    assert crf.decode(scores[:2], torch.tensor([1, 1])).tolist() == [0, 1]
    assert crf.loss(scores[:2] * torch.nan, torch.tensor([0, 1]), torch.tensor([1, 1])).isnan().all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    crf, tags = Crf(3), torch.zeros(5, dtype=torch.long)
    with pytest.raises(ShapeError, match=r"scores have the shape \(5, 2\)"):
        crf.decode(torch.zeros(5, 2), torch.tensor([3, 2]))
    with pytest.raises(ShapeError, match="add up to 4"):
        crf.decode(torch.zeros(5, 3), torch.tensor([2, 2]))
    with pytest.raises(ShapeError, match=r"\[2, 3\]"):
        crf.decode(torch.zeros(5, 3), torch.tensor([2, 3]))
    with pytest.raises(ShapeError, match="from 0 to 2, or -1"):
        crf.loss(torch.zeros(5, 3), tags + 3, torch.tensor([3, 2]))
    with pytest.raises(ShapeError, match=r"3 tags need"):
        Crf(3, (np.ones(3, bool), np.ones((2, 3), bool), np.ones(3, bool)))
