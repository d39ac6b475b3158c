"""What a stranger, a registered client or a member tries against the server and the others."""

import asyncio
import dataclasses
import secrets
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest

from securechat.membership.room import Kind, Role, capabilities, extensions_for, room_of, with_roles
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.codec import encode
from securechat.mls.group import Group
from securechat.mls.nodes import LeafIndex
from securechat.mls.staging import CommitPlan
from securechat.names import user_uri
from securechat.protocol import messages as m
from securechat.protocol.frames import encode_frame
from securechat.protocol.limits import MAX_CARRIED, MAX_CHUNK, MAX_LEAF
from securechat.server.config import Quotas
from securechat.server.delivery import SYNC_PAGE, Delivery
from securechat.server.groups import Groups
from securechat.server.login_hash import LoginHasher
from securechat.server.quota import Quota
from securechat.server.riders import MAX_GATHERED, MAX_OF_CLIENT, Riders
from securechat.server.store.sqlite import open_database, prepare_database
from securechat.server.values import Caller
from tests.server.peer import (
    Peer,
    Person,
    WasRefused,
    client_context,
    commit_request,
    create_request,
    open_room,
    registered,
)
from tests.server.running import running_server


async def refused(peer: Peer, body: m.RequestBody) -> str:
    with pytest.raises(WasRefused) as no:
        await peer.ask(body)
    return no.value.code


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    opened = open_database(prepare_database(tmp_path))
    yield opened
    opened.close()


def forged(person: Person) -> Person:
    """Somebody's names with keys of one's own."""
    return Person(person.user, person.domain, client=person.client)


@pytest.mark.parametrize("kind", [Kind.ROOM, Kind.DIRECT])
async def test_d_03_nobody_is_added_with_keys_that_another_made(tmp_path: Path, kind: Kind) -> None:
    async with running_server(tmp_path) as app, registered(app, "mallory", "bob") as people:
        (mallory, hers), (bob, his) = people
        group = mallory.group(kind)
        staged = group.stage_commit(CommitPlan(add=(forged(bob).key_package().key_package,)))
        assert await refused(hers, create_request(group, staged)) == "refused_commit"
        assert await his.ask(m.Sync()) == m.Synced([], more=False)


async def test_d_03_a_later_commit_adds_no_forged_leaf_either(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "mallory", "bob") as people:
        (mallory, hers), (bob, _) = people
        (group,) = await open_room((mallory, hers))
        staged = group.stage_commit(CommitPlan(add=(forged(bob).key_package().key_package,)))
        assert await refused(hers, commit_request(group, staged, 0)) == "refused_commit"


async def test_d_03_one_enters_with_the_keys_one_registered(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "mallory") as [(mallory, hers)]:
        other = forged(mallory)
        assert await refused(hers, create_request(other.group())) == "refused_commit"
        package = encode(other.key_package().key_package)
        assert await refused(hers, m.PublishKeyPackages([package])) == "bad_request"


async def test_who_was_removed_reads_no_later_group_info(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "eve") as people:
        (_, alice), (_, eve) = people
        group, _ = await open_room(*people)  # the Welcome stays unacknowledged
        staged = group.stage_commit(CommitPlan(remove=(LeafIndex(1),)))
        await alice.ask(commit_request(group, staged, 1))
        assert await refused(eve, m.GetGroupInfo(group.group_id)) == "no_group"
        with pytest.raises(WasRefused) as no:
            await eve.ask(m.GetTree(group.group_id, 2))
        assert (no.value.code, no.value.refusal.head) == ("gone", 0)


@pytest.mark.parametrize("last", [m.Goodbye("bye"), None])
async def test_a_hello_whose_sender_is_gone_at_once_is_no_mistake_of_ours(
    tmp_path: Path, last: m.Goodbye | None
) -> None:
    mistakes: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context))
    async with running_server(tmp_path) as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port, ssl=client_context())
        end = b"\xff\xff\xff\xff" if last is None else encode_frame(last)
        writer.write(encode_frame(m.ClientHello([1])) + end)
        await reader.read()
        writer.close()
    assert mistakes == []


async def test_o_05_acknowledgements_wait_in_one_job_of_bounded_size() -> None:
    riders = Riders(Delivery(Groups(), Quota(Quotas()), lambda: 0))
    for _ in range(10):
        riders.add(1, [m.Acknowledged(secrets.token_bytes(16), 1) for _ in range(MAX_OF_CLIENT)])
    assert len(riders._acks[1]) == MAX_OF_CLIENT
    riders.leave()
    (job,) = riders.take()
    riders.add(1, [m.Acknowledged(b"g" * 16, 1)])
    riders.leave()
    assert riders.take() == [], "one job at a time, however many are said"
    gone: list[bool] = []
    riders.go = lambda: gone.append(True)
    job.done()
    assert gone == [True], "what was due meanwhile goes as soon as it may"
    assert len(riders.take()) == 1


async def test_o_05_many_clients_acknowledgements_do_not_make_one_long_transaction() -> None:
    """Forty clients may have 1,024 each waiting: everybody's messages would wait for all of them."""
    riders = Riders(Delivery(Groups(), Quota(Quotas()), lambda: 0))
    for client in range(1, 41):
        riders.add(client, [m.Acknowledged(secrets.token_bytes(16), 1) for _ in range(MAX_OF_CLIENT)])
    riders.leave()
    went: list[int] = []
    riders.go = lambda: went.extend(take())

    def take() -> list[int]:
        (job,) = riders.take()
        taken = job._acks  # type: ignore[attr-defined]
        assert sum(len(cursors) for cursors in taken.values()) <= MAX_GATHERED + MAX_OF_CLIENT
        went.extend(taken)
        job.done()
        return []

    take()
    assert went == list(range(1, 41)), "all of them, in the order they came, with room for others between"
    assert riders._timer is None


def test_a_client_taken_out_and_in_for_ever_still_learns_of_its_other_groups(db: apsw.Connection) -> None:
    """Stays that one has not read to their end are listed: a malicious admin makes thousands."""
    db.execute(
        "INSERT INTO account (id, user, salt, login_hash, account_key, statement, created) "
        "VALUES (1, 'eve', x'', '', x'', x'', 0)"
    )
    db.execute(
        "INSERT INTO client (account, name, device_key, credential, created) VALUES (1, 'c', '', '', 0)"
    )
    for group in (b"a" * 16, b"b" * 16):
        db.execute(
            "INSERT INTO conversation (group_id, epoch, head, handshake_head, created) "
            "VALUES (?, 0, 9999, 0, 0)",
            (group,),
        )
    stay = "INSERT INTO member VALUES (NULL, ?, 1, 0, 1, ?, ?, 0)"
    db.executemany(stay, [(1, number, number + 1) for number in range(SYNC_PAGE + 5)])
    db.execute(stay, (2, 1, None))
    delivery, eve = Delivery(Groups(), Quota(Quotas()), lambda: 0), Caller(1, "eve", 1, "c")
    page = delivery.sync(db, eve, m.Sync())
    assert (len(page.groups), page.more) == (SYNC_PAGE, True)
    rest = delivery.sync(db, eve, m.Sync(page.groups[-1].group))
    assert [status.group for status in rest.groups] == [b"b" * 16]
    assert not rest.more


def test_of_a_groups_epochs_one_list_of_members_is_kept(db: apsw.Connection) -> None:
    db.execute(
        "INSERT INTO account (id, user, salt, login_hash, account_key, statement, created) "
        "VALUES (1, 'eve', x'', '', x'', x'', 0)"
    )
    db.execute(
        "INSERT INTO client (account, name, device_key, credential, created) VALUES (1, 'c', '', '', 0)"
    )
    db.execute(
        "INSERT INTO conversation (group_id, epoch, head, handshake_head, created) VALUES (x'', 0, 0, 0, 0)"
    )
    db.execute("INSERT INTO member VALUES (NULL, 1, 1, 0, 1, 1, NULL, 0)")
    groups = Groups()
    for epoch in range(100):
        assert groups.present(db, 1, epoch).clients == (1,)
    assert len(groups._present) == 1
    assert groups._clients == 1


async def test_o_04_a_taken_name_costs_no_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_server(tmp_path) as app, registered(app, "bob") as [(bob, _)]:
        monkeypatch.delattr(LoginHasher, "hash")
        stranger = await Peer.connect(app.port)
        with pytest.raises(WasRefused) as no:
            await stranger.register(forged(bob))
        assert no.value.code == "name_taken"
        assert (await stranger.register(bob)).client == bob.client, "the same again finds what it made"
        await stranger.close()


async def put(peer: Peer, data: bytes) -> m.Carried:
    upload, answer = secrets.token_bytes(16), m.Uploaded(0)
    while answer.received < len(data):
        start = answer.received
        said = await peer.ask(m.PutChunk(upload, start, len(data), data[start : start + MAX_CHUNK]))
        assert isinstance(said, m.Uploaded)
        answer = said
    return m.Carried(blob=answer.blob, size=len(data))


async def test_o_07_what_is_too_much_to_judge_is_not_judged(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "mallory") as [(mallory, hers)]:
        (group,) = await open_room((mallory, hers))
        bomb = await put(hers, bytes(MAX_CARRIED + 1))
        commit = m.CommitGroup(group.group_id, 0, 0, bomb, m.Carried(b"x"))
        assert await refused(hers, commit) == "quota"


async def test_o_07_nobody_weighs_a_room_down_with_its_policy(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "mallory") as [(mallory, hers)]:
        (group,) = await open_room((mallory, hers))
        room = room_of(group.public.context)
        banned = {user_uri(mallory.domain, f"u{number:07}"): Role.BANNED for number in range(2_000)}
        heavy = extensions_for(with_roles(room, room.entries | banned))
        staged = group.stage_commit(CommitPlan(extensions=heavy))
        request = m.CommitGroup(
            group.group_id, 0, 0, await put(hers, staged.message), await put(hers, staged.group_info)
        )
        assert await refused(hers, request) == "quota"


async def test_o_07_nobody_weighs_the_tree_down_with_a_leaf(tmp_path: Path) -> None:
    """A tree larger than a blob could be read by no newcomer."""
    async with running_server(tmp_path) as app, registered(app, "mallory") as [(mallory, hers)]:
        suites = (3, *range(0x4000, 0x4000 + MAX_LEAF // 2))
        heavy = dataclasses.replace(
            mallory.identity, capabilities=msgspec.structs.replace(capabilities(), cipher_suites=suites)
        )
        (group,) = await open_room((mallory, hers))
        extensions = group.public.context.extensions
        other = Group.create(heavy, suite=SUITE_3, group_id=b"g" * 32, extensions=extensions)
        assert await refused(hers, create_request(other)) == "quota"
        staged = group.stage_commit(CommitPlan(update=True, new_leaf=heavy))
        assert await refused(hers, commit_request(group, staged, 0)) == "quota"
        update = group.propose_update(heavy)
        assert await refused(hers, m.Propose(group.group_id, 0, update)) == "quota"


@pytest.mark.parametrize("sizes", [(1, 2, MAX_CHUNK, 3), (MAX_CHUNK, MAX_CHUNK, 7), (5,)])
async def test_a_blob_is_read_from_any_offset_whatever_its_chunks_were(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    data, start, uploaded = secrets.token_bytes(sum(sizes)), 0, m.Uploaded(0)
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        for size in sizes:
            put = m.PutChunk(b"u" * 16, start, len(data), data[start : start + size])
            answer = await alice.ask(put)
            assert isinstance(answer, m.Uploaded)
            uploaded, start = answer, start + size
        for offset in {0, 1, 2, 3, len(data) // 2, len(data) - 1}:
            expected = data[offset : offset + MAX_CHUNK]
            assert await alice.ask(m.GetBlob(uploaded.blob, offset)) == m.Chunk(len(data), offset, expected)
