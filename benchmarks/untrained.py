"""No verdict may credit a network that learned nothing: every job of the demo, one epoch at a learning rate of 1e-7.

python benchmarks/untrained.py                # prints each verdict; exits with 1 where one credits the network
python benchmarks/untrained.py --job co2
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from gatework.commands import demo
from gatework.tasks.verdict import WON

STILL = {"epochs": 1, "learning_rate": 1e-7, "warmup": 0.0, "schedule_by": "steps", "threads": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", action="append", help="only this one")
    credited = [each.name for each in demo.wanted(parser.parse_args().job) if credits(each)]
    sys.exit(f"the network is credited in {', '.join(credited)}" if credited else 0)


def credits(each: demo.Demo) -> bool:
    """Whether the verdict on an untrained network credits it."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / each.file
        each.write(data)
        options = {**each.options, **STILL}
        results = demo.train(each.task, data, Path(folder) / "run", options, quiet=True).run.results()
    print(f"{each.name}: {results['verdict']}", flush=True)
    return results["comparison"]["earned"] in WON


if __name__ == "__main__":
    main()
