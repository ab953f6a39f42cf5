"""The code of the guides runs, and their studies can be planned."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest
from documents import ROOT, find_blocks
from PIL import Image

from regjax.config import parse_study
from regjax.data import load_dataset
from regjax.plan import make_plan


def read_blocks(page: str, *languages: str) -> list[tuple[str, str]]:
    """Return the code blocks of a page of the guides."""
    return find_blocks((ROOT / "docs" / f"{page}.md").read_text(), *languages)


def start_study() -> dict[str, Any]:
    """Return the tables of the study in docs/start.md, on digits instead of a file."""
    ((_, text),) = read_blocks("start", "toml")
    return tomllib.loads(text) | {"data": {"name": "digits", "split": {"train": 200, "validation": 200, "test": 200}}}


@pytest.fixture
def plain_jax() -> Iterator[None]:
    """Give jax the settings that users have, in all threads."""
    strict = jax.config.jax_numpy_rank_promotion
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield
    jax.config.update("jax_numpy_rank_promotion", strict)


@pytest.mark.usefixtures("plain_jax")
@pytest.mark.parametrize("page", ["start", "own-parts"])
def test_the_code_of_a_guide_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks are one program that runs in a folder with pictures, here with two seeds and two epochs."""
    monkeypatch.chdir(tmp_path)
    for shade, kind in enumerate(("cat", "dog")):
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        Image.new("RGB", (40, 30), (shade, 0, 0)).save(tmp_path / "pictures" / kind / "1.png")
    names: dict[str, Any] = {"__name__": page}
    for language, code in read_blocks(page, "python", "toml"):
        if language == "toml":
            short = re.sub(r"^(epochs|count)( *)= \d+", r"\1\2= 2", code, flags=re.M)
            (tmp_path / "study.toml").write_text(short)
        else:
            # In a file, as a user's: the identity of a run holds the source of its parts.
            file = tmp_path / f"{len(list(tmp_path.glob('*.py')))}.py"
            file.write_text(re.sub(r"^SEEDS, EPOCHS = .*$", "SEEDS, EPOCHS = 2, 2", code, flags=re.M))
            exec(compile(file.read_text(), file, "exec"), names)

    if page == "start":
        assert load_dataset("arrays", path=tmp_path / "pictures.npz").x.shape == (2, 32, 32, 3)
    assert len(names["results"].to_pandas()) == 4 * 2 * 2
    assert (tmp_path / names["results"].out / "report.html").exists()


@pytest.mark.parametrize("page", ["start", "designs", "study-file", "statistics"])
def test_every_study_in_a_guide_can_be_planned(page: str) -> None:
    """Each block of TOML, with the tables of the first study where it has none of its own, is a valid study."""
    for _, text in read_blocks(page, "toml"):
        tables = tomllib.loads(text)
        rest = start_study()
        if "factors" in tables:
            rest.pop("design", None)
        study = parse_study(rest | {key: table for key, table in tables.items() if key != "data"})
        plan = make_plan(study, load_dataset("digits"))
        assert len(plan.cells) > 1
        assert plan.contrasts


def test_designs_have_the_cells_that_the_table_promises() -> None:
    """Of k factors: k + 1 cells left out, as many added in, 2 k + 2 with both, and 2**k of the full factorial."""
    paths = ["dropout.hidden", "l2.strength", "input_noise.scale", "label_smoothing.strength"]
    factors = {path: [0.0, 0.1] for path in paths}
    expected = {
        "full_factorial": 2**4, "one_at_a_time": 5, "leave_one_out": 5, "add_one_in": 5, "plackett_burman": 8
    }  # fmt: skip
    for kind, cells in expected.items():
        study = parse_study(start_study() | {"factors": factors, "design": {"kind": kind}})
        assert len(make_plan(study, load_dataset("digits")).cells) == cells, kind
    both = {"kind": "leave_one_out", "and_also": ["add_one_in"]}
    study = parse_study(start_study() | {"factors": factors, "design": both})
    assert len(make_plan(study, load_dataset("digits")).cells) == 2 * 4 + 2
