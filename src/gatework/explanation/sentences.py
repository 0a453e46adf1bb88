"""What an explanation's numbers say, in sentences; no more than they say."""

from __future__ import annotations

import numpy as np

from gatework.explanation.attribution import RELIABLE, Attribution, Occlusion
from gatework.explanation.memory import Cut, Layer
from gatework.pages.parts import spoken
from gatework.tasks.subject import Subject

NOTABLE = 0.1  # a part of all attributions below which a step is not named
MOST_NAMED = 3
FIRST = 4  # sentences that everybody should read
DIGITS = range(1, 7)  # after the point of a percentage


def sentences(
    subject: Subject, shown: float, attribution: Attribution, occlusion: Occlusion, layers: list[Layer], cut: Cut
) -> list[str]:
    """In the order of the page: answer, steps (`FIRST` sentences in all, never fewer), then parts, memory, checks."""
    texts = [" ".join([said(subject, shown), *subject.words.beside]), plainly(subject, attribution)]
    texts += [carried(subject, attribution), taken_away(subject, occlusion, shown)]
    texts += [divided(subject, attribution), how_far_back(subject, cut), *(remembered(layer) for layer in layers)]
    texts += [faded(layers), agreement(attribution, occlusion), complete(attribution)]
    return [text for text in texts if text]


def said(subject: Subject, shown: float) -> str:
    """The answer, and the number that people read."""
    words = subject.words
    if words.valued:
        return f"The {words.shown} is {words.told(shown)}."
    other = "" if subject.answer == subject.spoken else f"; explained is {subject.spoken!r}"
    return f"{words.opening} {subject.answer!r}{other}: {words.shown} {words.told(shown)}."


def name(subject: Subject, start: int, stop: int) -> str:
    """A window of steps as people would point at it."""
    if subject.words.what == "text":
        return repr(joined(subject, start, stop)) + f" ({place(subject, start, stop)})"
    if subject.words.what == "sequence":
        return place(subject, start, stop)
    return subject.steps[start] + (f" to {subject.steps[stop - 1]}" if stop > start + 1 else "")


def joined(subject: Subject, start: int, stop: int) -> str:
    return subject.words.space.join(subject.steps[start:stop])


def place(subject: Subject, start: int, stop: int) -> str:
    unit = subject.words.unit
    return f"{unit} {start + 1}" if stop == start + 1 else f"{unit}s {start + 1} to {stop}"


def plainly(subject: Subject, attribution: Attribution) -> str:
    """What speaks for the answer and what against it, without a number; "" where no step stands out."""
    steps = attribution.steps
    least = max(NOTABLE * float(np.abs(steps).sum()), 1e-12)
    parts = []
    for values, side in ((steps, subject.words.pro), (-steps, subject.words.contra)):
        named = [int(i) for i in np.argsort(-values)[:MOST_NAMED] if values[i] >= least]
        if named:
            parts.append(f"what {side} it most is {listed([with_value(subject, i) for i in named])}")
    return f"In short: {'; '.join(parts)}." if parts else ""


def with_value(subject: Subject, step: int) -> str:
    """A step as people would point at it; of a series with its value, as a date says little."""
    told = name(subject, step, step + 1)
    if subject.words.what != "series" or subject.values is None:
        return told
    return f"the value at {told} ({subject.values.reshape(len(subject), -1)[step, 0]:.4g})"


def carried(subject: Subject, attribution: Attribution) -> str:
    """Which steps speak most for the answer, and against it."""
    total = np.abs(attribution.steps).sum()
    if total == 0:
        return "No step contributes anything: the answer does not depend on this input."
    order = np.argsort(-np.abs(attribution.steps))
    named = [i for i in order[:MOST_NAMED] if abs(attribution.steps[i]) >= NOTABLE * total]
    most = int(np.searchsorted(np.cumsum(np.abs(attribution.steps[order])), total / 2)) + 1
    spread = f"half of all attribution is spread over {most} of {len(subject)}"
    if not named:
        return f"No single {subject.words.unit} stands out: {spread}."
    parts = [f"{name(subject, i, i + 1)} {attribution.steps[i]:+.3g}" for i in named]
    share = np.abs(attribution.steps[named]).sum() / total
    noun = subject.words.output
    if share < 0.5:
        return f"By integrated gradients, what moves {noun} most is {listed(parts)}, {share:.0%} of all; {spread}."
    return f"By integrated gradients, {noun} rests on {listed(parts)}: {share:.0%} of all attribution."


def taken_away(subject: Subject, occlusion: Occlusion, shown: float) -> str:
    """What happens without the most important window."""
    best = int(np.argmax(np.abs(occlusion.effect)))
    what, words = name(subject, *occlusion.windows[best]), subject.words
    opening = f"Without {what}, replaced by {words.absent}, the {words.shown} goes from"
    if words.valued:
        return f"{opening} {words.told(shown)} to {words.told(occlusion.shown[best])}."
    change = f"{words.output} changes by {-occlusion.effect[best]:+.3g}"
    before, after = percentages(shown, float(occlusion.shown[best]))
    if before == after:
        return f"{opening.removesuffix('goes from')}stays at {shown:.1%} ({change})."
    return f"{opening} {before} to {after} ({change})."


def percentages(first: float, second: float) -> tuple[str, str]:
    """Both with one digit after the point, or as many as it takes to tell them apart."""
    pairs = [(f"{first:.{digits}%}", f"{second:.{digits}%}") for digits in DIGITS]
    return next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])


def divided(subject: Subject, attribution: Attribution) -> str:
    """Which part of the model says how much."""
    if len(attribution.parts) < 2:
        return ""
    sums = {part: float(values.sum()) for part, values in attribution.parts.items()}
    parts = [f"{value:+.3g} by the {part}" for part, value in sums.items()]
    change = f"The change of {subject.words.output} from an empty input, {attribution.difference:+.3g}"
    return f"{change}, is made up of {listed(parts)}."


def how_far_back(subject: Subject, cut: Cut) -> str:
    """From which length on the model says the same as with the whole input."""
    whole, units, left = len(subject), f"{subject.words.unit}s", subject.words.left
    if whole < 2:
        return ""
    changed = cut_answer(subject, cut)
    first = next(k for k in range(len(cut.lengths)) if all(same_answer(subject, cut)[k:]))
    if first == len(cut.lengths) - 1:
        return (
            f"The answer needs more than the {left} {cut.lengths[-2]} of {whole} {units}: with these alone, {changed}."
        )
    few = f"the {left} {cut.lengths[first]}" if cut.lengths[first] > 1 else f"the {left} one"
    valued, near = subject.words.valued, subject.near
    margin = f"{near:.3g}" if valued else f"{100 * near:.0f} percentage points"
    made = f"The {subject.words.number if valued else 'decision'} is made by {few} of {whole} {units}"
    return (
        f"{made}: with nothing {subject.words.beyond} them it is within {margin} of the one with the whole input, and "
        "it stays there when more is added."
    )


def cut_answer(subject: Subject, cut: Cut) -> str:
    """What the longest cut input leads to, beside what the whole one does."""
    if subject.words.valued:
        return f"it is {subject.words.told(cut.shown[-2])} in place of {subject.words.told(cut.shown[-1])}"
    if cut.answers[-2] != cut.answers[-1]:
        return f"it is {cut.answers[-2]!r}"
    short, whole = percentages(float(cut.shown[-2]), float(cut.shown[-1]))
    return f"the {subject.words.shown} is {short} in place of {whole}"


def same_answer(subject: Subject, cut: Cut) -> list[bool]:
    """Whether each cut input leads to what the whole input leads to."""
    close = np.abs(cut.shown - cut.shown[-1]) <= subject.near
    if subject.words.valued:
        return close.tolist()
    return [near and answer == cut.answers[-1] for near, answer in zip(close, cut.answers, strict=True)]


def remembered(layer: Layer) -> str:
    """How long the states of a layer keep what they hold."""
    lives = {state.name: state.half_life for state in layer.states if state.half_life is not None}
    opening = f"{spoken(layer.name)} ({layer.cell})"
    if not lives:
        return (
            f"Memory of {opening}: no state is multiplied by a factor from step to step, so only the gradients show it."
        )
    return f"Memory of {opening}: {'; '.join(lived(name, half) for name, half in lives.items())}."


def lived(name: str, half: np.ndarray) -> str:
    if not np.isfinite(half).any():
        return f"state {name} forgets nothing: its factor is never below 1"
    middle, longest = np.quantile(half, [0.5, 0.9], method="lower")
    return (
        f"half of what state {name} holds is gone after {steps(middle)} in the median unit, after {steps(longest)} or "
        "more in the tenth that keeps it longest"
    )


def steps(count: float) -> str:
    if not np.isfinite(count):
        return "no number of steps (nothing is forgotten)"
    return f"{count:.1f} steps" if count < 10 else f"{count:,.0f} steps"


def faded(layers: list[Layer]) -> str:
    """Over how many steps the last output still feels the input."""
    texts = []
    for layer in layers:
        if layer.reach is None or len(layer.reach) < 2 or not layer.reach.max():
            continue
        back = layer.reach if layer.reverse else layer.reach[::-1]
        felt = int(np.flatnonzero(back >= 0.01 * back.max()).max()) + 1
        whole = "all" if felt == len(back) else f"the nearest {felt}"
        texts.append(f"{spoken(layer.name)}: {whole} of {len(back)} steps")
    return (
        f"Steps whose influence on the last output is at least 1% of the strongest: {'; '.join(texts)}."
        if texts
        else ""
    )


def agreement(attribution: Attribution, occlusion: Occlusion) -> str:
    """Whether both methods point at the same place."""
    if len(occlusion.windows) < 3:
        return ""
    sums = np.array([attribution.steps[start:stop].sum() for start, stop in occlusion.windows])
    if not sums.std() or not occlusion.effect.std():
        return ""
    fit = float(np.corrcoef(sums, occlusion.effect)[0, 1])
    judged = (
        "agree" if fit > 0.8 else "agree in part" if fit > 0.4 else "disagree: look at the data before you trust either"
    )
    return f"The two methods {judged} (correlation {fit:.2f})."


def complete(attribution: Attribution) -> str:
    rough = "" if attribution.error <= RELIABLE else "; take them as rough"
    error = f"{attribution.error:.2%}" if attribution.error >= 1e-4 else "less than 0.01%"
    counted = f"Attributions start from {attribution.baseline} at every step"
    text = f"{counted}; their sum differs from the change of the output by {error} of it{rough}."
    if attribution.leap:
        text += (
            f" A change of {attribution.leap:+.3g} happens at once, at one place on the way to this input where the "
            "network's answer jumps: it is divided among the steps by the gradient at that place."
        )
    return text


def listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
