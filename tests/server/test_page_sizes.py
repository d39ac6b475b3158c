"""What is asked for comes in frames that a client takes, and all of it in the end (O-02)."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from securechat.protocol import messages as m
from securechat.protocol.frames import encode_value
from securechat.protocol.limits import MAX_BODY, MAX_FRAME
from securechat.server.config import Quotas
from securechat.server.delivery import Delivery
from securechat.server.groups import Groups
from securechat.server.quota import Quota
from securechat.server.store.sqlite import open_database, prepare_database
from securechat.server.values import Caller

GROUP = b"g" * 16
MANY = 12
EVE = Caller(1, "eve", 1, "c")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    """A member of a log, and an inbox, each of them full of the largest there are."""
    db = open_database(prepare_database(tmp_path))
    db.execute(
        "INSERT INTO account (user, salt, login_hash, account_key, statement, created) "
        "VALUES ('eve', x'', '', x'', x'', 0)"
    )
    db.execute(
        "INSERT INTO client (account, name, device_key, credential, created, inbox_head) "
        "VALUES (1, 'c', '', '', 0, ?)",
        (MANY,),
    )
    db.execute(
        "INSERT INTO conversation (group_id, epoch, head, handshake_head, created) VALUES (?, 1, ?, 0, 0)",
        (GROUP, MANY),
    )
    db.execute(
        "INSERT INTO member (conversation, client, leaf, may_speak, start, cursor) VALUES (1, 1, 0, 1, 1, 0)"
    )
    for number in range(1, MANY + 1):
        db.execute(
            "INSERT INTO entry (conversation, sequence, kind, epoch, client, time, body) "
            "VALUES (1, ?, 'message', 1, 1, 0, zeroblob(?))",
            (number, MAX_BODY),
        )
        db.execute(
            "INSERT INTO inbox (client, sequence, conversation, epoch, start, sender, body, time) "
            "VALUES (1, ?, 1, 1, 1, 1, zeroblob(?), 0)",
            (number, MAX_BODY),
        )
    yield db
    db.close()


@pytest.fixture
def delivery() -> Delivery:
    return Delivery(Groups(), Quota(Quotas()), lambda: 0)


def test_o_02_a_log_of_large_messages_is_read_in_pieces(db: apsw.Connection, delivery: Delivery) -> None:
    places: list[int] = []
    while len(places) < MANY:
        answer = delivery.fetch(db, EVE, m.Fetch(GROUP, len(places) + 1))
        assert len(encode_value(answer)) < MAX_FRAME
        places += [each.sequence for each in answer.entries if isinstance(each, m.Entry)]
    assert places == list(range(1, MANY + 1))


def test_o_02_an_inbox_of_large_welcomes_is_read_in_pieces(db: apsw.Connection, delivery: Delivery) -> None:
    places: list[int] = []
    while len(places) < MANY:
        answer = delivery.fetch_inbox(db, EVE, m.FetchInbox(len(places) + 1))
        assert len(encode_value(answer)) < MAX_FRAME
        places += [each.sequence for each in answer.entries]
    assert places == list(range(1, MANY + 1))
