"""Every choice of the job "transcribe", with its default."""

from __future__ import annotations

from dataclasses import dataclass

from gatework.errors import OptionError
from gatework.runtime.ctc.searching import Asked
from gatework.training.options import Options, must_leave_rows, option
from gatework.training.regularisation import RecurrentOptions

FORMATS = ("csv", "tsv", "jsonl")
UNITS = ("words", "characters")


@dataclass(frozen=True, kw_only=True)
class TranscribeExplaining(Options):
    """What names the recording or picture whose text is explained, and a unit of that."""

    row: int = option(
        1, "the recording of the file, counted from 1; a file that is one needs none", panel="what to explain", low=1
    )
    word: str | None = option(
        None,
        "the unit of its text, or its number from 1; none: the one the model was least sure of",
        panel="what to explain",
    )


@dataclass(frozen=True, kw_only=True)
class TranscribePredicting(Options, Asked):
    """What `predict` can be told beside its source."""

    stream: bool = option(
        False,
        "read sound from standard input as it comes: PCM of 16 bits, or wav; partial results come at once",
        panel="answers",
    )
    rate: int | None = option(
        None, "samples a second of bare PCM; none: those of the model", panel="answers", low=1_000, high=768_000
    )
    timestamps: bool = option(
        False, "when each word begins and ends, in seconds (of pictures: points)", panel="answers"
    )
    beam: int | None = option(
        None,
        "texts that a search follows; none: 1, the likeliest unit of each step, or 16 where it weighs texts",
        panel="answers",
        low=1,
        high=1_000,
    )
    n_best: int = option(1, "texts told of each recording, with their scores", panel="answers", low=1, high=100)
    lm_weight: float = option(
        0.0, "weight of how likely a text is beside the training texts (counted units)", panel="answers", low=0, high=10
    )
    unit_bonus: float = option(
        0.0, "added to the score for each unit: what is counted likes short texts", panel="answers", low=-10, high=10
    )
    word_list: str | None = option(None, "file of the only words that are written, one a line", panel="answers")

    def validate(self) -> None:
        super().validate()
        self.must_follow()
        if self.rate is not None and not self.stream:
            raise OptionError(f"rate={self.rate} is of a stream, as files say theirs; add stream=True, or leave it out")


@dataclass(frozen=True, kw_only=True)
class TranscribeOptions(RecurrentOptions):
    """Options of `train transcribe`. Those that are None are worked out from the data and written to the config."""

    audio: str | None = option(
        None,
        "column of the recordings; none: by its name and content",
        panel="data",
        basic=True,
        completes="column",
        role="reading",
    )
    image: str | None = option(
        None,
        "column of pictures of lines, in place of recordings",
        panel="data",
        basic=True,
        completes="column",
        role="reading",
    )
    text: str | None = option(
        None,
        "column of what is said or written there; none: by its name",
        panel="data",
        basic=True,
        completes="column",
        role="reading",
    )
    speaker: str | None = option(
        None, "column of who speaks or writes: results are told by it", panel="data", completes="column", role="reading"
    )
    format: str | None = option(None, "how FILE lies; none: by its name", panel="data", choices=FORMATS, role="reading")
    encoding: str | None = option(None, "encoding of text files, if not UTF-8", panel="data", role="reading")
    delimiter: str | None = option(None, "what stands between the fields of a table", panel="data", role="reading")
    header: bool | None = option(None, "whether the first row names the columns", panel="data", role="reading")
    quote: str | None = option(None, 'what stands around fields; none: "', panel="data", role="reading")
    bad_rows: str = option("refuse", "broken rows", panel="data", choices=("refuse", "skip", "join"), role="reading")
    bad_files: str = option(
        "refuse",
        "files that cannot be read, or are too short for their text",
        panel="data",
        choices=("refuse", "skip"),
        role="reading",
    )
    valid_share: float = option(
        0.1, "share held out for choosing the best weights", panel="data", low=0.001, high=0.9, role="question"
    )
    test_share: float | None = option(
        None,
        "share held out for the final result; none: 0.1 of a file, 0 of data in memory",
        panel="data",
        low=0,
        high=0.9,
        role="question",
    )
    units: str | None = option(
        None,
        "what is recognised; none: words where few different ones come often, else characters",
        panel="data",
        choices=UNITS,
        role="question",
    )

    rate: int | None = option(
        None, "samples a second; none: the most frequent of the recordings, at most 16,000", panel="sound", low=1_000
    )
    mels: int = option(40, "bands of the spectrum (F)", panel="sound", low=4, high=512)
    window_ms: float = option(25.0, "length of a frame", panel="sound", low=1)
    hop_ms: float = option(10.0, "from one frame to the next", panel="sound", low=1)
    height: int = option(32, "points that a line is high; its width goes with it", panel="picture", low=8, high=512)
    colour: bool = option(False, "read colours, too", panel="picture")

    front_size: int = option(128, "features that the convolutions give (C)", panel="model", low=1, role="late")
    stride: int = option(3, "frames of a recording for each step", panel="model", low=1, high=16)
    hidden_size: int = option(128, "units per layer and direction (H)", panel="model", low=1, role="late")
    bidirectional: bool = option(
        True, "read from both ends; without it a recording can be read as it comes", panel="model", role="late"
    )

    dropout: float = option(
        0.3,
        "dropout of inputs and outputs of each layer, one mask a recording",
        panel="regularisation",
        low=0,
        high=0.99,
        role="late",
    )
    specaugment: float = option(
        1.0,
        "how much is masked of bands and time (Park et al. 2019), in the usual amount",
        panel="regularisation",
        low=0,
        high=4,
        role="late",
    )
    speed: float = option(
        0.15,
        "largest change of speed, as the logarithm of a factor",
        panel="regularisation",
        low=0,
        high=1,
        role="late",
    )
    pitch: float = option(
        0.12,
        "largest stretch of the bands, as of other throats, as the logarithm of a factor",
        panel="regularisation",
        low=0,
        high=1,
        role="late",
    )
    loudness: float = option(
        2.0,
        "largest change of loudness, as the logarithm of power",
        panel="regularisation",
        low=0,
        high=10,
        role="late",
    )
    colouring: float = option(
        0.5,
        "deviation of what microphones and rooms add to bands, as the logarithm of power",
        panel="regularisation",
        low=0,
        high=5,
        role="late",
    )
    noise: float = option(
        0.5,
        "share of recordings that are heard in noise; deviation of points of pictures, tenfold",
        panel="regularisation",
        low=0,
        high=1,
        role="late",
    )
    shift: float = option(
        0.1,
        "largest shift and stretch of a picture, in heights",
        panel="regularisation",
        low=0,
        high=0.5,
        role="late",
    )

    curriculum: float = option(
        0.15,
        "share of the epochs that go from the shortest to the longest, of recordings as they are",
        panel="training",
        low=0,
        high=1,
        role="late",
    )
    epochs: int | None = option(
        None, "passes over the data; none: as many as make 3,000 steps, from 10 to 200", panel="training", low=0
    )
    learning_rate: float = option(3e-3, "step size at the schedule's top", panel="training", low=0, role="late")
    batch_size: int | None = option(
        None, "most recordings per step (B); none: 32, and fewer of few", panel="training", low=1, role="late"
    )
    batch_frames: int = option(
        30_000, "most frames (columns of pictures) per step", panel="training", low=1, role="late"
    )

    def validate(self) -> None:
        super().validate()
        must_leave_rows(self.valid_share, self.test_share)
        if self.audio is not None and self.image is not None:
            raise OptionError(f"audio={self.audio} and image={self.image}: a text is read from one of them; name one")
