"""`regjax new`: a first study file."""

import argparse
import sys
from pathlib import Path
from typing import Any

HELP = "write a study file with comments, from flags or from a few questions"
# Flag, type, help.
FLAGS: tuple[tuple[str, type, str], ...] = (
    ("data", str, "name of a data set (regjax data list), or an .npz file with x and y"),
    ("model", str, "linear, mlp, cnn, resnet or vit"),
    ("optimizer", str, "sgd, adam, adamw or rmsprop"),
    ("metric", str, "primary metric, e.g. test.accuracy"),
    ("margin", float, "smallest effect that matters, in the metric's unit"),
    ("at", str, "state it is read at: best or last"),
    ("epochs", int, "length of training"),
    ("batch-size", int, "examples per update"),
    ("seeds", int, "replicates; six are the fewest that can show anything"),
    ("design", str, "e.g. full_factorial, one_at_a_time, leave_one_out"),
    ("question", str, "one sentence, the report's title"),
)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="study file to write, e.g. study.toml")
    parser.add_argument(
        "--factor", action="append", metavar="PATH=LEVELS", help="e.g. dropout.hidden=0,0.3; may be given repeatedly"
    )
    for name, kind, text in FLAGS:
        parser.add_argument(f"--{name}", type=kind, help=text)
    parser.add_argument("--force", action="store_true", help="overwrite FILE")


def run(chosen: argparse.Namespace) -> int:
    """Write a study file; print the command that comes next."""
    from regjax.draft import Answers, write_draft
    from regjax.files import RegjaxError, publish

    path = chosen.file
    if path.exists() and not chosen.force:
        raise RegjaxError(f"{path} exists; choose another name, or --force to overwrite it")
    names = [name.replace("-", "_") for name, _, _ in FLAGS]
    given: dict[str, Any] = {name: value for name in names if (value := getattr(chosen, name)) is not None}
    if chosen.factor:
        given["factors"] = tuple(chosen.factor)
    if not given:
        if not sys.stdin.isatty():
            raise RegjaxError("got no flags, expected --factor PATH=LEVELS at least; on a terminal questions are asked")
        given = ask()
    elif "factors" not in given:
        raise RegjaxError("got no factor, expected --factor PATH=LEVELS, e.g. --factor dropout.hidden=0,0.3")
    text = write_draft(Answers(**given), path)
    publish(path, lambda temporary: _write(temporary, text))
    print(f"{path}\nnext: regjax plan {path}")
    return 0


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def ask() -> dict[str, Any]:
    """Return the answers to a few questions; an empty line takes the default in brackets."""
    from regjax.draft import Answers, default_metric

    default = Answers()
    given: dict[str, Any] = {"data": _ask("Data set, or an .npz file", default.data)}
    given["model"] = _ask("Model: linear, mlp, cnn, resnet or vit", default.model)
    factors = _ask("Factors, with spaces between", " ".join(default.factors))
    given["factors"] = tuple(factors.split())
    given["metric"] = _ask("Primary metric", default_metric(given["data"]))
    margin = _ask("Smallest effect that matters, in its unit", "default")
    given["margin"] = None if margin == "default" else _number(margin, float)
    given["epochs"] = _number(_ask("Epochs", str(default.epochs)), int)
    given["seeds"] = _number(_ask("Seeds", str(default.seeds)), int)
    return given


def _ask(question: str, default: str) -> str:
    from regjax.files import RegjaxError

    try:
        return input(f"{question} [{default}]: ").strip() or default
    except EOFError:
        raise RegjaxError("the input ended before all questions were answered; nothing was written") from None


def _number(text: str, kind: type) -> Any:
    from regjax.files import RegjaxError

    try:
        return kind(text)
    except ValueError:
        raise RegjaxError(f"got {text!r}, expected {'an integer' if kind is int else 'a number'}") from None
