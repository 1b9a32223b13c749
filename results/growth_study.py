"""python -m results.growth_study: how often the fit of growth names a law right, on curves whose law is known.

Prints a table as Markdown; it stands in docs/measurements.md. Takes about a minute. A curve is what the quick profile
measures: eight sizes from 64 to 4,096, three processes each. The fifth shape is that of ViT's multiply-adds. An
intercept of 0 to 20 ms, 5 % multiplicative noise on every value and 3 times as long for 5 % of them. What grows reaches
20 ms to 2 s at the largest size.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from results import stats

SIZES = (64, 121, 225, 400, 729, 1296, 2304, 4096)
PROCESSES = 3
NOISE = 0.05
OUTLIERS = 0.05
SHAPES = {
    "constant": lambda n: 0.0,
    "linear": lambda n: n,
    "quadratic": lambda n: n**2,
    "N log N": lambda n: n * math.log(n),
    "128 N + N^2": lambda n: 128 * n + n**2,
}


@dataclass(frozen=True)
class Curve:
    """A made-up curve: the name of its law, and the seconds of each size's processes."""

    shape: str
    seconds: dict[int, list[float]]


def curves(count: int, seed: int) -> Iterator[Curve]:
    """`count` curves, the shapes in turn."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        shape = list(SHAPES)[number % len(SHAPES)]
        intercept = generator.uniform(0, 0.020) if shape != "constant" else generator.uniform(0.001, 0.020)
        largest = math.exp(generator.uniform(math.log(0.020), math.log(2.0)))
        grown = SHAPES[shape](SIZES[-1]) or 1.0
        seconds = {}
        for size in SIZES:
            noise = np.exp(generator.normal(0, NOISE, PROCESSES))
            slow = np.where(generator.uniform(size=PROCESSES) < OUTLIERS, 3.0, 1.0)
            seconds[size] = list((intercept + largest * SHAPES[shape](size) / grown) * noise * slow)
        yield Curve(shape, seconds)


def confusion(count: int, seed: int, unit: float = 1.0) -> Counter[tuple[str, str]]:
    """(shape, name the fit gave it) -> how many, with the seconds given in units of `unit` seconds."""
    found: Counter[tuple[str, str]] = Counter()
    for curve in curves(count, seed):
        values = {size: [second / unit for second in seconds] for size, seconds in curve.seconds.items()}
        found[curve.shape, stats.name_growth(stats.fit_laws(values), SIZES[-1]).name] += 1
    return found


def main(count: int = 1000, seed: int = 0) -> None:
    found = confusion(count, seed)
    names = ("constant", "linear", "quadratic")
    print(f"| true law | {' | '.join(f'named {name}' for name in names)} |\n|---|---|---|---|")
    for shape in SHAPES:
        total = sum(n for (true, _), n in found.items() if true == shape)
        print(f"| {shape} ({total}) | {' | '.join(f'{found[shape, name] / total:.1%}' for name in names)} |")
    print(f"\nThe same names in ms and in ns: {all(confusion(count, seed, unit) == found for unit in (1e-3, 1e-9))}")


if __name__ == "__main__":
    main()
