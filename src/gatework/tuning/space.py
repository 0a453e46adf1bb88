"""Search spaces: which options vary, and between what. Written as TOML or as `name=values`, and read for any task.

hidden_size = "32..256 log"         a range; `log` draws evenly over orders of magnitude, `step 32` in steps
cell = ["lstm", "gru"]              choices; on the command line --search "cell=lstm,gru"
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatework.data.suggest import did_you_mean
from gatework.errors import OptionError
from gatework.training.options import Options, checked, kinds, known, parsed, roles_of

if TYPE_CHECKING:
    from optuna.trial import Trial

    from gatework.tasks.base import Task

SPACE = "space.toml"  # in a task's folder
NUMBER = r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({NUMBER})\s*\.\.\s*({NUMBER})(\s+log)?(?:\s+step\s+({NUMBER}))?")

# Trials with other rows, another question or another learning set cannot be compared.
FIXED = {
    "reading": "it would change what is read",
    "question": "it would change what is asked or measured",
    "course": "it is no setting of the model",
}


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `whole` ones for options that are counts."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def suggest(self, trial: Trial, name: str) -> Any:
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def holds(self, value: object) -> bool:
        """Whether a trial could draw this value."""
        if not isinstance(value, int | float) or isinstance(value, bool) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / (self.step or 1)
        return not self.step or math.isclose(steps, round(steps), abs_tol=1e-9)

    def points(self, count: int) -> list[Any]:
        """So many values (or fewer, where there are fewer) for a grid: the ends and what lies evenly between."""
        shares = [k / (count - 1) for k in range(count)]
        if self.log:
            found = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            found = [self.low + (self.high - self.low) * share for share in shares]
        if self.step:
            found = [self.low + round((value - self.low) / self.step) * self.step for value in found]
        rounded = [round(value) if self.whole else float(f"{value:.6g}") for value in found]
        return list(dict.fromkeys(min(max(value, self.low), self.high) for value in rounded))

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}{' log' if self.log else ''}{f' step {self.step:g}' if self.step else ''}"


@dataclass(frozen=True)
class Choices:
    """Some values of any type; those that are lists themselves (option `stop`) are drawn as their text."""

    values: tuple[Any, ...]

    def suggest(self, trial: Trial, name: str) -> Any:
        drawn = trial.suggest_categorical(name, [as_drawn(value) for value in self.values])
        return next(value for value in self.values if as_drawn(value) == drawn)

    def holds(self, value: object) -> bool:
        return value in self.values

    def points(self, count: int) -> list[Any]:
        return [as_drawn(value) for value in self.values]

    def __str__(self) -> str:
        return ", ".join(str(as_drawn(value)) for value in self.values)


Space = Mapping[str, Range | Choices]


def as_drawn(value: object) -> Any:
    """A value as Optuna stores it: lists as text."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def space_of(options: type[Options], given: Mapping[str, Any]) -> Space:
    """The space that a mapping describes, every name, type and bound checked.

        space_of(task.Options, {"hidden_size": "32..256 log", "cell": ["lstm", "gru"]})

    Raises: OptionError for an unknown key, an empty range, a value that the option refuses.
    """
    return {_name(key): dimension(options, _name(key), value) for key, value in given.items()}


def _name(key: str) -> str:
    return key.strip().replace("-", "_")


def dimension(options: type[Options], name: str, value: object) -> Range | Choices:
    """One option's range or choices, from text, a list or a single value."""
    known(options, name)
    roles = roles_of(options, name)
    if why := next((text for role, text in FIXED.items() if role in roles), None):
        raise OptionError(f"option {name!r} cannot be searched: {why}; give it as an option of every trial instead")
    if isinstance(value, str) and ".." in value:
        return _range(options, name, value)
    values = _texts(options, name, value) if isinstance(value, str) else value
    values = list(values) if isinstance(values, list | tuple) else [values]
    if not values:
        raise OptionError(f"option {name!r} has no values to choose from; write {name} = [VALUE, VALUE]")
    found = tuple(dict.fromkeys(checked(options, name, each) for each in values))
    if name == "cell":
        from gatework import cells

        for cell in found:
            cells.get(cell)
    return Choices(found)


def _texts(options: type[Options], name: str, text: str) -> list[Any]:
    """`lstm,gru` as values; options that hold several values are parted by `|`."""
    many = kinds(options)[name][2]
    return [parsed(options, name, part.strip()) for part in text.split("|" if many else ",") if part.strip() or many]


def _range(options: type[Options], name: str, text: str) -> Range:
    kind, _, many = kinds(options)[name]
    match = RANGE.fullmatch(text.strip())
    if match is None:
        raise OptionError(f"option {name!r}: {text!r} is no range; write LOW..HIGH, with ' log' or ' step N' behind it")
    if kind not in (int, float) or many:
        raise OptionError(f"option {name!r} holds no single number, so it has no range; write {name} = [VALUE, VALUE]")
    low, high = (checked(options, name, parsed(options, name, part)) for part in match.group(1, 2))
    step = parsed(options, name, match[4]) if match[4] else None
    if low >= high:
        raise OptionError(f"option {name!r}: the range {text!r} is empty; write the smaller end first")
    if match[3] and (low <= 0 or step):
        raise OptionError(f"option {name!r}: a log range begins above 0 and has no step, not {text!r}")
    if step is not None and not 0 < step <= high - low:
        raise OptionError(f"option {name!r}: a step lies between 0 and the width of the range, not {text!r}")
    return Range(low, high, bool(match[3]), step, kind is int)


def settings(texts: Iterable[str]) -> dict[str, str]:
    """`--search` texts as a mapping: `hidden_size=32..256 log` -> {"hidden_size": "32..256 log"}."""
    pairs = [text.partition("=") for text in texts]
    for key, equals, value in pairs:
        if not equals or not value.strip():
            raise OptionError(f'a search is written "name=LOW..HIGH" or "name=a,b", not {key + equals!r}')
    return {_name(key): value.strip() for key, _, value in pairs}


def default_text(task: type[Task]) -> str:
    """The commented TOML of a task's default space; "" for a task that has none."""
    path = task.folder() / SPACE
    return path.read_text(encoding="utf-8") if path.exists() else ""


def default(task: type[Task], variant: str | None) -> dict[str, Any]:
    """A task's default space; where it has a table for each variant of the data, that of the variant."""
    return _of_variant(tomllib.loads(default_text(task)), task, variant, f"the default space of {task.name}")


def read(path: Path, task: type[Task], variant: str | None) -> dict[str, Any]:
    """A space from a TOML file."""
    try:
        return _of_variant(tomllib.loads(path.read_text(encoding="utf-8")), task, variant, str(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} is no TOML file: {error}") from error


def _of_variant(found: dict[str, Any], task: type[Task], variant: str | None, where: str) -> dict[str, Any]:
    """The entries outside all tables, and those of the variant's table."""
    tables = {name: value for name, value in found.items() if isinstance(value, dict)}
    known = [name for name, value in tomllib.loads(default_text(task)).items() if isinstance(value, dict)]
    for name in tables:
        if name not in known:
            there = f"there are {', '.join(f'[{each}]' for each in known)}" if known else "no table has a meaning there"
            raise OptionError(f"{where} has a table [{name}]; for {task.name} {there}")
    flat = {name: value for name, value in found.items() if name not in tables}
    if tables and variant is not None and variant not in tables and not flat:
        hint = did_you_mean(variant, tables)
        raise OptionError(f"{where} has no table [{variant}], which is the kind of this data{hint}")
    return flat | tables.get(variant or "", {})


def as_text(space: Space) -> dict[str, str]:
    """The space as it is compared, stored and shown."""
    return {name: str(space[name]) for name in sorted(space)}
