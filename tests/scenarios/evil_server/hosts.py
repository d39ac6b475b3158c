"""Groups that only the server, and whoever it made up, are in: what it can write into anybody's inbox."""

from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from securechat.client import records
from securechat.client.device import Device
from securechat.client.joining import INBOX
from securechat.client.work import PADDING
from securechat.content.message import text_message
from securechat.content.mimi import encode
from securechat.membership.chain import LogMark
from securechat.membership.identity import make_client_credential
from securechat.membership.room import (
    PRODUCT_SUITES,
    Room,
    SaltedProfile,
    capabilities,
    extensions_for,
)
from securechat.membership.signing import new_key, public_of
from securechat.mls.cipher_suite import SUITE_HYBRID
from securechat.mls.codec import decode
from securechat.mls.credential import BasicCredential
from securechat.mls.group import Group
from securechat.mls.key_package import Identity, KeyPackage
from securechat.mls.randomness import random_bytes
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import (
    Carried,
    Chunk,
    Delivered,
    Entry,
    GetTree,
    InboxDelivered,
    InboxEntry,
)
from tests.scenarios.evil_server.ghosts import published
from tests.scenarios.evil_server.stage import Stage
from tests.scenarios.simulation.face import now


def made_up(stage: Stage, user: str) -> Device:
    """Somebody of a name, with an account key that only the server has."""
    domain, client = stage.person("bob").keys.domain, "y" * 26
    account_key, device_key = new_key(), new_key()
    credential = make_client_credential(
        domain=domain,
        user=user,
        client=client,
        account_key=account_key,
        signature_key_public=public_of(device_key),
        suites=PRODUCT_SUITES,
    )
    signer = SUITE_HYBRID.signature.load(device_key.private_bytes_raw())
    return Device(user, client, domain, Identity(BasicCredential(credential), signer, capabilities()))


@dataclass
class Host:
    """Makes a group of any policy, puts people into it, and speaks there."""

    stage: Stage
    device: Device
    room: Room
    profile: SaltedProfile | None = None
    group_id: bytes = field(default_factory=lambda: random_bytes(32))

    def __post_init__(self) -> None:
        self._sequence = 1

    def invites(self, *users: str, tells: str = "bob", **changes: Any) -> None:
        """Add people, and write the Welcome into an inbox.

        :param changes: of what the inbox says of it
        """
        packages = tuple(decode(KeyPackage, published(self.stage, user)) for user in users)
        group = Group.create(
            self.device.identity,
            suite=SUITE_HYBRID,
            group_id=self.group_id,
            extensions=extensions_for(self.room),
        )
        sealed = () if self.profile is None else (self.profile.extension,)
        commit = group.stage_commit(CommitPlan(add=packages, welcome_extensions=sealed))
        assert commit.welcome is not None
        group.merge(commit)
        self.group = group
        self.tell_tree(group.tree_bytes(), tells=tells)
        place = records.counter(self.stage.person(tells).store.db, INBOX) + 1
        told = InboxEntry(place, self.group_id, 1, 2, self.device.client, Carried(body=commit.welcome), now())
        self.stage.liar(tells).say(InboxDelivered([replace(told, **changes)]))

    def tell_tree(self, tree: bytes, *, tells: str = "bob") -> None:
        self.stage.liar(tells).retort(GetTree, lambda _, __: Chunk(len(tree), 0, tree))

    def says(self, text: str, *, tells: str = "bob") -> None:
        """Say something in that group, in its own name."""
        sender, room = self.device.user_uri, str(self.room.uri)
        content = encode(text_message(text, random_bytes(16), sender_uri=sender, room_uri=room))
        mark = LogMark(self._sequence - 1, self.group.public.context.confirmed_transcript_hash[:16])
        sealed = self.group.encrypt(content, authenticated_data=mark.to_bytes(), padding=PADDING)
        self._sequence += 1
        entry = Entry(self._sequence, "message", 1, self.device.client, now(), sealed)
        self.stage.liar(tells).say(Delivered(self.group_id, [entry]))
