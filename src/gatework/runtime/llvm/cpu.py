"""From LLVM IR to callable machine code, through the disk cache. The only place that loads llvmlite.

`GATEWORK_DEBUG` prints what happens (see compiler/debug.py).
`GATEWORK_ISA` forces an instruction set (avx512, avx2, sse2); one that the machine lacks is an error.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import time
from collections.abc import Callable
from typing import Any

from gatework.backends.llvm.isa import ISAS, Isa
from gatework.compiler.debug import debug, wanted
from gatework.errors import KernelError
from gatework.runtime.lazy import lazy
from gatework.runtime.llvm import cache


@functools.cache
def binding() -> Any:
    """llvmlite's binding, initialised for this machine."""
    try:
        import llvmlite.binding as llvm
    except (ImportError, OSError) as error:
        raise KernelError(f"llvmlite cannot be loaded ({error}); run: pip install 'llvmlite>=0.48,<0.51'") from error
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@functools.cache
def host() -> tuple[str, dict[str, bool]]:
    """The processor's name and features, as LLVM knows them."""
    llvm = binding()
    return llvm.get_host_cpu_name(), dict(llvm.get_host_cpu_features())


def supported(isa: Isa) -> bool:
    """Can this machine run code for an instruction set?"""
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if machine != isa.triple:
        return False
    features = host()[1]
    return machine == "aarch64" or all(features.get(f.lstrip("+")) for f in isa.features.split(","))


@functools.cache
def best_isa(forced: str | None = None) -> Isa:
    """The widest instruction set of this machine, or the one that GATEWORK_ISA names."""
    name = forced or os.environ.get("GATEWORK_ISA")
    if name:
        if name not in ISAS:
            raise KernelError(f"GATEWORK_ISA={name!r} is unknown; choose one of {', '.join(ISAS)}")
        if not supported(ISAS[name]):
            raise KernelError(f"this processor ({host()[0]}) cannot run {name!r}; unset GATEWORK_ISA")
        return ISAS[name]
    for isa in ISAS.values():
        if supported(isa):
            return isa
    raise KernelError(f"no kernels exist for this processor ({platform.machine()}); the reference interpreter is used")


def target_machine(isa: Isa, jit: bool = True) -> Any:
    """LLVM's code generator for an instruction set. It names no processor, as LLVM would add all that this can do: a
    virtual machine may hide some of it, and GATEWORK_ISA asks for less."""
    llvm = binding()
    if isa.triple == "aarch64" and not supported(isa):
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        return llvm.Target.from_triple("aarch64-linux-gnu").create_target_machine(features=isa.features, opt=2)
    target = llvm.Target.from_default_triple()
    cpu = "x86-64" if isa.triple == "x86_64" else ""
    return target.create_target_machine(cpu=cpu, features=isa.features, opt=2, jit=jit)


def tuned(text: str, isa: Isa) -> str:
    """IR for this machine's processor: scheduled for it and, if it can, with prefetches for writing. Neither changes a
    result."""
    if isa.triple != "x86_64" or isa.name == "sse2":
        return text
    name, features = host()
    more = isa.features + ",+prfchw" * bool(features.get("prfchw"))
    said = isa.attributes.replace(isa.features, more)
    return text.replace(isa.attributes, f'{said} "tune-cpu"="{name}"')


def optimised(text: str, machine: Any) -> Any:
    """Parse IR, check it, and run LLVM's passes; loops are ours already, so none is unrolled or vectorised."""
    llvm = binding()
    try:
        parsed = llvm.parse_assembly(text)
        parsed.verify()
    except RuntimeError as error:
        raise KernelError(
            f"the generated code is not valid LLVM IR: {error}; please report it with the cell"
        ) from error
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(parsed, builder)
    return parsed


class Code:
    """Loaded machine code. `code["steps"]` is the address of a function."""

    def __init__(self, image: bytes):
        llvm = binding()
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _loader_machine())
        self.engine.add_object_file(llvm.ObjectFileRef.from_data(image))
        self.engine.finalize_object()
        self.known: dict[str, Any] = {}
        self.addresses: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        if name not in self.addresses:  # asking LLVM takes its lock, which a child forked meanwhile would wait for
            self.addresses[name] = self.engine.get_function_address(name)
        address = self.addresses[name]
        if not address:
            raise KernelError(f"the compiled code has no function {name!r}; delete {cache.directory()} and try again")
        return address

    @lazy
    def execute(self) -> Any:
        """The function that runs a job's share of one thread: (job, thread)."""
        return self.function("execute", ctypes.c_void_p, ctypes.c_int64)

    def function(self, name: str, *kinds: Any) -> Any:
        """A callable, which releases Python's lock while it runs."""
        if name not in self.known:
            self.known[name] = ctypes.CFUNCTYPE(None, *kinds)(self[name])
        return self.known[name]


def _loader_machine() -> Any:
    return binding().Target.from_default_triple().create_target_machine(jit=True)


def load(name: str, key: str, isa: Isa, text: Callable[[], str]) -> Code:
    """Machine code for `text()`, from the cache if it is there under `key` (which must tell apart all that `text`
    depends on)."""
    key = cache.digest(key, isa.name, host()[0], binding().llvm_version_info, platform.platform())
    image = None if wanted("ir") or wanted("asm") else cache.read(name, key)
    if image is not None:
        try:
            return Code(image)
        except RuntimeError as error:
            reason = str(error)
            debug("compile", lambda: f"gatework: the cached {name} does not load ({reason}); it is compiled again")
    began = time.perf_counter()
    image = compile_object(text(), isa)
    debug(
        "compile", lambda: f"gatework: compiled {name} for {isa.name} in {(time.perf_counter() - began) * 1e3:.0f} ms"
    )
    cache.write(name, key, image)
    return Code(image)


def compile_object(text: str, isa: Isa) -> bytes:
    debug("ir", lambda: text)
    machine = target_machine(isa)
    parsed = optimised(tuned(text, isa), machine)
    debug("asm", lambda: machine.emit_assembly(parsed))
    return machine.emit_object(parsed)
