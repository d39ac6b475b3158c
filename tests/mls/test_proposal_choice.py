"""What a committer takes of what is pending: always a valid list, and as much as there is."""

import dataclasses
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.mls import proposal_choice
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.commit_facts import ResolvedProposal, VerifiedProposal
from securechat.mls.extensions import Extension
from securechat.mls.framing import SenderType
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposal_choice import choose_proposals
from securechat.mls.proposals import (
    Add,
    GroupContextExtensions,
    PreSharedKeyProposal,
    ProposalValue,
    ReInit,
    Remove,
    SelfRemove,
)
from securechat.mls.psk import ExternalPsk, PreSharedKeyID
from tests.mls.public_stage import CAPABILITIES, Stage, identity, key_package, stage_of

REINIT = ReInit(b"next", 1, SUITE_3.number)
PSK = PreSharedKeyProposal(PreSharedKeyID(ExternalPsk(b"the key"), bytes(32)))


def chosen(stage: Stage, *planned: ProposalValue) -> list[VerifiedProposal]:
    resolved = [
        ResolvedProposal(proposal, LeafIndex(0), SenderType.MEMBER, by_reference=False)
        for proposal in planned
    ]
    return list(choose_proposals(stage.group, stage.pending, resolved, committer=LeafIndex(0)))


def test_all_that_fits_together_is_taken_in_its_order() -> None:
    stage = stage_of(5)
    stage.propose(stage.actors[1], Add(key_package().key_package))
    stage.propose_update(stage.actors[2])
    stage.propose(stage.actors[3], Remove(LeafIndex(4)))
    stage.propose(stage.actors[3], PSK)
    assert chosen(stage) == stage.pending


def test_a_remove_is_preferred_to_updates_and_leaving_to_a_remove() -> None:
    stage = stage_of(4)
    stage.propose_update(stage.actors[1])
    remove = stage.propose(stage.actors[2], Remove(LeafIndex(1)))
    assert chosen(stage) == [remove]
    leave = stage.propose(stage.actors[1], SelfRemove())
    assert chosen(stage) == [leave]


def test_the_last_of_several_updates_is_taken() -> None:
    stage = stage_of(4)
    stage.propose_update(stage.actors[1])
    last = stage.propose_update(stage.actors[1])
    assert chosen(stage) == [last]


def test_nothing_about_the_committer_itself_is_taken() -> None:
    stage = stage_of(4)
    stage.propose_update(stage.actors[0])
    stage.propose(stage.actors[0], SelfRemove())
    stage.propose(stage.actors[1], Remove(LeafIndex(0)))
    assert chosen(stage) == []


def test_a_reinit_waits_for_everything_else() -> None:
    stage = stage_of(4)
    reinit = stage.propose(stage.actors[1], REINIT)
    assert chosen(stage) == [reinit]
    assert chosen(stage, Remove(LeafIndex(2))) == []
    update = stage.propose_update(stage.actors[2])
    assert chosen(stage) == [update]


def test_what_contradicts_the_plan_is_left_out() -> None:
    stage = stage_of(4)
    stage.propose_update(stage.actors[2])
    who = identity("dave")
    stage.propose(stage.actors[1], Add(key_package(who=who).key_package))
    psk = stage.propose(stage.actors[1], PSK)
    assert chosen(stage, Remove(LeafIndex(2)), Add(key_package(who=who).key_package)) == [psk]


def test_one_bad_proposal_does_not_stop_the_others() -> None:
    stage = stage_of(4)
    unable = identity(
        "unable", capabilities=msgspec.structs.replace(CAPABILITIES, credentials=(1,), extensions=())
    )
    stage.propose(stage.actors[1], GroupContextExtensions((Extension(0xF002, b""),)))
    update = stage.propose_update(stage.actors[2])
    add = stage.propose(stage.actors[3], Add(key_package(who=unable).key_package))
    stage.propose(stage.actors[3], Add(key_package(who=stage.actors[2].identity).key_package))
    assert chosen(stage) == [update, add]


def conflicting(stage: Stage, number: int, *, twice: int) -> list[VerifiedProposal]:
    """Adds of newcomers, the first of them proposed again and again, as if there had been other messages."""
    adds = [stage.propose(stage.actors[1], Add(key_package().key_package)) for _ in range(number)]
    again = [dataclasses.replace(adds[0], reference=b"again %d" % each) for each in range(twice)]
    stage.pending += again
    return adds


def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many proposals were looked at, each time a list was tried."""
    tried: list[int] = []
    goes_with = proposal_choice._goes_with

    def noting(group: Any, proposals: Any, *rest: Any) -> bool:
        tried.append(len(proposals))
        return goes_with(group, proposals, *rest)

    monkeypatch.setattr(proposal_choice, "_goes_with", noting)
    return tried


def test_what_contradicts_others_is_found_in_a_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """O-07: the work of a committer is not the square of what one member sends."""
    stage = stage_of(3)
    adds, tried = conflicting(stage, 32, twice=1), looks(monkeypatch)
    assert chosen(stage) == adds
    assert len(tried) < 16


def test_however_much_contradicts_each_other_a_committer_looks_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proposal_choice, "MOST_LOOKED_AT", 1000)
    stage = stage_of(3)
    adds, tried = conflicting(stage, 4, twice=200), looks(monkeypatch)
    assert chosen(stage) == adds
    assert sum(tried) < 1000 + len(stage.pending)


def test_no_commit_has_more_than_anybody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposal_choice, "MAX_PROPOSALS", 3)
    stage = stage_of(3)
    adds = conflicting(stage, 5, twice=0)
    assert chosen(stage) == adds[:3]
    assert chosen(stage, PSK, Add(key_package().key_package)) == adds[:1]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=8), st.integers(0, 5))
def test_whatever_is_pending_a_commit_of_it_is_valid(wishes: list[tuple[int, int]], committer: int) -> None:
    stage = stage_of(6)
    newcomer = identity("newcomer")
    for sender, kind in wishes:
        actor = stage.actors[sender]
        if kind == 6:
            stage.propose_update(actor)
            continue
        values: list[ProposalValue] = [
            Remove(LeafIndex((sender * 5 + 2) % 6)),
            SelfRemove(),
            Add(key_package(who=newcomer).key_package),
            PSK,
            GroupContextExtensions(()),
            REINIT,
        ]
        stage.propose(actor, values[kind])
    references = choose_proposals(stage.group, stage.pending, [], committer=LeafIndex(committer))
    actor = stage.actors[committer]
    content = stage.commit_content(actor, references=references)
    verified = stage.group.verify_commit(stage.forged(actor, content.proposals, content.path), stage.pending)
    assert [resolved.proposal for resolved in verified.facts.proposals] == [
        reference.proposal for reference in references
    ]
