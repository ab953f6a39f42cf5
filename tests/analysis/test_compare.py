"""Two studies compared: cells, effects, pairing, bits, refusals."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from studies import tiny

import regjax
from regjax import cli
from regjax.analysis.compare import Comparison, compare
from regjax.analysis.effects import describe_cells
from regjax.analysis.same import OFF, cell_levels, compare_records
from regjax.analysis.table import Table, load_table
from regjax.files import RegjaxError
from regjax.observers import OBSERVERS
from regjax.parts import hypers
from regjax.regularizers import REGULARIZERS
from regjax.report.compare import compare_text

RNG = np.random.default_rng(11)
BEFORE, NOISE = 0.9 + 0.01 * RNG.normal(size=(2, 8)), 0.001 * RNG.normal(size=(2, 8))
DATA = {"digest": "d", "num_classes": 10, "num_test": 0}
SPLIT = {"data": {"split": {"train": 10}}}
VERSIONS = {"jax": "0.10.1"}


@pytest.fixture
def pair(folder: Callable[..., Path]) -> Callable[..., Comparison]:
    """Return a function that writes two run directories and compares them; `changes` are of the second plan."""

    def make(before: np.ndarray, after: np.ndarray, first: dict[str, Any] | None = None, **changes: Any) -> Comparison:
        plan: dict[str, Any] = {"data": DATA, "study": SPLIT, "versions": VERSIONS}
        outs = []
        for values, own in ((before, {**plan, **(first or {})}), (after, {**plan, **changes})):
            out = folder(values, **own)
            outs.append(out.rename(out.with_name(f"study{len(outs)}")))
        return compare(*map(load_table, outs))

    return make


def test_paired_changes_are_those_of_the_engine(pair: Callable[..., Comparison]) -> None:
    """A cell's change has the sign-flip interval of its seeds' differences; so has an effect's, of its own."""
    after = BEFORE + np.array([[0.0], [0.01]]) + NOISE
    found = pair(BEFORE, after)
    rows = found.rows.set_index("name")
    d = (after - BEFORE).astype(np.float64)
    # All 2^8 flips, inverted by hand: the interval holds the shifts whose flips are not in the tails.
    signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1)

    def p_of(shift: float, values: np.ndarray) -> float:
        flips = np.abs((values - shift) @ signs)
        return float((flips >= np.abs((values - shift).sum()) - 1e-12).mean())

    for name, values in (("cell 0", d[0]), ("cell 1", d[1]), ("dropout.hidden: 0.5 vs 0", d[1] - d[0])):
        row = rows.loc[name]
        assert row["change"] == pytest.approx(values.mean())
        for end, outward in ((row["low"], -1), (row["high"], 1)):
            assert p_of(end - outward * 1e-6, values) > 0.05 >= p_of(end + outward * 1e-6, values)
    assert found.paired
    assert rows.loc["cell 1", "better"]
    assert list(rows["n_first"]) == [8, 8, 8]
    assert "p" not in found.rows


def test_other_splits_make_two_samples(pair: Callable[..., Comparison]) -> None:
    """Where a seed has other examples, changes have Welch's interval as scipy gives it, and this is said."""
    after = 0.92 + 0.02 * RNG.normal(size=(2, 8))
    found = pair(BEFORE, after, study={"data": {"split": {"train": 20}}})
    expected = stats.ttest_ind(after[1], BEFORE[1], equal_var=False).confidence_interval(0.95)
    effect = stats.ttest_ind(after[1] - after[0], BEFORE[1] - BEFORE[0], equal_var=False).confidence_interval(0.95)

    assert not found.paired
    assert "data.split" in found.pairing
    assert found.rows.loc[1, ["low", "high"]].tolist() == pytest.approx(list(expected))
    assert found.rows.loc[2, ["low", "high"]].tolist() == pytest.approx(list(effect))


def test_seeds_without_partner_are_left_out(pair: Callable[..., Comparison]) -> None:
    """Six of eight seeds in common are paired on these alone."""
    found = pair(BEFORE, (BEFORE + 0.01)[:, :6])
    assert found.paired
    assert found.rows["n_first"].tolist() == [6, 6, 6]
    assert "the other 2" in found.pairing
    assert found.rows["change"].tolist() == pytest.approx([0.01, 0.01, 0.0])


def test_two_samples_without_spread_have_an_interval_of_one_point(pair: Callable[..., Comparison]) -> None:
    """Where no run of either study differs from the next, the change is exact and the interval is the change alone."""
    before, after = np.full((2, 4), 0.5), np.array([[0.75] * 4, [0.5] * 4])
    rows = pair(before, after, study={"data": {"split": {"train": 20}}}).rows

    assert rows[["first", "second", "change", "low", "high"]].to_numpy().tolist() == [
        [0.5, 0.75, 0.25, 0.25, 0.25],
        [0.5, 0.5, 0.0, 0.0, 0.0],
        [0.0, -0.25, -0.25, -0.25, -0.25],
    ]
    assert rows["better"].tolist() == [True, None, False]


@pytest.mark.parametrize("which", ["first", "second"])
def test_a_number_of_seeds_from_a_pilot_is_said(pair: Callable[..., Comparison], which: str) -> None:
    """Intervals here know nothing of a pilot that chose how many seeds there are: the comparison says so."""
    stein = {"stein": {"pilot": 5, "max": 8, "halfwidth": 0.01}}
    found = pair(BEFORE, BEFORE + NOISE, stein) if which == "first" else pair(BEFORE, BEFORE + NOISE, **stein)

    assert found.pairing.endswith("follows from a pilot, which these intervals do not allow for.")


def test_no_seed_in_common_is_unpaired(pair: Callable[..., Comparison]) -> None:
    """Studies of other seeds are two samples, and no run of one is that of the other."""
    found = pair(BEFORE, BEFORE, seeds=list(range(8, 16)))

    assert not found.paired
    assert found.pairing == "Unpaired: the studies have no seed in common."
    assert found.same.runs == 0


def test_cells_are_matched_by_levels(pair: Callable[..., Comparison]) -> None:
    """A cell whose level the other lacks is named as lone, and contrasts that weigh it are not compared."""
    more = np.concatenate([BEFORE, BEFORE[:1]])
    contrasts = [
        {"name": "dropout.hidden: 0.5 vs 0", "kind": "simple", "weights": [-1.0, 1.0, 0.0], "confirmatory": True},
        {"name": "pooled", "kind": "simple", "weights": [-1.0, 1.0, 1.0], "confirmatory": True},
    ]
    own = [contrasts[0], {**contrasts[1], "weights": [-1.0, 1.0]}]
    found = pair(BEFORE, more, {"contrasts": own}, contrasts=contrasts)

    assert found.lone == {"first": (), "second": ("cell 2",)}
    assert found.rows["name"].tolist() == ["cell 0", "cell 1", "dropout.hidden: 0.5 vs 0"]
    assert not found.rows[["change", "low", "high"]].to_numpy().any()


def with_hypers(table: Table, active: list[dict[str, Any]], levels: list[dict[str, Any]], **plan: Any) -> Table:
    """Return a study whose cells have these levels, and whose runs were trained with these hypers of what is on."""
    factors = [{"path": path, "levels": [level[path] for level in levels]} for path in levels[0]]
    cells = [{**cell, "levels": own} for cell, own in zip(table.plan["cells"], levels, strict=True)]
    texts = [json.dumps({"optimizer": {}, **active[cell]}) for cell in table.planned["cell"]]
    plan = {**table.plan, "fixed": {}, "factors": factors, "cells": cells, **plan}
    return dataclasses.replace(table, plan=plan, planned=table.planned.assign(hypers=texts))


def test_what_is_off_beside_another_hyper_is_absent(table: Callable[..., Table]) -> None:
    """A rate of 0 is no rate where the other rate of dropout is on, of every layer; a bound of 0 is one."""
    known = table(BEFORE)
    bare = [{}, {"dropout": {"hidden": 0.5, "input": 0.0}}]
    alone = with_hypers(known, bare, [{"dropout.hidden": 0.0}, {"dropout.hidden": 0.5}])
    noisy = [{"dropout": {"hidden": rate, "input": 0.2}} for rate in (0.0, 0.5)]
    for off in (0.0, [0.0, 0.0]):
        levels = [{"dropout.hidden": off}, {"dropout.hidden": 0.5}]
        beside = with_hypers(known, noisy, levels, fixed={"dropout.input": 0.2})
        for pair_of in ((alone, beside), (beside, alone)):
            assert cell_levels(*pair_of) == ([{"dropout.hidden": None}, {"dropout.hidden": 0.5}],) * 2
    assert compare(alone, beside).rows["name"].tolist() == ["cell 0", "cell 1", "dropout.hidden: 0.5 vs 0"]

    stops = [{"early_stopping": {"patience": 5.0, "gl": bound}} for bound in ("off", 0.0)]
    stopped = with_hypers(known, stops, [{"early_stopping.gl": "off"}, {"early_stopping.gl": 0.0}])
    assert cell_levels(stopped, stopped)[0] == [{"early_stopping.gl": None}, {"early_stopping.gl": 0.0}]


def test_off_values_are_those_of_the_parts() -> None:
    """Every hyper that shares its part with another one that can be off is known with its off value, and no other."""
    found = {}
    for name, part_class in {**REGULARIZERS, **OBSERVERS}.items():
        switches = {f"{name}.{key}": h.off for key, h in hypers(part_class).items() if h.off is not None}
        found |= switches if len(switches) > 1 else {}

    assert {path: "off" if off == np.inf else off for path, off in found.items()} == OFF


def test_equal_records_are_bit_identical_and_one_bit_is_seen(pair: Callable[..., Comparison]) -> None:
    """Equal numbers under other versions are bit-identical with that difference named; one last bit is one run."""
    same = pair(BEFORE, BEFORE, versions={"jax": "0.10.2"})
    assert same.same.identical
    assert same.same.runs == 16
    assert [tuple(d) for d in same.differences] == [("versions.jax", "0.10.1", "0.10.2")]


def test_without_records_nothing_is_identical(table: Callable[..., Table]) -> None:
    """A study without a record has no run in common with any: neither equal nor different."""
    full = table(BEFORE)
    empty = dataclasses.replace(full, records=full.records.iloc[:0])

    for pair_of in ((full, empty), (empty, full)):
        found = compare_records(*pair_of, [(0, 0), (1, 1)])
        assert found == (0, 0, 0, ())
        assert not found.identical


def test_numbers_that_one_study_records_are_named_and_not_compared(table: Callable[..., Table]) -> None:
    """Runs are compared by what both record; what only one records is named, and the studies are not identical."""
    plain = table(BEFORE)
    more = dataclasses.replace(plain, records=plain.records.assign(weight_norm=1.0))

    for pair_of in ((plain, more), (more, plain)):
        found = compare_records(*pair_of, [(0, 0), (1, 1)])
        assert (found.runs, found.equal, found.lone) == (16, 16, ("weight_norm",))
        assert found.columns == compare_records(plain, plain, [(0, 0), (1, 1)]).columns
        assert not found.identical


def test_what_differs_is_told(pair: Callable[..., Comparison]) -> None:
    """The text counts runs that differ and names lone columns and cells, and at most 40 differences of the plans."""
    contrasts = [{"name": "pooled", "kind": "simple", "weights": [-0.5, 0.5, 0.0], "confirmatory": True}]
    study = {**SPLIT, **{f"key{i:02}": f"{'x' * 80}{i}" for i in range(42)}}
    found = pair(BEFORE, np.concatenate([BEFORE + NOISE, BEFORE[:1]]), contrasts=contrasts, study=study)
    lone = found._replace(same=found.same._replace(lone=("weight_norm",)))
    text = compare_text(lone, ["before", "after"])
    words = " ".join(text.split())

    assert words.startswith("before -> after: test accuracy at epoch 2 Not bit-identical: 0 of 16 runs that both have")
    assert f"every bit of {found.same.columns} recorded columns (weight_norm: recorded by one study only)." in words
    assert "Only the second study has: cell 2." in words
    assert "Effects that both studies estimate" not in text
    listed = text[text.index("What the plans say differently") :].splitlines()[4:]
    assert [line.split() for line in listed[:40]] == [
        [f"key{i:02}", "not", "set", "x" * 28 + "..." + ("x" * 28 + str(i))[-29:]] for i in range(40)
    ]
    assert listed[40:] == ["... and 2 more"]


def test_one_bit_is_one_run(pair: Callable[..., Comparison]) -> None:
    """The smallest change of one number is seen as one run that differs."""
    other = BEFORE.copy()
    other[1, 3] = np.nextafter(other[1, 3], 1)
    found = pair(BEFORE, other)
    assert not found.same.identical
    assert (found.same.equal, found.same.runs) == (15, 16)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data": {**DATA, "digest": "e"}}, "data.digest"),
        ({"primary": {"metric": "validation.nll", "at": {"kind": "step", "step": 20}}}, "primary.metric"),
        ({"primary": {"metric": "test.accuracy", "at": {"kind": "best"}}}, "primary.at"),
        ({"study": {"task": {"name": "regression"}}}, "task.name"),
        ({"cells": [{"index": i, "name": f"x{i}", "levels": {"dropout.hidden": i + 7}} for i in (0, 1)]}, "no cell"),
    ],
)
def test_what_cannot_be_compared_is_refused(pair: Callable[..., Comparison], changes: dict, key: str) -> None:
    """Other data, question or task, or no cell in common, is an error that names what differs."""
    with pytest.raises(RegjaxError, match=key):
        pair(BEFORE, BEFORE, **changes)


def test_two_real_studies(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A study trained twice is bit-identical; off as a level of one and absent in the other, cells still match."""
    outs = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    for out in outs[:2]:
        regjax.run(tiny(training__epochs=2), out, report=False)
    factors = {"dropout.hidden": [0.0, 0.5], "l2.strength": [0.0, 0.01]}
    regjax.run(tiny(training__epochs=2, factors=factors, optimizer__learning_rate=0.01), outs[2], report=False)

    assert cli.main(["compare", str(outs[0]), str(outs[1])]) == 0
    text = capsys.readouterr().out
    assert "Bit-identical: all 6 runs" in text
    assert "The plans say the same." in text
    assert cli.main(["compare", str(outs[0]), str(outs[2]), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["bit_identical"]
    assert [row["name"] for row in found["cells"]] == ["dropout.hidden=0", "dropout.hidden=0.5"]
    assert len(found["only_second"]) == 2
    assert {"key": "optimizer.learning_rate", "first": 0.003, "second": 0.01} in found["differences"]
    assert found["effects"] == []  # over other cells the main effect of dropout is another question
    means = describe_cells(load_table(outs[0]))["mean"].tolist()
    assert [row["first"] for row in found["cells"]] == pytest.approx(means)
