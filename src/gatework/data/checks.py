"""What is wrong with data, said before any training: every fault at once, each with its place and what to do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from gatework.data.finding import Finding
from gatework.data.given import value_of
from gatework.data.numerals import ABSENT
from gatework.data.suggest import COLUMN, setting

Where = Callable[[int], str]
LONG = 100_000
LOST = "\ufffd|\u00c3[\u0080-\u00bf]|\u00e2\u20ac"  # what a wrong encoding leaves behind


def check_labels(labels: pl.Series, column: str, where: Where, source: str) -> list[Finding]:
    """Missing labels and what reads like them, one class, one row, classes too rare to split, and names that differ by
    case or spaces alone, or write the same number."""
    absent = _rows(labels.is_null() | (labels.str.strip_chars() == ""))
    found = _listed("error", absent, column, where, "the label is empty", "fill it in or delete the row")
    counts = labels.drop_nulls().value_counts(sort=True)
    names, sizes = counts[:, 0].to_list(), counts[:, 1].to_list()
    if len(labels) < 2:
        found.append(Finding("error", f"{source} has one row; a classifier needs rows of at least two classes"))
    elif len(names) == 1:
        text = f"{source}, column {column!r}: every row has the label {names[0]!r}; there is nothing to tell apart"
        found.append(Finding("error", f"{text}: add rows of another class or name another column", None, column))
    elif len(names) > 50 and len(names) > len(labels) / 2:
        text = f"{source}, column {column!r}: {len(names)} different labels in {len(labels)} rows: are these "
        text += "identifiers, or continuous numbers? A label is one of few; in a table it is named by "
        text += setting("label", COLUMN)
        found.append(Finding("error", text, None, column))
    rare = [name for name, size in zip(names, sizes, strict=True) if size < 2]
    if rare and len(names) > 1:
        text = f"{source}, column {column!r}: a single row has the label {', '.join(map(repr, rare[:5]))}"
        found.append(Finding("warning", f"{text}: it can be learned or tested, not both; add rows", None, column))
    return found + _look_absent(labels, column, where) + _twins(names, column, source)


def _look_absent(labels: pl.Series, column: str, where: Where) -> list[Finding]:
    """Names such as "NA" and "null", which are classes unless somebody says that they are none."""
    rows = _rows(labels.str.to_lowercase().is_in([word for word in ABSENT if word]))
    if not len(rows):
        return []
    names = labels.gather(rows).unique(maintain_order=True).to_list()
    what = f"{', '.join(map(repr, names))} read like missing labels, but are taken for classes"
    return _listed(
        "warning", rows, column, where, what, f"if there is no label, pass {setting('no_label', tuple(names))}"
    )


def check_absent(labels: pl.Series, known: list[str], part: str) -> list[Finding]:
    """Labels that are learned, but never judged."""
    absent = sorted(set(known) - set(labels.drop_nulls()))
    if not absent:
        return []
    more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
    text = f"the {part} part has no row with the label {', '.join(map(repr, absent[:5]))}{more}"
    return [Finding("warning", f"{text}: how well it is told apart is not measured there; add rows")]


def _twins(names: list[str], column: str, source: str) -> list[Finding]:
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(value_of(name).strip().casefold(), []).append(name)
    what = f"{source}, column {column!r}: the labels"
    text = f"{what} {{}} differ in case or spaces alone, or in how a number is written; make them one"
    alike = (", ".join(map(repr, group)) for group in folded.values() if len(group) > 1)
    return [Finding("warning", text.format(group), None, column) for group in alike]


def check_texts(texts: pl.Series, column: str, where: Where, labels: pl.Series | None = None) -> list[Finding]:
    """Empty and endless texts, characters that were lost in an earlier conversion, twins and contradicting twins."""
    empty = _rows(texts.is_null() | (texts.str.strip_chars() == ""))
    found = _listed(
        "warning", empty, column, where, "the text is empty", "delete the row (it is kept as a text without words)"
    )
    long = _rows(texts.str.len_chars() > LONG)
    size = texts[int(long[0])] if len(long) else ""
    advice = "only its beginning and end are read (max_length); split it or raise the limit"
    found += _listed("warning", long, column, where, f"the text has {len(size):,} characters", advice)
    lost = _rows(texts.str.contains(LOST))
    found += _listed(
        "warning",
        lost,
        column,
        where,
        "holds characters lost in a conversion (like 'Ã©')",
        "read the original with its encoding",
    )
    return found + check_twins(texts, column, where, labels)


def check_twins(
    texts: pl.Series, column: str, where: Where, labels: pl.Series | None = None, what: str = "text"
) -> list[Finding]:
    """Rows that are the same as an earlier one, and those of them with another label; `what` a row is called."""
    twin = _rows(~texts.is_first_distinct())
    if not len(twin):
        return []
    text = (
        f"{len(twin)} rows repeat an earlier {what} exactly; splits keep them together (first: {where(int(twin[0]))})"
    )
    found = [Finding("note", text, int(twin[0]), column)]
    if labels is None:
        return found
    frame = pl.DataFrame({"text": texts, "label": labels}).with_row_index("row")
    split = frame.group_by("text").agg(pl.col("label").n_unique(), pl.col("row").last()).filter(pl.col("label") > 1)
    if split.height:
        row = int(split["row"].to_numpy().min())
        text = f"{where(row)}, column {column!r}: the same {what} stands elsewhere with another label"
        found.append(Finding("warning", f"{text} ({split.height} such {what}s); decide for one", row, column))
    return found


def check_overlap(train: pl.Series, other: pl.Series, where: Where, name: str, what: str = "text") -> list[Finding]:
    """Rows of another part (`name`: "test") that also stand in the training part."""
    seen = _rows(other.is_in(train.unique().implode()))
    if not len(seen):
        return []
    text = f"{where(int(seen[0]))}: this {what} is also in the training data ({len(seen)} of {len(other)} {name} rows)"
    return [Finding("warning", f"{text}; the {name} score will flatter: remove them from one of the two", int(seen[0]))]


def check_unseen(labels: pl.Series, known: list[str], column: str, where: Where) -> list[Finding]:
    """Labels that training never saw."""
    rows = _rows(labels.is_not_null() & ~labels.is_in(known))
    what = f"the label {labels[int(rows[0])]!r} was not in the training data" if len(rows) else ""
    some = ", ".join(map(repr, known[:8])) + (" ..." if len(known) > 8 else "")
    return _listed("error", rows, column, where, what, f"known are {some}; correct it or delete the row")


def _rows(mask: pl.Series) -> np.ndarray:
    return mask.fill_null(False).arg_true().to_numpy()


def _listed(level: str, rows: np.ndarray, column: str, where: Where, what: str, advice: str) -> list[Finding]:
    """One finding for the first row, and how many more there are."""
    if not len(rows):
        return []
    more = f" ({len(rows):,} such rows; the next: {where(int(rows[1]))})" if len(rows) > 1 else ""
    text = f"{where(int(rows[0]))}, column {column!r}: {what}{more}; {advice}"
    return [Finding(level, text, int(rows[0]), column)]
