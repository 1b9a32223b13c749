"""python -m tests.studies.history: how often the change points of a history are right, on made-up series. One minute.

Each series has 40 gates, with and without a step that takes longer from the 24th on. Prints, for each kind of noise,
how many series without a change show one, and in how many the step's change is found within two gates.
"""

import random
from collections.abc import Callable

import numpy as np

from report.history import change_points

SERIES, GATES, PLACE = 400, 40, 23
SLOWDOWNS = (0.03, 0.05, 0.10, 0.20)
Noise = Callable[[np.random.Generator], np.ndarray]


def independent(spread: float) -> Noise:
    return lambda rng: rng.normal(0, spread, GATES)


def with_outliers(rng: np.random.Generator) -> np.ndarray:
    """One gate of twenty takes 1.2 times as long: something else ran."""
    return rng.normal(0, 0.01, GATES) + np.log(1.2) * (rng.random(GATES) < 0.05)


def autocorrelated(rng: np.random.Generator) -> np.ndarray:
    """Days of one week are alike: neighbours correlate with 0.5."""
    values = [rng.normal(0, 0.02)]
    while len(values) < GATES:
        values.append(0.5 * values[-1] + rng.normal(0, 0.02 * np.sqrt(0.75)))
    return np.array(values)


def drifting(rng: np.random.Generator) -> np.ndarray:
    """The machine walks at random by 0.5 % a gate."""
    return rng.normal(0, 0.01, GATES) + np.cumsum(rng.normal(0, 0.005, GATES))


def two_speeds(rng: np.random.Generator) -> np.ndarray:
    """A cloud's machines of one name have two speeds, 10 % apart."""
    return rng.normal(0, 0.01, GATES) + np.log(1.1) * (rng.random(GATES) < 0.5)


NOISES: dict[str, Noise] = {
    "independent, 1 %": independent(0.01),
    "independent, 3 %": independent(0.03),
    "1 %, and 5 % outliers of 1.2 times": with_outliers,
    "2 %, neighbours correlated by 0.5": autocorrelated,
    "1 %, and a random walk of 0.5 %": drifting,
    "1 %, and two speeds 10 % apart": two_speeds,
}


def main() -> None:
    print(f"{SERIES} series of {GATES} gates each")
    for name, noise in NOISES.items():
        rng = np.random.default_rng(random.Random(name).randrange(2**32))
        false = sum(bool(change_points(np.exp(noise(rng)).tolist())) for _ in range(SERIES))
        found = dict.fromkeys(SLOWDOWNS, 0)
        for slowdown in SLOWDOWNS:
            for _ in range(SERIES):
                logs = noise(rng) + np.log1p(slowdown) * (np.arange(GATES) >= PLACE)
                found[slowdown] += any(abs(place - PLACE) <= 2 for place in change_points(np.exp(logs).tolist()))
        shares = ", ".join(f"{slowdown:.0%} found {count / SERIES:.0%}" for slowdown, count in found.items())
        print(f"  {name}: false alarms {false / SERIES:.1%}; {shares}")


if __name__ == "__main__":
    main()
