"""Who is in a tree: users and their leaves, read out of the credentials."""

from collections.abc import Iterable, Mapping
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
    def users(self) -> Mapping[str, tuple[ClientCredential, ...]]:
        """By user's URI: the credentials of the user's leaves."""
        found: dict[str, list[ClientCredential]] = {}
        for credential in self.members.values():
            found.setdefault(credential.user_uri, []).append(credential)
        return {user: tuple(credentials) for user, credentials in found.items()}

    def of_user(self, user: str) -> tuple[ClientCredential, ...]:
        return self.users.get(user, ())

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
