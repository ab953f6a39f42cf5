"""Every claim file of the project: its words, its plans, and a run of it at tiny size."""

import functools
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import regjax
from regjax.claims import declare
from regjax.claims.declare import Declared, Studies, load_claims
from regjax.claims.judging import judge
from regjax.claims.kept import Kept
from regjax.claims.measures import Measure, join_measures, measures_table
from regjax.claims.schema import make_claim_schema
from regjax.claims.suite import Source, make_suite
from regjax.config import ConfigError, load_study
from regjax.config.load import read_toml
from regjax.data import DataError
from regjax.progress import Progress
from regjax.results import Results

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs" / "claims"
CLAIMS = load_claims(FOLDER)
TIMED = ("update_cost", "seconds_run")
IDS = [declared.claim.id for declared in CLAIMS.values()]
claims = pytest.mark.parametrize(("path", "declared"), CLAIMS.items(), ids=IDS)


@claims
def test_a_claim_file_has_a_header_and_fits_the_schema(path: Path, declared: Declared) -> None:
    """It begins with a comment that names the claim, and editors find nothing wrong with it."""
    assert re.match(rf"(#:schema .*\n)?# {declared.claim.id}\b", path.read_text())
    jsonschema.validate(read_toml(path), make_claim_schema())


@pytest.mark.parametrize("path", sorted((FOLDER / "studies").glob("*.toml")), ids=lambda path: path.stem)
def test_a_study_file_has_a_header_and_serves_a_claim(path: Path) -> None:
    """It begins with schema, question, cost and command, and some claim names it."""
    text, command = path.read_text(), f"# Run:      regjax run {path.relative_to(ROOT)}"
    words = ("#:schema ../../study.schema.json", "# Question:", "# Cost:", command)
    assert [word for word in words if word not in text] == []
    files = [(p, one.file) for p, d in CLAIMS.items() for full in (False, True) for one in d.files(full).values()]
    named = {(p.parent / file).resolve() for p, file in files}
    assert path.resolve() in named


@claims
def test_the_larger_studies_are_valid(path: Path, declared: Declared) -> None:
    """What --full names loads; with its data here every name of its tests is one of its plan."""
    for asked in declared.of_suite(full=True).files(full=True).values():
        load_study(path.parent / asked.file, asked.overrides)
    try:
        assert make_suite({path: declared}, full=True).sources.keys() or all(test.mechanism for test in declared.tests)
    except DataError:
        pytest.skip("the data of the larger studies are not here")


def shorten(path: Path, asked: Studies) -> Studies:
    """Return a study with few seeds and two evaluations, by overrides alone; its cells stay what they are."""
    study = load_study(path.parent / asked.file, asked.overrides)
    unit = "steps" if study.training.steps else "epochs"
    short = [f"training.{unit}=2", f"training.evaluate_every={{ {unit} = 1 }}", "primary.also_at=[]"]
    if not isinstance(study.primary.at, str):
        short.append('primary.at="last"')
    for count in (6, 8, 10, 12, study.seeds.count):
        overrides = [*asked.overrides, *short, f"seeds.count={count}"]
        try:
            load_study(path.parent / asked.file, overrides)
        except ConfigError:
            continue
        return asked.model_copy(update={"overrides": overrides})
    raise AssertionError(f"{asked.file} cannot be shortened")


def hasten(declared: Declared) -> list[declare.Test]:
    """Return a claim's tests with two blocks of timing where they time, and two updates where they follow some."""
    fewer = {name: {"rounds": 6} for name in TIMED} | {"covariate_shift": {"updates": 2}}
    return [one.model_copy(update={"options": {**one.options, **fewer.get(one.measure, {})}}) for one in declared.tests]


@functools.cache
def run_once(out: Path, source_key: tuple[Path, tuple[str, ...]]) -> Results:
    """Return the results of a study, run once for all claims."""
    path, overrides = source_key
    return regjax.run(path, out, overrides=overrides, progress=Progress(live=False), report=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for all studies."""
    return tmp_path_factory.mktemp("claims")


@claims
def test_a_claim_runs_at_tiny_size(path: Path, declared: Declared, folder: Path) -> None:
    """From its file to a verdict with every test in every case, on a few updates of its own studies."""
    studies = {name: shorten(path, asked) for name, asked in declared.studies.items()}
    suite = make_suite({path: declared.model_copy(update={"studies": studies, "tests": hasten(declared)})})

    def train(source: Source) -> Results:
        return run_once(folder / "studies" / source.name, (source.path, source.overrides))

    results = {name: train(source) for name, source in suite.studies.items()}
    found: dict[str, Any] = judge(suite, results, Kept(folder).take, lambda _: None)
    (claim,) = found["claims"]
    assert len(claim["cases"]) == max(1, len(declared.cases))
    for case in claim["cases"]:
        assert [test["name"] for test in case["tests"]] == [test.name for test in declared.of_suite(full=False).tests]
    assert claim["verdict"] in ("supported", "refuted", "undecided", "conditional")


def test_the_measures_in_the_docs_are_those_of_the_code() -> None:
    """docs/claims.md ends with the table of measures."""
    assert (ROOT / "docs" / "claims.md").read_text().endswith(measures_table()), "run: make reference"


def test_every_key_of_a_claim_is_documented() -> None:
    """docs/claims.md names every key of every table of a claim file."""
    words = set(re.findall(r"\w+", (ROOT / "docs" / "claims.md").read_text()))
    names = ("Claim", "Studies", "Test", "Case", "Rule", "Figure", "Declared")
    tables = [getattr(declare, name) for name in names]

    assert {key for table in tables for key in table.model_fields} <= words


def test_two_measures_of_one_name_are_refused() -> None:
    """A name that two modules give would silently be one of them."""
    one = {"same": Measure(lambda results: results, "a number")}
    with pytest.raises(ValueError, match="two measures named same"):
        join_measures([one, dict(one)])
