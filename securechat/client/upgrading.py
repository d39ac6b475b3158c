"""Going on in a better cipher suite (RFC 9420 section 11.2): close the group, then make the next one.

One intent in two halves. Everything that could stop the second is looked at before the first, for a closed
group cannot be opened again: rights, certificates, keys of every device. Whoever may close a group may
also make the next one of a group that somebody else has closed and then left so.
"""

import secrets

from securechat.client import history, intents, rooms, successors
from securechat.client.change import Change
from securechat.client.device import Device
from securechat.client.errors import CannotUpgrade, KeysMissing
from securechat.client.intents import Intent, Step, What
from securechat.client.outbox import Purpose, parcel
from securechat.client.people import client_identity, client_of, credential_of, leaves_of, user_of
from securechat.client.planner import (
    AlreadySo,
    Hopeless,
    Planner,
    judged,
    packages_of,
    stage,
)
from securechat.client.records import ConversationRecord
from securechat.client.suites import first_claim
from securechat.membership.judge import judge_creation, judge_successor
from securechat.membership.reinit import (
    GROUP_ID_BYTES,
    Closed,
    first_without,
    may_reinit,
    most_to_go_on,
    suites_to_go_on_in,
)
from securechat.membership.room import room_of
from securechat.membership.roster import Roster
from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.codec import decode
from securechat.mls.continuing import reinitialise
from securechat.mls.errors import MLSError
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackage
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import ReInit
from securechat.mls.public_group import PublicGroup
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import CreateGroup

TIDY_WAIT = 1.0
"""Seconds until it is looked whether a commit that has to come before is there."""


def upgrade(planner: Planner, change: Change, record: ConversationRecord, intent: Intent) -> None:
    """Take the next step: ask for keys, close the group, or make the next one."""
    group = planner.member_group(change, record)
    suite = suite_to_go_on_in(record, group.public, planner.device.suites)
    if not record.closed and suite == group.suite.number:
        raise AlreadySo
    problem = problem_of(record, group.public, suite, planner.device)
    if problem is not None:
        raise Hopeless(problem)
    if not record.closed and _is_to_tidy(group, suite):
        # A ReInit comes alone: who wants to leave, a role left behind, and what our own leaf does not say
        # yet of our certificate are seen to before.
        intents.add_once(change.db, record.id, What.UPDATE)
        intents.wait(change.db, intent.id, until=planner.clock() + TIDY_WAIT)
        return
    if record.closed and history.in_flight(change.db, record.id):
        intents.wait(change.db, intent.id, until=planner.clock() + TIDY_WAIT)  # until all is answered
        return
    lacking = first_lacking(group.public, packages_of(intent), suite, own=planner.device.client)
    if lacking is not None:
        claim = first_claim(lacking[0], planner.device.suites, suite)
        planner.ask_for(change, record, intent, claim)
    elif record.closed:
        _make_next(planner, change, record, intent, group)
    else:
        _close(planner, change, record, intent, group, suite)


def suite_to_go_on_in(record: ConversationRecord, public: PublicGroup, own: tuple[int, ...]) -> int:
    """Return what a closed group announced, else the best suite that we have and that is no weaker."""
    if record.closed:
        return decode(ReInit, record.successor).cipher_suite
    better = suites_to_go_on_in(public.context.cipher_suite)
    return next((suite for suite in better if suite in own), public.context.cipher_suite)


def _is_to_tidy(group: Group, suite: int) -> bool:
    own = credential_of(group.public.tree.member(group.own_leaf))
    stale = rooms.extensions_without(group.public, frozenset()) is not None
    return bool(group.pending) or stale or suite not in own.suites


def problem_of(
    record: ConversationRecord, public: PublicGroup, suite: int, device: Device
) -> CannotUpgrade | None:
    """Return why this device can't have a conversation go on in a suite, as far as is seen here.

    What the device itself has to see to before (`_is_to_tidy`) is no reason.
    """
    name, room, members = record.name, room_of(public.context), Roster.of_tree(public.tree)
    if not may_reinit(room, device.user_uri, members.users):
        return CannotUpgrade(f"only an owner of {name} may move it to another cipher suite")
    if record.closed:
        return None
    others = Roster({leaf: each for leaf, each in members.members.items() if each.client_id != device.client})
    lacking = first_without(suite, others)
    if lacking is not None:
        whose = f"{lacking.user_name}'s device {lacking.client_id[:8]}"
        return CannotUpgrade(
            f"{name} stays in {cipher_suite(public.context.cipher_suite).name}: {whose} is not certified for "
            f"{cipher_suite(suite).name} there; it will be when an up-to-date securechat was opened on it"
        )
    if len(members.members) > most_to_go_on(room):
        return CannotUpgrade(f"{name} stays as it is: it has more devices than can go over at once")
    return None


def first_lacking(
    public: PublicGroup, packages: tuple[KeyPackage, ...], suite: int, *, own: str
) -> tuple[str, str] | None:
    """Return the first user and device in a group without a key package of the suite among these."""
    there = {client_of(each.leaf_node) for each in packages if each.cipher_suite == suite}
    for _, leaf in public.tree.leaves():
        if client_of(leaf) not in there and client_of(leaf) != own:
            return user_of(leaf), client_of(leaf)
    return None


def check_brought(
    public: PublicGroup, packages: tuple[KeyPackage, ...], user: str, suite: int, *, own: str
) -> None:
    """See that a claim brought keys for all of a user's devices in the group.

    :raises KeysMissing: of one the server has none
    """
    there = {client_of(each.leaf_node) for each in packages if each.cipher_suite == suite}
    for client in (client_of(public.tree.member(index)) for index in leaves_of(public.tree, user)):
        if client not in there and client != own:
            raise KeysMissing(user, client, cipher_suite(suite).name)


def _close(
    planner: Planner,
    change: Change,
    record: ConversationRecord,
    intent: Intent,
    group: Group,
    suite: int,
) -> None:
    plan = CommitPlan(reinit=_announcement(group.public, suite), force_path=True)
    planner.send_commit(change, record, intent, stage(group, plan), epoch=group.epoch, external=False)


def _announcement(public: PublicGroup, suite: int) -> ReInit:
    context = public.context
    return ReInit(secrets.token_bytes(GROUP_ID_BYTES), context.version, suite, context.extensions)


def _make_next(
    planner: Planner, change: Change, record: ConversationRecord, intent: Intent, old: Group
) -> None:
    """Make the group that was announced, everybody in it; it is kept before it is sent."""
    try:
        begun = reinitialise(old, _needed(planner, old.public, intent), client_of=client_identity)
    except MLSError as error:
        raise Hopeless(CannotUpgrade(f"{record.name} cannot go on: {error}")) from error
    new, first = begun.group, judged(begun.staged)
    if first.welcome is None:
        raise Hopeless(CannotUpgrade(f"nobody but this device is in {record.name}"))
    closed = Closed(old.public, decode(ReInit, record.successor))
    refused = judge_creation(new.public, goes_on=True) or judge_successor(
        closed, first.verified.following, LeafIndex(0)
    )
    if refused is not None:
        raise Hopeless(CannotUpgrade(f"{record.name} cannot go on: {refused.text}"))
    info, tree = parcel(new.group_info()), parcel(new.tree_bytes())
    message, next_info, welcome = parcel(first.message), parcel(first.group_info), parcel(first.welcome)
    body = CreateGroup(
        new.group_id,
        info.carried,
        tree.carried,
        message.carried,
        next_info.carried,
        welcome.carried,
        old.group_id,
    )
    new.merge(first)
    successors.keep_group(change, record.id, new)
    parcels = (info, tree, message, next_info, welcome)
    planner.outbox.put(change, Purpose.SUCCEED, body, conversation=record.id, ref=intent.id, parcels=parcels)
    intents.step_to(change.db, intent.id, Step.SENT)


def _needed(planner: Planner, public: PublicGroup, intent: Intent) -> tuple[KeyPackage, ...]:
    """Return one key package for each other device of the group, the last that was claimed."""
    members = {client_of(leaf) for _, leaf in public.tree.leaves()} - {planner.device.client}
    found = {client_of(each.leaf_node): each for each in packages_of(intent)}
    return tuple(found[client] for client in sorted(members & found.keys()))
