"""Pre-shared keys (RFC 9420 section 8.4)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Final

from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.codec import Enum8, Opaque, Tagged, Uint16, Uint64, WireStruct, encode
from securechat.mls.errors import SecretError
from securechat.mls.randomness import random_bytes


class PSKType(Enum8):
    EXTERNAL = 1
    RESUMPTION = 2


class ResumptionPSKUsage(Enum8):
    """What a resumption key is for: reinit and branch only begin a group (sections 11.2, 11.3)."""

    APPLICATION = 1
    REINIT = 2
    BRANCH = 3


class ExternalPsk(WireStruct, frozen=True):
    """A key the application provides, by its name."""

    psk_id: Opaque


class ResumptionPsk(WireStruct, frozen=True):
    """The resumption secret of an epoch of a group."""

    usage: ResumptionPSKUsage
    psk_group_id: Opaque
    psk_epoch: Uint64


PskName = Annotated[
    ExternalPsk | ResumptionPsk,
    Tagged(PSKType, {PSKType.EXTERNAL: ExternalPsk, PSKType.RESUMPTION: ResumptionPsk}),
]


class PreSharedKeyID(WireStruct, frozen=True):
    psk: PskName
    psk_nonce: Opaque


class _PSKLabel(WireStruct, frozen=True):
    id: PreSharedKeyID
    index: Uint16
    count: Uint16


PskSource = Callable[[ExternalPsk | ResumptionPsk], bytes | None]
"""Where pre-shared keys come from: None for one that is not known."""


NO_KEYS: Final[Mapping[ExternalPsk | ResumptionPsk, bytes]] = MappingProxyType({})


def no_psks(_name: ExternalPsk | ResumptionPsk) -> None:
    """Know no pre-shared key."""


@dataclass(frozen=True, slots=True)
class Psk:
    """A pre-shared key with its name."""

    id: PreSharedKeyID
    secret: bytes = field(repr=False)


def fresh_psk(suite: CipherSuite, name: ExternalPsk | ResumptionPsk) -> PreSharedKeyID:
    """Return a use of this key: each has a fresh nonce, as long as a hash (section 8.4)."""
    return PreSharedKeyID(name, random_bytes(suite.hash_length))


def check_told(suite: CipherSuite, ids: Sequence[PreSharedKeyID]) -> None:
    """Section 8.4: what a Welcome says of its keys could stand in the commit that it belongs to."""
    if len(ids) > MAX_PSKS or len(set(ids)) != len(ids):
        raise SecretError("welcome-psks", "8.4", "too many pre-shared keys, or one twice")
    if any(len(each.psk_nonce) != suite.hash_length for each in ids):
        raise SecretError("welcome-psks", "8.4", "a nonce is not as long as a hash")


def look_up(ids: Sequence[PreSharedKeyID], source: PskSource) -> tuple[Psk, ...]:
    """Return the keys with these names; SecretError ``missing-psk`` if one is not known."""
    found = []
    for psk_id in ids:
        secret = source(psk_id.psk)
        if secret is None:  # section 8.4: never derived from its public name
            raise SecretError("missing-psk", "8.4", "a pre-shared key is not known here")
        found.append(Psk(psk_id, secret))
    return tuple(found)


def psk_secret(suite: CipherSuite, psks: Sequence[Psk]) -> bytes:
    """Return what the key schedule takes from ``psks``, in their order; all zero if there are none."""
    secret = bytes(suite.hash_length)
    for index, psk in enumerate(psks):
        label = encode(_PSKLabel(psk.id, index, len(psks)))
        extracted = suite.extract(bytes(suite.hash_length), psk.secret)
        secret = suite.extract(
            suite.expand_with_label(extracted, "derived psk", label, suite.hash_length), secret
        )
    return secret


MAX_PSKS: Final = 0xFFFF
"""PSKLabel counts them in two bytes."""
