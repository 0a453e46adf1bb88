"""Every choice of the job "tag", with its default."""

from __future__ import annotations

from dataclasses import dataclass

from gatework.errors import OptionError
from gatework.training.options import Options, must_leave_rows, option
from gatework.training.regularisation import RecurrentOptions

FORMATS = ("conll", "jsonl", "spans", "fasta")


@dataclass(frozen=True, kw_only=True)
class TagExplaining(Options):
    """What names the word of which a tag is explained: a text or a sentence of a file, and a word in it."""

    text: str | None = option(None, "the sentence itself (not a column)", panel="what to explain")
    row: int | None = option(None, "the sentence of the file, counted from 1", panel="what to explain", low=1)
    word: str | None = option(
        None, "the word of it, or its number from 1; none: the surest tag that is no O", panel="what to explain"
    )
    target: str | None = option(None, "the tag to explain in place of the model's", panel="what to explain")


@dataclass(frozen=True, kw_only=True)
class TagPredicting(Options):
    """What `predict` can be told beside its source."""

    format: str | None = option(
        None,
        "conll (a token a line), jsonl (tokens, tags, confidence), spans (places in the text), fasta; none: as data",
        panel="answers",
        choices=FORMATS,
    )


@dataclass(frozen=True, kw_only=True)
class TagOptions(RecurrentOptions):
    """Options of `train tag`. Those that are None or "auto" are worked out from the data and written to the config."""

    format: str | None = option(None, "conll, conllu, jsonl, fasta or lines", panel="data", basic=True, role="reading")
    column: str | None = option(
        None,
        "column of the tags: upos, xpos, a name or a number from 1; none: the last",
        panel="data",
        basic=True,
        role="reading",
    )
    token_column: str | None = option(
        None, "column of the tokens: a name or a number from 1; none: the first", panel="data", role="reading"
    )
    label: str | None = option(
        None, "field that labels the whole sentence, learned beside the tags", panel="data", role="reading"
    )
    tags: str | None = option(None, "FASTA file of the tags, a letter for each letter", panel="data", role="reading")
    mask: str | None = option(
        None, "FASTA file with a 0 for each position that does not count", panel="data", role="reading"
    )
    encoding: str | None = option(None, "encoding of text files, if not UTF-8", panel="data", role="reading")
    scheme: str = option(
        "auto",
        "how tags write spans; plain: they write none",
        panel="data",
        choices=("auto", "plain", "IOB1", "IOB2", "BIOES", "BILOU", "BMES", "BMEWO"),
        role="reading",
    )
    bad_spans: str = option(
        "refuse",
        "spans that overlap or cut a word",
        panel="data",
        choices=("refuse", "skip"),
        role="reading",
    )
    features: tuple[str, ...] = option(
        ("all",), "further columns that are read: their names, all, or none", panel="data", basic=True, role="question"
    )
    valid_share: float = option(
        0.1, "share held out for choosing the best weights", panel="data", low=0.01, high=0.9, role="question"
    )
    refit: bool = option(
        False,
        "choices are made: learn the sentences held out for choosing too; needs keep=last",
        panel="data",
        role=("question", "refit"),
    )
    test_share: float | None = option(
        None,
        "share held out for the final result; none: 0.1 of a file, 0 of sentences in memory",
        panel="data",
        low=0,
        high=0.9,
        role="question",
    )

    lower: bool = option(True, "words are compared in lower case (their characters are not)", panel="text")
    min_count: int = option(1, "rarer words are unknown", panel="text", low=1)
    vocabulary: int = option(50_000, "most words; the others are unknown", panel="text", low=10)
    max_length: int = option(
        300, "longer sentences are read in stretches of so many tokens, which overlap", panel="text", low=20
    )
    subwords: int = option(
        0,
        "a word's vector also holds its character n-grams (3 to 5), hashed to this many vectors; 0: none",
        panel="text",
        low=0,
    )
    vectors: str | None = option(None, "file of pretrained word vectors (GloVe's text format)", panel="text")
    freeze_vectors: bool = option(False, "pretrained vectors stay as they are", panel="text")
    language_model: tuple[str, ...] = option(
        (),
        "runs of `train generate` on characters, RUN or RUN,RUN: their states are word vectors too; best are two, one "
        "of them with --backwards",
        panel="text",
    )

    embedding_size: int | None = option(
        None, "length of a word's vector; none: 100, and 32 for single letters", panel="model", low=1
    )
    characters: int | None = option(
        None,
        "filters of each width (3, 5) that read a word's characters; 0: none; none: 60, and 0 for single letters",
        panel="model",
        low=0,
    )
    neighbours: int | None = option(
        None,
        "filters of each width (3, 7, 15) that see a token's neighbours before the recurrent layers; 0: none; none: 32 "
        "for single letters, else 0",
        panel="model",
        low=0,
    )
    windows: bool = option(
        True,
        "a linear model on words, affixes and shapes around a token decides beside the network",
        panel="model",
    )
    window_share: float | None = option(
        None,
        "the linear model's share when its scores and the network's are averaged; none: chosen on the validation part "
        "(with refit: 0.5)",
        panel="model",
        low=0,
        high=1,
    )
    hidden_size: int = option(128, "units per layer and direction (H)", panel="model", low=1)
    output: str = option(
        "auto",
        "how tags are scored: crf (moves between tags count), or softmax; auto: crf where tags write spans",
        panel="model",
        choices=("auto", "crf", "softmax"),
    )
    dropout: float | None = option(
        None,
        "dropout of word vectors and states, one mask a sentence; none: 0.5, and 0.2 of half a million tokens and more",
        panel="regularisation",
        low=0,
        high=0.99,
    )
    word_dropout: float = option(
        0.5, "share at which words seen once are unknown in training", panel="regularisation", low=0, high=0.99
    )
    common_dropout: float | None = option(
        None,
        "share at which all other words are unknown in a training batch; none: 0.1, and 0 for single letters",
        panel="regularisation",
        low=0,
        high=0.99,
    )
    label_weight: float = option(1.0, "weight of the sentence's label in the loss", panel="loss", low=0)

    epochs: int | None = option(
        None, "passes over the data; none: as many as make 3,000 steps, from 6 to 30", panel="training", low=0
    )
    learning_rate: float = option(3e-3, "step size at the schedule's top", panel="training", low=0, role="late")
    batch_tokens: int = option(
        4_000, "most tokens per step: batches of long sentences hold fewer of them", panel="training", low=1
    )

    def validate(self) -> None:
        super().validate()
        must_leave_rows(self.valid_share, self.test_share)
        if self.refit and (self.keep != "last" or self.patience):
            raise OptionError(
                "refit learns the validation part, which then can choose nothing; add keep=last patience=0"
            )
        if self.freeze_vectors and self.vectors is None:
            raise OptionError("freeze_vectors needs vectors=FILE")
