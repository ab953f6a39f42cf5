"""`regjax export`: numbers to a file, runs to a tracker."""

import argparse

from regjax.commands.arguments import add_out, read_folder

HELP = "write effects, cells, appendix or records to a file, or runs to TensorBoard, W&B or MLflow"
FILES = ("csv", "parquet", "latex")
TRACKERS = ("tensorboard", "wandb", "mlflow")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_out(parser)
    parser.add_argument("--to", choices=(*FILES, *TRACKERS), required=True, help="a kind of file, or a tracker")
    parser.add_argument(
        "--path", type=read_folder, required=True, help="file to write (.csv, .parquet or .tex), or a tracker's folder"
    )
    parser.add_argument(
        "--what", choices=("effects", "records", "cells", "appendix"), help="of a file (default: effects)"
    )
    parser.add_argument(
        "--follow", action="store_true", help="with a tracker: go on until every run of a running study is done"
    )


def run(chosen: argparse.Namespace) -> int:
    """Write numbers of a run directory to a file and print its path, or its runs to a tracker."""
    from regjax.files import RegjaxError

    if chosen.to in TRACKERS:
        from regjax.trackers import send

        if chosen.what is not None:
            raise RegjaxError(f"got --what {chosen.what} with --to {chosen.to}, which takes whole runs; leave it out")
        send(chosen.out, chosen.to, chosen.path, chosen.follow)
        print(chosen.path)
        return 0
    from regjax.report.numbers import export
    from regjax.results import load_results

    if chosen.follow:
        raise RegjaxError(f"got --follow with --to {chosen.to}, expected a tracker: {', '.join(TRACKERS)}")
    ending = "." + {"latex": "tex"}.get(chosen.to, chosen.to)
    if chosen.path.suffix != ending:
        raise RegjaxError(f"got the file {chosen.path.name!r}, expected a name that ends in {ending}")
    print(export(load_results(chosen.out).table, chosen.path, chosen.what or "effects"))
    return 0
