"""Options: every way to set one, and what each mistake is answered with."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pytest

from gatework import tasks
from gatework.errors import OptionError
from gatework.tasks.classify.options import ClassifyOptions
from gatework.training.options import ROLES, TrainingOptions, option, roles_of


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


# -- roles --------------------------------------------------------------------------------------------------

TASKS = [tasks.get(name).Options for name in tasks.names()]


def test_every_role_is_used_and_no_other() -> None:
    for role in ROLES:
        assert any(kind.with_role(role) for kind in TASKS), f"no option of any task has the role {role!r}"
    with pytest.raises(OptionError, match="no role 'questions'; did you mean 'question'"):
        option(1, "a number", panel="model", role="questions")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.__name__)
def test_roles_of_an_option_agree(kind: type[TrainingOptions]) -> None:
    roles = {field.name: set(roles_of(kind, field.name)) for field in fields(kind)}
    for name, own in roles.items():
        assert len(own & {"reading", "question", "course", "late"}) <= 1, f"{name}: {own} contradict each other"
        assert "refit" not in own or "question" in own, f"{name} changes the rows that are learned: a question"
    named = {f.name for f in fields(kind) if "column" in f.metadata["help"] and f.default in (None, ())}
    odd = {name for name in named if not roles[name] & {"reading", "question"}}
    assert not odd, f"{odd} name columns: what is asked would change, if a search varied them"
    assert {"cell", "hidden_size", "dropout", "learning_rate"} <= set(kind.with_role("late"))


def test_an_option_declared_again_keeps_its_roles() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Other(Some):
        epochs: int = option(3, "rounds", panel="training", low=0)
        threads: int = option(1, "threads", panel="training", low=0, role="question")

    assert roles_of(Other, "epochs") == roles_of(TrainingOptions, "epochs") == ("late", "resumable")
    assert roles_of(Other, "threads") == ("question",)
    assert "words" not in Other.with_role(*ROLES)


@pytest.mark.parametrize("value", [10**30, -(10**30), 2**63])
def test_whole_numbers_end_where_arrays_do(value: int) -> None:
    with pytest.raises(OptionError, match=r"option 'seed' is too large: .*; whole numbers end at 1,152,921"):
        TrainingOptions(seed=value)
    assert TrainingOptions(seed=2**60).seed == 2**60


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(OptionError, match=r"option 'optimizer' .*\\ud800"):
        TrainingOptions(optimizer="\ud800")
    with pytest.raises(OptionError, match="option 'text' holds half a character"):
        ClassifyOptions(text="a\udfff")
