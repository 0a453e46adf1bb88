"""`gatework demo`: the built-in data, and a short run of it from end to end."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gatework.cli import app
from gatework.commands import demo
from gatework.data import embedded, wordings
from gatework.data.statements import tagged
from gatework.training.folders import free
from gatework.training.run import Run


def test_sentences_come_with_the_one_library_they_are_from() -> None:
    rows = embedded.sentences()
    assert rows == embedded.sentences()
    assert len(rows) == len({row["text"] for row in rows}) > 2000
    assert {row["library"] for row in rows} == set(embedded.SUBJECTS)
    assert not [row for row in rows if row["library"] in row["text"].lower()], "a sentence names its label"
    assert all(len(re.findall("[A-Za-z]+", row["text"])) >= embedded.FEWEST_WORDS for row in rows)


def test_a_sentence_of_a_known_docstring_is_there() -> None:
    import statistics

    first = (statistics.median.__doc__ or "").strip().partition("\n")[0]
    assert {"text": first, "library": "statistics"} in embedded.sentences(("statistics", "decimal"))


def test_missing_sources_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(embedded, "_folder", lambda: tmp_path)
    with pytest.raises(embedded.DataError, match="holds no sources"):
        embedded.sentences()


def test_statements_are_tagged_as_the_parser_reads_them() -> None:
    program = (
        "if not ready(1): stop(now, how=f'{x} y')\n"
        "def area(self, r: float = 2.0, *more) -> float:\n    'é'; return pi * r\n"
        "x, é = open(name)\n"
        "for row in (a + b): raise Odd('no')\n"
    )
    found = [" ".join(f"{token}/{tag}" for token, tag in zip(*row, strict=True)) for row in tagged(program)]
    assert sorted(found) == sorted([
        "if/O not/B-CONDITION ready/I-CONDITION (/I-CONDITION 1/I-CONDITION )/I-CONDITION :/O",
        'stop/B-CALLED (/O now/B-ARGUMENT ,/O how/O =/O ""/B-ARGUMENT )/O',
        "def/O area/O (/O self/B-PARAMETER ,/O r/B-PARAMETER :/O float/B-TYPE =/O 2.0/B-DEFAULT ,/O */O "
        "more/B-PARAMETER )/O ->/O float/B-TYPE :/O",
        "return/O pi/B-RESULT */I-RESULT r/I-RESULT",
        "x/B-TARGET ,/I-TARGET é/I-TARGET =/O open/B-CALLED (/O name/B-ARGUMENT )/O",
        "for/O row/B-TARGET in/O (/O a/B-SOURCE +/I-SOURCE b/I-SOURCE )/O :/O",
        'raise/O Odd/B-ERROR (/I-ERROR ""/I-ERROR )/I-ERROR',
    ])  # fmt: skip


def test_statements_are_columns_without_repeats() -> None:
    sentences = embedded.statements().strip().split("\n\n")
    assert len(sentences) == len(set(sentences)) > 2000
    cells = {tuple(line.split("\t")) for sentence in sentences for line in sentence.split("\n")}
    assert {len(cell) for cell in cells} == {2} and not [token for token, _ in cells if len(token.split()) != 1]
    assert {"B-CONDITION", "I-VALUE", "O"} <= {tag for _, tag in cells}


def test_the_manual_says_nothing_twice() -> None:
    text = embedded.manual()
    long = [part for part in text.split("\n\n") if len(part) > 80]
    assert len(text) > 200_000 and len(long) == len(set(long))
    assert "Assignment" in text


def test_digits_are_the_dots_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    header, *lines = embedded.digits().splitlines()
    images, labels = load_digits(return_X_y=True)
    assert header == "id,line,dot1,dot2,dot3,dot4,dot5,dot6,dot7,dot8,digit" and len(lines) == 8 * len(images)
    number = 1234
    rows = [list(map(int, line.split(","))) for line in lines[8 * number : 8 * number + 8]]
    assert [row[0] for row in rows] == [number] * 8 and [row[1] for row in rows] == list(range(8))
    assert [row[2:10] for row in rows] == images[number].reshape(8, 8).tolist()
    assert {row[10] for row in rows} == {labels[number]}


@pytest.mark.parametrize(
    ("text", "column", "rows", "missing", "first", "last"),
    [
        (embedded.sunspots(), "month,sunspots", 2820, 0, "1749-01-01,58.0", "1983-12-01,33.4"),
        (embedded.co2(), "week,co2", 2284, 59, "1958-03-29,316.1", "2001-12-29,371.5"),
    ],
)
def test_series_are_whole_and_say_where_they_are_from(
    text: str, column: str, rows: int, missing: int, first: str, last: str
) -> None:
    from datetime import date

    header, *lines = text.splitlines()
    days = [date.fromisoformat(line.partition(",")[0]) for line in lines]
    gaps = {(after - before).days for before, after in pairwise(days)}
    assert (header, len(lines), lines[0], lines[-1]) == (column, rows, first, last)
    assert gaps == ({7} if column.startswith("week") else {28, 29, 30, 31})
    assert sum(line.endswith(",") for line in lines) == missing
    source = embedded.series_source()
    assert f"{column.partition(',')[2]}.csv" in source and "public domain" in source


VALUES = {word: number for number, word in enumerate(wordings.UNDER_TWENTY)}
VALUES |= {word: 10 * number for number, word in enumerate(wordings.TENS, 2)}


def value(words: str) -> int:
    """What a number in words says: a sum, in which a hundred multiplies its word and a thousand all before it."""
    total = last = 0
    for word in words.replace("-", " ").replace(" and ", " ").split():
        if word == "thousand":
            total, last = 1000 * (total + last), 0
        elif word == "hundred":
            last *= 100
        else:
            last += VALUES[word]
    return total + last


def test_numbers_in_words_say_the_number() -> None:
    every = [*range(3000), *range(3000, 1_000_000, 997), 999_999]
    assert [value(wordings.in_words(number)) for number in every] == every
    assert wordings.in_words(1984) == "one thousand nine hundred and eighty-four"
    assert [wordings.in_words(n) for n in (40_004, 100_000)] == ["forty thousand and four", "one hundred thousand"]
    pairs = wordings.numbers(500)
    assert len(dict(pairs)) == 500 and all(value(words) == int(number) for number, words in pairs)
    assert {len(number) for number, _ in pairs} == {1, 2, 3, 4, 5, 6} and pairs == wordings.numbers(500)


def test_days_and_years_in_words() -> None:
    days = [wordings.ordinal(day) for day in (1, 2, 3, 5, 8, 9, 12, 14, 20, 23, 30, 31)]
    assert days[:7] == ["first", "second", "third", "fifth", "eighth", "ninth", "twelfth"]
    assert days[7:] == ["fourteenth", "twentieth", "twenty-third", "thirtieth", "thirty-first"]
    assert [wordings.numbered(day) for day in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd"]
    )
    years = {1900: "nineteen hundred", 1905: "nineteen hundred and five", 1984: "nineteen eighty-four"}
    years |= {2000: "two thousand", 2005: "two thousand and five", 2013: "twenty thirteen"}
    assert {year: wordings.year_in_words(year) for year in years} == years
    assert len({wordings.year_in_words(year) for year in range(1900, 2100)}) == 200


def test_dates_in_words_are_the_dates() -> None:
    from datetime import date, datetime

    when = date(1984, 3, 3)
    assert wordings.wordings(when) == [
        "the third of march nineteen eighty-four",
        "March the third, nineteen eighty-four",
        "3 March 1984",
        "March 3, 1984",
        "3rd of March 1984",
        "3 mar 1984",
    ]
    pairs = wordings.dates()
    assert len(dict(pairs)) == len({iso for _, iso in pairs}) == 4_000 and pairs == wordings.dates()
    bare = [(re.sub(r"^\w+day,? ", "", words), iso) for words, iso in pairs]
    assert all(words in wordings.wordings(date.fromisoformat(iso)) for words, iso in bare)
    read = [(words, iso, datetime.strptime(words, "%d %B %Y")) for words, iso in bare if re.match(r"\d+ [A-Z]", words)]
    assert len(read) > 400 and all(f"{day:%Y-%m-%d}" == iso for _, iso, day in read)
    named = [(words, date.fromisoformat(iso)) for words, iso in pairs if re.match(r"\w+day", words)]
    assert 1800 < len(named) < 2200 and all(f"{day:%A}" == words.split()[0].strip(",").title() for words, day in named)


@pytest.mark.parametrize("name", ["dates", "numbers"])
def test_pairs_of_the_test_part_were_never_learned(name: str, tmp_path: Path) -> None:
    from gatework import tasks

    (each,) = demo.wanted([name])
    each.write(tmp_path / each.file)
    task = tasks.get(each.task)
    parts = task(task.Options.of(each.options)).prepare(tmp_path / each.file)
    for side in ("sources", "targets"):
        texts = [set(getattr(part.pairs, side)) for part in (parts.train, parts.valid, parts.test)]
        assert sum(map(len, texts)) == len(set.union(*texts)) == 4_000 and min(map(len, texts)) >= 200


def test_a_taken_folder_gets_a_number(tmp_path: Path) -> None:
    assert free(tmp_path / "demo") == tmp_path / "demo"
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo-2").mkdir()
    assert free(tmp_path / "demo") == tmp_path / "demo-3"


def test_what_is_shown() -> None:
    from gatework import tasks

    assert (
        {"caption", "classify", "forecast", "generate", "speak", "tag", "transcribe", "translate"}
        <= {each.task for each in demo.DEMOS}
        <= set(tasks.names())
    )
    assert len({each.name for each in demo.DEMOS}) == len(demo.DEMOS)


def test_an_unknown_job_is_named() -> None:
    result = CliRunner().invoke(app, ["demo", "--job", "sentence"])
    assert result.exit_code == 2 and "did you mean 'sentences'?" in result.output


def test_the_demo_ends_with_results_and_reports(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    chosen = {"digits": "accuracy", "manual": "nats per character", "co2": "mase"}
    flags = [word for name in chosen for word in ("--job", name)]
    arguments = ["demo", "--out", str(out), *flags, "--time-limit", "0.3", "--quiet"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    for name, metric in chosen.items():
        report = out / name / "report.html"
        assert report.exists() and str(report) in result.output.replace("\n", "")
        assert metric in result.output
        assert f"{Run.open(out / name).results()['test'][metric.replace(' ', '_')]:.4f}" in result.output


@pytest.mark.paths
def test_the_command_shown_is_the_training_that_ran(tmp_path: Path) -> None:
    each = demo.wanted(["digits"])[0]
    data, options = tmp_path / each.file, {**each.options, "time_limit": 0.2}
    each.write(data)
    trained = demo.train(each.task, data, tmp_path / "one", options, quiet=True)
    words = shlex.split(demo.command(each.task, data, tmp_path / "the second", options))
    result = CliRunner().invoke(app, [*words[1:], "--quiet"])
    assert result.exit_code == 0, result.output
    assert "page: " + str(tmp_path / "the second" / "report.html") in result.output.replace("\n", "")
    one, two = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("one", "the second"))
    assert one["options"] == two["options"] and one["data"]["sha256"] == two["data"]["sha256"]
    assert trained.run.path == tmp_path / "one"
