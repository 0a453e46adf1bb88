"""`gatework bench [SUITE]`: how fast kernels and layers are here, beside their peers and what the machine can do."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatework.commands.told import spoken_warnings

if TYPE_CHECKING:
    from gatework.bench.rows import Row
    from gatework.bench.settings import Settings


def register(app: typer.Typer) -> None:
    app.command()(bench)


NAMES = "machine, grid, cells, ragged, layer-norm, bf16, variants, step, peak-memory, first-use, layers, c-step, keras"
SHAPES = "T100B32I128H128,..."


def _memory(text: str, **others: Any) -> Any:
    return typer.Option(help=text, rich_help_panel="Of the memory tests", **others)


Suite = Annotated[str, typer.Argument(help=f"What to measure: {NAMES}; or all. Or memory, or doctor.")]
Cells = Annotated[
    list[str] | None, typer.Option(help="Which cell, instead of the suite's own; memory: again and again.")
]
Shapes = Annotated[str | None, typer.Option(metavar=SHAPES, help="Steps, rows, inputs and units, likewise.")]
Threads = Annotated[str | None, typer.Option(metavar="1,2", help="Numbers of threads: one, and all.")]
Peers = Annotated[
    str | None, typer.Option(metavar="torch,onnxruntime,jax", help='Whom to measure along; "" for nobody.')
]
PeerPython = Annotated[
    list[str] | None,
    typer.Option(metavar="BACKEND=PYTHON", help="keras: the Python of an environment with another backend."),
]
JsonPath = Annotated[
    Path | None, typer.Option("--json", metavar="PATH", help="Write machine, commit, versions and all raw times.")
]
Tests = Annotated[list[str] | None, _memory("adding, copy, order, reber, anbn, anbncn, digits; again and again.")]
Lengths = Annotated[str | None, _memory("Tried until one fails.", metavar="50,100")]
Seeds = Annotated[int | None, _memory("Trainings that decide by their median [3].")]
Chrono = Annotated[bool | None, _memory("Gates start for memories as long as the test [yes].")]
Minutes = Annotated[float | None, _memory("No training begins later than this [30].")]
Picture = Annotated[Path | None, _memory("Draw the lengths reached.", metavar="PICTURE.svg")]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Keep the trainings that the --json file holds.", rich_help_panel="Of the memory tests"
    ),
]


def bench(
    suite: Suite = "grid",
    cell: Cells = None,
    shapes: Shapes = None,
    threads: Threads = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64.")] = None,
    peers: Peers = None,
    runs: Annotated[int, typer.Option(min=3, help="The fewest runs of anything.")] = 10,
    seconds: Annotated[float, typer.Option(help="How long each contestant is timed about.")] = 0.5,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds for which a row is measured again until it is steady.")
    ] = 10.0,
    anyway: Annotated[bool, typer.Option("--anyway", help="Show ratios of unsteady times, too.")] = False,
    peer_python: PeerPython = None,
    json_path: JsonPath = None,
    task: Tests = None,
    lengths: Lengths = None,
    seeds: Seeds = None,
    chrono: Chrono = None,
    minutes: Minutes = None,
    out: Picture = None,
    resume: Resume = False,
) -> None:
    """Measure speed against peers, or how long cells remember.

    A line for each thing measured: median and deviation of our time, then each peer's and how many times faster we are,
    with the error of the ratio. Contestants run in turns. Where times or the machine's peak stay unsteady by more
    than a tenth, no ratio is shown.

    doctor: what this machine is, which kernel runs and why, what disturbs, and what to expect.

    memory: the classic tests of memory for cells (lstm, gru, rnn and transformer, or each --cell), longer and longer
    until one fails, and the time of a step in a stream. Its JSON is written after each cell, and a run that ended early
    goes on with --resume. See docs/memory.md.
    """
    kernels = {"shapes": shapes, "threads": threads, "dtype": dtype, "peers": peers, "peer-python": peer_python}
    kernels["anyway"] = anyway or None
    memory = {"task": task, "lengths": lengths, "seeds": seeds, "chrono": chrono, "minutes": minutes, "out": out}
    memory["resume"] = resume or None
    if suite == "doctor":
        refuse(suite, {**kernels, **memory, "cell": cell})
        run_doctor(json_path)
        return
    if suite == "memory":
        refuse(suite, kernels)
        asked = {"lengths": numbers(lengths, "--lengths"), "seeds": seeds, "chrono": chrono, "minutes": minutes}
        asked |= {"models": several(cell), "tests": several(task)}
        run_memory(asked, json_path, out, resume)
        return
    refuse(suite, {**memory, "a second cell": (cell or [])[1:] or None})
    there_is(suite)
    from gatework.bench.settings import Settings, shapes_of

    settings = Settings(
        cell=cell[0] if cell else None,
        dtype=dtype,
        runs=runs,
        seconds=seconds,
        threads=numbers(threads),
        peers=words(peers),
        shapes=shapes_of(shapes) if shapes else None,
        patience=patience,
        anyway=anyway,
        peer_python=pairs(peer_python),
    )
    run(suite, settings, json_path)


def there_is(suite: str) -> None:
    """Raises: OptionError for a name that no suite has."""
    from gatework.data.suggest import did_you_mean
    from gatework.errors import OptionError

    known = [*NAMES.split(", "), "all", "memory", "doctor"]
    if suite not in known:
        raise OptionError(f"there is no suite {suite!r}: there are {', '.join(known)}{did_you_mean(suite, known)}")


def refuse(suite: str, given: dict[str, Any]) -> None:
    """Options that a suite would not use, where they were given."""
    from gatework.errors import OptionError

    if names := [name for name, value in given.items() if value is not None]:
        raise OptionError(f"the suite {suite!r} does not use {', '.join(names)}; see `gatework bench --help`")


def run_memory(given: dict[str, Any], json_path: Path | None, out: Path | None, resume: bool) -> None:
    """The tests of memory, with what was given and the defaults of the rest."""
    from gatework.bench import machine, memory
    from gatework.bench.memory import picture, results, speed, table
    from gatework.errors import OptionError

    if resume and json_path is None:
        raise OptionError("--resume: name the file of the earlier run with --json")
    asked = memory.Asked(**{name: value for name, value in given.items() if value is not None})
    earlier = results.earlier(json_path) if resume and json_path is not None else {}
    asked = replace(asked, known=results.known(earlier, asked.chrono))
    if out is not None:
        picture.check(out)
    described = machine.describe()
    typer.echo(machine.headline(described))
    found = []
    for reached in memory.measure(asked, typer.echo):
        found.append(reached)
        if json_path is not None:
            write_json(json_path, {"machine": described} | results.content(asked, found, earlier))
    with memory.one_thread():
        steps = speed.sizes(asked.models)
    typer.echo("\n".join(["", *table.lines(found), "", *table.words(found), "", *table.sizes(steps)]))
    if json_path is not None:
        content = results.content(asked, found, earlier)
        write_json(json_path, {"machine": described} | content | {"steps": steps})
    if out is not None and found:
        picture.draw(found, out)


def run_doctor(json_path: Path | None) -> None:
    from gatework.bench import doctor

    found = doctor.examine()
    typer.echo("\n".join(doctor.words(found)))
    if json_path is not None:
        write_json(json_path, {"findings": asdict(found), "words": doctor.words(found)})


def run(suite: str, settings: Settings, json_path: Path | None) -> None:
    from gatework.bench import machine
    from gatework.bench.rows import summary
    from gatework.bench.suites import measure_suite

    described = machine.describe()
    typer.echo(machine.headline(described))
    rows: list[Row] = []
    with spoken_warnings():
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


def several(given: list[str] | None) -> tuple[str, ...] | None:
    return tuple(given) if given else None


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
