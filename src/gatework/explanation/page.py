"""From an explanation to HTML: one file, without scripts and without the network; units are sorted by CSS alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.explanation import pictures
from gatework.explanation.sentences import FIRST
from gatework.pages.templating import WON, template

if TYPE_CHECKING:
    from gatework.explanation.memory import Layer
    from gatework.explanation.result import Explanation

TOP = 10  # steps in the table
MOST_UNITS = 256  # rows of a heat map; of more units those that move most are shown
HEIGHTS = ((24, 9), (48, 6), (96, 4), (160, 3), (MOST_UNITS, 2))  # (units at most, pixels of a row)


def render(found: Explanation) -> str:
    """The whole page as text."""
    return template("explain.html", "gatework.explanation").render(**page(found))


def page(found: Explanation) -> dict[str, Any]:
    """Everything that the template shows, by name."""
    reached = [layer for layer in found.layers if layer.reach is not None]
    lives = any(state.half_life is not None for layer in found.layers for state in layer.states)
    text = found.words.what == "text"
    return {
        "run": Path(found.run).name,
        "task": found.task,
        "source": found.source,
        "verdict": found.sentences[0],
        "judged": WON[None],
        "first": found.sentences[1:FIRST],
        "more": found.sentences[FIRST:],
        "words": found.words,
        "tokens": tokens(found, found.attribution.steps) if text else None,
        "space": found.words.space,
        "without": tokens(found, found.occlusion.per_step(len(found))) if text else None,
        "curve": None if text and len(found) < 60 else pictures.steps_curve(found),
        "looked": None if found.looked is None else pictures.attention(found.looked, found),
        "table": table(found),
        "cut": pictures.cut_curve(found) if len(found) > 1 else None,
        "reach": pictures.reach_curve(reached) if reached and len(found) > 1 else None,
        "life": pictures.life_curve(found.layers) if lives else None,
        "states": [row for layer in found.layers for row in state_rows(layer)],
        "layers": [layer_maps(found, layer, number) for number, layer in enumerate(found.layers)],
        "attribution": found.attribution,
        "occlusion": found.occlusion,
        "seconds": found.seconds,
        "count": len(found),
    }


def tokens(found: Explanation, values: np.ndarray) -> list[tuple[str, str, float, float]]:
    """Each unit of a text with its value, as shown: text, "for" or "against", strength 0 to 1, value."""
    most = float(np.abs(values).max()) or 1.0
    return [
        (visible(step), "for" if value > 0 else "against", round(abs(value) / most, 3), float(value))
        for step, value in zip(found.steps, values, strict=True)
    ]


def visible(unit: str) -> str:
    """A line break as a sign, before it breaks the line."""
    return unit.replace("\n", "⏎\n")


def table(found: Explanation) -> dict[str, Any]:
    """The steps with the largest attributions, with both methods and the parts of the model."""
    order = np.argsort(-np.abs(found.attribution.steps), kind="stable")[:TOP]
    parts = found.attribution.parts if len(found.attribution.parts) > 1 else {}
    per_step = found.occlusion.per_step(len(found))
    left = np.repeat(found.occlusion.shown, [stop - start for start, stop in found.occlusion.windows])
    rows = [
        {
            "place": int(i) + 1,
            "name": visible(found.steps[i]).strip() or repr(found.steps[i]),
            "value": float(found.attribution.steps[i]),
            "parts": [float(part[i]) for part in parts.values()],
            "fall": float(per_step[i]),
            "left": float(left[i]),
        }
        for i in order
    ]
    return {"rows": rows, "parts": list(parts)}


def state_rows(layer: Layer) -> list[dict[str, Any]]:
    """What the table of states says of each."""
    rows = []
    for state in layer.states:
        row: dict[str, Any] = {"layer": layer.name, "state": state.name, "factor": None}
        if state.factor is not None and state.half_life is not None:
            row["factor"] = float(state.factor.mean())
            row["lives"] = [float(q) for q in np.quantile(state.half_life, [0.1, 0.5, 0.9], method="lower")]
        rows.append(row)
    return rows


def layer_maps(found: Explanation, layer: Layer, number: int) -> dict[str, Any]:
    """The heat maps of a layer: images, and in which order its units can be shown."""
    output = layer.values[layer.states[0].name]
    units = output.shape[1]
    shown = np.sort(np.argsort(-output.std(0), kind="stable")[:MOST_UNITS])
    maps = []
    for name, values in layer.values.items():
        chosen = values[:, shown] if values.shape[1] == units else values[:, :MOST_UNITS]
        image, meaning = pictures.heat(chosen)
        maps.append(
            {
                "name": name,
                "image": image,
                "meaning": meaning,
                "said": said(chosen, found.steps),
                "units": chosen.shape[1],
                "sorted": values.shape[1] == units,
            }
        )
    states = {state.name for state in layer.states}
    maps.sort(key=lambda each: each["name"] in states)
    height = next((pixels for most, pixels in HEIGHTS if len(shown) <= most), 2)
    return {
        "id": number,
        "name": layer.name,
        "cell": layer.cell,
        "reverse": layer.reverse,
        "maps": maps,
        "height": height,
        "units": units,
        "shown": len(shown),
        "orders": orders(layer, shown),
        "ticks": ticks(found),
    }


def said(values: np.ndarray, steps: Sequence[str]) -> str:
    """A map (T, H) in words, for those who cannot see it."""
    mean = values.mean(1)
    high, low = (f"{at + 1} ({steps[at]})" for at in (int(mean.argmax()), int(mean.argmin())))
    span = f"from {values.min():.3g} to {values.max():.3g}, mean {mean.mean():.3g}"
    return (
        f"{values.shape[1]} units over {len(values)} steps, {span}; the mean is highest at step {high}, lowest at {low}"
    )


def orders(layer: Layer, shown: np.ndarray) -> dict[str, list[int]]:
    """Orders of the units: name -> the place of each."""
    output = np.abs(layer.values[layer.states[0].name][:, shown])
    life = next((s.half_life for s in layer.states if s.half_life is not None), None)
    keys = {
        "number": np.arange(len(shown)),
        "size of the output": -output.mean(0),
        "time of its peak": output.argmax(0),
    }
    if life is not None and len(life) >= len(shown):
        keys["half-life"] = -life[shown]
    return {name: np.argsort(np.argsort(key, kind="stable"), kind="stable").tolist() for name, key in keys.items()}


def ticks(found: Explanation) -> list[str]:
    """What stands under a map: its first, middle and last step."""
    places = sorted({0, len(found) // 2, len(found) - 1})
    return [
        f"{place + 1}: {found.steps[place]}" if found.words.what != "sequence" else str(place + 1) for place in places
    ]
