"""P10: nothing executes from data or study files."""

import ast
import gzip
import io
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hostile_study import HostileRun
from report_folders import two_cells

import regjax
from regjax.config import load_study
from regjax.data import load_dataset
from regjax.data.cache import load_cached
from regjax.data.idx import read_idx
from regjax.data.prepared import describe
from regjax.files import RegjaxError
from regjax.train.checkpoint import load_leaves

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("regjax", "scripts") for path in (ROOT / folder).rglob("*.py"))
CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "runpy"}
METHODS = {"read_pickle", "to_pickle", "popen", "import_module", "extractall", "unpack_archive", "mktemp", "eval"}
ALLOWED = {
    "scripts/peers/torch_eager.py": "model.eval()",  # of torch: how a network is set to predict
    "scripts/peers/keras_fit.py": "__import__(name)",  # of the backend that Keras has imported
    "scripts/peers/worker.py": "importlib.import_module(f'peers.{self.name}')",  # of the benchmark's own table
}


def find_dangers(source: str) -> list[str]:
    """Return the calls and imports of a source by which content of a file could be executed."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module or ""] if (node.module or "").split(".")[0] in MODULES else []
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            bare = isinstance(node.func, ast.Name)
            keys = {key.arg: ast.unparse(key.value) for key in node.keywords}
            owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            dangerous = (bare and name in CALLS) or (not bare and name in METHODS)
            # np.load and read_array unpickle unless told not to; torch.load always does.
            dangerous |= owner in ("np", "numpy", "torch") and name == "load" and keys.get("allow_pickle") != "False"
            dangerous |= owner == "os" and name.startswith(("system", "exec", "spawn"))
            dangerous |= name == "read_array" and keys.get("allow_pickle") != "False"
            dangerous |= keys.get("shell", "False") != "False" or keys.get("allow_pickle") == "True"
            found += [ast.unparse(node)] if dangerous else []
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_can_execute_what_it_reads(path: Path) -> None:
    """No source calls eval, exec or a shell, imports a pickling module, or loads arrays without allow_pickle=False."""
    name = str(path.relative_to(ROOT))

    assert [danger for danger in find_dangers(path.read_text()) if danger != ALLOWED.get(name)] == []


def test_the_scan_finds_what_it_looks_for() -> None:
    """Each of the ways to execute a file is seen, and their harmless relatives are not."""
    bad = [
        "eval(x)", "exec(x)", "compile(x, '', 'exec')", "__import__(x)", "import pickle", "from yaml import load",
        "import os.path, joblib.memory", "np.load(p)", "np.load(p, allow_pickle=True)", "numpy.load(p)",
        "torch.load(p)",
        "np.save(p, x, allow_pickle=True)", "np.lib.format.read_array(f)", "subprocess.run(x, shell=True)",
        "subprocess.Popen(x, shell=flag)", "os.system(x)", "pd.read_pickle(p)", "frame.eval(x)",
        "importlib.import_module(x)", "tar.extractall()",
    ]  # fmt: skip
    good = ["re.compile(x)", "lowered.compile()", "np.load(p, allow_pickle=False)", "json.loads(x)", "tomllib.load(f)",
            "subprocess.run([a], check=True)", "platform.system()", "ast.literal_eval(x)"]  # fmt: skip

    assert [code for code in bad if not find_dangers(code)] == []
    assert [code for code in good if find_dangers(code)] == []


class Trap:
    """An object whose unpickling leaves a canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.canary,))


def object_file(trap: Trap, form: str) -> bytes:
    """Return a pickle of the trap, or arrays that hold it: "npy", "npz", "record" (as in an array cache)."""
    file, objects = io.BytesIO(), np.array([trap] * 4, dtype=object)
    if form == "npy":
        np.save(file, objects, allow_pickle=True)
    elif form == "npz":
        np.savez(file, x=objects, y=objects, allow_pickle=True)
    elif form == "record":
        record = np.empty(1, [("x", object), ("y", object), ("stamp", "S16")])
        record["x"][0] = record["y"][0] = trap
        np.save(file, record, allow_pickle=True)
    else:
        pickle.dump(trap, file)
    return file.getvalue()


def read_as(place: str, path: Path, out: Path) -> object:
    """Read a file as the data, the study, the numbers or the part of a run directory that it pretends to be."""
    readers: dict[str, Callable[[], object]] = {
        "own.npz": lambda: load_dataset("arrays", path=path),
        "study.toml": lambda: load_study(path),
        "runs.csv": lambda: regjax.analyze(path, "accuracy"),
        "runs.parquet": lambda: regjax.analyze(path, "accuracy"),
        "dataset_info.json": lambda: describe(path.parent),
        "images.gz": lambda: read_idx(path, (2, 2)),
    }
    if place in readers:
        return readers[place]()
    if place.startswith("params"):
        return load_leaves(out / place)
    return regjax.load_results(out).summary()


@pytest.mark.parametrize("form", ["pickle", "npy", "npz"])
@pytest.mark.parametrize(
    "place",
    ["own.npz", "study.toml", "runs.csv", "runs.parquet", "dataset_info.json", "images.gz", "out/plan.json",
     "out/runs.parquet", "out/chunks/chunk0/done-00000.json", "out/chunks/chunk0/seg-00000.parquet"],
)  # fmt: skip
def test_pickles_are_not_loaded(finished: Path, tmp_path: Path, place: str, form: str) -> None:
    """A pickle in the place of any file that regjax reads is an error that says so, and is not unpickled."""
    canary = tmp_path / "CANARY"
    shutil.copytree(finished, tmp_path / "out")
    content = object_file(Trap(canary), form)
    (tmp_path / place).write_bytes(gzip.compress(content) if place.endswith(".gz") else content)

    with pytest.raises(RegjaxError):
        read_as(place, tmp_path / place, tmp_path / "out")
    assert not canary.exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished study of two cells."""
    return two_cells(tmp_path_factory.mktemp("finished"))


def test_the_trap_would_spring(tmp_path: Path) -> None:
    """The canary of these tests is left where a pickle is loaded."""
    canary = tmp_path / "CANARY"
    assert not canary.exists()
    pickle.loads(object_file(Trap(canary), "pickle"))
    assert canary.exists()


def test_an_array_cache_with_objects_is_not_loaded(tmp_path: Path) -> None:
    """A cache file with pickled objects counts as no cache."""
    canary = tmp_path / "CANARY"
    for form in ("record", "npz", "pickle"):
        (tmp_path / "cache.npy").write_bytes(object_file(Trap(canary), form))
        assert load_cached([tmp_path / "cache.npy"], "source", lambda x, y: pytest.fail("it was read")) is None
    assert not canary.exists()


def test_texts_of_a_study_are_texts(hostile_run: HostileRun) -> None:
    """Python, shell, templates and YAML tags in names of a study run nowhere: they are said as they were written."""
    assert not list(hostile_run.around.rglob("CANARY*"))
    page = (hostile_run.out / "report.html").read_text()
    assert "{{ 7*7 }}" in page
    assert "{% raise %}" in page
    assert "__import__(&#39;pathlib&#39;).Path(&#39;CANARY&#39;).touch()" in page
    assert "{{ 7*7 }}" in hostile_run.printed
    assert "{{ 7*7 }}" in set(pd.read_csv(hostile_run.out / "effects.csv")["contrast"])


@pytest.mark.parametrize(
    "override",
    ["seeds.count=__import__('pathlib').Path('CANARY').touch()", "seeds.count=${CANARY}", "seeds.count=$(touch CANARY)",
     "seeds.__class__=1", "__import__('os')=1", "seeds.count={{ 7 }}"],
)  # fmt: skip
def test_overrides_are_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str) -> None:
    """An override that is code is a wrong value of its key, told like any other."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegjaxError):
        load_study(ROOT / "configs" / "quickstart.toml", [override])
    assert not list(tmp_path.iterdir())
