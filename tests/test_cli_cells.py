"""`gatework cells`: the list, one cell whole, its LaTeX alone, and names that do not exist."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from gatework import cells
from gatework.cli import app
from gatework.commands.cells import listing
from gatework.compiler import params


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["cells", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_every_cell_is_listed_on_a_line_of_its_own() -> None:
    assert [line.split()[0] for line in run().splitlines()] == cells.names()


def test_the_list_is_cut_at_the_width_of_a_terminal_and_whole_elsewhere() -> None:
    known = [cells.get(name) for name in cells.names()]
    whole = [" ".join(cell.doc.partition("\n\n")[0].split()) for cell in known]
    assert all(line.endswith(source) for line, source in zip(run().splitlines(), whole, strict=True))
    lines = listing(known, 60).splitlines()
    assert max(map(len, lines)) <= 60 and any(line.endswith("…") for line in lines)


@pytest.mark.parametrize("name", cells.names())
def test_every_cell_can_be_shown(name: str) -> None:
    page, graph = run(name, "--input-size", "6", "--hidden-size", "8"), cells.get(name).graph
    inputs = {i.width for i in graph.inputs} - {s.width for s in graph.states}
    sizes = {s: 1 if s == "heads" else 6 if s in inputs else 8 for s in params.symbols(graph)}
    assert f"{params.cost(graph, sizes):,} multiply-adds" in page
    assert page.split("total")[1].split()[0] == f"{params.count(graph, sizes):,}"
    assert run(name, "--latex").strip() in page.replace("\n  ", "\n")


def test_the_lstm_is_the_textbook_one() -> None:
    page = run("lstm", "--input-size", "100", "--hidden-size", "10")
    assert "c = f⊙c₋ + i⊙g" in page
    assert "total" in page
    assert "4,440" in page  # 4 gates of 10 units, each from 10 + 100 values and a bias
    assert "4,400 multiply-adds" in page


def test_bad_use() -> None:
    assert "did you mean lstm" in run("lstmm", code=2)
    assert "name it" in run("--latex", code=2)
