"""Studies that redraw one stream at a time: what is trained, what is reused, what the study file may say."""

import io
from typing import Any

import pandas as pd
import pytest
from studies import tiny

import regjax
from regjax import store
from regjax.cli import main
from regjax.config import ConfigError, parse_study, study_json
from regjax.data import load_dataset
from regjax.plan import make_plan
from regjax.planned import make_runs_table
from regjax.preview import preview
from regjax.progress import Progress
from regjax.sources import add_sources
from regjax.train.layout import choose_layout

ALL = ["init", "order", "dropout", "split"]


def study_of(sources: Any, count: int = 4, **changes: Any) -> dict[str, Any]:
    """Return the tiny study with these sources."""
    measure = {} if sources is None else {"measure": {"sources": sources}}
    return tiny(seeds={"count": count}, training__epochs=2, **measure, **changes)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple]:
    """Return what came of a study without sources, with them, and the same again, in one run directory."""
    out, found = tmp_path_factory.mktemp("sources") / "out", {}
    for name, sources in (("without", None), ("with", True), ("again", True)):
        said = io.StringIO()
        results = regjax.run(study_of(sources), out, progress=Progress(said, live=False), report=False)
        found[name] = (results, said.getvalue(), results.effects(), results.table.records.copy())
    return found


def test_only_the_further_runs_are_trained(grown) -> None:
    """Sources added to a finished study cost 2 cells x 4 seeds x 4 streams; the same again costs nothing."""
    assert "training: 8 runs in 1 group(s), 0 already done" in grown["without"][1]
    assert "training: 40 runs in 1 group(s), 8 already done" in grown["with"][1]
    assert "holds a study that differs" not in grown["with"][1]
    assert "training: 40 runs in 1 group(s), 40 already done" in grown["again"][1]


def test_reported_runs_stay_what_they_were(grown) -> None:
    """Effects and records of the reported seeds are the same with and without sources, to the bit."""
    pd.testing.assert_frame_equal(grown["without"][2], grown["with"][2])
    pd.testing.assert_frame_equal(grown["without"][3], grown["with"][3])


def test_a_stream_that_nothing_draws_from_has_no_share(grown) -> None:
    """Without dropout other dropout draws leave every bit as it was: share 0; with it they do not."""
    results = grown["again"][0]
    shares = results.sources(metric="test.nll").set_index(["cell", "stream"])["total"]

    assert shares["dropout.hidden=0", "dropout"] == 0.0
    assert shares["dropout.hidden=0.5", "dropout"] > 0.0
    assert (shares.drop(("dropout.hidden=0", "dropout")) > 0).all()
    runs, records = store.load_runs(results.out), store.load_records(results.out)
    runs = runs[(runs["cell"] == 0) & (runs["seed"] == 0)].set_index("stream")["run"]
    plain, redrawn = (records[records["run"] == runs[key]].drop(columns=["run", "seconds"]) for key in ("", "dropout"))
    assert runs[""] != runs["dropout"]
    pd.testing.assert_frame_equal(plain.reset_index(drop=True), redrawn.reset_index(drop=True))


def test_the_figures_of_a_real_study_are_in_its_report(grown) -> None:
    """The report has the section; below three pairs it says that there are no intervals; `status` counts the runs."""
    page = grown["again"][0].report().read_text()

    assert 'id="sources"' in page
    assert "Below 3 pairs there are no intervals" in page


def test_status_counts_the_further_runs(grown, capsys: pytest.CaptureFixture) -> None:
    """Reported runs and the others are counted apart."""
    assert main(["status", str(grown["again"][0].out)]) == 0
    said = capsys.readouterr().out
    assert "8 of 8 runs done" in said
    assert "32 of 32 further runs done" in said


def test_runs_take_one_stream_of_the_partner() -> None:
    """Two runs of each pair and stream are the reported ones but for that stream; an odd seed has none."""
    plan = make_plan(parse_study(study_of({"streams": ["order"]}, count=5)), load_dataset("digits"))
    full = add_sources(plan)
    extra = [run for run in full.runs if run.stream]

    assert [(run.cell, run.seed, run.streams["order"]) for run in extra] == [
        (cell, seed, seed ^ 1) for seed in range(4) for cell in range(2)
    ]
    reported = {(run.cell, run.seed): run for run in plan.runs}
    for run in extra:
        mine = reported[run.cell, run.seed]
        assert {**run.streams, "order": run.seed} == mine.streams
        assert {**run.settings, "streams": mine.settings["streams"]} == mine.settings
    assert len({run.id for run in full.runs}) == len(full.runs) == 18
    table = make_runs_table(full)
    assert table["wave"].value_counts().to_dict() == {"main": 10, "sources": 8}
    assert set(table.loc[table["wave"] == "sources", "stream"]) == {"order"}


def test_the_program_is_that_of_the_reported_runs() -> None:
    """The layout of a group does not depend on the further runs in it."""
    import jax

    dataset = load_dataset("digits")
    plain = make_plan(parse_study(study_of(None)), dataset)
    full = add_sources(make_plan(parse_study(study_of(True)), dataset))

    assert len(full.groups[0].runs) > len(plain.groups[0].runs)
    for group, same in zip(full.groups, plain.groups, strict=True):
        assert choose_layout(group, 10_000, jax.devices()) == choose_layout(same, 10_000, jax.devices())


def test_a_stream_that_only_some_cells_draw_from_costs_nothing_elsewhere() -> None:
    """Redrawing the noise of a cell without noise is the reported run itself, which is stored already."""
    study = study_of({"streams": ["noise"]}, factors={"input_noise.scale": [0.0, 0.1]})
    runs = add_sources(make_plan(parse_study(study), load_dataset("digits"))).runs
    reported = {run.id for run in runs if not run.stream}

    assert all((run.id in reported) == (run.cell == 0) for run in runs if run.stream)


def test_the_baseline_alone() -> None:
    """`cells = "baseline"` redraws the first cell only, `seeds` so many seeds."""
    study = parse_study(study_of({"streams": ["init"], "seeds": 2, "cells": "baseline"}))
    extra = [run for run in add_sources(make_plan(study, load_dataset("digits"))).runs if run.stream]

    assert [(run.cell, run.seed) for run in extra] == [(0, 0), (0, 1)]


def test_true_means_all_streams_that_vary() -> None:
    """The resolved study names them, false and nothing are no sources, and its JSON is read again."""
    study = parse_study(study_of(True))
    assert study.measure.sources is not None
    assert list(study.measure.sources.streams) == ALL
    assert parse_study(study_json(study)) == study
    assert parse_study(study_of(False)) == parse_study(study_of(None))


def test_dropout_is_no_source_where_nothing_drops() -> None:
    """Without dropout the default leaves its stream out; a name, or no other stream that varies, is refused."""
    plain = {"factors": {"l2.strength": [0.0, 0.1]}}
    study = parse_study(study_of(True, **plain))
    assert study.measure.sources is not None
    assert "dropout" in study.seeds.vary
    assert list(study.measure.sources.streams) == [stream for stream in ALL if stream != "dropout"]
    for fixed in ({"dropout.input": 0.5}, {"gaussian_dropout.hidden": 0.1}):
        dropping = parse_study(study_of({"streams": ["dropout"]}, fixed=fixed, **plain))
        assert dropping.measure.sources is not None
        assert dropping.measure.sources.streams == ("dropout",)
    tuned = {"tune": {"dropout.hidden": [0.1, 0.5]}}
    assert "dropout" in (parse_study(study_of(True, **plain, **tuned)).measure.sources or study.measure.sources).streams
    for sources, seeds in (({"streams": ["dropout"]}, {"count": 4}), (True, {"count": 4, "vary": ["dropout"]})):
        with pytest.raises(ConfigError, match=r"measure\.sources.*no regularizer here draws from it"):
            parse_study(study_of(sources, **plain) | {"seeds": seeds})


@pytest.mark.parametrize(
    ("sources", "changes", "words"),
    [
        ({"streams": ["subset"]}, {}, "streams of seeds.vary"),
        ({"streams": ["ordre"]}, {}, 'did you mean "order"'),
        ({"streams": ["init", "init"]}, {}, "streams without doubles"),
        ({"seeds": 3}, {}, "an even integer >= 2"),
        ({"seeds": 6}, {}, "at most seeds.count = 4"),
        ({"cells": "some"}, {}, '"all" or "baseline"'),
        ("all", {}, "true, or a table"),
        ({"count": 3}, {}, "measure.sources has"),
        (True, {"seeds": {"count": 1}}, "at most seeds.count = 1"),
        (True, {"seeds": {"pilot": 2, "max": 9, "halfwidth": 0.1}}, "sources beside seeds.count"),
        (True, {"seeds": {"count": 4, "replicates": {"kind": "disjoint", "parts": 2}}}, "seeds that are independent"),
        (True, {"seeds": {"count": 60_000}}, "at most 100000"),
    ],
)
def test_mistakes_are_told(sources: Any, changes: dict[str, Any], words: str) -> None:
    """Every wrong table says what was expected."""
    study = study_of(sources) | changes
    with pytest.raises(ConfigError) as caught:
        parse_study(study)
    assert words in str(caught.value)


def test_plan_counts_the_further_runs() -> None:
    """The text says how many of the runs redraw a stream, and the cost is that of all."""
    text = preview(study_of({"streams": ["init", "order"]}))

    assert "sources of variance: 16 of the runs redraw one of init, order" in text
    assert "24 runs of 6 updates" in text
