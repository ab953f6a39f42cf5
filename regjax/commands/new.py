"""`regjax new`: a first study file."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HELP = "write a study file with comments, from flags or from a few questions"
# Flag, type, help.
FLAGS: tuple[tuple[str, type, str], ...] = (
    ("data", str, "name of a data set (regjax data list), or your own .npz or .csv file"),
    ("target", str, "of your own file: key or column to predict (default: y and other usual names)"),
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
# A factor that every data set and model knows: it stands in while the questions before are checked.
STAND_IN = ("optimizer.learning_rate=0.001,0.01",)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="study file to write, e.g. study.toml")
    parser.add_argument(
        "--factor", action="append", metavar="PATH=LEVELS", help="e.g. dropout.hidden=0,0.3; may be given repeatedly"
    )
    for name, kind, text in FLAGS:
        parser.add_argument(f"--{name}", type=kind, help=text)
    parser.add_argument("--no-timing", action="store_true", help="do not compile and time a few updates of it")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")


def run(chosen: argparse.Namespace) -> int:
    """Write a study file; print what it costs and the commands that come next."""
    from regjax.draft import Answers, find_own, write_draft
    from regjax.files import RegjaxError, publish

    path = chosen.file
    # A name that no file can have is told by who writes.
    if os.path.exists(path) and not chosen.force:  # noqa: PTH110
        raise RegjaxError(f"{path} exists; choose another name, or --force to overwrite it")
    names = [name.replace("-", "_") for name, _, _ in FLAGS]
    given: dict[str, Any] = {name: value for name in names if (value := getattr(chosen, name)) is not None}
    if chosen.factor:
        given["factors"] = tuple(chosen.factor)
    elif sys.stdin.isatty():
        given = ask(given, path)
    else:
        raise RegjaxError("got no factor, expected --factor PATH=LEVELS, e.g. --factor dropout.hidden=0,0.3")
    answers = Answers(**given)
    own = find_own(answers)
    text = write_draft(answers, path, own)
    publish(path, lambda temporary: _write(temporary, text))
    print(path)
    if own is not None:
        from regjax.report.words import count_labels

        rows, *shape = own.dataset.x.shape
        labels = count_labels(own.dataset.num_classes, own.dataset.num_outputs)
        print(f"{answers.data}: {rows} examples, inputs {shape} {own.dataset.x.dtype}, {labels} from {own.y!r}")
    if not chosen.no_timing and (cost := _time(path)):
        timed = write_draft(answers, path, own, cost)
        publish(path, lambda temporary: _write(temporary, timed))
        print(cost)
    print(f"next: regjax plan {path}, then regjax run {path} --out out/{path.stem}")
    return 0


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _time(path: Path) -> str | None:
    """Return what a study costs, in words; say why where it cannot be known."""
    from regjax.files import RegjaxError
    from regjax.preview import make_preview
    from regjax.progress import format_seconds

    print("compiling, and timing a few updates (Ctrl-C leaves the file as it is) ...", file=sys.stderr)
    try:
        found = make_preview(path)
    except RegjaxError as error:
        print(f"not timed: {error}", file=sys.stderr)
        return None
    except KeyboardInterrupt:
        print("not timed", file=sys.stderr)
        return None
    compiling = sum(group["compile_seconds"] for group in found["groups"])
    programs = "1 program" if found["programs"] == 1 else f"{found['programs']} programs"
    return (
        f"about {format_seconds(found['seconds'])} of training on {found['devices']}, {programs} compiled in "
        f"{format_seconds(compiling)}."
    )


def ask(given: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the answers to a few questions beside what is given; an empty line takes the default in brackets.

    What is wrong is told at once, and asked again.
    """
    from regjax.draft import NO_MARGIN, Answers, default_margin, default_metric, default_model, find_own, write_draft

    given = {**given, "factors": STAND_IN}

    def put(name: str, question: str, default: str, read: Callable[[str], Any] = str) -> None:
        def check(text: str) -> Any:
            value = read(text)
            answers = Answers(**{**given, name: value})
            write_draft(answers, path, find_own(answers))
            return value

        if name not in given or given[name] is STAND_IN:
            given[name] = _ask(question, default, check)

    def margin(text: str) -> float | str:
        return NO_MARGIN if text == NO_MARGIN else _number(text, float)

    usual = Answers()
    put("data", "Data set, or your own .npz or .csv file", usual.data, lambda text: _find_target(text, given))
    own = find_own(Answers(**given))
    put("model", "Model: linear, mlp, cnn, resnet or vit", default_model(own))
    put("factors", "Factors, with spaces between", " ".join(usual.factors), lambda text: tuple(text.split()))
    put("metric", "Primary metric", default_metric(given["data"], own))
    put(
        "margin", "Smallest effect that matters, in its unit", f"{default_margin(given['metric']) or NO_MARGIN}", margin
    )
    put("epochs", "Epochs", str(usual.epochs), lambda text: _number(text, int))
    put("seeds", "Seeds", str(usual.seeds), lambda text: _number(text, int))
    return given


def _find_target(data: str, given: dict[str, Any]) -> str:
    """Return the data set; ask for the target of a table that has none of the usual names."""
    from regjax.draft import Answers, find_own
    from regjax.files import RegjaxError

    try:
        find_own(Answers(data=data, target=given.get("target")))
    except RegjaxError as error:
        if "--target" not in str(error):
            raise
        given["target"] = input(f"{str(error).partition(';')[0]}: ").strip() or None
    return data


def _ask(question: str, default: str, check: Callable[[str], Any]) -> Any:
    from regjax.files import RegjaxError

    while True:
        try:
            text = input(f"{question} [{default}]: ").strip() or default
        except EOFError:
            raise RegjaxError("the input ended before all questions were answered; nothing was written") from None
        try:
            return check(text)
        except RegjaxError as error:
            print(error, file=sys.stderr)


def _number(text: str, kind: type) -> Any:
    from regjax.files import RegjaxError

    try:
        return kind(text)
    except ValueError:
        raise RegjaxError(f"got {text!r}, expected {'an integer' if kind is int else 'a number'}") from None
