"""Options in a file: TOML that people write and `gatework init` begins, or the config.json of a run.

    task = "total"

    [options]
    hidden_size = 64
    lookback = "none"       # left to the data

Values are those of the option's type, or texts as --set takes them.
"""

from __future__ import annotations

import dataclasses
import json
import textwrap
import tomllib
from pathlib import Path
from typing import Any

from gatework.errors import FileFormatError, OptionError
from gatework.training.files import JSON_BYTES
from gatework.training.options import Options, checked, known, parsed
from gatework.training.run import CONFIG

WIDTH = 110  # of a comment
KEYS = ("task", "options")  # of such a file; a run's config.json has more


def read(path: str | Path, kind: type[Options], task: str) -> dict[str, Any]:
    """The options that a file sets, for a task; a run folder stands for its config.json.

    Raises: OptionError for a file of another task and for what is no option; FileFormatError for one that is damaged.
    """
    path = Path(path) / CONFIG if Path(path).is_dir() else Path(path)
    values = _values(path)
    if values.get("task", task) != task:
        raise OptionError(f"{path} holds options of the task {values['task']!r:.60}, not of {task!r}")
    options = values.get("options", {})
    if not isinstance(options, dict):
        raise FileFormatError(f"{path}: options is {options!r:.60}, not a table: write them under [options]")
    try:
        return {key: _value(kind, key, value) for key, value in options.items()}
    except OptionError as error:
        raise OptionError(f"{path}: {error}") from None


def _values(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise OptionError(f"{path} is no file; --config takes a TOML file, a config.json, or a run folder")
    if path.stat().st_size > JSON_BYTES:
        raise FileFormatError(f"{path} has {path.stat().st_size:,} bytes; at most {JSON_BYTES:,} can be right")
    text = path.read_bytes()
    try:
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:  # JSONDecodeError, TOMLDecodeError, UnicodeDecodeError
        raise FileFormatError(f"{path} cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise FileFormatError(f"{path} holds no options: write them under [options]")
    if path.suffix != ".json" and (others := [key for key in values if key not in KEYS]):
        raise OptionError(f"{path}: there is no key {others[0]!r}; options stand under [options]")
    return values


def _value(kind: type[Options], key: str, value: object) -> object:
    known(kind, key)
    return checked(kind, key, parsed(kind, key, value) if isinstance(value, str) else value)


def as_toml(options: Options, task: str, opening: str) -> str:
    """A file that `read` reads: what differs from the defaults is set, all else stands there as a comment."""
    panels: dict[str, list[str]] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        line = f"{field.name} = {_toml(value)}"
        told = field.metadata["help"]
        if field.metadata.get("choices"):
            told += f": {', '.join(map(str, field.metadata['choices']))}"
        comment = textwrap.wrap(told, WIDTH, initial_indent="# ", subsequent_indent="# ")
        lines = [*comment, line if value != field.default else f"#{line}", ""]
        panels.setdefault(field.metadata["panel"], []).extend(lines)
    head = [*(f"# {line}" for line in opening.splitlines()), "", f"task = {_toml(task)}", "", "[options]", ""]
    for panel, lines in panels.items():
        head += [f"# -- {panel} ".ljust(WIDTH, "-"), "", *lines]
    return "\n".join(head)


def _toml(value: object) -> str:
    """A value as TOML writes it; nothing is the text "none"."""
    if value is None:
        return '"none"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
