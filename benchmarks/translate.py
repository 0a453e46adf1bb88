"""Translating and spelling public data, beside the baselines of the same run.

    python benchmarks/translate.py multi30k --data ../shared/data --seeds 1 2 3   # German to English, the test part
    python benchmarks/translate.py multi30k_short        # some minutes of training, greedy search, the validation part
    python benchmarks/translate.py cmudict               # letters to phones, without stress
    python benchmarks/translate.py speed                 # units a second on one thread; torch.nn.LSTM inside / ours
    python benchmarks/translate.py beam                  # 1,000 sentences of 12 words, one thread

The folder (or GATEWORK_DATA) holds multi30k/ and cmudict/. What differs from the defaults is in SETTINGS. Of CMUdict a
word is in the test part by a hash of its letters, with all its pronunciations; the nearest of these counts. Results go
to benchmarks/results/translate_NAME.json with settings, machine, versions and commit.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatework.tasks import jobs
from gatework.tasks.translate import Translate, TranslateOptions, measures
from gatework.tasks.translate.options import TranslatePredicting
from gatework.tasks.verdict import of_role
from gatework.training.environment import environment
from gatework.training.learner import Shard

RESULTS = Path(__file__).parent / "results"
SETTINGS: dict[str, dict[str, Any]] = {
    "multi30k_short": {"epochs": 3, "test_share": 0.0},
    "speed": {"test_share": 0.0},
    "beam": {"epochs": 1, "test_share": 0.0},
}
GREEDY = {"multi30k_short"}
TENTHS = {0: "test", 1: "valid"}  # of the hashes of CMUdict's words
DRAWS = 1_000
STEPS = 40  # of a training, in turns with torch's
SENTENCES, WORDS = 1_000, 12
Source = tuple[Path, Path] | list[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(COMMANDS))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other options, for trials")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.names:
        result = COMMANDS[name](name, given)
        target = given.out / f"translate_{name}.json"
        target.write_text(json.dumps({"benchmark": name, "set": given.set, **result, **environment()}, indent=2) + "\n")
        print(f"{name}: {result['summary']}; {target}", flush=True)


def task_of(name: str, seed: int, given: argparse.Namespace) -> Translate:
    return Translate(TranslateOptions(seed=seed, **SETTINGS.get(name, {})).with_settings(given.set))


# -- German to English --------------------------------------------------------------------------------------


def sides(part: str, given: argparse.Namespace) -> tuple[Path, Path]:
    folder = given.data / "multi30k"
    return folder / f"{part}.de.gz", folder / f"{part}.en.gz"


def lines_of(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def multi30k(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """BLEU as sacrebleu counts it in lower case (13a), with a bootstrap interval over sentences."""
    part = "val" if name in GREEDY else "test_2016_flickr"
    rows = [translated(name, part, seed, given) for seed in given.seeds]
    values = [row["bleu_lower"] for row in rows]
    low, high = rows[0]["interval"]
    seconds = statistics.median(row["seconds"] for row in rows)
    baseline = max(of_role(rows[0], "baseline"), key=lambda each: each["metrics"].get("bleu", 0.0), default=None)
    beside = "" if baseline is None else f"; best baseline {baseline['name']} {baseline['metrics']['bleu']:.1f} (cased)"
    text = (
        f"BLEU {statistics.median(values):.2f} (seeds from {min(values):.2f} to {max(values):.2f}; 95% of draws of "
        f"seed {given.seeds[0]} from {low:.2f} to {high:.2f}) on {part}, {seconds:.0f} s of training{beside}"
    )
    return {"summary": text, "signature": measures.signature(lower=True), "seeds": rows}


def translated(name: str, part: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """One training, and translations of a part that it has not learned."""
    task, last = task_of(name, seed, given), sides(part, given)
    test = None if name in GREEDY else last
    trained, kept = trained_on(task, sides("train", given), sides("val", given), test, seed)
    sources, references = map(lines_of, last)
    began = time.perf_counter()
    said = [row["translation"] for row in trained.predict(sources, beam=1 if name in GREEDY else 5)]
    taken = time.perf_counter() - began
    counts = measures.sums(said, references, "text", lower=True)
    drawn = np.random.default_rng(0).integers(0, len(counts), (DRAWS, len(counts)))
    interval = np.quantile(measures.score(np.stack([counts[rows].sum(0) for rows in drawn]), "bleu"), [0.025, 0.975])
    bleu = float(measures.score(counts.sum(0), "bleu"))
    return {"bleu_lower": bleu, "interval": interval.tolist(), "decoding_seconds": taken, **kept}


def trained_on(task: Translate, train: Source, valid: Source, test: Source | None, seed: int) -> tuple[Any, dict]:
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        trained = jobs.train(task, train, valid=valid, test=test, out=Path(folder) / "run", quiet=True)
        results = trained.run.results()
    taken = time.process_time() - began  # of all threads, with reading, baselines and results
    names = ("metric", "valid", "test", "training", "contenders", "verdict", "comparison", "history")
    kept = {key: results[key] for key in names}
    print(f"seed {seed}: {results['verdict']}", flush=True)
    return trained, {"seed": seed, "seconds": results["training"]["seconds"], "cpu_seconds": taken, **kept}


# -- letters to phones --------------------------------------------------------------------------------------


def cmudict(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Errors of whole words and of phones, against the nearest pronunciation of each word."""
    parts = pronunciations(given.data / "cmudict" / "cmudict.gz")
    known: dict[str, list[str]] = defaultdict(list)
    for word, phones in parts["test"]:
        known[word].append(phones)
    rows = []
    for seed in given.seeds:
        trained, kept = trained_on(task_of(name, seed, given), parts["train"], parts["valid"], parts["test"], seed)
        said = [row["translation"] for row in trained.predict(list(known))]
        rows.append({**nearest(said, list(known.values())), **kept})
    word, phone, seconds = (statistics.median(row[key] for row in rows) for key in ("word", "phone", "seconds"))
    text = f"word error {word:.2%}, phone error {phone:.2%} of {len(known):,} words, {seconds:.0f} s of training"
    return {"summary": text, "pairs": {part: len(pairs) for part, pairs in parts.items()}, "seeds": rows}


def pronunciations(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Pairs of word and phones by part; words that differ in stress alone are one."""
    parts: dict[str, dict[tuple[str, str], None]] = {"train": {}, "valid": {}, "test": {}}
    with gzip.open(path, "rt", encoding="latin-1") as lines:
        for line in lines:
            word, _, *phones = line.split()
            part = TENTHS.get(zlib.crc32(word.encode()) % 10, "train")
            parts[part][word.lower(), " ".join(phone.rstrip("012") for phone in phones)] = None
    return {part: list(pairs) for part, pairs in parts.items()}


def nearest(said: Sequence[str], known: Sequence[Sequence[str]]) -> dict[str, float]:
    """Shares of words and of phones that are wrong, by the pronunciation with the fewest errors."""
    counts = []
    for one, several in zip(said, known, strict=True):
        found = measures.sums([one] * len(several), several, "symbols")
        counts.append(found[np.argmin(measures.score(found, "symbol_error"))])
    total = np.sum(counts, 0)
    return {key: float(measures.score(total, f"{name}_error")) for key, name in (("word", "word"), ("phone", "symbol"))}


# -- speed --------------------------------------------------------------------------------------------------


def speed(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Target units a second in training, ours and with torch.nn.LSTM inside, in turns on the same batches."""
    torch.set_num_threads(1)
    task = task_of(name, 1, given)
    parts = task.prepare(sides("train", given), sides("val", given))
    models = {"ours": task.build(), "torch": task.build()}
    for stack in (models["torch"].encoder, models["torch"].decoder.encoder):
        for place, layer in enumerate(stack.layers):
            of_torch = torch.nn.LSTM(layer.input_size, layer.hidden_size, bidirectional=layer.bidirectional)
            stack.layers[place] = of_torch
    optimizers = {who: torch.optim.AdamW(model.parameters(), 1e-3, fused=True) for who, model in models.items()}
    batches = task.batches(parts.train, 0, Shard())
    taken: dict[str, list[float]] = {who: [] for who in models}
    for step in range(STEPS):
        batch = batches[step]
        for who, model in models.items():
            began = time.process_time()
            optimizers[who].zero_grad()
            task.loss(model.train(), batch, {}).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizers[who].step()
            taken[who].append((time.process_time() - began) / len(batch.written))
    medians = {who: statistics.median(each[5:]) for who, each in taken.items()}
    ratio = medians["torch"] / medians["ours"]
    parameters = sum(each.numel() for each in models["ours"].parameters())
    rate = 1 / medians["ours"]
    text = f"{rate:,.0f} target units a second of {parameters:,} parameters; torch.nn.LSTM / ours {ratio:.2f}"
    return {"seconds_per_unit": medians, "ratio": ratio, "parameters": parameters, "summary": text}


def beam(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Seconds of translating sentences of 12 words with a beam of 5; how well changes little after an epoch."""
    torch.set_num_threads(1)
    task = task_of(name, 1, given)
    trained, _ = trained_on(task, sides("train", given), sides("val", given), None, 1)
    lines = lines_of(sides("train", given)[0])
    sentences = [line for line in lines if len(line.split()) == WORDS][:SENTENCES]
    seconds = []
    for _ in range(4):
        began = time.process_time()
        list(trained.written(sentences, TranslatePredicting(beam=5)))
        seconds.append(time.process_time() - began)
    text = (
        f"{statistics.median(seconds[1:]):.2f} s for {len(sentences):,} sentences of {WORDS} words, beam 5, one thread"
    )
    return {"seconds": seconds, "summary": text}


COMMANDS: dict[str, Callable[[str, argparse.Namespace], dict[str, Any]]] = {
    "multi30k": multi30k,
    "multi30k_short": multi30k,
    "cmudict": cmudict,
    "speed": speed,
    "beam": beam,
}


if __name__ == "__main__":
    main()
