"""`gatework bench doctor`: what this machine is, which kernel runs, what disturbs, and what to expect, in words.

`examine` measures for a few seconds; `words` says what was found, and nothing else is measured for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gatework.bench import machine, peak, peers, steady
from gatework.bench.processor import Processor, described, usable
from gatework.bench.rows import BUSY, threaded
from gatework.bench.settings import all_threads
from gatework.bench.timing import measure
from gatework.errors import KernelError, OptionError
from gatework.runtime.llvm import cpu

README = ("znver5", "avx512", True)  # where README's tables of speed were measured: processor, kernel, at full rate
FULL = 1.5  # times the multiply-adds of the half width from which a width counts as at full rate
WANTING = 0.8  # of what as many single threads reach
TURNS = 100_000
MOST_READ = 256 << 20  # bytes
WEIGHTS = 8 * 512 * 512 * 4  # bytes of an LSTM of 512 units and as many inputs
RUNS, SECONDS = 6, 0.1


@dataclass(frozen=True)
class Findings:
    """Rates are operations or bytes a second: `multiply_adds` on one thread by instruction set; by the number of
    threads `together`, `reads` from memory, and `weights`, again and again those of a layer. `slower` says by how much
    the usual time of a peak lies above its best."""

    processor: Processor
    forced: str
    kernel: str
    multiply_adds: Mapping[str, float]
    together: Mapping[int, float]
    reads: Mapping[int, float]
    weights: Mapping[int, float]
    slower: float
    load: float | None
    others: float | None
    stolen: float | None

    def full_rate(self) -> bool | None:
        """Whether AVX-512 works at full width: twice the multiply-adds of AVX2; None where one of them is not there."""
        wide, half = (self.multiply_adds.get(name) for name in ("avx512", "avx2"))
        return None if wide is None or half is None else wide > FULL * half


def examine() -> Findings:
    """Measure this machine; takes a few seconds where it is quiet."""
    others, found, forced = machine.Others(), described(), os.environ.get("GATEWORK_ISA", "")
    alone = timed({isa.name: peak.multiply_adds("float32", 1, TURNS, isa) for isa in usable()}, 1)
    several = {count: together(found, count) for count in all_threads() if usable()}
    return Findings(
        processor=found,
        forced=forced,
        kernel=kernel_of(forced),
        multiply_adds={name: one.rate for name, one in alone.items()},
        together={count: each["adds"].rate for count, each in several.items()},
        reads={count: each["memory"].rate for count, each in several.items()},
        weights={count: each["weights"].rate for count, each in several.items()},
        slower=max((one.slower for one in alone.values()), default=0.0),
        load=machine.load(),
        others=others.share(),
        stolen=others.stolen(),
    )


def together(found: Processor, threads: int) -> dict[str, Reached]:
    """What so many threads do at once."""
    peers.use_threads(threads)
    isa, far = usable()[0], min(4 * found.last_cache, MOST_READ)
    kernels = {
        "adds": peak.multiply_adds("float32", threads, TURNS, isa),
        "memory": peak.reads(far, threads, total=far, isa=isa),
        "weights": peak.reads(WEIGHTS, threads, total=4 * WEIGHTS, isa=isa),
    }
    return timed(kernels, threads)


class Reached(NamedTuple):
    """The best rate of a kernel, and by how much its usual time lies above its best."""

    rate: float
    slower: float


def timed(kernels: Mapping[str, peak.Peak], threads: int) -> dict[str, Reached]:
    samples = measure({name: kernel.run for name, kernel in kernels.items()}, RUNS, SECONDS, pause=threads > 1)
    return {
        name: Reached(kernel.amount / steady.best(samples[name].times), steady.unsteadiness(samples[name].times))
        for name, kernel in kernels.items()
    }


def kernel_of(forced: str) -> str:
    """The instruction set whose kernels run here, or "reference": the interpreter."""
    if forced == "reference":
        return forced
    try:
        return cpu.best_isa(forced or None).name
    except KernelError as error:
        if forced:
            raise OptionError(str(error)) from error
        return "reference"


# ---- in words


def words(f: Findings) -> list[str]:
    """A line for each thing found."""
    return [*_machine(f), *_speed(f), *_kernel(f), *_neighbours(f), *_expect(f)]


def _machine(f: Findings) -> Iterator[str]:
    p = f.processor
    cores = f" on {p.cores} core{'s' * (p.cores > 1)}" if p.cores else ""
    where = ", in a virtual machine" if p.virtual else ""
    yield f"processor: {p.name} ({p.llvm_name}), {p.processors} for this process{cores}{where}"
    if p.quota is not None and p.quota < p.processors:
        yield f"a container's limit: {p.quota:g} processors at once; more threads than that wait for each other"
    if p.caches:
        told = [f"level {c.level} {shown_kib(c.kib)}" + f" for {c.shared}" * (c.shared > 1) for c in p.caches]
        yield f"caches: {', '.join(told)}"
    yield f"bfloat16: {' and '.join(p.bfloat16) or 'no instructions of its own'}"


def _speed(f: Findings) -> Iterator[str]:
    rates = [f"{name} {rate / 1e9:.0f}" for name, rate in f.multiply_adds.items()]
    if rates:
        yield f"multiply-adds, float32, one thread: {', '.join(rates)} GFLOP/s{RATES[f.full_rate()]}"
    if f.reads:
        told = [f"{threaded(count)} {rate / 1e9:.0f} GB/s" for count, rate in f.reads.items()]
        times = [f"{threaded(count)} {WEIGHTS / rate * 1e6:.0f} us" for count, rate in f.weights.items()]
        yield f"reading memory: {', '.join(told)}"
        yield f"reading the weights of an LSTM of 512 units, {WEIGHTS >> 20} MiB, again and again: {', '.join(times)}"


RATES = {
    None: "",
    True: "; AVX-512 works at full rate",
    False: "; AVX-512 works at half rate, in two halves: a wide instruction does the work of two in the time of two",
}


def _kernel(f: Findings) -> Iterator[str]:
    widest = next(iter(f.processor.instruction_sets), None)
    if f.kernel == "reference":
        why = "GATEWORK_ISA asks for it" if f.forced else "there are no kernels for this processor"
        yield f"kernel: none, the reference interpreter runs: {why}; it is slow"
    elif f.forced and f.forced != widest:
        hold = f". Hold torch to it as well: {HOLD}" if f.kernel == "avx2" else ""
        yield f"kernel: {f.kernel}, as GATEWORK_ISA asks; without it {widest} runs{hold}"
    else:
        others = f.processor.instruction_sets[1:]
        choice = f"; GATEWORK_ISA={others[0]} takes another" if others else ""
        yield f"kernel: {f.kernel}, the widest that this processor has{choice}"


HOLD = "ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2"


def _neighbours(f: Findings) -> Iterator[str]:
    """What disturbs, and what to do."""
    told = list(_disturbed(f))
    load = "" if f.load is None else f" (load {f.load:.1f} in the last minute)"
    if not told:
        yield f"neighbours: none seen{load}"
        return
    yield f"neighbours: {'; '.join(told)}{load}"
    yield "what to do: end what else runs, or measure later; `gatework bench` repeats until it is steady (--patience)"


def _disturbed(f: Findings) -> Iterator[str]:
    stolen, others = f.stolen or 0.0, f.others or 0.0
    if stolen > BUSY:
        yield f"other machines on this host took {stolen:.2f} processors"
    if others - stolen > BUSY:
        yield f"other processes used {others - stolen:.2f} processors"
    if f.slower > steady.MOST:
        yield f"the usual time of the same multiply-adds is {f.slower:.0%} above their best"
    one = f.together.get(1, 0.0)
    for count, rate in f.together.items():
        if rate < WANTING * count * one:
            yield f"{threaded(count)} reach {rate / one:.1f} times the multiply-adds of one"


def _expect(f: Findings) -> Iterator[str]:
    name, kernel, full = README
    if f.kernel == "reference":
        yield "expect: README's tables do not apply"
    elif quiet(f) and (f.processor.llvm_name, f.kernel, f.full_rate()) == README:
        yield "expect: README's tables apply; they were measured on such a processor"
    elif not quiet(f):
        yield "expect: no ratio of README's tables before it is quiet here; two threads suffer most"
    else:
        yield (
            f"expect: README's tables were measured on {name} with {kernel} at {'full' if full else 'half'} rate; "
            "times differ here, and ratios by tenths where products decide (many rows, many units). "
            "`gatework bench grid` measures yours"
        )


def quiet(f: Findings) -> bool:
    return not any(_disturbed(f))


def shown_kib(kib: int) -> str:
    """
    >>> shown_kib(32), shown_kib(32768)
    ('32 KiB', '32 MiB')
    """
    return f"{kib} KiB" if kib < 1024 else f"{kib / 1024:g} MiB"
