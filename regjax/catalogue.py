"""The catalogue: what a study can switch, as a table made from the parts themselves."""

import dataclasses
import inspect
import math
import re

from regjax.observers import OBSERVERS
from regjax.parts import Hyper, hypers
from regjax.regularizers import REGULARIZERS, Regularizer

# What a regularizer acts on, by the hook that it has of its own.
ACTS_ON = {
    "batch": "examples",
    "weights": "weights in the forward pass",
    "site": "activations",
    "penalty": "loss",
    "ascend": "place of the gradient",
    "gradient": "gradient",
    "project": "weights after the update",
}


def make_catalogue() -> str:
    """Return a Markdown table of every regularizer and observer: name, what it acts on, hypers, settings, reference."""
    tables = [("Regularizers, in order of application", REGULARIZERS), ("Observers, in order", OBSERVERS)]
    sections = []
    for title, parts in tables:
        head = ["| | acts on | hypers: off value, range | reference |", "|---|---|---|---|"]
        sections.append("\n".join([f"### {title}", "", *head, *(describe_row(name, parts[name]) for name in parts)]))
    return "\n\n".join(sections) + "\n"


def describe_row(name: str, part_class: type) -> str:
    """Return a part's row of the table."""
    cells = (f"`{name}`<br>{first_line(part_class)}", describe_kind(part_class), describe_fields(name, part_class),
             find_reference(part_class))  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def first_line(part_class: type) -> str:
    """Return the first sentence of a part's docstring."""
    text = " ".join((inspect.getdoc(part_class) or "").split("\n\n")[0].split())
    return text.split(": ")[0].rstrip(".")


def describe_kind(part_class: type) -> str:
    """Return what a part acts on.

    >>> from regjax.regularizers import REGULARIZERS
    >>> describe_kind(REGULARIZERS["dropout"]), describe_kind(OBSERVERS["ema"])
    ('activations', 'what is evaluated')
    """
    if not issubclass(part_class, Regularizer):
        return "the end of a run" if hasattr(part_class, "judge") else "what is evaluated"
    return ", ".join(words for hook, words in ACTS_ON.items() if hook in vars(part_class))


def describe_fields(name: str, part_class: type) -> str:
    """Return the hypers and settings of a part, each with its off value or default and its range."""
    known = hypers(part_class)
    texts = []
    for field in dataclasses.fields(part_class):
        if "derived" in field.metadata:
            continue
        path = f"`{name}.{field.name}`"
        if field.name in known:
            texts.append(f"{path}: {describe_hyper(known[field.name], field.default)}")
        else:
            texts.append(f"{path}: setting, default {field.default}")
    return "<br>".join(texts)


def describe_hyper(hyper: Hyper, default: object) -> str:
    """Return off value (or default) and range of a hyper.

    >>> describe_hyper(hypers(REGULARIZERS["dropout"])["input"], 0.0)
    'off 0, [0, 1)'
    >>> describe_hyper(hypers(REGULARIZERS["max_norm"])["bound"], float("inf"))
    'off "off", (0, inf]'
    """
    if hyper.flag:
        return f"default {'true' if default else 'false'}"
    if hyper.off is None:
        return f"default {default:g}, {hyper.range}"
    # As a study file writes it: infinity is refused there.
    off = '"off"' if hyper.off == math.inf else f"{hyper.off:g}"
    return f"off {off}, {hyper.range}"


def find_reference(part_class: type) -> str:
    """Return the reference that a part's docstring gives, without the departure from it."""
    text = " ".join((inspect.getdoc(part_class) or "").split())
    found = re.search(r"Reference: (.*?)(?: Departures?:|$)", text)
    return found[1].rstrip(".") if found else ""
