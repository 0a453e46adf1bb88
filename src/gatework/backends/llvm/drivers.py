"""The loops around the tiles, the same for every cell: steps, weight gradients, packing, the list of commands.

Each is a function (slots, argument, thread, threads) that reads its work from the tables of layout.py.
"""

from __future__ import annotations

from collections.abc import Callable

from . import ahead, panels, rounded
from .ahead import Turn
from .emit import Function, Value, module
from .isa import Isa
from .layout import ARGUMENTS, Command, Job, OuterWord, SectionWord, Segment, StageWord, Steps, share, slot

EPILOGUE_TYPES = ("ptr", "ptr") + ("i64",) * 11
Maker = Callable[[Isa, str], Function]


def library(isa: Isa, scalar: str) -> str:
    """One module with all drivers."""
    makers: list[Maker] = [barrier, execute, apart, team, steps, outer, fill, differ]
    makers += [panels.pack, panels.unpack, rounded.gather]
    if isa.operands != "float":
        makers += [rounded.round_panels]
    return module([make(isa, scalar) for make in makers], isa)


def barrier(isa: Isa, scalar: str) -> Function:
    """All threads meet: the last to arrive opens the next generation. Waits by spinning, then gives way to others."""
    f = Function("meet", "ptr %barrier, i64 %threads", isa, scalar)
    turn, turns = f.at("%barrier", 8, "i64"), f.alloca("i64")
    wait, again, done = "wait", "again", "met"
    with f.when(f.cmp("sgt", "%threads", 1)):
        before = f.op(f"load atomic i64, ptr {turn} monotonic, align 8")
        arrived = f.op("atomicrmw add ptr %barrier, i64 1 acq_rel")
        f.store("i64", 0, turns)
        last = f.cmp("eq", f.add(arrived, 1), "%threads")
        with f.when(last):
            f.line("store atomic i64 0, ptr %barrier monotonic, align 8")
            f.op(f"atomicrmw add ptr {turn}, i64 1 acq_rel")
        f.line(f"br label %{wait}")
        f.label(wait)
        now = f.op(f"load atomic i64, ptr {turn} acquire, align 8")
        f.line(f"br i1 {f.cmp('ne', now, before)}, label %{done}, label %{again}")
        f.label(again)
        _pause(f, turns)
        f.line(f"br label %{wait}")
        f.label(done)
    f.ret()
    return f


def _pause(f: Function, turns: str) -> None:
    """Tell the core that this is a wait; after some two thousand turns let the system run another thread."""
    if f.isa.triple == "x86_64":
        f.call("void", "llvm.x86.sse2.pause")
    else:
        f.call("void", "llvm.aarch64.hint", ("i32", 1))
    count = f.add(f.load("i64", turns), 1)
    f.store("i64", count, turns)
    with f.when(f.cmp("eq", f.op(f"and i64 {count}, 2047"), 0)):
        f.op("call i32 @sched_yield()")
    f.declared.add("declare i32 @sched_yield()")


def execute(isa: Isa, scalar: str) -> Function:
    """Run every command with all threads, meeting after each."""
    f = Function("execute", "ptr %job, i64 %tid", isa, scalar)
    slots, commands = f.field("%job", Job.slots, "ptr"), f.field("%job", Job.commands, "ptr")
    threads, meeting = f.field("%job", Job.threads), f.at("%job", Job.barrier, "i64")
    with f.loop(0, f.field("%job", Job.count)) as i:
        command = f.at(commands, f.mul(i, int(Command.WORDS)), "i64")
        function = f.field(command, Command.function, "ptr")
        argument = f.field(command, Command.argument, "ptr")
        f.invoke(function, ("ptr", slots), ("ptr", argument), ("i64", "%tid"), ("i64", threads), ("ptr", meeting))
        f.line(f"call void @meet(ptr {meeting}, i64 {threads})")
    f.ret()
    return f


def apart(isa: Isa, scalar: str) -> Function:
    """Each thread runs a job of its own, alone."""
    f = Function("apart", ARGUMENTS, isa, scalar)
    f.line(f"call void @execute(ptr {f.field('%arg', '%tid', 'ptr')}, i64 0)")
    f.ret()
    return f


def team(isa: Isa, scalar: str) -> Function:
    """What each thread of a team is started with: take a number, check that all came, work."""
    f = Function("team", "ptr %job", isa, scalar)
    ask = f.field("%job", Job.team_size, "ptr")
    threads = f.field("%job", Job.threads)
    came = f.alloca("i64")
    f.store("i64", threads, came)
    with f.when(f.op(f"icmp ne ptr {ask}, null")):
        f.store("i64", f.op(f"sext i32 {f.op(f'call i32 {ask}()')} to i64"), came)
    complete = f.cmp("eq", f.load("i64", came), threads)
    with f.when(complete):
        tid = f.op(f"atomicrmw add ptr {f.at('%job', Job.ticket, 'i64')}, i64 1 acq_rel")
        f.line(f"call void @execute(ptr %job, i64 {tid})")
    with f.when(f.op(f"xor i1 {complete}, true")):
        f.line(f"store atomic i64 1, ptr {f.at('%job', Job.refused, 'i64')} monotonic, align 8")
    f.ret()
    return f


# ---- steps


def steps(isa: Isa, scalar: str) -> Function:
    """For each step, each stage: blocks of rows, chunks of units, tiles of rows, sections of products, epilogue."""
    f = Function("steps", ARGUMENTS, isa, scalar)
    word = {w: f.field("%arg", w, "ptr" if w in _POINTERS else "i64") for w in Steps if w != Steps.WORDS}
    by_units = f.cmp("ne", word[Steps.by_units], 0)
    low = f.field(word[Steps.splits], "%tid")
    high = f.field(word[Steps.splits], f.add("%tid", 1))
    sums = f.at(slot(f, word[Steps.scratch])[0], f.mul("%tid", word[Steps.scratch_size]))
    scratch = (sums, f.at(sums, word[Steps.room]))
    with f.loop(0, word[Steps.count]) as i:
        s = f.add(word[Steps.begin], f.mul(i, word[Steps.stride]))
        count = f.field(word[Steps.counts], s)
        first = f.op(f"zext i1 {f.cmp('eq', s, 0)} to i64")
        before = f.max(f.sub(s, 1), 0)
        last = f.cmp("eq", f.add(i, 1), word[Steps.count])
        after = f.choose(last, s, f.add(s, word[Steps.stride]))
        cur, prev, following = (f.field(word[Steps.offsets], at) for at in (s, before, after))
        time = _Time(cur, prev, f.sub(following, cur), first, word[Steps.base])
        r0, r1 = f.min(low, count), f.min(high, count)
        with f.loop(0, word[Steps.stage_count]) as k:
            stage = f.at(word[Steps.stages], f.mul(k, int(StageWord.WORDS)), "i64")
            _stage(f, stage, by_units, (r0, r1, count), word[Steps.row_block], scratch, time)
            with f.when(by_units):
                f.line("call void @meet(ptr %barrier, i64 %threads)")
    f.ret()
    return f


_POINTERS = (Steps.counts, Steps.offsets, Steps.splits, Steps.stages)


class _Time:
    """Where the step's rows begin: now, one step before, how far on in the step that runs next, whether this is the
    first, and the chunk's base."""

    def __init__(self, cur: str, prev: str, following: Value, first: str, base: str):
        self.cur, self.prev, self.following, self.first, self.base = cur, prev, following, first, base

    def row(self, f: Function, mode: Value, row: Value) -> Value:
        """Row of an array for row `row` of the batch, by mode number (see layout.MODES)."""
        local = f.sub(self.cur, self.base)
        offset = f.choose(f.cmp("eq", mode, 1), self.cur, 0)
        offset = f.choose(f.cmp("eq", mode, 3), local, offset)
        not_first = f.op(f"icmp eq i64 {self.first}, 0")
        prev = f.op(f"and i1 {f.cmp('eq', mode, 2)}, {not_first}")
        return f.add(f.choose(prev, self.prev, offset), row)


def _stage(
    f: Function,
    stage: Value,
    by_units: str,
    rows: tuple[Value, Value, Value],
    block: Value,
    scratch: tuple[Value, Value],
    time: _Time,
) -> None:
    r0, r1, count = rows
    reduction = f.cmp("ne", f.field(stage, StageWord.rows), 0)
    chunks = f.field(stage, StageWord.chunks)
    part = share(f, chunks)
    every_row = f.op(f"xor i1 {reduction}, true")
    every_row = f.op(f"and i1 {every_row}, {by_units}")
    low, high = f.choose(every_row, 0, r0), f.choose(every_row, count, r1)
    c0, c1 = f.choose(by_units, part[0], 0), f.choose(by_units, part[1], chunks)
    split = share(f, count)
    divided = f.op(f"and i1 {reduction}, {by_units}")
    low, high = f.choose(divided, split[0], low), f.choose(divided, split[1], high)
    with f.when(reduction):
        _epilogue(f, stage, "null", low, f.sub(high, low), 0, time, (0, 0))
    c1 = f.choose(reduction, 0, c1)
    c0 = f.choose(reduction, 0, c0)
    with f.loop(low, high, block) as b0:
        b1 = f.min(f.add(b0, block), high)
        step = f.add(time.following, f.sub(low, b0))
        over = f.choose(f.cmp("slt", b1, high), block, step)
        if f.isa.operands != "float":
            _round_operands(f, stage, b0, f.sub(b1, b0), scratch[1], time)
        with f.loop(c0, c1) as c:
            _chunk(f, stage, Turn(c0, c, c1, f.sub(b1, b0), over), b0, scratch, time)


def _round_operands(f: Function, stage: Value, row: Value, n: Value, room: Value, time: _Time) -> None:
    """What the sections of a stage multiply, of a block of rows, rounded: once for all chunks of units."""
    sections = f.field(stage, StageWord.sections, "ptr")
    with f.loop(0, f.field(stage, StageWord.section_count)) as k:
        section = f.at(sections, f.mul(k, int(SectionWord.WORDS)), "i64")
        pointer, stride = _operand(f, section, row, time)
        there, between = f.at(room, f.field(section, SectionWord.rounded)), f.field(section, SectionWord.stride)
        inputs = f.field(section, SectionWord.inputs)
        with f.when(f.cmp("sgt", inputs, 0)), f.loop(0, n) as r:
            rounded.row(f, f.at(pointer, f.mul(r, stride)), f.at(there, f.mul(r, between)), inputs)


def _operand(f: Function, section: Value, row: Value, time: _Time) -> tuple[Value, Value]:
    """Address of what a section multiplies for a row of the batch, and elements between rows."""
    mode = f.field(section, SectionWord.mode)
    fresh = f.op(f"and i1 {f.cmp('eq', mode, 2)}, {f.cmp('ne', time.first, 0)}")
    index = f.choose(fresh, f.field(section, SectionWord.start), f.field(section, SectionWord.slot))
    pointer, stride = slot(f, index)
    return f.at(pointer, f.mul(time.row(f, mode, row), stride)), stride


def _chunk(f: Function, stage: Value, turn: Turn, b0: Value, scratch: tuple[Value, Value], time: _Time) -> None:
    """One chunk of units for a block of rows: start the sums, add each section's products a stretch of inputs at a time
    (its weights then stay in the nearest cache for all rows), and hand the sums to the cell's elementwise code."""
    c, n = turn.chunk, turn.rows
    columns = f.field(stage, StageWord.columns)
    out_slot = f.field(stage, StageWord.out_slot)
    direct = f.cmp("sge", out_slot, 0)
    pointer, stride = slot(f, f.max(out_slot, 0))
    there = f.at(f.at(pointer, f.mul(f.add(time.cur, b0), stride)), f.mul(c, columns))
    out, ldo = f.choose(direct, there, scratch[0], "ptr"), f.choose(direct, stride, columns)
    _start_sums(f, stage, c, b0, n, (out, ldo), time)
    sections = f.field(stage, StageWord.sections, "ptr")
    with f.loop(0, f.field(stage, StageWord.section_count)) as k:
        section = f.at(sections, f.mul(k, int(SectionWord.WORDS)), "i64")
        operand = _operand(f, section, b0, time)
        ahead.inputs(f, section, operand, turn)
        if f.isa.operands != "float":
            there = f.at(scratch[1], f.field(section, SectionWord.rounded))
            operand = (there, f.field(section, SectionWord.stride))
        _section(f, stage, section, c, n, operand, (out, ldo))
    with f.when(f.op(f"xor i1 {direct}, true")):
        u0 = f.mul(c, f.field(stage, StageWord.chunk))
        _epilogue(f, stage, scratch[0], b0, n, u0, time, ahead.elementwise(f, stage, turn))


def _start_sums(
    f: Function, stage: Value, c: Value, row: Value, n: Value, out: tuple[Value, Value], time: _Time
) -> None:
    """Biases (one row for all), or sums begun outside the loop (a row each)."""
    pointer, stride = slot(f, f.field(stage, StageWord.init_slot))
    pointer = f.at(pointer, f.field(stage, StageWord.init_offset))
    pointer = f.at(pointer, f.mul(c, f.field(stage, StageWord.init_chunk)))
    moves = f.cmp("ne", f.field(stage, StageWord.init_moves), 0)
    step = f.choose(moves, stride, 0)
    pointer = f.at(pointer, f.mul(step, f.add(time.cur, row)))
    with f.loop(0, n) as r:
        source, target = f.at(pointer, f.mul(step, r)), f.at(out[0], f.mul(out[1], r))
        with f.loop(0, f.field(stage, StageWord.columns), f.lanes) as v:
            f.store_vector(f.load_vector(f.at(source, v)), f.at(target, v))


def _section(
    f: Function,
    stage: Value,
    section: Value,
    c: Value,
    n: Value,
    operand: tuple[Value, Value],
    out: tuple[Value, Value],
) -> None:
    word = {
        w: f.field(section, w, "ptr" if w == SectionWord.tiles else "i64")
        for w in SectionWord
        if w != SectionWord.WORDS
    }
    first, lda = operand
    k0, count = _inputs_of_chunk(f, stage, word, c)
    a = f.at(first, k0)
    panel = f.at(slot(f, word[SectionWord.panel_slot])[0], word[SectionWord.panel_offset])
    panel = f.at(panel, f.mul(c, word[SectionWord.panel_chunk]))
    target = f.at(out[0], word[SectionWord.column])
    tiles = f.ceil_div(n, f.field(stage, StageWord.tile_rows))
    least = f.div(n, tiles)  # rows of a tile; the first ones have one more, if they do not come out even
    higher = f.sub(n, f.mul(least, tiles))
    stretch = f.field(stage, StageWord.stretch)
    with f.loop(0, count, stretch) as k:
        inputs = f.min(stretch, f.sub(count, k))
        part = f.at(panel, f.mul(k, word[SectionWord.panel_row]))
        following = f.at(part, f.mul(inputs, word[SectionWord.panel_row]))
        for height, first_tile, end in ((f.add(least, f.min(higher, 1)), 0, higher), (least, higher, tiles)):
            function = f.field(word[SectionWord.tiles], f.sub(height, 1), "ptr")
            with f.loop(first_tile, end) as t:
                r0 = f.add(f.mul(least, t), f.min(t, higher))
                rows = f.at(f.at(a, f.mul(r0, lda)), k)
                soon = ahead.weights(f, following, t, inputs, word[SectionWord.panel_row])
                values = (f.at(target, f.mul(r0, out[1])), out[1], rows, lda, part, inputs, soon)
                f.invoke(function, *zip(("ptr", "i64", "ptr", "i64", "ptr", "i64", "ptr"), values, strict=True))


def _inputs_of_chunk(f: Function, stage: Value, word: dict, c: Value) -> tuple[Value, Value]:
    """Which inputs a chunk of units sees: all, or (heads) those of the heads that it touches."""
    units, inputs = word[SectionWord.head_units], word[SectionWord.head_inputs]
    chunk, width = f.field(stage, StageWord.chunk), f.field(stage, StageWord.width)
    u0 = f.mul(c, chunk)
    u1 = f.min(f.add(u0, chunk), width)
    first = f.op(f"sdiv i64 {u0}, {units}")
    last = f.op(f"sdiv i64 {f.sub(f.add(u1, units), 1)}, {units}")
    return f.mul(first, inputs), f.mul(f.sub(last, first), inputs)


def _epilogue(
    f: Function, stage: Value, acc: Value, row: Value, n: Value, u0: Value, time: _Time, later: tuple[Value, Value]
) -> None:
    chunk, width = f.field(stage, StageWord.chunk), f.field(stage, StageWord.width)
    u1 = f.min(f.add(u0, chunk), width)
    values = ("%slots", acc, row, n, u0, u1, chunk, time.cur, time.prev, time.first, time.base, *later)
    f.invoke(f.field(stage, StageWord.epilogue, "ptr"), *zip(EPILOGUE_TYPES, values, strict=True))


# ---- weight gradients


def outer(isa: Isa, scalar: str) -> Function:
    """Every (group of units, rows of inputs) of every job; threads share the outputs, so each sum is made by one."""
    f = Function("outer", ARGUMENTS, isa, scalar)
    jobs = f.at("%arg", 1, "i64")
    with f.loop(0, f.field("%arg", 0)) as j:
        _outer_job(f, f.at(jobs, f.mul(j, int(OuterWord.WORDS)), "i64"))
    f.ret()
    return f


def _outer_job(f: Function, job: Value) -> None:
    pointers = (OuterWord.tables, OuterWord.segments)
    word = {w: f.field(job, w, "ptr" if w in pointers else "i64") for w in OuterWord if w != OuterWord.WORDS}
    group, units, inputs = word[OuterWord.group], word[OuterWord.units], word[OuterWord.inputs]
    groups = f.op(f"sdiv i64 {f.sub(f.add(units, group), 1)}, {group}")
    blocks = f.op(f"sdiv i64 {f.add(inputs, _BLOCK - 1)}, {_BLOCK}")
    first, last = share(f, f.mul(groups, blocks))
    step = f.op(f"sdiv i64 {_NEAREST // f.bytes}, {group}")
    with f.loop(first, last) as item:
        g = f.op(f"sdiv i64 {item}, {blocks}")
        u0 = f.mul(g, group)
        vectors = f.ceil_div(f.min(group, f.sub(units, u0)), f.lanes)
        table = f.field(word[OuterWord.tables], f.sub(vectors, 1), "ptr")
        most = f.field(table, 0)
        k0 = f.mul(f.sub(item, f.mul(g, blocks)), _BLOCK)
        k1 = f.min(f.add(k0, _BLOCK), inputs)
        tiles = f.op(f"sdiv i64 {f.sub(f.add(f.sub(k1, k0), most), 1)}, {most}")
        with f.loop(0, word[OuterWord.segment_count]) as s:
            segment = f.at(word[OuterWord.segments], f.mul(s, int(Segment.WORDS)), "i64")
            rows = f.field(segment, Segment.rows)
            with f.loop(0, rows, step) as n, f.loop(0, tiles) as t:
                a = f.add(k0, f.op(f"sdiv i64 {f.mul(f.sub(k1, k0), t)}, {tiles}"))
                b = f.add(k0, f.op(f"sdiv i64 {f.mul(f.sub(k1, k0), f.add(t, 1))}, {tiles}"))
                function = f.field(table, f.sub(b, a), "ptr")
                _outer_tile(f, word, (u0, a), segment, (n, f.min(step, f.sub(rows, n))), function)


_BLOCK = 24  # inputs of one piece of work: a multiple of the usual tile heights
_NEAREST = 24 << 10  # bytes of cotangents that stay in the nearest cache for all tiles of a piece


def _outer_tile(
    f: Function, word: dict, place: tuple[Value, Value], segment: Value, rows: tuple[Value, Value], function: Value
) -> None:
    """One tile of a gradient, at these units and inputs: rows `rows[0]` of the segment and on, `rows[1]` of them."""
    u0, k = place
    group, inputs = word[OuterWord.group], word[OuterWord.inputs]
    acc = f.at(slot(f, word[OuterWord.acc])[0], word[OuterWord.offset])
    acc = f.at(acc, f.add(f.mul(u0, inputs), f.mul(k, group)))
    ct, ldz = slot(f, word[OuterWord.ct])
    fresh = f.cmp("ne", f.field(segment, Segment.fresh), 0)
    operand, lda = slot(f, f.choose(fresh, word[OuterWord.start], word[OuterWord.operand]))
    above = f.mul(f.add(f.field(segment, Segment.operand_row), rows[0]), lda)
    a = f.at(f.at(operand, above), f.add(k, word[OuterWord.operand_column]))
    above = f.mul(f.add(f.field(segment, Segment.ct_row), rows[0]), ldz)
    z = f.at(f.at(ct, above), f.add(u0, word[OuterWord.ct_column]))
    values = (acc, group, a, lda, z, ldz, rows[1])
    f.invoke(function, *zip(("ptr", "i64", "ptr", "i64", "ptr", "i64", "i64"), values, strict=True))


def fill(isa: Isa, scalar: str) -> Function:
    """Zero a list of arrays (slot, elements): panels that gradients are summed into."""
    f = Function("fill", ARGUMENTS, isa, scalar)
    with f.loop(0, f.field("%arg", 0)) as j:
        job = f.at("%arg", f.add(1, f.mul(j, 2)), "i64")
        pointer, _ = slot(f, f.field(job, 0))
        vectors = f.op(f"sdiv i64 {f.field(job, 1)}, {f.lanes}")
        first, last = share(f, vectors)
        with f.loop(first, last) as v:
            f.store_vector("zeroinitializer", f.at(pointer, f.mul(v, f.lanes)))
    f.ret()
    return f


def differ(isa: Isa, scalar: str) -> Function:
    """Compare pairs of arrays: a table of how many there are, the answer (0, or 1 if any differ), and of each pair both
    addresses and the bytes."""
    f = Function("differ", "ptr %table", isa, scalar)
    answer = f.at("%table", 1, "i64")
    f.store("i64", 0, answer)
    with f.loop(0, f.field("%table", 0)) as i:
        pair = f.at("%table", f.add(2, f.mul(i, 3)), "i64")
        first, second = f.field(pair, 0, "ptr"), f.field(pair, 1, "ptr")
        found = f.op(f"call i32 @memcmp(ptr {first}, ptr {second}, i64 {f.field(pair, 2)})")
        with f.when(f.op(f"icmp ne i32 {found}, 0")):
            f.store("i64", 1, answer)
    f.declared.add("declare i32 @memcmp(ptr, ptr, i64)")
    f.ret()
    return f
