"""`gatework demo`: every job on data that comes with Python or this package, each in under a minute on two cores."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gatework.commands.jobs import INTERRUPTED
from gatework.extras import DEMO, require

if TYPE_CHECKING:
    from gatework.tasks.jobs import Trained


def register(app: typer.Typer) -> None:
    app.command()(demo)


@dataclass(frozen=True)
class Demo:
    """One job: what it shows, the file that its data is written to, and the options of its training."""

    task: str
    title: str
    file: str
    write: Callable[[Path], None]
    options: dict[str, Any] = field(default_factory=dict)
    seconds: float = 30.0

    @property
    def name(self) -> str:
        return self.file.partition(".")[0]


@dataclass(frozen=True)
class Shown:
    demo: Demo
    results: dict[str, Any]
    report: Path
    seconds: float


def demo(
    out: Annotated[Path, typer.Option(help="Where data and runs go; a number is added to a taken name.")] = Path(
        "runs/demo"
    ),
    job: Annotated[list[str] | None, typer.Option(help="Only this job; may be given several times.")] = None,
    time_limit: Annotated[float, typer.Option(min=0.1, help="Seconds of training at most, for each job.")] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but the results.")] = False,
) -> None:
    """Train each job on built-in data; a report for each."""
    require(DEMO, "demo")
    from gatework.training.folders import free

    chosen = wanted(job)
    folder = free(out)
    shown = [run(each, folder, time_limit, quiet) for each in chosen]
    show(shown)


def wanted(names: list[str] | None) -> list[Demo]:
    """The demos of these names, or all."""
    from gatework.errors import OptionError
    from gatework.training.options import known_names

    known = {each.name: each for each in DEMOS}
    for name in names or []:
        if name not in known:
            raise OptionError(f"there is no job {name!r} in the demo{known_names(name, known)}")
    return [each for each in DEMOS if not names or each.name in names]


def run(demo: Demo, folder: Path, time_limit: float, quiet: bool) -> Shown:
    """Writes the data, trains, measures, reports."""
    from gatework import report

    started = time.perf_counter()
    data = folder / "data" / demo.file
    data.parent.mkdir(parents=True, exist_ok=True)
    demo.write(data)
    options = {**demo.options, "time_limit": min(demo.seconds, time_limit)}
    if not quiet:
        typer.secho(f"\n{demo.title}", bold=True, err=True)
        typer.echo(f"  {command(demo.task, data, folder / demo.name, options)}", err=True)
    trained = train(demo.task, data, folder / demo.name, options, quiet)
    path = report.write(trained.run)
    return Shown(demo, trained.run.results(), path, time.perf_counter() - started)


def train(task: str, data: Path, out: Path, options: dict[str, Any], quiet: bool) -> Trained:
    from gatework import tasks
    from gatework.tasks import jobs

    kind = tasks.get(task)
    trained = jobs.train(kind(kind.Options.of(options)), data, out=out, quiet=quiet)
    if trained.interrupted:
        raise typer.Exit(INTERRUPTED)
    return trained


def command(task: str, data: Path, out: Path, options: dict[str, Any]) -> str:
    """The same as a command to type."""
    flags = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in options.items())
    return f"gatework train {task} {quote(str(data))} {flags} --out {quote(str(out))}"


def show(shown: list[Shown]) -> None:
    """The table of results, and where the reports are."""
    console = Console()
    console.print(table(shown))
    typer.echo("Reports:")
    for each in shown:
        typer.echo(f"  {each.report}")


def table(shown: list[Shown]) -> Table:
    from gatework.tasks.verdict import EARNED

    made = Table("job", "measured", "model", "best baseline", "earned by", "seconds", title="Results on the test parts")
    for each in shown:
        found = each.results["comparison"]
        best = f"{found['other']:.4f}  {found['against']}" if "other" in found else "none"
        name, seconds = found["metric"].replace("_", " "), f"{each.seconds:.0f}"
        made.add_row(
            each.demo.name, name, f"{found['value']:.4f}", best, EARNED.get(found["earned"], "not clear"), seconds
        )
    return made


def write_sentences(path: Path) -> None:
    from gatework.data.embedded import sentences

    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in sentences())
    path.write_text("".join(lines), encoding="utf-8")


def write_manual(path: Path) -> None:
    from gatework.data.embedded import manual

    path.write_text(manual(), encoding="utf-8")


def write_statements(path: Path) -> None:
    from gatework.data.embedded import statements

    path.write_text(statements(), encoding="utf-8")


def write_digits(path: Path) -> None:
    from gatework.data.embedded import digits

    path.write_text(digits(), encoding="utf-8")


def write_sunspots(path: Path) -> None:
    from gatework.data.embedded import sunspots

    path.write_text(sunspots(), encoding="utf-8")


def write_co2(path: Path) -> None:
    from gatework.data.embedded import co2

    path.write_text(co2(), encoding="utf-8")


def write_dates(path: Path) -> None:
    from gatework.data.wordings import dates

    path.write_text(lines(("words", "date"), *dates()), encoding="utf-8")


def write_numbers(path: Path) -> None:
    from gatework.data.wordings import numbers

    path.write_text(lines(("number", "words"), *numbers()), encoding="utf-8")


def write_tunes(path: Path) -> None:
    from gatework.data.made import write_tunes

    write_tunes(path.parent, 400)


def write_films(path: Path) -> None:
    from gatework.data.made import write_moving_digits

    write_moving_digits(path.parent, 2_000, digits=1)


def write_morse(path: Path) -> None:
    """The table stands beside the folder of its recordings."""
    from gatework.data import made

    header, *rows = made.write_morse(path.parent / path.stem, 800, letters=LETTERS).read_text("utf-8").splitlines()
    path.write_text("\n".join([header, *(f"{path.stem}/{row}" for row in rows)]) + "\n", encoding="utf-8")


def lines(*pairs: tuple[str, str]) -> str:
    """Pairs as lines, with a tab between."""
    return "".join(f"{first}\t{second}\n" for first, second in pairs)


SUN_CYCLE = 132  # months: eleven years
SUNSPOTS = {
    "season": SUN_CYCLE,
    "lookback": SUN_CYCLE,
    "horizon": 12,
    "valid_windows": 20,
    "test_windows": 20,
    "scale": "last",
    "hidden_size": 32,
    "dropout": 0.3,
    "epochs": 5,
}

# Of pairs: a network that is as small as exact rules allow.
SMALL = {"source_tokenizer": "characters", "embedding_size": 32, "encoder_size": 32, "hidden_size": 64, "dropout": 0.1}

TUNES = {
    "mels": 40,
    "hidden_size": 64,
    "encoder_size": 24,
    "asking_size": 48,
    "speaker": "player",
    "finish": 0,
    "reduction": 3,
    "schedule_by": "time",
}

# Of tones: as they are, for copies at other speeds take longer to learn from; few letters, for each must be told apart.
MORSE = {
    "hidden_size": 64,
    "layers": 1,
    "front_size": 64,
    "batch_size": 8,
    "learning_rate": 0.005,
    "dropout": 0.0,
    "specaugment": 0.0,
    "speed": 0.0,
    "pitch": 0.0,
    "loudness": 0.0,
    "colouring": 0.0,
    "noise": 0.0,
    "epochs": 16,
}
LETTERS = "etianmso"

DEMOS = (
    Demo(
        "classify",
        "Which library is this sentence of Python's documentation from?",
        "sentences.jsonl",
        write_sentences,
        {"text": "text", "label": "library", "ngrams": "words"},
        20,
    ),
    Demo(
        "classify",
        "Which digit is this, read line by line? (1,797 scans of 8 x 8 dots, from scikit-learn)",
        "digits.csv",
        write_digits,
        {"id": "id", "time": "line", "label": "digit"},
        15,
    ),
    Demo(
        "forecast",
        "How many sunspots in the next twelve months? (monthly, 1749 to 1983)",
        "sunspots.csv",
        write_sunspots,
        SUNSPOTS,
        20,
    ),
    Demo(
        "forecast",
        "How much carbon dioxide in the air over the next year? (Mauna Loa, weekly, 1958 to 2001)",
        "co2.csv",
        write_co2,
        {"valid_windows": 4, "test_windows": 4},
        20,
    ),
    Demo(
        "tag",
        "What is the condition here, what an argument, a default? (statements of Python's own library, by its parser)",
        "statements.conll",
        write_statements,
        {"hidden_size": 64, "schedule_by": "time"},
        15,
    ),
    Demo(
        "translate",
        "Which date is this? (4,000 dates, each in one of six wordings; those of the test were never learned)",
        "dates.tsv",
        write_dates,
        {**SMALL, "target_tokenizer": "characters", "epochs": 8},
    ),
    Demo(
        "translate",
        "How is this number said? (4,000 numbers up to 999,999; those of the test were never learned)",
        "numbers.tsv",
        write_numbers,
        {**SMALL, "target_tokenizer": "spaces", "epochs": 12},
    ),
    Demo(
        "speak",
        "Play a tune from the names of its notes (400 tunes of two players, made by a rule)",
        "tunes.csv",
        write_tunes,
        TUNES,
        30,
    ),
    Demo(
        "caption",
        "Which digit moves where? (2,000 films of scikit-learn's digits)",
        "films.csv",
        write_films,
        {"size": 24, "hidden_size": 64, "dropout": 0.1, "learning_rate": 0.004, "epochs": 12, "schedule_by": "time"},
        40,
    ),
    Demo(
        "transcribe",
        "Which letters are these tones? (800 strings of Morse code in noise, of different speed and pitch, made here)",
        "morse.csv",
        write_morse,
        MORSE,
        50,
    ),
    Demo("generate", "Write like Python's language reference", "manual.txt", write_manual, {"schedule_by": "time"}, 30),
)
