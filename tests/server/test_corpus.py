"""The server says of every case of the judge's corpus what the corpus says (rules.md: one verdict)."""

import pytest

from securechat.server.errors import Refusal
from securechat.server.judging import CommitParts, judge_commit
from securechat.server.values import Caller
from tests.membership.corpus import Case, load
from tests.membership.world import NOW, Play

CASES = {name: case for name, case in load().items() if case.real}


def verdict(play: Play) -> str | None:
    """Let the committer hand in the commit; return the rule that the refusal names."""
    assert play.staged is not None
    assert play.before is not None
    committer = play.devices[-1]
    parts = CommitParts(play.staged.message, play.staged.group_info, play.staged.welcome)
    caller = Caller(1, committer.user, 1, committer.client)
    pending = [proposal.message for proposal in play.pending]
    try:
        judge_commit(caller, play.before, pending, parts, now=NOW)
    except Refusal as refusal:
        return refusal.refused.text.partition(":")[0]
    return None


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_server_judges_a_commit_like_everyone(case: Case) -> None:
    assert verdict(case.build()) == case.rule
