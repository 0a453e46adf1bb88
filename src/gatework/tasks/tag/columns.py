"""Files of columns -> sentences: which column holds tokens, which tags, and which are read beside them."""

from __future__ import annotations

from collections.abc import Sequence

from gatework.data import conll
from gatework.data.suggest import setting
from gatework.data.table import listed
from gatework.errors import DataError
from gatework.tasks.tag.layout import Layout, Reading, asked
from gatework.tasks.tag.records import UNSPECIFIED
from gatework.tasks.tag.sentences import Sentences


def of_columns(text: str, source: str, form: str, options: Reading, tagged: bool, layout: Layout | None) -> Sentences:
    if form == "conllu":
        read = conll.read_conllu(text, source)
        token = read.place(options.token_column or "form", "token_column")
        tag: int | None = read.place(options.column or "upos", "column")
        notes = [f"tags are column {read.names[tag]}"] if options.column is None else []
        further = [read.place(name, "features") for name in asked(options)]
        if not further:
            notes.append(f"no further column is read; to read one beside the words: {setting('features', ('xpos',))}")
    else:
        beside = asked(options) if layout is None else layout.features
        read = conll.read_columns(text, source, (options.column, options.token_column, *beside))
        token = _token_place(read, options)
        tag = _tag_place(read, options, token, tagged, layout)
        further, notes = _further(read, token, tag, options, layout)
    tags: list[str | None] | None = None if tag is None else list(read.cells[tag])
    if form == "conllu" and tags is not None and read.names[tag or 0] in ("upos", "xpos", "deprel"):
        tags, absent = _specified(tags)
        notes += [f"{absent:,} tokens have no {read.names[tag or 0]} (_): they do not count"] if absent else []
    return Sentences(
        tokens=read.cells[token],
        lengths=read.lengths,
        tags=tags,
        features={read.names[place]: read.cells[place] for place in further},
        labels=None,
        texts=None,
        spans=None,
        scheme="plain",
        form=form,
        source=source,
        where=read.where,
        notes=(*read.notes, *notes),
    )


def _specified(tags: Sequence[str | None]) -> tuple[list[str | None], int]:
    """Tags with None for "_", and how many these are."""
    found = [None if tag == UNSPECIFIED else tag for tag in tags]
    return found, sum(tag is None for tag in found)


def _token_place(read: conll.Columns, options: Reading) -> int:
    """The column of tokens: the one that is named, else the first that does not count the tokens of a sentence."""
    if options.token_column is not None:
        return read.place(options.token_column, "token_column")
    first = read.cells[0]
    counted = [str(i) for length in read.lengths.tolist() for i in range(1, length + 1)]
    zero = [str(i) for length in read.lengths.tolist() for i in range(length)]
    counts = len(read.cells) > 2 and len(set(first)) > 1 and first in (counted, zero)
    return 1 if counts else 0


def _tag_place(read: conll.Columns, options: Reading, token: int, tagged: bool, layout: Layout | None) -> int | None:
    """The column of tags: the one that is named, else the last; None where there is none and need not be one."""
    width = len(read.cells)
    last = width - 1
    without = layout is not None and read.names[last] in layout.features
    if not tagged and (last == token or without):
        return None
    if options.column is not None:
        if not tagged and read.find(options.column) is None:
            return None
        place = read.place(options.column, "column")
    else:
        place = last
    if place == token:
        only = f"has one column ({read.names[0]})" if width == 1 else f"column {read.names[place]} holds the tokens"
        raise DataError(f"{read.where(0)}: {only}; give the tag of each token as the last column, as in 'Ada B-PER'")
    return place


def _further(
    read: conll.Columns, token: int, tag: int | None, options: Reading, layout: Layout | None
) -> tuple[list[int], list[str]]:
    """The columns that are read beside the tokens, and notes: those before the tags, except one that never changes.

    What stands after the tags is mostly worked out from them, and new text lacks it: it must be asked for.
    """
    last = len(read.cells) if tag is None else tag
    if named := asked(options):
        beside = [read.place(name, "features") for name in named]
    elif layout is not None:
        beside = [place for place, name in enumerate(read.names) if name in layout.features]
    else:
        before = range(token + 1, last) if options.features == ("all",) else ()
        beside = [place for place in before if len(set(read.cells[place])) > 1]
    rest = [name for place, name in enumerate(read.names) if place not in (token, tag, *beside)]
    names = f"tokens are {read.names[token]}" + ("" if tag is None else f", tags are {read.names[tag]}")
    notes = [names + (f", read beside them: {listed([read.names[i] for i in beside])}" if beside else "")]
    return beside, notes + ([f"columns that are not read: {listed(rest)}"] if rest else [])
