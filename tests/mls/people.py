"""Members for tests: alice, bob and others, with real groups and real messages."""

from collections.abc import Iterable, Sequence

from securechat.mls.cipher_suite import SUITE_3, CipherSuite
from securechat.mls.credential import BasicCredential
from securechat.mls.examining import ExaminedCommit, ExaminedProposal
from securechat.mls.extensions import Extensions
from securechat.mls.group import Group
from securechat.mls.key_package import Identity, KeyPackageBundle, make_key_package
from securechat.mls.nodes import Capabilities, Lifetime
from securechat.mls.processing import ReceivedCommit
from securechat.mls.proposals import ProposalType
from securechat.mls.psk import PskSource, no_psks
from securechat.mls.staging import CommitPlan, StagedCommit

LIFETIME = Lifetime(0, 2**40)
CAPABILITIES = Capabilities(
    versions=(1,),
    cipher_suites=(3,),
    extensions=(0x0006, 0xF001),
    proposals=(ProposalType.SELF_REMOVE,),
    credentials=(1,),
)


def identity(name: str, suite: CipherSuite = SUITE_3, capabilities: Capabilities = CAPABILITIES) -> Identity:
    return Identity(BasicCredential(name.encode()), suite.signature.generate(), capabilities)


def bundle_of(who: Identity, suite: CipherSuite = SUITE_3) -> KeyPackageBundle:
    return make_key_package(who, suite, lifetime=LIFETIME)


def group_of(
    *names: str, suite: CipherSuite = SUITE_3, extensions: Extensions = (), group_id: bytes = b"tea"
) -> list[Group]:
    """Return the groups of people with these names, all added by the first in one commit with a path."""
    people = [identity(name, suite) for name in names]
    first = Group.create(people[0], suite=suite, group_id=group_id, extensions=extensions)
    if len(people) == 1:
        return [first]
    return [first, *add(first, people[1:], suite=suite)]


def add(
    adder: Group, newcomers: Sequence[Identity], others: Iterable[Group] = (), suite: CipherSuite = SUITE_3
) -> list[Group]:
    """Let ``adder`` add people; return their groups. ``others`` follow."""
    bundles = [bundle_of(who, suite) for who in newcomers]
    plan = CommitPlan(add=tuple(bundle.key_package for bundle in bundles), force_path=True)
    staged = adder.stage_commit(plan)
    everybody_follows(staged, adder, others)
    assert staged.welcome is not None
    return [
        Group.join(staged.welcome, bundle, who, tree=adder.tree_bytes()).group
        for who, bundle in zip(newcomers, bundles, strict=True)
    ]


def everybody_follows(
    staged: StagedCommit, committer: Group, others: Iterable[Group], psks: PskSource = no_psks
) -> None:
    """Merge a commit at its committer and at all others; they must agree then."""
    committer.merge(staged)
    for other in others:
        other.merge(received(other, staged.message, psks))
        assert other.removed or other.epoch_authenticator == committer.epoch_authenticator


def received(group: Group, message: bytes, psks: PskSource = no_psks) -> ReceivedCommit:
    examined = group.examine(message)
    assert isinstance(examined, ExaminedCommit)
    return group.process(examined, psks=psks)


def accept(message: bytes, groups: Iterable[Group]) -> None:
    for group in groups:
        examined = group.examine(message)
        assert isinstance(examined, ExaminedProposal)
        group.accept(examined)


def restarted(group: Group) -> Group:
    """Return the group as it is after a restart: stored and read back."""
    return Group.from_bytes(group.epoch_bytes(), group.secrets_bytes(), group.identity)


def state_of(group: Group) -> tuple[bytes, bytes]:
    """Everything that a group keeps, to see that nothing changed."""
    return group.epoch_bytes(), group.secrets_bytes()


def hear_each_other(groups: Sequence[Group]) -> None:
    """Everybody says something and everybody else hears it."""
    for speaker in groups:
        message = speaker.encrypt(b"it is " + speaker.identity.signature_key.public)
        for listener in groups:
            if listener is not speaker:
                heard = listener.decrypt(message)
                assert heard.content == b"it is " + heard.sender_leaf.signature_key
                assert heard.sender == speaker.own_leaf
