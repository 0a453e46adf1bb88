"""The search as the options of predicting ask for it, and the training texts that it counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gatework.data.files import read_text
from gatework.runtime.ctc import searching
from gatework.runtime.ctc.searching import one_word_each
from gatework.tasks.transcribe.options import TranscribePredicting

MOST_CHARACTERS = 4_000_000  # of training texts that are kept for counting


@dataclass(frozen=True)
class Searching(searching.Searching):
    """How steps become texts; the words of a list stand in a file, one a line.

    searching = Searching(units, TranscribePredicting(beam=8, lm_weight=0.5), kept(texts))
    searching.row(searching.read(log_p))                          # {"text": "seven two", "confidence": 0.98}

    Raises: DataError for a list of words that is missing or empty, or that no text can be made of.
    """

    how: TranscribePredicting = field(default_factory=TranscribePredicting)

    def listed(self) -> tuple[str, list[str]]:
        path = self.how.word_list or ""
        return path, one_word_each(path, read_text(path).splitlines(), "write one a line")


def kept(texts: Sequence[str]) -> dict[str, int]:
    """How often each text is there; of very many the most frequent ones."""
    counts, held, found = Counter(" ".join(text.split()) for text in texts), 0, {}
    for text, often in counts.most_common():
        held += len(text)
        if held > MOST_CHARACTERS:
            break
        found[text] = often
    return found
