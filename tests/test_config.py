"""Study files: what is admitted, what is refused and in which words."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from regjax.config import ConfigError, load_study, parse_study, plain, resolve_at, resolve_steps, study_json
from regjax.config.overrides import apply_override
from regjax.design import make_cells

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.toml"))
BASE: dict[str, Any] = {
    "question": "Does dropout help?",
    "primary": {"metric": "test.accuracy"},
    "data": {"name": "digits"},
    "model": {"name": "mlp", "widths": [8, 8]},
    "optimizer": {"name": "adam"},
    "training": {"epochs": 4, "batch_size": 32},
    "seeds": {"count": 3},
    "factors": {"dropout.hidden": [0.0, 0.5]},
}


def make(**tables: Any) -> dict[str, Any]:
    """Return a valid study's mapping with some tables extended; None removes a key, a non-table replaces it."""
    study = copy.deepcopy(BASE)
    for name, table in tables.items():
        if isinstance(table, dict) and isinstance(study.get(name, {}), dict) and name != "factors":
            study[name] = {k: v for k, v in {**study.get(name, {}), **table}.items() if v is not None}
        else:
            study[name] = table
    return study


def problems_of(mapping: Any) -> list[str]:
    """Return the lines of the ConfigError that the mapping raises."""
    with pytest.raises(ConfigError) as caught:
        parse_study(mapping)
    assert len(caught.value.problems) == len(str(caught.value).splitlines())
    return str(caught.value).splitlines()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_loads_and_has_a_header(path):
    """Every file in configs/ is a valid study whose header gives question, expectation, cost and command."""
    study = load_study(path)
    text = path.read_text()
    assert all(f"# {word}:" in text for word in ("Question", "Expect", "Cost", "Run"))
    assert f"configs/{path.name}" in text
    assert parse_study(json.loads(json.dumps(study_json(study), allow_nan=False)), study.base) == study


def test_defaults_are_filled_in():
    """What a study does not say is written out in the resolved study."""
    study = study_json(parse_study(BASE))
    assert study["primary"] == {"metric": "test.accuracy", "at": "last", "also_at": []}
    assert study["data"] == {
        "name": "digits",
        "split": {"train": 0.6, "validation": 0.2, "test": 0.2},
        "scale": "unit",
    }
    assert study["training"] == {
        "epochs": 4,
        "batch_size": 32,
        "evaluate_every": {"epochs": 1},
        "precision": "float32",
        "train_examples": 10000,
        "keep": "best",
    }
    assert study["seeds"] == {"count": 3, "first": 0, "vary": ["init", "order", "dropout", "split"]}
    assert study["design"] == {"kind": "full_factorial", "family": ["simple"], "headline": "simple"}
    assert study["model"]["decay_on"] == "matrices"
    assert study["optimizer"]["schedule"]["name"] == "constant"


def test_split_in_vary_needs_a_split_that_is_drawn():
    """A seed cannot draw the split where validation is the last rows, and the message says so."""
    data = {"name": "mnist", "validation": {"fraction": 0.2, "take": "last"}}
    assert parse_study(make(data=data)).seeds.vary == ("init", "order", "dropout")
    (line,) = problems_of(make(data=data, seeds={"vary": ["split"]}))
    assert 'data.validation.take = "last" fixes the split' in line


@pytest.mark.parametrize(
    ("tables", "streams"),
    [
        ({"data": {"name": "mnist"}}, {"split"}),
        ({"data": {"name": "arrays", "path": "a.npz"}}, {"split"}),
        ({"data": {"train_size": 100}}, {"split", "subset"}),
        ({"factors": {"data.train_size": [100, 200]}}, {"split", "subset"}),
    ],
)
def test_default_streams_are_those_that_are_drawn(tables, streams):
    """Without `vary` a seed draws init, order and dropout, and split and subset where they are random."""
    assert set(parse_study(make(**tables)).seeds.vary) == {"init", "order", "dropout"} | streams


def test_all_problems_are_reported_at_once():
    """Wrong tables, and checks between the tables that are valid, are reported together."""
    lines = problems_of(
        make(
            question="",
            training={"epochs": "3", "batch_size": 0},
            factors={"dropout.hiden": [0, 0.5], "l2.strength": [0, -1]},
            data={"name": "mnist", "validation": {"count": 9, "take": "last"}},
            fixed={"l1.strength": 0.1},
            tune={"l1.strength": [0.1, 0.2]},
            modle={},
        )
    )
    starts = [line.split(":")[0] for line in lines]
    expected = ["modle", "question", "training.epochs", "training.batch_size", 'factors."dropout.hiden"']
    assert starts == [*expected, 'factors."l2.strength"[1]']
    lines = problems_of(make(question="", fixed={"dropout.hidden": 0.1}, seeds={"vary": ["subset"]}))
    assert len(lines) == 3


def test_all_missing_tables_are_named():
    """An empty study lists every required table."""
    lines = problems_of({})
    assert [line.split(":")[0] for line in lines] == list(BASE)


@pytest.mark.parametrize(
    "bad", [3, None, [], {"question": 10**5000}, {"question": "a\x00"}, {"a\ud800": 1}, {1: 2}, {"question": b"x"}]
)
def test_no_plain_data(bad):
    """What TOML could not have given is refused with a ConfigError."""
    assert problems_of(bad)


def test_deep_nesting_is_refused():
    """A deeply nested value is refused before anything walks it."""
    value: Any = 1
    for _ in range(500):
        value = [value]
    assert "deep nesting" in problems_of(make(question=value))[0]


def test_levels_of_hypers_are_resolved():
    """Ranges are written out with the off value first, "off" becomes the off value, whole numbers become floats."""
    study = parse_study(
        make(
            factors={
                "l2.strength": {"off": "off", "log_range": [1e-6, 1e-1], "points": 11},
                "max_norm.bound": ["off", 3],
                "early_stopping": {"patience": [float("inf"), 5]},
                "dropout.hidden": [0, [0.2, 0.5]],
            }
        )
    )
    levels = study.factors["l2.strength"]
    assert levels == (0.0, 1e-6, 3.16228e-6, 1e-5, 3.16228e-5, 1e-4, 3.16228e-4, 1e-3, 3.16228e-3, 0.01, 0.0316228, 0.1)
    assert study.factors["max_norm.bound"] == (float("inf"), 3.0)
    assert study.factors["early_stopping.patience"] == (float("inf"), 5.0)
    assert study.factors["dropout.hidden"] == (0.0, (0.2, 0.5))
    assert study_json(study)["factors"]["max_norm.bound"] == ["off", 3.0]
    assert plain(study.factors["dropout.hidden"]) == [0.0, [0.2, 0.5]]


def test_json_round_trip_of_a_full_study():
    """A study with every table comes back equal from its JSON text, which holds no infinity."""
    study = parse_study(
        make(
            primary={"at": {"epoch": 2}, "also_at": ["best", {"step": 7}], "margin": 0.01},
            data={"name": "arrays", "path": "a.npz", "split": {"train": 10, "validation": 0.5, "test": "rest"}},
            model={"decay_on": ["**/kernel"]},
            optimizer={"name": "adamw", "schedule": {"name": "step", "every": 3}},
            training={"save_every": {"epochs": 2}, "keep": "none", "keep_checkpoints": True},
            seeds={"first": 7},
            fixed={"decay.strength": 0.1, "early_stopping.gl": 5, "max_norm.bound": "off"},
            factors={"dropout.hidden": [0, [0.1, 0.2]], "model.norm": ["none", "batch"], "data.train_size": [5, 9]},
            tune={"optimizer.learning_rate": [0.1, 0.2], "seeds": 2},
            contrasts=[{"name": "c", "of": {"model.norm": "batch"}, "against": {"model.norm": "none"}}],
            measure={"predictions": "test"},
            report={
                "markers": [
                    {
                        "label": "paper",
                        "when": {"dropout": {"hidden": [0.1, 0.2]}, "model.norm": "none", "data.train_size": 5},
                        "value": 1,
                    }
                ]
            },
        )
    )
    assert study.design.family == ()
    assert study.design.headline == "declared"
    text = json.dumps(study_json(study), allow_nan=False)
    assert parse_study(json.loads(text)) == study


def test_paths_are_relative_to_the_study_file(tmp_path):
    """The path of the data is taken from the folder of the study, an absolute one stays."""
    study = parse_study(make(data={"name": "arrays", "path": "data/a.npz", "x": "signals"}), tmp_path)
    assert study.dataset_arguments() == {
        "name": "arrays",
        "folder": None,
        "path": tmp_path / "data" / "a.npz",
        "x": "signals",
        "y": "y",
    }
    absolute = parse_study(make(data={"name": "mnist", "folder": str(tmp_path)}), Path("elsewhere"))
    assert absolute.dataset_arguments() == {"name": "mnist", "folder": tmp_path, "path": None}


def test_tuning_seeds_are_apart():
    """Seeds of tuning are never among those that are reported, wherever the study grows."""
    tune = {"optimizer.learning_rate": [0.1, 0.2]}
    small, large = (parse_study(make(tune=tune, seeds={"count": n})) for n in (2, 200))
    assert small.tune.seeds == large.tune.seeds
    assert len(small.tune.seeds) == 5
    assert not set(large.tune.seeds) & set(large.seeds.numbers)


def write(tmp_path: Path, text: str | bytes) -> Path:
    """Return the path of a study file with this content."""
    path = tmp_path / "study.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a = 1\nb = = 2\n", "line 2"),
        (b"a = 1\na = 2\n", "no TOML"),
        (b"a = 1\nb = '\xff'\n", "no UTF-8 in line 2"),
        (b"#" * 1_000_001, "at most 1 MB"),
        (b"a = " + b"[" * 5000, "TOML"),
        (b"a = " + b"1" * 5000, "TOML"),
    ],
)
def test_files_that_are_no_study(tmp_path, content, words):
    """A file that is no TOML text of reasonable size gives an error that names the file and the line."""
    path = write(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    assert "study.toml" in str(caught.value)
    assert words in str(caught.value) or "deep nesting" in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    """A missing file, a folder and an impossible name give a ConfigError."""
    for path in (tmp_path / "none.toml", tmp_path, "a\0b", "x" * 5000):
        with pytest.raises(ConfigError):
            load_study(path)
    with pytest.raises(ConfigError, match="no such file"):
        load_study(tmp_path / "none.toml")


def test_overrides_come_last(tmp_path):
    """An override beats the file, in whichever way the file writes the path."""
    quick = next(path for path in CONFIGS if path.stem == "quickstart")
    overrides = [
        "training.epochs=10",
        'factors."dropout.hidden"=[0.0, 0.2]',
        "factors.l2.strength = [0.0, 0.1]",
        "primary.metric=test.nll",
        "optimizer.schedule.name = 'cosine'",
    ]
    study = load_study(quick, overrides)
    assert study.training.epochs == 10
    assert list(study.factors) == ["dropout.hidden", "l2.strength", "model.norm"]
    assert study.factors["dropout.hidden"] == (0.0, 0.2)
    assert study.factors["l2.strength"] == (0.0, 0.1)
    assert study.primary.metric == "test.nll"
    assert study.optimizer["schedule"]["name"] == "cosine"
    text = quick.read_text().replace('"dropout.hidden" =', "dropout.hidden =")
    nested = load_study(write(tmp_path, text), ['factors."dropout.hidden"=[0.0, 0.2]'])
    assert nested.factors["dropout.hidden"] == (0.0, 0.2)


def test_overrides_of_a_mapping_leave_it_alone():
    """A mapping takes overrides as a file does, and is not changed by them."""
    mapping = make(factors={"dropout": {"hidden": [0, 0.5]}})
    before = copy.deepcopy(mapping)
    study = parse_study(mapping, overrides=['factors."dropout.hidden"=[0, 0.25]', "training.epochs=7"])
    assert study.factors == {"dropout.hidden": (0.0, 0.25)}
    assert study.training.epochs == 7
    assert mapping == before


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        (3, 'fixed."l2.strength": got a value at fixed, expected a table there'),
        ({"l1": {"strength": 1}, "l1.strength": 2}, 'fixed."l1.strength": got the path twice'),
    ],
)
def test_overrides_of_paths_in_no_table(fixed, words):
    """A path cannot be set in what is no table of paths, and what is wrong there is told first."""
    with pytest.raises(ConfigError) as caught:
        parse_study(make(fixed=fixed), overrides=["fixed.l2.strength=0.3"])
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("override", ["training.epochs", "=3", "a b=3", "question.x=3", "training.epochs=three", ""])
def test_overrides_that_are_none(override):
    """A malformed override, or one whose value does not fit, is a ConfigError."""
    with pytest.raises(ConfigError):
        load_study(CONFIGS[0], [override])


def test_an_override_sets_one_key_only():
    """A value with a line break cannot smuggle in another key."""
    mapping: dict[str, Any] = {}
    apply_override(mapping, "question=1\nprimary = 2")
    assert mapping == {"question": "1\nprimary = 2"}


def test_steps_are_resolved():
    """Epochs become updates by the batches of an epoch."""
    study = parse_study(make(training={"evaluate_every": {"epochs": 2}, "save_every": {"epochs": 4}}))
    steps = resolve_steps(study.training, 15)
    assert tuple(steps) == (60, 15, 30, 60)
    training = parse_study(make(training={"epochs": None, "steps": 40, "evaluate_every": {"steps": 8}})).training
    assert tuple(resolve_steps(training, 7)) == (40, 7, 8, None)


def test_the_end_must_be_an_evaluation():
    """Where evaluations miss the end the message proposes the nearest smaller distance that fits."""
    training = parse_study(make(training={"epochs": None, "steps": 40})).training
    with pytest.raises(ConfigError, match=r"got 7 steps, expected a divisor of the 40 steps.*steps = 5 }"):
        resolve_steps(training, 7)
    with pytest.raises(ConfigError, match="more than there are training examples"):
        resolve_steps(training, 0)
    training = parse_study(make(training={"save_every": {"steps": 10}})).training
    with pytest.raises(ConfigError, match="a multiple of evaluate_every, 7 steps"):
        resolve_steps(training, 7)


def test_more_updates_than_a_counter_holds_are_refused():
    """Epochs that an int32 counter holds may be more updates than it does."""
    training = parse_study(make(training={"epochs": 2**31 - 1})).training
    with pytest.raises(ConfigError, match=r"training: got 4294967294 steps, expected at most 2147483647 steps"):
        resolve_steps(training, 2)


def test_states_are_resolved():
    """A state in epochs becomes a step with a label; one beyond the end or between evaluations is refused."""
    assert resolve_at("best", 15, 60, 30) == {"kind": "best"}
    assert resolve_at({"epoch": 2}, 15, 60, 30) == {"kind": "step", "step": 30, "label": "epoch 2"}
    assert resolve_at({"step": 60}, 15, 60, 30) == {"kind": "step", "step": 60, "label": "step 60"}
    with pytest.raises(ConfigError, match="ends at step 60"):
        resolve_at({"epoch": 5}, 15, 60, 30)
    with pytest.raises(ConfigError, match="every 30 steps; the nearest is step 30"):
        resolve_at({"epoch": 1}, 15, 60, 30)


def test_problems_escape_what_they_repeat():
    """A message repeats names from the file without raw control characters and in bounded length."""
    (line,) = problems_of({**BASE, "x\u202e" + "y" * 5000: 1})
    assert line.isprintable()
    assert len(line) < 400


def test_the_grid_is_in_the_order_of_the_file():
    """Factors keep the order of the file, the last one changes fastest."""
    study = parse_study(make(factors={"l2.strength": [0, 1], "dropout.hidden": [0, 0.5]}))
    assert [cell.name for cell in make_cells(study)][:2] == [
        "l2.strength=0, dropout.hidden=0",
        "l2.strength=0, dropout.hidden=0.5",
    ]
