"""Rules about leaves (rules.md B): each takes a scene and answers with what is wrong, or None."""

from collections import Counter
from typing import Final

from securechat.membership.identity import (
    MAX_LEAVES_PER_USER,
    ClientCredential,
    leaf_refusal,
    succession_problem,
)
from securechat.membership.scene import Scene
from securechat.mls.proposals import ExternalInit, Remove, SelfRemove
from securechat.names import NameRefused, parse_user_uri

MAX_ADDS: Final = 256
"""Per commit: its Welcome is 40 kB of HPKE, 0.34 MB in the hybrid suite."""


def at(user: str) -> str:
    """Return a user's URI as people write it."""
    try:
        return f"@{parse_user_uri(user).name}"
    except NameRefused:
        return user


def leaves_are_valid(scene: Scene) -> str | None:
    """A leaf that enters or replaces is valid by itself: certificate, domain, suite, lifetime (D-03)."""
    domain, suite = scene.old_room.domain, scene.facts.old_context.cipher_suite
    for entrance in scene.entrances:
        refusal = leaf_refusal(
            entrance.leaf, domain=domain, suite=suite, from_key_package=entrance.from_key_package
        )
        if refusal is not None:
            return f"A device of {at(entrance.user)}: {refusal}"
    return None


def clients_are_unique(scene: Scene) -> str | None:
    """A client has one leaf."""
    if all(entrance.replaces is not None for entrance in scene.entrances):
        return None  # successors keep their client's name
    return repeated_client(tuple(scene.after.members.values()))


def leaves_are_few(scene: Scene) -> str | None:
    """A user has at most ten leaves."""
    for entrance in scene.entrances:
        if len(scene.beside(entrance)) > MAX_LEAVES_PER_USER:
            return f"{at(entrance.user)} would have more than {MAX_LEAVES_PER_USER} devices."
    return None


def accounts_are_one(scene: Scene) -> str | None:
    """What enters carries the newest account key of its user, and no lower generation than the others.

    A reset is the exception: somebody else adds the user anew after all the old leaves went.
    """
    for entrance in scene.entrances:
        others = scene.beside(entrance)
        if scene.direct or entrance.by == entrance.user:
            others += scene.ahead(entrance)
        problem = newest_problem(entrance.credential, others)
        if problem is not None:
            return problem
    return None


def successors_follow(scene: Scene) -> str | None:
    """What replaces a leaf is of the same user, client and account (Update, path, resync)."""
    for entrance in scene.entrances:
        if entrance.replaces is not None:
            problem = succession_problem(entrance.replaces, entrance.credential)
            if problem is not None:
                return problem
    return None


def joiner_is_known(scene: Scene) -> str | None:
    """By external commit comes only a client of a user who has a leaf."""
    if scene.facts.external and not scene.before.of_user(scene.committer.user_uri):
        return f"{at(scene.committer.user_uri)} has no device here that could vouch for another."
    return None


def joiner_changes_little(scene: Scene) -> str | None:
    """An external commit holds ExternalInit, a Remove of the same client, SelfRemoves, nothing else."""
    if not scene.facts.external:
        return None
    for proposal in scene.facts.proposals:
        if not isinstance(proposal.proposal, ExternalInit | Remove | SelfRemove):
            return "Who joins from outside may change nothing else."
    if any(gone.credential.client != scene.committer.client for gone in scene.departures):
        return "Who joins from outside may only remove its own old leaf."
    return None


def joiner_lets_go(scene: Scene) -> str | None:
    """An external commit takes in every SelfRemove that is waiting."""
    if not scene.facts.external:
        return None
    gone = {removed.leaf_index for removed in scene.facts.removed}
    waiting = {p.sender for p in scene.pending if isinstance(p.proposal, SelfRemove)}
    return None if waiting <= gone else "Who joins from outside must let go those who are leaving."


def adds_are_few(scene: Scene) -> str | None:
    """A commit adds at most 256 clients."""
    return f"A commit adds at most {MAX_ADDS} devices." if len(scene.facts.added) > MAX_ADDS else None


def repeated_client(credentials: tuple[ClientCredential, ...]) -> str | None:
    """Return a sentence if a client has two leaves."""
    counted = Counter(credential.client for credential in credentials)
    return "A device would be in the group twice." if any(n > 1 for n in counted.values()) else None


def newest_problem(new: ClientCredential, others: tuple[ClientCredential, ...]) -> str | None:
    """Return why ``new`` may not stand beside the user's other leaves; None if it may."""
    for other in others:
        if not new.descends_from(other.account_key):
            return f"A device of {at(new.user_uri)} does not carry the newest account key."
        if new.generation < other.generation:
            return f"A device of {at(new.user_uri)} has a certificate that was replaced."
    return None


def account_problem(credentials: tuple[ClientCredential, ...]) -> str | None:
    """Return why these cannot be the leaves of one user: too many, or not of one chain of account keys."""
    if len(credentials) > MAX_LEAVES_PER_USER:
        return f"{at(credentials[0].user_uri)} has more than {MAX_LEAVES_PER_USER} devices."
    keys = {credential.account_key for credential in credentials}
    if any(all(one.descends_from(key) for key in keys) for one in credentials):
        return None
    return f"The devices of {at(credentials[0].user_uri)} are not of one account."
