"""Who is in a tree: users and their leaves, read out of the credentials."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from securechat.membership.identity import ClientCredential, read_client_credential
from securechat.mls.nodes import LeafIndex, LeafNode
from securechat.mls.ratchet_tree import RatchetTree


@dataclass(frozen=True)
class Roster:
    """The credential of each leaf. Signatures are not checked here."""

    members: Mapping[LeafIndex, ClientCredential]

    @classmethod
    def of(cls, leaves: Iterable[tuple[LeafIndex, LeafNode]]) -> "Roster":
        """Read the credentials of leaves; raises LeafRefused if one is none of ours."""
        return cls({index: read_client_credential(leaf) for index, leaf in leaves})

    @classmethod
    def of_tree(cls, tree: RatchetTree) -> "Roster":
        return cls.of(tree.leaves())

    @cached_property
    def users(self) -> frozenset[str]:
        """The URIs of all users with a leaf."""
        return frozenset(map(bytes.decode, {credential.user for credential in self.members.values()}))

    def of_user(self, user: str) -> tuple[ClientCredential, ...]:
        """Return the credentials of a user's leaves."""
        wanted = user.encode()
        return tuple(credential for credential in self.members.values() if credential.user == wanted)

    def by_user(self, users: Collection[bytes] | None = None) -> Mapping[bytes, tuple[ClientCredential, ...]]:
        """Return the credentials of each user's leaves, in one pass; of some users or of all."""
        found: dict[bytes, list[ClientCredential]] = {}
        for credential in self.members.values():
            if users is None or credential.user in users:
                found.setdefault(credential.user, []).append(credential)
        return {user: tuple(credentials) for user, credentials in found.items()}

    def user_of(self, leaf: LeafIndex | None) -> str | None:
        """Return the URI of a leaf's user; None where there is none."""
        credential = None if leaf is None else self.members.get(leaf)
        return None if credential is None else credential.user_uri

    def changed(
        self, gone: Iterable[LeafIndex], new: Iterable[tuple[LeafIndex, ClientCredential]]
    ) -> "Roster":
        """Return the roster without some leaves and then with others."""
        members = dict(self.members)
        for index in gone:
            members.pop(index, None)
        members.update(new)
        return Roster(members)
