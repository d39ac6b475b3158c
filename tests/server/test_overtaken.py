"""What was judged right, and then another was first: judged and written are two steps (M-09, S-04)."""

from pathlib import Path

import pytest

from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.group import Group
from securechat.mls.proposals import ReInit
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.server.app import App
from securechat.server.errors import Refusal
from securechat.server.services import Named
from securechat.server.values import Caller
from tests.server.peer import Peer, Person, commit_request, create_request, open_room, registered
from tests.server.running import running_server


def caller_of(app: App, person: Person) -> Caller:
    (caller,) = [
        session.caller
        for session in app._desk.sessions
        if session.caller is not None and session.caller.name == person.client
    ]
    return caller


def named(app: App, body: m.RequestBody) -> Named:
    found = app.services.named[type(body)]
    assert isinstance(found, Named)
    return found


async def judged(app: App, caller: Caller, body: m.RequestBody) -> object:
    prepare = named(app, body).prepare
    assert prepare is not None
    return await app._readers.run(lambda db: prepare(db, caller, body))


async def written(app: App, caller: Caller, body: m.RequestBody, found: object) -> tuple[str, int]:
    """Code and head of the refusal."""
    with pytest.raises(Refusal) as refused:
        await app._writer.find(lambda db: named(app, body).decide(db, caller, body, found))
    return refused.value.refused.code, refused.value.refused.head


async def test_m_09_a_commit_that_a_proposal_overtook_is_behind(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alices_keys, _), (_, bob) = people
        at_alice, at_bob = await open_room(*people)
        body = commit_request(at_alice, at_alice.stage_commit(CommitPlan(update=True)), 1)
        caller = caller_of(app, alices_keys)
        found = await judged(app, caller, body)
        assert found is not None
        await bob.ask(m.Propose(at_bob.group_id, 1, at_bob.propose_self_remove()))
        assert await written(app, caller, body, found) == ("behind", 2)


async def test_m_09_a_commit_that_a_commit_overtook_is_of_an_epoch_that_is_over(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alices_keys, _), (_, bob) = people
        at_alice, at_bob = await open_room(*people)
        body = commit_request(at_alice, at_alice.stage_commit(CommitPlan(update=True)), 1)
        caller = caller_of(app, alices_keys)
        found = await judged(app, caller, body)
        await commit_anything(bob, at_bob)
        assert await written(app, caller, body, found) == ("stale_epoch", 2)
        assert await judged(app, caller, body) is None, "and nobody judges it again"


async def test_m_09_a_proposal_that_a_commit_overtook_is_of_an_epoch_that_is_over(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alices_keys, _), (_, bob) = people
        at_alice, at_bob = await open_room(*people)
        body, caller = (
            m.Propose(at_alice.group_id, 1, at_alice.propose_self_remove()),
            caller_of(app, alices_keys),
        )
        found = await judged(app, caller, body)
        assert found is not None
        await commit_anything(bob, at_bob)
        assert await written(app, caller, body, found) == ("stale_epoch", 2)
        assert await judged(app, caller, body) is None


async def test_o_07_what_nobody_judged_is_not_written(tmp_path: Path) -> None:
    """It was sent before what it stands on was there; nobody judges where all others wait."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alices_keys, _), _ = people
        at_alice, _ = await open_room(*people)
        caller = caller_of(app, alices_keys)
        commit = commit_request(at_alice, at_alice.stage_commit(CommitPlan(update=True)), 1)
        assert await written(app, caller, commit, None) == ("behind", 1)
        proposal = m.Propose(at_alice.group_id, 1, at_alice.propose_self_remove())
        assert await written(app, caller, proposal, None) == ("stale_epoch", 1)


async def test_a_group_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alices_keys, alice)]:
        group, caller = alices_keys.group(), caller_of(app, alices_keys)
        commit = commit_request(group, group.stage_commit(CommitPlan(update=True)), 0)
        assert await judged(app, caller, commit) is None
        assert await written(app, caller, commit, None) == ("no_group", 0)
        proposal = m.Propose(group.group_id, 0, b"x")
        assert await judged(app, caller, proposal) is None
        assert await written(app, caller, proposal, None) == ("no_group", 0)
        assert await alice.ask(m.Sync()) == m.Synced([])


async def commit_anything(peer: Peer, group: Group) -> None:
    assert await peer.ask(
        commit_request(group, group.stage_commit(CommitPlan(update=True)), 1)
    ) == m.Appended(2)


async def test_m_13_an_id_that_was_announced_meanwhile_is_for_who_goes_on(tmp_path: Path) -> None:
    """RFC 9420 section 11.2: a group of that id was judged when nobody had closed anything."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "carol") as people:
        (_, alice), _, (carols_keys, _) = people
        group, _ = await open_room(*people[:2])
        announced = ReInit(b"n" * 32, 1, SUITE_3.number, group.public.context.extensions)
        squatting = create_request(carols_keys.group(group_id=announced.group_id))
        caller = caller_of(app, carols_keys)
        found = await judged(app, caller, squatting)
        staged = group.stage_commit(CommitPlan(reinit=announced, force_path=True))
        assert isinstance(await alice.ask(commit_request(group, staged, 1)), m.Appended)
        assert (await written(app, caller, squatting, found))[0] == "exists"
