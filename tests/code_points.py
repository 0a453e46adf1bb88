"""What polars and tokenizers say of every code point; `python tests/code_points.py` writes it for the runtime, which
loads neither.

A test compares the written file with what the installed libraries say. Where it fails after an update of one of them
(a newer Unicode), run this file.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from tokenizers import Regex, normalizers

TARGET = Path(__file__).resolve().parents[1] / "src" / "gatework" / "runtime" / "texts" / "ranges.py"
ALL = [chr(point) if not 0xD800 <= point < 0xE000 else "\0" for point in range(0x110000)]  # halves count as U+0000
OF_POLARS = {
    "word": r"\w",
    "space": r"\s",
    "syllabic": r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]",
    "upper": r"\p{Lu}",
    "lower": r"\p{Ll}",
    "digit": r"\p{Nd}",
}
OF_TOKENIZERS = {"letter": r"\p{L}", "number": r"\p{N}"}
HEAD = '''"""What each code point is, in runs, as polars {polars} and tokenizers {tokenizers} have it.

Written by `python tests/code_points.py`; see `points.py` beside it.
"""
'''


def properties() -> dict[str, np.ndarray]:
    """Name -> bool [0x110000]."""
    column = pl.Series(ALL)
    found = {name: column.str.contains(f"^{pattern}$").to_numpy() for name, pattern in OF_POLARS.items()}
    return found | {name: _matches(pattern) for name, pattern in OF_TOKENIZERS.items()} | _around_sigma(column)


def _matches(pattern: str) -> np.ndarray:
    """Of tokenizers' regular expressions (Oniguruma)."""
    mark, other = "\U0010fffd", normalizers.Replace(Regex(pattern), "\U0010fffd")
    changed = other.normalize_str("".join(ALL))
    assert len(changed) == len(ALL)
    return np.array([new == mark != old for new, old in zip(changed, ALL, strict=True)])


def _around_sigma(column: pl.Series) -> dict[str, np.ndarray]:
    """Letters before which a sigma does not end a word, and what a word's end is looked for behind (the Unicode
    Standard, section 3.13, Final_Sigma)."""
    before = _second(("AΣ" + column).str.to_lowercase()) == "σ"
    through = _second(("AΣ" + column + "A").str.to_lowercase()) == "σ"
    return {"cased": before, "ignorable": through & ~before}


def _second(column: pl.Series) -> np.ndarray:
    return column.str.slice(1, 1).to_numpy()


def written() -> str:
    """The text of the file."""
    import tokenizers

    named = properties()
    codes = np.sum([mine.astype(np.int64) << bit for bit, mine in enumerate(named.values())], axis=0)
    kinds = np.unique(codes).tolist()
    names = [" ".join(name for bit, name in enumerate(named) if kind >> bit & 1) for kind in kinds]
    ends = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    runs = [f"{chr(65 + kinds.index(codes[a]))}{f'{b - a:x}' if b - a > 1 else ''}" for a, b in pairwise(ends)]
    return "\n".join(
        [
            HEAD.format(polars=pl.__version__, tokenizers=tokenizers.__version__),
            "# The kinds of code points, by what they are.",
            "KINDS = (",
            *(f'    "{name}",' for name in names),
            ")",
            "",
            "# Each run of code points: the letter of its kind (A: the first), and its length (hexadecimal; none: 1).",
            'RUNS = """',
            *_lines(runs),
            '"""',
            "",
            "# Of capital letters: the first, past the last, the step between them, and how far the small ones are.",
            'SMALL = """',
            *_lines([f"{':'.join(map(str, run))} " for run in shifts()]),
            '"""',
            "",
        ]
    )


def shifts() -> list[tuple[int, int, int, int]]:
    """Code points that become another in lower case, all but İ, which becomes two."""
    small = pl.Series(ALL).str.to_lowercase()
    moved = [(ord(a), ord(b) - ord(a)) for a, b in zip(ALL, small, strict=True) if a != b and len(b) == 1]
    runs: list[list[int]] = []  # first, last, step, shift
    for point, shift in moved:
        last = runs[-1] if runs else [0, 0, 0, 0]
        step = point - last[1]
        if last[3] == shift and step in (1, 2) and last[2] in (0, step):
            last[1:3] = point, step
        else:
            runs.append([point, point, 0, shift])
    return [(first, last + 1, step or 1, shift) for first, last, step, shift in runs]


def _lines(parts: list[str], width: int = 118) -> list[str]:
    lines = [""]
    for part in parts:
        lines += [""] if len(lines[-1] + part) > width else []
        lines[-1] += part
    return [line.rstrip() for line in lines]


if __name__ == "__main__":
    TARGET.write_text(written(), encoding="utf-8")
