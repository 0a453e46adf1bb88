"""An explanation: arrays, sentences, and a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatework.explanation.attribution import Attribution, Occlusion
from gatework.explanation.memory import Cut, Layer
from gatework.tasks.subject import Looked, Wording


@dataclass(frozen=True)
class Explanation:
    """Why a model answers as it does; see `gatework.explain`.

    Attributes
        run, task, source   which run, and what was explained
        answer, target      the model's answer, and the output that is explained (the answer's, if not asked otherwise)
        probability         the number people read: the target's probability, or the forecast
        steps               T names: words, characters, times
        series              (T, C) as read, for numbers; else None
        attribution         `.steps` (T,), `.parts` by part of the model, `.error`
        occlusion           `.windows`, `.effect` (W,), `.shown` (W,)
        layers              a `Layer` for each layer and direction: `.values`, `.states`, `.reach`
        looked              `.rows` (R,), `.weights` (R, T): what attention put on the steps; None where there is none
        cut                 `.lengths`, `.shown`, `.answers`
        sentences           what all this says
    """

    run: str
    task: str
    source: str
    answer: str
    target: str
    probability: float
    steps: list[str]
    series: np.ndarray | None
    channels: list[str]
    attribution: Attribution
    occlusion: Occlusion
    layers: list[Layer]
    cut: Cut
    words: Wording
    looked: Looked | None
    seconds: float
    sentences: list[str]

    def __len__(self) -> int:
        return len(self.steps)

    def top(self, count: int = 1) -> list[int]:
        """The steps with the largest effect when taken away, the largest first (a window counts as its first step)."""
        order = np.argsort(-np.abs(self.occlusion.effect), kind="stable")[:count]
        return [self.occlusion.windows[k][0] for k in order]

    def write(self, path: str | Path) -> Path:
        """Writes the page, one self-contained HTML file; gives its path."""
        from gatework.explanation import page
        from gatework.training import files

        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, page.render(self).encode())
        return path

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; heat maps as lists."""
        return plain({**vars(self), "attribution": vars(self.attribution), "occlusion": vars(self.occlusion)})

    def _repr_html_(self) -> str:
        from gatework.explanation import page
        from gatework.pages.templating import framed

        return framed(page.render(self))


def plain(value: object) -> Any:
    """Arrays and records as lists and dicts; numbers that are not finite as None."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, Looked):
        return plain(value._asdict())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return plain(vars(value)) if hasattr(value, "__dataclass_fields__") else value
