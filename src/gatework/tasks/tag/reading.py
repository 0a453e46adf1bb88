"""Sources -> sentences of tokens with tags, by their form; and what is wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gatework.data import conll, fasta
from gatework.data.files import read_text
from gatework.data.finding import Finding
from gatework.data.readers import read_objects, read_table
from gatework.data.suggest import setting
from gatework.errors import DataError, OptionError
from gatework.runtime.tags.schemes import SCHEMES, Tags, from_bioes, to_bioes
from gatework.runtime.texts import tokens as cutting
from gatework.tasks.base import Source
from gatework.tasks.tag import schemes
from gatework.tasks.tag.columns import of_columns
from gatework.tasks.tag.layout import Layout, Reading, asked
from gatework.tasks.tag.records import fields_of, read_records
from gatework.tasks.tag.residues import of_fasta, of_letters
from gatework.tasks.tag.sentences import Sentences

FORMATS = ("conll", "conllu", "jsonl", "fasta", "lines")
SUFFIXES = {".conllu": "conllu", ".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl"}
TEXTS = (".txt", ".text", ".md")
LONG = 5_000  # tokens of a sentence that is hardly one


def read(source: Source, options: Reading, *, tagged: bool = True, like: Sentences | Layout | None = None) -> Sentences:
    """Sentences of any source.

    Example: `read([{"tokens": ["Ada", "slept"], "tags": ["B-PER", "O"]}], TagOptions()).scheme` is "IOB2".

    Args:
        source: a path (columns, CoNLL-U, lines of JSON, FASTA, each also as .gz), a pair (tokens, tags) of lists of
            lists, a list of objects {"tokens", "tags"} or {"text", "spans"}, or a frame with such columns; without
            tags also raw text: a file, or a list of lines; or a list of lists of tokens.
        options: how it is read.
        tagged: whether there must be tags.
        like: the sentences of the training, or their layout: other sources are read alike.

    Raises: DataError that names file, line and what to do.
    """
    layout = Layout.of(like) if isinstance(like, Sentences) else like
    if isinstance(source, Sentences):
        return source
    if isinstance(source, str | Path):
        found = _of_file(Path(source), options, tagged, layout)
    else:
        found = _of_memory(source, options, tagged, layout)
    _must_be_whole(found)
    return _with_scheme(found, options, layout)


def _must_be_whole(read: Sentences) -> None:
    """Refuses half a character, which lines of JSON can hold and no file of text."""
    first = read.offsets[:-1].tolist()
    columns = [(values, range(len(values))) for values in (read.tokens, read.tags or [], *read.features.values())]
    for values, places in [*columns, (read.labels or [], first)]:
        try:
            "".join(value for value in values if value).encode()
        except UnicodeEncodeError as error:
            half = error.object[error.start]
            place = next(k for k, value in zip(places, values, strict=True) if value and half in value)
            raise DataError(f"{read.where(place)}: holds half a character ({half!r}); write it anew") from None


# -- files --------------------------------------------------------------------------------------------------


def _of_file(path: Path, options: Reading, tagged: bool, layout: Layout | None) -> Sentences:
    if options.format is not None and options.format not in FORMATS:
        raise OptionError(f"format cannot be {options.format!r}; there are: {', '.join(FORMATS)}")
    if _suffix(path) in (".parquet", ".pq"):
        return _of_memory(read_table(path).frame, options, tagged, layout, str(path))
    if options.format == "fasta" or (options.format is None and fasta.is_fasta(path)):
        return of_fasta(path, options, tagged)
    text = read_text(path, options.encoding).removeprefix("\ufeff")
    form = options.format or SUFFIXES.get(_suffix(path)) or _form(text, _suffix(path), tagged)
    if layout is None and (options.tags or options.mask):
        name = "tags" if options.tags else "mask"
        raise OptionError(f"{name} names a FASTA file, but {path} is read as {form}; leave it out, or name a .fasta")
    if form == "jsonl":
        records, lines = read_objects(text, str(path))
        return _of_records(records, str(path), lambda row: f"line {lines[row]}", options, tagged, layout)
    if layout is None and options.label is not None:
        raise OptionError(f"label names a field of lines of JSON, but {path} is read as {form}; leave label out")
    if form == "lines":
        return _of_lines(text.split("\n"), str(path), tagged, layout)
    return of_columns(text, str(path), form, options, tagged, layout)


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _form(text: str, suffix: str, tagged: bool) -> str:
    """The form of a text whose name does not say it."""
    start = text[:10_000].lstrip()
    if start.startswith(("{", "[{")):
        return "jsonl"
    if conll.is_conllu(text):
        return "conllu"
    return "lines" if not tagged and suffix in ("", *TEXTS) and not _looks_columnar(text) else "conll"


def _looks_columnar(text: str) -> bool:
    """Whether lines are tokens with columns, not texts: all of as many columns, most lines one right after another, and
    tabs between the columns, a last one of few values, or, of single tokens, blank lines between sentences."""
    lines = text[:20_000].rstrip().replace("\r", "").split("\n")[:200]
    full = [line for line in lines if line.strip() and not line.startswith(("#", conll.DOCUMENT))]
    widths = {len(line.split()) for line in full}
    blank = sum(not line.strip() for line in lines)
    if len(widths) != 1 or max(widths) > 20 or len(full) < 5 or len(full) <= 2 * blank:
        return False
    if max(widths) == 1:
        return blank > 0
    return all("\t" in line for line in full) or len({line.split()[-1] for line in full}) <= len(full) / 2


def _of_lines(lines: Sequence[str], source: str, tagged: bool, layout: Layout | None) -> Sentences:
    """Raw text: a sentence or a paragraph a line, cut into tokens and at the ends of sentences."""
    if tagged:
        raise DataError(f"{source} is raw text, without tags; give a token and its tag a line, as in 'Ada B-PER'")
    if layout is not None and layout.form == "fasta":
        return of_letters(lines, source)
    style = cutting.PLAIN if layout is None else layout.style
    whole = layout is not None and layout.form == "spans"  # learned as whole texts
    lengths, texts, places, numbers = [], [], [], []
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r")
        cut = cutting.cut(text, style)
        if cut:
            sizes = [len(cut)] if whole else cutting.sentences(text, cut, style)
            lengths += sizes
            texts += [text] * len(sizes)
            numbers += [number] * len(sizes)
            places += cut
    if not places:
        raise DataError(f"{source} has no word; give at least one line of text")
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    owners = np.repeat(np.arange(len(lengths)), lengths).tolist()
    return Sentences(
        tokens=[texts[owner][start:stop] for owner, (start, stop) in zip(owners, places, strict=True)],
        lengths=np.array(lengths, np.int64),
        tags=None,
        features={},
        labels=None,
        texts=texts,
        spans=np.array(places, np.int64),
        scheme="plain",
        form="text",
        source=source,
        where=lambda token: f"{source}, line {numbers[int(np.searchsorted(offsets, token, 'right')) - 1]}",
    )


# -- objects ------------------------------------------------------------------------------------------------


def _of_records(
    records: Sequence[Mapping[str, Any]],
    source: str,
    place: Callable[[int], str],
    options: Reading,
    tagged: bool,
    layout: Layout | None,
) -> Sentences:
    fields, notes = fields_of(
        records,
        source,
        tags=options.column,
        tokens=options.token_column,
        label=options.label,
        features=asked(options),
        tagged=tagged,
    )
    style = cutting.PLAIN if layout is None else layout.style
    found = read_records(records, source, place, fields, skip=options.bad_spans == "skip", style=style)
    return replace(found, notes=(*found.notes, *notes))


def _of_memory(
    source: Source, options: Reading, tagged: bool, layout: Layout | None, name: str | None = None
) -> Sentences:
    """Sentences of lists, objects or a frame."""
    if hasattr(source, "to_dicts"):
        return _of_records(source.to_dicts(), name or "the frame", _row, options, tagged, layout)
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        return _of_records(source.to_dict("records"), name or "the frame", _row, options, tagged, layout)
    if isinstance(source, Mapping):
        source = [dict(zip(source, values, strict=True)) for values in zip(*source.values(), strict=True)]
    if isinstance(source, tuple) and len(source) == 2 and not isinstance(source[0], str | Mapping):
        source = _paired(*source)
    rows = list(source) if isinstance(source, Sequence | np.ndarray) and not isinstance(source, str | bytes) else []
    if rows and all(isinstance(row, str) for row in rows):
        return _of_lines(rows, "the given texts", tagged, layout)
    if rows and all(isinstance(row, Mapping) for row in rows):
        found = _of_records(rows, name or "the given sentences", _row, options, tagged, layout)
        return replace(found, form="rows") if found.form == "jsonl" else found
    if rows and not tagged and all(isinstance(row, list | tuple | np.ndarray) for row in rows):
        return _of_memory([{"tokens": row} for row in rows], options, False, layout)
    given = f"{type(source).__name__}" + ("" if rows else " without sentences" if hasattr(source, "__len__") else "")
    raise DataError(
        f"cannot read sentences from {given}: give a path, a pair (tokens, tags) of lists of lists, or a list of "
        'objects such as {"tokens": ["Go"], "tags": ["O"]}'
    )


def _row(row: int) -> str:
    return f"sentence {row + 1}"


def _paired(tokens: Sequence[Any], tags: Sequence[Any] | None) -> list[dict[str, Any]]:
    if tags is None:
        return [{"tokens": row} for row in tokens]
    if len(tokens) != len(tags):
        raise DataError(f"{len(tokens)} lists of tokens, but {len(tags)} lists of tags; give each sentence one of both")
    return [{"tokens": words, "tags": marks} for words, marks in zip(tokens, tags, strict=True)]


# -- schemes and faults -------------------------------------------------------------------------------------


def _with_scheme(read: Sentences, options: Reading, layout: Layout | None) -> Sentences:
    """The sentences with the scheme of their tags; with bad_spans=skip, faulty spans are put in order."""
    tags = read.tags
    if tags is None:
        return read if layout is None else replace(read, scheme=layout.scheme)
    scheme = options.scheme if options.scheme != "auto" else _found(read, tags, layout)
    if scheme not in SCHEMES:
        raise OptionError(f"scheme cannot be {scheme!r}; there are: {', '.join(SCHEMES)}")
    told = () if scheme == "plain" else (f"tags write spans in {scheme}, and are learned in BIOES",)
    read = replace(read, scheme=scheme, notes=(*read.notes, *told))
    if options.bad_spans != "skip" or scheme == "plain":
        return read
    faults = schemes.faults(tags, read.lengths, scheme, read.where)
    if not faults:
        return read
    learned = to_bioes(tags, read.lengths, scheme)
    notes = tuple(f"put in order: {fault.message}" for fault in faults)
    return replace(read, tags=from_bioes(learned, read.lengths, scheme), notes=(*read.notes, *notes))


def _found(read: Sentences, tags: Tags, layout: Layout | None) -> str:
    """The scheme of the tags: that of the training where they are in order in it."""
    if read.form == "fasta":
        return "plain"  # single letters are names of classes
    if layout is not None and not schemes.faults(tags, read.lengths, layout.scheme, read.where):
        return layout.scheme
    return schemes.find(tags, read.lengths)


def check(read: Sentences, learned: bool = True) -> list[Finding]:
    """What is wrong with sentences that are to be learned from, or but measured on."""
    if read.tags is None:
        return [Finding("error", f"{read.source} has no tags; give each token one")]
    counts = Counter(tag for tag in read.tags if tag is not None)
    if not counts:
        return [Finding("error", f"{read.source}: no token counts: each has no tag, or is masked")]
    found = schemes.faults(read.tags, read.lengths, read.scheme, read.where)
    if len(counts) == 1 and learned:
        text = f"{read.source}: every token has the tag {next(iter(counts))!r}; there is nothing to tell apart"
        found.append(Finding("error", f"{text}: is it the right column? Name it: {setting('column', '2')}"))
    elif len(counts) > 200 and len(counts) > counts.total() / 5:
        text = f"{read.source}: {len(counts):,} different tags of {counts.total():,} tokens: are these words?"
        found.append(Finding("error", f"{text} Name the column of the tags: {setting('column', '2')}"))
    return found + _written_otherwise(read) + _long(read) + _unlabelled(read)


def _written_otherwise(read: Sentences) -> list[Finding]:
    """Tags that seem to write spans, in a way that is not read as such."""
    odd = schemes.written_otherwise(read.tags or []) if read.scheme == "plain" and read.form != "fasta" else None
    if odd is None:
        return []
    text = f"{read.source}: tags such as {odd!r} look like spans, but are learned as names of single tokens"
    return [Finding("warning", f"{text}; to learn and measure spans, write them as B-NAME, I-NAME and O")]


def _long(read: Sentences) -> list[Finding]:
    """A sentence so long that blank lines may be missing."""
    long = np.flatnonzero(read.lengths > LONG)
    if not len(long) or read.form == "fasta":
        return []
    row = int(long[0])
    text = f"{read.where(int(read.offsets[row]))}: a sentence of {int(read.lengths[row]):,} tokens begins here"
    return [Finding("warning", f"{text}; are blank lines between sentences missing? It is read in stretches")]


def _unlabelled(read: Sentences) -> list[Finding]:
    rows = [row for row, label in enumerate(read.labels or []) if label is None]
    if not rows:
        return []
    more = f" ({len(rows):,} such sentences)" if len(rows) > 1 else ""
    text = (
        f"{read.where(int(read.offsets[rows[0]]))}: the sentence has no label{more}; fill it in or delete the sentence"
    )
    return [Finding("error", text)]
