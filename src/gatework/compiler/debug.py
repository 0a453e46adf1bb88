"""What the environment variable GATEWORK_DEBUG prints to stderr on the way from an equation to machine code.

It holds a level (1 what is compiled and what the cache does, 2 also each pass and plan, 3 also the IR, 4 also the
assembly), or names separated by commas: GATEWORK_DEBUG=plan,asm.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

LEVELS = {"compile": 1, "passes": 2, "plan": 2, "ir": 3, "asm": 4}


def wanted(what: str) -> bool:
    """Does GATEWORK_DEBUG ask for one of LEVELS?"""
    asked = os.environ.get("GATEWORK_DEBUG", "").strip()
    return LEVELS[what] <= int(asked) if asked.isdigit() else what in asked.replace(" ", "").split(",")


def debug(what: str, text: Callable[[], str]) -> None:
    """Print `text()` if it is asked for."""
    if wanted(what):
        print(text(), file=sys.stderr)
