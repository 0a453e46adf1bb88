"""Errors of transcripts: against a recursive distance and counts by hand, and what must hold of sums; baselines."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

from gatework.data import made
from gatework.errors import ShapeError
from gatework.tasks.base import Parts
from gatework.tasks.transcribe import Transcribe, TranscribeOptions, measures
from gatework.tasks.transcribe.baselines import Pauses, inner, nearest, spread
from gatework.tasks.transcribe.measures import EDITS, METRICS, Edit, edits, score, sums


@cache
def distance(said: tuple[str, ...], true: tuple[str, ...]) -> int:
    if not said or not true:
        return len(said) + len(true)
    same = said[-1] == true[-1]
    ways = distance(said[:-1], true) + 1, distance(said, true[:-1]) + 1
    return min(*ways, distance(said[:-1], true[:-1]) + (not same))


def texts(length: int) -> list[str]:
    """Every text of up to `length` of the characters "a", "b", " "."""
    return ["".join(each) for n in range(length + 1) for each in itertools.product("ab ", repeat=n)]


def test_edits_are_the_fewest_by_words_and_by_characters() -> None:
    pairs = list(itertools.product(texts(4)[::3], texts(4)[::2]))
    said, true = zip(*pairs, strict=True)
    for row, (one, other) in zip(sums(said, true), pairs, strict=True):
        one, other = measures.tidy(one), measures.tidy(other)
        for columns, cut in ((row[:4], str.split), (row[4:8], list)):
            ours, theirs = tuple(cut(one)), tuple(cut(other))
            right, substituted, left_out, put_in = columns
            assert substituted + left_out + put_in == distance(ours, theirs), (one, other)
            assert right + substituted + left_out == len(theirs)
            assert right + substituted + put_in == len(ours)
        assert row[8:].tolist() == [one == other, 1]


def test_metrics_by_hand() -> None:
    found = measures.measures(["seven to", "one", "", "two two"], ["seven two", "one", "nine", "two"])
    assert found == {
        "word_error": pytest.approx(3 / 5),
        "character_error": pytest.approx((1 + 4 + 4) / (9 + 3 + 4 + 3)),
        "exact": 1 / 4,
    }
    assert measures.measures(["a  b "], [" a b"])["exact"] == 1


def test_kinds_of_edits_are_told_apart() -> None:
    said, true = ["a x c d", "b c"], ["a b c", "a b c"]
    assert dict(zip(EDITS, sums(said, true).sum(0)[:4], strict=True)) == {
        "right": 4, "substituted": 1, "left_out": 1, "put_in": 1,
    }  # fmt: skip
    assert list(edits(said, true, "words")) == [Edit(0, "b", "x"), Edit(0, "", "d"), Edit(1, "a", "")]
    assert list(edits(["ab"], ["xb"], "characters")) == [Edit(0, "x", "a")]


def test_recordings_are_aligned_one_by_one_and_their_order_does_not_matter() -> None:
    said, true = ["a b", "c"], ["a", "b c"]
    found = sums(said, true)
    assert score(found.sum(0), "word_error") == pytest.approx(2 / 3)  # as one long text there would be no error
    for metric in METRICS:
        parts = sums(said[:1], true[:1]).sum(0) + sums(said[1:], true[1:]).sum(0)
        assert score(parts, metric) == score(found.sum(0), metric) == score(found[::-1].sum(0), metric)


def test_nothing_to_count_is_no_number() -> None:
    assert np.isnan(list(measures.measures([], []).values())).all()
    found = measures.measures(["", "a"], ["", ""])
    assert np.isnan([found["word_error"], found["character_error"]]).all() and found["exact"] == 0.5
    with pytest.raises(ShapeError, match="2 transcripts of 1 texts"):
        sums(["a", "b"], ["a"])


# -- baselines ----------------------------------------------------------------------------------------------


def said_by(name: str, rows: list[dict], **options) -> tuple[list[str], list[str]]:
    """What a baseline that learned the first half of rows says of the others, and their texts."""
    task, half = Transcribe(TranscribeOptions(**options)), len(rows) // 2
    parts = task.prepare(rows[:half], valid=rows[half:], test=rows[half:])
    (found,) = [each for each in task.simpler(parts) if each.name == name]
    assert task.simpler(Parts(None, parts.valid)) == []
    return found.said, parts.last[1].clips.texts or []


def tones(count: int) -> list[dict]:
    """Words of rising and falling tones, of different speed, alone; three of them with pauses between are strings."""
    random, rows = np.random.default_rng(1), []
    for _ in range(count):
        words = random.choice(["up", "down"], 3 if count > 60 else 1)
        pieces = [0.003 * random.normal(size=1_000)]
        for word in words:
            length = int(random.integers(2_000, 3_500))
            pitch = np.linspace(300, 1_500, length)[:: 1 if word == "up" else -1]
            pieces += [np.sin(2 * np.pi * np.cumsum(pitch) / 8_000), np.zeros(1_200)]
        samples = np.concatenate(pieces)
        samples = 0.5 * samples + 0.003 * random.normal(size=len(samples))
        rows.append({"audio": samples.astype(np.float32), "rate": 8_000, "text": " ".join(words)})
    return rows


def test_the_nearest_recording_and_the_most_frequent_text() -> None:
    rows = tones(40)
    said, true = said_by("nearest recording", rows)
    assert said == true
    said, _ = said_by("most frequent text", rows)
    assert len(set(said)) == 1 and said[0] in ("up", "down")


def test_strings_are_cut_where_it_is_quiet() -> None:
    said, true = said_by("nearest pieces", tones(80), units="words")
    assert measures.measures(said, true)["word_error"] < 0.02


def test_the_nearest_picture_is_the_picture_itself() -> None:
    lines = made.digit_lines(30)
    rows = [{"image": line.picture, "text": line.text} for line in lines]
    wide = [{"image": line.picture.repeat(2, 0).repeat(2, 1), "text": ""} for line in lines]
    said, _ = said_by("nearest picture", rows + [row | {"text": "?"} for row in wide], image="image")
    assert said == [line.text for line in lines]


def test_pauses_are_as_long_as_cuts_most_recordings_rightly() -> None:
    def frames(*lengths: int) -> np.ndarray:
        """Loud and quiet in turns."""
        return np.concatenate([np.full((n, 2), -8.0 * (i % 2)) for i, n in enumerate(lengths)])

    known = [frames(5, 2, 5, 6, 5), frames(5, 7, 5, 2, 4, 8, 3)]
    pauses = Pauses.of(known, [2, 3])
    assert pauses == (6, 1.0)
    assert [[len(piece) for piece in pauses(each)] for each in known] == [[12, 5], [5, 11, 3]]
    assert inner(known[0]) == [(5, 7), (12, 18)]
    assert pauses(np.zeros((4, 2))) == []


def test_known_rows_are_taken_in_turns_of_each_text() -> None:
    assert spread(["a", "a", "a", "b", "a", "c"], 3) == [0, 3, 5]
    assert spread(["a", "b"], 9) == [0, 1]
    for texts in (["seven"] * 60, [str(row) for row in range(60)]):  # six speakers, one after the other
        found = [row // 10 for row in spread(texts, 12)]
        assert all(1 <= found.count(speaker) <= 3 for speaker in range(6))
    drawn = [np.full((n, 1), float(n)) for n in (1, 5, 9)]
    assert nearest(drawn, drawn[::-1]).tolist() == [2, 1, 0]
