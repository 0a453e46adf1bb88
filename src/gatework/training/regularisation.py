"""Options against learning rows by heart: one name and meaning in every job where they mean something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gatework.training.options import TrainingOptions, option

PANEL = "regularisation"
# What a recurrent layer takes by these names.
STATES = ("recurrent_dropout", "weight_drop", "zoneout", "layer_norm", "chrono")


@dataclass(frozen=True, kw_only=True)
class RecurrentOptions(TrainingOptions):
    """Options of every job, as each has recurrent layers: `networks.encoder` hands them on.

    l1, l2 and weight_decay are among `TrainingOptions`. A job redeclares `dropout` to say where it acts there.
    """

    cell: str = option(
        "lstm", "which cell: `gatework cells` lists them", panel="model", basic=True, completes="cell", role="late"
    )
    hidden_size: int = option(128, "units per layer (H)", panel="model", basic=True, low=1, role="late")
    layers: int = option(1, "layers on top of each other", panel="model", basic=True, low=1, high=64, role="late")
    layer_norm: bool = option(False, "normalise every gate over its units (Ba et al. 2016)", panel="model", role="late")

    chrono: int | None = option(
        None, "longest dependency in steps: gates start so as to keep it (Tallec & Ollivier 2018)", panel="model", low=3
    )

    precision: str = option(
        "float32",
        "what products of recurrent layers read in training; sums, states and weights are float32. bf16 is up to twice "
        "as fast on processors with AVX512-BF16, and no faster on others",
        panel="training",
        choices=("float32", "bf16"),
        role="course",
    )

    dropout: float = option(
        0.0, "dropout of inputs and outputs", panel=PANEL, basic=True, low=0, high=0.99, role="late"
    )
    recurrent_dropout: float = option(
        0.0,
        "dropout of the states, one mask a sequence (Gal & Ghahramani 2016)",
        panel=PANEL,
        low=0,
        high=0.99,
        role="late",
    )
    weight_drop: float = option(
        0.0,
        "dropout of state-to-state weights, one mask a step (Merity et al. 2018)",
        panel=PANEL,
        low=0,
        high=0.99,
        role="late",
    )
    zoneout: float = option(
        0.0,
        "rate at which units keep their old value (Krueger et al. 2017)",
        panel=PANEL,
        low=0,
        high=0.99,
        role="late",
    )

    def of_states(self) -> dict[str, Any]:
        """Those that act inside a recurrent layer, where in use."""
        found = {name: value for name in STATES if (value := getattr(self, name))}
        return found if self.precision == "float32" else {**found, "precision": self.precision}


@dataclass(frozen=True, kw_only=True)
class NumericOptions(RecurrentOptions):
    """Options of jobs that read numbers: training sees changed copies of them; see `data.augment.Augmentation`."""

    jitter: float = option(0.0, "deviation of noise added to scaled values in training", panel=PANEL, low=0)
    rescale: float = option(
        0.0, "deviation of the logarithm of a random factor for each channel in training", panel=PANEL, low=0, high=2
    )
    window_warp: float = option(
        0.0, "share of a sequence that training sees at half or double speed", panel=PANEL, low=0, high=1
    )
