"""Settings of every test: four simulated CPU devices, strict array semantics, a compilation cache of its own."""

import os
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

os.environ["XLA_FLAGS"] = (os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false").strip()
os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis
import jax
import pytest

# The same examples in every run: a failure repeats, and a green run stays green.
hypothesis.settings.register_profile("fixed", derandomize=True, database=None)
hypothesis.settings.load_profile("fixed")

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")

TESTS = Path(__file__).parent
ROOT = TESTS.parent


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep compiled programs of tests out of the user's cache, and share them between tests."""
    os.environ["REGJAX_CACHE"] = str(tmp_path_factory.mktemp("xla"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder with the real data files, or skip: REGJAX_TEST_DATA, or shared/data beside the project."""
    folder = Path(os.environ.get("REGJAX_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "mnist").is_dir():
        pytest.skip(f"real data files are absent: {folder} (set REGJAX_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return processes that train the study of `crash_worker`, with a compilation cache of their own."""
    from killed import Workers

    made = Workers(tmp_path_factory.mktemp("cache"))
    with pytest.MonkeyPatch.context() as patch:
        # The server imports before it takes over this process's path.
        patch.setenv("PYTHONPATH", f"{TESTS}:{TESTS / 'train'}:{ROOT}")
        ensure_running()
    return made


@pytest.fixture(scope="session")
def left_alone(workers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of the study left alone."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert workers.train(out) == 0
    return out


@pytest.fixture(scope="session")
def whole(left_alone: Path) -> dict[str, tuple[str, ...]]:
    """Return the results of the study left alone."""
    from killed import results

    found = results(left_alone)
    assert len(found) == 4 * 12
    return found


@pytest.fixture(scope="session")
def engine() -> Any:
    """Return plan, program and compiled functions of the study of `continued`."""
    from continued import LAYOUT, STUDY, plan_of
    from populations import compiled

    return plan_of(), *compiled(2, LAYOUT, **STUDY)


@pytest.fixture(scope="session")
def uncut(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run directory of the study of `continued` that was trained without interruption."""
    from continued import go_on

    out = tmp_path_factory.mktemp("uncut")
    go_on(out, *engine)
    return out
