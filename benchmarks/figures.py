"""Every figure that the documents name, measured again: kernels, layers, and the jobs on public data.

    python benchmarks/figures.py --data ../shared/data          # everything; leave the machine alone meanwhile
    python benchmarks/figures.py kernels trec                   # some of it
    python benchmarks/figures.py --list                         # the commands

Each command can be run by itself and writes JSON under benchmarks/results/. Where time is the figure or a limit, a
command has the machine to itself; the others run side by side, one thread each. What fails is named at the end.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

HERE = Path(__file__).parent
RESULTS = HERE / "results"
MEMORY = "-m gatework bench memory"
PICTURE = HERE.parent / "docs" / "memory.svg"
COMPARED = "--cell lstm --cell gru --cell rnn --cell transformer"
FORMS = " ".join(
    f"--cell {name}"
    for name in (
        "lstm", "lstm_tanh_product", "lstm_candidate_output", "lstm_second_map", "lstm_candidate_gate", "lstm_1997",
        "lstm_peephole", "lstm_coupled", "rnn", "rnn_sigmoid",
    )
)  # fmt: skip
JOBS = {
    "kernels": [
        f"-m gatework bench all --json {RESULTS / 'all.json'}",
        f"{HERE / 'measures.py'} {RESULTS / 'all.json'}",
    ],
    "trec": [f"{HERE / 'classify.py'} trec --seeds 1 2 3"],
    "sst2": [f"{HERE / 'classify.py'} sst2 --seeds 1 2 3"],
    "sst2_phrases": [f"{HERE / 'classify.py'} sst2_phrases --seeds 1 2 3"],
    "sms": [f"{HERE / 'classify.py'} sms --seeds 1 2 3"],
    "japanese_vowels": [f"{HERE / 'classify.py'} japanese_vowels --seeds 1 2 3"],
    "imdb": [f"{HERE / 'classify.py'} imdb_reading imdb --seeds 2"],
    "generate_speed": [f"{HERE / 'generate_speed.py'}"],
    "explain": [f"{HERE / 'explain.py'}"],
    "memory": [
        f"{MEMORY} {COMPARED} --seeds 1 --minutes 120 --json {RESULTS / 'memory_table.json'} --out {PICTURE}",
        f"{MEMORY} --cell lstm --cell gru --cell rnn --seeds 3 --json {RESULTS / 'memory_cells.json'}",
        f"{MEMORY} --cell lstm --task adding --lengths 200,600 --seeds 5 --json {RESULTS / 'memory_adding.json'}",
        f"{MEMORY} --cell lstm --task reber --lengths 5 --seeds 5 --json {RESULTS / 'memory_reber.json'}",
        f"{MEMORY} --cell lstm_peephole --task anbn --task anbncn --seeds 5 --json {RESULTS / 'memory_counting.json'}",
        f"{MEMORY} {FORMS} --task adding --lengths 20,50,200 --seeds 3 --json {RESULTS / 'memory_forms_adding.json'}",
        f"{MEMORY} {FORMS} --task digits --lengths 64 --seeds 3 --json {RESULTS / 'memory_forms_digits.json'}",
    ],
    "shakespeare": [
        f"{HERE / 'shakespeare.py'} --minutes 1 --seeds 1 2 3",
        f"{HERE / 'shakespeare.py'} --minutes 20 --seeds 1",
    ],
    "m4": [f"{HERE / 'forecast.py'} naive m4_hourly m4_weekly", f"{HERE / 'forecast.py'} m4_hourly_ensemble --seeds 1"],
    "etth1": [f"{HERE / 'forecast.py'} etth1"],
    "tourism": [f"{HERE / 'forecast.py'} tourism_monthly tourism_quarterly"],
    "forecast_speed": [f"{HERE / 'forecast_speed.py'}"],
    "regularisation": [f"{HERE / 'regularisation.py'}"],
    "tune": [f"{HERE / 'tune.py'} trec etth1 --minutes 20"],
}

ALONE = {"kernels", "generate_speed", "shakespeare", "forecast_speed"}  # where time is the figure, or a limit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *JOBS], default=[], help=", ".join(JOBS))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    names = given.names or list(JOBS)
    if given.list:
        print("\n".join(f"python {c}" for name in names for c in JOBS[name]))
        return 0
    failed = [c for name in names if name in ALONE for c in JOBS[name] if not run(c, given.data)]
    failed += side_by_side([c for name in names if name not in ALONE for c in JOBS[name]], given.data)
    for command in failed:
        print(f"failed: python {command}", file=sys.stderr)
    return 1 if failed else 0


def side_by_side(commands: list[str], data: Path) -> list[str]:
    """As many at once as there are processors, one thread each; gives those that failed."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1) as pool:
        done = pool.map(lambda command: run(command, data, {"OMP_NUM_THREADS": "1"}), commands)
        return [command for command, well in zip(commands, done, strict=True) if not well]


def run(command: str, data: Path, settings: Mapping[str, str] = MappingProxyType({})) -> bool:
    """Run one command with this Python; True if it succeeded."""
    began = time.monotonic()
    environment = {**os.environ, "GATEWORK_DATA": str(data), **settings}
    ended = subprocess.run(
        [sys.executable, *shlex.split(command)], env=environment, check=False, stdout=subprocess.PIPE, text=True
    )
    print(f"\n$ python {command}\n{ended.stdout}({time.monotonic() - began:.0f} s)", flush=True)
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
