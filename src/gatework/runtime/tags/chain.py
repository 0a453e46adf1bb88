"""A linear chain of tags: the best path, and the probability of each tag over all paths, in float64.

Letters: B sequences, T steps of the longest, N rows of all of them, K tags. Rows are packed: those of the first step,
then those of the second, ..., longest sequence first; counts (T,) says how many each step has.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gatework.errors import DataError

NEVER = -1e30  # stands for -inf where a difference of two of them must not be NaN
LIMIT = 1e290  # of what a scaled sum may grow by: see `gatework.networks.crf.Scaled`
ROOM = 1 << 18  # of sequences that are decoded together, however many there are: 2 MB


class Chain(NamedTuple):
    """Scores of a start (K,), a move (K, K) [from, to] and an end (K,); -inf where it is not allowed.

    chain = Chain(start, follow, end)
    chain.best(scores, counts)          # (N,) of scores (N, K)
    chain.marginals(scores, counts)     # (N, K), rows add up to 1
    """

    start: np.ndarray
    follow: np.ndarray
    end: np.ndarray

    def best(self, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The tags (N,) of the best path of each sequence (Viterbi); never one that is not allowed.

        Raises: DataError where a sequence has no allowed path, or its scores are NaN.
        """
        into, (first, *steps) = np.ascontiguousarray(self.follow.T), _steps(scores.astype(np.float64), counts)
        bests = [self.start + first]
        for step in steps:
            bests.append(_best_into(bests[-1][: len(step)], into) + step)
        ends = np.concatenate(bests)[last_rows(counts)] + self.end
        refuse_impossible(ends.max(1), counts)
        tags = ends.argmax(1)
        path = [tags[: len(bests[-1])].copy()]
        for best, count in zip(bests[-2::-1], counts[:0:-1].tolist(), strict=True):
            tags[:count] = (best[:count] + into[tags[:count]]).argmax(1)
            path.append(tags[: len(best)].copy())
        return np.concatenate(path[::-1])

    def marginals(self, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The probability (N, K) of each tag in each row, over all paths.

        Forward and backward variables are products of exponentials, scaled at each step (Rabiner 1989, section V.A);
        sequences that these cannot hold are done again by logarithms.

        Raises: as `best`.
        """
        scores = scores.astype(np.float64)
        found, held = self._scaled(scores, counts)
        if not held.all():
            again = ~held[sequences(counts)]
            kept = np.array([part.sum() for part in np.split(again, np.cumsum(counts)[:-1])])
            found[again], total = self._by_logarithms(scores[again], kept[kept > 0])
            whole = np.zeros(len(held))
            whole[~held] = total
            refuse_impossible(whole, counts)
        return found

    def _scaled(self, scores: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Marginals, and whether those of each sequence (B,) can be trusted; the formulas of `crf.Scaled`."""
        x, begin, move, stop = (_exponential(part) for part in (scores, self.start, self.follow.ravel(), self.end))
        move, last = move.reshape(self.follow.shape), last_rows(counts)
        with np.errstate(all="ignore"):  # what cannot be held is told by `held`
            alphas: list[np.ndarray] = []
            sums: list[np.ndarray] = []
            for given in _steps(x, counts):
                now = (alphas[-1][: len(given)] @ move if alphas else begin) * given
                sums.append(now.sum(1, keepdims=True))
                alphas.append(now / sums[-1])
            alpha, c = np.concatenate(alphas), np.concatenate(sums)
            beta, entering = np.empty_like(x), x / c
            beta[last] = stop / (alpha[last] @ stop)[:, None]
            steps = list(zip(_steps(entering, counts), _steps(beta, counts), strict=True))
            for (_, before), (given, now) in zip(steps[-2::-1], steps[:0:-1], strict=True):
                before[: len(now)] = (given * now) @ move.T
            lost = ~(beta.max(1) / c[:, 0] <= LIMIT)
            return alpha * beta, np.bincount(sequences(counts), lost) == 0

    def _by_logarithms(self, scores: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same step by step, straight from the definition; and the log (B,) of the sum over all paths."""
        start, follow, end = (np.maximum(part, NEVER) for part in self)
        alphas: list[np.ndarray] = []
        for given in _steps(np.maximum(scores, NEVER), counts):
            before = _log_sum(alphas[-1][: len(given), :, None] + follow, 1) if alphas else start
            alphas.append(before + given)
        alpha, last = np.concatenate(alphas), last_rows(counts)
        beta = np.empty_like(alpha)
        beta[last] = end
        total = _log_sum(alpha[last] + end, 1)
        steps = list(zip(_steps(scores, counts), _steps(beta, counts), strict=True))
        for (_, before), (given, now) in zip(steps[-2::-1], steps[:0:-1], strict=True):
            before[: len(now)] = _log_sum(follow + (np.maximum(given, NEVER) + now)[:, None], 2)
        return np.exp(alpha + beta - total[sequences(counts)][:, None]), total


def sequences(counts: np.ndarray) -> np.ndarray:
    """(N,): the sequence of each row."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def last_rows(counts: np.ndarray) -> np.ndarray:
    """(B,): the row of each sequence's last step."""
    lengths = np.bincount(sequences(counts))
    return (np.cumsum(counts) - counts)[lengths - 1] + np.arange(len(lengths))


def refuse_impossible(total: np.ndarray, counts: np.ndarray, tags: np.ndarray | None = None) -> None:
    """Raises where the score (B,) of a sequence, which has these tags (N,) if given, is that of no path."""
    for place in np.flatnonzero(~(total > NEVER / 2))[:1]:
        mine = sequences(counts) == place
        what = f"sequence {place} of the batch ({mine.sum()} steps)"
        if tags is not None and not np.isnan(total[place]):
            shown = tags[mine][:20].tolist()
            raise DataError(f"{what}: its tags {shown} start, go on or end as `allowed` forbids: correct them")
        if not np.isnan(total[place]):
            raise DataError(f"{what}: no path of this length is allowed: permit more, or leave it out")
        if tags is None:
            raise DataError(f"{what}: its scores are NaN: see whether the training diverged")


def _steps(rows: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """Views of the rows of each step."""
    return np.split(rows, np.cumsum(counts)[:-1])


def _best_into(best: np.ndarray, into: np.ndarray) -> np.ndarray:
    """The best (n, K) over the tag before, of best (n, K) and moves (K, K) [to, from]; ROOM numbers at once."""
    at_once = max(ROOM // into.size, 1)
    parts = [best[first : first + at_once, None] + into for first in range(0, len(best), at_once)]
    return np.concatenate([part.max(2) for part in parts])


def _exponential(scores: np.ndarray) -> np.ndarray:
    """exp of (..., K), each row over its largest."""
    return np.exp(scores - np.maximum(scores.max(-1, keepdims=True), NEVER))


def _log_sum(values: np.ndarray, axis: int) -> np.ndarray:
    top = values.max(axis, keepdims=True)
    return np.log(np.exp(values - top).sum(axis)) + top.squeeze(axis)
