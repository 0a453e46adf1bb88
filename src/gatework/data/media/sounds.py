"""Recordings: files of any rate, width and number of channels -> samples of one channel; faults in words, by file.

`load` is what a store decodes with: a file or an array -> samples at one rate. `read` gives a file as it is. soundfile
(libsndfile) reads wav, flac, ogg, mp3 and more; wav is written by Python alone.
"""

from __future__ import annotations

import io
import wave
from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gatework.data.files import in_memory
from gatework.data.media import riff
from gatework.data.media.items import ARRAY, Item, Tell, file_of, untold
from gatework.data.media.kinds import looks_like
from gatework.errors import DataError
from gatework.extras import explained

if TYPE_CHECKING:
    import soundfile

RATES = 1_000, 768_000  # samples a second that a recording may have
SHORTEST, LONGEST = 0.02, 4 * 3600.0  # seconds of a recording
BLOCK = 1 << 16  # frames read at once: no header makes us reserve more
CLIPPED = 0.001  # share of samples at the highest level, in runs, from which a recording counts as clipped
CANCELLED = 1e-3  # mixed down to less than this share of its channels' level, they cancel each other
INTEGERS = 100.0  # floats beyond this were meant as 16-bit numbers


class Sound(NamedTuple):
    """Samples float32 (n,) from -1 to 1, and how many there are in a second."""

    samples: np.ndarray
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def load(item: Item, rate: int | None = None, tell: Tell = untold) -> np.ndarray:
    """Samples float32 (n,) of a file, of an array or of (array, its rate), at `rate` (None: as they are).

    Example: `load(Path("a.wav"), 8000).shape` is (8000,) for one second, whatever rate the file has. An array alone is
    taken to have `rate`; arrays (n, channels) are mixed down, whole numbers scaled by their width.
    """
    sound = read(item, tell) if isinstance(item, Path) else _given(item, rate, tell)
    return sound.samples if rate is None else resampled(sound.samples, sound.rate, rate)


def read(path: str | Path, tell: Tell = untold) -> Sound:
    """A recording as it is, mixed down to one channel.

    `tell` hears what was mended or is doubtful: several channels, a file that was cut, clipped samples.

    Raises: DataError for a file that is missing, empty, no sound, too short or silent, or that holds what is no number.
    """
    path = file_of(path)
    with in_memory(str(path)), _opened(path) as file:
        header = _header(file, path)
        if file.channels > 1:
            tell(f"{path}: {file.channels} channels, mixed down to one", "note")
        samples = _mixed(list(_blocks(file)), path, tell)
        _tell_cut(path, len(samples), header, file.samplerate, tell)
        rate = file.samplerate
    return Sound(checked(samples, rate, str(path), tell), rate)


def rate_of(item: Item) -> int | None:
    """The rate that the header of a file or an array's pair states; None for what cannot be read or says nothing."""
    if not isinstance(item, Path):
        return int(item[1]) if isinstance(item, tuple) else None
    try:
        with _opened(file_of(item)) as file:
            return file.samplerate
    except DataError:
        return None


def usual_rate(items: Iterable[Item], most: int = 16_000) -> int | None:
    """The most frequent rate of many recordings, at most `most`; None where none says its rate."""
    rates = Counter(rate for item in items if (rate := rate_of(item)))
    return min(max(rates, key=lambda rate: (rates[rate], rate)), most) if rates else None


def resampled(samples: np.ndarray, rate: int, to: int) -> np.ndarray:
    """Samples (n,) at another rate: ceil(n * to / rate) of them, filtered against aliases (scipy's resample_poly)."""
    if rate == to or not len(samples):
        return samples
    try:
        from scipy.signal import resample_poly
    except ImportError as error:
        raise explained(error) from error
    ratio = Fraction(to, rate).limit_denominator(1_000)  # odd rates would need filters of a million taps
    return resample_poly(samples, ratio.numerator, ratio.denominator).astype(np.float32, copy=False)


def encoded(samples: np.ndarray, rate: int) -> bytes:
    """Samples from -1 to 1 as a wav file of 16 bits; what lies beyond is cut off."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    return buffer.getvalue()


def write(path: str | Path, samples: np.ndarray, rate: int) -> None:
    """Writes a wav file of 16 bits; it appears whole or not at all."""
    from gatework.data.media.written import put

    put(Path(path), encoded(samples, rate))


def checked(samples: np.ndarray, rate: int, name: str, tell: Tell = untold) -> np.ndarray:
    """The samples, where they can be heard: long enough, finite, not silent; floats meant as whole numbers scaled."""
    if not RATES[0] <= rate <= RATES[1]:
        lowest, highest = RATES
        raise DataError(f"{name}: the rate is {rate:,}; give {lowest:,} to {highest:,} samples a second")
    if len(samples) < SHORTEST * rate:
        raise DataError(f"{name}: too short ({len(samples)} samples, {len(samples) / rate:.3f} s); give {SHORTEST} s")
    bad = np.flatnonzero(~np.isfinite(samples))
    if len(bad):
        where = f"{samples[bad[0]]} at {bad[0] / rate:.3f} s"
        raise DataError(f"{name}: {len(bad):,} samples are no numbers (first: {where}); record or export it again")
    level = float(np.abs(samples).max())
    if np.ptp(samples) == 0:
        raise DataError(f"{name}: silent, every one of its {len(samples):,} samples is {samples[0]:g}; leave it out")
    if level > INTEGERS:
        tell(f"{name}: floats up to {level:,.0f} were taken as 16-bit numbers and divided by 32,768")
        samples = samples / np.float32(32_768)
    elif clipped(samples) > CLIPPED:
        tell(f"{name}: clipped, {clipped(samples):.1%} of its samples stand at the highest level; record it softer")
    return samples


def clipped(samples: np.ndarray) -> float:
    """The share of samples that stand at the highest level, three or more in a row."""
    level = float(np.abs(samples).max(initial=0))
    full = np.abs(samples) >= 0.999 * level
    rows = full[2:] & full[1:-1] & full[:-2]
    return float(rows.mean()) if level >= 0.1 and len(rows) else 0.0


# -- files ------------------------------------------------------------------------------------------------------


def _opened(path: Path) -> soundfile.SoundFile:
    try:
        import soundfile
    except ImportError as error:
        raise explained(error) from error
    try:
        return soundfile.SoundFile(str(path))
    except (soundfile.SoundFileError, TypeError, OSError) as error:
        advice = "; give wav, flac, ogg or mp3 (ffmpeg -i FILE a.wav makes one of most others)"
        raise DataError(f"{path}: not a sound that can be read ({_said(error)}){looks_like(path)}{advice}") from None


def _said(error: Exception) -> str:
    return str(error).rpartition(": ")[2].strip().rstrip(".")


def _header(file: soundfile.SoundFile, path: Path) -> int:
    """How many frames the header promises, where it is believable."""
    if file.channels > 64:
        raise DataError(f"{path}: the header says {file.channels} channels, which is hardly true; export it again")
    promised = riff.promised(path) or file.frames
    if promised < 2**62 and file.frames / max(file.samplerate, 1) > LONGEST and file.frames < 2**62:
        hours = file.frames / file.samplerate / 3600
        raise DataError(f"{path}: {hours:.1f} hours long; cut it into pieces of at most {LONGEST / 3600:.0f}")
    return promised


def _blocks(file: soundfile.SoundFile) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(mean of the channels, first channel), block by block; ends where the file can be read no further."""
    import soundfile

    while True:
        try:
            block = file.read(BLOCK, dtype="float32", always_2d=True)
        except soundfile.SoundFileError:
            return
        if not len(block):
            return
        yield block.mean(axis=1), block[:, 0]


def _mixed(blocks: list[tuple[np.ndarray, np.ndarray]], path: Path, tell: Tell) -> np.ndarray:
    if not blocks:
        raise DataError(f"{path}: holds a header and no samples; record or fetch it again")
    mean, first = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return mixed(mean, first, str(path), tell)


def mixed(mean: np.ndarray, first: np.ndarray, name: str, tell: Tell) -> np.ndarray:
    """The mean of the channels, or the first of those that cancel each other."""
    if np.abs(mean).max(initial=0) < CANCELLED * np.abs(first).max(initial=0):
        tell(f"{name}: its channels cancel each other, so only the first is heard")
        return first
    return mean


def _tell_cut(path: Path, count: int, promised: int, rate: int, tell: Tell) -> None:
    if count < promised < 2**62:
        there, said = count / rate, promised / rate
        tell(f"{path}: cut short, the header says {said:.2f} s and {there:.2f} s are there; what is there is used")


# -- arrays -----------------------------------------------------------------------------------------------------


def _given(item: np.ndarray | tuple[np.ndarray, int], rate: int | None, tell: Tell) -> Sound:
    array, own = item if isinstance(item, tuple) else (item, rate)
    if own is None:
        raise DataError("an array of samples does not say its rate; give (array, rate) or the rate of all")
    samples = _scaled(np.asarray(array))
    if samples.ndim == 2:
        samples = samples.T if samples.shape[0] <= 8 < samples.shape[1] else samples
        samples = mixed(samples.mean(axis=1), samples[:, 0], ARRAY, tell)
    return Sound(checked(np.ascontiguousarray(samples, np.float32), int(own), ARRAY, tell), int(own))


def _scaled(array: np.ndarray) -> np.ndarray:
    """Whole numbers from -1 to 1 by their width; unsigned ones have their silence in the middle."""
    if array.ndim not in (1, 2) or array.dtype.kind not in "iufb":
        raise DataError(f"samples are numbers (n,) or (n, channels), not {array.dtype} {array.shape}")
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    half = 2.0 ** (8 * array.dtype.itemsize - 1)
    return ((array.astype(np.float64) - (half if array.dtype.kind == "u" else 0)) / half).astype(np.float32)
