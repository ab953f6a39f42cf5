"""What a class given from Python reaches: the code that it is written as, and what that names, as deep as it goes."""

import copyreg
import dataclasses
import enum
import functools
import importlib.util
import linecache
import os
import re
import sys
import types
import weakref
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from regjax.files import digest
from regjax.statements import Statement, find_statement, strip_source

CONSTANTS = (type(None), type(...), bool, int, float, complex, str, bytes)
# Caches and back references, whose entries come and go.
WEAK = (weakref.ref, weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)
# What lies behind attributes of a class that are no functions.
BEHIND: dict[type, tuple[str, ...]] = {
    property: ("fget", "fset", "fdel"), functools.cached_property: ("func",),
    staticmethod: ("__func__",), classmethod: ("__func__",), types.MethodType: ("__func__", "__self__"),
}  # fmt: skip
# Where others' packages lie: what is imported from there is no neighbour of a class that lies there, too.
INSTALLED = {"site-packages", "dist-packages"}
STANDARD = Path(os.__file__).parent


class Reached:
    """What a class reaches, as text in `pieces`; of regjax only which modules, in `own_modules`.

    Ours is the code of the class's package, and of files and packages in the same folder. A function counts as the
    statement that it was written in, a class by its attributes and bases, a module that is named as a whole; so do
    the values that any of them names, holds or was made with, and objects as what a copy of them would be made from.
    Of all other packages only the names count that are used of them, and what was made by calling them.
    """

    def __init__(self, part_class: type) -> None:
        self.package = part_class.__module__.partition(".")[0]
        self.folder = _folder(self.package)
        self.pieces, self.own_modules, self.known = list[str](), set[str](), dict[str, bool]()
        # By id, in the order in which they were met; kept, so that no other object gets the same id.
        self.seen: dict[int, tuple[int, Any]] = {}
        self.read(part_class)

    def read(self, value: Any) -> None:
        """Add a value: its text, or what it reaches; the second time only which one it was."""
        if (text := _constant(value)) is not None:
            self.pieces.append(text)
            return
        if type(value) is tuple:
            # Equal tuples of a file are one or several, as Python likes.
            self.read_all(value)
            return
        if id(value) in self.seen:
            self.pieces.append(f"again {self.seen[id(value)][0]}")
            return
        self.seen[id(value)] = len(self.seen), value
        if isinstance(value, types.ModuleType):
            self.read_module(value)
        elif isinstance(value, type):
            self.read_class(value)
        elif isinstance(value, types.FunctionType):
            self.read_function(value)
        elif type(value) in (dict, types.MappingProxyType):
            self.read_all(item for pair in value.items() for item in pair)
        elif type(value) is list:
            self.read_all(value)
        elif type(value) in (set, frozenset):
            # Their order differs from process to process, as addresses do.
            self.read_all(sorted(value, key=lambda one: re.sub("0x[0-9a-f]+", "", repr(one))))
        else:
            self.read_object(value)

    def read_all(self, values: Iterable[Any]) -> None:
        """Add several values, and where they begin and end."""
        self.pieces.append("(")
        for value in values:
            self.read(value)
        self.pieces.append(")")

    def read_module(self, module: types.ModuleType) -> None:
        """Add a module of ours: its source, and what the functions and classes that it defines reach."""
        # What is private to a package moves with its versions.
        self.pieces.append(f"module {module.__name__.partition('._')[0]}")
        if not hasattr(module, "__path__"):
            self.note_own(module.__name__)
        if not self.is_ours(module.__name__):
            return
        file = str(getattr(module, "__file__", None))
        if file.endswith(".py"):
            self.pieces.append(strip_source("".join(linecache.getlines(file, vars(module)))))
        elif Path(file).is_file():
            self.pieces.append(digest(Path(file).read_bytes()))
        for name, value in list(vars(module).items()):
            if getattr(value, "__module__", None) == module.__name__ and not name.startswith("__"):
                self.pieces.append(name)
                self.read(value)

    def read_class(self, own: type) -> None:
        """Add a class: its bases, its fields and its attributes where it is ours, else its name."""
        self.pieces.append(f"class {_name(own)}")
        if not self.is_ours(own.__module__):
            self.note_own(own.__module__)
            return
        for base in (type(own), *own.__mro__[1:]):
            self.read(base)
        members = own.__members__ if issubclass(own, enum.Enum) else {}
        self.read_all(item for name, member in members.items() for item in (name, member._value_))
        pythons = "_.*_" if members else "__.*__"
        for f in dataclasses.fields(own) if dataclasses.is_dataclass(own) else ():
            self.read_all((f.name, f.default, f.default_factory, dict(f.metadata)))
        for name, value in list(vars(own).items()):
            if name not in members and (not re.fullmatch(pythons, name) or self.is_written(value)):
                self.pieces.append(name)
                self.read(value)

    def is_written(self, attribute: Any) -> bool:
        """Return whether an attribute is a function that its user wrote: those that dataclasses make are none."""
        function = getattr(attribute, "__func__", attribute)
        return (
            isinstance(function, types.FunctionType)
            and self.is_ours(function.__globals__.get("__name__", ""))
            and function.__code__.co_filename != "<string>"
        )

    def read_function(self, function: types.FunctionType) -> None:
        """Add a function: its statement where it is ours, else its name; and the values that it was made with."""
        home = function.__globals__.get("__name__", "")
        ours = self.is_ours(home)
        self.pieces.append(f"function {_name(function)}")
        if not ours and _is_importable(function):
            self.note_own(home)
            return
        if ours:
            self.read_statement(find_statement(function.__code__), function.__globals__)
        # What other packages make by calling them, such as jax.vmap(f, in_axes=1), holds what it was made with.
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self.read_all(item for name, cell in cells if cell != types.CellType() for item in (name, cell.cell_contents))
        self.read(function.__defaults__)
        self.read(function.__kwdefaults__)
        self.read_state(vars(function))

    def read_statement(self, statement: Statement, space: dict[str, Any]) -> None:
        """Add a statement, what its names stand for in its module, and the modules that it imports itself."""
        self.pieces.append(statement.text)
        for name in sorted(statement.names & space.keys()):
            self.read_named(name, space[name], statement.attributes)
        for module in statement.find_imports(str(space.get("__package__") or "")):
            if self.is_ours(module) or _is_own(module):
                try:
                    found = import_module(module)
                except ImportError:
                    continue  # what is imported from a module is mostly no module
                self.read_named(module, found, statement.attributes)

    def read_named(self, name: str, value: Any, attributes: frozenset[str]) -> None:
        """Add what a name stands for; of a module also what is named of it, modules within it among them."""
        self.pieces.append(name)
        self.read(value)
        if isinstance(value, types.ModuleType) and (self.is_ours(value.__name__) or _is_own(value.__name__)):
            for one in sorted(attributes & vars(value).keys()):
                self.read_named(one, vars(value)[one], attributes - {one})

    def read_object(self, value: Any) -> None:
        """Add an object: its class, and what a copy of it would be made from; by its name where it has one."""
        self.read(type(value))
        home = str(getattr(value, "__module__", ""))
        if isinstance(value, WEAK) or (not self.is_ours(home) and _is_importable(value)):
            self.note_own(home)
            self.pieces.append(_name(value))
            return
        for kind, names in BEHIND.items():
            if isinstance(value, kind):
                self.read_all(getattr(value, name) for name in names)
                return
        if callable(value):
            self.read(getattr(value, "__wrapped__", None))
        try:
            made = copyreg.dispatch_table.get(type(value), lambda one: one.__reduce_ex__(4))(value)
        except Exception:  # of any kind: what cannot be copied, such as a lock or an open file, counts as its class
            return
        if isinstance(made, str):
            self.pieces.append(made)
            return
        for one in made[:2]:
            self.read(one)
        for state in made[2] if made[2:] and isinstance(made[2], tuple) else made[2:3]:
            if isinstance(state, dict):
                self.read_state(state)
            else:
                self.read(state)
        for items in made[3:5]:
            self.read_all(items or ())

    def read_state(self, state: dict[str, Any]) -> None:
        """Add what an object or a function holds by name, but for what Python itself keeps there."""
        held = {name: one for name, one in state.items() if not re.fullmatch("__.*__", str(name))}
        self.read(held)
        self.read(state.get("__wrapped__"))

    def note_own(self, module: str) -> None:
        """Note a module of regjax; another is none of ours."""
        if _is_own(module):
            self.own_modules.add(module)

    def is_ours(self, module: str) -> bool:
        """Return whether a module is of the class's package, or lies in the same folder."""
        top = module.partition(".")[0]
        if top not in self.known:
            beside = self.folder is not None and not _is_own(top) and _folder(top) == self.folder
            self.known[top] = top == self.package or beside
        return self.known[top]


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == __package__


def _folder(top: str) -> Path | None:
    """Return the folder in which a file or package lies that is imported by this name; None where others' lie."""
    file = getattr(sys.modules.get(top), "__file__", None)
    if top == "__main__" and file is None:
        return Path.cwd()  # of a notebook
    if top.isidentifier() and top not in sys.modules and (spec := importlib.util.find_spec(top)) is not None:
        file = spec.origin
    if not str(file).endswith(".py"):
        return None
    path = Path(str(file)).resolve()
    folder = path.parent.parent if path.name == "__init__.py" else path.parent
    return None if folder.is_relative_to(STANDARD) or INSTALLED & set(folder.parts) else folder


def _name(value: Any) -> str:
    """Return the name of a function, class or object, with its package: modules within it move."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or type(value).__qualname__
    return f"{str(getattr(value, '__module__', '')).partition('.')[0]}.{name}"


def _is_importable(value: Any) -> bool:
    """Return whether a function, class or object is what a module has under its name: nobody made it by a call."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    found: Any = sys.modules.get(str(getattr(value, "__module__", "")))
    for part in str(name).split("."):
        found = getattr(found, part, None)
    return found is value


def _constant(value: Any) -> str | None:
    """Return a constant as text, None for what is none.

    >>> _constant(0.5), _constant(np.zeros(2, "f4"))[:6], _constant(object())
    ('0.5', '<f4(2,', None)
    """
    if type(value) in CONSTANTS:
        return repr(value)
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, np.dtype) and not dtype.hasobject and not isinstance(value, type):
        array = np.asarray(value)
        return f"{array.dtype.str}{array.shape}{digest(array.tobytes())}"
    return None
