"""An account with its key in the test's hand: devices, statements and what they revoke."""

from pathlib import Path

from securechat.client.device import Device
from securechat.client.statements import keep_statement
from securechat.membership.account import Certified, next_statement
from securechat.membership.signing import new_key
from securechat.membership.statement import Device as Listed
from securechat.membership.statement import make_statement
from securechat.mls.credential import BasicCredential
from securechat.names import user_uri
from tests.client.members import MemberOf
from tests.client.parts import DOMAIN, NOW


class AnAccount:
    """``statements`` are all of its chain, the oldest first."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.key = new_key()
        self.devices: list[Device] = []
        self.statements: list[bytes] = []

    @property
    def newest(self) -> bytes:
        return self.statements[-1]

    def first(self, folder: Path) -> MemberOf:
        """Make its first device."""
        member = self._member(folder)
        self.statements.append(
            make_statement(
                self.key, user=user_uri(DOMAIN, self.user), devices=(listed(member.device),), issued_at=NOW
            )
        )
        self.devices.append(member.device)
        return member

    def links(self, folder: Path) -> MemberOf:
        """Make one more, and list it."""
        member = self._member(folder)
        come = (member.device.client, key_of(member.device), member.device.suites)
        self._goes_on(add=(come,))
        self.devices.append(member.device)
        return member

    def revokes(self, *gone: Device) -> None:
        """Take devices off; those that stay are certified anew, as their owners may come to know."""
        staying = [each for each in self.devices if each not in gone]
        self._goes_on(revoke=tuple(each.client for each in gone))
        self.devices = staying

    def shown_to(self, *members: MemberOf, serial: int = 0) -> None:
        """Have members know a statement, the newest unless it is said which."""
        body = self.statements[serial - 1] if serial else self.newest
        for member in members:
            with member.changes.change() as change:
                keep_statement(change.db, self.user, body, now=NOW)

    def _member(self, folder: Path) -> MemberOf:
        number = len(self.statements) + 1
        return MemberOf(folder, self.user, account_key=self.key, folder_name=f"{self.user}-{number}")

    def _goes_on(
        self, *, add: tuple[tuple[str, bytes, tuple[int, ...]], ...] = (), revoke: tuple[str, ...] = ()
    ) -> None:
        made = next_statement(
            self.key,
            previous=self.newest,
            issued_at=NOW,
            add=add,
            revoke=revoke,
            staying=[certified(each) for each in self.devices],
        )
        self.statements.append(made.statement)
        self.reissued = {each.client: each.credential for each in made.reissued}


def listed(device: Device) -> Listed:
    return Listed(device.client_uri.encode(), key_of(device))


def key_of(device: Device) -> bytes:
    return device.identity.signature_key.public


def certified(device: Device) -> Certified:
    credential = device.identity.credential
    assert isinstance(credential, BasicCredential)
    return Certified(device.client, key_of(device), credential.identity)
