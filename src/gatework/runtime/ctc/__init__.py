"""Connectionist temporal classification without torch: from log probabilities of steps to symbols with their steps.

    search = Beam(16, V, counted(texts, 4, V), weight=0.5)        # or Greedy(V)
    for piece in stream:
        search.next(piece)                                        # (t, V): any number of steps, as they come
        search.partial()                                          # symbols so far; changes nothing
    search.result()                                               # Path: symbols, their steps, probabilities

A network gives each of T steps a distribution over V symbols, of which symbol 0, the blank, says nothing. A *path* is
one symbol a step; it *reads as* its symbols without repeats, then without blanks: "a a - a b" reads as "a a b". The
probability of a text is the sum over all paths that read as it (Graves et al. 2006, "Connectionist temporal
classification", section 3). paths.py has that sum and the likeliest path, search.py what all searches share and the
greedy one, beam.py the sum over paths of many texts at once, language.py what a text is likely to say.
"""

from __future__ import annotations

from gatework.runtime.ctc.beam import Beam
from gatework.runtime.ctc.language import Counted, Language, Listed, counted
from gatework.runtime.ctc.paths import BLANK, Path, align, likelihood, read
from gatework.runtime.ctc.search import Greedy, Search

__all__ = [
    "BLANK",
    "Beam",
    "Counted",
    "Greedy",
    "Language",
    "Listed",
    "Path",
    "Search",
    "align",
    "counted",
    "likelihood",
    "read",
]
