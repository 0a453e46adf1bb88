"""Ragged arrays, batches, splits, words, n-grams, scaling: against their definitions."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from gatework.data import checks
from gatework.data.batching import batch_rows
from gatework.data.codecs import Words
from gatework.data.codecs.numbers import Scaler, fill_missing
from gatework.data.ngrams import Bag
from gatework.data.ragged import Ragged
from gatework.data.splits import folds, split_by_time, split_rows, with_held_out
from gatework.data.vectors import read_vectors
from gatework.data.words import stems, stop_words
from gatework.errors import DataError, OptionError

lists = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=6), min_size=1, max_size=8)


@given(lists)
def test_packing_is_torchs_packed_sequence(rows):
    packed = Ragged.of(rows, np.int64).pack(np.arange(len(rows)))
    theirs = torch.nn.utils.rnn.pack_sequence([torch.tensor(rows[i]) for i in packed.order])
    np.testing.assert_array_equal(packed.values, theirs.data)
    np.testing.assert_array_equal(packed.counts, theirs.batch_sizes)
    assert [len(rows[i]) for i in packed.order] == sorted(map(len, rows), reverse=True)


@given(lists, st.integers(1, 4), st.integers(0, 3))
def test_taking_and_truncating(rows, head, tail):
    ragged = Ragged.of(rows, np.int64)
    back = ragged.take(np.arange(len(rows))[::-1])
    assert [list(back[i]) for i in range(len(rows))] == rows[::-1]
    cut = ragged.truncate(head, tail)
    assert [list(cut[i]) for i in range(len(rows))] == [
        row if len(row) <= head + tail else row[:head] + row[len(row) - tail :] for row in rows
    ]


def test_batches_hold_each_row_once_alike_in_length_and_repeat_by_seed_and_epoch():
    lengths = np.random.default_rng(0).integers(1, 100, 1000)
    batches = batch_rows(lengths, 32, seed=1, epoch=2)
    assert sorted(np.concatenate(batches)) == list(range(1000))
    assert np.mean([np.ptp(lengths[rows]) for rows in batches]) < 10
    again, other = batch_rows(lengths, 32, seed=1, epoch=2), batch_rows(lengths, 32, seed=1, epoch=3)
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))
    assert not all(len(a) == len(b) and (a == b).all() for a, b in zip(batches, other, strict=True))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=12, max_size=80), st.integers(0, 5))
def test_splits_keep_groups_together_and_lose_no_row(rows, seed):
    labels, groups = [row[0] for row in rows], np.array([row[1] for row in rows])
    kept, held = split_rows(len(rows), 0.25, labels=labels, groups=groups, seed=seed)
    assert sorted([*kept, *held]) == list(range(len(rows)))
    assert not set(groups[kept]) & set(groups[held])
    parts = folds(len(rows), 3, labels=labels, groups=groups, seed=seed)
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(len(rows)))
    assert all(not set(groups[train]) & set(groups[test]) for train, test in parts)


@pytest.mark.parametrize(
    ("sizes", "share", "fewest", "most"),
    [
        ([30, *[1] * 70], 0.1, 8, 10),  # a large group ends nothing for the others
        ([11, 9, 10, 12, 8, 10, 10, 11, 9, 10], 0.1, 8, 12),
        ([30] * 4, 0.1, 30, 30),  # no group fits: the nearest
        ([5, 50, 20, 45], 0.2, 20, 25),
        ([3, 30, 30, 30], 0.2, 33, 33),  # with another group it comes nearer than with the one that fits
        ([1] * 100, 0.2, 20, 20),
    ],
)
def test_about_the_share_is_held_out_whatever_the_groups(sizes, share, fewest, most):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.arange(len(groups)) % 2  # of two labels, also where groups hold both
    for seed in range(40):
        for known in (None, labels):
            held = split_rows(len(groups), share, labels=known, groups=groups, seed=seed)[1]
            assert fewest <= len(held) <= most, (seed, len(held))


def test_each_label_is_judged_though_most_of_its_rows_are_copies():
    labels = np.array(["ham"] * 180 + ["spam"] * 20)
    groups = [*range(180), *[180] * 12, *range(181, 189)]
    for seed in range(40):
        held = split_rows(200, 0.1, labels=labels, groups=groups, seed=seed)[1]
        assert (labels[held] == "spam").sum() == 2


def test_shares_are_of_the_whole_and_parts_that_are_given_stay():
    def held_out(rows: range, share: float) -> tuple[range, range]:
        cut = round(len(rows) * (1 - share))
        return rows[:cut], rows[cut:]

    def sizes(given: dict[str, range], test: float = 0.2, refit: bool = False) -> dict[str, int]:
        train, parts = with_held_out(range(100), given, held_out, valid=0.1, test=test, refit=refit)
        return {name: len(part) for name, part in {"train": train, **parts}.items()}

    assert sizes({}) == {"train": 70, "test": 20, "valid": 10}
    assert sizes({}, refit=True) == {"train": 80, "test": 20, "valid": 10}
    assert sizes({"test": range(7)}) == {"train": 90, "test": 7, "valid": 10}
    assert sizes({"valid": range(7)}) == {"train": 80, "test": 20, "valid": 7}
    assert sizes({}, test=0.0) == {"train": 90, "valid": 10}


def test_no_label_is_held_out_whole():
    _, held = split_rows(50, 0.2, labels=[0] * 30 + [1] * 20, groups=[0] * 30 + [1] * 10 + [2] * 10)
    assert sorted(held) in (list(range(30, 40)), list(range(40, 50)))


def test_labels_that_a_part_never_judges_are_named():
    (found,) = checks.check_absent(pl.Series(["a", "b"]), ["a", "b", "c"], "validation")
    assert found.level == "warning" and "the validation part has no row with the label 'c'" in found.message
    assert not checks.check_absent(pl.Series(["b", "a"]), ["a", "b"], "test")


def test_splits_are_stratified_and_in_time():
    labels = np.array([0] * 80 + [1] * 20)
    _, held = split_rows(100, 0.2, labels=labels, seed=3)
    assert np.bincount(labels[held]).tolist() == [16, 4]
    earlier, later = split_by_time(pl.Series([5, 1, 3, 3, 2]), 0.4)
    assert (earlier.tolist(), later.tolist()) == ([1, 2, 3, 4], [0])  # equal times stay together


def test_words_split_marks_and_scripts_without_spaces():
    words = Words()
    words.fit_encode(["It's the dog's 3rd bone, isn't it?", "日本語 text<br />more"])
    tokens, lengths = words.split(["It's the dog's 3rd bone, isn't it?", "", "日本語 text<br />more"])
    assert tokens.to_list() == [
        "it's",
        "the",
        "dog's",
        "3rd",
        "bone",
        ",",
        "isn't",
        "it",
        "?",
        *"日本語",
        "text",
        "more",
    ]
    assert lengths.tolist() == [9, 0, 5]


def test_vocabularies_rank_by_count_and_know_what_they_do_not_know():
    words = Words(max_size=2)
    ids = words.fit_encode(["b a b", "", "c a b"])
    assert words.vocabulary == ["<nothing>", "<unknown>", "b", "a"]
    assert [ids[i].tolist() for i in range(3)] == [[2, 3, 2], [0], [1, 3, 2]]
    assert words.encode(["new b"])[0].tolist() == [1, 2]


def test_stop_words_and_stems_in_several_languages():
    words = Words(stop=("en", "de"), stem="english")
    ids = words.fit_encode(["The running dogs und die Katze", "the"])
    assert words.text(ids[0]) == "run dog katz"
    assert ids[1].tolist() == [0]
    assert {"und", "la"} <= stop_words(["de", "fr"])
    assert stems(["häuser"], "german") == ["haus"]
    with pytest.raises(OptionError, match=r"no stemmer for 'englsh'.*did you mean 'english'"):
        stems([], "englsh")
    with pytest.raises(OptionError, match="no stop words for 'xx'"):
        stop_words(["xx"])


def test_ngrams_are_scikit_learns():
    texts = ["the cat sat on the mat", "a mat sat", "the the the", "unrelated words here"]
    options = {"sublinear_tf": True, "lowercase": True}
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", **options).fit(texts)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), **options).fit(texts)
    bag = Bag(words=2, characters=(2, 4), spaces=True)
    ours = bag.fit_transform(texts)
    new = ["the cat here", "", "nothing known"]
    for mine, source in ((ours, texts), (bag.transform(new), new)):
        theirs = np.hstack([words.transform(source).toarray(), characters.transform(source).toarray()])
        np.testing.assert_allclose(
            mine.toarray() @ mine.toarray().T, theirs @ theirs.T, atol=1e-5
        )  # the order of columns is free
    assert bag.sizes == (len(words.vocabulary_), len(characters.vocabulary_))


def test_rare_ngrams_are_left_out():
    bag = Bag(words=1, min_rows=2, spaces=True)
    assert bag.fit_transform(["a b", "a c", "a b"]).shape == (3, 2)


def test_scalers_and_gaps():
    values = np.array([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    for kind in ("standard", "range", "robust", "none"):
        scaler = Scaler(kind).fit(values)
        np.testing.assert_allclose(scaler.decode(scaler.encode(values)), values, atol=1e-6)
    np.testing.assert_allclose(Scaler().fit(values).encode(values)[:, 0], [-1.2247, 0, 1.2247], atol=1e-4)
    gap = Ragged.of([[[1, np.nan], [np.nan, np.nan], [3, np.nan]], [[np.nan, 7]]], np.float32)
    np.testing.assert_array_equal(fill_missing(gap, np.array([8, 9])).values, [[1, 9], [2, 9], [3, 9], [8, 7]])


def test_vectors_are_read_by_word_and_refused_by_line(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("3 2\ncat 1 2\nthe 3 4\nzebra 5 6\n")
    vectors, found = read_vectors(path, ["dog", "the", "cat"], 2)
    assert found.tolist() == [False, True, True]
    np.testing.assert_array_equal(vectors, [[0, 0], [3, 4], [1, 2]])
    path.write_text("cat 1 2\nthe 3\n")
    with pytest.raises(DataError, match="line 2, word 'the': 1 numbers where others have 2"):
        read_vectors(path, ["the", "cat"], 2)
    with pytest.raises(DataError, match="no word of the training texts"):
        read_vectors(path, ["dog"], 2)
    path.write_text("cat 1 2\n")
    with pytest.raises(OptionError, match="vectors of 2 numbers, but embedding_size=5; add embedding_size=2"):
        read_vectors(path, ["cat"], 5)


def where(row: int) -> str:
    return f"x.csv, line {row + 2}"


def messages(found: list, level: str) -> str:
    return "\n".join(finding.message for finding in found if finding.level == level)


def test_checks_of_labels():
    found = checks.check_labels(pl.Series(["a", "A", None, "b", " ", "b", "a"]), "mood", where, "x.csv")
    assert "x.csv, line 4, column 'mood': the label is empty (2 such rows; the next: x.csv, line 6)" in messages(
        found, "error"
    )
    assert "'a', 'A'" in messages(found, "warning") or "'A', 'a'" in messages(found, "warning")
    assert "every row has the label 'a'" in messages(
        checks.check_labels(pl.Series(["a", "a"]), "m", where, "x"), "error"
    )
    assert "one row" in messages(checks.check_labels(pl.Series(["a"]), "m", where, "x"), "error")
    names = pl.Series([str(i) for i in range(99)])
    assert "are these identifiers, or" in messages(checks.check_labels(names, "m", where, "x"), "error")


def test_checks_of_texts_and_parts():
    texts = pl.Series(["good", "", "x" * 200_000, "good", "cafÃ©"])
    found = checks.check_texts(texts, "text", where, pl.Series(["a", "b", "a", "b", "a"]))
    assert "line 3, column 'text': the text is empty" in messages(found, "warning")
    assert "line 4, column 'text': the text has 200,000 characters" in messages(found, "warning")
    assert "line 6, column 'text': holds characters lost in a conversion" in messages(found, "warning")
    assert "line 5, column 'text': the same text stands elsewhere with another label" in messages(found, "warning")
    assert "1 rows repeat" in messages(found, "note")
    overlap = checks.check_overlap(texts, pl.Series(["new", "good"]), where, "test")
    assert "line 3: this text is also in the training data (1 of 2 test rows)" in overlap[0].message
    unseen = checks.check_unseen(pl.Series(["a", "z"]), ["a", "b"], "mood", where)
    assert "line 3, column 'mood': the label 'z' was not in the training data; known are 'a', 'b'" in unseen[0].message
