"""Self-contained pages about a run or an evaluation: what came out, and how to use it. No network, no scripts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatework.pages.picture import Picture
    from gatework.tasks.base import Source
    from gatework.tasks.jobs import Trained
    from gatework.training.run import Run

REPORT, PLOTS = "report.html", "plots"

__all__ = ["evaluation", "write"]


def write(run: Run | str | Path, path: str | Path | None = None) -> Path:
    """Writes a finished run's report, by default report.html in its folder, and its plots/*.png; gives the path.

        from gatework import report
        report.write("runs/reviews")            # PosixPath('runs/reviews/report.html')

    The picture that a task is about lies beside the report too, such as forecast.png.

    Raises: FileFormatError for a folder that is no run, or one whose training has not finished.
    """
    from gatework.report.page import Report
    from gatework.training import files
    from gatework.training.run import Run as RunFolder

    opened = RunFolder.open(run) if isinstance(run, str | Path) else run
    found = Report(opened, opened.results())
    folder = opened.path / PLOTS
    folder.mkdir(exist_ok=True)
    for picture in found.pictures.values():
        files.write_bytes(folder / f"{picture.name}.png", picture.png)
    return _page(opened.path / REPORT if path is None else Path(path), found.render(), found.beside())


def evaluation(trained: Trained, source: Source, path: str | Path | None = None) -> tuple[dict[str, float], Path]:
    """Measures a trained model on other data and writes a page about it; gives the metrics and the page's path.

        trained = gatework.tasks.jobs.load("runs/reviews")
        report.evaluation(trained, "test.csv")  # ({"accuracy": 0.9, ...}, PosixPath('.../evaluation-test.html'))

    Args:
        path: the page's file; without it, `evaluation-NAME.html` in the run folder, NAME being the source's.
    """
    from gatework.report.page import Report
    from gatework.tasks.origin import files_of

    results = trained.assessed(source)
    name = next((file.name.partition(".")[0] for file in files_of(source)), "data")
    target = trained.run.path / f"evaluation-{name}.html" if path is None else Path(path)
    before = trained.run.results() if trained.run.finished else {}
    found = Report(trained.run, results, before)
    return results["test"], _page(target, found.render(), found.beside())


def _page(path: Path, html: str, beside: Iterable[Picture]) -> Path:
    from gatework.training import files

    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, html.encode())
    for picture in beside:
        name = f"{picture.name}.png" if path.name == REPORT else f"{path.stem}-{picture.name}.png"
        files.write_bytes(path.with_name(name), picture.png)
    return path
