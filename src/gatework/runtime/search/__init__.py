"""Searches over what a decoder writes, on numpy arrays: see `walk`."""

from __future__ import annotations

from gatework.runtime.search.choices import Beam, Choice, Drawn
from gatework.runtime.search.hypotheses import Hypothesis
from gatework.runtime.search.rules import Rule
from gatework.runtime.search.walk import search, unroll

__all__ = ["Beam", "Choice", "Drawn", "Hypothesis", "Rule", "search", "unroll"]
