"""The key schedule (RFC 9420 section 8): from one epoch's init secret to the next epoch's secrets."""

from dataclasses import dataclass, field
from typing import Final

from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.codec import Opaque, SecretStruct
from securechat.mls.errors import UsageError
from securechat.mls.kem import KeyPair

MAX_EXPORT: Final = 0xFFFF
"""KDFLabel counts the length of what is derived in two bytes (section 8)."""


class EpochSecrets(SecretStruct, frozen=True):
    """What a member keeps during an epoch (section 8, table 4), the secret tree apart."""

    sender_data_secret: Opaque
    exporter_secret: Opaque
    external_secret: Opaque
    confirmation_key: Opaque
    membership_key: Opaque
    resumption_psk: Opaque
    epoch_authenticator: Opaque
    init_secret: Opaque


NO_SECRETS: Final = EpochSecrets(*[b""] * len(EpochSecrets.__struct_fields__))
"""What is left of an epoch to who was removed from the group."""


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """All that the schedule gives at once. Only ``secrets`` outlives the making of the epoch."""

    secrets: EpochSecrets
    encryption_secret: bytes = field(repr=False)
    joiner_secret: bytes = field(repr=False)
    welcome_secret: bytes = field(repr=False)


def next_epoch(
    suite: CipherSuite, context: bytes, *, init_secret: bytes, commit_secret: bytes, psk_secret: bytes
) -> NewEpoch:
    """Derive the epoch of the encoded GroupContext ``context`` from its predecessor."""
    extracted = suite.extract(init_secret, commit_secret)
    joiner = suite.expand_with_label(extracted, "joiner", context, suite.hash_length)
    return epoch_for_joiner(suite, context, joiner_secret=joiner, psk_secret=psk_secret)


def epoch_for_joiner(
    suite: CipherSuite, context: bytes, *, joiner_secret: bytes, psk_secret: bytes
) -> NewEpoch:
    """Derive the epoch of ``context`` from what its Welcome tells."""
    extracted = suite.extract(joiner_secret, psk_secret)
    epoch_secret = suite.expand_with_label(extracted, "epoch", context, suite.hash_length)
    return _epoch(
        suite,
        epoch_secret,
        joiner_secret=joiner_secret,
        welcome_secret=suite.derive_secret(extracted, "welcome"),
    )


def first_epoch(suite: CipherSuite, epoch_secret: bytes) -> NewEpoch:
    """Derive epoch 0 of a new group, whose epoch secret is random (section 11)."""
    return _epoch(suite, epoch_secret, joiner_secret=b"", welcome_secret=b"")


def welcome_secret(suite: CipherSuite, *, joiner_secret: bytes, psk_secret: bytes) -> bytes:
    """Return what the GroupInfo in a Welcome is sealed with, before its context is known."""
    return suite.derive_secret(suite.extract(joiner_secret, psk_secret), "welcome")


def _epoch(
    suite: CipherSuite, epoch_secret: bytes, *, joiner_secret: bytes, welcome_secret: bytes
) -> NewEpoch:
    def derive(label: str) -> bytes:
        return suite.derive_secret(epoch_secret, label)

    secrets = EpochSecrets(
        sender_data_secret=derive("sender data"),
        exporter_secret=derive("exporter"),
        external_secret=derive("external"),
        confirmation_key=derive("confirm"),
        membership_key=derive("membership"),
        resumption_psk=derive("resumption"),
        epoch_authenticator=derive("authentication"),
        init_secret=derive("init"),
    )
    return NewEpoch(secrets, derive("encryption"), joiner_secret, welcome_secret)


def external_key_pair(suite: CipherSuite, secrets: EpochSecrets) -> KeyPair:
    """Return the epoch's external key pair, for external commits (section 8.3)."""
    return suite.derive_key_pair(secrets.external_secret)


def export(suite: CipherSuite, secrets: EpochSecrets, label: str, context: bytes, length: int) -> bytes:
    """MLS-Exporter of section 8.5: ``length`` bytes for ``label`` and ``context``."""
    if not 0 <= length <= min(MAX_EXPORT, 255 * suite.hash_length):
        raise UsageError(f"{length} bytes cannot be exported")
    derived = suite.derive_secret(secrets.exporter_secret, label)
    return suite.expand_with_label(derived, "exported", suite.hash(context), length)
