"""Pretrained word vectors from a text file: "word 0.1 -0.2 ..." a line, as GloVe, fastText and word2vec write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gatework.data.files import read_text
from gatework.data.suggest import setting
from gatework.errors import DataError, OptionError


def read_vectors(path: str | Path, vocabulary: Sequence[str], size: int) -> tuple[np.ndarray, np.ndarray]:
    """(vectors [V, E] float32, found [V] bool) for the words of a vocabulary; rows of words not in the file are zero.

    Args:
        size: E, the model's `embedding_size`.

    Raises: DataError with the line and what is wrong, also if no word of the vocabulary is in the file; OptionError
    where the file's vectors have another length.
    """
    number = {word: i for i, word in enumerate(vocabulary)}
    vectors: np.ndarray | None = None
    found = np.zeros(len(vocabulary), bool)
    for line, text in enumerate(read_text(path).split("\n"), 1):
        word, _, rest = text.rstrip().partition(" ")
        if word not in number or (line == 1 and rest.isdigit()):
            continue
        values = _numbers(rest, f"{path}, line {line}, word {word!r}")
        if vectors is None:
            vectors = np.zeros((len(vocabulary), len(values)), np.float32)
        if len(values) != vectors.shape[1]:
            raise DataError(
                f"{path}, line {line}, word {word!r}: {len(values)} numbers where others have {vectors.shape[1]}"
            )
        vectors[number[word]], found[number[word]] = values, True
    if vectors is None:
        raise DataError(f"{path}: no word of the training texts is in this file; are language and lower case the same?")
    if vectors.shape[1] != size:
        raise OptionError(
            f"{path} holds vectors of {vectors.shape[1]} numbers, but embedding_size={size}; add "
            f"{setting('embedding_size', vectors.shape[1])}"
        )
    return vectors, found


def _numbers(text: str, place: str) -> np.ndarray:
    try:
        values = np.array(text.split(), np.float32)
    except ValueError as error:
        raise DataError(f"{place}: {error}; each line is a word and its numbers, with spaces between") from None
    if not len(values) or not np.isfinite(values).all():
        raise DataError(f"{place}: no numbers, or some that are not finite; repair or delete the line")
    return values
