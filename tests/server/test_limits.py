"""Who asks too fast is refused and held, and nobody else notices (O-05, O-07, O-09, M-14)."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from securechat.mls.codec import encode
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_FRAME, MAX_IN_FLIGHT
from securechat.server.app import App
from securechat.server.config import Rate
from securechat.server.pace import LEAST_CHUNK
from securechat.server.turns import MAX_WAITING
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
    refusal,
    registered,
    tried,
)
from tests.server.running import UNLIMITED, running_server
from tests.server.test_accounts import spoilt

ONCE = Rate(1, 1e-6)
"""One, and no more in the time of a test."""


async def test_o_05_what_is_too_fast_is_refused_and_comes_again_under_its_name(tmp_path: Path) -> None:
    rates = {"messages": Rate(5, 2)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        group, _ = await open_room(*people)
        sealed = group.encrypt(b"again and again")
        body = m.SendMessage(group.group_id, 1, sealed)
        first = alice.name + 1
        asked = [alice.send(body) for _ in range(20)]
        codes = [await code_of(alice, request_id) for request_id in asked]
        taken = codes.count("taken")
        assert 5 <= taken < 20
        assert codes[:taken] == ["taken"] * taken, "what is taken is taken in order"
        assert set(codes[taken:]) <= {"limited", "out_of_order"}
        name = first + taken
        again = {"limited"}
        async with asyncio.timeout(10):
            while again != {"taken"}:  # the refused name is free for the same bytes, once its time has come
                again = {await code_of(alice, alice.send(body, name))}
                assert again <= {"limited", "taken"}
        assert [entry.sequence for entry in await bob.entries(taken + 1)] == list(range(2, taken + 3))


async def code_of(peer: Peer, request_id: int) -> str:
    try:
        await peer.answer(request_id)
    except WasRefused as refused:
        return refused.code
    return "taken"


async def test_o_05_one_at_line_rate_takes_nothing_from_the_others(tmp_path: Path) -> None:
    """Counts, not times: mallory asks without end, everything of the others is taken meanwhile."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "mallory") as people:
        (alice, bob, mallory) = people
        group, *_ = await open_room(alice, bob)
        theirs, _ = await open_room(mallory, bob)
        stop = asyncio.Event()
        flood = asyncio.create_task(flooding(mallory[1], theirs.group_id, theirs.encrypt(b"x"), stop))
        for number in range(100):
            answer = await alice[1].ask(m.SendMessage(group.group_id, 1, group.encrypt(b"%d" % number)))
            assert answer == m.Appended(number + 2)
        stop.set()
        taken, limited = await flood
        assert taken <= 300 + 10 * 60
        assert limited > 0
        assert app.counters.limited["messages"] == limited


async def flooding(peer: Peer, group: bytes, sealed: bytes, stop: asyncio.Event) -> tuple[int, int]:
    """Send with a full window and without regard to any refusal; return what was taken and what not."""
    counts = {"taken": 0, "limited": 0, "out_of_order": 0}
    while not stop.is_set() or not counts["limited"]:
        first = peer.name + 1
        asked = [peer.send(m.SendMessage(group, 1, sealed)) for _ in range(MAX_IN_FLIGHT)]
        codes = [await code_of(peer, request_id) for request_id in asked]
        for code in codes:
            counts[code] += 1
        peer.name = first - 1 + codes.count("taken")
    return counts["taken"], counts["limited"]


async def test_o_05_who_takes_no_notice_of_refusals_is_not_read_for_a_while(tmp_path: Path) -> None:
    rates = {"messages": ONCE, "refusals": Rate(3, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        group, _ = await open_room(*people)
        body = m.SendMessage(group.group_id, 1, group.encrypt(b"x"))
        codes = [await tried(alice, body) for _ in range(5)]
        assert codes == ["taken"] + ["limited"] * 4
        (session,) = [each for each in app._desk.sessions if each.caller and each.caller.user == "alice"]
        assert not session._pump._transport.is_reading()  # type: ignore[attr-defined]
        assert await bob.ask(m.Ping()) == m.Done(), "the others are read"
        assert await alice.ask(m.Ping()) == m.Done(), "and in a second so is she"


async def test_o_05_who_is_told_no_without_a_rate_is_not_read_for_a_while_either(tmp_path: Path) -> None:
    """A login by password alone is of no client: each change it asks for is forbidden, and costs no rate."""
    rates = {"refusals": Rate(3, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice") as ((person, _),):
        peer = await Peer.connect(app.port)
        await peer.log_in_with_password(person)
        codes = [await tried(peer, m.SendMessage(b"g" * 32, 1, b"x")) for _ in range(4)]
        assert codes == ["forbidden"] * 4
        (session,) = [each for each in app._desk.sessions if each.caller and not each.caller.client]
        assert not session._pump._transport.is_reading()  # type: ignore[attr-defined]
        await peer.close()


async def test_o_05_bytes_have_a_rate_of_their_own_and_blobs_another(tmp_path: Path) -> None:
    rates = {"bytes": Rate(200_000, 1), "blob_bytes": Rate(100_000, 1)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice", "bob") as people:
        group, _ = await open_room(*people)
        alice = people[0][1]
        body = m.SendMessage(group.group_id, 1, group.encrypt(b"x" * 60_000))
        codes = [await tried(alice, body) for _ in range(4)]
        assert codes[:2] == ["taken", "taken"]
        assert codes[-1] == "limited"
        chunks = [m.PutChunk(bytes([n]) * 16, 0, 60_000, b"x" * 60_000) for n in range(2)]
        assert [await tried(alice, chunk) for chunk in chunks] == ["taken", "limited"]


async def test_o_05_a_crumb_of_a_blob_costs_as_much_as_a_slice(tmp_path: Path) -> None:
    """Each is a row and a turn of the writer's, and nothing else counts them."""
    rates = {"blob_bytes": Rate(4 * LEAST_CHUNK, 1)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice") as [(_, alice)]:
        codes = [await tried(alice, m.PutChunk(b"u" * 16, at, 60_000, b"x")) for at in range(6)]
        assert codes == ["taken"] * 4 + ["limited"] * 2


async def test_o_05_bytes_are_counted_whatever_carries_them(tmp_path: Path) -> None:
    rates = {"bytes": Rate(50_000, 1)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice") as [(_, alice)]:
        broken = m.CreateGroup(b"g" * 32, m.Carried(b"x" * 40_000), m.Carried(b"y"))
        assert [await tried(alice, broken) for _ in range(2)] == ["refused_commit", "limited"]


async def test_o_05_acknowledgements_are_paced_and_none_is_dropped(tmp_path: Path) -> None:
    rates = {"reading": Rate(5, 50)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice", "bob") as people:
        group, _ = await open_room(*people)
        (_, alice), (_, bob) = people
        for _ in range(3):
            await alice.ask(m.SendMessage(group.group_id, 1, group.encrypt(b"x")))
        for _ in range(50):
            bob.connection.acknowledge([m.Acknowledged(group.group_id, 4)])
            bob.flush()
        async with asyncio.timeout(10):
            while True:
                app._riders.leave()
                cursor = await app._writer.find(lambda db: db.execute("SELECT max(cursor) FROM member").get)
                if cursor == 4:
                    break
                await a_moment()


async def test_o_05_who_acknowledges_without_end_is_not_read_for_a_while(tmp_path: Path) -> None:
    rates = {"reading": Rate(5, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "bob") as [(_, bob)]:
        (session,) = app._desk.sessions
        for _ in range(6):
            bob.connection.acknowledge([m.Acknowledged(b"g" * 16, 4)])
        bob.flush()
        async with asyncio.timeout(10):
            while session._pump._transport.is_reading():  # type: ignore[attr-defined]
                await a_moment()
        assert app.counters.limited["reading"] == 1


async def test_o_05_acknowledgements_cost_by_their_number(tmp_path: Path) -> None:
    """A frame of a thousand is a thousand statements of the writer's."""
    rates = {"reading": Rate(100, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "bob") as [(_, bob)]:
        bob.connection.acknowledge([m.Acknowledged(b"%16d" % number, 4) for number in range(720)])
        bob.flush()
        codes = [await tried(bob, m.Ping()) for _ in range(11)]
        assert codes == ["taken"] * 10 + ["limited"]


async def test_o_07_groups_commits_and_proposals_have_a_rate(tmp_path: Path) -> None:
    rates = {"handshakes": Rate(3, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice") as [(keys, alice)]:
        codes = [await tried(alice, create_request(keys.group())) for _ in range(4)]
        assert codes == ["taken"] * 3 + ["limited"]


async def test_o_07_the_judges_time_is_paid_for_by_who_takes_it(tmp_path: Path) -> None:
    """However few requests it was: refused ones are charged like others."""
    rates = {"judging": Rate(20, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice", "bob") as people:
        (keys, alice), (others, bob) = people
        (account,) = await accounts_of(app, "alice")
        assert await tried(alice, create_request(keys.group())) == "taken"
        broken = m.CreateGroup(b"g" * 32, m.Carried(b"x"), m.Carried(b"y"))
        before = app._desk.limiter._buckets["judging"]._full_at[account]
        assert await tried(alice, broken) == "refused_commit"
        assert app._desk.limiter._buckets["judging"]._full_at[account] > before
        app._desk.limiter.charge("judging", account, 20)
        assert await tried(alice, create_request(keys.group())) == "limited"
        assert await tried(bob, create_request(others.group())) == "taken"


async def test_o_07_a_window_of_requests_is_not_judged_on_the_account_of_the_first(tmp_path: Path) -> None:
    """All sixty-four came while there was time left; what one of them takes, the next has not."""
    rates = {"judging": Rate(20, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice") as [(keys, alice)]:
        (account,) = await accounts_of(app, "alice")
        async with app._desk.judges.of(0):
            asked = [alice.send(create_request(keys.group())) for _ in range(3)]
            (session,) = app._desk.sessions
            async with asyncio.timeout(10):
                while len(session._turns._waiting) < len(asked):  # type: ignore[attr-defined]
                    await a_moment()
            app._desk.limiter.charge("judging", account, 20)
        codes = [await code_of(alice, request_id) for request_id in asked]
        assert codes == ["limited", "out_of_order", "out_of_order"], "nothing is judged, nothing decided"


async def accounts_of(app: App, *users: str) -> list[int]:
    def find(db: object) -> list[int]:
        return [
            db.execute("SELECT id FROM account WHERE user = ?", (user,)).get  # type: ignore[attr-defined]
            for user in users
        ]

    return await app._readers.run(find)


async def test_o_07_judging_leaves_a_thread_for_those_who_read(tmp_path: Path) -> None:
    """Sixty-four commits of one connection are judged one at a time; who reads waits for none of them."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        group, _ = await open_room(*people)
        running = most = 0
        judged = app._desk.readers.run

        async def counted(work: object) -> object:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                return await judged(work)  # type: ignore[arg-type]
            finally:
                running -= 1

        app._desk.readers.run = counted  # type: ignore[method-assign, assignment]
        commit = commit_request(group, group.stage_commit(CommitPlan(update=True)), 1)
        asked = [alice.send(commit) for _ in range(MAX_IN_FLIGHT)]
        assert isinstance(await bob.ask(m.Fetch(group.group_id, 2)), m.Entries)
        codes = [await code_of(alice, request_id) for request_id in asked]
        assert codes[0] == "taken"
        assert set(codes[1:]) == {"stale_epoch"}
        assert most == 2, "a commit and bob's question"


async def test_o_07_what_waits_to_be_judged_is_bounded_in_bytes(tmp_path: Path) -> None:
    """The judge is busy with others: a connection's whole window would be sixteen MiB of our memory."""
    async with running_server(tmp_path, rates=UNLIMITED) as app, registered(app, "alice") as [(_, alice)]:
        (session,) = app._desk.sessions
        body = m.PublishKeyPackages([b"k" * 4_000] * 50)
        async with app._desk.judges.of(0):
            asked = [alice.send(body) for _ in range(12)]
            async with asyncio.timeout(10):
                while session._pump._transport.is_reading():  # type: ignore[attr-defined]
                    await a_moment()
            turns = session._turns  # type: ignore[attr-defined]
            assert MAX_WAITING < sum(len(each.raw) for each in turns._waiting) <= MAX_WAITING + MAX_FRAME
        codes = [await code_of(alice, request_id) for request_id in asked]
        assert codes == ["bad_request"] * 12, "and each has its turn"
        assert turns._bytes == 0


async def test_m_14_nobody_drains_somebodys_key_packages_alone(tmp_path: Path) -> None:
    """Six at once, then one in ten minutes, for each who asks and each who is asked for."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "carol") as people:
        (_, alice), (bobs_keys, bob), (carols_keys, carol) = people
        await publish(bob, bobs_keys, 20)
        await publish(carol, carols_keys, 1)
        handed = {encode(await claim(alice, "bob")) for _ in range(6)}
        assert len(handed) == 6
        no = await refusal(alice, m.ClaimKeyPackages("bob", 3))
        assert no.code == "quota"
        assert 500 < no.retry_after <= 600
        again = await refusal(alice, m.ClaimKeyPackages("bob", 3), alice.name)
        assert replace(again, id=no.id) == no, "decided once"
        assert await tried(alice, m.SendMessage(b"g" * 16, 0, b"")) == "no_group", "and what follows goes on"
        assert await bob.ask(m.CountKeyPackages()) == m.KeyPackageCount(14, last_resort=False)
        assert isinstance(await claim(alice, "carol"), object), "others are asked for as before"
        assert isinstance(await claim(carol, "bob"), object), "and by others"


async def test_m_14_ones_own_devices_are_free(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        for _ in range(20):
            assert await tried(alice, m.ClaimKeyPackages("alice", 3)) == "taken"


async def test_o_09_accounts_are_not_counted_by_asking(tmp_path: Path) -> None:
    """A hundred in any hour; whether they are here or not."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        names = ["bob", *(f"nobody{number}" for number in range(50))]
        codes = [await tried(alice, m.GetAccount(name)) for name in names]
        assert codes[:40] == ["taken"] + ["unknown_user"] * 39
        assert set(codes[40:]) == {"limited"}
        assert await tried(alice, m.GetAccount("bob")) == "limited"
        assert await tried(alice, m.GetAccount("alice")) == "taken", "one's own is no look-up"
        assert (await refusal(alice, m.ClaimKeyPackages("bob", 3))).code == "quota"
        assert (await refusal(alice, m.ClaimKeyPackages("nobody", 3))).code == "quota"
        assert await tried(bob, m.GetAccount("alice")) == "taken"


async def test_o_09_a_login_by_password_alone_looks_up_no_more_than_others(tmp_path: Path) -> None:
    rates = {"look_ups": Rate(2, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice", "bob") as people:
        peer = await Peer.connect(app.port)
        await peer.log_in_with_password(people[0][0])
        assert [await tried(peer, m.GetAccount("bob")) for _ in range(3)] == ["taken", "taken", "limited"]
        await peer.close()


async def test_o_09_claims_of_nobody_are_look_ups_and_of_somebody_are_not(tmp_path: Path) -> None:
    rates = {"look_ups": Rate(5, 1e-6)}
    users = [f"user{number}" for number in range(10)]
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice", *users) as people:
        (_, alice), *_ = people
        assert {await tried(alice, m.ClaimKeyPackages(user, 3)) for user in users} == {"taken"}
        codes = [await tried(alice, m.ClaimKeyPackages(f"nobody{n}", 3)) for n in range(7)]
        assert codes == ["unknown_user"] * 5 + ["quota"] * 2


@pytest.mark.parametrize("rule", ["registrations_by_address", "registrations"])
async def test_o_09_registrations_have_a_rate_by_address_and_in_all(tmp_path: Path, rule: str) -> None:
    async with running_server(tmp_path, rates={rule: Rate(2, 1e-6)}) as app:
        for number in range(3):
            peer = await Peer.connect(app.port)
            registration = peer.register(Person(f"user{number}", app.identity.domain))
            if number < 2:
                await registration
            else:
                with pytest.raises(WasRefused) as refused:
                    await registration
                assert refused.value.code == "limited"
            await peer.close()
        assert app.counters.limited == {rule: 1}


async def test_o_09_what_is_no_registration_takes_nothing_of_what_all_share(tmp_path: Path) -> None:
    """Or from some dozen addresses, without a hash or an invite, nobody could make an account any more."""
    rates = {"registrations": Rate(2, 1e-6), "registrations_by_address": Rate(100, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app:
        alice = Person("alice", app.identity.domain)
        first = await Peer.connect(app.port)
        await first.register(alice)
        for spoil in (*spoilt(first, alice), "taken"):
            peer = await Peer.connect(app.port)
            mallory = Person("alice" if spoil == "taken" else "mallory", app.identity.domain)
            requests = {**spoilt(peer, mallory), "taken": peer.registration(mallory)}
            assert await tried(peer, requests[spoil]) not in {"taken", "limited"}, spoil
            await peer.close()
        again = await Peer.connect(app.port)
        await again.register(alice)
        assert app.counters.limited == {}
        last = await Peer.connect(app.port)
        await last.register(Person("bob", app.identity.domain))
        for peer in (first, again, last):
            await peer.close()


async def test_o_09_without_an_invite_nobody_takes_of_what_all_share(tmp_path: Path) -> None:
    rates = {"registrations": ONCE, "registrations_by_address": Rate(5, 1e-6)}
    async with running_server(tmp_path, rates=rates, registration="invite") as app:
        codes = []
        for number in range(6):
            peer = await Peer.connect(app.port)
            codes.append(await tried(peer, peer.registration(Person(f"m{number}", app.identity.domain))))
            await peer.close()
        assert codes == ["invite_needed"] * 5 + ["limited"], "the address's own is taken first"
        assert app.counters.limited == {"registrations_by_address": 1}


async def test_strangers_ask_at_a_rate_and_not_for_long(tmp_path: Path) -> None:
    """O-04: what is refused is neither hashed nor looked up; the fifth refusal is the last."""
    async with running_server(tmp_path, rates={"before_login": Rate(2, 1e-6)}) as app:
        peer = await Peer.connect(app.port)
        codes = [await tried(peer, m.PasswordParameters("alice")) for _ in range(7 - 1)]
        assert codes == ["taken"] * 2 + ["limited"] * 4
        with pytest.raises((WasRefused, ConnectionError)):
            await peer.ask(m.PasswordParameters("alice"))
        await peer.until(lambda: peer.closed is not None)
        await peer.close()


async def test_reconnecting_in_a_storm_passes_and_a_key_that_is_not_ones_own_costs_nobody(
    tmp_path: Path,
) -> None:
    rates = {"device_logins": Rate(3, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice") as [(alice, _)]:
        for _ in range(10):
            mallory = await Peer.connect(app.port)
            with pytest.raises(WasRefused, match="wrong_credentials"):
                await mallory.log_in(Person("alice", app.identity.domain, client=alice.client))
            await mallory.close()
        for number in range(4):
            peer = await Peer.connect(app.port)
            if number < 3:
                await peer.log_in(alice)
            else:
                with pytest.raises(WasRefused, match="limited"):
                    await peer.log_in(alice)
            await peer.close()


async def test_o_02_a_flood_of_requests_without_names_is_refused_in_their_order(tmp_path: Path) -> None:
    rates = {"reading": Rate(10, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice") as [(_, alice)]:
        asked = [alice.send(m.Ping()) for _ in range(30)]
        codes = [await code_of(alice, request_id) for request_id in asked]
        assert codes == ["taken"] * 10 + ["limited"] * 20
