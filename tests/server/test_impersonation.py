"""A-07: logged in as one, nobody acts, reads or acknowledges as another."""

import ast
import asyncio
import dataclasses
import secrets
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from securechat.membership.login import Purpose
from securechat.membership.signing import public_of
from securechat.mls.codec import encode
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.server import session
from tests.faults.impersonation import impersonate
from tests.server.peer import Peer, WasRefused, commit_request, create_request, open_room, registered
from tests.server.running import running_server


async def code(peer: Peer, body: m.RequestBody) -> str:
    with pytest.raises(WasRefused) as refused:
        await peer.ask(body)
    return refused.value.code


async def test_a_07_every_request_that_names_somebody_elses_things_is_refused(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "eve") as people:
        (alices_keys, alice), (bobs_keys, _), (eves_keys, eve) = people
        at_alice, at_bob = await open_room(*people[:2])
        group = at_alice.group_id
        commit = commit_request(at_alice, at_alice.stage_commit(CommitPlan(update=True)), 1)
        tried: dict[str, m.RequestBody] = {
            "send": m.SendMessage(group, 1, at_alice.encrypt(b"x")),
            "propose": m.Propose(group, 1, at_bob.propose_self_remove()),
            "commit": commit,
            "fetch": m.Fetch(group, 1),
            "group info": m.GetGroupInfo(group),
            "tree": m.GetTree(group, 1),
            "key packages": m.PublishKeyPackages([encode(bobs_keys.key_package().key_package)]),
            "a group of alice's": create_request(alices_keys.group()),
            "a group in place of another": replace(create_request(eves_keys.group()), group=group),
        }
        for name, body in tried.items():
            assert await code(eve, body) in {"no_group", "forbidden", "refused_commit", "exists"}, name
        assert await alice.ask(m.Sync()) == m.Synced([m.GroupStatus(group, 1, 1, 1, 1, 0)])


async def test_a_07_ones_acknowledgements_move_ones_own_cursors(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "eve") as people:
        (_, alice), (_, bob), (_, eve) = people
        group, _ = await open_room(*people[:2])
        eve.connection.acknowledge([m.Acknowledged(group.group_id, 1), m.Acknowledged(b"", 1)])
        eve.flush()
        await eve.ask(m.Ping())
        app._riders.leave()
        await app._writer.find(lambda _db: None)
        assert await alice.ask(m.Sync()) == m.Synced([m.GroupStatus(group.group_id, 1, 1, 1, 1, 0)])
        inbox = await bob.ask(m.FetchInbox(0))
        assert isinstance(inbox, m.InboxEntries)
        assert len(inbox.entries) == 1
        assert await eve.ask(m.FetchInbox(0)) == m.InboxEntries([], 0)


async def test_a_07_uploads_of_the_same_name_are_strangers(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "eve") as [(_, alice), (_, eve)]:
        upload = b"u" * 16
        await alice.ask(m.PutChunk(upload, 0, 10, b"12345"))
        assert await eve.ask(m.PutChunk(upload, 5, 10, b"67890")) == m.Uploaded(0)
        done = await alice.ask(m.PutChunk(upload, 5, 10, b"67890"))
        assert isinstance(done, m.Uploaded)
        assert await code(eve, m.GetBlob(done.blob)) == "no_blob"
        carried = m.Carried(blob=done.blob, size=10)
        assert await code(eve, m.CreateGroup(b"g" * 32, carried, carried)) == "no_blob"


async def test_a_07_ones_own_key_opens_nobody_elses_account(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "eve") as [(alice, _), (eve, _)]:
        nonce = secrets.token_bytes(32)
        for user, client in ((alice.user, alice.client), (alice.user, eve.client), (eve.user, alice.client)):
            peer = await Peer.connect(app.port)
            signed = peer.challenge(dataclasses.replace(eve, user=user), Purpose.DEVICE, nonce, client)
            body = m.LogIn(user, client, nonce, eve.device_key.sign(signed))
            assert await code(peer, body) == "wrong_credentials"
            by_password = peer.challenge(dataclasses.replace(eve, user=user), Purpose.PASSWORD, nonce, "")
            if user == alice.user:
                wrong = m.LogInWithPassword(
                    user, public_of(eve.login_key), nonce, eve.login_key.sign(by_password)
                )
                assert await code(peer, wrong) == "wrong_credentials"
            await peer.close()


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_07_in_any_order_of_attempts_nothing_of_others_is_got_or_moved(tmp_path: Path, seed: int) -> None:
    """Short here; ``python -m tests.faults.impersonation --steps 1000000`` is the long form."""
    said = asyncio.run(impersonate(tmp_path / secrets.token_hex(4), steps=300, seed=seed))
    assert said.total() >= 300


def test_a_07_who_a_connection_belongs_to_is_written_in_one_place() -> None:
    """Not checked by one name and acted on by another (ejabberd, 2026)."""
    tree = ast.parse(Path(session.__file__).read_text())
    writers = [
        (function.name, isinstance(node.value, ast.Constant))
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and target.attr == "_caller"
    ]
    assert writers == [("__init__", True), ("_become", False)]
