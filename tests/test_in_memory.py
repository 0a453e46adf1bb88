"""What people hand to the estimators: missing labels and texts, labels of every type, arrays of every shape."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gatework.data import checks
from gatework.data.arrays import matrices
from gatework.data.given import aligned, given_labels, given_texts, kind_of_names
from gatework.data.sequences import Sequences, read_sequences
from gatework.errors import DataError, OptionError
from gatework.tasks.classify import ClassifyOptions, SequenceClassifier, TextClassifier, reading

SMALL: dict[str, Any] = {"hidden_size": 3, "epochs": 1, "seed": 1}
COUNT = 24
TEXTS = [f"word{i} {'up' if i % 2 else 'down'}" for i in range(COUNT)]
NUMBERS = np.arange(COUNT) % 2
WAVES = np.random.default_rng(0).normal(size=(COUNT, 7)) + NUMBERS[:, None]
NONE = [None, float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT")]


@pytest.mark.parametrize("none", NONE, ids=repr)
def test_every_way_to_say_that_there_is_nothing(none) -> None:
    names, kind = given_labels(np.array(["a", none, "b"], object))
    assert names.to_list() == ["a", None, "b"] and kind == "str"
    assert given_texts(["a", none]).to_list() == ["a", None]
    assert given_labels([1, none, 2])[0].to_list() == ["1", None, "2"]
    options = ClassifyOptions()
    assert reading.read({"text": ["x", none], "label": ["a", none]}, options).labels.to_list() == ["a", None]
    frame = pd.DataFrame({"text": ["x", none], "label": [3, none]})
    rows = reading.read(frame, options)
    assert rows.labels.to_list() == ["3", None] and rows.texts is not None and rows.texts.to_list() == ["x", None]


@pytest.mark.parametrize(
    ("make", "X"), [(TextClassifier, TEXTS), (SequenceClassifier, WAVES)], ids=["texts", "sequences"]
)
@pytest.mark.parametrize("kind", ["str", "float", "Int64", "string", "category"])
def test_rows_without_a_label_are_refused_or_left_out(make, X, kind) -> None:
    words = pd.Series(np.where(NUMBERS, "up", "down"), dtype=object)
    y = (
        words.astype(kind)
        if kind in ("string", "category")
        else words
        if kind == "str"
        else pd.Series(NUMBERS, dtype=kind)
    )
    y = y.copy()
    y[:4] = None if kind != "float" else np.nan
    with pytest.raises(DataError, match=r"the label is empty \(4 such rows"):
        make(**SMALL).fit(X, y)
    model = make(**SMALL, bad_labels="skip").fit(X, y)
    assert model.classes_.tolist() == ([0, 1] if kind in ("float", "Int64") else ["down", "up"])


LABELS = {"int": [3, 10], "bool": [False, True], "float": [0.5, 2.0], "str": ["07", "8"]}


@pytest.mark.filterwarnings("ignore:.* hold a text that the model learned from")
@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("source", ["frame", "polars", "file", "X and y"])
@pytest.mark.parametrize("what", ["texts", "sequences"])
def test_classes_are_of_the_type_of_the_labels(what, source, kind, tmp_path) -> None:
    labels = [LABELS[kind][number] for number in NUMBERS]
    if what == "texts":
        make, X = TextClassifier, pd.DataFrame({"text": TEXTS})
    else:
        make, X = SequenceClassifier, pd.DataFrame(WAVES.round(3)).add_prefix("t")
    frame = X.assign(label=labels)
    path = tmp_path / "rows.csv"
    frame.to_csv(path, index=False)
    given = {"frame": (frame,), "polars": (pl.DataFrame(frame.to_dict("list")),), "file": (str(path),)}
    model = make(**SMALL).fit(*given.get(source, (X, labels)))
    assert model.classes_.tolist() == LABELS[kind] and type(model.classes_.tolist()[0]) is type(LABELS[kind][0])
    assert set(model.predict(X).tolist()) <= set(labels)
    assert model.score(X, labels) == pytest.approx(model.score(frame))


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("0 1", "int"),
        ("-1 10", "int"),
        ("0.5 1.0", "float"),
        ("True False", "bool"),
        ("true false", "bool"),
        ("07 8", "str"),
        ("1.0 a", "str"),
        ("1e3 2", "str"),
        ("true", "str"),
        ("", "str"),
    ],
)  # fmt: skip (a pair a word)
def test_what_the_labels_of_a_file_stand_for(names: str, kind: str) -> None:
    assert kind_of_names(names.split()) == kind


def test_labels_that_write_the_same_value_otherwise() -> None:
    labels = pl.Series(["0.0", "1.00", "True", "x", None])
    assert aligned(labels, ["0", "1"]).to_list() == ["0", "1", "1", "x", None]
    assert aligned(pl.Series(["True", "0"]), ["false", "true"]).to_list() == ["true", "false"]
    assert aligned(pl.Series(["1.0"]), ["1", "01"]).to_list() == ["1.0"]  # it could be either
    assert aligned(pl.Series(["a"]), ["A"]).to_list() == ["a"]


@pytest.mark.filterwarnings("ignore:.* hold a text that the model learned from")
def test_other_files_may_write_the_labels_otherwise(tmp_path) -> None:
    path, other = tmp_path / "train.csv", tmp_path / "later.csv"
    pd.DataFrame({"text": TEXTS, "label": NUMBERS}).to_csv(path, index=False)
    pd.DataFrame({"text": TEXTS, "label": NUMBERS.astype(float)}).to_csv(other, index=False)
    model = TextClassifier(**SMALL).fit(str(path))
    assert model.score(str(other)) == model.score(str(path))


def test_names_that_read_like_none_are_told_and_can_be_none(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    words = ["NA", "nan", "null", *(["up", "down"] * 10), "None"]
    path.write_text("text,label\n" + "".join(f"{text},{word}\n" for text, word in zip(TEXTS, words, strict=True)))
    found = reading.check_rows(rows := reading.read(str(path), ClassifyOptions()), ClassifyOptions())
    (told,) = [each.message for each in found if "read like" in each.message]
    assert told.startswith(f"{path}, line 2, column 'label': 'NA', 'nan', 'null', 'None' read like missing labels")
    assert "taken for classes (4 such rows; the next: " in told and rows.labels.null_count() == 0
    named = ClassifyOptions().with_settings([told.rpartition("--set ")[2].rstrip(")")])
    assert reading.read(str(path), named).labels.null_count() == 4
    left = reading.read(str(path), ClassifyOptions(no_label=named.no_label, bad_labels="skip"))
    assert set(left.labels) == {"up", "down"}
    assert not checks.check_labels(pl.Series(["a", "b"] * 2), "label", str, "x")


def same(one: Sequences, other: Sequences) -> bool:
    return one.values.values.tolist() == other.values.values.tolist() and len(one) == len(other)


def panel(channels: int = 2, steps: int = 9) -> np.ndarray:
    """[n, steps, channels]: each value says where it stands."""
    n, t, c = np.meshgrid(np.arange(COUNT), np.arange(steps), np.arange(channels), indexing="ij")
    return (100 * n + 10 * c + t).astype(np.float32)


def test_the_order_of_a_panel() -> None:
    whole = panel()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_sequences(whole)
        assert same(read_sequences(whole.swapaxes(1, 2), channels="first"), read)
        read_sequences(whole.swapaxes(1, 2), channels="last")
    assert read.notes == ("read as 24 sequences of 9 step(s) and 2 channel(s)",)
    with pytest.warns(UserWarning, match="of 2 step.* and 9 channel.*more channels than steps; .*channels='first'"):
        read_sequences(whole.swapaxes(1, 2))
    uneven = [row.T[:, : 5 + i % 3] for i, row in enumerate(whole)]
    with pytest.raises(DataError, match=r"sequence 2 has 6 channels, sequence 1 has 5.*pass channels='first'"):
        read_sequences(uneven)
    assert [row.shape for row in matrices(uneven, "first")][:3] == [(5, 2), (6, 2), (7, 2)]
    with pytest.raises(OptionError, match="arrays in memory"):
        read_sequences("some.csv", channels="first")


def test_an_estimator_keeps_the_order() -> None:
    X = np.ascontiguousarray(np.stack([WAVES, -WAVES], axis=1))  # [n, 2, 7]
    with pytest.warns(UserWarning, match="channels='first'"):
        SequenceClassifier(**SMALL).fit(X, NUMBERS)
    model = SequenceClassifier(**SMALL, channels="first").fit(X, NUMBERS)
    other = SequenceClassifier(**SMALL).fit(X.swapaxes(1, 2), NUMBERS)
    assert len(model._codecs().channels) == 2
    assert model.predict_proba(X).tolist() == other.predict_proba(X.swapaxes(1, 2)).tolist()
    assert model.predict(X[:, :, :4]).shape == (COUNT,)


def test_frames_of_sequences() -> None:
    whole = panel()
    wide = pd.DataFrame(whole[:, :, 0])
    assert same(read_sequences(wide, labelled=False), read_sequences(whole[:, :, 0]))
    cells = pd.DataFrame({f"dim_{c}": [pd.Series(row[:, c]) for row in whole] for c in range(2)})
    assert same(read_sequences(cells), read_sequences(whole))
    lists = pl.DataFrame({f"dim_{c}": whole[:, :, c].tolist() for c in range(2)})
    assert same(read_sequences(lists), read_sequences(whole))
    index = pd.MultiIndex.from_product([range(COUNT), range(9)], names=["instance", "step"])
    long = pd.DataFrame(whole.reshape(-1, 2), index=index, columns=["a", "b"])
    read = read_sequences(long, labelled=False)
    assert same(read, read_sequences(whole)) and read.channels == ("a", "b")
    for frame in (wide, cells, lists, long):
        assert SequenceClassifier(**SMALL).fit(frame, NUMBERS).predict(frame).shape == (COUNT,)
    cells.at[1, "dim_1"] = pd.Series([1.0])
    with pytest.raises(DataError, match="sequence 2: its channels have different numbers of steps"):
        read_sequences(cells)


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        (WAVES * 1j, NUMBERS, "Complex data not supported"),
        (WAVES[:, :0], NUMBERS, r"0 feature\(s\)"),
        (WAVES[:, :, None, None], NUMBERS, r"shape \(24, 7, 1, 1\)"),
        (WAVES, np.eye(2)[NUMBERS], r"the labels have the shape \(24, 2\).*argmax"),
        (WAVES, NUMBERS[:5], "24 sequences but 5 labels"),
        ([["a", "b"]] * COUNT, NUMBERS, "sequence 1 is not an array of numbers"),
    ],
)
def test_arrays_that_cannot_be_sequences(X, y, words) -> None:
    with pytest.raises(DataError, match=words):
        SequenceClassifier(**SMALL).fit(X, y)


def test_what_cannot_be_texts_and_what_can() -> None:
    from scipy.sparse import csr_matrix

    for make in (SequenceClassifier, TextClassifier):
        with pytest.raises(DataError, match=r"sparse matrix .*X.toarray\(\)"):
            make(**SMALL).fit(csr_matrix(WAVES), NUMBERS)
    for X, words in (
        (WAVES, "shape"),
        (WAVES[:, 0], "which is no text.*SequenceClassifier"),
        ("a.csv", "the file alone"),
    ):
        with pytest.raises(DataError, match=words):
            TextClassifier(**SMALL).fit(X, NUMBERS)
    expected = TextClassifier(**SMALL).fit(TEXTS, NUMBERS).predict_proba(TEXTS).tolist()
    frame = pd.DataFrame({"n": range(COUNT), "text": TEXTS})
    column = np.array(TEXTS, object)[:, None]
    for X in (frame, frame[["text"]], column, pl.Series(TEXTS), iter(TEXTS)):
        assert TextClassifier(**SMALL).fit(X, NUMBERS[:, None]).predict_proba(TEXTS).tolist() == expected
    model = TextClassifier(**SMALL).fit(TEXTS, pd.DataFrame({"y": NUMBERS}))
    assert model.predict_proba(frame[["text"]]).tolist() == model.predict_proba(t for t in TEXTS).tolist() == expected
