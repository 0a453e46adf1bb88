"""Options of the task `generate`."""

from __future__ import annotations

from dataclasses import dataclass

from gatework.errors import OptionError
from gatework.training.options import Options, option
from gatework.training.regularisation import RecurrentOptions


@dataclass(frozen=True, kw_only=True)
class GenerateExplaining(Options):
    """What names the text of which the next unit is explained."""

    text: str | None = option(None, "the text that goes on", panel="what to explain")
    target: str | None = option(None, "the unit to explain in place of the likeliest one", panel="what to explain")


@dataclass(frozen=True, kw_only=True)
class GenerateOptions(RecurrentOptions):
    """Options of a text generator; the defaults suit a book or two on a small machine."""

    tokenizer: str = option(
        "characters", "units of the text", panel="data", basic=True, choices=("characters", "bpe", "words")
    )
    vocabulary: int = option(5000, "largest number of BPE or word units", panel="data", low=300)
    spaces: bool = option(False, "words end at white space alone (for tokenized texts)", panel="data")
    backwards: bool = option(
        False,
        "read the text from its end, and write what comes before a prompt; needs tokenizer=characters",
        panel="data",
        role="question",
    )
    encoding: str | None = option(None, "of the file, where it is not UTF-8", panel="data", role="reading")
    test_share: float = option(
        0.1, "last part of the text, read once at the end", panel="data", low=0, high=0.5, role="question"
    )
    valid_share: float = option(
        0.05, "last part of the rest, for choices", panel="data", low=0.001, high=0.5, role="question"
    )
    refit: bool = option(
        False,
        "choices are made: learn the validation part too; needs keep=last",
        panel="data",
        role=("question", "refit"),
    )

    ngram_length: int | None = option(
        None,
        "longest n-gram of those whose counts are mixed into the network's distribution; 0: the network alone; "
        "none: 7 for characters, 3 for words and BPE",
        panel="model",
        low=0,
        high=10,
    )
    ngram_share: float | None = option(
        None,
        "share of the counts in that mixture; none: chosen on the validation part (with refit: 0.25)",
        panel="model",
        low=0,
        high=0.99,
    )
    hidden_size: int = option(256, "units per layer (H)", panel="model", low=1)
    embedding_size: int = option(
        0, "units of the embedding; 0 takes 32 for characters, else 128, and no more than H", panel="model", low=0
    )
    tied: bool = option(False, "embedding and output share one matrix (Press & Wolf 2017)", panel="model")
    dropout: float = option(
        0.1, "of embedding and outputs, one mask a sequence (Gal 2016)", panel="regularisation", low=0, high=0.99
    )
    word_dropout: float = option(
        0.0,
        "share of units made unknown in training",
        panel="regularisation",
        low=0,
        high=0.99,
        role="late",
    )

    weight_decay: float = option(
        0.1, "what matrices lose per step, times the rate", panel="regularisation", low=0
    )  # on one book, 0.03 nats better than none
    sequence_length: int = option(64, "steps through which gradients flow (T)", panel="training", low=1)
    batch_size: int = option(32, "streams read side by side (B)", panel="training", low=1)
    learning_rate: float = option(5e-3, "step size at the schedule's top", panel="training", low=0)
    patience: int = option(3, "epochs without gain before stopping early; 0 never does", panel="training", low=0)
    dynamic: bool = option(
        False, "also evaluate dynamically: learning on as it reads", panel="results", role="question"
    )
    dynamic_rate: float = option(0.05, "step size of dynamic evaluation", panel="results", low=0, role="question")
    sample_length: int = option(
        300, "characters of each sample in the report", panel="results", low=1, high=100_000, role="question"
    )

    @property
    def embedding_units(self) -> int:
        """Units of the embedding, where 0 was chosen too."""
        return self.embedding_size or min(self.hidden_size, 32 if self.tokenizer == "characters" else 128)

    @property
    def orders(self) -> int:
        """Orders of the counted n-grams."""
        return {"characters": 7}.get(self.tokenizer, 3) if self.ngram_length is None else self.ngram_length

    def validate(self) -> None:
        super().validate()
        if self.spaces and self.tokenizer != "words":
            raise OptionError("spaces works on words; leave it out or take tokenizer=words")
        if self.backwards and self.tokenizer != "characters":
            raise OptionError("backwards works on characters; leave it out or take tokenizer=characters")
        if self.refit and (self.keep != "last" or self.patience):
            raise OptionError(
                "refit learns the validation part, which then can choose nothing; add keep=last patience=0"
            )
