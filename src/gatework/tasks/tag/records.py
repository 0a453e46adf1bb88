"""Objects with tokens and tags, or with a text and spans of characters: from lines of JSON, or in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gatework.data.suggest import did_you_mean, setting
from gatework.data.table import listed
from gatework.errors import DataError
from gatework.runtime.tags.reading import UNSPECIFIED
from gatework.runtime.tags.rows import token_of
from gatework.runtime.texts import tokens as cutting
from gatework.tasks.tag.sentences import Sentences
from gatework.tasks.tag.spans import Span, tags_of

TOKENS = ("tokens", "words")
TAGS = ("tags", "ner_tags", "pos_tags", "chunk_tags", "ner", "labels", "bio", "slots", "upos", "pos")
SPANS = ("spans", "entities", "ents", "annotations", "labels", "label")
BEGINS, STOPS, CALLED = (
    ("start", "start_offset", "begin"),
    ("end", "end_offset", "stop"),
    ("label", "tag", "type", "entity"),
)
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Fields:
    """The names of the fields that are read; None: there is none, or it is not asked for."""

    tokens: str | None
    text: str | None
    tags: str | None
    label: str | None
    features: tuple[str, ...] = ()


@dataclass
class Read:
    """What is read so far."""

    tokens: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    tags: list[str | None] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    places: list[cutting.Place] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    features: dict[str, list[str]] = field(default_factory=dict)
    empty: list[int] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)


def read_records(
    records: Sequence[Record],
    source: str,
    place: Callable[[int], str],
    fields: Fields,
    *,
    skip: bool = False,
    style: cutting.Style = cutting.PLAIN,
) -> Sentences:
    """Sentences of objects {"tokens", "tags"} or {"text", "spans"}.

    Args:
        records: the objects.
        source, place: the source's name, and where object i stands in it ("line 3").
        fields: which fields are read; see `fields_of`.
        skip: spans that are faulty are left out with a warning; else they are an error.
        style: how texts are cut into tokens.

    Raises: DataError that names the object, the token or span, and what to do.
    """
    read = Read(features={name: [] for name in fields.features})
    for row, record in enumerate(records):
        where = f"{source}, {place(row)}"
        if fields.text is not None:
            _add_text(read, record, fields, row, where, style)
        else:
            _add_tokens(read, record, fields, row, where)
    if not read.tokens:
        raise DataError(f"{source} has no token; give at least one sentence that is not empty")
    _tell_faults(read, source, place, skip)
    notes = []
    if read.empty:
        notes.append(_empty(read, source, place))
    labels = [_label(records[row], fields.label) for row in read.rows] if fields.label is not None else None
    offsets = np.concatenate([[0], np.cumsum(read.lengths)])
    rows = read.rows

    def where_of(token: int) -> str:
        row = int(np.searchsorted(offsets, token, "right")) - 1
        return f"{source}, {place(rows[row])}, token {token - int(offsets[row]) + 1}"

    return Sentences(
        tokens=read.tokens,
        lengths=np.array(read.lengths, np.int64),
        tags=read.tags if fields.tags is not None else None,
        features=read.features,
        labels=labels,
        texts=read.texts if fields.text is not None else None,
        spans=np.array(read.places, np.int64) if fields.text is not None else None,
        scheme="plain",
        form="jsonl" if fields.text is None else "spans",
        source=source,
        where=where_of,
        notes=tuple(notes),
    )


def _empty(read: Read, source: str, place: Callable[[int], str]) -> str:
    note = f"{source}: {len(read.empty):,} sentences without tokens are left out (first: {place(read.empty[0])})"
    warnings.warn(note, stacklevel=6)
    return note


def _tell_faults(read: Read, source: str, place: Callable[[int], str], skip: bool) -> None:
    """An error that names the first faulty spans; with `skip`, a warning."""
    if not read.faults:
        return
    told = [f"{source}, {place(row)}: {fault}" for row, fault in read.faults[:5]]
    more = f"\n... and {len(read.faults) - 5:,} more" if len(read.faults) > 5 else ""
    lines = "\n".join(told) + more
    if not skip:
        raise DataError(f"{lines}\ncorrect the spans, or leave such ones out with {setting('bad_spans', 'skip')}")
    warnings.warn(f"{len(read.faults):,} spans are left out; their tokens do not count:\n{lines}", stacklevel=6)


# -- one object ---------------------------------------------------------------------------------------------


def _add_tokens(read: Read, record: Record, fields: Fields, row: int, where: str) -> None:
    assert fields.tokens is not None
    tokens = [token_of(token, i, where) for i, token in enumerate(_list(record, fields.tokens, where), 1)]
    if not tokens:
        read.empty.append(row)
        return
    for name in (fields.tags, *fields.features):
        if name is not None:
            values = _list(record, name, where)
            if len(values) != len(tokens):
                what = f"{len(tokens)} {fields.tokens}, but {len(values)} {name}"
                raise DataError(f"{where}: {what}; give each token one, in the same order")
            if name == fields.tags:
                read.tags += [_tag(value, i, where) for i, value in enumerate(values, 1)]
            else:
                read.features[name] += [UNSPECIFIED if value is None else str(value) for value in values]
    read.tokens += tokens
    read.lengths.append(len(tokens))
    read.rows.append(row)


def _list(record: Record, name: str, where: str) -> list[Any]:
    """The list in a field."""
    value = record.get(name)
    if isinstance(value, np.ndarray | tuple):
        return list(value)
    if not isinstance(value, list):
        what = f"has no field {name!r}" if value is None else f"the field {name!r} is {str(value)[:40]!r}, no list"
        raise DataError(f"{where}: {what}; give a list with one entry for each token{did_you_mean(name, record)}")
    return value


def _tag(tag: object, number: int, where: str) -> str | None:
    if tag is not None and not str(tag).strip():
        raise DataError(f"{where}, token {number}: the tag {tag!r} is empty; write one, O, or null: it does not count")
    return None if tag is None else str(tag)


def _label(record: Record, name: str) -> str | None:
    value = record.get(name)
    return None if value is None or value == "" else str(value)


def _add_text(read: Read, record: Record, fields: Fields, row: int, where: str, style: cutting.Style) -> None:
    assert fields.text is not None
    text = record.get(fields.text)
    if not isinstance(text, str):
        raise DataError(
            f"{where}: the field {fields.text!r} is {str(text)[:40]!r}, no text; give one or delete the row"
        )
    places = cutting.cut(text, style)
    spans = _spans(record.get(fields.tags), text, where) if fields.tags is not None else []
    tags, faults = tags_of(spans, places, text)
    read.faults += [(row, fault) for fault in faults]
    if not places:
        read.empty.append(row)
        return
    read.tokens += [text[start:stop] for start, stop in places]
    read.lengths.append(len(places))
    read.tags += tags
    read.texts.append(text)
    read.places += places
    read.rows.append(row)


def _spans(given: object, text: str, where: str) -> list[Span]:
    if given is None:
        return []
    if not isinstance(given, list | tuple | np.ndarray):
        raise DataError(f"{where}: the spans are {str(given)[:40]!r}; give a list such as [[0, 3, 'PER']]")
    return [_span(one, text, where) for one in given]


def _span(given: object, text: str, where: str) -> Span:
    """A span given as [start, end, label] or as an object with these fields."""
    parts: list[Any] = []
    if isinstance(given, Mapping):
        parts = [next((given[name] for name in names if name in given), None) for names in (BEGINS, STOPS, CALLED)]
    elif isinstance(given, list | tuple):
        parts = list(given)
    whole = len(parts) == 3 and all(isinstance(number, int) and not isinstance(number, bool) for number in parts[:2])
    if not whole or not isinstance(parts[2], str) or not parts[2].strip():
        example = '[0, 3, "PER"] or {"start": 0, "end": 3, "label": "PER"}'
        raise DataError(f"{where}: {str(given)[:60]} is no span; give characters and a label: {example}")
    return Span(*parts)


# -- which fields -------------------------------------------------------------------------------------------


def fields_of(
    records: Sequence[Record],
    source: str,
    *,
    tags: str | None = None,
    tokens: str | None = None,
    label: str | None = None,
    features: tuple[str, ...] = (),
    tagged: bool = True,
) -> tuple[Fields, tuple[str, ...]]:
    """Which fields hold tokens or a text, and tags or spans, and notes of what is not read.

    Raises: DataError where there are none, or several fit.
    """
    names = list(dict.fromkeys(name for record in records[:1000] for name in record))
    lists = {name for name in names if any(_is_list(record.get(name)) for record in records)}
    for name in (tags, tokens, label, *features):
        if name is not None and name not in names and (tagged or name in (tokens, *features)):
            raise DataError(f"{source} has no field {name!r}: it has {listed(names)}{did_you_mean(name, names)}")
    text = tokens if tokens is not None and tokens not in lists else None
    tokens = tokens if text is None else None
    if tokens is None and text is None:
        tokens = next((name for name in TOKENS if name in lists), None)
        text = "text" if tokens is None and "text" in names else None
    if tokens is None and text is None:
        raise DataError(
            f"{source} has neither tokens nor a text: it has {listed(names)}; name the field: "
            f"{setting('token_column', names[0] if names else 'tokens')}"
        )
    others = [name for name in names if name in lists and name not in (tokens, text, *features)]
    tags = _tags(others, source, tags, TAGS if text is None else SPANS, tagged, text)
    label = label if label in names else None
    rest = [name for name in names if name not in (tokens, text, tags, label, *features)]
    notes = (f"fields that are not read: {listed(rest)}",) if rest else ()
    if rest and label is None and (called := [name for name in rest if name not in lists]):
        notes += (f"to learn a label of the whole sentence too, name its field: {setting('label', called[0])}",)
    return Fields(tokens, text, tags, label, features), notes


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _tags(
    others: list[str], source: str, asked: str | None, usual: tuple[str, ...], tagged: bool, text: str | None
) -> str | None:
    """The field of the tags or spans: the one asked for, the usual name, else the only list."""
    if asked is not None:
        return asked if asked in others or tagged else None
    fit = [name for name in usual if name in others]
    if fit and (fit[0] == usual[0] or len(fit) == 1):
        return fit[0]
    if not fit and len(others) == 1 and tagged:
        return others[0]
    if not tagged:
        return None
    what = "tags" if text is None else "spans"
    if not others:
        example = '{"tokens": ["Go"], "tags": ["O"]}' if text is None else '{"text": "Go", "spans": []}'
        raise DataError(f"{source} has no {what}; a line is an object like {example}")
    there = f"{source}: {listed(others)} could be the {what}"
    raise DataError(f"{there}; name the field: {setting('column', (fit or others)[0])}")
