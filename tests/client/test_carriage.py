"""What comes in pieces is put together and held to its hash."""

import hashlib
from typing import cast

import pytest

from securechat.client.carriage import NOT_NOW, collect, complete, tree_of
from securechat.client.errors import RefusedByServer, Unreachable, refusal
from securechat.client.session import Session
from securechat.protocol.messages import Answer, Carried, Chunk, Done, Entry, GetTree, RequestBody
from tests.client.parts import NOW, NotingSession

DATA = bytes(range(200))
NAME = hashlib.sha256(DATA).digest()


def answering(*answers: Answer) -> tuple[Session, NotingSession]:
    session = NotingSession()
    session.answers = list(answers)
    return cast(Session, session), session


async def test_what_is_in_the_frame_is_not_asked_for() -> None:
    session, noted = answering()

    assert await collect(session, Carried(body=b"here")) == b"here"
    assert noted.asked == []


async def test_pieces_are_asked_for_until_all_are_there() -> None:
    session, noted = answering(Chunk(200, 0, DATA[:150]), Chunk(200, 150, DATA[150:]))

    assert await collect(session, Carried(blob=NAME, size=200)) == DATA
    assert len(noted.asked) == 2


@pytest.mark.parametrize(
    "answers",
    [
        [Chunk(200, 0, DATA[:199] + b"x")],
        [Chunk(200, 50, DATA)],
        [Chunk(200, 0, b"")],
        [Chunk(1 << 40, 0, DATA)],
        [Done()],
    ],
    ids=["other bytes", "another place", "nothing", "far too much", "another answer"],
)
async def test_what_is_not_the_named_thing_is_refused(answers: list[Answer]) -> None:
    session, _ = answering(*answers)

    with pytest.raises(Unreachable):
        await collect(session, Carried(blob=NAME, size=200))


async def test_entries_get_their_bodies() -> None:
    session, _ = answering(Chunk(200, 0, DATA))
    carried = Entry(2, "commit", 1, "x" * 26, NOW, blob=NAME, size=200)
    whole = Entry(1, "message", 1, "x" * 26, NOW, body=b"here")

    assert [
        entry.body for entry in await complete(session, [whole, carried]) if isinstance(entry, Entry)
    ] == [
        b"here",
        DATA,
    ]


async def test_a_tree_that_is_no_longer_kept_is_none() -> None:
    class Refusing(NotingSession):
        async def request(self, body: RequestBody) -> Answer:
            assert body == GetTree(b"g" * 32, 3)
            raise refusal("gone")

    assert await tree_of(cast(Session, Refusing()), b"g" * 32, 3) is None


@pytest.mark.parametrize("code", sorted(NOT_NOW))
async def test_a_server_that_has_no_time_has_not_said_no(code: str) -> None:
    """A Welcome must not be given up because the server was busy when its tree was asked for."""

    class Busy(NotingSession):
        async def request(self, body: RequestBody) -> Answer:
            assert body == GetTree(b"g" * 32, 3)
            raise refusal(code)

    with pytest.raises(RefusedByServer):
        await tree_of(cast(Session, Busy()), b"g" * 32, 3)


async def test_an_entry_whose_body_is_not_given_ends_what_can_be_read() -> None:
    """So that it blocks no other conversation, and is asked for again."""
    session, _ = answering(Chunk(200, 0, bytes(200)))
    given = Entry(1, "message", 1, "x" * 26, NOW, body=b"here")
    carried = Entry(2, "commit", 1, "x" * 26, NOW, blob=NAME, size=200)

    assert await complete(session, [given, carried]) == [given]
