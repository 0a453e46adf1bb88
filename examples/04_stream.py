"""Save a trained layer and run it where there is no PyTorch: one step at a time, many streams at once."""

from __future__ import annotations

import time

import numpy as np
import torch

import gatework

torch.manual_seed(0)
layer = gatework.LSTM(16, 32, num_layers=2).eval()
gatework.save(layer, "layer.safetensors")  # the weights and, in the metadata, the equations

# From here on numpy is enough.
runner = gatework.runtime.load("layer.safetensors")
x = np.random.default_rng(0).standard_normal((100, 8, 16)).astype(np.float32)  # T = 100 steps of B = 8 streams

outputs = np.stack([runner.step(row) for row in x])  # (B, I) to (B, H) each
with torch.no_grad():
    expected = layer(torch.from_numpy(x))[0].numpy()
print(f"largest difference from the layer: {np.abs(outputs - expected).max():.1e}")
assert np.allclose(outputs, expected, atol=1e-5)

# States are arrays: keep them, go back to them, start single streams afresh.
kept = runner.state
first = runner.step(x[0])
runner.state = kept
assert np.array_equal(runner.step(x[0]), first)
runner.reset(rows=[3])
print("stream 3 starts afresh:", bool((runner.state[0]["h"][3] == 0).all()))

# Whole sequences go on from the states; a new batch of streams begins with reset.
runner.reset(batch=1)
start = time.perf_counter()
runner.run(x[:, :1])
print(f"100 steps of one stream at once: {1e6 * (time.perf_counter() - start):.0f} us")
