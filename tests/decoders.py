"""Tiny random decoders whose every sequence can be listed, for tests of searches."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from gatework.networks.attention import AttentionLayer, Memory
from gatework.networks.decoder import Decoder
from gatework.networks.embedding import Embedding
from gatework.networks.encoder import Encoder
from gatework.networks.heads import Symbols
from gatework.networks.states import States, repeated
from gatework.runtime.search import Choice, Hypothesis, search
from gatework.runtime.search.written import Taken, Written
from gatework.training.regularisation import RecurrentOptions

V, H, S, LIMIT, END, START = 4, 5, 3, 4, 0, 1
DECODERS = range(40)  # a fault in reordering shows on most random decoders, not on all


def decoder_of(seed: int, cell: str = "gru", layers: int = 1) -> Decoder:
    torch.manual_seed(seed)
    options = RecurrentOptions(cell=cell, hidden_size=H, layers=layers)
    made = Decoder(Embedding(V, 3), Encoder(options, 3), Symbols(H, V), AttentionLayer(H, 2))
    for parameter in made.parameters():
        parameter.data.mul_(3)  # far from uniform, so that what was read matters
    return made.eval()


def rows_of(decoder: Decoder, rows: int, seed: int = 0) -> tuple[Memory, States]:
    """Memories of different lengths and different states to begin from."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, S, 2, generator=generator)
    assert decoder.attention is not None
    memory = decoder.attention.memory(values, torch.arange(rows) % S + 1)
    with torch.no_grad():
        _, _, start = decoder(torch.randint(V, (3, rows), generator=generator), memory)
    return memory, start


def one_row(memory: Memory, states: States, row: int) -> tuple[Memory, States]:
    return memory.select(torch.tensor([row])), {name: state[:, row : row + 1] for name, state in states.items()}


def found_by(decoder: Decoder, memory: Memory, start: States, choice: Choice, **how) -> list[list[Hypothesis]]:
    last = np.full((len(memory.values), 1), START)
    return search(decoder, decoder.begin(memory, start), last, choice, **{"limit": LIMIT, **how})


def listed(decoder: Decoder, memory: Memory, start: States) -> dict[tuple[int, ...], float]:
    """Every sequence that ends within the limit, or is cut off there, with its log probability: whole sequences."""
    every = [
        (*front, last)
        for length in range(1, LIMIT + 1)
        for front in itertools.product([v for v in range(V) if v != END], repeat=length - 1)
        for last in range(V)
        if last == END or length == LIMIT
    ]
    count = len(every)
    reads = torch.tensor([[START, *ids[:-1], *[0] * (LIMIT - len(ids))] for ids in every]).t()
    shared = Memory(memory.keys.expand(count, -1, -1), memory.values.expand(count, -1, -1), memory.lengths)
    with torch.no_grad():
        logits, _, _ = decoder(reads, shared, repeated(start, count))
    log_p = logits.log_softmax(2)
    return {ids: float(log_p[torch.arange(len(ids)), row, list(ids)].sum()) for row, ids in enumerate(every)}


def written_by(ids: np.ndarray) -> Written:
    """What places have written that each went on by itself: ids (B, K, t)."""
    rows, places, steps = ids.shape
    written = Written(np.full(rows, 100))
    for step in range(steps):
        parent = np.tile(np.arange(places), (rows, 1)) if step else np.zeros((rows, places), np.int64)
        written.taken.append(Taken(parent, ids[:, :, step], np.zeros((rows, places))))
    return written
