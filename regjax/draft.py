"""A first study file, with comments, from a few answers: `regjax new`."""

import json
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from regjax.config import parse_study
from regjax.config.datasets import OFFICIAL, WHOLE
from regjax.design import count_cells
from regjax.files import RegjaxError
from regjax.metrics import larger_is_better

# What a model needs, and what suits small data.
MODEL_LINES = {"mlp": "widths = [128, 128]", "cnn": "channels = [16, 32]\ndense    = [64]"}
VALUES = ("diabetes", "sparse_linear", "ridge_linear")  # data sets whose targets are numbers
MARGINS = {"accuracy": 0.005, "balanced_accuracy": 0.005}


class Answers(NamedTuple):
    """What a first study file says; None where nobody said it."""

    data: str = "digits"
    model: str = "mlp"
    optimizer: str = "adam"
    factors: tuple[str, ...] = ("dropout.hidden=0,0.3",)
    metric: str | None = None
    margin: float | None = None
    at: str = "best"
    epochs: int = 30
    batch_size: int = 32
    seeds: int = 10
    design: str = "full_factorial"
    question: str | None = None


def default_metric(data: str) -> str:
    """Return the metric that suits a data set.

    >>> default_metric("digits"), default_metric("diabetes")
    ('test.accuracy', 'test.mse')
    """
    return "test.mse" if data in VALUES else "test.accuracy"


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
            except tomllib.TOMLDecodeError:
                continue
    raise RegjaxError(f"got the factor {text!r}, expected PATH=LEVEL,LEVEL,... such as dropout.hidden=0,0.5")


def _quote(text: str) -> str:
    """Return a level as TOML: a value as it stands, a bare name in quotes."""
    try:
        tomllib.loads(f"level = {text}")
    except tomllib.TOMLDecodeError:
        return json.dumps(text)
    return text


def write_draft(answers: Answers, path: Path) -> str:
    """Return the text of a study file; it passes the checks of `regjax plan` but for those that need the data.

    Args:
      answers: what it says.
      path: where it will be: the command in its header names it, and paths in it are relative to its folder.

    Raises:
      ConfigError: what was answered makes no study; all problems at once.
      RegjaxError: a factor is no PATH=LEVEL,LEVEL,...
    """
    factors = dict(read_factor(text) for text in answers.factors)
    metric = answers.metric or default_metric(answers.data)
    names, verb = " and ".join(factors), "does" if len(factors) == 1 else "do"
    question = answers.question or f"What effect {verb} {names} have on {metric} of {Path(answers.data).name}?"
    body = "\n".join(_body_lines(answers, factors, metric, question))
    study = parse_study(tomllib.loads(body), path.parent)
    number = count_cells(study.design, study.factors)
    plural = "" if number == 1 else "s"
    head = [
        f"# Question: {question}",
        "# Expect:   write down what you expect, before you look.",
        f"# Cost:     {number} cell{plural} x {answers.seeds} seeds = {number * answers.seeds} runs; the command "
        f"`regjax plan {path}` measures memory and time.",
        f"# Run:      regjax run {path} --out out/{path.stem}",
    ]
    return "\n".join([*head, body, ""])


def _body_lines(answers: Answers, factors: dict[str, list[Any]], metric: str, question: str) -> list[str]:
    margin = answers.margin or MARGINS.get(metric.rpartition(".")[2])
    better = {True: "more is better", False: "less is better", None: ""}[larger_is_better(metric)]
    margin_line = '# margin = ...                 # smallest effect that matters; needed to show "no difference"'
    if margin is not None:
        margin_line = f"margin = {margin:<23g}# smallest effect that matters, in the metric's unit"
    width = max((len(json.dumps(path)) for path in factors), default=0)
    return [
        f"question = {json.dumps(question, ensure_ascii=False)}",
        "",
        "[primary]                       # the one confirmatory number; all else is marked exploratory",
        f"{f'metric = {json.dumps(metric)}':32}# {better}".rstrip("# "),
        f'{f"at     = {json.dumps(answers.at)}":32}# "best" by validation, "last", {{ epoch = n }} or {{ step = n }}',
        margin_line,
        "",
        "[data]",
        *_data_lines(answers.data),
        "",
        "[model]",
        f"name = {json.dumps(answers.model)}",
        *MODEL_LINES.get(answers.model, "").splitlines(),
        "",
        "[optimizer]",
        f"name          = {json.dumps(answers.optimizer)}",
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
        *(f"{json.dumps(path):{width}} = {_write(levels)}" for path, levels in factors.items()),
        "",
        "[design]",
        f"kind = {json.dumps(answers.design)}",
    ]


def _write(value: Any) -> str:
    """Return a level, or a list of them, as TOML."""
    if isinstance(value, list):
        return "[" + ", ".join(map(_write, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (bool, str)) else repr(value)


def _data_lines(data: str) -> list[str]:
    """Return the lines of [data]: a name, or an .npz file."""
    if data.endswith(".npz"):
        return ['name = "arrays"', f"{f'path = {json.dumps(data)}':32}# relative to this file; keys x and y"]
    lines = [f"name = {json.dumps(data)}"]
    if data in OFFICIAL:
        return [*lines, 'validation = { fraction = 0.2, take = "random" }   # of the official training part']
    return (
        lines
        if data not in WHOLE
        else [*lines, f'{"split = { train = 0.6, validation = 0.2, test = 0.2 }":56}# or counts, or "rest"']
    )
