"""What every codec can: learn from values, turn them into numbers and back, and become JSON and itself again."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, Self, TypeVar

Values = TypeVar("Values")
Codes = TypeVar("Codes")


class Codec(ABC, Generic[Values, Codes]):
    """Values to codes and back: texts to ids, numbers to scaled numbers, labels to numbers of classes.

        words = Words().fit(["a b", "b"])
        words.encode(["b c"])                       # Ragged of [[2, 1]]: "b" is the most frequent, "c" is unknown
        from_json(words.to_json()).encode(["b c"])  # the same

    A codec is a dataclass whose fields are JSON; its constructor refuses fields that are not what they should be.
    """

    kind: ClassVar[str]

    @abstractmethod
    def fit(self, values: Values) -> Self:
        """Learns from the training part; gives itself."""

    @abstractmethod
    def encode(self, values: Values) -> Codes:
        """Codes of values; what was never seen has a code, too."""

    @abstractmethod
    def decode(self, codes: Codes) -> Values:
        """Values of codes, as far as the codec keeps them apart."""

    def to_json(self) -> str:
        """A text from which `from_json` makes the same codec."""
        return json.dumps({"kind": self.kind, **self.settings()}, ensure_ascii=False)

    def settings(self) -> dict[str, Any]:
        """What was chosen and what was learned, by the constructor's names."""
        return {name: getattr(self, name) for name in getattr(self, "__dataclass_fields__", ())}
