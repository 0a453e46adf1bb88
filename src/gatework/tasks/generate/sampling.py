"""Writing: one unit after another, drawn from the model's distribution."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from gatework.data.codecs import TextCodec
from gatework.errors import OptionError
from gatework.runtime.drawing import uniform
from gatework.runtime.search import Drawn, unroll
from gatework.runtime.search.rules import forbid
from gatework.runtime.texts.prompts import prompt_ids, written
from gatework.tasks.generate.model import LanguageModel


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
    top_k and top_p mean: see `gatework.runtime.search.Drawn`.
    """
    if length < 0:
        raise OptionError(f"length must be at least 0, not {length}")
    choice = Drawn(temperature, top_k, top_p, uniform(seed))
    begun = model.begin(torch.from_numpy(prompt_ids(tokens, prompt).astype(np.int64)))
    moments = unroll(model, *begun, choice, [forbid(tokens.forbidden)], length)
    yield from written(tokens, (moment.candidates.next.item() for moment in moments))
