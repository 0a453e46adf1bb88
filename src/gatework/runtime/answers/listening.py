"""Recordings as they come: the samples of one step in, the unit that begins there out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gatework.errors import DataError, FileFormatError
from gatework.runtime.net.graph import MOST_STATES
from gatework.runtime.net.run import Bound
from gatework.runtime.sounds.mel import Mel

Arrays = dict[str, np.ndarray]


def must_be(found: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raises: FileFormatError for what a net answers in another shape."""
    if found.shape != shape:
        raise FileFormatError(f"the net answers with the shape {found.shape}; it must be {shape}: export the run anew")


class Listening:
    """The steps of streams of sound, of `chunk` samples each; see `gatework.runtime.stepper.Stepper`.

    A step's frames reach beyond its samples, so that they are heard `late` steps later: so many samples are kept. The
    outputs are those of the whole recording, but for its last `late` steps: send as much silence at its end.

    Args:
        net: frames of a step (B, stride * F) and its states, to "log_p" (B, V).
        mel: how samples become frames.
        samples: a row, what it is called and what it must be, to its samples (n,).
        scaled: frames as the net reads them.
        symbols: V units, the blank first.
        stride: frames of a step.
    """

    def __init__(
        self,
        net: Bound,
        mel: Mel,
        samples: Callable[[object, str, str], np.ndarray],
        scaled: Callable[[np.ndarray], np.ndarray],
        symbols: tuple[str, ...],
        stride: int,
    ):
        self.net, self.mel, self.samples, self.scaled = net, mel, samples, scaled
        self.symbols, self.stride = symbols, stride
        self.chunk = stride * mel.hop
        self.late = max(-(-(mel.window - mel.hop) // self.chunk), 1)
        if (kept := self.late * self.chunk) > MOST_STATES:
            raise FileFormatError(f"a step keeps {kept:,} samples, more than {MOST_STATES:,}")
        own = {name: state.width for name, state in net.net.states.items()}
        self.widths = {"samples": self.late * self.chunk, "steps": 1, "last": 1} | own
        self._silent = np.full(len(symbols), -np.inf, np.float32)
        self._silent[0] = 0.0

    def start(self) -> Arrays:
        found = {name: np.zeros(self.widths[name], np.float32) for name in ("samples", "steps", "last")}
        return found | {name: rows[0] for name, rows in self.net.start(1).items()}

    def read(self, row: object) -> np.ndarray:
        wanted = f"{self.chunk} samples from -1 to 1, {self.chunk / self.mel.rate:g} s at {self.mel.rate:,} a second"
        found = self.samples(row, "a step", wanted)
        if found.shape != (self.chunk,) or not (np.abs(found) <= 1).all():  # NaN is not
            raise DataError(f"a step is {row!r:.60}; it must be {wanted}")
        return found

    def step(self, inputs: np.ndarray, states: Mapping[str, np.ndarray]) -> tuple[np.ndarray, Arrays]:
        """Outputs (B, V + 1): log probabilities, and the unit of the step before."""
        before = {name: states[name] for name in self.net.net.states}
        heard = np.concatenate([states["samples"], inputs], 1)
        found = self.net(x=self._frames(heard), **before)
        must_be(found["log_p"], (len(inputs), len(self.symbols)))
        for name, own in before.items():
            must_be(found[name], own.shape)
        begun = states["steps"] >= self.late
        log_p = np.where(begun, found["log_p"], self._silent)
        after = {name: np.where(begun, found[name], own) for name, own in before.items()}
        best = log_p.argmax(1)[:, None].astype(np.float32)
        steps = np.minimum(states["steps"] + 1, np.float32(self.late))
        return np.concatenate([log_p, states["last"]], 1), after | {
            "samples": heard[:, self.chunk :],
            "steps": steps,
            "last": best,
        }

    def _frames(self, heard: np.ndarray) -> np.ndarray:
        """The frames (B, stride * F) of the oldest step of samples."""
        every = np.lib.stride_tricks.sliding_window_view(heard, self.mel.window, 1)
        own = every[:, : self.chunk : self.mel.hop].reshape(-1, self.mel.window)
        return self.scaled(self.mel.of_frames(own)).reshape(len(heard), -1)

    def answer(self, output: np.ndarray) -> dict[str, Any]:
        """{"unit", "confidence"}: a unit that begins at this step, or "", and how sure that is."""
        best = int(output[:-1].argmax())
        unit = "" if best == int(output[-1]) else self.symbols[best]
        return {"unit": unit, "confidence": float(np.exp(output[best]))}
