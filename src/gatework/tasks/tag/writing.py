"""Answers as files: columns, lines of JSON, spans of characters, and FASTA."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np

from gatework.errors import DataError, OptionError
from gatework.runtime.tags import schemes
from gatework.runtime.tags.rows import Row, of_spans, of_tokens
from gatework.tasks.tag.sentences import Sentences

FORMATS = ("conll", "jsonl", "spans", "fasta")


def written(
    read: Sentences,
    tags: Sequence[str],
    form: str,
    labels: Sequence[str] | None = None,
    confidence: np.ndarray | None = None,
) -> str:
    """The text of a file of answers.

    Args:
        read: the n sentences of N tokens.
        tags: [N], in the sentences' own scheme, which is `read.scheme`.
        form: "conll" (a token, its columns and its tag a line), "jsonl" (tokens and tags), "spans" (characters of the
            text) or "fasta" (a letter a tag).
        labels: [n], of whole sentences.
        confidence: [N], the probability of each tag; "jsonl" and "spans" tell it.
    """
    if form == "conll":
        return _conll(read, tags, labels)
    if form == "fasta":
        return _fasta(read, tags)
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows(read, tags, form, labels, confidence))


def rows(
    read: Sentences,
    tags: Sequence[str],
    form: str = "jsonl",
    labels: Sequence[str] | None = None,
    confidence: np.ndarray | None = None,
) -> list[Row]:
    """An object for each sentence ("jsonl"), or for each text ("spans"), of which several sentences may have been cut.

    Example: {"tokens": ["Ada", "slept"], "tags": ["B-PER", "O"]}, and
    {"text": "Ada slept", "spans": [{"start": 0, "end": 3, "label": "PER", "text": "Ada"}]}.
    """
    if form not in ("jsonl", "spans"):
        raise OptionError(f"format cannot be {form!r}; there are: {', '.join(FORMATS)}")
    if form == "jsonl":
        return [_object(read, i, tags, labels, confidence) for i in range(len(read))]
    return list(_texts(read, tags, labels, confidence))


def _object(
    read: Sentences, i: int, tags: Sequence[str], labels: Sequence[str] | None, confidence: np.ndarray | None
) -> Row:
    own = slice(int(read.offsets[i]), int(read.offsets[i + 1]))
    row: Row = {} if read.names is None else {"name": read.names[i]}
    label, sure = None if labels is None else labels[i], None if confidence is None else confidence[own]
    return row | of_tokens(read.tokens[own], tags[own], label, sure)


def _conll(read: Sentences, tags: Sequence[str], labels: Sequence[str] | None) -> str:
    """Token, further columns and tag between tabs; the label, where there is one, in a comment before the sentence."""
    columns = [read.tokens, *read.features.values(), tags]
    split = next((cell for column in columns for cell in column if "\t" in cell), None)
    if split is not None:
        raise DataError(f"{split!r:.60} holds a tab, which parts columns; take --format jsonl or spans")
    lines = ["\t".join(cells) + "\n" for cells in zip(*columns, strict=True)]
    ends = read.offsets.tolist()
    heads = [""] * len(read) if labels is None else [f"# label = {label}\n" for label in labels]
    parts = zip(heads, ends, ends[1:], strict=False)
    return "\n".join(head + "".join(lines[start:stop]) for head, start, stop in parts)


def _fasta(read: Sentences, tags: Sequence[str]) -> str:
    long = next((tag for tag in tags if len(tag) != 1), None)
    if long is not None:
        raise DataError(f"FASTA holds a letter for each tag, and {long!r} is none; take --format jsonl or conll")
    names = read.names or [str(i + 1) for i in range(len(read))]
    ends = read.offsets.tolist()
    parts = zip(names, ends, ends[1:], strict=False)
    return "".join(f">{name}\n{''.join(tags[start:stop])}\n" for name, start, stop in parts)


# -- spans --------------------------------------------------------------------------------------------------


def _texts(
    read: Sentences, tags: Sequence[str], labels: Sequence[str] | None, confidence: np.ndarray | None
) -> Iterator[Row]:
    """A row for each text, with the spans of all sentences that were cut out of it."""
    learned = schemes.to_bioes(tags, read.lengths, read.scheme)
    row: Row | None = None
    last = -1
    for i in range(len(read)):
        text, places = _placed(read, i)
        goes_on = row is not None and read.texts is not None and text is read.texts[i - 1] and places[0][0] >= last
        if row is not None and not goes_on:
            yield row
        if row is None or not goes_on:
            row = {} if read.names is None else {"name": read.names[i]}
            row |= {"text": text, "spans": []}
            if labels is not None:
                row["label"] = labels[i]
        own = slice(int(read.offsets[i]), int(read.offsets[i + 1]))
        sure = None if confidence is None else confidence[own]
        row["spans"] += of_spans(learned[own], read.scheme, text, places, sure)
        last = places[-1][1]
    if row is not None:
        yield row


def _placed(read: Sentences, i: int) -> tuple[str, list[list[int]]]:
    """The text of a sentence and the characters of its tokens; of tokens alone, the tokens with blanks between."""
    own = slice(int(read.offsets[i]), int(read.offsets[i + 1]))
    if read.texts is not None and read.spans is not None:
        return read.texts[i], read.spans[own].tolist()
    tokens = read.tokens[own]
    between = "" if read.form == "fasta" else " "
    sizes = np.array([len(token) for token in tokens])
    starts = np.cumsum(sizes + len(between)) - sizes - len(between)
    return between.join(tokens), np.stack([starts, starts + sizes], 1).tolist()
