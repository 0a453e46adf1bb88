"""What is wrong with a training, and which option to change: curves, gradients over time, gates.

Which file to open: watch.py (gradients by layer and step), gates.py, findings.py (what they mean), page.py.
"""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gatework.diagnosis import findings
from gatework.diagnosis.findings import Finding
from gatework.diagnosis.gates import Gate, gates_of
from gatework.diagnosis.watch import watched
from gatework.errors import OptionError
from gatework.explanation import opened
from gatework.explanation.result import plain
from gatework.tasks import origin
from gatework.training.environment import contained

if TYPE_CHECKING:
    from gatework.tasks.base import Source
    from gatework.tasks.estimator import Estimator
    from gatework.tasks.jobs import Trained
    from gatework.training.run import Run

__all__ = ["Diagnosis", "diagnose"]


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What was found; see `gatework.diagnose`.

    `gradients` {layer: {state: (T,)}} are mean norms of the loss's gradient by each state, [0] at the last step read;
    `parameters` {name: (norm of the gradient, norm of the values)}; `data` says which rows they are of, "" for none.
    """

    run: str
    task: str
    findings: list[Finding]
    history: list[dict[str, float]]
    gradients: dict[str, dict[str, np.ndarray]]
    parameters: dict[str, tuple[float, float]]
    gates: list[Gate]
    data: str

    def write(self, path: str | Path) -> Path:
        """Writes the page, one self-contained HTML file; gives its path."""
        from gatework.diagnosis import page
        from gatework.training import files

        files.write_bytes(Path(path), page.render(self).encode())
        return Path(path)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return plain(asdict(self))

    def _repr_html_(self) -> str:
        from gatework.diagnosis import page
        from gatework.pages.templating import framed

        return framed(page.render(self))

    def __repr__(self) -> str:
        """How much there is of what, without the arrays."""
        levels = Counter(each.level for each in self.findings)
        found = f"problems={levels['problem']}, hints={levels['hint']}, good={levels['good']}"
        return f"Diagnosis({self.run!r}, {found}, layers={len(self.gradients)}, gates={len(self.gates)})"

    def __str__(self) -> str:
        lines = []
        for each in sorted(self.findings, key=lambda found: ("problem", "hint", "good").index(found.level)):
            advice = f"\n      {each.advice}" + (f": {each.setting}" if each.setting else "") if each.advice else ""
            lines.append(f"{each.level + ':':9}{each.what}{advice}")
        return "\n".join(lines)


def diagnose(run: str | Path | Trained | Estimator, source: Source | None = None) -> Diagnosis:
    """What is wrong with a training: vanishing and exploding gradients, gates that never move, over- and underfitting.

        print(gatework.diagnose("runs/reviews", "reviews.csv"))
        gatework.diagnose(estimator).findings[0].setting            # '--set dropout=0.3'

    Arguments
        run         a run folder, what `jobs.load` gave, or a fitted estimator
        source      rows with labels (or series that go on) for gradients and gates; without it the file that the run
                    learned from, if it is still there unchanged; else only the curves are judged

    Raises FileFormatError for a damaged run, DataError for rows that the run cannot measure on.
    """
    trained = opened(run)
    options, history = trained.run.options, trained.run.history()
    usual = type(trained.task.options)().to_dict()
    results = results_of(trained.run)
    standing = findings.of_standing(results, options, usual)
    curves = [each for each in findings.of_curves(history, options, usual) if not standing or each.level != "good"]
    found = [*standing, *findings.of_hints(results), *curves, *findings.of_norms(history, options, usual)]
    examples, data = examples_of(trained, source)
    gradients, parameters, gates = ({}, {}, []) if examples is None else measured(trained, examples)
    found += (
        findings.of_times(gradients, options)
        + findings.of_parameters(parameters, options)
        + findings.of_gates(gates, options, usual)
    )
    if examples is None:
        text = "Gradients over time and gates were not looked at: the run keeps no data"
        found.append(Finding("hint", text, f"name a file: gatework diagnose {shlex.quote(str(trained.run.path))} FILE"))
    return Diagnosis(str(trained.run.path), trained.run.task, found, history, gradients, parameters, gates, data)


def results_of(run: Run) -> dict[str, Any]:
    """What the run measured; nothing where its training did not come to an end."""
    return run.results() if run.finished else {}


def examples_of(trained: Trained, source: Source | None) -> tuple[Any, str]:
    """Rows to look at: the validation part of what the run learned from, also where `source` is just that, or else the
    rows of the source; None where there are none."""
    try:
        path, (valid, test) = origin.training_file(trained.run, source), origin.other_files(trained.run)
    except OptionError:
        if source is None:
            return None, ""
        return trained.task.examples(source), _named(source)
    fresh = type(trained.task)(trained.task.options)
    return fresh.prepare(path, valid, test).valid, _named(valid) if valid else f"the validation part of {_named(path)}"


def _named(source: Source) -> str:
    name = origin.named(source)
    return "the rows given" if name == origin.MEMORY else origin.shown(name, folders=True)


@contained()
def measured(
    trained: Trained, examples: object
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, tuple[float, float]], list[Gate]]:
    """Gradients and gates of one batch, in evaluation mode."""
    from gatework.training.learner import Shard

    torch.manual_seed(trained.run.options["seed"])
    batch = trained.task.batches(examples, 0, Shard())[0]
    model = trained.model
    model.zero_grad()
    with watched(model) as parts:
        trained.task.loss(model, batch, {}).loss.backward()
    gradients = {part.name: {state: part.back(state) for state in part.pushes} for part in parts}
    parameters = {
        name: (float(each.grad.norm()), float(each.detach().norm()))
        for name, each in model.named_parameters()
        if each.grad is not None
    }
    model.zero_grad()
    return gradients, parameters, [gate for part in parts for gate in gates_of(part)]
