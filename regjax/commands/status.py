"""`regjax status`: how far a study is."""

import argparse

from regjax.commands.arguments import add_out
from regjax.commands.output import CELL, EFFECT, add_json, print_json

HELP = "how far a run directory is, with its effects so far"
GROUP = ("wave", "group", "runs", "done", "running", "waiting", "stopped", "diverged", "step", "steps")
PROCESS = ("host", "pid", "since", "alive", "queue", "runs", "done")
KEYS = {
    "out": "the run directory",
    "question": "of the study",
    "complete": "whether all runs of the plan are done",
    "runs": "of the reported wave: `planned`, `done`, `running`, `waiting`, `stopped`, `diverged`",
    "processes": f"who trains into it: {', '.join(PROCESS)} (`since`: Unix seconds; `alive`: yes, no, or unknown of "
    "another machine; `queue`: the chunk that it trains, and how many `runs` that lists and are `done`)",
    "groups": f"a row per wave and group: {', '.join(GROUP)} (`step`: the last one seen of runs in training)",
    "effects": f"the effect table so far: {', '.join(EFFECT)}",
    "cells": f"the cells so far: {', '.join(CELL)}",
    "bytes": "size of the run directory",
}
PROVISIONAL = (
    "Provisional: the p-values and intervals are those of one look, at the planned end. Who looks early and stops at "
    "what pleases errs more often than they say."
)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_out(parser)
    add_json(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print how many runs of each group are done, and the effects so far."""
    from regjax.report.standing import folder_bytes, group_states, groups_text, list_processes, processes_text
    from regjax.results import load_results

    results = load_results(chosen.out)
    groups, size = group_states(results.table), folder_bytes(chosen.out)
    processes = list_processes(chosen.out)
    main = groups[groups["wave"] == "main"]
    names = ("done", "running", "waiting", "stopped", "diverged")
    counts = {"planned": int(main["runs"].sum()), **{name: int(main[name].sum()) for name in names}}
    complete = bool((groups["done"] == groups["runs"]).all())
    any_done = bool(results.table.status.done.any())
    if chosen.json:
        print_json({"out": chosen.out, "question": results.plan["question"], "complete": complete, "runs": counts,
                    "groups": groups, "processes": processes, "bytes": size,
                    "effects": results.effects() if any_done else [],
                    "cells": results.cells() if any_done else []})  # fmt: skip
        return 0
    print(f"{counts['done']} of {counts['planned']} runs done, {counts['stopped']} stopped early, "
          f"{counts['diverged']} diverged; {size / 2**20:.1f} MiB")  # fmt: skip
    further = groups[groups["wave"] == "sources"]
    if len(further):
        print(f"{further['done'].sum()} of {further['runs'].sum()} further runs done, for the sources of variance")
    if processes:
        print(f"\n{processes_text(processes)}")
    if not complete:
        print(f"\n{groups_text(groups)}")
    if any_done:
        print(f"\n{results.summary()}{'' if complete else chr(10) + PROVISIONAL}".rstrip())
    return 0
