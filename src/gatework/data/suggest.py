"""What to type instead: near misses ("did you mean"), and options as they are given."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable

COLUMN = "COLUMN"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`'; did you mean "label"?'` for "lable", or nothing when no known name is near."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known name that is most like the word; "" where none is near."""
    names = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return names[near[0]] if near else ""


def setting(name: str, value: str | bool | int | tuple[str, ...]) -> str:
    """An option as it is given in Python and to a command: "header=False (in a command: --set header=false)".

    COLUMN stands for a name that only the reader knows.
    """
    written = (
        ",".join(value) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else str(value)
    )
    shown = value if value == COLUMN else repr(value)
    return f"{name}={shown} (in a command: --set {shlex.quote(f'{name}={written}')})"
