"""Runs side by side: `gatework.runs` lists those of a folder, `gatework.compare` says what some differ in, and in what.

listing.py (a row for each run, broken ones too), compare.py (options that differ, differences of results with paired
intervals), page.py (the same as a page).
"""

from __future__ import annotations

__all__ = ["compare", "runs"]

from gatework.comparison.compare import compare
from gatework.comparison.listing import runs
