"""Programs whose products read bfloat16: against ours in float32, and torch's layer all in bfloat16."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gatework.bench import peers
from gatework.bench.case import Case, agree
from gatework.bench.contest import contest
from gatework.bench.rows import OURS, Row
from gatework.bench.settings import USUAL, Settings, Shape, all_threads
from gatework.runtime.program import BF16

SHAPES = (USUAL, Shape(50, 64, 256, 256), Shape(50, 64, 512, 512))
TORCH = "torch bfloat16"
ALLOWED = 0.05  # of outputs between -1 and 1: torch's states are rounded at every step, too


def measure(settings: Settings) -> Iterator[Row]:
    s = settings.or_else(cell="lstm", shapes=SHAPES, threads=all_threads(), peers=("torch",))
    for shape in s.shapes or ():
        case, full = (Case(str(s.cell), shape, "float32", precision=precision) for precision in (BF16, None))
        for threads in s.threads or ():
            peers.use_threads(threads)
            yield from rows(s, case, full, threads)


def rows(s: Settings, case: Case, full: Case, threads: int) -> Iterator[Row]:
    agree("float32", case.output(), full.output(), case.shape.T, ALLOWED)
    others: dict[str, Case | peers.Torch] = {"float32": full}
    if "torch" in (s.peers or ()) and peers.installed("torch") and peers.Torch.has(case, threads):
        others[TORCH] = Half(case, threads)
        agree(TORCH, case.output(), others[TORCH].output(), case.shape.T, ALLOWED)
    name = str(case.shape) if case.graph.name == "lstm" else f"{case.graph.name} {case.shape}"
    for what, call in (("forward", "forward"), ("forward+backward", "both")):
        calls = {n: getattr(each, call) for n, each in ({OURS: case} | others).items()}
        row = contest(s, "bf16", what, name, threads, calls)
        row.report["kernel"] = case.program.describe()
        yield row


class Half(peers.Torch):
    """torch.nn's layer with weights, inputs and gradients in bfloat16."""

    def __init__(self, case: Case, threads: int):
        super().__init__(case, threads)
        half = self.torch.bfloat16
        self.layer.to(half)
        self.leaf = self.leaf.detach().to(half).requires_grad_()
        self.input = self.leaf.view(case.shape.T, case.shape.B, -1)
        self.still, self.gradient = self.input.detach(), self.gradient.to(half)

    def output(self) -> np.ndarray:
        return self.flat(self.forward()).float().numpy()
