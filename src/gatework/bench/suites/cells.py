"""GRU and tanh RNN, as the grid."""

from __future__ import annotations

from collections.abc import Iterator

from gatework.bench.rows import Row
from gatework.bench.settings import PEERS, USUAL, Settings, all_threads
from gatework.bench.suites.grid import compared


def measure(settings: Settings) -> Iterator[Row]:
    for cell in (settings.cell,) if settings.cell else ("gru", "rnn"):
        s = settings.or_else(cell=cell, shapes=(USUAL,), threads=all_threads(), dtype="float32", peers=PEERS)
        yield from compared("cells", s)
