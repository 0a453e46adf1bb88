"""Sound that arrives: 16-bit samples through a pipe, and samples of one rate made into those of another."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import numpy as np

from gatework.data.media import sounds
from gatework.data.media.kinds import told_by
from gatework.errors import DataError

CHUNK = 1 << 12  # bytes that are read at once from a pipe
REACH = 10  # samples of the lower rate on either side that decide a resampled one: scipy's filter
MARK = 4  # bytes that say what a pipe brings: fewer are samples as likely
PCM = (1, 0xFFFE)  # forms of wav files that hold whole numbers
FIELDS = ((0, 2), (2, 4), (4, 8), (14, 16))  # of the format: form, channels, rate, bits


class Header(NamedTuple):
    """What the start of a wav file says of its samples, which are of 16 bits."""

    rate: int
    channels: int


def opened(pipe: BinaryIO, rate: int | None, usual: int) -> tuple[int, Iterator[np.ndarray]]:
    """The rate, and samples as they arrive: of a wav file of 16 bits, or of bare PCM (s16le, one channel) at `rate`, or
    at the `usual` one.

    Raises: DataError for a wav file of another form, for other kinds of files, where nothing comes, or where the file
    has another rate.
    """
    start = _exactly(pipe, 12)
    if not start:
        raise DataError("nothing came through the pipe: send PCM of 16 bits, or a wav file")
    if start[:4] != b"RIFF" or start[8:] != b"WAVE":
        if what := told_by(start, MARK):
            raise DataError(f"what came through the pipe is {what}, not PCM of 16 bits or a wav file; convert it first")
        header = Header(rate or usual, 1)
        return header.rate, _samples(pipe, start, header.channels)
    header = _header(pipe)
    if rate not in (None, header.rate):
        raise DataError(f"the wav file that came has {header.rate:,} samples a second, not {rate:,}: leave rate out")
    return header.rate, _samples(pipe, _some(pipe), header.channels)


def _samples(pipe: BinaryIO, come: bytes, channels: int) -> Iterator[np.ndarray]:
    """Samples (t,) of 16 bits from -1 to 1, channels mixed down; half a sample waits for its rest."""
    rest = b""
    while come:
        rest += come
        whole = len(rest) // (2 * channels) * 2 * channels
        numbers = np.frombuffer(rest[:whole], "<i2").reshape(-1, channels)
        yield (numbers.astype(np.float32) / 32_768).mean(1)
        rest, come = rest[whole:], _some(pipe)
    if rest:
        warnings.warn(f"the stream ended within a sample: its last {len(rest)} byte(s) are left out", stacklevel=2)


def _header(pipe: BinaryIO) -> Header:
    """Reads a wav file up to its first sample."""
    header = None
    while len(chunk := _exactly(pipe, 8)) == 8:
        name, size = chunk[:4], int.from_bytes(chunk[4:], "little")
        if name == b"data":
            break
        body = _exactly(pipe, size + size % 2)
        if name == b"fmt ":
            form, channels, rate, bits = (int.from_bytes(body[a:b], "little") for a, b in FIELDS)
            if form not in PCM or bits != 16 or not channels:
                raise DataError(
                    f"a stream is read of 16-bit PCM, not of form {form} with {bits} bits; convert it first"
                )
            header = Header(rate, channels)
    if header is None:
        raise DataError("the wav file that came through the pipe does not say what its samples are")
    return header


def _exactly(pipe: BinaryIO, count: int) -> bytes:
    found = b""
    while len(found) < count and (more := pipe.read(count - len(found))):
        found += more
    return found


def _some(pipe: BinaryIO) -> bytes:
    """What is there by now, at least a byte; b"" at the end."""
    read = getattr(pipe, "read1", pipe.read)
    return read(CHUNK)


class Resampler:
    """Samples at another rate, as they come: what `sounds.resampled` makes of the whole, up to rounding.

    resampler = Resampler(44_100, 8_000)
    resampler.feed(samples), resampler.finish()
    """

    def __init__(self, rate: int, to: int):
        self.rate, self.to = rate, to
        self._ratio = Fraction(to, rate).limit_denominator(1_000)
        up, down = self._ratio.as_integer_ratio()
        # What lies REACH samples of the lower rate away decides nothing. Pieces start where an output falls on an
        # input, or their outputs would lie between those of the whole; before and behind a recording is silence.
        self._margin = -(-(REACH * max(up, down) // up + 1) // down) * down
        self._held = np.zeros(self._margin, np.float32)
        self._fed = self._given = 0

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """The samples (t,) that are certain by now."""
        if self.rate == self.to:
            return samples
        self._fed += len(samples)
        made = self._made(samples)
        self._given += len(made)
        return made

    def finish(self) -> np.ndarray:
        """The rest."""
        if self.rate == self.to:
            return np.zeros(0, np.float32)
        wanted = -(-self._fed * self._ratio.numerator // self._ratio.denominator)
        return self._made(np.zeros(self._margin + self._ratio.denominator, np.float32))[: wanted - self._given]

    def _made(self, samples: np.ndarray) -> np.ndarray:
        margin, (up, down) = self._margin, self._ratio.as_integer_ratio()
        held = np.concatenate([self._held, samples.astype(np.float32)])
        whole = max(len(held) - 2 * margin, 0) // down * down
        self._held = held[whole:]
        if not whole:
            return np.zeros(0, np.float32)
        made = sounds.resampled(held[: whole + 2 * margin], self.rate, self.to)
        return made[margin * up // down : (margin + whole) * up // down]
