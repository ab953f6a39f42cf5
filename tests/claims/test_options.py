"""Options of measures and mechanisms: what is wrong with them shows before anything is trained."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_origin

import pytest

from regjax.claims.measures import MEASURES
from regjax.claims.mechanisms import MECHANISMS
from regjax.claims.options import find_options, options_table

PLAN: dict[str, Any] = {
    "task": "classification",
    "factors": [
        {"path": "l2.strength", "levels": ["off", 0.1, 1.0]},
        {"path": "dropout.hidden", "levels": [0.0, [0.2, 0.5]]},
    ],
}
FUNCTIONS: dict[str, Callable[..., Any]] = {name: one.make for name, one in MEASURES.items() if name != "planted"}
FUNCTIONS |= {name: function for name, function in MECHANISMS.items() if name != "planted"}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_parameter_of_a_measure_says_what_it_may_be(name: str) -> None:
    """What a claim file may give is annotated with what is expected, and the defaults are that."""
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    table = options_table(FUNCTIONS[name])
    given = {p for p in parameters if get_origin(parameters[p].annotation) is Annotated}
    defaults = {p: parameters[p].default for p in given if parameters[p].default is not inspect.Parameter.empty}

    assert parameters.keys() - given <= {"results", "kind"}
    assert set(table.model_fields) == given
    assert [p for p in find_options(FUNCTIONS[name], defaults, None) if p.got != "nothing"] == []


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("jacobian_norm", {"of": "output"}, 'options.of: got "output", expected "outputs" or "prob'),
        ("jacobian_norm", {"examples": 0}, "options.examples: got 0, expected an integer >= 1"),
        ("jacobian_norm", {"examples": 2.5}, "options.examples: got 2.5, expected an integer >= 1"),
        ("at_share", {"metric": "test.nll"}, "options.share: got nothing, expected a share of the planned updates"),
        ("at_share", {"metric": "test.nll", "share": 0.0}, "options.share: got 0.0, expected a share of the planned"),
        ("at_share", {"metric": "test.nl", "share": 1.0}, 'options.metric: unknown metric "test.nl"; did you'),
        ("excess", {"over": "courses"}, 'options.over: got "courses", expected "run", "course" or "end"; did you mean'),
        ("misleading", {"paired": 1}, "options.paired: got 1, expected true or false"),
        ("steps_to", {"target": "best"}, 'options.target: got "best", expected "own_best", "baseline_best" or'),
        ("steps_to", {"within": -0.1}, "options.within: got -0.1, expected a number >= 0"),
        ("gain", {"metric": "test.nll", "over": "l2"}, 'options.over: unknown factor "l2"'),
        ("gain", {"metric": "test.nll", "over": ["l2.strength", "l1"]}, 'options.over: unknown factor "l1"'),
        ("gain", {"metric": "test.nll", "over": "l2.strength", "reference": "off"}, 'expected "first" or "last"'),
        ("best_strength", {}, "options.over: got nothing, expected a factor of the study"),
        ("best_strength", {"over": "l2.strengh"}, 'did you mean "l2.strength"?'),
        ("unit_correlation", {"where": {"l2.strength": 0.2}}, 'got 0.2, expected of ["off", 0.1, 1.0]'),
        ("unit_correlation", {"where": {"l2.strength": [0.1, 2.0]}}, '."l2.strength": got [0.1, 2.0], exp'),
        ("unit_correlation", {"where": {"l1.strength": 0.1}}, 'options.where: unknown factor "l1.strength"'),
        ("accuracy_lost", {"damage": "unit", "amount": 0.5}, 'options.damage: got "unit", expected "units",'),
        ("accuracy_lost", {"damage": "units", "amount": -1}, "options.amount: got -1, expected a number >= 0"),
        ("over_borrowed", {"metric": "validation.nll", "like": {}}, "expected a metric of the test set"),
        ("over_borrowed", {"metric": "test.nll", "like": {"l2.strength": "on"}}, 'got "on", expected of'),
        ("log_seed_sd", {"at": "end"}, 'options.at: got "end", expected "best" or "last"'),
        ("bias_variance", {}, 'options.part: got nothing, expected "bias" or "variance"'),
        ("damaged_accuracy", {"severity": "high"}, 'options.severity: got "high", expected a number >= 0'),
        ("selection", {"threshold": 1.5}, "options.threshold: got 1.5, expected a number from 0 to 1"),
        ("covariate_shift", {"quantity": "turns"}, 'options.quantity: got "turns", expected "gradient_angle",'),
        ("update_cost", {"part": {}}, "options.part: got {  }, expected levels that switch it on"),
        ("gini", {"share": 1}, "options: got { share = 1 }, expected none"),
        ("mean_is_kept", {"rate": 1.0}, "options.rate: got 1.0, expected a number above 0 and below 1"),
        ("dropout_zeroes", {"kind": "dropout"}, 'options.kind: unknown key "kind" (options has: rate)'),
        ("batch_norm_moments", {}, 'options.of: got nothing, expected "norm", "next_layer" or "inference"'),
    ],
)  # fmt: skip
def test_a_wrong_option_says_what_is_expected(name: str, options: dict[str, Any], said: str) -> None:
    """One problem: its place, what was got, what was expected, the nearest name."""
    (problem,) = find_options(FUNCTIONS[name], options, PLAN)

    assert said in str(problem)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("unit_correlation", {"where": {"l2.strength": [0.1, "off"], "dropout.hidden": [0.2, 0.5]}}),
        ("unit_correlation", {"where": {"dropout.hidden": [0.0, [0.2, 0.5]]}}),
        ("over_borrowed", {"metric": "test.nll", "like": {"l2.strength": 0.1, "dropout.hidden": [0.2, 0.5]}}),
        ("steps_to", {"target": 1}),
        ("end_effect", {"metric": "weight_norm"}),
        ("gain", {"metric": "gap.accuracy", "over": ["l2.strength"]}),
    ],
)
def test_what_a_measure_can_take_is_admitted(name: str, options: dict[str, Any]) -> None:
    """Lists of levels, levels that are lists, integers for numbers, every metric of the records."""
    assert list(find_options(FUNCTIONS[name], options, PLAN)) == []
