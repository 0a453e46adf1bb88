"""Values for options that were left to be worked out: from the rows of a training, before anything is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatework.data.augment import Augmentation
from gatework.errors import OptionError
from gatework.tasks.base import Source
from gatework.tasks.classify import reading
from gatework.tasks.classify.options import ClassifyOptions
from gatework.tasks.classify.reading import Rows

CHANGES = {  # what training data of each kind are changed by
    "texts": "word_dropout",
    "sequences": "jitter",
    "sounds": "speed, loudness or noise",
    "pictures": "shift",
    "films": "shift",
}
STEPS_OF_FEW = 2_500  # steps that few sequences, or few short rows of letters, are trained for, as epochs of them


def settled(rows: Rows, source: Source, options: ClassifyOptions) -> dict[str, Any]:
    """The options that follow from rows and their source."""
    texts = rows.texts is not None
    settled: dict[str, Any] = {"kind": rows.kind}
    settled["word_dropout"] = _word_dropout(rows.kind, options)
    settled["tokenizer"] = reading.tokenizer(rows, options) if texts else options.tokenizer
    settled["ngrams"] = reading.ngrams(rows, options)
    settled["channels"] = options.channels or ("last" if rows.sequences is not None else None)
    if rows.media is not None:
        settled |= {"label": rows.label_column, **rows.media.how}
    if texts and rows.table is not None:
        settled |= {"text": rows.text_column, "label": rows.label_column}
        settled |= {name: rows.table.format[name] for name in ("format", "header") if name in rows.table.format}
    if options.test_share is None:
        settled["test_share"] = 0.1 if isinstance(source, str | Path) else 0.0
    if options.epochs is None:
        settled["epochs"] = _epochs(rows, options)
    return settled


def _epochs(rows: Rows, options: ClassifyOptions) -> int:
    steps = max(len(rows) // options.batch_size, 1)
    most = 200 if rows.texts is None else 60 if reading.are_short_letters(rows, options) else 10
    return min(max(STEPS_OF_FEW // steps, 10), most)


def _word_dropout(kind: str, options: ClassifyOptions) -> float | None:
    """Its value, after a look whether the options that change training data fit the data."""
    texts, rows = kind == "texts", f"the rows are {'numeric ' if kind == 'sequences' else ''}{kind}"
    if kind != "sequences" and Augmentation.of(options):
        raise OptionError(
            f"jitter, rescale and window_warp change numeric sequences, but {rows}; take {CHANGES[kind]}, or leave "
            "them out"
        )
    if not texts and options.word_dropout:
        raise OptionError(f"word_dropout works on texts, but {rows}; take {CHANGES[kind]}")
    words = [name for name in ("stop", "stem", "spaces", "vectors") if getattr(options, name)]
    if not texts and words:
        raise OptionError(f"{' and '.join(words)} works on texts, but {rows}; leave it out")
    return 0.1 if texts and options.word_dropout is None else options.word_dropout
