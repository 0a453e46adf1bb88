"""Training speed of a character model, two layers of 512, batch 64, 128 steps: gatework's layers against torch's.

    python benchmarks/generate_speed.py                         # JSON to benchmarks/results/generate_speed.json

The same model, weights, loss, clipping and Adam step; contestants run in turns, and medians are compared. Plain: every
`gatework.LSTM` against a `torch.nn.LSTM` in its place. Variational dropout (Gal & Ghahramani 2016: one mask of the
state for all steps) has no option in torch.nn.LSTM, so there the peer is the faster of two loops: over
`torch.nn.LSTMCell`, and over steps whose input products were made as one matrix product before the loop.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gatework.bench.timing import Sample, measure, ratio
from gatework.networks.heads import cross_entropy
from gatework.tasks.generate.model import LanguageModel
from gatework.tasks.generate.options import GenerateOptions
from gatework.training import optimizer
from gatework.training.environment import environment

RESULTS = Path(__file__).parent / "results"
VOCABULARY, BATCH, LENGTH = 65, 64, 128
SIZES: dict[str, Any] = {
    "hidden_size": 512,
    "layers": 2,
    "sequence_length": LENGTH,
    "batch_size": BATCH,
    "ngram_length": 0,
}
OURS = "gatework"


class CellLoop(nn.Module):
    """Variational dropout around torch.nn.LSTMCell."""

    def __init__(self, inputs: int, hidden: int, rate: float):
        super().__init__()
        self.cell, self.rate = nn.LSTMCell(inputs, hidden), rate

    def forward(self, inputs: Tensor, states: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h = c = inputs.new_zeros(inputs.shape[1], self.cell.hidden_size)
        mask = F.dropout(torch.ones_like(h), self.rate)
        outputs = []
        for x in inputs:
            h, c = self.cell(x, (h * mask, c))
            outputs.append(h)
        return torch.stack(outputs), (h, c)


class HoistedLoop(CellLoop):
    """The same with all input products made at once, and the four gates written out."""

    def forward(self, inputs: Tensor, states: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        cell = self.cell
        h = c = inputs.new_zeros(inputs.shape[1], cell.hidden_size)
        mask = F.dropout(torch.ones_like(h), self.rate)
        assert cell.bias_ih is not None
        assert cell.bias_hh is not None
        products = F.linear(inputs, cell.weight_ih, cell.bias_ih + cell.bias_hh)
        outputs = []
        for x in products:
            i, f, g, o = torch.addmm(x, h * mask, cell.weight_hh.t()).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        return torch.stack(outputs), (h, c)


def model(options: GenerateOptions, layer: Callable[[Any], nn.Module] | None, weights: Any = None) -> LanguageModel:
    """The job's model; with `layer`, that in place of gatework's, and the same weights."""
    torch.manual_seed(1)
    made = LanguageModel(VOCABULARY, options)
    if layer is not None:
        own = made.decoder.encoder.layers
        peers = nn.ModuleList(layer(each) for each in own)
        made.decoder.encoder.layers = peers
        for mine, theirs in zip(own, peers, strict=True):
            known = {name.removesuffix("_l0"): each for name, each in mine.state_dict().items()}
            for name, each in theirs.named_parameters():
                each.data.copy_(known[name.split(".")[-1].removesuffix("_l0")])
    return made.train()


def training_step(made: LanguageModel, rate: float = 1e-3, clip: float = 1.0) -> Callable[[], float]:
    """One step as the job's trainer makes it."""
    torch.manual_seed(2)
    text = torch.randint(VOCABULARY, (LENGTH + 1, BATCH))
    parameters = list(made.parameters())
    moved = torch.optim.AdamW(parameters, rate, fused=True)

    def step() -> float:
        logits, _ = made(text[:-1], {})
        loss = cross_entropy(logits, text[1:])
        moved.zero_grad()
        loss.backward()
        optimizer.clip(parameters, clip)
        moved.step()
        return float(loss.detach())

    return step


def stacked(own: Any) -> nn.Module:
    """torch's layers in the place of ours."""
    return nn.LSTM(own.input_size, own.hidden_size, own.num_layers)


def plain() -> dict[str, Callable[[], float]]:
    options = GenerateOptions(**SIZES, dropout=0.0)
    steps = {OURS: training_step(model(options, None)), "torch.nn.LSTM": training_step(model(options, stacked))}
    first = {name: step() for name, step in steps.items()}
    if max(first.values()) - min(first.values()) > 1e-4:
        raise SystemExit(f"the models differ: {first}")
    return steps


def variational() -> dict[str, Callable[[], float]]:
    options = GenerateOptions(**SIZES, dropout=0.3, recurrent_dropout=0.3)
    loops = {"LSTMCell loop": CellLoop, "loop, input products hoisted": HoistedLoop}
    made = {
        name: model(options, lambda own, kind=kind: kind(own.input_size, own.hidden_size, 0.3))
        for name, kind in loops.items()
    }
    return {OURS: training_step(model(options, None))} | {name: training_step(each) for name, each in made.items()}


def compared(name: str, contestants: dict[str, Callable[[], float]], runs: int) -> dict[str, Any]:
    """Medians, spreads, and our gain over the fastest peer."""
    samples = measure(contestants, runs=runs, seconds=5.0, pause=True)
    rivals = {peer: sample for peer, sample in samples.items() if peer != OURS}
    fastest = min(rivals, key=lambda peer: rivals[peer].median)
    gain, error = ratio(rivals[fastest], samples[OURS])
    speed = BATCH * LENGTH / samples[OURS].median
    print(f"{name}: {gain:.2f} ± {error:.2f} times the speed of {fastest}; {speed:,.0f} characters per second")
    seconds = {peer: described(each) for peer, each in samples.items()}
    return {"gain": gain, "error": error, "fastest_peer": fastest, "characters_per_second": speed, "seconds": seconds}


def described(sample: Sample) -> dict[str, float]:
    return {"median": sample.median, "spread": sample.spread, "runs": len(sample.times)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="fewest runs of each")
    parser.add_argument("--out", type=Path, default=RESULTS / "generate_speed.json")
    given = parser.parse_args()
    rows = {"plain": compared("plain", plain(), given.runs)}
    rows["variational dropout"] = compared("variational dropout", variational(), given.runs)
    result = {"benchmark": "training speed, 2 x 512, B 64, T 128", "rows": rows, "threads": torch.get_num_threads()}
    given.out.write_text(json.dumps({**result, **environment()}, indent=2) + "\n")
    print(given.out)


if __name__ == "__main__":
    main()
