"""Speeds, ratios and shares from the rounds, and the table in text or Markdown."""

from collections.abc import Sequence
from statistics import median
from typing import Any

HEADS = ("system", "model-epochs/s", "regjax is faster by", "share of peak", "start-up", "how")


def summarize(values: Sequence[float]) -> dict[str, float]:
    """Return median, lowest and highest.

    >>> summarize([3.0, 1.0, 2.0])
    {'median': 2.0, 'low': 1.0, 'high': 3.0}
    """
    return {"median": median(values), "low": min(values), "high": max(values)}


def compare(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Return the summary of the ratios ours / theirs, round by round: what slows a round slows both.

    >>> compare([4.0, 2.0, 6.0], [2.0, 1.0, 2.0])
    {'median': 2.0, 'low': 2.0, 'high': 3.0}
    """
    return summarize([a / b for a, b in zip(ours, theirs, strict=True)])


def summarize_rows(rows: list[dict[str, Any]], peaks: Sequence[float], flops: float, per_epoch: float) -> None:
    """Add to each row with rounds its `epochs_per_second`, `ratio` (regjax / it) and `peak_share`.

    Args:
      rows: of one workload; a round has `seconds` and `updates` (of all its models together).
      peaks: matmul speed of each round, operations per second; 0 where none was measured.
      flops: operations of one update of one model.
      per_epoch: updates of one epoch of one model.
    """
    speeds = {row["system"]: [r["updates"] / r["seconds"] for r in row["rounds"]] for row in rows if "rounds" in row}
    for row in rows:
        own = speeds.get(row["system"])
        if own:
            row["epochs_per_second"] = summarize([speed / per_epoch for speed in own])
            row["ratio"] = compare(speeds["regjax"], own) if "regjax" in speeds else None
            shares = [speed * flops / peak for speed, peak in zip(own, peaks, strict=True) if peak]
            row["peak_share"] = summarize(shares) if shares else None


def summarize_lattice(rows: list[dict[str, Any]], num_runs: int) -> None:
    """Add to each row with rounds its `study_seconds`, of `num_runs` runs, and `ratio` (it / regjax)."""
    seconds = {row["system"]: [study_seconds(r, num_runs) for r in row["rounds"]] for row in rows if "rounds" in row}
    for row in rows:
        own = seconds.get(row["system"])
        if own:
            row["study_seconds"] = summarize(own)
            row["ratio"] = compare(own, seconds["regjax"]) if "regjax" in seconds else None


def study_seconds(found: dict[str, Any], num_runs: int) -> float:
    """Return the seconds of `num_runs` runs from those of the runs that were trained.

    >>> study_seconds({"seconds": 3.0, "runs": 10}, 40)
    12.0
    """
    return found["seconds"] * num_runs / found["runs"]


def ratio_text(ratio: dict[str, float] | None) -> str:
    """Return a ratio with its range.

    >>> ratio_text({"median": 2.04, "low": 1.9, "high": 2.2})
    '2.04 [1.90, 2.20]'
    """
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]" if ratio else "-"


def row_cells(row: dict[str, Any]) -> list[str]:
    """Return the cells of a row of a workload's table."""
    if "absent" in row:
        return [row["title"], "absent", "-", "-", "-", row["absent"]]
    share, how = row.get("peak_share"), row["words"]
    if "study_seconds" in row:
        found = row["rounds"][0]
        runs = "" if found["runs"] == row["num_runs"] else f"from {found['runs']} of {row['num_runs']} runs; "
        return [row["title"], f"{row['study_seconds']['median']:.1f} s in all", ratio_text(row["ratio"]), "-", "-",
                runs + how]  # fmt: skip
    speed = f"{row['epochs_per_second']['median']:.3g}"
    return [row["title"], speed, ratio_text(row["ratio"]), f"{share['median']:.0%}" if share else "-",
            f"{row['prepare_seconds']:.1f} s", how]  # fmt: skip


def layout(cells: list[list[str]], markdown: bool) -> list[str]:
    """Return lines of aligned columns; in Markdown a table."""
    if markdown:
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
        return [lines[0], "|" + "---|" * len(cells[0]), *lines[1:]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def format_report(result: dict[str, Any], markdown: bool = False) -> str:
    """Return header and tables of a result as text."""
    machine, mark = result["machine"], "**" if markdown else ""
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; {', '.join(machine['devices'])}",
        ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
        "float32; medians of rounds in turn; ratios round by round, with their range",
    ]
    for found in result["workloads"]:
        lines += ["", f"{mark}{found['title']}{mark}"]
        if any(found.get("peaks", ())):
            peak = max(found["peaks"]) / 1e9
            lines.append(f"peak of a float32 product: {peak:.0f} GFLOP/s ({found['peak_by']}); "
                         f"{found['flops_per_update'] / 1e6:.1f} MFLOP counted per update")  # fmt: skip
        lines += [""] if markdown else []
        lines += layout([list(HEADS), *(row_cells(row) for row in found["rows"])], markdown)
    return "\n".join(lines)
