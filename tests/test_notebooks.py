"""The notebooks run with tiny settings, without network, and are stored without outputs."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
TINY = "SEEDS, EPOCHS = 3, 2"
# Whatever asks for the address of another machine fails.
NO_NETWORK = """
import socket

def refuse(*_, **__):
    raise OSError("a notebook asked for the network")

socket.getaddrinfo = socket.create_connection = refuse
"""
# What has to be among the outputs: tables of effects, figures, files, words.
SHOWN: dict[str, tuple[str, ...]] = {
    "01_dropout_effect": ("0.5 vs 0", "seeds_positive", "image/png", "report.html", "regjax data prepare mnist"),
    "02_own_ablation": ("drouput.hidden", "did you mean", "0.3 x label_smoothing", "0.1 vs 0", "12 already done"),
    "03_own_parts": ("fourth_powers.strength: 0.01 vs 0", "better", "array("),
    "04_read_results": ("l2.strength: 0.001 vs 0", "image/png", "taken for", "kernel", "array("),
    "05_colab_kaggle": ("jaxlib", "jax trains on: cpu", "input_noise.scale: 0.1 vs 0", "48 already done", "True"),
}


def read(path: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook; sources as one text."""
    return [cell | {"source": "".join(cell["source"])} for cell in json.loads(path.read_text())["cells"]]


def code(path: Path) -> list[str]:
    """Return the sources of the code cells."""
    return [cell["source"] for cell in read(path) if cell["cell_type"] == "code"]


def shown(notebook: Any) -> Iterator[str]:
    """Yield what the cells of a notebook have printed and shown, and of what kind."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        yield output.get("text", "")
        for kind, content in output.get("data", {}).items():
            yield f"{kind}\n{content}"


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """Return a function that executes a notebook, tiny, in an empty folder and without network, and returns it."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.delenv("MPLBACKEND", raising=False)

    def run(path: Path) -> Any:
        notebook = nbformat.read(path, as_version=4)
        place = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
        notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(TINY + NO_NETWORK))
        nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
        return notebook

    return run


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_its_answers(path: Path, execute: Callable[[Path], Any]) -> None:
    """Every cell runs with three seeds and two epochs; tables, figures and words that it is about are shown."""
    text = "\n".join(shown(execute(path)))

    assert [words for words in SHOWN[path.stem] if words not in text] == []


def test_run_all_ends_before_it_trains_on_the_wrong_device(
    execute: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a GPU was chosen on Colab and jax has the CPU, notebook 05 stops with the warning, and trains nothing."""
    monkeypatch.setenv("COLAB_GPU", "1")
    failed = pytest.importorskip("nbclient.exceptions").CellExecutionError
    with pytest.raises(failed, match="although this seems to be a GPU machine"):
        execute(FOLDER / "05_colab_kaggle.ipynb")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_as_text_that_explains(path: Path) -> None:
    """No outputs and counts are stored; one cell has the parameters; words stand before every code cell."""
    cells = read(path)
    lone = [i for i, cell in enumerate(cells) if cell["cell_type"] == cells[i - 1]["cell_type"] == "code" and i]

    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
    assert [cell["metadata"].get("tags") for cell in cells].count(["parameters"]) == 1
    assert sum("SEEDS, EPOCHS = " in source for source in code(path)) == 1
    assert lone == []
    assert max(len(source.splitlines()) for source in code(path)) <= 45


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_downloads_nothing(path: Path) -> None:
    """No cell fetches anything; what installs does so only where regjax is absent."""
    for source in code(path):
        assert not re.search(r"wget|curl|urllib|requests|https?://|apt(-get)? |download", source)
        if "install" in source:
            guard = ast.parse(source).body[-1]
            assert isinstance(guard, ast.If)
            assert "find_spec" in ast.unparse(guard.test)
