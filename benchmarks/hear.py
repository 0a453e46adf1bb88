"""Transcribing public recordings and lines of digits with default settings, beside the baselines of the same run.

    python benchmarks/hear.py digits strings yesno --data ../shared/data      # spoken digits, strings, yes and no
    python benchmarks/hear.py speakers                  # each of six speakers left out in turn, beside an SVM
    python benchmarks/hear.py lines context             # lines of MNIST digits; lines where context decides
    python benchmarks/hear.py stream profile            # time on one thread, delay; where training time goes

The folder (or GATEWORK_DATA) holds fsdd/, yesno/ and mnist/; `hear_data.py` says how the parts are made. What differs
from the defaults is in SETTINGS; columns are named. Results go to benchmarks/results/hear_NAME.json with settings,
machine, versions and commit. `cpu_seconds` is the processor's time of all threads, which other work does not lengthen.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import hear_data
import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatework.data.media import sounds
from gatework.runtime.sounds.mel import Mel
from gatework.tasks import jobs
from gatework.tasks.transcribe import Transcribe, TranscribeOptions, ctc, streams
from gatework.tasks.transcribe.model import Listener
from gatework.training.environment import contained, environment
from gatework.training.learner import Shard

RESULTS = Path(__file__).parent / "results"
SETTINGS: dict[str, dict[str, Any]] = {"stream": {"bidirectional": False}}
SOUND = {"audio": "file", "text": "words"}
PICTURE = {"image": "file", "text": "text"}
STEPS = 40  # of a training that is profiled
CHUNK = 400  # samples that come at once
Parts = tuple[Path, Path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(COMMANDS))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speakers", nargs="*", default=hear_data.SPEAKERS, help="those that are left out in turn")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other options, for trials")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.names:
        with tempfile.TemporaryDirectory() as folder:
            result = COMMANDS[name](name, given, Path(folder))
        target = given.out / f"hear_{name}.json"
        target.write_text(json.dumps({"benchmark": name, "set": given.set, **result, **environment()}, indent=2) + "\n")
        print(f"{name}: {result['summary']}; {target}", flush=True)


def options(name: str, given: argparse.Namespace, columns: Mapping[str, Any]) -> TranscribeOptions:
    return TranscribeOptions(seed=given.seed, **columns, **SETTINGS.get(name, {})).with_settings(given.set)


def trained(
    name: str, given: argparse.Namespace, parts: Parts, columns: Mapping[str, Any], kind: type[Transcribe] = Transcribe
) -> tuple[Any, dict[str, Any]]:
    """One training on the first table, measured on the second."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        task = kind(options(name, given, columns))
        run = jobs.train(task, parts[0], test=parts[1], out=Path(folder) / "run")
        results = run.run.results()
    taken = time.process_time() - began
    kept = {key: results[key] for key in ("valid", "test", "training", "contenders", "verdict", "history")}
    return run, {"cpu_seconds": taken, "settings": run.task.options.to_dict(), **kept}


def measured(
    name: str,
    given: argparse.Namespace,
    folder: Path,
    *,
    parts: Callable[[Path, Path], Parts],
    columns: Mapping[str, Any],
    metric: str,
) -> dict[str, Any]:
    """One training and its metric on the test part."""
    _, kept = trained(name, given, parts(given.data, folder), columns)
    return {"summary": f"{metric} {kept['test'][metric]:.2%}, {kept['cpu_seconds']:.0f} s of processor time", **kept}


# -- speakers that were never heard ---------------------------------------------------------------------------


def speakers(name: str, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Share of wrong single digits of each speaker by a model and by an SVM that heard the other five."""
    rows = []
    for speaker in given.speakers:
        parts = hear_data.singles(given.data, folder, lambda take, own=speaker: take.speaker == own)
        _, kept = trained(name, given, parts, SOUND)
        rows.append({"speaker": speaker, "wrong": 1 - kept["test"]["exact"], "svm": svm(given.data, speaker), **kept})
        print(f"{speaker}: {rows[-1]['wrong']:.1%} wrong, SVM {rows[-1]['svm']:.1%}", flush=True)
    ours, other = (float(np.mean([row[key] for row in rows])) for key in ("wrong", "svm"))
    return {"summary": f"{ours:.1%} wrong, SVM {other:.1%}, mean of {len(rows)}", "speakers": rows}


def svm(data: Path, speaker: str) -> float:
    """Share of wrong digits by a support vector machine on mean and deviation of each band."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    mel, every = Mel(hear_data.RATE), hear_data.takes(data)
    frames = [mel.features(sounds.load(take.path, hear_data.RATE)) for take in every]
    inputs = np.stack([np.concatenate([each.mean(0), each.std(0)]) for each in frames])
    digits, test = (np.array(values) for values in zip(*((t.digit, t.speaker == speaker) for t in every), strict=True))
    machine = make_pipeline(StandardScaler(), SVC(C=10)).fit(inputs[~test], digits[~test])
    return 1 - float(machine.score(inputs[test], digits[test]))


# -- lines where context decides ------------------------------------------------------------------------------


class Still(Transcribe):
    """The same job by a network whose layers see one step each."""

    def build(self) -> Listener:
        listener, options = super().build(), self.options
        width = options.hidden_size * (2 if options.bidirectional else 1)
        listener.encoder = Steps(options.front_size, width, options.layers, options.dropout)  # type: ignore[assignment] # called as it
        return listener


class Steps(torch.nn.Module):
    """Linear layers over packed steps, called as an `Encoder`."""

    def __init__(self, inputs: int, width: int, layers: int, dropout: float):
        super().__init__()
        sizes = [inputs, *[width] * layers]
        parts = [(torch.nn.Linear(*pair), torch.nn.GELU(), torch.nn.Dropout(dropout)) for pair in pairwise(sizes)]
        self.layers = torch.nn.Sequential(*(part for layer in parts for part in layer))

    def forward(self, packed: PackedSequence) -> tuple[PackedSequence, dict[str, torch.Tensor]]:
        return packed._replace(data=self.layers(packed.data)), {}


def context(name: str, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Whole lines that are right, of a list of numbers with a check digit, with recurrent layers and without."""
    parts = hear_data.lines(given.data, folder, hear_data.listed)
    rows = {}
    for which, kind in (("with recurrence", Transcribe), ("without", Still)):
        _, rows[which] = trained(name, given, parts, PICTURE, kind)
    said = ", ".join(f"{which} {row['test']['exact']:.1%}" for which, row in rows.items())
    return {"summary": f"exact lines: {said}", "rows": rows}


# -- time -----------------------------------------------------------------------------------------------------


def stream(name: str, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A model that reads forward: its errors, processor time for each second of sound on one thread, and how long after
    the end of each digit its word is there."""
    train, test = hear_data.strings(given.data, folder)
    run, kept = trained(name, given, (train, test), SOUND)
    torch.set_num_threads(1)
    factor, heard = [], 0.0
    for path in sorted(folder.glob("test_*.wav"))[:50]:
        samples = sounds.load(path, hear_data.RATE)
        recogniser = recognising(run)
        began = time.process_time()
        for start in range(0, len(samples), CHUNK):
            recogniser.feed(samples[start : start + CHUNK])
            recogniser.partial()
        recogniser.finish()
        factor.append((time.process_time() - began) / (len(samples) / hear_data.RATE))
        heard += len(samples) / hear_data.RATE
    late = delays(run, given.data)
    told = "no string was heard as it is, so no delay is known"
    if late:
        told = f"a word is there {np.median(late):.2f} s after its end (nine in ten: {np.quantile(late, 0.9):.2f} s)"
    errors, cost = kept["test"]["word_error"], np.median(factor)
    text = f"word error {errors:.2%}, {cost:.3f} s of processor time a second of sound, {told}"
    return {"summary": text, "real_time_factor": factor, "seconds": heard, "delays": late, **kept}


def recognising(run: Any) -> streams.Recogniser:
    return streams.Recogniser(run.model, run.task.hearing, run.task.searching())


def delays(run: Any, data: Path) -> list[float]:
    """Seconds from the end of each digit of some strings, where its word is said, to the chunk that brings the word."""
    every = [take for take in hear_data.takes(data) if hear_data.official(take)]
    draw, found = np.random.default_rng(3), []
    for _ in range(40):
        chosen = [every[place] for place in draw.integers(0, len(every), 4)]
        recogniser = recognising(run)
        parts, ends, end = [], [], 0
        for take in chosen:
            sound = sounds.load(take.path, hear_data.RATE)
            end += len(sound)
            ends.append(end / hear_data.RATE)
            parts += [sound, np.zeros(hear_data.RATE // 2, np.float32)]
            end += hear_data.RATE // 2
        samples = np.concatenate(parts) + draw.normal(0, 3e-4, end).astype(np.float32)
        came: list[float] = []
        for start in range(0, len(samples), CHUNK):
            recogniser.feed(samples[start : start + CHUNK])
            words = recogniser.partial().split()
            came += [min(start + CHUNK, end) / hear_data.RATE] * (len(words) - len(came))
        if recogniser.finish()["text"].split() == [hear_data.NAMES[take.digit] for take in chosen]:
            found += [max(late - end, 0.0) for late, end in zip(came, ends, strict=True)]
    return found


def profile(name: str, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Where the processor's time of a training step goes: features of files, changed copies, front, recurrence, CTC."""
    train, _ = hear_data.strings(given.data, folder)
    task = Transcribe(options(name, given, SOUND))
    began = time.process_time()
    parts = task.prepare(train)
    features = (time.process_time() - began) / len(parts.train) * (task.options.batch_size or 1)
    epochs = task.options.epochs or 1
    with contained():
        shares = {f"features, once in {epochs} epochs": features / epochs} | spent(task, parts.train)
    total = sum(shares.values())
    said = ", ".join(f"{part} {seconds / total:.0%}" for part, seconds in shares.items())
    outside = 1 - shares["recurrence"] / total
    return {"summary": f"{outside:.0%} outside the recurrence: {said}", "seconds_a_step": shares}


def spent(task: Transcribe, examples: Any) -> dict[str, float]:
    """Processor seconds of the parts of a training step, forward and back."""
    torch.manual_seed(0)
    model = task.build().train()
    batches = task.batches(examples, 1, Shard())
    found: dict[str, float] = dict.fromkeys(("copies", "front", "recurrence", "head and CTC", "optimiser"), 0.0)
    optimizer = torch.optim.AdamW(model.parameters())

    def timed(part: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        result = work()
        found[part] += time.process_time() - began
        return result

    for place in range(min(STEPS, len(batches))):
        batch = timed("copies", partial(batches.__getitem__, place))
        features, lengths = timed("front", partial(model.front, batch.frames, batch.lengths))
        inner = features.detach().requires_grad_()
        packed, _ = timed("recurrence", lambda x=inner, n=lengths: model.encoder(pack_padded_sequence(x, n)))
        outer = packed.data.detach().requires_grad_()
        loss = timed("head and CTC", partial(last, model, packed._replace(data=outer), batch))
        timed("head and CTC", loss.backward)
        timed("recurrence", partial(packed.data.backward, outer.grad))
        timed("front", partial(features.backward, inner.grad))
        timed("optimiser", optimizer.step)
        optimizer.zero_grad()
    return {part: seconds / min(STEPS, len(batches)) for part, seconds in found.items()}


def last(model: Any, packed: Any, batch: Any) -> torch.Tensor:
    """The loss of what the recurrent layers say."""
    outputs, lengths = pad_packed_sequence(packed)
    return ctc.negative_log_p(model.head(outputs).log_softmax(-1), lengths, batch).sum() / len(batch.targets)


COMMANDS: dict[str, Callable[[str, argparse.Namespace, Path], dict[str, Any]]] = {
    "digits": partial(
        measured, parts=partial(hear_data.singles, test=hear_data.official), columns=SOUND, metric="exact"
    ),
    "strings": partial(measured, parts=hear_data.strings, columns=SOUND, metric="word_error"),
    "yesno": partial(measured, parts=hear_data.yesno, columns=SOUND, metric="word_error"),
    "lines": partial(
        measured, parts=partial(hear_data.lines, contents=hear_data.any_digits), columns=PICTURE, metric="exact"
    ),
    "speakers": speakers,
    "context": context,
    "stream": stream,
    "profile": profile,
}

if __name__ == "__main__":
    main()
