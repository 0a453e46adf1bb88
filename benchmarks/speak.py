"""Spoken digits said anew, and what listeners that never heard the voice make of them.

    python benchmarks/speak.py fsdd --data ../shared/data        # about six minutes of one core

The folder (or GATEWORK_DATA) holds fsdd/: 3,000 recordings of ten digits by six people. The voice learns the takes of
even numbers from 5 on; a transcriber of this package and two support vector machines, for digits and for speakers,
learn those of odd numbers. Then each digit is said by each speaker, and all listen; they also listen to takes 0 to 4,
which nobody learned, to the same takes without their phases (frames and back), and to the mean template of each digit
and speaker. Columns are named; nothing else is set. Results go to benchmarks/results/speak_fsdd.json with settings,
machine, versions and commit. `cpu_seconds` is the processor's time, which other work does not lengthen.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import hear_data
import numpy as np

from gatework.data.media import sounds
from gatework.runtime.sounds.inverse import Inverse
from gatework.runtime.sounds.mel import Mel
from gatework.tasks import jobs
from gatework.tasks.speak import Speak, SpeakOptions
from gatework.tasks.speak.baselines import mean
from gatework.tasks.speak.options import SpeakPredicting
from gatework.tasks.transcribe import Transcribe, TranscribeOptions
from gatework.training.environment import environment

RESULTS = Path(__file__).parent / "results"
COLUMNS: dict[str, Any] = {"audio": "file", "text": "words", "speaker": "speaker"}
PAIRS = [(word, who) for word in hear_data.NAMES for who in hear_data.SPEAKERS]
QUIET = 9.0  # nepers below the loudest band of a recording that a listener cannot tell from silence


class Sounds(NamedTuple):
    """What is listened to: samples (n,) and what is true of each, digit and speaker."""

    samples: list[np.ndarray]
    true: Sequence[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=["fsdd"])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="other options of the voice, for trials"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        result = measured(given, Path(folder))
    target = given.out / "speak_fsdd.json"
    target.write_text(json.dumps({"benchmark": "fsdd", "set": given.set, **result, **environment()}, indent=2) + "\n")
    print(f"fsdd: {result['summary']}; {target}", flush=True)


def measured(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Voices of all seeds, the listeners, and what these heard."""
    every = hear_data.takes(given.data)
    voice, listened = (learned(folder, name, every, own) for name, own in (("voice", 0), ("listened", 1)))
    rows = [trained(seed, given, voice, folder) for seed in given.seeds]
    began = time.process_time()
    listeners = Listeners(every, listened, folder)
    heard = {f"said, seed {row['seed']}": listeners(row.pop("sounds")) for row in rows}
    others = {name: listeners(each) for name, each in beside(every).items()}
    said = {name: float(np.mean([each[name] for each in heard.values()])) for name in listeners.names}
    told = ", ".join(f"{said[name]:.1%} ({others[REAL][name]:.1%} of real takes)" for name in listeners.names)
    text = f"right about what is said anew: transcriber, SVM of digits, SVM of speakers {told}"
    return {"summary": text, **heard, **others, "voices": rows, "listeners_cpu_seconds": time.process_time() - began}


def learned(folder: Path, name: str, every: list[hear_data.Take], odd: int) -> Path:
    """The table of takes from 5 on of even or odd numbers."""
    own = [take for take in every if not hear_data.official(take) and take.number % 2 == odd]
    rows = [(take.path.resolve(), hear_data.NAMES[take.digit], take.speaker) for take in own]
    return hear_data.table(folder, name, rows, ("file", "words", "speaker"))


def trained(seed: int, given: argparse.Namespace, table: Path, folder: Path) -> dict[str, Any]:
    """A voice and what it says of every digit and speaker."""
    task = Speak(SpeakOptions(seed=seed, threads=1, **COLUMNS).with_settings(given.set))
    began = time.process_time()
    found = jobs.train(task, table, out=folder / f"voice{seed}")
    taken = time.process_time() - began
    asked = [{"words": word, "speaker": who} for word, who in PAIRS]
    said = list(task.soundings(cast("Any", found.model), asked, SpeakPredicting()))
    results = found.run.results()
    kept = {key: results[key] for key in ("valid", "test", "training", "contenders", "verdict", "history")}
    sounding = Sounds([each.samples for each in said], PAIRS)
    stopped = float(np.mean([each.row["stopped"] for each in said]))
    settings = task.options.to_dict()
    return {"seed": seed, "sounds": sounding, "stopped": stopped, "cpu_seconds": taken, "settings": settings, **kept}


# -- listeners ------------------------------------------------------------------------------------------------


class Listeners:
    """A transcriber and two support vector machines; a call gives the share of sounds that each is right about."""

    names = ("transcriber", "digits", "speakers")

    def __init__(self, every: list[hear_data.Take], table: Path, folder: Path):
        self.folder = folder
        columns = {name: COLUMNS[name] for name in ("audio", "text")}
        self.run = jobs.train(Transcribe(TranscribeOptions(threads=1, **columns)), table, out=folder / "transcriber")
        own = [take for take in every if not hear_data.official(take) and take.number % 2]
        samples = [sounds.load(take.path, hear_data.RATE) for take in own]
        self.digits = machine(thirds, samples, [hear_data.NAMES[take.digit] for take in own])
        self.speakers = machine(colour, samples, [take.speaker for take in own])

    def __call__(self, heard: Sounds) -> dict[str, Any]:
        words, speakers = zip(*heard.true, strict=True)
        said = {"transcriber": self.transcribed(heard.samples), "digits": self.digits(heard.samples)}
        found = {name: list(each) for name, each in (*said.items(), ("speakers", self.speakers(heard.samples)))}
        right = {name: speakers if name == "speakers" else words for name in found}
        shares = {name: float(np.mean(np.array(each) == np.array(right[name]))) for name, each in found.items()}
        wrong = [
            {"true": true, **{name: found[name][row] for name in found}}
            for row, true in enumerate(heard.true)
            if any(found[name][row] != right[name][row] for name in found)
        ]
        return {**shares, "count": len(words), "wrong": wrong}

    def transcribed(self, samples: list[np.ndarray]) -> list[str]:
        """Texts of sounds, by way of wav files."""
        files = [self.folder / f"heard_{number:03}.wav" for number in range(len(samples))]
        for file, each in zip(files, samples, strict=True):
            sounds.write(file, each, hear_data.RATE)
        return [row["text"] for row in self.run.predict(files)]


def machine(
    features: Callable[[np.ndarray], np.ndarray], samples: list[np.ndarray], labels: list[str]
) -> Callable[[list[np.ndarray]], list[str]]:
    """A support vector machine on features of whole recordings."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    fitted = make_pipeline(StandardScaler(), SVC(C=10)).fit(np.stack([features(each) for each in samples]), labels)
    return lambda others: fitted.predict(np.stack([features(each) for each in others])).tolist()


def audible(samples: np.ndarray) -> np.ndarray:
    """Log-mel energies (T, 40) down to what can be heard beside the loudest."""
    frames = Mel(hear_data.RATE).features(samples)
    return np.maximum(frames, frames.max() - QUIET)


def colour(samples: np.ndarray) -> np.ndarray:
    """Mean spectrum without its level, and deviation of each band: who speaks."""
    frames = audible(samples)
    return np.concatenate([frames.mean(0) - frames.mean(), frames.std(0)])


def thirds(samples: np.ndarray) -> np.ndarray:
    """Mean spectra of three thirds, deviation of each band, length: what is said."""
    frames = audible(samples)
    means = [part.mean(0) - frames.mean() for part in np.array_split(frames, 3)]
    return np.concatenate([*means, frames.std(0), [len(frames) / 50]])


# -- what stands beside ---------------------------------------------------------------------------------------

REAL, COPIED, TEMPLATES = "real takes", "real takes, frames and back", "mean templates"


def beside(every: list[hear_data.Take]) -> dict[str, Sounds]:
    """Real takes, the same made of their frames, and the mean templates of what the voice learned."""
    options = SpeakOptions()
    inverse = Inverse(Mel(hear_data.RATE, options.mels, options.window_ms, options.hop_ms))
    test = [take for take in every if hear_data.official(take)]
    samples = [sounds.load(take.path, hear_data.RATE) for take in test]
    true = [(hear_data.NAMES[take.digit], take.speaker) for take in test]
    own = [take for take in every if not hear_data.official(take) and take.number % 2 == 0]
    templates = []
    for word, who in PAIRS:
        takes = [take.path for take in own if (hear_data.NAMES[take.digit], take.speaker) == (word, who)]
        templates.append(mean([inverse.mel.features(sounds.load(path, hear_data.RATE)) for path in takes]))
    return {
        REAL: Sounds(samples, true),
        COPIED: Sounds([inverse.samples(inverse.mel.features(each)) for each in samples], true),
        TEMPLATES: Sounds([inverse.samples(each) for each in templates], PAIRS),
    }


if __name__ == "__main__":
    main()
