"""Every choice of the job "caption", with its default."""

from __future__ import annotations

from dataclasses import dataclass, fields

from gatework.data.media.kinds import Kind
from gatework.errors import OptionError
from gatework.runtime.answers.asked import How
from gatework.training.options import Options, must_leave_rows, option
from gatework.training.regularisation import RecurrentOptions

TOKENIZERS = ("words", "characters", "bpe", "spaces")
# The option that names a column -> its kind
MEDIA: dict[str, Kind] = {"image": "picture", "video": "film", "vectors": "vectors"}

# By medium, where options leave it open: points of a side, channels, captions of a step, steps of a training
SIZES = {"image": 64, "video": 32}
WIDTHS = {"image": (24, 48, 96, 192), "video": (16, 32, 96)}
LARGEST = {"image": 64, "video": 16, "vectors": 64}
STEPS = {"image": 4_000, "video": 10_000, "vectors": 4_000}


@dataclass(frozen=True, kw_only=True)
class CaptionExplaining(Options):
    """What names the picture whose caption is explained, and a word of that."""

    row: int | None = option(None, "the picture of the file, counted from 1", panel="what to explain", low=1)
    caption: str | None = option(None, "the caption to explain in place of the model's own", panel="what to explain")
    word: str | None = option(
        None,
        "the word of the caption, or the number of its unit from 1; none: the one the model was least sure of",
        panel="what to explain",
    )


@dataclass(frozen=True, kw_only=True)
class CaptionPredicting(Options):
    """What `predict` can be told beside its source."""

    beam: int = option(5, "places of the beam; 1 is greedy search", panel="answers", low=1, high=100)
    n_best: int = option(1, "captions told of each picture, with their scores", panel="answers", low=1, high=100)
    length_penalty: float = option(
        1.0, "score / ((5 + length) / 6) ** this ranks captions (Wu et al. 2016)", panel="answers", low=0, high=10
    )
    sample: bool = option(False, "draw captions, n_best of each picture, in place of the likeliest", panel="answers")
    temperature: float = option(1.0, "of drawing: below 1 likelier, above 1 wilder", panel="answers", low=0)
    top_k: int = option(0, "of drawing: among the k likeliest symbols; 0: all", panel="answers", low=0)
    top_p: float = option(1.0, "of drawing: among the fewest with this probability", panel="answers", low=0, high=1)
    seed: int = option(1, "of drawing", panel="answers", low=0)
    min_length: int = option(0, "fewest units of a caption", panel="answers", low=0)
    max_length: int | None = option(
        None, "most units of a caption; none: by the longest that were learned", panel="answers", low=1
    )
    must: tuple[str, ...] = option((), "words that every caption must hold", panel="answers")
    must_not: tuple[str, ...] = option((), "words that no caption may hold", panel="answers")
    attention: bool = option(False, "where each unit looked: weights of the places of the picture", panel="answers")

    def validate(self) -> None:
        super().validate()
        assert self.how

    @property
    def how(self) -> How:
        """The options of the search, checked."""
        return How(**{each.name: getattr(self, each.name) for each in fields(How) if hasattr(self, each.name)})


@dataclass(frozen=True, kw_only=True)
class CaptionOptions(RecurrentOptions):
    """Options of `train caption`. Those that are None are worked out from the data and written to the config."""

    image: str | None = option(
        None,
        "column of pictures; none of the three named: found",
        panel="data",
        completes="column",
        role="reading",
    )
    video: str | None = option(None, "column of films", panel="data", completes="column", role="reading")
    vectors: str | None = option(
        None, "column of .npy files: features of a pretrained network", panel="data", completes="column", role="reading"
    )
    text: str | None = option(
        None,
        "column of captions; none: by its name",
        panel="data",
        basic=True,
        completes="column",
        role="reading",
    )
    bad_files: str = option(
        "refuse", "files that cannot be read", panel="data", choices=("refuse", "skip"), role="reading"
    )
    valid_share: float = option(
        0.1, "share held out for choosing the best weights", panel="data", low=0.001, high=0.9, role="question"
    )
    test_share: float | None = option(
        None,
        "share held out for the final result; none: 0.1 of files, 0 of arrays in memory",
        panel="data",
        low=0,
        high=0.9,
        role="question",
    )

    size: int | None = option(
        None,
        "points of a picture's longer side, as it is read; none: 64, of films 32",
        panel="pictures",
        low=8,
        high=512,
    )
    colour: bool | None = option(None, "read colours; none: where there are some", panel="pictures")
    frames: int = option(8, "most frames that are read of a film", panel="pictures", low=2, high=256)
    shift: float = option(
        0.06, "training moves pictures by at most this share of a side", panel="pictures", low=0, high=0.5
    )

    tokenizer: str = option("words", "units of a caption", panel="text", choices=TOKENIZERS)
    vocabulary: int = option(5_000, "most units; the others are unknown", panel="text", low=10)
    min_count: int = option(1, "rarer words or characters are unknown", panel="text", low=1)
    max_length: int = option(100, "units that are learned of a caption", panel="text", low=2)

    widths: tuple[int, ...] | None = option(
        None,
        "channels after each halving of height and width, the first by one convolution, the others by blocks of two; "
        "none: 24,48,96,192, of films 16,32,96",
        panel="model",
    )
    half: bool | None = option(
        None, "training multiplies pictures in bfloat16; none: where the processor does so by itself", panel="model"
    )
    embedding_size: int = option(128, "length of a unit's vector", panel="model", low=1)
    encoder_size: int = option(64, "units per direction that read the frames of a film", panel="model", low=1)
    hidden_size: int = option(256, "units per layer that write the caption (H)", panel="model", basic=True, low=1)
    attention: str = option("general", "how attention compares", panel="model", choices=("general", "additive"))
    tied: bool = option(True, "the table of units' vectors is the output's matrix, too", panel="model")
    label_smoothing: float = option(
        0.0, "probability that the loss spreads over all units", panel="loss", low=0, high=0.9
    )
    dropout: float = option(
        0.3, "dropout of vectors and states, one mask a caption", panel="regularisation", low=0, high=0.99
    )
    weight_decay: float = option(
        0.05, "what matrices lose per step, times the rate", panel="regularisation", low=0, role="late"
    )

    epochs: int | None = option(
        None,
        "passes over the data; none: as many as make 4,000 steps, of films 10,000, from 10 to 200",
        panel="training",
        low=0,
    )
    learning_rate: float = option(3e-3, "step size at the schedule's top", panel="training", low=0, role="late")
    batch_size: int | None = option(
        None,
        "captions per step (B); none: 64, of films 16, and fewer of few captions",
        panel="training",
        low=1,
        role="late",
    )

    def validate(self) -> None:
        super().validate()
        must_leave_rows(self.valid_share, self.test_share)
        named = [name for name in MEDIA if getattr(self, name) is not None]
        if len(named) > 1:
            raise OptionError(f"{' and '.join(named)} are named; a caption is of one of {', '.join(MEDIA)}")
        if self.widths is not None and (not self.widths or min(self.widths) < 1):
            raise OptionError(f"widths are one or more numbers of channels, such as 24,48,96,192; got {self.widths}")

    @property
    def medium(self) -> str | None:
        """Which of MEDIA is named."""
        return next((name for name in MEDIA if getattr(self, name) is not None), None)

    def memory_size(self, medium: str) -> int:
        """How wide that is what the decoder looks at."""
        if medium == "vectors":
            return self.hidden_size
        return (self.widths or (1,))[-1] + (2 * self.encoder_size if medium == "video" else 0)
