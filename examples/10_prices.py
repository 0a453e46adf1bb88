"""Prices of a share: why no network beats "tomorrow as today" there, and what can be forecast instead."""

from __future__ import annotations

import numpy as np
import polars as pl

import gatework

DAYS, AHEAD, WEEKS = 1500, 5, 40  # six years of trading; a week to forecast; how many weeks to test on


def made_prices(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Prices and daily returns in percent, made as markets seem to make them.

    Everybody can buy today what is sure to be dearer tomorrow, so what can be foreseen is in the price already. What
    is left is news: returns without a pattern, and a price that walks at random. But calm and wild weeks come in
    stretches: how far the price will move can be foreseen, though not where to (a GARCH process, Bollerslev 1986).
    """
    noise = np.random.default_rng(seed).standard_normal(DAYS)
    returns, variance = np.zeros(DAYS), 1.0
    for day in range(1, DAYS):
        variance = 0.03 + 0.15 * returns[day - 1] ** 2 + 0.82 * variance  # a wild day makes the next one wild
        returns[day] = np.sqrt(variance) * noise[day]
    return 100 * np.exp(np.cumsum(returns) / 100), returns


def forecast(name: str, values: np.ndarray) -> dict[str, float]:
    """Trains on all but the last weeks; gives the error (MASE) of the model and of simple methods on these.

    MASE 1 is what repeating the last value errs by, on average, from one day to the next.
    """
    frame = pl.DataFrame({"day": np.arange(DAYS), name: values})
    model = gatework.Forecaster(
        time="day", target=(name,), horizon=AHEAD, lookback=40, season=1, valid_windows=WEEKS, test_windows=WEEKS,
        hidden_size=16, epochs=6, seed=1,
    )  # fmt: skip
    results = model.fit(frame).trained_.run.results()
    errors = {each["name"]: each["metrics"]["mase"] for each in results["contenders"] if each["role"] == "baseline"}
    print(f"\n{name}: mean error over the {AHEAD} days ahead, in units of MASE")
    for method, error in {"the network": results["test"]["mase"], **errors}.items():
        print(f"  {method:16} {error:.3f}")
    return {"the network": results["test"]["mase"], **errors}


prices, returns = made_prices(seed=1)

# 1. The price itself. The naive forecast says: the price stays where it is. For a random walk no other forecast can be
# better on average, and so the network, which starts as that forecast, can only tie with it or fit noise and lose.
found = forecast("price", prices)
gain = 1 - found["the network"] / found["naive"]
print(f"  The network is {abs(gain):.1%} {'better' if gain > 0 else 'worse'} than the naive forecast: a tie.")
assert abs(gain) < 0.1

# A chart of such a forecast looks good all the same, as it follows the price one day late. Beware of articles that
# show that chart, and an error in dollars, but not the naive forecast beside it.

# 2. How far the price moves in a day. The naive forecast (as far as today) is poor, as a single day is mostly chance;
# every method that sees whether the last weeks were calm or wild does better. Options and margins are priced by this.
# The table tells whether a network is needed: methods that smooth the last weeks are hard to beat.
found = forecast("movement", np.abs(returns))
gain = 1 - found["the network"] / found["naive"]
print(f"  The network errs {gain:.0%} less than the naive forecast: calm and wild weeks can be foreseen.")
best = min(found, key=lambda method: found[method])
print(f"  The best of all is: {best}.")
assert gain > 0.1
