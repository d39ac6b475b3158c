"""Key packages (RFC 9420 section 10): what a client leaves at the server so that it can be added."""

from dataclasses import dataclass, field

import msgspec

from securechat.mls.cipher_suite import CipherSuite, cipher_suite
from securechat.mls.codec import (
    KeptStruct,
    Opaque,
    SecretStruct,
    Uint8,
    Uint16,
    decode,
    encode,
    encode_opaque,
)
from securechat.mls.credential import Credential
from securechat.mls.errors import DecodeError, UsageError
from securechat.mls.extensions import (
    DEFAULT_EXTENSIONS,
    Extension,
    Extensions,
    ExtensionType,
    carries_last_resort_mark,
    last_resort_mark,
)
from securechat.mls.nodes import (
    DEFAULT_PROPOSALS,
    Capabilities,
    LeafIndex,
    LeafNode,
    Lifetime,
    ProtocolVersion,
    sign_leaf_node,
)
from securechat.mls.signature import SigningKey


class KeyPackage(KeptStruct, frozen=True):
    """An offer to be added to groups, signed by its leaf's key (section 10)."""

    version: Uint16
    cipher_suite: Uint16
    init_key: Opaque
    leaf_node: LeafNode
    extensions: tuple[Extension, ...] = ()
    signature: Opaque = b""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is in a group, and the key it signs with."""

    credential: Credential
    signature_key: SigningKey
    capabilities: Capabilities
    leaf_extensions: Extensions = ()


class _StoredBundle(SecretStruct, frozen=True):
    version: Uint8
    key_package: KeyPackage
    init_key: Opaque
    encryption_key: Opaque


_BUNDLE_VERSION = 1


@dataclass(frozen=True, slots=True)
class KeyPackageBundle:
    """A key package with its two private keys. Drop it when it has been used."""

    key_package: KeyPackage
    init_key: bytes = field(repr=False)
    encryption_key: bytes = field(repr=False)

    @property
    def reference(self) -> bytes:
        """The KeyPackageRef by which a Welcome names it (section 5.2)."""
        return key_package_reference(self.key_package)

    def to_bytes(self) -> bytes:
        """Return bytes to keep, private keys among them."""
        return encode(_StoredBundle(_BUNDLE_VERSION, self.key_package, self.init_key, self.encryption_key))

    @staticmethod
    def from_bytes(data: bytes) -> "KeyPackageBundle":
        """Return what ``to_bytes`` gave; DecodeError if it is broken or of another version."""
        stored = decode(_StoredBundle, data)
        if stored.version != _BUNDLE_VERSION:
            raise DecodeError(f"a stored key package of version {stored.version}")
        return KeyPackageBundle(stored.key_package, stored.init_key, stored.encryption_key)


def make_key_package(
    identity: Identity, suite: CipherSuite, *, lifetime: Lifetime, last_resort: bool = False
) -> KeyPackageBundle:
    """Return a fresh key package of ``identity``, valid during ``lifetime``."""
    signer = identity.signature_key
    check_identity(identity, suite)
    if last_resort and ExtensionType.APP_DATA_DICTIONARY not in identity.capabilities.extensions:
        raise UsageError("the capabilities must list the extension that marks a last resort")  # section 10
    init_key, encryption_key = suite.kem.generate(), suite.kem.generate()
    leaf = LeafNode(
        encryption_key=encryption_key.public,
        signature_key=signer.public,
        credential=identity.credential,
        capabilities=identity.capabilities,
        origin=lifetime,
        extensions=identity.leaf_extensions,
    )
    unsigned = KeyPackage(
        version=ProtocolVersion.MLS10,
        cipher_suite=suite.number,
        init_key=init_key.public,
        leaf_node=sign_leaf_node(leaf, signer, group_id=b"", leaf_index=LeafIndex(0)),
        extensions=(last_resort_mark(),) if last_resort else (),
    )
    signature = signer.sign_with_label("KeyPackageTBS", _tbs(unsigned))
    key_package = msgspec.structs.replace(unsigned, signature=signature)
    return KeyPackageBundle(key_package, init_key.private, encryption_key.private)


def check_identity(identity: Identity, suite: CipherSuite) -> None:
    """Refuse, as our own mistake, what we must not say of ourselves (sections 5.1.2 and 7.2)."""
    if identity.signature_key.scheme is not suite.signature:
        raise UsageError(f"a key of {identity.signature_key.scheme.name} does not sign for {suite.name}")
    capabilities = identity.capabilities
    if DEFAULT_EXTENSIONS.intersection(capabilities.extensions):
        raise UsageError("capabilities do not list extensions that everybody supports")
    if DEFAULT_PROPOSALS.intersection(capabilities.proposals):
        raise UsageError("capabilities do not list proposals that everybody supports")


def key_package_reference(key_package: KeyPackage) -> bytes:
    """Return MakeKeyPackageRef of section 5.2, with the key package's own suite."""
    return cipher_suite(key_package.cipher_suite).key_package_reference(encode(key_package))


def key_package_signature_holds(key_package: KeyPackage, suite: CipherSuite) -> bool:
    """Whether the key package is signed by its leaf's key (section 10.1)."""
    return suite.verify_with_label(
        key_package.leaf_node.signature_key,
        "KeyPackageTBS",
        _tbs(key_package),
        signature=key_package.signature,
    )


def _tbs(key_package: KeyPackage) -> bytes:
    """Return what the signature covers: everything before it, and it comes last (section 10)."""
    return encode(key_package)[: -len(encode_opaque(key_package.signature))]


def is_last_resort(key_package: KeyPackage) -> bool:
    """Whether this key package may be used more than once (draft-ietf-mls-extensions)."""
    return carries_last_resort_mark(key_package.extensions)
