"""Predictions by Dask, in two processes."""

from __future__ import annotations

from pathlib import Path

import dask.dataframe as dd
import pandas as pd
import pytest
from dask.distributed import Client, LocalCluster

from engines.conftest import same
from gatework.batch import Predictor


@pytest.mark.timeout(200)
def test_dask(predictor: Predictor, table: Path, wanted: pd.DataFrame) -> None:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        frame = dd.read_parquet(table)
        answers = frame.map_partitions(predictor, meta={"id": "int64", "label": "object", "confidence": "float64"})
        same(answers.compute(), wanted)
