"""`regjax plan`: what a study would train."""

import argparse

from regjax.commands.arguments import add_study, read_folder
from regjax.commands.output import add_json, print_json

HELP = "check a study file; print cells, programs, smallest p, memory and time"
KEYS = {
    "question": "of the study",
    "primary": "`metric`, `at`, `margin`",
    "data": "`name`, `examples` by split, `labels` in words, `input_shape`, `dtype`, `scale`",
    "seeds": "`count`, or `pilot` and `max`; `vary`: what a seed draws anew",
    "design": "`kind`, and what belongs to it: `reference`, `strata`, `aliases`, ...",
    "cells": "names of the cells, the baseline first",
    "contrasts": "a row per contrast: name, kind, confirmatory",
    "smallest_p": "the smallest adjusted p-value that the seeds allow, null where nothing is tested",
    "promise": "the same in words",
    "best_levels": "declared tests of best levels: `tests`, `choose_on`, `smallest_p`; null where there are none",
    "predictions": "whether predictions are kept, and how much room they take, in words",
    "sources": "null, or `streams` and `runs`: further runs for the sources of variance",
    "notices": "what a researcher would want to know before",
    "devices": "on which it was tried",
    "groups": "a row per program: wave, group, levels, runs, updates, slots, streamed, bytes_per_device, "
    "compile_seconds, seconds",
    "disk": "bytes that the runs to train will take: results (with checkpoints that are to stay), checkpoints (others, "
    "as many as there are at a time), total, free (there, or in the current folder)",
    "stored": "null, or of `--out`: `out`, `runs`, `done`, `differs` (keys of the stored study, and what no study "
    "says)",
    "runs": "to train in all",
    "programs": "to compile",
    "seconds": "of training in all, if nothing stops early",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_study(parser)
    parser.add_argument("--out", type=read_folder, help="also say how many runs OUT has, and in what its study differs")
    add_json(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print the plan of a study."""
    from regjax.preview import make_preview, preview_text

    found = make_preview(chosen.study, chosen.overrides, chosen.stream, out=chosen.out)
    if chosen.json:
        print_json(found)
    else:
        print(preview_text(found))
    return 0
