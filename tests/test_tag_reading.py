"""Reading for the tagger: columns, CoNLL-U, objects, texts with spans, FASTA pairs, raw text; and answers as files."""

from __future__ import annotations

import gzip
import json
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatework.errors import DataError, OptionError
from gatework.runtime.texts import tokens
from gatework.tasks.tag import reading, spans, writing
from gatework.tasks.tag.layout import Layout

DEFAULTS = {
    **dict.fromkeys(("format", "column", "token_column", "label", "tags", "mask", "encoding")),
    "scheme": "auto",
    "bad_spans": "refuse",
    "features": ("all",),
}


def options(**changed):
    return SimpleNamespace(**{**DEFAULTS, **changed})


def read(folder, text: str, name: str = "a.conll", **changed):
    path = folder / name
    path.write_bytes(text.encode())
    how = {key: changed.pop(key) for key in ("tagged", "like") if key in changed}
    return reading.read(path, options(**changed), **how)


# -- columns ------------------------------------------------------------------------------------------------


def test_columns_between_blanks(tmp_path) -> None:
    text = "\ufeff-DOCSTART- -X- O\r\n\r\nÉmile NNP  B-PER\r\nslept VBD O\r\n \t \r\n\r\nGo VB O"
    found = read(tmp_path, text)
    assert found.tokens == ["Émile", "slept", "Go"] and found.lengths.tolist() == [2, 1]
    assert found.tags == ["B-PER", "O", "O"] and found.features == {"column 2": ["NNP", "VBD", "VB"]}
    assert found.where(2) == f"{tmp_path}/a.conll, line 7" and found.scheme == "IOB2" and found.form == "conll"
    assert any("1 -DOCSTART- lines left out (first: line 1)" in note for note in found.notes)


def test_tokens_between_tabs_may_hold_white_space(tmp_path) -> None:
    found = read(tmp_path, "New York\tB-LOC\n\u00a0\tO\n#tag\tO\n\t\n#fun\tO\nx\u2028y\tO\t\n", "a.tsv")
    assert found.tokens == ["New York", "\u00a0", "#tag", "#fun", "x\u2028y"] and found.lengths.tolist() == [3, 2]


def test_comments_are_left_out_and_marks_are_tokens(tmp_path) -> None:
    found = read(tmp_path, "# id = 7 a\nAda B-PER\n# O\n\n# a long comment\n# O\nGo O\n")
    assert found.tokens == ["Ada", "#", "#", "Go"] and found.lengths.tolist() == [2, 2]
    assert found.where(0).endswith("line 2") and any("2 comments left out" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Ada B-PER\nslept\n", r"a.conll, line 2: 1 column \('slept'\), but line 1 has 2"),
        ("Ada X B-PER\n\nslept O\nGo O\n", r"line 3: 2 columns .*line 1 has 3 \(2 such lines; the next: line 4\)"),
        ("Ada\tO\n\tO\n", "line 2, column 1: empty"),
        ("Ada\nslept\n", r"line 1: has one column \(column 1\)"),
        ("\n\n \n-DOCSTART- O\n", "no line with a token"),
    ],
)
def test_columns_that_are_refused(tmp_path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read(tmp_path, text)


def test_a_header_names_columns(tmp_path) -> None:
    text = "id word pos ner\n1 Ada NNP B-PER\n2 slept VBD O\n\n1 Go VB O\n"
    found = read(tmp_path, text, column="ner", token_column="word")
    assert found.tokens == ["Ada", "slept", "Go"] and list(found.features) == ["pos"]
    assert read(tmp_path, "word tag\nAda B-PER\n\nGo O\n").lengths.tolist() == [1, 1]
    with pytest.raises(DataError, match=r"no column 'nerr': .* did you mean 'ner'"):
        read(tmp_path, text, column="nerr", token_column="word")


def test_a_column_that_counts_holds_no_tokens(tmp_path) -> None:
    found = read(tmp_path, "1 Ada B-PER\n2 slept O\n\n1 Go O\n")
    assert found.tokens == ["Ada", "slept", "Go"] and not found.features


def test_columns_after_the_tags_are_not_read(tmp_path) -> None:
    text = "Ada NNP B-NP B-PER\nslept VBD B-VP O\n"
    found = read(tmp_path, text, column="2")
    assert found.tags == ["NNP", "VBD"] and not found.features and found.scheme == "plain"
    assert any("not read: column 3, column 4" in note for note in found.notes)
    assert list(read(tmp_path, text, column="2", features=("3",)).features) == ["column 3"]
    assert list(read(tmp_path, text).features) == ["column 2", "column 3"]
    assert not read(tmp_path, text, features=("none",)).features


def test_a_file_to_predict_may_lack_the_tags(tmp_path) -> None:
    like = read(tmp_path, "Ada NNP B-PER\nslept VBD O\n")
    found = read(tmp_path, "Go VB\nAway VB\n", tagged=False, like=like, name="new.conll")
    assert found.tags is None and found.features == {"column 2": ["VB", "VB"]} and found.scheme == "IOB2"
    assert read(tmp_path, "Go VB O\n", tagged=False, like=like).tags == ["O"]
    assert read(tmp_path, "Go\nAway\n", tagged=False).tags is None


def test_a_file_to_predict_may_have_a_header_without_the_tags(tmp_path) -> None:
    train = read(tmp_path, "word lemma ner\nAda ada B\nslept sleep O\nGo go O\n", column="ner")
    found = read(tmp_path, "word lemma\nAda ada\n", tagged=False, like=train, column="ner")
    assert found.tokens == ["Ada"] and found.features == {"lemma": ["ada"]} and found.tags is None


def test_raw_text_with_lines_of_as_many_words_is_no_columns(tmp_path) -> None:
    train = read(tmp_path, "Ada B-PER\nslept O\n")
    for text in ("I live in {}.\n", "{}\n"):
        lines = "".join(text.format(city) for city in ("Rome", "Bonn", "Oslo", "Bern", "Riga"))
        assert read(tmp_path, lines, "a.txt", tagged=False, like=train).form == "text"
    for text in ("a X\nb X\nc Y\nd X\ne X\n", "a\nb\n\nc\nd\ne\n", "a\tv\nb\tw\nc\tx\nd\ty\ne\tz\n"):
        assert read(tmp_path, text, "a.txt", tagged=False, like=train).form == "conll"


def test_another_file_has_the_scheme_of_the_training_where_it_fits(tmp_path) -> None:
    iob1 = read(tmp_path, "a I-x\nb O\nc I-x\nd B-x\n")
    assert iob1.scheme == "IOB1"
    assert read(tmp_path, "a O\nb O\n", like=iob1).scheme == "IOB1"
    assert read(tmp_path, "a B-x\nb I-x\n", like=iob1).scheme == "IOB2"


CONLLU = """# sent_id = 1
1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tdo\tdo\tAUX\tVB\tA=b\t0\troot\t_\t_
2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_
2.1\tx\tx\tX\t_\t_\t_\t_\t_\t_

# text = #1 a b
1\t10 000\t10\tNUM\t_\t_\t0\troot\t_\t_
"""


def test_conllu(tmp_path) -> None:
    path = tmp_path / "a.conllu.gz"
    with gzip.open(path, "wt") as file:
        file.write(CONLLU)
    found = reading.read(path, options())
    assert found.tokens == ["do", "n't", "10 000"] and found.tags == ["AUX", "PART", "NUM"] and not found.features
    assert found.where(2).endswith("line 8") and found.form == "conllu" and found.scheme == "plain"
    xpos = read(tmp_path, CONLLU, "a.txt", column="xpos", features=("upos",))
    assert xpos.tags == ["VB", "RB", None] and xpos.features == {"upos": ["AUX", "PART", "NUM"]}
    assert read(tmp_path, CONLLU, "a.conllu", column="6").tags == ["A=b", "_", "_"]
    with pytest.raises(DataError, match=r"no column 'upo'.*did you mean 'upos'"):
        read(tmp_path, CONLLU, "a.conllu", column="upo")


@pytest.mark.parametrize("line", ["2\tx\tx", "x\t" * 9 + "x", "2 x x"])
def test_conllu_that_is_refused(tmp_path, line: str) -> None:
    with pytest.raises(DataError, match=r"a\.conllu, line 10: "):
        read(tmp_path, f"{CONLLU}\n{line}\n", "a.conllu")


# -- objects ------------------------------------------------------------------------------------------------


def lines(*objects: dict) -> str:
    return "".join(f"{json.dumps(each)}\n" for each in objects)


def test_lines_of_json(tmp_path) -> None:
    text = lines(
        {"tokens": ["Ada", "slept"], "tags": ["B-PER", "O"], "intent": "tell"}, {"tokens": ["Go"], "tags": ["O"]}
    )
    found = read(tmp_path, text, "a.jsonl", label="intent")
    assert found.tokens == ["Ada", "slept", "Go"] and found.labels == ["tell", None] and found.form == "jsonl"
    assert found.where(2) == f"{tmp_path}/a.jsonl, line 2, token 1"
    assert [f.message for f in reading.check(found)] == [
        f"{found.where(2)}: the sentence has no label; fill it in or delete the sentence"
    ]
    assert any("--set label=intent" in note for note in read(tmp_path, text, "a.jsonl").notes)
    assert read(tmp_path, f"[{text.strip().replace(chr(10), ',')}]", "a.json").tokens == found.tokens


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        ([{"tokens": ["a"], "tags": ["O"]}, {"tokens": ["a", "b"], "tags": ["O"]}], "line 2: 2 tokens, but 1 tags"),
        ([{"tokens": ["a"], "tags": ["O"]}, {"tokens": ["a"]}], "line 2: has no field 'tags'"),
        ([{"tokens": ["a", " "], "tags": ["O", "O"]}], "line 1, token 2: ' ' is no token"),
        ([{"tokens": ["a"], "ner_tags": ["O"], "pos_tags": ["X"]}], "ner_tags, pos_tags could be the tags; .*column="),
        ([{"tokens": ["a"]}], "has no tags"),
        ([{"sentence": "a"}], "neither tokens nor a text"),
        ([{"tokens": [], "tags": []}], "no token"),
        ([{"tokens": ["a", "\ud83d"], "tags": ["O", "O"]}], "line 1, token 2: holds half a character"),
        ([{"tokens": ["a", "b"], "tags": ["O", ""]}], "line 1, token 2: the tag '' is empty"),
    ],
)
def test_objects_that_are_refused(tmp_path, objects: list[dict], told: str) -> None:
    with pytest.raises(DataError, match=told):
        read(tmp_path, lines(*objects), "a.jsonl")


def test_empty_sentences_are_left_out_with_a_warning(tmp_path) -> None:
    text = lines({"tokens": [], "tags": []}, {"tokens": ["a", "b"], "tags": ["X", "Y"]})
    with pytest.warns(UserWarning, match="1 sentences without tokens are left out .first: line 1."):
        found = read(tmp_path, text, "a.jsonl")
    assert len(found) == 1 and found.where(1).endswith("line 2, token 2")


def test_sources_in_memory_say_the_same(tmp_path) -> None:
    words, marks = [["Ada", "slept"], ["Go"]], [["B-PER", "O"], ["O"]]
    objects = [{"tokens": w, "tags": m} for w, m in zip(words, marks, strict=True)]
    arrays = [np.array(row, object) for row in words], [np.array(row) for row in marks]
    pl.DataFrame(objects).write_parquet(tmp_path / "a.parquet")
    sources = (objects, (words, marks), arrays, pl.DataFrame(objects), pd.DataFrame(objects), tmp_path / "a.parquet")
    for source in sources:
        found = reading.read(source, options())
        assert (found.tokens, found.tags, found.lengths.tolist()) == (
            ["Ada", "slept", "Go"],
            ["B-PER", "O", "O"],
            [2, 1],
        )
        assert found.where(2).endswith("sentence 2, token 1")
    assert reading.read(words, options(), tagged=False).tokens == ["Ada", "slept", "Go"]
    with pytest.raises(DataError, match="2 lists of tokens, but 1 lists of tags"):
        reading.read((words, marks[:1]), options())
    with pytest.raises(DataError, match="cannot read sentences from int"):
        reading.read(3, options())


# -- spans of characters ------------------------------------------------------------------------------------


def test_spans_become_tags_and_come_back(tmp_path) -> None:
    text = "Ada Lovelace (London) slept; naïve 👩‍🔬 Zoë's 5mg."
    unit = text.index("mg")
    spans = [[0, 12, "PER"], [14, 20, "LOC"], {"start": unit, "end": unit + 2, "label": "UNIT"}]
    found = read(tmp_path, lines({"text": text, "spans": spans}), "a.jsonl")
    assert found.texts == [text] and found.spans is not None and found.form == "spans" and found.scheme == "IOB2"
    assert [text[start:stop] for start, stop in found.spans] == found.tokens
    assert [(token, tag) for token, tag in zip(found.tokens, found.tags or [], strict=True) if tag != "O"] == [
        ("Ada", "B-PER"),
        ("Lovelace", "I-PER"),
        ("London", "B-LOC"),
        ("mg", "B-UNIT"),
    ]
    (row,) = writing.rows(
        found, [str(tag) for tag in found.tags or []], "spans", confidence=np.linspace(0.5, 1, len(found.tokens))
    )
    assert [(s["start"], s["end"], s["label"]) for s in row["spans"]] == [
        (0, 12, "PER"),
        (14, 20, "LOC"),
        (unit, unit + 2, "UNIT"),
    ]
    assert row["spans"][0] == {"start": 0, "end": 12, "label": "PER", "text": "Ada Lovelace", "confidence": 0.5}


@pytest.mark.parametrize(
    ("spans", "told"),
    [
        ([[0, 13, "A"], [8, 18, "B"]], "[8, 18] B 'slept well' overlaps [0, 13] A 'Johnson slept'; a tagger gives"),
        ([[0, 7, "A"], [0, 7, "B"]], "[0, 7] B 'Johnson' overlaps [0, 7] A 'Johnson'"),
        ([[0, 18, "A"], [8, 13, "B"]], "[8, 13] B 'slept' overlaps [0, 18] A 'Johnson slept well'"),
        ([[0, 4, "A"]], "[0, 4] A 'John' cuts a token; the nearest that does not is [0, 7] 'Johnson'"),
        ([[5, 10, "A"]], "[5, 10] A 'on sl' cuts a token; the nearest that does not is [0, 13] 'Johnson slept'"),
        ([[0, 99, "A"]], "[0, 99] A lies beyond the text, which has 18 characters"),
        ([[-2, 3, "A"]], "[-2, 3] A lies beyond the text"),
        ([[3, 3, "A"]], "[3, 3] A is empty"),
        ([[7, 8, "A"]], "[7, 8] A ' ' holds no token"),
    ],
)
def test_faulty_spans_are_named(tmp_path, spans: list, told: str) -> None:
    text = lines({"text": "ok", "spans": [[0, 2, "A"]]}, {"text": "Johnson slept well", "spans": spans})
    with pytest.raises(DataError) as error:
        read(tmp_path, text, "a.jsonl")
    assert f"a.jsonl, line 2: the span {told}" in str(error.value) and "bad_spans=skip" in str(error.value)
    with pytest.warns(UserWarning, match=r"1 spans are left out; .*\n.*line 2: the span"):
        found = read(tmp_path, text, "a.jsonl", bad_spans="skip")
    assert found.tags is not None and found.tags[0] == "B-A" and found.tokens == ["ok", "Johnson", "slept", "well"]


def test_tokens_of_a_left_out_span_do_not_count() -> None:
    places = tokens.cut("Johnson slept well")
    tags, faults = spans.tags_of([spans.Span(0, 13, "A"), spans.Span(8, 18, "B")], places, "Johnson slept well")
    assert tags == ["B-A", "I-A", None] and len(faults) == 1
    assert spans.tags_of([spans.Span(0, 8, "A")] * 2, places, "Johnson slept well") == (["B-A", "O", "O"], [])


@pytest.mark.parametrize("span", [[0, 3], ["0", 3, "A"], [0, 3, ""], {"start": 0}, 7, [0, True, "A"]])
def test_what_is_no_span(tmp_path, span) -> None:
    with pytest.raises(DataError, match=r"line 1: .* is no span"):
        read(tmp_path, lines({"text": "Ada", "spans": [span]}), "a.jsonl")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_tokens_cover_all_but_white_space(text: str) -> None:
    for style in (tokens.PLAIN, tokens.Style("-'’_.@#/", True, True, ("Mr.", "U.S."))):
        places = tokens.cut(text, style)
        ends = [0, *(end for place in places for end in place), len(text)]
        assert ends == sorted(ends) and all(start < stop for start, stop in places)
        between = "".join(text[start:stop] for start, stop in zip(ends[::2], ends[1::2], strict=True))
        assert not between.translate({0x200B: None, 0xFEFF: None}).strip()
        assert sum(tokens.sentences(text, places, style)) == len(places)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Go, now!", "Go|,|now|!"),
        ("ataxia-telangiectasia (A-T)", "ataxia|-|telangiectasia|(|A|-|T|)"),
        ("3.5% of 1,000 at 10:30", "3.5|%|of|1,000|at|10:30"),
        ("Smith's dog", "Smith|'s|dog"),
        ("wait... what?!", "wait|...|what|?|!"),
        ("日本へ 行く", "日|本|へ|行|く"),
        ("हिन्दी e\u0301te", "हिन्दी|e\u0301te"),
        ("😀😀 👨‍👩‍👧", "😀|😀|👨‍👩‍👧"),
    ],
)
def test_how_texts_are_cut(text: str, cut: str) -> None:
    assert "|".join(text[start:stop] for start, stop in tokens.cut(text)) == cut


def test_new_text_is_cut_as_the_training_was() -> None:
    given = ["well-known", "Mr.", "did", "n't", "5th", "@ada", "http://a.b", "U.S.", "."] * 3
    style = tokens.Style.of(given)
    text = "Mr. Ada-Lou didn't see @bob_x's 6th U.S. site http://x.y/z?a=1. Done."
    assert "|".join(text[start:stop] for start, stop in tokens.cut(text, style)) == (
        "Mr.|Ada-Lou|did|n't|see|@bob_x|'s|6th|U.S.|site|http://x.y/z?a=1|.|Done|."
    )
    assert tokens.Style.of(["ataxia", "-", "x"] * 3) == tokens.PLAIN


def test_raw_text_becomes_sentences_and_keeps_its_characters(tmp_path) -> None:
    text = 'Mr. Smith left. "He saw J. Doe!" she said.\r\n\r\nNew line\n'
    like = read(tmp_path, "Mr. O\nSmith B-x\n. O\n" * 2)
    found = read(tmp_path, text, "new.txt", tagged=False, like=like)
    assert found.tokens == [
        *["Mr.", "Smith", "left", ".", '"', "He", "saw", "J", ".", "Doe", "!", '"', "she", "said", ".", "New", "line"]
    ]
    assert found.lengths.tolist() == [4, 11, 2]
    assert found.form == "text" and found.tags is None and found.scheme == "IOB2"
    assert found.texts is not None and found.spans is not None
    owners = np.repeat(np.arange(len(found)), found.lengths)
    assert [found.texts[o][a:b] for o, (a, b) in zip(owners, found.spans, strict=True)] == found.tokens
    assert found.where(len(found.tokens) - 1).endswith("line 3")
    rows = writing.rows(found, ["B-x"] * len(found.tokens), "spans")
    assert [row["text"] for row in rows] == [text.split("\r\n")[0], "New line"]
    assert "".join(span["text"] for span in rows[0]["spans"]) == text.split("\r\n")[0].replace(" ", "")
    again = reading.read(["New line"], options(), tagged=False, like=like)
    assert again.tokens == ["New", "line"]
    with pytest.raises(DataError, match="raw text, without tags"):
        reading.read(["New line"], options())


def test_equal_lines_stay_apart_in_the_answers() -> None:
    found = reading.read(["Go. Go", "Go. Go"], options(), tagged=False)
    assert len(found) == 4
    assert [row["text"] for row in writing.rows(found, ["X"] * 6, "spans")] == ["Go. Go", "Go. Go"]


# -- FASTA --------------------------------------------------------------------------------------------------


def pair(folder, tags: str = ">b\nHH\n>a\nHEC\n", mask: str | None = None, letters: str = ">a\nMkV\n>b\nLL\n", **how):
    (folder / "a.fasta").write_text(letters)
    (folder / "tags.fasta").write_text(tags)
    (folder / "mask.fasta").write_text(mask or "")
    named = {"tags": str(folder / "tags.fasta")} | ({"mask": str(folder / "mask.fasta")} if mask else {})
    return reading.read(folder / "a.fasta", options(**named, **how))


def test_a_fasta_pair_is_matched_by_name(tmp_path) -> None:
    found = pair(tmp_path, mask=">a\n011\n>b\n11\n")
    assert found.tokens == list("MKVLL") and found.tags == [None, "E", "C", "H", "H"] and found.names == ["a", "b"]
    assert found.scheme == "plain" and found.where(4) == f"{tmp_path}/a.fasta, record 'b' (line 3), letter 2"
    assert any("lower case" in note for note in found.notes) and found.parts is None
    assert writing.written(found, list("HECHH"), "fasta") == ">a\nHEC\n>b\nHH\n"


def test_headers_name_the_parts(tmp_path) -> None:
    tags = ">a SET=train VALIDATION=False\nHEC\n>b SET=train VALIDATION=True\nHH\n"
    assert pair(tmp_path, tags).parts == ["train", "valid"]
    assert pair(tmp_path, tags.replace("train VALIDATION=True", "test")).parts == ["train", "test"]
    assert pair(tmp_path, tags.replace("SET=train VALIDATION=True", "")).parts is None


@pytest.mark.parametrize(
    ("tags", "mask", "told"),
    [
        (">a\nHEC\n>c\nHH\n", None, r"record 'b' \(line 3\): .*tags.fasta has no record of this name\n.*record 'c'"),
        (">a\nHEC\n", None, r"record 'b' .* has no record of this name"),
        (
            ">a\nHE\n>b\nHH\n",
            None,
            r"record 'a' \(line 1\) has 3 letters, but .*tags.fasta, record 'a' \(line 1\) has 2",
        ),
        (">a\nHEC\n>b\nHH\n", ">a\n011\n>b\n1\n", r"record 'b' .* has 2 letters, but .*mask.fasta.* has 1"),
        (">a\nHEC\n>b\nHH\n", ">a\n011\n>b\n1x\n", r"mask.fasta, record 'b' .*not 'x'"),
    ],
)
def test_pairs_that_differ(tmp_path, tags: str, mask: str | None, told: str) -> None:
    with pytest.raises(DataError, match=told):
        pair(tmp_path, tags, mask)


def test_fasta_without_tags(tmp_path) -> None:
    (tmp_path / "a.fasta").write_text(">a\nMKV\n")
    with pytest.raises(DataError, match="name the FASTA file that has them: tags="):
        reading.read(tmp_path / "a.fasta", options())
    assert reading.read(tmp_path / "a.fasta", options(), tagged=False).tokens == list("MKV")
    layout = Layout("fasta", "plain")
    assert reading.read(["mkv", "L"], options(), tagged=False, like=layout).tokens == list("MKVL")
    with pytest.raises(OptionError, match="tags names a FASTA file"):
        read(tmp_path, "a O\n", tags="x.fasta")


# -- faults and all together ----------------------------------------------------------------------------------


def test_a_tag_that_cannot_follow_is_found_by_its_line(tmp_path) -> None:
    text = "Ada B-PER\nslept O\n\nAda B-PER\nLou B-PER\n\nRome O\nRome I-LOC\n"
    (fault,) = reading.check(read(tmp_path, text))
    assert f"{tmp_path}/a.conll, line 8: the tag 'I-LOC' cannot follow 'O'" in fault.message
    mended = read(tmp_path, text, bad_spans="skip")
    assert (mended.tags or [])[-1] == "B-LOC" and not reading.check(mended)
    assert any("put in order: " in note and "line 8" in note for note in mended.notes)
    assert read(tmp_path, text, scheme="plain").scheme == "plain"


@pytest.mark.parametrize(
    ("text", "level", "told"),
    [
        ("a O\nb O\n", "error", "every token has the tag 'O'"),
        ("".join(f"w{i} t{i}\n" for i in range(500)), "error", "500 different tags of 500 tokens"),
        ("a X\nb Y\n" * 3_000, "warning", "a.conll, line 1: a sentence of 6,000 tokens"),
    ],
)
def test_doubtful_sentences(tmp_path, text: str, level: str, told: str) -> None:
    (found,) = reading.check(read(tmp_path, text))
    assert found.level == level and told in found.message


def test_a_sentence_of_a_hundred_thousand_tokens_is_read_in_a_second(tmp_path) -> None:
    text = "word NN B-x\n" * 100_000
    start = time.process_time()
    found = read(tmp_path, text)
    reading.check(found)
    assert time.process_time() - start < 1 and found.lengths.tolist() == [100_000]


def test_taking_sentences_keeps_their_places(tmp_path) -> None:
    objects = [{"text": f"{name} slept", "spans": [[0, 3, "P"]]} for name in ("Ada", "Bob", "Ada")]
    found = read(tmp_path, lines(*objects), "a.jsonl")
    assert found.wholes() == ["Ada\tslept", "Bob\tslept", "Ada\tslept"]
    some = found.take(np.array([2, 0])).take(np.array([1, 0]))
    assert some.tokens == ["Ada", "slept"] * 2 and some.where(2).endswith("line 3, token 1")
    assert some.texts == ["Ada slept"] * 2 and some.spans is not None and some.spans.tolist()[2:] == [[0, 3], [4, 9]]


def test_answers_in_columns_can_be_read_again(tmp_path) -> None:
    found = read(tmp_path, "New York\tNNP\tB-LOC\nslept\tVBD\tO\n\nGo\tVB\tO\n")
    text = writing.written(found, [str(tag) for tag in found.tags or []], "conll", labels=["x", "y"])
    again = read(tmp_path, text, "b.conll")
    assert (again.tokens, again.tags, again.features) == (found.tokens, found.tags, found.features)
    assert again.lengths.tolist() == [2, 1] and text.startswith("# label = x\nNew York\tNNP\tB-LOC\n")
    rows = [json.loads(line) for line in writing.written(found, ["B-LOC", "O", "O"], "jsonl", ["x", "y"]).splitlines()]
    assert rows[1] == {"tokens": ["Go"], "tags": ["O"], "label": "y"}
    with pytest.raises(DataError, match="'B-LOC' is none"):
        writing.written(found, ["B-LOC", "O", "O"], "fasta")
