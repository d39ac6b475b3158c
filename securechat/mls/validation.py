"""Whether a leaf, a key package or a whole tree is valid: each MUST is one function with a name.

RFC 9420 sections 7.3 (leaf nodes), 10.1 (key packages) and 12.4.3.1 (a joiner's tree). All raise
ValidationError. Not asked, because the RFC does not: that a leaf's capabilities list the group's own
version and suite. Not here: what a credential means (the application's), and time, except in the
two functions that take it as an argument.
"""

from collections.abc import Iterable

from securechat.mls.census import Census, Profile
from securechat.mls.certificates import check_certificate_key
from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.errors import DecodeError, ValidationError
from securechat.mls.extensions import (
    DEFAULT_EXTENSIONS,
    Extensions,
    RequiredCapabilities,
    check_extensions_unique,
    external_senders,
    required_capabilities,
)
from securechat.mls.group_context import GroupContext
from securechat.mls.key_package import KeyPackage, key_package_signature_holds
from securechat.mls.nodes import (
    DEFAULT_PROPOSALS,
    Capabilities,
    LeafIndex,
    LeafNode,
    LeafNodeSource,
    ParentNode,
    ProtocolVersion,
    leaf_signature_holds,
)
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.signature import is_public_key
from securechat.mls.tree_math import node_of
from securechat.mls.tree_validation import check_parents


def check_tree(tree: RatchetTree, context: GroupContext) -> None:
    """12.4.3.1: all rules about a tree that comes from somebody else. It verifies every leaf."""
    encodings = dict(tree.rows())  # while the tree still has them: they go when it is hashed
    check_tree_hash(tree, context)
    check_parents(tree)
    for node in tree.nodes:
        if isinstance(node, ParentNode):
            check_encryption_key(node.encryption_key, tree.suite)
    for index, leaf in tree.leaves():
        check_leaf(leaf, tree.suite)
        check_leaf_signature(
            leaf,
            tree.suite,
            group_id=context.group_id,
            leaf_index=index,
            encoding=encodings[node_of(index)],
        )
    check_census(tree.census, context.extensions)


def check_tree_hash(tree: RatchetTree, context: GroupContext) -> None:
    """12.4.3.1: the tree is the one that the group context names."""
    if tree.tree_hash() != context.tree_hash:
        raise ValidationError("tree-hash", "12.4.3.1", "it is another tree than the group's")


def check_census(census: Census, extensions: Extensions) -> None:
    """The rules of 7.3 and 13.4 that hold between all nodes of a tree and the group's extensions."""
    check_encryption_keys_unique(census)
    check_signature_keys_unique(census)
    check_keys_of_one_kind(census)
    check_credentials_supported(census.profiles)
    required = read_context_extensions(extensions)
    for profile in census.profiles:
        check_required_capabilities(profile.capabilities, required)
        check_context_extensions_supported(profile.capabilities, extensions)


def check_encryption_keys_unique(census: Census) -> None:
    """7.3 and 12.4.3.1: no two nodes of a tree, leaves or parents, have the same encryption key."""
    if census.encryption_keys.repeated:
        raise ValidationError("duplicate-encryption-key", "7.3", "two nodes have one encryption key")


def check_signature_keys_unique(census: Census) -> None:
    """7.3: no two members have the same signature key."""
    if census.signature_keys.repeated:
        raise ValidationError("duplicate-signature-key", "7.3", "two members have one signature key")


def check_keys_of_one_kind(census: Census) -> None:
    """16.7: no key is the encryption key of one node and the signature key of a leaf."""
    if census.crossed:
        raise ValidationError("key-of-two-kinds", "16.7", "a signature key is an encryption key too")


def check_credentials_supported(profiles: Iterable[Profile]) -> None:
    """7.3: every member supports every credential type that a member uses."""
    profiles = tuple(profiles)
    used = {profile.credential_type for profile in profiles}
    for profile in profiles:
        if not used.issubset(profile.capabilities.credentials):
            raise ValidationError("credential-unsupported", "7.3", "a member cannot read a credential")


def check_required_capabilities(capabilities: Capabilities, required: RequiredCapabilities) -> None:
    """7.3 and 11.1: a leaf lists what the group requires; default types need not be listed."""
    lacking = (
        set(required.extension_types) - DEFAULT_EXTENSIONS - set(capabilities.extensions)
        or set(required.proposal_types) - DEFAULT_PROPOSALS - set(capabilities.proposals)
        or set(required.credential_types) - set(capabilities.credentials)
    )
    if lacking:
        raise ValidationError("required-capabilities", "7.3", f"{sorted(lacking)} not supported")


def check_context_extensions_supported(capabilities: Capabilities, extensions: Extensions) -> None:
    """13.4: a leaf supports each extension of the group context."""
    used = {extension.extension_type for extension in extensions}
    lacking = used - DEFAULT_EXTENSIONS - set(capabilities.extensions)
    if lacking:
        raise ValidationError("context-extension-unsupported", "13.4", f"{sorted(lacking)} not supported")


def read_context_extensions(extensions: Extensions) -> RequiredCapabilities:
    """13.4, 11.1, 12.1.8.1: the group context's extensions are unique, and those we know decode."""
    check_extensions_unique(extensions)
    try:
        external_senders(extensions)
        return required_capabilities(extensions)
    except DecodeError as error:
        raise ValidationError("context-extension-malformed", "13.4", str(error)) from error


def check_leaf(leaf: LeafNode, suite: CipherSuite) -> None:
    """The rules of 7.2 and 7.3 that a leaf keeps by itself, wherever it comes from."""
    check_encryption_key(leaf.encryption_key, suite)
    check_signature_key(leaf.signature_key, suite)
    check_extensions_unique(leaf.extensions)
    check_leaf_extensions_listed(leaf)
    check_leaf_credential_listed(leaf)
    check_certificate_key(leaf.credential, leaf.signature_key)


def check_encryption_key(key: bytes, suite: CipherSuite) -> None:
    """5.1.1: an encryption key is a public key of the suite (rule ``hpke-public-key``).

    Keys of small order are refused here, where everybody sees them: nothing can be encrypted to one
    (RFC 9180 section 7.1.4), so a member that had one would keep all others from committing.
    """
    suite.kem.load_public(key)
    check_order(key, suite)


def check_kem_output(output: bytes, suite: CipherSuite) -> None:
    """8.3: what an ExternalInit carries is an output of the suite's KEM; all see that it gives a secret."""
    suite.kem.check_output(output)
    check_order(output, suite)


def check_order(key: bytes, suite: CipherSuite) -> None:
    """5.1.1: a key, or the ephemeral one in a KEM's output, has not small order."""
    if suite.kem.has_small_order(key):
        raise ValidationError("encryption-key-order", "5.1.1", "the key has small order")


def check_signature_key(key: bytes, suite: CipherSuite) -> None:
    """5.1.1: a signature key is a public key of the suite."""
    if not is_public_key(suite.signature, key):
        raise ValidationError("signature-key", "5.1.1", "no signature key of this suite")


def check_leaf_extensions_listed(leaf: LeafNode) -> None:
    """7.3: a leaf's own extensions are listed in its capabilities."""
    used = {extension.extension_type for extension in leaf.extensions}
    lacking = used - DEFAULT_EXTENSIONS - set(leaf.capabilities.extensions)
    if lacking:
        raise ValidationError("leaf-extension-unlisted", "7.3", f"{sorted(lacking)} not in capabilities")


def check_leaf_credential_listed(leaf: LeafNode) -> None:
    """7.2: a leaf's own credential type is listed in its capabilities."""
    if leaf.credential.credential_type not in leaf.capabilities.credentials:
        raise ValidationError("leaf-credential-unlisted", "7.2", "the credential type is not listed")


def check_leaf_source(leaf: LeafNode, expected: LeafNodeSource) -> None:
    """7.3: a leaf says truly whether it came by key package, update or commit."""
    if leaf.leaf_node_source is not expected:
        detail = f"{leaf.leaf_node_source.name} where {expected.name} belongs"
        raise ValidationError("leaf-source", "7.3", detail)


def check_leaf_signature(
    leaf: LeafNode,
    suite: CipherSuite,
    *,
    group_id: bytes,
    leaf_index: LeafIndex,
    encoding: bytes | None = None,
) -> None:
    """7.3: a leaf is signed by its own key, for this place if it was made within a group."""
    if not leaf_signature_holds(leaf, suite, group_id=group_id, leaf_index=leaf_index, encoding=encoding):
        raise ValidationError("leaf-signature", "7.3", f"at leaf {leaf_index}")


def check_leaf_replaces(new: LeafNode, old: LeafNode) -> None:
    """7.3, 12.4.2 and 12.2: a leaf that replaces another brings a new encryption key."""
    if new.encryption_key == old.encryption_key:
        raise ValidationError("encryption-key-kept", "7.3", "the leaf keeps its encryption key")


def check_lifetime(leaf: LeafNode, now: int) -> None:
    """7.3: a key package's leaf is used within its lifetime; ``now`` in seconds since 1970.

    Whoever adds checks this; for whoever receives it is only recommended, so nothing here calls it.
    """
    if leaf.lifetime is not None and not leaf.lifetime.contains(now):
        raise ValidationError("lifetime", "7.3", "the key package is expired or not valid yet")


def check_lifetime_span(leaf: LeafNode, longest: int) -> None:
    """7.2: the application bounds the total lifetime of a leaf; ``longest`` in seconds."""
    if leaf.lifetime is not None and not 0 <= leaf.lifetime.span <= longest:
        raise ValidationError("lifetime-span", "7.2", f"a lifetime of {leaf.lifetime.span} seconds")


def check_key_package(key_package: KeyPackage, suite: CipherSuite) -> None:
    """10.1: all rules about a key package that need no group, both signatures among them."""
    check_key_package_suite(key_package, suite)
    check_leaf_source(key_package.leaf_node, LeafNodeSource.KEY_PACKAGE)
    check_leaf(key_package.leaf_node, suite)
    check_init_key(key_package, suite)
    check_extensions_unique(key_package.extensions)
    check_leaf_signature(key_package.leaf_node, suite, group_id=b"", leaf_index=LeafIndex(0))
    check_key_package_signature(key_package, suite)


def check_key_package_suite(key_package: KeyPackage, suite: CipherSuite) -> None:
    """10.1: version and suite are the group's."""
    if (key_package.version, key_package.cipher_suite) != (ProtocolVersion.MLS10, suite.number):
        raise ValidationError("key-package-suite", "10.1", "made for another version or suite")


def check_init_key(key_package: KeyPackage, suite: CipherSuite) -> None:
    """10.1: the init key is a key of the suite, and not the leaf's encryption key."""
    check_encryption_key(key_package.init_key, suite)
    if key_package.init_key == key_package.leaf_node.encryption_key:
        raise ValidationError("init-key", "10.1", "the init key is the leaf's encryption key")


def check_key_package_signature(key_package: KeyPackage, suite: CipherSuite) -> None:
    """10.1: a key package is signed by its leaf's key."""
    if not key_package_signature_holds(key_package, suite):
        raise ValidationError("key-package-signature", "10.1", "not signed by its leaf's key")
