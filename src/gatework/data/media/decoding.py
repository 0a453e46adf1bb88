"""Items of a listing decoded in the background, in order, never many ahead; what is said of them gathered by row."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import numpy as np

from gatework.data.finding import Finding
from gatework.data.media.faults import Faults
from gatework.data.media.items import Item, Tell, distinct
from gatework.data.media.listing import Listing
from gatework.data.media.quiet import quiet
from gatework.errors import DataError

Decode = Callable[[Item, Tell], np.ndarray]
AHEAD = 4  # items for each worker that may be decoded before they are used


def check(listing: Listing, decode: Decode, workers: int = 2) -> list[Finding]:
    """What is wrong with the files of a listing, each decoded once and dropped: every broken one, and what was mended.

    Example: `check(read("clips.csv"), lambda item, tell: sounds.load(item, 8000, tell))`.
    """
    faults = Faults(listing)
    with closing(decoded(listing, distinct(listing.items)[0], decode, faults, workers)) as arrays:
        for _ in arrays:
            pass
    return faults.findings()


def decoded(
    listing: Listing, rows: list[int], decode: Decode, faults: Faults, workers: int
) -> Generator[tuple[int, np.ndarray | None]]:
    """(row, its array) in order; None for one that is broken."""

    def one(row: int) -> np.ndarray | None:
        try:
            return np.asarray(decode(listing.items[row], faults.tell(row)))
        except DataError as error:
            faults.broken(row, error)
            return None

    waiting: deque[tuple[int, Future[np.ndarray | None]]] = deque()
    pool = ThreadPoolExecutor(max(workers, 1), "gatework-media")
    with quiet():
        try:
            for row in rows:
                waiting.append((row, pool.submit(one, row)))
                if len(waiting) >= AHEAD * max(workers, 1):
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def _first(waiting: deque[tuple[int, Future[np.ndarray | None]]]) -> tuple[int, np.ndarray | None]:
    row, future = waiting.popleft()
    return row, future.result()
