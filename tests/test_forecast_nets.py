"""Forecasters as nets: what torch says for random weights, said by numpy, by ONNX Runtime and by C."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from c_face import needs_compiler
from gatework.exporting import c
from gatework.runtime.exported import Exported
from gatework.runtime.net import Builder
from gatework.runtime.net.run import Bound
from gatework.runtime.series.windows import Shape
from gatework.tasks.forecast.decoding import DECODERS
from gatework.tasks.forecast.exported import network
from gatework.tasks.forecast.model import Forecast
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.windows import Batch
from test_export_c import proved
from test_export_onnx import compared

LOOKBACK, HORIZON, ROWS = 6, 4, 3
SEEN, KNOWN, STATIC = 2, 5, 1  # channels known up to now alone, known ahead, and of these static ones
WAYS: dict[str, dict[str, Any]] = {
    "one network": {},
    "layers": {"layers": 2, "ensemble": 2},
    "gaps": {"cell": "gru_d"},
    "differences": {"difference": True},
}


def case(decoding: str, way: str) -> tuple[Forecast, Shape, Batch]:
    """A network whose every weight has a say, and windows for it."""
    settings = dict(WAYS[way])
    shape = Shape(LOOKBACK, HORIZON, 3, difference=settings.pop("difference", False))
    options = ForecastOptions.of(
        {"combine": "none", "linear": "learned", "decoding": decoding, "hidden_size": 5, "width": 3, **settings}
    )
    torch.manual_seed(5)
    model = Forecast(options, shape, SEEN + KNOWN, KNOWN, STATIC, ahead=1).eval()
    for value in (*model.parameters(), model.spread):
        torch.nn.init.normal_(value, std=0.5)
    model.share.fill_(0.6)
    inputs = torch.randn(LOOKBACK, ROWS, SEEN + KNOWN)
    inputs[:, :, 1] = (inputs[:, :, 1] > 0).float()
    window, base = torch.randn(ROWS, LOOKBACK), torch.randn(ROWS, HORIZON)
    ahead, future = torch.randn(ROWS, HORIZON, 2), torch.randn(ROWS, HORIZON, KNOWN)
    return model, shape, Batch(inputs, window, base, ahead, future, base, np.zeros(ROWS), np.ones(ROWS))


def arrays(b: Builder, batch: Batch) -> dict[str, np.ndarray]:
    given = batch._asdict() | {"lengths": np.full(ROWS, LOOKBACK, np.int64)}
    return {name: np.asarray(given[name]) for name in b.net().inputs}


# Segments are read by a map, which is told of no gaps.
CASES = [(decoding, way) for decoding in DECODERS for way in WAYS if (decoding, way) != ("segments", "gaps")]


@torch.no_grad()
@pytest.mark.parametrize(("decoding", "way"), CASES)
def test_nets_say_what_torch_says(decoding: str, way: str) -> None:
    model, shape, batch = case(decoding, way)
    b = Builder()
    net = network(b, model, shape)
    found = Bound(net, b.arrays, b.stacks)(**arrays(b, batch))["made"]
    np.testing.assert_allclose(found, model(batch), rtol=1e-5, atol=2e-6)
    compared(b, arrays(b, batch))


@needs_compiler
@pytest.mark.parametrize("decoding", ["recursive", "attention"])
def test_they_prove_themselves_in_c(decoding: str, tmp_path: Path) -> None:
    model, shape, _ = case(decoding, "layers")
    b = Builder()
    net = network(b, model, shape)
    made = Exported("horizon", {"shape": {"lookback": LOOKBACK}}, {"whole": net}, b.arrays, b.stacks)
    proved(c.write_nets(made, tmp_path, "net"))
