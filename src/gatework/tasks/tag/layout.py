"""How sources are read: the options that say so, and how the training's data lay."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gatework.runtime.texts import tokens as cutting
from gatework.tasks.tag.sentences import Sentences


class Reading(Protocol):
    """The options that say how a source is read: see `TagOptions`."""

    @property
    def format(self) -> str | None: ...
    @property
    def column(self) -> str | None: ...
    @property
    def token_column(self) -> str | None: ...
    @property
    def label(self) -> str | None: ...
    @property
    def tags(self) -> str | None: ...
    @property
    def mask(self) -> str | None: ...
    @property
    def encoding(self) -> str | None: ...
    @property
    def scheme(self) -> str: ...
    @property
    def bad_spans(self) -> str: ...
    @property
    def features(self) -> tuple[str, ...]: ...


class Layout(NamedTuple):
    """How training's data lay: other sources are read alike."""

    form: str
    scheme: str
    features: tuple[str, ...] = ()
    style: cutting.Style = cutting.PLAIN

    @classmethod
    def of(cls, read: Sentences) -> Layout:
        """The layout of sentences that were read; tokens cut out of texts were cut in the plain style."""
        style = cutting.PLAIN if read.form in ("spans", "fasta") else cutting.Style.of(read.tokens)
        return cls(read.form, read.scheme, tuple(read.features), style)


def asked(options: Reading) -> tuple[str, ...]:
    """The further columns or fields that the options name."""
    return () if options.features in ((), ("all",), ("none",)) else options.features
