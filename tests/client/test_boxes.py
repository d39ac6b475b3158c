"""Boxes: sealed by the account for itself, bound to where they lie, never older than what was seen."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client import account_secret, archiving, boxes, contact_box, naming
from securechat.client.boxes import BoxRefused
from securechat.client.errors import RefusedByServer, refusal
from securechat.client.store import KEY_SIZE, create_store
from securechat.membership.renewal import Secrets
from securechat.protocol.limits import BOXES
from securechat.protocol.messages import Answer, Box, Done, GetBox, PutBox, RequestBody

ALICE, SECRET = "mimi://chat.example/u/alice", bytes(range(32))
SEALED = boxes.seal(SECRET, b"what was kept", user_uri=ALICE, box="contacts", serial=3)


def test_a_box_opens_where_it_was_sealed_and_nowhere_else() -> None:
    assert boxes.open_box(SECRET, SEALED, user_uri=ALICE, box="contacts", serial=3) == b"what was kept"
    for user, box, serial, secret in (
        ("mimi://chat.example/u/bob", "contacts", 3, SECRET),
        (ALICE, "devices", 3, SECRET),
        (ALICE, "contacts", 4, SECRET),
        (ALICE, "contacts", 3, bytes(32)),
    ):
        with pytest.raises(BoxRefused):
            boxes.open_box(secret, SEALED, user_uri=user, box=box, serial=serial)


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_a_flipped_bit_is_refused(place: int, flip: int) -> None:
    data = bytearray(SEALED)
    data[place] ^= flip
    with pytest.raises(BoxRefused):
        boxes.open_box(SECRET, bytes(data), user_uri=ALICE, box="contacts", serial=3)


@given(st.binary(max_size=40))
def test_what_is_no_box_is_refused(data: bytes) -> None:
    with pytest.raises(BoxRefused):
        boxes.open_box(SECRET, data, user_uri=ALICE, box="contacts", serial=3)


def test_the_server_knows_all_the_boxes_that_there_are() -> None:
    """It takes no others."""
    kept = {account_secret.BOX, archiving.BOX, archiving.PASSED, contact_box.BOX, naming.BOX}
    assert kept == BOXES


async def test_what_one_device_puts_the_other_gets() -> None:
    shelf: dict[str, Box] = {}

    async def ask(body: RequestBody) -> Answer:
        if isinstance(body, PutBox):
            shelf[body.box] = Box(body.serial, body.sealed)
            return Done()
        assert isinstance(body, GetBox)
        if body.box not in shelf:
            raise refusal("no_box", "there is none")
        return shelf[body.box]

    assert await boxes.get(ask, Secrets(SECRET), user_uri=ALICE, box="devices") is None
    await boxes.put(ask, Secrets(SECRET), b"names", user_uri=ALICE, box="devices", serial=1)
    assert await boxes.get(ask, Secrets(SECRET), user_uri=ALICE, box="devices") == (1, b"names")
    shelf["contacts"] = shelf["devices"]
    with pytest.raises(BoxRefused):
        await boxes.get(ask, Secrets(SECRET), user_uri=ALICE, box="contacts")


async def test_any_other_refusal_is_told() -> None:
    async def ask(_body: RequestBody) -> Answer:
        raise refusal("limited", "later")

    with pytest.raises(RefusedByServer, match="later"):
        await boxes.get(ask, Secrets(SECRET), user_uri=ALICE, box="devices")


def test_a_box_never_goes_back(tmp_path: Path) -> None:
    store = create_store(tmp_path / "store.db", bytes(KEY_SIZE))
    with store.transaction() as db:
        boxes.note_serial(db, "contacts", 3)
        boxes.note_serial(db, "contacts", 3)
        boxes.note_serial(db, "contacts", 4)
        boxes.note_serial(db, "devices", 1)
    with pytest.raises(BoxRefused), store.transaction() as db:
        boxes.note_serial(db, "contacts", 3)
    store.close()


def test_each_purpose_has_a_key_of_its_own() -> None:
    assert len({boxes.derive(SECRET, label) for label in ("a", "b", "box a", "archive")}) == 4
    assert boxes.derive(SECRET, "a") == boxes.derive(SECRET, "a")
