"""Odd and hostile files of data: refused in words, within seconds and a bounded amount of memory; never a raw error."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from children import child
from gatework.data.files import COLUMNS, read_bytes
from gatework.data.readers import read_table
from gatework.data.sequences import check_sequences, read_sequences
from gatework.errors import DataError

WIDE = range(COLUMNS + 1)
ODD = {
    "deep.jsonl": ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    "deep.json": ("[" * 100_000, "nested too deeply"),
    "objects.json": ('{"a": ' * 20_000 + "1" + "}" * 20_000, "nested too deeply"),
    "digits.jsonl": ('{"a": 1}\n{"a": ' + "1" * 5_000 + "}", "line 2: a number is too long"),
    "blank.csv": ('"', "has no rows"),
    "blank.txt": ("\u2028", "no line of text"),
    "empty.jsonl": ("{}\n{}\n", "no object has a field"),
    "surrogate.jsonl": (r'{"a": "\ud800"}', "half a character"),
    "ragged.jsonl": ("\n".join(json.dumps({f"c{i}": 1}) for i in range(3_000)), "3,000 different fields"),
    "wide.jsonl": (json.dumps({f"c{i}": 1 for i in WIDE}), "different fields"),
    "wide.csv": (",".join("1" for _ in WIDE), "line 1: 20,001 fields; 20,000 are read at most"),
    "wide.tsv": ("\t".join("1" for _ in WIDE), "20,000 are read at most"),
    "million.csv": ("," * 1_000_000, "20,000 are read at most"),
    "wide.ts": ("@data\n" + ":".join("1" for _ in range(COLUMNS + 2)), "more than 20,000 channels"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_data_is_refused_in_words(tmp_path: Path, name: str) -> None:
    text, words = ODD[name]
    (tmp_path / name).write_text(text)
    read = read_sequences if name.endswith(".ts") else read_table
    with pytest.raises(DataError, match=words):
        read(tmp_path / name)


def test_a_file_of_colons_has_a_sequence_without_steps(tmp_path: Path) -> None:
    (tmp_path / "colons.ts").write_text("@data\n" + ":" * 1_000 + "\n")
    (finding,) = check_sequences(read_sequences(tmp_path / "colons.ts"))
    assert finding.level == "error" and "sequence 1 has no steps" in finding.message


def test_a_table_of_a_label_alone_holds_no_sequences(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("label\na\nb\n")
    with pytest.raises(DataError, match="no column of numbers beside the label 'label'"):
        read_sequences(tmp_path / "a.csv")


def test_a_line_end_of_an_old_macintosh_within_a_title_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a title\rof two lines\nx,y\n1,2\n3,4\n")
    with suppress(DataError):
        read_table(tmp_path / "a.csv")


def test_values_of_no_common_type_are_texts(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": "x"}\n{"a": true}\n{"a": 1e999}\n{"a": null}\n')
    assert read_table(tmp_path / "a.jsonl").strings("a").null_count() == 1


def test_a_table_of_many_columns_is_read(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text(",".join(f"c{i}" for i in range(5_000)) + "\n" + ",".join("1" * 5_000) + "\n")
    table = read_table(tmp_path / "wide.csv")
    assert len(table.columns) == 5_000 and table.column("c4999").to_list() == ["1"]


@pytest.mark.parametrize("number", [10**40, -(10**30), 2**63])
def test_whole_numbers_beyond_64_bits_stay_apart(tmp_path: Path, number: int) -> None:
    (tmp_path / "ids.jsonl").write_text(f'{{"label": {number}}}\n{{"label": {number + 1}}}\n')
    assert read_table(tmp_path / "ids.jsonl").strings("label").to_list() == [str(number), str(number + 1)]


def test_infinite_labels_are_labels(tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text('{"label": 1e999}\n{"label": 2.0}\n{"label": 1e300}\n')
    assert read_table(tmp_path / "odd.jsonl").strings("label").to_list() == ["inf", "2.0", "1e+300"]


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"a,b\n" * 30_000_000))
    with pytest.raises(DataError, match="unpack to more than 104,857,600, hardly data"):
        read_bytes(tmp_path / "bomb.csv.gz")


def test_a_workbook_that_unpacks_to_something_huge_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"<row/>" * 20_000_000)
    with pytest.raises(DataError, match="unpack to more than 104,857,600"):
        read_table(tmp_path / "bomb.xlsx")


def test_a_small_packed_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 10_000))  # packed 400 times
    assert read_bytes(tmp_path / "rows.csv.gz") == b"a,b\n1,2\n" * 10_000


@pytest.mark.skipif(os.name != "posix", reason="pipes with names are POSIX's")
def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", Path("/dev/zero")):
        with pytest.raises(DataError, match="is a pipe or a device"):
            read_table(path)


LIMITED = """
import resource, sys
from gatework.data.readers import read_table
from gatework.errors import DataError
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)
try: read_table(sys.argv[1])
except DataError as error: print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux how much memory it has")
@pytest.mark.parametrize("row", ["a,b\n", '{"a": 1}\n'])
def test_where_memory_ends_the_process_lives(tmp_path: Path, row: str) -> None:
    path = tmp_path / ("rows.jsonl" if row.startswith("{") else "rows.csv")
    path.write_text(row * 4_000_000)
    with child("-c", LIMITED, str(path)) as process:
        out, err = process.communicate(timeout=100)
    assert process.returncode == 0 and "needs more memory than this process may have" in out, err[-500:]
