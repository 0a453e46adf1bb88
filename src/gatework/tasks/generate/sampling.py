"""Writing: one unit after another, drawn from the model's distribution."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gatework.data.codecs import TextCodec
from gatework.errors import OptionError
from gatework.networks.choices import Drawn
from gatework.networks.rules import forbid
from gatework.networks.search import unroll
from gatework.runtime.texts import UNREADABLE
from gatework.tasks.generate.model import LanguageModel
from gatework.tasks.generate.streams import encoded


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

    Units that the model never saw are left out of the prompt; an empty prompt is read as a new line. What temperature,
    top_k and top_p mean: see `gatework.networks.choices.Drawn`.
    """
    if length < 0:
        raise OptionError(f"length must be at least 0, not {length}")
    choice = Drawn(temperature, top_k, top_p, torch.Generator().manual_seed(seed))
    held: list[int] = []  # units whose bytes are not a whole character yet
    for moment in unroll(model, *model.begin(prompt_ids(tokens, prompt)), choice, [forbid(tokens.forbidden)], length):
        held.append(int(moment.candidates.next))
        text = tokens.text(held)
        if not text.endswith(UNREADABLE):
            yield text
            held = []
    if held:
        yield tokens.text(held)


def prompt_ids(tokens: TextCodec, prompt: str) -> Tensor:
    """(N,) units of a prompt that the model knows; those of a new line where there are none."""
    ids = encoded(tokens, opening(tokens, prompt))
    known = ids[~torch.isin(ids, torch.tensor(tokens.forbidden))]
    return known if len(known) else encoded(tokens, "\n")


def opening(tokens: TextCodec, prompt: str) -> str:
    """The prompt, with a space before it where its first word is known with one alone."""
    units, spaced = tokens.units(prompt), tokens.units(" " + prompt)
    known = set(tokens.vocabulary)
    twin = len(units) == len(spaced) > 0 and units[0] not in known and spaced[0] in known
    return " " + prompt if twin else prompt
