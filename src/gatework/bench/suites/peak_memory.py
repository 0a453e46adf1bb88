"""Peak memory of forward+backward, each measured in fresh processes."""

from __future__ import annotations

from collections.abc import Iterator

from gatework.bench import child, peers
from gatework.bench.rows import OURS, Row
from gatework.bench.settings import Settings, Shape, processors
from gatework.bench.timing import Sample

SHAPES = (Shape(100, 32, 128, 128), Shape(50, 64, 512, 512), Shape(200, 128, 64, 128))
RECOMPUTE = "gatework with recompute"
PROCESSES = 2


def measure(settings: Settings) -> Iterator[Row]:
    s = settings.or_else(cell="lstm", shapes=SHAPES, dtype="float32")
    for shape in s.shapes or ():
        samples = {OURS: bytes_of(OURS, s, shape), RECOMPUTE: bytes_of("recompute", s, shape)}
        if peers.installed("torch") and s.cell in peers.TWINS:
            samples["torch"] = bytes_of("torch", s, shape)
        facts = {"with recompute": samples[RECOMPUTE].median / samples[OURS].median}
        if "torch" in samples:
            facts["with recompute, of torch's"] = samples[RECOMPUTE].median / samples["torch"].median
        words = ("peak-memory", "forward+backward", str(shape), processors())
        yield Row(*words, samples, unit="bytes", aside=(RECOMPUTE,), facts=facts)


def bytes_of(who: str, s: Settings, shape: Shape) -> Sample:
    job = {"task": "memory", "who": who, "cell": s.cell, "shape": list(shape), "dtype": s.dtype}
    return Sample(tuple(child.run(job)["bytes"] for _ in range(PROCESSES)))
