"""Search for settings: `gatework.tune` tries many, keeps the best, and says honestly what that was worth.

space.py (what varies), places.py (a journal or a database), study.py (its trials), evaluate.py (one training, or one
for each fold), cross.py (folds, beside baselines), search.py (workers), finals.py (fresh seeds, comparison with the
defaults), page.py, plots.py, words.py (tune.html).
What a task's search varies stands in its own folder, in space.toml.
"""

from __future__ import annotations

__all__ = ["cross_validate", "tune", "validate"]

from gatework.tuning.cross import cross_validate
from gatework.tuning.cross import cross_validate as validate
from gatework.tuning.entry import tune
