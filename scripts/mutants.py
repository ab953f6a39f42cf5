"""The changes of a module that `mutate.py` tries: those of cosmic-ray, and some that it lacks.

cosmic-ray changes operators, comparisons, numbers, conditions, booleans, loops and decorators. Here are added: a
keyword argument left out, the first two arguments swapped, a call replaced by its first argument, a function by its
opposite (`sum` by `mean`, `any` by `all`, ...) and a text by another. Annotations, docstrings and the texts of errors
and of `help` stay as they are: no test should depend on them.
"""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

OPPOSITES = (
    ("sum", "mean"),
    ("max", "min"),
    ("maximum", "minimum"),
    ("any", "all"),
    ("floor", "ceil"),
    ("argmax", "argmin"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
    ("var", "std"),
    ("square", "abs"),
)
# An arithmetic operator between floats that became one of bits is an error at once, and teaches nothing.
BITS = re.compile(r"_(?:Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_(?:RShift|LShift|BitOr|BitAnd|BitXor)$")
RENAMED = dict(OPPOSITES) | {b: a for a, b in OPPOSITES}


class Mutant(NamedTuple):
    """A change: its lines and column in the module, the operator's name and which of its places it is."""

    first: int
    last: int
    column: int
    operator: str
    place: int


class Edit(NamedTuple):
    """A stretch of the source, from (line, byte) to (line, byte), and what takes its place."""

    operator: str
    start: tuple[int, int]
    end: tuple[int, int]
    text: str


def start_of(node: ast.expr | ast.keyword) -> tuple[int, int]:
    """Return the line and the byte where a node begins."""
    return node.lineno, node.col_offset


def end_of(node: ast.expr | ast.keyword) -> tuple[int, int]:
    """Return the line and the byte after a node's last."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset


def edit_call(call: ast.Call, source: str) -> Iterator[Edit]:
    """Yield the edits of a call: a keyword left out, two arguments swapped, the first argument in the call's place."""
    for keyword in call.keywords:
        if keyword.arg is not None and keyword.arg != "help":
            given: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
            before = [end_of(argument) for argument in given if start_of(argument) < start_of(keyword)]
            after = [start_of(argument) for argument in given if start_of(argument) > start_of(keyword)]
            start = max(before, default=start_of(keyword))
            end = end_of(keyword) if before or not after else min(after)
            yield Edit("DropKeyword", start, end, "")
    plain = [a for a in call.args if not isinstance(a, ast.Starred | ast.GeneratorExp)]
    texts = [ast.get_source_segment(source, a) or "" for a in plain[:2]]
    if len(plain) >= 2 and texts[0] != texts[1] and end_of(plain[0]) < start_of(plain[1]):
        between = cut(source, end_of(plain[0]), start_of(plain[1]))
        yield Edit("SwapArguments", start_of(plain[0]), end_of(plain[1]), texts[1] + between + texts[0])
    if plain and plain[0] is call.args[0]:
        yield Edit("CallToArgument", start_of(call), end_of(call), f"({texts[0]})")


def edit_name(node: ast.Name | ast.Attribute) -> Iterator[Edit]:
    """Yield the opposite of a function, where it has one."""
    name = node.id if isinstance(node, ast.Name) else node.attr
    if name in RENAMED:
        line, column = end_of(node)
        yield Edit("Opposite", (line, column - len(name)), (line, column), RENAMED[name])


def find_texts(tree: ast.AST) -> set[ast.AST]:
    """Return the nodes that stay as they are: annotations, statements that are texts, errors, formats and helps."""
    tops: list[ast.AST | None] = []
    for node in ast.walk(tree):
        match node:
            case ast.Raise() | ast.JoinedStr() | ast.keyword(arg="help") | ast.Expr(value=ast.Constant()):
                tops.append(node)
            case ast.AnnAssign() | ast.arg():
                tops.append(node.annotation)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                tops.append(node.returns)
    return {node for top in tops if top is not None for node in ast.walk(top)}


def find_edits(source: str) -> list[Edit]:
    """Return the edits that cosmic-ray lacks, in the order of the source.

    >>> [(e.operator, e.text) for e in find_edits("y = max(x, 2, key=f)")]
    [('DropKeyword', ''), ('SwapArguments', '2, x'), ('CallToArgument', '(x)'), ('Opposite', 'min')]
    """
    tree = ast.parse(source)
    kept = find_texts(tree)
    edits: list[Edit] = []
    for node in ast.walk(tree):
        if node in kept:
            continue
        if isinstance(node, ast.Call):
            edits += edit_call(node, source)
        elif isinstance(node, ast.Name | ast.Attribute):
            edits += edit_name(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            edits.append(Edit("Text", start_of(node), end_of(node), repr(f"{node.value}_")))
    return edits


def offset(source: str, place: tuple[int, int]) -> int:
    """Return the index of a character from its line (from 1) and byte (from 0)."""
    lines = source.splitlines(keepends=True)
    return sum(map(len, lines[: place[0] - 1])) + len(lines[place[0] - 1].encode()[: place[1]].decode())


def cut(source: str, start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return the source between two places."""
    return source[offset(source, start) : offset(source, end)]


def find_mutants(source: str) -> list[Mutant]:
    """Return all changes of a module, in the order of the source.

    >>> [m.operator for m in find_mutants("y = f(1)")]
    ['CallToArgument', 'core/NumberReplacer', 'core/NumberReplacer']
    """
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    edits = enumerate(find_edits(source))
    found = [Mutant(e.start[0], e.end[0], e.start[1], e.operator, index) for index, e in edits]
    kept = [(start_of(n), end_of(n)) for n in find_texts(ast.parse(source)) if isinstance(n, ast.expr)]
    nodes = list(ast_nodes(get_ast(source)))
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments() or BITS.search(name):
            continue
        places = [(node, start, end) for node in nodes for start, end in operator().mutation_positions(node)]
        for index, (node, start, end) in enumerate(places):
            # cosmic-ray takes the star of `def f(*, a)` for an operator.
            if node.type == "operator" and node.parent.type == "parameters":
                continue
            if not any(low <= start and end <= high for low, high in kept):
                found.append(Mutant(start[0], end[0], start[1], name, index))
    return sorted(found, key=lambda m: (m.first, m.column, m.operator, m.place))


def apply_mutant(source: str, mutant: Mutant) -> str:
    """Return the module with the change made.

    >>> apply_mutant("y = f(1)", find_mutants("y = f(1)")[0])
    'y = (1)'
    """
    from cosmic_ray.mutating import MutationVisitor
    from cosmic_ray.plugins import get_operator

    if mutant.operator.startswith("core/"):
        return MutationVisitor.mutate_code(source, get_operator(mutant.operator)(), mutant.place)
    edit = find_edits(source)[mutant.place]
    return source[: offset(source, edit.start)] + edit.text + source[offset(source, edit.end) :]
