"""Every model of regjax beside PyTorch eager: same architecture, data, batch size, number of updates and Adam.

    python scripts/benchmark_models.py --markdown
    python scripts/benchmark_models.py --models resnet vit --rounds 5

Processes, turns and ratios are those of `scripts/benchmark.py`. PyTorch trains one run on all cores, and one run on
each core at once. A network whose number of parameters is not regjax's is a row that says so.
"""

import argparse
import contextlib
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

from benchmark import begin_row, describe_machine, fail, parse, prepare, say, train_round
from peers.client import PeerError, System, Worker, make_systems
from peers.models import MODEL_WORKLOADS, shrink_model
from peers.table import layout, ratio_text, summarize_rows
from peers.workloads import Workload, save_arrays

HEADS = ("model", "parameters", "regjax, model-epochs/s", "regjax is faster than one run by", "than one per core by",
         "how")  # fmt: skip
SYSTEMS = (
    make_systems()["regjax"],
    make_systems()["torch"],
    System("torch-cores", "PyTorch eager, one run per core at once", "torch_cores", {}),
)


def measure(workload: Workload, rounds: int, folder: Path, versions: dict[str, str]) -> dict[str, Any]:
    """Return the rows of a model: every system prepared, then round after round, the systems in turn.

    Args:
      workload: what is trained.
      rounds: how often.
      folder: for the data and regjax's cache.
      versions: {library: version}; added to.
    """
    path = folder / f"{workload.name}.npz"
    save_arrays(workload, path)
    rows = {system.name: begin_row(system) for system in SYSTEMS}
    with contextlib.ExitStack() as stack:
        workers = {s.name: stack.enter_context(Worker(s, folder / "cache")) for s in SYSTEMS}
        for name, row in rows.items():
            prepare(workers[name], row, workload, path, versions)
            compare_sizes(row, rows["regjax"])
        for _ in range(rounds):
            for name, row in rows.items():
                train_round(workers[name], row)
    summarize_rows(list(rows.values()), [0.0] * rounds, 0.0, workload.num_examples / workload.batch_size)
    return {"name": workload.name, "title": workload.title, "rows": list(rows.values())}


def compare_sizes(row: dict[str, Any], ours: dict[str, Any]) -> None:
    """Make a row fail whose network has not as many parameters as regjax's."""
    if not {"absent"} & {*row, *ours} and row["parameters"] != ours["parameters"]:
        fail(row, PeerError(f"{row['parameters']} parameters, regjax has {ours['parameters']}"))


def row_cells(found: dict[str, Any]) -> list[str]:
    """Return the cells of a model's row; "absent" with the reason where a system was not measured."""
    ours, *peers = found["rows"]
    ratios = ["absent" if "absent" in row else ratio_text(row["ratio"]) for row in peers]
    how = "; ".join(row.get("absent") or row["words"] for row in found["rows"])
    if "absent" in ours:
        return [found["title"], "-", "absent", *ratios, how]
    return [found["title"], str(ours["parameters"]), f"{ours['epochs_per_second']['median']:.3g}", *ratios, how]


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure what the flags ask for; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(MODEL_WORKLOADS), default=list(MODEL_WORKLOADS))
    chosen = parse(parser, arguments)
    versions: dict[str, str] = {"python": platform.python_version()}
    result: dict[str, Any] = {"machine": describe_machine(), "versions": versions, "models": []}
    with tempfile.TemporaryDirectory() as name:
        for each in chosen.models:
            workload = MODEL_WORKLOADS[each]
            say(workload.title)
            workload = shrink_model(workload) if chosen.quick else workload
            result["models"].append(measure(workload, chosen.rounds, Path(name), versions))
    if chosen.out:
        chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print("\n".join(layout([list(HEADS), *map(row_cells, result["models"])], chosen.markdown)))
    return result


if __name__ == "__main__":
    main()
