"""The layer-normalised LSTM against the same as a loop in torch, and beside our plain LSTM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gatework.bench import peers
from gatework.bench.case import Case, agree
from gatework.bench.contest import against, contest
from gatework.bench.rows import OURS, Row
from gatework.bench.settings import USUAL, Settings, all_threads

if TYPE_CHECKING:
    from torch import Tensor

PLAIN, LOOP = "plain LSTM", "torch loop"


def measure(settings: Settings) -> Iterator[Row]:
    s = settings.or_else(shapes=(USUAL,), threads=all_threads(), dtype="float32")
    for shape in s.shapes or ():
        case, plain = Case("lstm_layer_norm", shape, str(s.dtype)), Case("lstm", shape, str(s.dtype))
        for threads in s.threads or ():
            peers.use_threads(threads)
            loop = Loop(case)
            agree(LOOP, case.output(), loop.output(), shape.T)
            for what, name in (("forward", "forward"), ("forward+backward", "both")):
                calls = {OURS: getattr(case, name), LOOP: getattr(loop, name), PLAIN: getattr(plain, name)}
                work = (2 if name == "forward" else 6) * case.work
                row = contest(s, "layer-norm", what, str(shape), threads, calls, flops=work, aside=(PLAIN,))
                row.facts["time against the plain LSTM"] = against(row.samples, OURS, PLAIN)
                yield row


class Loop:
    """The cell as people write it in torch: the input's product for all steps at once, then a loop."""

    def __init__(self, case: Case):
        import torch

        self.torch, self.case = torch, case
        self.weights = {k: torch.from_numpy(v).clone().requires_grad_() for k, v in joined(case).items()}
        self.x = torch.from_numpy(case.padded).clone().requires_grad_()
        self.gradient = torch.from_numpy(case.padded_gradient)

    def run(self) -> Tensor:
        torch, w, norm = self.torch, self.weights, self.torch.nn.functional.layer_norm
        steps, rows, units = len(self.x), self.x.shape[1], self.case.shape.H
        h = c = torch.zeros(rows, units, dtype=self.x.dtype)
        below, outputs = self.x @ w["x"].T, []
        for t in range(steps):
            sums = norm((below[t] + h @ w["h"].T).view(rows, 4, units), (units,)) * w["gain"] + w["shift"]
            i, f, o = torch.sigmoid(sums[:, :3]).unbind(1)
            c = f * c + i * torch.tanh(sums[:, 3])
            h = o * torch.tanh(norm(c, (units,), w["c_gain"], w["c_shift"]))
            outputs.append(h)
        return torch.stack(outputs)

    def forward(self) -> Tensor:
        with self.torch.inference_mode():
            return self.run()

    def both(self) -> object:
        return self.torch.autograd.grad(self.run(), [self.x, *self.weights.values()], self.gradient)

    def output(self) -> np.ndarray:
        return self.forward().numpy()


def joined(case: Case) -> dict[str, np.ndarray]:
    """Our weights with the gates i, f, o, g one below the other."""
    w = case.weights
    found = {name: np.concatenate([w[f"{gate}.{slot}"] for gate in "ifog"]) for name, slot in (("h", 0), ("x", 1))}
    found |= {name: np.stack([w[f"{gate}_{name}"] for gate in "ifog"]) for name in ("gain", "shift")}
    return found | {name: w[name] for name in ("c_gain", "c_shift")}
