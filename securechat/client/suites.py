"""In which cipher suite devices are added, and when they are not (rules.md B).

A certificate lists the suites of its device and is signed by the account. So a directory that hands
out only old key packages gets the conversation refused; it is not quietly made in the older suite.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from securechat.client.errors import SuiteForbidden, SuiteWithheld
from securechat.client.people import credential_of
from securechat.membership.identity import ClientCredential
from securechat.mls.cipher_suite import SUITE_3, SUITE_HYBRID, cipher_suite
from securechat.mls.key_package import KeyPackage
from securechat.protocol.messages import ClaimKeyPackages

KEY_EXCHANGE: Final = {SUITE_HYBRID.number: "X25519 with ML-KEM-768", SUITE_3.number: "X25519"}


def encryption(suite: int) -> str:
    """Return how new conversations are sealed in this suite, for people."""
    return f"MLS (RFC 9420), ChaCha20-Poly1305, {KEY_EXCHANGE[suite]}, Ed25519; over TLS 1.3"


def first_claim(user: str, own: tuple[int, ...], of_group: int | None) -> ClaimKeyPackages:
    """Ask for key packages of a group's suite, or of the best of a new group's.

    Of devices without any of it those of the others of our own suites are asked for: what they are is
    in their certificates.
    """
    suites = own if of_group is None else (of_group, *(suite for suite in own if suite != of_group))
    return ClaimKeyPackages(user, suites[0], list(suites[1:]))


def only(claim: ClaimKeyPackages, clients: Sequence[str]) -> ClaimKeyPackages:
    """Ask for keys of some devices of the user: those of the others stay where they are."""
    return msgspec.structs.replace(claim, clients=list(clients))


def next_claim(
    asked: ClaimKeyPackages, packages: Sequence[KeyPackage], own: tuple[int, ...], of_group: int | None
) -> ClaimKeyPackages | None:
    """Look at what a claim brought, each package valid by itself: None if it is all of one suite and good.

    Else the claim to make instead: not every device has the best suite, and some were given in it. That
    claim asks for one suite only, so there is no third.

    :param packages: one or more
    :raises SuiteForbidden: a device is not allowed the group's suite, or any that the others have
    :raises SuiteWithheld: a device is allowed a better suite than it was given in
    """
    devices = [(credential_of(package.leaf_node), package.cipher_suite) for package in packages]
    wanted = _best(own, [credential for credential, _ in devices]) if of_group is None else of_group
    for credential, given in devices:
        if wanted not in credential.suites:
            raise SuiteForbidden(asked.user, credential.client_id, cipher_suite(wanted).name)
        if given != wanted and wanted not in asked.otherwise:
            raise SuiteWithheld(asked.user, cipher_suite(wanted).name)
    if all(given == wanted for _, given in devices):
        return None
    return ClaimKeyPackages(asked.user, wanted, clients=asked.clients)


def _best(own: tuple[int, ...], devices: Sequence[ClientCredential]) -> int:
    """Return the first suite of ours that every certificate lists; the first at all if none is."""
    return next((suite for suite in own if all(suite in device.suites for device in devices)), own[0])
