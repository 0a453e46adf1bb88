"""Tag: a label for each word, character or residue, and for the whole sentence."""

from __future__ import annotations

from gatework.tasks.tag.options import TagOptions
from gatework.tasks.tag.task import Tag

TASK = Tag

__all__ = ["TASK", "Tag", "TagOptions"]
