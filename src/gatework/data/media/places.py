"""Where the files lie that a table names: beside it, in a folder beside it, with or without the end of their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

TRIED = 5  # names by which the folder and the end are judged
FOLDERS = 200  # of those beside a table, which are looked into


def located(
    names: list[str], base: Path, suffixes: tuple[str, ...], *, above: bool = False
) -> tuple[list[Path], tuple[str, ...]]:
    """The paths of files, and a note of where they were found if not just where the names say.

    Example: `located(["a", "b"], Path("LJSpeech-1.1"), (".wav",))` finds LJSpeech-1.1/wavs/a.wav and b.wav. What is
    nowhere is given as if it lay beside the table: the reader says that it is missing. `above` looks into the folders
    beside that of the table too, where sets keep their lists apart (COCO).
    """
    names = [name.replace("\\", "/") if "\\" in name and "/" not in name else name for name in names]
    some = [name for name in names if name][:TRIED]
    for folder in _folders(base, above):
        for end in ("", *suffixes):
            if any(_is_there(folder / (name + end)) for name in some):
                return [folder / (name + end) for name in names], _note(base, folder, end)
    return [base / name for name in names], ()


def _folders(base: Path, above: bool) -> Iterator[Path]:
    """The table's own folder and those in it; where asked, the one above and those in that too."""
    for parent in (base, base.resolve().parent) if above else (base,):
        yield parent
        try:
            below = [path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
        except OSError:
            below = []
        yield from sorted(below)[:FOLDERS]


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _note(base: Path, folder: Path, end: str) -> tuple[str, ...]:
    parts = [f"in {folder}"] if folder != base else []
    parts += [f"with {end} at their names' end"] if end else []
    return (f"the files were found {' '.join(parts)}",) if parts else ()
