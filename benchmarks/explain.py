"""How exact, how right and how fast explanations are, on models that are trained here in a minute or two.

    python benchmarks/explain.py

- completeness: how far integrated gradients (64 points) miss the change of the output, of max(change, 0.05);
- distance: how far their steps are from those of 1,024 points, as a part of the sum of absolute attributions (up to 10
  inputs of each model, of up to 100 steps), because what adds up may still be wrong;
- planted evidence: texts of filler words with one decisive word, on new texts: how often that word is found first;
- time: explaining an input of 500 steps, after the model is loaded.

Results go to benchmarks/results/explain.json with settings, machine and versions.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import gatework
from gatework import tasks
from gatework.data.embedded import digits, manual, sentences
from gatework.explanation import Explanation, subject_of
from gatework.explanation.attribution import Attribution, baselines
from gatework.tasks import jobs
from gatework.tasks.forecast.choosing import PLAIN
from gatework.training.environment import environment

RESULTS = Path(__file__).parent / "results" / "explain.json"
SEED = 1
CLASSES = ("north", "east", "south", "west")
SETTINGS: dict[str, dict[str, Any]] = {
    "planted": {"epochs": 6, "test_share": 0.0},
    "sentences": {"text": "text", "label": "library", "epochs": 8},
    "digits": {"id": "id", "time": "line", "label": "digit", "epochs": 40},
    "long": {"cell": "gru", "epochs": 4, "test_share": 0.0},
    "series": {
        **PLAIN,
        "combine": "none",
        "average": "none",
        "keep": "best",
        "series": "shop",
        "horizon": 7,
        "season": 7,
        "lookback": 56,
        "epochs": 10,
        "batch_size": 128,
    },
    "manual": {"hidden_size": 128, "sample_length": 10, "epochs": 4},
}
FIXED = {"seed": SEED, "time_limit": 0.0, "threads": 1}  # of every training: the same model on every run
TASKS = {"series": "forecast", "manual": "generate"}


def planted(count: int, seed: int, shortest: int = 8, longest: int = 60) -> tuple[list[str], list[str], list[int]]:
    """Texts of 300 filler words, in each one of 20 decisive words, five for each label; labels; its place."""
    draw = random.Random(seed)
    filler = [f"w{n}" for n in range(300)]
    texts, labels, places = [], [], []
    for _ in range(count):
        words = draw.choices(filler, k=draw.randint(shortest, longest))
        place, label = draw.randrange(len(words)), draw.choice(CLASSES)
        words[place] = f"{label}{draw.randrange(5)}"
        texts, labels, places = [*texts, " ".join(words)], [*labels, label], [*places, place]
    return texts, labels, places


def waves(count: int, steps: int) -> dict[str, Any]:
    """Noise of three channels with a bump somewhere; its sign is the label."""
    draw = np.random.default_rng(SEED)
    values = draw.normal(0, 0.5, (count, steps, 3))
    signs = draw.integers(0, 2, count)
    for row, (place, sign) in enumerate(zip(draw.integers(0, steps - 30, count), signs, strict=True)):
        values[row, place : place + 30, 0] += 3 * sign - 1.5
    return {"values": list(values), "label": [["down", "up"][sign] for sign in signs]}


def sources(folder: Path) -> dict[str, Any]:
    texts, labels, _ = planted(1500, SEED)
    (folder / "sentences.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sentences()))
    (folder / "digits.csv").write_text(digits())
    (folder / "manual.txt").write_text(manual())
    draw = np.random.default_rng(SEED).normal(size=(5, 400))
    rows = [
        (f"shop {s}", datetime(2023, 1, 1) + timedelta(days=d), 20.0 + 3 * (d % 7) + 2 * np.sin(d / 30) + draw[s, d])
        for s in range(5)
        for d in range(400)
    ]
    return {
        "planted": {"text": texts, "label": labels},
        "sentences": str(folder / "sentences.jsonl"),
        "digits": str(folder / "digits.csv"),
        "long": waves(160, 500),
        "series": pl.DataFrame(rows, schema=["shop", "day", "units"], orient="row"),
        "manual": str(folder / "manual.txt"),
    }


def trained(name: str, source: Any, folder: Path) -> jobs.Trained:
    kind = tasks.get(TASKS.get(name, "classify"))
    options = kind.Options.of({**SETTINGS[name], **FIXED})
    jobs.train(kind(options), source, out=folder / name, quiet=True)
    return jobs.load(folder / name)


def examples(name: str, source: Any) -> Iterator[dict[str, Any]]:
    """What is explained of each model: for texts, rows that it did not learn from where there are such."""
    if name == "planted":
        yield from ({"text": text} for text in planted(40, SEED + 1)[0])
        yield {"text": planted(1, SEED + 2, 500, 500)[0][0]}
    elif name == "sentences":
        rows = [row["text"] for row in sentences()]
        yield from ({"text": rows[n]} for n in range(0, len(rows), len(rows) // 40))
        yield from ({"text": " ".join(rows[n : n + 30])} for n in range(0, 300, 100))
    elif name == "manual":
        text = manual()
        yield from ({"text": text[n : n + 60]} for n in range(0, 200_000, 10_000))
        yield {"text": text[1000:1500]}
    elif name == "series":
        yield from ({"series": f"shop {n}"} for n in range(5))
    else:
        yield from ({"row": n, "source": source} for n in range(1, 160, 4 if name == "digits" else 16))


def completeness(found: dict[str, list[Explanation]]) -> dict[str, Any]:
    result = {}
    for name, each in found.items():
        errors = sorted(one.attribution.error for one in each)
        result[name] = {
            "inputs": len(errors), "median": statistics.median(errors), "largest": errors[-1],
            "share_within_1_percent": float(np.mean(np.array(errors) <= 0.01)),
            "share_within_0.2_percent": float(np.mean(np.array(errors) <= 0.002)),
            "other_baselines": sum(one.attribution.baseline != one.words.absent for one in each),
            "leaps": sum(bool(one.attribution.leap) for one in each),
        }  # fmt: skip
    return result


def distances(run: jobs.Trained, given: list[dict[str, Any]]) -> dict[str, Any]:
    """Of 64 points from many, on the same path."""
    found = []
    for one in given[:: max(len(given) // 10, 1)][:10]:
        subject = subject_of(run, one.get("source"), {key: one[key] for key in one if key != "source"})
        if len(subject) <= 100:
            name, baseline = baselines(subject)[0]
            few, many = (Attribution.of(subject, name, baseline, points).steps for points in (64, 1024))
            found.append(float(np.abs(few - many).sum() / np.abs(many).sum()))
    return {"inputs": len(found), "median": statistics.median(found), "largest": max(found)} if found else {"inputs": 0}


def evidence(run: jobs.Trained, count: int = 200) -> dict[str, Any]:
    """How often the decisive word of a new text has the largest effect, and the largest attribution."""
    texts, labels, places = planted(count, SEED + 3)
    found = [gatework.explain(run, text=text, target=label) for text, label in zip(texts, labels, strict=True)]
    return {
        "texts": count,
        "accuracy": float(np.mean([one.answer == label for one, label in zip(found, labels, strict=True)])),
        "occlusion_top_1": float(np.mean([one.top()[0] == place for one, place in zip(found, places, strict=True)])),
        "gradients_top_1": float(
            np.mean([one.attribution.steps.argmax() == place for one, place in zip(found, places, strict=True)])
        ),
        "largest_error": max(one.attribution.error for one in found),
    }


def times(runs: dict[str, jobs.Trained], source: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Seconds of explaining 500 steps, and of writing the page: median of three, after one to warm up."""
    given = {
        "text of 500 words": ("planted", {"text": planted(1, SEED + 2, 500, 500)[0][0]}),
        "500 characters": ("manual", {"text": manual()[1000:1500]}),
        "sequence of 500 steps": ("long", {"row": 1, "source": source["long"]}),
    }
    result = {}
    for name, (which, what) in given.items():
        found, pages = [], []
        for _ in range(4):
            found.append(gatework.explain(runs[which], **what))
            began = time.perf_counter()
            found[-1].write(folder / "page.html")
            pages.append(time.perf_counter() - began)
        seconds = [one.seconds for one in found]
        result[name] = {"steps": len(found[0]), "seconds": seconds[1:], "median": statistics.median(seconds[1:]),
                        "page": statistics.median(pages[1:])}  # fmt: skip
    return result


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source = sources(folder)
        runs = {name: trained(name, source[name], folder) for name in SETTINGS}
        given = {name: list(examples(name, source[name])) for name in runs}
        found = {name: [gatework.explain(run, **one) for one in given[name]] for name, run in runs.items()}
        result = {
            "benchmark": "explain", "settings": SETTINGS, "seed": SEED, "completeness": completeness(found),
            "distance": {name: distances(run, given[name]) for name, run in runs.items()},
            "planted": evidence(runs["planted"]), "times": times(runs, source, folder),
        }  # fmt: skip
    RESULTS.write_text(json.dumps({**result, **environment()}, indent=2) + "\n")
    for name in ("completeness", "distance", "planted", "times"):
        print(name, json.dumps(result[name], indent=1))


if __name__ == "__main__":
    main()
