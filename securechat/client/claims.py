"""Key packages that a directory handed out: looked at before anything is encrypted to them (D-03).

A claim's answer is stored first, and judged only when the newest statement of its user is here, asked for
after the claim was answered. So no device comes in that its account does not list, or lists no more.
"""

from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct

from securechat.client import intents, key_log, statements
from securechat.client.account_news import is_behind
from securechat.client.change import Change
from securechat.client.contacts import meet_all
from securechat.client.device import Clock, Device
from securechat.client.errors import (
    ClientError,
    GhostDevice,
    IdentityChanged,
    KeysMissing,
    SuiteForbidden,
    UntrustedKeys,
)
from securechat.client.events import Notice
from securechat.client.groups import Groups
from securechat.client.holds import hold
from securechat.client.intents import Intent, Step, What
from securechat.client.people import credential_of
from securechat.client.planner import Planner, packages_of
from securechat.client.records import ConversationRecord
from securechat.client.suites import next_claim
from securechat.client.upgrading import check_brought, suite_to_go_on_in
from securechat.membership.devices import offer_refusal
from securechat.membership.identity import key_package_refusal
from securechat.mls.codec import decode, encode
from securechat.mls.errors import MLSError
from securechat.mls.key_package import KeyPackage
from securechat.protocol.messages import ClaimKeyPackages

NO_PACKAGES_WAIT: Final = 5.0
"""Seconds until the next attempt when a user has left no key package at the server."""

NEWCOMER_WAITS: Final = (4.0, 26.0)
"""Seconds until the next attempt where the last device of a user has to go and the new ones have left no keys
yet: an account that is being brought back does so in a moment. Without them it goes all the same, within a
minute of the revocation (D-02). Few: a server hands keys of one user to another six times at once."""

OLD_AGAIN: Final = 1
"""How often keys with a certificate of before are asked for anew: they may have been claimed just before."""


class Brought(Struct, frozen=True):
    """What a claim brought, as the intent keeps it; ``before`` is what earlier claims of it did."""

    asked: ClaimKeyPackages
    packages: list[bytes]
    before: list[bytes] = []


class OldCertificate(UntrustedKeys):
    """A device's certificate is not of its account's present generation."""


def go_without(change: Change, intent: Intent) -> None:
    """Go on with a removal: nobody comes in the place of who has to go."""
    intents.step_to(change.db, intent.id, Step.CLAIMED, packages=msgspec.msgpack.encode([]))


@dataclass(slots=True)
class Claims:
    device: Device
    groups: Groups
    planner: Planner
    clock: Clock

    def brought(
        self,
        change: Change,
        record: ConversationRecord,
        intent: Intent,
        asked: ClaimKeyPackages,
        packages: list[bytes],
    ) -> None:
        """Keep what a claim brought, to be judged by the newest statement of its user."""
        if not packages and intent.what is not What.UPGRADE:
            self.nothing(change, intent)
            return
        # An upgrade asks for one user after the other, everybody else once.
        before = packages_of(intent) if intent.what is What.UPGRADE else ()
        kept = Brought(asked, packages, [encode(each) for each in before])
        intents.step_to(change.db, intent.id, Step.BROUGHT, packages=msgspec.msgpack.encode(kept))
        change.wake(record.id)

    def whose(self, intent: Intent) -> str:
        """Return the user whose keys were brought for an intent."""
        return msgspec.msgpack.decode(intent.packages, type=Brought).asked.user

    def nothing(self, change: Change, intent: Intent) -> None:
        """Look again later; a removal goes on without, once who comes instead had the time for it."""
        now = self.clock()
        change.wake(intent.conversation)
        if intent.what is What.REVOKE and intent.attempts < len(NEWCOMER_WAITS):
            intents.put_off(change.db, intent.id, until=now + NEWCOMER_WAITS[intent.attempts])
        elif intent.what is What.REVOKE:
            go_without(change, intent)
        elif intent.what is What.OWN:
            intents.put_off_longer(change.db, intent, now=now)
        else:
            intents.wait(change.db, intent.id, until=now + NO_PACKAGES_WAIT)

    def judge(self, change: Change, record: ConversationRecord, intent: Intent) -> None:
        """Look at what was brought: it is good, or asked for anew, or refused and the intent with it."""
        kept = msgspec.msgpack.decode(intent.packages, type=Brought)
        public = self.groups.public(change.db, record.id)
        of_group = public.context.cipher_suite if public is not None else None
        upgrades = public is not None and intent.what is What.UPGRADE
        if public is not None and upgrades:
            of_group = suite_to_go_on_in(record, public, self.device.suites)
        try:
            judged = self.judge_packages(change, kept.asked, kept.packages)
            self._ask_the_log(change, intent, kept.asked.user, judged)
            again = next_claim(kept.asked, judged, self.device.suites, of_group) if judged else None
            if public is not None and of_group is not None and upgrades and again is None:
                check_brought(public, judged, kept.asked.user, of_group, own=self.device.client)
        except OldCertificate as error:
            if intent.attempts < OLD_AGAIN:
                intents.put_off(change.db, intent.id, until=0)
                change.wake(record.id)
            elif intent.what is What.REVOKE:
                self.nothing(change, intent)  # its new certificate is on its way
            else:
                self._refuse(change, record, intent, error)
        except (IdentityChanged, UntrustedKeys, SuiteForbidden, KeysMissing) as error:
            self._refuse(change, record, intent, error)
        else:
            if again is not None:
                self.planner.ask_for(change, record, intent, again)
                intents.step_to(change.db, intent.id, Step.CLAIMING, packages=_encoded(kept.before))
                return
            packages = _encoded([*kept.before, *kept.packages])
            intents.step_to(change.db, intent.id, Step.CLAIMED, packages=packages)
            change.wake(record.id)

    def _refuse(self, change: Change, record: ConversationRecord, intent: Intent, error: ClientError) -> None:
        if intent.what is What.OPEN:
            record = hold(change, record, code_of(error), who=intent.subject, why=str(error))
        else:
            change.tell(Notice(code_of(error), str(error)))
        if intent.what is What.REVOKE:
            go_without(change, intent)  # who has to go goes all the same
            change.wake(record.id)
        else:
            self.planner.give_up(change, record, intent, error)

    def _ask_the_log(
        self, change: Change, intent: Intent, user: str, packages: tuple[KeyPackage, ...]
    ) -> None:
        """See that the server's log of keys has said the same of somebody else who comes in."""
        if intent.what in (What.OPEN, What.ADD) and user != self.device.user:
            keys = [credential_of(each.leaf_node).account_key for each in packages]
            key_log.check_offered(change.db, user, keys)

    def judge_packages(
        self, change: Change, asked: ClaimKeyPackages, packages: list[bytes]
    ) -> tuple[KeyPackage, ...]:
        """Check each leaf before anything is encrypted to it (D-03); one bad leaf refuses them all.

        :raises UntrustedKeys, IdentityChanged: one is bad
        """
        user, now = asked.user, int(self.clock())
        judged = [self._judged(asked, data, now) for data in packages]
        credentials = [credential_of(package.leaf_node) for package in judged]
        if any(each.user_name != user for each in credentials):
            raise UntrustedKeys(f"the server offered somebody else's device as one of {user}")
        if len({each.account_key for each in credentials}) > 1:
            raise UntrustedKeys(f"the server offered devices of {user} with different account keys")
        if asked.clients and not {each.client_id for each in credentials} <= set(asked.clients):
            # Taken, they would be in the group already, and asked for again as fast as the line goes.
            raise UntrustedKeys(f"the server offered devices of {user} that nobody asked for")
        if len({each.client_id for each in credentials}) < len(credentials):
            # No commit can add a device twice: it would be tried again and again, and nobody told.
            raise UntrustedKeys(f"the server offered a device of {user} twice")
        own = user == self.device.user
        if not own and meet_all(change.db, credentials, now=now):
            raise IdentityChanged(user)
        self._compare(change, user, judged)
        return tuple(judged)

    def _judged(self, asked: ClaimKeyPackages, data: bytes, now: int) -> KeyPackage:
        user = asked.user
        try:
            package = decode(KeyPackage, data)
        except MLSError as problem:
            raise UntrustedKeys(f"a key package of {user} does not decode: {problem}") from problem
        if package.cipher_suite not in (asked.suite, *asked.otherwise):
            raise UntrustedKeys(f"the server offered keys of {user} in a cipher suite nobody asked for")
        refused = key_package_refusal(package, domain=self.device.domain, suite=package.cipher_suite, now=now)
        if refused is not None:
            raise UntrustedKeys(f"the server offered a device of {user} that is not theirs: {refused}")
        return package

    def _compare(self, change: Change, user: str, packages: list[KeyPackage]) -> None:
        """See that the account lists each device, in its newest statement (rules.md B)."""
        statement = statements.newest(change.db, user)
        if is_behind(change.db, user):
            raise UntrustedKeys(f"the server does not show the newest list of devices of {user}")
        if statement is None:
            raise UntrustedKeys(f"the server does not show what devices {user} has")
        for package in packages:
            credential = credential_of(package.leaf_node)
            refused = offer_refusal(package.leaf_node, statement)
            if refused is None:
                continue
            text = (
                f"the server offered {user}'s device {credential.client_id[:8]}, which is refused: {refused}"
            )
            old = any(device.client == credential.client for device in statement.devices)
            raise OldCertificate(text) if old else GhostDevice(text)


def code_of(error: ClientError) -> str:
    """Return the code by which a refusal of keys is held and explained."""
    return str(getattr(error, "code", UntrustedKeys.code))


def _encoded(packages: list[bytes]) -> bytes:
    return msgspec.msgpack.encode(packages) if packages else b""
