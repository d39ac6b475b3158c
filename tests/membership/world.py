"""People, devices and real groups for tests: what is built here is valid MLS, whatever the rules say.

A `World` remembers every step that led to where it is, so that a test of the server or of a
client can replay it there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.membership import signing
from securechat.membership.identity import (
    MAX_LIFETIME,
    ClientCredential,
    make_client_credential,
    new_local_id,
    read_identity,
)
from securechat.membership.room import Kind, Room, capabilities, extensions_for, make_room, room_of
from securechat.membership.roster import Roster
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.commit_facts import CommitFacts, VerifiedProposal
from securechat.mls.credential import BasicCredential
from securechat.mls.examining import ExaminedCommit, ExaminedProposal
from securechat.mls.extensions import Extension, Extensions
from securechat.mls.group import Group
from securechat.mls.key_package import Identity, KeyPackage, KeyPackageBundle, make_key_package
from securechat.mls.nodes import LeafIndex, Lifetime
from securechat.mls.public_group import PublicGroup
from securechat.mls.randomness import random_bytes
from securechat.mls.signature import ED25519
from securechat.mls.staging import CommitPlan, StagedCommit
from securechat.names import room_uri, user_uri

DOMAIN = "chat.example"
NOW = 1_790_000_000
LIFETIME = Lifetime(NOW - 3600, NOW - 3600 + MAX_LIFETIME)


@dataclass(frozen=True)
class Device:
    """A client: its identity, and the key packages it left behind."""

    user: str
    client: str
    account_key: Ed25519PrivateKey
    identity: Identity
    bundles: list[KeyPackageBundle] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return user_uri(DOMAIN, self.user)

    @property
    def identity_bytes(self) -> bytes:
        assert isinstance(self.identity.credential, BasicCredential)
        return self.identity.credential.identity

    @property
    def credential(self) -> ClientCredential:
        return read_identity(self.identity_bytes)

    def key_package(self, lifetime: Lifetime = LIFETIME) -> KeyPackage:
        bundle = make_key_package(self.identity, SUITE_3, lifetime=lifetime)
        self.bundles.append(bundle)
        return bundle.key_package

    def but(self, credential: bytes, identity: Identity | None = None) -> "Device":
        """Return the device with another credential, valid or not."""
        changed = replace(identity or self.identity, credential=BasicCredential(credential))
        return replace(self, identity=changed, bundles=[])


def make_device(
    user: str,
    account_key: Ed25519PrivateKey | None = None,
    *,
    client: str | None = None,
    domain: str = DOMAIN,
    generation: int = 1,
    suites: tuple[int, ...] = (3,),
) -> Device:
    """Make a device of a user, of a new account unless its key is given."""
    account_key = account_key or signing.new_key()
    client = client or new_local_id()
    signature_key = ED25519.generate()
    credential = make_client_credential(
        domain=domain,
        user=user,
        client=client,
        account_key=account_key,
        signature_key_public=signature_key.public,
        suites=suites,
        generation=generation,
    )
    identity = Identity(BasicCredential(credential), signature_key, capabilities())
    return Device(user, client, account_key, identity)


@dataclass(frozen=True)
class Step:
    """What one client sent, with everything the server needs to take it."""

    kind: str
    client: str
    message: bytes = b""
    group_info: bytes = b""
    tree: bytes = b""
    welcome: bytes | None = None


@dataclass(frozen=True)
class Play:
    """A commit to be judged, where it stands, and the history before it."""

    facts: CommitFacts
    pending: tuple[VerifiedProposal, ...] = ()
    before: PublicGroup | None = None
    staged: StagedCommit | None = None
    """None if the commit could not be made for real: its facts are touched up."""
    steps: tuple[Step, ...] = ()
    devices: tuple[Device, ...] = ()
    receivers: tuple[Group, ...] = ()
    """Members other than the committer, as they stood before it."""


class World:
    """A group and all its members."""

    def __init__(
        self, creator: Device, kind: Kind = Kind.ROOM, *, extensions: Extensions | None = None
    ) -> None:
        room = make_room(room_uri(DOMAIN, new_local_id()), kind=kind, owner=creator.uri)
        group = Group.create(
            creator.identity,
            suite=SUITE_3,
            group_id=random_bytes(16),
            extensions=extensions_for(room) if extensions is None else extensions,
        )
        self.devices = {creator.client: creator}
        self.groups = {creator.client: group}
        self.steps = [Step("create", creator.client, b"", group.group_info(), group.tree_bytes())]

    @property
    def public(self) -> PublicGroup:
        return next(iter(self.groups.values())).public

    @property
    def room(self) -> Room:
        return room_of(self.public.context)

    def of(self, user: str) -> Device:
        """Return the first device of a user that is in the group."""
        return next(device for device in self.devices.values() if device.user == user)

    def leaf(self, device: Device) -> LeafIndex:
        return self.groups[device.client].own_leaf

    def users_after(self, facts: CommitFacts) -> set[str]:
        return set(Roster.of_tree(facts.new_tree).users)

    def stage(self, by: Device, plan: CommitPlan) -> StagedCommit:
        return self.groups[by.client].stage_commit(plan)

    def play(self, by: Device, plan: CommitPlan) -> Play:
        """Stage a commit and show it to the judge, without anybody following it."""
        return self.shown(by, self.stage(by, plan))

    def shown(self, by: Device, staged: StagedCommit) -> Play:
        group = next(iter(self.groups.values()))
        return Play(
            staged.facts,
            group.pending,
            self.public,
            staged,
            (*self.steps, _step("commit", by.client, staged)),
            (*self.devices.values(), by),
            tuple(group for client, group in self.groups.items() if client != by.client),
        )

    def commit(self, by: Device, plan: CommitPlan, joining: Sequence[Device] = ()) -> StagedCommit:
        """Let everybody follow a commit, and let those join whom its Welcome is for."""
        staged = self.stage(by, plan)
        self.follow(by, staged, joining)
        return staged

    def follow(self, by: Device, staged: StagedCommit, joining: Sequence[Device] = ()) -> None:
        self.steps.append(_step("commit", by.client, staged))
        for client, group in list(self.groups.items()):
            if client == by.client:
                group.merge(staged)
                continue
            examined = group.examine(staged.message)
            assert isinstance(examined, ExaminedCommit)
            group.merge(group.process(examined))
            if group.removed:
                del self.groups[client], self.devices[client]
        if staged.external:
            self._enter(by, Group.from_staged(staged, by.identity))
        tree = self.groups[by.client].tree_bytes()
        for device in joining:
            assert staged.welcome is not None
            joined = Group.join(staged.welcome, device.bundles[-1], device.identity, tree=tree)
            self._enter(device, joined.group)

    def propose(self, by: Device, message: bytes) -> VerifiedProposal:
        """Let everybody take note of a proposal."""
        self.steps.append(Step("propose", by.client, message))
        for group in self.groups.values():
            examined = group.examine(message)
            assert isinstance(examined, ExaminedProposal)
            group.accept(examined)
        return next(iter(self.groups.values())).pending[-1]

    def add(self, by: Device, *devices: Device, room: Room | None = None) -> None:
        """Add devices for real, perhaps with a new policy in the same commit."""
        packages = tuple(device.key_package() for device in devices)
        extensions = None if room is None else extensions_for(room)
        self.commit(by, CommitPlan(add=packages, extensions=extensions), devices)

    def external(self, by: Device, *, remove: LeafIndex | None = None, take: bool = True) -> StagedCommit:
        """Make an external commit; ``take``: with the SelfRemoves that are waiting."""
        group = next(iter(self.groups.values()))
        return Group.join_externally(
            group.group_info(),
            group.tree_bytes(),
            by.identity,
            remove=remove,
            self_removes=tuple(proposal.message for proposal in group.pending) if take else (),
        )

    def _enter(self, device: Device, group: Group) -> None:
        self.devices[device.client] = device
        self.groups[device.client] = group


def policy(room: Room, *more: Extension) -> Extensions:
    return (*extensions_for(room), *more)


def _step(kind: str, client: str, staged: StagedCommit) -> Step:
    return Step(kind, client, staged.message, staged.group_info, welcome=staged.welcome)
