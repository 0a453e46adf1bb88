"""Frames as sounds, in memory and as files: one wav file, or a folder of numbered ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gatework.data.media import sounds
from gatework.errors import OptionError
from gatework.runtime.sounds.inverse import Inverse
from gatework.tasks.speak.reading import Utterances
from gatework.tasks.speak.saying import Said, Saying

PAUSE_MS, HUSH = 80.0, 0.05  # between words that are said one by one; the share of frames that is quieter than it
LOUDEST = 0.99  # of full scale: what is louder is made softer as a whole


class Sounding(NamedTuple):
    """`samples` float32 (n,) of a text, and what is told of it: its row."""

    samples: np.ndarray
    row: dict[str, Any]


def soundings(saying: Saying, asked: Utterances, rounds: int) -> Iterator[Sounding]:
    """The sound of each text, in order."""
    codecs, (words, owners) = saying.codecs, saying.codecs.parted(asked)
    inverse, said = Inverse(codecs.mel, rounds), saying(codecs.encode(words))
    speakers = codecs.speakers.decode(codecs.voices(asked))
    for row, (text, speaker) in enumerate(zip(asked.texts, speakers, strict=True)):
        whole = joined([said[place] for place in np.flatnonzero(owners == row)], codecs.options.hop_ms)
        samples = softened(inverse.samples(whole.frames))
        yield Sounding(samples, told(text, speaker or "", whole, len(samples) / codecs.mel.rate))


def joined(words: Sequence[Said], hop_ms: float) -> Said:
    """Words that were said one by one, with pauses between that are as quiet as their quietest moments."""
    if len(words) == 1:
        return words[0]
    frames = [each.frames for each in words]
    quiet = np.quantile(np.concatenate(frames), HUSH, axis=0).astype(np.float32)
    pause = np.tile(quiet, (round(PAUSE_MS / hop_ms), 1))
    pieces = [frames[0], *(piece for each in frames[1:] for piece in (pause, each))]
    return Said(np.concatenate(pieces), all(each.stopped for each in words), words[0].looks)


def told(text: str, speaker: str, said: Said, seconds: float) -> dict[str, Any]:
    """A row of answers."""
    return {"text": text, "speaker": speaker, "seconds": round(seconds, 3), "stopped": said.stopped}


def softened(samples: np.ndarray) -> np.ndarray:
    """The samples, where they fit; else as loud as they may be."""
    level = float(np.abs(samples).max(initial=0.0))
    return samples if level <= LOUDEST else samples * np.float32(LOUDEST / level)


def write(found: Sequence[Sounding], rate: int, out: Path) -> list[dict[str, Any]]:
    """Writes one sound as the file `out`, several as 1.wav, 2.wav, ... in the folder `out`; rows with their "file".

    Raises: OptionError where several sounds are to become one file, or a sound a file that is no wav.
    """
    if out.suffix.lower() == ".wav" and len(found) != 1:
        raise OptionError(f"--out {out} is one file, but there are {len(found):,} texts; name a folder, without .wav")
    if out.suffix.lower() not in (".wav", ""):
        raise OptionError(f"--out {out}: sounds are written as wav files; name it {out.with_suffix('.wav').name}")
    single = out.suffix.lower() == ".wav"
    (out.parent if single else out).mkdir(parents=True, exist_ok=True)
    digits = len(str(len(found)))
    files = [out] if single else [out / f"{number:0{digits}}.wav" for number in range(1, len(found) + 1)]
    for file, each in zip(files, found, strict=True):
        sounds.write(file, each.samples, rate)
    return [{**each.row, "file": str(file)} for file, each in zip(files, found, strict=True)]
