"""A client that is a handful of lists: the screen's other side, without a store or a server."""

# ruff: noqa: ARG002 - it takes what the client takes

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final

from msgspec import structs

from securechat.client.errors import UnknownConversation, WrongPassword
from securechat.client.events import (
    Conversation,
    Event,
    Identity,
    Kind,
    LinkOffer,
    Member,
    Message,
    MessageAcknowledged,
    MessageChanged,
    MessageReceived,
    MessageState,
    OwnDevice,
    Reaction,
    Revocation,
    Standing,
    Status,
    Transfer,
)
from securechat.tui.backend import Confirm, Tell

DAY: Final = 86_400
NOON: Final = int(datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp())
SUITE: Final = "MLS_256_XWING_CHACHA20POLY1305_SHA256_Ed25519"


def message(local_id: int, text: str, *, sender: str = "bob", **more: Any) -> Message:
    own = sender == "alice"
    values: dict[str, Any] = {
        "id": f"{local_id:064x}",
        "local_id": local_id,
        "conversation": "@bob",
        "sender": sender,
        "own": own,
        "text": text,
        "timestamp": NOON + 60 * local_id,
        "sequence": local_id,
        "epoch": 3,
        "state": MessageState.SENT if own else MessageState.RECEIVED,
        "verified": "known",
    }
    return Message(**(values | more))


def conversation(name: str, *people: str, **more: Any) -> Conversation:
    identity = Identity.VERIFIED if more.get("verified") else Identity.KNOWN
    identity = Identity.CHANGED if more.get("held_code") == "identity_changed" else identity
    members = tuple(
        Member(user, "member", 1, None if user == "alice" else identity, 1)
        for user in people or ("alice", name[1:])
    )
    values: dict[str, Any] = {
        "name": name,
        "kind": Kind.DIRECT if name.startswith("@") else Kind.ROOM,
        "state": Standing.JOINED,
        "epoch": 3,
        "suite": SUITE,
        "members": members,
        "title": "",
        "topic": "",
        "invited_by": "",
        "may_speak": True,
        "identity": identity,
    }
    return Conversation(**(values | more))


@dataclass
class FakeClient:
    """Does what `Backend` says, at once; `did` has every call that changes something."""

    rooms: dict[str, Conversation] = field(default_factory=dict)
    said: dict[str, list[Message]] = field(default_factory=dict)
    did: list[tuple[Any, ...]] = field(default_factory=list)
    marked: list[Message] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    loose: dict[str, str] = field(default_factory=dict)
    """Drafts for conversations that do not exist."""
    moving: list[Transfer] = field(default_factory=list)
    news: "asyncio.Queue[Event] | None" = None
    followed: asyncio.Event = field(default_factory=asyncio.Event)
    fails: Exception | None = None
    tell: Tell = print
    status_connected: bool = True

    async def events(self) -> AsyncIterator[Event]:
        self.news = asyncio.Queue()
        self.followed.set()
        return self._each(self.news)

    async def _each(self, news: "asyncio.Queue[Event]") -> AsyncIterator[Event]:
        while True:
            yield await news.get()
            news.task_done()

    def status(self) -> Status:
        return Status(
            user="alice",
            server="localhost:7443",
            domain="example.org",
            fingerprint="",
            connected=self.status_connected,
            encryption="MLS",
            conversations=len(self.rooms),
            queued=0,
            undecryptable=0,
            unprinted=0,
        )

    def conversations(self) -> list[Conversation]:
        return list(self.rooms.values())

    def timeline(self, name: str, *, before: int = 0, after: int = 0, limit: int = 100) -> list[Message]:
        if name not in self.rooms:
            raise UnknownConversation(name)
        found = [one for one in self.said.get(name, []) if one.local_id > after]
        if before:
            found = [one for one in found if one.local_id < before]
        return found[:limit] if after else found[-limit:]

    def at_date(self, name: str, day: date) -> int:
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        return next((one.local_id for one in self.said[name] if one.timestamp >= moment), 0)

    def search(self, words: str, *, conversation: str | None = None, limit: int = 50, before: int = 0) -> Any:
        every = [one for said in self.said.values() for one in said]
        return [one for one in every if words in one.text][:limit]

    def send(self, to: str, text: str, *, reply_to: str = "", thread: str = "") -> Message:
        self._check()
        self.did.append(("send", to, text, reply_to))
        name = to.lower()
        self.rooms.setdefault(name, conversation(name))
        sent = message(
            self.next_id(),
            text,
            sender="alice",
            conversation=name,
            state=MessageState.QUEUED,
            reply_to=reply_to,
        )
        self.said.setdefault(name, []).append(sent)
        return sent

    def edit(self, to: str, id: str, text: str) -> Message:  # noqa: A002 - the client's name
        self.did.append(("edit", to, id, text))
        return self._changed(to, id, text=text, edited=NOON)

    def delete(self, to: str, id: str) -> Message:  # noqa: A002
        self.did.append(("delete", to, id))
        return self._changed(to, id, text="", deleted=True)

    def react(self, to: str, id: str, text: str, *, on: bool = True) -> Message:  # noqa: A002
        self.did.append(("react", to, id, text))
        return self._changed(to, id, reactions=(Reaction(text, ("alice",)),))

    def _changed(self, to: str, id: str, **fields: Any) -> Message:  # noqa: A002
        at = next(at for at, one in enumerate(self.said[to]) if one.id == id)
        self.said[to][at] = structs.replace(self.said[to][at], **fields)
        return self.said[to][at]

    def typing(self, to: str, on: bool) -> None:  # noqa: FBT001 - the client's name
        self.did.append(("typing", to, on))

    def mark_read(self, to: str, id: str) -> None:  # noqa: A002
        self.did.append(("read", to, id))

    def mark_shown(self, local_ids: list[int]) -> None:
        self.did.append(("shown", *local_ids))
        for name, said in self.said.items():
            if room := self.rooms.get(name):
                left = sum(one.local_id not in local_ids for one in said[-room.unread :])
                self.rooms[name] = structs.replace(room, unread=left if room.unread else 0)

    def draft(self, name: str) -> str:
        return self.rooms[name].draft if name in self.rooms else self.loose.get(name, "")

    def set_draft(self, name: str, text: str) -> None:
        self.did.append(("draft", name, text))
        if name in self.rooms:
            self.rooms[name] = structs.replace(self.rooms[name], draft=text)
        else:
            self.loose[name] = text

    def bookmark(self, message: str, *, on: bool = True) -> None:
        self.did.append(("bookmark", message, on))

    def fetch_file(self, id: str, *, to: str = "") -> str:  # noqa: A002 - the client's name
        self.did.append(("fetch", id))
        self._check()
        return self.files[id]

    def mentions(self, limit: int = 100) -> list[Message]:
        return [one for said in self.said.values() for one in said if one.mentions_me][:limit]

    def bookmarks(self) -> list[Message]:
        return self.marked

    def transfers(self) -> list[Transfer]:
        return list(self.moving)

    def cancel_transfer(self, number: int) -> Transfer:
        self.did.append(("cancel", number))
        (found,) = [one for one in self.moving if one.number == number]
        self.moving.remove(found)
        return found

    def link_offer(self, code: str) -> LinkOffer:
        self.did.append(("offer", code))
        return LinkOffer(number=3, name="laptop", device="n" * 26, address="10.0.0.5", asked=0)

    def approve_link(self, number: int, password: str) -> LinkOffer:
        self.did.append(("approve", number, password))
        return LinkOffer(number=3, name="laptop", device="n" * 26, address="10.0.0.5", asked=0)

    def decline_link(self, number: int) -> None:
        self.did.append(("decline", number))

    def own_devices(self) -> list[OwnDevice]:
        return [OwnDevice(device="p" * 26, name="phone", this=False, since=0, seen=0, idle=True)]

    def revoke_device(self, device: str, password: str) -> Revocation:
        self.did.append(("revoke", device, password))
        return Revocation(device=device, conversations=2, left=0)

    async def take(self, line: str, target: str) -> str:
        """As a commander."""
        self.did.append(("command", line, target))
        self._check()
        self.tell(f"* did {line}")
        return "#team" if line.startswith("/join") else target

    async def close(self) -> None:
        self.did.append(("closed",))

    def _check(self) -> None:
        if self.fails is not None:
            raise self.fails

    # --- what a test makes happen ------------------------------------------------------------------

    def next_id(self) -> int:
        return max((one.local_id for said in self.said.values() for one in said), default=0) + 1

    def happen(self, event: Event) -> None:
        """The client tells this; called in its own thread."""
        message_ = getattr(event, "message", None)
        if isinstance(event, MessageReceived | MessageChanged | MessageAcknowledged) and message_ is not None:
            said = self.said.setdefault(message_.conversation, [])
            self.said[message_.conversation] = [
                *(one for one in said if one.local_id != message_.local_id),
                message_,
            ]
        assert self.news is not None
        self.news.put_nowait(event)

    @asynccontextmanager
    async def opened(self, password: str, confirm: Confirm) -> AsyncIterator["FakeClient"]:
        if password != "right":
            raise WrongPassword("alice")
        yield self

    def commanded(self, client: Any, tell: Tell) -> "FakeClient":
        self.tell = tell
        return self


def talk_of_two(count: int = 6) -> FakeClient:
    """Alice, bob and a room, with some things said."""
    client = FakeClient()
    client.rooms["@bob"] = conversation("@bob", last="see you", last_time=NOON + 600, verified=True)
    client.rooms["#team"] = conversation(
        "#team",
        "alice",
        "bob",
        "carol",
        topic="what we build",
        last="@carol: lunch?",
        last_time=NOON,
        unread=2,
    )
    client.said["@bob"] = [
        message(at, f"message {at}", sender="alice" if at % 3 == 0 else "bob") for at in range(1, count + 1)
    ]
    client.said["#team"] = [
        message(count + 1, "anybody here?", sender="carol", conversation="#team"),
        message(count + 2, "lunch?", sender="carol", conversation="#team"),
    ]
    return client
