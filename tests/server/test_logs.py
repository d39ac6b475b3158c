"""Logs hold one line per event, no secret and no content (G-01, G-02)."""

import logging
from pathlib import Path

import pytest

from securechat.protocol import messages as m
from securechat.server.logs import OneLine, escaped
from tests.server.peer import open_room, registered
from tests.server.running import running_server


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[2J", "\x9b", "\u202e", "\u2028", "\x00", "\x7f"])
def test_g_02_no_text_ends_a_line_or_moves_a_cursor(text: str) -> None:
    assert escaped(text).isprintable()
    record = logging.makeLogRecord({"msg": "user %s", "args": (text,), "name": "x", "levelname": "INFO"})
    assert len(OneLine().format(record).splitlines()) == 1


def test_g_02_a_traceback_is_one_line_too() -> None:
    record = logging.makeLogRecord({"msg": "failed", "name": "x", "levelname": "ERROR"})
    record.exc_text = "Traceback\n  File\nValueError: a\nb"
    assert len(OneLine().format(record).splitlines()) == 1


async def test_g_01_neither_keys_nor_content_are_logged_or_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alices_keys, alice), _ = people
        group, _ = await open_room(*people)
        await alice.ask(m.SendMessage(group.group_id, 1, group.encrypt(b"canary-of-plaintext")))
        secrets = [
            alices_keys.account_key.private_bytes_raw(),
            alices_keys.device_key.private_bytes_raw(),
            alices_keys.login_key.private_bytes_raw(),
            b"canary-of-plaintext",
        ]
    stored = b"".join(path.read_bytes() for path in sorted((tmp_path / "data").iterdir()))
    logged = caplog.text.encode()
    for secret in (*secrets, app.identity.secret, app.identity.key.private_bytes_raw()):
        assert secret not in logged
        assert secret.hex().encode() not in logged
    assert not any(secret in stored for secret in secrets)
