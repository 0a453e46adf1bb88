"""What the numbers of a training mean, each with the option to change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatework.diagnosis.gates import Gate
from gatework.pages.parts import spoken
from gatework.tasks.verdict import of_role
from gatework.training.learner import NETWORK_LOSS, cut_short, learned_too, like_training, still_falling

FAR, FADED, GROWN = 8, 1e-3, 1e3  # steps below which nothing is said of time; ratios that count as gone, as grown
RISE, GAP, FLAT = 0.05, 0.5, 0.02  # of a loss: a rise after its lowest, a gap, a fall that is none
SATURATED = 0.9  # share of a gate's values
MANY = 0.2  # share of a gate's units
BIG = 100.0  # a gradient's norm
FEW = 10  # epochs that a training has at least, where the task settles their number
BARELY = 0.02  # better than a baseline by a smaller part of it counts as no better
UNUSUAL = {"learning_rate": (0.1, 10.0), "hidden_size": (0.2, None), "epochs": (0.4, None)}  # parts of the default


@dataclass(frozen=True)
class Finding:
    """What was seen, what to do, and the option that does it ("" where there is none)."""

    level: str  # "problem", "hint" or "good"
    what: str
    advice: str = ""
    setting: str = ""


def of_standing(results: Mapping[str, Any], options: Mapping[str, Any], usual: Mapping[str, Any]) -> list[Finding]:
    """Whether a simple method is better, or even the weakest is as good, or the network adds nothing to the simple part
    of its model; which settings are far from the usual."""
    metric = results.get("metric") or {"name": "", "higher": True}
    own = (results.get("test") or results.get("valid") or {}).get(metric["name"])
    others = [(each["metrics"].get(metric["name"]), each["name"]) for each in of_role(results, "baseline")]
    others = [(value, name) for value, name in others if _known(value)]
    if not others or not isinstance(own, int | float):
        return []
    worst, best = (min, max) if metric["higher"] else (max, min)
    sign = 1 if metric["higher"] else -1
    value, name = worst(others)
    if sign * (own - value) <= BARELY * abs(value):
        text = f"The model is no better than the weakest baseline: {metric['name']} {own:.4g} against {value:.4g} of "
        look = "if nothing else here says why, look at the data: gatework check names rows that are wrong"
        return [Finding("problem", text + name, *_as_usual(options, usual, look))]
    value, name = best(others)
    search = "search for better settings with gatework tune, or take the simpler method"
    if sign * (value - own) > BARELY * abs(value):
        text = f"A simpler method is better: {metric['name']} {own:.4g} against {value:.4g} of {name}"
        return [Finding("hint", text, *_as_usual(options, usual, search))]
    if (results.get("comparison") or {}).get("earned") == "simple":
        return [Finding("hint", results["verdict"].rstrip("."), *_as_usual(options, usual, search))]
    return []


def of_hints(results: Mapping[str, Any]) -> list[Finding]:
    """What the task itself sees in its results (see `Task.sections`)."""
    return [Finding("hint", **each) for each in (results.get("sections") or {}).get("hints") or []]


def _as_usual(options: Mapping[str, Any], usual: Mapping[str, Any], otherwise: str) -> tuple[str, str]:
    """Defaults in place of settings that are far from them; `otherwise` where none is."""
    odd = [name for name in UNUSUAL if _far(name, options, usual)]
    if not odd:
        return otherwise, ""
    said = " and ".join(f"{name}={options[name]:g}" for name in odd)
    back = "go back to the defaults" if len(odd) > 1 else "go back to the default"
    settings = " ".join(f"--set {name}={_default(name, usual):g}" for name in odd)
    return f"{back}, {said} {'are' if len(odd) > 1 else 'is'} far from it", settings


def _default(name: str, usual: Mapping[str, Any]) -> Any:
    """An option's default; of the epochs that a task settles, the fewest that it takes."""
    return FEW if name == "epochs" and name in usual and not usual[name] else usual.get(name)


def _far(name: str, options: Mapping[str, Any], usual: Mapping[str, Any]) -> int:
    """-1 where a setting is far below its default, 1 where it is far above, else 0."""
    value, default = options.get(name), _default(name, usual)
    if not isinstance(value, int | float) or not isinstance(default, int | float) or not default:
        return 0
    low, high = UNUSUAL[name]
    return -1 if value <= low * default else 1 if high is not None and value >= high * default else 0


def of_curves(
    history: Sequence[Mapping[str, float]], options: Mapping[str, Any], usual: Mapping[str, Any] | None = None
) -> list[Finding]:
    """Over- and underfitting, from the losses of the epochs that did not learn the validation part too: the network's
    own, where it is not the whole model."""
    rows = [row for row in history if _known(row.get("train_loss")) and _known(row.get("valid_loss"))]
    if not rows and any(map(learned_too, history)):
        return [Finding("hint", "Every epoch learned the validation part too: the curves cannot be judged")]
    if len(rows) < 2:
        text = f"{len(rows) or 'No'} epoch{'s' if not rows else ''} with losses: too few to judge the curves"
        return [Finding("hint", text, *_epochs(options, len(history), usual or {}))]
    train, valid = [row["train_loss"] for row in rows], [like_training(row) for row in rows]
    whose = "network's " if any(f"valid_{NETWORK_LOSS}" in row for row in rows) else ""
    found = []
    if train[0] - min(train) < FLAT * abs(train[0]):
        text = f"The network's training loss hardly fell, from {train[0]:.4g} to {min(train):.4g}: it learned little"
        found.append(Finding("problem", text, *_other_steps(options, usual or {})))
    epoch = rows[valid.index(min(valid))]["epoch"]
    found += _overfitted(valid, epoch, whose, options) or _apart(train, valid, options)
    if still_falling(valid) and not found:
        text = f"The {whose}validation loss was still falling at the end ({valid[-2]:.4g} to {valid[-1]:.4g}): "
        found.append(Finding("problem", f"{text}underfitted", *_epochs(options, len(history), usual or {})))
    elif cut_short(rows) and not found:
        text = f"The {whose}validation loss still fell when the schedule made the steps small: underfitted"
        found.append(Finding("problem", text, *_epochs(options, len(history), usual or {})))
    if not found and _far("epochs", options, usual or {}) < 0:
        text = f"{len(rows)} epochs are few to judge the curves by: the {whose}validation loss is {min(valid):.4g}"
        found.append(Finding("hint", text, *_epochs(options, len(history), usual or {})))
    return found or [Finding("good", f"No over- or underfitting to speak of: {whose}validation loss {min(valid):.4g}")]


def _overfitted(valid: list[float], epoch: float, whose: str, options: Mapping[str, Any]) -> list[Finding]:
    lowest = min(valid)
    if valid[-1] - lowest <= RISE * abs(lowest):
        return []
    text = f"Overfitted: the {whose}validation loss was lowest in epoch {epoch:.0f} ({lowest:.4g}) and rose to "
    return [Finding("problem", text + f"{valid[-1]:.4g}", "drop more units, or give more data", _more(options))]


def _apart(train: list[float], valid: list[float], options: Mapping[str, Any]) -> list[Finding]:
    """Whether the network knows its rows far better than others; both losses are its own."""
    if valid[-1] - train[-1] <= GAP * abs(valid[-1]) or min(valid) == valid[-1]:
        return []
    text = f"The gap between the network's training ({train[-1]:.4g}) and validation loss ({valid[-1]:.4g}) is large, "
    text += "and no longer closes: it knows its rows by heart"
    return [Finding("hint", text, "drop more units", _more(options))]


def of_norms(
    history: Sequence[Mapping[str, float]], options: Mapping[str, Any], usual: Mapping[str, Any] | None = None
) -> list[Finding]:
    """What the norms that the training wrote down say of exploding gradients; no data is needed."""
    norms = [row["gradient_norm"] for row in history if _known(row.get("gradient_norm"))]
    if not norms:
        return []
    clip = options.get("clip") or math.inf
    text = f"the norm of the gradient was {np.median(norms):.3g} in the median epoch, {max(norms):.3g} at most"
    if max(norms) > BIG:
        advice = _other_steps(options, usual or {}) if _far("learning_rate", options, usual or {}) > 0 else None
        return [Finding("problem", f"Exploding gradients in training: {text}", *(advice or _smaller(options)))]
    clipped = f" (clipped at {clip:g})" if max(norms) > clip else ""
    return [Finding("good", f"Gradients stayed finite in training: {text}{clipped}")]


def of_times(gradients: Mapping[str, Mapping[str, np.ndarray]], options: Mapping[str, Any]) -> list[Finding]:
    """How the loss's gradient by each state of each layer changes with the steps back from the end; all that vanish are
    one finding, since one option changes them."""
    backs = {
        f"{spoken(name)}, state {state}": back for name, states in gradients.items() for state, back in states.items()
    }
    gone = {where: felt for where, back in backs.items() if (felt := _felt(back))}
    found = [of_time(where, back, options) for where, back in backs.items() if len(gone) < 2 or where not in gone]
    if len(gone) > 1:
        places = "; ".join(f"the last {felt} of {len(backs[where])} steps ({where})" for where, felt in gone.items())
        text = f"The gradient vanishes in {len(gone)} states: less than 1% of it is left beyond {places}"
        found.insert(0, Finding("problem", text, *_longer(options)))
    return found


def _felt(back: np.ndarray) -> int:
    """The last steps over which a gradient that vanishes is felt; 0 for one that does not vanish."""
    if (
        not np.isfinite(back).all()
        or len(back) < FAR
        or not back[-max(len(back) // 10, 1) :].mean() < FADED * back.max()
    ):
        return 0
    return int(np.flatnonzero(back >= 0.01 * back.max()).max()) + 1


def of_time(where: str, back: np.ndarray, options: Mapping[str, Any]) -> Finding:
    """How the loss's gradient by one state changes with the steps back from the end."""
    steps = len(back)
    if not np.isfinite(back).all():
        return Finding("problem", f"{where}: the gradient is not finite", *_smaller(options))
    most = back.max()
    if most == 0:
        return Finding("hint", f"{where}: the loss does not depend on it")
    if steps < FAR:
        return Finding("good", f"{where}: {steps} steps are too few for a gradient to vanish or explode")
    end = back[-max(steps // 10, 1) :].mean()
    if felt := _felt(back):
        text = f"{where}: the gradient vanishes; beyond the last {felt} of {steps} steps less than 1% of it is left"
        return Finding("problem", text, *_longer(options))
    if end > GROWN * back[: max(steps // 10, 1)].mean() > 0:
        text = (
            f"{where}: the gradient grows {end / back[: max(steps // 10, 1)].mean():.3g} times over {steps} steps back"
        )
        return Finding("problem", text, *_smaller(options))
    return Finding("good", f"{where}: over {steps} steps the gradient keeps {end / most:.1%} of its largest norm")


def of_gates(
    gates: Sequence[Gate], options: Mapping[str, Any], usual: Mapping[str, Any] | None = None
) -> list[Finding]:
    """Gates of which many units never move, or whose values are all near 0 or 1."""
    full = [gate for gate in gates if _ends(gate) >= SATURATED]
    found = [_saturated(full, options, usual or {})] if full else []
    for gate in gates:
        if any(gate is each for each in full):
            continue
        for share, side in ((gate.stuck_closed, "closed (below 0.01)"), (gate.stuck_open, "open (above 0.99)")):
            if share >= MANY:
                text = f"{spoken(gate.part)}, gate {gate.name}: {share:.0%} of the units are almost always {side}"
                found.append(Finding("problem", text, "use fewer units, or smaller weights", _fewer(options)))
    which = (
        f"None of the {len(gates)} gates is"
        if len(gates) > 1
        else f"The only gate, {gates[0].name}, is not"
        if gates
        else ""
    )
    return found or ([Finding("good", f"{which} stuck open or closed")] if gates else [])


def _ends(gate: Gate) -> float:
    """Share of a gate's values that are at one of its ends."""
    return float((gate.closed + gate.open).mean())


def _saturated(gates: Sequence[Gate], options: Mapping[str, Any], usual: Mapping[str, Any]) -> Finding:
    least = min(_ends(gate) for gate in gates)
    named = ", ".join(f"{spoken(gate.part)} {gate.name}" for gate in gates)
    text = (
        f"Saturated gates ({named}): {least:.0%} or more of their values are below 0.01 or above 0.99, where hardly a "
    )
    far = _far("learning_rate", options, usual) > 0
    setting = _other_steps(options, usual)[1] if far else _set(options, "learning_rate", 0.3)
    return Finding("problem", f"{text}gradient passes", "take smaller steps, so that weights stay small", setting)


def of_parameters(norms: Mapping[str, tuple[float, float]], options: Mapping[str, Any]) -> list[Finding]:
    """Parameters without a gradient, or with one that is not finite."""
    lost = [spoken(name) for name, (gradient, _) in norms.items() if not math.isfinite(gradient)]
    still = [spoken(name) for name, (gradient, _) in norms.items() if gradient == 0]
    found = [Finding("problem", f"The gradient of {name} is not finite", *_smaller(options)) for name in lost]
    if still:
        found.append(Finding("hint", f"No gradient reaches {', '.join(still[:5])}: nothing is learned there"))
    return found


def _known(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _set(options: Mapping[str, Any], name: str, factor: float) -> str:
    value = options.get(name)
    if not value or not isinstance(value, int | float):
        return ""
    return f"--set {name}={round(value * factor) if isinstance(value, int) else f'{value * factor:.3g}'}"


def _epochs(options: Mapping[str, Any], done: int, usual: Mapping[str, Any]) -> tuple[str, str]:
    """More epochs, the default at least; more time, where it was that which ended the training."""
    if options.get("time_limit") and done < options["epochs"]:
        return "the time limit ended the training; give it more", _set(options, "time_limit", 3)
    return "train longer", f"--set epochs={max(2 * options['epochs'], _default('epochs', usual) or 0)}"


def _other_steps(options: Mapping[str, Any], usual: Mapping[str, Any]) -> tuple[str, str]:
    """Smaller steps where they are far larger than by default, more where they are far fewer, else larger ones."""
    if _far("learning_rate", options, usual) > 0:
        return "take smaller steps", f"--set learning_rate={usual['learning_rate']:g}"
    if _far("epochs", options, usual) < 0:
        return "train longer", f"--set epochs={_default('epochs', usual)}"
    return "take larger steps", _set(options, "learning_rate", 3.0)


def _more(options: Mapping[str, Any]) -> str:
    """A setting against overfitting: more dropout while there is room, else weight decay."""
    rate = options.get("dropout")
    if isinstance(rate, int | float) and rate < 0.5:
        return f"--set dropout={min(rate + 0.2, 0.6):.2g}"
    return _set(options, "weight_decay", 3) or ("--set weight_decay=0.01" if "weight_decay" in options else "")


def _smaller(options: Mapping[str, Any]) -> tuple[str, str]:
    clip = options.get("clip")
    if "clip" in options and (not clip or clip > 1):
        return "clip the gradient", "--set clip=1"
    return "take smaller steps", _set(options, "learning_rate", 0.3)


def _longer(options: Mapping[str, Any]) -> tuple[str, str]:
    """What carries gradients further: a cell with a gate, pooling over steps, a shorter input."""
    if options.get("pooling") == "last":  # on 250 steps this helps at once, where a cell with a gate does not
        return "let every step reach the answer", "--set pooling=max"
    if str(options.get("cell", "")).startswith(("rnn", "lstm_candidate", "lstm_second")):
        return "take a cell whose state is carried by a gate", "--set cell=lstm"
    if options.get("decoding", "segments") != "segments":
        return "if older steps matter, bring them nearer: read several as one", "--set decoding=segments"
    return "if older steps matter, try a cell that forgets less", "--set cell=lstm_1997"


def _fewer(options: Mapping[str, Any]) -> str:
    size = options.get("hidden_size")
    return f"--set hidden_size={max(size // 2, 1)}" if isinstance(size, int) else ""
