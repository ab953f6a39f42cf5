"""The documents say what is there."""

import argparse
import inspect
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from documents import DOCUMENTS, find_anchors, find_code, find_commands, find_links, find_uneven_rows

import regjax
from regjax.catalogue import describe_kind, find_reference, make_catalogue
from regjax.cli import make_parser
from regjax.config import Data, Design, Measure, Primary, Seeds, Task, Training, load_study
from regjax.config.fields import part_fields
from regjax.design import DESIGNS
from regjax.models import MODELS
from regjax.observers import OBSERVERS
from regjax.optimizers import OPTIMIZERS
from regjax.regularizers import REGULARIZERS

ROOT = Path(__file__).parent.parent


def test_every_key_of_a_study_is_documented() -> None:
    """docs/study-file.md names every key of every table and every design."""
    text = (ROOT / "docs" / "study-file.md").read_text()
    words = set(re.findall(r"\w+", text))
    keys = {key for table in (Primary, Data, Task, Training, Seeds, Design, Measure) for key in table.model_fields}
    keys |= {key for part in (*MODELS.values(), *OPTIMIZERS.values()) for key in part_fields(part)}

    assert keys | set(OPTIMIZERS) | set(MODELS) | set(DESIGNS) <= words


def test_the_catalogue_in_the_docs_is_that_of_the_code() -> None:
    """docs/regularizers.md ends with what `regjax explain` prints."""
    text = (ROOT / "docs" / "regularizers.md").read_text()

    assert text.endswith(make_catalogue()), "run: make catalogue"


def test_every_part_has_a_reference_and_an_equation() -> None:
    """Each regularizer and observer says what it does in one line, by an equation, and who proposed it."""
    for name, part in {**REGULARIZERS, **OBSERVERS}.items():
        text = inspect.getdoc(part) or ""
        assert find_reference(part), name
        assert re.search(r"^ {4}\S.*$", text, re.M), name
        assert describe_kind(part), name


def test_the_study_in_the_readme_is_valid(tmp_path: Path) -> None:
    """The example study of the README loads, and its overrides on the command line apply."""
    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (tmp_path / "study.toml").write_text(example)
    assert load_study(tmp_path / "study.toml", ["seeds.count=8"]).seeds.count == 8


def test_every_config_has_a_header_with_its_command() -> None:
    """Each study file begins with question, expectation, cost and the command that runs it."""
    for path in (ROOT / "configs").glob("*.toml"):
        head = path.read_text().split("\nquestion")[0]
        assert all(word in head for word in ("# Question:", "# Expect:", "# Cost:", f"regjax run configs/{path.name}"))


def find_options(parser: argparse.ArgumentParser) -> dict[str, dict[str, Any]]:
    """Return {sub-command: {option: its choices, or None}}, options of sub-commands of its own included."""
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    found = {}
    for name, command in commands.choices.items():
        inner = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
        nested = [choice for action in inner for choice in action.choices.values()]
        actions = [action for each in (command, *nested) for action in each._actions]
        found[name] = {option: action.choices for action in actions for option in action.option_strings}
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_in_a_document_resolves(path: Path) -> None:
    """A link names a file that is there, and an anchor that is a heading of that file."""
    for target in find_links(path.read_text()):
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        assert not anchor or anchor in find_anchors(file.read_text()), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_row_of_a_table_has_the_cells_of_its_head(path: Path) -> None:
    """No row of a table stands in another table, or is broken by a bar."""
    assert find_uneven_rows(path.read_text()) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_a_document_exists(path: Path) -> None:
    """Each `regjax COMMAND --option` in code is one of the parser, each `make TARGET` one of the Makefile."""
    options = find_options(make_parser())
    for command, rest in find_commands(path.read_text(), "regjax"):
        assert command in options
        for option, value in re.findall(r"(?<![\w-])(--[a-z-]+)(?: ([\w|.]+))?", rest):
            assert option in options[command], f"{command}{rest}"
            choices = options[command][option]
            assert choices is None or set(value.split("|")) <= set(choices), f"{command}{rest}"
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {target for target, _ in find_commands(path.read_text(), "make")} <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_python_name_in_a_document_exists(path: Path) -> None:
    """Each `regjax.NAME` in code is public or a module, each `Results.NAME` or `results.NAME(` one of its methods."""
    for code in find_code(path.read_text()):
        for name in re.findall(r"(?<![\w./-])regjax\.(\w+)", code):
            assert name in regjax.__all__ or find_spec(f"regjax.{name}") is not None, name
        for name in re.findall(r"\b(?:results(?=\.\w+\()|Results)\.(\w+)", code):
            assert hasattr(regjax.Results, name), name


def test_every_public_name_is_in_the_reference() -> None:
    """docs/api.md shows what `import regjax` offers."""
    shown = set(re.findall(r"^\.\. auto\w+:: regjax\.(\w+)(?:\(\))?$", (ROOT / "docs" / "api.md").read_text(), re.M))

    assert shown == set(regjax.__all__) - {"__version__"}


def test_the_citation_file_is_valid() -> None:
    """CITATION.cff has what version 1.2.0 of its format requires, and the version of the package."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())

    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == [{"name": "regjax developers"}]
    assert (citation["version"], citation["type"]) == (regjax.__version__, "software")
