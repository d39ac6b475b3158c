"""A commit as the rules look at it: facts of MLS, read as users, devices, rooms and rights."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from securechat.membership.identity import ClientCredential, read_client_credential
from securechat.membership.room import Kind, Role, Room, acting_role
from securechat.membership.roster import Roster
from securechat.mls.commit_facts import CommitFacts, ResolvedProposal, VerifiedProposal
from securechat.mls.nodes import LeafNode
from securechat.mls.proposals import Add, Remove


@dataclass(frozen=True, slots=True)
class Entrance:
    """A leaf that was not in the old tree, or takes the place of one that was."""

    leaf: LeafNode
    credential: ClientCredential
    by: str | None
    """Whose rights it needs (user's URI); None for nobody's: an outsider's Add."""
    replaces: ClientCredential | None
    """The credential whose place it takes: by Update, path, or resync."""
    from_key_package: bool
    """Whether it was added, and did not come by itself."""

    @property
    def user(self) -> str:
        return self.credential.user_uri


@dataclass(frozen=True, slots=True)
class Departure:
    """A leaf that a Remove takes out; leaving of one's own will is not one."""

    credential: ClientCredential
    by: str | None

    @property
    def user(self) -> str:
        return self.credential.user_uri


@dataclass(frozen=True)
class Scene:
    """Everything a rule may ask about a commit. Made by `judge`, which has read both rooms."""

    facts: CommitFacts
    old_room: Room
    new_room: Room
    before: Roster
    pending: Sequence[VerifiedProposal]

    @property
    def direct(self) -> bool:
        return self.old_room.kind is Kind.DIRECT

    @cached_property
    def committer(self) -> ClientCredential:
        return read_client_credential(self.facts.committer_leaf)

    def proposer(self, proposal: ResolvedProposal) -> str | None:
        """Return whose rights a proposal needs (URI): who joins acts for itself; an outsider is nobody."""
        if proposal.sender is None:
            return self.committer.user_uri if self.facts.external else None
        return self.before.user_of(proposal.sender)

    @cached_property
    def entrances(self) -> tuple[Entrance, ...]:
        return (*self._added(), *self._updated(), *self._joined())

    @cached_property
    def departures(self) -> tuple[Departure, ...]:
        return tuple(
            Departure(self.before.members[p.proposal.removed], self.proposer(p))
            for p in self.facts.proposals
            if isinstance(p.proposal, Remove) and p.proposal.removed in self.before.members
        )

    @cached_property
    def after(self) -> Roster:
        """Who is in the new tree."""
        new = [(u.leaf_index, read_client_credential(u.new)) for u in self.facts.updated]
        new += [(a.leaf_index, read_client_credential(a.leaf_node)) for a in self.facts.added]
        if self.facts.external:
            new.append((self.facts.committer, self.committer))
        return self.before.changed((r.leaf_index for r in self.facts.removed), new)

    def beside(self, entrance: Entrance) -> tuple[ClientCredential, ...]:
        """Return the leaves that the entrance's user has afterwards, this one among them."""
        return self._after_by_user.get(entrance.credential.user, ())

    def ahead(self, entrance: Entrance) -> tuple[ClientCredential, ...]:
        """Return the leaves that the entrance's user had before."""
        return self._before_by_user.get(entrance.credential.user, ())

    @cached_property
    def _after_by_user(self) -> Mapping[bytes, tuple[ClientCredential, ...]]:
        return self.after.by_user({entrance.credential.user for entrance in self.entrances})

    @cached_property
    def _before_by_user(self) -> Mapping[bytes, tuple[ClientCredential, ...]]:
        return self.before.by_user({entrance.credential.user for entrance in self.entrances})

    def role(self, user: str | None) -> Role:
        """Return what a user may do before this commit; admins act as owners where no owner is left."""
        if user is None:
            return Role.BANNED
        return acting_role(self.old_room, user, self.before.users)

    @cached_property
    def frozen(self) -> bool:
        """Whether nobody is left who could change the room."""
        return not self._present(Role.OWNER) and not self._present(Role.ADMIN)

    def _present(self, role: Role) -> bool:
        return any(user in self.before.users for user, had in self.old_room.entries.items() if had is role)

    def _added(self) -> Iterator[Entrance]:
        # MLS applies Adds in the order of the list, so the facts and the proposals go in step.
        adds = (p for p in self.facts.proposals if isinstance(p.proposal, Add))
        for added, proposal in zip(self.facts.added, adds, strict=False):
            leaf = added.leaf_node
            credential = read_client_credential(leaf)
            yield Entrance(leaf, credential, self.proposer(proposal), None, from_key_package=True)

    def _updated(self) -> Iterator[Entrance]:
        for updated in self.facts.updated:
            old = read_client_credential(updated.old)
            credential = read_client_credential(updated.new)
            yield Entrance(updated.new, credential, old.user_uri, old, from_key_package=False)

    def _joined(self) -> Iterator[Entrance]:
        if self.facts.external:
            same = (d.credential for d in self.departures if d.credential.client == self.committer.client)
            joiner, old = self.committer, next(same, None)
            yield Entrance(self.facts.committer_leaf, joiner, joiner.user_uri, old, from_key_package=False)
