"""docs/promises.md: killed, told to end, out of disk or damaged, a study ends in the results of one left alone."""

import io
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import crash_worker
import numpy as np
import pytest
from killed import Workers, results
from studies import tiny

import regjax
from regjax import store
from regjax.files import StoreError
from regjax.leases import read_leases
from regjax.progress import Progress
from regjax.queue import find_checkpoints

# Orbax leaves tasks of its own behind where it cannot read a checkpoint.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
TESTS = Path(__file__).parent
NAMED = ["after a segment file", "inside a checkpoint", "after the checkpoint", "before done.json", "after done.json",
         "at a refill"]  # fmt: skip


def assert_stays(before: dict[Path, bytes], out: Path, whole: dict[str, tuple[str, ...]]) -> dict[Path, bytes]:
    """Assert that what was reported done is as it was, and right; return what is reported now."""
    now = {path: path.read_bytes() for path in out.glob("chunks/*/done-*.json")}
    assert before.items() <= now.items()
    assert results(out).items() <= whole.items()
    return now


def test_killed_at_each_named_point_equals_uninterrupted(workers: Workers, whole: Any, tmp_path: Path) -> None:
    """P1, P2: killed once at each named point in turn, the study ends in the same results, and what is done stays."""
    out, done = tmp_path / "out", {}
    for point in NAMED:
        assert workers.train(out, point=(point, 2)) == -9
        done = assert_stays(done, out, whole)
    assert workers.train(out) == 0
    assert_stays(done, out, whole)

    assert results(out) == whole


def test_killed_at_random_moments_equals_uninterrupted(workers: Workers, whole: Any, tmp_path: Path) -> None:
    """P1, P2: killed at 20 seeded moments of training, the study ends in the same results, and what is done stays."""
    kills, attempts = 0, 0
    done: dict[Path, bytes] = {}
    for wait in np.random.default_rng(7).uniform(0.0, 1.2, 60):
        out = tmp_path / str(attempts)
        if workers.train(out, after=wait) == 0:
            assert results(out) == whole
            attempts, done = attempts + 1, {}
        else:
            kills += 1
            done = assert_stays(done, out, whole)
        if kills == 20:
            break
    assert kills == 20
    assert workers.train(tmp_path / str(attempts)) == 0
    assert results(tmp_path / str(attempts)) == whole


def test_two_processes_share_the_runs(workers: Workers, whole: Any, tmp_path: Path) -> None:
    """P6: two processes on one folder train some of the runs each, and the results are those of one process."""
    out = tmp_path / "out"
    processes = workers.share(out, seconds=600, slow=0.05)
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0]
    assert results(out) == whole
    assert len({done["chunk"] for done in store.iter_done(out)}) == 2
    assert sum(len(done["runs"]) for done in store.iter_done(out)) == len(whole)
    assert {path.name for path in out.iterdir()} == {"plan.json", "runs.parquet", "chunks"}


def test_a_dead_process_is_taken_over_from_at_once(workers: Workers, whole: Any, tmp_path: Path) -> None:
    """P6: one of two is killed at a seeded moment; the other goes on with its queue, though leases last ten minutes."""
    for index, wait in enumerate(np.random.default_rng(11).uniform(0.0, 1.0, 2)):
        out = tmp_path / str(index)
        victim, other = workers.share(out, seconds=600, slow=0.05)
        victim.join(wait)
        victim.kill()
        victim.join()
        done = assert_stays({}, out, whole)
        other.join()

        assert other.exitcode == 0
        assert_stays(done, out, whole)
        assert results(out) == whole


def test_a_frozen_process_loses(workers: Workers, whole: Any, tmp_path: Path) -> None:
    """P6: one of two sleeps past its lease; the other ends the study, and awake again the first changes no result."""
    out = tmp_path / "out"
    victim, other = workers.share(out, seconds=1.0, slow=0.1)
    queues = [name for name in find_queues(out, victim.pid) if find_checkpoints(out, name)]
    while victim.is_alive() and not queues:
        victim.join(0.02)
        queues = [name for name in find_queues(out, victim.pid) if find_checkpoints(out, name)]
    os.kill(victim.pid, signal.SIGSTOP)
    other.join()
    frozen = victim.is_alive()
    done = assert_stays({}, out, whole)
    os.kill(victim.pid, signal.SIGCONT)
    victim.join()

    assert frozen
    assert [other.exitcode, victim.exitcode] == [0, 0]
    assert len(queues) == 1
    assert any("share" in queue for _, queue in store.iter_queues(out))
    assert_stays(done, out, whole)
    assert results(out) == whole
    assert not list(out.glob("chunks/*/checkpoint/*"))


def find_queues(out: Path, pid: int) -> list[str]:
    """Return the queues that a process trains."""
    return [name for name, holder in read_leases(out / "leases").items()
            if holder.told.get("pid") == pid and len(name) == 16]  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> str:
    """Return a file of the study, whose segments are left to the clock."""
    tables = {**crash_worker.STUDY, "training": {**crash_worker.STUDY["training"]}}
    del tables["training"]["save_every"]
    lines = []
    for name, table in tables.items():
        if isinstance(table, str):
            lines.insert(0, f"{name} = {json.dumps(table)}")
        else:
            lines += [f"[{name}]", *(f'"{key}" = {as_toml(value)}' for key, value in table.items())]
    path = tmp_path / "study.toml"
    path.write_text("\n".join(lines))
    return str(path)


def as_toml(value: Any) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {as_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


def test_signals_save_and_end(workers: Workers, whole: Any, study: str, tmp_path: Path) -> None:
    """P14: SIGTERM ends with 75, Ctrl-C with 130, each with the looks so far saved; the study ends in equal results."""
    out = str(tmp_path / "out")
    for number, code in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
        before = len(list(Path(out).glob("chunks/*/seg-*")))
        assert workers.command("run", study, "--out", out, signals=(number,), slow=0.5) == code
        assert len(list(Path(out).glob("chunks/*/seg-*"))) == before + 1
        assert list(Path(out).glob("chunks/*/checkpoint/*"))
    assert workers.command("run", study, "--out", out, "--max-seconds", "0.01", "--grace", "600") == 75
    assert "time limit of 0.01 s: ended early" in workers.said
    assert workers.command("run", study, "--out", out) == 0

    assert results(Path(out)) == whole


@pytest.mark.parametrize(("signals", "grace"), [((signal.SIGTERM, signal.SIGTERM), "600"), ((signal.SIGINT,), "0.2")])
def test_a_second_signal_or_the_end_of_grace_ends_at_once(
    workers: Workers, study: str, tmp_path: Path, signals: tuple[int, ...], grace: str
) -> None:
    """P14: in a look that takes an hour, a second signal ends the process, and so does the end of the grace period."""
    words = ("run", study, "--out", str(tmp_path / "out"), "--grace", grace)

    assert workers.command(*words, signals=signals, slow=3600) == {signal.SIGTERM: 75, signal.SIGINT: 130}[signals[0]]
    assert not list((tmp_path / "out").glob("chunks/*/seg-*"))


def test_a_full_disk_is_told_and_harmless(workers: Workers, whole: Any, study: str, tmp_path: Path) -> None:
    """P3: where files cannot grow the run ends with 1 and a path, and run again it ends in the same results."""
    out = tmp_path / "out"
    for limit, name in ((1000, "runs.parquet"), (22_000, "seg-")):
        assert workers.command("run", study, "--out", str(out), limit=limit) == 1
        last = workers.said.strip().splitlines()[-1]
        assert last.startswith("regjax: cannot write ")
        assert name in last
        assert results(out).items() <= whole.items()
    assert workers.command("run", study, "--out", str(out)) == 0

    assert results(out) == whole


def test_the_slurm_script_requeues_what_was_ended_early(tmp_path: Path) -> None:
    """P14: the job passes SIGTERM on and asks for its requeue on 75; any other exit code is its own."""
    (tmp_path / "scontrol").write_text('#!/bin/sh\necho "$@" >> "$(dirname "$0")/asked"\n')
    (tmp_path / "regjax").write_text(
        "#!/usr/bin/env bash\ntrap 'exit 75' TERM\n"
        "[[ $2 == wait.toml ]] && { echo on; while :; do sleep 0.05; done; }\nexit 2\n"
    )
    for name in ("scontrol", "regjax"):
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "SLURM_JOB_ID": "17", "REGJAX": str(tmp_path / "regjax")}
    script = [str(TESTS.parent / "scripts" / "slurm.sh")]
    with subprocess.Popen([*script, "wait.toml", "out"], env=environment, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "on\n"
        job.terminate()
    assert job.returncode == 0
    assert subprocess.run([*script, "wrong.toml", "out"], env=environment, check=False).returncode == 2
    assert subprocess.run(script, env=environment, check=False, capture_output=True).returncode == 2

    assert (tmp_path / "asked").read_text() == "requeue 17\n"


def test_too_little_room_is_told_before_the_start(tmp_path: Path) -> None:
    """P3: a study that takes more than the disk has is refused with both figures, and nothing is trained."""
    out = tmp_path / "out"
    with pytest.raises(StoreError, match=r"will take about [\d,]{7,} MiB, and [\d,]+ MiB are free there: make room"):
        regjax.run(tiny(training__epochs=10**8), out, progress=Progress(io.StringIO(), live=False), report=False)

    assert not list(out.rglob("seg-*"))
