"""Declared contrasts of best levels: from the study file to the report."""

import pytest
from studies import tiny

from regjax import ConfigError, cli, load_results, load_study, run
from regjax.config import parse_study
from regjax.config.study import LevelContrast, study_json
from regjax.data import load_dataset
from regjax.design import make_level_contrasts
from regjax.plan import make_plan
from regjax.preview import describe_levels, level_lines

TREND = {"name": "moves", "of": "best_level(l2.strength)", "by": "data.train_size", "test": "trend"}
EFFECT = {"name": "helps", "of": "best_level(l2.strength)", "test": "effect"}


def dose(*contrasts, **changes):
    """Return a small study of three strengths at two training sizes, with these contrasts."""
    factors = {"l2.strength": [0.0, 0.01, 0.1], "data.train_size": [32, 96]}
    small = {"training": {"steps": 4, "batch_size": 16, "evaluate_every": {"steps": 2}}, "seeds__count": 6}
    design = {"kind": "full_factorial", "strata": ["data.train_size"]}
    return tiny(**{"factors": factors, "design": design, "contrasts": list(contrasts), **small, **changes})


def problems(mapping):
    """Return the problems of a study as texts."""
    with pytest.raises(ConfigError) as caught:
        parse_study(mapping)
    return [str(problem) for problem in caught.value.problems]


def test_a_study_declares_best_levels_and_reads_itself_again():
    """The contrasts are the confirmatory family, in their order, and JSON of the study gives the same study."""
    study = parse_study(dose(TREND, {**EFFECT, "choose_on": "validation.nll"}, seeds__count=7))

    assert study.contrasts == (
        LevelContrast("moves", "best_level(l2.strength)", "trend", "data.train_size", "validation"),
        LevelContrast("helps", "best_level(l2.strength)", "effect", None, "validation.nll"),
    )
    assert study.design.family == ()
    assert parse_study(study_json(study)) == study


def test_the_plan_holds_the_metric_that_chooses():
    """ "validation" is the validation counterpart of the primary metric; a metric that is named is taken as it is."""
    study = parse_study(dose(TREND, {**EFFECT, "choose_on": "validation.nll"}, seeds__count=7))
    made = make_level_contrasts(study)

    assert [one["choose_on"] for one in made] == ["validation.accuracy", "validation.nll"]
    assert [one["tests"] for one in made] == [["moves"], ["helps"]]


def test_all_mistakes_are_told_at_once():
    """Each wrong key of each contrast is one problem, with what was expected."""
    wrong = [
        {**TREND, "of": "best(l2.strength)", "test": "slope", "against": {}},
        {**TREND, "name": " ", "by": 3},
        {key: value for key, value in TREND.items() if key != "name"},
    ]
    text = "\n".join(problems(dose(*wrong)))

    for place in ("[0].of", "[0].test", "[0].against", "[1].name", "[1].by", "[2].name"):
        assert f"contrasts{place}: " in text
    assert '"best_level(<factor>)"' in text


@pytest.mark.parametrize(
    ("contrast", "changes", "expected"),
    [
        ({"of": "best_level(l2.strenght)"}, {}, 'did you mean "l2.strength"?'),
        ({"of": "best_level(data.train_size)", "by": "data.train_size"}, {}, "3 or more levels that are all numbers"),
        ({"by": None}, {}, "a stratum with two or more levels"),
        ({}, {"design": {"kind": "full_factorial"}}, "name it in design.strata too"),
        ({"by": "l2.strength"}, {}, "one of design.strata: data.train_size"),
        (
            {"by": "max_norm.bound"},
            {
                "factors": {"l2.strength": [0.0, 0.1, 0.2], "max_norm.bound": ["off", 1]},
                "design__strata": ["max_norm.bound"],
            },
            'contrasts[0].by: got "max_norm.bound" = [off, 1], expected levels that are finite numbers',
        ),
        (
            {"by": None, "test": "effect"},
            {"factors": {"l2.strength": {"range": [0.0, 0.1]}}, "design": {"kind": "random", "points": 4}},
            "contrasts of the best level of a random design, expected a design with levels; cells drawn from ranges",
        ),
        ({"choose_on": "test.nll"}, {}, "test examples judge the level that is chosen"),
        ({"choose_on": "validation.mse"}, {"task__name": "classification"}, "validation.accuracy"),
        ({}, {"primary__metric": "weight_norm"}, "of which there is no weight_norm"),
        ({}, {"seeds__count": 5}, "at least 6 for contrasts of best levels"),
        ({"test": "effect"}, {}, "at least 7 for contrasts of best levels"),
        ({}, {"seeds": {"pilot": 6, "max": 9, "halfwidth": 0.1}}, "the two-stage intervals are of weighted sums"),
        ({}, {"design__family": ["simple"]}, "one or the other in a study"),
    ],
)
def test_what_cannot_be_answered_is_refused(contrast, changes, expected):
    """Factors, strata, metrics and seeds that leave the question without an answer are named with what to do."""
    asked = {key: value for key, value in {**TREND, **contrast}.items() if value is not None}

    assert expected in "\n".join(problems(dose(asked, **changes)))


def test_best_levels_and_weighted_sums_do_not_mix():
    """The two cannot be adjusted together, so that a study declares one or the other; names differ."""
    linear = {"name": "all", "of": {"l2.strength": 0.1}, "against": {"l2.strength": 0.0}}

    assert "one or the other in a study" in "\n".join(problems(dose(TREND, linear)))
    assert "a name that no other contrast has" in "\n".join(problems(dose(TREND, TREND)))


def test_designs_without_a_level_in_a_stratum_are_refused():
    """Where a level is left out of a stratum there is no best one to compare."""
    left_out = {"l2.strength": 0.1, "data.train_size": 32}
    design = {"kind": "full_factorial", "strata": ["data.train_size"], "exclude": [left_out]}

    assert "levels of l2.strength without a cell at data.train_size = 32" in "\n".join(
        problems(dose(TREND, design=design))
    )


def test_subsets_are_nested_and_drawn_by_the_split():
    """`data.subset` says what holds anyway; with fixed validation rows a seed's split is its training subset."""
    data = {"name": "fashion_mnist", "validation": {"count": 64, "take": "last"}, "subset": {"nested": True}}
    study = parse_study(dose(TREND, data=data, seeds__vary=["init", "order", "split"]))

    assert study.seeds.vary == ("init", "order", "subset")
    assert any("data.subset.nested" in text for text in problems(dose(TREND, data__subset={"nested": False})))
    without = {key: value for key, value in data.items() if key != "subset"}
    assert any('"split"' in text for text in problems(dose(TREND, data=without, seeds__vary=["init", "split"])))


def test_a_run_answers_what_was_declared(tmp_path, capsys):
    """From the plan over the run to effects, status, report, exports and the other commands."""
    study = dose(TREND, EFFECT, seeds__count=7)
    plan = make_plan(parse_study(study), load_dataset("digits"))
    text = level_lines(describe_levels(plan.study))[0]
    assert "2 confirmatory tests of best levels, each at 0.05 / 2; smallest adjusted p these seeds allow: 0.031" in text

    results = run(study, tmp_path / "out")
    effects = results.effects().set_index("contrast")
    assert [one["kind"] for one in results.plan["level_contrasts"]] == ["trend", "best_level"]
    assert effects["confirmatory"].sum() == 2
    assert effects.loc[["moves", "helps"], ["effect", "low", "high", "p"]].notna().all(axis=None)
    assert not results.interactions().size
    assert not len(results.power(0.01))
    assert "moves" not in results.effects(metric="test.nll")["contrast"].tolist()

    page = (tmp_path / "out" / "report.html").read_text()
    assert 'id="levels"' in page
    assert "slope of log10(l2.strength)" in page
    assert '"moves","trend","slope of log10(l2.strength)' in (tmp_path / "out" / "effects.csv").read_text()
    for command in (
        ["status"],
        ["power", "--effect", "0.01"],
        ["export", "--to", "latex", "--path", str(tmp_path / "e.tex")],
    ):
        assert cli.main([command[0], str(tmp_path / "out"), *command[1:]]) == 0
    assert "* moves: " in capsys.readouterr().out
    assert load_results(tmp_path / "out").summary().count("* helps: ") == 1


def test_the_dose_study_of_the_configs_is_valid(pytestconfig):
    """The study file of the repository declares a trend over training sizes."""
    study = load_study(pytestconfig.rootpath / "configs" / "dose_l2_train_size.toml")

    assert [contrast.test for contrast in study.contrasts] == ["trend"]
