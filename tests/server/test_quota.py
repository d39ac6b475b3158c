"""What may lie here: an account's bytes, a client's unread mail, space on the disk (O-06, Q-08)."""

import asyncio
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from securechat.membership.room import Kind
from securechat.mls.codec import encode
from securechat.mls.group import Group
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.server import quota
from securechat.server.app import App
from securechat.server.config import Quotas
from securechat.server.quota import DiskSpace
from tests.client.parts import a_moment
from tests.server.peer import (
    Peer,
    Person,
    WasRefused,
    claim,
    commit_request,
    create_request,
    open_room,
    publish,
    registered,
    tried,
)
from tests.server.running import UNLIMITED, running_server
from tests.server.test_ordering import follow, upload


async def say(peer: Peer, group: Group, size: int) -> str:
    return await tried(peer, m.SendMessage(group.group_id, 1, group.encrypt(b"x" * size)))


async def read(app: App, peer: Peer, group: Group, sequence: int) -> None:
    """Acknowledge, and wait until that is written."""
    peer.connection.acknowledge([m.Acknowledged(group.group_id, sequence)])
    peer.flush()
    await peer.ask(m.Ping())
    for _ in range(100):
        app._riders.leave()
        if await stored(app, "SELECT max(cursor) FROM member") >= sequence:
            return
    raise AssertionError("the cursor does not move")


async def stored(app: App, sql: str = "SELECT sum(stored) FROM client") -> int:
    def find(db: apsw.Connection) -> int:
        (found,) = db.execute(sql).fetchone() or (0,)
        return int(found)

    return await app._writer.find(find)


async def test_q_08_an_account_stores_so_many_bytes_and_its_owner_hears_when_it_may_not(
    tmp_path: Path,
) -> None:
    quotas = Quotas(account_bytes=100_000)
    async with running_server(tmp_path, quotas=quotas) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        at_alice, at_bob = await open_room(*people)
        codes = [await say(alice, at_alice, 30_000) for _ in range(5)]
        assert codes == ["taken"] * 3 + ["quota"] * 2
        assert 90_000 < await stored(app) <= 100_000
        assert await say(bob, at_bob, 30_000) == "taken", "each account has its own"
        assert await say(alice, at_alice, 100) == "taken", "and what still fits is taken"
        await app._writer.find(lambda db: db.execute("UPDATE client SET stored = 0"))
        assert await say(alice, at_alice, 30_000) == "taken", "what was fetched makes room"


async def test_q_08_many_at_once_in_one_transaction_are_counted_together(tmp_path: Path) -> None:
    quotas = Quotas(account_bytes=100_000)
    async with running_server(tmp_path, quotas=quotas) as app, registered(app, "alice", "bob") as people:
        (_, alice), _ = people
        group, _ = await open_room(*people)
        body = m.SendMessage(group.group_id, 1, group.encrypt(b"x" * 10_000))
        asked = [alice.send(body) for _ in range(20)]
        codes = []
        for request_id in asked:
            try:
                await alice.answer(request_id)
                codes.append("taken")
            except WasRefused as refused:
                codes.append(refused.code)
        taken = codes.count("taken")
        assert codes == ["taken"] * taken + ["quota"] * (20 - taken)
        assert taken * 10_000 < await stored(app) <= 100_000


async def test_q_08_one_account_may_have_a_quota_of_its_own(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        at_alice, at_bob = await open_room(*people)
        await app._writer.find(lambda db: db.execute("UPDATE account SET quota = 20000 WHERE user = 'alice'"))
        app.services.delivery._quota._asked_at = -1  # as if a second had gone by
        codes = [await say(alice, at_alice, 8_000) for _ in range(3)]
        assert codes == ["taken"] * 2 + ["quota"]
        assert [await say(bob, at_bob, 8_000) for _ in range(3)] == ["taken"] * 3


async def committed(peer: Peer, group: Group, head: int, plan: CommitPlan) -> str:
    """Try a commit, merged where it is taken."""
    staged = group.stage_commit(plan)
    code = await tried(peer, commit_request(group, staged, head))
    if code == "taken":
        group.merge(staged)
    return code


async def test_o_06_commits_count_and_are_taken_up_to_twice_what_messages_are(tmp_path: Path) -> None:
    """They are kept for months: without a count one account alone in its group filled the disk."""
    options = {"quotas": Quotas(account_bytes=100_000), "rates": UNLIMITED}
    async with running_server(tmp_path, **options) as app, registered(app, "mallory", "bob") as people:
        (keys, mallory), _ = people
        group = keys.group()
        await mallory.ask(create_request(group))
        large = CommitPlan(update=True, authenticated_data=bytes(30_000))
        codes = [await committed(mallory, group, number, large) for number in range(7)]
        assert codes == ["taken"] * 6 + ["quota"]
        assert 180_000 < await stored(app) <= 200_000
        body = m.SendMessage(group.group_id, 6, group.encrypt(b"x"))
        assert await tried(mallory, body) == "quota", "of the same account"
        assert await committed(mallory, group, 6, CommitPlan(update=True)) == "taken", "what still fits"


async def test_o_06_a_proposal_a_group_info_and_a_blob_count_too_and_once(tmp_path: Path) -> None:
    lying = (
        "SELECT (SELECT sum(coalesce(size, length(body))) FROM entry) + "
        "(SELECT sum(coalesce(size, length(body)) + length(public_state)) FROM epoch_state) + "
        "(SELECT sum(length(body)) FROM tree_node WHERE until IS NULL)"
    )
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        at_alice, at_bob = await open_room(*people)
        proposal = m.Propose(at_bob.group_id, 1, at_bob.propose_self_remove())
        await bob.ask(proposal)
        bobs = "SELECT stored FROM client WHERE account = (SELECT id FROM account WHERE user = 'bob')"
        assert await stored(app, bobs) == len(proposal.proposal)
        at_alice.accept(at_alice.examine(proposal.proposal))  # type: ignore[arg-type]
        large = at_alice.stage_commit(CommitPlan(update=True, authenticated_data=bytes(70_000)))
        request = replace(
            commit_request(at_alice, large, 2),
            commit=m.Carried(blob=await upload(alice, large.message), size=len(large.message)),
        )
        first = await alice.ask(request)
        total = await stored(app)
        assert total == await stored(app, lying) > 70_000
        assert await alice.ask(request, alice.name) == first, "asked again under its name"
        assert await bob.ask(proposal, bob.name) == m.Appended(2)
        assert await stored(app) == total


async def test_o_06_a_commit_that_was_too_much_is_refused_again_under_its_name(tmp_path: Path) -> None:
    options = {"quotas": Quotas(account_bytes=20_000)}
    async with running_server(tmp_path, **options) as app, registered(app, "mallory") as [(keys, mallory)]:
        group = keys.group()
        await mallory.ask(create_request(group))
        before = await stored(app)
        staged = group.stage_commit(CommitPlan(update=True, authenticated_data=bytes(41_000)))
        request = commit_request(group, staged, 0)
        assert await tried(mallory, request) == "quota"
        await app._writer.find(lambda db: db.execute("UPDATE account SET quota = 1000000"))
        with pytest.raises(WasRefused, match="quota"):
            await mallory.ask(request, mallory.name)
        assert await stored(app) == before
        assert await stored(app, "SELECT head FROM conversation") == 0
        assert await tried(mallory, request) == "taken", "under another name it is decided anew"


async def test_o_06_a_tree_and_a_policy_count_for_who_began_the_group(tmp_path: Path) -> None:
    """Two thousand groups of a thousand leaves are 8 GB, and no message of anybody's is in them."""
    of_alice = "SELECT stored FROM client WHERE account = (SELECT id FROM account WHERE user = 'alice')"
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "carol") as people:
        (_, alice), (_, bob), (carols_keys, carol) = people
        at_alice, at_bob = await open_room(*people[:2])
        await publish(carol, carols_keys)
        staged = at_alice.stage_commit(CommitPlan(add=(await claim(alice, "carol"),)))
        request = commit_request(at_alice, staged, 1)
        begun, info = await stored(app, of_alice), await stored(app, "SELECT length(body) FROM epoch_state")
        without_tree = begun + len(request.commit.body) + len(request.group_info.body) - info
        await set_quota(app, (without_tree + 100) // 2)
        assert await tried(alice, request) == "quota", "a leaf is more than 100 bytes"
        await set_quota(app, 1_000_000)
        assert await tried(alice, request) == "taken"
        follow(at_bob, staged.message)
        grown = await stored(app, of_alice)
        assert grown > without_tree + 100
        await set_quota(app, 1)
        await app._writer.find(lambda db: db.execute("UPDATE account SET quota = NULL WHERE user = 'bob'"))
        assert await committed(bob, at_bob, 2, CommitPlan(update=True)) == "taken", (
            "who is here renews its keys"
        )
        assert await stored(app, of_alice) != grown


async def set_quota(app: App, size: int) -> None:
    await app._writer.find(lambda db: db.execute("UPDATE account SET quota = ?", (size,)))


async def test_o_06_an_account_begins_so_many_groups(tmp_path: Path) -> None:
    options = {"quotas": Quotas(account_groups=3), "rates": UNLIMITED}
    async with running_server(tmp_path, **options) as app, registered(app, "mallory", "bob") as people:
        (mallorys_keys, mallory), (bobs_keys, bob) = people
        requests = [create_request(mallorys_keys.group()) for _ in range(5)]
        assert [await tried(mallory, each) for each in requests] == ["taken"] * 3 + ["quota"] * 2
        await publish(mallory, mallorys_keys, 1)
        assert await invite(people[1], "mallory") == "taken", "others' are not counted"
        assert [await tried(bob, create_request(bobs_keys.group())) for _ in range(3)] == [
            "taken",
            "taken",
            "quota",
        ]
        assert await stored(app, "SELECT count(*) FROM conversation") == 6


async def test_o_06_what_nobody_reads_is_bounded_until_somebody_does(tmp_path: Path) -> None:
    """A stranger fills no disk with messages to somebody who never asked for any."""
    options = {"quotas": Quotas(unread_bytes=400_000), "rates": UNLIMITED}
    async with running_server(tmp_path, **options) as app, registered(app, "mallory", "bob") as people:
        (_, mallory), (_, bob) = people
        group, _ = await open_room(*people, kind=Kind.DIRECT)
        codes = [await say(mallory, group, 20_000) for _ in range(60)]
        taken = codes.count("taken")
        assert 20 <= taken <= 20 + quota.LOOKED_EVERY
        assert codes == ["taken"] * taken + ["quota"] * (60 - taken)
        await read(app, bob, group, 2)
        assert [await say(mallory, group, 20_000) for _ in range(40)] == ["taken"] * 40


async def test_o_06_small_messages_that_nobody_reads_are_bounded_too(tmp_path: Path) -> None:
    options = {"quotas": Quotas(unread_bytes=64 * 1024), "rates": UNLIMITED}
    async with running_server(tmp_path, **options) as app, registered(app, "mallory", "bob") as people:
        group, _ = await open_room(*people)
        codes = [await say(people[0][1], group, 1) for _ in range(100)]
        assert 64 <= codes.count("taken") <= 64 + quota.LOOKED_EVERY


async def test_o_06_commits_between_the_messages_change_nothing_of_that(tmp_path: Path) -> None:
    """One in sixteen was enough to be looked at never again."""
    options = {"quotas": Quotas(unread_bytes=16 * 1024), "rates": UNLIMITED}
    async with running_server(tmp_path, **options) as app, registered(app, "mallory", "bob") as people:
        (_, mallory), _ = people
        group, _ = await open_room(*people)
        codes = []
        for epoch in range(1, 6):
            for _ in range(quota.LOOKED_EVERY - 1):
                sealed = group.encrypt(b"x")
                codes.append(await tried(mallory, m.SendMessage(group.group_id, epoch, sealed)))
            head = await stored(app, "SELECT handshake_head FROM conversation")
            staged = group.stage_commit(CommitPlan(update=True))
            assert await tried(mallory, commit_request(group, staged, head)) == "taken"
            group.merge(staged)
        assert 16 <= codes.count("taken") <= 16 + quota.LOOKED_EVERY


async def test_notes_to_oneself_are_read_by_whom_they_are_for(tmp_path: Path) -> None:
    options = {"quotas": Quotas(unread_bytes=1), "rates": UNLIMITED}
    async with running_server(tmp_path, **options) as app, registered(app, "alice") as [(keys, alice)]:
        group = keys.group()
        await alice.ask(create_request(group))
        body = m.SendMessage(group.group_id, 0, group.encrypt(b"note"))
        assert {await tried(alice, body) for _ in range(50)} == {"taken"}


async def invite(inviter: tuple[Person, Peer], user: str) -> str:
    """Open a new room with somebody in it."""
    person, peer = inviter
    package = await claim(peer, user)
    group = person.group()
    return await tried(peer, create_request(group, group.stage_commit(CommitPlan(add=(package,)))))


async def test_o_06_one_sender_has_eight_welcomes_waiting(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path, rates=UNLIMITED) as app,
        registered(app, "mallory", "carol", "bob") as people,
    ):
        mallory, carol, (bobs_keys, bob) = people
        await publish(bob, bobs_keys, 20)
        codes = [await invite(mallory, "bob") for _ in range(10)]
        assert codes == ["taken"] * quota.FROM_ONE + ["quota"] * 2
        assert await invite(carol, "bob") == "taken", "others get through"
        waiting = await stored(app, "SELECT count(*) FROM inbox")
        assert waiting == quota.FROM_ONE + 1
        assert await stored(app, "SELECT count(*) FROM conversation") == waiting, (
            "and nothing is left of them"
        )


async def test_o_06_strangers_together_leave_room_for_those_one_talks_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred senders: known contacts still get through, to the bound of all."""
    monkeypatch.setattr(quota, "FROM_STRANGERS", 6)
    monkeypatch.setattr(quota, "FROM_ONE", 3)
    monkeypatch.setattr(quota, "WAITING", 8)
    strangers = [f"mallory{number}" for number in range(4)]
    async with (
        running_server(tmp_path, rates=UNLIMITED) as app,
        registered(app, "bob", "carol", "dave", *strangers) as people,
    ):
        (bobs_keys, bob), carol, dave, *flood = people
        group, *_ = await open_room(carol, people[0])
        await say(carol[1], group, 10)
        await read(app, bob, group, 2)
        bob.connection.acknowledge([m.Acknowledged(b"", 1)])
        await publish(bob, bobs_keys, 30)
        codes = [await invite(each, "bob") for each in flood for _ in range(2)]
        assert codes == ["taken"] * 6 + ["quota"] * 2
        assert await invite(dave, "bob") == "quota", "another stranger"
        assert [await invite(carol, "bob") for _ in range(3)] == ["taken", "taken", "quota"]


async def test_o_06_a_nearly_full_disk_takes_nothing_and_says_when_to_come_again(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (keys, alice), _ = people
        group, _ = await open_room(*people)
        app._desk.space._low = True
        app._desk.space._looked_at = float("inf")
        growing: list[m.RequestBody] = [
            m.SendMessage(group.group_id, 1, group.encrypt(b"x")),
            m.PutChunk(b"u" * 16, 0, 10, b"12345"),
            create_request(keys.group()),
            m.PublishKeyPackages([encode(keys.key_package().key_package)]),
        ]
        for body in growing:
            with pytest.raises(WasRefused) as refused:
                await alice.ask(body)
            assert (refused.value.code, refused.value.refusal.retry_after) == ("busy", 60)
            if type(body) in m.CHANGING:
                alice.name -= 1  # nothing is decided
        assert isinstance(await alice.ask(m.Fetch(group.group_id, 1)), m.Entries), "reading goes on"
        stranger = await Peer.connect(app.port)
        with pytest.raises(WasRefused, match="busy"):
            await stranger.register(Person("carol", app.identity.domain))
        await stranger.close()
        app._desk.space._low = False
        assert await alice.ask(growing[0]) == m.Appended(2)


async def found(space: DiskSpace) -> None:
    """Wait until what a thread has seen is known: it has looked before the loop hears of it."""
    async with asyncio.timeout(20):
        while space._looking:
            await a_moment()


async def test_o_06_the_disk_is_looked_at_once_a_second_by_a_thread() -> None:
    looks: list[Path] = []
    free = 10

    def count(folder: Path) -> int:
        looks.append(folder)
        return free

    space = DiskSpace(Path("/anywhere"), 5, count)
    for now in (100.0, 100.0, 100.9):
        assert not space.is_low(now)
    await found(space)
    assert not space.is_low(100.95)
    assert len(looks) == 2
    free = 4
    assert not space.is_low(101.0), "what was found last"
    await found(space)
    assert len(looks) == 3
    assert space.is_low(101.1)
    free = 9
    assert space.is_low(102.2)
    await found(space)
    assert len(looks) == 4
    assert not space.is_low(102.3), "and there is room again"
