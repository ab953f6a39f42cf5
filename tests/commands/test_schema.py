"""The JSON Schema of study files against the checks of regjax, by an independent validator."""

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from studies import tiny

from regjax import cli
from regjax.config import ConfigError, parse_study
from regjax.config.paths import check_value, make_groups
from regjax.models import MODELS
from regjax.optimizers import OPTIMIZERS
from regjax.schema import make_schema

ROOT = Path(__file__).parents[2]
SCHEMA = make_schema()
CHECK = jsonschema.Draft7Validator(SCHEMA)
VALUES = [-1, 0, 0.0, 0.5, 1, 1.5, 2, 300, "off", "batch", "x", True, [], [0.1, 0.2], [8], {}]


def test_the_schema_is_one() -> None:
    """It is a valid JSON Schema of draft 7, and all its references lead somewhere."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    names = re.findall(r'"#/\$defs/([^"]*)"', json.dumps(SCHEMA))

    assert {name.replace("%20", " ") for name in names} <= set(SCHEMA["$defs"])


def test_the_committed_schemas_are_current(capsys: pytest.CaptureFixture) -> None:
    """configs/study.schema.json and configs/claim.schema.json are what `regjax schema` prints."""
    for words, name in (([], "study"), (["--claims"], "claim")):
        assert cli.main(["schema", *words]) == 0
        printed = capsys.readouterr().out
        assert printed == (ROOT / "configs" / f"{name}.schema.json").read_text(), "run: make reference"
        jsonschema.Draft7Validator.check_schema(json.loads(printed))


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.name)
def test_the_configs_are_valid(path: Path) -> None:
    """Every study that comes with regjax is valid, and names the schema in its first line."""
    assert path.read_text().startswith("#:schema ./study.schema.json\n")
    assert [error.message for error in CHECK.iter_errors(tomllib.loads(path.read_text()))] == []


def test_the_example_of_the_readme_is_valid() -> None:
    """The study in the README is valid."""
    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert CHECK.is_valid(tomllib.loads(example))


@pytest.mark.parametrize(
    "changes",
    [
        {"training__epoch": 3},
        {"training__epochs": "3"},
        {"training__epochs": 0},
        {"training__evaluate_every": {"epoch": 1}},
        {"factors": {"dropout.hiden": [0.0, 0.5]}},
        {"factors": {"dropout": {"hiden": [0.0, 0.5]}}},
        {"factors": {"dropout.hidden": 0.5}},
        {"factors": {"dropout.hidden": [0.0, 1.5]}},
        {"factors": {"dropout.hidden": {"log_range": [0.0, 0.5], "points": 3}}},
        {"primary__metric": "accuracy"},
        {"primary__at": "first"},
        {"primary__at": {"epochs": 1}},
        {"primary__margin": 0},
        {"model__name": "mpl"},
        {"model__widths": []},
        {"model__channels": [8]},
        {"optimizer__learning_rate": 0},
        {"optimizer__schedule": {"name": "cos"}},
        {"data__name": "digit"},
        {"data__split": {"train": 0.5}},
        {"seeds__vary": ["weights"]},
        {"design": {"kind": "factorial"}},
        {"design": {"exclude": [{"dropout.hidde": 0.5}]}},
        {"fixed": {"l2.strength": -1}},
        {"tune": {"model.norm": ["none", "batch"]}},
        {"contrasts": [{"name": "a", "of": {"dropout.hidden": 0.5}}]},
        {"report": {"markers": [{"label": "a", "when": {"dropout.hidden": 0.5}, "value": "1"}]}},
        {"extra": 1},
        {"question": ""},
    ],
    ids=str,
)
def test_what_regjax_refuses_the_schema_refuses(changes: dict[str, Any]) -> None:
    """A wrong key, type, name or range is an error to both."""
    study = tiny(**changes)
    with pytest.raises(ConfigError):
        parse_study(study)
    assert not CHECK.is_valid(study)


@pytest.mark.parametrize(
    "changes",
    [
        {"factors": {"dropout": {"hidden": [0.0, 0.5]}, "model.norm": ["none", "batch"]}},
        {"factors": {"dropout.hidden": {"off": 0.0, "log_range": [0.01, 0.5], "points": 3}}},
        {"factors": {"early_stopping.patience": ["off", 3]}},
        {"factors": {"dropout.hidden": {"range": [0.0, 0.5]}}, "design": {"kind": "random", "points": 4}},
        {"measure": {"sources": True}},
        {"measure": {"sources": {"streams": ["init"], "seeds": 2}}},
        {"primary__at": {"step": 3}, "primary__also_at": ["last", {"epoch": 1}]},
        {"optimizer__schedule": {"name": "cosine", "warmup_steps": 2}},
        {"tune": {"optimizer.learning_rate": [1e-3, 1e-2], "seeds": 2}},
        {"fixed": {"l2.strength": 0.1, "dropout.hidden": [0.2]}},
        {"data": {"name": "tfds:iris"}},
        {"task": {"name": "classification", "class_weights": [1.0] * 10}},
        {"model__decay_on": ["**/kernel"]},
    ],
    ids=str,
)
def test_what_is_written_in_other_ways_is_valid(changes: dict[str, Any]) -> None:
    """Nested tables, ranges, states, schedules and lists of patterns are known to the schema."""
    assert [error.message for error in CHECK.iter_errors(tiny(**changes))] == []


def test_every_path_admits_what_regjax_admits() -> None:
    """Over all paths and many values the schema and the checks of a study agree on what one value may be."""
    groups: dict[str, dict[str, Any]] = {}
    for model in MODELS.values():
        for optimizer in OPTIMIZERS.values():
            for group, fields in make_groups(model, optimizer).items():
                for key, field in (fields or {}).items():
                    groups.setdefault(f"{group}.{key}", {}).setdefault(field.expected, field)
    paths = {name.removeprefix("value ") for name in SCHEMA["$defs"] if name.startswith("value ")}
    differ = []
    for path, fields in groups.items():
        check = jsonschema.Draft7Validator(SCHEMA["$defs"][f"value {path}"])
        for value in VALUES:
            admitted = any(not check_value(path, copy.deepcopy(value), field)[1] for field in fields.values())
            # JSON Schema takes 1.0 for an integer.
            if admitted != check.is_valid(value) and not (isinstance(value, float) and value == int(value)):
                differ.append((path, value, admitted))

    assert paths == set(groups)
    assert differ == []
