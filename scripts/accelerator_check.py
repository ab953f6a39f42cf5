"""What regjax promises, checked on the devices that jax finds here: GPUs, TPUs or CPUs, by the same code.

    python scripts/accelerator_check.py --out check.json
    python scripts/accelerator_check.py --quick --no-benchmark

Small networks with batch norm are trained for ten updates in several ways whose results have to agree, bit for bit or
within a tolerance (`invariants.py`); then come the memory of larger populations and `benchmark.py`. All of it is
written as one JSON, with a short table on the terminal. The exit status is 1 where a check fails. What the checks mean
and what to set on an accelerator: docs/accelerators.md.
"""

import argparse
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from invariants import CHECKS, FULL, QUICK, Case, Subject, make_study
from peers.table import layout, ratio_text
from peers.workloads import WORKLOADS

import regjax

# In units of the largest parameter. On a CPU, in ten updates, another layout made a difference of 3e-7; the inputs of
# dense layers' products rounded as TF32 does, 1.4e-4; as bfloat16 does, 2e-3.
TOLERANCE = 2e-5
SYSTEMS = ("regjax", "jax-loop")
LARGE: dict[str, dict[str, Any]] = {"mlp": {"widths": [512, 512]}, "cnn": {"channels": [32, 64], "dense": [256]}}
LARGE_SEEDS = 64


def say(text: str) -> None:
    """Tell how far the check is."""
    print(text, file=sys.stderr, flush=True)


def hide_paths(text: str) -> str:
    """Return a text in which absolute paths have lost their folders.

    >>> hide_paths("no file /home/me/data/a.npz, 3/4 done")
    'no file a.npz, 3/4 done'
    """
    return re.sub(r"(?<![\w.])(?:/[\w.@+~-]+)*/(?=[\w.@+~-])", "", text)


def run_check(name: str, case: Case) -> dict[str, Any]:
    """Return the row of a check; one that cannot be made has failed, and says why."""
    row: dict[str, Any] = {"name": name, "model": case.name, "promise": (CHECKS[name].__doc__ or name).splitlines()[0]}
    try:
        found = CHECKS[name](case)
    except Exception as error:  # whatever an accelerator cannot do is a row, and the other checks go on
        reason = hide_paths(" ".join(f"{type(error).__name__}: {error}".split()))[:300]
        return {**row, "passed": False, "difference": None, "limit": None, "note": reason}
    row |= {"passed": found.difference <= found.limit, **found._asdict()}
    return row if math.isfinite(found.difference) else {**row, "difference": None, "note": found.note or "not finite"}


def run_checks(models: Sequence[str], names: Sequence[str], quick: bool, tolerance: float) -> list[dict[str, Any]]:
    """Return a row for each check of each model on all devices."""
    rows = []
    for model in models:
        case = Case(model, quick, tuple(jax.devices()), tolerance)
        for name in names:
            rows.append(run_check(name, case))
            say(f"{model} {name}: {describe(rows[-1])}")
    return rows


def describe(row: dict[str, Any]) -> str:
    """Return the outcome of a check in words."""
    measured = "" if row["difference"] is None else f"{row['difference']:.2g} (at most {row['limit']:.2g})"
    return " ".join(filter(None, ["passed" if row["passed"] else "FAILED", measured, row["note"]]))


def measure_memory(model: str, quick: bool) -> dict[str, Any]:
    """Return slots and bytes per device of the layout that regjax chooses, by the compiler and as the device saw them.

    The device's peak counts from the start of the process: measured before all else, it is the largest so far.
    """
    settings, seeds = (QUICK, 2 * len(jax.devices())) if quick else (LARGE, LARGE_SEEDS)
    subject = Subject(make_study(model, settings[model], seeds), jax.devices())
    subject.train(subject.rows)
    stats = [device.memory_stats() or {} for device in jax.devices()]
    return {
        "model": model,
        "slots": subject.program.layout.slots,
        "compiled_bytes_per_device": subject.compiled.memory(),
        "peak_bytes_in_use": max((s["peak_bytes_in_use"] for s in stats if "peak_bytes_in_use" in s), default=None),
        "bytes_limit": min((s["bytes_limit"] for s in stats if "bytes_limit" in s), default=None),
    }


def run_benchmarks(workloads: Sequence[str], quick: bool) -> list[dict[str, Any]]:
    """Return what `benchmark.py` says: both systems in turns, on a TPU one call for each.

    A TPU belongs to one process at a time, and a process that finds it taken may go on with the CPU.
    """
    asked = subprocess.run(
        [sys.executable, "-c", "import jax; print(jax.default_backend())"], capture_output=True, text=True
    )
    calls = [(system,) for system in SYSTEMS] if asked.stdout.strip() == "tpu" else [SYSTEMS]
    return [run_benchmark(workloads, systems, quick) for systems in calls]


def run_benchmark(workloads: Sequence[str], systems: Sequence[str], quick: bool) -> dict[str, Any]:
    """Return the JSON of one call of `benchmark.py`, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "benchmark.json"
        words = ["--workloads", *workloads, "--systems", *systems, "--out", str(out)]
        words += ["--quick", "--rounds", "1"] if quick else []
        script = Path(__file__).with_name("benchmark.py")
        done = subprocess.run([sys.executable, str(script), *words], stdout=subprocess.DEVNULL)
        if done.returncode:
            return {"absent": f"benchmark.py ended with status {done.returncode}"}
        return json.loads(hide_paths(out.read_text()))


def describe_devices() -> dict[str, Any]:
    """Return devices and versions; nothing that names the machine."""
    devices = jax.devices()
    return {
        "platform": devices[0].platform,
        "device_kind": devices[0].device_kind,
        "device_count": len(devices),
        "xla_flags": hide_paths(os.environ.get("XLA_FLAGS", "")),
        "versions": {
            "regjax": regjax.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("jax", "jaxlib")},
        },
    }


def format_report(result: dict[str, Any]) -> str:
    """Return the tables of a result as text."""
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines = [f"{result['device_kind']} x {result['device_count']} ({result['platform']}); {versions}", ""]
    lines += layout([["model", "check", "outcome"], *([r["model"], r["name"], describe(r)] for r in result["checks"])],
                    markdown=False)  # fmt: skip
    for found in result["memory"]:
        peak = found["peak_bytes_in_use"]
        seen = "not reported" if peak is None else f"{peak / 2**20:.0f} MiB"
        lines += ["", f"{found['model']}: {found['slots']} slots, {found['compiled_bytes_per_device'] / 2**20:.0f} MiB "
                  f"per device by the compiler; highest use of a device so far: {seen}"]  # fmt: skip
    for found in result["benchmark"]:
        lines += ["", found["absent"]] if "absent" in found else benchmark_lines(found)
    failed = [f"{row['model']} {row['name']}" for row in result["checks"] if not row["passed"]]
    return "\n".join([*lines, "", f"FAILED: {', '.join(failed)}" if failed else "all checks passed"])


def benchmark_lines(found: dict[str, Any]) -> list[str]:
    """Return speed and ratio of every row of a benchmark."""
    lines = []
    for workload in found["workloads"]:
        cells = [["system", "model-epochs/s", "regjax is faster by"]]
        for row in workload["rows"]:
            if "absent" in row:
                cells.append([row["title"], "absent", row["absent"]])
            else:
                speed = f"{row['epochs_per_second']['median']:.3g}"
                cells.append([row["title"], speed, ratio_text(row["ratio"])])
        lines += ["", workload["title"], *layout(cells, markdown=False)]
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Check what the flags ask for, print the tables; return 1 where a check failed, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="JSON file for everything that was found")
    parser.add_argument("--quick", action="store_true", help="tiny networks; a benchmark that measures nothing")
    parser.add_argument("--models", nargs="+", choices=list(FULL), default=list(FULL))
    parser.add_argument("--checks", nargs="+", choices=list(CHECKS), default=list(CHECKS))
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help="where bits may differ (default %(default)s)"
    )
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=["digits", "mlp", "cnn"])
    parser.add_argument("--no-benchmark", action="store_true", help="leave benchmark.py out")
    chosen = parser.parse_args(arguments)
    # Before jax takes the device's memory, or the TPU, for this process.
    benchmarks = [] if chosen.no_benchmark else run_benchmarks(chosen.workloads, chosen.quick)
    say(regjax.configure().notice or f"devices: {jax.devices()[0].device_kind} x {len(jax.devices())}")
    result = {
        **describe_devices(),
        "quick": chosen.quick,
        "memory": [measure_memory(model, chosen.quick) for model in chosen.models],
        "checks": run_checks(chosen.models, chosen.checks, chosen.quick, chosen.tolerance),
        "benchmark": benchmarks,
    }
    if chosen.out:
        chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    print(format_report(result))
    return int(not all(row["passed"] for row in result["checks"]))


if __name__ == "__main__":
    sys.exit(main())
