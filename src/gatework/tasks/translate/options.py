"""Every choice of the job "translate", with its default."""

from __future__ import annotations

from dataclasses import dataclass, fields

from gatework.errors import OptionError
from gatework.networks.attention import SCORES
from gatework.runtime.answers.asked import How
from gatework.training.options import Options, must_leave_rows, option
from gatework.training.regularisation import RecurrentOptions

FORMATS = ("tsv", "csv", "jsonl", "lines")
OF_SEARCH = (
    *("beam", "n_best", "coverage_penalty", "sample", "min_length", "max_length", "must", "must_not", "copy_unknown"),
    "attention",
)
TOKENIZERS = ("words", "characters", "bpe", "spaces")


@dataclass(frozen=True, kw_only=True)
class TranslateFiles(Options):
    """Where each side has a file of its own: line by line one is the translation of the other."""

    source: str | None = option(None, "file of the texts, in place of FILE", panel="data")
    target: str | None = option(None, "file of their translations, line by line", panel="data")


@dataclass(frozen=True, kw_only=True)
class TranslateExplaining(Options):
    """What names the text whose translation is explained, and a word of that: the text, or a row of a file."""

    text: str | None = option(None, "the source text itself (not a column)", panel="what to explain")
    row: int | None = option(None, "the pair of the file, counted from 1", panel="what to explain", low=1)
    target: str | None = option(None, "the translation to explain in place of the model's own", panel="what to explain")
    word: str | None = option(
        None,
        "the word of the translation, or the number of its unit from 1; none: the one the model was least sure of",
        panel="what to explain",
    )


@dataclass(frozen=True, kw_only=True)
class TranslatePredicting(Options):
    """What `predict` can be told beside its source."""

    beam: int = option(5, "places of the beam; 1 is greedy search", panel="answers", low=1, high=100)
    n_best: int = option(1, "translations told of each text, with their scores", panel="answers", low=1, high=100)
    length_penalty: float = option(
        1.0, "score / ((5 + length) / 6) ** this ranks translations (Wu et al. 2016)", panel="answers", low=0, high=10
    )
    coverage_penalty: float = option(
        0.0, "weight of what no symbol looked at (Wu et al. 2016, equation 15)", panel="answers", low=0
    )
    sample: bool = option(False, "draw translations, n_best of each text, in place of the likeliest", panel="answers")
    temperature: float = option(1.0, "of drawing: below 1 likelier, above 1 wilder", panel="answers", low=0)
    top_k: int = option(0, "of drawing: among the k likeliest symbols; 0: all", panel="answers", low=0)
    top_p: float = option(1.0, "of drawing: among the fewest with this probability", panel="answers", low=0, high=1)
    seed: int = option(1, "of drawing", panel="answers", low=0)
    min_length: int = option(0, "fewest units of a translation", panel="answers", low=0)
    max_length: int | None = option(
        None, "most units of a translation; none: by the length of its source", panel="answers", low=1
    )
    must: tuple[str, ...] = option((), "words that every translation must hold", panel="answers")
    must_not: tuple[str, ...] = option((), "words that no translation may hold", panel="answers")
    copy_unknown: bool = option(
        False, "an unknown unit is the source's unit that attention looked at most", panel="answers"
    )
    score: bool = option(False, "tell the score of the targets in the data; translate nothing", panel="answers")
    attention: bool = option(False, "with --json: the weights of each target unit on source units", panel="answers")

    def validate(self) -> None:
        super().validate()
        how = self.how
        if self.score:
            how.refuse(OF_SEARCH, "is of a search, and score=True translates nothing; leave one of them out")

    @property
    def how(self) -> How:
        """The options of the search, checked."""
        return How(**{each.name: getattr(self, each.name) for each in fields(How)})


@dataclass(frozen=True, kw_only=True)
class TranslateOptions(RecurrentOptions):
    """Options of `train translate`. Those that are None are worked out from the data and written to the config."""

    format: str | None = option(None, "how FILE lies; none: by its name", panel="data", choices=FORMATS, role="reading")
    encoding: str | None = option(None, "encoding of text files, if not UTF-8", panel="data", role="reading")
    source_column: str | None = option(
        None, "column of the sources: a name or a number from 1; none: the first", panel="data", role="reading"
    )
    target_column: str | None = option(
        None, "column of the targets: a name or a number from 1; none: the second", panel="data", role="reading"
    )
    delimiter: str | None = option(None, "what stands between the fields of a table", panel="data", role="reading")
    header: bool | None = option(None, "whether the first row names the columns", panel="data", role="reading")
    quote: str | None = option(None, 'what stands around fields; none: "', panel="data", role="reading")
    bad_rows: str = option("refuse", "broken rows", panel="data", choices=("refuse", "skip", "join"), role="reading")
    bad_pairs: str = option(
        "refuse", "pairs with an empty side", panel="data", choices=("refuse", "skip"), role="reading"
    )
    valid_share: float = option(
        0.05, "share held out for choosing the best weights", panel="data", low=0.001, high=0.9, role="question"
    )
    test_share: float | None = option(
        None,
        "share held out for the final result; none: 0.05 of a file, 0 of pairs in memory",
        panel="data",
        low=0,
        high=0.9,
        role="question",
    )

    source_tokenizer: str | None = option(
        None,
        "units of a source; none: bpe for sentences, characters for single words, spaces for symbols",
        panel="text",
        choices=TOKENIZERS,
    )
    target_tokenizer: str | None = option(
        None, "units of a target; none: as for sources", panel="text", choices=TOKENIZERS
    )
    joint: bool = option(False, "one vocabulary, and one table of vectors, for both sides", panel="text")
    vocabulary: int = option(5_000, "most units of a side; the others are unknown", panel="text", low=10)
    min_count: int = option(1, "rarer words or characters are unknown", panel="text", low=1)
    lower: str = option("none", "sides that are put into lower case", panel="text", choices=("none", "source", "both"))
    max_length: int = option(200, "units that are read of a text, and learned of a target", panel="text", low=2)

    embedding_size: int = option(256, "length of a unit's vector", panel="model", low=1)
    encoder_size: int = option(256, "units per layer and direction that read the source", panel="model", low=1)
    hidden_size: int = option(384, "units per layer that write the target (H)", panel="model", low=1)
    attention: str = option("general", "how attention compares", panel="model", choices=SCORES)
    tied: bool = option(True, "the table of target vectors is the output's matrix, too", panel="model")
    coverage: float = option(
        0.0, "weight of looking twice at the same place (See et al. 2017, equation 13)", panel="loss", low=0
    )
    label_smoothing: float = option(
        0.1, "probability that the loss spreads over all units", panel="loss", low=0, high=0.9
    )
    dropout: float = option(
        0.3, "dropout of vectors and states, one mask a text", panel="regularisation", low=0, high=0.99
    )
    word_dropout: float = option(
        0.0, "share of read units made unknown in training", panel="regularisation", low=0, high=0.99
    )

    epochs: int | None = option(
        None, "passes over the data; none: as many as make 3,000 steps, from 10 to 200", panel="training", low=0
    )
    learning_rate: float = option(6e-3, "step size at the schedule's top", panel="training", low=0, role="late")
    batch_tokens: int = option(
        2_000, "most target units per step: batches of long texts hold fewer of them", panel="training", low=1
    )
    batch_size: int | None = option(
        None, "most pairs per step (B); none: 128, and fewer of few pairs", panel="training", low=1, role="late"
    )
    valid_pairs: int = option(
        500, "most validation pairs that are translated after each epoch; the loss is of all", panel="training", low=1
    )

    def validate(self) -> None:
        super().validate()
        must_leave_rows(self.valid_share, self.test_share)
        tokenizers = {self.source_tokenizer, self.target_tokenizer} - {None}
        if self.joint and len(tokenizers) > 1:
            raise OptionError(
                f"joint=True cuts both sides in one way, not sources into {self.source_tokenizer} and targets into "
                f"{self.target_tokenizer}"
            )
        if self.min_count > 1 and tokenizers == {"bpe"}:
            raise OptionError(
                f"min_count={self.min_count} is of words and characters; of byte pairs there are fewer with a smaller "
                "vocabulary"
            )
        if self.attention == "dot" and self.hidden_size != 2 * self.encoder_size:
            raise OptionError(
                f"attention=dot needs hidden_size = 2 * encoder_size; got {self.hidden_size} and {self.encoder_size}"
            )
