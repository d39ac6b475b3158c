"""`securechat demo`: the main job in a temporary folder, with its claims checked.

A real server process on a free port, three accounts with real Argon2, real TLS sockets; then what
alice typed, what the server holds and what bob sees, side by side. Exit code 0 only if every
check is true.
"""

import asyncio
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import click

from securechat.cli.demo_server import DemoFailed, DemoServer, StoredEntry
from securechat.cli.home import private_umask
from securechat.client.client import Client
from securechat.client.config import Home, ServerAddress
from securechat.client.events import Event, Invited, MembersChanged, Message, MessageReceived
from securechat.client.registration import register
from securechat.client.trust import Trust
from securechat.membership.passwords import generate_passphrase

EXIT_UNTRUE: Final = 2
EVENT_SECONDS: Final = 20
"""How long one step may take before the demo says that it did not happen."""

E = TypeVar("E")


@dataclass
class Checks:
    """What was claimed and whether it was so."""

    failed: int = 0
    lines: list[str] = field(default_factory=list)

    def check(self, claim: str, holds: bool) -> None:
        self.failed += not holds
        self.lines.append(f"  {'ok   ' if holds else 'FALSE'}  {claim}")


@click.command()
def demo() -> int:
    """Run a server and three people in a temporary folder, and check what is claimed."""
    private_umask()
    folder = Path(tempfile.mkdtemp(prefix="securechat-demo-"))
    started = time.monotonic()
    try:
        checks = asyncio.run(_demo(folder))
    finally:
        shutil.rmtree(folder)
    click.echo("\nWhat was checked")
    for line in checks.lines:
        click.echo(line)
    click.echo(f"\n{len(checks.lines)} checks, {checks.failed} failed, {time.monotonic() - started:.1f} s")
    return EXIT_UNTRUE if checks.failed else 0


async def _demo(folder: Path) -> Checks:
    checks = Checks()
    async with DemoServer.started(folder / "server") as server:
        click.echo(f"A server listens on localhost:{server.port}, fingerprint {server.fingerprint}")
        people = await _register(folder, server)
        async with people["alice"] as alice, people["bob"] as bob, people["carol"] as carol:
            click.echo("alice, bob and carol have accounts; their passwords never left their own folders.\n")
            seen = {name: _Watcher(name, client) for name, client in people.items()}
            talk = await _one_to_one(alice, bob, seen, checks)
            room = await _room(alice, bob, carol, seen, checks)
            await _offline_and_killed(server, alice, seen, checks)
            checks.check(
                "bob, removed from the room, never saw what was said there afterwards",
                room.typed[-1] not in seen["bob"].texts(),
            )
            for watcher in seen.values():
                await watcher.stop()
        secret_texts = [*talk.typed, *room.typed, room.name, room.topic]
        _side_by_side(talk, server.stored_entries())
        _nothing_leaked(server, [*secret_texts, *people.passwords], checks)
    return checks


class _People(dict[str, Client]):
    """Clients by name, and the passwords whose absence is checked."""

    def __init__(self) -> None:
        super().__init__()
        self.passwords: list[str] = []


async def _register(folder: Path, server: DemoServer) -> _People:
    people = _People()
    address = ServerAddress("localhost", server.port)
    trust = Trust(cafile=None, fingerprint=server.fingerprint, accept_new=False, confirm=None)
    for user in ("alice", "bob", "carol"):
        home = Home(folder / f"home-{user}")
        password = generate_passphrase()
        people.passwords.append(password)
        await register(home, address, user, password, trust)
        people[user] = await Client.open(home, user, password, trust=trust)
    return people


@dataclass
class _Talk:
    name: str
    topic: str = ""
    typed: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)


async def _one_to_one(alice: Client, bob: Client, seen: "dict[str, _Watcher]", checks: Checks) -> _Talk:
    talk = _Talk("@bob")
    mark = secrets.token_hex(4)
    for number, words in enumerate((f"hello bob, the code is {mark}", "nobody in between can read this")):
        talk.typed.append(words)
        await alice.send("@bob", words)
        message = await seen["bob"].hear(words)
        talk.seen.append(message.text)
        checks.check(f"bob sees what alice typed, word for word ({number + 1} of 2)", message.text == words)
        checks.check("and the sender proven by MLS is alice", message.sender == "alice")
    await bob.send("@alice", f"got it, {mark}")
    answer = await seen["alice"].wait(MessageReceived, lambda event: event.message.sender == "bob")
    checks.check("bob's answer reaches alice in the same conversation", answer.message.conversation == "@bob")
    ours, theirs = alice.fingerprint("@bob"), bob.fingerprint("@alice")
    checks.check(
        "both compute the same safety number and the same epoch code",
        ours.safety_number is not None
        and (ours.safety_number, ours.epoch_code) == (theirs.safety_number, theirs.epoch_code),
    )
    return talk


async def _room(
    alice: Client, bob: Client, carol: Client, seen: "dict[str, _Watcher]", checks: Checks
) -> _Talk:
    room = _Talk(f"#plans-{secrets.token_hex(4)}", topic=f"picnic {secrets.token_hex(4)}")
    await alice.create_room(room.name, topic=room.topic)
    for user, client in (("bob", bob), ("carol", carol)):
        await alice.invite(room.name, user)
        invited = await seen[user].wait(Invited, lambda event: event.by == "alice")
        await client.join(invited.conversation)
        checks.check(
            f"{user} is invited and sees the room's name and topic",
            (client.conversation(invited.conversation).title, client.conversation(invited.conversation).topic)
            == (room.name.removeprefix("#"), room.topic),
        )
    words = f"carol here, who brings {secrets.token_hex(4)}?"
    room.typed.append(words)
    await carol.send(room.name, words)
    for user in ("alice", "bob"):
        message = await seen[user].hear(words)
        checks.check(f"{user} sees carol's message in the room", message.sender == "carol")
    await alice.remove(room.name, "bob")
    await seen["carol"].wait(MembersChanged, lambda event: "bob" in event.removed)
    later = f"without bob: {secrets.token_hex(4)}"
    await alice.send(room.name, later)
    await seen["carol"].hear(later)
    room.typed.append(later)
    return room


async def _offline_and_killed(
    server: DemoServer, alice: Client, seen: "dict[str, _Watcher]", checks: Checks
) -> None:
    words = [f"sent while nobody listened {secrets.token_hex(4)}" for _ in range(3)]
    await server.kill()
    for text in words:
        await alice.send("@bob", text)
    await server.start()
    for text in words:
        await seen["bob"].hear(text)
    shown = [text for text in seen["bob"].texts() if text in words]
    checks.check("the server was killed and started: what was queued arrives, in order, once", shown == words)


class _Watcher:
    """Keeps a client's events and lets a step wait for one."""

    def __init__(self, who: str, client: Client) -> None:
        self._who = who
        self._events: list[Event] = []
        self._news = asyncio.Condition()
        self._task = asyncio.create_task(self._watch(client))

    async def _watch(self, client: Client) -> None:
        async for event in client.events():
            async with self._news:
                self._events.append(event)
                self._news.notify_all()

    async def wait(self, kind: type[E], matches: Callable[[E], bool]) -> E:
        try:
            async with asyncio.timeout(EVENT_SECONDS), self._news:
                while True:
                    for event in self._events:
                        if isinstance(event, kind) and matches(event):
                            return event
                    await self._news.wait()
        except TimeoutError:
            raise DemoFailed(f"{self._who} waited {EVENT_SECONDS} s in vain for: {kind.__name__}") from None

    async def hear(self, text: str) -> Message:
        """Wait until a message with this text is there."""
        return (await self.wait(MessageReceived, lambda event: event.message.text == text)).message

    def texts(self) -> list[str]:
        return [event.message.text for event in self._events if isinstance(event, MessageReceived)]

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def _side_by_side(talk: _Talk, entries: list[StoredEntry]) -> None:
    width = 34
    sealed = [entry for entry in entries if entry.kind == "message"][: len(talk.typed)]
    click.echo(f"{'alice typed':{width}}  {'the server holds':{width}}  {'bob sees':{width}}")
    click.echo(f"{'-' * width}  {'-' * width}  {'-' * width}")
    for typed, entry, seen in zip(talk.typed, sealed, talk.seen, strict=True):
        held = f"{entry.body.hex()[: width - 14]}… {len(entry.body)} bytes"
        click.echo(f"{typed[:width]:{width}}  {held:{width}}  {seen[:width]:{width}}")


def _nothing_leaked(server: DemoServer, secret_texts: list[str], checks: Checks) -> None:
    stored = server.everything_stored()
    checks.check(
        f"none of {len(secret_texts)} texts, room names and passwords is in the server's "
        f"{len(stored):,} bytes of files and logs",
        bool(stored) and not any(text.encode() in stored for text in secret_texts),
    )
    checks.check("but the sealed messages are there, on disk", bool(server.stored_entries()))
