"""docs/promises.md, P14: scripts/slurm.sh in a real Slurm of one node, which the tests start for themselves."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regjax import store

ROOT = Path(__file__).parents[2]
DAEMONS = ("munged", "slurmctld", "slurmd")
SEARCHED = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
MISSING = [name for name in (*DAEMONS, "sbatch") if shutil.which(name, path=SEARCHED) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no Slurm to start here: {', '.join(MISSING)} not found")

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
STUDY = str(ROOT / "configs" / "quickstart.toml")
# Some ten seconds of training.
CHANGES = ["training.epochs=200", "seeds.count=2", "training.evaluate_every={ epochs = 5 }", "training.keep=none"]


def wait_for(what: str, found: Callable[[], bool], seconds: float = 120) -> None:
    """Return once something is so; fail where it is not within seconds."""
    for _ in range(int(seconds / 0.1)):
        if found():
            return
        time.sleep(0.1)
    pytest.fail(f"after {seconds} s not so: {what}")


class Slurm:
    """A cluster of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PATH": SEARCHED, "SLURM_CONF": str(folder / "slurm.conf")}

    def call(self, *words: str) -> str:
        """Return what a command of Slurm prints."""
        return subprocess.run(words, env=self.environment, check=True, capture_output=True, text=True).stdout

    def submit(self, *words: str, regjax: str, options: tuple[str, ...] = ()) -> str:
        """Return the number of a new job of scripts/slurm.sh, in whose place of regjax stands a program."""
        program = self.folder / "regjax"
        program.write_text(f"#!/usr/bin/env bash\n{regjax}")
        program.chmod(0o755)
        self.environment["REGJAX"] = str(program)
        output = f"--output={self.folder}/job-%j.txt"
        said = self.call("sbatch", "--parsable", output, *options, str(ROOT / "scripts" / "slurm.sh"), *words)
        return said.strip()

    def job(self, job: str) -> dict[str, str]:
        """Return what Slurm knows of a job, such as its JobState, Restarts and ExitCode."""
        words = self.call("scontrol", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """Return a Slurm with one node of two cores: this machine."""
    folder = tmp_path_factory.mktemp("slurm")
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = one.getsockname()[1], other.getsockname()[1]
    host, user = socket.gethostname().partition(".")[0], pwd.getpwuid(os.getuid()).pw_name
    config = CONFIG.format(host=host, user=user, folder=folder, ports=ports, cpus=min(2, os.cpu_count() or 1))
    (folder / "slurm.conf").write_text(config)
    cluster, started = Slurm(folder), []
    here = [f"--{key}={folder / name}" for key, name in (("key-file", "munge.key"), ("socket", "munge.socket"),
            ("pid-file", "munged.pid"), ("log-file", "munged.log"), ("seed-file", "munged.seed"))]  # fmt: skip
    commands = [["munged", "--foreground", "--force", *here], ["slurmctld", "-D"], ["slurmd", "-D"]]
    try:
        for command in commands:
            path = shutil.which(command[0], path=SEARCHED)
            with (folder / f"{command[0]}.said").open("w") as said:
                started.append(
                    subprocess.Popen([str(path), *command[1:]], env=cluster.environment, stdout=said, stderr=said)
                )
            if command[0] == "munged":
                wait_for("munged listens", (folder / "munge.socket").exists)
        wait_for("the node is idle", lambda: "idle" in cluster.call("sinfo", "--noheader"))
        yield cluster
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            process.wait(30)


def digest(out: Path) -> str:
    """Return the digest of the records of a folder, in one order."""
    return store.digest_records(store.load_records(out).sort_values(["run", "step"], ignore_index=True))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the digest of the study that was left alone."""
    out = tmp_path_factory.mktemp("alone") / "out"
    # As the jobs do it: in a process with as many devices as theirs, for bits may depend on runs per device.
    command = [sys.executable, "-m", "regjax", "run", STUDY, "--out", str(out), *CHANGES]
    subprocess.run(command, check=True, capture_output=True)
    return digest(out)


REGJAX = f'exec "{sys.executable}" -m regjax "$@"\n'


def test_a_preempted_job_goes_on_to_the_same_results(slurm: Slurm, alone: str, tmp_path: Path) -> None:
    """P14: SIGTERM to a job in a real Slurm saves and requeues it, and its second life ends in the same records."""
    out = tmp_path / "out"
    job = slurm.submit(STUDY, str(out), *CHANGES, regjax=REGJAX)
    wait_for("the job trains", lambda: any(out.glob("chunks/*/*")))
    slurm.call("scancel", "--batch", "--signal=TERM", job)
    wait_for("the job is back in the queue", lambda: slurm.job(job)["JobState"] == "PENDING")

    assert slurm.job(job)["Restarts"] == "1"
    assert not list(out.glob("report.html"))
    # Slurm holds a requeued job back for two minutes. Started within the same second, its node refuses it.
    slurm.call("scontrol", "update", f"JobId={job}", "StartTime=now+3seconds")
    wait_for("the job is done", lambda: slurm.job(job)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING"))
    assert (slurm.job(job)["JobState"], slurm.job(job)["ExitCode"]) == ("COMPLETED", "0:0")
    assert digest(out) == alone


def test_jobs_of_an_array_share_the_runs(slurm: Slurm, alone: str, tmp_path: Path) -> None:
    """P6: two tasks of a job array train one study between them and end in the records of one process."""
    out = tmp_path / "out"
    job = slurm.submit(STUDY, str(out), *CHANGES, regjax=REGJAX, options=("--array=1-2",))
    wait_for("both are done", lambda: slurm.call("squeue", "--noheader", "--jobs", job) == "")

    for task in ("1", "2"):
        assert slurm.job(f"{job}_{task}")["ExitCode"] == "0:0"
    assert digest(out) == alone


def test_the_end_of_its_time_requeues_a_job(slurm: Slurm) -> None:
    """P14: before a job's time is over Slurm sends the signal that the script asks for, and the job is requeued."""
    waits = "trap 'exit 75' TERM\nwhile :; do sleep 0.1; done\n"
    job = slurm.submit("study.toml", "out", regjax=waits, options=("--time=1",))
    wait_for("the job is back in the queue", lambda: slurm.job(job)["Restarts"] == "1")
    slurm.call("scancel", job)


def test_a_job_that_fails_is_not_requeued(slurm: Slurm, tmp_path: Path) -> None:
    """P14: a study file that is not there fails the job with the code of regjax, and it does not come back."""
    out = tmp_path / "out"
    job = slurm.submit("none.toml", str(out), regjax=REGJAX)
    wait_for("the job has failed", lambda: slurm.job(job)["JobState"] == "FAILED")

    assert (slurm.job(job)["ExitCode"], slurm.job(job)["Restarts"]) == ("2:0", "0")
