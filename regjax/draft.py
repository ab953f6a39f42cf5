"""A first study file, with comments, from a few answers: `regjax new`."""

import json
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from regjax.config import parse_study
from regjax.config.datasets import OFFICIAL, WHOLE
from regjax.data import Own, read_own
from regjax.design import count_cells
from regjax.files import RegjaxError, printable
from regjax.metrics import larger_is_better

# What a model needs, and what suits small data.
MODEL_LINES = {"mlp": "widths = [128, 128]", "cnn": "channels = [16, 32]\ndense    = [64]"}
VALUES = ("diabetes", "sparse_linear", "ridge_linear")  # data sets whose targets are numbers
MARGINS = {"accuracy": 0.005, "balanced_accuracy": 0.005}
NO_MARGIN = "none"
FILES = (".npz", ".csv")
VALIDATION = 'validation = { fraction = 0.2, take = "random" }'
SPLIT = f'{"split = { train = 0.6, validation = 0.2, test = 0.2 }":56}# or counts, or "rest"'


class Answers(NamedTuple):
    """What a first study file says; None where nobody said it.

    data: name of a data set, or the path of a user's own file, relative to the working directory.
    target: key or column of the targets in such a file.
    margin: a number, or "none" for a file without one.
    """

    data: str = "digits"
    target: str | None = None
    model: str | None = None
    optimizer: str = "adam"
    factors: tuple[str, ...] = ("dropout.hidden=0,0.3",)
    metric: str | None = None
    margin: float | str | None = None
    at: str = "best"
    epochs: int = 30
    batch_size: int | None = None
    seeds: int = 10
    design: str = "full_factorial"
    question: str | None = None


def find_own(answers: Answers) -> Own | None:
    """Return what a user's own file holds; None where the data set is one by name.

    Raises:
      DataError: the file is absent, or not what a data set can be.
    """
    return read_own(Path(answers.data), answers.target) if answers.data.lower().endswith(FILES) else None


def default_metric(data: str, own: Own | None = None) -> str:
    """Return the metric that suits a data set.

    >>> default_metric("digits"), default_metric("diabetes")
    ('test.accuracy', 'test.mse')
    """
    values = data in VALUES if own is None else own.dataset.num_classes == 0
    return "test.mse" if values else "test.accuracy"


def default_margin(metric: str) -> float | None:
    """Return the margin that is written where none is given; None where no number suits the metric."""
    return MARGINS.get(metric.rpartition(".")[2])


def default_batch(own: Own | None) -> int:
    """Return the examples per update: 32, or all that are trained on where there are fewer."""
    return 32 if own is None else max(1, min(32, len(own.dataset.parts.get("train", own.dataset.x)) * 3 // 5))


def default_model(own: Own | None) -> str:
    """Return the network that suits the inputs: a cnn for pictures of at least 8 x 8 pixels, else an mlp."""
    shape = () if own is None else own.dataset.x.shape[1:]
    return "cnn" if len(shape) in (2, 3) and min(shape[:2]) >= 8 else "mlp"


def read_factor(text: str) -> tuple[str, list[Any]]:
    """Return the path and levels of "dropout.hidden=0,0.5"; a level that is no TOML value is a name.

    >>> read_factor("model.norm=none,batch")
    ('model.norm', ['none', 'batch'])
    >>> read_factor("dropout.hidden=0,[0.1,0.2]")
    ('dropout.hidden', [0, [0.1, 0.2]])

    Raises:
      RegjaxError: it is written otherwise.
    """
    path, _, levels = text.partition("=")
    if path.strip() and levels.strip():
        named = ", ".join(_quote(level.strip()) for level in levels.split(","))
        for written in (f"[{levels}]", f"[{named}]"):
            try:
                return path.strip(), tomllib.loads(f"levels = {written}")["levels"]
            except (ValueError, RecursionError):
                continue
    raise RegjaxError(f"got the factor {text!r}, expected PATH=LEVEL,LEVEL,... such as dropout.hidden=0,0.5")


def read_factors(texts: Iterable[str]) -> dict[str, list[Any]]:
    """Return {path: levels} of several factors; RegjaxError where one cannot be read, or a path is there twice."""
    factors: dict[str, list[Any]] = {}
    for text in texts:
        path, levels = read_factor(text)
        if path in factors:
            raise RegjaxError(f"got the factor {path!r} twice, expected each path once, with all of its levels")
        factors[path] = levels
    return factors


def _quote(text: str) -> str:
    """Return a level as TOML: a value as it stands, a bare name in quotes."""
    try:
        tomllib.loads(f"level = {text}")
    except (ValueError, RecursionError):
        return _text(text)
    return text


def write_draft(answers: Answers, path: Path, own: Own | None = None, cost: str | None = None) -> str:
    """Return the text of a study file; it passes the checks of `regjax plan` but for those that need the data.

    Args:
      answers: what it says.
      path: where it will be: the command in its header names it, and paths in it are relative to its folder.
      own: what the user's own file holds, from `find_own`; with it the file says how to split and to scale.
      cost: what its header says of time, None for how to find out.

    Raises:
      ConfigError: what was answered makes no study; all problems at once.
      RegjaxError: a factor is no PATH=LEVEL,LEVEL,..., or is there twice.
    """
    factors = read_factors(answers.factors)
    metric = default_metric(answers.data, own) if answers.metric is None else answers.metric
    names, verb = " and ".join(factors), "does" if len(factors) == 1 else "do"
    question = answers.question
    if question is None:
        question = f"What effect {verb} {names} have on {metric} of {Path(answers.data).name}?"
    data = own_lines(answers, path.parent, own) if answers.data.lower().endswith(FILES) else _data_lines(answers.data)
    filled = answers._replace(
        metric=metric,
        model=default_model(own) if answers.model is None else answers.model,
        margin=default_margin(metric) if answers.margin is None else answers.margin,
        batch_size=default_batch(own) if answers.batch_size is None else answers.batch_size,
        question=question,
    )
    body = "\n".join(_body_lines(filled, factors, data))
    study = parse_study(tomllib.loads(body), path.parent)
    number = count_cells(study.design, study.factors)
    plural = "" if number == 1 else "s"
    head = [
        f"# Question: {study.question}",
        "# Expect:   write down what you expect, before you look.",
        f"# Cost:     {number} cell{plural} x {answers.seeds} seeds = {number * answers.seeds} runs; "
        + (cost or f"the command `regjax plan {path}` measures memory and time."),
        f"# Run:      regjax run {path} --out out/{path.stem}",
    ]
    return "\n".join([*map(printable, head), body, ""])


def _body_lines(answers: Answers, factors: dict[str, list[Any]], data: list[str]) -> list[str]:
    metric = str(answers.metric)
    better = {True: "more is better", False: "less is better", None: ""}[larger_is_better(metric)]
    margin_line = '# margin = ...                 # smallest effect that matters; needed to show "no difference"'
    if answers.margin not in (None, NO_MARGIN):
        margin_line = f"margin = {answers.margin:<23g}# smallest effect that matters, in the metric's unit"
    width = max((len(_text(path)) for path in factors), default=0)
    return [
        f"question = {_text(answers.question)}",
        "",
        "[primary]                       # the one confirmatory number; all else is marked exploratory",
        f"{f'metric = {_text(metric)}':32}# {better}".rstrip("# "),
        f'{f"at     = {_text(answers.at)}":32}# "best" by validation, "last", {{ epoch = n }} or {{ step = n }}',
        margin_line,
        "",
        "[data]",
        *data,
        "",
        "[model]",
        f"name = {_text(answers.model)}",
        *MODEL_LINES.get(str(answers.model), "").splitlines(),
        "",
        "[optimizer]",
        f"name          = {_text(answers.optimizer)}",
        "learning_rate = 1e-3",
        "",
        "[training]",
        f"epochs     = {answers.epochs}",
        f"batch_size = {answers.batch_size}",
        "",
        "[seeds]",
        f"{f'count = {answers.seeds}':32}# six are the fewest that can show anything at 0.05",
        "",
        "[factors]                       # path = levels, the baseline first; `regjax explain` lists the paths",
        *(f"{_text(path):{width}} = {_write(levels)}" for path, levels in factors.items()),
        "",
        "[design]",
        f"kind = {_text(answers.design)}",
    ]


def _write(value: Any) -> str:
    """Return a level, or a list of them, as TOML."""
    if isinstance(value, list):
        return "[" + ", ".join(map(_write, value)) + "]"
    if not isinstance(value, (bool, str, int, float)):
        raise RegjaxError(f"got the level {value}, expected a number, a text, true, false or a list of such")
    return _text(value) if isinstance(value, (bool, str)) else repr(value)


def _text(value: str | bool | None) -> str:
    """Return a text or a truth as TOML, whose texts are those of JSON without one character, and are UTF-8."""
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RegjaxError(f"got {value!r}, expected a text that is UTF-8") from None
    return text


def _data_lines(data: str) -> list[str]:
    """Return the lines of [data] for a data set by name."""
    lines = [f"name = {_text(data)}"]
    if data in OFFICIAL:
        return [*lines, VALIDATION + "   # of the official training part"]
    return [*lines, SPLIT] if data in WHOLE else lines


def own_lines(answers: Answers, folder: Path, own: Own | None) -> list[str]:
    """Return the lines of [data] for a user's own file, its path relative to the folder of the study file."""
    relative = os.path.relpath(answers.data, folder)
    lines = ['name = "arrays"', f"{f'path = {_text(relative)}':32}# relative to this file"]
    if own is None:
        return lines
    if own.x not in (None, "x"):
        lines.append(f"{f'x = {_text(own.x)}':32}# key of the inputs")
    if own.y != "y":
        what = "column to predict; all others are inputs" if own.x is None else "key of the targets"
        lines.append(f"{f'y = {_text(own.y)}':32}# {what}")
    lines.append(VALIDATION + "   # of the training part" if own.dataset.parts else SPLIT)
    if own.dataset.x.ndim == 2 and own.dataset.x.dtype.kind == "f":
        lines.append('scale = "standard"'.ljust(32) + "# per feature, fitted on training rows")
    return lines
