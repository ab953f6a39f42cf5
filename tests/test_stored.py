"""What a run directory holds of a study already, and how it is told what differs."""

import functools
import io
import shutil
from pathlib import Path
from typing import Any

import jax
import own_parts
import pytest
from studies import tiny

import regjax
from regjax import cli, codes, conductor, runtime, store
from regjax.data import Dataset
from regjax.plan import Plan, make_plan
from regjax.preview import make_preview, preview_text
from regjax.progress import Progress
from regjax.stored import CODE, DATA, FLAGS, MODEL, compare_machines, find_changes, list_earlier

SMALL: dict[str, Any] = {"training__epochs": 1, "seeds__count": 2}


@functools.cache
def digits() -> Dataset:
    """Return the embedded data set."""
    return regjax.load_dataset("digits")


def plan_of(study: dict[str, Any], data: Dataset | None = None, **given: Any) -> Plan:
    """Return the plan of a study."""
    return make_plan(regjax.parse_study(study, **given), data or digits())


def run(study: dict[str, Any], out: Path, **given: Any) -> tuple[regjax.Results, str]:
    """Return the results of a study, and what was said."""
    said = io.StringIO()
    return regjax.run(study, out, progress=Progress(said, live=False), report=False, **given), said.getvalue()


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a finished small study."""
    return run(tiny(**SMALL), tmp_path_factory.mktemp("stored") / "out")[0].out


@pytest.fixture
def copy(out: Path, tmp_path: Path) -> Path:
    """Return a copy of it to change."""
    return Path(shutil.copytree(out, tmp_path / "out"))


def test_the_plan_has_versions_commit_devices_and_flags(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every plan says what it was made on; of the environment the flags of XLA and jax, folders left out."""
    monkeypatch.setenv("JAX_DEFAULT_MATMUL_PRECISION", "float32")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/somewhere")
    run(tiny(**SMALL), copy)
    plan = store.load_plan(copy)

    assert plan["schema"] == store.SCHEMA
    assert {"regjax", "python", "jax", "jaxlib", "flax", "optax", "numpy"} <= plan["versions"].keys()
    assert plan["devices"] == ["cpu x 4"]
    assert "commit" in plan
    assert plan["code"] == codes.code_digest(())
    assert "--xla_cpu_multi_thread_eigen=false" in plan["flags"]["XLA_FLAGS"]
    assert plan["flags"]["JAX_DEFAULT_MATMUL_PRECISION"] == "float32"
    assert "JAX_COMPILATION_CACHE_DIR" not in plan["flags"]


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git is not installed the plan says nothing of a commit, and nothing fails."""
    monkeypatch.setenv("PATH", "")
    assert conductor.describe_machine(runtime.configure())["commit"] is None


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({}, []),
        ({"seeds__count": 5}, []),
        ({"training__keep_checkpoints": True}, []),
        ({"training__batch_size": 16}, ["training.batch_size"]),
        ({"optimizer__learning_rate": 0.01, "model__widths": [8]}, ["model.widths", "optimizer.learning_rate"]),
        ({"factors": {"dropout.hidden": [0.0, 0.2]}}, ["factors.dropout.hidden"]),
    ],
)
def test_changed_keys_of_a_study_are_named(out: Path, changes: dict, keys: list[str]) -> None:
    """What a study says otherwise than the stored one is named by its path; more seeds or kept checkpoints are not."""
    assert find_changes(out, plan_of(tiny(**{**SMALL, **changes})), digits()) == keys


def test_what_no_study_says_is_named_too(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other data, other code and settings of jax that change numbers give other runs, and are named."""
    plan, done = plan_of(tiny(**SMALL)), set(store.done_runs(out))
    other = regjax.make_dataset("digits", digits().x[::-1], digits().y[::-1], peak=16.0)
    assert {run.id for run in plan.runs} == done
    assert find_changes(out, plan_of(tiny(**SMALL), other), other) == [DATA]

    with monkeypatch.context() as patched:
        patched.setattr(codes, "ENGINE", (*codes.ENGINE, "cli.py"))
        codes.code_digest.cache_clear()
        changed = plan_of(tiny(**SMALL))
        assert find_changes(out, changed, digits()) == [CODE]
        assert not {run.id for run in changed.runs} & done
    codes.code_digest.cache_clear()

    for name, value in (("jax_threefry_partitionable", False), ("jax_random_seed_offset", 3)):
        usual = getattr(jax.config, name)
        jax.config.update(name, value)
        try:
            changed = plan_of(tiny(**SMALL))
        finally:
            jax.config.update(name, usual)
        assert find_changes(out, changed, digits()) == [FLAGS]
        assert not {run.id for run in changed.runs} & done


def test_another_network_from_python_is_named(tmp_path: Path) -> None:
    """Runs of another function given as the network are new, and the network is what is named."""
    study = tiny(model={"name": "custom"}, **SMALL, factors={"l2.strength": [0.0, 0.05]})
    results, _ = run(study, tmp_path / "out", model=own_parts.PLAIN)
    changed = plan_of(study, model=own_parts.make_scaled(2.0))

    assert find_changes(results.out, plan_of(study, model=own_parts.PLAIN), digits()) == []
    assert find_changes(results.out, changed, digits()) == [MODEL]
    assert not {run.id for run in changed.runs} & set(store.done_runs(results.out))


def test_a_damaged_table_of_runs_hinders_nothing(copy: Path) -> None:
    """Where runs.parquet is damaged the study is compared by its plan, and the next run writes the table anew."""
    whole = (copy / "runs.parquet").read_bytes()
    (copy / "runs.parquet").write_bytes(whole[:100])

    assert find_changes(copy, plan_of(tiny(**SMALL, training__batch_size=16)), digits()) == ["training.batch_size"]
    assert "4 already done" in run(tiny(**SMALL), copy)[1]
    assert len(store.load_runs(copy)) == 4


def test_changed_runs_are_trained_beside_the_old_ones(copy: Path) -> None:
    """With another batch size all runs are new; the files of the old ones stay, and going back trains nothing."""
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and "chunks" in path.parts}
    changed, said = run(tiny(**SMALL, training__batch_size=16), copy)
    back, again = run(tiny(**SMALL), copy)

    assert "differs in training.batch_size" in said
    assert "0 already done" in said
    assert len(store.done_runs(copy)) == 8
    assert changed.table.status.done.all()
    assert "4 already done" in again
    assert back.table.status.done.all()
    assert {path: path.read_bytes() for path in before} == before


def test_plan_says_how_much_a_directory_holds(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """`regjax plan --out` counts the runs that are there, names keys that differ, and writes nothing."""
    files = sorted(copy.rglob("*"))
    grown = make_preview(tiny(**{**SMALL, "seeds__count": 3}), out=copy)
    changed = make_preview(tiny(**SMALL, optimizer__learning_rate=0.01), out=copy)
    assert cli.main(["plan", "configs/quickstart.toml", "seeds.count=6", "training.epochs=5", "--out",
                     str(tmp_path / "none")]) == 0  # fmt: skip

    assert grown["stored"] == {"out": copy, "runs": 6, "done": 4, "differs": []}
    assert f"{copy}: 4 of 6 runs are done already\n" in preview_text(grown)
    assert changed["stored"]["done"] == 0
    assert "0 of 4 runs are done already; the stored study differs in optimizer.learning_rate" in preview_text(changed)
    assert "0 of 48 runs are done already" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()
    assert sorted(copy.rglob("*")) == files


def test_plan_knows_what_tuning_has_chosen(tmp_path: Path) -> None:
    """Of a tuned study that is done `plan --out` counts the runs of the chosen values, and all of them are there."""
    study = tiny(tune={"optimizer.learning_rate": [1e-6, 0.003], "seeds": 2}, **SMALL)
    results, _ = run(study, tmp_path / "out")
    found = make_preview(study, out=results.out)["stored"]

    assert (found["done"], found["runs"], found["differs"]) == (12, 12, [])


def test_runs_of_another_machine_are_reused_and_told(copy: Path) -> None:
    """Runs trained with other versions or devices are kept, a note says so, and the plan remembers both machines."""
    old = store.load_plan(copy)
    old["versions"]["jax"], old["devices"] = "0.1.0", ["cpu x 64"]
    store.write_json(copy / "plan.json", old)
    now = conductor.describe_machine(runtime.configure())
    _, said = run(tiny(**SMALL), copy)
    plan = store.load_plan(copy)

    assert f"trained with other devices (cpu x 64, now cpu x 4), jax (0.1.0, now {jax.__version__})" in said
    assert "4 already done" in said
    assert [machine["devices"] for machine in plan["earlier"]] == [["cpu x 64"]]
    assert plan["devices"] == ["cpu x 4"]
    assert compare_machines(copy, now) == []
    assert list_earlier(copy, now) == plan["earlier"]
    assert "trained with other" not in run(tiny(**SMALL), copy)[1]
    assert store.load_plan(copy)["earlier"] == plan["earlier"]


def test_a_directory_of_a_newer_regjax_is_left_alone(copy: Path, tmp_path: Path) -> None:
    """Run, plan, report and mirror refuse a directory of a newer schema, and leave its files as they are."""
    plan = store.read_json(copy / "plan.json")
    store.write_json(copy / "plan.json", {**plan, "schema": store.SCHEMA + 1})
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}

    for act in (
        lambda: run(tiny(**SMALL), copy),
        lambda: make_preview(tiny(**SMALL), out=copy),
        lambda: regjax.load_results(copy),
        lambda: run(tiny(**SMALL), tmp_path / "new", mirror=copy),
    ):
        with pytest.raises(store.NewerError, match="written by a newer regjax"):
            act()
    assert cli.main(["report", str(copy)]) == 1
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
