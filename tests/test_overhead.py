"""What parts cost: the programs that are compared, the order of the calls, and the command."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest
from studies import tiny

from regjax import cli, overhead, runtime, store
from regjax.analysis.overhead import FEWEST_ROUNDS, read_costs
from regjax.commands import COMMANDS
from regjax.conductor import find_dataset, read_study, save_waves
from regjax.overhead import Variant, choose_updates, compiled_anew, find_variants, structure, take_rounds
from regjax.plan import make_plan
from regjax.report.extras import make_extras
from regjax.results import load_results


def variants_of(**factors: Any) -> tuple[Variant, dict[str, Variant], dict[str, str]]:
    """Return the program with none, {factor: program with it} and what is not timed, of the tiny study with these."""
    study = read_study(tiny(factors={name.replace("__", "."): levels for name, levels in factors.items()}))
    none, variants, same = find_variants(study, find_dataset(study, None))
    return none, {variant.factor: variant for variant in variants}, same


def test_programs_differ_in_one_part_alone() -> None:
    """Without its part a recipe is that of the program with none; all together have every part."""
    none, found, _ = variants_of(
        dropout__hidden=[0.0, 0.5], l2__strength=[0.0, 1e-3], ema__decay=[0.0, 0.9], model__norm=["none", "batch"]
    )
    bare = none.group.runs[0].recipe
    recipes = {factor: variant.group.runs[0].recipe for factor, variant in found.items()}
    parts = {factor: [type(part).__name__ for part in recipe.regularizers] for factor, recipe in recipes.items()}

    assert bare.regularizers == ()
    assert parts == {"dropout.hidden": ["Dropout"], "l2.strength": ["L2"], "ema.decay": [], "model.norm": [],
                     "": ["Dropout", "L2"]}  # fmt: skip
    for factor in ("dropout.hidden", "l2.strength"):
        assert dataclasses.replace(recipes[factor], regularizers=()) == bare
    assert dataclasses.replace(recipes["ema.decay"], observer=bare.observer) == bare
    assert recipes["ema.decay"].observer.ema is not None
    assert dataclasses.replace(recipes["model.norm"], model=bare.model) == bare
    both = dataclasses.replace(bare, model=recipes["model.norm"].model, observer=recipes["ema.decay"].observer)
    assert dataclasses.replace(recipes[""], regularizers=()) == both


def test_runs_data_and_course_are_those_of_the_program_without() -> None:
    """Both programs train the same seeds on equally many examples for as long."""
    none, found, _ = variants_of(dropout__hidden=[0.0, 0.5])
    one = found["dropout.hidden"].group

    assert (one.counts, one.steps) == (none.group.counts, none.group.steps)
    assert [run.streams for run in one.runs] == [run.streams for run in none.group.runs]


def test_a_factor_without_off_level_is_compared_with_its_off_value() -> None:
    """Rates that are all on have none beside them; bounds are off at infinity, wherever it stands among the levels."""
    none, found, _ = variants_of(dropout__hidden=[0.2, 0.5], max_norm__bound=[2.0, "off"])

    assert none.group.runs[0].recipe.regularizers == ()
    assert none.study.fixed == {"dropout.hidden": 0.0, "max_norm.bound": float("inf")}
    assert (found["dropout.hidden"].level, found["max_norm.bound"].level) == (0.5, 2.0)
    assert found["max_norm.bound"].against == float("inf")


def test_parts_that_cannot_be_on_together_are_timed_alone() -> None:
    """Where a level fits one network only, all on is no study; each part is timed, and why all are not is said."""
    factors = {"dropout.hidden": [0.0, [0.3]], "model.widths": [[16], [16, 16]]}
    study = read_study(tiny(factors=factors, design={"kind": "one_at_a_time"}))
    _, variants, same = find_variants(study, find_dataset(study, None))

    assert [variant.factor for variant in variants] == ["dropout.hidden", "model.widths"]
    assert list(same) == ["all on"]
    assert "dropout.hidden" in same["all on"]


def test_levels_of_one_program_are_timed_once() -> None:
    """Traced levels share a program, static ones have their own; what has no other program is named."""
    study = read_study(
        tiny(factors={"l1.strength": [0.0, 0.1, 0.2], "model.norm": ["none", "batch", "layer"],
                      "optimizer.learning_rate": [0.003, 0.01], "early_stopping.patience": ["off", 2]})
    )  # fmt: skip
    none, variants, same = find_variants(study, find_dataset(study, None))

    assert [(variant.factor, variant.level) for variant in variants] == [
        ("l1.strength", 0.2), ("model.norm", "batch"), ("model.norm", "layer"), ("", None)
    ]  # fmt: skip
    assert len({structure(variant) for variant in (none, *variants)}) == 5
    assert set(same) == {"optimizer.learning_rate", "early_stopping.patience"}


def test_programs_are_timed_in_turns() -> None:
    """A round is with, without, without, with; each turn an evaluation alone, then one after updates."""
    calls = []

    def timer(name: str) -> Callable[[int], float]:
        def call(updates: int) -> float:
            calls.append((name, updates))
            return float(len(calls))

        return call

    seconds = take_rounds(timer("with"), timer("without"), updates=7, rounds=2)

    assert calls == [(name, updates) for name in ("with", "without", "without", "with") for updates in (0, 7)] * 2
    assert seconds.shape == (2, 2, 2, 2)
    assert seconds[0].tolist() == [[[1, 2], [3, 4]], [[7, 8], [5, 6]]]


def test_timing_ends_in_bounded_time() -> None:
    """After PAIR_SECONDS no round is begun, unless there are too few for an interval."""

    def count_rounds(round_seconds: float) -> int:
        now = iter(range(10**6))
        return len(take_rounds(float, float, 1, 30, clock=lambda: next(now) * round_seconds))

    assert count_rounds(0.0) == 30
    assert count_rounds(overhead.PAIR_SECONDS / 10.5) == 16
    assert count_rounds(1e6) == FEWEST_ROUNDS


def test_calls_are_as_long_as_their_evaluation() -> None:
    """Updates are doubled until they take as long as the evaluation, at least CALL_SECONDS, and not without end."""
    assert choose_updates(lambda updates: 1e-3 + 1e-3 * updates) == 64 >= overhead.CALL_SECONDS / 1e-3
    assert choose_updates(lambda updates: 2.0 + 0.1 * updates) == 32
    assert choose_updates(lambda updates: 1.0 - 1e-6 * updates) == overhead.MOST_UPDATES


def digests(folder: Path) -> dict[str, str]:
    """Return {path: digest} of all files of a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def make_folder(out: Path, **changes: Any) -> Path:
    """Return the run directory of a tiny study of which nothing is trained yet."""
    study = read_study(tiny(**changes))
    dataset = find_dataset(study, None)
    save_waves(out, make_plan(study, dataset), [], dataset, runtime.configure())
    return out


def test_the_command_measures_an_unfinished_study(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """It writes costs.json, leaves every other file alone, and the report shows what it printed."""
    # The smallest programs: none of them comes from the cache.
    small = {"model": {"name": "linear"}, "optimizer": {"name": "sgd", "learning_rate": 0.1}, "training__keep": "none"}
    out = make_folder(tmp_path / "out", factors={"l2.strength": [0.0, 1e-3]}, **small)
    before = digests(out)

    assert cli.main(["cost", str(out), "--rounds", "6"]) == 0

    after = digests(out)
    assert after.pop("costs.json")
    assert after == before
    costs = read_costs(out)
    assert costs is not None
    assert set(costs) == set(COMMANDS["cost"].KEYS)
    assert costs["clock"] == "processor"
    (part,) = costs["parts"]
    assert (part["factor"], part["level"], part["against"]) == ("l2.strength", 0.001, 0.0)
    assert part["member"]["slots"] == 1 < part["population"]["slots"]
    assert part["population"]["rounds"] == 6
    assert all(size > 0 for form in ("member", "population") for size in part[form]["bytes"] + part[form]["compile"])
    printed = capsys.readouterr()
    assert "l2.strength = 0.001" in printed.out
    assert "runs at once" in printed.out
    assert "6 rounds" in printed.err
    (extra,) = [extra for extra in make_extras(load_results(out).table) if extra.anchor == "cost"]
    assert extra.sentences[0].startswith("l2.strength = 0.001: ")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 1, "plan.json does not exist"),
        (("--rounds", "5"), 2, "at least 6"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: tuple[str, ...], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """No plan, or rounds too few for an interval: the exit code says whose mistake it is, nothing is written."""
    assert cli.main(["cost", str(tmp_path / "out"), *words]) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_study_without_parts_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Learning rates share one program: there is nothing to time, and the message says why."""
    out = make_folder(tmp_path / "out", factors={"optimizer.learning_rate": [0.003, 0.01]})

    assert cli.main(["cost", str(out)]) == 2
    assert "optimizer.learning_rate: neither" in capsys.readouterr().err


def test_other_data_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The data found under the study's name must be those that it was planned with."""
    out = make_folder(tmp_path / "out")
    plan = store.load_plan(out)
    store.write_json(out / "plan.json", {**plan, "data": {**plan["data"], "digest": "other"}})

    assert cli.main(["cost", str(out)]) == 2
    assert "other than those" in capsys.readouterr().err


def test_the_compilation_cache_is_left_as_it_was() -> None:
    """While programs are timed nothing comes from the cache, and afterwards it serves again."""
    name = "jax_enable_compilation_cache"
    before = jax.config.values[name]
    with compiled_anew():
        assert jax.config.values[name] is False

    assert jax.config.values[name] == before
