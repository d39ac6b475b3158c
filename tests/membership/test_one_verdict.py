"""Sender, server and every receiver say the same of each case of the corpus (D-03, M-07, M-13)."""

import pytest

from securechat.membership.judge import judge, judge_creation, judge_proposal
from securechat.membership.verdict import Refusal
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.commit_facts import VerifiedProposal
from securechat.mls.examining import ExaminedCommit
from securechat.mls.framing import GroupInfo, decode_message
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree
from tests.membership.corpus import Case, load
from tests.membership.world import Step

CASES = {name: case for name, case in load().items() if case.real}


def rule(refusal: Refusal | None) -> str | None:
    return None if refusal is None else refusal.rule


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_all_say_what_the_sender_says(case: Case) -> None:
    play = case.build()
    assert play.staged is not None
    for receiver in play.receivers:
        examined = receiver.examine(play.staged.message)
        assert isinstance(examined, ExaminedCommit)
        assert rule(judge(examined.facts, pending=receiver.pending)) == case.rule
    server, pending = begun(play.steps[0])
    for step in play.steps[1:-1]:
        server, pending = followed(server, pending, step)
    verified = server.verify_commit(play.staged.message, pending)
    assert rule(judge(verified.facts, pending=pending)) == case.rule
    assert server.check_group_info(play.staged.group_info, verified).signer == verified.facts.committer


def begun(step: Step) -> tuple[PublicGroup, list[VerifiedProposal]]:
    group_info = decode_message(step.group_info)
    assert isinstance(group_info, GroupInfo)
    group = PublicGroup.from_group_info(group_info, RatchetTree.from_bytes(SUITE_3, step.tree))
    assert rule(judge_creation(group)) in (None, "room", "update-needed")
    return group, []


def followed(
    group: PublicGroup, pending: list[VerifiedProposal], step: Step
) -> tuple[PublicGroup, list[VerifiedProposal]]:
    """Take a step as the server does, from public values only."""
    if step.kind == "propose":
        proposal = group.verify_proposal(step.message)
        judged = judge_proposal(group.context, group.tree, proposal.proposal, proposal.sender)
        assert rule(judged) in (None, "proposal", "successor")
        return group, [*pending, proposal]
    verified = group.verify_commit(step.message, pending)
    return group.apply(verified), []
