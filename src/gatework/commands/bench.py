"""`gatework bench [SUITE]`: how fast kernels and layers are here, beside their peers and what the machine can do."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gatework.bench.rows import Row
    from gatework.bench.settings import Settings


def register(app: typer.Typer) -> None:
    app.command()(bench)


NAMES = "machine, grid, cells, ragged, layer-norm, variants, step, peak-memory, first-use, layers, keras"
MEMORY = "Of the memory tests"
SHAPES = "T100B32I128H128,..."


def bench(
    suite: Annotated[str, typer.Argument(help=f"What to measure: {NAMES}; or all. Or memory.")] = "grid",
    cell: Annotated[
        list[str] | None, typer.Option(help="Which cell, instead of the suite's own; memory: again and again.")
    ] = None,
    shapes: Annotated[str | None, typer.Option(metavar=SHAPES, help="Steps, rows, inputs and units, likewise.")] = None,
    threads: Annotated[str | None, typer.Option(metavar="1,2", help="Numbers of threads: one, and all.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64.")] = None,
    peers: Annotated[
        str | None, typer.Option(metavar="torch,onnxruntime,jax", help='Whom to measure along; "" for nobody.')
    ] = None,
    runs: Annotated[int, typer.Option(min=3, help="The fewest runs of anything.")] = 10,
    seconds: Annotated[float, typer.Option(help="How long each contestant is timed about.")] = 0.5,
    peer_python: Annotated[
        list[str] | None,
        typer.Option(metavar="BACKEND=PYTHON", help="keras: the Python of an environment with another backend."),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="PATH", help="Write machine, commit, versions and all raw times.")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=MEMORY, help="adding, copy, order, reber, anbn, anbncn, digits; again and again."),
    ] = None,
    lengths: Annotated[
        str | None, typer.Option(metavar="50,100", rich_help_panel=MEMORY, help="Tried until one fails.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(rich_help_panel=MEMORY, help="Trainings that decide by their median [3].")
    ] = None,
    chrono: Annotated[
        bool | None, typer.Option(rich_help_panel=MEMORY, help="Gates start for memories as long as the test [yes].")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(rich_help_panel=MEMORY, help="No training begins later than this [30].")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="PICTURE.svg", rich_help_panel=MEMORY, help="Draw the lengths reached.")
    ] = None,
) -> None:
    """Measure speed against peers, or how long cells remember.

    A line for each thing measured: median and deviation of our time, then each peer's and how many times faster we are,
    with the error of the ratio. Contestants run in turns.

    memory: the classic tests of memory for cells (lstm, gru, rnn and transformer, or each --cell), longer and longer
    until one fails, and the time of a step in a stream. See docs/memory.md.
    """
    given = {"seeds": seeds, "chrono": chrono, "minutes": minutes, "lengths": numbers(lengths, "--lengths")}
    asked = {name: value for name, value in given.items() if value is not None}
    asked |= {"tests": tuple(task)} if task else {}
    if suite == "memory":
        kernels = {"shapes": shapes, "threads": threads, "dtype": dtype, "peers": peers, "peer-python": peer_python}
        refuse(suite, [name for name, value in kernels.items() if value is not None])
        run_memory(asked | ({"models": tuple(cell)} if cell else {}), json_path, out)
        return
    refuse(
        suite,
        [
            *("task" if name == "tests" else name for name in asked),
            *(["out"] if out else []),
            *(["a second cell"] if len(cell or ()) > 1 else []),
        ],
    )
    from gatework.bench.settings import Settings, shapes_of

    settings = Settings(
        cell=cell[0] if cell else None, dtype=dtype, runs=runs, seconds=seconds, threads=numbers(threads),
        peers=words(peers),
        shapes=shapes_of(shapes) if shapes else None, peer_python=pairs(peer_python),
    )  # fmt: skip
    run(suite, settings, json_path)


def refuse(suite: str, names: list[str]) -> None:
    from gatework.errors import OptionError

    if names:
        raise OptionError(f"the suite {suite!r} does not use {', '.join(names)}; see `gatework bench --help`")


def run_memory(given: dict[str, Any], json_path: Path | None, out: Path | None) -> None:
    from gatework.bench import machine, memory
    from gatework.bench.memory import picture, table

    asked = memory.Asked(**given)
    if out is not None:
        picture.check(out)
    described = machine.describe()
    typer.echo(machine.headline(described))
    found = []
    for reached in memory.measure(asked, typer.echo):
        found.append(reached)
        if json_path is not None:
            rows = [each.to_dict() for each in found]
            write_json(json_path, {"machine": described, "suite": "memory", "asked": asdict(asked), "rows": rows})
    typer.echo("\n".join(["", *table.lines(found), "", *table.words(found)]))
    if out is not None and found:
        picture.draw(found, out)


def run(suite: str, settings: Settings, json_path: Path | None) -> None:
    from gatework.bench import machine
    from gatework.bench.rows import summary
    from gatework.bench.suites import measure_suite

    described = machine.describe()
    typer.echo(machine.headline(described))
    rows: list[Row] = []
    for row in measure_suite(suite, settings):
        if not rows or rows[-1].suite != row.suite:
            typer.echo(f"\n{row.suite}")
        typer.echo(row.line())
        rows.append(row)
        if json_path is not None:
            write(json_path, described, suite, settings, rows)
    typer.echo("\n".join(["", *summary(rows)]))


def write(path: Path, described: dict[str, Any], suite: str, settings: Settings, rows: list[Row]) -> None:
    """After each row, so that an interrupted run leaves what it has."""
    asked = {name: getattr(settings, name) for name in sorted(settings.given())}
    rows_of = [row.to_dict() for row in rows]
    write_json(path, {"machine": described, "suite": suite, "settings": asked, "rows": rows_of})


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def numbers(text: str | None, flag: str = "--threads") -> tuple[int, ...] | None:
    from gatework.errors import OptionError

    try:
        return None if text is None else tuple(int(part) for part in words(text) or ())
    except ValueError:
        raise OptionError(f"{flag} {text!r}: write whole numbers with commas between, such as 1,2") from None


def pairs(texts: list[str] | None) -> tuple[tuple[str, str], ...] | None:
    from gatework.errors import OptionError

    split = [text.partition("=") for text in texts or ()]
    if not all(sign and name and path for name, sign, path in split):
        raise OptionError(f"--peer-python {texts}: write the backend and its Python, such as jax=/opt/jax/bin/python")
    return tuple((name, path) for name, _, path in split) or None
