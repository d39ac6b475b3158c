"""Making and opening a Welcome, and signing a GroupInfo (RFC 9420 section 12.4.3)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from securechat.mls.cipher_suite import CipherSuite, cipher_suite
from securechat.mls.codec import decode, encode, encode_before
from securechat.mls.errors import DecodeError, SecretError, ValidationError
from securechat.mls.framing import EncryptedGroupSecrets, GroupInfo, GroupSecrets, PathSecret, Welcome
from securechat.mls.key_package import KeyPackage, KeyPackageBundle, key_package_reference
from securechat.mls.key_schedule import welcome_secret
from securechat.mls.psk import (
    PreSharedKeyID,
    PskSource,
    ResumptionPsk,
    ResumptionPSKUsage,
    check_told,
    look_up,
    psk_secret,
)
from securechat.mls.signature import SigningKey


@dataclass(frozen=True, slots=True)
class NewMember:
    """Who a Welcome is for, and the secret of the lowest node that it shares with the committer."""

    key_package: KeyPackage
    path_secret: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenedWelcome:
    """What a Welcome told one new member; the GroupInfo is not verified yet."""

    suite: CipherSuite
    group_info: GroupInfo
    secrets: GroupSecrets
    psk_secret: bytes = field(repr=False)


def sign_group_info(group_info: GroupInfo, signer: SigningKey) -> GroupInfo:
    """Return ``group_info`` with its signature (section 12.4.3)."""
    signature = signer.sign_with_label("GroupInfoTBS", encode_before(group_info, "signature"))
    return msgspec.structs.replace(group_info, signature=signature)


def group_info_signature_holds(group_info: GroupInfo, suite: CipherSuite, *, public_key: bytes) -> bool:
    """Whether ``group_info`` is signed by ``public_key``: that of the leaf it names (section 12.4.3.1)."""
    tbs = encode_before(group_info, "signature")
    return suite.verify_with_label(public_key, "GroupInfoTBS", tbs, signature=group_info.signature)


def seal_welcome(
    suite: CipherSuite,
    group_info: GroupInfo,
    new_members: Sequence[NewMember],
    *,
    joiner_secret: bytes,
    welcome_secret: bytes,
    psks: tuple[PreSharedKeyID, ...],
) -> Welcome:
    """Return the Welcome that gives ``group_info`` to each of ``new_members``."""
    key, nonce = _group_info_key(suite, welcome_secret)
    sealed_info = suite.aead.seal(key, nonce, encode(group_info), aad=b"")
    entries = []
    for member in new_members:
        path_secret = None if member.path_secret is None else PathSecret(member.path_secret)
        secrets = encode(GroupSecrets(joiner_secret, path_secret, psks))
        sealed = suite.encrypt_with_label(member.key_package.init_key, "Welcome", sealed_info, secrets)
        entries.append(EncryptedGroupSecrets(key_package_reference(member.key_package), sealed))
    return Welcome(suite.number, tuple(entries), sealed_info)


def open_welcome(welcome: Welcome, bundle: KeyPackageBundle, psks: PskSource) -> OpenedWelcome:
    """Return what ``welcome`` tells the owner of ``bundle`` (section 12.4.3.1, first half).

    ValidationError if it is not for this key package; SecretError if it does not open, or needs
    a pre-shared key that is not known.
    """
    suite = cipher_suite(welcome.cipher_suite)
    secrets = _secrets_for(suite, welcome, bundle)
    check_told(suite, secrets.psks)
    shared = psk_secret(suite, look_up(secrets.psks, psks))
    key, nonce = _group_info_key(
        suite, welcome_secret(suite, joiner_secret=secrets.joiner_secret, psk_secret=shared)
    )
    group_info_bytes = suite.aead.open(key, nonce, welcome.encrypted_group_info, aad=b"")
    try:
        group_info = decode(GroupInfo, group_info_bytes)
    except DecodeError as error:
        raise SecretError("welcome-group-info", "12.4.3.1", str(error)) from None
    return OpenedWelcome(suite, group_info, secrets, shared)


def group_gone_on_from(welcome: Welcome, bundle: KeyPackageBundle) -> bytes | None:
    """Return the id of the group that a Welcome's says it goes on from by ReInit (11.2), if it does.

    Nothing is known of it yet but that; who opens it needs that group. Raises like `open_welcome`.
    """
    secrets = _secrets_for(cipher_suite(welcome.cipher_suite), welcome, bundle)
    for each in secrets.psks:
        if isinstance(each.psk, ResumptionPsk) and each.psk.usage is ResumptionPSKUsage.REINIT:
            return each.psk.psk_group_id
    return None


def _secrets_for(suite: CipherSuite, welcome: Welcome, bundle: KeyPackageBundle) -> GroupSecrets:
    if bundle.key_package.cipher_suite != welcome.cipher_suite:
        raise ValidationError("welcome-suite", "12.4.3.1", "the key package is of another suite")
    reference = bundle.reference
    entry = next((entry for entry in welcome.secrets if entry.new_member == reference), None)
    if entry is None:
        raise ValidationError("welcome-recipient", "12.4.3.1", "the Welcome is not for this key package")
    return _open_secrets(suite, welcome, entry, bundle)


def _open_secrets(
    suite: CipherSuite, welcome: Welcome, entry: EncryptedGroupSecrets, bundle: KeyPackageBundle
) -> GroupSecrets:
    opened = suite.decrypt_with_label(
        bundle.init_key, "Welcome", welcome.encrypted_group_info, entry.encrypted_group_secrets
    )
    try:
        return decode(GroupSecrets, opened)
    except DecodeError as error:
        raise SecretError("welcome-secrets", "12.4.3.1", str(error)) from None


def _group_info_key(suite: CipherSuite, secret: bytes) -> tuple[bytes, bytes]:
    return (
        suite.expand_with_label(secret, "key", b"", suite.aead.key_length),
        suite.expand_with_label(secret, "nonce", b"", suite.aead.nonce_length),
    )
