"""The mistakes that mutation testing makes are mistakes (S-04)."""

import ast

import pytest

from tests.mutation.mutants import mutants

SOURCE = '''"""Said."""

def decide(number: int = 3) -> bool:
    """Say."""
    log.info("seen %s", 5)
    if not number or number > 7:
        raise ValueError(number)
    return number + 1 == 5
'''


@pytest.mark.parametrize(
    "line",
    [
        "def decide(number: int=4) -> bool:",
        "if bool(number)",
        "if not number and number > 7:",
        "if not number or number >= 7:",
        "if not number or number > 8:",
        "if False:",
        "if True:",
        "pass",
        "return number - 1 == 5",
        "return number + 2 == 5",
        "return number + 1 != 5",
        "return None",
    ],
)
def test_each_kind_of_mistake_is_made(line: str) -> None:
    assert sum(line in mutant.source.replace("+bool", "bool") for mutant in mutants(SOURCE)) >= 1


def test_each_mutant_is_another_program() -> None:
    found = [mutant.source for mutant in mutants(SOURCE)]
    assert len(set(found)) == len(found)
    assert ast.unparse(ast.parse(SOURCE)) not in found


def test_what_is_only_said_is_left_alone() -> None:
    assert all("seen %s', 5" in mutant.source for mutant in mutants(SOURCE))
