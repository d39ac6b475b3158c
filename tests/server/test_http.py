"""Metrics and health: two pages on loopback, off unless configured (N-01, N-04, G-01)."""

import asyncio
import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from securechat.protocol import messages as m
from securechat.server import health as health_module
from securechat.server import http
from securechat.server.app import App
from securechat.server.errors import ConfigError
from securechat.server.http import MAX_REQUEST, Page, judge
from securechat.server.metrics import LABELS
from tests.server.peer import Peer, Person, WasRefused, open_room, registered
from tests.server.running import running_server
from tests.server.watching import watched_disk

GET = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def asked(app: App, request: str | bytes) -> tuple[str, str]:
    """The status line's code and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", app.http_port)
    writer.write(request if isinstance(request, bytes) else request.encode())
    try:
        async with asyncio.timeout(20):
            answer = (await reader.read()).decode()
    except ConnectionResetError:
        answer = ""
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return (head.split(" ")[1] if head else "", body)


async def test_n_01_there_is_one_open_port_unless_somebody_asks_for_more(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        assert app.http_port == 0
        assert app._http is None


def test_n_01_a_server_without_metrics_does_not_import_them() -> None:
    script = "import sys, securechat.server.app; print('prometheus_client' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


async def test_n_01_they_are_on_loopback_only(tmp_path: Path) -> None:
    async with running_server(tmp_path, http_port=0) as app:
        assert app._http is not None
        assert app._http._server is not None
        assert [s.getsockname()[0] for s in app._http._server.sockets] == ["127.0.0.1"]


async def test_a_port_that_is_taken_stops_the_start(tmp_path: Path) -> None:
    async with running_server(tmp_path / "a") as first:
        with pytest.raises(ConfigError, match="http_port"):
            async with running_server(tmp_path / "b", http_port=first.port):
                raise AssertionError


async def test_n_04_healthz_asks_the_disk_and_needs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "FRESH_SECONDS", 600.0)
    async with running_server(tmp_path, http_port=0) as app:
        before = app.counters.transactions
        assert await asked(app, GET.format("/healthz")) == ("200", "ok\n")
        assert app.counters.transactions == before + 1
        several = await asyncio.gather(*(asked(app, GET.format("/healthz")) for _ in range(5)))
        assert set(several) == {("200", "ok\n")}
        assert app.counters.transactions == before + 1, "asked of the disk once in that time"
        monkeypatch.setattr(health_module, "FRESH_SECONDS", 0.0)
        assert await asked(app, GET.format("/healthz")) == ("200", "ok\n")
        assert app.counters.transactions == before + 2


async def test_n_04_a_full_disk_is_not_well(tmp_path: Path) -> None:
    with watched_disk() as disk:
        async with running_server(tmp_path, http_port=0) as app:
            disk.full = True
            assert await asked(app, GET.format("/healthz")) == ("503", "store\n")
            disk.full = False


async def test_n_04_a_disk_that_hangs_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "PATIENCE_SECONDS", 0)
    async with running_server(tmp_path, http_port=0) as app:
        assert await asked(app, GET.format("/healthz")) == ("503", "store\n")


@pytest.mark.parametrize("change", [{"not_after": 1}, {"not_before": 2**40}])
async def test_n_04_a_certificate_out_of_its_time_is_not_well(tmp_path: Path, change: dict[str, Any]) -> None:
    async with running_server(tmp_path, http_port=0) as app:
        app.certificate = dataclasses.replace(app.certificate, **change)
        assert await asked(app, GET.format("/healthz")) == ("503", "certificate\n")


async def test_metrics_count_what_happened(tmp_path: Path) -> None:
    async with running_server(tmp_path, http_port=0) as app, registered(app, "alice", "bob") as people:
        group, _ = await open_room(*people)
        for _ in range(3):
            await people[0][1].ask(m.SendMessage(group.group_id, 1, group.encrypt(b"x")))
        wrong = await Peer.connect(app.port)
        with pytest.raises(WasRefused):
            await wrong.log_in(Person("alice", app.identity.domain))
        await wrong.close()
        while not app.counters.connections_ended:
            await people[0][1].ask(m.Ping())
        samples = await scraped(app)
    assert samples["securechat_connections", ("logged_in",)] == 2
    assert samples["securechat_users", ()] == 2
    assert samples["securechat_groups", ()] == 1
    assert samples["securechat_messages_total", ()] == 3
    assert samples["securechat_connections_ended_total", ("bye",)] == 1
    assert samples["securechat_logins_failed_total", ()] == 1
    assert samples["securechat_refusals_total", ("wrong_credentials",)] == 1
    assert samples["securechat_transactions_total", ()] > 4
    assert samples["securechat_resident_bytes", ()] > 1 << 20


async def test_g_01_no_metric_names_anybody(tmp_path: Path) -> None:
    async with running_server(tmp_path, http_port=0) as app, registered(app, "alicecanary", "bob") as people:
        (alice, line), _ = people
        group, _ = await open_room(*people)
        await line.ask(m.SendMessage(group.group_id, 1, group.encrypt(b"canary of plaintext")))
        app.counters.ended("made up by a peer")
        assert app.counters.connections_ended["other"] == 1
        app.counters.refusals["canary"] += 1
        _, body = await asked(app, GET.format("/metrics"))
    for canary in ("canary", "made up", alice.client, group.group_id.hex(), "127.0.0.1", app.identity.domain):
        assert canary not in body
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            for label, value in sample.labels.items():
                assert label == "version" or value in LABELS[label] | {"other"}


async def scraped(app: App) -> dict[tuple[str, tuple[str, ...]], float]:
    status, body = await asked(app, GET.format("/metrics"))
    assert status == "200"
    families = text_string_to_metric_families(body)
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


async def test_every_metric_has_a_name_of_ours_and_a_sentence(tmp_path: Path) -> None:
    async with running_server(tmp_path, http_port=0) as app:
        _, body = await asked(app, GET.format("/metrics"))
    helped = re.findall(r"^# HELP (\w+) (.+)$", body, re.MULTILINE)
    assert len(helped) > 30
    assert all(name.startswith("securechat_") and text.endswith(".") for name, text in helped)


# The little of HTTP there is.

PATHS = frozenset({"/metrics", "/healthz"})
HOST = "Host: localhost:9100\r\n"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /healthz HTTP/1.1\r\n\r\n", "421"),
        ("GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", "421"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost:x\r\n\r\n", "421"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "421"),
        (f"GET / HTTP/1.1\r\n{HOST}\r\n", "404"),
        (f"GET /metrics?x HTTP/1.1\r\n{HOST}\r\n", "404"),
        (f"GET http://localhost/metrics HTTP/1.1\r\n{HOST}\r\n", "404"),
        (f"GET /debug HTTP/1.1\r\n{HOST}\r\n", "404"),
        (f"POST /metrics HTTP/1.1\r\n{HOST}\r\n", "405"),
        (f"GET /metrics HTTP/2\r\n{HOST}\r\n", "400"),
        (f"GET /metrics\r\n{HOST}\r\n", "400"),
        (f"GET /metrics HTTP/1.1\r\n{HOST}no colon\r\n\r\n", "400"),
        ("\r\n\r\n", "400"),
    ],
)
def test_what_is_no_request_for_a_page_is_said_no_to(head: str, status: str) -> None:
    page = judge(head.encode(), PATHS)
    assert isinstance(page, Page)
    assert page.status.startswith(status)
    assert page.body == b""


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:9100", "[::1]", "[::1]:9100"]
)
def test_this_machine_has_these_names(host: str) -> None:
    head = f"GET /metrics HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n"
    assert judge(head.encode(), PATHS) == ("GET", "/metrics")


async def test_a_head_has_no_body(tmp_path: Path) -> None:
    async with running_server(tmp_path, http_port=0) as app:
        assert await asked(app, "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") == ("200", "")


async def test_o_02_a_request_is_small(tmp_path: Path) -> None:
    async with running_server(tmp_path, http_port=0) as app:
        status, _ = await asked(app, b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * MAX_REQUEST + b"\r\n\r\n")
        assert status in {"431", ""}


async def test_o_01_a_request_comes_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0)
    monkeypatch.setattr(http, "ANSWER_SECONDS", 60)  # it is not the time in all that ends it
    async with running_server(tmp_path, http_port=0) as app:
        assert await asked(app, b"GET /hea") == ("", "")


async def test_o_01_an_answer_that_does_not_come_holds_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> Page:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(http, "ANSWER_SECONDS", 0)
    port = http.HttpPort({"/slow": never})
    await port.open(0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    writer.write(GET.format("/slow").encode())
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()
    await port.close()


async def test_o_01_there_are_few_connections(tmp_path: Path) -> None:
    async with running_server(tmp_path, http_port=0) as app:
        held = [
            await asyncio.open_connection("127.0.0.1", app.http_port) for _ in range(http.MAX_CONNECTIONS)
        ]
        status, _ = await asked(app, GET.format("/healthz"))
        assert status == "200", "who asks gets an answer, whoever holds on"
        assert await held[0][0].read() == b"", "the oldest made room"
        for _, writer in held:
            writer.close()
            await writer.wait_closed()


async def test_g_02_a_mistake_of_ours_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_server(tmp_path, http_port=0) as app:

        def broken(_self: object) -> Iterator[str]:
            raise ZeroDivisionError("secret detail")

        monkeypatch.setattr("securechat.server.health.Health.complaints", broken)
        status, body = await asked(app, GET.format("/healthz"))
        assert status == "500"
        assert re.fullmatch(r"see [0-9a-f]{8} in the server's log\n", body)
