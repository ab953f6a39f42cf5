"""The code that a run's numbers come from, as a digest: what counts of it, and what does not."""

import functools
import sys
import tokenize
from pathlib import Path

from regjax.config import ConfigError, Problem
from regjax.files import digest
from regjax.reached import Reached
from regjax.statements import strip_source

# Files whose code decides the numbers of every run, beside the modules of the parts that a run uses.
ENGINE = (
    "keys.py", "recipe.py", "metrics.py", "grouping.py", "harvest.py",
    "tasks/base.py", "tasks/classes.py", "tasks/regression.py",
    "regularizers/base.py", "regularizers/draws.py", "regularizers/schedule.py",
    "observers/__init__.py", "observers/averages.py",
    "models/base.py", "models/layers.py", "models/conv.py", "models/norms.py", "models/pool.py",
    "data/splits.py", "data/scaling.py", "train/inputs.py", "train/records.py", "train/state.py", "train/step.py",
    "train/evaluate.py", "train/population.py", "train/stream.py",
)  # fmt: skip


def is_own(part_class: type) -> bool:
    """Return whether a part is one of regjax, not given from Python."""
    return part_class.__module__.split(".")[0] == __package__


@functools.cache
def code_digest(classes: tuple[type, ...]) -> str:
    """Return a digest of the code of the engine and of these parts; comments, docstrings and blank lines do not count.

    The code of a part of regjax is its module. Of one given from Python it is all that it reaches of the code of its
    package and folder (reached.py), and the modules of regjax that this builds on. What it reaches in other ways (a
    file that is read, another package, a value that changes while Python runs) is not seen, for which a user changes
    the class, too: a `version` in it will do.
    """
    here = Path(__file__).parent
    reached = [_reach(part_class) for part_class in classes if not is_own(part_class)]
    names = {part_class.__module__ for part_class in classes if is_own(part_class)}
    modules = sorted(names.union(*(one.own_modules for one in reached)))
    paths = [here / name for name in ENGINE] + [Path(str(sys.modules[name].__file__)) for name in modules]
    given = sorted({"\n".join(one.pieces) for one in reached})
    return digest("\n".join([*(strip_source(path.read_text(encoding="utf-8")) for path in paths), *given]))


def _reach(part_class: type) -> Reached:
    """Return what a class given from Python reaches.

    Raises:
      ConfigError: Python finds no source, so that its runs could not be told from those of another class.
    """
    try:
        return Reached(part_class)
    except (OSError, TypeError, SyntaxError, tokenize.TokenError) as error:
        expected = "a class whose source Python can find: in a file or in a notebook's cell"
        raise ConfigError([Problem(part_class.__qualname__, str(error), expected)]) from error
