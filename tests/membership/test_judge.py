"""The judge says of every case of the corpus what the corpus says, and never raises."""

import re
from pathlib import Path

import pytest

from securechat.membership.judge import COMMIT_RULES, judge
from tests.membership.corpus import Case, load

CASES = load()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_commit_is_judged(case: Case) -> None:
    play = case.build()
    refusal = judge(play.facts, pending=play.pending)
    assert (refusal and refusal.rule) == case.rule, refusal


def test_every_rule_has_a_case_that_breaks_it() -> None:
    assert {case.rule for case in CASES.values()} >= {*COMMIT_RULES, None, "room", "update-needed"}


def test_the_documentation_lists_every_rule_in_its_order() -> None:
    text = (Path(__file__).parents[2] / "docs" / "membership.md").read_text()
    table = text.partition("| rule | holds |")[2]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == list(COMMIT_RULES)
