"""A story and a question: walks and things carried, made here; which sentences each reading of the story looks at."""

from __future__ import annotations

import random
from typing import Any

from gatework import Answerer

PEOPLE = ("Ada", "Bela", "Chike", "Dora")
PLACES = ("kitchen", "garden", "office", "hall", "cellar")
THINGS = ("lamp", "book", "ball")


def question(draw: random.Random) -> dict[str, Any]:
    """A thing is where the one who took it last went afterwards: two sentences answer the question."""
    place = {name: draw.choice(PLACES) for name in PEOPLE}
    story = [f"{name} went to the {place[name]}." for name in draw.sample(PEOPLE, 4)]
    thing, who = draw.choice(THINGS), draw.choice(PEOPLE)
    story.append(f"{who} took the {thing}.")
    for _ in range(draw.randint(1, 4)):
        name = draw.choice(PEOPLE)
        place[name] = draw.choice(PLACES)
        story.append(f"{name} moved to the {place[name]}.")
    return {"story": story, "question": f"Where is the {thing}?", "answer": place[who]}


draw = random.Random(0)
questions = [question(draw) for _ in range(1_000)]
model = Answerer(epochs=40, batch_size=32, learning_rate=0.005, test_share=0.2).fit(questions)
print(model.trained_.run.results()["verdict"])

new = [question(draw) for _ in range(2)]
for asked, answer, looked in zip(new, model.predict(new), model.looks(new), strict=True):
    print(f"{asked['question']} {answer} (true: {asked['answer']})")
    for sentence, weights in zip(asked["story"], looked.T, strict=True):  # a column for each reading
        print(f"  {'  '.join(f'{weight:4.0%}' for weight in weights)}  {sentence}")
