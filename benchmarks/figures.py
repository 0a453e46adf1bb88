"""Every figure of the jobs that the README and the measures name, measured again, and the long tables of docs/.

    python benchmarks/figures.py --data ../shared/data          # texts, characters, series: an hour on two cores, with
                                                                # nothing else running
    python benchmarks/figures.py trec sst2                      # some of them
    python benchmarks/figures.py tag                            # the taggers: over an hour
    python benchmarks/figures.py answer                         # questions about stories
    python benchmarks/figures.py media                          # single sounds, pictures and films
    python benchmarks/figures.py hear                           # spoken digits, lines of digits: over an hour
    python benchmarks/figures.py see                            # captions of emoji and of films of digits
    python benchmarks/figures.py translate                      # German to English, letters to phones: over an hour
    python benchmarks/figures.py speak                          # digits said anew, and who understands them
    python benchmarks/figures.py tables tune                    # the tables of docs/, and two searches: hours
    python benchmarks/figures.py --list                         # the commands

Each command can be run by itself and writes JSON under benchmarks/results/. Where time is the figure or a limit, a
command has the machine to itself; the others run side by side, one thread each. What each took, and whether it
succeeded, is told at the end and written to benchmarks/results/figures.json. Kernels and layers beside their peers are
what `gatework bench` measures (make bench).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from gatework.training.environment import environment

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
FIGURES = {
    "etth1": [f"{HERE / 'forecast.py'} etth1_96 etth1_720"],
    "single": [f"{HERE / 'forecast_single.py'}"],
    "trec": [f"{HERE / 'classify.py'} trec --seeds 1 2 3"],
    "sst2": [f"{HERE / 'classify.py'} sst2 --seeds 1 2 3"],
    "sst2_phrases": [f"{HERE / 'classify.py'} sst2_phrases --seeds 1 2 3"],
    "sms": [f"{HERE / 'classify.py'} sms --seeds 1 2 3"],
    "japanese_vowels": [f"{HERE / 'classify.py'} japanese_vowels --seeds 1 2 3"],
    "imdb": [f"{HERE / 'classify.py'} imdb_reading imdb --seeds 2"],
    "generate_speed": [f"{HERE / 'generate_speed.py'}"],
    "explain": [f"{HERE / 'explain.py'}"],
    "memory": [
        f"{MEMORY} --cell lstm --task adding --lengths 200,600 --seeds 5 --json {RESULTS / 'memory_adding.json'}",
        f"{MEMORY} --cell lstm --task reber --lengths 5 --seeds 5 --json {RESULTS / 'memory_reber.json'}",
        f"{MEMORY} --cell lstm_peephole --task anbn --task anbncn --seeds 5 --json {RESULTS / 'memory_counting.json'}",
    ],
    "shakespeare": [
        f"{HERE / 'shakespeare.py'} --minutes 1 --seeds 1 2 3",
        f"{HERE / 'shakespeare.py'} --minutes 20 --seeds 1",
    ],
    "m4": [f"{HERE / 'forecast.py'} naive m4_hourly m4_weekly", f"{HERE / 'forecast.py'} m4_hourly_ensemble --seeds 1"],
    "tourism": [f"{HERE / 'forecast.py'} tourism_monthly tourism_quarterly"],
    "forecast_speed": [f"{HERE / 'forecast_speed.py'}"],
}
LONG = {
    "tables": [
        f"{MEMORY} {COMPARED} --seeds 1 --minutes 120 --json {RESULTS / 'memory_table.json'} --out {PICTURE}",
        f"{MEMORY} --cell lstm --cell gru --cell rnn --seeds 3 --json {RESULTS / 'memory_cells.json'}",
        f"{MEMORY} {FORMS} --task adding --lengths 20,50,200 --seeds 3 --json {RESULTS / 'memory_forms_adding.json'}",
        f"{MEMORY} {FORMS} --task digits --lengths 64 --seeds 3 --json {RESULTS / 'memory_forms_digits.json'}",
        f"{HERE / 'regularisation.py'}",
    ],
    "segrnn": [f"{HERE / 'forecast.py'} segrnn"],
    "tag": [f"{HERE / 'tag.py'} conll2000 ewt ncbi snips wnut17", f"{HERE / 'tag.py'} protein_ss3 splice --seeds 1"],
    "answer": [f"{HERE / 'answer.py'} babi --seeds 1"],
    "media": [f"{HERE / 'classify.py'} fsdd mnist_5000 moving --seeds 1"],
    "hear": [f"{HERE / 'hear.py'} digits strings yesno lines context stream profile", f"{HERE / 'hear.py'} speakers"],
    "see": [f"{HERE / 'see.py'} emoji digits"],
    "translate": [f"{HERE / 'translate.py'} multi30k cmudict multi30k_short beam speed"],
    "speak": [f"{HERE / 'speak.py'} fsdd"],
    "tune": [f"{HERE / 'tune.py'} {name} --minutes 20 --workers 1" for name in ("trec", "etth1")],
}
ALONE = {"generate_speed", "shakespeare", "forecast_speed"}  # where time is the figure, or a limit


class Done(NamedTuple):
    """What a command took, in seconds, and its exit code."""

    command: str
    seconds: float
    code: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = FIGURES | LONG
    parser.add_argument("names", nargs="*", choices=[[], *commands], default=[], help=", ".join(commands))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    names = given.names or list(FIGURES)
    if given.list:
        print("\n".join(f"python {c}" for name in names for c in commands[name]))
        return 0
    began = time.monotonic()
    done = [run(c, given.data) for name in names if name in ALONE for c in commands[name]]
    done += side_by_side([c for name in names if name not in ALONE for c in commands[name]], given.data)
    return told(done, time.monotonic() - began, named=bool(given.names))


def side_by_side(commands: list[str], data: Path) -> list[Done]:
    """As many at once as there are processors, one thread each."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1) as pool:
        return list(pool.map(lambda command: run(command, data, {"OMP_NUM_THREADS": "1"}), commands))


def run(command: str, data: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Done:
    """Run one command with this Python."""
    began = time.monotonic()
    variables = {**os.environ, "GATEWORK_DATA": str(data), **settings}
    ended = subprocess.run(
        [sys.executable, *shlex.split(command)], env=variables, check=False, stdout=subprocess.PIPE, text=True
    )
    seconds = time.monotonic() - began
    print(f"\n$ python {command}\n{ended.stdout}({seconds:.0f} s)", flush=True)
    return Done(command.replace(f"{HERE.parent}/", ""), round(seconds, 1), ended.returncode)


def told(done: list[Done], seconds: float, named: bool) -> int:
    """The exit code, after a line for each command that failed; a whole run leaves its times in a file."""
    for each in done:
        if each.code:
            print(f"failed with code {each.code}: python {each.command}", file=sys.stderr)
    print(f"{len(done)} commands in {seconds / 60:.0f} minutes")
    if not named:
        about = {"minutes": round(seconds / 60, 1), "commands": [each._asdict() for each in done]}
        (RESULTS / "figures.json").write_text(json.dumps({**about, **environment()}, indent=2) + "\n")
    return int(any(each.code for each in done))


if __name__ == "__main__":
    sys.exit(main())
