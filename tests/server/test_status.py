"""What is wrong, and what to do about it: each check by itself."""

from typing import Any

import msgspec
import pytest

from securechat.cli.status_page import page, span
from securechat.server import status as facts
from securechat.server.config import DAY
from securechat.server.status import CHECKS, Status, judge, remarks

NOW = 1_800_000_000


def well() -> Status:
    """A server with which nothing is wrong."""
    return Status(
        now=NOW,
        identity=facts.Identity(
            version="1",
            pid=2,
            started=NOW - 90_061,
            uptime=90_061,
            domain="example.org",
            fingerprint="SHA256:x",
            incarnation=1,
            listening="localhost:7443",
            registration="open",
        ),
        certificate=facts.CertificateStatus(
            file="server.pem", sha256="00", not_before=NOW - DAY, not_after=NOW + 80 * DAY, days=80
        ),
        connections=facts.ConnectionStatus(
            open=3,
            logged_in=2,
            before_login=1,
            total_cap=10,
            accepted=9,
            refused={},
            ended={},
            slow_readers=0,
        ),
        logins=facts.LoginStatus(logins=5, failed=1, waiting=0, waiting_cap=64),
        store=facts.StoreStatus(
            users=2,
            disabled=0,
            devices=2,
            groups=1,
            database_bytes=1 << 20,
            wal_bytes=1 << 20,
            free_bytes=1 << 40,
            free_floor=1 << 28,
            oldest_entry=NOW - DAY,
            last_backup=NOW - DAY,
        ),
        writing=facts.WritingStatus(transactions=9, last=NOW, p50_ms=1.0, p99_ms=3.0),
        recent=facts.RecentStatus(
            seconds=300.0, messages_per_minute=12.0, logins=1, logins_failed=0, refused={}, limited={}
        ),
        errors=[],
        process=facts.ProcessStatus(rss_bytes=1 << 26, files=20, files_cap=1024, tasks=4, loop_lag_ms=1.0),
    )


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "expired": ("certificate", {"not_after": NOW - 1, "days": -1}),
    "not valid yet": ("certificate", {"not_before": NOW + 60}),
    "ends in 13 days": ("certificate", {"days": 13}),
    "nearly full": ("store", {"free_bytes": (1 << 28) - 1}),
    "filling up": ("store", {"free_bytes": (1 << 30) - 1}),
    "no file is taken": ("store", {"files_free": 1, "files_floor": 2}),
    "write-ahead log": ("store", {"wal_bytes": 1 << 30}),
    "one write in a hundred": ("writing", {"p99_ms": 600.0}),
    "behind": ("process", {"loop_lag_ms": 900.0}),
    "connections are in use": ("connections", {"open": 10}),
    "files are open": ("process", {"files": 1000}),
    "logins by password": ("logins", {"waiting": 64}),
}


def test_a_server_that_is_well_is_ok() -> None:
    assert judge(well()) == []
    assert remarks(well()) == []
    assert page(well()).splitlines()[0] == "ok"


@pytest.mark.parametrize(("said", "change"), WRONG.items(), ids=WRONG)
def test_each_thing_that_is_wrong_is_said_with_what_to_do(
    said: str, change: tuple[str, dict[str, Any]]
) -> None:
    part, values = change
    status = well()
    broken = msgspec.structs.replace(
        status, **{part: msgspec.structs.replace(getattr(status, part), **values)}
    )
    (problem,) = judge(broken)
    assert said in problem.what
    assert problem.do
    first = page(msgspec.structs.replace(broken, problems=[problem])).splitlines()[0]
    assert first.startswith("WRONG: ")


def test_errors_of_the_last_hour_are_a_problem_and_older_ones_are_not() -> None:
    for age, wrong in ((10, True), (3601, False)):
        error = facts.ErrorSeen(time=NOW - age, source="securechat.server", text="x failed, id 12")
        assert bool(judge(msgspec.structs.replace(well(), errors=[error]))) is wrong


def test_every_check_is_shown_something_it_says() -> None:
    assert len(CHECKS) == 10


@pytest.mark.parametrize(("backup", "said"), [(0, "no backup"), (NOW - 8 * DAY, "8 days old")])
def test_a_backup_that_is_missing_is_worth_a_note_and_wakes_nobody(backup: int, said: str) -> None:
    status = well()
    old = msgspec.structs.replace(status, store=msgspec.structs.replace(status.store, last_backup=backup))
    assert judge(old) == []
    assert said in remarks(old)[0]


def test_g_02_what_stands_in_an_error_moves_nothing() -> None:
    error = facts.ErrorSeen(time=10**30, source="x", text="a\x1b[2Jb\nWRONG: c\u202e")
    shown = page(msgspec.structs.replace(well(), errors=[error]))
    assert not [line for line in shown.splitlines() if line.startswith("WRONG")]
    assert "\x1b" not in shown


def test_the_answer_survives_the_line() -> None:
    encoded = msgspec.json.encode(well())
    assert msgspec.json.decode(encoded, type=Status) == well()


def test_spans_are_short() -> None:
    assert [span(seconds) for seconds in (0, 59, 3700, 90_061)] == ["0 s", "59 s", "1 h 1 min", "1 d 1 h"]
