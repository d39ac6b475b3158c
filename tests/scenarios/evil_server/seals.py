"""Looks at every key that a client seals something to, and knows whose keys there really are.

It asks no check of the client. Who made which account key and which device is written down when
their owner makes it; at each ciphertext, and at each commit that lets somebody in, the whole tree
of its group is held against that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from securechat.client import linking, staged, statements
from securechat.client.change import Change
from securechat.client.outbox import Outbox, Purpose
from securechat.membership.identity import certificate_holds, read_client_credential
from securechat.membership.linking import LinkPayload, Meeting, NewSide, ask_to_link
from securechat.membership.statement import verify_statement
from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.framing import PrivateMessage, decode_message
from securechat.mls.nodes import LeafIndex, LeafNode, leaf_signature_holds
from securechat.mls.public_group import PublicGroup
from securechat.names import parse_client_uri
from tests.scenarios.simulation.people import Person
from tests.scenarios.simulation.world import World

OPENS: frozenset[Purpose] = frozenset({Purpose.CREATE, Purpose.COMMIT, Purpose.RECOMMIT, Purpose.SUCCEED})
"""Requests whose commit seals the secrets of the next epoch to all its leaves."""


@dataclass
class Owners:
    """What people made themselves: their account keys, and the keys of their devices."""

    accounts: dict[str, set[bytes]] = field(default_factory=dict)
    devices: dict[str, dict[str, bytes]] = field(default_factory=dict)
    asking: dict[str, set[bytes]] = field(default_factory=dict)
    """The keys for one request of the machines by which people asked to be let in."""

    def asked(self, new: NewSide) -> None:
        """Somebody asks for a machine of theirs to be let in."""
        said = new.newcomer
        user = said.user.decode()
        self.asking.setdefault(user, set()).add(said.key)
        self.devices.setdefault(user, {})[said.client.decode()] = said.device_key

    def made(self, person: Person, statement: bytes | None = None) -> None:
        """Somebody has an account and these devices: those of a statement that they made themselves."""
        keys = person.keys
        self.accounts.setdefault(keys.user, set()).add(keys.account_key)
        own = statement or statements.newest_bytes(person.store.db, keys.user) or keys.statement
        for device in verify_statement(own).devices:
            client = parse_client_uri(device.client).name
            self.devices.setdefault(keys.user, {})[client] = device.signature_key

    def problem(self, leaf: LeafNode) -> str | None:
        """Return why nobody approved of a leaf, or None."""
        credential = read_client_credential(leaf)
        user = credential.user_name
        if credential.account_key not in self.accounts.get(user, set()):
            return f"of {user} with an account key that {user} never made"
        if self.devices[user].get(credential.client_id) != leaf.signature_key:
            return f"that is none of {user}'s"
        if not certificate_holds(credential, leaf.signature_key):
            return f"of {user} that {user}'s account key did not sign"
        return None


@dataclass
class Seals:
    """One run's."""

    world: World
    owners: Owners = field(default_factory=Owners)
    messages: int = 0
    commits: int = 0
    links: int = 0
    """Accounts that were passed on to a new device."""

    def passed_on(self, meeting: Meeting) -> None:
        """Hold the device that an account is passed on to against those that people asked from."""
        self.links += 1
        user, client = meeting.newcomer.user.decode(), meeting.newcomer.client.decode()
        is_theirs = self.owners.devices.get(user, {}).get(client) == meeting.newcomer.device_key
        if not is_theirs or meeting.newcomer.key not in self.owners.asking.get(user, set()):
            self.world.oracle.complain(f"{user} passed the account on to a device that is not theirs")

    def look(self, name: str, public: PublicGroup, what: str, *, listed: bool = False) -> None:
        """Hold a group that somebody seals something to against what there really is.

        :param listed: and against the newest lists of devices that the sender itself has seen
        """
        if name in self.world.oracle.evil:
            return
        suite = cipher_suite(public.context.cipher_suite)
        for index, leaf in public.tree.leaves():
            problem = self.owners.problem(leaf) or _unsigned(public, suite, index, leaf)
            if problem is None and listed:
                problem = self._unlisted(name, leaf)
            if problem is not None:
                self.world.oracle.complain(f"{name} sealed {what} to a device {problem}")

    def message(self, name: str, public: PublicGroup | None, sealed: bytes) -> None:
        self.messages += 1
        message = decode_message(sealed)
        assert isinstance(message, PrivateMessage)
        if public is None or (message.group_id, message.epoch) != (
            public.context.group_id,
            public.context.epoch,
        ):
            self.world.oracle.complain(f"{name} sealed a message for another epoch than the one it is in")
            return
        self.look(name, public, "a message", listed=True)

    def _unlisted(self, name: str, leaf: LeafNode) -> str | None:
        """Return what is wrong with a leaf by the newest statement of its account that a sender knows."""
        credential = read_client_credential(leaf)
        known = statements.newest(self.world.people[name].store.db, credential.user_name)
        if known is None or credential.client in [device.client for device in known.devices]:
            return None
        return f"that {credential.user_name} has no longer, as {name} knows"


@contextmanager
def guarding(seals: Seals) -> Iterator[None]:
    """Look at all that clients seal, until the block ends."""
    put = Outbox.put

    def seal(outbox: Outbox, change: Change, purpose: Purpose, body: Any, **more: Any) -> int:
        name = outbox._session._credentials.user
        person = seals.world.people.get(name)
        if person is not None and person.engine is not None:
            groups, conversation = person.engine.groups, more.get("conversation", 0)
            if purpose is Purpose.SEND:
                group = groups.group(change.db, conversation)
                seals.message(name, None if group is None else group.public, body.message)
            elif purpose in OPENS:
                _look_at_commit(seals, name, change, person, conversation)
        return put(outbox, change, purpose, body, **more)

    seal_payload = Meeting.seal

    def pass_on(meeting: Meeting, payload: LinkPayload, vault_key: bytes) -> bytes:
        seals.passed_on(meeting)
        return seal_payload(meeting, payload, vault_key)

    def asking(**said: Any) -> NewSide:
        new = ask_to_link(**said)
        seals.owners.asked(new)
        return new

    with (
        mock.patch.object(Outbox, "put", seal),
        mock.patch.object(Meeting, "seal", pass_on),
        mock.patch.object(linking, "ask_to_link", asking),
    ):
        yield


def _look_at_commit(seals: Seals, name: str, change: Change, person: Person, conversation: int) -> None:
    assert person.engine is not None
    own = staged.get(change.db, conversation)
    if own is None:
        return  # a room that is made: its creator alone
    group = None if own.external else person.engine.groups.group(change.db, conversation)
    if own.external or group is not None:
        seals.commits += 1
        seals.look(name, own.load(group).state.public, "a group's secrets")


def _unsigned(public: PublicGroup, suite: Any, index: LeafIndex, leaf: LeafNode) -> str | None:
    """Return what is wrong with the leaf that holds the key, if its device did not sign it."""
    group = public.context.group_id
    holds = leaf_signature_holds(leaf, suite, group_id=group, leaf_index=index)
    return None if holds else "whose keys it did not sign"
