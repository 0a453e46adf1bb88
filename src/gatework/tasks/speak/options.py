"""Every choice of the job "speak", with its default."""

from __future__ import annotations

from dataclasses import dataclass

from gatework.errors import OptionError
from gatework.networks.attention import SCORES
from gatework.runtime.sounds.inverse import ROUNDS
from gatework.training.options import Options, must_leave_rows, option
from gatework.training.regularisation import RecurrentOptions

UNITS = ("characters", "spaces")


@dataclass(frozen=True, kw_only=True)
class SpeakPredicting(Options):
    """What `predict` can be told beside its source."""

    text: str | None = option(None, "the text to say, in place of FILE", panel="answers")
    speaker: str | None = option(None, "whose voice says texts that name none", panel="answers")
    threshold: float = option(0.5, "probability of the end from which a text ends", panel="answers", low=0.01, high=1)
    max_seconds: float | None = option(
        None,
        "longest sound of a text; none: by its length, and the slowest recording learned",
        panel="answers",
        low=0.1,
    )
    rounds: int = option(ROUNDS, "of the search for phases (Griffin & Lim 1984)", panel="answers", low=0, high=10_000)


@dataclass(frozen=True, kw_only=True)
class SpeakOptions(RecurrentOptions):
    """Options of `train speak`. Those that are None are worked out from the data and written to the config."""

    audio: str | None = option(None, "column of the recordings", panel="data", completes="column", role="reading")
    text: str | None = option(
        None, "column of what is said", panel="data", basic=True, completes="column", role="reading"
    )
    speaker: str | None = option(
        None, "column of who says it; none: one voice", panel="data", basic=True, completes="column", role="reading"
    )
    format: str | None = option(
        None,
        "how FILE lies; none: by its name",
        panel="data",
        choices=("csv", "tsv", "jsonl", "parquet"),
        role="reading",
    )
    encoding: str | None = option(None, "encoding of text files, if not UTF-8", panel="data", role="reading")
    delimiter: str | None = option(None, "what stands between the fields of a table", panel="data", role="reading")
    bad_files: str = option("refuse", "broken recordings", panel="data", choices=("refuse", "skip"), role="reading")
    valid_share: float = option(
        0.05, "share held out for choosing the best weights", panel="data", low=0.001, high=0.9, role="question"
    )
    test_share: float | None = option(
        None,
        "share held out for the final result; none: 0.05 of a file, 0 of what is in memory",
        panel="data",
        low=0,
        high=0.9,
        role="question",
    )

    rate: int | None = option(
        None, "samples a second; none: those of most recordings, at most 24,000", panel="sound", low=1_000, high=192_000
    )
    mels: int = option(64, "bands of a frame (F)", panel="sound", low=8, high=512)
    window_ms: float = option(40.0, "length of a frame", panel="sound", low=1, high=1_000)
    hop_ms: float = option(10.0, "from one frame to the next", panel="sound", low=1, high=500)

    units: str | None = option(
        None,
        "what a text is cut into; none: symbols where few stand between spaces (phones)",
        panel="text",
        choices=UNITS,
    )
    lower: bool = option(True, "read capital letters as small ones", panel="text")

    embedding_size: int = option(64, "length of a unit's vector", panel="model", low=1)
    speaker_size: int = option(32, "length of a speaker's vector", panel="model", low=1)
    encoder_size: int = option(64, "units per layer and direction that read the text", panel="model", low=1)
    asking_size: int = option(128, "units per layer that ask where to look", panel="model", low=1)
    hidden_size: int = option(256, "units per layer that make frames (H)", panel="model", low=1, role="late")
    attention: str = option("additive", "how attention compares", panel="model", choices=SCORES)
    reduction: int = option(2, "frames that are made in one step (r)", panel="model", low=1, high=20)
    bottleneck: int = option(128, "units through which the last frame is read", panel="model", low=2)
    finish: int = option(
        128, "channels of the convolutions that finish the frames; 0: none", panel="model", low=0, role="late"
    )

    guided: float = option(
        1.0, "weight of looking far from the diagonal (Tachibana et al. 2018)", panel="loss", low=0, role="late"
    )
    stop_weight: float = option(
        1.0, "how much a step that is over counts beside one before it", panel="loss", low=0, role="late"
    )
    dropout: float = option(
        0.1, "dropout of vectors and states, one mask a text", panel="regularisation", low=0, high=0.99, role="late"
    )
    bottleneck_dropout: float = option(
        0.5,
        "dropout of the last frame in training, so that the text is looked at",
        panel="regularisation",
        low=0,
        high=0.99,
        role="late",
    )

    epochs: int | None = option(
        None, "passes over the data; none: as many as make 2,000 steps, from 10 to 400", panel="training", low=0
    )
    batch_size: int | None = option(
        None, "recordings per step (B); none: 32, and fewer of few recordings", panel="training", low=1, role="late"
    )
    batch_frames: int = option(
        12_000,
        "most frames per step: batches of long recordings hold fewer of them",
        panel="training",
        low=1,
        role="late",
    )
    learning_rate: float = option(3e-3, "step size at the schedule's top", panel="training", low=0, role="late")
    valid_recordings: int = option(
        200, "most validation recordings that are said anew after each epoch", panel="training", low=1, role="course"
    )

    def validate(self) -> None:
        super().validate()
        must_leave_rows(self.valid_share, self.test_share)
        if self.window_ms < 2 * self.hop_ms:
            raise OptionError(
                f"window_ms={self.window_ms:g} must be at least twice hop_ms={self.hop_ms:g}: no sound can be made of "
                "frames that do not overlap by half"
            )
        width = 2 * self.encoder_size + self.speaker_size
        if self.attention == "dot" and self.asking_size != width:
            raise OptionError(
                f"attention=dot needs asking_size = 2 * encoder_size + speaker_size; got {self.asking_size} and {width}"
            )
