"""The library as a stranger uses it: by its public face only, and with nothing but bytes between people.

What a script that talks to another MLS stack needs is there: no name here is of a module in the package.
"""

import ast
from pathlib import Path
from typing import Any

import pytest

from securechat.mls import (
    SUITE_3,
    SUITES,
    Add,
    BasicCredential,
    Capabilities,
    CommitPlan,
    ExaminedCommit,
    ExaminedProposal,
    Extension,
    ExtensionType,
    ExternalPsk,
    ExternalSender,
    Group,
    GroupContextExtensions,
    GroupInfo,
    Identity,
    KeyPackage,
    KeyPackageBundle,
    Lifetime,
    PreSharedKeyProposal,
    ProposalValue,
    PublicGroup,
    RatchetTree,
    ReInit,
    Remove,
    RequiredCapabilities,
    ResumptionPsk,
    ResumptionPSKUsage,
    StagedCommit,
    StaleEpoch,
    ValidationError,
    allow_senders,
    branch,
    check_key_package,
    check_lifetime,
    decode_message,
    encode_message,
    extension_of,
    fresh_psk,
    make_key_package,
    propose_externally,
    propose_joining,
    reinitialise,
)

NOW = 1_790_000_000
HOUSE = ExternalPsk(b"of the house")
OFFICE = SUITE_3.signature.generate()
SENDERS = allow_senders(ExternalSender(OFFICE.public, BasicCredential(b"office")))
MARK = Extension(0xF001, b"policy")


def known(name: ExternalPsk | ResumptionPsk) -> bytes | None:
    return b"a secret of the house" if name == HOUSE else None


class Person:
    """Somebody with a device. What it keeps and what leaves it is bytes."""

    group: Group

    def __init__(self, name: bytes, suites: tuple[int, ...] = (3,)) -> None:
        self.capabilities = Capabilities((1,), suites, (0xF001,), (0x000A,), (1,))
        self.identity = Identity(
            BasicCredential(name), SUITES[suites[0]].signature.generate(), self.capabilities
        )
        self.kept = b""

    def key_package(self, suite: int = 3) -> bytes:
        bundle = make_key_package(self.identity, SUITES[suite], lifetime=Lifetime(NOW, NOW + 3600))
        self.kept = bundle.to_bytes()
        return encode_message(bundle.key_package)

    def join(self, welcome: bytes | None, origin: Group | None = None) -> None:
        assert welcome is not None
        bundle = KeyPackageBundle.from_bytes(self.kept)
        self.group = Group.join(welcome, bundle, self.identity, psks=known, origin=origin).group

    def take(self, message: bytes) -> None:
        match self.group.examine(message):
            case ExaminedCommit() as commit:
                self.group.merge(self.group.process(commit, psks=known))
            case ExaminedProposal() as proposal:
                self.group.accept(proposal)
            case application:
                self.group.decrypt(application.message)

    def restart(self) -> None:
        """Store everything and read it back, the signature key too."""
        key = self.group.suite.signature.load(self.group.identity.signature_key.private)
        self.identity = Identity(self.group.identity.credential, key, self.group.identity.capabilities)
        self.group = Group.from_bytes(self.group.epoch_bytes(), self.group.secrets_bytes(), self.identity)


def packages(*messages: bytes) -> tuple[KeyPackage, ...]:
    """What a directory has, as who adds looks at it."""
    found = tuple(body for body in map(decode_message, messages) if isinstance(body, KeyPackage))
    for each in found:
        check_key_package(each, SUITES[each.cipher_suite])
        check_lifetime(each.leaf_node, NOW)
    return found


def commit(committer: Person, *others: Person, plan: CommitPlan) -> StagedCommit:
    """Commit, with a restart before it is known that the commit was taken."""
    staged = StagedCommit.from_bytes(
        committer.group.stage_commit(plan, psks=known).to_bytes(), committer.group.public
    )
    committer.group.merge(staged)
    for other in others:
        other.take(staged.message)
    return staged


def together(*names: bytes, extensions: tuple[Extension, ...] = ()) -> list[Person]:
    first, *others = people = [Person(name) for name in names]
    first.group = Group.create(first.identity, suite=SUITE_3, group_id=b"tea", extensions=extensions)
    adding = packages(*(person.key_package() for person in others))
    staged = commit(first, plan=CommitPlan(add=adding, tree_in_welcome=True, now=NOW))
    for person in others:
        person.join(staged.welcome)
    return people


def come_from_outside(who: Person, host: Person, *others: Person, **how: Any) -> None:
    made = Group.join_externally(host.group.group_info(with_tree=True), None, who.identity, **how)
    made = StagedCommit.from_bytes(made.to_bytes())
    for person in (host, *others):
        person.take(made.message)
    who.group = Group.from_staged(made, who.identity)


def agree(*people: Person) -> None:
    """All are in one epoch, hear each other and export the same, also after a restart."""
    for person in people:
        person.restart()
        sealed = person.group.encrypt(b"hello", authenticated_data=b"1")
        assert {other.group.decrypt(sealed).content for other in people if other is not person} <= {b"hello"}
    assert len({person.group.export("label", b"context", 48) for person in people}) == 1
    assert len({person.group.epoch_authenticator for person in people}) == 1


def test_nothing_but_the_public_face_is_used() -> None:
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {"pathlib", "typing", "securechat.mls"}


def test_people_come_and_go_by_value_and_by_reference() -> None:
    alice, bob, carol = together(b"alice", b"bob", b"carol")
    dave = Person(b"dave")
    (offer,) = packages(dave.key_package())
    for proposal in (
        bob.group.propose_add(offer),
        carol.group.propose_update(),
        bob.group.propose_self_remove(),
    ):
        for person in (alice, bob, carol):
            person.take(proposal)
    staged = commit(alice, bob, carol, plan=CommitPlan(tree_in_welcome=True, force_path=True))
    dave.join(staged.welcome)
    assert bob.group.removed
    agree(alice, carol, dave)
    commit(carol, alice, dave, plan=CommitPlan(remove=(alice.group.own_leaf,), psks=(HOUSE,)))
    assert alice.group.removed
    agree(carol, dave)


def test_who_was_lost_comes_back_from_outside() -> None:
    """One takes its own place again and shows that it was there; another comes with a key of the house."""
    alice, bob = together(b"alice", b"bob")
    carol = Person(b"carol")
    name = ResumptionPsk(ResumptionPSKUsage.APPLICATION, b"tea", bob.group.epoch)
    secret = bob.group.psk_source()(name)
    assert secret is not None

    come_from_outside(bob, alice, remove=bob.group.own_leaf, psks={name: secret})
    come_from_outside(carol, alice, bob, psks={HOUSE: b"a secret of the house"})
    agree(alice, bob, carol)


def test_who_is_outside_asks() -> None:
    alice, bob, carol = together(b"alice", b"bob", b"carol", extensions=(SENDERS,))
    dave, erin = Person(b"dave"), Person(b"erin")
    asked: list[ProposalValue] = [
        Add(*packages(dave.key_package())),
        Remove(carol.group.own_leaf),
        PreSharedKeyProposal(fresh_psk(SUITE_3, HOUSE)),
        GroupContextExtensions((SENDERS, MARK)),
    ]
    epoch = alice.group.epoch
    messages = [
        propose_externally(each, OFFICE, group_id=b"tea", epoch=epoch, sender_index=0) for each in asked
    ]
    (wish,) = packages(erin.key_package())
    messages.append(propose_joining(wish, erin.identity, group_id=b"tea", epoch=epoch))
    for message in messages:
        for person in (alice, bob, carol):
            person.take(message)
    staged = commit(alice, bob, carol, plan=CommitPlan(tree_in_welcome=True))
    for person in (dave, erin):
        person.join(staged.welcome)
    assert carol.group.removed
    assert bob.group.public.context.extensions == (SENDERS, MARK)
    agree(alice, bob, dave, erin)


def test_a_group_asks_for_what_its_members_have_to_know() -> None:
    alice, bob = together(b"alice", b"bob")
    wanted = extension_of(
        ExtensionType.REQUIRED_CAPABILITIES, RequiredCapabilities((0xF001,), (0x000A,), (1,))
    )
    commit(alice, bob, plan=CommitPlan(extensions=(wanted,)))
    plain = Person(b"plain")
    plain.identity = Identity(
        plain.identity.credential, plain.identity.signature_key, Capabilities((1,), (3,), (), (), (1,))
    )
    with pytest.raises(ValidationError) as refused:
        alice.group.stage_commit(CommitPlan(add=packages(plain.key_package()), now=NOW))
    assert (refused.value.rule, refused.value.clause) == ("required-capabilities", "7.3")


def test_a_group_goes_on_in_another_suite_and_branches() -> None:
    """The first suites are those for which keys were made; 1 and 3 sign alike."""
    alice, bob = together(b"alice", b"bob")
    commit(alice, bob, plan=CommitPlan(reinit=ReInit(b"tea again", 1, 1)))
    assert not alice.group.active
    moved = reinitialise(alice.group, packages(bob.key_package(1)))
    moved.group.merge(moved.staged)
    welcome, old = moved.staged.welcome, bob.group
    assert welcome is not None
    bundle = KeyPackageBundle.from_bytes(bob.kept)
    bob.group = Group.join(welcome, bundle, bob.identity, tree=moved.group.tree_bytes(), origin=old).group
    alice.group = moved.group
    agree(alice, bob)
    aside = branch(alice.group, packages(bob.key_package(1)), group_id=b"aside")
    aside.group.merge(aside.staged)
    assert aside.staged.welcome is not None
    bundle = KeyPackageBundle.from_bytes(bob.kept)
    tree = aside.group.tree_bytes()
    there = Group.join(aside.staged.welcome, bundle, bob.identity, tree=tree, origin=bob.group).group
    assert there.epoch_authenticator == aside.group.epoch_authenticator


def test_a_server_follows_without_a_secret() -> None:
    alice, bob = together(b"alice", b"bob")
    info = decode_message(alice.group.group_info())
    assert isinstance(info, GroupInfo)
    suite = SUITES[info.group_context.cipher_suite]
    server = PublicGroup.from_group_info(info, RatchetTree.from_bytes(suite, alice.group.tree_bytes()))
    proposal = bob.group.propose_update()
    for person in (alice, bob):
        person.take(proposal)
    staged = commit(alice, bob, plan=CommitPlan())
    verified = server.verify_commit(staged.message, [server.verify_proposal(proposal)])
    server.check_group_info(staged.group_info, verified)
    server = PublicGroup.from_bytes(server.apply(verified).to_bytes())
    assert server == bob.group.public
    with pytest.raises(StaleEpoch):
        server.verify_commit(staged.message, [])
