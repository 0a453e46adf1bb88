"""FASTA and FASTQ: records, letters, and tables for the classifier."""

from __future__ import annotations

import builtins
import gzip

import numpy as np
import polars as pl
import pytest

from gatework.data import fasta
from gatework.data.readers import read_table
from gatework.errors import DataError, MissingExtraError
from gatework.tasks.classify import reading
from gatework.tasks.classify.options import ClassifyOptions
from gatework.tasks.classify.task import Classify


def test_records_with_lines(tmp_path) -> None:
    path = tmp_path / "a.fa.gz"
    with gzip.open(path, "wb") as file:
        file.write("\ufeff>a sheep SET=train\r\nAC\r\nGT\r\n\r\n>b\r\nA C\r\n".encode())
    records = fasta.read_fasta(path)
    assert records.names == ["a", "b"] and records.letters == ["ACGT", "AC"]
    assert records.headers == ["a sheep SET=train", "b"] and records.fields == [{"SET": "train"}, {}]
    assert records.where(1) == f"{path}, record 'b' (line 5)"


def test_fastq_qualities_may_look_like_headers() -> None:
    """ "@" and "+" are qualities too, and letters may go on over lines."""
    records = fasta.parse("@a one\nAC\nGT\n+\n@+\n@@\n@b\nA\n+b\n@\n", "a.fq")
    assert records.names == ["a", "b"] and records.letters == ["ACGT", "A"] and records.lines == [1, 7]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ACGT\n>a\nAC\n", "line 1: 'ACGT' is no header"),
        (">a\n>b\nAC\n", "record 'a' .line 1.: a record without letters"),
        (">a\nAC\n>\nAC\n", "without a name"),
        (">a\nAC\n>b\nA\n>a\nG\n", "record 'a' .line 5.: line 1 has a record of this name"),
        ("@a\nACG\n+\n@@\n", "not a whole FASTQ file"),
    ],
)
def test_what_is_refused(text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        fasta.parse(text, "a.fasta")


def test_nucleotides_are_one_alphabet_and_it_is_told() -> None:
    records = fasta.cleaned(fasta.parse(">a\nacgUAC.\n>b\nGGNR-*\n", "a.fa"))
    assert records.letters == ["ACGTAC-", "GGNR-*"]
    notes = "\n".join(records.notes)
    for part in ("nucleotides (13)", "3 of 13 letters are in lower case", "1 U are read as T", "2 gaps", "1 stops"):
        assert part in notes
    assert "N 1, R 1" in notes


def test_amino_acids_keep_their_u() -> None:
    records = fasta.cleaned(fasta.parse(">a\nMKVLUWHEX\n", "a.faa"))
    assert records.letters == ["MKVLUWHEX"]
    assert "amino acids" in records.notes[0] and "X 1" in records.notes[1]


def test_what_is_no_letter_is_named() -> None:
    with pytest.raises(DataError, match=r"record 'b' \(line 3\), letter 2: '7'"):
        fasta.cleaned(fasta.parse(">a\nAC\n>b\nA7\n", "a.fa"))


def test_without_biopython_the_extra_is_named(monkeypatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest):
        if name.startswith("Bio"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"\[biology\]"):
        fasta.parse(">a\nAC\n", "a.fa")


@pytest.mark.parametrize(
    ("header", "label", "told"),
    [
        ("g{i} CLASS={kind}", None, "label='CLASS'"),
        ("g{i}|{kind}", ["EI", "N"] * 4, "the last field between '|'"),
        ("g{i} {kind}", ["EI", "N"] * 4, "the second word"),
        ("g{i}", None, "8 records"),
        ("sp|P{i}|NAME{i} kinase", None, "8 records"),  # names that all differ, and one word for all, are no labels
    ],
)
def test_labels_of_headers(tmp_path, header: str, label, told: str) -> None:
    path = tmp_path / "genes.fasta"
    path.write_text("".join(f">{header.format(i=i, kind=('EI', 'N')[i % 2])}\nACGTACG\n" for i in range(8)))
    table = read_table(path)
    assert (table.frame["label"].to_list() if "label" in table.columns else None) == label
    assert any(told in note for note in table.notes)
    assert (
        table.columns[:2] == ["name", "text"]
        and table.where(1) == f"{path}, {table.place(1)}"
        and "line 3" in table.where(1)
    )
    if "CLASS" in header:
        assert table.frame["CLASS"].to_list() == ["EI", "N"] * 4


def genes(folder, count: int = 40):
    """Two kinds of genes: one has GTAAGT in its middle."""
    rng = np.random.default_rng(3)
    rows, kinds = [], rng.integers(0, 2, count)
    for i, kind in enumerate(kinds):
        letters = "".join(rng.choice(list("acgt"), 30))
        rows.append(f">g{i} CLASS={'EI' if kind else 'N'}\n{letters[:12] + 'GTAAGT' * kind + letters[12:]}\n")
    (folder / "genes.fasta").write_text("".join(rows))
    pl.DataFrame({"name": [f"g{i}" for i in range(count)], "kind": [("N", "EI")[kind] for kind in kinds]}).write_csv(
        folder / "kinds.csv"
    )
    return folder / "genes.fasta", folder / "kinds.csv"


@pytest.mark.parametrize("by_table", [False, True])
def test_genes_are_classified_by_their_letters(tmp_path, by_table: bool) -> None:
    path, kinds = genes(tmp_path)
    named = {"labels": str(kinds)} if by_table else {"label": "CLASS"}
    task = Classify(ClassifyOptions(**named, ngrams="none", test_share=0.2))
    parts = task.prepare(path)
    assert task.options.tokenizer == "characters"
    assert set(task.codecs.classes) == {"EI", "N"}
    assert {"a", "c", "g", "t"} <= set(task.codecs.tokenizer.vocabulary)  # type: ignore[union-attr]
    assert parts.train.texts is not None and parts.train.texts.str.contains("^[ACGT]+$").all()
    assert any("units are characters" in finding.message for finding in task.found)


def test_a_named_tokenizer_stays(tmp_path) -> None:
    path, _ = genes(tmp_path)
    task = Classify(ClassifyOptions(label="CLASS", tokenizer="words", ngrams="none"))
    task.prepare(path)
    assert task.options.tokenizer == "words"
    assert not any("units are characters" in finding.message for finding in task.found)


def test_columns_of_letters_are_read_by_character_and_texts_by_word() -> None:
    options = ClassifyOptions()
    letters = pl.DataFrame({"text": ["ACGT" * 6, " CCGT" * 1 + "AAAT" * 5], "label": ["a", "b"]})
    words = pl.DataFrame({"text": ["Donaudampfschifffahrtsgesellschaft", "Ein Satz"], "label": ["a", "b"]})
    assert reading.tokenizer(reading.read(letters, options), options) == "characters"
    assert reading.tokenizer(reading.read(words, options), options) == "words"
    assert reading.tokenizer(reading.read(letters, options), ClassifyOptions(stem="english")) == "words"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("name,kind\ng0,N\n", r"record 'g1' \(line 3\): .* has no label for it"),
        ("name,kind\ng0,N\ng0,EI\n", "'g0' has another label at line 2"),
        ("name\ng0\n", "it needs the records' names and their labels"),
    ],
)
def test_tables_of_labels_that_do_not_fit(tmp_path, rows: str, told: str) -> None:
    path, kinds = genes(tmp_path)
    kinds.write_text(rows)
    with pytest.raises(DataError, match=told):
        reading.read(path, ClassifyOptions(labels=str(kinds)))
