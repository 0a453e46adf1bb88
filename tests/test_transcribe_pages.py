"""What is told of a transcriber: sections and their page, why a unit was written, and `Transcriber`."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone

import gatework
from gatework import Transcriber, report
from gatework.data.media import sounds
from gatework.errors import DataError
from gatework.tasks.transcribe import measures, page, sections
from gatework.tasks.transcribe.estimator import paired
from gatework.tasks.transcribe.search import Searching
from gatework.tasks.transcribe.shown import SECONDS, STEPS, heard, played
from gatework.tasks.transcribe.units import Units
from small import lined, said

SMALL: dict[str, Any] = {"hidden_size": 24, "front_size": 24, "layers": 1, "batch_size": 8, "dropout": 0.0}
PLAIN: dict[str, Any] = {"specaugment": 0.0, "noise": 0.0, "pitch": 0.0, "colouring": 0.0, "learning_rate": 0.01}
SOUNDS = [(each["audio"], 8_000) for each in said()]
TEXTS = [each["text"] for each in said()]


@pytest.fixture(scope="module")
def tones() -> Transcriber:
    """Knows the words of tones, and streams."""
    made = Transcriber(**SMALL, **PLAIN, epochs=60, units="words", speaker="who", test_share=0.2, bidirectional=False)
    return made.fit(said())


@pytest.fixture(scope="module")
def unsure() -> Transcriber:
    """Learned hardly anything, of texts with what a page must escape."""
    rows = [{**each, "text": each["text"].replace("low", "<b>low</b>")} for each in said()]
    made = Transcriber(**SMALL, epochs=1, units="words", speaker="who", test_share=0.5)
    return made.fit(rows)


# -- sections -----------------------------------------------------------------------------------------------


def test_errors_are_told_by_kind_by_speaker_and_by_length() -> None:
    found = {"model": measures.sums(["a x", "b", "c c"], ["a b", "b c", "c"])}
    (row,) = sections.kinds_of_errors(found, "words")
    assert row == {"method": "model", "right": 3, "substituted": 1, "left_out": 1, "put_in": 1, "error": 3 / 5}
    (worst, best) = sections.by_speaker(["p", "q", "p"], found)
    assert (worst["speaker"], worst["clips"], worst["word_error"]) == ("p", 2, pytest.approx(2 / 3))
    assert (best["speaker"], best["word_error"], best["exact"]) == ("q", 0.5, 0.0)
    assert sections.by_speaker([], found) == []
    short, long = sections.by_length([2, 2, 1], found, "word_error")
    assert (short["length"], short["clips"], short["values"]) == ("1", 1, {"model": 1.0})
    assert (long["length"], long["clips"], long["values"]) == ("2", 2, {"model": 0.5})


def test_confusions_and_their_matrix_count_every_unit_once() -> None:
    said, true = ["a x", "b", "c c", "a x"], ["a b", "b c", "c", "a b"]
    found = sections.confusions(said, true, "words", ["1", "2", "3", "4"])
    assert found[0] == {"true": "b", "said": "x", "count": 2, "examples": ["1", "4"]}
    assert {(row["true"], row["said"]) for row in found[1:]} == {("c", ""), ("", "c")}
    table = sections.matrix(said, true, "words")
    assert table is not None and table["labels"] == ["a", "b", "c", "x", ""]
    counts = np.array(table["matrix"])
    assert counts.tolist() == [[2, 0, 0, 0, 0], [0, 1, 0, 2, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0]]
    assert counts[:-1].sum() == 7, "as many as true words"
    assert sections.matrix(["a"], ["a"], "words") is None


def test_texts_are_grouped_by_confidence() -> None:
    counts = measures.sums(["a", "b", "c"], ["a", "x", "c"])
    found = sections.by_confidence(np.array([0.99, 0.3, 0.9]), counts)
    assert found == [
        {"sure": "0% to 50%", "clips": 1, "right": 0.0},
        {"sure": "80% to 95%", "clips": 1, "right": 1.0},
        {"sure": "95% to 100%", "clips": 1, "right": 1.0},
    ]


def test_a_recording_is_played_in_the_page_and_bounded(tmp_path: Path) -> None:
    samples = np.sin(np.arange(16_000 * 20) / 9).astype(np.float32)
    uri = played((samples, 16_000), np.zeros((1, 1)), "sound")
    head, _, data = uri.partition(",")
    assert head == "data:audio/wav;base64"
    file = tmp_path / "a.wav"
    file.write_bytes(base64.b64decode(data))
    sound = sounds.read(file)
    assert (sound.rate, sound.seconds) == (8_000, SECONDS)
    assert played(tmp_path / "gone.wav", np.zeros((1, 1)), "sound") == ""
    points = np.random.default_rng(1).integers(0, 256, (30, 16, 1)).astype(np.uint8)
    image = Image.open(io.BytesIO(base64.b64decode(played(tmp_path / "x.png", points, "picture").partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(image), points[:, :, 0].T)


def test_what_is_drawn_is_bounded_and_about_the_first_steps() -> None:
    units = Units.of(["one two"] * 10, "words")
    steps = np.log(np.full((1_000, 3), [0.9, 0.05, 0.05]))
    steps[5] = np.log([0.05, 0.9, 0.05])
    steps[900] = np.log([0.05, 0.05, 0.9])
    words = [{"word": "one", "start": 0.15, "end": 0.18}, {"word": "two", "start": 27.0, "end": 27.03}]
    found = heard(
        np.random.default_rng(1).normal(size=(3_000, 4)), steps, words, Searching(units, second=0.03), "sound"
    )
    assert len(found["frames"]) == 3 * STEPS and found["words"] == words[:1]
    (likely,) = found["likely"]
    assert likely["unit"] == "one" and len(likely["p"]) == STEPS and np.argmax(likely["p"]) == 5
    assert np.array(found["frames"]).min() == 0 and np.array(found["frames"]).max() == 99


def test_the_page_shows_the_worst_and_escapes_texts(unsure: Transcriber, tmp_path: Path) -> None:
    told = unsure.trained_.run.results()["sections"]
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert set(told) == page.SECTIONS and told["worst"] and told["confusions"]
    text = report.write(unsure.trained_.run, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<b>low" not in text and "&lt;b&gt;low" in text
    assert text.count("<audio controls") == len(told["worst"]) and "media-src data:" in text
    drawn = page.TranscribePages.pictures(told)
    assert [name for name in drawn if name.startswith("heard")] == [f"heard{k}" for k in range(sections.SHOWN)]
    for heading in ("What kind of errors", "Who was understood", "What was taken for what", "Other searches"):
        assert heading in text


def test_the_page_of_one_that_makes_no_errors(tones: Transcriber, tmp_path: Path) -> None:
    told = tones.trained_.run.results()["sections"]
    assert told["worst"] == told["confusions"] == [] and told["matrix"] is None
    assert [row["value"] for row in told["searches"]] == [0.0] * len(sections.SEARCHES)
    text = report.write(tones.trained_.run, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "recordings was understood as it is" in text and "--stream" in text


def test_pictures_of_lines_are_shown(tmp_path: Path) -> None:
    made = Transcriber(**SMALL, height=16, epochs=1, test_share=0.3).fit(lined())
    text = made.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "data:image/png;base64" in text and "<audio" not in text


# -- explanations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [None, "1", "3", "high"])
def test_attributions_add_up_to_the_score(tones: Transcriber, word: str | None) -> None:
    found = gatework.explain(tones, [SOUNDS[0]], word=word)
    assert tones.predict([SOUNDS[0]])[0] == TEXTS[0] == "low low high"
    assert found.attribution.error < 0.01
    assert found.attribution.steps.sum() == pytest.approx(found.attribution.difference, rel=0.01, abs=1e-3)


def test_what_speaks_for_a_word_lies_where_it_is_said(tones: Transcriber) -> None:
    for number, (first, last) in {"1": (0, 0.15), "3": (0.3, 0.45)}.items():
        found = gatework.explain(tones, [SOUNDS[0]], word=number)
        assert first <= float(found.steps[found.top()[0]].removesuffix(" s")) <= last


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"row": 2}, "the rows 1 to 1; there is no row 2"),
        ({"word": "mid"}, "has no 'mid'"),
        ({"word": "low"}, "'low' 2 times; name one by its number: 1, 2"),
        ({"word": "4"}, "has no '4'"),
    ],
)
def test_what_cannot_be_explained_is_said(tones: Transcriber, given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        gatework.explain(tones, [SOUNDS[0]], **given)


def test_a_recording_without_text_has_nothing_to_explain(tones: Transcriber) -> None:
    hiss = 0.003 * np.random.default_rng(5).standard_normal(2_000).astype(np.float32)
    assert tones.predict([(hiss, 8_000)])[0] == ""
    with pytest.raises(DataError, match="the model found no text in it"):
        gatework.explain(tones, [(hiss, 8_000)])


# -- Transcriber --------------------------------------------------------------------------------------------


def test_texts_come_with_words_confidence_and_others(tones: Transcriber) -> None:
    some = SOUNDS[:6]
    assert tones.predict(some).tolist() == TEXTS[:6] == tones.predict(some, beam=8, lm_weight=0.1).tolist()
    words = tones.words(some)
    assert [" ".join(word.word for word in each) for each in words] == TEXTS[:6]
    for each, (samples, rate) in zip(words, some, strict=True):
        for number, word in enumerate(each):
            assert 0.15 * number <= word.start < word.end <= 0.15 * number + 0.2, "each tone is 0.15 seconds long"
            assert 0 < word.confidence <= 1
        assert each[-1].end <= len(samples) / rate + 0.03
    best = tones.n_best(some, 3)
    assert [each[0][0] for each in best] == TEXTS[:6] and all(len(each) == 3 for each in best)
    assert (tones.confidence(some) > 0.5).all()
    assert tones.n_best(some, 1)[0][0][1] == pytest.approx(np.log(tones.confidence(some)[0]))
    assert tones.n_best(some, 1, lm_weight=0.5) == [each[:1] for each in tones.n_best(some, 3, lm_weight=0.5)]


def test_a_stream_says_what_the_whole_says(tones: Transcriber) -> None:
    for how in ({}, {"beam": 8, "lm_weight": 0.2}):
        stream, (samples, _) = tones.stream(8_000, **how), SOUNDS[0]
        for start in range(0, len(samples), 333):
            stream.feed(samples[start : start + 333])
            assert TEXTS[0].startswith(stream.partial())
        assert stream.finish()["text"] == TEXTS[0]


def test_a_transcriber_is_scored_cloned_kept_and_opened(tones: Transcriber, tmp_path: Path) -> None:
    assert tones.score(SOUNDS, TEXTS) == tones.score(said()) == 1.0
    assert clone(tones).get_params() == tones.get_params()
    tones.save(tmp_path / "kept")
    again = Transcriber.load(tmp_path / "kept")
    assert again.predict(SOUNDS[:3], lm_weight=0.1).tolist() == tones.predict(SOUNDS[:3], lm_weight=0.1).tolist()
    with pytest.raises(DataError, match="2 recordings, but 1 texts"):
        Transcriber(**SMALL).fit(SOUNDS[:2], TEXTS[:1])
    assert paired(SOUNDS[:2], [7, None])[1] == ["7", None]


def test_arrays_with_their_texts_and_files_are_read_alike(tmp_path: Path) -> None:
    options = {**SMALL, **PLAIN, "epochs": 1, "units": "words"}
    arrays = Transcriber(**options, rate=8_000).fit([samples for samples, _ in SOUNDS], TEXTS)
    pairs = Transcriber(**options, text="words").fit(SOUNDS, np.array(TEXTS))
    path = tmp_path / "a.wav"
    sounds.write(path, *SOUNDS[0])
    assert arrays.confidence([SOUNDS[0]]) == pairs.confidence([SOUNDS[0]])
    assert pairs.confidence(str(path)) == pytest.approx(pairs.confidence([SOUNDS[0]]), rel=0.05)
