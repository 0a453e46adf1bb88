"""Sources -> labelled texts, sequences or frames of media, as they are before anything is learned from them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gatework.data import checks, fasta, readers
from gatework.data.columns import LABEL_NAMES, TEXT_NAMES, called, infer_columns, infer_label, infer_text
from gatework.data.finding import Finding
from gatework.data.given import aligned, given_texts
from gatework.data.sequences import ID_NAMES, Sequences, check_sequences, numeric, read_sequences
from gatework.data.suggest import setting
from gatework.data.table import Table
from gatework.errors import DataError, OptionError
from gatework.tasks.base import Source
from gatework.tasks.classify import media
from gatework.tasks.classify.media import Media
from gatework.tasks.classify.options import FILES, MEDIA, ClassifyOptions
from gatework.training.files import sha256

NAMES = ("name", "id", "record", "accession")  # columns that name records
LETTERS = 20  # letters that a word hardly has
COLUMNS = (8, 1_000)  # fewest and most letters of texts whose letters stand in columns
SHORT = 200  # letters of a text, on average, up to which it is short
MOST_LETTERS = 10_000_000  # of all texts, where n-grams are told apart by their places unasked


@dataclass(frozen=True)
class Rows:
    """What was read: `texts`, `sequences` or `media`, and the labels as strings (null where there is none).

    `notes` say how, `doubts` what may have been read wrongly.
    """

    labels: pl.Series
    source: str
    where: Callable[[int], str]
    texts: pl.Series | None = None
    sequences: Sequences | None = None
    table: Table | None = None
    text_column: str = "text"
    label_column: str = "label"
    label_type: str = "str"
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    media: Media | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def kind(self) -> str:
        if self.media is not None:
            return self.media.kind
        return "sequences" if self.texts is None else "texts"

    @property
    def keys(self) -> pl.Series | None:
        """What tells whether two rows are the same: texts, or digests of files; None of numeric sequences."""
        return self.texts if self.media is None else self.media.digests

    def fingerprint(self) -> str:
        """A digest of the rows, where they are themselves a source: a round of a cross-validation."""
        assert self.keys is not None
        return sha256("\n".join([*self.keys.to_list(), *map(str, self.labels.to_list())]).encode())

    def like(self, train: Rows) -> Rows:
        """The same rows with labels under the names of those that are learned."""
        return replace(self, labels=aligned(self.labels, train.labels.drop_nulls().unique()))

    def groups(self, column: str | None) -> np.ndarray:
        """Number of the group of each row: equal texts or sequences, or equal values of a column, share one."""
        if column is not None and self.table is not None:
            values = self.table.strings(column)
        elif self.keys is not None:
            values = self.keys
        else:
            assert self.sequences is not None
            values = pl.Series([row.tobytes() for row in map(self.sequences.values.__getitem__, range(len(self)))])
        return values.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()


def read(source: Source, options: ClassifyOptions, labelled: bool = True, known: Sequence[str] | None = None) -> Rows:
    """Rows of any source; `options.kind` must be known for sources that could be either.

    Labels that write one of those `known` otherwise ("1.0" for "1") get its name. With `bad_labels="skip"`, rows
    without a label (or one that is not `known`) are left out, and a note says so.
    """
    if isinstance(source, Rows):
        return source
    kind = kind_of(source, options)
    if kind in MEDIA:
        rows = _read_media(source, kind, options, labelled)
    else:
        rows = (_read_texts if kind == "texts" else _read_sequences)(source, options, labelled)
    labels = rows.labels.replace(dict.fromkeys(options.no_label)) if options.no_label else rows.labels
    rows = replace(rows, labels=labels if known is None else aligned(labels, known))
    if options.tokenizer is None and tokenizer(rows, options) == "characters":
        note = f"texts are rows of letters: their units are characters; for words pass {setting('tokenizer', 'words')}"
        rows = replace(rows, notes=(*rows.notes, note))
    if ngrams(rows, options) == "places":
        rows = _in_columns(rows, options)
    return _with_labels(rows, known) if labelled and options.bad_labels == "skip" else rows


def _with_labels(rows: Rows, known: Sequence[str] | None) -> Rows:
    bad = rows.labels.is_null() | (rows.labels == "")
    if known is not None:
        bad |= ~rows.labels.is_in(list(known))
    bad = bad.fill_null(True)
    if not bad.any():
        return rows
    what = "no label" if known is None else "no label, or one that was never learned"
    first = rows.where(int(bad.arg_true()[0]))
    note = f"{int(bad.sum())} of {len(rows)} rows have {what}, and are left out (first: {first})"
    left = take(rows, (~bad).arg_true().to_numpy())
    if known is not None:
        warnings.warn(note, stacklevel=4)
        return left
    return replace(left, notes=(*rows.notes, note))


def kind_of(source: Source, options: ClassifyOptions) -> str:
    """One of KINDS: as the options say, else by the look of the source."""
    if options.kind != "auto":
        return options.kind
    named = [kind for kind, column in FILES.items() if getattr(options, column) is not None]
    if named or (look := media.kind_of(source)):
        return named[0] if named else look
    if isinstance(source, str | Path):
        if Path(source).name.removesuffix(".gz").endswith(".ts"):
            return "sequences"
        if Path(source).is_dir() or options.text is not None:
            return "texts"
        return _kind_of_table(readers.read_table(source, **reading(options)), options)
    if isinstance(source, Sequences) or (isinstance(source, Mapping) and "values" in source):
        return "sequences"
    if isinstance(source, list | tuple | np.ndarray) and len(source):
        return "texts" if isinstance(source[0], str) else "sequences"
    return _kind_of_table(readers.read_table(source), options)


def reading(options: ClassifyOptions) -> dict[str, Any]:
    """The options that say how a file is read."""
    return {name: getattr(options, name) for name in ("format", "encoding", "delimiter", "header", "bad_rows", "quote")}


def _kind_of_table(table: Table, options: ClassifyOptions) -> str:
    """Sequences if all columns but one (the label) hold numbers and there is an id, or there are many such columns."""
    if options.id is not None:
        return "sequences"
    if options.text is not None or any(name.lower() in TEXT_NAMES for name in table.columns):
        return "texts"
    others = [name for name in table.columns if name not in (options.label, options.time)]
    words = [name for name in others if not numeric(table, name)]
    labels = {options.label, *words} - {None}
    few = 2 if any(name.lower() in ID_NAMES for name in table.columns) else 5
    return "sequences" if len(labels) <= 1 and len(table.columns) > few else "texts"


def _read_texts(source: Source, options: ClassifyOptions, labelled: bool) -> Rows:
    if isinstance(source, pl.Series | np.ndarray | list | tuple) or _is_pandas_series(source):
        return Rows(_no_labels(len(source)), "the given texts", lambda row: f"text {row + 1}", given_texts(source))
    how = reading(options)
    if not labelled and how["format"] == "labelled":
        how["format"] = None  # new lines may come without labels; the reader sees it
    table = readers.read_table(source, **how)
    if labelled:
        named = options.label
        if options.labels is not None:
            table, named = _labelled_by(table, options), "label"
        text, label, table = infer_columns(table, options.text, named)
    else:
        text, label = infer_text(table, options.text), options.label or "label"
    labels, kind = _labels(table, label, text)
    return Rows(
        labels,
        table.source,
        table.where,
        table.strings(text),
        None,
        table,
        text,
        label,
        kind,
        table.notes,
        table.doubts,
    )


def _labels(table: Table, label: str, beside: str) -> tuple[pl.Series, str]:
    """The labels of a table's column as text, and what they were; nulls where it has no such column beside another."""
    if label not in table.columns or label == beside:
        return _no_labels(len(table)), "str"
    return table.strings(label).str.strip_chars().alias("label"), table.kind(label)


def _read_media(source: Source, kind: str, options: ClassifyOptions, labelled: bool) -> Rows:
    found = media.read(source, kind, options, **reading(options))
    table, files = media.table_of(found, written=isinstance(source, str | Path))
    label = options.label or "label"
    if labelled:
        label, table = infer_label(table, files, options.label)
    labels, label_type = _labels(table, label, files)
    return Rows(
        labels,
        table.source,
        found.listing.where,
        table=table,
        text_column=files,
        label_column=label,
        label_type=label_type,
        notes=(*table.notes, *media.findings(found, "note")),
        doubts=(*table.doubts, *media.findings(found, "warning")),
        media=found,
    )


def _labelled_by(table: Table, options: ClassifyOptions) -> Table:
    """The records of a FASTA file with the labels of a table."""
    assert options.labels is not None
    if "letters" not in table.format:
        raise OptionError(f"labels is for FASTA files, and {table.source} is none; name its column of labels: label=")
    others = readers.read_table(options.labels, encoding=options.encoding)
    names = [*called(others.columns, NAMES), *others.columns]
    known = [options.label] if options.label in others.columns else called(others.columns, LABEL_NAMES)
    rest = [*known, *(column for column in others.columns if column != names[0])]
    if not rest:
        raise DataError(f"{others.source} has one column, {names[0]!r}; it needs the records' names and their labels")
    return fasta.with_labels(table, others, names[0], rest[0])


def tokenizer(rows: Rows, options: ClassifyOptions) -> str:
    """The units of texts: those that the options name, else words, or characters of rows of letters."""
    on_words = options.stop or options.stem or options.spaces or options.vectors
    return options.tokenizer or ("characters" if _lettered(rows) and not on_words else "words")


def are_short_letters(rows: Rows, options: ClassifyOptions) -> bool:
    """Whether texts are short and read letter by letter: a network learns their order late, as that of numbers."""
    if rows.texts is None or tokenizer(rows, options) != "characters":
        return False
    return rows.texts.fill_null("").str.len_chars().sum() <= SHORT * len(rows)


def ngrams(rows: Rows, options: ClassifyOptions) -> str:
    """The n-grams beside the network: those that the options name, else places for letters that stand in columns."""
    if rows.texts is None:
        return options.ngrams
    letters = tokenizer(rows, options) == "characters"
    if options.ngrams == "places" and not letters:
        raise OptionError("ngrams=places is about letters; add tokenizer=characters")
    return "places" if options.ngrams == "auto" and letters and width(rows.texts) else options.ngrams


def _in_columns(rows: Rows, options: ClassifyOptions) -> Rows:
    """Texts from their first letter to their last, so that places count from there."""
    assert rows.texts is not None
    bare = replace(rows, texts=rows.texts.str.strip_chars())
    if options.ngrams == "places":
        return bare
    note = (
        f"all texts have {width(rows.texts)} letters: n-grams are told apart by their places, too; if that is wrong, "
    )
    return replace(bare, notes=(*rows.notes, f"{note}pass {setting('ngrams', 'both')}"))


def width(texts: pl.Series | None) -> int:
    """How many letters each of the texts has, white space around it aside; 0: they differ, or are no columns."""
    if texts is None or not len(texts):
        return 0
    lengths = texts.fill_null("").str.strip_chars().str.len_chars().to_numpy()
    fits = COLUMNS[0] <= lengths[0] <= COLUMNS[1] and lengths.sum() <= MOST_LETTERS
    return int(lengths[0]) if fits and (lengths == lengths[0]).all() else 0


def _lettered(rows: Rows) -> bool:
    """Whether texts are long rows of letters without words: those of a FASTA file, or such a column of a table."""
    if rows.texts is None or (rows.table is not None and "letters" in rows.table.format):
        return rows.texts is not None
    texts = rows.texts.drop_nulls().str.strip_chars()
    return len(texts) > 0 and bool(texts.str.contains(rf"^[A-Za-z*-]{{{LETTERS},}}$").all())


def _no_labels(count: int) -> pl.Series:
    return pl.Series("label", [None] * count, dtype=pl.String)


def _is_pandas_series(source: Source) -> bool:
    return hasattr(source, "iloc") and not hasattr(source, "columns")


def _read_sequences(source: Source, options: ClassifyOptions, labelled: bool) -> Rows:
    named = {"id": options.id, "time": options.time, "label": options.label}
    how = {**named, **reading(options), "channels": options.channels}
    if isinstance(source, Mapping) and "values" in source:
        sequences = read_sequences(source["values"], labelled=False, **how)
        sequences = sequences.labelled(source.get("label", [None] * len(sequences)))
    else:
        sequences = read_sequences(source, labelled=labelled, **how)
    labels = sequences.labels.str.strip_chars().alias("label")
    where = lambda row: sequences.where(row, 0)  # noqa: E731
    return Rows(
        labels,
        sequences.source,
        where,
        None,
        sequences,
        None,
        "",
        options.label or "label",
        sequences.label_type,
        sequences.notes,
        sequences.doubts,
    )


def check_rows(rows: Rows, options: ClassifyOptions, known: list[str] | None = None) -> list[Finding]:
    """Faults of rows that are to be learned from (or, with the labels that are `known`, measured on)."""
    if known is None:
        found = [Finding("warning", doubt) for doubt in rows.doubts]
        found += checks.check_labels(rows.labels, rows.label_column, rows.where, rows.source)
    else:
        found = checks.check_unseen(rows.labels, known, rows.label_column, rows.where)
        absent = int(rows.labels.null_count())
        if absent:
            message = f"{rows.source}: {absent} of {len(rows)} rows have no label in column {rows.label_column!r}"
            found.append(Finding("error", f"{message}; measuring needs one in each row", None, rows.label_column))
    return found + check_inputs(rows, options, rows.labels)


def check_inputs(rows: Rows, options: ClassifyOptions, labels: pl.Series | None = None) -> list[Finding]:
    """Faults of the texts or sequences themselves."""
    if rows.sequences is not None:
        return check_sequences(rows.sequences, options.missing)
    if rows.media is not None:
        return checks.check_twins(rows.media.digests, rows.text_column, rows.where, labels, "file")
    assert rows.texts is not None
    return checks.check_texts(rows.texts, rows.text_column, rows.where, labels)


def warn_of_empty(rows: Rows) -> None:
    """Says which of the rows to answer have no text: their answer is that of a text without words."""
    if rows.texts is None:
        return
    empty = (rows.texts.is_null() | (rows.texts.str.strip_chars() == "")).arg_true()
    if len(empty):
        more = f", and {len(empty) - 1} more," if len(empty) > 1 else ""
        where = rows.where(int(empty[0]))
        warnings.warn(f"{where}{more} without text: the answer is that of a text without words", stacklevel=4)


def kept(rows: Rows, names: Sequence[str], taken: Sequence[str]) -> list[dict[str, Any]]:
    """The cells of the named columns ("all": of every one), row by row; `taken` are names that answers have."""
    if rows.table is None:
        raise DataError(f"keep names columns of a table, but {rows.source} is none; leave it out")
    columns = rows.table.columns if list(names) == ["all"] else names
    called = {name: f"{name}_given" if name in taken else name for name in columns}
    cells = [rows.table.column(name).to_list() for name in columns]
    return [dict(zip(called.values(), row, strict=True)) for row in zip(*cells, strict=True)]


def take(rows: Rows, chosen: np.ndarray) -> Rows:
    """The chosen rows, which keep their places."""
    texts = None if rows.texts is None else rows.texts[chosen]
    sequences = rows.sequences
    if sequences is not None:
        whole = sequences
        where = lambda i, step: whole.where(int(chosen[i]), step)  # noqa: E731
        ids = None if whole.ids is None else whole.ids[chosen]
        sequences = replace(whole, values=whole.values.take(chosen), labels=whole.labels[chosen], where=where, ids=ids)
    table = None if rows.table is None else rows.table.take(chosen)
    place = lambda row: rows.where(int(chosen[row]))  # noqa: E731
    some = None if rows.media is None else rows.media.take(chosen)
    kept = {"texts": texts, "sequences": sequences, "media": some, "table": table}
    return replace(rows, labels=rows.labels[chosen], where=place, **kept)
