"""The section on test examples that are training examples too. Only where there are any."""

from regjax.analysis.table import Table
from regjax.report.extra import Extra

MEANING = (
    "A network may know such examples by heart: the test metric is then better than it would be on new data, most of "
    "all for the networks that are regularized least. Remove the copies from one of the parts."
)


def make_section(table: Table) -> Extra | None:
    """Return how many test examples occur in training or validation too, None where none does or nothing is known."""
    data = table.plan.get("data", {})  # numbers from elsewhere have none
    if not data.get("repeated"):
        return None
    return Extra("repeated", "Repeated examples", (repeated_sentence(data["repeated"], data["num_test"]), MEANING))


def repeated_sentence(repeated: int, num_test: int) -> str:
    """Return how many test examples are repeated.

    >>> repeated_sentence(3, 100)
    "3 of 100 test examples (3.0%) have the very inputs of a training or validation example, in the first seed's split."
    """
    return (
        f"{repeated} of {num_test} test examples ({repeated / num_test:.1%}) have the very inputs of a training or "
        "validation example, in the first seed's split."
    )
