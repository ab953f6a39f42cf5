"""Source as statements: without remarks, and what a statement names."""

import ast
import contextlib
import functools
import importlib.util
import inspect
import io
import symtable
import textwrap
import tokenize
import types
from collections.abc import Iterator
from typing import NamedTuple


class Statement(NamedTuple):
    """A statement of a module or of a class in it.

    Attributes:
      text: its source without comments and docstrings.
      names: what it takes from outside by name.
      attributes: names behind a dot, names that it imports, and texts that could be either.
      imports: modules that it imports, as (dots, name).
    """

    text: str
    names: frozenset[str]
    attributes: frozenset[str]
    imports: tuple[tuple[int, str], ...]

    def find_imports(self, package: str) -> Iterator[str]:
        """Yield the modules that it imports, where it stands in this package."""
        for level, name in self.imports:
            if not level:
                yield name
            elif package and level <= package.count(".") + 1:
                yield importlib.util.resolve_name("." * level + name, package)


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


def find_statement(code: types.CodeType) -> Statement:
    """Return the statement, of its module or of a class in it, within which a function was written.

    A lambda, and a function within a function, are so told by all that is around them, decorators among it.

    Raises:
      OSError: Python finds no source.
      SyntaxError: what it finds is none.
    """
    lines, _ = inspect.findsource(code)
    node = _around(_parse("".join(lines)).body, code.co_firstlineno)
    if node is None:
        raise OSError(f"line {code.co_firstlineno} of {code.co_filename} holds no statement; it has changed since")
    text = textwrap.dedent("".join(lines[_first_line(node) - 1 : node.end_lineno]))
    # Texts of several lines may hide how far it is indented: then remarks count, too.
    with contextlib.suppress(SyntaxError, tokenize.TokenError):
        text = strip_source(text)
    return Statement(text, *_named(node))


@functools.lru_cache(maxsize=64)
def _parse(source: str) -> ast.Module:
    return ast.parse(source)


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])


def _around(body: list[ast.stmt], line: int) -> ast.stmt | None:
    """Return the statement that a line is of; within a class that of its body."""
    for node in body:
        if _first_line(node) <= line <= (node.end_lineno or 0):
            return (_around(node.body, line) if isinstance(node, ast.ClassDef) else None) or node
    return None


def _named(node: ast.stmt) -> tuple[frozenset[str], frozenset[str], tuple[tuple[int, str], ...]]:
    """Return names, attributes and imports of a statement."""
    attributes, imports = set[str](), list[tuple[int, str]]()
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute):
            attributes.add(one.attr)
        elif isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value.isidentifier():
            attributes.add(one.value)
        elif isinstance(one, ast.Import):
            imports += [(0, alias.name) for alias in one.names]
            attributes |= {part for alias in one.names for part in alias.name.split(".")}
        elif isinstance(one, ast.ImportFrom):
            start = f"{one.module}." if one.module else ""
            # What is imported from a package may be a module of it.
            imports += [(one.level, one.module or "")] + [(one.level, start + alias.name) for alias in one.names]
            attributes |= {alias.name for alias in one.names}
    # Written anew, since a method is no module by itself.
    table = symtable.symtable(ast.unparse(node), "<statement>", "exec")
    return frozenset(_names(table)), frozenset(attributes), tuple(imports)


def _names(table: symtable.SymbolTable) -> set[str]:
    """Return the names that a scope and those within it take from outside; attributes of the same name are others."""
    used = [one for one in table.get_symbols() if one.is_referenced()]
    outside = {one.get_name() for one in used if one.is_global() or table.get_type() == "module"}
    return outside.union(*map(_names, table.get_children()))
