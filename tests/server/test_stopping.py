"""A server that stops answers what it took, says goodbye and ends (N-04)."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from securechat.protocol import messages as m
from securechat.protocol.client_connection import Responded
from securechat.server.admin_call import opened
from securechat.server.app import App, serve
from securechat.server.certificate import make_certificate
from securechat.server.errors import StoreFailed
from tests.faults.drain import DRAIN, drain
from tests.server.command import Command, running_command
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
    async with running_command(tmp_path) as command:
        peer = await Peer.connect(command.port)
        await peer.register(Person("alice", command.domain))
        command.process.send_signal(number)
        await peer.until(lambda: peer.closed is not None)
        code, errors = await command.ends()
    assert peer.closed is not None
    assert peer.closed.code == "stopping"
    assert code == 0
    assert "Traceback" not in errors


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


async def test_n_04_a_signal_drains_many_clients_in_time_and_loses_nothing(tmp_path: Path) -> None:
    """The long form: ``python -m tests.faults.drain --count 1000``."""
    result = await drain(tmp_path, 50)
    assert (result.said_goodbye, result.lost, result.code) == (50, 0, 0)
    assert result.acknowledged > 20
    assert result.seconds <= DRAIN


def test_l_03_a_server_leaves_no_core_and_its_memory_is_its_own() -> None:
    script = (
        "import ctypes, os, resource, sys\n"
        "from securechat.own_memory import keep_memory_to_itself\n"
        "keep_memory_to_itself()\n"
        "linux = sys.platform.startswith('linux')\n"
        "dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) if linux else 0\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), dumpable, os.umask(0))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert run.stdout.split("\n")[0] == f"(0, 0) 0 {0o077}"


async def test_sighup_shows_newcomers_a_renewed_certificate_and_sends_nobody_away(tmp_path: Path) -> None:
    async with running_command(tmp_path) as command:
        before = await Peer.connect(command.port)
        alice = Person("alice", command.domain)
        await before.register(alice)
        (tmp_path / "server.pem").rename(tmp_path / "server.old")
        for good in (False, True):
            if good:
                make_certificate(tmp_path / "new.pem")
                os.replace(tmp_path / "new.pem", tmp_path / "server.pem")  # noqa: PTH105 - in one step
            os.kill(command.pid, signal.SIGHUP)
            async with asyncio.timeout(20):
                while not good and not (await asyncio.to_thread(_status, command))["errors"]:
                    pass
        digest = hashlib.sha256(_shown_by(tmp_path / "server.pem")).hexdigest()
        async with asyncio.timeout(20):
            while (await asyncio.to_thread(_status, command))["certificate"]["sha256"] != digest:
                pass
        await before.ask(m.Ping())
        after = await Peer.connect(command.port)
        await after.log_in(alice)
        await after.close()
        await before.close()


def _status(command: Command) -> dict[str, Any]:
    with opened(command.data / "admin.sock") as line:
        found: dict[str, Any] = line.call("status", {})
    return found


def _shown_by(path: Path) -> bytes:
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(serialization.Encoding.DER)
