"""Measurements against peers on this machine, beside what the machine can do: `gatework bench`.

from gatework.bench import Settings, measure_suite, shapes_of
for row in measure_suite("grid", Settings(threads=(1,), shapes=shapes_of("T100B32I128H128"))):
    print(row.line())
"""

from __future__ import annotations

from gatework.bench.settings import Settings, Shape, shapes_of
from gatework.bench.suites import SUITES, measure_suite

__all__ = ["SUITES", "Settings", "Shape", "measure_suite", "shapes_of"]
