"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from gatework.errors import DataError


def put(path: Path, data: bytes) -> None:
    """Writes beside the place and moves there.

    Raises: DataError where the folder is missing or may not be written to, or the disk is full.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()  # what is there may be a link to elsewhere
        with beside.open("xb") as file:
            file.write(data)
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise DataError(f"{path}: cannot be written ({error.strerror}); name a file in a folder that exists") from None
