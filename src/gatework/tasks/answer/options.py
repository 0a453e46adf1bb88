"""Every choice of the job "answer", with its default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gatework.errors import OptionError
from gatework.training.options import Options, must_leave_rows, option
from gatework.training.regularisation import RecurrentOptions


class Reading(Protocol):
    """The options that say how a source is read."""

    @property
    def format(self) -> str | None: ...
    @property
    def encoding(self) -> str | None: ...
    @property
    def story(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def facts(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class AnswerExplaining(Options):
    """What names the question that is explained."""

    row: int | None = option(None, "the question of the file, counted from 1", panel="what to explain", low=1)
    text: str | None = option(
        None, "the story and its question as one text, the question last", panel="what to explain"
    )
    target: str | None = option(None, "the answer to explain in place of the model's", panel="what to explain")


@dataclass(frozen=True, kw_only=True)
class AnswerPredicting(Options):
    """What `predict` can be told beside its source."""

    beam: int = option(1, "answers that are followed at once; 1: the likeliest word each time", panel="answers", low=1)
    n_best: int = option(1, "so many answers for each question, the best first", panel="answers", low=1)
    looks: bool = option(False, "also what each reading looked at: weights of the sentences", panel="answers")

    def validate(self) -> None:
        super().validate()
        if self.n_best > self.beam:
            raise OptionError(f"n_best={self.n_best} answers need a beam as wide; add beam={self.n_best}")


@dataclass(frozen=True, kw_only=True)
class AnswerOptions(RecurrentOptions):
    """Options of `train answer`. Those that are None are worked out from the data and written to the config."""

    format: str | None = option(
        None, "babi or jsonl; none: by the file", panel="data", choices=("babi", "jsonl"), role="reading"
    )
    encoding: str | None = option(None, "encoding of text files, if not UTF-8", panel="data", role="reading")
    story: str = option("story", "field of the story", panel="data", role="reading")
    question: str = option("question", "field of the question", panel="data", role="reading")
    answer: str = option("answer", "field of the answer", panel="data", role="reading")
    kind: str = option("kind", "field of the kind of question", panel="data", role="reading")
    facts: str = option(
        "facts", "field of the numbers of the sentences that hold the answer", panel="data", role="reading"
    )
    valid_share: float = option(
        0.1,
        "share held out for choosing the best weights, whole stories",
        panel="data",
        low=0.01,
        high=0.9,
        role="question",
    )
    test_share: float | None = option(
        None,
        "share held out for the final result; none: 0.1 of a file, 0 in memory or where a folder has test files",
        panel="data",
        low=0,
        high=0.9,
        role="question",
    )

    min_count: int = option(1, "rarer words are unknown", panel="text", low=1)
    vocabulary: int = option(50_000, "most words; the others are unknown", panel="text", low=10)
    memory: int = option(70, "sentences that are read of a story, the last ones", panel="text", low=1)

    sentences: str = option(
        "positions",
        "how a sentence becomes a vector: positions (a sum of its words weighted by their places) or recurrent (by "
        "recurrent layers from both ends)",
        panel="model",
        choices=("positions", "recurrent"),
    )
    cell: str = option(
        "gru", "which cell controls the readings and writes: `gatework cells` lists them", panel="model", role="late"
    )
    hidden_size: int = option(64, "units (H): of words, sentences, readings, answers", panel="model", low=2)
    hops: int = option(3, "readings of the story, one after another", panel="model", low=1, high=20)
    empty: float = option(
        0.1,
        "share of empty sentences put into stories in training (Sukhbaatar et al. 2015, section 4.1)",
        panel="regularisation",
        low=0,
        high=0.9,
    )
    dropout: float = option(
        0.0, "dropout of sentences and of the last reading", panel="regularisation", low=0, high=0.99
    )
    word_dropout: float = option(
        0.0, "share of words made the unknown word in training", panel="regularisation", low=0, high=0.99
    )

    epochs: int | None = option(
        None, "passes over the data; none: as many as make 25,000 steps, from 10 to 200", panel="training", low=0
    )
    batch_size: int = option(32, "questions per step (B)", panel="training", low=1, role="late")
    learning_rate: float = option(3e-3, "step size at the schedule's top", panel="training", low=0, role="late")
    clip: float = option(5.0, "largest gradient norm; 0 does not clip", panel="training", low=0, role="late")

    def validate(self) -> None:
        super().validate()
        must_leave_rows(self.valid_share, self.test_share)
