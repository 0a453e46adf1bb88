"""Trained runs as files that leave the workshop: `gatework.export(run, "reviews.safetensors")`.

`FORMS` are the forms of a file, a module or package each: `write(model, target, weights)` writes one and says what it
wrote.
"""

from __future__ import annotations

from gatework.exporting.run import FORMS, export
from gatework.exporting.written import Written

__all__ = ["FORMS", "Written", "export"]
