"""regjax beside what people train with today: same data, network, batch size and number of updates, in one call.

    python scripts/benchmark.py --out benchmark.json
    python scripts/benchmark.py --workloads mlp digits --systems regjax jax-loop torch --rounds 5 --markdown

Every system trains in a process of its own; the systems take turns, round after round, so that what slows the machine
slows all of them. A system that is not installed or fails is a row that says why. The extra `peers` brings Keras,
TensorFlow and PyTorch. Evaluation is left out of all but the lattice; what is counted is in `peers/workloads.py`.
"""

import argparse
import contextlib
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers.client import NUMPY, PeerError, System, Worker, count_cores, make_systems
from peers.table import format_report, summarize_lattice, summarize_rows
from peers.worker import as_request
from peers.workloads import (
    LATTICE,
    WORKLOADS,
    Lattice,
    Workload,
    count_flops,
    save_arrays,
    shrink,
    shrink_lattice,
)

# Systems that train the lattice; Keras would be compiled anew for each of its runs.
LATTICE_SYSTEMS = ("regjax", "jax-loop", "jax-cores", "torch")
PEAK_SIZES = (512, 1024, 2048)


def say(text: str) -> None:
    """Tell how far the benchmark is."""
    print(text, file=sys.stderr, flush=True)


def begin_row(system: System) -> dict[str, Any]:
    """Return the row of a system before its first round."""
    return {"system": system.name, "title": system.title, "rounds": []}


def fail(row: dict[str, Any], error: PeerError) -> None:
    """Make a row say why there is nothing in it."""
    row.pop("rounds", None)
    row["absent"] = str(error)
    say(f"  {row['system']}: absent: {error}")


def measure(
    workload: Workload, systems: Sequence[System], rounds: int, sizes: Sequence[int], folder: Path, versions: dict
) -> dict[str, Any]:
    """Return the rows of a workload: every system prepared, then round after round, the systems in turn.

    Args:
      workload: what is trained.
      systems: with what.
      rounds: how often.
      sizes: of the products from which the peak is taken.
      folder: for the data and regjax's cache.
      versions: {library: version}; added to.
    """
    path = folder / f"{workload.name}.npz"
    save_arrays(workload, path)
    rows = {system.name: begin_row(system) for system in systems}
    peaks, winners = [], []
    with contextlib.ExitStack() as stack:
        workers = {s.name: stack.enter_context(Worker(s, folder / "cache")) for s in (*systems, NUMPY)}
        for name, row in rows.items():
            prepare(workers[name], row, workload, path, versions)
        for number in range(rounds):
            say(f"  round {number + 1} of {rounds}")
            for name, row in rows.items():
                train_round(workers[name], row)
            found = [peak_of(workers[n], sizes) for n in workers if n == NUMPY.name or "absent" not in rows[n]]
            flops, winner = max(found)
            peaks.append(flops)
            winners.append((flops, winner))
    flops = count_flops(workload)
    summarize_rows(list(rows.values()), peaks, flops, workload.num_examples / workload.batch_size)
    return {
        "name": workload.name,
        "title": workload.title,
        "flops_per_update": flops,
        "peaks": peaks,
        "peak_by": max(winners)[1],
        "rows": list(rows.values()),
    }


def prepare(worker: Worker, row: dict[str, Any], workload: Workload, path: Path, versions: dict) -> None:
    """Let a worker build and compile; its row gets the seconds and what was chosen."""
    try:
        versions |= worker.ask("versions")
        found = worker.ask("prepare", workload=as_request(workload), path=str(path))
    except PeerError as error:
        fail(row, error)
        return
    row |= {"prepare_seconds": found["seconds"]} | {name: found[name] for name in ("members", "words", "parameters")}
    say(f"  {row['system']}: {found['words']}, ready after {found['seconds']:.1f} s")


def train_round(worker: Worker, row: dict[str, Any]) -> None:
    """Let a worker make a round, unless it has failed before."""
    if "absent" not in row:
        try:
            row["rounds"].append(worker.ask("round"))
        except PeerError as error:
            fail(row, error)


def peak_of(worker: Worker, sizes: Sequence[int]) -> tuple[float, str]:
    """Return a library's best matmul speed and its name; 0 where it has none."""
    try:
        found = worker.ask("peak", sizes=list(sizes))
    except PeerError:
        return 0.0, worker.system.name
    return found["flops"], f"{worker.system.name}, {found.get('size')}"


def measure_lattice(lattice: Lattice, systems: Sequence[System], rounds: int, folder: Path) -> dict[str, Any]:
    """Return the rows of the lattice: a new process and an empty cache for each round of each system."""
    rows = {system.name: begin_row(system) for system in systems}
    for number in range(rounds):
        say(f"  round {number + 1} of {rounds}")
        for system in systems:
            row = rows[system.name]
            if system.name not in LATTICE_SYSTEMS:
                fail(row, PeerError("not written for this system"))
            if "absent" in row:
                continue
            with Worker(system, folder / f"cache-{number}") as worker:
                try:
                    worker.ask("versions")  # the imports
                    row["rounds"].append(worker.ask("lattice", workload=as_request(lattice)))
                except PeerError as error:
                    fail(row, error)
                    continue
            row |= {"words": row["rounds"][-1]["words"], "num_runs": lattice.num_runs}
    summarize_lattice(list(rows.values()), lattice.num_runs)
    return {"name": lattice.name, "title": lattice.title, "rows": list(rows.values())}


def describe_machine() -> dict[str, Any]:
    """Return processor, cores and devices in words; no names of hosts."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    return {"processor": model, "cores": count_cores(), "system": platform.system()}


def find_devices(folder: Path) -> list[str]:
    """Return the kinds of jax's devices, asked in a process of its own."""
    with Worker(make_systems()["jax-loop"], folder) as worker:
        try:
            return worker.ask("devices")["devices"]
        except PeerError:
            return []


def benchmark(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return everything that was measured."""
    systems = [make_systems()[name] for name in chosen.systems]
    result: dict[str, Any] = {"machine": describe_machine(), "versions": {"python": platform.python_version()}}
    result |= {"rounds": chosen.rounds, "quick": chosen.quick, "workloads": []}
    sizes = (64,) if chosen.quick else PEAK_SIZES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result["machine"]["devices"] = find_devices(folder)
        for each in chosen.workloads:
            workload = LATTICE if each == LATTICE.name else WORKLOADS[each]
            say(workload.title)
            if isinstance(workload, Lattice):
                small = shrink_lattice(workload) if chosen.quick else workload
                found = measure_lattice(small, systems, chosen.rounds, folder)
            else:
                tried = shrink(workload) if chosen.quick else workload
                found = measure(tried, systems, chosen.rounds, sizes, folder, result["versions"])
            result["workloads"].append(found)
    return result


def parse(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """Return the flags of a benchmark: those of `parser`, and those that all benchmarks have."""
    parser.add_argument("--rounds", type=int, default=5, help="of every system (default 5)")
    parser.add_argument("--out", type=Path, help="JSON file for everything that was measured")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: tries the benchmark, measures nothing")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1:
        parser.error(f"--rounds: got {chosen.rounds}, expected at least 1")
    return chosen


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure what the flags ask for; print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*WORKLOADS, LATTICE.name]
    parser.add_argument("--workloads", nargs="+", choices=names, default=names)
    parser.add_argument("--systems", nargs="+", choices=list(make_systems()), default=list(make_systems()))
    chosen = parse(parser, arguments)
    result = benchmark(chosen)
    if chosen.out:
        chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    print(format_report(result, chosen.markdown))
    return result


if __name__ == "__main__":
    main()
