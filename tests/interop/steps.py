"""What can happen in a script; each step returns whether it could be done at this moment."""

from collections.abc import Callable, Sequence
from typing import Final

from securechat.mls.cipher_suite import PRIVATE_HYBRID_NUMBER, SUITES, CipherSuite
from securechat.mls.extensions import (
    Extension,
    Extensions,
    ExtensionType,
    RequiredCapabilities,
    extension_of,
)
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import (
    Add,
    GroupContextExtensions,
    PreSharedKeyProposal,
    ProposalValue,
    ReInit,
    Remove,
    Update,
)
from securechat.mls.psk import ExternalPsk, PreSharedKeyID, ResumptionPsk, ResumptionPSKUsage
from tests.interop import quirks
from tests.interop.agreement import Disagreement, check_agreement
from tests.interop.members import PRIVATE_EXTENSION, Continued, Member, Offer, Ours, Theirs
from tests.interop.world import Pending, World, check_places

MAX_MEMBERS: Final = 8
NEWER: Final = {"1": (), "2": (PRIVATE_HYBRID_NUMBER,)}
"""The hybrid suite has its number in 2.x only."""
BURST: Final = 5


def speak(world: World) -> bool:
    """Some say something; everybody hears it, each in an order of its own."""
    # ts-mls does not speak while proposals wait.
    able = [member for member in world.members if member.ours or not world.pending]
    said = []
    for _ in range(world.rng.randint(1, BURST)):
        speaker = world.rng.choice(able)
        text = world.rng.randbytes(world.rng.choice((0, 1, 30, 300, 5000)))
        said.append((speaker, text, speaker.say(text, world.rng.randbytes(world.rng.choice((0, 8))))))
    hear(world, said)
    return True


def hear(world: World, said: Sequence[tuple[Member, bytes, bytes]]) -> None:
    for member in world.members:
        for speaker, text, message in world.rng.sample(said, len(said)):
            if speaker is member:
                continue
            heard = member.receive(message)
            if heard != text:
                raise Disagreement(f"{member.name} did not hear what {speaker.name} said")
            world.counts[f"messages from {kind(speaker)} read by {kind(member)}"] += 1
    world.tell(f"{len(said)} messages")


def propose(world: World) -> bool:
    """Somebody proposes something that goes with what waits."""
    proposer = world.rng.choice(world.members)
    private = world.rng.random() < 0.5
    if world.rng.random() < 0.3:
        leaf = world.leaves[proposer.name]
        if leaf in spoken_for(world, ()):
            return False
        message = proposer.propose_update(private=private)
        examined = world.witness.proposal_in(message)
        world.hand_round(message, proposer)
        world.pending.append(Pending(examined, proposer, leaf))
    else:
        value = draw(world, (), proposer)
        if value is None or quirks.resumes(value):
            return False
        world.hand_round(proposer.propose(value, private=private), proposer)
        leaf_about = value.removed if isinstance(value, Remove) else None
        world.pending.append(Pending(value, proposer, leaf_about))
    how = " in private" if private and not proposer.ours else ""
    world.counts[f"proposals by {kind(proposer)}{how}"] += 1
    world.tell(f"{proposer.name} proposes {type(world.pending[-1].value).__name__}")
    return True


def commit(world: World) -> bool:
    """Somebody commits what waits, and more; sometimes another one was about to."""
    committer = world.rng.choice(world.members)
    values: list[ProposalValue] = []
    for _ in range(world.rng.choice((0, 0, 1, 1, 2, 3))):
        value = draw(world, values, committer)
        if value is not None:
            values.append(value)
    if not may_commit(world, committer, values):
        return False
    rival = world.rng.choice(world.members)
    if rival is not committer and world.rng.random() < 0.2 and may_commit(world, rival, ()):
        rival.stage([], private=False, tree_inside=False)
        rival.drop()
        world.counts["races lost"] += 1
    private = not committer.ours and world.rng.random() < 0.5
    return world.commit(committer, values, private=private)


def may_commit(world: World, committer: Member, values: Sequence[ProposalValue]) -> bool:
    leaf = world.leaves[committer.name]
    if any(each.leaf == leaf and isinstance(each.value, Remove) for each in world.pending):
        return False
    if isinstance(committer, Ours):
        return True
    if any(each.proposer is committer and isinstance(each.value, Update) for each in world.pending):
        return False
    every = [*(each.value for each in world.pending), *values]
    return quirks.commits_soundly(world.peer.major, every)


def draw(world: World, values: Sequence[ProposalValue], proposer: Member) -> ProposalValue | None:
    """Return a proposal that goes with what waits and with ``values``, or None."""
    make = world.rng.choice((_add, _add, _remove, _remove, _psk, _extensions, _resumption))
    return make(world, values, proposer)


def _add(world: World, values: Sequence[ProposalValue], _proposer: Member) -> ProposalValue | None:
    coming = [each for each in every(world, values) if isinstance(each, Add)]
    if len(world.remaining(values)) + len(coming) >= MAX_MEMBERS:
        return None
    if any(quirks.resumes(each) for each in every(world, values)):
        return None
    return world.invite(ours=world.rng.random() < 0.5)


def _remove(world: World, values: Sequence[ProposalValue], proposer: Member) -> ProposalValue | None:
    taken = spoken_for(world, values) | {world.leaves[proposer.name]}
    able = [leaf for leaf in world.leaves.values() if leaf not in taken]
    if not able:
        return None
    value = Remove(world.rng.choice(able))
    left = world.remaining([*values, value])
    return value if {member.ours for member in left} == {True, False} else None


def _psk(world: World, _values: Sequence[ProposalValue], _proposer: Member) -> ProposalValue:
    return PreSharedKeyProposal(PreSharedKeyID(new_psk(world), world.rng.randbytes(world.suite.hash_length)))


def new_psk(world: World) -> ExternalPsk:
    """Give everybody a new key."""
    name, secret = ExternalPsk(world.rng.randbytes(12)), world.rng.randbytes(32)
    world.psks[name] = secret
    world.peer.ask("psk", id=name.psk_id, secret=secret)
    return name


def _resumption(world: World, values: Sequence[ProposalValue], _proposer: Member) -> ProposalValue | None:
    epoch = world.epoch - world.rng.randint(0, 2)
    known = all(since <= epoch for name, since in world.since.items() if name in world.leaves)
    alone = not any(isinstance(each, Add) or quirks.resumes(each) for each in every(world, values))
    if not known or not alone:
        return None
    group_id = world.witness.group.group_id
    name = ResumptionPsk(ResumptionPSKUsage.APPLICATION, group_id, epoch)
    return PreSharedKeyProposal(PreSharedKeyID(name, world.rng.randbytes(world.suite.hash_length)))


def _extensions(world: World, values: Sequence[ProposalValue], _proposer: Member) -> ProposalValue | None:
    if any(isinstance(each, GroupContextExtensions) for each in every(world, values)):
        return None
    required = RequiredCapabilities((PRIVATE_EXTENSION,), (), (1,))
    asked = (extension_of(ExtensionType.REQUIRED_CAPABILITIES, required),)
    return GroupContextExtensions((*private_extension(world), *(asked if world.rng.random() < 0.5 else ())))


def private_extension(world: World) -> Extensions:
    return (Extension(PRIVATE_EXTENSION, world.rng.randbytes(9)),)


def every(world: World, values: Sequence[ProposalValue]) -> list[ProposalValue]:
    return [*(each.value for each in world.pending), *values]


def spoken_for(world: World, values: Sequence[ProposalValue]) -> set[LeafIndex]:
    """Return the leaves that something that waits, or ``values``, renews or removes."""
    waiting = {each.leaf for each in world.pending if each.leaf is not None}
    return waiting | {each.removed for each in values if isinstance(each, Remove)}


def ask_to_be_added(world: World) -> bool:
    """Somebody proposes from outside to be added."""
    if len(world.remaining(())) + sum(isinstance(each.value, Add) for each in world.pending) >= MAX_MEMBERS:
        return False
    member = world.newcomer(ours=world.rng.random() < 0.5)
    add = world.expect(member)
    info = world.rng.choice(world.members).group_info(tree_inside=False)
    message = member.ask_to_be_added(info)
    world.hand_round(message, None)
    world.pending.append(Pending(add, None, None))
    world.counts[f"proposals from outside by {kind(member)}"] += 1
    world.tell(f"{member.name} asks to be added")
    return True


def join_externally(world: World) -> bool:
    """Somebody new joins without being asked."""
    if len(world.members) >= MAX_MEMBERS:
        return False
    member = world.newcomer(ours=world.rng.random() < 0.5)
    return _external_commit(world, member, None)


def resync(world: World) -> bool:
    """A member comes in again from outside and takes its old leaf away."""
    old = world.rng.choice(world.members)
    if len(world.members) < 2 or (old.ours and len(world.ours()) == 1):
        return False
    return _external_commit(world, old.successor(old.name, world.suite), old)


def _external_commit(world: World, member: Member, old: Member | None) -> bool:
    if not member.ours and not quirks.reads_tree(world.tree):
        return False
    tree_inside = world.rng.random() < 0.5
    host = world.rng.choice([each for each in world.members if each is not old])
    info = host.group_info(tree_inside=tree_inside)
    tree = None if tree_inside else world.tree.to_bytes()
    if isinstance(member, Ours) and world.rng.random() < 0.4:
        name = new_psk(world)
        message = member.join_externally(info, tree, old, psks={name: world.psks[name]})
    else:
        message = member.join_externally(info, tree, old)
    witness = next(each for each in world.ours() if each is not old)
    facts = witness.look(message)
    if old is not None:
        world.members.remove(old)
        del world.leaves[old.name]
    world.settle(member, message, facts)
    member.merge()
    world.enter(member, facts.new_context.epoch)
    world.agree()
    world.counts[f"external commits by {kind(member)}{', resync' if old else ''}"] += 1
    world.tell(f"{member.name} joins externally")
    return True


def restart(world: World) -> bool:
    """One of ours is stored and read again."""
    world.rng.choice(world.ours()).restart()
    world.counts["restarts"] += 1
    return True


def reinit(world: World) -> bool:
    """The group ends and goes on under another id, perhaps with another suite."""
    if world.pending:
        return False
    suite = world.rng.choice(sibling_suites(world))
    value = ReInit(world.rng.randbytes(10), 1, suite.number, private_extension(world))
    committer = world.rng.choice(world.members)
    private = not committer.ours and world.rng.random() < 0.5
    if world.rng.random() < 0.5:
        proposer = world.rng.choice(world.members)
        world.hand_round(proposer.propose(value, private=False), proposer)
        world.pending.append(Pending(value, proposer, None))
        world.commit(committer, [], private=private)
    else:
        world.commit(committer, [value], private=private)
    if any(member.active() for member in world.members):
        raise Disagreement("a member goes on in a group that was reinitialised")
    what = Continued(ResumptionPSKUsage.REINIT, value.group_id, suite, value.extensions)
    fresh = _continue(world, world.members, what)
    _forget(world.members)
    world.suite = suite
    world.members, world.leaves, world.since = [], {}, {}
    for member in fresh:
        world.enter(member, 1)
    world.agree()
    world.counts[f"reinits by {kind(fresh[0])} to suite {suite.number:#06x}"] += 1
    world.tell(f"{fresh[0].name} begins the group anew")
    return True


def sibling_suites(world: World) -> list[CipherSuite]:
    """Return the suites that a group of this one may be reinitialised to."""
    return [SUITES[number] for number in sorted({1, 3, world.first_suite, *NEWER[world.peer.major]})]


def branch(world: World) -> bool:
    """Some of the members open a group beside this one."""
    some = world.rng.sample(world.members, world.rng.randint(2, len(world.members)))
    what = Continued(ResumptionPSKUsage.BRANCH, world.rng.randbytes(10), world.suite, world.extensions)
    fresh = _continue(world, some, what)
    side = World(world.peer, world.suite, world.rng, counts=world.counts, tale=world.tale)
    for member in fresh:
        side.enter(member, 1)
    check_agreement({member.name: member.view() for member in fresh})
    if side.ours():
        check_places(side.tree, side.leaves)
    speak(side)
    _forget(fresh)
    world.counts[f"branches by {kind(fresh[0])}"] += 1
    return True


def _continue(world: World, old: Sequence[Member], what: Continued) -> list[Member]:
    """Return the members of the group that continues this one, who began it first."""
    creator, *others = world.rng.sample(list(old), len(old))
    world.names += 1
    fresh = [
        each.successor(f"{each.name.partition('/')[0]}/{world.names}", what.suite)
        for each in (creator, *others)
    ]
    packages = [each.key_package() for each in fresh[1:]]
    offer: Offer = creator.continue_as(fresh[0], packages, what)
    assert offer.welcome is not None
    for member, origin in zip(fresh[1:], others, strict=True):
        member.join(offer.welcome, offer.tree, origin)
    return fresh


def _forget(members: Sequence[Member]) -> None:
    for member in members:
        if isinstance(member, Theirs):
            member.forget()


def kind(member: Member) -> str:
    return "ours" if member.ours else "theirs"


STEPS: Final[dict[Callable[[World], bool], int]] = {
    speak: 20,
    propose: 30,
    commit: 40,
    ask_to_be_added: 4,
    join_externally: 6,
    resync: 4,
    restart: 5,
    reinit: 3,
    branch: 4,
}
"""Every step and how often it is tried."""
