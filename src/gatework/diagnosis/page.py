"""From a diagnosis to HTML: one file, without scripts and without the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.pages.parts import spoken
from gatework.pages.picture import look
from gatework.pages.templating import WON, template
from gatework.report import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gatework.diagnosis import Diagnosis

LEVELS = {"problem": WON[False], "hint": WON[None], "good": WON[True]}
MOST = 40  # parameters in the table


def render(found: Diagnosis) -> str:
    """The whole page as text."""
    return template("diagnose.html", "gatework.diagnosis").render(**page(found))


def page(found: Diagnosis) -> dict[str, Any]:
    """Everything that the template shows, by name."""
    problems = [each for each in found.findings if each.level == "problem"]
    count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
    return {
        "run": Path(found.run).name,
        "task": found.task,
        "verdict": f"{count} found" if problems else "No problem found",
        "judged": WON[not problems],
        "problems": problems,
        "others": [each for each in found.findings if each.level != "problem"],
        "levels": LEVELS,
        "data": found.data,
        "loss": plots.loss_curves(found.history) if len(found.history) > 1 else None,
        "gradients": gradient_curves(found.gradients) if found.gradients else None,
        "gates": gate_rows(found),
        "parameters": sorted(found.parameters.items(), key=lambda each: -each[1][0])[:MOST],
    }


def gradient_curves(gradients: dict[str, dict[str, np.ndarray]]) -> str:
    """Norms over the steps back from the end, on a logarithmic scale."""
    from gatework.explanation.pictures import above_it, drawn, log_scale

    def paint(axes: Axes) -> None:
        lines = [
            (f"{spoken(name)}: {state}", back) for name, states in gradients.items() for state, back in states.items()
        ]
        for place, (name, back) in enumerate(lines):
            values = np.where(back > 0, back, np.nan)
            axes.plot(np.arange(len(back)), values, **look(place), linewidth=1.3, label=name)
        log_scale(axes)
        axes.set(xlabel="steps back from the last that is read", ylabel="|| d loss / d state ||")
        above_it(axes, 2)

    return drawn(paint)


def gate_rows(found: Diagnosis) -> list[dict[str, Any]]:
    """Mean shares of each gate, and shares of units that are stuck."""
    return [
        {
            "part": gate.part,
            "name": gate.name,
            "closed": float(gate.closed.mean()),
            "open": float(gate.open.mean()),
            "stuck_closed": gate.stuck_closed,
            "stuck_open": gate.stuck_open,
        }
        for gate in found.gates
    ]
