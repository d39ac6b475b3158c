"""What the bench asks of every server it measures: to be started, and to be spoken to.

A ``Dialect`` is one module under ``peers``: how its server is run on one core, and how clients log
in to it, in the simplest correct form. All else (regimes, counting, latency) is the same for all.
"""

import importlib
import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

from tests.bench.line import Line

DIALECTS: Final = (
    *("ours", "bare", "mosquitto", "nats", "jetstream", "jetstream_sync"),
    *("prosody", "prosody_acked", "prosody_example", "prosody_example_acked"),
    *("ejabberd", "ejabberd_acked", "ejabberd_example", "ejabberd_example_acked"),
)


@dataclass(frozen=True)
class Serving:
    """A server that runs: the process whose CPU counts, and its port."""

    pid: int
    port: int


class Dialect(Protocol):
    """One server. Clients have numbers from 0."""

    acknowledges: bool
    """Whether a sender is told that its message was taken; else its delivery is what is waited for."""
    lacks: frozenset[str]
    """Regimes that it has no notion of."""

    def serve(self, folder: Path, clients: int) -> AbstractContextManager[Serving]: ...

    async def log_in(self, port: int, number: int) -> Line:
        """A connection that has logged in, and does nothing more."""

    def keep_alive(self, line: Line) -> None:
        """Say what an idle client says now and then, if anything."""

    async def pairs(self, port: int, count: int) -> list[tuple[Line, Line]]:
        """Who sends and who receives; both have their wires."""

    async def room(self, port: int, size: int) -> list[Line]:
        """Members of one room, the first of whom speaks."""

    async def leave(self, receiver: Line) -> None:
        """Go offline so that messages are kept."""

    async def drain(self, port: int, receiver: Line) -> Line:
        """Come back and say what brings the messages that were kept; who hears them is the same."""


def dialect_of(name: str) -> Dialect:
    return cast("Dialect", importlib.import_module(f"tests.bench.peers.{name}").DIALECT)


def server_core() -> int:
    return min(os.sched_getaffinity(0))


def pin(pid: int) -> None:
    """Hold a process that has just started, with all its later threads, on the server's core."""
    os.sched_setaffinity(pid, {server_core()})


def make_certificate(folder: Path) -> None:
    """``cert.pem`` and ``key.pem``: P-256, as our own server makes it."""
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost"
    )
    files = [
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        str(folder / "key.pem"),
        "-out",
        str(folder / "cert.pem"),
    ]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)


@contextmanager
def process(command: list[str], log: Path, **options: object) -> Iterator["subprocess.Popen[str]"]:
    """A server's process on the server's core, ended with the block."""
    core = server_core()
    with log.open("w") as errors:
        running = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            **options,  # type: ignore[call-overload]
        )
    with running:
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()


def context_for(alpn: str | None = None) -> ssl.SSLContext:
    """TLS 1.3 and no check of the certificate: what is measured is the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if alpn is not None:
        context.set_alpn_protocols([alpn])
    return context
