"""Descriptions of small scenes from German into English: several translations with scores, words that must occur."""

from __future__ import annotations

import random

from gatework import Translator

PEOPLE = {"ein Mann": "a man", "eine Frau": "a woman", "ein Kind": "a child", "ein alter Mann": "an old man"}
DOES = {"sitzt": "sits", "steht": "stands", "schläft": "sleeps", "wartet": "waits", "liest": "reads"}
WHERE = {
    "auf der Bank": "on the bench",
    "im Park": "in the park",
    "vor dem Haus": "in front of the house",
    "am Strand": "on the beach",
    "im Zug": "on the train",
}
WHEN = {"heute": "today", "am Abend": "in the evening", "": ""}


def pair(draw: random.Random) -> tuple[str, str]:
    """A scene in both languages. German may begin with the time; its verb then comes before the person."""
    (who, they), (does, act) = draw.choice([*PEOPLE.items()]), draw.choice([*DOES.items()])
    (where, place), (when, time) = draw.choice([*WHERE.items()]), draw.choice([*WHEN.items()])
    german = f"{when} {does} {who} {where}" if when else f"{who} {does} {where}"
    return german + " .", f"{they} {act} {place} {time}".strip() + " ."


draw = random.Random(0)
pairs = sorted({pair(draw) for _ in range(2_000)})
draw.shuffle(pairs)
learned, new = pairs[:-60], pairs[-60:]
sizes = {"embedding_size": 48, "encoder_size": 48, "hidden_size": 96}
model = Translator(epochs=60, source_tokenizer="words", target_tokenizer="words", **sizes).fit(learned)
print(f"BLEU of scenes never seen: {model.score(new):.1f}")
print(model.trained_.run.results()["verdict"])

text = new[0][0]
print(f"\n{text}")
for translation, score in model.n_best([text], 3)[0]:
    print(f"  {score:6.2f}  {translation}")
print(f"  with 'child' in it: {model.predict([text], must=('child',))[0]}")
