"""The code that a run's numbers come from: what counts, what does not, and that no file is forgotten."""

import importlib
import importlib.util
import io
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from studies import tiny

import regjax
from regjax.codes import ENGINE, code_digest
from regjax.models import MODELS
from regjax.observers import OBSERVERS, EarlyStopping
from regjax.optimizers import OPTIMIZERS
from regjax.reached import Reached
from regjax.regularizers import REGULARIZERS
from regjax.statements import strip_source

PACKAGE = Path(regjax.__file__).parent
# Files of the rooms where numbers are made that decide none of a run's: they make what has a digest of its own (data,
# a network given from Python), only say where things lie and when they happen, or only list parts.
OTHERS = {
    "data": "every file but splits.py and scaling.py: what they make is in the digest of the data",
    "train": {"__init__.py", "checkpoint.py", "layout.py", "program.py", "seats.py", "timing.py", "weights.py"},
    "models": {"__init__.py", "custom.py"},
    "regularizers": {"__init__.py"},
    "observers": set[str](),
    "tasks": {"__init__.py"},
}
OWN = '''
import functools
import numpy as np
import regjax

params = 7
SCALE, TABLE = 2.0, np.arange(3.0)


class Helper:
    """What a method uses."""

    def twice(self, x):
        return 2 * x


def deep(x):
    return x + 1


def help(x):
    # A remark.
    return deep(x) * SCALE * TABLE[0]


def unused(x):
    return x


@regjax.part
class Own(regjax.Regularizer):
    """A penalty."""

    strength: float = regjax.hyper(off=0.0, range="[0, inf)", help="of it")
    version = 1

    @staticmethod
    def fixed(x):
        return x * 3

    @functools.cached_property
    def kept(self):
        return 4

    @property
    def shown(self):
        return 5

    def penalty(self, seen, now):
        return sum(Helper().twice(help(self.fixed(w))) for w in [1.0]) + len(seen.params)
'''


@pytest.fixture
def digest_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return a function that writes a user's module and gives the digest of its class Own."""
    count = iter(range(100))

    def load(source: str) -> ModuleType:
        path = tmp_path / str(next(count)) / "mine.py"
        path.parent.mkdir()
        path.write_text(source)
        spec = importlib.util.spec_from_file_location("mine", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "mine", module)
        spec.loader.exec_module(module)
        return module

    return lambda source: code_digest((load(source).Own,))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version = 1", "version = 2"),
        ("x * 3", "x * 4"),
        ("return 4", "return 5"),
        ("return 5", "return 6"),
        ("[1.0]", "[2.0]"),
        ("deep(x) *", "deep(x) /"),
        ("x + 1", "x + 2"),
        ("2 * x", "3 * x"),
        ("SCALE, TABLE = 2.0", "SCALE, TABLE = 2.5"),
        ("np.arange(3.0)", "np.arange(1.0, 4.0)"),
        ('range="[0, inf)"', 'range="[0, 1]"'),
    ],
)
def test_all_that_a_given_class_uses_counts(digest_of: Callable[[str], str], old: str, new: str) -> None:
    """A change of an attribute, a method of any kind, or of what they name in their file gives other runs."""
    assert OWN.count(old) == 1
    assert digest_of(OWN) != digest_of(OWN.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# A remark.", "# Another."),
        ('"""A penalty."""', '"""The same penalty."""'),
        ("def unused(x):\n    return x", "def unused(x):\n    return 0"),
        ("class Helper", "\n\nclass Helper"),
        ("params = 7", "params = 8"),
    ],
)
def test_what_computes_nothing_does_not_count(digest_of: Callable[[str], str], old: str, new: str) -> None:
    """Remarks, docstrings, blank lines and what the class names nowhere or as an attribute leave runs as they are."""
    assert OWN.count(old) == 1
    assert digest_of(OWN) == digest_of(OWN.replace(old, new))


@pytest.mark.parametrize("name", ENGINE)
def test_stripped_source_means_the_same(name: str) -> None:
    """A file of the engine without comments and docstrings has the same tokens but for those."""
    source = (PACKAGE / name).read_text(encoding="utf-8")
    bare = strip_source(source)

    assert len(bare) < len(source)
    assert words(bare) == words(source)


def words(source: str) -> list[str]:
    """Return the tokens of a source but comments, line ends and texts that stand alone on their lines."""
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    around = zip([tokens[-1], *tokens], tokens, [*tokens[1:], tokens[-1]], strict=False)
    alone = [
        one.type == tokenize.STRING and before.type in layout and after.type == tokenize.NEWLINE
        for before, one, after in around
    ]
    return [one.string for one, skip in zip(tokens, alone, strict=True) if one.type not in layout and not skip]


def test_no_file_that_makes_numbers_is_forgotten() -> None:
    """Each file of the rooms that make numbers is in the engine's code, holds a part, or is listed here as neither."""
    classes = [*REGULARIZERS.values(), *MODELS.values(), *OPTIMIZERS.values(), *OBSERVERS.values(), EarlyStopping]
    parts = {Path(str(sys.modules[one.__module__].__file__)).relative_to(PACKAGE).as_posix() for one in classes}
    for room, known in OTHERS.items():
        if isinstance(known, str):
            continue
        files = {path.name for path in (PACKAGE / room).glob("*.py")}
        counted = {name for name in files if f"{room}/{name}" in parts | set(ENGINE)}
        assert files - counted == known, room
    assert all((PACKAGE / name).is_file() for name in ENGINE)


def test_a_docstring_on_the_line_of_its_function_counts() -> None:
    """A docstring that shares its line with code stays, for the line is code; one on lines of its own goes."""
    assert strip_source('def f(): "What."\n') == 'def f(): "What."'
    assert strip_source('def f():\n    "What."\n    return 1\n') == "def f():\n    return 1"


def test_which_name_a_function_has_counts(digest_of: Callable[[str], str]) -> None:
    """One of two methods under a second name is another class than the other of them."""
    twice = OWN.replace("    def penalty", "    again = fixed\n\n    def penalty")
    assert digest_of(twice) != digest_of(OWN)
    assert digest_of(twice.replace("again = fixed", "again = shown")) != digest_of(twice)
    assert digest_of(twice.replace("x * 3", "x * 4")) != digest_of(twice)


# What a class may reach in its package, file by file; each change of WAYS is one of a number that it computes with.
PACKAGED = {
    "mypkg/__init__.py": "",
    "mypkg/conf.py": "SCALE = 100.0\nUNUSED = 1.0\n",
    "mypkg/deep.py": "def root(x):\n    # A remark.\n    return x ** 0.5\n",
    "mypkg/helpers.py": "from mypkg import deep\n\ndef size(w):\n    return deep.root(w) + 1.0\n",
    "mypkg/lazy.py": "def late(w):\n    return w - 2.0\n",
    "neighbour.py": "def beside(w):\n    return w - 3.0\n",
    "mypkg/reg.py": """
import enum, functools, types
import jax
import neighbour
import regjax
from mypkg import conf, helpers
from regjax.regularizers import L2


class Kind(enum.Enum):
    WIDE = 104.0


class Held:
    def __init__(self, by):
        self.by = by

    def times(self, x):
        return x * 106.0


def doubled(f):
    @functools.wraps(f)
    def inner(x):
        return f(x) * 107.0
    return inner


def plain(x):
    return x * 108.0


def used(x, by=109.0):
    return x * by


@doubled
def wrapped(x):
    return x


@jax.custom_vjp
def ruled(x):
    return x


ruled.defvjp(lambda x: (x, None), lambda _, g: (g * 110.0,))


@jax.custom_jvp
def pushed(x):
    return x


@pushed.defjvp
def push(primals, tangents):
    return primals[0], tangents[0] * 111.0


held = Held(105.0)
part = functools.partial(used, by=112.0)
table = {"a": (plain, [lambda x: x * 113.0])}
some = {114.0, 115.0}
rows = jax.vmap(used, in_axes=0)
space = types.SimpleNamespace(scale=116.0)
limit = functools.partial(
    lambda x:
        x * 117.0,
)


class Base:
    _shift_ = 118.0


@regjax.part
class Own(Base, L2):
    def penalty(self, seen, now):
        from . import lazy
        x = helpers.size(seen) * conf.SCALE + Kind.WIDE.value + wrapped(seen) + used(seen) + rows(seen) + space.scale
        x = held.times(x) + ruled(x) + pushed(x) + part(x) + table["a"][0](x) + len(some) + limit(x)
        return x + lazy.late(x) + neighbour.beside(x)
""",
}
WAYS = [
    ("conf.py", "100.0", "1.0"), ("deep.py", "0.5", "0.25"), ("helpers.py", "1.0", "2.0"), ("lazy.py", "2.0", "3.0"),
    ("neighbour.py", "3.0", "4.0"), ("reg.py", "in_axes=0", "in_axes=1"),
    *(("reg.py", f"{number}.0", f"{number}.5") for number in range(104, 119)),
]  # fmt: skip


@pytest.fixture
def reached_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., type]]:
    """Return a function that writes the package, of each (file, old, new) the new for the old, and gives its class."""
    count = iter(range(100))

    def load(*changes: tuple[str, str, str]) -> type:
        folder = tmp_path / str(next(count))
        for name, source in PACKAGED.items():
            for file, old, new in changes:
                if name.endswith(file):
                    assert source.count(old) == 1, old
                    source = source.replace(old, new)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(source)
        forget()
        monkeypatch.syspath_prepend(folder)
        found: type = importlib.import_module("mypkg.reg").Own
        return found

    yield load
    forget()


def forget() -> None:
    """Forget the package, so that another of its name can be imported."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mypkg", "neighbour")]:
        del sys.modules[name]


def test_all_that_a_class_reaches_in_its_package_counts(reached_of: Callable[..., type]) -> None:
    """Functions of modules, constants, defaults, containers, objects, rules of gradients, neighbours: each counts."""
    plain, *changed = ["\n".join(Reached(reached_of(*change)).pieces) for change in ((), *((way,) for way in WAYS))]
    assert [way for way, found in zip(WAYS, changed, strict=True) if found == plain] == []
    assert len(set(changed)) == len(WAYS)


def test_a_package_that_is_the_same_elsewhere_has_one_digest(reached_of: Callable[..., type]) -> None:
    """Another folder and remarks change nothing: no address, path or order of a set is in the digest."""
    changes = [(), (), (("deep.py", "# A remark.", "# Another."),)]
    assert len({code_digest((reached_of(*change),)) for change in changes}) == 1


def test_a_regularizer_of_regjax_counts_for_what_derives_from_it(
    reached_of: Callable[..., type], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where penalties.py changes, so does a class of the user's that is a subclass of one of its parts."""
    before, read = code_digest((reached_of(),)), Path.read_text

    def changed(path: Path, *args: Any, **kwargs: Any) -> str:
        return read(path, *args, **kwargs) + ("\nx = 1\n" if path.name == "penalties.py" else "")

    monkeypatch.setattr(Path, "read_text", changed)
    assert code_digest((reached_of(),)) != before


def test_a_class_without_source_is_refused(tmp_path: Path) -> None:
    """A regularizer whose source Python cannot find is an error of the study that names it, before any training."""
    space: dict[str, Any] = {"__name__": "typed_in"}
    exec(compile(OWN, "typed in", "exec"), space)
    study = tiny(factors={"own.strength": [0.0, 0.1]})
    with pytest.raises(regjax.ConfigError, match=r"Own: .*expected a class whose source Python can find: in a file or"):
        regjax.run(study, tmp_path / "out", regularizers={"own": space["Own"]})
    assert not (tmp_path / "out").exists()


def test_parts_import_nothing_uncounted() -> None:
    """What the module of a part imports of the rooms that make numbers counts as well, or makes no numbers."""
    from test_layout_of_modules import PACKAGE as HERE

    rooms = tuple(OTHERS)
    for path in sorted(HERE.rglob("*.py")):
        name = path.relative_to(HERE).as_posix()
        if not name.startswith(rooms) or name.startswith(("data/", "train/")) or path.name == "__init__.py":
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("from regjax.") and not line.startswith("from regjax.parts"):
                module = line.split()[1].removeprefix("regjax.").replace(".", "/")
                target = f"{module}.py" if (HERE / f"{module}.py").is_file() else f"{module}/__init__.py"
                assert target in ENGINE or name == "models/custom.py", (name, target)
