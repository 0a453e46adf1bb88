"""Every figure that the documents name, measured again: kernels, layers, and the jobs on public data.

    python benchmarks/figures.py --data ../shared/data          # everything; leave the machine alone meanwhile
    python benchmarks/figures.py kernels trec                   # some of it
    python benchmarks/figures.py --list                         # the commands

Each command can be run by itself and writes JSON under benchmarks/results/. A command that fails is named at the end.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
JOBS = {
    "kernels": [
        f"-m gatework bench all --json {RESULTS / 'all.json'}",
        f"{HERE / 'measures.py'} {RESULTS / 'all.json'}",
    ],
    "trec": [f"{HERE / 'classify.py'} trec --seeds 1 2 3"],
    "sst2": [f"{HERE / 'classify.py'} sst2 --seeds 1 2 3"],
    "sst2_phrases": [f"{HERE / 'classify.py'} sst2_phrases --seeds 1"],
    "sms": [f"{HERE / 'classify.py'} sms --seeds 1"],
    "japanese_vowels": [f"{HERE / 'classify.py'} japanese_vowels --seeds 1 2 3"],
    "imdb": [f"{HERE / 'classify.py'} imdb --seeds 1"],
    "generate_speed": [f"{HERE / 'generate_speed.py'}"],
    "shakespeare": [
        f"{HERE / 'shakespeare.py'} --minutes 1 --seeds 1 2 3",
        f"{HERE / 'shakespeare.py'} --minutes 20 --seeds 1",
    ],
    "forecast_speed": [f"{HERE / 'forecast_speed.py'}"],
    "regularisation": [f"{HERE / 'regularisation.py'}"],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *JOBS], default=[], help=", ".join(JOBS))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    commands = [c for name in (given.names or JOBS) for c in JOBS[name]]
    if given.list:
        print("\n".join(f"python {c}" for c in commands))
        return 0
    failed = [c for c in commands if not run(c, given.data)]
    for command in failed:
        print(f"failed: python {command}", file=sys.stderr)
    return 1 if failed else 0


def run(command: str, data: Path) -> bool:
    """Run one command with this Python; True if it succeeded."""
    print(f"\n$ python {command}", flush=True)
    began = time.monotonic()
    environment = {**os.environ, "GATEWORK_DATA": str(data)}
    code = subprocess.run([sys.executable, *shlex.split(command)], env=environment, check=False).returncode
    print(f"({time.monotonic() - began:.0f} s)", flush=True)
    return code == 0


if __name__ == "__main__":
    sys.exit(main())
