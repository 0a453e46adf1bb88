"""Every error that gatework raises on purpose.

    GateworkError
    ├── CellError            a cell's equations are invalid               (also a TypeError)
    ├── ShapeError           an array has the wrong shape or dtype        (also a ValueError)
    ├── DataError            a file or table holds something unusable     (also a ValueError)
    ├── OptionError          an option does not exist or does not fit     (also a ValueError)
    ├── FileFormatError      a saved file is damaged, foreign or unsafe   (also a ValueError)
    ├── KernelError          a kernel could not be compiled or run        (also a RuntimeError)
    ├── TrainingError        a training cannot go on or be saved          (also a RuntimeError)
    └── MissingExtraError    an optional dependency is not installed      (also an ImportError)

A message names the thing, shows the offending value or shape, and says what to do next.
"""


class GateworkError(Exception):
    """Base of all errors raised on purpose by gatework."""


class CellError(GateworkError, TypeError):
    """A cell's equations are inconsistent; the message shows the line."""


class ShapeError(GateworkError, ValueError):
    """An array does not have the shape or dtype that the call needs."""


class DataError(GateworkError, ValueError):
    """Input data cannot be used; the message names file, row, column and value."""


class OptionError(GateworkError, ValueError):
    """An option is unknown or does not fit the others."""


class FileFormatError(GateworkError, ValueError):
    """A file is damaged, of another kind, or asks for something unsafe."""


class KernelError(GateworkError, RuntimeError):
    """A kernel could not be compiled or run."""


class TrainingError(GateworkError, RuntimeError):
    """A training cannot go on or be saved; the message says what was kept and how to continue."""


class MissingExtraError(GateworkError, ImportError):
    """An optional dependency is missing; the message holds the command that installs it."""

    def __init__(self, package: str, extra: str):
        super().__init__(f"this needs {package}, which is not installed; run: {_install(extra)}")


def _install(extra: str) -> str:
    """The command for an extra: from where gatework itself was installed, a clone or the package index."""
    import json
    from importlib import metadata
    from shlex import quote
    from urllib.parse import unquote, urlparse

    try:
        told = json.loads(metadata.distribution("gatework").read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:
        told = {}
    url = urlparse(told.get("url", ""))
    place = unquote(url.path) if url.scheme == "file" else "gatework"
    return f"pip install {'-e ' * bool(told.get('dir_info', {}).get('editable'))}{quote(f'{place}[{extra}]')}"
