"""Tagging on public data at the defaults, beside the baselines of the same run.

    python benchmarks/tag.py conll2000 ewt wnut17 ncbi snips --data ../shared/data --seeds 1 2 3
    python benchmarks/tag.py protein_ss3 --seeds 1
    python benchmarks/tag.py splice                      # classify: splice sites, stratified 10-fold
    python benchmarks/tag.py words_per_second            # tagging 100,000 words of raw text, one thread
    python benchmarks/tag.py beside_torch                # the same training with torch.nn.LSTM inside

The folder (or GATEWORK_DATA) holds conll2000/, ud_english_ewt/, wnut17/, ncbi_disease/, snips/, protein_ss3/ and
dna_splice/. Nothing is set but what says where tags and labels stand: SOURCES. The defaults were drawn up on the
development parts, and on a tenth of CoNLL-2000's training part. Results go to benchmarks/results/tag_NAME.json with
settings, machine, versions and commit.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatework.data.readers import read_table
from gatework.tasks import jobs
from gatework.tasks.classify import ClassifyOptions
from gatework.tasks.tag import Tag, TagOptions
from gatework.tasks.verdict import of_role
from gatework.training.environment import environment
from gatework.training.learner import Shard
from gatework.tuning.cross import cross_validate

RESULTS = Path(__file__).parent / "results"
# Files of the training, validation and test part, and options that say what is where.
SOURCES: dict[str, tuple[tuple[str | None, ...], dict[str, Any]]] = {
    "conll2000": (("conll2000/train.txt", None, "conll2000/test.txt"), {}),
    "ewt": (
        tuple(f"ud_english_ewt/{part}.conllu.gz" for part in ("train", "dev", "test")),
        {"column": "upos"},
    ),
    "wnut17": (("wnut17/train.conll", "wnut17/dev.conll", "wnut17/test.conll"), {}),
    "ncbi": (("ncbi_disease/train.tsv", "ncbi_disease/devel.tsv", "ncbi_disease/test.tsv"), {}),
    "snips": (("snips/train.jsonl", "snips/valid.jsonl", "snips/test.jsonl"), {"label": "intent"}),
    "protein_ss3": (
        ("protein_ss3/sequences.fasta.gz", None, None),
        {"tags": "protein_ss3/sampled.fasta.gz", "mask": "protein_ss3/mask.fasta.gz"},
    ),
}
FILES = ("tags", "mask")  # options that name files
WORDS = 100_000  # that are tagged
STEPS, ROUNDS = 60, 3  # of a training, in turns with torch's; of more layouts of rows than are kept from round to round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted([*SOURCES, *OTHERS]))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other options, for trials")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.names:
        result = OTHERS[name](given) if name in OTHERS else measured(name, given)
        target = given.out / f"tag_{name}.json"
        target.write_text(json.dumps({"benchmark": name, "set": given.set, **result, **environment()}, indent=2) + "\n")
        print(f"{name}: {result['summary']}; {target}", flush=True)


def measured(name: str, given: argparse.Namespace) -> dict[str, Any]:
    rows = [seeded(name, seed, given) for seed in given.seeds]
    metric = rows[0]["metric"]["name"]
    values = [row["test"][metric] for row in rows]
    best = [max(of_role(row, "baseline"), key=lambda each: each["metrics"][metric]) for row in rows]
    seconds = statistics.median(row["seconds"] for row in rows)
    others = "".join(
        f", {key} {statistics.median(row['test'][key] for row in rows):.4f}"
        for key in ("accuracy", "accuracy_unseen", "label_accuracy", "both_right")
        if key != metric and key in rows[0]["test"]
    )
    text = (
        f"{metric} {statistics.median(values):.4f} (from {min(values):.4f} to {max(values):.4f}){others}; best "
        f"baseline {statistics.median(each['metrics'][metric] for each in best):.4f} ({best[0]['name']}), "
        f"{seconds:.0f} s of training"
    )
    return {"options": SOURCES[name][1], "summary": text, "seeds": rows}


def task_of(name: str, seed: int, given: argparse.Namespace) -> tuple[Tag, list[Path | None]]:
    """The task, and the files of its training, validation and test part."""
    files, options = SOURCES[name]
    said = {key: str(given.data / value) if key in FILES else value for key, value in options.items()}
    settings = [*(f"{key}={value}" for key, value in said.items()), *given.set]
    paths = [None if each is None else given.data / each for each in files]
    return Tag(TagOptions(seed=seed).with_settings(settings)), paths


def seeded(name: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """One training; what its results.json says."""
    task, (source, valid, test) = task_of(name, seed, given)
    with tempfile.TemporaryDirectory() as folder:
        trained = jobs.train(task, source, valid=valid, test=test, out=Path(folder) / "run", quiet=True)
        results = trained.run.results()
    kept = {key: results[key] for key in ("metric", "valid", "test", "training", "contenders", "verdict", "comparison")}
    print(f"{name}, seed {seed}: {results['verdict']}", flush=True)
    return {"seed": seed, "seconds": results["training"]["seconds"], **kept}


# -- speed --------------------------------------------------------------------------------------------------


def words_per_second(given: argparse.Namespace) -> dict[str, Any]:
    """Tagging raw text with a tagger of parts of speech: from lines of text to tags and their probabilities."""
    torch.set_num_threads(1)
    task, (source, valid, test) = task_of("ewt", 1, given)
    task.options = task.options.with_settings(["epochs=1"])  # how well it tags changes nothing
    words = (given.data / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8").split("\n")
    text, count = [], 0
    for line in words:
        if line.strip() and count < WORDS:
            text.append(line)
            count += len(line.split())
    with tempfile.TemporaryDirectory() as folder:
        trained = jobs.train(task, source, valid=valid, test=test, out=Path(folder) / "run", quiet=True)
        seconds = []
        for _ in range(6):
            began = time.perf_counter()
            trained.predict(text)
            seconds.append(time.perf_counter() - began)
    rates = sorted(count / each for each in seconds[1:])
    median = statistics.median(rates)
    return {"words": count, "words_per_second": rates, "summary": f"{median:,.0f} words a second on one thread"}


def beside_torch(given: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the first steps of a training, ours and with torch.nn.LSTM inside. Steps differ in length, and what
    counts is their sum; of each, the median of rounds in turns counts, which leaves out what else the machine did."""
    torch.set_num_threads(1)
    ratios = {}
    for name in ("conll2000", "ewt", "protein_ss3"):
        task, files = task_of(name, 1, given)
        parts = task.prepare(*files)
        ours, theirs = task.build(), task.build()
        for place, layer in enumerate(theirs.encoder.layers):
            theirs.encoder.layers[place] = torch.nn.LSTM(layer.input_size, layer.hidden_size, bidirectional=True)
        batches = task.batches(parts.train, 0, Shard())
        models = {"ours": ours.train(), "torch": theirs.train()}
        taken = {who: np.zeros((ROUNDS, STEPS)) for who in models}
        optimizers = {who: torch.optim.AdamW(model.parameters(), 1e-3, fused=True) for who, model in models.items()}
        for turn, step in itertools.product(range(ROUNDS), range(STEPS)):
            for who, model in models.items():
                began = time.perf_counter()
                task.loss(model, batches[step], {}).loss.backward()
                optimizers[who].step()
                optimizers[who].zero_grad()
                taken[who][turn, step] = time.perf_counter() - began
        sums = {who: float(np.median(each, 0).sum()) for who, each in taken.items()}
        ratios[name] = {**sums, "steps": STEPS, "ratio": sums["torch"] / sums["ours"]}
        print(name, ratios[name], flush=True)
    told = ", ".join(f"{name} {each['ratio']:.2f}" for name, each in ratios.items())
    return {"seconds": ratios, "summary": f"torch.nn.LSTM / ours: {told}"}


# -- splice sites -------------------------------------------------------------------------------------------


def splice(given: argparse.Namespace) -> dict[str, Any]:
    """Stretches of genes as texts of letters: 10 stratified folds, each row predicted once."""
    table = read_table(given.data / "dna_splice" / "splice.csv").frame
    rows = {"text": table["sequence"].str.strip_chars().to_list(), "label": table["label"].str.strip_chars().to_list()}
    options = ClassifyOptions(tokenizer="characters", seed=given.seeds[0]).with_settings(given.set)
    found = cross_validate("classify", rows, options, folds=10)
    methods = [asdict(each) for each in found.methods]
    told = ", ".join(f"{each.name} {each.mean:.4f}" for each in found.methods)
    text = f"accuracy {found.mean:.4f} (spread {found.spread:.4f} over folds); {told}; {found.verdict.text}"
    return {"folds": found.folds, "methods": methods, "comparison": found.verdict.to_dict(), "summary": text}


OTHERS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "words_per_second": words_per_second,
    "beside_torch": beside_torch,
    "splice": splice,
}


if __name__ == "__main__":
    main()
