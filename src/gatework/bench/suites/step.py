"""One step of a stream, its state carried: against peers, and against reading the weights once. Weights in bf16 and
int8 stand beside our own in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gatework.bench import peers
from gatework.bench.case import Case, agree
from gatework.bench.contest import contest
from gatework.bench.rows import OURS, Row
from gatework.bench.settings import PEERS, Settings, Shape, all_threads
from gatework.compiler import params
from gatework.runtime.llvm.stream import Stream
from gatework.runtime.quantised import KINDS, Weights, arrays_of, dense, narrowed

SHAPES = tuple(Shape(1, 1, units, units) for units in (32, 64, 128, 256, 512))
LARGE = 128  # units from which reading the weights decides


def measure(settings: Settings) -> Iterator[Row]:
    s = settings.or_else(shapes=SHAPES, threads=all_threads(), dtype="float32", peers=PEERS)
    for shape in s.shapes or ():
        case = Case("lstm", shape._replace(T=1), str(s.dtype))
        for threads in s.threads or ():
            peers.use_threads(threads)
            yield row(s, case, threads)
            if case.dtype == "float32" and shape.H >= LARGE:
                yield from (narrow_row(s, case, threads, kind) for kind in KINDS)


def row(s: Settings, case: Case, threads: int) -> Row:
    size = params.count(case.graph, case.sizes) * np.dtype(case.dtype).itemsize
    calls: dict[str, Callable[[], object]] = {OURS: ours(case)}
    if "torch" in (s.peers or ()) and peers.installed("torch"):
        calls["torch"] = torch_step(case, threads)
    if "onnxruntime" in (s.peers or ()) and peers.installed("onnxruntime") and peers.Onnx.has(case, threads):
        calls["onnxruntime"] = onnx_step(case, threads)
    made = contest(s, "step", "step", str(case.shape), threads, calls, size=size)
    made.report["kernel"] = case.program.describe()
    return made


def narrow_row(s: Settings, case: Case, threads: int, kind: str) -> Row:
    """Ours with weights of a kind, beside ours in float32."""
    weights = narrowed(case.weights, kind)
    size = sum(array.nbytes for array in arrays_of(weights).values())
    narrow = stepping(case, weights, dense(weights))
    kernel = case.program.describe()  # of the call just made
    calls = {OURS: narrow, "float32": ours(case)}
    made = contest(s, "step", f"step {kind}", str(case.shape), threads, calls, size=size)
    made.report["kernel"] = kernel
    return made


def ours(case: Case) -> Callable[[], object]:
    """A bound stream: the state stays inside."""
    return stepping(case, case.weights, case.weights)


def stepping(case: Case, weights: Weights, meaning: Weights) -> Callable[[], object]:
    """Steps with these weights, which agree with a forward pass of what they mean."""
    want = case.program.forward(case.rows, case.inputs, {}, meaning).history[case.output_name]
    stream, x = Stream(case.program, weights, case.shape.B), case.inputs["x"]
    agree("the stream", want, stream.step(x), 1)
    return lambda: stream.step(x)


def torch_step(case: Case, threads: int) -> Callable[[], object]:
    import torch

    layer, x = peers.Torch(case, threads).layer, torch.from_numpy(case.padded)
    held: list[Any] = [None]

    def step() -> None:
        with torch.inference_mode():
            held[0] = layer(x, held[0])[1]

    return step


def onnx_step(case: Case, threads: int) -> Callable[[], object]:
    """States in and out, without the copy that carries them on."""
    session = peers.onnx_session(peers.model(case, state=True), threads)
    bound, keep = session.io_binding(), {}
    zeros = np.zeros((1, case.shape.B, case.shape.H), case.dtype)
    for name, array in (("X", case.padded), ("h0", zeros), ("c0", zeros)):
        keep[name] = peers.ort_value(array)
        bound.bind_ortvalue_input(name, keep[name])
    for name in ("Y_h", "Y_c"):
        keep[name] = peers.ort_value(zeros)
        bound.bind_ortvalue_output(name, keep[name])
    return lambda keep=keep: session.run_with_iobinding(bound)
