"""Kinds of answers, a module each: what stands before and after the nets of an exported model."""

from __future__ import annotations

from importlib import import_module

from gatework.errors import FileFormatError
from gatework.runtime.model import Model

KINDS = {
    "choices": "Choices",
    "horizon": "Horizon",
    "labels": "Labels",
    "symbols": "Symbols",
    "tags": "Tags",
    "targets": "Targets",
    "transcripts": "Transcripts",
}


def of_kind(kind: str) -> type[Model]:
    """The class of a kind, imported when it is asked for."""
    if kind not in KINDS:
        raise FileFormatError(f"there is no kind of answer {kind!r:.40} in this gatework: update gatework")
    return getattr(import_module(f"{__name__}.{kind}"), KINDS[kind])
