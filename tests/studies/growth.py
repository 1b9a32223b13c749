"""python -m tests.studies.growth [SEED]: how often a verdict on growth is right, on curves whose shape is known.

Prints a table as Markdown; it stands in docs/measurements.md. Takes less than a minute. A curve is what the quick
profile measures: eight sizes from 64 to 4,096, three processes each. An intercept of 0 to 20 ms, 5 % multiplicative
noise on every value and twice as long for one in ten. What grows reaches 20 ms to 2 s at the largest size. The fifth
shape is that of ViT's multiply-adds; a sixth, a line with a quadratic part of 25 to 40 % of the time at the largest
size, comes on top of the five.
"""

import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from results import growth

SIZES = (64, 121, 225, 400, 729, 1296, 2304, 4096)
PROCESSES = 3
NOISE = 0.05
DISTURBED = 0.1
SLOWER = 2.0
SHAPES = {
    "constant": lambda n: 0.0,
    "linear": lambda n: n,
    "quadratic": lambda n: n**2,
    "N log N": lambda n: n * math.log(n),
    "128 N + N^2": lambda n: 128 * n + n**2,
}
PARTLY = "25-40 % quadratic"
RIGHT: dict[growth.Claim, dict[str, growth.Verdict]] = {
    "linear": {"constant": "supported", "linear": "supported"},
    "quadratic": {"quadratic": "supported", "128 N + N^2": "supported", PARTLY: "supported"},
}
"""Claim -> the shapes that meet it; all others contradict it. "Linear" is a bound from above, which N log N exceeds."""
OUTCOMES = ("right", "wrong", "inconclusive")


@dataclass(frozen=True)
class Curve:
    """A made-up curve: the name of its shape, and the seconds of each size's processes."""

    shape: str
    seconds: dict[int, list[float]]


def curves(count: int, seed: int) -> Iterator[Curve]:
    """`count` curves of the five shapes in turn, and a fifth as many partly quadratic ones after them."""
    generator = np.random.default_rng(seed)
    shapes = [list(SHAPES)[number % len(SHAPES)] for number in range(count)]
    for shape in shapes + [PARTLY] * (count // len(SHAPES)):
        intercept = generator.uniform(0, 0.020) if shape != "constant" else generator.uniform(0.001, 0.020)
        largest = math.exp(generator.uniform(math.log(0.020), math.log(2.0)))
        square = generator.uniform(0.25, 0.40) * (intercept + largest)
        seconds = {}
        for size in SIZES:
            if shape == PARTLY:
                x = size / SIZES[-1]
                value = intercept + (largest - square) * x + square * x**2
            else:
                value = intercept + largest * SHAPES[shape](size) / (SHAPES[shape](SIZES[-1]) or 1.0)
            noise = np.exp(generator.normal(0, NOISE, PROCESSES))
            slow = np.where(generator.uniform(size=PROCESSES) < DISTURBED, SLOWER, 1.0)
            seconds[size] = list(value * noise * slow)
        yield Curve(shape, seconds)


def outcomes(count: int, seed: int, unit: float = 1.0) -> Counter[tuple[str, str, str]]:
    """(shape, claim, outcome) -> how many, with the seconds given in units of `unit` seconds."""
    found: Counter[tuple[str, str, str]] = Counter()
    for curve in curves(count, seed):
        grown = growth.fit_growth({size: [s / unit for s in seconds] for size, seconds in curve.seconds.items()})
        for claim, right in RIGHT.items():
            said, true = growth.verdict(grown, claim), right.get(curve.shape, "contradicted")
            found[curve.shape, claim, "inconclusive" if said == "inconclusive" else OUTCOMES[said != true]] += 1
    return found


def main(count: int = 1000, seed: int = 0) -> None:
    found = outcomes(count, seed)
    heads = [f"{claim}: {outcome}" for claim in RIGHT for outcome in OUTCOMES]
    print(f"Seed {seed}.\n\n| true shape | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for shape in [*SHAPES, PARTLY]:
        total = sum(found[shape, "linear", outcome] for outcome in OUTCOMES)
        shares = [f"{found[shape, claim, outcome] / total:.1%}" for claim in RIGHT for outcome in OUTCOMES]
        print(f"| {shape} ({total}) | {' | '.join(shares)} |")
    print(f"\nThe same in ms and in ns: {all(outcomes(count, seed, unit) == found for unit in (1e-3, 1e-9))}")


if __name__ == "__main__":
    main(seed=int(sys.argv[1]) if len(sys.argv) > 1 else 0)
