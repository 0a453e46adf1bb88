"""Recurrent layers and whole networks as one C99 header and source, with a program that proves them.

from gatework.exporting import c
report = c.write_stack(layers, "out", "model")              # out/model.h, out/model.c, out/model_test.c
print("\\n".join(report.lines()))
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gatework.backends.c.products import STORAGES, Storage
from gatework.backends.c.words import prefix
from gatework.errors import OptionError
from gatework.exporting.c import compiling, netvectors, netverifier, program, vectors, verifier
from gatework.exporting.c.net import Printer, Shared
from gatework.exporting.c.report import Report
from gatework.exporting.c.stack import Cells, Stack, ready
from gatework.exporting.written import Written
from gatework.runtime.exported import Exported
from gatework.runtime.saved import Layer

__all__ = ["Report", "prove", "write", "write_stack"]

MOST_STEPS = 256
LARGE = 1_000_000  # bytes of tables, of which a person is told
# Kinds of models that read sequences of one length alone, which a program then knows as a number.
# Kinds of models whose steps are short, so that programs keep room for more of them: frames of 10 s.
LONG = {"transcripts": 1_000}
FIXED: dict[str, Callable[[dict[str, Any]], int]] = {"horizon": lambda settings: settings["shape"]["lookback"]}


def write(model: Exported, out: Path, weights: str) -> Written:
    """The form "c": NAME.h, NAME.c and NAME_test.c in the folder `out`, of which NAME is the last part."""
    if several := sorted(set(model.nets) - {"whole", "step"}):
        raise OptionError(
            f"the form c writes a network that reads rows by itself; here several hand numbers to each other "
            f"({', '.join(several)}): use --to gatework or onnx"
        )
    report = write_nets(model, out, program_name(out), weights)
    if compiling.compiler() is not None:
        report = prove(report)
    sizes = [f"{path}: {path.stat().st_size:,} bytes" for path in report.files]
    return Written(list(report.files), [*sizes, *report.lines(), f"compile and check: {check(report)}"])


def check(report: Report) -> str:
    """The command that compiles a written program with its proof, and runs both."""
    sources = " ".join(shlex.quote(str(path)) for path in report.files[1:])
    return f"cc {' '.join(compiling.FAST)} -std=c99 {sources} -lm -o check && ./check"


def program_name(out: Path) -> str:
    """What a folder is called, as the beginning of names: "my-model.v2" is my_model_v2."""
    found = "".join(c if c.isascii() and c.isalnum() else "_" for c in out.name.removesuffix("-c")).strip("_")
    return prefix(found if found[:1].isalpha() else f"net_{found}")


def write_nets(
    model: Exported,
    folder: str | os.PathLike[str],
    name: str,
    weights: str = "float32",
    most_steps: int | None = None,
) -> Report:
    """Write the nets of a model as one program; see `write_stack`. `weights` are those of recurrent layers; the longest
    sequence is what the model itself reads at most, where it says so.

    Raises OptionError for a net with an operation that has no form in C.
    """
    most_steps = most_steps or int(model.settings.get("max_length") or LONG.get(model.kind, MOST_STEPS))
    shared, printers = printed_nets(model, name, weights, most_steps)
    cells = shared.cells
    held = netvectors.held(shared.model)
    cases = [netvectors.cases(held, p.name, most_steps, shared.fixed) for p in printers]
    texts = assembled(shared, printers, name)
    texts[f"{name}_test.c"] = netverifier.program(list(zip(printers, cases, strict=True)), name)
    error = None
    if weights != "float32":
        own = netvectors.held(replace(model, stacks=[ready(stack, "float32") for stack in model.stacks]))
        error = max(netvectors.lost(own, p.name, made) for p, made in zip(printers, cases, strict=True))
    inside = max((step.stack_bytes() for step in cells.steps), default=0)
    return Report(
        files=_written(Path(folder), name, texts),
        weights=cells.table_bytes() + sum(shared.sizes.values()),
        state=sum(p.struct_bytes() for p in printers if p.keeps),
        scratch=sum(p.struct_bytes() for p in printers if not p.keeps),
        stack=inside + max(p.local_bytes for p in printers),
        multiply_adds=max(p.counted for p in printers),
        error=error,
        per="an answer" if shared.fixed else "a step",
        notes=(*left_out(model), *large(shared.sizes)),
    )


def left_out(model: Exported) -> Iterator[str]:
    """What the model's answers need beside its nets, such as counts of n-grams: the program is the nets alone."""
    read = {name for net in model.nets.values() for name in net.arrays}
    others = sorted({name.partition(".")[0] for name in model.arrays.keys() - read})
    if others:
        yield (
            f"not in the program: {', '.join(others)}, which the run mixes with what the network says; its answers "
            "differ from those of gatework predict"
        )


def large(sizes: Mapping[str, int]) -> Iterator[str]:
    """Where tables make a program large: which, and what makes them small."""
    found = {name: size for name, size in sizes.items() if size >= LARGE / 10}
    if sum(sizes.values()) > LARGE:
        told = ", ".join(f"{name} {size:,} bytes" for name, size in sorted(found.items(), key=lambda x: -x[1]))
        yield (
            f"large tables: {told}; a training with a smaller vocabulary (--set vocabulary=N) and without hashed parts "
            "of words (--set subwords=0) makes them small, for tasks that have these options"
        )


def net_texts(model: Exported, name: str, weights: str, most_steps: int) -> dict[str, str]:
    """Header and source of a model's nets, without their proof."""
    shared, printers = printed_nets(model, name, weights, most_steps)
    return assembled(shared, printers, name)


def printed_nets(model: Exported, name: str, weights: str, most_steps: int) -> tuple[Shared, list[Printer]]:
    storage = checked(name, weights)
    model = replace(model, stacks=[ready(stack, weights) for stack in model.stacks])
    shared = Shared(
        model, Cells(storage), most_steps, fixed=FIXED.get(model.kind, lambda settings: None)(model.settings)
    )
    if not model.nets:
        raise OptionError(f"a model of the kind {model.kind!r} has no net, so there is nothing to write in C")
    return shared, [Printer(each, net, shared) for each, net in model.nets.items()]


def assembled(shared: Shared, printers: Sequence[Printer], name: str) -> dict[str, str]:
    parts = program.of_nets(shared.model, printers, shared, name)
    return {f"{name}.h": program.header(parts), f"{name}.c": program.source(parts, shared.cells, name)}


def write_stack(
    layers: Sequence[Layer],
    folder: str | os.PathLike[str],
    name: str,
    weights: str = "float32",
    most_steps: int = MOST_STEPS,
) -> Report:
    """Write NAME.h, NAME.c and NAME_test.c of recurrent layers into a folder, which is made where it is missing.

        report = c.write_stack(gatework.runtime.saved.read("model.safetensors"), "out", "model", weights="int8")

    weights     "float32", "bf16" or "int8" with a scale for each row; states and sums are float32
    most_steps  the longest sequence of layers that run both ways, for which the program keeps room

    Raises OptionError for a name that C cannot have, and for weights that are not finite.
    """
    stack = printed(layers, name, weights, most_steps)
    cells = stack.cells
    cases = vectors.cases(vectors.in_float64(stack.layers))
    texts = {
        f"{name}.h": program.header(parts := program.of_stack(stack, name)),
        f"{name}.c": program.source(parts, cells, name),
        f"{name}_test.c": verifier.program(stack, cases, name),
    }
    return Report(
        files=_written(Path(folder), name, texts),
        weights=cells.table_bytes(),
        state=stack.state_bytes(),
        scratch=stack.scratch_bytes(),
        stack=max(step.stack_bytes() for step in cells.steps),
        multiply_adds=stack.multiply_adds(),
        error=None if weights == "float32" else lost(vectors.in_float64(ready(layers, "float32")), cases),
    )


def printed(layers: Sequence[Layer], name: str, weights: str, most_steps: int) -> Stack:
    """The program of a stack, in parts that `program` puts together."""
    storage = checked(name, weights)
    return Stack(ready(layers, weights), Cells(storage), most_steps)


def checked(name: str, weights: str) -> Storage:
    prefix(name)
    if weights not in STORAGES:
        raise OptionError(f"weights={weights!r}; choose one of {', '.join(STORAGES)}")
    return STORAGES[weights]


def lost(layers: Sequence[Layer], cases: Sequence[vectors.Case]) -> float:
    """How far the cases' outputs are from those of the model's own weights."""
    model = vectors.Model(layers)
    pairs = [(case.outputs, model.run(case.inputs, case.start)[0]) for case in cases]
    largest = max(float(np.abs(own).max()) for _, own in pairs) or 1.0
    return max(float(np.abs(held - own).max()) for held, own in pairs) / largest


def _written(folder: Path, name: str, texts: dict[str, str]) -> tuple[Path, ...]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            (folder / file).write_text(text.replace("@", f"{name}_"), encoding="utf-8")
    except OSError as error:
        raise OptionError(f"{folder} cannot be written: {error.strerror}") from error
    return tuple(folder / file for file in texts)


def prove(report: Report, *flags: str) -> Report:
    """Compile a written program and run its proof; gives the report with the bytes of its code.

    Raises KernelError where there is no compiler, and where the program fails.
    """
    source, test = report.files[1], report.files[2]
    obj, binary = source.with_suffix(".o"), test.with_suffix("")
    try:
        compiling.compiled([source], obj, *(flags or ("-O3",)), "-c")
        compiling.compiled([test, obj], binary, "-O1")
        compiling.called([str(binary.resolve())])
        return replace(report, code=compiling.code_bytes(obj))
    finally:
        for made in (obj, binary):
            made.unlink(missing_ok=True)
