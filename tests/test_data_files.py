"""Readers: what every kind of file gives, and how each fault is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gatework.data.columns import infer_columns, infer_text
from gatework.data.readers import read_table
from gatework.data.sequences import check_sequences, read_sequences
from gatework.errors import DataError, OptionError

ROWS = [("a good film", "pos"), ('say "no", twice', "neg"), ("two\nlines", "pos"), ("näïve", "neg")]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def as_file(folder: Path, kind: str) -> Path:
    frame = pl.DataFrame(ROWS, schema=["review", "mood"], orient="row")
    path = folder / f"data.{kind}"
    if kind == "csv":
        frame.write_csv(path)
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    elif kind == "tsv":
        frame.write_csv(path, separator="\t")
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in frame.to_dicts()))
    else:
        frame.write_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path, kind):
    table = read_table(as_file(tmp_path, kind))
    assert table.frame.rows() == ROWS
    assert infer_columns(table)[:2] == ("review", "mood")


def test_frames_and_columns_in_memory_give_the_same_rows():
    frame = pl.DataFrame(ROWS, schema=["review", "mood"], orient="row")
    pandas = pd.DataFrame(ROWS, columns=["review", "mood"], index=list("wxyz"))
    for source in (frame, pandas, frame.to_dict(as_series=False)):
        assert read_table(source).frame.rows() == ROWS
    assert read_table(pandas).where(1) == "the pandas frame, row 2 (index x)"


def test_a_row_knows_its_line_past_line_breaks_and_after_a_choice(tmp_path):
    table = read_table(as_file(tmp_path, "csv"))
    assert [table.place_of(i) for i in range(4)] == ["line 2", "line 3", "line 4", "line 6 (row 5 in a spreadsheet)"]
    assert table.take([3, 0]).where(0).endswith("line 6 (row 5 in a spreadsheet)")
    assert table.take([3, 0]).take([1]).where(0).endswith("line 2")


def test_a_blank_line_is_a_row_of_a_spreadsheet_a_line_break_in_a_cell_is_not(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('text,label\n\n"two\nlines",a\n"",b\nlast,a\n')
    table = read_table(path)
    assert [table.place_of(i) for i in range(3)] == ["line 3"] + [
        f"line {line} (row {line - 1} in a spreadsheet)" for line in (5, 6)
    ]
    path.write_text('text,label\n"two\nlines",a\nb\nc,a\n')
    with pytest.raises(DataError, match=r"rows.csv, line 4 \(row 3 in a spreadsheet\): 1 field"):
        read_table(path)


@pytest.mark.parametrize(("delimiter"), [",", ";", "\t", "|"])
def test_delimiters_are_found(tmp_path, delimiter):
    rows = [f"x{i} and, y{delimiter}{i}" for i in range(5)] if delimiter != "," else [f"x,{i}" for i in range(5)]
    table = read_table(write(tmp_path / "a.csv", f"text{delimiter}label\n" + "\n".join(rows)))
    assert table.columns == ["text", "label"]
    assert len(table) == 5


def test_headers_are_found_missing_and_can_be_forced(tmp_path):
    path = write(tmp_path / "a.tsv", "ham\thello\nspam\tbuy\nham\tbye\n")
    assert len(read_table(path)) == 3
    assert infer_columns(read_table(path))[:2] == ("column_2", "column_1")
    assert read_table(path, header=True).columns == ["ham", "hello"]


def test_lines_with_labels_first_are_seen(tmp_path):
    lines = "\n".join(f"{i % 2} text number {i}" for i in range(30))
    table = read_table(write(tmp_path / "a.txt", lines))
    assert table.frame.row(3) == ("1", "text number 3")
    assert read_table(tmp_path / "a.txt", format="lines").columns == ["text"]
    fast = read_table(write(tmp_path / "b.train", "__label__pos good\n__label__neg bad"))
    assert fast.frame.rows() == [("pos", "good"), ("neg", "bad")]


def test_folders_of_texts(tmp_path):
    for label in ("pos", "neg"):
        (tmp_path / "a" / label).mkdir(parents=True)
        write(tmp_path / "a" / label / "1.txt", f"{label} text\nmore")
    table = read_table(tmp_path / "a")
    assert table.frame.rows() == [("neg", "neg text\nmore"), ("pos", "pos text\nmore")]
    assert table.where(1).endswith("pos/1.txt")
    (tmp_path / "b").mkdir()
    write(tmp_path / "b" / "Dutch.txt", "Aalst\nBakker\n")
    assert read_table(tmp_path / "b").frame.rows() == [("Dutch", "Aalst"), ("Dutch", "Bakker")]


FAULTS = {
    "empty.csv": (b"", "empty"),
    "blank.csv": (b" \n\n", "empty"),
    "latin.csv": (
        "text,label\ncafé,a\n".encode("latin-1"),
        "line 2, character 4: byte 0xe9.*'café,a'.*--set encoding=cp1252",
    ),
    "utf16.csv": ("text,label\ncafé,a\n".encode("utf-16-le"), "utf-16"),
    "long.csv": (b"text,label\na,b\nc,d,e\nf,g\n", "line 3: 3 field.*others have 2.*'c . d . e'.*quotes"),
    "short.csv": (b"text,label\na,b\nlonely\nf,g\n", "line 3: 1 field.*bad_rows=join"),
    "header.csv": (b"text,label\n", "no rows"),
    "twice.csv": (b"text,text\na,b\n", "two columns are called 'text'"),
    "bad.jsonl": (b'{"text": "a"}\n{"text": \n', "line 2, character"),
    "list.jsonl": (b'{"text": "a"}\n[1]\n', "line 2.*not an object"),
    "cut.parquet": (b"PAR1 but not all of it", "cut short"),
    "cut.csv.gz": (gzip.compress(b"text,label\n" * 100)[:40], "damaged or cut short"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_files_are_named_with_their_line(tmp_path, name):
    data, message = FAULTS[name]
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path / name, data))


@pytest.mark.parametrize("text", ["a text", "It was good. Really. ", "so long a text " * 50])
def test_a_text_in_place_of_a_path_is_told_to_stand_in_a_list(text):
    with pytest.raises(DataError, match=rf"file.*; for one text pass a list: \['{text[:30]}"):
        read_table(text)


def test_a_missing_file_is_no_text(tmp_path):
    with pytest.raises(DataError) as told:
        read_table(tmp_path / "my reviews.csv")
    assert str(told.value) == f"{tmp_path}/my reviews.csv: no such file"


def test_missing_files_columns_and_options_say_what_is_near(tmp_path):
    path = write(tmp_path / "reviews.csv", "review,mood\na b,c\n")
    with pytest.raises(DataError, match=r"no such file; did you mean 'reviews.csv'"):
        read_table(tmp_path / "review.csv")
    with pytest.raises(DataError, match=r"it has review, mood; did you mean 'review'\? Then say text='review' \(in a"):
        infer_columns(read_table(path), text="reviw")
    with pytest.raises(DataError, match=r"name the one that is meant: label=COLUMN \(in a command: --set label=COL"):
        infer_columns(read_table(path), label="stars")
    with pytest.raises(OptionError, match="format cannot be 'xls'"):
        read_table(path, format="xls")
    with pytest.raises(DataError, match="Python knows no encoding called 'utf-9'"):
        read_table(path, encoding="utf-9")
    with pytest.raises(DataError, match="cannot read rows from int"):
        read_table(3)


def test_broken_rows_can_be_skipped_or_joined(tmp_path):
    path = write(tmp_path / "sms", "ham\thello\nand more\nspam\tbuy\nham\tyes\nham\tno\nspam\tnow\n")
    assert read_table(path, bad_rows="skip").frame.rows()[:2] == [("ham", "hello"), ("spam", "buy")]
    assert read_table(path, bad_rows="join").frame.row(0) == ("ham", "hello and more")


def test_the_text_column_of_new_data():
    assert infer_text(read_table({"id": ["1"], "body": ["b"]})) == "body"
    with pytest.raises(DataError, match="no column 'review'"):
        infer_text(read_table({"id": ["1"], "body": ["b"]}), "review")


TS = "@problemName x\n@timestamps false\n@classLabel true a b\n@data\n"


def test_ts_files_hold_channels_of_any_length(tmp_path):
    found = read_sequences(write(tmp_path / "x.ts", TS + "1,2,3:4,5,6:a\n7:8:b\n"))
    assert found.labels.to_list() == ["a", "b"]
    np.testing.assert_array_equal(found.values[0], [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(found.values[1], [[7, 8]])
    assert found.where(1, 0).endswith("line 6, step 1")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1,x:a", "line 5, channel 1, step 2: 'x' is not a number"),
        ("1,2:3:a", r"line 5: channels have different numbers of steps \(2, 1\)"),
        ("1:2:a\n1:b", "line 6: 1 channels where line 5 has 2"),
        ("", "no sequence follows"),
    ],
)
def test_faults_of_ts_files(tmp_path, body, message):
    with pytest.raises(DataError, match=message):
        read_sequences(write(tmp_path / "x.ts", TS + body + "\n"))


def test_long_tables_are_sorted_by_time_and_keep_their_lines(tmp_path):
    path = write(tmp_path / "x.csv", "id,t,x,y,gesture\nb,2,4,9,up\nb,1,3,9,up\na,1,1,9,down\n")
    found = read_sequences(path)
    assert found.labels.to_list() == ["up", "down"]
    np.testing.assert_array_equal(found.values[0], [[3, 9], [4, 9]])
    assert found.where(0, 0).endswith("line 3 (id 'b')")
    with pytest.raises(DataError, match=r"line 3, column 'gesture': 'down', but the sequence 'a' began with 'up'"):
        read_sequences(write(tmp_path / "y.csv", "id,t,x,gesture\na,1,1,up\na,2,1,down\n"))
    with pytest.raises(DataError, match=r"line 13, column 'x': 'oops' is not a number"):
        rows = "".join(f"a,{i},{'oops' if i == 11 else i},up\n" for i in range(20))
        read_sequences(write(tmp_path / "z.csv", "id,t,x,gesture\n" + rows))


def test_bad_values_in_sequences_are_found_with_place():
    arrays = [np.zeros((3, 2)), np.array([[1, 2], [np.nan, 3]]), np.zeros((0, 2)), np.full((1, 2), np.inf)]
    found = check_sequences(read_sequences(arrays))
    messages = " ".join(finding.message for finding in found if finding.level == "error")
    assert "sequence 2, step 2, 'channel 1': NaN" in messages
    assert "sequence 4, step 1, 'channel 1': inf" in messages
    assert "sequence 3 has no steps" in messages
    assert [f.level for f in check_sequences(read_sequences(arrays[:2]), "interpolate")] == ["note"]
    with pytest.raises(DataError, match="sequence 2 has 3 channels, sequence 1 has 2"):
        read_sequences([np.zeros((2, 2)), np.zeros((2, 3))])


def test_utf8_is_not_read_as_letters_of_one_byte(tmp_path):
    """A run learned from a file in cp1252; the next file is UTF-8."""
    path = write(tmp_path / "next.csv", "shop,sales\nSüd,1\n".encode())
    with pytest.raises(DataError, match=r"is UTF-8, and would be read as cp1252; pass .*--set encoding=utf-8"):
        read_table(path, encoding="cp1252")
    assert read_table(write(tmp_path / "own.csv", "shop\nSüd\n".encode("cp1252")), encoding="cp1252").where(0)
