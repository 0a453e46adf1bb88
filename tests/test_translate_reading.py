"""Reading for the translator: tables, two files, lists, frames; sides that do not pair; faults by line."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatework.data import scripts
from gatework.errors import DataError
from gatework.tasks.translate import reading
from gatework.tasks.translate.alignment import parting
from gatework.tasks.translate.columns import names_columns

NONE = ("format", "encoding", "source_column", "target_column", "delimiter", "header", "quote")
DEFAULTS = {**dict.fromkeys(NONE), "bad_rows": "refuse", "bad_pairs": "refuse"}
PAIRS = [("ein Mann", "a man"), ("zwei Hunde", "two dogs")]


def options(**changed):
    return SimpleNamespace(**{**DEFAULTS, **changed})


def read(source, paired: bool = True, **changed):
    return reading.read(source, options(**changed), paired=paired)


def rows(pairs) -> list[tuple[str, str]]:
    return list(zip(pairs.sources, pairs.targets, strict=True))


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def told(pairs) -> dict[str, str]:
    """The messages of a check by level, one a line."""
    found: dict[str, str] = {}
    for each in reading.check(pairs):
        found[each.level] = found.get(each.level, "") + each.message + "\n"
    return found


# -- files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.tsv", "ein Mann\ta man\nzwei Hunde\ttwo dogs\n", 1),
        ("a.txt", "ein Mann\ta man\r\nzwei Hunde\ttwo dogs", 1),
        ("a.pairs", "ein Mann\ta man\nzwei Hunde\ttwo dogs\n", 1),
        ("a.tsv.gz", "source\ttarget\nein Mann\ta man\nzwei Hunde\ttwo dogs\n", 2),
        ("a.tsv", "German\tEnglish sentence\nein Mann\ta man\nzwei Hunde\ttwo dogs\n", 2),
        ("a.csv", "id,de,en\n7,ein Mann,a man\n8,zwei Hunde,two dogs\n", 2),
        ("a.csv", "en;source;target\nx;ein Mann;a man\nx;zwei Hunde;two dogs\n", 2),
        ("a.jsonl", '{"de": "ein Mann", "en": "a man"}\n\n{"de": "zwei Hunde", "en": "two dogs"}', 1),
        ("a.json", '[{"translation": {"de": "ein Mann", "en": "a man"}},\n{"translation": {"de": "zwei Hunde", '
                   '"en": "two dogs"}}]', 1),
    ],
)  # fmt: skip
def test_tables(tmp_path, name: str, text: str, line: int) -> None:
    found = read(file(tmp_path, name, "\ufeff" + text))
    assert rows(found) == PAIRS
    assert found.where(0) == f"{tmp_path / name}, line {line}"
    taken = found.take(np.array([1]))
    assert rows(taken) == PAIRS[1:] and taken.where(0) == found.where(1) != found.where(0)


def test_parquet_and_columns_by_name_and_number(tmp_path) -> None:
    pl.DataFrame({"n": [1, 2], "en": ["a man", "two dogs"], "de": ["ein Mann", "zwei Hunde"]}).write_parquet(
        tmp_path / "a.parquet"
    )
    assert rows(read(tmp_path / "a.parquet", source_column="de", target_column="2")) == PAIRS
    assert rows(read(tmp_path / "a.parquet", source_column="de")) == PAIRS
    assert rows(read(tmp_path / "a.parquet", target_column="de")) == [pair[::-1] for pair in PAIRS]
    assert any("not read: n" in note for note in read(tmp_path / "a.parquet").notes)
    with pytest.raises(DataError, match=r"no column 'dee'.*did you mean 'de'.*source_column='de'"):
        read(tmp_path / "a.parquet", source_column="dee")
    with pytest.raises(DataError, match=r"3 columns .*no number 4.*target_column=COLUMN"):
        read(tmp_path / "a.parquet", target_column="4")


def test_a_first_pair_is_no_header(tmp_path) -> None:
    text = "abandon\tAH B AE N D AH N\nabbey\tAE B IY\n"
    found = read(file(tmp_path, "a.tsv", text))
    assert found.sources == ["abandon", "abbey"] and found.where(0).endswith("line 1")
    assert any("first row is a pair" in note and "header=True" in note for note in found.notes)
    assert read(tmp_path / "a.tsv", header=True).sources == ["abbey"]
    assert read(tmp_path / "a.tsv", source_column="abandon").sources == ["abbey"]
    assert read(file(tmp_path, "b.tsv", "de\ten\nja\tyes\n"), header=False).sources == ["de", "ja"]


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["source", "target"], True),
        (["German text", "en"], True),
        (["word", "pronunciation (IPA)"], True),
        (["text", "abandon"], False),
        (["He is in a house from Rome", "Er ist in einem Haus"], False),
        (["sentence"], True),
    ],
)
def test_names_of_columns_are_known(cells: list[str], names: bool) -> None:
    assert names_columns(cells, ()) == names


def test_numbers_may_be_a_side(tmp_path) -> None:
    assert rows(read(file(tmp_path, "a.tsv", "12\ttwelve\n7\tseven\n"))) == [("12", "twelve"), ("7", "seven")]


def test_quotes_of_a_text_stay(tmp_path) -> None:
    text = "".join(f"{n} Wort\t{n} word\n" for n in range(1200)) + '"Ja", sagt er\t"Yes", he says\n"unquote\tend\n'
    assert rows(read(file(tmp_path, "a.tsv", text)))[-2:] == [('"Ja", sagt er', '"Yes", he says'), ('"unquote', "end")]


def test_two_files(tmp_path) -> None:
    first = file(tmp_path, "a.de.gz", "ein Mann\r\nzwei\u2028Hunde\r\n")
    second = file(tmp_path, "a.en", "a man\ntwo dogs")
    found = read((first, str(second)))
    assert rows(found) == [("ein Mann", "a man"), ("zwei\u2028Hunde", "two dogs")]
    assert found.where(1) == f"{first}, line 2 ({second}, line 2)" and found.form == "files"
    assert read((first, second), paired=False).sources == found.sources
    old = file(tmp_path, "old.de", "ein Mann\rzwei Hunde\r")
    assert rows(read((old, second))) == PAIRS


def test_blank_pairs_are_left_out_and_half_blank_ones_by_request(tmp_path) -> None:
    first, second = file(tmp_path, "a.de", "ein\n\n  \nvier\n \n"), file(tmp_path, "a.en", "one\n\nthree\nfour\n\n")
    found = read((first, second))
    assert found.sources == ["ein", "  ", "vier"] and found.where(2).startswith(f"{first}, line 4 ")
    assert any("2 pairs of which both sides is blank" in note and "line 2" in note for note in found.notes)
    message = told(found)["error"]
    assert f"{first}, line 3 ({second}, line 3): the source is empty" in message and "bad_pairs='skip'" in message
    skipped = read((first, second), bad_pairs="skip")
    assert rows(skipped) == [("ein", "one"), ("vier", "four")] and skipped.where(1).startswith(f"{first}, line 4 ")
    assert "error" not in told(skipped) and any("1 pairs of which a side" in note for note in skipped.notes)
    with pytest.raises(DataError, match="no pair with text on both sides"):
        read([("", "a"), ("b", " ")], bad_pairs="skip")


def test_without_targets_every_line_keeps_its_place(tmp_path) -> None:
    path = file(tmp_path, "new.de", "ein Mann\n\n  \nzwei Hunde\n")
    found = read(path, paired=False)
    assert found.sources == ["ein Mann", "", "  ", "zwei Hunde"] and found.targets is None
    assert found.where(3) == f"{path}, line 4" and found.form == "lines"
    assert read(["", "ja"], paired=False).sources == ["", "ja"]
    table = file(tmp_path, "new.csv", "id,de\n1,ein Mann\n2,zwei Hunde\n")
    assert read(table, paired=False, source_column="de").sources == ["ein Mann", "zwei Hunde"]
    assert read(file(tmp_path, "one.csv", "text\nja\nnein\n"), paired=False).sources == ["ja", "nein"]
    assert "no translations" in told(found)["error"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "ein Mann\nzwei Hunde\n", r"a.txt is one text a line.*second column.*--target FILE"),
        ("a.jsonl", '{"source": "ja"}\n', r"has one column \(source\).*--target FILE"),
        ("a.csv", "text\nja\nnein\n", r"has one column \(text\).*--target FILE"),
        ("a.tsv", "ja\tyes\nnein\nso\tso\n", r"line 2: 1 field.*bad_rows='skip'"),
        ("a.tsv", b"ja\tyes\nM\xe4nner\tmen\nnein\tno\n", r"line 2, character 2: byte 0xe4 is not utf-8.*cp1252"),
        ("a.tsv", "ja\tyes\nMä".encode()[:-1], r"line 2, character 2: the file ends within a character"),
        ("a.tsv", "Bär\tbear\nMä".encode()[:-1], r"line 2, .*; fetch it again, or delete the character$"),
        ("a.jsonl", '{"a": "x", "b": "y"}\n{"a": "\\ud800", "b": "z"}\n', "line 2: holds half a character"),
        ("a.fasta", ">a\nMKV\n", "read as fasta"),
        ("a.tsv", "\n \n", "is empty"),
    ],
)  # fmt: skip
def test_files_that_are_refused(tmp_path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(file(tmp_path, name, content))


def test_lines_of_an_old_macintosh_are_rows(tmp_path) -> None:
    found = read(file(tmp_path, "a.tsv", "ja\tyes\rnein\tno\r"))
    assert rows(found) == [("ja", "yes"), ("nein", "no")]
    assert found.where(1).endswith("line 2")


def test_a_table_is_no_side(tmp_path) -> None:
    table, other = file(tmp_path, "a.tsv", "ja\tyes\n"), file(tmp_path, "a.en", "yes\n")
    for sides in ((table, other), (other, table)):
        with pytest.raises(DataError, match=r"a\.tsv is a table by its name.*format='lines'"):
            read(sides)
    assert rows(read((table, other), format="lines")) == [("ja\tyes", "yes")]


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_side_that_is_always_the_same_is_told(side: str) -> None:
    pairs = [("ja", str(i)) if side == "source" else (str(i), "ja") for i in range(5)]
    assert f"every {side} is 'ja'" in told(read(pairs))["warning"]
    assert "every" not in "".join(told(read(pairs[:1])).values())


# -- sides that do not pair -----------------------------------------------------------------------------------


def sides(count: int = 200) -> tuple[list[str], list[str]]:
    """Texts of random lengths, and translations that are 1.2 times as long, but for some letters."""
    random = np.random.default_rng(0)
    lengths = random.integers(5, 80, count)
    return ["x" * n for n in lengths], ["y" * max(int(1.2 * n + random.normal(0, 2)), 1) for n in lengths]


@pytest.mark.parametrize("lost", [0, 1, 57, 150, 199])
@pytest.mark.parametrize("both", [0, 1])
def test_the_place_of_a_lost_line_is_found(lost: int, both: int) -> None:
    texts = [list(side) for side in sides()]
    del texts[both][lost]
    assert abs(parting(*texts) - lost) <= 2


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_the_place_is_always_one(first: int, second: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    texts = [["x" * n for n in random.integers(0, 9, count)] for count in (first, second)]
    assert 0 <= parting(*texts) <= min(first, second)


def test_counts_that_differ_are_told(tmp_path) -> None:
    texts = sides()
    del texts[1][120]
    first = file(tmp_path, "a.de", "\n".join(texts[0]))
    second = file(tmp_path, "a.en", "\n".join(texts[1]))
    with pytest.raises(DataError, match=r"a.de has 200 lines, but .*a.en has 199.*they part at line 12\d: 'x+' beside"):
        read((first, second))
    longer = file(tmp_path, "b.de", "\n".join(texts[0]) + "\n\n\n")
    with pytest.raises(DataError, match=r"b.de seems to have 2 blank line\(s\) too many at its end"):
        read((longer, first))
    with pytest.raises(DataError, match=r"list of sources has 2 texts, but the list of targets has 1"):
        read((["a", "b"], ["c"]))


# -- memory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        PAIRS,
        [list(pair) for pair in PAIRS],
        np.array(PAIRS),
        tuple(map(list, zip(*PAIRS, strict=True))),
        tuple(pd.Series(side) for side in zip(*PAIRS, strict=True)),
        tuple(np.array(side) for side in zip(*PAIRS, strict=True)),
        [{"de": first, "en": second} for first, second in PAIRS],
        {"de": [first for first, _ in PAIRS], "en": [second for _, second in PAIRS]},
        pl.DataFrame(PAIRS, schema=["de", "en"], orient="row"),
        pd.DataFrame(PAIRS, columns=["de", "en"], index=[7, 9]),
    ],
    ids=str,
)
def test_pairs_in_memory(source) -> None:
    found = read(source)
    assert rows(found) == PAIRS and found.form == "rows"
    assert read(source, paired=False).sources == [first for first, _ in PAIRS]
    assert read(found) is found and read(found, paired=False).targets is None


def test_what_is_absent_is_empty() -> None:
    assert rows(read([("a", None), ("b", "c")])) == [("a", ""), ("b", "c")]
    assert rows(read(pl.DataFrame({"source": ["a", None], "target": ["b", "c"]}))) == [("a", "b"), ("", "c")]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (["ja", "nein"], "2 texts without translations.*a pair of paths"),
        ([("a", "b"), ("c",)], r"pair 2: 1 part\(s\)"),
        (7, "cannot read pairs from int"),
        ([], "cannot read pairs from list"),
        ([("a", "b"), ("c", "\ud800")], "text 2 holds half a character"),
        ("nowhere.tsv", "no such file"),
        (("nowhere.de", "nowhere.en"), "nowhere.de: no such file"),
    ],
)
def test_what_is_no_pairs_in_memory(source, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(source)


# -- checks ---------------------------------------------------------------------------------------------------

WORDS = ["der", "die", "das", "Hund", "Katze", "Haus", "läuft", "schläft", "auf", "unter", "klein", "groß", "alt"]


def clean(count: int = 60) -> list[tuple[str, str]]:
    """Sentences of words that recur, and others as long."""
    random = np.random.default_rng(1)
    sentences = [" ".join(random.choice(WORDS, random.integers(4, 9))) for _ in range(count)]
    return [(f"{text} {number % 7}", f"{text.upper()} {number % 7}") for number, text in enumerate(sentences)]


def test_nothing_is_said_of_clean_pairs() -> None:
    assert not told(read(clean()))


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("ja", "a very long sentence that cannot be the translation of this"), "2 letters beside 59"),
        (("ein langer Satz über Hunde und Katzen und Häuser im Wald", "so"), "56 letters beside 2"),
        (("die Katze schläft", "кошка спит там"), r"the target \('кошка спит там'\) is not written .*\(latin\)"),
        (("кошка спит там", "THE CAT SLEEPS"), "the source .* is not written as the other sources"),
        (("Hund und Katze", "Hund und Katze"), r"source and target are the same \('Hund und Katze'\)"),
        (("Ã¼ber das Haus", "OVER THE HOUSE"), "the source holds characters lost"),
        (("das Haus ist\ufffd alt", "THE HOUSE IS OLD"), "the source holds characters lost"),
        (("wort " * 10_000, "WORD " * 10_000), "the source has 10,000 words.*max_length"),
    ],
)
def test_suspicious_pairs_are_warned_of_by_place(pair: tuple[str, str], message: str) -> None:
    pairs = clean()
    pairs[17:17] = [pair]
    found = told(read(pairs))
    assert list(found) == ["warning"]
    lines = found["warning"].splitlines()
    assert [line for line in lines if re.search(f"^pair 18: {message}", line)], lines
    assert all(line.startswith("pair 18: ") for line in lines), lines


def test_a_finding_names_a_few_places_and_the_count() -> None:
    pairs = clean()
    pairs[10:10] = [(f"Hund {n}", f"Hund {n}") for n in range(5)]
    (line,) = told(read(pairs))["warning"].splitlines()
    assert line.startswith("pair 11: source and target are the same ('Hund 0') (5 such pairs; also pair 12; pair 13); ")


def test_sides_that_are_all_the_same() -> None:
    assert "each source is its own target" in told(read([("a", "a"), ("b", "b")]))["warning"]


def test_repeated_pairs_and_sources_are_notes() -> None:
    found = told(read([("a", "b"), ("c", "d"), ("a", "b"), ("a", "e")]))
    assert list(found) == ["note"]
    assert "pair 3: the pair stands further up, too; they stay in one part" in found["note"]
    assert "pair 4: the source stands further up with another target" in found["note"]


def test_sources_of_another_part_that_are_learned() -> None:
    train, test = read([("a", "b"), ("c", "d")]), read([("e", "f"), ("c", "g")])
    (found,) = reading.overlap(train, test, "test")
    assert found.level == "warning" and found.message.startswith("pair 2: the source is in the training data, too; ")
    assert not reading.overlap(train, read([("b", "a")]), "test")


def test_a_vocabulary_full_of_words_that_stand_once() -> None:
    pairs = [(f"{first} {n}v {n}w {n}x {n}y {n}z", second) for n, (first, second) in enumerate(clean(400))]
    assert "words of the sources stand there once" in told(read(pairs))["warning"]
    assert not told(read([(f"w{n}", " ".join(f"w{n}")) for n in range(2000)])), "single words are no sentences"


def test_scripts_are_told_apart() -> None:
    texts = ["ein Satz", "日本語の文です", "カタカナ", "да", "12 + 3", "нет это так"]
    assert [scripts.script(letter) for letter in "éдカ7"] == ["LATIN", "CYRILLIC", "KATAKANA", ""]
    assert scripts.usual(texts) == {"LATIN", "CJK", "HIRAGANA", "KATAKANA", "CYRILLIC"}
    assert scripts.foreign(texts, {"LATIN", "CJK", "HIRAGANA"}).tolist() == [2, 5]
    assert scripts.usual(["", "1"]) == set() and not len(scripts.foreign([], {"LATIN"}))


def test_a_script_of_few_texts_is_not_usual() -> None:
    assert scripts.usual([*["ja"] * 19, "да да"]) == {"LATIN"}
