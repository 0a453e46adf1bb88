"""Tables as people have them: titles and comments above, Excel's files, prices, quotes, row counters."""

from __future__ import annotations

import zipfile

import polars as pl
import pytest

from gatework.data.columns import infer_columns
from gatework.data.panel import inspect_panel, read_panel, whole_names
from gatework.data.readers import read_table
from gatework.data.sequences import read_sequences
from gatework.errors import DataError, OptionError
from gatework.tasks.classify import Classify, ClassifyOptions

DAYS = [f"2024-01-{day:02}" for day in range(1, 31)]
BODY = "date,y\n" + "".join(f"{day},{i}.5\n" for i, day in enumerate(DAYS))


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("above", "lines"),
    [("# Mauna Loa\n# units: ppm\n#\n", 3), ("Report of sales,\n,\n", 2), ("Report\n\n", 2), ("# a, b, c\n", 1)],
)
def test_lines_above_the_names_of_the_columns(tmp_path, above, lines) -> None:
    table = read_table(path := write(tmp_path / "x.csv", above + BODY))
    assert table.columns == ["date", "y"] and len(table) == 30
    assert any(f"{lines} line(s) above" in note for note in table.notes)
    assert table.where(0) == f"{path}, line {lines + 2}"
    semicolons = read_table(write(tmp_path / "y.csv", (above + BODY).replace(",", ";").replace("a; b; c", "a; b; c")))
    assert semicolons.columns == ["date", "y"]


@pytest.mark.parametrize("text", ["#id,y\n1,2\n3,4\n", "date,y\n# a,2\n", ",text\n0,a b\n1,c d\n", "a b\nc d\n"])
def test_ordinary_first_lines_stay(tmp_path, text) -> None:
    assert not any("above" in note for note in read_table(write(tmp_path / "x.csv", text)).notes)


def test_excels_first_line_names_the_delimiter(tmp_path) -> None:
    text = "sep=;\nDatum;Wert\n01.01.2022;50,35\n02.01.2022;58,64\n"
    table = read_table(path := write(tmp_path / "x.csv", text))
    assert table.columns == ["Datum", "Wert"] and table.numbers("Wert").to_list() == [50.35, 58.64]
    assert table.where(0) == f"{path}, line 3"


def test_the_quote_can_be_another_or_none(tmp_path) -> None:
    path = write(tmp_path / "x.csv", "text,label\n'a, b',x\n'c',y\n")
    assert read_table(path, quote="'").frame.rows() == [("a, b", "x"), ("c", "y")]
    path = write(tmp_path / "y.csv", 'text,label\n"a,x\nb",y\n')
    assert read_table(path, quote="none").frame.rows() == [('"a', "x"), ('b"', "y")]
    with pytest.raises(OptionError, match="one character"):
        read_table(path, quote="''")


def workbook(path, **sheets: dict) -> None:
    """The least that is an Excel file: a zip archive of XML, all text written within its cells."""
    office = "http://schemas.openxmlformats.org"
    kind = f"{office}/officeDocument/2006/relationships"
    relation = '<Relationship Id="r{}" Type="' + kind + '/{}" Target="{}"/>'
    relations = f'<Relationships xmlns="{office}/package/2006/relationships">{{}}</Relationships>'
    part = '<Override PartName="/xl/{}.xml" ContentType="application/vnd.openxmlformats-officedocument.{}+xml"/>'
    main, numbers = f"{office}/spreadsheetml/2006/main", range(1, len(sheets) + 1)
    names = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in zip(numbers, sheets, strict=True)
    )
    parts = part.format("workbook", "spreadsheetml.sheet.main")
    parts += "".join(part.format(f"sheet{n}", "spreadsheetml.worksheet") for n in numbers)
    cell = lambda value: (  # noqa: E731
        f'<c t="inlineStr"><is><t>{value}</t></is></c>' if isinstance(value, str) else f"<c><v>{value}</v></c>"
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("[Content_Types].xml", f'<Types xmlns="{office}/package/2006/content-types">{parts}</Types>')
        file.writestr("_rels/.rels", relations.format(relation.format(1, "officeDocument", "xl/workbook.xml")))
        book = f'<workbook xmlns="{main}" xmlns:r="{kind}"><sheets>{names}</sheets></workbook>'
        file.writestr("xl/workbook.xml", book)
        each = "".join(relation.format(n, "worksheet", f"sheet{n}.xml") for n in numbers)
        file.writestr("xl/_rels/workbook.xml.rels", relations.format(each))
        for n, columns in zip(numbers, sheets.values(), strict=True):
            rows = [list(columns), *zip(*columns.values(), strict=True)]
            cells = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            file.writestr(f"xl/sheet{n}.xml", f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>')


def test_excel_files(tmp_path) -> None:
    workbook(path := tmp_path / "x.xlsx", Sales={"date": DAYS, "y": [1.5] * 30}, Other={"a": [1]})
    table = read_table(path)
    assert table.columns == ["date", "y"] and table.numbers("y").to_list() == [1.5] * 30
    assert "sheet 'Sales' (not read: Other; to read one, move it to the front)" in table.notes
    assert table.where(0) == f"{path}, row 2 of the sheet"


def test_cells_of_excel_are_read_as_they_are_written(tmp_path, capfd) -> None:
    """A text among numbers is no missing value, empty rows keep the others' places, and empty columns say nothing."""
    workbook(path := tmp_path / "x.xlsx", S={"y": [1.5, "", "k.A.", 3], "n": [1, "", 2, 3], "none": ["", "", "", ""]})
    table = read_table(path)
    assert table.frame.rows() == [("1.5", 1, None), ("k.A.", 2, None), ("3", 3, None)]
    with pytest.raises(DataError, match=r"row 4 of the sheet, column 'y': 'k.A.' is not a number"):
        table.numbers("y")
    assert capfd.readouterr() == ("", "")


def test_titles_and_empty_sheets_before_a_table_of_excel(tmp_path) -> None:
    workbook(
        path := tmp_path / "x.xlsx",
        Notes={"as of": []},
        Data={"Sales of all shops": ["", "day", 1, 2], "": ["", "y", 3, 4]},
    )
    table = read_table(path)
    assert table.columns == ["day", "y"] and table.frame.rows() == [(1, 3), (2, 4)]
    assert table.notes[0] == "the header is row 3 of the sheet" and "sheet 'Data' (not read: Notes" in table.notes[1]
    assert table.where(1) == f"{path}, row 5 of the sheet"
    workbook(path, S={"a": [1, 2], " a ": [3, 4]})
    with pytest.raises(DataError, match="row 1 of the sheet: two columns are called 'a'"):
        read_table(path)
    assert read_table(path, header=False).columns == ["column_1", "column_2"]
    workbook(path, S={"a": []}, T={"b": []})
    with pytest.raises(DataError, match=r"no sheet has rows below a header \(S, T\)"):
        read_table(path)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"PK\x03\x04 xl/", "not a whole Excel file"),
        (b"PK\x03\x04 a", "zip archive, not a table"),
        (b"%PDF-1", "a PDF"),
    ],
)
def test_files_that_are_no_text_are_called_what_they_are(tmp_path, start, words) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(start + bytes(range(256)))
    with pytest.raises(DataError, match=words) as error:
        read_table(path)
    assert "latin-1" not in str(error.value)


def test_fields_of_nested_json(tmp_path) -> None:
    rows = '{"doc": {"text": "a b", "more": {"lang": "en"}}, "tags": ["x"], "label": 0}\n{"label": 1}\n'
    table = read_table(write(tmp_path / "x.jsonl", rows))
    assert table.columns == ["doc.text", "doc.more.lang", "tags", "label"]
    assert table.frame["doc.text"].to_list() == ["a b", None]
    assert infer_columns(table)[:2] == ("doc.text", "label")


@pytest.mark.parametrize("name", ["Unnamed: 0", ""])
def test_a_row_counter_is_neither_target_nor_channel(tmp_path, name) -> None:
    lines = BODY.splitlines()
    text = "\n".join([f"{name},{lines[0]}", *(f"{7 * i % 31},{line}" for i, line in enumerate(lines[1:]))])
    path = write(tmp_path / "x.csv", text + "\n")
    panel, found = inspect_panel(path)
    assert panel is not None and panel.columns[1] == ("y",)
    assert "numbers the rows and is left out" in found[0].message
    named = name or "column_1"
    assert set(read_panel(path, target=(named,)).names) == {named}
    wide = write(tmp_path / "w.csv", f"{name},label,a,b\n0,x,1,2\n1,y,3,4\n")
    assert read_sequences(wide).values.lengths.tolist() == [2, 2]
    long = write(tmp_path / "l.csv", f"{name},id,t,v,label\n0,a,0,1,x\n1,a,1,2,x\n2,b,0,3,y\n")
    assert read_sequences(long).channels == ("v",)


DATES = [f"2024-01-{day:02} 12:00:00" for day in (1, 2)] * 4
WORDS = ["a b c d e f", "g h"] * 3 + ["i", "j"]
COLUMNS = [  # columns, the text and the label that are taken, and words of each doubt
    ({"text": WORDS, "source": ["x", "y"] * 4, "polarity": [0, 0, 1, 1] * 2}, "text", "source", ["label='polarity'"]),
    ({"text": WORDS, "label": ["x", "y"] * 4, "topic": ["u", "v"] * 4}, "text", "label", []),
    ({"when": DATES, "headline": WORDS, "kind": ["x", "y", "y", "x"] * 2}, "headline", "kind", []),
    ({"day": DATES, "review": WORDS, "mood": ["x", "y", "z", "x"] * 2, "n": [*range(8)]}, "review", "mood", []),
    ({"lead": WORDS, "story": WORDS[::-1], "class": ["x", "y"] * 4}, "lead", "class", ["text='story'"]),
    ({"title": WORDS, "body": WORDS, "class": [0, 1] * 4}, "body", "class", ["text='title'"]),
    ({"text": WORDS, "topic": [0, 1] * 4, "rating": [1, 2, 3, 4] * 2}, "text", "topic", ["label='rating'"]),
    ({"Unnamed: 0": [*range(8)], "words": WORDS, "kind": [0, 1] * 4}, "words", "kind", []),
]


@pytest.mark.parametrize(("columns", "text", "label", "doubts"), COLUMNS)
def test_a_guess_among_several_columns_is_a_warning(columns, text, label, doubts, tmp_path) -> None:
    path = tmp_path / "rows.csv"
    pl.DataFrame(columns).write_csv(path)
    found = infer_columns(read_table(pl.DataFrame(columns)))
    assert found[:2] == (text, label) and len(found[2].doubts) == len(doubts)
    warned = [each.message for each in Classify(ClassifyOptions(kind="texts")).check(path) if each.level == "warning"]
    warned = [each for each in warned if "would fit too" in each]
    for told, words in zip(warned, doubts, strict=True):
        assert f"pass {words} (in a command: " in told
    assert not infer_columns(read_table(path), text, label)[2].doubts


def test_sequences_prefer_the_words_that_are_called_like_a_label() -> None:
    steps = {"id": [0, 0, 1, 1], "activity": ["u", "u", "v", "v"], "y": [1.0, 2.0, 3.0, 4.0]}
    found = read_sequences(steps)
    assert found.labels.to_list() == ["u", "v"] and found.channels == ("y",)
    with pytest.raises(DataError, match="column 'activity': 'u' is not a number"):
        read_sequences({**steps, "class": ["a", "a", "b", "b"]})


def test_names_with_commas_are_names(tmp_path) -> None:
    columns = ["date", "Sales, EUR", "Visits", "a,b, c"]
    assert whole_names(["Sales", "EUR", "Visits"], columns) == ["Sales, EUR", "Visits"]
    assert whole_names(["a", "b", "c"], columns) == ["a,b, c"]
    assert whole_names(["Sales", "x"], columns) == [
        "Sales",
        "x",
    ]
    path = write(tmp_path / "x.csv", BODY.replace("date,y", 'date,"Sales, EUR"'))
    assert read_panel(path, target=("Sales", "EUR")).names == ("Sales, EUR",)
    with pytest.raises(DataError, match="--set 'target=Sales, EUR'"):
        read_panel(path, target=("Sale, EUR",))


@pytest.mark.parametrize(("cell", "value"), [("$49,200.00", 49200), ("-$5.5", -5.5), ("€ 7", 7), ("12.5%", 12.5)])
def test_prices_and_shares_are_numbers(tmp_path, cell, value) -> None:
    rows = "".join(f'{day},"{cell}"\n' for day in DAYS)
    assert read_panel(write(tmp_path / "x.csv", "date,sales\n" + rows)).values.tolist() == [value] * 30


def test_one_bad_column_is_one_error(tmp_path) -> None:
    path = write(tmp_path / "x.csv", "date,y\n" + "".join(f"{day},high\n" for day in DAYS))
    found = inspect_panel(path, target=("y",))[1]
    assert [each.level for each in found if each.level != "note"] == ["error"]
