"""The command line and the table that scripts of simulations share."""

import argparse
from collections.abc import Callable, Iterable, Sequence

import numpy as np

Simulate = Callable[[np.random.Generator, str, str, int, int], dict[str, str]]


def print_table(
    description: str | None,
    heads: Sequence[str],
    simulate: Simulate,
    noises: Iterable[str],
    scenarios: Iterable[str],
    counts: Sequence[int],
) -> None:
    """Print a row for every noise, scenario and number of seeds, in Markdown; flags say how many studies and seeds.

    Args:
      description: of the script.
      heads: of the columns, keys of what `simulate` returns.
      simulate: (generator, noise, scenario, number of seeds, number of studies) -> texts of a row.
      noises, scenarios: names.
      counts: numbers of seeds where no flag says others.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies per row (default: 1000)")
    parser.add_argument("--seeds", type=int, nargs="+", default=counts, help="numbers of seeds")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation's draws (default: 0)")
    flags = parser.parse_args()
    rng = np.random.default_rng(flags.seed)
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for noise in noises:
        for scenario in scenarios:
            for num_seeds in flags.seeds:
                row = simulate(rng, noise, scenario, num_seeds, flags.studies)
                print("| " + " | ".join(row.values()) + " |", flush=True)
