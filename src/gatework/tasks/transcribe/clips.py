"""What was read: recordings or pictures of lines as frames, and what is said in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gatework.data.finding import Finding
from gatework.data.media.items import Item
from gatework.data.media.store import Store
from gatework.tasks.transcribe.hearing import Kind


@dataclass(frozen=True)
class Clips:
    """n recordings (`kind` "sound") or pictures of lines ("picture") as frames in a store, with `texts` [n] (None where
    none were read) and `speakers` [n] ("" where unknown). `items` are their files or arrays, `names` those of files;
    `where(row)`: "clips.csv, row 3 (a.wav)"."""

    kind: Kind
    store: Store
    items: list[Item]
    texts: list[str] | None
    names: list[str]
    where: Callable[[int], str]
    speakers: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    source: str = ""
    findings: tuple[Finding, ...] = ()

    def __len__(self) -> int:
        return len(self.store)

    @property
    def lengths(self) -> np.ndarray:
        """Frames, or columns of points, of each."""
        return self.store.lengths

    def take(self, rows: Sequence[int] | np.ndarray) -> Clips:
        """Some of them, which keep their places."""
        rows = np.asarray(rows, np.int64)
        pick = lambda values: [values[row] for row in rows.tolist()]  # noqa: E731
        where = self.where
        return replace(
            self,
            store=self.store.take(rows),
            texts=None if self.texts is None else pick(self.texts),
            items=pick(self.items),
            names=pick(self.names),
            speakers=pick(self.speakers) if self.speakers else [],
            where=lambda row: where(int(rows[row])),
        )
