"""Names in text: people, places and makers, learned from sentences that this file makes, found in raw text."""

from __future__ import annotations

import random

from gatework import SequenceTagger

SURNAME = (
    "Berg",
    "Falk",
    "Okoro",
    "Silva",
    "Tanaka",
    "Ivanov",
    "Novak",
    "Haas",
    "Duran",
    "Moreau",
    "Lindt",
    "Rossi",
    "Kaya",
    "Walsh",
    "Brandt",
    "Adeyemi",
)
FIRST = (
    "Ada",
    "Bela",
    "Chike",
    "Dora",
    "Emil",
    "Farah",
    "Goran",
    "Hana",
    "Ines",
    "Jonas",
    "Kofi",
    "Lena",
    "Milo",
    "Nora",
)
TOWN = ("Utrecht", "Porto", "Kyoto", "Turku", "Lagos", "Graz", "Leeds", "Split", "Bergen", "Padua", "Ghent", "Izmir")
ENDINGS = ("wick", "haven", "ford", "holm", "burg", "ville", "stad")
MAKES = ("Works", "Motors", "Foods", "Books", "Tools")
PATTERNS = [
    "{person} moved from {place} to {place} last year .",
    "{maker} of {place} named {person} its new head .",
    "The shop in {place} sells what {maker} makes .",
    "{person} , who left {maker} in May , lives in {place} .",
    "Nobody at {maker} would say where {person} is .",
    "It rained in {place} , and {person} stayed at home .",
]


def name(kind: str, draw: random.Random) -> list[str]:
    """A made name. Surnames are also makers' names, and new towns are made of endings: a word alone tells little."""
    if kind == "person":
        return [draw.choice(FIRST), draw.choice(SURNAME)][draw.random() < 0.4 :]
    if kind == "maker":
        return [draw.choice(SURNAME), draw.choice(MAKES)] if draw.random() < 0.7 else [draw.choice(SURNAME)]
    return [draw.choice(TOWN) if draw.random() < 0.3 else draw.choice(SURNAME) + draw.choice(ENDINGS)]


def sentence(draw: random.Random) -> tuple[list[str], list[str]]:
    """Tokens, and tags in IOB2: B- begins a name, I- goes on, O is outside."""
    tokens: list[str] = []
    tags: list[str] = []
    for word in draw.choice(PATTERNS).split():
        kind = word.strip("{}")
        written = name(kind, draw) if word != kind else [word]
        label = kind.upper()
        tokens += written
        tags += ["O"] if word == kind else [f"B-{label}", *[f"I-{label}"] * (len(written) - 1)]
    return tokens, tags


draw = random.Random(0)
tokens, tags = (list(part) for part in zip(*(sentence(draw) for _ in range(800)), strict=True))
model = SequenceTagger(epochs=6, batch_size=16, hidden_size=32, embedding_size=32, characters=24, test_share=0.2)
model.fit(tokens, tags)
print(model.trained_.run.results()["verdict"])

texts = ["Nora Falk moved from Bergholm to Leeds.", "Haas Tools sells what Dora makes. Walsh is in Kayaville."]
for text, spans in zip(texts, model.predict_spans(texts), strict=True):
    print(text)
    for span in spans:  # start and end count characters of the raw text
        assert text[span["start"] : span["end"]] == span["text"]
        print(f"  {span['start']:3}-{span['end']:<3} {span['label']:7} {span['text']} ({span['confidence']:.0%})")
