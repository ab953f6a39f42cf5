"""Processes that train one study into folders, what the folders hold then, and ways to damage them."""

import multiprocessing
import os
from pathlib import Path
from typing import Any

import crash_worker
import numpy as np

from regjax import store
from regjax.train import checkpoint


class Workers:
    """Processes that train the study of `crash_worker` into a folder, forked from a server that has imported it."""

    def __init__(self, cache: Path) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["crash_worker"])
        self.cache, self.said = cache, ""

    def train(
        self,
        out: Path,
        devices: int = 2,
        point: tuple[str, int] | None = None,
        after: float | None = None,
        seconds: float = 60.0,
    ) -> int:
        """Return how a process ended (0 or minus the signal): by itself, at a point, or killed `after` seconds.

        A lease that nobody renews for `seconds` is lost.
        """
        started = self.context.Event()
        arguments = (str(out), str(self.cache), devices, point, started, seconds)
        process = self.context.Process(target=crash_worker.train, args=arguments)
        process.start()
        if after is not None:
            while not started.wait(0.05) and process.is_alive():
                pass
            process.join(after)
            process.kill()
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    def share(self, out: Path, seconds: float, slow: float = 0.0) -> list[Any]:
        """Return two processes that train into one folder, once both are about to."""
        together = self.context.Barrier(3)
        arguments = (str(out), str(self.cache), seconds, slow, together)
        processes = [self.context.Process(target=crash_worker.share, args=arguments) for _ in range(2)]
        for process in processes:
            process.start()
        together.wait(120)
        return processes

    def command(self, *words: str, signals: tuple[int, ...] = (), slow: float = 0.0, limit: int = 0) -> int:
        """Return the exit code of a command, to which signals are sent from its first look on; `said` has its words."""
        started = self.context.Event()
        reader, writer = self.context.Pipe(duplex=False)
        arguments = ([*words], str(self.cache), slow, limit, started, writer)
        process = self.context.Process(target=crash_worker.command, args=arguments)
        process.start()
        writer.close()
        if signals:
            while not started.wait(0.05) and process.is_alive():
                pass
        for number in signals:
            assert process.pid is not None
            os.kill(process.pid, number)
            process.join(0.3)
        process.join()
        with os.fdopen(reader.fileno(), closefd=False) as pipe:
            self.said = pipe.read()
        reader.close()
        assert process.exitcode is not None
        return process.exitcode


def results(out: Path) -> dict[str, tuple[str, ...]]:
    """Return {run: digests of its records, kept arrays and predictions}; each record is there once."""
    records, found = store.load_records(out), {}
    assert not records.duplicated(["run", "step"]).any()
    rows = dict(iter(records.groupby("run")))
    for done in store.iter_done(out):
        part = store.Part(done["chunk"], done["segment"])
        leaves = checkpoint.load_leaves(part.params(out))
        predictions = store.read_table(part.predictions(out)).to_pandas()
        for place, run in enumerate(done["runs"]):
            kept = checkpoint.tree_digest({name: leaf[place] for name, leaf in leaves.items()})
            mine = predictions[predictions["run"] == run].drop(columns="run").to_numpy()
            found[run] = (store.digest_records(rows[run]), kept, checkpoint.tree_digest(mine))
    return found


def damage(path: Path, how: str, generator: np.random.Generator) -> None:
    """Delete a file, cut it in half, or flip one of its bits."""
    content = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[int(generator.integers(len(content)))] ^= 1 << int(generator.integers(8))
        path.write_bytes(bytes(content))
