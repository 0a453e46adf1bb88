"""Texts without the libraries of the training: the same units, ids and places as with them, for every text."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from code_points import ALL, OF_POLARS, properties
from gatework.data.codecs import NOTHING, UNKNOWN, BytePairs, Characters, TextCodec, Words
from gatework.data.codecs.text import engine
from gatework.data.ngrams import Bag, character_grams
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.runtime import texts
from gatework.runtime.texts import Grams, character_buckets, language, pairs, points, windows

LEARNED = [
    "The film isn't <b>good</b> at all; it's <unk> worse, isn't it?",
    "Σας ΟΔΟΣ İstanbul 漢字カナ ไทย zwölf 🙂 naïve’s 12th ½ ٣",
    "  two   spaces\n\tand\u3000others " + "a" * 40,
]
MAKE: dict[str, Callable[[], TextCodec]] = {
    "words": Words,
    "capitals": lambda: Words(lower=False),
    "spaces": lambda: Words(spaces=True),
    "markup": lambda: Words(markup=True),
    "lossless": lambda: Words(lower=False, markup=True, lossless=True),
    "lossless spaces": lambda: Words(lower=False, markup=True, lossless=True, spaces=True),
    "stop words": lambda: Words(stop=("en", "de")),
    "stems": lambda: Words(stem="english", stop=("en",)),
    "few words": lambda: Words(min_count=2, max_size=5),
    "characters": Characters,
    "small characters": lambda: Characters(lower=True, min_count=2),
    "bpe": lambda: BytePairs(max_size=400),
    "small bpe": lambda: BytePairs(True, 330),
}
CODECS: dict[str, TextCodec] = {}
KINDS = pytest.mark.parametrize("name", MAKE)


def learned(name: str) -> TextCodec:
    if name not in CODECS:
        CODECS[name] = MAKE[name]().fit(LEARNED)
    return CODECS[name]


PARTS = [
    *"aΣσİ'’<>/ \n\u0301\u200d.:漢ไﬁ5½٣_",
    "'s",
    "’t",
    "'Re",
    "<br />",
    "</I>",
    "the",
    "running",
    "🙂🏽",
    "\x85",
    "\x1c",
]
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.lists(st.sampled_from(PARTS), max_size=25).map("".join),
    st.lists(st.sampled_from([*LEARNED[0].split(), *LEARNED[1].split()]), max_size=20).map(" ".join),
)


@KINDS
@given(text=TEXTS)
@example(text="")
@example(text="Σ.Σ ΑΣ’ΑΣ ΑΣ' aΣ:b ΣΣ")
@settings(max_examples=80, deadline=None)
def test_a_text_has_the_ids_that_a_column_gives_it(name: str, text: str) -> None:
    column, single = learned(name), texts.codec(learned(name).to_json())
    ids = single.ids(text)
    assert ids.dtype == np.int32 and len(ids)
    np.testing.assert_array_equal(ids, column.encode([text, "other"])[0])
    units, (shown, spans) = single.units(text), single.located(text)
    assert len(units) == len(shown) == len(spans) == (0 if ids.tolist() == [NOTHING] else len(ids))
    assert [text[start:stop] for start, stop in spans] == shown
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(spans)), "one after another"
    if name not in ("bpe", "small bpe"):
        assert [single.number.get(unit, UNKNOWN) for unit in units] == [i for i in ids if i != NOTHING]


@pytest.mark.parametrize("name", sorted(MAKE.keys() - {"stems", "stop words", "few words", "characters"}))
def test_every_code_point_is_cut_as_in_a_column(name: str) -> None:
    """In one text, whose neighbours are of all kinds."""
    codec, text = learned(name), "".join(ALL)
    np.testing.assert_array_equal(codec.ids(text), codec.encode([text])[0])


@pytest.mark.parametrize("name", ["bpe", "small bpe"])
@given(text=TEXTS, ids=st.lists(st.integers(-2, 420), max_size=30))
@settings(max_examples=100, deadline=None)
def test_byte_pairs_are_those_of_the_library(name: str, text: str, ids: list[int]) -> None:
    codec = learned(name)
    assert isinstance(codec, BytePairs)
    library = engine(codec.model)
    assert codec.located(text)[1] == library.encode(text, add_special_tokens=False).offsets
    known = [i for i in ids if i >= 0]
    assert codec.text(known) == library.decode(known)


@given(merges=st.permutations(["a b", "b a", "ab a", "a ba", "b ab", "ab ab", "aba b", "a a", "aa a", "b b", "bb a"]))
@settings(max_examples=100, deadline=None)
def test_merges_of_any_order_are_made_as_the_library_makes_them(merges: list[str]) -> None:
    both = [merge.split() for merge in merges]
    kept = json.loads(BytePairs(max_size=300).fit(["c"]).model)
    whole = [left + right for left, right in both]
    units = dict.fromkeys([*kept["model"]["vocab"], *whole])
    made = {"vocab": {unit: i for i, unit in enumerate(units)}, "merges": both}
    model = json.dumps(kept | {"model": kept["model"] | made})
    for text in ("abab", "ababaabbaaab", "bbaabab" * 9, "a" * 33, "abbababaabaabbab" * 8):
        assert pairs.merges(model).merged(text)[0] == engine(model).encode(text).ids


def test_kinds_of_all_code_points_are_those_of_the_libraries() -> None:
    asked = properties()
    assert set(asked) >= {*OF_POLARS, "letter", "number", "cased", "ignorable"}
    for name, mine in asked.items():
        wrong = np.flatnonzero(points.has(name) != mine)
        assert not len(wrong), f"{name}: U+{wrong[0]:04X} and {len(wrong)} in all; run python tests/code_points.py"


def test_lower_case_of_all_code_points_is_that_of_the_libraries() -> None:
    from tokenizers import normalizers

    text = "".join(ALL)
    assert points.lowered(text) == pl.Series([text]).str.to_lowercase()[0]
    assert points.lowered(text, final_sigma=False) == normalizers.Lowercase().normalize_str(text)
    assert len(points.lowered_places(text)) == len(points.lowered(text))
    small = pl.Series(ALL).str.to_lowercase().to_list()
    assert [points.lowered(letter) for letter in ALL[:0x3000]] == small[:0x3000]


@given(st.text(st.sampled_from("ΣΣaA.'’\u0301\u00ad 1ǅªʰ漢"), max_size=15))
def test_a_sigma_that_ends_a_word_is_written_so(text: str) -> None:
    assert points.lowered(text) == pl.Series([text]).str.to_lowercase()[0]


def test_half_a_character_is_read_as_a_question_mark() -> None:
    for name in MAKE:
        codec = texts.codec(learned(name).to_json())
        np.testing.assert_array_equal(codec.ids("a\ud800b"), codec.ids("a?b"), name)
        assert len(codec.located("a\ud800b")[0]) == len(codec.located("a?b")[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is JSON, but '' is not"),
        ("[" * 100_000, "is JSON, but"),
        ("[]", "no codec of texts of kind None"),
        ('{"kind": ["words"]}', "no codec of texts of kind"),
        ('{"kind": "labels"}', "known are words, characters, bpe"),
        ('{"kind": "words", "vocabulary": 3}', "vocabulary is 3, not list"),
        ('{"kind": "words", "lower": 1}', "lower is 1, not bool"),
        ('{"kind": "words", "max_size": true}', "max_size is True, not int"),
        ('{"kind": "words", "stem": 3}', "stem is 3, not str"),
        ('{"kind": "words", "vocabulary": ["<nothing>", "<unknown>", "\\ud800"]}', "vocabulary is"),
        ('{"kind": "characters", "size": 3}', "has 'size', which it should not"),
        ('{"kind": "characters", "vocabulary": ["a"]}', "begins with <nothing>, <unknown>"),
        ('{"kind": "characters", "vocabulary": ["<nothing>", "<unknown>", "ab"]}', "units of one character"),
        ('{"kind": "bpe", "model": "x"}', "byte pairs cannot be read"),
        ('{"kind": "bpe", "model": "[]"}', "byte pairs cannot be read"),
        ('{"kind": "bpe", "model": "{}"}', "byte pairs cannot be read"),
    ],
)
def test_other_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        texts.codec(text)


@pytest.mark.parametrize(
    ("part", "changed", "message"),
    [
        ("normalizer", {"type": "NFC"}, "normalizer {'type': 'NFC'} is not known"),
        ("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": True}, "add_prefix_space True, not False"),
        ("pre_tokenizer", {"type": "Whitespace"}, "type 'Whitespace'"),
        ("model", {"type": "Unigram"}, "type 'Unigram'"),
        ("model", {"merges": [["a"]]}, "cannot be read"),
        ("model", {"vocab": {"a": "b"}}, "cannot be read"),
        ("model", {"vocab": {"a": 99_999}, "merges": []}, "units that the vocabulary lacks"),
    ],
)
def test_byte_pairs_that_would_be_cut_otherwise_are_refused(part: str, changed: dict, message: str) -> None:
    codec = learned("bpe")
    assert isinstance(codec, BytePairs)
    kept = json.loads(codec.model)
    kept[part] = {**kept[part], **changed} if part == "model" else changed
    with pytest.raises(DataError, match=message):
        texts.BytePairs(model=json.dumps(kept), vocabulary=codec.vocabulary)


BAGS = {
    "words": Bag(words=2),
    "characters": Bag(0, (1, 6)),
    "both": Bag(words=3, characters=(2, 4), min_rows=2),
    "spaces": Bag(words=2, spaces=True),
    "places": Bag(0, (1, 6), places=3),
    "capitals at places": Bag(2, None, places=2, lower=False),
}


@cache
def grams_of(name: str) -> Grams:
    bag = BAGS[name]
    bag.fit_transform([*LEARNED, *LEARNED[0].split(), "", "the film"])
    arrays = {f"keys{i}": keys.view(np.int64) for i, keys in enumerate(bag.keys)}
    arrays |= {f"weights{i}": weights for i, weights in enumerate(bag.weights)}
    return Grams.restored(json.loads(json.dumps(bag.settings())), arrays)


@pytest.mark.parametrize("name", BAGS)
@given(text=TEXTS)
@example(text="")
@settings(max_examples=80, deadline=None)
def test_a_text_has_the_features_of_its_row(name: str, text: str) -> None:
    columns, values = grams_of(name).features(text)
    row = BAGS[name].transform([text, "the film"])[0]
    assert values.dtype == np.float32
    np.testing.assert_array_equal(columns, row.indices)
    np.testing.assert_array_equal(values, row.data)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9), min_size=1, max_size=8))
def test_buckets_of_words_are_those_of_the_training(words: list[str]) -> None:
    found, expected = character_buckets(words, 97, 3, 5), character_grams(words, 3, 5)
    assert len(found) == len(words)
    for row, buckets in enumerate(found):
        assert sorted(buckets) == sorted((expected[row] % np.uint64(97)).tolist())
        assert set(buckets) == {int(key) % 97 for n in (3, 4, 5) for key in by_hand(f" {words[row]} ", n)}


def by_hand(text: str, n: int) -> list[int]:
    """Keys in Python's own numbers, whose bits do not end at 64."""
    found = []
    for start in range(len(text) - n + 1):
        key, *others = map(ord, text[start : start + n])
        for other in others:
            key = ((key ^ key >> 29) * 0x9E3779B97F4A7C15 + other) % 2**64
            key ^= key >> 29
        found.append(key)
    return found


@pytest.mark.parametrize(
    ("settings", "arrays"),
    [
        ({}, {}),
        ({"words": 2, "places": 0}, {}),
        ({"words": 99, "places": 0}, {}),
        ({"words": 1, "places": 0, "characters": [1]}, {}),
        ({"words": 1, "places": "0"}, {}),
        ({"words": 1, "places": 0}, {"keys0": np.zeros(2, np.int64), "weights0": np.zeros(2, np.float32)}),
        ({"words": 1, "places": 0}, {"keys0": np.arange(2), "weights0": np.zeros(3, np.float32)}),
        ({"words": 1, "places": 0}, {"keys0": np.arange(2.0), "weights0": np.zeros(2, np.float32)}),
    ],
)
def test_damaged_grams_are_refused(settings: dict, arrays: dict) -> None:
    with pytest.raises(FileFormatError, match="n-grams are d"):
        Grams.restored(settings, arrays)


WORDS = ["lower", *windows.AFFIXES, "shape", "short shape"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9), max_size=8))
@example(["XXxxdd99", "ǅungla", "٣٤", "ΟΔΟΣ", "İa", "--", "É́é"])
def test_attributes_of_tokens_are_those_of_a_column(words: list[str]) -> None:
    column = pl.Series(words, dtype=pl.String)
    for name in WORDS:
        kind, _, size = name.rpartition(" ")
        expected = column.str.to_lowercase()
        if name.endswith("shape"):
            repeat, expected = "+" if kind else "", column
            for letter, pattern in {"X": r"\p{Lu}", "x": r"\p{Ll}", "d": r"\p{Nd}"}.items():
                expected = expected.str.replace_all(pattern + repeat, letter)
        elif kind:
            expected = column.str.head(int(size)) if kind == "prefix" else column.str.tail(int(size))
        assert windows._attribute(words, name) == expected.to_list()


HEAVY = "torch polars scipy tokenizers regex sklearn stopwordsiso"


@KINDS
def test_no_library_of_the_training_is_needed(name: str) -> None:
    """In a process that has none of them; stop words are among what was learned."""
    text = "The It's nice, RUNNING’s Σας <b> 漢字"
    code = f"""import sys; sys.modules.update(dict.fromkeys({HEAVY!r}.split()))
from gatework.runtime import texts
codec = texts.codec(sys.stdin.buffer.read().decode())
print(*codec.ids({text!r}))"""
    codec = learned(name)
    told = subprocess.run([sys.executable, "-c", code], input=codec.to_json().encode(), capture_output=True)
    assert not told.stderr, told.stderr.decode()
    assert [int(i) for i in told.stdout.split()] == codec.encode([text])[0].tolist()


def test_the_package_of_stems_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stems, stops = texts.codec('{"kind": "words", "stem": "english"}'), texts.codec('{"kind": "words", "stop": ["en"]}')
    for package in ("snowballstemmer", "stopwordsiso"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(OptionError, match=r"stems of english words need .* run: pip install snowballstemmer"):
        stems.ids("running")
    language.stop_words.cache_clear()
    with pytest.raises(OptionError, match=r"stop words of en need .* run: pip install stopwordsiso"):
        stops.ids("running")
