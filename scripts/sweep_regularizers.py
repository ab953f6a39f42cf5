"""Sweep combinations of regularizers over paired seeds, from flags.

    python scripts/sweep_regularizers.py --out out/sweep --seeds 10 \\
        --factor dropout.hidden=0,0.3 --factor l1_proximal.strength=0,0.01 --factor model.norm=none,batch

Each --factor names what is varied and its levels, the baseline first; by default every combination is run. The network
is an MLP on the digits that scikit-learn carries, unless --data names a prepared set. Effects are paired over seeds.
"""

import argparse
from pathlib import Path
from typing import Any

import regjax
from regjax.draft import read_factor
from regjax.files import RegjaxError


def parse_factor(text: str) -> tuple[str, list[Any]]:
    """Return the path and levels of a flag such as "dropout.hidden=0,0.5"."""
    try:
        return read_factor(text)
    except RegjaxError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def make_study(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the study that the flags describe."""
    factors = dict(chosen.factor)
    return {
        "question": f"What do {', '.join(factors)} do to {chosen.metric} of an MLP on {chosen.data}?",
        "primary": {"metric": chosen.metric, "at": "best"},
        "data": {"name": "arrays", "path": str(chosen.path.resolve())} if chosen.path else {"name": chosen.data},
        "model": {"name": "mlp", "widths": chosen.widths},
        "optimizer": {"name": "adam", "learning_rate": chosen.learning_rate},
        "training": {"epochs": chosen.epochs, "batch_size": chosen.batch_size},
        "seeds": {"count": chosen.seeds},
        "factors": factors,
        "design": {"kind": chosen.design},
    }


def main(arguments: list[str] | None = None) -> regjax.Results:
    """Run the sweep with these flags; print effects and where the report is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="run directory")
    parser.add_argument("--factor", type=parse_factor, action="append", required=True, metavar="PATH=LEVELS")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--design", default="full_factorial", help="or one_at_a_time, leave_one_out")
    parser.add_argument("--data", default="digits", help="or mnist, fashion_mnist where prepared")
    parser.add_argument("--path", type=Path, help="an .npz file with x and y, instead of --data")
    parser.add_argument("--metric", default="test.nll")
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 128])
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=32)
    chosen = parser.parse_args(arguments)
    try:
        results = regjax.run(make_study(chosen), chosen.out)
    except regjax.RegjaxError as error:
        parser.error(str(error))
    print(results.summary())
    print(f"\nreport: {results.report()}")
    return results


if __name__ == "__main__":
    main()
