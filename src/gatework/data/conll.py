"""Files of tokens, one a line with its columns, a blank line after each sentence: CoNLL's columns, and CoNLL-U."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from gatework.data.suggest import did_you_mean, setting
from gatework.data.table import listed
from gatework.errors import DataError

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
TOKEN_NAMES = ("token", "tokens", "word", "words", "form", "text")
TAG_NAMES = ("tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "pos", "upos", "chunk", "iob", "bio")
NUMBERED = "column {}"
DOCUMENT = "-DOCSTART-"
SAMPLE = 200  # lines by which a file is judged
_ID = re.compile(r"\d+")


@dataclass(frozen=True)
class Columns:
    """C columns of N tokens in n sentences: `cells[c][i]` is what column c says of token i, `lines[i]` its line.

    `names` are those of a header or of CoNLL-U; else "column 1" and so on.
    """

    cells: list[list[str]]
    names: list[str]
    lengths: np.ndarray
    lines: np.ndarray
    source: str
    notes: tuple[str, ...] = ()

    def where(self, token: int) -> str:
        return f"{self.source}, line {int(self.lines[token])}"

    def find(self, name: str) -> int | None:
        """Where the column of that name, or of that number from 1, stands; None: there is none."""
        lower = [known.lower() for known in self.names]
        if name.lower() in lower:
            return lower.index(name.lower())
        if re.fullmatch(r"-?\d+", name) and 1 <= abs(int(name)) <= len(self.names):
            return int(name) - 1 if int(name) > 0 else len(self.names) + int(name)
        return None

    def place(self, name: str, role: str) -> int:
        """The same; `role` is the option that names it."""
        if (found := self.find(name)) is not None:
            return found
        there = f"{self.source} has no column {name!r}: it has {listed(self.names)}"
        raise DataError(f"{there}{did_you_mean(name, self.names)}; give a name or a number: {setting(role, '2')}")


def is_conllu(text: str) -> bool:
    """Whether the first line of a token has ten columns between tabs, and the first is its number."""
    for line in text[:100_000].split("\n"):
        if line.strip() and not line.startswith("#"):
            cells = line.split("\t")
            return len(cells) == len(CONLLU) and bool(_ID.match(cells[0]))
    return False


@dataclass
class _Rows:
    """Cells of all lines with a token, one after another: a list for each line would be slow. `widths` says how many
    each line has, `numbers` are the lines, `lengths` those of the sentences."""

    cells: list[str] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    length: int = 0

    def add(self, number: int, cells: list[str]) -> None:
        self.cells += cells
        self.widths.append(len(cells))
        self.numbers.append(number)
        self.length += 1

    def end(self) -> None:
        """Ends the sentence, where one is open."""
        if self.length:
            self.lengths.append(self.length)
            self.length = 0

    def drop_first(self) -> None:
        """Leaves the first line out."""
        del self.cells[: self.widths[0]], self.widths[0], self.numbers[0]
        self.lengths[0] -= 1
        self.lengths = [length for length in self.lengths if length]

    def columns(self, names: list[str], source: str, notes: list[str]) -> Columns:
        cells = [self.cells[place :: len(names)] for place in range(len(names))]
        return Columns(cells, names, np.array(self.lengths), np.array(self.numbers), source, tuple(notes))


def read_columns(text: str, source: str, named: tuple[str | None, ...] = ()) -> Columns:
    """Columns between tabs, or between blanks where there are no tabs.

    Example: "Ada B-PER\\nslept O\\n\\nGo O\\n" has the columns "column 1" and "column 2" and the lengths [2, 1].

    Args:
        text: the file's text.
        source: its name, for messages.
        named: columns that are asked for; one that is no number names a column of the first line, which then is a
            header. So is a first line such as "word tag".

    Lines of white space alone end a sentence; "-DOCSTART-" lines, and comments before a sentence, are left out.

    Raises: DataError where a line has more or fewer columns than the first, or no line has a token.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    rows, notes, tabs = _rows(lines)
    if not rows.cells:
        raise DataError(f"{source} has no line with a token; give a token and its tag a line, as in 'Ada B-PER'")
    _must_be_even(rows, source, tabs)
    header = _header(rows, named)
    if header:
        notes.append(f"the first line names the columns: {listed(header)}")
        rows.drop_first()
        if not rows.cells:
            raise DataError(f"{source} has a header ({listed(header)}) and no token; give at least one sentence")
    names = header or [NUMBERED.format(place) for place in range(1, rows.widths[0] + 1)]
    return rows.columns(names, source, notes)


def _rows(lines: list[str]) -> tuple[_Rows, list[str], bool]:
    """The lines' cells, notes of what was left out, and whether tabs stand between the cells."""
    sample = [line for line in lines[: 5 * SAMPLE] if line.strip() and not line.startswith(("# ", DOCUMENT))][:SAMPLE]
    tabs = 2 * sum("\t" in line.rstrip() for line in sample) > len(sample)
    cut = _between_tabs if tabs else _between_blanks
    width = Counter(len(cut(line)) for line in sample).most_common(1)[0][0] if sample else 0
    rows, marks, comments = _Rows(), [], []
    for number, line in enumerate(lines, 1):
        if not line or line.isspace():
            rows.end()
            continue
        cells = cut(line)
        if cells[0] == DOCUMENT:
            marks.append(number)
            rows.end()
        elif line[0] == "#" and not rows.length and _is_comment(cells, width):
            comments.append(number)
        else:
            rows.add(number, cells)
    rows.end()
    told = ((marks, f"{DOCUMENT} lines"), (comments, "comments"))
    return rows, [f"{len(at):,} {what} left out (first: line {at[0]})" for at, what in told if at], tabs


def _between_tabs(line: str) -> list[str]:
    """Cells, which may hold blanks: "New York\\tB-LOC" has two."""
    cells = line.rstrip("\t ").split("\t")
    return [cell.strip(" ") or cell for cell in cells] if " " in line else cells


def _between_blanks(line: str) -> list[str]:
    """Cells without blanks; other white space than blanks and tabs can be part of a token."""
    return [cell for cell in line.replace("\t", " ").split(" ") if cell]


def _is_comment(cells: list[str], width: int) -> bool:
    """Whether a line that begins with "#" before a sentence is none of a token, for "#" alone can be one: it differs
    in its columns, or says "# name = value"."""
    return len(cells) != width or (cells[0] == "#" and "=" in " ".join(cells))


def _header(rows: _Rows, named: tuple[str | None, ...]) -> list[str]:
    """The names in the first line, where it is a header; else none."""
    width = rows.widths[0]
    first, last = rows.cells[:width], rows.cells[width - 1 :: width]
    lower = [cell.lower() for cell in first]
    usual = width > 1 and lower[0] in TOKEN_NAMES and lower[-1] in TAG_NAMES and last.count(last[0]) == 1
    asked = any(name is not None and not re.fullmatch(r"-?\d+", name) and name.lower() in lower for name in named)
    return first if asked or usual else []


def _must_be_even(rows: _Rows, source: str, tabs: bool) -> None:
    """Refuses the first line whose columns are not as many as those of the first line, or one with an empty column."""
    width, widths = rows.widths[0], np.array(rows.widths)
    bad = np.flatnonzero(widths != width)
    if len(bad):
        cells = rows.cells[int(widths[: bad[0]].sum()) :][: int(widths[bad[0]])]
        has = f"{len(cells)} column{'s' * (len(cells) != 1)} ({' '.join(cells)[:40]!r})"
        more = f" ({len(bad):,} such lines; the next: line {rows.numbers[bad[1]]})" if len(bad) > 1 else ""
        raise DataError(
            f"{source}, line {rows.numbers[bad[0]]}: {has}, but line {rows.numbers[0]} has {width}{more}; give every "
            f"token the same columns, with {'a tab' if tabs else 'a blank'} between them, and a blank line after each "
            "sentence"
        )
    if "" in rows.cells:
        row, column = divmod(rows.cells.index(""), width)
        place = f"{source}, line {rows.numbers[row]}, column {column + 1}"
        raise DataError(f"{place}: empty; write the token, or O or '_' for a tag that there is not")


# -- CoNLL-U ------------------------------------------------------------------------------------------------


def read_conllu(text: str, source: str) -> Columns:
    """CoNLL-U: ten columns between tabs. Comments, ranges of words (3-4) and empty nodes (8.1) are no tokens.

    Raises: DataError at the first line that has not ten columns, or no number.
    Source: universaldependencies.org/format.html.
    """
    rows, other = _Rows(), 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line or line.isspace():
            rows.end()
        elif line[0] != "#":
            cells = line.split("\t")
            if cells[0].isdigit() and len(cells) == len(CONLLU):
                rows.add(number, cells)
            else:
                _must_be_conllu(cells, line, f"{source}, line {number}")
                other += 1
    rows.end()
    if not rows.cells:
        raise DataError(f"{source} has no line with a token; CoNLL-U has ten columns between tabs: {' '.join(CONLLU)}")
    notes = [f"{other:,} ranges of words and empty nodes are no tokens"] if other else []
    return rows.columns(list(CONLLU), source, notes)


def _must_be_conllu(cells: list[str], line: str, where: str) -> None:
    """Refuses what is neither a range of words nor an empty node of ten columns."""
    if len(cells) != len(CONLLU) or not re.fullmatch(r"\d+[-.]\d+", cells[0]):
        what = f"{len(cells)} columns between tabs, not ten" if len(cells) != len(CONLLU) else f"the id {cells[0]!r}"
        raise DataError(
            f"{where}: {what} ({line[:40]!r}); CoNLL-U has {' '.join(CONLLU)}; for other columns pass "
            f"{setting('format', 'conll')}"
        )
