"""Two sides of unlike counts: where a line is likely to be missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SHOWN = 40  # letters of a text in a message


def unequal(sources: Sequence[str], targets: Sequence[str], first: str, second: str, unit: str = "line") -> str:
    """What is wrong: both counts, and where the sides come apart.

    Example: "a.de has 3 lines, but a.en has 2; ... from line 2 on they seem to differ: 'ja' beside 'a dog runs'".
    """
    counts = f"{first} has {len(sources):,} {unit}s, but {second} has {len(targets):,}; each {unit} needs its own"
    place = parting(sources, targets)
    if place == min(len(sources), len(targets)):
        longer, rest = (first, sources[place:]) if len(sources) > place else (second, targets[place:])
        blank = "blank " if not any(text.strip() for text in rest) else ""
        return f"{counts}: {longer} seems to have {len(rest):,} {blank}{unit}(s) too many at its end; take them out"
    beside = f"{sources[place][:SHOWN]!r} beside {targets[place][:SHOWN]!r}"
    return f"{counts}: by their lengths they part at {unit} {place + 1}: {beside}; mend it there"


def parting(sources: Sequence[str], targets: Sequence[str]) -> int:
    """The first place at which texts of two lists do not belong together, if all that one lacks is lacking there.

    Before that place texts are paired from the front, after it from the back. The place is the one at which the lengths
    of paired texts fit best: the sum of |log ratio - its median| is least.
    """
    count = min(len(sources), len(targets))
    sizes = [np.log1p([len(text) for text in side]) for side in (sources, targets)]
    front = sizes[0][:count] - sizes[1][:count]
    back = sizes[0][len(sources) - count :] - sizes[1][len(targets) - count :]
    usual = np.median(np.concatenate([front, back])) if count else 0.0
    before = np.concatenate([[0.0], np.cumsum(np.abs(front - usual))])
    after = np.concatenate([np.cumsum(np.abs(back - usual)[::-1])[::-1], [0.0]])
    return int(np.argmin(before + after))
