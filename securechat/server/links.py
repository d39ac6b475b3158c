"""Where a new device of an account and its old ones find each other (D-05, docs/decisions/0017-linking.md).

A request lives in memory, five minutes at most, and nothing of it ever reaches the disk: no address, no
name, no sealed key. It is no truth: where one is lost a person types a command again, and what a
device was let in by is the account's statement (`account_changes`). Only who has proven the password
opens one, so nobody else can make an account's devices speak; what passes here proves nothing to them.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import apsw

from securechat.protocol.frames import encode_frame
from securechat.protocol.limits import LINK_SECONDS, MAX_CLIENTS_PER_USER
from securechat.protocol.messages import (
    ACCOUNTS,
    Answer,
    AnswerLink,
    CloseLink,
    Done,
    FinishLink,
    GetLink,
    GetLinks,
    LinkAnswer,
    Links,
    LinksChanged,
    LinkStanding,
    NewDevice,
    OpenedLink,
    OpenLink,
    RequestBody,
    RevealLink,
)
from securechat.server.errors import Refusal
from securechat.server.hub import Hub
from securechat.server.rate_limit import RateLimiter
from securechat.server.store.reader import Readers
from securechat.server.values import Caller, Clock

MAX_OPEN: Final = 3
"""Requests of one account at once: two that were given up, and the one that is meant."""

MAX_REQUESTS: Final = 2_000
"""Of all accounts: with what is sealed for them some 130 MiB at the very most."""

LINK_ID_SIZE: Final = 16

GRACE_SECONDS: Final = 30
"""By which a new device's connection outlives its request: it hears how that ended."""


class Line(Protocol):
    """The connection that asks."""

    @property
    def address(self) -> str: ...

    def admitted(self, *, seconds: float | None = None) -> None: ...


@dataclass(slots=True)
class _Request:
    link: bytes
    account: int
    commitment: bytes
    address: str
    opened: int
    ends: float
    answers: dict[str, LinkAnswer] = field(default_factory=dict)
    device: NewDevice | None = None
    sealed: bytes = field(default=b"", repr=False)
    sealed_by: str = ""
    refused: bool = False


class Rendezvous:
    """For the loop's thread."""

    def __init__(
        self, limiter: RateLimiter, readers: Readers, hub: Hub, *, now: Clock, clock: Callable[[], float]
    ) -> None:
        """Begin with no request; ``clock`` is monotonic, in seconds."""
        self._limiter = limiter
        self._readers = readers
        self._hub = hub
        self._now = now
        self._clock = clock
        self._requests: dict[bytes, _Request] = {}
        """In the order in which they end."""
        self.answers: dict[type[RequestBody], Callable[[Caller, Any, Line], Awaitable[Answer]]] = {
            OpenLink: self._open,
            GetLink: self._get,
            RevealLink: self._reveal,
            CloseLink: self._close,
            GetLinks: self._list,
            AnswerLink: self._answer,
            FinishLink: self._finish,
        }

    def __len__(self) -> int:
        return len(self._requests)

    # What a new device asks.

    async def _open(self, caller: Caller, body: OpenLink, line: Line) -> LinkStanding:
        _must_be_new(caller)
        self._forget_old()
        if len(list(self._live(caller.account))) >= MAX_OPEN:
            raise Refusal("quota", "three devices wait to be linked already; end one, or wait five minutes")
        self._limiter.check("links", caller.account)
        if len(self._requests) >= MAX_REQUESTS:
            raise Refusal("busy")
        request = _Request(
            link=secrets.token_bytes(LINK_ID_SIZE),
            account=caller.account,
            commitment=body.commitment,
            address=line.address,
            opened=self._now(),
            ends=self._clock() + LINK_SECONDS,
        )
        self._requests[request.link] = request
        line.admitted(seconds=LINK_SECONDS + GRACE_SECONDS)  # it waits for a person
        await self._tell(caller)
        return self._standing(request)

    async def _get(self, caller: Caller, body: GetLink, _line: Line) -> LinkStanding:
        return self._standing(self._find(caller, body.link, refused=True))

    async def _reveal(self, caller: Caller, body: RevealLink, _line: Line) -> LinkStanding:
        _must_be_new(caller)
        request = self._find(caller, body.link)
        if not request.answers or request.device not in (None, body.device):
            raise Refusal("forbidden", "a request reveals one thing, after it was answered")
        if request.device is None:
            request.device = body.device
            await self._tell(caller)
        return self._standing(request)

    async def _close(self, caller: Caller, body: CloseLink, _line: Line) -> Done:
        request = self._find(caller, body.link)
        request.refused, request.sealed = True, b""
        if not caller.client:
            del self._requests[request.link]  # who asked knows
        await self._tell(caller)
        return Done()

    # What the account's devices ask.

    async def _list(self, caller: Caller, _body: GetLinks, _line: Line) -> Links:
        self._forget_old()
        return Links(
            [
                OpenedLink(
                    each.link, each.commitment, each.opened, self._left(each), each.address, each.device
                )
                for each in self._live(caller.account)
            ]
        )

    async def _answer(self, caller: Caller, body: AnswerLink, _line: Line) -> Done:
        request = self._find(caller, body.link)
        answer = LinkAnswer(caller.name, body.name, body.key)
        before = request.answers.get(caller.name)
        if before == answer:
            return Done()
        full = len(request.answers) >= MAX_CLIENTS_PER_USER
        if before is not None or full or request.device is not None:
            raise Refusal("forbidden", "a request is answered once, before it reveals anything")
        request.answers[caller.name] = answer
        return Done()

    async def _finish(self, caller: Caller, body: FinishLink, _line: Line) -> Done:
        request = self._find(caller, body.link)
        if request.device is None or caller.name not in request.answers:
            raise Refusal("forbidden", "this device has not answered that request")
        if request.sealed and not hmac.compare_digest(request.sealed, body.sealed):
            raise Refusal("forbidden", "that device is linked already")
        request.sealed, request.sealed_by = body.sealed, caller.name
        return Done()

    # What there is.

    def _find(self, caller: Caller, link: bytes, *, refused: bool = False) -> _Request:
        self._forget_old()
        request = self._requests.get(link)
        if request is None or request.account != caller.account or (request.refused and not refused):
            raise Refusal("no_link")
        return request

    def _live(self, account: int) -> Iterable[_Request]:
        return (each for each in self._requests.values() if each.account == account and not each.refused)

    def _forget_old(self) -> None:
        now = self._clock()
        while self._requests:
            first = next(iter(self._requests.values()))
            if first.ends > now:
                return
            del self._requests[first.link]

    def _left(self, request: _Request) -> int:
        return max(0, int(request.ends - self._clock()))

    def _standing(self, request: _Request) -> LinkStanding:
        return LinkStanding(
            request.link,
            self._left(request),
            list(request.answers.values()),
            request.sealed,
            request.sealed_by,
            request.refused,
        )

    async def _tell(self, caller: Caller) -> None:
        clients = await self._readers.run(lambda db: _clients_of(db, caller.account))
        self._hub.tell(clients, _CHANGED, ACCOUNTS)


_CHANGED: Final = encode_frame(LinksChanged())


def _must_be_new(caller: Caller) -> None:
    if caller.client:
        raise Refusal("forbidden", "this device is linked already")


def _clients_of(db: apsw.Connection, account: int) -> list[int]:
    rows = db.execute("SELECT id FROM client WHERE account = ? AND revoked IS NULL", (account,))
    return [number for (number,) in rows]
