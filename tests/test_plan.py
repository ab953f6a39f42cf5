"""Plans: identities, groups, kept states, and that no study that loads breaks the planner."""

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from studies import tiny
from test_config_fuzz import STUDIES, mutate, places

from regjax.codes import code_digest
from regjax.config import ConfigError, parse_study
from regjax.data.base import Dataset, make_dataset, make_parts
from regjax.design import count_cells
from regjax.models import MLP
from regjax.notices import find_notices
from regjax.plan import make_plan, make_tuning_plan
from regjax.planned import make_runs_table, plan_json
from regjax.regularizers import Dropout
from regjax.statements import strip_source
from regjax.store import canonical


def make_data(official: bool) -> Dataset:
    """Return 120 tiny images of three classes."""
    x = np.arange(120 * 4, dtype=np.uint8).reshape(120, 2, 2)
    y = (np.arange(120) % 3).astype(np.int32)
    return make_dataset("tiny", x, y, parts=make_parts(90, 30) if official else None)


DATA = {official: make_data(official) for official in (False, True)}
SPLIT = {"train": 60, "validation": 30, "test": 30}


def plan_of(**changes: Any):
    """Return the plan of a tiny study on tiny data."""
    return make_plan(parse_study(tiny(data__split=SPLIT, training__batch_size=20, **changes)), DATA[False])


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_mutated_studies_plan_or_are_config_errors(data: st.DataObject) -> None:
    """Any mutation of a valid study gives a plan that can be stored, or a ConfigError; never another exception."""
    study = copy.deepcopy(data.draw(st.sampled_from(STUDIES)))
    mutate(data, study)
    try:
        checked = parse_study(study)
        if count_cells(checked.design, checked.factors) * checked.seeds.count > 400:
            return
        dataset = DATA[checked.data.name in ("mnist", "fashion_mnist")]
        plan = make_plan(checked, dataset)
        if checked.tune is not None and len(plan.cells) * checked.tune.num_seeds < 100:
            make_tuning_plan(checked, dataset)
    except ConfigError:
        return
    canonical(plan_json(plan, dataset, {}))
    assert len(make_runs_table(plan)) == len(plan.cells) * checked.seeds.count


def test_the_studies_of_the_fuzz_test_reach_the_planner() -> None:
    """The fuzz test is not empty: a study of the corpus fits the tiny data and is planned whole."""
    study = tiny(data__split=SPLIT, training__batch_size=20)
    assert places(study)
    assert len(make_plan(parse_study(study), DATA[False]).runs) == 6


def test_identity_ignores_what_is_off() -> None:
    """A regularizer at its off value is no part of a run's identity, one that is on is (off equals absent)."""
    plain = {run.id for run in plan_of().runs}
    with_off = {run.id for run in plan_of(fixed={"l2.strength": 0.0, "max_norm.bound": "off"}).runs}
    with_on = {run.id for run in plan_of(fixed={"l2.strength": 0.1}).runs}

    assert plain == with_off
    assert not plain & with_on


def test_what_is_off_everywhere_is_not_compiled() -> None:
    """A regularizer that no cell switches on is left out of the recipe; one that any cell has is in all."""
    (group,) = plan_of(fixed={"l2.strength": 0.0}).groups
    assert [type(part).__name__ for part in group.runs[0].recipe.regularizers] == ["Dropout"]


def test_static_factors_make_groups_and_traced_ones_do_not() -> None:
    """Groups come from the recipes' structure: norms, batch sizes and training sizes split, hypers do not (I5)."""
    counts = {
        "model.norm": (["none", "batch"], 2),
        "model.activation": (["relu", "tanh", "elu"], 3),
        "training.batch_size": ([10, 20], 2),
        "data.train_size": ([20, 40, 60], 3),
        "l2.strength": ([0.0, 0.1, 1.0], 1),
        "early_stopping.patience": (["off", 2, 5], 1),
        "optimizer.learning_rate": ([0.1, 0.01], 1),
    }
    for path, (levels, expected) in counts.items():
        assert len(plan_of(factors={path: levels}).groups) == expected, path


def test_seeds_come_before_cells_in_a_group() -> None:
    """All cells of a seed stand before the next seed, so that an unfinished study has whole seeds."""
    (group,) = plan_of().groups
    assert [(run.seed, run.cell) for run in group.runs] == [(s, c) for s in range(3) for c in range(2)]


def test_epochs_of_different_length_cannot_be_one_state() -> None:
    """With training sizes as a factor a state by epoch is refused, and one by step is not."""
    sizes = {"data.train_size": [20, 60]}
    with pytest.raises(ConfigError, match=r"primary\.at"):
        plan_of(factors=sizes, primary__at={"epoch": 2})
    steps = {"steps": 6, "batch_size": 20, "evaluate_every": {"steps": 3}}
    study = parse_study({**tiny(data__split=SPLIT, factors=sizes, primary__at={"step": 3}), "training": steps})
    assert make_plan(study, DATA[False]).primary["at"]["step"] == 3


def test_a_state_between_two_evaluations_is_refused_once_the_data_is_known() -> None:
    """An epoch of three updates is no evaluation where they lie every two steps; the nearest ones are named."""
    study = {"training": {"steps": 12, "batch_size": 20, "evaluate_every": {"steps": 2}}}
    with pytest.raises(ConfigError) as caught:
        make_plan(
            parse_study(
                tiny(data__split=SPLIT, **study, primary__at={"epoch": 1}, primary__also_at=[{"epoch": 9}, "last"])
            ),
            DATA[False],
        )
    first, second = caught.value.problems
    assert (first.path, first.expected) == ("primary.at", "an evaluation; they lie every 2 steps")
    assert first.hint == "the nearest is step 4"
    assert (second.path, second.expected) == ("primary.also_at[0]", "a state of the training, which ends at step 12")


def test_rows_that_the_data_has_not_are_a_config_error() -> None:
    """Asking for more rows than there are names the data table and the rows available."""
    study = parse_study(tiny(data__split={"train": 500, "validation": 30, "test": 30}))
    with pytest.raises(ConfigError, match=r"data.*120"):
        make_plan(study, DATA[False])


def test_a_subset_larger_than_its_part_is_told_once() -> None:
    """data.train_size above the training rows is a problem of that path, said in one piece."""
    with pytest.raises(ConfigError) as caught:
        plan_of(data__train_size=61)
    assert str(caught.value).startswith("data.train_size: got 61, expected an integer from 1 to 60")


@pytest.mark.parametrize(
    ("model", "path", "lack"),
    [
        ({"name": "mlp", "widths": [4]}, "spatial_dropout.rate", "a network without convolutional layers"),
        ({"name": "linear"}, "activation_l1.strength", "a network without hidden layers"),
        ({"name": "linear"}, "kl_sparsity.strength", "a network without hidden layers"),
        ({"name": "mlp", "widths": [4]}, "stochastic_depth.rate", "a network without residual branches"),
    ],
)
def test_what_the_network_has_no_place_for_is_refused(model: dict[str, Any], path: str, lack: str) -> None:
    """A regularizer that the network has no place for would be compared to itself: refused with what is lacking."""
    with pytest.raises(ConfigError, match=f"{path.split('.')[0]}: got {lack}"):
        plan_of(model=model, factors={path: [0.0, 0.3]})


def test_a_network_with_more_weights_than_can_be_counted_is_refused() -> None:
    """Beyond 2^31 - 1 weights, if in one cell only, a plan is refused with their number; fewer are planned."""
    for widths in ([50_000, 50_000], [2**31 - 1, 2**31 - 1]):
        with pytest.raises(ConfigError, match=r"model: got a network of \d+ weights, expected at most 2147483647"):
            plan_of(factors={"model.widths": [[8], widths]})
    assert plan_of(model__widths=[46_000, 46_000]).runs


def test_spatial_dropout_is_for_networks_with_maps() -> None:
    """A convolutional network has what spatial dropout acts on."""
    plan = plan_of(model={"name": "cnn", "channels": [2], "pool": [1]}, factors={"spatial_dropout.rate": [0.0, 0.3]})
    assert len(plan.groups) == 1


def test_the_plan_says_what_is_drawn() -> None:
    """The stored plan names the streams beyond dropout's that the study's regularizers draw from."""
    factors = {"mixup.alpha": [0.0, 1.0], "label_noise.rate": [0.0, 0.1]}
    plan = plan_of(factors=factors, seeds__vary=["init", "labels"])
    assert plan_json(plan, DATA[False], {})["drawn"] == ["augment", "labels"]


def test_moments_follow_what_is_kept() -> None:
    """States kept beside the live one: for `keep`, for predictions, and the best where a restored end needs it."""
    patience = {"early_stopping.patience": ["off", 2]}

    def moments(**changes: Any) -> tuple:
        return plan_of(**changes).runs[0].recipe.moments

    assert moments() == ("best",)
    assert moments(training__keep="none") == ()
    assert moments(training__keep="last") == (12,)
    assert moments(training__keep="last", factors=patience) == (12, "best")
    assert moments(training__keep="none", primary__at={"epoch": 2}, measure={"predictions": "test"}) == (6,)
    own_tests = moments(training__keep="none", primary__at={"epoch": 2})
    assert own_tests == ()
    one_test_set = {"seeds__vary": ["init"], "training__keep": "none", "primary__at": {"epoch": 2}}
    assert moments(**one_test_set) == (6,)
    assert moments(**one_test_set, measure={"predictions": "none"}) == ()


def test_code_counts_and_comments_do_not() -> None:
    """The code digest covers the parts a run uses, and is the same for the same modules."""
    assert code_digest((MLP,)) == code_digest((MLP,))
    assert code_digest((MLP,)) != code_digest((MLP, Dropout))
    assert strip_source('"""Doc."""\nx = 1  # why\n') == strip_source("x = 1")
    assert strip_source("x = 1") != strip_source("x = 2")


def test_patterns_that_match_nothing_are_refused() -> None:
    """A pattern in `model.decay_on` that names no parameter is an error that lists the parameters."""
    with pytest.raises(ConfigError, match=r"model\.decay_on.*nope.*hidden_0/kernel"):
        plan_of(model__decay_on=["nope/*"])
    assert plan_of(model__decay_on=["hidden_0/*"]).runs


def test_the_input_scale_is_part_of_the_identity() -> None:
    """Equal arrays with another peak are other inputs, and so other runs."""
    study = parse_study(tiny(data__split=SPLIT, training__batch_size=20))
    other = DATA[False]._replace(peak=16.0)
    assert not {r.id for r in make_plan(study, DATA[False]).runs} & {r.id for r in make_plan(study, other).runs}


def test_a_warm_up_longer_than_the_training_is_refused() -> None:
    """A warm-up that never ends would leave the learning rate far below the study's."""
    with pytest.raises(ConfigError, match=r"warmup_steps: got 12, expected less than the 12 updates"):
        plan_of(optimizer__schedule={"name": "cosine", "warmup_steps": 12})


def test_a_margin_in_percentage_points_is_refused() -> None:
    """An accuracy's margin of 0.5 means 50 points; the error says how half a point is written."""
    with pytest.raises(ConfigError, match=r"half a percentage point is 0\.005"):
        plan_of(primary__margin=0.5)


def test_what_the_data_says_of_itself_is_a_notice() -> None:
    """A note of the data set is told before the training, under its name."""
    note = "no official test part: train is split at random"
    assert f"tiny: {note}" not in find_notices(plan_of(), DATA[False])
    assert f"tiny: {note}" in find_notices(plan_of(), DATA[False]._replace(note=note))
