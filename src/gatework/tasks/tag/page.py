"""What pages show of a tagger: marked sentences, tracks over positions, moves of tags, and how a run is used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gatework.pages import words
from gatework.pages.picture import COLOURS, FAINT, OURS, Picture, picture
from gatework.pages.picture import OTHER as LESS
from gatework.runtime.tags import schemes
from gatework.tasks.base import Page, Source, Task, Usage
from gatework.tasks.tag.examples import Batch, Examples
from gatework.tasks.tag.model import Tagger
from gatework.tasks.tag.options import TagExplaining
from gatework.tasks.tag.sections import LONG
from gatework.training.options import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gatework.tasks.jobs import Trained
    from gatework.tasks.subject import Subject

MOST_CELLS = 25  # tags of a matrix that is written out
MOST_PAIRS = 12
WIDE = 7.6  # inches
ROW = 300  # positions of a track in a line
NONE = "#e6e9ee"
SECTIONS = frozenset(
    {"part", "scheme", "lettered", "kinds", "confusions", "matrix", "frequency", "marked", "transitions", "labels"}
)
METRICS = (
    "Precision, recall and F1 are of whole spans: borders and kind must be right (as conlleval counts); accuracy is of "
    "single tokens."
)

words.know(
    {"f1": "F1", "accuracy_unseen": "accuracy on unseen words", "both_right": "label and tags right"},
    higher=("accuracy", "precision", "recall", "f1", "accuracy_unseen", "label_accuracy", "both_right"),
    shares=("accuracy_unseen", "label_accuracy", "both_right"),
)


class TagPages(Task[Examples, Batch, Tagger]):
    """The part of the task that pages and explanations ask for."""

    Explaining = TagExplaining

    @classmethod
    def page(cls, results: Mapping[str, Any], options: Mapping[str, Any]) -> Page:
        sections = results["sections"]
        plain, colours = sections["scheme"] == "plain", coloured(sections)
        short = [row for row in sections["marked"] if not is_long(row, sections)]
        names = {
            "plain": plain,
            "most_cells": MOST_CELLS,
            "most_pairs": MOST_PAIRS,
            "sentences": [marks(row, plain, colours, "" if sections["lettered"] else " ") for row in short],
            "tracks": [f"track{number}" for number in range(len(sections["marked"]) - len(short))],
        }
        counts = {"tags": "Tags of the training part"}
        return Page("page.html", names, SECTIONS, counts, "" if plain else METRICS)

    @classmethod
    def pictures(cls, sections: Mapping[str, Any]) -> dict[str, Picture]:
        long = [row for row in sections["marked"] if is_long(row, sections)]
        colours = coloured(sections)
        found = {name: track(name, row, colours) for number, row in enumerate(long) if (name := f"track{number}")}
        if sections["transitions"] is not None:
            found["transitions"] = transitions(sections["transitions"])
        return found

    @classmethod
    def usage(cls, run: str, new: str, options: Mapping[str, Any]) -> Usage:
        quoted = shlex.quote(run)
        commands = [
            f"gatework predict {quoted} {new}",
            f'echo "A new sentence." | gatework predict {quoted} --format spans',
        ]
        python = [
            "import gatework",
            f"model = gatework.SequenceTagger.load({run!r})",
            'model.predict([["A", "new", "sentence", "."]])',
            'model.predict_spans(["A new sentence."])',
        ]
        return Usage(commands, python)

    def subject(self, trained: Trained, given: Options, source: Source | None) -> Subject:
        from gatework.tasks.tag.explained import subject

        assert isinstance(given, TagExplaining)
        return subject(trained, given, source)


# -- marked sentences ---------------------------------------------------------------------------------------


def is_long(row: Mapping[str, Any], sections: Mapping[str, Any]) -> bool:
    """Whether a sentence is drawn as a track in place of written words."""
    return len(row["tokens"]) > LONG or (sections["lettered"] and sections["scheme"] == "plain")


class Owner(NamedTuple):
    """The span that a token is in: its first and last token and its kind; `NO_SPAN` for none."""

    first: int
    last: int
    kind: str


NO_SPAN = Owner(-1, -1, "")
SPAN = "span"  # of a scheme without kinds


def marks(row: Mapping[str, Any], plain: bool, colours: Mapping[str, str], between: str) -> dict[str, Any]:
    """A sentence in pieces that lie in one true span and in one predicted span: their text and the colours of both
    spans; behind a piece that ends one, the kinds of those that end. Of plain tags, only the wrong ones are marked.
    `between` stands between tokens."""
    tags = row["true"], row["predicted"]
    true, said = _wrong_tags(*tags) if plain else map(_owners, tags)
    pieces = []
    for (mine, its), group in groupby(zip(true, said, range(len(row["tokens"])), strict=True), key=lambda one: one[:2]):
        places = [place for _, _, place in group]
        ends = [owner.kind if owner.last == places[-1] else "" for owner in (mine, its)]
        pieces.append(
            {
                "text": between.join(row["tokens"][places[0] : places[-1] + 1]),
                "true": colours.get(mine.kind, "transparent"),
                "said": colours.get(its.kind, "transparent"),
                "right": mine == its,
                "ends": ends if any(ends) else None,
                "sure": min(row["confidence"][place] for place in places),
            }
        )
    return {"where": row["where"], "pieces": pieces, "right": all(piece["right"] for piece in pieces)}


def _owners(tags: Sequence[str | None]) -> list[Owner]:
    owners = [NO_SPAN] * len(tags)
    in_order = schemes.to_bioes(tags, np.array([len(tags)]), "BIOES")  # a softmax may say what is not
    for start, stop, kind in schemes.spans(in_order):
        owners[start:stop] = [Owner(start, stop - 1, kind or SPAN)] * (stop - start)
    return owners


def _wrong_tags(true: Sequence[str | None], said: Sequence[str]) -> tuple[list[Owner], list[Owner]]:
    """Wrong plain tags as spans of one token."""
    pairs = [(i, tag, other) for i, (tag, other) in enumerate(zip(true, said, strict=True))]
    wrong = [tag is not None and tag != other for _, tag, other in pairs]
    mine = [Owner(i, i, str(tag)) if bad else NO_SPAN for (i, tag, _), bad in zip(pairs, wrong, strict=True)]
    its = [Owner(i, i, other) if bad else NO_SPAN for (i, _, other), bad in zip(pairs, wrong, strict=True)]
    return mine, its


def coloured(sections: Mapping[str, Any]) -> dict[str, str]:
    """A colour for each kind of span or plain tag, the most frequent first; they come again where there are many."""
    kinds = [row["kind"] for row in sections["kinds"]]
    return {name or SPAN: COLOURS[number % len(COLOURS)] for number, name in enumerate(kinds)}


# -- pictures -----------------------------------------------------------------------------------------------


def track(name: str, row: Mapping[str, Any], colours: Mapping[str, str]) -> Picture:
    """Truth above answer, by colour, over the positions of a long sentence; below them how sure the model is."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    true, said = ([_kind(tag) for tag in row[key]] for key in ("true", "predicted"))
    shown = [kind for kind in dict.fromkeys(colours) if kind in {*true, *said}]
    rgb = {kind: to_rgb(colours[kind]) for kind in shown}
    starts = range(0, len(true), ROW)

    def paint(axes: Sequence[Axes]) -> None:
        panels = np.atleast_1d(np.asarray(axes, object))
        for panel, start in zip(panels, starts, strict=True):
            stop = min(start + ROW, len(true))
            for kinds, bottom in ((said, 1.08), (true, 1.36)):
                strip = [[rgb.get(kind, to_rgb(NONE)) for kind in kinds[start:stop]]]
                panel.imshow(strip, extent=(start + 0.5, stop + 0.5, bottom, bottom + 0.24), aspect="auto")
            panel.plot(range(start + 1, stop + 1), row["confidence"][start:stop], color=FAINT, linewidth=0.9)
            panel.set(xlim=(start + 0.5, start + min(ROW, len(true)) + 0.5), ylim=(0, 1.62))
            panel.set_yticks([0, 0.5, 1, 1.2, 1.48], ["0", "sure", "1", "answer", "truth"])
            panel.grid(visible=False)
        patches = [Patch(color=colours[kind], label=kind) for kind in shown[: len(COLOURS)]]
        panels[0].legend(handles=patches, frameon=False, ncols=8, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8)

    wrong = sum(tag is not None and tag != other for tag, other in zip(row["true"], row["predicted"], strict=True))
    known = sum(tag is not None for tag in row["true"])
    caption = f"{row['where']}: {known - wrong} of {known} right"
    return picture(name, caption, paint, (WIDE, 0.5 + 1.3 * len(starts)), len(starts))


def _kind(tag: str | None) -> str:
    """The kind of a tag of a span, or the plain tag itself."""
    if tag is None:
        return ""
    return tag[2:] if tag[1:2] == "-" else tag


def transitions(moves: Mapping[str, Any]) -> Picture:
    """Learned scores of moves between tags; grey: not allowed."""

    def paint(axes: Axes) -> None:
        from matplotlib.colors import LinearSegmentedColormap

        values = np.array(moves["matrix"], dtype=float)
        most = float(np.nanmax(np.abs(values), initial=1e-6))
        shades = LinearSegmentedColormap.from_list("moves", [LESS, "#ffffff", OURS]).with_extremes(bad=NONE)
        image = axes.imshow(values, cmap=shades, vmin=-most, vmax=most)
        axes.set(xlabel="to", ylabel="from")
        axes.grid(visible=False)
        rows, columns = ([_short(tag) for tag in moves[key]] for key in ("rows", "columns"))
        axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
        axes.set_yticks(range(len(rows)), rows, fontsize=8)
        axes.figure.colorbar(image, ax=axes, shrink=0.6, label="score")

    side = min(3 + 0.2 * len(moves["columns"]), 9.5)
    left = moves["tags"] + 1 - len(moves["columns"])
    some = f" (the {len(moves['columns']) - 1} most frequent of {moves['tags']} tags)" if left else ""
    return picture("transitions", f"What the network learned of moves from tag to tag{some}", paint, (side + 0.8, side))


def _short(tag: str) -> str:
    return tag if len(tag) <= 18 else tag[:17] + "…"
