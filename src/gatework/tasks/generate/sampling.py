"""Writing: one unit after another, drawn from the model's distribution."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from gatework.data.codecs import TextCodec
from gatework.data.codecs.text import UNREADABLE
from gatework.errors import OptionError
from gatework.tasks.generate.counts import mixed
from gatework.tasks.generate.model import LanguageModel
from gatework.tasks.generate.streams import encoded


def choose(
    logits: Tensor, temperature: float, top_k: int, top_p: float, generator: torch.Generator
) -> int:  # fmt: skip
    """One id from (V,) logits: the likeliest at temperature 0, else a draw from the units that are left.

    top_k keeps the k likeliest (0: all); top_p the smallest set that holds that probability (Holtzman et al. 2020).
    """
    if temperature == 0:
        return int(logits.argmax())
    probabilities, ids = torch.softmax(logits.double() / temperature, -1).sort(descending=True, stable=True)
    if top_k:
        probabilities = probabilities[:top_k]
    before = probabilities.cumsum(0) - probabilities
    kept = probabilities.masked_fill(before >= top_p, 0.0)
    return int(ids[torch.multinomial(kept, 1, generator=generator)])


def check_sampling(length: int, temperature: float, top_k: int, top_p: float) -> None:
    """Refuses what cannot be sampled with."""
    if length < 0:
        raise OptionError(f"length must be at least 0, not {length}")
    if not 0 <= temperature < float("inf"):
        raise OptionError(f"temperature must be 0 (the likeliest unit) or more, not {temperature}")
    if top_k < 0:
        raise OptionError(f"top_k must be at least 0 (0 keeps all), not {top_k}")
    if not 0 < top_p <= 1:
        raise OptionError(f"top_p must lie in (0, 1], not {top_p}")


class Reader:
    """Reads a text piece by piece, and says after each what it expects next.

    scores = Reader(model).read(ids)            # (V,) log probabilities of the unit after ids (N,)
    """

    def __init__(self, model: LanguageModel):
        self.model, self.states = model, {}
        self.place = [] if model.counts is None else model.counts.place(np.zeros(0, np.int64))

    def read(self, ids: Tensor) -> Tensor:
        logits, self.states = self.model(ids.unsqueeze(1), self.states)
        network, counts, share = logits[-1, 0].double().log_softmax(0), self.model.counts, float(self.model.share)
        if counts is None:
            return network
        for unit in ids[-counts.orders :].tolist():
            self.place = counts.moved(self.place, unit)
        return -mixed(-network, -counts.next(self.place).log(), share)


@torch.no_grad()
def stream(
    model: LanguageModel,
    tokens: TextCodec,
    prompt: str,
    length: int,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 1,
) -> Iterator[str]:
    """Pieces of text as they are written, `length` units in all, after the prompt (which is not repeated).

    Units that the model never saw are left out of the prompt; an empty prompt is read as a new line.
    """
    check_sampling(length, temperature, top_k, top_p)
    generator = torch.Generator().manual_seed(seed)
    reader = Reader(model)
    scores = reader.read(_prompt_ids(tokens, prompt))
    held: list[int] = []
    for _ in range(length):
        scores[list(tokens.forbidden)] = -torch.inf
        held.append(choose(scores, temperature, top_k, top_p, generator))
        scores = reader.read(torch.tensor(held[-1:]))
        text = tokens.text(held)
        if not text.endswith(UNREADABLE):
            yield text
            held = []
    if held:
        yield tokens.text(held)


def _prompt_ids(tokens: TextCodec, prompt: str) -> Tensor:
    ids = encoded(tokens, opening(tokens, prompt))
    known = ids[~torch.isin(ids, torch.tensor(tokens.forbidden))]
    return known if len(known) else encoded(tokens, "\n")


def opening(tokens: TextCodec, prompt: str) -> str:
    """The prompt, with a space before it where its first word is known with one alone."""
    units, spaced = tokens.units(prompt), tokens.units(" " + prompt)
    known = set(tokens.vocabulary)
    twin = len(units) == len(spaced) > 0 and units[0] not in known and spaced[0] in known
    return " " + prompt if twin else prompt
