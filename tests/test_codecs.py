"""Codecs: there and back, through JSON, the same ids for nothing and unknown, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatework.data.codecs import NOTHING, UNKNOWN, BytePairs, Characters, Labels, Scaler, TextCodec, Words, from_json
from gatework.errors import FileFormatError, OptionError

TEXTS = ["abra cadabra", "", "zwölf 🙂 boxes", "a" * 1000]
MAKE: list[Callable[[], TextCodec]] = [
    Words,
    Characters,
    lambda: BytePairs(max_size=300),
    lambda: Words(lower=False, markup=True, lossless=True),
]
KINDS = pytest.mark.parametrize("make", MAKE, ids=["words", "characters", "bpe", "lossless words"])


@KINDS
def test_a_codec_comes_back_from_json(make) -> None:
    first = make()
    ids = first.fit_encode(TEXTS)
    again = from_json(first.to_json())
    assert again == first
    np.testing.assert_array_equal(ids.values, again.encode(TEXTS).values)
    np.testing.assert_array_equal(ids.lengths, again.encode(TEXTS).lengths)
    assert again.decode(ids) == TEXTS


@KINDS
def test_nothing_and_unknown_have_the_same_ids_everywhere(make) -> None:
    codec = make().fit(TEXTS)
    assert codec.encode([""])[0].tolist() == codec.encode([None])[0].tolist() == [NOTHING]
    assert codec.forbidden == (NOTHING, UNKNOWN)
    assert codec.text([NOTHING]) == ""
    new = codec.encode(["ωωω"])[0]
    assert max(new) < len(codec)
    if not isinstance(codec, BytePairs):  # which know every text
        assert set(new.tolist()) == {UNKNOWN}
        assert "\ufffd" in codec.text(new)


def test_unseen_units_are_named_the_most_frequent_first() -> None:
    text = "z y z\nb y z"
    found = [make().fit(["b"]).unseen(text) for make in MAKE]
    assert found == [["z", "y"], [" ", "z", "y", "\n"], [], [" y", " z", "z", "\n"]]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_lossless_codecs_lose_nothing(text: str) -> None:
    for make in MAKE[1:]:
        codec = make().fit(text.splitlines(keepends=True))
        assert codec.decode(codec.encode([text])) == [text]


def test_a_text_that_reads_like_a_special_unit_is_text() -> None:
    codec = BytePairs(max_size=300).fit(["a <unknown> word and <nothing>"])
    ids = codec.encode(["<unknown><nothing>"])
    assert not set(ids.values.tolist()) & {NOTHING, UNKNOWN}
    assert codec.decode(ids) == ["<unknown><nothing>"]


def test_lossless_words_refuse_what_would_lose() -> None:
    with pytest.raises(OptionError, match="lower=False"):
        Words(lossless=True)
    with pytest.raises(OptionError, match="stop"):
        Words(lower=False, markup=True, lossless=True, stop=("en",))


def test_labels_are_numbered_in_the_order_of_numbers_or_of_the_alphabet() -> None:
    labels = Labels("int").fit(["10", "9", None, "-1"])
    assert labels.classes == ["-1", "9", "10"]
    assert labels.encode(["9", "8", None]).tolist() == [1, -1, -1]
    assert labels.decode(np.array([2, -1])) == ["10", None]
    assert labels.typed() == [-1, 9, 10]
    assert from_json(labels.to_json()) == labels
    assert Labels().fit(["b", "10", "9"]).classes == ["10", "9", "b"]
    alike = ["001", "01", "1", "1.0", "1.00", "9"]  # in this order whatever the hash seed
    assert Labels().fit(reversed(alike)).classes == alike


@pytest.mark.parametrize("method", ["standard", "range", "robust", "none"])
def test_a_scaler_comes_back_from_json(method: str) -> None:
    values = np.random.default_rng(0).normal(3, [1, 5], (50, 2)).astype(np.float32)
    scaler = Scaler(method).fit(values)
    again = from_json(scaler.to_json())
    assert again == scaler
    np.testing.assert_array_equal(again.encode(values), scaler.encode(values))
    np.testing.assert_allclose(again.decode(again.encode(values)), values, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is JSON, but '' is not"),
        ("[]", "kind None"),
        ('{"vocabulary": []}', "kind None"),
        ('{"kind": "emoji"}', "no codec of kind 'emoji'; this gatework knows words, characters, bpe, scaler, labels"),
        ('{"kind": ["words"]}', "no codec of kind"),
        ('{"kind": "characters", "vocabulary": 3}', "vocabulary is 3, not list"),
        ('{"kind": "characters", "vocabulary": ["a"]}', "begins with <nothing>, <unknown>"),
        ('{"kind": "characters", "size": 3}', "has 'size', which it should not"),
        ('{"kind": "bpe", "model": "x"}', "byte pairs cannot be read"),
        ('{"kind": "scaler", "shift": [1.0]}', "as many shifts as scales"),
        ('{"kind": "labels", "type": "date"}', "labels have one of the types"),
    ],
)
def test_other_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        from_json(text)


ODD = "The <i>film</i>, isn't it? İt ran  on;\nzwölf 🙂 漢字 boxes"


@pytest.mark.parametrize(
    "make",
    [*MAKE, lambda: Characters(lower=True), lambda: BytePairs(True, 300), lambda: Words(stop=("en",), stem="english")],
    ids=["words", "characters", "bpe", "lossless words", "lower characters", "lower bpe", "stems"],
)
def test_every_unit_that_is_read_has_its_place_in_the_text(make) -> None:
    codec = make().fit([ODD])
    tokens, spans = codec.located(ODD)
    assert len(tokens) == len(spans) == len(codec.encode([ODD])[0])
    assert spans == sorted(spans), "one after another"
    plain = codec.without_markup(ODD)
    assert len(plain) == len(ODD) and ("<" in plain) == (not isinstance(codec, Words) or codec.markup)
    assert all(token == plain[slice(*span)] for token, span in zip(tokens, spans, strict=True) if span[0] < span[1])
    assert sum(start < stop for start, stop in spans) >= len(spans) - 1, "but for what lower case makes longer"
    assert codec.located("") == ([], [])
