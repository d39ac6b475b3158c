"""Sealed boxes of an account: what its devices keep for each other and for a recovery.

Opaque here. Each has a serial that rises by one, so of two devices that replace a box at once one
is told ``stale_box``; going back is noticed by the devices, who know the serial.
"""

import apsw

from securechat.protocol.limits import BOXES
from securechat.protocol.messages import Box, Done, GetBox, PutBox
from securechat.server.errors import Refusal
from securechat.server.values import Caller


def put(db: apsw.Connection, caller: Caller, body: PutBox) -> Done:
    """Replace a box.

    :raises Refusal: ``stale_box``, ``head`` being its serial there; ``bad_request``; ``wrong_credentials``
    """
    if body.box not in BOXES:
        raise Refusal("bad_request", "an account has no box of this name")
    if (
        db.execute("SELECT 1 FROM client WHERE id = ? AND revoked IS NULL", (caller.client,)).fetchone()
        is None
    ):
        raise Refusal("wrong_credentials")  # revoked while this was under way (D-02)
    found = _find(db, caller, body.box)
    if found is not None and (found.serial, found.sealed) == (body.serial, body.sealed):
        return Done()
    serial = 0 if found is None else found.serial
    if body.serial != serial + 1:
        raise Refusal("stale_box", head=serial)
    db.execute(
        "INSERT INTO box (account, name, serial, sealed) VALUES (?, ?, ?, ?) ON CONFLICT (account, name) "
        "DO UPDATE SET serial = excluded.serial, sealed = excluded.sealed",
        (caller.account, body.box, body.serial, body.sealed),
    )
    return Done()


def get(db: apsw.Connection, caller: Caller, body: GetBox) -> Box:
    found = _find(db, caller, body.box)
    if found is None:
        raise Refusal("no_box")
    return found


def _find(db: apsw.Connection, caller: Caller, name: str) -> Box | None:
    found = db.execute(
        "SELECT serial, sealed FROM box WHERE account = ? AND name = ?", (caller.account, name)
    ).fetchone()
    return None if found is None else Box(*found)
