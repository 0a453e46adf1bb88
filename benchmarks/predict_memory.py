"""Peak memory of `predict` and `evaluate` on files of many texts: it must not grow with them beyond texts and answers.

    python benchmarks/predict_memory.py --rows 5000 50000       # rows of 200 words each, drawn by chance

Each command runs in a process of its own, whose peak comes from getrusage.
"""

from __future__ import annotations

import argparse
import csv
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from gatework.tasks import jobs
from gatework.tasks.classify import Classify, ClassifyOptions

WORDS, VOCABULARY = 200, 8_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000])
    parser.add_argument("--measure", nargs=3, metavar=("VERB", "RUN", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        verb, run, file = arguments.measure
        getattr(jobs.load(run), verb)(file)
        print(f"{verb}, {file}: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB", flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), arguments.rows)


def compare(folder: Path, sizes: list[int]) -> None:
    run, options = folder / "run", ClassifyOptions(epochs=1, hidden_size=8, embedding_size=8, threads=1)
    jobs.train(Classify(options), written(folder / "train.csv", 300), out=run, quiet=True)
    for rows in sizes:
        file = written(folder / f"{rows}.csv", rows)
        for verb in ("predict", "evaluate"):
            subprocess.run([sys.executable, __file__, "--measure", verb, str(run), str(file)], check=True)


def written(path: Path, rows: int) -> Path:
    """A table of texts whose words are about as frequent as those of a language, with two labels."""
    generator = np.random.default_rng(rows)
    letters = np.array(list("abcdefghijklmnoprst"))
    words = np.array(["".join(generator.choice(letters, generator.integers(3, 11))) for _ in range(VOCABULARY)])
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "label"])
        for row in range(rows):
            drawn = words[(generator.pareto(1.0, WORDS) * 50).astype(int) % VOCABULARY]
            table.writerow([f"{' '.join(drawn)} class{row % 2}", "ab"[row % 2]])
    return path


if __name__ == "__main__":
    main()
