"""A-08: what is secret is compared by ``hmac.compare_digest``, and nothing else."""

import ast
import hmac
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import securechat

SECRET = re.compile(r"(^|_)(secret|token|password|mac|tag|digest|hash|challenge|code)(_|$)")
PUBLIC = {
    "password_changed",  # when it was, in seconds since 1970
    "refused_code",  # the word of a refusal
    "context_tree_hash",  # of a tree that every member and the server know
}
SOURCES = sorted((Path(securechat.__file__).parent / "server").rglob("*.py"))


def compared_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The last name of each operand of == and !=, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            for operand in (node.left, *node.comparators):
                for part in operand.elts if isinstance(operand, ast.Tuple) else (operand,):
                    if isinstance(part, ast.Attribute):
                        owner = part.value.attr if isinstance(part.value, ast.Attribute) else ""
                        yield f"{owner}_{part.attr}".strip("_"), node.lineno
                    elif isinstance(part, ast.Name):
                        yield part.id, node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_08_no_secret_is_compared_with_an_operator(path: Path) -> None:
    tree = ast.parse(path.read_text())
    found = [
        (name, line) for name, line in compared_names(tree) if SECRET.search(name) and name not in PUBLIC
    ]
    assert found == []


def test_a_08_the_lint_finds_what_it_looks_for() -> None:
    planted = ast.parse("if given_token == self.token or x.login_hash != y: pass")
    assert [name for name, _ in compared_names(planted) if SECRET.search(name)] == [
        "given_token",
        "self_token".removeprefix("self_"),
        "login_hash",
    ]


@pytest.mark.parametrize("given", [b"", b"secre", b"secrets", b"\xff\xfe", b"Secret"])
def test_a_08_what_is_not_equal_is_false_and_no_error(given: bytes) -> None:
    assert not hmac.compare_digest(given, b"secret")
