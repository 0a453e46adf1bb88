"""Options: frozen dataclasses whose every field is a flag, a `--set key=value`, and an estimator's parameter.

A task extends `TrainingOptions` with its own fields. The file imports no torch, so that help texts are quick.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Self

from gatework.data.suggest import did_you_mean
from gatework.errors import OptionError

LARGEST = 1 << 60  # of whole numbers: arrays hold 64 bits, and sizes are multiplied by small numbers
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
NONE = ("none", "null", "")

Role = Literal["reading", "question", "course", "late", "refit", "resumable"]
# What an option can be for. One without a role is a setting of the model that data may be prepared with: a search for
# settings varies it, and prepares the data anew.
ROLES: dict[Role, str] = {
    "reading": "how a file is read: may differ for each file that a trained run reads; a search does not vary it",
    "question": "what is asked, of which rows, measured how: results that differ in it cannot be compared",
    "course": "how the training runs on this machine: no setting of the model",
    "late": "no task looks at it before it builds the model: prepared data does not depend on it",
    "refit": "learns the validation part too, after which that part can choose nothing",
    "resumable": "a resumed training may change it: the training stays the same one",
}


def option(
    default: Any,
    help: str,
    *,
    panel: str,
    choices: tuple[Any, ...] = (),
    low: float | None = None,
    high: float | None = None,
    role: Role | tuple[Role, ...] = (),
    basic: bool | None = None,
    completes: Literal["cell", "column"] | None = None,
) -> Any:
    """A field of an options class: `hidden_size: int = option(128, "units per layer (H)", panel="model", low=1)`.

    `low` and `high` are inclusive; `panel` is the heading under which the command line lists the flag; `role` is one or
    several of `ROLES`. `basic`: help shows it unasked, as one of a dozen of each task; others stand under --help-all.
    `completes` says what a shell may complete its value with, where there are no `choices`. A field that a subclass
    declares again, for another default, keeps of these three what it does not name.
    """
    roles = (role,) if isinstance(role, str) else role
    for name in roles:
        if name not in ROLES:
            raise OptionError(f"there is no role {name!r}{known_names(name, ROLES)}")
    metadata = {"help": help, "panel": panel, "choices": choices, "low": low, "high": high, "roles": roles}
    return dataclasses.field(default=default, metadata={**metadata, "basic": basic, "completes": completes})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options: checks itself when made; see `option` for a field.

    TrainingOptions(epochs=3).with_settings(["learning_rate=0.01"])
    """

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Checks type, range and choices of every field; subclasses add what depends on two of them."""
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, checked(type(self), field.name, getattr(self, field.name)))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Options from a mapping such as a run's config.json; an unknown key is an OptionError."""
        for key in values:
            known(cls, key)
        return cls(**values)

    @classmethod
    def with_role(cls, *roles: Role) -> list[str]:
        """The names of the options that have one of these roles, in the order of the fields."""
        return [field.name for field in dataclasses.fields(cls) if set(roles).intersection(roles_of(cls, field.name))]

    def with_settings(self, settings: Iterable[str]) -> Self:
        """A copy with `key=value` texts applied, each value read as the field's type."""
        return dataclasses.replace(self, **dict(_setting(type(self), text) for text in settings))

    def to_dict(self) -> dict[str, Any]:
        """Every option, as JSON-able values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(Options):
    """What every training has. Tasks redeclare a field to change its default."""

    seed: int = option(1, "seed of everything random", panel="training", low=0, role="course")
    epochs: int = option(
        20, "passes over the training data", panel="training", basic=True, low=0, role=("late", "resumable")
    )
    batch_size: int = option(32, "examples per step (B)", panel="training", low=1, role="late")
    optimizer: str = option(
        "adamw", "how weights move", panel="training", choices=("sgd", "rmsprop", "adam", "adamw"), role="late"
    )
    learning_rate: float = option(
        2e-3, "step size at the schedule's top", panel="training", basic=True, low=0, role="late"
    )
    find_rate: bool = option(False, "find the learning rate by a range test first", panel="training", role="course")
    momentum: float = option(0.9, "momentum of sgd and rmsprop", panel="training", low=0, high=0.9999, role="late")
    beta1: float = option(0.9, "decay of Adam's first moment", panel="training", low=0, high=0.9999, role="late")
    beta2: float = option(0.999, "decay of Adam's second moment", panel="training", low=0, high=0.999999, role="late")
    schedule: str = option(
        "cosine",
        "course of the learning rate",
        panel="training",
        choices=("constant", "cosine", "one-cycle", "plateau"),
        role="late",
    )
    schedule_by: str = option(
        "auto",
        "the course follows steps, or the time limit (then two runs are never the same to the bit); auto: steps, or "
        "the time limit once it will end the training before its epochs are done",
        panel="training",
        choices=("auto", "steps", "time"),
        role="course",
    )
    warmup: float = option(
        0.05, "share of all steps in which the rate rises", panel="training", low=0, high=1, role="late"
    )
    final_rate: float = option(
        0.0, "rate at the end, as a share of the top", panel="training", low=0, high=1, role="late"
    )
    plateau_patience: int = option(
        2, "epochs without gain before plateau lowers the rate", panel="training", low=0, role="late"
    )
    plateau_factor: float = option(
        0.5, "what plateau multiplies the rate by", panel="training", low=0, high=1, role="late"
    )
    clip: float = option(1.0, "largest gradient norm; 0 does not clip", panel="training", low=0, role="late")
    weight_decay: float = option(
        0.0, "what matrices lose per step, times the rate", panel="regularisation", low=0, role="late"
    )
    l1: float = option(
        0.0, "penalty on the sum of absolute weights of matrices", panel="regularisation", low=0, role="late"
    )
    l2: float = option(
        0.0, "penalty on the sum of squared weights of matrices", panel="regularisation", low=0, role="late"
    )
    average: str = option(
        "none", "evaluate with averaged weights", panel="training", choices=("none", "ema"), role="late"
    )
    average_decay: float = option(
        0.999, "decay of the averaged weights per step", panel="training", low=0, high=1, role="late"
    )
    keep: str = option("best", "which weights the result has", panel="training", choices=("best", "last"), role="late")
    patience: int = option(
        0,
        "epochs without gain before stopping early; 0 never does",
        panel="training",
        low=0,
        role=("late", "resumable"),
    )
    time_limit: float = option(
        0.0,
        "seconds of training after which it stops well; 0 is no limit",
        panel="training",
        basic=True,
        low=0,
        role=("course", "resumable"),
    )
    nan_guard: bool = option(
        True, "on a NaN or infinite loss go back to good weights with half the rate", panel="training", role="late"
    )
    save_every: float = option(
        60.0, "seconds between saves inside an epoch", panel="training", low=0, role=("course", "resumable")
    )
    keep_state: bool = option(
        False,
        "keep what a training that is done needs to go on for more epochs: some five times the size of the weights",
        panel="training",
        role=("course", "resumable"),
    )
    threads: int = option(
        0, "CPU threads; 0 leaves torch's choice", panel="training", low=0, role=("course", "resumable")
    )
    tensorboard: bool = option(False, "the same as log_to=tensorboard", panel="training", role=("course", "resumable"))
    log_to: tuple[str, ...] = option(
        (),
        "also tell the course of the training to these, as mlflow,wandb; TensorBoard's files lie in the run folder",
        panel="training",
        choices=("tensorboard", "mlflow", "wandb"),
        role=("course", "resumable"),
    )

    def loggers(self) -> tuple[str, ...]:
        """Where the course of the training is told."""
        return (*(("tensorboard",) if self.tensorboard else ()), *self.log_to)

    def validate(self) -> None:
        super().validate()
        if self.schedule_by == "time" and not self.time_limit:
            raise OptionError("schedule_by=time needs a time limit; add time_limit=SECONDS")


def must_leave_rows(valid_share: float, test_share: float | None) -> None:
    """Refuses shares that hold out everything."""
    if valid_share + (test_share or 0) >= 1:
        raise OptionError(f"valid_share {valid_share} and test_share {test_share} leave nothing to learn from")


def known(cls: type[Options], key: str) -> None:
    """Refuses a key that is no option, with the nearest."""
    names = [field.name for field in dataclasses.fields(cls)]
    if key not in names:
        raise OptionError(f"there is no option {key!r}{known_names(key, names)}")


def roles_of(cls: type[Options], key: str) -> tuple[Role, ...]:
    """The roles of an option, from the nearest class that names some."""
    return said_of(cls, key, "roles") or ()


def said_of(cls: type[Options], key: str, what: str) -> Any:
    """What the nearest class that says something of it says of an option: "roles", "basic", "completes"; or None."""
    fields = [vars(base).get("__dataclass_fields__", {}).get(key) for base in cls.__mro__]
    said = (field.metadata.get(what) for field in fields if field is not None)
    return next((each for each in said if each not in (None, ())), None)


def known_names(word: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest of the known names, or all of them."""
    known = list(known)
    return did_you_mean(word.replace("-", "_"), known) or f"; there are: {', '.join(known)}"


@cache
def kinds(cls: type[Options]) -> dict[str, tuple[type, bool, bool]]:
    """Field name -> (base type, may be None, is a tuple of it); read off the annotations."""
    hints = typing.get_type_hints(cls)
    return {field.name: _kind(hints[field.name]) for field in dataclasses.fields(cls)}


def _kind(hint: Any) -> tuple[type, bool, bool]:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        (rest,) = [each for each in arguments if each is not type(None)]
        return _kind(rest)[0], True, _kind(rest)[2]
    if typing.get_origin(hint) is tuple:
        return arguments[0], False, True
    return hint, False, False


def setting_name(text: str) -> str:
    """The option that a text "KEY=VALUE" sets."""
    return text.partition("=")[0].strip().replace("-", "_")


def _setting(cls: type[Options], text: str) -> tuple[str, Any]:
    key, (_, equals, value) = setting_name(text), text.partition("=")
    if not equals:
        raise OptionError(f"a setting is written key=value, not {text!r}")
    known(cls, key)
    return key, parsed(cls, key, value.strip())


def parsed(cls: type[Options], key: str, text: str) -> Any:
    """The value of an option as people write it: `parsed(TrainingOptions, "epochs", "3")` is 3."""
    kind, optional, many = kinds(cls)[key]
    if optional and text.lower() in NONE:
        return None
    if many:
        return tuple(_scalar(key, kind, part.strip()) for part in text.split(",") if part.strip())
    return _scalar(key, kind, text)


def _scalar(key: str, kind: type, text: str) -> Any:
    if kind is bool and text.lower() in TRUE + FALSE:
        return text.lower() in TRUE
    try:
        if kind is not bool:
            return kind(text)
    except ValueError:
        pass
    wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
    raise OptionError(f"option {key!r} takes {wanted}, not {text!r}")


def checked(cls: type[Options], key: str, value: Any) -> Any:
    """The value as the option keeps it, or an OptionError for a wrong type, range or choice."""
    kind, optional, many = kinds(cls)[key]
    field = cls.__dataclass_fields__[key]
    if value is None and optional:
        return None
    if many:
        value = (value,) if isinstance(value, str) else value  # target="units"
        if not isinstance(value, Iterable):
            raise OptionError(f"option {field.name!r} takes several values, not {value!r}")
        return tuple(_in_range(field, _typed(field.name, kind, each)) for each in value)
    return _in_range(field, _typed(field.name, kind, value))


def _typed(name: str, kind: type[Any], value: Any) -> Any:
    if kind in (int, float) and hasattr(value, "item"):  # a numpy number, as search grids hold them
        value = value.item()
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise OptionError(f"option {name!r} takes {kind.__name__}, not {value!r}")


def _in_range(field: dataclasses.Field[Any], value: Any) -> Any:
    choices, low, high = (field.metadata.get(key) for key in ("choices", "low", "high"))
    if choices and value not in choices:
        raise OptionError(f"option {field.name!r} cannot be {value!r}{known_names(str(value), map(str, choices))}")
    if isinstance(value, float) and not math.isfinite(value):
        raise OptionError(f"option {field.name!r} must be finite, not {value!r}")
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise OptionError(f"option {field.name!r} holds half a character: {value!r:.60}")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise OptionError(f"option {field.name!r} is too large: {str(value)[:40]}; whole numbers end at {LARGEST:,}")
    if (low is not None and value < low) or (high is not None and value > high):
        raise OptionError(f"option {field.name!r} must lie in {_interval(low, high)}, not {value!r}")
    return value


def _interval(low: float | None, high: float | None) -> str:
    return f"[{'-inf' if low is None else low}, {'inf' if high is None else high}]"
