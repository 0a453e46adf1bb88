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
from gatework.data.media import headers
from gatework.data.media.items import ARRAY, Item, Tell, file_of, untold
from gatework.data.media.kinds import unreadable
from gatework.errors import DataError
from gatework.extras import explained
from gatework.runtime.saved import write_bytes
from gatework.runtime.sounds.samples import checked, mixed, scaled

if TYPE_CHECKING:
    import soundfile

LONGEST = 4 * 3600.0  # seconds of a recording
BLOCK = 1 << 12  # frames read at once: no header makes us reserve more, and what comes before damage is kept
UNKNOWN = 1 << 62  # frames of a stream whose header does not say how many there are
ADVICE = "give wav, flac, ogg or mp3 (ffmpeg -i FILE a.wav makes a wav of most others)"
SAID = {  # of libsndfile, in plainer words
    "SF_INFO struct incomplete": "its rate or its number of channels makes no sense",
    "Format not recognised": "",
    "samplerate must be specified": "it has no header that says its rate",
}


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
    rates = rates_of(items)
    return min(max(rates, key=lambda rate: (rates[rate], rate)), most) if rates else None


def rates_of(items: Iterable[Item]) -> Counter[int]:
    """How many recordings there are of each rate: {8000: 2990, 44100: 10}."""
    return Counter(rate for item in items if (rate := rate_of(item)))


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
    write_bytes(encoded(samples, rate), path)


# -- files ------------------------------------------------------------------------------------------------------


def _opened(path: Path) -> soundfile.SoundFile:
    try:
        import soundfile
    except ImportError as error:
        raise explained(error) from error
    try:
        return soundfile.SoundFile(str(path))
    except (soundfile.SoundFileError, TypeError, OSError) as error:
        said = str(error).rpartition(": ")[2].strip().rstrip(".")
        raise unreadable(path, "sound", ADVICE, SAID.get(said, said)) from None


def _header(file: soundfile.SoundFile, path: Path) -> int:
    """How many frames the header promises, where it is believable."""
    if file.channels > 64:
        raise DataError(f"{path}: the header says {file.channels} channels, which is hardly true; export it again")
    hours = file.frames / file.samplerate / 3600
    if hours > LONGEST / 3600 and file.frames < UNKNOWN:
        raise DataError(f"{path}: {hours:,.1f} hours long; cut it into pieces of at most {LONGEST / 3600:.0f}")
    return headers.promised(path) or file.frames


def _blocks(file: soundfile.SoundFile) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(mean of the channels, first channel), block by block; ends where the file can be read no further."""
    import soundfile

    # soundfile seeks after each block, and a decoder of MP3 does not come back to just where it was.
    frames = max(file.frames, 1) if file.format == "MP3" else BLOCK
    while True:
        try:
            block = file.read(frames, dtype="float32", always_2d=True)
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


def _tell_cut(path: Path, count: int, promised: int, rate: int, tell: Tell) -> None:
    if count < promised < UNKNOWN:
        there, said = count / rate, promised / rate
        tell(f"{path}: cut short, the header says {said:.2f} s and {there:.2f} s are there; what is there is used")
    elif not headers.is_ended(path):
        tell(f"{path}: cut short, its last page is missing; the {count / rate:.2f} s that are there are used")


# -- arrays -----------------------------------------------------------------------------------------------------


def _given(item: np.ndarray | tuple[np.ndarray, int], rate: int | None, tell: Tell) -> Sound:
    array, own = item if isinstance(item, tuple) else (item, rate)
    if own is None:
        raise DataError(f"{ARRAY} of samples does not say its rate; give (array, rate), or the rate of all")
    samples = scaled(np.asarray(array), ARRAY)
    if samples.ndim == 2:
        samples = samples.T if samples.shape[0] <= 8 < samples.shape[1] else samples
        samples = mixed(samples.mean(axis=1), samples[:, 0], ARRAY, tell)
    return Sound(checked(np.ascontiguousarray(samples, np.float32), int(own), ARRAY, tell), int(own))
