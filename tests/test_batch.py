"""Predictors for engines: each kind of batch, sent to another process, errors by row."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gatework
from gatework import batch
from gatework.batch import Predictor
from gatework.errors import DataError

TEXTS = ["a stirring, funny film", "warm and bright", "dull and slow", "not funny at all"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    options = {"epochs": 1, "hidden_size": 4, "embedding_size": 4, "subwords": 0, "valid_share": 0.25}
    path = tmp_path_factory.mktemp("runs") / "reviews"
    gatework.TextClassifier(out=str(path), **options).fit(TEXTS * 8, ["good", "good", "bad", "bad"] * 8)
    return path


@pytest.fixture(scope="module")
def file(run: Path) -> Path:
    return gatework.export(run, run.parent / "reviews.safetensors").files[0]


def test_answers_come_in_the_kind_of_the_batch(file: Path) -> None:
    wanted = gatework.runtime.load(file).predict(TEXTS)
    predictor = Predictor(file, keep=("id",), columns=("label", "probabilities.good"))
    frame = pd.DataFrame({"id": range(4), "text": TEXTS, "more": 1.5})
    found = predictor(frame)
    assert list(found.columns) == ["id", "label", "probabilities.good"]
    assert found["label"].tolist() == [each["label"] for each in wanted]
    columns = predictor({name: frame[name].to_numpy() for name in frame})
    assert list(columns) == list(found.columns)
    np.testing.assert_array_equal(columns["probabilities.good"], found["probabilities.good"])
    assert predictor(frame.to_dict("records")) == found.to_dict("records")
    assert [each["label"] for each in Predictor(file)(TEXTS)] == found["label"].tolist()
    assert [len(each) for each in predictor.partitions([frame, frame[:0], frame[:1]])] == [4, 0, 1]


def test_a_run_folder_answers_alike(run: Path, file: Path) -> None:
    (found, wanted) = (Predictor(path)(TEXTS) for path in (run, file))
    assert [each["label"] for each in found] == [each["label"] for each in wanted]


def test_a_predictor_is_sent_as_a_path_and_loads_once_in_a_process(file: Path) -> None:
    predictor = Predictor(file)
    predictor(TEXTS)
    assert len(pickle.dumps(predictor)) < 500 + len(str(file))
    before = batch._loaded.cache_info().misses
    predictor(TEXTS)
    pickle.loads(pickle.dumps(predictor))(TEXTS)
    assert batch._loaded.cache_info().misses == before
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as others:
        assert others.submit(predictor, TEXTS).result(timeout=100) == predictor(TEXTS)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([{"text": "a"}, {"text": 3}], "row 2 is"),
        ({"text": ["a", "b"], "id": [1]}, "different lengths"),
        ([{"text": "a"}], "no column 'id' to keep"),
    ],
)
def test_bad_batches_are_named(file: Path, given: object, told: str) -> None:
    with pytest.raises(DataError, match=told):
        Predictor(file, keep=("id",))(given)  # type: ignore[arg-type]


def test_unknown_columns_are_named(file: Path) -> None:
    with pytest.raises(DataError, match="no column 'lable'; there are label, confidence"):
        Predictor(file, columns=("lable",))(TEXTS)
