"""What an exported program costs: bytes of weights, state, scratch, stack and code, and multiply-adds of a step."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """The table of a C program, and what was written. `code` is known once it was compiled, `error` where weights are
    smaller numbers: the largest difference to the model's own outputs in its cases, by the largest output."""

    files: tuple[Path, ...]
    weights: int
    state: int
    scratch: int
    stack: int
    multiply_adds: int
    code: int | None = None
    error: float | None = None
    per: str = "a step"  # what the multiply-adds are counted for
    notes: tuple[str, ...] = field(default=())

    def lines(self) -> list[str]:
        """The table.

        weights          8,704 bytes
        ...
        """
        sizes = {"weights": self.weights, "state": self.state, "scratch": self.scratch, "stack": self.stack}
        rows = [(name, f"{value:,} bytes") for name, value in sizes.items()]
        rows.append(("code", "known when compiled" if self.code is None else f"{self.code:,} bytes"))
        rows.append(("multiply-adds", f"{self.multiply_adds:,} {self.per}"))
        if self.error is not None:
            rows.append(("lost", f"{self.error:.2%} of the largest output"))
        return [*(f"{name:<14} {value:>20}" for name, value in rows), *self.notes]
