"""What a model that writes reads first, and the text of what it writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from gatework.runtime.texts.base import UNREADABLE, Codec


def prompt_ids(codec: Codec, prompt: str) -> np.ndarray:
    """(N,) units of a prompt that the model knows; those of a new line where there are none."""
    ids = codec.ids(opening(codec, prompt))
    known = ids[~np.isin(ids, codec.forbidden)]
    return known if len(known) else codec.ids("\n")


def unseen_note(codec: Codec, prompt: str) -> str | None:
    """What to say of a prompt with units that the model never saw."""
    named = ", ".join(map(repr, codec.unseen(opening(codec, prompt))[:10]))
    return f"the model never saw {named}; left out of the prompt" if named else None


def opening(codec: Codec, prompt: str) -> str:
    """The prompt, with a space before it where its first word is known with one alone."""
    units, spaced = codec.units(prompt), codec.units(" " + prompt)
    twin = len(units) == len(spaced) > 0 and units[0] not in codec.number and spaced[0] in codec.number
    return " " + prompt if twin else prompt


def written(codec: Codec, ids: Iterable[int]) -> Iterator[str]:
    """The text of ids, in pieces: units whose bytes are not a whole character yet wait for the next ones."""
    held: list[int] = []
    for unit in ids:
        held.append(unit)
        text = codec.text(held)
        if not text.endswith(UNREADABLE):
            yield text
            held = []
    if held:
        yield codec.text(held)
