"""Small data and quick options for each task: what a test over all tasks works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import described
from gatework import tasks
from gatework.tasks.base import Task

QUICK: dict[str, Any] = {"hidden_size": 6, "epochs": 2, "batch_size": 8}
# Choices that a forecast leaves to the data, made: for tests of something else
CHOSEN: dict[str, Any] = {
    "transform": "none", "scale": "deviation", "base": "season", "linear": "solved", "ridge": 1.0,
    "decoding": "direct", "loss": "mae", "combine": "none", "average": "none", "keep": "best", "effects": "none",
}  # fmt: skip
WORDS = ("film", "plot", "cast", "music", "story", "scene", "bad", "good", "dull", "fine")


@dataclass(frozen=True)
class Small:
    """A task's name, options beside the quick ones, its data, and whether validation rows settle something."""

    name: str
    source: Callable[[], Any]
    options: dict[str, Any] = field(default_factory=dict)
    settles: bool = False

    def task(self, **options: Any) -> Task:
        kind = tasks.get(self.name)
        return kind(kind.Options.of({**QUICK, **self.options, **options}))

    def __str__(self) -> str:
        return "-".join([self.name, *map(str, self.options.values())][:3])


def reviews(count: int = 80) -> dict[str, list[str]]:
    """Texts whose label hangs on some of their words, and a little on chance."""
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(WORDS, draw.integers(3, 9))) for _ in range(count)]
    moods = [text.count("o") + draw.normal() > np.mean([each.count("o") for each in texts]) for text in texts]
    return {"text": texts, "label": ["high" if mood else "low" for mood in moods]}


def waves(count: int = 60) -> dict[str, Any]:
    """Two channels, one ahead of the other: the label says which."""
    draw = np.random.default_rng(1)
    rows: dict[str, list[Any]] = {"id": [], "step": [], "a": [], "b": [], "label": []}
    for number in range(count):
        lag = 0.9 if number % 2 else -0.9
        for step, time in enumerate(np.arange(draw.integers(8, 14)) / 3 + draw.uniform(0, 6)):
            values = (number, step, np.sin(time), np.sin(time + lag), "ab"[number % 2])
            for name, value in zip(rows, values, strict=True):
                rows[name].append(value)
    return rows


def tones(count: int = 40) -> dict[str, Any]:
    """Recordings of different lengths: the label says whether their tone rises or falls."""
    draw = np.random.default_rng(8)
    found: dict[str, Any] = {"audio": [], "label": []}
    for number in range(count):
        speed = np.linspace(0.2, 1.2, int(draw.integers(800, 1_600)))[:: 1 if number % 2 else -1]
        tone = np.sin(np.cumsum(speed)) * draw.uniform(0.1, 0.5)
        found["audio"].append((tone + draw.normal(0, 0.01, len(tone))).astype(np.float32))
        found["label"].append("rises" if number % 2 else "falls")
    return found


def squares(count: int = 40, frames: int = 0) -> dict[str, Any]:
    """Pictures of a square: the label says whether it is above or below; or films: whether it goes up or down."""
    draw = np.random.default_rng(9)
    found: dict[str, Any] = {"video" if frames else "image": [], "label": []}
    for number in range(count):
        down = np.arange(max(frames, 1)) + (0 if frames else 8 * (number % 2))
        shown = draw.integers(0, 60, (len(down), 12, 12)).astype(np.uint8)
        for frame, top in zip(shown, down[:: -1 if frames and number % 2 else 1], strict=True):
            left = int(draw.integers(0, 9))
            frame[top : top + 3, left : left + 3] = 255
        found["video" if frames else "image"].append(shown if frames else shown[0])
        found["label"].append("ab"[number % 2])
    return found


def series(length: int = 60, gaps: bool = False) -> dict[str, Any]:
    """Three series of level, season and noise; with gaps, some values are missing."""
    draw = np.random.default_rng(7)
    t = np.tile(np.arange(length), 3)
    y = 10.0 * np.repeat([1, 2, 3], length) * (1 + 0.3 * (t % 4)) * draw.uniform(0.8, 1.2, 3 * length)
    y[draw.random(len(y)) < 0.1 * gaps] = np.nan
    return {"s": np.repeat(["a", "b", "c"], length).tolist(), "t": t.tolist(), "y": y.tolist()}


def book() -> list[str]:
    draw = np.random.default_rng(2)
    lines = [
        f"the {draw.choice(WORDS)} sat on the {draw.choice(WORDS)}, and was {draw.choice(WORDS)}." for _ in range(60)
    ]
    return ["\n".join(lines)]


def tagged() -> list[dict[str, Any]]:
    """Sentences with names and a mood; what is a name hangs on the word before it."""
    draw = np.random.default_rng(3)
    found = []
    for number in range(60):
        first, name, *rest = draw.choice(WORDS, 6)
        said = [
            ("see", "O"),
            (name, "B-FILM"),
            (first, "I-FILM"),
            *((word, "O") for word in rest),
            ("by", "O"),
            (first, "B-WHO"),
        ]
        found.append(
            {"tokens": [str(word) for word, _ in said], "tags": [tag for _, tag in said], "mood": "ab"[number % 2]}
        )
    return found


def asked() -> list[dict[str, Any]]:
    """Stories and questions of two kinds; the answer hangs on one sentence, and is now and then a list."""
    draw = np.random.default_rng(5)
    found = []
    for number in range(60):
        story = [f"the {draw.choice(WORDS)} is {draw.choice(WORDS)}." for _ in range(draw.integers(1, 6))]
        _, thing, _, what = story[0].split()
        answer = f"{what[:-1]},{thing}" if number % 5 == 0 else what[:-1]
        found.append({"story": story, "question": f"what is the {thing}?", "answer": answer, "kind": "ab"[number % 2]})
    return found


def translated(spelled: bool = False) -> list[tuple[str, str]]:
    """Sentences and the same in other words and order; or words and their letters, loud and apart."""
    draw = np.random.default_rng(6)
    rows = [list(draw.choice(WORDS, draw.integers(2, 6))) for _ in range(60)]
    if spelled:
        return [(row[0] + row[1], " ".join((row[0] + row[1]).upper())) for row in rows]
    return [(" ".join(row), " ".join(word[::-1].upper() for word in row[::-1])) for row in rows]


def said() -> list[dict[str, Any]]:
    """Recordings of one to three tones, each with the word for its pitch, over some noise."""
    draw = np.random.default_rng(8)
    pitches = {"low": 300, "mid": 900, "high": 2_500}
    time = np.arange(800) / 8_000
    found = []
    for _ in range(60):
        words = [str(word) for word in draw.choice(list(pitches), draw.integers(1, 4))]
        tones = [np.append(0.3 * np.sin(2 * np.pi * pitches[word] * time), np.zeros(400)) for word in words]
        samples = np.concatenate(tones) + 0.003 * draw.standard_normal(1_200 * len(words))
        found.append(
            {"audio": samples.astype(np.float32), "rate": 8_000, "text": " ".join(words), "who": "ab"[len(words) % 2]}
        )
    return found


def lined() -> list[dict[str, Any]]:
    """Pictures of lines of two letters: a bar high up, and one low down."""
    draw = np.random.default_rng(9)
    found = []
    for _ in range(60):
        text = "".join(draw.choice(["a", "b"], draw.integers(1, 5)))
        picture = draw.integers(0, 20, (16, 4 + 8 * len(text)))
        for place, letter in enumerate(text):
            top = 2 if letter == "a" else 10
            picture[top : top + 4, 4 + 8 * place : 9 + 8 * place] = 220
        found.append({"image": picture.astype(np.uint8), "text": text})
    return found


def spoken() -> list[dict[str, Any]]:
    """Sounds of two voices, one high and one low: a tone for each letter."""
    draw, rate, found = np.random.default_rng(8), 2000, []
    for number in range(40):
        text = "".join(draw.choice(list("abc"), draw.integers(1, 4)))
        steps = np.arange(rate // 20) / rate
        tones = [np.sin(2 * np.pi * steps * (200 + 100 * "abc".index(each)) * (1 + number % 2)) for each in text]
        sound = 0.5 * np.concatenate(tones) + draw.normal(0, 0.01, len(text) * len(steps))
        found.append({"audio": sound.astype(np.float32), "rate": rate, "text": text, "speaker": "hl"[number % 2]})
    return found


FORECAST = {
    "time": "t", "target": ("y",), "series": "s", "frequency": "1i", "horizon": 5, "season": 4, "lookback": 10,
    "windows": 200, "classical": "none", "valid_windows": 1, "test_windows": 1,
}  # fmt: skip
VOICE = {"mels": 8, "embedding_size": 4, "speaker_size": 3, "encoder_size": 4, "asking_size": 5, "bottleneck": 6}
CASES = [
    Small("classify", reviews, {"tune_threshold": True, "test_share": 0.2, "embedding_size": 4}, settles=True),
    Small("classify", reviews, {"ngrams": "none", "test_share": 0.2, "class_weights": "balanced"}),
    Small("classify", waves, {"kind": "sequences", "test_share": 0.2, "jitter": 0.1}),
    Small("classify", tones, {"kind": "sounds", "rate": 8_000, "mels": 8, "front_size": 6, "test_share": 0.2}),
    Small("classify", squares, {"kind": "pictures", "test_share": 0.2}),
    Small("classify", lambda: squares(frames=8), {"kind": "films", "front_size": 6, "test_share": 0.2}),
    Small("forecast", series, {"decoding": "direct", **FORECAST}, settles=True),
    Small(
        "forecast",
        lambda: series(gaps=True),
        {"conformal": False, **FORECAST, "epochs": 3, "refit_epochs": 2, "keep": "last", "patience": 0},
        settles=True,
    ),
    Small("generate", book, {"sequence_length": 8}, settles=True),
    Small("tag", tagged, {"test_share": 0.2, "embedding_size": 4, "characters": 4, "label": "mood"}, settles=True),
    Small(
        "tag", tagged, {"test_share": 0.2, "embedding_size": 4, "output": "softmax", "windows": False, "subwords": 20}
    ),
    Small("answer", asked, {"test_share": 0.2}),
    Small("answer", asked, {"test_share": 0.2, "sentences": "recurrent", "hops": 1, "layers": 2}),
    Small(
        "caption",
        described.rows,
        {**described.SMALL, "hidden_size": 6, "test_share": 0.2, "dropout": 0.2, "shift": 0.1},
    ),
    Small(
        "caption", lambda: described.films(40), {**described.SMALL, "hidden_size": 6, "test_share": 0.2, "layers": 2}
    ),
    Small("translate", translated, {"test_share": 0.2, "source_tokenizer": "words", "target_tokenizer": "words"}),
    Small("translate", lambda: translated(spelled=True), {"test_share": 0.2, "joint": True, "layers": 2}),
    Small("transcribe", said, {"test_share": 0.2, "speaker": "who", "front_size": 8}),
    Small("transcribe", said, {"test_share": 0.2, "bidirectional": False, "front_size": 8, "layers": 1}),
    Small("transcribe", lined, {"test_share": 0.2, "units": "characters", "front_size": 8, "height": 16}),
    Small("speak", spoken, {"test_share": 0.2, **VOICE, "finish": 4}),
    Small("speak", spoken, {"test_share": 0.2, **VOICE, "layers": 2, "reduction": 1, "finish": 0, "cell": "gru"}),
    Small("generate", book, {"tokenizer": "words", "sequence_length": 8, "ngram_length": 0, "dynamic": True}),
]
