"""One self-contained page about a run: what was asked, what came out, and how to use it. No network, no scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatework.training.run import Run

REPORT, PLOTS = "report.html", "plots"

__all__ = ["write"]


def write(run: Run | str | Path) -> Path:
    """Writes report.html and plots/*.png into a finished run's folder; gives the report's path.

        from gatework import report
        report.write("runs/reviews")            # PosixPath('runs/reviews/report.html')

    Raises: FileFormatError for a folder that is no run, or one whose training has not finished.
    """
    from gatework.report import page, plots
    from gatework.training import files
    from gatework.training.run import Run as RunFolder

    opened = RunFolder.open(run) if isinstance(run, str | Path) else run
    results = opened.results()
    pictures = plots.draw(results)
    folder = opened.path / PLOTS
    folder.mkdir(exist_ok=True)
    for picture in pictures.values():
        files.write_bytes(folder / f"{picture.name}.png", picture.png)
    html = page.render(opened, results, pictures)
    files.write_bytes(opened.path / REPORT, html.encode())
    return opened.path / REPORT
