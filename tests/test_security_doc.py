"""docs/security.md lists, for each requirement, tests that exist and say that they cover it."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]

NEEDED: Final = {
    *(f"T-0{number}" for number in range(1, 7)),
    *(f"A-0{number}" for number in range(1, 9)),
    *(f"O-0{number}" for number in range(1, 10)),
    *(f"Q-0{number}" for number in range(1, 9)),
    *(f"C-0{number}" for number in range(1, 8)),
    *(f"N-0{number}" for number in range(1, 5)),
    *("D-03", "D-06", "M-14", "U-01", "U-03", "L-01", "L-02", "L-03"),
    *("G-01", "G-02", "G-03", "S-01", "S-02", "S-04"),
}
"""The requirements of this release; the table may list more."""

_ROW: Final = re.compile(r"^\| ([A-Z]-\d\d) \| [^|]+ \| (.+) \|$", re.MULTILINE)
_TEST: Final = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")


def listed() -> dict[str, list[tuple[str, str]]]:
    """Return the table: by requirement, files and names of tests (empty: the whole file)."""
    text = (ROOT / "docs" / "security.md").read_text()
    return {found[1]: _TEST.findall(found[2]) for found in _ROW.finditer(text)}


LISTED: Final = listed()
PLACES: Final = [(requirement, *place) for requirement, places in LISTED.items() for place in places]


@cache
def module(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def test_every_requirement_has_a_test() -> None:
    assert sorted(NEEDED - LISTED.keys()) == []
    assert all(LISTED.values())


@pytest.mark.parametrize(("requirement", "path", "name"), PLACES)
def test_a_listed_test_exists_and_names_its_requirement(requirement: str, path: str, name: str) -> None:
    tree = module(path)
    said = ast.get_docstring(tree) or ""
    if name:
        tests = {
            node.name: node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        said += f" {name} {ast.get_docstring(tests[name]) or ''}"
    assert requirement in said or requirement.lower().replace("-", "_") in said
