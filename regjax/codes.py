"""The code that a run's numbers come from, as a digest: what counts of it, and what does not."""

import ast
import dataclasses
import dis
import functools
import inspect
import io
import json
import sys
import textwrap
import tokenize
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from regjax.config import ConfigError, Problem
from regjax.files import digest

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

    The code of a part of regjax is its module. Of one given from Python it is the class with its attributes, and the
    functions, classes and constants of the same package that its methods name. What they reach in other ways (a file
    that is read, another package, a value that changes while Python runs) is not seen, for which a user changes the
    class, too: a `version` in it will do.
    """
    here = Path(__file__).parent
    modules = sorted({part_class.__module__ for part_class in classes if is_own(part_class)})
    paths = [here / name for name in ENGINE] + [Path(str(sys.modules[name].__file__)) for name in modules]
    given = sorted({_read_part(part_class) for part_class in classes if not is_own(part_class)})
    return digest("\n".join([*(strip_source(path.read_text(encoding="utf-8")) for path in paths), *given]))


def strip_source(source: str) -> str:
    r"""Return Python source without comments, docstrings and blank lines; the same under every version of Python.

    >>> strip_source('def f(x):\n    "What it returns."\n\n    return x  # as it is\n')
    'def f(x):\n    return x'
    """
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            first, last = node.body[0].lineno, node.body[0].end_lineno or 0
            if lines[first - 1].lstrip()[:1] in "\"'rR":
                lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _read_part(part_class: type) -> str:
    """Return the code of a class given from Python: its fields, its attributes, and what its methods name.

    Raises:
      ConfigError: Python finds no source, so that its runs could not be told from those of another class.
    """
    fields = [f"{f.name} = {f.default!r}, {dict(f.metadata)!r}" for f in dataclasses.fields(part_class)]
    reader = _Reader(part_class.__module__.split(".")[0])
    try:
        reader.read_class(part_class)
    except (OSError, TypeError, SyntaxError, tokenize.TokenError) as error:
        expected = "a class whose source Python can find: in a file or in a notebook's cell"
        raise ConfigError([Problem(part_class.__qualname__, str(error), expected)]) from error
    return "\n".join([json.dumps([part_class.__qualname__, *fields]), *reader.pieces])


class _Reader:
    """Gathers in `pieces` the code of classes and functions of a package, and of what they name in it."""

    def __init__(self, package: str) -> None:
        self.package, self.pieces, self.seen = package, list[str](), set[int]()

    def read_class(self, own: type) -> None:
        """Add the attributes of a class and of its bases in the package."""
        for base in own.__mro__:
            if not self._is_ours(base):
                continue
            for name, value in vars(base).items():
                functions = list(_functions(value))
                for function in functions:
                    self.read_function(function)
                if not functions and not name.startswith("__"):
                    self.read_value(name, value)

    def read_function(self, function: types.FunctionType) -> None:
        """Add the source of a function, and what it names."""
        if id(function) in self.seen:
            return
        self.seen.add(id(function))
        self.pieces.append(strip_source(textwrap.dedent(inspect.getsource(function))))
        held = {**function.__globals__, **_captured(function)}
        for name in sorted(_names(function.__code__) & held.keys()):
            self.read_value(name, held[name])

    def read_value(self, name: str, value: Any) -> None:
        """Add what a name stands for: a class or function of the package, or a constant; nothing else counts."""
        if (text := _constant(value)) is not None:
            self.pieces.append(f"{name} = {text}")
        elif isinstance(value, type) and self._is_ours(value) and id(value) not in self.seen:
            self.seen.add(id(value))
            self.pieces.append(f"class {value.__qualname__}")
            self.read_class(value)
        elif self._is_ours(value):
            for function in _functions(value):
                self.read_function(function)

    def _is_ours(self, value: Any) -> bool:
        return str(getattr(value, "__module__", "")).split(".")[0] == self.package


def _functions(attribute: Any) -> Iterator[types.FunctionType]:
    """Yield the functions that a user wrote behind an attribute of a class; those that dataclasses make are none."""
    if isinstance(attribute, property):
        behind: Iterable[Any] = (attribute.fget, attribute.fset)
    else:
        # Static and class methods, cached properties, partial functions.
        wrapped = [getattr(attribute, name, None) for name in ("__func__", "func")]
        behind = [function for function in wrapped if function is not None] or [attribute]
    for function in behind:
        plain = inspect.unwrap(function) if callable(function) and not isinstance(function, type) else None
        if isinstance(plain, types.FunctionType) and plain.__code__.co_filename != "<string>":
            yield plain


def _captured(function: types.FunctionType) -> Mapping[str, Any]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells if cell != types.CellType()}


def _names(code: types.CodeType) -> set[str]:
    """Return the names that code and the code within it take from outside; attributes of the same name are others."""
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    loaded = {str(one.argval) for one in dis.get_instructions(code) if one.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return {*loaded, *code.co_freevars}.union(*map(_names, inner))


def _constant(value: Any) -> str | None:
    """Return a constant as text, None for what is none.

    >>> _constant({"a": (1, 0.5)}), _constant(np.zeros(2, "f4"))[:6], _constant(object())
    ("{'a':(1,0.5,)}", '<f4(2,', None)
    """
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return repr(value)
    if isinstance(value, Mapping):
        items = [(_constant(key), _constant(held)) for key, held in value.items()]
        return None if any(None in item for item in items) else f"{{{','.join(f'{k}:{v}' for k, v in items)}}}"
    if isinstance(value, (tuple, list)):
        texts = [_constant(held) for held in value]
        return None if None in texts else f"({''.join(f'{text},' for text in texts)})"
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, np.dtype) and not dtype.hasobject and not isinstance(value, type):
        array = np.asarray(value)
        return f"{array.dtype.str}{array.shape}{digest(array.tobytes())}"
    return None
