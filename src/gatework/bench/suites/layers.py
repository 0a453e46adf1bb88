"""The torch layers against torch.nn's: what remains of the kernels' gain once autograd is around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from gatework.bench import peers
from gatework.bench.case import Case
from gatework.bench.contest import against, contest
from gatework.bench.rows import OURS, Row
from gatework.bench.settings import GRID, USUAL, Settings, Shape, all_threads

if TYPE_CHECKING:
    import torch

Options = dict[str, Any]
CORE = "core"
SHAPES = tuple(shape for shape in GRID if shape.T >= 50)
SMALL = Shape(1, 1, 32, 32)
DEEP = {"num_layers": 2, "bidirectional": True, "dropout": 0.2}


def measure(settings: Settings) -> Iterator[Row]:
    s = settings.or_else(threads=all_threads(), dtype="float32")
    for threads in s.threads or ():
        peers.use_threads(threads)
        for shape in s.shapes or SHAPES:
            yield from against_core(s, shape, threads)
        usual = s.shapes[0] if s.shapes else USUAL
        yield pair(s, "two layers, both ways, dropout", usual, threads, DEEP, DEEP)
        yield pair(s, "recurrent dropout", usual, threads, {"recurrent_dropout": 0.2}, {})
        yield pair(s, "a call", s.shapes[0] if s.shapes else SMALL, threads, {}, {}, backward=False)


def against_core(s: Settings, shape: Shape, threads: int) -> Iterator[Row]:
    """Layer, torch's layer, and the kernels alone."""
    case = Case("lstm", shape, str(s.dtype))
    ours, theirs = twins(shape, str(s.dtype), {}, {})
    for what, core in (("forward", case.forward), ("forward+backward", case.both)):
        calls = {
            OURS: call(ours, shape, what != "forward"),
            "torch": call(theirs, shape, what != "forward"),
            CORE: core,
        }
        flops = (2 if what == "forward" else 6) * case.work
        row = contest(s, "layers", what, str(shape), threads, calls, flops=flops, aside=(CORE,))
        row.facts["time against the core"] = against(row.samples, OURS, CORE)
        yield row


def pair(
    s: Settings,
    name: str,
    shape: Shape,
    threads: int,
    mine: Options,
    other: Options,
    backward: bool = True,
) -> Row:
    """A layer of ours with options against one of torch's."""
    ours, theirs = twins(shape, str(s.dtype), mine, other)
    calls = {OURS: call(ours, shape, backward), "torch": call(theirs, shape, backward)}
    what = "forward+backward" if backward else "forward"
    row = contest(s, "layers", what, f"{name}, {shape}", threads, calls)
    row.report["kernel"] = ours.describe()
    return row


def twins(shape: Shape, dtype: str, mine: Options, other: Options) -> tuple[Any, Any]:
    """gatework.LSTM and torch.nn.LSTM with the same weights."""
    import torch

    import gatework

    kind = getattr(torch, dtype)
    ours, theirs = (
        made(shape.I, shape.H, dtype=kind, **options)
        for made, options in ((gatework.LSTM, mine), (torch.nn.LSTM, other))
    )
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def call(layer: torch.nn.Module, shape: Shape, backward: bool) -> Callable[[], object]:
    import torch

    parameters = list(layer.parameters())
    x = torch.randn(shape.T, shape.B, shape.I, dtype=parameters[0].dtype, requires_grad=backward)
    layer.train(backward)
    if not backward:
        return torch.inference_mode()(partial(layer, x))
    gradient = torch.randn_like(layer(x)[0])
    return lambda: torch.autograd.grad(layer(x)[0], [x, *parameters], gradient)
