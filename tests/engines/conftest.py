"""What the engines' tests share: a classifier's export, a table of rows, and the plain answers to them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import gatework
from gatework.batch import Predictor

TEXTS = ["a stirring, funny film", "warm and bright", "dull and slow", "not funny at all"]
COLUMNS = ("id", "label", "confidence")


@pytest.fixture(scope="session")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("model")
    options = {"epochs": 1, "hidden_size": 4, "embedding_size": 4, "subwords": 0, "valid_share": 0.25}
    gatework.TextClassifier(out=str(folder / "reviews"), **options).fit(TEXTS * 8, ["good", "good", "bad", "bad"] * 8)
    file = gatework.export(folder / "reviews", folder / "reviews.safetensors").files[0]
    return Predictor(file, keep=("id",), columns=("label", "confidence"))


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    words = " ".join(TEXTS).replace(",", "").split()
    texts = [" ".join(words[(3 * k + j) % len(words)] for j in range(1 + k % 9)) for k in range(300)]
    return pd.DataFrame({"id": range(300), "text": texts})


@pytest.fixture(scope="session")
def wanted(predictor: Predictor, rows: pd.DataFrame) -> pd.DataFrame:
    """Answers without an engine; they differ from row to row."""
    found = predictor(rows)
    assert found["confidence"].nunique() > 100 and list(found) == list(COLUMNS)
    return found


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """Each row once, in any order, with its very answer."""
    found = found.sort_values("id", ignore_index=True)[list(COLUMNS)]
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, rtol=1e-6)


@pytest.fixture(scope="session")
def table(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows in four files of a folder, as a cluster reads them."""
    folder = tmp_path_factory.mktemp("table")
    for number in range(4):
        rows[75 * number : 75 * number + 75].to_parquet(folder / f"part-{number}.parquet", index=False)
    return folder
