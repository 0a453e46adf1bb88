"""Predictions by Ray Data, on a local cluster of two processors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import ray

from engines.conftest import same
from gatework.batch import Predictor


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RAY_DATA_PARQUET_FOOTER_NUM_ACTORS", "1")  # each is a process; Ray's own number is 32
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else 15: beside other work they get no turn
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.timeout(200)
def test_ray(predictor: Predictor, table: Path, wanted: pd.DataFrame) -> None:
    dataset = ray.data.read_parquet(str(table)).materialize()
    same(dataset.map_batches(predictor, batch_format="pandas", batch_size=64).to_pandas(), wanted)
    same(dataset.map_batches(predictor, batch_format="numpy", batch_size=64).to_pandas(), wanted)
