"""What a voice's report shows beside results: a few texts to hear and to see, and tables by speaker and by text."""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gatework.data.media import sounds
from gatework.data.media.items import Item
from gatework.errors import GateworkError
from gatework.tasks.speak import measures
from gatework.tasks.speak.baselines import Templates
from gatework.tasks.speak.examples import Examples
from gatework.tasks.speak.saying import Said, Saying
from gatework.tasks.speak.sounding import softened

MOST = 1_000  # recordings that are looked at, spread over all
FEW, LONGEST = 6, 8.0  # texts that can be heard, and the seconds of those that are chosen
ROWS = 15  # of a table
GREY = 255  # of a spectrogram's levels


class Told(NamedTuple):
    """Of n recordings what was said anew, and the sums of it and of the templates."""

    said: list[Said]
    model: np.ndarray
    template: np.ndarray


def sections(part: str, examples: Examples, templates: Templates, saying: Saying) -> dict[str, Any]:
    """All of it, JSON-able.

    Args:
        part: "valid" or "test", the part that `examples` are.
        templates: of the training part.
        saying: the trained network.
    """
    rows = np.unique(np.linspace(0, len(examples) - 1, min(MOST, len(examples))).astype(np.int64))
    examples = examples.take(rows)
    told = _told(examples, templates, saying)
    utterances = examples.utterances
    found = {
        "part": part,
        "recordings": len(examples),
        "few": _few(examples, told, saying),
        "speakers": _by(utterances.speakers, told),
        "texts": _by(utterances.texts, told),
        "seconds": _seconds(examples, told, saying),
        "unended": sum(not each.stopped for each in told.said),
    }
    return found | {"hints": hints(found["unended"], len(examples))}


def hints(unended: int, count: int) -> list[dict[str, str]]:
    """What to do where texts do not come to an end, as `Task.sections` gives hints."""
    if unended <= 0.05 * count:
        return []
    return [
        {
            "what": f"{unended:,} of {count:,} texts did not come to an end by themselves",
            "advice": "train longer, or let an end count more",
            "setting": "stop_weight=3",
        }
    ]


def _told(examples: Examples, templates: Templates, saying: Saying) -> Told:
    assert examples.frames is not None
    said, true = saying(examples), list(examples.frames)
    model = measures.sums(measures.distances([each.frames for each in said], true), [each.stopped for each in said])
    template = np.full((len(true), 4), np.nan)
    for row, each in enumerate(templates(examples)):
        if each is not None:
            template[row] = measures.sums(measures.distances([each], [true[row]]), [True])
    return Told(said, model, template)


def _by(names: Sequence[str], told: Told) -> list[dict[str, Any]]:
    """Distances of model and template and the share of texts that ended, by what rows are called, the worst first."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        rows[name].append(row)
    found = [
        {
            "name": name,
            "recordings": len(own),
            "model": _value(told.model[own], "mcd"),
            "template": _value(told.template[own], "mcd"),
            "ended": _value(told.model[own], "ended"),
        }
        for name, own in rows.items()
    ]
    return sorted(found, key=lambda row: -(row["model"] or 0))[:ROWS] if len(found) > 1 else []


def _value(sums: np.ndarray, metric: str) -> float | None:
    there = sums[np.isfinite(sums).all(1)]
    return round(float(measures.score(there.sum(0), metric)), 3) if len(there) else None


def _seconds(examples: Examples, told: Told, saying: Saying) -> dict[str, float]:
    """Mean length of what was said and of what was recorded."""
    hop = saying.codecs.options.hop_ms / 1000
    said, true = (
        float(np.mean(lengths)) * hop for lengths in ([len(each.frames) for each in told.said], examples.lengths)
    )
    return {"said": round(said, 3), "true": round(true, 3)}


def _few(examples: Examples, told: Told, saying: Saying) -> list[dict[str, Any]]:
    """Texts of different words and speakers, each to hear and to see beside its recording."""
    from gatework.runtime.sounds.inverse import Inverse

    codecs, utterances = saying.codecs, examples.utterances
    inverse, found = Inverse(codecs.mel), []
    for row in _chosen(examples, codecs.options.hop_ms):
        assert examples.frames is not None and utterances.listing is not None
        said, true = told.said[row], np.asarray(examples.frames[row])
        levels = _levels(said.frames, true)
        found.append(
            {
                "where": utterances.where(row),
                "text": utterances.texts[row],
                "speaker": utterances.speakers[row],
                "distance": _value(told.model[[row]], "mcd"),
                "said": wav(inverse.samples(said.frames), codecs.mel.rate),
                "recorded": _recording(
                    utterances.listing.items[row], codecs.mel.rate, lambda true=true: inverse.samples(true)
                ),
                "said_levels": levels(said.frames),
                "recorded_levels": levels(true),
                "looks": np.round(said.looks, 3).tolist(),
                "units": [*codecs.text.units(utterances.texts[row])],
            }
        )
    return found


def _chosen(examples: Examples, hop_ms: float) -> list[int]:
    """Rows that are short enough, of speakers and texts that were chosen least."""
    short = np.flatnonzero(examples.lengths * hop_ms / 1000 <= LONGEST).tolist()
    rows, speakers, texts = [], Counter(), Counter()
    while short and len(rows) < FEW:
        pairs = examples.utterances.pairs
        row = min(short, key=lambda row: (speakers[pairs[row][1]], texts[pairs[row][0]], row))
        rows.append(row)
        short.remove(row)
        texts[pairs[row][0]] += 1
        speakers[pairs[row][1]] += 1
    return rows


def _recording(item: Item, rate: int, otherwise: Callable[[], np.ndarray]) -> str:
    """The recording itself; where its file is gone by now, what its frames sound like."""
    try:
        samples = sounds.load(item, rate)
    except GateworkError:
        samples = otherwise()
    return wav(samples, rate)


def wav(samples: np.ndarray, rate: int) -> str:
    """A sound as base 64 of a wav file."""
    return base64.b64encode(sounds.encoded(softened(samples), rate)).decode()


def _levels(*frames: np.ndarray) -> Callable[[np.ndarray], list[list[int]]]:
    """What makes whole numbers of energies, silence 0 and the loudest of these 255, over 80 dB."""
    top = max(float(each.max()) for each in frames)
    low = top - 8 * np.log(10)

    def levels(each: np.ndarray) -> list[list[int]]:
        return np.clip((each - low) / (top - low) * GREY, 0, GREY).round().astype(int).tolist()

    return levels
