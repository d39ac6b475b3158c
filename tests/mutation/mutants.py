"""Small mistakes, put into a module one at a time: what a test that looks should notice."""

import ast
import copy
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
    """One mistake: where it is, what it is, and the module with it."""

    line: int
    what: str
    source: str


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    found: list[Mutant] = []
    for number, place in enumerate(_places(tree)):
        for what in _changes(place):
            altered = copy.deepcopy(tree)
            node = _places(altered)[number]
            _apply(node, what)
            text = ast.unparse(ast.fix_missing_locations(altered))
            line = getattr(place, "lineno", 0)
            found.append(Mutant(line, f"{what}: {ast.unparse(place).splitlines()[0][:90]}", text))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.what))


def _places(tree: ast.Module) -> list[ast.AST]:
    """Nodes in a fixed order that run: no annotations, no docstrings, nothing that is only said."""
    return list(_walk(tree))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_said(child) and not _is_declared(child):
                yield child
                yield from _walk(child)


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
