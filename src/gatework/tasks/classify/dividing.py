"""Rows divided into the parts of a training, and what is wrong with a division."""

from __future__ import annotations

from functools import partial

import numpy as np

from gatework.data.checks import check_absent, check_overlap
from gatework.data.codecs.labels import class_names
from gatework.data.finding import Finding
from gatework.data.splits import split_by_time, split_rows, with_held_out
from gatework.errors import DataError, OptionError
from gatework.tasks.base import Source
from gatework.tasks.classify import reading
from gatework.tasks.classify.options import ClassifyOptions
from gatework.tasks.classify.reading import Rows

PARTS = {"valid": "validation", "test": "test"}


def divided(
    rows: Rows, valid: Source | None, test: Source | None, options: ClassifyOptions
) -> tuple[Rows, dict[str, Rows]]:
    """The training rows, and "valid" and "test" from their own sources or held out."""
    if options.refit and valid is not None:
        raise OptionError("refit learns the rows held out of the training file; leave valid= out, or refit")
    given = {name: other for name, other in (("test", test), ("valid", valid)) if other is not None}
    others = {name: reading.read(other, options).like(rows) for name, other in given.items()}
    shares = {"valid": options.valid_share, "test": options.test_share or 0.0}
    return with_held_out(rows, others, partial(held_out, options=options), **shares, refit=options.refit)


def held_out(rows: Rows, share: float, options: ClassifyOptions) -> tuple[Rows, Rows]:
    """The rows without a share of them, and that share: by chance, by time or by group, as the options say."""
    among = ""
    if options.split == "time":
        if rows.table is None:
            raise DataError(f"{rows.source}: split=time needs a table with the column {options.time!r}")
        kept, held = split_by_time(rows.table.times(str(options.time)), share)
    else:
        groups = rows.groups(options.group if options.split == "group" else None)
        labels = rows.labels.to_list()
        kept, held = split_rows(len(rows), share, labels=labels, groups=groups, seed=options.seed)
        kinds = len(np.unique(groups))
        what = "groups, each kept whole," if options.split == "group" else "distinct inputs, repeats kept together,"
        among = f" of {kinds} {what}" if kinds < len(rows) else ""
    if not len(held) or not len(kept):
        raise DataError(
            f"{rows.source}: {len(rows)} rows{among} are too few to hold out {share:.0%} of them; add rows, or "
            "give files for the other parts (valid=, test=)"
        )
    return reading.take(rows, kept), reading.take(rows, held)


def check_parts(train: Rows, others: dict[str, Rows], given: set[str], options: ClassifyOptions) -> list[Finding]:
    """Faults of the parts; the rows of those that were not given apart are checked with the others already."""
    known = class_names(train.labels)
    found = []
    if len(known) < 2:
        found.append(
            Finding("error", f"{train.source}: the training part has the one label {known[0]!r}; split otherwise")
        )
    for name, rows in others.items():
        found += reading.check_rows(rows, options, known) if name in given else []
        found += check_absent(rows.labels, known, PARTS[name])
        learned = name == "valid" and options.refit
        if train.keys is not None and rows.keys is not None and not learned:
            what = "text" if rows.media is None else "file"
            found += check_overlap(train.keys, rows.keys, rows.where, name, what)
    return found


def division_notes(rows: Rows, train: Rows, others: dict[str, Rows]) -> list[Finding]:
    """How many rows each part has, how frequent the labels are, and which of them a part lacks."""
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in {"training": train, **others}.items())
    counts = rows.labels.drop_nulls().value_counts(sort=True)
    shown = ", ".join(f"{label!r} {count:,}" for label, count in counts.head(12).rows())
    known = class_names(train.labels)
    absent = [each for name, part in others.items() for each in check_absent(part.labels, known, PARTS[name])]
    return [Finding("note", f"would split into {sizes}"), Finding("note", f"labels: {shown}"), *absent]
