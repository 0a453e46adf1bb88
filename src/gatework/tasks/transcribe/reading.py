"""Sources -> clips: tables and folders of recordings or pictures, files, arrays; and the faults of their texts."""

from __future__ import annotations

from pathlib import Path

from gatework.data.finding import Finding
from gatework.data.media import sounds
from gatework.data.media.items import Item
from gatework.data.media.kinds import MEDIA
from gatework.data.media.listing import Listing, read, text_column
from gatework.data.media.store import Store
from gatework.data.readers import Reading
from gatework.errors import DataError
from gatework.tasks.base import Source
from gatework.tasks.transcribe.clips import Clips
from gatework.tasks.transcribe.hearing import Hearing, Kind
from gatework.tasks.transcribe.options import TranscribeOptions

USUAL = 16_000  # samples a second where no recording says its rate
CHANNELS = 8  # most of a recording; an array with more rows and columns is a picture


def listed(source: Source, options: TranscribeOptions, kind: Kind | None = None) -> tuple[Listing, Kind]:
    """The items of a source and whether they are sounds or pictures: as the options say, or as their files look."""
    if isinstance(source, Listing):
        return source, "picture" if source.kind == "picture" else "sound"
    how: Reading = {
        "format": options.format,
        "encoding": options.encoding,
        "delimiter": options.delimiter,
        "header": options.header,
        "bad_rows": options.bad_rows,
        "quote": options.quote,
    }
    kind = kind or ("picture" if options.image else "sound" if options.audio else None)
    if kind is None:
        return _found(source, how)
    return read(source, options.image if kind == "picture" else options.audio, kind=kind, **how), kind


def _found(source: Source, how: Reading) -> tuple[Listing, Kind]:
    """What a source holds, where nobody says it: sounds, unless what is found in it are pictures."""
    try:
        listing = read(source, kind="sound", **how)
    except DataError as no_sound:
        try:
            return read(source, kind="picture", **how), "picture"
        except DataError:
            raise no_sound from None
    if len(listing) and _is_picture(listing.items[0]):
        return read(source, kind="picture", **how), "picture"
    return listing, "sound"


def _is_picture(item: Item) -> bool:
    if isinstance(item, Path):
        return item.suffix.lower() in MEDIA["picture"].suffixes
    array = item[0] if isinstance(item, tuple) else item
    return array.ndim > 1 and min(array.shape[:2]) > CHANNELS


def first_hearing(listing: Listing, kind: Kind, options: TranscribeOptions) -> Hearing:
    """How items are read, before a scale is learned."""
    if kind == "picture":
        return Hearing(options, kind)
    return Hearing(options, kind, options.rate or sounds.usual_rate(listing.items) or USUAL)


def clips(listing: Listing, hearing: Hearing, options: TranscribeOptions, *, texted: bool = True) -> Clips:
    """The items decoded; without `texted` no texts are read.

    Raises: DataError that names every broken file, or a text that is missing.
    """
    texts = None
    if texted:
        listing, name = text_column(listing, options.text)
        texts = listing.strings(name, "text")
        _must_be_there(texts, listing, name)
    store = Store.of(listing, hearing.decode, bad_files=options.bad_files)
    some = listing.take(store.rows)
    told = texted and options.speaker
    speakers = [each or "" for each in some.strings(told, "speaker")] if told else []
    kept = None if texts is None else [texts[row] or "" for row in store.rows.tolist()]
    findings = tuple(store.findings)
    return Clips(
        hearing.kind, store, some.items, kept, some.names, some.where, speakers, some.notes, listing.source, findings
    )


def _must_be_there(texts: list[str | None], listing: Listing, name: str) -> None:
    missing = [row for row, text in enumerate(texts) if text is None]
    if missing:
        more = f" ({len(missing):,} such rows)" if len(missing) > 1 else ""
        raise DataError(
            f"{listing.where(missing[0])}, column {name!r}: no text{more}; give what is said, or delete the row"
        )


def check(found: Clips) -> list[Finding]:
    """What is odd about clips that could be read."""
    texts = [" ".join(text.split()) for text in found.texts or []]
    empty = [row for row, text in enumerate(texts) if not text]
    other = [row for row, first in enumerate(found.store.copies[: len(texts)]) if texts[row] != texts[first]]
    odd = []
    if empty:
        odd.append((empty, "an empty text says that nothing is to be heard"))
    if other:
        first = found.where(found.store.copies[other[0]])
        odd.append((other, f"another text than that of {first}, which is the same {found.kind}; one of them is wrong"))
    return [
        Finding("warning", f"{found.where(rows[0])}: {what} ({len(rows):,} such rows)", rows[0]) for rows, what in odd
    ]
