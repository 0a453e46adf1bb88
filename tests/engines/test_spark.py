"""Predictions by Spark, on a local cluster of two processors."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from engines.conftest import same
from gatework.batch import Predictor

pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17 or newer on the path")


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SparkSession]:
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.chdir(tmp_path)  # Spark leaves a folder where it runs
    settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.sql.shuffle.partitions": "2"}
    builder = SparkSession.builder.master("local[2]").config(map=settings)
    session = builder.getOrCreate()
    yield session
    session.stop()


@pytest.mark.timeout(250)
def test_spark(spark: SparkSession, predictor: Predictor, table: Path, wanted: pd.DataFrame) -> None:
    frame = spark.read.parquet(str(table))
    answers = frame.mapInPandas(predictor.partitions, "id long, label string, confidence double")
    same(answers.toPandas(), wanted)
