"""No mutation of a valid study gets past the checks as another exception than ConfigError."""

import contextlib
import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from regjax.config import ConfigError, Study, load_study, parse_study, resolve_at, resolve_steps, study_json
from regjax.config.load import read_toml
from regjax.design import make_cells, make_contrasts

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.toml"))
FULL = {
    "question": "?",
    "primary": {"metric": "test.nll", "at": {"epoch": 2}, "margin": 0.1, "also_at": ["best"]},
    "data": {"name": "arrays", "path": "a.npz", "split": {"train": 10, "validation": 0.5, "test": "rest"}},
    "model": {"name": "mlp", "widths": [4, 4], "decay_on": ["**/kernel"]},
    "optimizer": {"name": "adamw", "schedule": {"name": "step", "every": 3}},
    "training": {"epochs": 4, "batch_size": 8, "evaluate_every": {"epochs": 1}, "save_every": {"epochs": 2}},
    "seeds": {"count": 2, "first": 1, "vary": ["init", "split", "subset"]},
    "fixed": {"decay.strength": 0.1, "early_stopping": {"patience": 3, "restore": False}},
    "factors": {
        "dropout.hidden": [0.0, [0.1, 0.2]],
        "l2": {"strength": {"off": 0.0, "log_range": [0.01, 1.0], "points": 3}},
        "data.train_size": [5, 9],
    },
    "design": {"kind": "full_factorial", "family": ["main"], "headline": "main"},
    "tune": {"optimizer.learning_rate": [0.1, 0.2], "seeds": 2},
    "contrasts": [{"name": "c", "of": {"data.train_size": 9}, "against": {"data.train_size": 5}}],
    "measure": {"predictions": "test"},
    "report": {
        "markers": [
            {"label": "m", "when": {"dropout.hidden": 0.0, "l2.strength": 0.0, "data.train_size": 5}, "value": 0.5}
        ]
    },
}
STUDIES = [FULL, *(read_toml(path) for path in CONFIGS)]

numbers = st.sampled_from([0, 1, -1, 2, 3, 0.0, 0.5, -0.0, 1.0, 1e-3, 1e-320, 1e300, 2**31, 2**63, 10**400])
scalars = st.one_of(
    numbers,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["off", "best", "last", "rest", "mnist", "batch", "one_at_a_time", "leave_one_out", "main", "\0"]),
)
keys = st.one_of(
    st.text(max_size=10),
    st.sampled_from(
        ["name", "count", "off", "log_range", "points", "hidden", "dropout.hidden", "l2", "seeds", "at", ""]
    ),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=8
)


def places(value, place=()):
    """Return the paths of all values in a nested mapping."""
    found = [place] if place else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*place, key))
    return found


def mutate(data, study):
    """Change one place of the study at random, in place."""
    *outer, key = data.draw(st.sampled_from(places(study)))
    for step in outer:
        study = study[step]
    kind = data.draw(st.sampled_from(["delete", "replace", "rename", "wrap", "duplicate"]))
    if kind == "delete":
        del study[key]
    elif kind == "replace":
        study[key] = data.draw(values)
    elif kind == "wrap":
        study[key] = data.draw(st.sampled_from([[study[key]], {"name": study[key]}]))
    elif isinstance(study, dict):
        study[data.draw(keys)] = study.pop(key) if kind == "rename" else copy.deepcopy(study[key])
    else:
        study.insert(key, copy.deepcopy(study[key]))


def use(study: Study) -> None:
    """Do with a study all that happens before training."""
    cells = make_cells(study)
    assert all(len(contrast["weights"]) == len(cells) for contrast in make_contrasts(study, cells))
    text = json.dumps(study_json(study), allow_nan=False)
    text.encode()
    assert parse_study(json.loads(text), study.base) == study
    with contextlib.suppress(ConfigError):
        steps = resolve_steps(study.training, 15)
        for at in (study.primary.at, *study.primary.also_at):
            resolve_at(at, 15, steps.steps, steps.evaluate_steps)
    study.dataset_arguments()


def check(load: Callable[[], Study]) -> None:
    """Require that loading gives a usable study, or a ConfigError with problems in printable words."""
    try:
        study = load()
    except ConfigError as error:
        problems = error.problems
    else:
        use(study)
        return
    assert problems
    assert all(str(problem).isprintable() for problem in problems)


def test_the_studies_are_valid():
    """The mutations start from studies that are valid."""
    for study in STUDIES:
        use(parse_study(study))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_mutated_studies(data):
    """A mutated study is a study that can be planned, or a ConfigError with problems in words."""
    study = copy.deepcopy(data.draw(st.sampled_from(STUDIES)))
    for _ in range(data.draw(st.integers(1, 3))):
        if places(study):
            mutate(data, study)
    check(lambda: parse_study(study))


@settings(max_examples=300, deadline=None)
@given(value=values)
@example(value={"a": {"b": [1, {"off": 2}]}})
def test_any_value_as_a_study(value):
    """Any nested value given as a whole study is a ConfigError."""
    with pytest.raises(ConfigError):
        parse_study(value)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_text(tmp_path, data):
    """A study file with bytes deleted, inserted or lines doubled loads or is a ConfigError."""
    text = data.draw(st.sampled_from(CONFIGS)).read_bytes()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 40, len(text))))
    inserted = data.draw(st.one_of(st.binary(max_size=5), st.just(text[start:end] * 2), st.just(b"\n[factors]\n")))
    path = tmp_path / "study.toml"
    path.write_bytes(text[:start] + inserted + text[end:])
    check(lambda: load_study(path))


OVERRIDDEN = ["training.epochs", "factors.l2.strength", "fixed", 'a."b"', "report.markers", "data.name.x", "tune.seeds"]


@settings(max_examples=200, deadline=None)
@given(key=st.sampled_from(OVERRIDDEN), value=st.text(max_size=20))
def test_any_override(key, value):
    """Any text as the value of an override gives a study or a ConfigError."""
    check(lambda: load_study(CONFIGS[-1], [f"{key}={value}"]))
