"""A witness follows every entry, asks as a stranger, and keeps what it takes to go on (D-03)."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from securechat.client.errors import UntrustedKeys
from securechat.client.witness import CaughtByWitness, Witnessed, load, look, save
from securechat.mls.codec import decode, encode
from securechat.protocol.messages import Answer, LogSteps, RequestBody, TreeHeadOffered
from securechat.server.store.sqlite import open_database
from securechat.transparency.evidence import judge_evidence, read_evidence
from securechat.transparency.update import AuditStep
from tests.server.peer import Peer, registered
from tests.server.running import running_server
from tests.server.test_transparency import _fill


def now() -> int:
    return int(time.time())


async def test_every_entry_is_followed_and_the_next_look_goes_on(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice"):
        _fill(tmp_path, 40)
        stranger = await Peer.connect(app.port)
        known, word = await look(stranger.ask, Witnessed(app.identity_key), now=now())
        assert (word.before, word.size, word.begun) == (0, 41, False)
        save(tmp_path / "known", known)
        async with registered(app, "bob"):
            again = load(tmp_path / "known", app.identity_key)
            _, word = await look(stranger.ask, again, now=now())
        await stranger.close()
        assert (word.before, word.size) == (41, 42)
    with pytest.raises(UntrustedKeys):
        load(tmp_path / "known", bytes(32))
    assert load(tmp_path / "none", bytes(32)) == Witnessed(bytes(32))


def forged(answer: Answer) -> Answer:
    """A step that says something else than its head was signed over."""
    if not isinstance(answer, LogSteps) or not answer.steps:
        return answer
    step = decode(AuditStep, answer.steps[-1])
    change = msgspec.structs.replace(step.entry.change, serial=7)
    entry = msgspec.structs.replace(step.entry, change=change)
    last = encode(msgspec.structs.replace(step, entry=entry))
    return msgspec.structs.replace(answer, steps=[*answer.steps[:-1], last])


def withheld(answer: Answer) -> Answer:
    return msgspec.structs.replace(answer, steps=[]) if isinstance(answer, LogSteps) else answer


def torn(answer: Answer) -> Answer:
    if isinstance(answer, TreeHeadOffered):
        return msgspec.structs.replace(answer, offer=answer.offer[:-1])
    return answer


@pytest.mark.parametrize("lie", [forged, withheld, torn])
async def test_d_03_what_does_not_hold_is_no_look(tmp_path: Path, lie: Any) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob"):
        stranger = await Peer.connect(app.port)

        async def ask(body: RequestBody) -> Answer:
            answer: Answer = lie(await stranger.ask(body))
            return answer

        with pytest.raises(CaughtByWitness) as caught:
            await look(ask, Witnessed(app.identity_key), now=now())
        assert caught.value.evidence == b""
        await stranger.close()


async def test_d_03_a_second_log_is_evidence(tmp_path: Path) -> None:
    """The file that would have told of a restore went back with the database."""
    here, there = tmp_path / "here", tmp_path / "there"
    async with running_server(here) as app, registered(app, "alice"):
        key = app.identity_key
    _copy(here, there)
    async with running_server(here) as app, registered(app, "bob"):
        stranger = await Peer.connect(app.port)
        known, _ = await look(stranger.ask, Witnessed(key), now=now())
        await stranger.close()
    async with running_server(there) as app, registered(app, "carol"):
        stranger = await Peer.connect(app.port)
        with pytest.raises(CaughtByWitness) as caught:
            await look(stranger.ask, known, now=now())
        await stranger.close()
    verdict = judge_evidence(read_evidence(caught.value.evidence), key)
    assert verdict is not None
    assert verdict.rule == "equivocation"


def _copy(folder: Path, target: Path) -> None:
    (target / "data").mkdir(parents=True, mode=0o700)
    with closing(open_database(folder / "data" / "server.db")) as db:
        db.execute("VACUUM INTO ?", (str(target / "data" / "server.db"),))
    (target / "data" / "server.db").chmod(0o600)
