"""A member of a group, ours or one of ts-mls, with one face."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from securechat.mls.cipher_suite import SUITES, CipherSuite
from securechat.mls.codec import encode
from securechat.mls.commit_facts import CommitFacts
from securechat.mls.continuing import branch, reinitialise
from securechat.mls.credential import BasicCredential
from securechat.mls.examining import ExaminedApplication, ExaminedCommit, ExaminedProposal
from securechat.mls.extensions import Extensions
from securechat.mls.framing import GroupInfo, decode_message, encode_message
from securechat.mls.group import Group
from securechat.mls.key_package import Identity, KeyPackage, KeyPackageBundle, make_key_package
from securechat.mls.nodes import Capabilities, LeafIndex, Lifetime
from securechat.mls.outside import propose_joining
from securechat.mls.proposals import (
    PROPOSAL,
    Add,
    GroupContextExtensions,
    PreSharedKeyProposal,
    ProposalValue,
    ReInit,
    Remove,
)
from securechat.mls.psk import NO_KEYS, ExternalPsk, ResumptionPsk, ResumptionPSKUsage
from securechat.mls.staging import CommitPlan, StagedCommit
from tests.interop.agreement import EXPORT_CONTEXT, EXPORT_LABEL, View
from tests.interop.peer import Peer

PRIVATE_EXTENSION: Final = 0xF001
"""An extension type that all members list."""
EXPORTED_LENGTH: Final = 32
DAY: Final = 86_400
Psks = dict[ExternalPsk | ResumptionPsk, bytes]


@dataclass(frozen=True, slots=True)
class Offer:
    """A commit that is not merged yet."""

    message: bytes
    welcome: bytes | None
    tree: bytes
    """Of the epoch it leads to."""


@dataclass(frozen=True, slots=True)
class Continued:
    """What a group that continues another shall be."""

    usage: ResumptionPSKUsage
    group_id: bytes
    suite: CipherSuite
    extensions: Extensions


class Member(Protocol):
    """One client in one group; whoever is added or joins anew is another one."""

    name: str
    suite: CipherSuite

    @property
    def ours(self) -> bool: ...
    def successor(self, name: str, suite: CipherSuite) -> "Member": ...
    def key_package(self) -> KeyPackage: ...
    def create(self, group_id: bytes, extensions: Extensions) -> None: ...
    def join(self, welcome: bytes, tree: bytes | None, origin: "Member | None") -> None: ...
    def stage(self, values: Sequence[ProposalValue], *, private: bool, tree_inside: bool) -> Offer: ...
    def merge(self) -> None: ...
    def drop(self) -> None: ...
    def propose(self, value: ProposalValue, *, private: bool) -> bytes: ...
    def propose_update(self, *, private: bool) -> bytes: ...
    def receive(self, message: bytes) -> bytes | None: ...
    def say(self, text: bytes, data: bytes) -> bytes: ...
    def view(self) -> View: ...
    def own_leaf(self) -> LeafIndex: ...
    def active(self) -> bool: ...
    def group_info(self, *, tree_inside: bool) -> bytes: ...
    def join_externally(self, info: bytes, tree: bytes | None, old: "Member | None") -> bytes: ...
    def ask_to_be_added(self, info: bytes) -> bytes: ...
    def continue_as(self, fresh: "Member", others: Sequence[KeyPackage], what: Continued) -> Offer: ...


def plan_of(values: Sequence[ProposalValue], *, tree_inside: bool = False) -> CommitPlan:
    """Return the plan of a commit that brings these proposals by value."""
    linked = [each.psk.psk for each in values if isinstance(each, PreSharedKeyProposal)]
    contexts = [each.extensions for each in values if isinstance(each, GroupContextExtensions)]
    reinits = [each for each in values if isinstance(each, ReInit)]
    return CommitPlan(
        add=tuple(each.key_package for each in values if isinstance(each, Add)),
        remove=tuple(each.removed for each in values if isinstance(each, Remove)),
        psks=tuple(linked),
        extensions=contexts[0] if contexts else None,
        reinit=reinits[0] if reinits else None,
        tree_in_welcome=tree_inside,
    )


class Ours(Member):
    """A member with our library, by its public face."""

    ours = True

    def __init__(self, name: str, suite: CipherSuite, psks: Psks) -> None:
        self.name = name
        self.suite = suite
        self._psks = psks
        capabilities = Capabilities((1,), tuple(SUITES), (PRIVATE_EXTENSION,), (), (1,))
        credential = BasicCredential(person(name).encode())
        self._identity = Identity(credential, suite.signature.generate(), capabilities)
        self._bundle: KeyPackageBundle | None = None
        self._group: Group | None = None
        self._staged: StagedCommit | None = None

    @property
    def group(self) -> Group:
        assert self._group is not None
        return self._group

    @property
    def staged(self) -> StagedCommit:
        assert self._staged is not None
        return self._staged

    def successor(self, name: str, suite: CipherSuite) -> "Ours":
        return Ours(name, suite, self._psks)

    def key_package(self) -> KeyPackage:
        now = int(time.time())
        lifetime = Lifetime(now - DAY, now + 20 * DAY)
        self._bundle = make_key_package(self._identity, self.suite, lifetime=lifetime)
        return self._bundle.key_package

    def create(self, group_id: bytes, extensions: Extensions) -> None:
        self._group = Group.create(self._identity, suite=self.suite, group_id=group_id, extensions=extensions)

    def join(self, welcome: bytes, tree: bytes | None, origin: Member | None) -> None:
        assert self._bundle is not None
        old = origin.group if isinstance(origin, Ours) else None
        joined = Group.join(welcome, self._bundle, self._identity, tree=tree, psks=self._psks.get, origin=old)
        self._group, self._bundle = joined.group, None

    def stage(
        self,
        values: Sequence[ProposalValue],
        *,
        private: bool = False,  # noqa: ARG002 - our library sends handshakes in the clear, and reads both
        tree_inside: bool = False,
    ) -> Offer:
        plan = plan_of(values, tree_inside=tree_inside)
        return self._offer(self.group.stage_commit(plan, psks=self._psks.get))

    def _offer(self, staged: StagedCommit) -> Offer:
        self._staged = staged
        return Offer(staged.message, staged.welcome, staged.state.public.tree.to_bytes())

    def merge(self) -> None:
        if self.staged.external:
            self._group = Group.from_staged(self.staged, self._identity)
        else:
            self.group.merge(self.staged)
        self._staged = None

    def drop(self) -> None:
        self._staged = None

    def propose(self, value: ProposalValue, *, private: bool = False) -> bytes:  # noqa: ARG002 - as above
        return self._accepted(self.group.propose(value))

    def propose_update(self, *, private: bool = False) -> bytes:  # noqa: ARG002 - as above
        return self._accepted(self.group.propose_update())

    def _accepted(self, message: bytes) -> bytes:
        self.receive(message)
        return message

    def receive(self, message: bytes) -> bytes | None:
        match self.group.examine(message):
            case ExaminedCommit() as commit:
                self.group.merge(self.group.process(commit, psks=self._psks.get))
            case ExaminedProposal() as proposal:
                self.group.accept(proposal)
            case ExaminedApplication():
                return self.group.decrypt(message).content
        return None

    def look(self, commit: bytes) -> CommitFacts:
        """Return what a commit does, without following it."""
        examined = self.group.examine(commit)
        assert isinstance(examined, ExaminedCommit)
        return examined.facts

    def proposal_in(self, message: bytes) -> ProposalValue:
        """Return what a proposal message proposes, without taking it up."""
        examined = self.group.examine(message)
        assert isinstance(examined, ExaminedProposal)
        return examined.proposal

    def say(self, text: bytes, data: bytes) -> bytes:
        return self.group.encrypt(text, authenticated_data=data)

    def view(self) -> View:
        group = self.group
        return View(
            epoch=group.epoch,
            authenticator=group.epoch_authenticator,
            tree=group.tree_bytes(),
            context=encode(group.public.context),
            exported=group.export(EXPORT_LABEL, EXPORT_CONTEXT, EXPORTED_LENGTH),
        )

    def own_leaf(self) -> LeafIndex:
        return self.group.own_leaf

    def active(self) -> bool:
        return self.group.active

    def group_info(self, *, tree_inside: bool) -> bytes:
        return self.group.group_info(with_tree=tree_inside)

    def join_externally(
        self,
        info: bytes,
        tree: bytes | None,
        old: Member | None,
        psks: Mapping[ExternalPsk | ResumptionPsk, bytes] = NO_KEYS,
    ) -> bytes:
        remove = None
        if isinstance(old, Ours):
            self._identity, remove = old.group.identity, old.own_leaf()
        staged = Group.join_externally(info, tree, self._identity, remove=remove, psks=psks)
        return self._offer(staged).message

    def ask_to_be_added(self, info: bytes) -> bytes:
        assert self._bundle is not None
        group_info = decode_message(info)
        assert isinstance(group_info, GroupInfo)
        context = group_info.group_context
        return propose_joining(
            self._bundle.key_package, self._identity, group_id=context.group_id, epoch=context.epoch
        )

    def continue_as(self, fresh: Member, others: Sequence[KeyPackage], what: Continued) -> Offer:
        assert isinstance(fresh, Ours)
        if what.usage is ResumptionPSKUsage.REINIT:
            made = reinitialise(self.group, others, identity=fresh._identity)
        else:
            made = branch(self.group, others, group_id=what.group_id, extensions=what.extensions)
            fresh._identity = self.group.identity
        fresh._group = made.group
        offer = fresh._offer(made.staged)
        fresh.merge()
        return offer

    def restart(self) -> None:
        """Be stored and read again."""
        group = self.group
        self._group = Group.from_bytes(group.epoch_bytes(), group.secrets_bytes(), group.identity)


class Theirs(Member):
    """A member in the process with ts-mls."""

    ours = False

    def __init__(self, name: str, suite: CipherSuite, peer: Peer) -> None:
        self.name = name
        self.suite = suite
        self.peer = peer

    def successor(self, name: str, suite: CipherSuite) -> "Theirs":
        return Theirs(name, suite, self.peer)

    def key_package(self, *, keep_keys: bool = False) -> KeyPackage:
        message = self._bytes(
            "key_package", name=person(self.name), suite=self.suite.number, keep_keys=keep_keys
        )
        return _key_package(message)

    def create(self, group_id: bytes, extensions: Extensions) -> None:
        self.key_package()
        self._ask("create", group=group_id, extensions=_extensions(extensions))

    def join(self, welcome: bytes, tree: bytes | None, origin: Member | None) -> None:
        self._ask("join", welcome=welcome, tree=tree, origin=None if origin is None else origin.name)

    def stage(self, values: Sequence[ProposalValue], *, private: bool, tree_inside: bool) -> Offer:
        proposals = [PROPOSAL.encode(each) for each in values]
        staged = self._ask(
            "stage", proposals=proposals, in_public=not private, tree_inside=tree_inside, data=b""
        )
        welcome = staged["welcome"]
        return Offer(
            bytes.fromhex(staged["message"]),
            None if welcome is None else bytes.fromhex(welcome),
            bytes.fromhex(staged["tree"]),
        )

    def merge(self) -> None:
        self._ask("merge")

    def drop(self) -> None:
        self._ask("drop")

    def propose(self, value: ProposalValue, *, private: bool) -> bytes:
        return self._bytes("propose", proposal=PROPOSAL.encode(value), in_public=not private)

    def propose_update(self, *, private: bool) -> bytes:
        return self._bytes("propose_update", in_public=not private)

    def receive(self, message: bytes) -> bytes | None:
        text = self._ask("receive", message=message)["text"]
        return None if text is None else bytes.fromhex(text)

    def say(self, text: bytes, data: bytes) -> bytes:
        return self._bytes("say", text=text, data=data)

    def view(self) -> View:
        said = self._view()
        parts = {name: bytes.fromhex(said[name]) for name in ("authenticator", "tree", "context", "exported")}
        return View(epoch=said["epoch"], **parts)

    def own_leaf(self) -> LeafIndex:
        return LeafIndex(self._view()["leaf"])

    def active(self) -> bool:
        return bool(self._view()["active"])

    def group_info(self, *, tree_inside: bool) -> bytes:
        return self._bytes("group_info", tree_inside=tree_inside)

    def join_externally(self, info: bytes, tree: bytes | None, old: Member | None) -> bytes:
        if old is not None:
            self.name = old.name
        self.key_package(keep_keys=old is not None)
        return self._bytes("join_externally", group_info=info, tree=tree, resync=old is not None)

    def ask_to_be_added(self, info: bytes) -> bytes:
        return self._bytes("ask_to_be_added", group_info=info)

    def continue_as(self, fresh: Member, others: Sequence[KeyPackage], what: Continued) -> Offer:
        assert isinstance(fresh, Theirs)
        fresh.key_package()
        welcome = fresh._bytes(
            "continue_as",
            origin=self.name,
            usage=what.usage.name.lower(),
            group=what.group_id,
            suite=what.suite.number,
            packages=[encode_message(each) for each in others],
            extensions=_extensions(what.extensions),
        )
        return Offer(b"", welcome, fresh.view().tree)

    def forget(self) -> None:
        """Let the process forget this member."""
        self._ask("forget")

    def _view(self) -> dict[str, Any]:
        said: dict[str, Any] = self._ask("view", label=EXPORT_LABEL, context=EXPORT_CONTEXT)
        return said

    def _ask(self, verb: str, **said: Any) -> Any:
        return self.peer.ask(verb, member=self.name, **said)

    def _bytes(self, verb: str, **said: Any) -> bytes:
        return bytes.fromhex(str(self._ask(verb, **said)))


def person(name: str) -> str:
    """Who a member is: the same in a group and in those that continue it."""
    return name.partition("/")[0]


def _key_package(message: bytes) -> KeyPackage:
    decoded = decode_message(message)
    assert isinstance(decoded, KeyPackage)
    return decoded


def _extensions(extensions: Extensions) -> bytes:
    return encode(GroupContextExtensions(extensions))
