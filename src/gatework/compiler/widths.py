"""Widths as symbols: which values of a step have equally many units, found by union-find."""

from __future__ import annotations

from gatework.compiler.ir import SCALAR

HIDDEN = "H"
FEATURES = "I"


class Widths:
    """Sets of equal width labels. A label is *rigid* ("H", "I", one that the author declared), *soft* (an input's own,
    until it meets another) or *fresh* (a map's result, which is "H" unless it meets something else)."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}
        self.rank: dict[str, int] = {}

    def rigid(self, label: str) -> str:
        return self.label(label, 0 if label == SCALAR else 3)

    def soft(self, label: str) -> str:
        return self.label(label, 2)

    def fresh(self) -> str:
        return self.label(f"~{len(self.parent)}", 1)

    def label(self, label: str, rank: int) -> str:
        self.parent.setdefault(label, label)
        self.rank[label] = max(self.rank.get(label, 0), rank)
        return label

    def find(self, label: str) -> str:
        while self.parent[label] != label:
            label = self.parent[label]
        return label

    def unify(self, a: str, b: str) -> bool:
        """Make two widths one; False if they are different rigid ones ("1" is rigid too)."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return True
        if self.fixed(a) and self.fixed(b):
            return False
        strong, weak = (a, b) if self.fixed(a) or (not self.fixed(b) and self.rank[a] >= self.rank[b]) else (b, a)
        self.parent[weak] = strong
        return True

    def fixed(self, label: str) -> bool:
        return label == SCALAR or self.rank[label] == 3

    def name(self, label: str) -> str:
        """The symbol that a label stands for once the cell is complete."""
        found = self.find(label)
        return HIDDEN if found.startswith("~") else found
