"""Files changed at random: whatever a reader is given, it answers, or refuses with an error of ours.

A mutant is known by its kind and its number: `Mutants(folder).attempt("runs", 17)` is the same one every time.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gatework
import hostile
from gatework import tasks
from gatework.errors import GateworkError
from gatework.runtime import load
from gatework.tasks import jobs
from small import CASES

ODD = [
    None, True, False, -1, 0, 1, 2**31, 2**63, 10**30, -(2**70), 0.5, 1e999, -1e999, float("nan"), "", "a", "0", "../x",
    "\ud800", "x" * 5_000, "words", "texts", "sequences", [], {}, [[]], [None], ["a"], [1], {"a": 1}, [[1.0]] * 3,
]  # fmt: skip
BITS = [
    b"", b"\0", b"\xff", b'"', b"'", b",", b";", b"\t", b"\n", b"\r\n", b":", b"#", b"@data\n", b"?", b"nan", b"inf",
    b"-", b"1e999", b"9" * 5_000, b"2024-02-30", b"\xef\xbb\xbf", b"\xff\xfe", b"[" * 3_000, b"{", b"}", b"null", b" ",
    b'"\\ud800"', b"\xe2\x80\xa8", b"sep=;\n", b"," * 300, b'"' * 99, b"1,1\n" * 50,
]  # fmt: skip
FORECAST = {"time": "date", "target": ("y",), "classical": "none"}


def mutated(data: bytes, draw: random.Random) -> bytes:
    """A few cuts, copies, insertions and flipped bits."""
    made = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 3, 8])):
        start, size = draw.randrange(len(made) + 1), draw.choice([0, 1, 2, 10, 100, len(made)])
        part = made[start : start + size]
        how = draw.randrange(5)
        if how == 0:
            del made[start : start + size]
        elif how == 1:
            made[start:start] = part
        elif how == 2:
            made[start : start + draw.choice([0, 1, size])] = draw.choice(BITS)
        elif how == 3:
            made[start : start + 1] = bytes([draw.randrange(256)])
        else:
            made = made[: max(start, 1)]
    return bytes(made)


def changed(value: Any, draw: random.Random) -> Any:
    """JSON in which one value is another, is gone, or stands twice; chosen on a walk from the top."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not keys or draw.random() < 0.1:
        return draw.choice(ODD)
    made, key = value.copy(), draw.choice(keys)
    how = draw.random()
    if how < 0.1:
        del made[key]
    elif how < 0.15 and isinstance(made, dict):
        made["more"] = made[key]
    elif how < 0.2 and isinstance(made, list):
        made.append(made[key])
    else:
        made[key] = changed(made[key], draw)
    return made


def texts() -> bytes:
    return ("text,label\n" + "".join(f'"good film, {n}",{"ab"[n % 2]}\n' for n in range(12))).encode()


def numbers() -> bytes:
    return ("date,y,x\n" + "".join(f"2024-01-{n:02d},{n % 7}.5,{n}\n" for n in range(1, 31))).encode()


def objects() -> bytes:
    return "".join(
        json.dumps({"text": f"film {n}", "label": n % 2, "doc": {"n": [n]}}) + "\n" for n in range(9)
    ).encode()


def sequences() -> bytes:
    rows = "".join(f"{n},2,3:4,5,?:{'ab'[n % 2]}\n" for n in range(9))
    return f"@problemName x\n@timeStamps false\n@classLabel true a b\n@data\n{rows}".encode()


class Mutants:
    """Mutants of each kind, read in a folder that holds their originals; `KINDS` names the kinds."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.kinds: dict[str, Callable[[random.Random], object]] = {
            "tables": self.tables, "json": self.json, "ts": self.ts, "layers": self.layers, "runs": self.runs,
        }  # fmt: skip

    def attempt(self, kind: str, number: int) -> None:
        """Makes a mutant and reads it. An error of gatework's is an answer; any other is raised."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with suppress(GateworkError):
                self.kinds[kind](random.Random(f"{kind} {number}"))

    # -- data: checked as before a training -----------------------------------------------------------------

    def tables(self, draw: random.Random) -> None:
        data = draw.choice([texts, numbers])()
        name = draw.choice(["a.csv", "a.tsv", "a.txt", "a"])
        if name == "a.tsv":
            data = data.replace(b",", b"\t")
        self._check(name, mutated(data, draw), draw.choice(["texts", "sequences", "auto", "forecast"]))

    def json(self, draw: random.Random) -> None:
        data = mutated(objects(), draw)
        if draw.random() < 0.5:
            rows = changed([json.loads(line) for line in objects().splitlines()], draw)
            data = json.dumps(rows).encode()
        self._check(draw.choice(["a.jsonl", "a.json"]), data, draw.choice(["texts", "sequences", "auto", "forecast"]))

    def ts(self, draw: random.Random) -> None:
        self._check("a.ts", mutated(sequences(), draw), "sequences")

    def _check(self, name: str, data: bytes, kind: str) -> None:
        path = self.folder / name
        path.write_bytes(data)
        task = tasks.get("forecast" if kind == "forecast" else "classify")
        options = FORECAST if kind == "forecast" else {"kind": kind}
        findings = task(task.Options.of(options)).check(path)
        assert all(finding.message for finding in findings)

    # -- files that were saved ------------------------------------------------------------------------------

    def layers(self, draw: random.Random) -> None:
        data = self._layer()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        how = draw.random()
        if how < 0.6:
            said = json.loads(header["__metadata__"]["gatework"])
            layer = draw.choice(said["layers"])
            layer["graph"] = changed(layer["graph"], draw)
            header["__metadata__"]["gatework"] = json.dumps(said if how < 0.5 else changed(said, draw))
        elif how < 0.8:
            header = changed(header, draw)
        text = json.dumps(header).encode()
        data = len(text).to_bytes(8, "little") + text + data[8 + size :]
        data = data if how < 0.8 else mutated(data, draw)
        path = self.folder / "mutant.safetensors"
        path.write_bytes(data)
        load(path).run(np.zeros((2, 1, 3), np.float32))

    def _layer(self) -> bytes:
        path = self.folder / "layer.safetensors"
        if not path.exists():
            gatework.save(gatework.LSTM(3, 4, 2), path)
        return path.read_bytes()

    def original(self, case: int) -> Path:
        """A run of a case of small.py."""
        path = self.folder / f"run-{case}"
        if not path.exists():
            jobs.train(CASES[case].task(), CASES[case].source(), out=path, quiet=True)
        return path

    def runs(self, draw: random.Random) -> None:
        case = draw.randrange(len(CASES))
        copy = hostile.copied(self.original(case), self.folder / "mutant")
        run = hostile.changed(copy, lambda config, assets, weights: _harm(config, assets, weights, draw))
        trained = jobs.load(run)
        trained.run.results()
        trained.predict(_asked(trained.task.name, case))


def _asked(name: str, case: int) -> Any:
    if name == "classify":
        source = CASES[case].source()
        few = 30 if "id" in source else 3
        return {key: list(values)[:few] for key, values in source.items()}
    return None if name == "forecast" else ["the film"]


def _harm(
    config: dict[str, Any], assets: dict[str, str], weights: dict[str, torch.Tensor], draw: random.Random
) -> None:
    """One or two changes, in options, assets or weights."""
    for _ in range(draw.choice([1, 1, 2])):
        where = draw.random()
        if where < 0.3:
            config["options"] = made if isinstance(made := changed(config["options"], draw), dict) else {}
        elif where < 0.35:
            key = draw.choice(sorted(config.keys() - {"assets"}))
            config[key] = changed(config[key], draw)
        elif where < 0.85:
            name = draw.choice(sorted(assets))
            assets[name] = _harmed(assets[name], draw)
        else:
            _harm_weights(weights, draw)


def _harmed(text: str, draw: random.Random) -> str:
    with suppress(ValueError):  # it was harmed before
        if draw.random() < 0.85:
            return json.dumps(changed(json.loads(text), draw))
    return mutated(text.encode("utf-8", "replace"), draw).decode("utf-8", "replace")


def _harm_weights(weights: dict[str, torch.Tensor], draw: random.Random) -> None:
    name = draw.choice(sorted(weights))
    tensor = weights[name]
    how = draw.randrange(5)
    if how == 0:
        del weights[name]
    elif how == 1:
        weights[name] = tensor[:-1].contiguous() if tensor.ndim and len(tensor) else torch.zeros(3)
    elif how == 2:
        weights[name] = tensor.to(draw.choice([torch.int64, torch.float64, torch.float16, torch.bool]))
    elif how == 3:
        weights[name] = torch.full_like(tensor, draw.choice([0, 1, 100])) * draw.choice([-1, 1, 1_000])
    else:
        weights[f"{name}.x"] = tensor
