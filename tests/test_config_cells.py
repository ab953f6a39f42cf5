"""What a cell's settings are: defaults, tables, fixed values and levels put together."""

import pytest
from test_config import make

from regjax.config import ConfigError, parse_study, resolve_cell
from regjax.config.fields import part_fields
from regjax.design import make_cells
from regjax.models import MLP
from regjax.optimizers import Adam
from regjax.parts import part, setting
from regjax.regularizers import REGULARIZERS


def resolve(levels=None, **tables):
    """Return the settings of the baseline cell, or of these levels, of a study made from these tables."""
    study = parse_study(make(**tables))
    return resolve_cell(study, {**make_cells(study)[0].levels, **(levels or {})})


def test_a_cell_has_parts_and_plain_numbers():
    """A cell holds the model and optimizer as parts, the regularizers as numbers in order of application."""
    cell = resolve(
        model={"norm": "batch"},
        optimizer={"learning_rate": 1},
        fixed={
            "label_smoothing.strength": "off",
            "l2.strength": 1,
            "early_stopping.restore": False,
            "early_stopping.gl": 5,
        },
    )
    assert cell.model == MLP((8, 8), norm="batch")
    assert cell.optimizer == Adam(learning_rate=1.0)
    assert cell.decay_on == "matrices"
    assert cell.regularizers == {
        "label_smoothing": {"strength": 0.0},
        "dropout": {"hidden": 0.0, "input": 0.0},
        "l2": {"strength": 1.0},
    }
    assert list(cell.regularizers) == [name for name in REGULARIZERS if name in cell.regularizers]
    never = dict.fromkeys(("patience", "pq", "up"), float("inf"))
    assert cell.observers == {"early_stopping": {**never, "gl": 5.0, "strip": 5.0, "min_delta": 0.0, "restore": 0.0}}
    assert type(cell.observers["early_stopping"]["restore"]) is float
    assert cell.data["split"] == {"train": 0.6, "validation": 0.2, "test": 0.2}
    assert cell.data["validation"] is None


def test_settings_are_factors_too():
    """Fixed values beat the tables, levels beat fixed values, at every path that a study may vary."""
    cell = resolve(
        {"optimizer.schedule.name": "cosine", "data.train_size": 70, "training.batch_size": 16, "model.norm": "batch"},
        fixed={"model.norm": "none", "model.decay_on": "all", "optimizer.b1": 0, "training.batch_size": 8},
    )
    assert cell.optimizer.schedule.name == "cosine"
    assert cell.optimizer.b1 == 0.0
    assert cell.model.norm == "batch"
    assert cell.decay_on == "all"
    assert cell.data["train_size"] == 70
    assert cell.training.batch_size == 16
    assert cell.training.epochs == 4


def test_resolving_leaves_the_study_alone():
    """The levels of one cell do not leak into the next."""
    study = parse_study(make(factors={"optimizer.schedule.name": ["constant", "cosine"]}))
    assert resolve_cell(study, make_cells(study)[1].levels).optimizer.schedule.name == "cosine"
    assert study.optimizer["schedule"]["name"] == "constant"


def test_rates_per_layer_have_one_shape():
    """Where one level gives a rate per layer every cell has a tuple, so that all cells fit one program."""
    study = parse_study(make(factors={"dropout.hidden": [0, [0.1, 0.2]], "l2.strength": [0, 1]}))
    rates = [resolve_cell(study, cell.levels).regularizers["dropout"]["hidden"] for cell in make_cells(study)]
    assert rates == [(0.0, 0.0), (0.0, 0.0), (0.1, 0.2), (0.1, 0.2)]


def test_tuned_hypers_are_regularizers_of_the_study():
    """A regularizer that is only tuned is there in every cell."""
    assert resolve({"l1.strength": 0.5}, tune={"l1.strength": [0.1, 0.5]}).regularizers["l1"] == {"strength": 0.5}


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"factors": {"optimizer.schedule.name": ["constant", "step"]}}, "optimizer.schedule.every: got 0"),
        ({"factors": {"model.widths": [[8], [8, 8]], "dropout.hidden": [0, [0.1, 0.2]]}}, "expected 1, one per hidden"),
        ({"factors": {"optimizer.nesterov": [False, True]}, "optimizer": {"name": "sgd"}}, "optimizer.momentum: got 0"),
    ],
)
def test_every_cell_is_checked_at_load(tables, words):
    """Levels that do not fit together in one cell are found before anything runs."""
    with pytest.raises(ConfigError, match=words):
        parse_study(make(**tables))


def test_a_problem_of_many_cells_is_reported_once():
    """What is wrong in several cells for the same reason is one problem."""
    with pytest.raises(ConfigError) as caught:
        parse_study(make(factors={"dropout.hidden": [0, [0.1]], "l2.strength": [0, 1, 2]}))
    assert [problem.path for problem in caught.value.problems] == ['factors."dropout.hidden"']


def test_a_new_part_needs_no_code_in_config():
    """The fields of a part class, and what they admit, are read off the class."""

    @part
    class Net:
        depth: int = setting(range="[1, 9]")
        slopes: tuple[float, ...] = setting(default=(0.1,), range="(0, 1)")
        bias: bool = True
        offset: float = 0.0

    fields = part_fields(Net)
    assert [field.expected for field in fields.values()] == [
        "an integer in [1, 9]",
        "a list, each item a number in (0, 1)",
        "true or false",
        "a number",
    ]
    assert fields["slopes"].check([0.5]) == (0.5,)

    @part
    class Odd:
        rows: dict[str, int]

    with pytest.raises(TypeError, match="cannot stand in a study file"):
        part_fields(Odd)
