"""Labels -> numbers of classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from gatework.data.codecs.base import Codec
from gatework.errors import DataError

NO_CLASS = -1  # of a row without a label, or with one that was never learned
TYPES: dict[str, Any] = {"int": int, "float": float, "bool": lambda name: name.lower() == "true", "str": str}


@dataclass
class Labels(Codec[Iterable[str | None], np.ndarray]):
    """The different labels, in the order of numbers if all are numbers, else of the alphabet.

    Example: `Labels().fit(["10", "9", None]).encode(["9", "8"])` is `[0, -1]`.

    Args:
        type: what the labels were before they were text: "int", "float", "bool" or "str".
        classes: the labels as text.
    """

    type: str = "str"
    classes: list[str] = field(default_factory=list)
    kind = "labels"

    def __post_init__(self) -> None:
        if self.type not in TYPES or not isinstance(self.classes, list):
            raise DataError(f"labels have one of the types {', '.join(TYPES)}; got {self.type!r}, {self.classes!r:.60}")
        try:
            self.typed()
        except ValueError as error:
            raise DataError(f"labels of the type {self.type!r} cannot be {error}") from None

    def __len__(self) -> int:
        return len(self.classes)

    def fit(self, values: Iterable[str | None]) -> Self:
        self.classes = class_names(values)
        return self

    def encode(self, values: Iterable[str | None]) -> np.ndarray:
        """Numbers int64 [n] of the classes, NO_CLASS where there is none."""
        number: dict[str | None, int] = {name: i for i, name in enumerate(self.classes)}
        return np.array([number.get(name, NO_CLASS) for name in values], np.int64)

    def decode(self, codes: np.ndarray) -> list[str | None]:
        return [None if code == NO_CLASS else self.classes[code] for code in codes]

    def typed(self) -> Sequence[Any]:
        """The classes as they were before they were text."""
        return [TYPES[self.type](name) for name in self.classes]


def class_names(labels: Iterable[str | None]) -> list[str]:
    """The different labels in order; equal numbers ("1", "1.0") by alphabet. Rows without a label are left out."""
    names = {name for name in labels if name is not None}
    numbers = all(map(_is_number, names))
    return sorted(names, key=lambda name: (float(name) if numbers else 0.0, name))


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal()
