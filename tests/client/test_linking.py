"""A new device asks as long as a person may still type its code (D-05)."""

from types import SimpleNamespace
from typing import Any

import pytest

from securechat.client.errors import Disconnected, LinkExpired, LinkOver, RefusedByServer, refusal
from securechat.client.linking import Progress, _Request
from securechat.membership.linking import LIFETIME
from securechat.protocol.messages import Answer, LinkStanding, OpenLink, RequestBody, RevealLink
from tests.client.parts import DOMAIN


class Line:
    """A server that refuses so often, and then says how the request stands."""

    def __init__(self, *refusals: Exception) -> None:
        self.pin = SimpleNamespace(domain=DOMAIN)
        self.salt = b"s" * 16
        self.refusals = list(refusals)
        self.asked: list[type[RequestBody]] = []
        self.now = 0.0

    async def ask(self, body: RequestBody) -> Answer:
        self.asked.append(type(body))
        if self.refusals:
            raise self.refusals.pop(0)
        return LinkStanding(b"l" * 16, 1, [])

    async def pause(self, seconds: float) -> None:
        self.now += seconds


def request(line: Line, *, begun: bool = True) -> _Request:
    given: Any = line
    made = _Request(given, "alice", "laptop", line.pause, lambda: line.now)
    made._link = b"l" * 16 if begun else b""
    return made


PASSING = [refusal("busy"), refusal("limited", retry_after=3), Disconnected("gone"), refusal("internal")]


async def test_d_05_a_server_that_has_no_time_is_asked_again_until_it_has() -> None:
    line = Line(*PASSING)
    standing = await request(line)._ask(RevealLink(b"l" * 16, request(line)._device()))
    assert (standing.link, len(line.asked)) == (b"l" * 16, 5)
    assert 3 < line.now < LIFETIME


async def test_d_05_but_no_longer_than_the_code_lives() -> None:
    line = Line(*[refusal("busy") for _ in range(1000)])
    with pytest.raises(LinkExpired):
        await request(line)._ask(RevealLink(b"l" * 16, request(line)._device()))
    assert line.now >= LIFETIME


@pytest.mark.parametrize("code", ["busy", "limited", "quota"])
async def test_before_anything_is_begun_a_person_is_told_at_once(code: str) -> None:
    def tell(_progress: Progress) -> None:
        """Nothing is shown."""

    line = Line(refusal(code))
    with pytest.raises(RefusedByServer):
        await request(line, begun=False).run(tell)
    assert (line.asked, line.now) == ([OpenLink], 0)


async def test_d_05_a_definite_no_ends_it() -> None:
    with pytest.raises(LinkOver):
        await request(Line(refusal("no_link")))._ask(RevealLink(b"l" * 16, request(Line())._device()))
