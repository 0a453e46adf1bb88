"""Programs: a cell's step, compiled (here: interpreted)."""

from __future__ import annotations

from gatework.runtime.interpreted import Interpreted
from gatework.runtime.rows import Rows

__all__ = ["Rows", "program"]


def program(graph, sizes, dtype, **options):
    return Interpreted(graph, sizes, dtype)
