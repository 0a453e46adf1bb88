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
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.timeout(200)
def test_ray(predictor: Predictor, table: Path, wanted: pd.DataFrame) -> None:
    dataset = ray.data.read_parquet(str(table))
    same(dataset.map_batches(predictor, batch_format="pandas", batch_size=64).to_pandas(), wanted)
    same(dataset.map_batches(predictor, batch_format="numpy", batch_size=64).to_pandas(), wanted)
