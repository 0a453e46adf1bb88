"""Pictures, films or vectors with their captions: listed, decoded, and what is wrong with them."""

from __future__ import annotations

import numpy as np

from gatework.data.finding import Finding
from gatework.data.media import films, listing, pictures, vectors
from gatework.data.media.listing import Listing
from gatework.data.media.store import Decode, Store
from gatework.errors import DataError
from gatework.tasks.base import Source
from gatework.tasks.caption.examples import Examples
from gatework.tasks.caption.options import MEDIA, SIZES, CaptionOptions

CAPTIONS = ("caption", "captions", "text", "description", "descriptions", "title", "sentence", "alt", "name", "label")
PLURAL = {"image": "pictures", "video": "films", "vectors": "arrays of vectors"}


def listed(source: Source, options: CaptionOptions, medium: str | None = None) -> tuple[Listing, str]:
    """What a source lists, and which of MEDIA that is: the one given, named by the options, or found.

    Raises: DataError.
    """
    medium = medium or options.medium
    if medium is not None:
        return listing.read(source, getattr(options, medium), kind=MEDIA[medium]), medium
    errors = []
    for each, kind in MEDIA.items():
        try:
            found = listing.read(source, None, kind=kind)
        except DataError as error:
            errors.append(error)
            continue
        if _fits(found, each):
            return found, each
    raise errors[0] if errors else DataError("these arrays are neither pictures (H, W[, C]) nor films (T, H, W[, C])")


def _fits(found: Listing, medium: str) -> bool:
    """Whether the first item, if it is an array, has the axes of the medium."""
    item = found.items[0] if len(found) else None
    if not isinstance(item, np.ndarray):
        return True
    picture = item.ndim == 2 or (item.ndim == 3 and item.shape[2] in (1, 3, 4))
    return picture if medium == "image" else not picture


def captioned(found: Listing, options: CaptionOptions) -> tuple[Listing, list[str]]:
    """The rows that have a caption, and these.

    Raises: DataError where none has one.
    """
    found, name = listing.text_column(found, options.text, "text", CAPTIONS)
    texts = [text or "" for text in found.strings(name, "text")]
    there = [row for row, text in enumerate(texts) if text.strip()]
    if not there:
        raise DataError(f"{found.source}: column {name!r} holds no caption; give each picture one")
    if lacking := len(texts) - len(there):
        first = next(row for row, text in enumerate(texts) if not text.strip())
        found = found.note(f"{lacking:,} rows without a caption are left out (first: {found.where(first)})")
    return found.take(there), [texts[row] for row in there]


def read(source: Source, options: CaptionOptions, medium: str | None = None, *, paired: bool = True) -> Examples:
    """Rows with what they show, in the channels that `options.colour` asks for; `paired`: with their captions.

    Raises: DataError that names every broken file, unless `bad_files` is "skip".
    """
    found, medium = listed(source, options, medium)
    if not len(found):
        raise DataError(f"{found.source} lists nothing; give at least one of {PLURAL[medium]}")
    captions = None
    if paired:
        found, captions = captioned(found, options)
    shown = Store.of(found, decoder(options, medium), bad_files=options.bad_files)
    captions = None if captions is None else [captions[row] for row in shown.rows.tolist()]
    examples = Examples(found.take(shown.rows), shown, captions, None, medium, 1 if options.colour is False else 3)
    _must_be_of_one_width(examples)
    return examples


def decoder(options: CaptionOptions, medium: str) -> Decode:
    """From an item to an array."""
    side, mode = options.size or SIZES.get(medium, 0), "grey" if options.colour is False else "colour"
    size = (side, side)
    if medium == "image":
        return lambda item, tell: pictures.load(item, size, mode, tell)
    if medium == "video":
        return lambda item, tell: films.load(item, size, mode, options.frames, tell)
    return vectors.load


def _must_be_of_one_width(examples: Examples) -> None:
    """Refuses vectors of unlike lengths."""
    if examples.medium != "vectors":
        return
    widths = [shape[-1] for shape in examples.shown.shapes]
    odd = next((row for row, width in enumerate(widths) if width != widths[0]), None)
    if odd is not None:
        raise DataError(
            f"{examples.listing.where(odd)}: vectors of {widths[odd]} numbers, but those of the first row have "
            f"{widths[0]}; take them from one layer of one network"
        )


def coloured(examples: Examples) -> bool:
    """Whether any picture has a colour."""
    return any((shown != shown[..., :1]).any() for shown in examples.shown)


def check(examples: Examples) -> list[Finding]:
    """What deserves a look: what was mended in files, captions that say one and the same."""
    found = [*(Finding("note", note) for note in examples.listing.notes), *examples.shown.findings]
    different = len(set(examples.captions or []))
    if len(examples) > 1 and different == 1:
        found.append(Finding("error", f"{examples.listing.source}: all captions are the same; give different ones"))
    return found


def overlap(train: Examples, part: Examples, name: str) -> list[Finding]:
    """A warning of pictures of another part that were learned."""
    known = set(train.shown.digests)
    count = sum(digest in known for digest in part.once.shown.digests)
    if not count:
        return []
    what = PLURAL[train.medium]
    return [Finding("warning", f"{count:,} of the {len(part.pictures):,} {name} {what} are training {what}, too")]
