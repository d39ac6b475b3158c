"""Large things: put in chunks, named by their hash, read by who may (rules.md A)."""

import hashlib
import secrets
from pathlib import Path

import pytest
from msgspec.structs import replace

from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_CHUNK
from securechat.server.blobs import MAX_OPEN, Blobs
from securechat.server.errors import Refusal
from securechat.server.store.sqlite import open_database, prepare_database
from securechat.server.values import Caller
from tests.server.peer import (
    Peer,
    WasRefused,
    claim,
    commit_request,
    create_request,
    open_room,
    publish,
    registered,
    tried,
)
from tests.server.running import running_server


async def put(peer: Peer, data: bytes, upload: bytes, start: int = 0) -> m.Uploaded:
    answer = await peer.ask(m.PutChunk(upload, start, len(data), data[start : start + MAX_CHUNK]))
    assert isinstance(answer, m.Uploaded)
    return answer


async def refused(peer: Peer, body: m.RequestBody) -> str:
    with pytest.raises(WasRefused) as no:
        await peer.ask(body)
    return no.value.code


async def test_an_upload_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data, upload = secrets.token_bytes(MAX_CHUNK * 2 + 5), b"u" * 16
    async with running_server(tmp_path) as app, registered(app, "alice") as [(keys, alice)]:
        assert await put(alice, data, upload) == m.Uploaded(MAX_CHUNK)
        again = await Peer.connect(app.port)
        await again.log_in(keys)
        assert await put(again, data, upload) == m.Uploaded(MAX_CHUNK), "a repeat changes nothing"
        assert await put(again, data, upload, MAX_CHUNK * 2) == m.Uploaded(MAX_CHUNK), "a hole is not left"
        assert await put(again, data, upload, MAX_CHUNK) == m.Uploaded(MAX_CHUNK * 2)
        name = hashlib.sha256(data).digest()
        assert await put(again, data, upload, MAX_CHUNK * 2) == m.Uploaded(len(data), name)
        read = b""
        while len(read) < len(data):
            chunk = await again.ask(m.GetBlob(name, len(read)))
            assert isinstance(chunk, m.Chunk)
            read += chunk.data
        assert read == data
        await again.close()


async def test_what_nobody_gave_one_is_not_there(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "eve") as [(_, alice), (_, eve)]:
        name = (await put(alice, b"mine", b"u" * 16)).blob
        assert await refused(eve, m.GetBlob(name)) == "no_blob"
        assert await refused(alice, m.GetBlob(b"n" * 32)) == "no_blob"
        assert await alice.ask(m.GetBlob(name)) == m.Chunk(4, 0, b"mine")
        assert await alice.ask(m.GetBlob(name, 99)) == m.Chunk(4, 99, b"")


async def test_an_upload_keeps_to_what_it_announced(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        await alice.ask(m.PutChunk(b"u" * 16, 0, 10, b"12345"))
        assert await refused(alice, m.PutChunk(b"u" * 16, 5, 11, b"x")) == "bad_request"
        assert await refused(alice, m.PutChunk(b"u" * 16, 5, 10, b"123456")) == "bad_request"
        assert await refused(alice, m.PutChunk(b"u" * 16, 5, 10, b"")) == "bad_request"
        done = await alice.ask(m.PutChunk(b"u" * 16, 5, 10, b"67890"))
        assert done == m.Uploaded(10, hashlib.sha256(b"1234567890").digest())


async def test_uploads_that_nobody_uses_are_bounded(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        for number in range(MAX_OPEN):
            await alice.ask(m.PutChunk(bytes([number]) * 16, 0, 10, b"1"))
        assert await refused(alice, m.PutChunk(b"x" * 16, 0, 10, b"1")) == "quota"


@pytest.mark.parametrize("right", [True, False], ids=["taken", "refused"])
async def test_what_a_decided_request_carried_waits_for_no_other(tmp_path: Path, *, right: bool) -> None:
    """O-06: a tree is read and not kept; after eight of them nothing went up for a day."""
    async with running_server(tmp_path) as app, registered(app, "alice") as [(person, alice)]:
        for _ in range(MAX_OPEN + 1):
            request = create_request(person.group())
            tree = request.tree.body
            blob = (await put(alice, tree, secrets.token_bytes(16))).blob
            carried = m.Carried(blob=blob, size=len(tree) if right else len(tree) + 1)
            assert await tried(alice, replace(request, tree=carried)) == ("taken" if right else "bad_request")
            assert await tried(alice, m.GetBlob(blob)) == "no_blob"


@pytest.mark.parametrize(
    "carried", [m.Carried(), m.Carried(b"x", b"n" * 32, 1), m.Carried(blob=b"n" * 32, size=1)]
)
async def test_a_request_carries_one_of_body_and_blob(tmp_path: Path, carried: m.Carried) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        code = await refused(alice, m.CreateGroup(b"g" * 32, carried, m.Carried(b"tree")))
        assert code == ("no_blob" if carried.blob and not carried.body else "bad_request")


INVITED = "INSERT INTO inbox (client, sequence, conversation, epoch, start, sender, blob, size, time) VALUES "
MAY_READ = {
    "who uploaded it": ("", True),
    "a member": ("INSERT INTO member VALUES (NULL, 1, 2, 1, 1, 1, NULL, 0)", True),
    "who came later": ("INSERT INTO member VALUES (NULL, 1, 2, 1, 1, 6, NULL, 5)", False),
    "who went before": ("INSERT INTO member VALUES (NULL, 1, 2, 1, 1, 1, 4, 0)", False),
    "who went with it": ("INSERT INTO member VALUES (NULL, 1, 2, 1, 1, 1, 5, 0)", True),
    "who is invited by it": (
        INVITED + "(2, 1, 1, 1, 6, 1, :blob, 4, 0)",
        True,
    ),
    "who is not the one invited": (
        INVITED + "(1, 1, 1, 1, 6, 1, :blob, 4, 0)",
        False,
    ),
    "anybody": ("", False),
}


@pytest.mark.parametrize("who", MAY_READ)
def test_a_blob_is_read_by_who_may_read_what_refers_to_it(tmp_path: Path, who: str) -> None:
    """It is the commit at place 5 of a log."""
    blob = {"blob": b"n" * 32}
    sql, may = MAY_READ[who]
    db = open_database(prepare_database(tmp_path))
    for name in ("one", "two"):
        db.execute(
            "INSERT INTO account (user, salt, login_hash, account_key, statement, created) "
            "VALUES (?, x'', '', x'', x'', 0)",
            (name,),
        )
        db.execute(
            "INSERT INTO client (account, name, device_key, credential, created) "
            "VALUES (last_insert_rowid(), ?, '', '', 0)",
            (name,),
        )
    db.execute(
        "INSERT INTO conversation (group_id, epoch, head, handshake_head, created) VALUES (x'', 1, 9, 5, 0)"
    )
    db.execute(
        "INSERT INTO entry (conversation, sequence, kind, epoch, client, time, blob, size) "
        "VALUES (1, 5, 'commit', 1, 1, 0, :blob, 4)",
        blob,
    )
    db.execute(
        "INSERT INTO upload (client, upload, total, received, created, name, claimed) "
        "VALUES (1, x'', 4, 4, 0, :blob, 1)",
        blob,
    )
    db.execute("INSERT INTO chunk (upload, start, data) VALUES (1, 0, x'01020304')")
    db.execute(sql, blob)
    reader = Caller(1, "one", 1, "one") if who == "who uploaded it" else Caller(2, "two", 2, "two")
    asked = m.GetBlob(b"n" * 32)
    if may:
        assert Blobs(lambda: 0).get_blob(db, reader, asked).data == b"\1\2\3\4"
    else:
        with pytest.raises(Refusal, match="no_blob"):
            Blobs(lambda: 0).get_blob(db, reader, asked)
    db.close()


async def test_what_a_commit_and_its_welcome_are_is_kept(tmp_path: Path) -> None:
    """An upload that nobody uses goes after a while; a log that has lost a commit is at its end."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (bobs_keys, bob) = people
        (group,) = await open_room(people[0])
        await publish(bob, bobs_keys)
        staged = group.stage_commit(CommitPlan(add=(await claim(alice, "bob"),)))
        assert staged.welcome is not None
        sent = [
            m.Carried(blob=(await put(alice, data, upload)).blob, size=len(data))
            for data, upload in ((staged.message, b"c" * 16), (staged.welcome, b"w" * 16))
        ]
        await put(alice, b"used by nothing", b"n" * 16)
        body = replace(commit_request(group, staged, 0), commit=sent[0], welcome=sent[1])
        assert await alice.ask(body) == m.Appended(1)
        kept = await app._writer.find(
            lambda db: db.execute("SELECT name FROM upload WHERE claimed = 1 ORDER BY upload").fetchall()
        )
        assert kept == [(carried.blob,) for carried in sent]
