"""Several studies: adjusted p-values and ranks of cells over data sets."""

import dataclasses
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from regjax import cli
from regjax.analysis.across import critical_difference, find_groups, pool_p, rank_cells, rank_rows
from regjax.analysis.table import Table, load_table
from regjax.files import RegjaxError

RNG = np.random.default_rng(5)


def studies(folder: Callable[..., Path], num_sets: int, num_cells: int = 4, noise: float = 0.02) -> dict[str, Table]:
    """Return studies of equal cells on different data; later cells are better."""
    tables = {}
    for i in range(num_sets):
        accuracy = 0.5 + 0.1 * np.arange(num_cells)[:, None] + noise * RNG.normal(size=(num_cells, 8))
        contrasts = [
            {"name": f"cell {c} vs 0", "kind": "simple", "confirmatory": True,
             "weights": [-1.0, *(float(j == c) for j in range(1, num_cells))]}
            for c in range(1, num_cells)
        ]  # fmt: skip
        out = folder(accuracy, data={"digest": str(i)}, contrasts=contrasts)
        out = out.rename(out.with_name(f"s{num_cells}-{i}"))
        tables[str(out)] = load_table(out)
    return tables


def test_published_critical_values() -> None:
    """The critical values of Demsar's table 5(a) and his example of 4 classifiers on 14 sets are met."""
    published = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    found = [critical_difference(k, 1) / np.sqrt(k * (k + 1) / 6) for k in range(2, 11)]

    assert np.abs(np.subtract(found, published)).max() < 2e-3
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_sets_of_another_scale_are_ranked_as_ever(folder: Callable[..., Path]) -> None:
    """A data set whose losses are ten million times larger makes no ties of those of the others."""
    small = np.array([[3.5, 3.0, 2.8], [3.6, 3.1, 2.7], [3.3, 3.2, 2.9], [3.9, 3.4, 2.5], [3.4, 3.3, 2.6]]) / 1000
    means = np.concatenate([small, small[:1] * 1.5e7])

    assert rank_rows(means, -1)[0].tolist() == [3.0, 2.0, 1.0]
    assert rank_rows(means, -1)[1] == pytest.approx(stats.friedmanchisquare(*means.T).pvalue)
    tables = {}
    for i, row in enumerate(means):
        nll = np.repeat(np.repeat(row[:, None], 3, axis=1)[..., None], 4, axis=2)
        primary = {"metric": "validation.nll", "at": {"kind": "step", "step": 20}}
        out = folder(np.full((3, 3), 0.9), nll=nll, primary=primary, data={"digest": str(i)})
        out = out.rename(out.with_name(f"scale-{i}"))
        tables[str(out)] = load_table(out)
    assert rank_cells(tables).p[1:].tolist() == [2 / 64, 2 / 64]


def test_ranks_worked_by_hand_and_friedman_by_scipy() -> None:
    """Ties share their mean rank, a lower NLL ranks first, and Friedman's p is scipy's."""
    means = np.array([[0.1, 0.3, 0.2], [0.5, 0.5, 0.4], [0.2, 0.9, 0.9], [0.3, 0.3, 0.3]])
    by_hand = np.mean([[3, 1, 2], [1.5, 1.5, 3], [3, 1.5, 1.5], [2, 2, 2]], axis=0)

    ranks, p = rank_rows(means, 1)
    assert np.allclose(ranks, by_hand)
    assert np.allclose(rank_rows(means, -1)[0], 4 - by_hand)
    assert p == pytest.approx(stats.friedmanchisquare(*means.T).pvalue)
    assert rank_rows(np.full((3, 3), 0.5), 1)[1] == 1.0
    assert np.isnan(rank_rows(means[:, :2], 1)[1])


def test_groups_are_the_largest_and_open_at_the_critical_difference() -> None:
    """A group inside another is not told again; ranks just a critical difference apart are told apart."""
    assert find_groups(np.array([1.0, 1.2, 1.4, 3.0]), 1.0) == [(0, 2)]
    assert find_groups(np.array([1.0, 2.0]), 1.0) == []


def test_p_values_are_adjusted_over_all_studies(folder: Callable[..., Path]) -> None:
    """All confirmatory rows of all studies make one family."""
    tables = studies(folder, 2, noise=0.2)
    pooled = pool_p(tables)

    assert len(pooled) == 6
    assert pooled["p"].nunique() > 3
    assert np.allclose(pooled["p_holm"], multipletests(pooled["p"], method="holm")[1])
    assert np.allclose(pooled["p_bh"], multipletests(pooled["p"], method="fdr_bh")[1])


def test_studies_alike_are_ranked_and_drawn(
    folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Six data sets give ranks, Wilcoxon and Friedman tests and a diagram that is a whole SVG file of plain colours."""
    tables = studies(folder, 6)
    ranks = rank_cells(tables)
    assert ranks.ranks.tolist() == [4, 3, 2, 1]
    assert ranks.p[1] == stats.wilcoxon(ranks.means[:, 1] - ranks.means[:, 0]).pvalue == 2 / 64
    assert ranks.groups == [(0, 1), (1, 2), (2, 3)]

    svg = tmp_path / "cd.svg"
    assert cli.main(["across", *tables, "--diagram", str(svg)]) == 0
    text = capsys.readouterr().out
    assert "Friedman" in text
    assert "Ranks over 6 data sets by test accuracy" in text
    assert "Holm" in text
    assert ET.parse(svg).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in svg.read_text()
    assert "cell 3" in svg.read_text()


def test_unlike_or_few_studies_are_not_ranked(
    folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Other cells or the same data give no ranks but p-values still; five sets give no diagram."""
    tables = studies(folder, 5)
    assert cli.main(["across", *tables, "--diagram", str(tmp_path / "x.svg")]) == 2
    found = capsys.readouterr()
    assert "needs 6 data sets" in found.err
    assert "here are 5" in found.out
    assert cli.main(["across", *tables, "--diagram", str(tmp_path / "x.png")]) == 2
    assert "got the file 'x.png', expected a name that ends in .svg" in capsys.readouterr().err
    other = {**tables, **studies(folder, 1, num_cells=3)}
    with pytest.raises(RegjaxError, match="other cells"):
        rank_cells(other)
    assert cli.main(["across", *other]) == 0
    assert "not ranked" in capsys.readouterr().out
    assert cli.main(["across", *other, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ranks"], len(found["effects"])) == (None, 17)
    assert cli.main(["across", next(iter(tables))]) == 0
    alone = capsys.readouterr().out
    assert alone.startswith("Confirmatory effects of all studies")
    assert "ank" not in alone
    with pytest.raises(RegjaxError, match="same data"):
        rank_cells({**tables, "again": next(iter(tables.values()))})


NLL = {"metric": "validation.nll", "at": {"kind": "last"}}


@pytest.mark.parametrize(
    ("num_cells", "plans", "reason"),
    [
        (
            2,
            ({"absent": {(1, seed) for seed in range(6)}},) * 2,
            "no study has finished runs of every cell; there is nothing to rank",
        ),
        (1, ({"contrasts": []},) * 2, "the studies have one cell only; there is nothing to rank"),
        (
            2,
            ({}, {"primary": NLL}),
            "second is about validation.nll, the first study about test.accuracy; only equal metrics are ranked",
        ),
    ],
)
def test_what_leaves_nothing_to_rank_is_said(
    folder: Callable[..., Path], capsys: pytest.CaptureFixture, num_cells: int, plans: tuple, reason: str
) -> None:
    """A cell without runs, one cell only, two metrics: the reason stands below the p-values."""
    outs = []
    for name, plan in zip(("first", "second"), plans, strict=True):
        out = folder(0.5 + 0.01 * RNG.normal(size=(num_cells, 6)), data={"digest": name}, **plan)
        outs.append(str(out.rename(out.with_name(name))))

    assert cli.main(["across", *outs]) == 0
    found = capsys.readouterr().out
    assert found.startswith("Confirmatory effects of all studies")
    assert "Cells are not ranked: " in found
    assert reason in found


def test_each_row_names_its_metric_and_unit(folder: Callable[..., Path], capsys: pytest.CaptureFixture) -> None:
    """Percentage points stand for accuracies, plain numbers for losses; what has no effect has no unit."""
    outs = []
    for name, plan in {"a": {}, "b": {"primary": NLL}, "c": {"absent": {(1, seed) for seed in range(6)}}}.items():
        accuracy = np.array([[0.5] * 6, [0.75] * 6])
        out = folder(accuracy, nll=np.full((2, 6, 4), [[[0.5]], [[0.25]]]), data={"digest": name}, **plan)
        outs.append(str(out.rename(out.with_name(name))))
    assert cli.main(["across", *outs]) == 0
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines() if "dropout.hidden" in line]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]

    assert [row[2:5] for row in cells] == [
        ["test accuracy", "6", "+25.00 pp"],
        ["validation NLL", "6", "-0.2500"],
        ["test accuracy", "0", "–"],
    ]


def test_a_metric_without_a_direction_ranks_nothing(folder: Callable[..., Path]) -> None:
    """Of the weights neither more nor less is better."""
    tables = {
        name: dataclasses.replace(
            table,
            records=table.records.assign(weight_norm=1.0),
            plan={**table.plan, "primary": {"metric": "weight_norm", "at": {"kind": "last"}}},
        )
        for name, table in studies(folder, 2, num_cells=2).items()
    }
    with pytest.raises(RegjaxError, match="more of weight_norm is neither better nor worse; there is nothing to rank"):
        rank_cells(tables)
