"""The suites of measurements, by name: what each compares and which options it takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module

from gatework.bench.rows import Row
from gatework.bench.settings import Settings
from gatework.errors import OptionError
from gatework.extras import installed
from gatework.training.allocator import kept_memory


@dataclass(frozen=True)
class Suite:
    """`module` holds `measure(settings) -> Iterator[Row]`; `takes` are the options that mean something for it, and
    `needs` is what it cannot do without: keys of `PRESENT`."""

    name: str
    help: str
    takes: frozenset[str]
    module: str
    needs: tuple[str, ...] = ()

    def lacking(self) -> list[str]:
        """What it needs and this machine does not have."""
        return [name for name in self.needs if not PRESENT[name]()]

    def measure(self, settings: Settings) -> Iterator[Row]:
        refused = sorted(settings.given() - self.takes)
        if refused:
            known = ", ".join(sorted(self.takes)) or "none of them"
            raise OptionError(f"the suite {self.name!r} does not use {', '.join(refused)}; it takes {known}")
        run: Callable[[Settings], Iterator[Row]] = import_module(f"gatework.bench.suites.{self.module}").measure
        with kept_memory():  # whoever asks the system for fresh pages in each call would be timed with them
            for row in run(settings):
                yield replace(row, anyway=settings.anyway)


def _compiler() -> bool:
    from gatework.exporting.c import compiling

    return compiling.compiler() is not None


PRESENT: dict[str, Callable[[], bool]] = {
    "torch": lambda: installed("torch"),
    "keras": lambda: installed("keras"),
    "a C compiler": _compiler,
}


def _suite(name: str, takes: str, help: str, *needs: str) -> Suite:
    return Suite(name, help, frozenset(takes.split()), name.replace("-", "_"), needs)


SUITES = {
    s.name: s
    for s in (
        _suite("machine", "threads dtype", "what the machine can do: multiply-adds, and reading at several sizes"),
        _suite(
            "grid",
            "cell shapes threads dtype peers",
            "forward, forward+backward over the grid, against peers",
        ),
        _suite("cells", "cell shapes threads dtype peers", "GRU and tanh RNN against peers"),
        _suite("ragged", "cell shapes threads dtype peers", "sequences of unequal length against packed sequences"),
        _suite(
            "layer-norm",
            "shapes threads dtype",
            "the layer-norm LSTM against a loop in torch, and the plain LSTM",
            "torch",
        ),
        _suite("bf16", "cell shapes threads peers", "products in bfloat16 against float32 and torch's bfloat16"),
        _suite("variants", "shapes threads dtype", "other cells and wrappers: time per multiply-add beside the LSTM"),
        _suite("step", "shapes threads dtype peers", "one step of a stream against peers and the read bandwidth"),
        _suite("peak-memory", "cell shapes dtype", "peak memory of forward+backward"),
        _suite("first-use", "cell dtype", "how long a cell takes to compile, and to load from the disk cache"),
        _suite("layers", "shapes threads dtype", "the torch layers against torch.nn's", "torch"),
        _suite("c-step", "cell shapes", "one step in C, as an export writes it, against ours", "a C compiler"),
        _suite("keras", "shapes threads peer_python", "the Keras layers against Keras' own", "torch", "keras"),
    )
}


def measure_suite(name: str, settings: Settings) -> Iterable[Row]:
    """Rows, one after another as they are measured; "all" runs every suite, each with what it takes of the settings.
    Those that lack something here are left out of "all", with a warning."""
    if name == "all":
        for suite in SUITES.values():
            yield from _of_all(suite, settings)
        return
    if name not in SUITES:
        raise OptionError(f"there is no suite {name!r}; choose one of {', '.join(SUITES)}, or all")
    yield from SUITES[name].measure(settings)


def _of_all(suite: Suite, settings: Settings) -> Iterator[Row]:
    if lacking := suite.lacking():
        warnings.warn(f"{suite.name} is left out: it needs {' and '.join(lacking)}", stacklevel=2)
        return
    yield from suite.measure(settings.without(settings.given() - suite.takes))
