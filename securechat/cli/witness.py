"""`securechat witness`: follow a server's key log, entry by entry, and say what it has signed."""

import asyncio
import hashlib
import time
from pathlib import Path
from typing import Final

import click

from securechat.cli.accounts import trust_in
from securechat.client.config import Home, ServerAddress, default_home
from securechat.client.connect import open_trusted
from securechat.client.errors import Disconnected, ExitCode, RefusedByServer, Unreachable
from securechat.client.link import Link
from securechat.client.private_files import make_folder, replace_file
from securechat.client.trust import Trust
from securechat.client.witness import CaughtByWitness, Word, load, look, save
from securechat.protocol.messages import UNDECIDED, Answer, RequestBody

LEAST_EVERY: Final = 10
"""Seconds between two looks."""

ATTEMPTS: Final = 8
"""Lines that end before an answer until a look is given up: a stranger's lasts half a minute."""

FOLDER: Final = "witness"
EVIDENCE: Final = "evidence.bin"


@click.command()
@click.argument("server", metavar="SERVER")
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="Where what is known is kept.")
@click.option("--fingerprint", metavar="HEX", help="The server's, compared by another way.")
@click.option(
    "--cafile",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Authorities that vouch for the server.",
)
@click.option("--accept-new", is_flag=True, help="Take a server that was never seen for the right one.")
@click.option(
    "--every",
    type=click.IntRange(min=LEAST_EVERY),
    metavar="SECONDS",
    help="Look again and again; without it, once.",
)
@click.option("--once", is_flag=True, help="Look once; so it is without --every too.")
@click.option(
    "--evidence",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write what proves a lie (else beside what is known).",
)
def witness(  # noqa: PLR0913, PLR0917 - one parameter per option, as click passes them
    server: str,
    home: Path | None,
    fingerprint: str | None,
    cafile: Path | None,
    accept_new: bool,
    every: int | None,
    once: bool,
    evidence: Path | None,
) -> int:
    """Follow the key log of SERVER (host:port): every entry is checked, nothing is believed.

    No account is needed. One line a look says what the server has signed: compare it with what others
    see. Ends with 4 if the log does not hold; what proves it to others is written down then.
    """
    place = default_home() if home is None else Home(home)
    trust = trust_in(cafile, fingerprint, accept_new=accept_new)
    return asyncio.run(
        _witness(
            ServerAddress.parse(server), place, trust, every=0 if once else every or 0, evidence=evidence
        )
    )


async def _witness(
    address: ServerAddress, home: Home, trust: Trust, *, every: int, evidence: Path | None
) -> int:
    home.make()
    folder = home.path / FOLDER
    make_folder(folder)
    name = hashlib.sha256(str(address).encode()).hexdigest()[:16]
    file = folder / name
    while True:
        try:
            word = await _look(address, home, trust, file)
        except CaughtByWitness as caught:
            if caught.evidence:
                replace_file(evidence or folder / f"{name}.{EVIDENCE}", caught.evidence)
            raise
        click.echo(line_of(word))
        if not every:
            return int(ExitCode.UNTRUSTED) if word.begun else 0
        await asyncio.sleep(every)


async def _look(address: ServerAddress, home: Home, trust: Trust, file: Path) -> Word:
    asking = _Asking(address, home, trust)
    try:
        link = await asking.link()
        known, word = await look(asking.ask, load(file, link.hello.identity_key), now=int(time.time()))
    finally:
        await asking.close()
    save(file, known)
    return word


class _Asking:
    """Asks as a stranger, whose line ends after half a minute: then over another one."""

    def __init__(self, address: ServerAddress, home: Home, trust: Trust) -> None:
        self._address = address
        self._home = home
        self._trust = trust
        self._link: Link | None = None

    async def link(self) -> Link:
        if self._link is None or not self._link.is_open:
            await self.close()
            self._link = await open_trusted(self._address, self._home, self._trust)
        return self._link

    async def ask(self, body: RequestBody) -> Answer:
        for _ in range(ATTEMPTS):
            try:
                return await (await self.link()).request(body)
            except RefusedByServer as refused:
                if refused.code not in UNDECIDED:
                    raise
                await asyncio.sleep(max(1, refused.retry_after))
            except Disconnected:
                await self.close()
        raise Unreachable(f"the server at {self._address} does not answer a witness")

    async def close(self) -> None:
        if self._link is not None:
            link, self._link = self._link, None
            await link.close()


def line_of(word: Word) -> str:
    """One line: what anybody who looks at the same time must see, too."""
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(word.signed))
    begun = "another log began; " if word.begun else ""
    return (
        f"{date} {begun}log {word.log} size {word.size} root {word.root.hex()} "
        f"(followed {word.size - word.before} entries)"
    )
