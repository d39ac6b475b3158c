"""Logs hold one line per event, no secret and no content, and no flood (G-01, G-02, G-03)."""

import asyncio
import io
import json
import logging
from pathlib import Path

import pytest

from securechat.protocol import messages as m
from securechat.server import logs, security_log
from securechat.server.logs import (
    BURST,
    ERRORS_KEPT,
    MAX_KINDS,
    MAX_LINE,
    PER_SECOND,
    WITH_TRACEBACK,
    Flood,
    LatestErrors,
    Layout,
    OneLine,
    OneObject,
    escaped,
    log_to_stderr,
)
from tests.server.peer import Peer, WasRefused, client_id, open_room, registered
from tests.server.running import running_server

NASTY = ["a\nb", "a\r\nb", "\x1b[2J", "\x9b", "\u202e", "\u2028", "\x00", "\x7f", "\ud800", '"}\n{"']


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[2J", "\x9b", "\u202e", "\u2028", "\x00", "\x7f"])
def test_g_02_no_text_ends_a_line_or_moves_a_cursor(text: str) -> None:
    assert escaped(text).isprintable()
    record = logging.makeLogRecord({"msg": "user %s", "args": (text,), "name": "x", "levelname": "INFO"})
    assert len(OneLine().format(record).splitlines()) == 1


def test_g_02_a_traceback_is_one_line_too() -> None:
    record = logging.makeLogRecord({"msg": "failed", "name": "x", "levelname": "ERROR"})
    record.exc_text = "Traceback\n  File\nValueError: a\nb"
    assert len(OneLine().format(record).splitlines()) == 1


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"msg": message, "args": args, "name": "x", "levelname": "INFO", "levelno": 20, **extra}
    )


@pytest.mark.parametrize("text", NASTY)
def test_g_02_as_json_it_is_one_object_that_says_the_same(text: str) -> None:
    line = OneObject().format(record("user %s", text))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == f"user {text}"


def test_g_02_a_traceback_as_json_is_in_its_object() -> None:
    failed = record("failed")
    failed.exc_text = "Traceback\n  File\nValueError: a\nb"
    line = OneObject().format(failed)
    assert line.isprintable()
    assert json.loads(line)["traceback"] == failed.exc_text


def test_g_03_an_event_has_its_fields_beside_its_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    security_log.tell("admin", action="disable", user="alice")
    (told,) = (each for each in caplog.records if each.name.startswith("securechat"))
    assert OneLine().format(told).endswith("securechat.server.security admin action=disable user=alice")
    said = json.loads(OneObject().format(told))
    assert (said["event"], said["action"], said["user"]) == ("admin", "disable", "alice")
    assert said["time"].endswith("Z")


def test_g_01_an_event_says_its_fields_and_no_others() -> None:
    with pytest.raises(ValueError, match="login says"):
        security_log.tell("login", user="alice", way="device", to="bob")
    with pytest.raises(KeyError):
        security_log.tell("said", user="alice")
    pairs = {name for names in security_log.EVENTS.values() for name in names}
    assert pairs == {"user", "way", "sessions", "rule", "times", "action", "days", "number", "revoked"}


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_g_03_a_flood_is_held_back_and_counted() -> None:
    clock = Time()
    flood = Flood(clock)
    passed = [flood.filter(record("a login failed")) for _ in range(BURST + 500)]
    assert passed == [True] * BURST + [False] * 500
    assert flood.filter(record("something else"))
    clock.now = 1.0
    late = record("a login failed")
    assert flood.filter(late)
    assert late.getMessage() == "a login failed (500 more of this kind were left out)"
    assert sum(flood.filter(record("a login failed")) for _ in range(100)) == PER_SECOND - 1


def test_g_03_a_traceback_is_as_long_as_many_lines_and_counts_as_many() -> None:
    flood, trace = Flood(Time()), (ValueError, ValueError(), None)
    passed = [flood.filter(record("a request failed", exc_info=trace)) for _ in range(BURST)]
    assert passed.count(True) == BURST // WITH_TRACEBACK


@pytest.mark.parametrize("formatter", [OneLine, OneObject])
def test_g_03_no_line_is_long_and_a_traceback_keeps_its_end(formatter: type[OneLine]) -> None:
    failed = record("failed: %s", "y" * 100_000)
    failed.exc_text = "Traceback\n" + "x" * 100_000 + "\nValueError: here"
    line = formatter().format(failed)
    assert len(line) < 2 * MAX_LINE + 500
    assert "ValueError: here" in line


async def test_c_04_g_03_a_flood_of_strangers_writes_few_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever they do: lines are held back by their kind, and there are few kinds."""
    handlers: list[logging.StreamHandler[io.StringIO]] = []
    monkeypatch.setattr(logging, "basicConfig", lambda **more: handlers.extend(more["handlers"]))
    monkeypatch.setattr(logs, "BURST", 3)
    monkeypatch.setattr(logs, "PER_SECOND", 0)
    log_to_stderr(logging.INFO)
    caplog.set_level(logging.INFO)
    written, logger = io.StringIO(), logging.getLogger()
    handlers[0].setStream(written)
    logger.addHandler(handlers[0])
    try:
        async with running_server(tmp_path) as app:
            for _ in range(20):
                _, writer = await asyncio.open_connection("127.0.0.1", app.port)
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                writer.close()
                peer = await Peer.connect(app.port)
                for _ in range(2):
                    with pytest.raises(WasRefused):
                        await peer.ask(m.LogIn("nobody", client_id(), bytes(32), bytes(64)))
                peer._writer.transport.abort()
            assert app.counters.logins_failed == 40
    finally:
        logger.removeHandler(handlers[0])
    lines = written.getvalue().splitlines()
    assert sum("login_failed" in line for line in lines) == 3
    assert len(lines) <= 10


def test_g_03_kinds_are_told_by_our_words_and_not_by_what_is_filled_in() -> None:
    flood = Flood(Time())
    passed = [flood.filter(record("user %s", number)) for number in range(BURST + 5)]
    assert passed == [True] * BURST + [False] * 5


def test_g_03_kinds_are_bounded_too() -> None:
    flood = Flood(Time())
    passed = [flood.filter(record(f"made up {number}")) for number in range(MAX_KINDS + BURST + 5)]
    assert passed.count(True) == MAX_KINDS + BURST
    assert len(flood._kinds) == MAX_KINDS + 1


def test_what_is_left_out_keeps_the_text_of_the_next() -> None:
    clock = Time()
    flood = Flood(clock)
    for _ in range(BURST + 1):
        flood.filter(record("100%% of %s", "x"))
    clock.now = 1.0
    late = record("100%% of %s", "y")
    assert flood.filter(late)
    assert late.getMessage().startswith("100% of y (1 more")


def test_the_last_errors_are_kept_the_newest_first_and_short() -> None:
    errors = LatestErrors()
    errors.begin()
    try:
        log = logging.getLogger("securechat.server.test")
        for number in range(ERRORS_KEPT + 5):
            log.error("number %d\n%s", number, "x" * 1000)
        log.warning("not an error")
    finally:
        errors.end()
    log.error("after the end")
    assert len(errors.lines) == ERRORS_KEPT
    assert errors.lines[0].text.startswith(f"number {ERRORS_KEPT + 4}\\n")
    assert len(errors.lines[0].text) == 500


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


@pytest.mark.parametrize(("layout", "formatter"), [("text", OneLine), ("json", OneObject)])
def test_g_03_what_a_process_logs_is_one_line_and_held_back(
    layout: Layout, formatter: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: list[logging.Handler] = []
    monkeypatch.setattr(logging, "basicConfig", lambda **more: handlers.extend(more["handlers"]))
    log_to_stderr(logging.INFO, layout)
    (handler,) = handlers
    assert type(handler.formatter) is formatter
    assert [type(each) for each in handler.filters] == [Flood]


async def test_o_08_a_server_that_has_ended_listens_to_no_log(tmp_path: Path) -> None:
    before = list(logging.getLogger("securechat.server").handlers)
    async with running_server(tmp_path):
        assert logging.getLogger("securechat.server").handlers != before
    assert logging.getLogger("securechat.server").handlers == before
