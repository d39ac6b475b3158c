"""Small mistakes, put into a module one at a time: what a test that looks should notice."""

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_NOT_LOOKED_AT: Final = frozenset({"log", "logger", "warnings"})
"""What is said for people, and decides nothing."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake: where it is, what it is (no two of a module say the same), and the module with it."""

    line: int
    last_line: int
    function: str
    what: str
    source: str


@dataclass(frozen=True, slots=True)
class _Place:
    node: ast.AST
    function: str
    statement: ast.AST


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    found: list[Mutant] = []
    said: Counter[str] = Counter()
    for number, place in enumerate(_places(tree)):
        for change in _changes(place.node):
            altered = copy.deepcopy(tree)
            _apply(_places(altered)[number].node, change)
            text = ast.unparse(ast.fix_missing_locations(altered))
            what = f"{place.function}: {change}: {_first_line(place.node)}"
            if place.statement is not place.node:
                what += f" in {_first_line(place.statement)}"
            said[what] += 1
            what += f" ({said[what]})" if said[what] > 1 else ""
            line = getattr(place.node, "lineno", 0)
            last = getattr(place.node, "end_lineno", line)
            found.append(Mutant(line, last, place.function, what, text))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.what))


def function_lines(source: str, function: str) -> range:
    """Return the lines of a function by its qualified name; none of the module itself."""
    for place in _places(ast.parse(source)):
        node = place.node
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and f"{place.function}.{node.name}".lstrip(".") == function
        ):
            return range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return range(0)


def _first_line(node: ast.AST) -> str:
    return ast.unparse(node).splitlines()[0][:90]


def _places(tree: ast.Module) -> list[_Place]:
    """Nodes in a fixed order that run: no annotations, no docstrings, nothing that is only said."""
    return list(_walk(_Place(tree, "", tree)))


def _walk(place: _Place) -> Iterator[_Place]:
    node, function = place.node, place.function
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}".lstrip(".")
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_said(child) and not _is_declared(child):
                inner = _Place(child, function, child if isinstance(child, ast.stmt) else place.statement)
                yield inner
                yield from _walk(inner)


def _is_said(node: ast.AST) -> bool:
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return True
    call = value.func if isinstance(value, ast.Call) else None
    return (
        isinstance(call, ast.Attribute)
        and isinstance(call.value, ast.Name)
        and call.value.id in _NOT_LOOKED_AT
    )


def _is_declared(node: ast.AST) -> bool:
    """Imports, slots and what a type checker reads."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id.startswith("__") for target in targets)


def _changes(node: ast.AST) -> list[str]:  # noqa: C901, PLR0911 - one case per kind of node
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in _COMPARISONS:
            return ["other comparison"]
        case ast.BoolOp():
            return ["and for or"]
        case ast.UnaryOp(op=ast.Not()):
            return ["no not"]
        case ast.BinOp(op=operator) if type(operator) in _OPERATORS and not _is_text(node):
            return ["other operator"]
        case ast.Constant(value=bool()):
            return ["other truth"]
        case ast.Constant(value=int()):
            return ["one more"]
        case ast.Raise() | ast.Expr(value=ast.Call() | ast.Await()):
            return ["left out"]
        case ast.If() | ast.IfExp() | ast.While():
            return ["never", *(["always"] if isinstance(node, ast.If) else [])]
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            return ["nothing returned"]
        case ast.Continue():
            return ["break for continue"]
        case _:
            return []


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def _apply(node: ast.AST, what: str) -> None:  # noqa: C901 - one case per kind of mistake
    match node, what:
        case ast.Compare(), "other comparison":
            node.ops = [_COMPARISONS[type(node.ops[0])]()]
        case ast.BoolOp(), _:
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp(), "no not":
            node.op = ast.UAdd()
            node.operand = ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])
        case ast.BinOp(), "other operator":
            node.op = _OPERATORS[type(node.op)]()
        case ast.Constant(value=bool() as truth), _:
            node.value = not truth
        case ast.Constant(value=int() as number), _:
            node.value = number + 1
        case ast.Raise() | ast.Expr(), "left out":
            _become(node, ast.Pass())
        case ast.If() | ast.IfExp() | ast.While(), "never" | "always":
            node.test = ast.Constant(what == "always")
        case ast.Return(), "nothing returned":
            node.value = ast.Constant(None)
        case ast.Continue(), _:
            _become(node, ast.Break())
        case _:
            raise AssertionError(what)


def _become(node: ast.AST, other: ast.stmt) -> None:
    """Turn a statement into another in its place."""
    node.__class__ = type(other)
    for name in node._fields:
        setattr(node, name, getattr(other, name))
