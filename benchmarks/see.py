"""Describing pictures and films of public data, beside the baselines of the same run.

    python benchmarks/see.py emoji --data ../shared/data        # names of emoji: test captions never occur in training
    python benchmarks/see.py digits --seeds 1                   # two MNIST digits that move: "three left, seven up"

The folder (or GATEWORK_DATA) holds emoji/ and mnist/. What differs from the defaults is in SETTINGS. Of emoji's test
part those captions count all of whose words occur in training. Films are made here: two digits, each moving one of
four ways at a speed of its own; starts are drawn alike for all ways, so that the first frame tells nothing, and digits
may leave the picture. Digits of the training part are MNIST's training digits but for the last 5,000, those of
validation these, those of the test MNIST's test digits. The smaller digit is named first. Results go to
benchmarks/results/see_NAME.json with settings, machine, versions and commit.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression

from gatework.data.made import NUMBERS, WAYS
from gatework.tasks import jobs
from gatework.tasks.caption import Caption, CaptionOptions
from gatework.tasks.caption.baselines import nearest
from gatework.training.environment import environment

RESULTS = Path(__file__).parent / "results"
SETTINGS: dict[str, dict[str, Any]] = {"emoji": {}, "digits": {}}
PARTS = ("train", "valid", "test")
TONE = re.compile(r"(?:medium-light|medium-dark|light|medium|dark) skin tone")
FILMS = {"train": 6_000, "valid": 400, "test": 1_000}
SIDE, FRAMES, DIGIT, LAST = 64, 10, 28, 5_000
START, SPEED = (6, 30), (2.0, 5.0)  # where the corner of a digit starts; points that it moves at each frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(COMMANDS))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--part", choices=PARTS[1:], default="test", help="the part that is told of; valid for trials")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other options, for trials")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.names:
        result = COMMANDS[name](name, given)
        target = given.out / f"see_{name}.json"
        about = {"benchmark": name, "part": given.part, "settings": SETTINGS[name], "set": given.set}
        target.write_text(json.dumps({**about, **result, **environment()}, indent=2) + "\n")
        print(f"{name}: {result['summary']}; {target}", flush=True)


def trained_on(name: str, tables: dict[str, Path], seed: int, given: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """A training on tables of three parts; in trials the test part is not read."""
    task = Caption(CaptionOptions(seed=seed, **SETTINGS[name]).with_settings(given.set))
    began = time.process_time()
    test = tables["test"] if given.part == "test" else None
    with tempfile.TemporaryDirectory() as folder:
        trained = jobs.train(task, tables["train"], valid=tables["valid"], test=test, out=Path(folder) / "run")
        results = trained.run.results()
    taken = time.process_time() - began  # of all threads, with reading, baselines and results
    kept = {key: results[key] for key in ("metric", "valid", "test", "training", "contenders", "verdict", "comparison")}
    print(f"seed {seed}: {results['verdict']}", flush=True)
    return trained, {"seed": seed, "seconds": results["training"]["seconds"], "cpu_seconds": taken, **kept}


def written(folder: Path, rows: dict[str, list[tuple[str, str]]]) -> dict[str, Path]:
    """A table of files and captions for each part."""
    for part, own in rows.items():
        with (folder / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("file", "caption"), *own])
    return {part: folder / f"{part}.csv" for part in rows}


def median(rows: Sequence[dict[str, Any]], key: str) -> float:
    return statistics.median(row[key] for row in rows)


# -- names of emoji -----------------------------------------------------------------------------------------


def emoji(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Captions that are right as a whole, of those all of whose words were learned; and by kind."""
    rows: dict[str, list[tuple[str, str]]] = {part: [] for part in PARTS}
    with (given.data / "emoji" / "captions.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows[row["part"]].append((str((given.data / "emoji" / row["image"]).resolve()), row["caption"]))
    words = {word for _, caption in rows["train"] for word in caption.split()}
    true = [caption for _, caption in rows[given.part]]
    known = np.array([all(word in words for word in caption.split()) for caption in true])
    toned = nearest_with_tone(rows["train"], rows[given.part])
    found = []
    with tempfile.TemporaryDirectory() as folder:
        tables = written(Path(folder), rows)
        for seed in given.seeds:
            trained, kept = trained_on(name, tables, seed, given)
            said = [row["caption"] for row in trained.predict(tables[given.part])]
            found.append({"exact": shares(said, true, known), **kept})
    beside = shares(toned, true, known)
    exact = [row["exact"]["known"] for row in found]
    text = (
        f"{statistics.median(exact):.1%} (seeds from {min(exact):.1%} to {max(exact):.1%}) of {known.sum()} captions "
        f"right as a whole, nearest picture with the tone of a linear model {beside['known']:.1%}; "
        f"{median(found, 'cpu_seconds'):.0f} s of one processor"
    )
    return {"summary": text, "nearest_with_tone": beside, "known": int(known.sum()), "seeds": found}


def shares(said: Sequence[str], true: Sequence[str], known: np.ndarray) -> dict[str, float]:
    """Shares that are right: of all, of those whose words were learned, and of kinds of these."""
    right = np.array([one == other for one, other in zip(said, true, strict=True)])
    tone = np.array([TONE.search(text) is not None for text in true])
    flag = np.array([text.startswith("flag:") for text in true])
    kinds = {"tones": known & tone, "flags": known & flag, "others": known & ~tone & ~flag}
    found = {"all": right.mean(), "known": right[known].mean()}
    return {key: float(value) for key, value in found.items()} | {
        name: float(right[mine].mean()) for name, mine in kinds.items() if mine.any()
    }


def nearest_with_tone(train: Sequence[tuple[str, str]], asked: Sequence[tuple[str, str]]) -> list[str]:
    """The caption of the training picture that is nearest in blue, which tones of skin change least, with the tones
    that a linear model sees in the histogram of colours."""
    pictures = [[on_white(file) for file, _ in rows] for rows in (train, asked)]
    captions = [caption for _, caption in train]
    blue = [np.stack([small_blue(each) for each in own]) for own in pictures]
    known, new = (np.stack([histogram(each) for each in own]) for own in pictures)
    model = LogisticRegression(C=100.0, max_iter=500).fit(known, [", ".join(TONE.findall(text)) for text in captions])
    scores = [dict(zip(model.classes_, own, strict=True)) for own in model.predict_log_proba(new)]
    return [retoned(captions[near], own) for near, own in zip(nearest(*blue), scores, strict=True)]


def retoned(caption: str, scores: dict[str, float]) -> str:
    """A caption with the likeliest tones, of as many as it has."""
    slots = TONE.findall(caption)
    fitting = [names for names in scores if len(TONE.findall(names)) == len(slots)]
    if not slots or not fitting:
        return caption
    chosen = iter(TONE.findall(max(fitting, key=lambda names: scores[names])))
    return TONE.sub(lambda _: next(chosen), caption)


def on_white(file: str) -> np.ndarray:
    """A picture (64, 64, 3)."""
    clear = Image.open(file).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB"))


def small_blue(picture: np.ndarray) -> np.ndarray:
    """The blue of a picture as 32 x 32 points, from 0 to 1."""
    return np.asarray(Image.fromarray(picture[..., 2]).resize((32, 32), Image.Resampling.BOX), np.float32).ravel() / 255


def histogram(picture: np.ndarray) -> np.ndarray:
    """Square roots of the shares of 512 colours."""
    places = (picture.reshape(-1, 3) // 32).astype(int) @ np.array([1, 8, 64])
    return np.sqrt(np.bincount(places, minlength=512) / len(places))


# -- digits that move ---------------------------------------------------------------------------------------


def digits(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Films of which both ways are right, and which are right as a whole."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        rows = {part: films(given.data / "mnist", part, Path(folder)) for part in PARTS}
        tables = written(Path(folder), rows)
        for seed in given.seeds:
            trained, kept = trained_on(name, tables, seed, given)
            said = [row["caption"] for row in trained.predict(tables[given.part])]
            true = [caption for _, caption in rows[given.part]]
            both = np.mean([ways(one) == ways(other) for one, other in zip(said, true, strict=True)])
            exact = np.mean([one == other for one, other in zip(said, true, strict=True)])
            found.append({"ways": float(both), "exact": float(exact), **kept})
    text = (
        f"both ways right {median(found, 'ways'):.1%}, all right {median(found, 'exact'):.1%} of "
        f"{FILMS[given.part]:,} films; {median(found, 'cpu_seconds'):.0f} s of one processor"
    )
    return {"summary": text, "films": FILMS, "seeds": found}


def ways(caption: str) -> list[str]:
    """The ways that a caption names, whatever digits go there."""
    return sorted(word for word in re.findall(r"\w+", caption) if word in WAYS)


def films(folder: Path, part: str, out: Path) -> list[tuple[str, str]]:
    """Writes the films of a part as arrays (FRAMES, SIDE, SIDE); their files and captions."""
    stem = "t10k" if part == "test" else "train"
    pictures = np.frombuffer(
        gzip.decompress((folder / f"{stem}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16
    )
    labels = np.frombuffer(gzip.decompress((folder / f"{stem}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    cut = {"train": slice(None, -LAST), "valid": slice(-LAST, None), "test": slice(None)}[part]
    pictures, labels = pictures.reshape(-1, DIGIT, DIGIT)[cut], labels[cut]
    draw = np.random.default_rng(PARTS.index(part))
    rows = []
    for number in range(FILMS[part]):
        film, said = np.zeros((FRAMES, SIDE, SIDE), np.uint8), []
        for chosen in draw.integers(len(labels), size=2):
            way = str(draw.choice(list(WAYS)))
            put(film, pictures[chosen], draw.uniform(*START, 2), draw.uniform(*SPEED) * np.array(WAYS[way]))
            said.append((int(labels[chosen]), way))
        np.save(out / f"{part}{number}.npy", film)
        rows.append((f"{part}{number}.npy", ", ".join(f"{NUMBERS[digit]} {way}" for digit, way in sorted(said))))
    return rows


def put(film: np.ndarray, digit: np.ndarray, start: np.ndarray, speed: np.ndarray) -> None:
    """Draws a digit on each frame, as far as it is inside."""
    for step, frame in enumerate(film):
        at = np.round(start + speed * step).astype(int)
        low, high = np.maximum(at, 0), np.minimum(at + DIGIT, SIDE)
        if (high > low).all():
            inside = digit[tuple(slice(*each) for each in zip(low - at, high - at, strict=True))]
            there = frame[tuple(slice(*each) for each in zip(low, high, strict=True))]
            np.maximum(there, inside, out=there)


COMMANDS: dict[str, Callable[[str, argparse.Namespace], dict[str, Any]]] = {"emoji": emoji, "digits": digits}


if __name__ == "__main__":
    main()
