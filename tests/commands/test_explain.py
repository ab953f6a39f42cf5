"""What names mean."""

import tomllib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from regjax import cli, metrics
from regjax.catalogue import make_catalogue
from regjax.commands import COMMANDS
from regjax.config.fields import part_fields
from regjax.config.paths import check_paths, make_groups
from regjax.design import DESIGNS
from regjax.explain import TERMS, entry_text, explain, make_entries
from regjax.files import RegjaxError
from regjax.models import MODELS
from regjax.observers import OBSERVERS
from regjax.optimizers import OPTIMIZERS
from regjax.regularizers import REGULARIZERS

ENTRIES = make_entries()


def test_every_part_and_term_has_an_entry() -> None:
    """Regularizers, observers, models, optimizers, metrics, designs, states and terms are all explained."""
    names = {*REGULARIZERS, *OBSERVERS, *MODELS, *OPTIMIZERS, *metrics.METRICS, *metrics.OF_WEIGHTS, *DESIGNS, *TERMS}

    assert names | {"best", "last", "epoch", "step"} <= set(ENTRIES)
    assert all(entry.text for entry in ENTRIES.values())


@pytest.mark.parametrize("name", [*REGULARIZERS, *OBSERVERS])
def test_an_entry_has_formula_range_reference_and_a_valid_line(name: str) -> None:
    """A regularizer's entry has its docstring with the equation, its hypers, and a line that a study takes."""
    entry = explain(name)
    values, problems = check_paths(tomllib.loads(entry.example), "factors", make_groups(None, None), levels=True)

    assert "\n    " in entry.text
    assert entry.reference
    assert entry.reference[:40] in " ".join(entry.text.split())
    assert {row["path"] for row in entry.values} >= {
        f"{name}.{key}" for key in part_fields({**REGULARIZERS, **OBSERVERS}[name])
    }
    assert (len(values), problems) == (1, [])


@pytest.mark.parametrize("name", ["leave_one_out", "mlp", "adam", "best", "test.nll", "weight_norm", "digits"])
def test_examples_are_toml(name: str) -> None:
    """The line for a study file is TOML."""
    assert tomllib.loads(explain(name).example)


def test_names_are_found_as_people_write_them() -> None:
    """Case, spaces and a split before a metric do not matter; a path shows its own row alone."""
    assert explain("Paired  Effect") == explain("paired_effect") == ENTRIES["paired effect"]
    assert explain("gap.accuracy").text.startswith(ENTRIES["accuracy"].text)
    assert [row["path"] for row in explain("dropout.hidden").values] == ["dropout.hidden"]
    assert "needs: images" in entry_text(explain("cutout"))
    assert "off 0, [0, 1)" in entry_text(explain("dropout.hidden"))
    assert "In a study file:" in entry_text(explain("dropout"))
    assert "In a study file:" not in entry_text(explain("paired effect"))


def test_a_miss_names_the_nearest() -> None:
    """An unknown name is refused with the nearest known ones."""
    with pytest.raises(RegjaxError, match=r"did you mean dropout,"):
        explain("dropuot")


def test_without_a_name_the_table_of_regularizers_is_printed(capsys: pytest.CaptureFixture) -> None:
    """`regjax explain` prints what docs/regularizers.md ends with."""
    assert cli.main(["explain"]) == 0
    assert capsys.readouterr().out == make_catalogue()


def test_json_has_the_documented_keys(read: Callable[..., dict[str, Any]]) -> None:
    """`explain NAME --json` has one entry with all fields of an entry; without a name all of them."""
    found = read("explain", "dropout")

    assert set(found) == set(COMMANDS["explain"].KEYS)
    assert found["entries"] == [{**asdict(ENTRIES["dropout"]), "values": list(ENTRIES["dropout"].values)}]
    assert len(read("explain")["entries"]) == len(ENTRIES)


def test_the_study_file_document_holds_the_words_of_the_metrics() -> None:
    """docs/study-file.md says of each metric what `regjax explain` says."""
    text = (Path(__file__).parents[2] / "docs" / "study-file.md").read_text().replace("\\|", "|")

    assert [name for name, about in metrics.ABOUT.items() if about not in text] == []
