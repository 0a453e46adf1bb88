"""Dates in words to digits: one sequence into another, with a look at where it looked."""

from __future__ import annotations

import datetime

import numpy as np

from gatework import Translator

UNITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"]
UNITS += ["fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = {2: "twenty", 3: "thirty", 4: "forty", 5: "fifty", 6: "sixty", 7: "seventy", 8: "eighty", 9: "ninety"}


def number(value: int) -> str:
    """1 to 99 in words."""
    ten, one = divmod(value, 10)
    return UNITS[value - 1] if value < 20 else f"{TENS[ten]} {UNITS[one - 1]}" if one else TENS[ten]


def spoken(day: datetime.date) -> str:
    """ "march three nineteen eighty four" """
    return f"{day:%B} {number(day.day)} nineteen {number(day.year - 1900)}".lower()


draw = np.random.default_rng(0)
days = [datetime.date(1910, 1, 1) + datetime.timedelta(int(n)) for n in draw.choice(32_000, 3_000, replace=False)]
sources, targets = [spoken(day) for day in days], [day.isoformat() for day in days]
sizes = {"embedding_size": 64, "encoder_size": 64, "hidden_size": 128}
model = Translator(epochs=12, target_tokenizer="characters", source_tokenizer="spaces", **sizes)
model.fit(sources[:2_500], targets[:2_500])
print(f"right as a whole, of dates never seen: {model.score(sources[2_500:], targets[2_500:]):.1%}")

text = sources[-1]
print(f"{text} -> {model.predict([text])[0]}")
looked = model.looks([text])[0]
for unit, weights in zip(looked.target_units, looked.weights, strict=True):
    print(f"  {unit or '(end)':<6} looked most at {looked.source_units[weights.argmax()] or '(end)'}")
