"""What the network reads of a text that is explained: its units, and where they stand in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatework.data.codecs import TextCodec
from gatework.data.ragged import Ragged
from gatework.runtime.texts import Span

BLANK = "\ufffd"  # a sign that no vocabulary holds


@dataclass(frozen=True)
class Units:
    """The T units that the network reads, and their places in `text` (of which markup is blanked out)."""

    text: str
    tokens: list[str]
    spans: list[Span]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    def blanked(self, start: int, stop: int) -> str:
        """The text with an unknown sign in the place of these units."""
        parts, at = [], 0
        for first, last in self.spans[start:stop]:
            parts += [self.text[at:first], BLANK]
            at = last
        return "".join([*parts, self.text[at:]])

    def tail(self, length: int) -> str:
        """The text from its last units on."""
        return self.text[self.spans[len(self.spans) - length][0] :]


def units_of(codec: TextCodec, text: str, most: int) -> Units:
    """What a codec makes of a text, cut as the task cuts it: three quarters from the start, one from the end."""
    tokens, spans = codec.located(text)
    order = Ragged.of([np.arange(len(tokens))], np.int64).truncate(most - most // 4, most // 4).values.tolist()
    kept = [tokens[i] for i in order], [spans[i] for i in order]
    return Units(codec.without_markup(text), *kept, len(tokens) - len(order))
