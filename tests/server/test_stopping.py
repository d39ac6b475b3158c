"""A server that stops answers what it took, says goodbye and ends (N-04)."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from securechat.protocol import messages as m
from securechat.protocol.client_connection import Responded
from securechat.server.app import App, serve
from securechat.server.errors import StoreFailed
from tests.server.peer import Peer, Person, WasRefused, open_room
from tests.server.running import config_in, running_server
from tests.server.watching import watched_disk


async def test_what_was_answered_before_a_stop_is_there_after_it(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        people = [
            (Person(user, app.identity.domain), await Peer.connect(app.port)) for user in ("alice", "bob")
        ]
        for person, peer in people:
            await peer.register(person)
        (alices_keys, alice), (_, bob) = people
        group, _ = await open_room(*people)
        for _ in range(40):
            alice.send(m.SendMessage(group.group_id, 1, group.encrypt(b"x")))
        await bob.entry(2)
    await alice.until(lambda: alice.closed is not None)
    assert alice.closed is not None
    assert alice.closed.code == "stopping"
    answers = [event.answer for event in alice._answers.values() if isinstance(event, Responded)]
    promised = [answer.sequence for answer in answers if isinstance(answer, m.Appended)]
    async with running_server(tmp_path) as app:
        again = await Peer.connect(app.port)
        await again.log_in(alices_keys)
        fetched = await again.ask(m.Fetch(group.group_id, 2))
        assert isinstance(fetched, m.Entries)
        kept = {entry.sequence for entry in fetched.entries if isinstance(entry, m.Entry)}
        assert set(promised) <= kept
        assert kept == set(range(2, 2 + len(kept)))
        await again.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_n_04_a_signal_ends_the_command_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "securechat", "server", "--host", "127.0.0.1", "--port", "0"),
        *("--data", str(tmp_path / "data"), "--cert", str(tmp_path / "server.pem")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    port, domain = 0, ""
    async with asyncio.timeout(30):
        while not (line := (await process.stdout.readline()).decode()).startswith("ready"):
            assert line, (await process.stderr.read()).decode()
            if line.startswith("listening on"):
                port = int(line.rsplit(":", 1)[1])
            if line.startswith("domain"):
                domain = line.split()[1]
        peer = await Peer.connect(port)
        await peer.register(Person("alice", domain))
        process.send_signal(number)
        await peer.until(lambda: peer.closed is not None)
        _, errors = await process.communicate()
    assert peer.closed is not None
    assert peer.closed.code == "stopping"
    assert process.returncode == 0
    assert "Traceback" not in errors.decode()


def test_what_ends_the_command_by_itself_has_a_code_of_its_own() -> None:
    assert StoreFailed.exit_code == 2


async def test_a_failed_database_ends_serving(tmp_path: Path) -> None:
    with watched_disk() as disk:

        async def break_it(app: App) -> None:
            peer = await Peer.connect(app.port)
            disk.broken = True
            with pytest.raises((WasRefused, ConnectionError)):
                await peer.register(Person("alice", app.identity.domain))

        tasks: list[asyncio.Task[None]] = []
        async with asyncio.timeout(20):
            with pytest.raises(StoreFailed):
                await serve(config_in(tmp_path), lambda app: tasks.append(asyncio.create_task(break_it(app))))
            await tasks[0]
        disk.broken = False
