"""Sources -> recordings with their texts and speakers, and texts alone that are to be said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from gatework.data.columns import called
from gatework.data.finding import Finding
from gatework.data.given import given_texts, is_absent
from gatework.data.media.listing import TEXTS, Listing, text_column
from gatework.data.media.listing import read as read_listing
from gatework.data.readers import Reading, read_table
from gatework.data.suggest import setting
from gatework.data.table import Table, listed
from gatework.errors import DataError
from gatework.tasks.base import Source

SPEAKERS = ("speaker", "speaker_id", "speakers", "who", "voice", "reader", "client_id")
ONE = ""  # the name of the only voice, where none is named


class Columns(Protocol):
    """The options that say how a source is read: see `SpeakOptions`."""

    @property
    def audio(self) -> str | None: ...
    @property
    def text(self) -> str | None: ...
    @property
    def speaker(self) -> str | None: ...
    @property
    def format(self) -> str | None: ...
    @property
    def encoding(self) -> str | None: ...
    @property
    def delimiter(self) -> str | None: ...


@dataclass(frozen=True)
class Utterances:
    """n texts, each with its speaker (ONE: not named) and, in `listing`, its recording; None where there is none.

    `where(row)` names a row for messages; `speaker` is the column of speakers.
    """

    texts: list[str]
    speakers: list[str]
    where: Callable[[int], str]
    source: str
    listing: Listing | None = None
    notes: tuple[str, ...] = ()
    speaker: str | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | np.ndarray) -> Utterances:
        """Some of them, which keep their places."""
        rows = [int(row) for row in rows]
        texts, speakers = [self.texts[row] for row in rows], [self.speakers[row] for row in rows]
        listing, where = None if self.listing is None else self.listing.take(rows), self.where
        return replace(self, texts=texts, speakers=speakers, listing=listing, where=lambda row: where(rows[row]))

    def fingerprint(self) -> str:
        """A SHA-256 of the recordings, their texts and speakers."""
        heard = "" if self.listing is None else self.listing.fingerprint()
        return hashlib.sha256(json.dumps([self.pairs, heard]).encode()).hexdigest()

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Text and speaker of each."""
        return list(zip(self.texts, self.speakers, strict=True))


def recorded(source: Source, options: Columns) -> Utterances:
    """The recordings of a source with their texts and speakers.

    Example: `recorded("clips.csv", SpeakOptions(text="words", speaker="who")).pairs[0]` is ("seven", "george").

    Args:
        source: what `gatework.data.media.listing.read` takes: a table, a folder, rows in memory.
        options: the columns, and how a table is read.

    Raises: DataError that names source, row, column, and what to do.
    """
    if isinstance(source, Utterances):
        return source
    listing = read_listing(source, options.audio, kind="sound", **_how(options))
    listing, text = text_column(listing, options.text)
    speaker = options.speaker or next(iter(called(listing.columns, SPEAKERS)), None)
    if options.speaker is None and speaker is not None:
        listing = listing.note(f"speaker is column {speaker!r}")
    texts = [_tidy(each) for each in listing.strings(text, "text")]
    voices = [ONE] * len(listing) if speaker is None else _named(listing.strings(speaker, "speaker"))
    return Utterances(texts, voices, listing.where, listing.source, listing, listing.notes, speaker)


def asked(source: Source, options: Columns, speaker: str | None = None) -> Utterances:
    """Texts that are to be said, each by the speaker that its row names, else by `speaker`.

    Example: `asked(["seven two"], SpeakOptions(), "george").pairs` is [("seven two", "george")].

    A source is a list of texts, a list of objects, a frame, a table, or a file with a text a line.
    """
    if isinstance(source, Utterances):
        return source
    table = _table(source, options)
    text = _text_of(table, options.text)
    texts = [_tidy(each) for each in table.strings(text)]
    column = options.speaker if options.speaker in table.columns else next(iter(called(table.columns, SPEAKERS)), None)
    voices: list[str | None] = [None] * len(texts) if column is None else table.strings(column).to_list()
    return Utterances(texts, _named([each or speaker for each in voices]), table.where, table.source)


def check(utterances: Utterances) -> list[Finding]:
    """Faults of recordings that nothing can be learned from."""
    found = []
    for what, values in (("says nothing", utterances.texts), ("names no speaker", utterances.speakers)):
        if what == "names no speaker" and utterances.speaker is None:
            continue
        empty = [row for row, value in enumerate(values) if not value]
        if empty:
            more = f" ({len(empty):,} such rows)" if len(empty) > 1 else ""
            found.append(Finding("error", f"{utterances.where(empty[0])} {what}{more}; complete it, or delete the row"))
    return found


def _how(options: Columns) -> Reading:
    return Reading(format=options.format, encoding=options.encoding, delimiter=options.delimiter)


def _table(source: Source, options: Columns) -> Table:
    """The rows of any source of texts."""
    if isinstance(source, str | Path):
        return read_table(source, **_how(options))
    if isinstance(source, Sequence) and source and all(isinstance(row, Mapping) for row in source):
        names = dict.fromkeys(name for row in source for name in row)
        return read_table({name: [row.get(name) for row in source] for name in names})
    if isinstance(source, Mapping) or hasattr(source, "columns"):
        return read_table(source)
    texts = given_texts(source)
    return Table(texts.to_frame(), "the given texts", lambda row: f"text {row + 1}")


def _text_of(table: Table, given: str | None) -> str:
    if given in table.columns:
        return given
    found = [*called(table.columns, TEXTS), *(table.columns if len(table.columns) == 1 else ())]
    if not found:
        raise DataError(
            f"{table.source} has no column {given or 'text'!r}: it has {listed(table.columns)}; name the one that "
            f"is to be said: {setting('text', 'COLUMN')}"
        )
    return found[0]


def _named(speakers: Sequence[str | None]) -> list[str]:
    return [ONE if is_absent(each) else str(each).strip() for each in speakers]


def _tidy(text: str | None) -> str:
    """A text with single spaces, none at its ends."""
    return " ".join((text or "").split())
