"""A linear-chain conditional random field: the score of a sequence of tags is a sum of emissions and transitions.

    crf = Crf(23, allowed)
    loss = crf.loss(scores, tags, counts).mean()      # scores (N, K) of packed rows, as PackedSequence.data
    best = crf.decode(scores, counts)                 # (N,)
    sure = crf.marginals(scores, counts)              # (N, K), rows add up to 1

Letters: B sequences, T steps of the longest, N rows of all of them, K tags. Rows are packed: those of the first step,
then those of the second, ..., longest sequence first; counts (T,) says how many each step has, as `batch_sizes` does.

The sum over all paths is computed by products of matrices of exponentials, with forward and backward variables that
are scaled at each step (Rabiner 1989, section V.A), in float64; sequences that this cannot hold are done again by
logarithms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction, once_differentiable

from gatework.errors import ShapeError
from gatework.runtime.tags import chain as chains
from gatework.runtime.tags.chain import LIMIT, NEVER


class Chain(NamedTuple):
    """Scores in float64 of a start (K,), a move (K, K) [from, to] and an end (K,); -inf where it is not allowed."""

    start: Tensor
    follow: Tensor
    end: Tensor


class Rows(NamedTuple):
    """Where the steps of B sequences lie in N packed rows."""

    counts: list[int]  # rows of each step
    sequence: Tensor  # (N,) whose row it is
    first: Tensor  # (B,) rows of first steps
    last: Tensor  # (B,) rows of last steps
    before: Tensor  # (N - B,) of each row after these, the row of the step before

    @classmethod
    def of(cls, counts: Tensor) -> Rows:
        starts = counts.cumsum(0) - counts
        total, sequences = int(counts.sum()), int(counts[0])
        sequence = torch.arange(total) - starts.repeat_interleave(counts)
        first = torch.arange(sequences)
        before = torch.arange(sequences, total) - counts[:-1].repeat_interleave(counts[1:])
        return cls(counts.tolist(), sequence, first, starts[sequence.bincount() - 1] + first, before)

    def sums(self, values: Tensor) -> Tensor:
        """(B,): those of values (N,) by sequence."""
        return values.new_zeros(len(self.first)).index_add(0, self.sequence, values)

    def only(self, kept: Tensor) -> Rows:
        """Those of the kept rows (N,), which are whole sequences."""
        return Rows.of(torch.tensor([n for part in kept.split(self.counts) if (n := int(part.sum()))]))


class Crf(nn.Module):
    """Scores of sequences of tags (Lafferty, McCallum & Pereira 2001; in a tagger: Lample et al. 2016, section 2.2).

    Args:
        tags: K.
        allowed: which tags may start (K,), which may follow which (K, K) [from, to], and which may end (K,), as
            booleans; None: all. What is not allowed has the score -inf, in training and in decoding.
    """

    may_start: Tensor
    may_follow: Tensor
    may_end: Tensor

    def __init__(self, tags: int, allowed: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None):
        super().__init__()
        shapes = [(tags,), (tags, tags), (tags,)]
        masks = [np.ones(s, bool) for s in shapes] if allowed is None else [np.array(m, bool) for m in allowed]
        if [mask.shape for mask in masks] != shapes:
            raise ShapeError(f"allowed has the shapes {[mask.shape for mask in masks]}; {tags} tags need {shapes}")
        self.start, self.transitions, self.end = (nn.Parameter(torch.zeros(shape)) for shape in shapes)
        for name, mask in zip(("may_start", "may_follow", "may_end"), masks, strict=True):
            self.register_buffer(name, torch.from_numpy(mask), persistent=False)

    def loss(self, scores: Tensor, tags: Tensor, counts: Tensor) -> Tensor:
        """The negative log likelihood (B,) of each sequence, in nats.

        Args:
            scores: emissions (N, K), packed.
            tags: int64 (N,), packed; -1 where the tag is not known: all tags are summed there. Where no allowed path
                has the known tags of a sequence beside unknown ones, none of its tags counts: its loss is 0.
            counts: int64 (T,).

        Raises: ShapeError; DataError where the tags of a sequence break what is allowed.
        """
        rows, chain, emissions = self._read(scores, counts)
        if tags.shape != scores.shape[:1] or int(tags.min()) < -1 or int(tags.max()) >= scores.shape[1]:
            raise ShapeError(
                f"tags {tuple(tags.shape)} from {int(tags.min())} to {int(tags.max())} do not fit scores "
                f"{tuple(scores.shape)}: give each row a tag from 0 to {scores.shape[1] - 1}, or -1"
            )
        unknown = tags < 0
        if bool(unknown.any()):
            wrong = (tags >= 0)[:, None] & (tags[:, None] != torch.arange(scores.shape[1]))
            true = log_partition(emissions.masked_fill(wrong, -torch.inf), chain, rows)
        else:
            true = path_score(emissions, tags, chain, rows)
        total = log_partition(emissions, chain, rows)
        lost = (rows.sums(unknown.double()) > 0) & ~(true > NEVER / 2)
        true = torch.where(lost, total, true)
        chains.refuse_impossible(true.detach().numpy(), counts.numpy(), tags.numpy())
        return (total - true).to(scores.dtype)

    @torch.no_grad()
    def decode(self, scores: Tensor, counts: Tensor) -> Tensor:
        """The tags (N,) of the best path of each sequence, packed (Viterbi); never one that is not allowed.

        Raises: ShapeError; DataError where a sequence has no allowed path, or its scores are NaN.
        """
        self._check(scores, counts)
        return torch.from_numpy(self.chain.best(scores.numpy(), counts.numpy()))

    @torch.no_grad()
    def marginals(self, scores: Tensor, counts: Tensor) -> Tensor:
        """The probability (N, K) of each tag in each row, over all paths.

        Raises: as `decode`.
        """
        self._check(scores, counts)
        return torch.from_numpy(self.chain.marginals(scores.numpy(), counts.numpy())).to(scores.dtype)

    @property
    def chain(self) -> chains.Chain:
        """The moves as arrays."""
        return chains.Chain(*(part.detach().numpy() for part in self._moves()))

    def _moves(self) -> Iterator[Tensor]:
        moves = ((self.start, self.may_start), (self.transitions, self.may_follow), (self.end, self.may_end))
        return (part.double().masked_fill(~mask, -torch.inf) for part, mask in moves)

    def _read(self, scores: Tensor, counts: Tensor) -> tuple[Rows, Chain, Tensor]:
        self._check(scores, counts)
        return Rows.of(counts), Chain(*self._moves()), scores.double()

    def _check(self, scores: Tensor, counts: Tensor) -> None:
        tags = len(self.start)
        if scores.ndim != 2 or scores.shape[1] != tags or int(counts.sum()) != len(scores) or not len(scores):
            raise ShapeError(
                f"scores have the shape {tuple(scores.shape)}, counts add up to {int(counts.sum())}: "
                f"give scores (N, {tags}) of N > 0 packed rows, and how many of them each step has"
            )
        if int(counts.min()) < 1 or bool((counts.diff() > 0).any()):
            raise ShapeError(f"counts are {counts.tolist()}: no step has more rows than the one before, or none")


def path_score(scores: Tensor, tags: Tensor, chain: Chain, rows: Rows) -> Tensor:
    """The score (B,) of one path."""
    moves = chain.follow[tags[rows.before], tags[len(rows.first) :]]
    own = scores.gather(1, tags[:, None])[:, 0] + torch.cat([chain.start[tags[rows.first]], moves])
    return rows.sums(own) + chain.end[tags[rows.last]]


def log_partition(scores: Tensor, chain: Chain, rows: Rows) -> Tensor:
    """The log (B,) of the sum of exp(score) over all paths; about NEVER where there is none."""
    total, held = Scaled.apply(scores, *chain, rows)
    if bool(held.all()):
        return total
    again = ~held[rows.sequence]
    exact = by_logarithms(scores[again], chain, rows.only(again))
    return total.index_put(((~held).nonzero()[:, 0],), exact)


def by_logarithms(scores: Tensor, chain: Chain, rows: Rows) -> Tensor:
    """The same step by step, straight from the definition: (B, K, K) numbers at each step."""
    start, follow, end = (part.clamp(min=NEVER) for part in chain)
    first, *steps = scores.clamp(min=NEVER).split(rows.counts)
    total = start + first
    for step in steps:
        longer = (total[: len(step), :, None] + follow).logsumexp(1) + step
        total = torch.cat([longer, total[len(step) :]])
    return (total + end).logsumexp(1)


class Scaled(torch.autograd.Function):
    """(scores, start, follow, end, rows) -> log partition (B,), and whether it is `held` (B,); else it is nothing.

    With x, A the exponentials of scores and moves, each over its largest, so that none is above 1:

        u_t = (alpha_t-1 A) x_t     c_t = sum u_t     alpha_t = u_t / c_t            log Z = sum of log c_t + log c_end
        beta_t-1 = A (x_t beta_t / c_t)               beta of the last step = exp(end) / c_end, c_end = alpha exp(end)

    Then alpha_t beta_t are marginals, and alpha_t-1 A x_t beta_t / c_t are those of pairs.

    What underflows (in x, in A, in u) changes an entry of u_t by at most e = K 2.3e-308. Z is linear in u_t, so this
    changes Z by the factor 1 + sum of e beta_t / c_t, exactly. Where no beta_t / c_t is above LIMIT, that is nothing
    (1e-17 K for each step); the same bound holds for what underflows in x_t beta_t / c_t, thus for beta, so beta
    itself can be trusted to tell. NaN and inf (c = 0) fail the comparison.
    """

    @staticmethod
    def forward(
        ctx: BackwardCFunction, scores: Tensor, start: Tensor, follow: Tensor, end: Tensor, rows: Rows
    ) -> tuple[Tensor, Tensor]:
        (x, tops), (begin, first), (stop, last) = (_exponential(part) for part in (scores, start, end))
        move, top = _exponential(follow.flatten())
        move = move.view_as(follow)
        alpha, c = _forwards(x, begin, move, rows.counts)
        c_end = alpha[rows.last] @ stop
        beta = torch.empty_like(x)
        beta[rows.last] = stop / c_end[:, None]
        entering = x / c[:, None]
        _backwards(entering, beta, move, rows.counts)
        lost = ~(beta.amax(1) / c <= LIMIT)
        held = rows.sums(lost.double()) == 0
        for kept in (alpha, beta, entering) if bool(lost.any()) else ():
            kept[~held[rows.sequence]] = 0
        ctx.save_for_backward(alpha, beta, entering, move, *rows[1:])
        ctx.mark_non_differentiable(held)
        constant = first + last + top * (rows.sequence.bincount() - 1)
        return rows.sums(c.log() + tops) + c_end.log() + constant, held

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        alpha, beta, entering, move, sequence, first, last, before = list(ctx.saved_tensors)
        weight = gradient[sequence][:, None]
        marginals = alpha * beta * weight
        moves = alpha[before].T @ (entering * weight)[len(first) :]
        return marginals, marginals[first].sum(0), move * moves, marginals[last].sum(0), None


def _exponential(scores: Tensor) -> tuple[Tensor, Tensor]:
    """exp(scores - top) of (..., K), and top (...)."""
    top = scores.amax(-1).clamp(min=NEVER)
    return (scores - top.unsqueeze(-1)).exp(), top


def _forwards(x: Tensor, begin: Tensor, move: Tensor, counts: list[int]) -> tuple[Tensor, Tensor]:
    """alpha (N, K) and c (N,)."""
    alpha, c = torch.empty_like(x), x.new_empty(len(x), 1)
    before = None
    for now, given, scale in zip(alpha.split(counts), x.split(counts), c.split(counts), strict=True):
        if before is None:
            torch.mul(begin, given, out=now)
        else:
            torch.mm(before[: len(now)], move, out=now).mul_(given)
        now.div_(torch.sum(now, 1, keepdim=True, out=scale))
        before = now
    return alpha, c[:, 0]


def _backwards(entering: Tensor, beta: Tensor, move: Tensor, counts: list[int]) -> None:
    """Fills beta (N, K), of which the last steps are there, and makes x / c into x beta / c."""
    back = move.T.contiguous()
    steps = list(zip(entering.split(counts), beta.split(counts), strict=True))
    for (_, before), (given, now) in zip(reversed(steps[:-1]), reversed(steps[1:]), strict=True):
        torch.mm(given.mul_(now), back, out=before[: len(now)])
    steps[0][0].mul_(steps[0][1])
