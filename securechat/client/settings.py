"""Options of the account, kept in its store: each is on until it is turned off."""

from enum import StrEnum
from typing import Final

import apsw


class Setting(StrEnum):
    """Each by the name of its row."""

    DELIVERY = "delivery"
    READ = "read"
    TYPING = "typing"
    THUMBNAILS = "thumbnails"
    """Whether small pictures go with the pictures we send."""
    ARCHIVE = "archive"
    """Whether the server keeps the history, sealed, for every device of the account."""
    ARCHIVE_TOLD = "archive_told"
    """Whether the account's other devices can know of what ``ARCHIVE`` says."""


SIGNALS: Final = (Setting.DELIVERY, Setting.READ, Setting.TYPING)
"""What others are told of us."""


def is_on(db: apsw.Connection, setting: Setting) -> bool:
    row = db.execute("SELECT value FROM setting WHERE name = ?", (setting,)).fetchone()
    return row is None or bool(row[0])


def turn(db: apsw.Connection, setting: Setting, *, on: bool) -> None:
    db.execute(
        "INSERT INTO setting (name, value) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (setting, int(on)),
    )
