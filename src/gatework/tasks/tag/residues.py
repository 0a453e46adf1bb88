"""FASTA files -> sentences whose tokens are letters, with the letters of another file as tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gatework.data import fasta
from gatework.data.suggest import setting
from gatework.errors import DataError, OptionError
from gatework.tasks.tag.layout import Reading
from gatework.tasks.tag.sentences import Sentences


def of_fasta(path: Path, options: Reading, tagged: bool) -> Sentences:
    """Letters of records as tokens, and those of the records of the same names in `tags` as tags."""
    if options.label is not None and tagged:
        raise OptionError("label names a field of lines of JSON; a FASTA file's letters have tags alone: leave it out")
    records = fasta.cleaned(fasta.read_fasta(path, options.encoding))
    if options.tags is None and tagged:
        raise DataError(f"{path} has no tags; name the FASTA file that has them: {setting('tags', 'FILE')}")
    tags, parts, notes = None, None, ()
    if options.tags is not None and tagged:
        others = _matched(records, fasta.read_fasta(options.tags, options.encoding), "tags")
        tags = _masked(records, "".join(others.letters), options)
        parts = _parts(others) or _parts(records)
        notes = (_told_parts(parts),) if parts else ()
    read = _sentences(records)
    return replace(read, tags=tags, parts=parts, notes=(*read.notes, *notes))


def of_letters(lines: Sequence[str], source: str) -> Sentences:
    """Lines of letters in memory, without names or tags."""
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise DataError(f"{source} has no letters; give at least one sequence")
    names = [f"line {number}" for number, _ in numbered]
    given = fasta.Records(names, names, [line for _, line in numbered], [number for number, _ in numbered], source)
    return _sentences(fasta.cleaned(given))


def _sentences(records: fasta.Records) -> Sentences:
    lengths = np.array([len(letters) for letters in records.letters], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])

    def where(token: int) -> str:
        row = int(np.searchsorted(offsets, token, "right")) - 1
        return f"{records.where(row)}, letter {token - int(offsets[row]) + 1}"

    return Sentences(
        tokens=list("".join(records.letters)),
        lengths=lengths,
        tags=None,
        features={},
        labels=None,
        texts=None,
        spans=None,
        scheme="plain",
        form="fasta",
        source=records.source,
        where=where,
        notes=records.notes,
        names=records.names,
    )


def _matched(records: fasta.Records, others: fasta.Records, role: str) -> fasta.Records:
    """The records of another file in the order of the first: the same names, as many letters each; `role` is the option
    that names the file."""
    number = {name: row for row, name in enumerate(others.names)}
    lacking = [row for row, name in enumerate(records.names) if name not in number]
    extra = sorted(set(number) - set(records.names), key=lambda name: number[name])
    if lacking or extra:
        told = [f"{records.where(row)}: {others.source} has no record of this name" for row in lacking[:3]]
        told += [f"{others.where(number[name])}: {records.source} has no record of this name" for name in extra[:3]]
        more = len(lacking) + len(extra) - len(told)
        told += [f"... and {more:,} more"] if more else []
        named = setting(role, "FILE")
        raise DataError("\n".join(told) + f"\ngive both files the same records, by name; to name another file: {named}")
    rows = [number[name] for name in records.names]
    pairs = enumerate(zip(records.letters, rows, strict=True))
    bad = [(row, other) for row, (letters, other) in pairs if len(letters) != len(others.letters[other])]
    if bad:
        row, other = bad[0]
        text = f"{records.where(row)} has {len(records.letters[row]):,} letters, but {others.where(other)} has "
        text += f"{len(others.letters[other]):,}" + (f" ({len(bad):,} such records)" if len(bad) > 1 else "")
        raise DataError(f"{text}; give each letter one, gaps too")
    return replace(
        others,
        names=records.names,
        headers=[others.headers[row] for row in rows],
        letters=[others.letters[row] for row in rows],
        lines=[others.lines[row] for row in rows],
    )


def _masked(records: fasta.Records, tags: str, options: Reading) -> list[str | None]:
    """Tags, None where the mask has a 0."""
    if options.mask is None:
        return list(tags)
    mask = _matched(records, fasta.read_fasta(options.mask, options.encoding), "mask")
    letters = "".join(mask.letters)
    if odd := set(letters) - {"0", "1"}:
        row = next(row for row, each in enumerate(mask.letters) if not odd.isdisjoint(each))
        raise DataError(f"{mask.where(row)}: a mask has 0 (does not count) and 1, not {sorted(odd)[0]!r}; correct it")
    return [None if kept == "0" else tag for tag, kept in zip(tags, letters, strict=True)]


def _parts(records: fasta.Records) -> list[str] | None:
    """The part of each record by SET=train|valid|test and VALIDATION=True of its header, where all say it."""
    parts = []
    for fields in records.fields:
        given = {key.upper(): value.lower() for key, value in fields.items()}
        part = {"dev": "valid", "validation": "valid"}.get(given.get("SET", ""), given.get("SET", ""))
        if part not in ("train", "valid", "test"):
            return None
        parts.append("valid" if given.get("VALIDATION") == "true" and part == "train" else part)
    return parts


def _told_parts(parts: list[str]) -> str:
    counts = Counter(parts)
    sizes = ", ".join(f"{counts[part]:,} {part}" for part in ("train", "valid", "test") if counts[part])
    return f"the headers name the parts (SET, VALIDATION): {sizes}"
