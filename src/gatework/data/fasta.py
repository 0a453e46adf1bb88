"""FASTA and FASTQ: named sequences of letters, read by biopython, with the line of each record."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from gatework.data.files import read_text
from gatework.data.suggest import setting
from gatework.data.table import Table, listed
from gatework.errors import DataError
from gatework.extras import explained

FASTA = (".fasta", ".fa", ".faa", ".fna", ".ffn", ".frn", ".fas")
FASTQ = (".fastq", ".fq")
NUCLEOTIDES = frozenset("ACGTUN")
AMBIGUOUS = frozenset("RYSWKMBDHVNX")  # of nucleotides: two or more of A C G T
UNSURE = frozenset("BJXZ")  # of amino acids
_FIELD = re.compile(r"(?:^|[\s|;])([A-Za-z_]\w*)=([^\s|;]*)")


@dataclass(frozen=True)
class Records:
    """n records: `names[i]` is the first word of a header, `headers[i]` all of it, `letters[i]` what follows."""

    names: list[str]
    headers: list[str]
    letters: list[str]
    lines: list[int]
    source: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def where(self, row: int) -> str:
        return f"{self.source}, record {self.names[row]!r} (line {self.lines[row]})"

    @property
    def fields(self) -> list[dict[str, str]]:
        """What each header says as KEY=VALUE: ">1abc SET=train" has {"SET": "train"}."""
        return [dict(_FIELD.findall(header)) for header in self.headers]


def is_fasta(path: str | Path) -> bool:
    """Whether a file's name says that it is FASTA or FASTQ, packed or not."""
    return str(path).lower().removesuffix(".gz").endswith((*FASTA, *FASTQ))


def read_fasta(path: str | Path, encoding: str | None = None) -> Records:
    """The records of a FASTA or FASTQ file, letters as written; the qualities of FASTQ are not kept.

    Example: ">a sheep\\nACGT\\nAC\\n" is one record: name "a", header "a sheep", letters "ACGTAC", line 1.

    Raises: DataError for what comes before the first record, a record without letters, two of one name, or what
        biopython refuses; MissingExtraError without biopython.
    """
    return parse(read_text(path, encoding).removeprefix("\ufeff"), str(path))


def parse(text: str, source: str) -> Records:
    """`read_fasta` of a text that was read."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")
    fastq = text.startswith("@")
    if not fastq and not text.startswith(">"):
        start = text.split("\n", 1)[0][:40]
        raise DataError(f"{source}, line 1: {start!r} is no header; a FASTA record begins with '>' and a name")
    headers, letters = _parsed(text, source, fastq)
    lines = _fastq_lines(text) if fastq else [i for i, line in enumerate(text.split("\n"), 1) if line[:1] == ">"]
    names = [header.split(maxsplit=1)[0] if header.strip() else "" for header in headers]
    records = Records(names, headers, letters, lines, source)
    _must_be_whole(records)
    return records


def _parsed(text: str, source: str, fastq: bool) -> tuple[list[str], list[str]]:
    try:
        from Bio.SeqIO.FastaIO import SimpleFastaParser
        from Bio.SeqIO.QualityIO import FastqGeneralIterator
    except ImportError as error:
        raise explained(error) from error
    parser = FastqGeneralIterator if fastq else SimpleFastaParser
    try:
        rows = list(parser(io.StringIO(text)))
    except ValueError as error:
        raise DataError(f"{source}: not a whole FASTQ file ({error}); was it cut short? Fetch it again") from None
    return [row[0] for row in rows], [row[1] for row in rows]


def _fastq_lines(text: str) -> list[int]:
    """Lines of the headers: the letters' lines end at "+", and as many qualities as letters follow."""
    found, letters, qualities, state = [], 0, 0, "header"
    for number, line in enumerate(text.split("\n"), 1):
        if state == "header" and line.startswith("@"):
            found.append(number)
            letters, qualities, state = 0, 0, "letters"
        elif state == "letters" and line.startswith("+"):
            state = "qualities" if letters else "header"
        elif state == "letters":
            letters += len(line.strip())
        elif state == "qualities":
            qualities += len(line.strip())
            state = "header" if qualities >= letters else state
    return found


def _must_be_whole(records: Records) -> None:
    """Refuses a record without a name or letters, and two of one name."""
    for row, (name, letters) in enumerate(zip(records.names, records.letters, strict=True)):
        if not name or not letters:
            what = "letters" if name else "a name"
            raise DataError(f"{records.where(row)}: a record without {what}; complete it or delete it")
    first: dict[str, int] = {}
    for row, name in enumerate(records.names):
        if (other := first.setdefault(name, row)) != row:
            text = f"{records.where(row)}: line {records.lines[other]} has a record of this name too"
            raise DataError(f"{text}; give each record a name of its own")


# -- letters ------------------------------------------------------------------------------------------------


def cleaned(records: Records) -> Records:
    """Sequences in one alphabet: upper case, "-" for every gap, and in nucleotides T for U. Each change is noted.

    A soft mask (lower case) marks repeats, which are the same letters; RNA is read as the DNA that it was copied from.
    Unknown letters (N, X) and stops (*) stay letters of their own, so that positions keep their numbers.

    Raises: DataError at the first character that is no letter, gap or stop.
    """
    counts = Counter[str]()
    for letters in records.letters:
        counts.update(letters)
    _must_be_letters(records, counts)
    upper = Counter[str]()
    for letter, count in counts.items():
        upper[letter.upper()] += count
    odd, read = alphabet(upper)
    letters = [each.upper().translate(str.maketrans(odd, read)) for each in records.letters]
    return replace(records, letters=letters, notes=(*records.notes, *_told(counts, upper, "U" in odd)))


def alphabet(upper: Counter[str]) -> tuple[str, str]:
    """Letters that are read as others, and these, by how often each capital letter stands in some sequences."""
    nucleic = sum(upper[letter] for letter in NUCLEOTIDES) >= 0.9 * (upper.total() - sum(upper[mark] for mark in "-.*"))
    return (".U", "-T") if nucleic else (".", "-")


def _must_be_letters(records: Records, counts: Counter[str]) -> None:
    odd = {letter for letter in counts if not (letter.isascii() and letter.isalpha()) and letter not in "-.*"}
    if odd:
        row = next(row for row, letters in enumerate(records.letters) if not odd.isdisjoint(letters))
        place = next(i for i, letter in enumerate(records.letters[row]) if letter in odd)
        letter = records.letters[row][place]
        raise DataError(
            f"{records.where(row)}, letter {place + 1}: {letter!r} is neither a letter nor a gap (- or .) nor a stop "
            "(*); correct it, or delete the record"
        )


def _told(counts: Counter[str], upper: Counter[str], nucleic: bool) -> list[str]:
    """What was changed, and what is unsure."""
    total = counts.total()
    lower = sum(count for letter, count in counts.items() if letter.islower())
    unsure = {letter: upper[letter] for letter in sorted(AMBIGUOUS if nucleic else UNSURE) if upper[letter]}
    told = [f"letters are {'nucleotides' if nucleic else 'amino acids'} ({total:,})"]
    if lower:
        told.append(f"{lower:,} of {total:,} letters are in lower case (a soft mask): read in upper case")
    if nucleic and upper["U"]:
        told.append(f"{upper['U']:,} U are read as T")
    if gaps := upper["-"] + upper["."]:
        told.append(f"{gaps:,} gaps stay as the letter '-'")
    if upper["*"]:
        told.append(f"{upper['*']:,} stops stay as the letter '*'")
    if unsure:
        named = ", ".join(f"{letter} {count:,}" for letter, count in unsure.items())
        told.append(f"unknown letters stay letters of their own: {named}")
    return told


# -- as a table ---------------------------------------------------------------------------------------------


def as_table(records: Records) -> Table:
    """Columns name, text, the KEY=VALUE fields of the headers, and label where the headers have one.

    A label is the last field between "|" of the names (">seq1|EI"), else the second word of the headers (">seq1 EI"),
    where there are fewer different ones than half of the records. A field KEY=VALUE is named by the option `label`.
    """
    records = cleaned(records)
    fields = records.fields
    keys = list(dict.fromkeys(key for row in fields for key in row))
    columns: dict[str, list[str | None]] = {"name": list(records.names), "text": list(records.letters)}
    columns |= {key: [row.get(key) for row in fields] for key in keys if key not in columns}
    notes = [*records.notes, f"{len(records):,} records"]
    labels, how = _labels(records)
    if labels and not any(key.lower() == "label" for key in keys):
        columns["label"] = labels
        notes.append(f"the label is {how}")
    if keys:
        notes.append(
            f"fields of the headers: {listed(keys)}; one of them is the label with {setting('label', keys[0])}"
        )
    place = lambda row: f"record {records.names[row]!r} (line {records.lines[row]})"  # noqa: E731
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return Table(frame, records.source, place, tuple(notes), {"letters": True})


def _labels(records: Records) -> tuple[list[str | None], str]:
    """Labels that headers have without a key, and where they stand; none where no place has few values."""
    barred = [name.split("|") for name in records.names]
    words = [header.split() for header in records.headers]
    places = (
        ("the last field between '|' of each name", [row[-1] if len(row) > 1 else None for row in barred]),
        ("the second word of each header", [row[1] if len(row) > 1 and "=" not in row[1] else None for row in words]),
    )
    for how, values in places:
        kinds = len(set(values) - {None})
        if 1 < kinds < max(len(records) / 2, 3) and sum(value is None for value in values) < len(records) / 2:
            return list(values), how
    return [], ""


def with_labels(table: Table, labels: Table, name: str = "name", label: str = "label") -> Table:
    """The table with a column `label`: what a table of labels says of each record's `name`.

    Raises: DataError for a record that the labels lack, one that has two, or labels without these columns.
    """
    known = labels.strings(name).to_list(), labels.strings(label).to_list()
    named: dict[str | None, int] = {}
    for row, record in enumerate(known[0]):
        if (other := named.setdefault(record, row)) != row and known[1][other] != known[1][row]:
            raise DataError(f"{labels.where(row)}: {record!r} has another label at {labels.place_of(other)}; keep one")
    names = table.strings("name").to_list()
    absent = next((row for row, record in enumerate(names) if record not in named), None)
    if absent is not None:
        raise DataError(f"{table.where(absent)}: {labels.source} has no label for it in column {name!r}; add a row")
    column = pl.Series("label", [known[1][named[record]] for record in names], pl.String)
    return replace(table.note(f"labels are those of {labels.source}"), frame=table.frame.with_columns(column))
