"""Effects and cells of a run directory: equal to what one computes from the numbers by hand."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from scipy import stats

from regjax.analysis.effects import (
    all_effects,
    contrast_values,
    declared_effects,
    describe_cells,
    judge,
    make_effects,
    rounding,
    seed_rounding,
)
from regjax.analysis.export import save_effects
from regjax.analysis.signflip import sign_flip
from regjax.store import read_table

RNG = np.random.default_rng(7)
VALUES = 0.9 + 0.01 * RNG.normal(size=(4, 10)) + 0.05 * RNG.normal(size=10) + np.array([[0.0], [0.03], [0.0], [-0.002]])
CONTRASTS = [
    {"name": "a: 1 vs 0", "kind": "simple", "weights": [-1, 1, 0, 0], "confirmatory": True},
    {"name": "a", "kind": "main", "weights": [-0.5, 0.5, -0.5, 0.5], "confirmatory": True},
    {"name": "a x b", "kind": "two_way", "weights": [1, -1, -1, 1], "confirmatory": False},
]


def test_confirmatory_contrasts_are_one_family(table):
    """Confirmatory rows equal the joint sign-flip of the paired differences; the exploratory one stands alone."""
    found = make_effects(table(VALUES, contrasts=CONTRASTS))
    effects = np.array([c["weights"] for c in CONTRASTS]) @ VALUES
    joint = sign_flip(effects[:2], np.random.default_rng(0))
    alone = sign_flip(effects[2:], np.random.default_rng(0))

    assert found["contrast"].tolist() == ["a: 1 vs 0", "a", "a x b"]
    assert found["confirmatory"].tolist() == [True, True, False]
    for column, expected in {
        "effect": effects.mean(axis=1),
        "sd": effects.std(axis=1, ddof=1),
        "p": [*joint.p, np.nan],
        "low": [*joint.low, *alone.low],
        "high": [*joint.high, *alone.high],
    }.items():
        np.testing.assert_allclose(found[column], expected, rtol=1e-9, err_msg=column)
    assert found["seeds_positive"].tolist() == (effects > 0).sum(axis=1).tolist()
    assert found["seeds_negative"].tolist() == (effects < 0).sum(axis=1).tolist()
    assert found["n"].tolist() == [10, 10, 10]


def test_other_metrics_and_states_are_exploratory(table):
    """Only the primary metric at the primary state is confirmatory; other rows have an interval and no p."""
    loaded = table(VALUES, contrasts=CONTRASTS)
    for found in (make_effects(loaded, at={"kind": "best"}), make_effects(loaded, metric="validation.nll")):
        assert not found["confirmatory"].any()
        assert found["p"].isna().all()
        assert found["low"].notna().all()


def test_all_effects_lists_the_states_in_order(table):
    """The primary state comes first, then those of also_at."""
    primary = {
        "metric": "test.accuracy",
        "at": {"kind": "step", "step": 20, "label": "epoch 2"},
        "margin": None,
        "also_at": [{"kind": "step", "step": 10, "label": "epoch 1"}, {"kind": "best"}],
    }
    found = all_effects(table(VALUES, contrasts=CONTRASTS, primary=primary))

    assert found["at"].tolist() == ["epoch 2"] * 3 + ["epoch 1"] * 3 + ["best"] * 3
    assert found["confirmatory"].tolist() == [True, True, False] + [False] * 6


def test_a_study_without_contrasts_has_a_table_without_rows(table):
    """Where nothing is compared the columns are there, and no row."""
    bare, full = (table(VALUES, contrasts=contrasts) for contrasts in ([], CONTRASTS))

    assert declared_effects(bare).empty
    assert all_effects(bare).columns.tolist() == declared_effects(full).columns.tolist()


def test_a_constant_added_to_all_cells_changes_no_effect(table):
    """Contrasts see differences only."""
    one, other = (make_effects(table(VALUES + shift, contrasts=CONTRASTS)) for shift in (0.0, -0.25))

    pd.testing.assert_frame_equal(one, other, rtol=1e-9)


def test_seeds_and_contrasts_may_be_relabelled(table):
    """The order of seeds changes nothing, and a contrast's row does not depend on its place."""
    plain = make_effects(table(VALUES, contrasts=CONTRASTS))
    moved = make_effects(table(VALUES[:, ::-1], contrasts=CONTRASTS[::-1]))

    pd.testing.assert_frame_equal(plain, moved[::-1].reset_index(drop=True), rtol=1e-9)


def test_twice_is_the_same(table):
    """With drawn flips as well, the same folder gives the same numbers."""
    loaded = table(RNG.normal(size=(2, 20)))

    pd.testing.assert_frame_equal(make_effects(loaded), make_effects(loaded))


def test_diverged_and_missing_runs_drop_their_seed(table):
    """A seed without a value in a weighed cell leaves that contrast; diverged runs of weighed cells are counted."""
    loaded = table(VALUES, contrasts=CONTRASTS, diverged={(1, 3): 5, (2, 4): 30}, absent={(3, 9)})
    found = make_effects(loaded)
    kept = np.delete(VALUES, 3, axis=1)

    assert found["n"].tolist() == [9, 8, 8]
    assert found["diverged"].tolist() == [1, 2, 2]
    assert found["effect"][0] == pytest.approx((kept[1] - kept[0]).mean())


def test_equal_accuracies_are_no_effect(table):
    """Equal differences stored as float32 are ties, and no difference is p = 1, not noise."""
    base = np.array([0.97, 0.975, 0.9725, 0.98, 0.9775, 0.9815])
    found = make_effects(table(np.array([base, base + 3e-8])))
    raised = make_effects(table(np.float32([base, base + 0.005])))

    assert (found["p"][0], found["low"][0], found["high"][0], found["seeds_positive"][0]) == (1.0, 0.0, 0.0, 0)
    assert found["better"][0] is None
    assert raised["p"][0] == 2 / 64


def test_float32_noise_breaks_no_tie(table):
    """Accuracies off by float32 rounding give the p-value of the exact ones."""
    effects = np.array([0.005, 0.005, 0.005, 0.005, -0.005, 0.01, 0.01, -0.005])
    noise = 3e-8 * np.array([1, 1, 1, 1, -1, 1, 1, 1])
    exact, noisy = (make_effects(table(np.array([np.full(8, 0.97), 0.97 + d]))) for d in (effects, effects + noise))

    assert exact["p"][0] == noisy["p"][0]
    assert exact["p"][0] == sign_flip(effects[None], np.random.default_rng(0)).p[0]


@pytest.mark.parametrize("huge", [1e6, 3e37, np.inf, np.nan])
def test_a_huge_value_reaches_its_own_contrasts_and_seed_alone(table, huge):
    """A loss of 1e6, 3e37 or infinity in one run changes no number of a contrast that does not weigh its cell."""
    weights = {"c: 1 vs 0": [-1, 1, 0], "c: 2 vs 0": [-1, 0, 1]}
    contrasts = [
        {"name": name, "kind": "simple", "confirmatory": False, "weights": row} for name, row in weights.items()
    ]
    nll = np.array([np.full(9, 1.0), 0.95 + 0.01 * np.arange(9) / 9, 0.9 + 0.01 * np.arange(9) / 9])
    wild = nll.copy()
    wild[2, 4] = huge
    calm, found = (
        make_effects(table(np.full((3, 9), 0.9), nll=np.repeat(values[..., None], 4, axis=2), contrasts=contrasts),
                     metric="validation.nll")
        for values in (nll, wild)
    )  # fmt: skip

    pd.testing.assert_frame_equal(found.iloc[:1], calm.iloc[:1])
    assert found["verdict"][0] == "lowers"
    assert found["n"].tolist() == ([9, 9] if np.isfinite(huge) else [9, 8])
    assert found["seeds_negative"].tolist() == [9, 8]


@hypothesis.given(st.integers(0, 2**32 - 1), st.floats(0, 30))
def test_effects_of_a_seed_are_their_own(seed, size):
    """Effects depend on the seed's own values of the cells that are weighed, however large all others are."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(3, 5))
    weights = np.array([[-1.0, 1.0, 0.0]])
    wild = values.copy()
    wild[2] *= 10**size
    wild[:, 3] *= 10**size

    before, after = contrast_values(weights, values), contrast_values(weights, wild)
    np.testing.assert_array_equal(np.delete(after, 3), np.delete(before, 3))
    np.testing.assert_array_equal(np.delete(before, 3), np.delete(values[1] - values[0], 3))
    assert (seed_rounding(weights, values) <= rounding(weights, values)[:, None]).all()


@pytest.mark.parametrize(
    ("low", "high", "margin", "verdict"),
    [
        (0.1, 0.2, None, "raises"),
        (-0.2, -0.1, None, "lowers"),
        (-0.1, 0.1, None, "undecided"),
        (0.0, 0.1, None, "undecided"),
        (0.1, 0.2, 0.15, "raises"),
        (0.1, 0.2, 0.3, "no difference beyond the margin"),
        (-0.1, 0.3, 0.3, "undecided"),
        (-np.inf, np.inf, 0.3, "undecided"),
        (np.nan, np.nan, 0.3, "undecided"),
    ],
)
def test_verdicts(low, high, margin, verdict):
    """The interval against zero and the margin gives the verdict; an end on the margin is not inside."""
    assert judge(low, high, margin) == verdict


def test_better_depends_on_the_metric(table):
    """More accuracy is better, more loss is worse."""
    loaded = table(VALUES[:2], nll=np.repeat(VALUES[:2, :, None], 4, axis=2))

    assert make_effects(loaded)["better"][0] is True
    assert make_effects(loaded, metric="validation.nll")["better"][0] is False


def test_cells_are_described(table):
    """Mean, SD, t interval and the rest equal numpy and scipy; diverged and stopped runs are counted."""
    found = describe_cells(table(VALUES, diverged={(0, 0): 5}, stopped={(1, 2): 20, (1, 3): 30}))
    kept = VALUES[0, 1:]
    oracle = stats.t.interval(0.95, 8, kept.mean(), stats.sem(kept))

    assert found["n"].tolist() == [9, 10, 10, 10]
    assert found.loc[0, ["mean", "sd", "median", "min", "max"]].tolist() == pytest.approx(
        [kept.mean(), kept.std(ddof=1), np.median(kept), kept.min(), kept.max()]
    )
    assert (found["low"][0], found["high"][0]) == pytest.approx(oracle)
    assert found["diverged"].tolist() == [1, 0, 0, 0]
    assert found["stopped"].tolist() == [0, 2, 0, 0]


def test_cells_with_few_seeds(table):
    """One seed has a mean and no interval, none has nothing; neither is an error."""
    found = describe_cells(table(np.ones((2, 1)), absent={(1, 0)}))

    assert (found["n"].tolist(), found["mean"][0]) == ([1, 0], 1.0)
    assert found.loc[0, ["sd", "low", "high"]].isna().all()
    assert found.loc[1, ["mean", "sd", "low", "high", "median", "min", "max"]].isna().all()


def test_no_contrasts_is_an_empty_table(table):
    """A study of one cell has no effects and still has the columns."""
    found = make_effects(table(np.ones((1, 3)), contrasts=[]))

    assert len(found) == 0
    assert {"contrast", "effect", "p", "verdict"} <= set(found.columns)


def test_files_for_other_programs(table, tmp_path):
    """effects.csv holds the effects with formulas disarmed and numbers untouched; results.parquet every record."""
    contrasts = [{**CONTRASTS[0], "name": "=HYPERLINK(1)"}, {**CONTRASTS[2], "name": "-1"}]
    loaded = table(VALUES, contrasts=contrasts)
    csv, parquet = save_effects(loaded, tmp_path)
    read, tidy = pd.read_csv(csv), read_table(parquet).to_pandas()

    assert read["contrast"].tolist() == ["'=HYPERLINK(1)", "'-1"]
    assert read["effect"].to_numpy() == pytest.approx(all_effects(loaded)["effect"].to_numpy())
    assert (read["low"] < 0).any()
    assert tidy.columns[:4].tolist() == ["cell", "dropout.hidden", "seed", "step"]
    assert len(tidy) == 4 * 10 * 4
    row = tidy[(tidy["cell"] == "cell 2") & (tidy["seed"] == 5) & (tidy["step"] == 20)]
    assert row["test.accuracy"].item() == VALUES[2, 5]
    assert row["dropout.hidden"].item() == 2.0


@pytest.mark.parametrize(
    ("levels", "stored"),
    [([0, 0.5], [0.0, 0.5]), (["none", "batch"], ["none", "batch"]), ([False, True], [False, True])],
)
def test_levels_keep_their_type(table, tmp_path, levels, stored):
    """Numbers, texts and booleans are stored as such; the file of mixed levels holds their JSON texts."""
    for given, expected in ((levels, stored), ([levels[1], [1, 2]], None)):
        cells = [{"index": i, "name": f"c{i}", "levels": {"dropout.hidden": v}} for i, v in enumerate(given)]
        tidy = read_table(save_effects(table(np.ones((2, 3)), cells=cells), tmp_path)[1]).to_pandas()
        found = tidy.drop_duplicates("cell")["dropout.hidden"].tolist()

        assert found == expected if expected else found[1] == "[1, 2]"


def test_files_of_an_unstarted_study(table, tmp_path):
    """Nothing done gives empty files, not an error."""
    csv, parquet = save_effects(table(np.ones((2, 1)), absent={(0, 0), (1, 0)}), tmp_path)

    assert pd.read_csv(csv)["n"].tolist() == [0]
    assert read_table(parquet).num_rows == 0


def test_analysis_works_without_jax(folder):
    """All of analysis imports and computes with jax and its friends blocked: a report opens on a laptop."""
    out = folder(VALUES[:2])
    program = """
import sys
for name in ("jax", "jaxlib", "flax", "optax", "orbax", "tensorflow_datasets", "sklearn"):
    sys.modules[name] = None
import pkgutil, importlib, pathlib
import regjax.analysis
for module in pkgutil.iter_modules(regjax.analysis.__path__):
    importlib.import_module(f"regjax.analysis.{module.name}")
from regjax.analysis.effects import make_effects
from regjax.analysis.questions import verdict_sentence
from regjax.analysis.table import load_table
table = load_table(pathlib.Path(sys.argv[1]))
print(verdict_sentence(table, make_effects(table).iloc[0]))
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program, str(out)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "dropout.hidden 0.5 vs 0 raised test accuracy at epoch 2" in done.stdout
