"""The table [data]: names, the keys that each data set knows, and the defaults that it fills in."""

import json

import pytest
from test_config import make, problems_of

from regjax.config import parse_study, study_json
from regjax.config.datasets import DATASETS, KEYS, OFFICIAL, SYNTHETIC, WHOLE
from regjax.data import DATASETS as KNOWN
from regjax.data.official import OFFICIAL as KNOWN_OFFICIAL

HALVES = {"train": 0.5, "validation": 0.25, "test": 0.25}


def test_config_and_data_know_the_same_sets():
    """The names that a study may use are those that can be loaded, with the same official ones."""
    assert {*DATASETS, "tfds:NAME"} == set(KNOWN)
    assert set(OFFICIAL) == set(KNOWN_OFFICIAL)


@pytest.mark.parametrize("name", [*DATASETS, "tfds:iris", "tfds:emnist/letters:3.1.0"])
def test_every_name_is_accepted(name):
    """Every data set makes a study that survives a round trip, with its defaults written out."""
    study = parse_study(make(data={"name": name, "path": "a.npz" if name == "arrays" else None, "split": None}))

    assert parse_study(json.loads(json.dumps(study_json(study)))) == study
    assert (study.data.split is not None) == (name in WHOLE)
    assert (study.data.validation is not None) == (name in OFFICIAL)
    expected = {
        "breast_cancer": "standard",
        "wine": "standard",
        "diabetes": "standard",
        **dict.fromkeys(SYNTHETIC, "none"),
    }
    assert study.data.scale == expected.get(name, "unit")
    assert study.data.settings == SYNTHETIC.get(name, {})
    arguments = study.dataset_arguments()
    assert arguments.items() >= {"name": name, **SYNTHETIC.get(name, {})}.items()


def test_what_is_given_stays():
    """Given settings, scales and splits of a synthetic set take the place of the defaults, and reach the loader."""
    data = {"name": "teacher", "num_classes": 0, "noise": 1, "seed": 7, "scale": "standard", "split": HALVES}
    study = parse_study(make(data=data))

    assert study.data.scale == "standard"
    assert study.data.split.train == 0.5
    assert study.dataset_arguments() == {
        "name": "teacher", "folder": None, "path": None, **SYNTHETIC["teacher"], "num_classes": 0, "noise": 1.0,
        "seed": 7,
    }  # fmt: skip


def test_own_data_may_be_split_and_scaled():
    """A set from Python may be divided either way, cut and scaled, as its rows are not known here."""
    for parts in ({"split": HALVES}, {"validation": {"count": 5}, "split": None}):
        study = parse_study(make(data={"name": "custom", "train_size": 9, "scale": "standard", **parts}))
        assert study.dataset_arguments() == {"name": "custom", "folder": None, "path": None}


def test_features_of_a_prepared_set():
    """The features and the folder of any prepared set reach the loader."""
    data = {"name": "tfds:diamonds", "x": "features", "y": "price", "folder": "prepared", "split": None}
    found = parse_study(make(data=data)).dataset_arguments()

    assert (found["x"], found["y"], str(found["folder"])) == ("features", "price", "prepared")


REFUSED = [
    ({"name": "digits", "num_examples": 5}, "data.num_examples: got 5, expected only keys of digits: split, "),
    ({"name": "digits", "num_informative": 5}, "num_informative belongs to sparse_linear"),
    ({"name": "logistic", "noise": 0.1}, "only keys of logistic: num_examples, num_features, signal, seed, split"),
    ({"name": "sparse_linear", "num_informativ": 5}, 'unknown key "num_informativ"; did you mean "num_informative"?'),
    ({"name": "sparse_linear", "num_informative": 500}, "num_informative = 500 of num_features = 100"),
    ({"name": "sparse_linear", "num_features": 5}, "num_informative = 10 of num_features = 5"),
    ({"name": "sparse_linear", "noise": -0.1}, "data.noise: got -0.1, expected a number >= 0"),
    ({"name": "sparse_linear", "num_examples": 1}, "data.num_examples: got 1, expected an integer >= 2"),
    ({"name": "sparse_linear", "num_examples": 2.0}, "data.num_examples: got 2.0, expected an integer >= 2"),
    ({"name": "sparse_linear", "seed": -1}, "data.seed: got -1, expected an integer >= 0"),
    ({"name": "ridge_linear", "correlation": 1.0}, "data.correlation: got 1.0, expected a number in [0, 1)"),
    ({"name": "teacher", "num_classes": 1}, "got num_classes = 1, expected num_classes of at least 2, or 0"),
    ({"name": "logistic", "signal": 0.0}, "data.signal: got 0.0, expected a number > 0"),
    ({"name": "wine", "validation": {"count": 5}, "split": None}, "wine has no official test part"),
    ({"name": "teacher", "validation": {"count": 5}, "split": None}, "teacher has no official test part"),
    ({"name": "custom", "path": "a.npz"}, "data.path: got \"a.npz\", expected only keys of custom: validation, split"),
    ({"name": "cifar10", "x": "image"}, "x belongs to arrays, tfds:<name>"),
    ({"name": "tfds:iris", "path": "a"}, "only keys of tfds:iris: folder, x, y, validation"),
    ({"name": "cifar"}, 'did you mean "cifar10"?'),
    ({"name": "emnist"}, 'data.name: got "emnist", expected "digits"'),
    ({"name": "tfd:iris"}, 'or "tfds:<name>"'),
    ({"name": "tfds:" + "a" * 300}, 'or "tfds:<name>"'),
]  # fmt: skip


@pytest.mark.parametrize(("data", "words"), REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_refusals(data, words):
    """A key that a data set does not know, or a value out of range, is one problem with its path and a hint."""
    lines = problems_of(make(data=data))
    assert len(lines) == 1
    assert words in lines[0]


def test_every_key_belongs_to_a_data_set():
    """Keys of some data sets only are listed for sets that exist."""
    assert set(KEYS) <= {*DATASETS, "tfds:<name>"}
