"""Every choice of the job "classify", with its default."""

from __future__ import annotations

from dataclasses import dataclass

from gatework.errors import OptionError
from gatework.training.options import Options, must_leave_rows, option
from gatework.training.regularisation import NumericOptions

MEDIA = ("sounds", "pictures", "films")
KINDS = ("auto", "texts", "sequences", *MEDIA)
FILES = {"sounds": "audio", "pictures": "image", "films": "video"}  # the options that name a column of files
POOLINGS = ("last", "mean", "max", "attention")


@dataclass(frozen=True, kw_only=True)
class ClassifyExplaining(Options):
    """What names the row of which an answer is explained: a text, or a row of a file."""

    text: str | None = option(None, "the text itself (not a column)", panel="what to explain")
    row: int | None = option(None, "the row of the file, counted from 1", panel="what to explain")
    target: str | None = option(
        None, "the label to explain in place of the model's answer (not a column)", panel="what to explain"
    )


@dataclass(frozen=True, kw_only=True)
class ClassifyPredicting(Options):
    """What `predict` can be told beside its source."""

    keep: tuple[str, ...] = option((), "columns of FILE before the answers, as id,message; or all", panel="answers")


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(NumericOptions):
    """Options of `train classify`. Those that are None are worked out from the data and written to the run's config."""

    kind: str = option("auto", "what the rows are; auto: by their look", panel="data", choices=KINDS, role="question")
    text: str | None = option(
        None, "name of the column that holds the text", panel="data", basic=True, completes="column", role="reading"
    )
    label: str | None = option(
        None, "name of the column that holds the label", panel="data", basic=True, completes="column", role="reading"
    )
    audio: str | None = option(
        None, "column of files of sounds", panel="data", basic=True, completes="column", role="reading"
    )
    image: str | None = option(
        None, "column of files of pictures", panel="data", basic=True, completes="column", role="reading"
    )
    video: str | None = option(
        None, "column of films: gif, mp4, folders of frames", panel="data", completes="column", role="reading"
    )
    labels: str | None = option(
        None, "table with the labels of a FASTA file's records: columns name and label", panel="data", role="reading"
    )
    id: str | None = option(
        None,
        "column that says which sequence a row belongs to",
        panel="data",
        basic=True,
        completes="column",
        role="reading",
    )
    time: str | None = option(
        None,
        "column that orders the rows of a sequence (or of --split time)",
        panel="data",
        basic=True,
        completes="column",
        role="reading",
    )
    format: str | None = option(
        None, "csv, tsv, jsonl, parquet, lines, labelled (label first) or fasta", panel="data", role="reading"
    )
    encoding: str | None = option(None, "encoding of text files, if not UTF-8", panel="data", role="reading")
    delimiter: str | None = option(None, "what stands between the fields of a table", panel="data", role="reading")
    header: bool | None = option(None, "whether the first row names the columns", panel="data", role="reading")
    quote: str | None = option(None, 'what stands around fields; none: "', panel="data", role="reading")
    bad_rows: str = option("refuse", "broken rows", panel="data", choices=("refuse", "skip", "join"), role="reading")
    bad_files: str = option(
        "refuse",
        "sounds, pictures and films that cannot be read",
        panel="data",
        choices=("refuse", "skip"),
        role="reading",
    )
    bad_labels: str = option(
        "refuse",
        "rows without a label, in measuring also those with one that was never learned",
        panel="data",
        choices=("refuse", "skip"),
        role="reading",
    )
    no_label: tuple[str, ...] = option(
        (), "labels that say that there is none, such as NA,null", panel="data", role="reading"
    )
    channels: str | None = option(
        None,
        "where channels stand in arrays: [n, steps, channels] (last) or [n, channels, steps] (first)",
        panel="data",
        choices=("last", "first"),
        role="reading",
    )
    missing: str = option(
        "refuse", "missing numbers in sequences", panel="data", choices=("refuse", "interpolate"), role="question"
    )
    split: str = option(
        "random", "how rows are held out", panel="data", choices=("random", "time", "group"), role="question"
    )
    group: str | None = option(
        None,
        "column whose equal values stay together (--split group)",
        panel="data",
        completes="column",
        role="question",
    )
    valid_share: float = option(
        0.1, "share held out for choosing the best weights", panel="data", low=0.01, high=0.9, role="question"
    )
    refit: bool = option(
        False,
        "choices are made: learn the rows held out for choosing too; needs keep=last",
        panel="data",
        role=("question", "refit"),
    )
    test_share: float | None = option(
        None,
        "share held out for the final result; none: 0.1 of a file, 0 of rows in memory",
        panel="data",
        low=0,
        high=0.9,
        role="question",
    )

    tokenizer: str | None = option(
        None,
        "units of a text; none: words, and characters where texts are long rows of letters (FASTA)",
        panel="text",
        choices=("words", "characters", "bpe"),
    )
    lower: bool = option(True, "compare in lower case", panel="text")
    spaces: bool = option(False, "words end at white space alone (for tokenized texts)", panel="text")
    stop: tuple[str, ...] = option((), "leave out the stop words of these languages (en, de, ...)", panel="text")
    stem: str | None = option(None, "reduce words to stems: english, german, ...", panel="text")
    min_count: int = option(1, "rarer units are unknown", panel="text", low=1)
    vocabulary: int = option(50_000, "most units; the others are unknown", panel="text", low=10)
    max_length: int = option(1_000, "longer texts keep 3/4 from the start, 1/4 from the end", panel="text", low=4)
    ngrams: str = option(
        "auto",
        "a linear n-gram model that decides with the network: words (1 to 2), characters (1 to 6), both; "
        "places: characters, and letters at their places (1 to 3); auto: places where all texts are rows of as many "
        "letters, else both, or words where there are over a million",
        panel="text",
        choices=("auto", "none", "words", "characters", "both", "places"),
    )
    ngram_length: int = option(2, "longest n-gram of words", panel="text", low=1, high=5)
    ngram_strength: float = option(20.0, "inverse regularisation (C) of the n-gram model", panel="text", low=1e-6)
    ngram_share: float | None = option(
        None,
        "the n-gram model's share when its logits and the network's are averaged; none: chosen on the validation part "
        "(with refit: 0.6)",
        panel="text",
        low=0,
        high=1,
    )
    subwords: int = option(
        20_000,
        "a word's vector also holds its character n-grams (3 to 5), hashed to this many vectors; 0: none",
        panel="text",
        low=0,
    )
    vectors: str | None = option(None, "file of pretrained word vectors (GloVe's text format)", panel="text")
    freeze_vectors: bool = option(False, "pretrained vectors stay as they are", panel="text")
    scale: str = option(
        "standard", "scaling of channels", panel="model", choices=("standard", "range", "robust", "none")
    )

    rate: int | None = option(
        None,
        "samples a second of sounds; none: the most frequent of the recordings, at most 16,000",
        panel="sound",
        low=1_000,
    )
    mels: int = option(40, "bands of the spectrum (F)", panel="sound", low=4, high=512)
    stride: int = option(3, "frames of a recording for each step", panel="sound", low=1, high=16)
    size: int | None = option(
        None, "points of a picture's side; none: that of most, at most 64", panel="picture", low=8, high=1_024
    )
    colour: bool | None = option(None, "read colours; none: where some pictures have any", panel="picture")
    frames: int = option(16, "most frames of a film, evenly taken", panel="picture", low=1, high=10_000)

    embedding_size: int = option(128, "length of a word's vector (I)", panel="model", low=1)
    front_size: int = option(128, "features that convolutions over a sound give (C)", panel="model", low=1, role="late")
    hidden_size: int = option(128, "units per layer and direction (H)", panel="model", low=1)
    bidirectional: bool = option(True, "read from both ends", panel="model", role="late")
    pooling: str = option("max", "how steps become one vector", panel="model", choices=POOLINGS, role="late")
    dropout: float = option(0.5, "dropout of words and of what is pooled", panel="regularisation", low=0, high=0.99)
    word_dropout: float | None = option(
        None,
        "share of a text's units made unknown in training; none: 0.1",
        panel="regularisation",
        low=0,
        high=0.99,
        role="late",
    )

    specaugment: float = option(
        1.0,
        "how much is masked of a sound's bands and time (Park et al. 2019), in the usual amount",
        panel="regularisation",
        low=0,
        high=4,
        role="late",
    )
    speed: float = option(
        0.1,
        "largest change of a sound's speed, as the logarithm of a factor",
        panel="regularisation",
        low=0,
        high=1,
        role="late",
    )
    pitch: float = option(
        0.1,
        "largest stretch of a sound's bands, as of other throats, as the logarithm of a factor",
        panel="regularisation",
        low=0,
        high=1,
        role="late",
    )
    loudness: float = option(
        2.0,
        "largest change of a sound's loudness, as the logarithm of power",
        panel="regularisation",
        low=0,
        high=10,
        role="late",
    )
    noise: float = option(
        0.3, "share of sounds that are heard in noise", panel="regularisation", low=0, high=1, role="late"
    )
    shift: float = option(
        0.08,
        "largest shift of a picture or film, as a share of its side",
        panel="regularisation",
        low=0,
        high=0.5,
        role="late",
    )

    label_smoothing: float = option(
        0.0, "share of the target spread over all classes", panel="loss", low=0, high=0.9, role="late"
    )
    class_weights: str = option("none", "weigh rare classes up", panel="loss", choices=("none", "balanced"))
    focal: float = option(0.0, "focal loss's gamma: attend to hard examples", panel="loss", low=0)
    tune_threshold: bool = option(False, "choose decision thresholds for macro-F1 on the validation part", panel="loss")

    epochs: int | None = option(
        None,
        "passes over the data; none: 10 for texts, more for few sequences or short rows of letters",
        panel="training",
        low=0,
    )

    def validate(self) -> None:
        super().validate()
        self._must_be_one_kind()
        if self.split == "group" and self.group is None:
            raise OptionError("split=group needs the column that holds the group; add group=COLUMN")
        if self.split == "time" and self.time is None:
            raise OptionError("split=time needs the column that holds the time; add time=COLUMN")
        must_leave_rows(self.valid_share, self.test_share)
        if self.refit and (self.keep != "last" or self.patience or self.tune_threshold):
            raise OptionError(
                "refit learns the validation part, which then can choose nothing; add keep=last patience=0 "
                "tune_threshold=false"
            )
        if self.tokenizer not in (None, "words") and (self.stop or self.stem or self.spaces or self.vectors):
            raise OptionError("stop, stem, spaces and vectors work on words; leave them out or take tokenizer=words")
        if self.freeze_vectors and self.vectors is None:
            raise OptionError("freeze_vectors needs vectors=FILE")

    def _must_be_one_kind(self) -> None:
        """Refuses columns of several kinds, and a column of another kind than the one that is asked for."""
        named = {kind: column for kind, column in FILES.items() if getattr(self, column) is not None}
        if len(named) > 1 or (named and self.kind not in ("auto", *named)):
            told = " and ".join(f"{column}={getattr(self, column)}" for column in named.values())
            other = "" if len(named) > 1 else f" with kind={self.kind}"
            raise OptionError(f"{told}{other}: rows are of one kind; name one column")
