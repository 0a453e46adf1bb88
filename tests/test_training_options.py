"""Options: every way to set one, and what each mistake is answered with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from gatework.errors import OptionError
from gatework.training.options import TrainingOptions, option


@dataclass(frozen=True, kw_only=True)
class Some(TrainingOptions):
    column: str | None = option(None, "a column", panel="data")
    words: tuple[str, ...] = option((), "words", panel="data")


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("epochs=7", "epochs", 7),
        ("learning-rate=1e-2", "learning_rate", 0.01),
        ("l1=0", "l1", 0.0),
        ("nan_guard=no", "nan_guard", False),
        ("column=a=b", "column", "a=b"),
        ("column=none", "column", None),
        ("words=a, b", "words", ("a", "b")),
    ],
)
def test_settings_are_read_by_type(setting: str, name: str, value: object) -> None:
    found = getattr(Some(column="x").with_settings([setting]), name)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learnin_rate=1", "did you mean 'learning_rate'"),
        ("zzz=1", "there are: seed, epochs"),
        ("epochs=1.5", "'epochs' takes a whole number, not '1.5'"),
        ("epochs=-1", r"'epochs' must lie in \[0, inf\], not -1"),
        ("learning_rate=nan", "must be finite"),
        ("nan_guard=maybe", "takes true or false, not 'maybe'"),
        ("optimizer=adm", "did you mean 'adam'"),
        ("epochs", "key=value"),
        ("schedule_by=time", "time_limit=SECONDS"),
    ],
)
def test_mistakes_are_named(setting: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Some().with_settings([setting])


def test_options_survive_json_and_numpy_numbers() -> None:
    options = Some(epochs=np.int64(3), words=("a", "b"))  # pyright: ignore[reportArgumentType]
    assert Some.of(options.to_dict()) == options
    assert type(options.epochs) is int


def test_wrong_types_in_python_are_refused() -> None:
    with pytest.raises(OptionError, match="'epochs' takes int, not True"):
        Some(epochs=True)
    with pytest.raises(OptionError, match="several values"):
        Some(words=3)  # pyright: ignore[reportArgumentType]
    assert Some(words="one").words == ("one",)  # pyright: ignore[reportArgumentType]
