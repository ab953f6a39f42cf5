"""Studies whose number of seeds a pilot decides: what is trained, what is reused, what the study file may say."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from studies import tiny

import regjax
from regjax.config import ConfigError, parse_study, study_json
from regjax.preview import make_preview, preview
from regjax.progress import Progress

STAGES = {"pilot": 3, "max": 5, "halfwidth": 0.4}


def run(out: Path, **seeds: Any) -> tuple[regjax.Results, str]:
    """Return the results of the tiny study with these seeds, and what was said."""
    said = io.StringIO()
    study = tiny(seeds={**STAGES, **seeds}, training__epochs=2)
    return regjax.run(study, out, progress=Progress(said, live=False), report=False), said.getvalue()


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """Return what came of a wide interval, the same again, a narrow one, the same again, a larger cap."""
    out = tmp_path_factory.mktemp("stages") / "out"
    wishes = [{}, {}, {"halfwidth": 1e-4}, {"halfwidth": 1e-4}, {"halfwidth": 1e-4, "max": 6}]
    found = []
    for wish in wishes:
        results, said = run(out, **wish)
        found.append((results, said, results.plan, results.effects(), results.table.records.copy()))
    return found


def test_a_wide_interval_takes_the_pilot_alone(stages) -> None:
    """Where the pilot is enough its seeds are all; the plan keeps why."""
    _, said, plan, effects, _ = stages[0]

    assert plan["seeds"] == [0, 1, 2]
    assert plan["stein"]["needed"] == plan["stein"]["seeds"] == 3
    assert "pilot: 6 runs in 1 group(s), 0 already done" in said
    assert "training: 6 runs in 1 group(s), 6 already done" in said
    assert effects["p"].isna().all()
    assert np.isfinite(effects["low"]).all()


def test_again_trains_nothing(stages) -> None:
    """The same study again trains no run and finds the same number of seeds and the same effects."""
    for first, again in ((0, 1), (2, 3)):
        total = len(stages[again][2]["seeds"]) * 2
        assert "pilot:" not in stages[again][1]
        assert f"training: {total} runs in 1 group(s), {total} already done" in stages[again][1]
        assert stages[first][2]["stein"] == stages[again][2]["stein"]
        pd.testing.assert_frame_equal(stages[first][3], stages[again][3])


def test_a_narrow_interval_takes_the_cap(stages) -> None:
    """The pilot's runs are reused, the others are trained up to the cap, the width asked for is not reached."""
    _, said, plan, effects, records = stages[2]
    old = stages[0][4]

    assert plan["seeds"] == [0, 1, 2, 3, 4]
    assert plan["stein"]["needed"] > plan["stein"]["seeds"] == 5
    assert "6 already done" in said
    assert "capped at seeds.max = 5" in said
    assert effects["n"].tolist() == [5]
    assert (effects["high"] - effects["low"] > 2e-4).all()
    kept = records[records["seed"] < 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, old.reset_index(drop=True))


def test_a_larger_cap_adds_seeds(stages) -> None:
    """A larger cap trains the new seeds only; what the pilot says stays, since it is of the pilot seeds alone."""
    _, said, plan, _, _ = stages[4]

    assert plan["seeds"] == [0, 1, 2, 3, 4, 5]
    assert "training: 12 runs in 1 group(s), 10 already done" in said
    assert "note:" not in said
    assert plan["stein"]["sd"] == stages[0][2]["stein"]["sd"]
    assert plan["stein"]["needed"] == stages[2][2]["stein"]["needed"]


def test_tuning_comes_first(tmp_path: Path) -> None:
    """With a [tune] table the hypers are chosen first, then the pilot is trained with them, then the rest."""
    said = io.StringIO()
    study = tiny(
        seeds={**STAGES, "max": 4, "halfwidth": 1e-4},
        training__epochs=1,
        tune={"optimizer.learning_rate": [0.001, 0.01], "seeds": 1},
    )
    results = regjax.run(study, tmp_path / "out", progress=Progress(said, live=False), report=False)
    told = said.getvalue()

    assert told.index("tuning:") < told.index("pilot:") < told.index("training:")
    assert results.plan["seeds"] == [0, 1, 2, 3]
    assert set(results.plan["tuned"]) == {"0", "1"}
    assert results.table.status.done.all()


def test_the_plan_knows_what_the_pilot_has_asked_for(stages) -> None:
    """Of a folder whose pilot is done `regjax plan --out` counts the seeds that it asked for; else those of a pilot."""
    study = tiny(seeds={**STAGES, "halfwidth": 1e-4, "max": 6}, training__epochs=2)
    known, unknown = (make_preview(study, out=out) for out in (stages[-1][0].out, None))

    assert (known["runs"], known["stored"]["runs"], known["stored"]["done"]) == (12, 12, 12)
    assert unknown["runs"] == 6


def test_the_plan_says_the_range() -> None:
    """`regjax plan` says how many seeds there may be, and promises no p-value."""
    text = preview(tiny(seeds=STAGES, training__epochs=1))

    assert "2 cells x 3 to 5 seeds" in text
    assert "two-stage (Stein) intervals, no p-values" in text


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ({}, "exactly one of count and pilot"),
        ({"count": 3, "pilot": 3}, "exactly one of count and pilot"),
        ({"count": 3, "max": 9}, "either count, or all of pilot, max and halfwidth"),
        ({"pilot": 3, "max": 9}, "either count, or all of pilot, max and halfwidth"),
        ({**STAGES, "pilot": 1}, "2 <= pilot <= max"),
        ({**STAGES, "max": 2}, "2 <= pilot <= max"),
        ({**STAGES, "halfwidth": 0.0}, "a number > 0"),
        ({**STAGES, "halfwidth": 0.5}, "half a percentage point is 0.005"),
        ({**STAGES, "max": 90_000}, "at most 100000 runs"),
    ],
)
def test_wrong_seeds_are_refused(seeds: dict[str, Any], words: str) -> None:
    """Both forms at once, half a form, a pilot without an SD and widths in percent are refused in words."""
    with pytest.raises(ConfigError, match=words):
        parse_study(tiny(seeds=seeds))


def test_the_study_survives_json() -> None:
    """A study in two stages as JSON parses to the same study."""
    study = parse_study(tiny(seeds=STAGES))

    assert parse_study(study_json(study)) == study
    assert list(study.seeds.numbers) == [0, 1, 2, 3, 4]
