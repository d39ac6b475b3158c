"""The texts that stand in the code: every literal of several words, as the catalogue would have it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2] / "securechat"

WORDS: Final = re.compile(r"[A-Za-z]{2,}[,;:]? [A-Za-z{(]|} [a-z]{2,}|[a-z]{2,} {")
"""Something that a person could read as words."""

SQL: Final = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|CREATE|WHERE|ORDER BY|SET|FROM|AND|ON CONFLICT|VALUES|PRAGMA|JOIN|LIMIT"
    r"|CASE|NOT IN|IS NOT NULL|BEGIN|ASC|DESC)\b|\bm\.\w"
)


def texts_in(source: str) -> Iterator[tuple[int, str]]:
    """Each text with its line: no docstring, no SQL, nothing of a log or that a mistake of ours raises.

    What an f-string fills in are places that are numbered: ``{0}``.
    """
    tree = ast.parse(source)
    left_out = {id(part) for node in ast.walk(tree) for part in _not_for_people(node)}
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr():
                left_out |= {id(part) for part in ast.walk(node) if part is not node}
    for node in ast.walk(tree):
        if id(node) not in left_out and (text := _text(node)) and WORDS.search(text) and not SQL.search(text):
            yield getattr(node, "lineno", 0), text


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            text, places = "", 0
            for part in parts:
                if isinstance(part, ast.Constant):
                    text += str(part.value).replace("{", "{{").replace("}", "}}")
                else:
                    text, places = f"{text}{{{places}}}", places + 1
            return text
        case _:
            return ""


def _not_for_people(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Expr(value=ast.Constant() as docstring):
            yield docstring
        case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "_LOG"))):
            yield from ast.walk(node)
        case ast.Call(func=ast.Attribute(attr="spawn"), args=[_, name, *_]):
            yield from ast.walk(name)
        case ast.keyword(arg="name" | "classes"):
            yield from ast.walk(node.value)
        case ast.Raise(exc=ast.Call(func=ast.Name(id="AssertionError" | "ValueError" | "TypeError"))):
            yield from ast.walk(node)
        case ast.FunctionDef(name="__repr__"):
            yield from ast.walk(node)
        case ast.Subscript():
            yield from ast.walk(node.slice)
