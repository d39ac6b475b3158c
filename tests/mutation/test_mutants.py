"""The mistakes that mutation testing makes are mistakes (S-04)."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.mutation.asking import ASKED_SECONDS, FIRST_SECONDS, asked_about
from tests.mutation.groups import GROUPS
from tests.mutation.mutants import Mutant, function_lines, mutants
from tests.mutation.rules import STANDS_BEFORE_ANOTHER, every_rule, without
from tests.mutation.trial import ROOT
from tests.mutation.verdicts import Chosen, Outcome, Reach, Results

MODULE: Final = "tests/mutation/mutants.py"
OWN: Final = ("tests/mutation/test_mutants.py",)

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


def test_no_two_mutants_have_one_name() -> None:
    """A survivor that is listed with a reason excuses no other."""
    source = (
        "def f(a):\n    if a == 0:\n        return 0 + 0\n    return a == 0\n\ndef g(a):\n    return a == 0\n"
    )
    names = [mutant.what for mutant in mutants(source)]
    assert len(set(names)) == len(names)
    assert "f: one more: 0 in return 0 + 0 (2)" in names


def test_every_group_names_what_is_there() -> None:
    for group in GROUPS.values():
        named = [*group.modules, *group.tests, *(test for own in group.modules.values() for test in own)]
        assert [name for name in named if not (ROOT / name).exists()] == []


def chosen(line: int, last_line: int, function: str) -> Chosen:
    return Chosen(MODULE, Mutant(line, last_line, function, "what", ""), (ROOT / MODULE).read_text())


def reach(test: str, seconds: float, *lines: int, module: str = MODULE) -> Reach:
    return Reach(test, seconds, {module: frozenset(lines)})


def test_a_mutant_is_shown_to_those_who_run_its_line_the_quickest_first() -> None:
    pick = chosen(40, 41, "choose")
    slow, quick = reach("a.py::slow", 3, 41), reach("a.py::quick", 1, 40)
    other = reach("a.py::other", 1, 42)
    elsewhere = reach("a.py::elsewhere", 1, 40, module="securechat/names.py")
    assert asked_about(pick, [slow, other, elsewhere, quick], OWN) == [[quick], [slow]]


def test_a_line_that_nobody_runs_is_shown_to_those_who_run_its_function_or_its_module() -> None:
    inside = function_lines((ROOT / MODULE).read_text(), "function_lines")
    in_function, in_module = reach("a.py::one", 1, inside[1]), reach("a.py::two", 1, 1)
    pick = chosen(inside[3], inside[3], "function_lines")
    assert asked_about(pick, [in_module, in_function], OWN) == [[in_function]]
    assert asked_about(pick, [in_module], OWN) == [[in_module]]


def test_what_runs_at_the_import_is_shown_to_the_modules_own_tests_whatever_they_run() -> None:
    in_module, own = reach("a.py::two", 1, 1), Reach("tests/mutation/test_mutants.py::own", 2, {})
    elsewhere = reach("a.py::elsewhere", 1, 40, module="securechat/names.py")
    pick = chosen(3, 3, "")
    assert asked_about(pick, [elsewhere, own, in_module], OWN) == [[in_module, own]]


def test_where_many_run_a_line_the_modules_own_tests_are_asked_first() -> None:
    pick = chosen(40, 41, "choose")
    own = reach("tests/mutation/test_mutants.py::own", 2, 40)
    others = [reach(f"tests/test_names.py::{number}", 1, 40) for number in range(100)]
    first, then = asked_about(pick, [*others, own], OWN)
    assert own in first
    assert sum(each.seconds for each in first) <= FIRST_SECONDS
    assert sum(each.seconds for each in first + then) <= ASKED_SECONDS


def test_a_run_goes_on_with_what_an_earlier_one_found_out_about_the_same_code(tmp_path: Path) -> None:
    path, pick, by = tmp_path / "results", chosen(40, 41, "choose"), [reach("a.py::quick", 1, 40)]
    earlier = Results(path)
    earlier.keep_reached("a.py", "code", by)
    earlier.keep_outcome(pick, "code", Outcome.FAILED)
    with path.open("a") as file:
        file.write('{"mutant": "broken o')
    Results(path).keep_outcome(chosen(1, 1, ""), "other", Outcome.ENDLESS)

    later = Results(path)
    assert (later.reached("a.py", "code"), later.reached("a.py", "other")) == (by, None)
    assert (later.outcome(pick, "code"), later.outcome(pick, "new")) == (Outcome.FAILED, None)
    assert later.outcome(pick, "other") is Outcome.ENDLESS


def test_which_test_runs_which_line_is_seen_in_threads_too(tmp_path: Path) -> None:
    (tmp_path / "looked_at.py").write_text("def one():\n    return 1\n\ndef two():\n    return 2\n")
    (tmp_path / "test_it.py").write_text(
        "import threading\nimport looked_at\n\n"
        "def test_one():\n    assert looked_at.one() == 1\n\n"
        "def test_two():\n    thread = threading.Thread(target=looked_at.two)\n"
        "    thread.start()\n    thread.join()\n\n"
        "def test_none():\n    pass\n"
    )
    options = ["-p", "tests.mutation.reached", "--reached", "told.json", "--reached-in", "looked_at.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", *options]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "PYTEST_ADDOPTS": ""}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL)
    told = json.loads((tmp_path / "told.json").read_text())
    assert {each["test"]: each["lines"] for each in told} == {
        "test_it.py::test_one": {"looked_at.py": [1, 2]},
        "test_it.py::test_two": {"looked_at.py": [4, 5]},
        "test_it.py::test_none": {},
    }


def test_m_02_each_rule_of_the_page_can_be_taken_out() -> None:
    """What is left is Python; that each is raised where the page says is asked in ``test_docs``."""
    rules = every_rule()
    assert len(rules) > 100
    for rule in rules[::10]:
        source = (ROOT / rule.module).read_text()
        left = without(rule, source)
        ast.parse(left)
        assert left != source
        assert left.count("\n") <= source.count("\n")
    assert set(STANDS_BEFORE_ANOTHER) <= {str(rule) for rule in rules}
