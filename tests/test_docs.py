"""The documents say what is there."""

import inspect
import re
from pathlib import Path

from regjax.catalogue import describe_kind, find_reference, make_catalogue
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


def test_the_docs_stand_alone() -> None:
    """No document names a package index or a folder of one machine."""
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "constraints.txt"]:
        assert not re.search(r"/simple\b|--index-url|/work/|/root/|/tmp/", path.read_text()), path
