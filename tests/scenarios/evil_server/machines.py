"""Machines that have no account yet: somebody asks from one to be let in, or brings an account back there."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from securechat.client import statements
from securechat.client.account_link import Place
from securechat.client.account_secret import secrets_of
from securechat.client.config import Home, ServerAddress
from securechat.client.device import device_of
from securechat.client.errors import ClientError
from securechat.client.keystore import Keys, load_keys, unlock
from securechat.client.linking import Compare, Progress, link_device
from securechat.client.store import ClientStore
from securechat.client.trust import Trust
from tests.scenarios.evil_server.liar import Liar
from tests.scenarios.evil_server.stage import STEP, Stage
from tests.scenarios.simulation.people import PASSWORD

FIRST_PORT: Final = 7101


@dataclass
class Machine:
    """One; its owner learns there what they would read on its screen, as ``new`` and the kind of error."""

    stage: Stage
    owner: str
    home: Home
    port: int
    liar: Liar = field(default_factory=Liar)
    codes: tuple[tuple[str, str], ...] = ()
    """Names of devices, and the code for each."""

    @property
    def place(self) -> Place:
        return Place(self.home, ServerAddress("127.0.0.1", self.port), Trust(accept_new=True), self.owner)

    async def is_let_in(self) -> bool:
        """Ask the account's devices to let this one in, and wait."""
        place, clock = self.place, self.stage.world.loop.time
        try:
            await link_device(
                place.home,
                place.server,
                place.user,
                PASSWORD,
                place.trust,
                name="laptop",
                tell=self._told,
                clock=clock,
            )
        except ClientError as problem:
            self.learn(problem)
            return False
        return True

    def learn(self, problem: ClientError) -> None:
        self.stage.learn(self.owner, f"new {type(problem).__name__}", str(problem))

    def keys(self) -> Keys:
        """What of an account is on this machine."""
        profile = self.home.profile(self.owner)
        with ClientStore(profile.database, unlock(profile, PASSWORD)) as store:
            return load_keys(store)

    def _told(self, progress: Progress) -> None:
        if isinstance(progress, Compare):
            self.codes = progress.codes
            self.stage.world.note(f"    {self.owner}'s new machine shows {len(self.codes)} codes")


@contextmanager
def a_machine(stage: Stage, owner: str) -> Iterator[Machine]:
    """Somebody's other machine, empty. What is lied in its line is lied to them."""
    port = FIRST_PORT + len(stage.world.machines)
    folder = Path(tempfile.mkdtemp(prefix="machine-", dir=stage.world.cast.home.path.parent))
    machine = Machine(stage, owner, Home(folder / "home"), port)
    stage.world.machines[port] = f"{owner}'s machine {port}"
    stage.world.between[stage.world.machines[port]] = machine.liar.sit_in
    try:
        yield machine
    finally:
        stage.liar(owner).lies += machine.liar.lies
        shutil.rmtree(folder)


async def let_in(stage: Stage, machine: Machine, *, typed_after: float = 0.0) -> bool:
    """Ask from a machine, carry the code to the device that is there, and wait what comes of it."""
    asking = stage.world.loop.create_task(machine.is_let_in())
    while not machine.codes and not asking.done():  # noqa: ASYNC110 - on a clock that is only a number
        await asyncio.sleep(STEP)
    if machine.codes:
        await stage.go(typed_after)
        await _approves(stage, machine, is_over=asking.done())
    is_in = await asking
    if is_in:
        _hold_to_its_owner(stage, machine)
    _hold_lists_to(stage, machine.owner)
    return is_in


async def _approves(stage: Stage, machine: Machine, *, is_over: bool) -> None:
    """Type the code, and the password; what comes of it is learnt as ``old`` and the kind of error."""
    client, name = stage.client(machine.owner), stage.engine(machine.owner).approver._name
    code = next((code for shown, code in machine.codes if shown == name), machine.codes[0][1])
    try:
        offer = await client.link_offer(code)
        if is_over:
            stage.world.oracle.complain(f"{machine.owner}'s device takes a code that has died")
        await client.approve_link(offer.number, PASSWORD)
    except ClientError as problem:
        stage.learn(machine.owner, f"old {type(problem).__name__}", str(problem))


def _hold_to_its_owner(stage: Stage, machine: Machine) -> None:
    """What a machine took for the account is the account, and the account knows of the machine."""
    keys, own = machine.keys(), stage.person(machine.owner)
    secret = secrets_of(own.store.db).newest
    if (keys.account_key, keys.account_secret) != (own.keys.account_key, secret):
        stage.world.oracle.complain(f"{machine.owner}'s new machine took an account that is not theirs")
    known = statements.newest(own.store.db, machine.owner)
    listed = {each.client for each in known.devices} if known is not None else set()
    if listed and device_of(keys).client_uri.encode() not in listed:
        stage.world.oracle.complain(f"{machine.owner}'s new machine is let in, and not on their list")


def _hold_lists_to(stage: Stage, owner: str) -> None:
    """Nobody takes for somebody's device what is none of theirs."""
    theirs = set(stage.seals.owners.devices[owner].values())
    for person in stage.world.honest():
        known = statements.newest(person.store.db, owner)
        if known is not None and not {each.signature_key for each in known.devices} <= theirs:
            stage.world.oracle.complain(f"{person.name} believes in a device that {owner} never had")
