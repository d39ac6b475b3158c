"""docs/mls.md says where each clause is and how it is tested; here is that it says so truly (M-02)."""

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import securechat.mls
from tests.mls.test_conformance import OFFICIAL
from tests.mls.vector_files import PROJECT

DOCUMENT = PROJECT / "docs" / "mls.md"
PACKAGE = Path(securechat.mls.__file__).parent
TESTS = Path(__file__).parent

SEEN_BY = {"ValidationError": "all", "SecretError": "member"}


def tables() -> list[list[list[str]]]:
    """Return the tables of the page: rows of cells."""
    found: list[list[list[str]]] = [[]]
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [table[2:] for table in found if table]


def rule_rows() -> list[list[str]]:
    return next(table for table in tables() if len(table[0]) == 5)


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def raised_rules() -> set[tuple[str, str, str, str]]:
    """Return (clause, rule, seen by, module.function) of each rule that the code raises."""
    found = set()
    for path in PACKAGE.glob("*.py"):
        for function, call in _calls(ast.parse(path.read_text(encoding="utf-8")), ""):
            rule, clause = (ast.literal_eval(argument) for argument in call.args[:2])
            kind = call.func.id if isinstance(call.func, ast.Name) else ""
            found.add((clause, rule, SEEN_BY[kind], f"{path.stem}.{function}"))
    return found


def _calls(node: ast.AST, within: str) -> Iterator[tuple[str, ast.Call]]:
    for child in ast.iter_child_nodes(node):
        name = within
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            name = f"{within}.{child.name}" if within else child.name
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Name) and child.func.id in SEEN_BY:
            yield name, child
        yield from _calls(child, name)


@cache
def _parsed(module: str) -> list[ast.stmt]:
    return ast.parse((TESTS / f"{module}.py").read_text(encoding="utf-8")).body


@cache
def source_of_test(name: str) -> str:
    """Return a test's source with the tables of its module that it uses; fail if there is no such test."""
    module, function = name.split(".")
    nodes = _parsed(module)
    test = next((node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == function), None)
    assert test is not None, f"{name} is not there"
    parts = [ast.unparse(each) for each in (test, *test.decorator_list)]
    used = set(re.findall(r"\w+", " ".join(parts)))
    for node in nodes:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id in used for target in targets):
            parts.append(ast.unparse(node))
    return "\n".join(parts)


def test_every_rule_that_the_code_has_is_on_the_page_and_no_other() -> None:
    said = {
        (clause, names(rule)[0], seen_by, function)
        for clause, rule, seen_by, functions, _ in rule_rows()
        for function in names(functions)
    }
    raised = raised_rules()
    assert raised - said == set(), "not in docs/mls.md"
    assert said - raised == set(), "only in docs/mls.md"


@pytest.mark.parametrize("row", rule_rows(), ids=lambda row: f"{row[0]} {row[1].strip('`')}")
def test_every_rule_has_a_test_that_names_it(row: list[str]) -> None:
    _, rule, _, _, tests = row
    assert names(tests)
    for test in names(tests):
        assert re.search(rf"[\"'(]{re.escape(names(rule)[0])}[\"' ]", source_of_test(test)), test


def test_everything_the_page_names_is_there() -> None:
    for table in tables():
        for row in table:
            for name in (name for cell in row for name in names(cell)):
                if name.startswith("test_"):
                    assert (TESTS / f"{name.split('.')[0]}.py").is_file(), name
                elif "." in name:
                    _value(name)


def test_every_test_the_page_names_is_there() -> None:
    """The tables of other MUSTs and of others' faults name tests: none of them is made up."""
    named = {name for table in tables() for row in table for cell in row for name in names(cell)}
    tests = [name for name in named if name.startswith("test_") and "." in name]
    assert len(tests) > 100
    for name in tests:
        assert source_of_test(name)


def test_every_official_vector_file_is_on_the_page() -> None:
    said: set[str] = set()
    for table in tables():
        for row in table:
            for named in re.findall(r"vectors ([a-z_-]+(?:, [a-z_-]+)*)", row[-1]):
                said.update(named.split(", "))
    assert said | {"tree-math"} == set(OFFICIAL)


def test_limits_are_what_the_page_says() -> None:
    for row in tables()[-1]:
        value = _value(names(row[2])[0])
        if isinstance(value, int):
            number = int(re.sub(r"[^0-9]", "", row[1]))
            assert value == number * (2**20 if "MiB" in row[1] else 1), row


def _value(name: str) -> object:
    module, *path = name.split(".")
    found: object = importlib.import_module(f"securechat.mls.{module}")
    for step in path:
        found = getattr(found, step)
    return found


def test_the_example_at_the_top_of_the_page_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 30
    names: dict[str, object] = {}
    exec(compile(example, "docs/mls.md", "exec"), names)  # noqa: S102 - our own page
    assert names["examined"]


def test_the_public_face_is_small_and_documented() -> None:
    for name in securechat.mls.__all__:
        value = getattr(securechat.mls, name)
        assert not callable(value) or value.__doc__, name
    assert len(securechat.mls.__all__) <= 66


def test_the_library_imports_nothing_of_the_project_but_its_errors() -> None:
    """It could be installed by itself: what it takes from elsewhere is pyca's, msgspec's and Python's."""
    foreign = {
        name
        for path in PACKAGE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imported(node)
        if not f"{name}.".startswith("securechat.mls.")
    }
    assert {name for name in foreign if name.startswith("securechat")} == {"securechat.errors"}
    assert {name.split(".")[0] for name in foreign} - sys.stdlib_module_names == {
        "cryptography",
        "msgspec",
        "securechat",
    }


def _imported(node: ast.AST) -> list[str]:
    match node:
        case ast.ImportFrom(module=str(module)):
            return [module]
        case ast.Import(names=names):
            return [name.name for name in names]
        case _:
            return []
